package syntax

// Changes returns the numbers of the objects that f does not read from the
// same bytes as old, an older revision of the same file (see At), in ascending
// order: those whose cross-reference entries differ and those in an object
// stream of which that is so. What both call free or do not know has not
// changed. Revisions of which only one counts its offsets from a header behind
// other bytes are refused.
func (f *File) Changes(old *File) ([]uint32, error) {
	if f.base != old.base {
		return nil, invalid(0, "revisions count their offsets from different places")
	}
	var changed set
	var out []uint32
	note := func(num uint32) {
		if changed.add(num) {
			out = append(out, num)
		}
	}
	each := func(differ bool, fn func(num uint32, now, then entry)) {
		for i := range max(len(f.table.blocks), len(old.table.blocks)) {
			now, then := f.table.block(i), old.table.block(i)
			if differ && *now == *then {
				continue
			}
			for k := range now {
				fn(uint32(i<<blockBits|k), now[k], then[k])
			}
		}
	}
	each(true, func(num uint32, now, then entry) {
		if now != then && (now.inUse() || then.inUse()) {
			note(num)
		}
	})
	if len(out) == 0 {
		return nil, nil
	}
	each(false, func(num uint32, now, _ entry) {
		if now.kind() == inStream && changed.has(now.stream()) {
			note(num)
		}
	})
	out = out[:0]
	for i, word := range changed {
		for bit := range 64 {
			if word&(1<<bit) != 0 {
				out = append(out, uint32(i<<6|bit))
			}
		}
	}
	return out, nil
}

// Containers returns the numbers of the object streams in which objects in use
// lie, each once.
func (f *File) Containers() []uint32 {
	var seen set
	var out []uint32
	for i := range f.table.blocks {
		for _, e := range f.table.block(i) {
			if e.kind() == inStream && seen.add(e.stream()) {
				out = append(out, e.stream())
			}
		}
	}
	return out
}

func (e entry) inUse() bool { return e.kind() == inFile || e.kind() == inStream }

// block returns blockSize entries, all unset where none were ever made.
func (t *table) block(i int) *[blockSize]entry {
	if i < len(t.blocks) && t.blocks[i] != nil {
		return t.blocks[i]
	}
	return new([blockSize]entry)
}

// Same says whether f and old, an older revision of the same file, read an
// object that is not compressed from the same bytes.
func (f *File) Same(old *File, num uint32) bool {
	e := f.table.at(num)
	return f.base == old.base && e.kind() == inFile && e == old.table.at(num)
}

// InUse says whether there is an object with the number, and its generation.
func (f *File) InUse(num uint32) (gen uint16, used bool) {
	switch e := f.table.at(num); e.kind() {
	case inFile:
		return e.gen(), true
	case inStream:
		return 0, true
	}
	return 0, false
}
