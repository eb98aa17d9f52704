package verify

import (
	"context"
	"fmt"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// maxReached bounds the objects a closure visits.
const maxReached = 1 << 20

// closure is the set of objects that values lead to, but for those that are
// judged apart: pages, form fields, catalog and form. It only grows.
type closure struct {
	ctx  context.Context
	file *syntax.File
	// apart says which objects end the search.
	apart func(num uint32) bool
	// visited has for each object by which other one it was first reached, and
	// the generation of the reference.
	visited map[uint32]visit
	// ends has the objects judged apart that were referred to, misused those of
	// them in places where none of their kind belongs.
	ends, misused map[uint32]bool

	queue  []uint32
	loaded int // bounds the search in steps of context checks
}

type visit struct {
	from uint32 // 0 for none
	gen  uint16
}

// inArray is the place of an element.
const inArray = "[]"

// add notes the references in a value of an object, not yet those behind them.
// place is the key the value has there, inArray, or nothing for the object
// itself.
func (c *closure) add(from uint32, place string, v syntax.Value) error {
	switch v.Kind {
	case syntax.Reference:
		return c.refer(from, place, v)
	case syntax.Array:
		for i := range v.Array {
			if err := c.add(from, inArray, v.Array[i]); err != nil {
				return err
			}
		}
	case syntax.Dictionary:
		for i := range v.Dict {
			if err := c.add(from, v.Dict[i].Key, v.Dict[i].Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// structural are the keys under which objects refer to pages, fields, widgets
// and the catalog as such. Under others, /XObject say, one would serve as a dictionary
// in which any name can be looked up, that of an entry which may change too.
func structural(place string) bool {
	switch place {
	case inArray, "P", "Pg", "Page", "Parent", "Obj", "T", "AN", "IRT", "Popup", "Data":
		return true
	}
	return false
}

func (c *closure) refer(from uint32, place string, ref syntax.Value) error {
	num := uint32(ref.Int)
	if c.apart(num) {
		c.ends[num] = true
		if !structural(place) {
			c.misused[num] = true
		}
		return nil
	}
	if old, ok := c.visited[num]; ok {
		if old.gen != ref.Gen {
			return syntax.Errorf(syntax.ErrUnsupported, ref.Start, "object %d is referred to under two generations", num)
		}
		return nil
	}
	if len(c.visited) == maxReached {
		return syntax.Errorf(syntax.ErrTooLarge, ref.Start, "more than %d objects to compare", maxReached)
	}
	c.visited[num] = visit{from, ref.Gen}
	c.queue = append(c.queue, num)
	return nil
}

// run visits what was added.
func (c *closure) run() error {
	for len(c.queue) > 0 {
		num := c.queue[len(c.queue)-1]
		c.queue = c.queue[:len(c.queue)-1]
		if c.loaded++; c.loaded%256 == 0 && c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		o, err := c.file.Load(num, c.visited[num].gen)
		if err != nil {
			return err
		}
		if err := c.add(num, "", o.Value); err != nil {
			return err
		}
	}
	return nil
}

// path names how an object was first reached, as "pages[3].Contents[0]"; label
// names the objects that are judged apart.
func (c *closure) path(num uint32, label func(num uint32) string) string {
	text := ""
	for range 16 {
		at, ok := c.visited[num]
		if !ok {
			return label(num) + text
		}
		if at.from == 0 {
			return fmt.Sprintf("object %d%s", num, text)
		}
		gen := c.visited[at.from].gen
		if parent, err := c.file.Load(at.from, gen); err == nil {
			text = where(parent.Value, num) + text
		}
		num = at.from
	}
	return "…" + text
}

// where finds a reference to num in a value.
func where(v syntax.Value, num uint32) string {
	switch v.Kind {
	case syntax.Array:
		for i, e := range v.Array {
			if e.Kind == syntax.Reference && uint32(e.Int) == num {
				return fmt.Sprintf("[%d]", i)
			}
			if s := where(e, num); s != "" {
				return fmt.Sprintf("[%d]%s", i, s)
			}
		}
	case syntax.Dictionary:
		for _, e := range v.Dict {
			if e.Value.Kind == syntax.Reference && uint32(e.Value.Int) == num {
				return "." + e.Key
			}
			if s := where(e.Value, num); s != "" {
				return "." + e.Key + s
			}
		}
	}
	return ""
}
