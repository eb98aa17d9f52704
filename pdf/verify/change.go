package verify

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// comparison finds out what revisions after a signature changed. It compares
// what the revision signed and the newest one lead to from the catalog, object
// by object. Objects which both read from the same bytes need no comparison;
// so the work is that of reading the newest revision once, for all signatures
// together, and of comparing what was appended.
//
// Everything must be as it was but for a few places, each of which is judged by
// its role: catalog (/DSS, /Extensions, /Metadata, a higher /Version), form
// (/Fields, /SigFlags), fields, the /Annots of pages, the trailer's /Info.
type comparison struct {
	v     *verifier
	roles *roles
	// fixed is what nothing may change; filled what filling in forms may, where
	// that is permitted: values and appearances of fields; loose, only used
	// under a certification with P 3, is what annotations lead to.
	fixed, filled, loose *closure
	// pages and nodes are those of which not everything is in fixed yet.
	pages []int
	nodes []*node

	s       *signed
	permits permissions
	old     *syntax.File
	changed map[uint32]bool
	order   []uint32
	seeded  bool
	looked  bool           // for what was added to the first revision
	fresh   map[*node]bool // field nodes this revision does not have
}

func (v *verifier) newComparison() *comparison {
	c := &comparison{v: v, roles: v.roles}
	for _, set := range []**closure{&c.fixed, &c.filled, &c.loose} {
		*set = &closure{ctx: v.ctx, file: v.file, apart: v.roles.apart, visited: make(map[uint32]visit), ends: make(map[uint32]bool), misused: make(map[uint32]bool)}
	}
	for i := range v.tree.Pages {
		c.pages = append(c.pages, i)
	}
	c.nodes = slices.Clone(v.roles.nodes)
	return c
}

// bad notes a change that is not permitted.
func (c *comparison) bad(format string, args ...any) {
	if len(c.s.faults) < maxChanges {
		c.s.change(fmt.Sprintf(format, args...), true)
	}
}

// fine notes a change that is.
func (c *comparison) fine(format string, args ...any) {
	if len(c.s.changes) < maxChanges {
		c.s.change(fmt.Sprintf(format, args...), false)
	}
}

// proof notes evidence that was added: nothing of the document is changed by it.
func (c *comparison) proof(path string) {
	c.fine("%s", path)
	c.s.proofs = append(c.s.proofs, path)
}

// judge compares the newest revision with the one s signed. It must be called
// for the signatures in the order in which they were made.
func (c *comparison) judge(s *signed) error {
	c.s, c.old, c.permits = s, s.old, c.v.permissionsAt(s)
	c.fresh = make(map[*node]bool)
	var err error
	if c.order, err = c.v.file.Changes(c.old); err != nil {
		return err
	}
	c.changed = make(map[uint32]bool, len(c.order))
	for _, num := range c.order {
		c.changed[num] = true
	}
	for _, step := range []func() error{c.trailer, c.catalog, c.form, c.fields, c.annotations, c.seed, c.others, c.reveals, c.version} {
		if err := step(); err != nil {
			return err
		}
	}
	return c.v.ctx.Err()
}

// others compares the changed objects among those that must not change.
func (c *comparison) others() error {
	for _, num := range c.order {
		if c.usurps(num) || c.misused(num) {
			c.bad("%s", c.roles.label(num))
			continue
		}
		var in *closure
		for _, set := range []*closure{c.loose, c.filled, c.fixed} {
			if _, ok := set.visited[num]; ok {
				in = set
			}
		}
		if in == nil {
			continue
		}
		same, err := c.sameObject(num, in.visited[num].gen)
		if err != nil {
			return err
		}
		path := in.path(num, c.roles.label)
		switch {
		case same:
		case in == c.fixed:
			c.bad("%s", path)
		case in == c.filled:
			c.fine("%s", path)
			c.s.filled = true
		default:
			c.annotated(path)
		}
	}
	return nil
}

// usurps says whether an object judged by its role came to be where something
// else refers to: the revision has no such object, or under another generation.
func (c *comparison) usurps(num uint32) bool {
	if !c.fixed.ends[num] && !c.filled.ends[num] && !c.loose.ends[num] {
		return false
	}
	then, used := c.old.InUse(num)
	now, _ := c.v.file.InUse(num)
	return !used || then != now
}

// misused says whether an object judged by its role has another besides, in
// which what may change matters.
func (c *comparison) misused(num uint32) bool {
	for _, set := range []*closure{c.fixed, c.filled, c.loose} {
		if set.misused[num] {
			return true
		}
	}
	return false
}

// annotated notes what was done to an annotation, as P 3 permits.
func (c *comparison) annotated(path string) {
	c.fine("%s", path)
	c.s.annotated = true
}

