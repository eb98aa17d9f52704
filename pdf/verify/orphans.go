package verify

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// orphans names the objects that the revision after base added and to which
// nothing leads, as a change of every signature up to there. They show nothing,
// and programs that save all they have in hand write such ones; but they are no
// evidence either, and a certification that permits no changes permits none.
// changed are the objects that the revision, now, added or changed. Only their
// numbers are kept: there may be as many as fit into the file.
func (v *verifier) orphans(base *signed, now *syntax.File, changed []uint32) error {
	left := make(map[uint32]bool)
	var queue []uint32
	for _, num := range changed {
		if _, used := now.InUse(num); !used {
			continue
		}
		if _, was := base.old.InUse(num); was {
			queue = append(queue, num)
		} else {
			left[num] = true
		}
	}
	reach := func(value syntax.Value) {
		for ref := range references(value) {
			if left[ref.num] {
				delete(left, ref.num)
				queue = append(queue, ref.num)
			}
		}
	}
	// Other entries of the trailer are nobody's.
	for _, key := range []string{"Root", "Info", "Encrypt"} {
		reach(now.Trailer().Value.Key(key))
	}
	if err := v.follow(now, &queue, reach); err != nil {
		return err
	}
	// Object streams, and cross-reference streams by their place, hold the others.
	for _, num := range now.Containers() {
		delete(left, num)
	}
	for _, num := range slices.Sorted(maps.Keys(left)) {
		is, err := v.crossReference(now, num)
		if err != nil {
			return err
		}
		if is {
			delete(left, num)
		}
	}
	found := slices.Sorted(maps.Keys(left))
	found = found[:min(len(found), maxChanges)]
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

// follow calls reach for each object of the queue until it is empty.
func (v *verifier) follow(now *syntax.File, queue *[]uint32, reach func(syntax.Value)) error {
	for len(*queue) > 0 {
		num := (*queue)[len(*queue)-1]
		*queue = (*queue)[:len(*queue)-1]
		o, err := v.changedObject(now, num)
		if err != nil {
			return err
		}
		reach(o.Value)
	}
	return nil
}

func (v *verifier) changedObject(now *syntax.File, num uint32) (*syntax.Object, error) {
	if err := v.ctx.Err(); err != nil {
		return nil, err
	}
	gen, _ := now.InUse(num)
	return v.load(now, num, gen)
}

// crossReference says whether an object is the cross-reference stream of the
// newest revision, or that of a hybrid one (ISO 32000-2, Section 7.5.8.4).
func (v *verifier) crossReference(now *syntax.File, num uint32) (bool, error) {
	o, err := v.changedObject(now, num)
	if err != nil || o.Data == 0 || !o.Value.Key("Type").IsName("XRef") {
		return false, err
	}
	at := now.Sections()[0].Offset
	hybrid := now.Trailer().Value.Key("XRefStm")
	for _, off := range []int64{at, hybrid.Int} {
		// The header, "1 0 obj", is before the value.
		if d := o.Value.Start - off - now.Base(); off > 0 && d > 0 && d < 64 {
			return true, nil
		}
	}
	return false, nil
}
