package syntax

// objects are those parsed last, for a file and its revisions, by their place.
// Encrypted files, whose strings are decrypted in place, keep none.
type objects struct {
	kept  map[int64]kept
	bytes int
}

// kept is an object, how many bytes from its place on it took to parse it, and
// the largest object number it refers to.
type kept struct {
	object *Object
	used   int
	top    int64
}

// at returns the object at an offset if f would read it in the same way: it
// lies within the revision, with the byte behind it that ends its last word, and
// refers to none that the revision does not know.
func (s *objects) at(f *File, off int64) (kept, bool) {
	k, ok := s.kept[off]
	return k, ok && k.fits(f, off)
}

func (k *kept) fits(f *File, off int64) bool {
	return !f.encrypted() && off+int64(k.used) < f.size && (f.limit == 0 || k.top < f.limit)
}

// keep keeps an object, and forgets all others when they become too many.
func (s *objects) keep(f *File, off int64, k kept) {
	n := k.object.kept()
	if n > keptObject || !k.fits(f, off) {
		return
	}
	if s.kept == nil || s.bytes+n > keptObjects {
		s.kept, s.bytes = make(map[int64]kept), 0
	}
	s.kept[off] = k
	s.bytes += n
}

// encrypted says whether strings of objects are, or will be, decrypted.
func (f *File) encrypted() bool {
	return f.trailer != nil && f.trailer.Value.Key("Encrypt").Kind != Null
}
