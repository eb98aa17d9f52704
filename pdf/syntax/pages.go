package syntax

import "fmt"

// Page is a leaf of the page tree with what it inherits (ISO 32000-2, Section
// 7.7.3.4).
type Page struct {
	Num   uint32
	Gen   uint16
	Annot uint32 // object number of an indirect /Annots array, 0 when direct or absent
	*Inherited
}

// Inherited are the attributes a page takes from its ancestors when it has
// none of its own. Absent ones are Null; they may be references.
type Inherited struct {
	MediaBox, CropBox, Rotate Value
	resources                 Value // a reference to the node that has them
}

// Tree is what the catalog leads to.
type Tree struct {
	Catalog *Object
	Pages   []Page
	// Actions says whether a page has an /AA entry.
	Actions bool
}

// set is a set of object numbers.
type set []uint64

// add reports whether the number was new.
func (s *set) add(num uint32) bool {
	i, bit := int(num>>6), uint64(1)<<(num&63)
	for i >= len(*s) {
		*s = append(*s, 0)
	}
	if (*s)[i]&bit != 0 {
		return false
	}
	(*s)[i] |= bit
	return true
}

func (s set) has(num uint32) bool {
	i := int(num >> 6)
	return i < len(s) && s[i]&(1<<(num&63)) != 0
}

// Tree reads the catalog and walks the page tree. It refuses trees which
// readers may understand in different ways: cycles, nodes reached twice, no
// page at all, a /Count that is wrong. A node without /Type is what its /Kids
// make it.
func (f *File) Tree() (*Tree, error) {
	root := f.trailer.Value.Key("Root")
	catalog, err := f.Resolve(root)
	if err != nil {
		return nil, fmt.Errorf("reading catalog: %w", err)
	}
	kind, err := f.resolve(catalog.Value.Key("Type"))
	if err != nil {
		return nil, err
	}
	if catalog.Value.Kind != Dictionary || catalog.Data != 0 || kind.Kind != Null && !kind.IsName("Catalog") {
		return nil, invalid(root.Start, "no catalog")
	}
	t := &Tree{Catalog: catalog}
	pages := catalog.Value.Key("Pages")
	if pages.Kind != Reference {
		return nil, invalid(catalog.Value.Start, "no page tree")
	}
	w := walker{f: f, tree: t}
	if err := w.node(pages, &Inherited{}, 0); err != nil {
		return nil, err
	}
	if len(t.Pages) == 0 {
		return nil, invalid(pages.Start, "no pages")
	}
	return t, nil
}

type walker struct {
	f    *File
	tree *Tree
	seen set
}

func (w *walker) node(ref Value, from *Inherited, depth int) error {
	if ref.Kind != Reference {
		return invalid(ref.Start, "page tree node is no reference")
	}
	if depth > MaxDepth {
		return tooLarge(ref.Start, "page tree deeper than %d", MaxDepth)
	}
	if !w.seen.add(uint32(ref.Int)) {
		return invalid(ref.Start, "page tree reaches object %d twice", ref.Int)
	}
	o, err := w.f.Load(uint32(ref.Int), ref.Gen)
	if err != nil {
		return fmt.Errorf("reading page tree: %w", err)
	}
	if o.Value.Kind != Dictionary || o.Data != 0 {
		return invalid(ref.Start, "page tree node %d is no dictionary", o.Num)
	}
	kids, err := w.f.resolve(o.Value.Key("Kids"))
	if err != nil {
		return err
	}
	kind, err := w.f.resolve(o.Value.Key("Type"))
	if err != nil {
		return err
	}
	switch {
	case kind.IsName("Page"), kind.Kind == Null && kids.Kind == Null:
		if kids.Kind != Null {
			return invalid(ref.Start, "page %d has /Kids", o.Num)
		}
		if depth == 0 {
			return invalid(ref.Start, "page %d is the root of the page tree", o.Num)
		}
		return w.leaf(o, from)
	case !kind.IsName("Pages") && kind.Kind != Null:
		return invalid(ref.Start, "page tree node %d has no known /Type", o.Num)
	case kids.Kind != Array:
		return invalid(ref.Start, "page tree node %d has no /Kids", o.Num)
	}
	count, err := w.f.resolve(o.Value.Key("Count"))
	if err != nil {
		return err
	}
	own, err := w.f.refine(from, o)
	if err != nil {
		return err
	}
	before := len(w.tree.Pages)
	for _, kid := range kids.Array {
		if err := w.node(kid, own, depth+1); err != nil {
			return err
		}
	}
	// Readers go by the counts when they look for a page by its number.
	if n := len(w.tree.Pages) - before; count.Kind != Integer || count.Int != int64(n) {
		return invalid(ref.Start, "page tree node %d has %d pages, its /Count says otherwise", o.Num, n)
	}
	return nil
}

