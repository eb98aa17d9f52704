package pdf

// Element is for tests of its own: no document made here has such values.
func Element(b []byte) (int, bool) { return element(b, 0) }
