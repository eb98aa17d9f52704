package verify

import (
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Permissions of a certification (ISO 32000-2, Table 257).
const (
	noChanges  = 1
	fillIn     = 2
	annotating = 3
)

// rules are what one signature says about later changes.
type rules struct {
	certifies bool  // it has a DocMDP reference
	mdp       int64 // permission in DocMDP or a lock, 0 without one
	locks     []lock
}

// lock names fields that must not change: FieldMDP, or the /Lock of the
// signature's field (ISO 32000-2, Sections 12.7.5.5 and 12.8.2.4).
type lock struct {
	action string
	fields []string
}

// holds says whether the field is locked. A field that is not terminal stands
// for all below it.
func (l lock) holds(field string) bool {
	named := false
	for _, name := range l.fields {
		named = named || field == name || strings.HasPrefix(field, name+".")
	}
	switch l.action {
	case "Include":
		return named
	case "Exclude":
		return !named
	}
	return true
}

// readRules reads the reference dictionaries of a signature and its field's
// lock. What is not understood makes the signature malformed: it may forbid
// something.
func (v *verifier) readRules(s *signed) error {
	references, err := v.file.Resolve(s.dict.Key("Reference"))
	if err != nil {
		return err
	}
	if k := references.Value.Kind; k != syntax.Array && k != syntax.Null {
		return malformed("/Reference")
	}
	for _, e := range references.Value.Array {
		if err := v.readReference(s, e); err != nil {
			return err
		}
	}
	return v.readLock(s, s.field.Object.Value.Key("Lock"), false)
}

func (v *verifier) readReference(s *signed, value syntax.Value) error {
	ref, err := v.file.Resolve(value)
	if err != nil {
		return err
	}
	method, err := v.file.Resolve(ref.Value.Key("TransformMethod"))
	if err != nil {
		return err
	}
	params := ref.Value.Key("TransformParams")
	switch m := method.Value; {
	case m.IsName("DocMDP"):
		o, err := v.file.Resolve(params)
		if err != nil {
			return err
		}
		s.rules.certifies = true
		return v.restrict(s, o.Value, fillIn)
	case m.IsName("FieldMDP"):
		return v.readLock(s, params, true)
	case m.IsName("Identity"):
		return nil
	}
	return malformed("unknown transform method")
}

// restrict reads /P. A permission can be denied, not added.
func (v *verifier) restrict(s *signed, params syntax.Value, absent int64) error {
	p, err := v.file.Resolve(params.Key("P"))
	if err != nil {
		return err
	}
	n := absent
	if p.Value.Kind != syntax.Null {
		if n = p.Value.Int; p.Value.Kind != syntax.Integer || n < noChanges || n > annotating {
			return malformed("/P of the permissions")
		}
	}
	if n != 0 && (s.rules.mdp == 0 || n < s.rules.mdp) {
		s.rules.mdp = n
	}
	return nil
}

func (v *verifier) readLock(s *signed, value syntax.Value, must bool) error {
	o, err := v.file.Resolve(value)
	if err != nil {
		return err
	}
	if o.Value.Kind == syntax.Null && !must {
		return nil
	}
	action, err := v.file.Resolve(o.Value.Key("Action"))
	if err != nil {
		return err
	}
	names, err := v.file.Resolve(o.Value.Key("Fields"))
	if err != nil {
		return err
	}
	l := lock{action: string(action.Value.Bytes)}
	for _, e := range names.Value.Array {
		name, err := v.file.Resolve(e)
		if err != nil {
			return err
		}
		if name.Value.Kind != syntax.String {
			return malformed("field lock")
		}
		l.fields = append(l.fields, syntax.Text(name.Value.Bytes))
	}
	named := l.action == "Include" || l.action == "Exclude"
	if action.Value.Kind != syntax.Name || !named && l.action != "All" || named && names.Value.Kind != syntax.Array {
		return malformed("field lock")
	}
	s.rules.locks = append(s.rules.locks, l)
	return v.restrict(s, o.Value, 0)
}

// malformed is a fault of a signature, not of the document's structure.
type malformed string

func (m malformed) Error() string { return "malformed " + string(m) }

// permissions are what the signatures up to one of them leave to later
// revisions. Document time-stamps neither grant nor forbid anything.
type permissions struct {
	certified bool
	mdp       int64 // 0 when no signature says anything
	locks     []lock
	// open says that each signature named what it locks, and so what not.
	open bool
}

// permissionsAt gathers the rules of the signatures up to s.
func (v *verifier) permissionsAt(s *signed) permissions {
	p := permissions{open: true}
	for _, other := range v.signed {
		if other.end > s.end || other.stamp || other.broken {
			continue
		}
		r := other.rules
		p.certified = p.certified || r.certifies
		if r.mdp != 0 && (p.mdp == 0 || r.mdp < p.mdp) {
			p.mdp = r.mdp
		}
		p.locks = append(p.locks, r.locks...)
		p.open = p.open && len(r.locks) > 0
	}
	return p
}

func (p *permissions) locked(field string) bool {
	for _, l := range p.locks {
		if l.holds(field) {
			return true
		}
	}
	return false
}

// sign says whether a signature in the field is permitted. A document
// time-stamp always is (ISO 32000-2, Section 12.8.2.2.2).
func (p *permissions) sign(field string, stamp bool) bool {
	return stamp || p.mdp != noChanges && !p.locked(field)
}

// fill says whether the value of a form field may change. A signature without
// permissions vouches for what the signatory saw, so it takes a signature that
// says so: a certification with P 2 or 3, or locks that leave the field out.
func (p *permissions) fill(field string) bool {
	return (p.mdp >= fillIn || p.mdp == 0 && p.open && len(p.locks) > 0) && !p.locked(field)
}
