package verify

import "github.com/mohor-sign/mohor/pdf/syntax"

// reveals looks, once for all revisions, for objects that were added or changed
// and matter to readers in other ways than by what the catalog leads to: pages
// outside of the page tree, and references to objects nothing led to before in
// which there is a reference to nothing (see dangling).
func (c *comparison) reveals() error {
	if c.looked {
		return nil
	}
	c.looked = true
	seen := make(map[uint32]bool)
	var queue []*syntax.Object
	for _, num := range c.order {
		gen, used := c.v.file.InUse(num)
		if !used {
			continue
		}
		o, err := c.v.load(c.v.file, num, gen)
		if err != nil {
			return err
		}
		stray, err := c.strayPage(o)
		if err != nil {
			return err
		}
		if stray {
			c.bad("%s", c.roles.label(num))
		}
		queue = append(queue[:0], o)
		for len(queue) > 0 {
			if err := c.v.ctx.Err(); err != nil {
				return err
			}
			o, queue = queue[len(queue)-1], queue[:len(queue)-1]
			for ref := range references(o.Value) {
				if seen[ref.num] || c.known(ref.num) {
					continue
				}
				if gen, used := c.v.file.InUse(ref.num); !used || gen != ref.gen {
					if !c.changed[o.Num] {
						c.bad("object %d: a reference to object %d, which does not exist", o.Num, ref.num)
					}
					continue
				}
				seen[ref.num] = true
				next, err := c.v.load(c.v.file, ref.num, ref.gen)
				if err != nil {
					return err
				}
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// known says whether an object is compared, or was added or changed.
func (c *comparison) known(num uint32) bool {
	for _, set := range []*closure{c.fixed, c.filled, c.loose} {
		if _, ok := set.visited[num]; ok {
			return true
		}
	}
	return c.changed[num] || c.roles.apart(num)
}

// strayPage says whether an object is a page outside of the page tree. Readers
// find the pages of a linearized file without the tree (ISO 32000-2, Annex F).
func (c *comparison) strayPage(o *syntax.Object) (bool, error) {
	if _, known := c.roles.pages[o.Num]; known || o.Data != 0 {
		return false, nil
	}
	kind, err := c.v.file.Resolve(o.Value.Key("Type"))
	if err != nil || kind.Value.Kind != syntax.Null {
		return kind != nil && kind.Value.IsName("Page"), err
	}
	contents, err := c.v.file.Resolve(o.Value.Key("Contents")) // a string in annotations and signatures
	return err == nil && (contents.Value.Kind == syntax.Array || contents.Data != 0), err
}