// sameObject compares an object that both revisions read from different bytes.
func (c *comparison) sameObject(num uint32, gen uint16) (bool, error) {
	// Some readers follow references under any generation.
	before, was := c.old.InUse(num)
	after, is := c.v.file.InUse(num)
	if was != is || before != after {
		return false, nil
	}
	then, err := c.old.Load(num, gen)
	if err != nil {
		return false, err
	}
	now, err := c.v.file.Load(num, gen)
	if err != nil || !equal(then.Value, now.Value) || (then.Data == 0) != (now.Data == 0) {
		return false, err
	}
	if then.Data == 0 {
		return true, nil
	}
	return c.sameData(then, now)
}

// sameData compares the bytes of two streams as they stand in the file. Those
// of encrypted documents differ even when they mean the same; nobody needs to
// write them again.
func (c *comparison) sameData(then, now *syntax.Object) (bool, error) {
	a, err := c.old.Resolve(then.Value.Key("Length"))
	if err != nil {
		return false, err
	}
	b, err := c.v.file.Resolve(now.Value.Key("Length"))
	if err != nil || a.Value.Kind != syntax.Integer || a.Value.Int < 0 || a.Value.Int != b.Value.Int {
		return false, err
	}
	return c.v.sameBytes(then.Data, now.Data, a.Value.Int)
}

// trailer compares what trailers say about the document.
func (c *comparison) trailer() error {
	then, now := c.old.Trailer().Value, c.v.file.Trailer().Value
	for _, key := range []string{"Root", "Encrypt"} {
		if !equal(then.Key(key), now.Key(key)) {
			c.bad("trailer.%s", key)
		}
	}
	if err := c.fixed.add(0, "Encrypt", now.Key("Encrypt")); err != nil {
		return err
	}
	a, err := c.old.Resolve(then.Key("ID"))
	if err != nil {
		return err
	}
	b, err := c.v.file.Resolve(now.Key("ID"))
	if err != nil {
		return err
	}
	if len(a.Value.Array) > 0 && (len(b.Value.Array) == 0 || !equal(a.Value.Array[0], b.Value.Array[0])) {
		c.bad("trailer.ID")
	}
	return c.info(then.Key("Info"), now.Key("Info"))
}

