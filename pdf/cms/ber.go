package cms

import (
	"bytes"
	"slices"
)

// Bounds of what is transcoded; MaxSize bounds the bytes.
const (
	maxDepth    = 64
	maxElements = 1 << 18
)

// ElementSize returns the number of bytes of the first BER or DER element of
// b, as of a SignedData with padding behind it. Errors wrap ErrMalformed.
func ElementSize(b []byte) (int, error) {
	t := transcoder{}
	rest, err := t.element(b, 0, false)
	return len(b) - len(rest), err
}

// toDER makes the DER of one BER element without trailing bytes: lengths
// become definite and minimal, OCTET STRINGs in parts become whole. That is all
// the freedom of BER signers use; what else is not DER is left as it is, for
// the reader to refuse. DER is returned as it is, not copied.
func toDER(b []byte) ([]byte, error) {
	if len(b) > MaxSize {
		return nil, malformed("too large")
	}
	t := transcoder{}
	if rest, err := t.element(b, 0, false); err != nil {
		return nil, err
	} else if len(rest) != 0 {
		return nil, malformed("bytes behind the outermost element")
	}
	if !t.foreign {
		return b, nil
	}
	t = transcoder{write: true, out: make([]byte, 0, len(b)+len(b)/8)}
	_, err := t.element(b, 0, false)
	return t.out, err
}

// transcoder walks BER. It is used twice: to look, and to write.
type transcoder struct {
	elements int
	foreign  bool // something was not DER
	write    bool
	out      []byte
}

const (
	octetString = 0x04
	constructed = 0x20
)

// element takes one element off b and writes its DER. inString says that it
// is a part of an OCTET STRING, of which only the content is written.
func (t *transcoder) element(b []byte, depth int, inString bool) (rest []byte, err error) {
	if t.elements++; depth > maxDepth || t.elements > maxElements {
		return nil, malformed("nested too deeply or too many elements")
	}
	tag, content, rest, indefinite, err := t.header(b)
	if err != nil {
		return nil, err
	}
	joins := tag == octetString|constructed
	if inString && tag&^constructed != octetString {
		return nil, malformed("parts of an OCTET STRING")
	}
	start := len(t.out)
	if tag&constructed == 0 {
		t.append(content)
	} else if rest, err = t.children(content, rest, indefinite, depth, inString || joins); err != nil {
		return nil, err
	}
	if joins {
		t.foreign = true
		tag = octetString
	}
	if t.write && !inString {
		t.out = slices.Insert(t.out, start, header(tag, len(t.out)-start)...)
	}
	return rest, nil
}

// children walks the content of a constructed element: up to its end, or up to
// the end-of-contents octets, behind which rest then starts.
func (t *transcoder) children(content, rest []byte, indefinite bool, depth int, inString bool) ([]byte, error) {
	for {
		if indefinite && bytes.HasPrefix(content, []byte{0, 0}) {
			return content[2:], nil
		}
		if len(content) == 0 {
			if indefinite {
				return nil, malformed("no end of contents")
			}
			return rest, nil
		}
		var err error
		if content, err = t.element(content, depth+1, inString); err != nil {
			return nil, err
		}
	}
}

func (t *transcoder) append(b []byte) {
	if t.write {
		t.out = append(t.out, b...)
	}
}

// header reads identifier and length octets (X.690, Sections 8.1.2, 8.1.3).
// With an indefinite length content is everything that follows. Tags above 30
// do not occur in CMS.
func (t *transcoder) header(b []byte) (tag byte, content, rest []byte, indefinite bool, err error) {
	if len(b) < 2 || b[0] == 0 || b[0]&0x1F == 0x1F {
		return 0, nil, nil, false, malformed("identifier octets")
	}
	tag, size, b := b[0], int(b[1]), b[2:]
	switch {
	case size == 0x80:
		if tag&constructed == 0 {
			return 0, nil, nil, false, malformed("primitive element of indefinite length")
		}
		t.foreign = true
		return tag, b, nil, true, nil
	case size > 0x80:
		n := size & 0x7F
		if n > len(b) || n > 8 {
			return 0, nil, nil, false, malformed("length octets")
		}
		octets := b[:n]
		size, b = 0, b[n:]
		for _, c := range octets {
			if size = size<<8 | int(c); size > MaxSize {
				return 0, nil, nil, false, malformed("length octets")
			}
		}
		t.foreign = t.foreign || octets[0] == 0 || size < 0x80
	}
	if size > len(b) {
		return 0, nil, nil, false, malformed("element longer than what holds it")
	}
	return tag, b[:size], b[size:], false, nil
}

// header makes the identifier and the length octets of DER.
func header(tag byte, size int) []byte {
	switch {
	case size < 0x80:
		return []byte{tag, byte(size)}
	case size < 1<<8:
		return []byte{tag, 0x81, byte(size)}
	case size < 1<<16:
		return []byte{tag, 0x82, byte(size >> 8), byte(size)}
	}
	return []byte{tag, 0x83, byte(size >> 16), byte(size >> 8), byte(size)}
}
