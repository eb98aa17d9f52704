package pdf

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// MDP permissions (ISO 32000-2, Table 257).
const (
	noChanges  = 1
	fillIn     = 2
	annotating = 3
)

// rules are what the signatures of a document permit.
type rules struct {
	signatures int   // signature fields with a value, document time-stamps among them
	certified  bool  // a signature has a DocMDP reference
	mdp        int64 // the strictest permission in effect, 0 without one
	locks      []Lock
}

// rules reads every signature's references, the locks of the fields they are
// in, and /Perms. What is not understood is refused: it may forbid something.
func (d *Document) rules() (*rules, error) {
	r := &rules{}
	for _, e := range d.perms.Dict {
		switch e.Key {
		case "DocMDP":
			if err := d.references(r, e.Value); err != nil {
				return nil, fmt.Errorf("reading certification: %w", err)
			}
		case "UR", "UR3":
			return nil, syntax.Errorf(ErrUnsupported, e.KeyStart, "usage rights signature")
		default:
			return nil, syntax.Errorf(ErrUnsupported, e.KeyStart, "unknown entry of /Perms")
		}
	}
	for _, f := range d.form.Fields {
		if f.V.Kind == syntax.Null {
			continue
		}
		r.signatures++
		if err := d.references(r, f.V); err != nil {
			return nil, fmt.Errorf("reading signature: %w", err)
		}
		lock, permission, err := d.lock(f.Object.Value.Key("Lock"))
		if err != nil {
			return nil, err
		}
		r.restrict(permission)
		if lock != nil {
			r.locks = append(r.locks, *lock)
		}
	}
	return r, nil
}

// restrict applies a permission: it can be denied, not added.
func (r *rules) restrict(permission int64) {
	if permission != 0 && (r.mdp == 0 || permission < r.mdp) {
		r.mdp = permission
	}
}

// references reads the signature reference dictionaries of a signature (ISO
// 32000-2, Section 12.8.2).
func (d *Document) references(r *rules, v syntax.Value) error {
	sig, err := d.file.Resolve(v)
	if err != nil {
		return err
	}
	if sig.Value.Kind != syntax.Dictionary {
		return syntax.Errorf(ErrInvalid, v.Start, "signature is no dictionary")
	}
	array, err := d.file.Resolve(sig.Value.Key("Reference"))
	if err != nil {
		return err
	}
	for _, e := range array.Value.Array {
		if err := d.reference(r, e); err != nil {
			return err
		}
	}
	return nil
}

func (d *Document) reference(r *rules, v syntax.Value) error {
	ref, err := d.file.Resolve(v)
	if err != nil {
		return err
	}
	method, err := d.file.Resolve(ref.Value.Key("TransformMethod"))
	if err != nil {
		return err
	}
	params, err := d.file.Resolve(ref.Value.Key("TransformParams"))
	if err != nil {
		return err
	}
	switch m := method.Value; {
	case m.IsName("DocMDP"):
		p, err := d.permission(params.Value, fillIn)
		if err != nil {
			return err
		}
		r.certified = true
		r.restrict(p)
	case m.IsName("FieldMDP"):
		lock, permission, err := d.lock(params.Value)
		if err != nil {
			return err
		}
		if lock == nil {
			return syntax.Errorf(ErrInvalid, v.Start, "FieldMDP without parameters")
		}
		r.restrict(permission)
		r.locks = append(r.locks, *lock)
	case m.IsName("Identity"):
	default:
		return syntax.Errorf(ErrUnsupported, v.Start, "unknown transform method of a signature")
	}
	return nil
}

// permission reads /P: 1, 2 or 3.
func (d *Document) permission(v syntax.Value, absent int64) (int64, error) {
	p, err := d.file.Resolve(v.Key("P"))
	if err != nil {
		return 0, err
	}
	switch n := p.Value; {
	case n.Kind == syntax.Null:
		return absent, nil
	case n.Kind != syntax.Integer || n.Int < noChanges || n.Int > annotating:
		return 0, syntax.Errorf(ErrInvalid, v.Start, "malformed permission of a signature")
	default:
		return n.Int, nil
	}
}

// lock reads a signature field lock dictionary or the transform parameters of
// FieldMDP, which have the same entries (ISO 32000-2, Tables 236 and 259), and
// the permission in it, 0 when there is none. The lock is nil when v is.
func (d *Document) lock(v syntax.Value) (*Lock, int64, error) {
	o, err := d.file.Resolve(v)
	if err != nil {
		return nil, 0, fmt.Errorf("reading field lock: %w", err)
	}
	if o.Value.Kind == syntax.Null {
		return nil, 0, nil
	}
	action, err := d.file.Resolve(o.Value.Key("Action"))
	if err != nil {
		return nil, 0, err
	}
	names, err := d.file.Resolve(o.Value.Key("Fields"))
	if err != nil {
		return nil, 0, err
	}
	permission, err := d.permission(o.Value, 0)
	if err != nil {
		return nil, 0, err
	}
	lock := &Lock{Action: LockAction(action.Value.Bytes)}
	for _, e := range names.Value.Array {
		name, err := d.file.Resolve(e)
		if err != nil {
			return nil, 0, err
		}
		if name.Value.Kind != syntax.String {
			return nil, 0, syntax.Errorf(ErrInvalid, v.Start, "malformed field lock")
		}
		lock.Fields = append(lock.Fields, syntax.Text(name.Value.Bytes))
	}
	switch {
	case action.Value.Kind == syntax.Name && lock.Action == LockAll:
		lock.Fields = nil
	case action.Value.Kind == syntax.Name && (lock.Action == LockInclude || lock.Action == LockExclude) && names.Value.Kind == syntax.Array:
	default:
		return nil, 0, syntax.Errorf(ErrInvalid, v.Start, "malformed field lock")
	}
	return lock, permission, nil
}