// info compares the document information: who wrote the file last and when
// may change (ISO 32000-2, Section 14.3.3).
func (c *comparison) info(then, now syntax.Value) error {
	a, err := c.old.Resolve(then)
	if err != nil {
		return err
	}
	b, err := c.v.file.Resolve(now)
	if err != nil {
		return err
	}
	for _, key := range differ(a.Value, b.Value) {
		if key == "ModDate" || key == "Producer" {
			c.fine("Info.%s", key)
			continue
		}
		c.bad("Info.%s", key)
	}
	from := uint32(0)
	if now.Kind == syntax.Reference {
		from = b.Num
	}
	for _, e := range b.Value.Dict {
		if e.Key != "ModDate" && e.Key != "Producer" {
			if err := c.fixed.add(from, e.Key, e.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// catalog compares the catalogs. Their references are the same.
func (c *comparison) catalog() error {
	root := c.v.file.Trailer().Value.Key("Root")
	then, err := c.old.Resolve(root)
	if err != nil {
		return err
	}
	now := c.v.tree.Catalog
	for _, key := range differ(then.Value, now.Value) {
		switch key {
		case "DSS", "AcroForm", "Metadata", "Extensions": // judged below, and elsewhere
		case "Version": // judged last
		default:
			c.bad("catalog.%s", key)
		}
	}
	if err := c.metadata(then.Value.Key("Metadata"), now.Value.Key("Metadata")); err != nil {
		return err
	}
	if err := c.extensions(then.Value.Key("Extensions"), now.Value.Key("Extensions")); err != nil {
		return err
	}
	return c.evidence(then.Value.Key("DSS"), now.Value.Key("DSS"))
}

// version compares the versions of the document. Who adds something that
// needs a higher one says so; alone it makes no sense. Nothing that was there
// is read in another way for it.
func (c *comparison) version() error {
	root := c.v.file.Trailer().Value.Key("Root")
	old, err := c.old.Resolve(root)
	if err != nil {
		return err
	}
	then, now := old.Value.Key("Version"), c.v.tree.Catalog.Value.Key("Version")
	if equal(then, now) {
		return nil
	}
	known := []string{"1.4", "1.5", "1.6", "1.7", "2.0"}
	raised := now.Kind == syntax.Name && slices.Contains(known, string(now.Bytes)) && string(now.Bytes) >= max(c.v.file.Version(), string(then.Bytes))
	if then.Kind != syntax.Null && then.Kind != syntax.Name || !raised || len(c.s.changes) == 0 {
		c.bad("catalog.Version")
	}
	return nil
}

// extensions compares the developer extensions (ISO 32000-2, Section 7.12),
// to which others may be added: numbers and names alone.
func (c *comparison) extensions(then, now syntax.Value) error {
	a, err := c.old.Resolve(then)
	if err != nil {
		return err
	}
	b, err := c.v.file.Resolve(now)
	if err != nil {
		return err
	}
	for _, key := range differ(a.Value, b.Value) {
		if !scalars(b.Value.Key(key), 3) {
			c.bad("catalog.Extensions.%s", key)
		}
	}
	return nil
}

// scalars says whether a value is there and holds no references and no
// strings, in dictionaries and arrays nested no deeper.
func scalars(v syntax.Value, depth int) bool {
	switch v.Kind {
	case syntax.Null, syntax.Reference:
		return false
	case syntax.Array, syntax.Dictionary:
		for _, e := range v.Array {
			if depth == 0 || !scalars(e, depth-1) {
				return false
			}
		}
		for _, e := range v.Dict {
			if depth == 0 || e.Key != "URL" && !scalars(e.Value, depth-1) {
				return false
			}
		}
	}
	return true
}

// form compares the form dictionaries.
func (c *comparison) form() error {
	then, err := formOf(c.old)
	if err != nil {
		return err
	}
	moved, err := c.formMoved()
	if err != nil {
		return err
	}
	if moved {
		c.bad("catalog.AcroForm")
	}
	now := c.v.form.Dict
	for _, key := range differ(then, now) {
		switch key {
		case "Fields": // judged with the fields
		case "SigFlags":
			a, b := then.Key(key), now.Key(key)
			if b.Kind != syntax.Integer || a.Int&^b.Int != 0 || b.Int&^3 != 0 {
				c.bad("AcroForm.SigFlags")
			}
		default:
			c.bad("AcroForm.%s", key)
		}
	}
	return nil
}

// formMoved says whether the form came to lie in an object that the revision
// has for something else: a form is judged by its entries alone.
func (c *comparison) formMoved() (bool, error) {
	if c.roles.form == 0 {
		return false, nil
	}
	catalog, err := c.old.Resolve(c.v.file.Trailer().Value.Key("Root"))
	if err != nil {
		return false, err
	}
	then, err := c.old.Resolve(catalog.Value.Key("AcroForm"))
	if err != nil {
		return false, err
	}
	if then.Num == c.roles.form && then.Gen == c.v.form.Object.Gen {
		return false, nil
	}
	_, used := c.old.InUse(c.roles.form)
	return used, nil
}

// seed puts into the fixed set what the places judged by role lead to besides.
func (c *comparison) seed() error {
	if !c.seeded {
		c.seeded = true
		for _, e := range c.v.tree.Catalog.Value.Dict {
			switch e.Key {
			case "DSS", "AcroForm", "Metadata", "Extensions":
			default:
				if err := c.fixed.add(c.roles.catalog, e.Key, e.Value); err != nil {
					return err
				}
			}
		}
		for _, e := range c.v.form.Dict.Dict {
			if e.Key != "Fields" {
				if err := c.fixed.add(c.roles.form, e.Key, e.Value); err != nil {
					return err
				}
			}
		}
	}
	// The streams that hold compressed objects are none of them.
	for _, num := range c.old.Containers() {
		if c.changed[num] {
			continue
		}
		o, err := c.old.Load(num, 0)
		if err != nil {
			return err
		}
		if err := c.fixed.add(num, "", o.Value); err != nil {
			return err
		}
	}
	for _, set := range []*closure{c.fixed, c.filled, c.loose} {
		if err := set.run(); err != nil {
			return err
		}
	}
	return nil
}

// evidence judges the document security store (ISO 32000-2, Section 12.8.4.3).
// What it holds is judged where it is used; here it counts that it is a store
// and leads to nothing else.
func (c *comparison) evidence(then, now syntax.Value) error {
	num := uint32(now.Int)
	if equal(then, now) && (now.Kind != syntax.Reference || !c.changed[num]) {
		return nil
	}
	if c.v.store == nil {
		c.bad("catalog.DSS")
		return nil
	}
	if c.v.store.fault != "" {
		c.bad("catalog.DSS%s", c.v.store.fault)
		return nil
	}
	c.proof("catalog.DSS")
	return nil
}

// short cuts the list of changes that a reason names.
func short(changes []string) string {
	const most = 8
	if len(changes) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(changes[:most], ", "), len(changes)-most)
	}
	return strings.Join(changes, ", ")
}

// sameBytes compares n bytes of the file at two places.
func (v *verifier) sameBytes(a, b, n int64) (bool, error) {
	if a == b {
		return true, nil
	}
	if n > v.size-max(a, b) {
		return false, nil
	}
	var x, y [8192]byte
	for at := int64(0); at < n; at += int64(len(x)) {
		if err := v.ctx.Err(); err != nil {
			return false, err
		}
		m := min(int64(len(x)), n-at)
		for _, part := range []struct {
			b   []byte
			off int64
		}{{x[:m], a + at}, {y[:m], b + at}} {
			if got, err := v.r.ReadAt(part.b, part.off); int64(got) != m {
				return false, fmt.Errorf("reading document: %w", err)
			}
		}
		if !bytes.Equal(x[:m], y[:m]) {
			return false, nil
		}
	}
	return true, nil
}
