package verify

import (
	"fmt"
	"slices"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// orphans names the objects that the revision after base added and to which
// nothing leads, as a change of every signature up to there. They show nothing,
// and programs that save all they have in hand write such ones; but they are no
// evidence either, and a certification that permits no changes permits none.
func (v *verifier) orphans(base *signed, now *syntax.File) error {
	changed, err := now.Changes(base.old)
	if err != nil {
		return err
	}
	left := make(map[uint32]*syntax.Object)
	queue := []*syntax.Object{now.Trailer()}
	for _, num := range changed {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		gen, used := now.InUse(num)
		if !used {
			continue
		}
		o, err := v.load(now, num, gen)
		if err != nil {
			return err
		}
		kind := o.Value.Key("Type")
		container := o.Data != 0 && (kind.IsName("XRef") || kind.IsName("ObjStm"))
		if _, was := base.old.InUse(num); was || container {
			queue = append(queue, o)
		} else {
			left[num] = o
		}
	}
	for len(queue) > 0 && len(left) > 0 {
		o := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for ref := range references(o.Value) {
			if next := left[ref.num]; next != nil {
				delete(left, ref.num)
				queue = append(queue, next)
			}
		}
	}
	var found []uint32
	for num := range left {
		found = append(found, num)
	}
	slices.Sort(found)
	for _, s := range v.signed {
		if s.broken || s.end > base.end || len(found) == 0 {
			continue
		}
		none := v.permissionsAt(s).mdp == 1
		for _, num := range found {
			s.change(fmt.Sprintf("object %d, to which nothing leads", num), none)
		}
	}
	return nil
}