// holds says whether the field is locked. A field that is not terminal stands
// for all below it.
func (l Lock) holds(field string) bool {
	named := false
	for _, name := range l.Fields {
		named = named || field == name || strings.HasPrefix(field, name+".")
	}
	switch l.Action {
	case LockInclude:
		return named
	case LockExclude:
		return !named
	}
	return true
}

// permit refuses a signature that a former one forbids. A new field is not
// mentioned in the standard: signing is permitted with P 2 and 3, and readers
// take a new field without area for part of it. One that shows is an
// annotation made after the certification, which some do not accept even with
// P 3; a certified document has fields for those who are to sign.
func (r *rules) permit(t *target, o *Options) error {
	if r.mdp == noChanges {
		return syntax.Refusal(ErrCertified, "an earlier signature permits no change", "tandatangan terdahulu tidak membenarkan apa-apa perubahan")
	}
	if r.certified && t.field == nil && o.Visible != nil {
		return syntax.Refusal(ErrCertified, fmt.Sprintf("the certification permits no new visible field (P %d): sign an existing field, or without appearance", r.mdp),
			fmt.Sprintf("perakuan tidak membenarkan medan baharu yang kelihatan (P %d): tandatangani medan sedia ada, atau tanpa paparan", r.mdp))
	}
	for _, l := range r.locks {
		if l.holds(t.name) {
			return syntax.Refusal(ErrCertified, "an earlier signature locks the field", "tandatangan terdahulu mengunci medan ini")
		}
	}
	if r.signatures > 0 && (len(t.parts) > 1 || t.parent != nil) {
		// Readers take a group that is new, or has a new field, for a manipulation.
		return refuse("after an earlier signature a new field has no parent: name an existing field, or one without full stop")
	}
	if o.Certify != 0 && (r.signatures > 0 || r.certified) {
		return refuse("only the first signature of a document can certify it")
	}
	return nil
}

// transforms returns the /Reference entry of the new signature, empty without
// certification and lock.
func (d *Document) transforms(o *Options, t *target) string {
	var b bytes.Buffer
	if o.Certify != 0 {
		fmt.Fprintf(&b, "<</Type/SigRef/TransformMethod/DocMDP/TransformParams<</Type/TransformParams/V/1.2/P %d>>>>", o.Certify)
	}
	if t.lock != nil {
		fmt.Fprintf(&b, "<</Type/SigRef/TransformMethod/FieldMDP/Data %d %d R/TransformParams<</Type/TransformParams/V/1.2%s",
			d.tree.Catalog.Num, d.tree.Catalog.Gen, t.lock.entries())
		if t.permission != 0 {
			// The standard has it in the field's lock alone. Readers look here.
			fmt.Fprintf(&b, "/P %d", t.permission)
		}
		b.WriteString(">>>>")
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n/Reference[" + b.String() + "]"
}

func (l *Lock) entries() string {
	s := "/Action/" + string(l.Action)
	if l.Action == LockAll {
		return s
	}
	s += "/Fields["
	for _, name := range l.Fields {
		s += textString(name)
	}
	return s + "]"
}

func (l *Lock) check() error {
	switch {
	case l.Action == LockAll && len(l.Fields) == 0:
	case (l.Action == LockInclude || l.Action == LockExclude) && len(l.Fields) > 0:
	default:
		return refuse("malformed Lock")
	}
	for _, name := range l.Fields {
		if err := checkText(name); err != nil {
			return err
		}
	}
	return nil
}

// certify enters the signature in the catalog's /Perms, which has no entry yet.
func (d *Document) certify(c *increment, sig uint32) error {
	catalog := d.tree.Catalog
	entry := fmt.Sprintf("/DocMDP %d 0 R", sig)
	for _, e := range catalog.Value.Dict {
		if e.Key != "Perms" {
			continue
		}
		perms, err := d.file.Resolve(e.Value)
		switch {
		case err != nil:
			return err
		case perms.Value.Kind == syntax.Null:
			c.replace(catalog, e.Value, "<<"+entry+">>")
		case perms.Value.Kind != syntax.Dictionary:
			return syntax.Errorf(ErrInvalid, e.KeyStart, "malformed /Perms")
		case e.Value.Kind == syntax.Reference:
			c.entry(perms, perms.Value, entry)
		default:
			c.entry(catalog, e.Value, entry)
		}
		return nil
	}
	c.entry(catalog, catalog.Value, "/Perms<<"+entry+">>")
	return nil
}