func (w *walker) leaf(o *Object, from *Inherited) error {
	if len(w.tree.Pages) == MaxPages {
		return tooLarge(o.Value.Start, "more than %d pages", MaxPages)
	}
	p := Page{Num: o.Num, Gen: o.Gen, Inherited: from}
	if a := o.Value.Key("Annots"); a.Kind == Reference {
		p.Annot = uint32(a.Int)
	}
	if o.Value.Key("AA").Kind != Null {
		w.tree.Actions = true
	}
	w.tree.Pages = append(w.tree.Pages, p)
	return nil
}

// refine returns the attributes below a node, from itself when it has none. An
// attribute that refers to null is as good as absent.
func (f *File) refine(from *Inherited, node *Object) (*Inherited, error) {
	own, changed := *from, false
	for _, e := range node.Value.Dict {
		to := (*Value)(nil)
		v := small(e.Value)
		switch e.Key {
		case "MediaBox":
			to = &own.MediaBox
		case "CropBox":
			to = &own.CropBox
		case "Rotate":
			to = &own.Rotate
		case "Resources":
			to, v = &own.resources, Value{Kind: Reference, Int: int64(node.Num), Gen: node.Gen}
		default:
			continue
		}
		present, err := f.resolve(e.Value)
		if err != nil {
			return nil, err
		}
		if present.Kind != Null {
			*to, changed = v, true
		}
	}
	if !changed {
		return from, nil
	}
	return &own, nil
}

// small returns what is worth keeping of an attribute: numbers, arrays of four
// of them, references. Anything else is malformed, and kept as a Bool.
func small(v Value) Value {
	odd := Value{Kind: Bool, Start: v.Start, End: v.End}
	scalar := func(v Value) bool { return v.Kind == Integer || v.Kind == Real || v.Kind == Reference }
	if v.Kind != Array {
		if scalar(v) {
			return v
		}
		return odd
	}
	if len(v.Array) != 4 {
		return odd
	}
	for _, e := range v.Array {
		if !scalar(e) {
			return odd
		}
	}
	return v
}

// Resources returns the resource dictionary of a page, its own or inherited,
// Null when there is none.
func (f *File) Resources(p Page, page *Object) (Value, error) {
	own, err := f.resolve(page.Value.Key("Resources"))
	if err != nil || own.Kind != Null || p.resources.Kind == Null {
		return own, err
	}
	node, err := f.Resolve(p.resources)
	if err != nil {
		return Value{}, err
	}
	return f.resolve(node.Value.Key("Resources"))
}

// Geometry is how a page is displayed.
type Geometry struct {
	// Crop is the CropBox cut to the MediaBox, in user space units: left,
	// bottom, right, top.
	Crop [4]float64
	// Rotate is the clockwise rotation: 0, 90, 180 or 270 degrees.
	Rotate int
	// UserUnit is the size of a user space unit in points.
	UserUnit float64
}

// Geometry reads the boxes, rotation and unit of a page.
func (f *File) Geometry(p Page, page *Object) (Geometry, error) {
	g := Geometry{UserUnit: 1}
	from, err := f.refine(p.Inherited, page)
	if err != nil {
		return g, err
	}
	media, ok, err := f.rectangle(from.MediaBox)
	if err != nil {
		return g, err
	}
	if !ok {
		return g, invalid(page.Value.Start, "page without /MediaBox")
	}
	crop, ok, err := f.rectangle(from.CropBox)
	if err != nil {
		return g, err
	}
	if !ok {
		crop = media
	}
	g.Crop = [4]float64{max(crop[0], media[0]), max(crop[1], media[1]), min(crop[2], media[2]), min(crop[3], media[3])}
	if g.Crop[0] >= g.Crop[2] || g.Crop[1] >= g.Crop[3] {
		return g, invalid(page.Value.Start, "page without area")
	}
	rotate, err := f.resolve(from.Rotate)
	if err != nil {
		return g, err
	}
	if rotate.Kind != Null && rotate.Kind != Integer || rotate.Int%90 != 0 {
		return g, invalid(page.Value.Start, "malformed /Rotate")
	}
	g.Rotate = int((rotate.Int%360 + 360) % 360)
	unit, err := f.resolve(page.Value.Key("UserUnit"))
	if err != nil {
		return g, err
	}
	if unit.Kind != Null {
		if unit.Real < 0.001 || unit.Real > 75000 {
			return g, invalid(page.Value.Start, "malformed /UserUnit")
		}
		g.UserUnit = unit.Real
	}
	return g, nil
}

// rectangle reads a rectangle in normal order (ISO 32000-2, Section 7.9.5).
func (f *File) rectangle(v Value) (r [4]float64, ok bool, err error) {
	if v, err = f.resolve(v); err != nil || v.Kind == Null {
		return r, false, err
	}
	if len(v.Array) != 4 {
		return r, false, invalid(v.Start, "malformed rectangle")
	}
	for i, n := range v.Array {
		if n, err = f.resolve(n); err != nil {
			return r, false, err
		}
		if n.Kind != Integer && n.Kind != Real || n.Real < -1e7 || n.Real > 1e7 {
			return r, false, invalid(v.Start, "malformed rectangle")
		}
		r[i] = n.Real
	}
	return [4]float64{min(r[0], r[2]), min(r[1], r[3]), max(r[0], r[2]), max(r[1], r[3])}, true, nil
}
