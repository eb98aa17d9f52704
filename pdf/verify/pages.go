package verify

import (
	"fmt"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// annotations compares the pages: everything in them must be as it was, but
// for widgets of later signatures at the end of /Annots or between.
func (c *comparison) annotations() error {
	left := c.pages[:0]
	for _, i := range c.pages {
		if err := c.v.ctx.Err(); err != nil {
			return err
		}
		p := c.v.tree.Pages[i]
		page, err := c.v.file.Load(p.Num, p.Gen)
		if err != nil {
			return err
		}
		changed := c.changed[p.Num] || c.changed[c.roles.annots[i]]
		now, _, err := list(c.v.file, page.Value.Key("Annots"))
		if err != nil {
			return err
		}
		kept := now
		if changed {
			if kept, err = c.page(i, page, now); err != nil {
				return err
			}
			left = append(left, i)
		}
		for _, e := range page.Value.Dict {
			if e.Key == "Annots" {
				continue
			}
			if err := c.fixed.add(p.Num, e.Key, e.Value); err != nil {
				return err
			}
		}
		set := c.fixed
		if c.permits.mdp == annotating {
			set = c.loose
			if !changed {
				left = append(left, i) // a later signature may be stricter
			}
		}
		for _, e := range kept {
			if err := set.add(p.Num, inArray, e); err != nil {
				return err
			}
		}
	}
	c.pages = left
	return nil
}

// page compares a page which changed, and returns the annotations both
// revisions have.
func (c *comparison) page(i int, page *syntax.Object, now []syntax.Value) (kept []syntax.Value, err error) {
	path := fmt.Sprintf("pages[%d]", i)
	old, err := c.old.Load(page.Num, page.Gen)
	if err != nil {
		return nil, err
	}
	if old.Value.Kind != syntax.Dictionary || old.Data != 0 {
		c.bad("%s", path)
		return nil, nil
	}
	for _, key := range differ(old.Value, page.Value) {
		if key != "Annots" {
			c.bad("%s.%s", path, key)
		}
	}
	if same, err := c.bothLists(old.Value.Key("Annots"), page.Value.Key("Annots")); err != nil {
		return nil, err
	} else if !same {
		c.bad("%s.Annots", path)
	}
	then, _, err := list(c.old, old.Value.Key("Annots"))
	if err != nil {
		return nil, err
	}
	left := then
	for k, e := range now {
		if len(left) > 0 && equal(left[0], e) {
			left = left[1:]
			kept = append(kept, e)
			continue
		}
		c.newAnnotation(fmt.Sprintf("%s.Annots[%d]", path, k), i, e)
	}
	switch {
	case len(left) == 0:
	case c.permits.mdp == annotating:
		c.annotated(path + ".Annots")
	default:
		c.bad("%s.Annots: %d removed or moved", path, len(left))
	}
	return kept, nil
}

// bothLists says whether /Annots is an array in both revisions, or came to be
// one: readers may take what is no array for something else, and what is not
// there from the page's parents.
func (c *comparison) bothLists(then, now syntax.Value) (bool, error) {
	a, err := c.old.Resolve(then)
	if err != nil {
		return false, err
	}
	b, err := c.v.file.Resolve(now)
	if err != nil {
		return false, err
	}
	is, was := b.Value.Kind, a.Value.Kind
	return is == syntax.Array && (was == syntax.Array || was == syntax.Null) || is == syntax.Null && was == syntax.Null, nil
}

// newAnnotation judges what was added to a page: the widget of a later
// signature, or an annotation.
func (c *comparison) newAnnotation(path string, page int, e syntax.Value) {
	n := c.roles.byNum[uint32(e.Int)]
	if e.Kind == syntax.Reference && n != nil && c.fresh[n] && n.kind == "Sig" {
		if s := c.later(n); s != nil {
			if s.shown && !s.stamp {
				c.fine("%s (%s, shown on page %d)", path, s.node.name, page+1)
			}
			return
		}
	}
	if e.Kind == syntax.Reference && n == nil && c.permits.mdp == annotating {
		c.annotated(path)
		return
	}
	c.bad("%s", path)
}
