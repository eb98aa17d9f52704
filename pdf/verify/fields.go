package verify

import (
	"slices"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// fields compares the field trees from the root.
func (c *comparison) fields() error {
	then, err := formOf(c.old)
	if err != nil {
		return err
	}
	refs, _, err := list(c.old, then.Key("Fields"))
	if err != nil {
		return err
	}
	var roots []*node
	for _, n := range c.roles.nodes {
		if n.parent == nil {
			roots = append(roots, n)
		}
	}
	if err := c.children(nil, refs, roots); err != nil {
		return err
	}
	return c.seedFields()
}

// children compares the kids of a node, the roots of nil, with what was there:
// all of it in the same order, and perhaps new signature fields.
func (c *comparison) children(above *node, then []syntax.Value, now []*node) error {
	left := then
	for _, n := range now {
		if len(left) > 0 && equal(left[0], n.ref) {
			left = left[1:]
			if err := c.field(n); err != nil {
				return err
			}
			continue
		}
		if err := c.newField(n); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		place := "AcroForm.Fields"
		if above != nil {
			place = above.String() + ".Kids"
		}
		c.bad("%s: %d fields removed or moved", place, len(left))
	}
	return nil
}

// field compares a node that both revisions have.
func (c *comparison) field(n *node) error {
	if err := c.v.ctx.Err(); err != nil {
		return err
	}
	num := uint32(n.ref.Int)
	if err := c.valueStays(n); err != nil {
		return err
	}
	if !c.changed[num] && !c.changed[n.array] {
		for _, kid := range n.kids {
			if err := c.field(kid); err != nil {
				return err
			}
		}
		return nil
	}
	then, err := c.old.Load(num, n.ref.Gen)
	if err != nil {
		return err
	}
	now, err := c.v.file.Load(num, n.ref.Gen)
	if err != nil {
		return err
	}
	if then.Value.Kind != syntax.Dictionary || then.Data != 0 {
		c.bad("%s", n)
		return nil
	}
	touched := false
	for _, key := range differ(then.Value, now.Value) {
		if key == "Kids" && len(n.kids) > 0 {
			continue // judged below
		}
		permitted, err := c.mayChange(n, key)
		if err != nil {
			return err
		}
		if !permitted {
			c.bad("%s.%s", n, key)
		}
		touched = touched || permitted
	}
	if touched {
		c.fine("%s", n)
		c.s.filled = c.s.filled || n.kind != "Sig"
	}
	refs, _, err := list(c.old, then.Value.Key("Kids"))
	if err != nil {
		return err
	}
	return c.children(n, refs, n.kids)
}

// valueStays finds signatures whose object was replaced while the field that
// leads to it stayed: one that is gone, too, belongs to what was signed.
func (c *comparison) valueStays(n *node) error {
	if n.kind != "Sig" {
		return nil
	}
	then, err := c.old.Load(uint32(n.ref.Int), n.ref.Gen)
	if err != nil {
		return err
	}
	v := then.Value.Key("V")
	if v.Kind != syntax.Reference || !c.changed[uint32(v.Int)] {
		return nil
	}
	was, err := c.old.Resolve(v)
	if err == nil && was.Value.Kind != syntax.Null {
		c.bad("%s.V", n)
	}
	return err
}

// mayChange says whether an entry of a field, or of a widget of it, may
// change: when an empty signature field was signed, or the form filled in. A
// document time-stamp may be anybody's, so it must not show.
func (c *comparison) mayChange(n *node, key string) (bool, error) {
	if n.kind != "Sig" {
		return slices.Contains([]string{"V", "AS", "AP", "M", "RV", "I"}, key) && c.permits.fill(n.name), nil
	}
	if !slices.Contains([]string{"V", "AP", "AS", "M", "F", "MK"}, key) {
		return false, nil
	}
	s := c.later(n)
	if s == nil || !c.permits.sign(n.name, s.stamp) || s.stamp && (s.shown || key != "V" && key != "M") {
		return false, nil
	}
	was, err := c.old.Load(uint32(s.node.ref.Int), s.node.ref.Gen)
	if err != nil {
		return false, err
	}
	v, err := c.old.Resolve(was.Value.Key("V"))
	return err == nil && v.Value.Kind == syntax.Null, err
}

// later returns the signature made after c.s in the field n belongs to, nil
// when there is none.
func (c *comparison) later(n *node) *signed {
	for ; n != nil; n = n.parent {
		for _, s := range c.v.signed {
			if s.node == n && !s.broken && s.end > c.s.end {
				return s
			}
		}
	}
	return nil
}

// signedAt returns what is signed in a field, nil for an empty one.
func (v *verifier) signedAt(n *node) *signed {
	for _, s := range v.signed {
		if s.node == n {
			return s
		}
	}
	return nil
}

// newField judges a node the revision signed does not have: a signature
// field with a signature, a widget of one, or a node above such fields.
func (c *comparison) newField(n *node) error {
	if err := c.v.ctx.Err(); err != nil {
		return err
	}
	c.fresh[n] = true
	num := uint32(n.ref.Int)
	o, err := c.v.file.Load(num, n.ref.Gen)
	if err != nil {
		return err
	}
	_, used := c.old.InUse(num)
	s := c.later(n)
	keys := []string{"T", "TU", "TM", "FT", "Ff", "Kids", "Parent"}
	if s != nil && n.kind == "Sig" {
		keys = append(keys, "Type", "Subtype", "V", "F", "P", "Rect", "AP", "AS", "MK", "DA", "Lock", "SV", "M", "NM", "BS", "Border")
	}
	switch {
	case used: // an object of something else becomes a field, under whatever generation
		c.bad("%s", n)
		return nil
	case s == nil && len(n.kids) == 0:
		c.bad("%s", n)
		return nil
	case s != nil && (!c.permits.sign(s.node.name, s.stamp) || s.stamp && s.shown):
		c.bad("%s", n)
		return nil
	}
	// What shows in a field the certification did not foresee may cover what it
	// certified, so it is judged as an annotation is.
	if s != nil && s.shown && c.permits.certified {
		c.s.annotated = true
	}
	for _, e := range o.Value.Dict {
		if e.Value.Kind != syntax.Null && !slices.Contains(keys, e.Key) {
			c.bad("%s.%s", n, e.Key)
		}
	}
	if s != nil && s.node == n {
		if s.stamp {
			c.proof(n.String())
		} else {
			c.fine("%s", n)
		}
	}
	for _, kid := range n.kids {
		if err := c.newField(kid); err != nil {
			return err
		}
	}
	return nil
}

// seedFields puts into the fixed set what fields lead to that were there when
// s was made, but for entries that changed with permission or may yet.
func (c *comparison) seedFields() error {
	left := c.nodes[:0]
	for _, n := range c.nodes {
		if c.fresh[n] || n.parent != nil && c.fresh[n.parent] {
			c.fresh[n] = true
			left = append(left, n)
			continue
		}
		now, err := c.v.file.Load(uint32(n.ref.Int), n.ref.Gen)
		if err != nil {
			return err
		}
		var moved []string
		if c.changed[uint32(n.ref.Int)] {
			then, err := c.old.Load(uint32(n.ref.Int), n.ref.Gen)
			if err != nil {
				return err
			}
			moved = differ(then.Value, now.Value)
		}
		open := n.kind != "Sig" && c.permits.fill(n.name)
		for _, e := range now.Value.Dict {
			set := c.fixed
			switch e.Key {
			case "Kids":
				continue
			case "V", "AP", "RV":
				if found := c.v.signedAt(n); found != nil && e.Key == "V" {
					// The dictionary itself was compared where it was found.
					e.Value = found.dict
				}
				if open {
					set = c.filled
				}
			}
			if slices.Contains(moved, e.Key) {
				continue
			}
			if err := set.add(uint32(n.ref.Int), e.Key, e.Value); err != nil {
				return err
			}
		}
		if open || len(moved) > 0 {
			left = append(left, n)
		}
	}
	c.nodes = left
	return nil
}
