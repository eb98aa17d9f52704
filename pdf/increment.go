package pdf

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// increment collects the objects of an incremental update (ISO 32000-2,
// Section 7.5.6) and writes them with their cross-reference section.
type increment struct {
	file    *syntax.File
	next    uint32 // next free object number
	objects []piece
	edits   []*edit
	buf     bytes.Buffer
	places  []place
	err     error // of the first object that could not be written
}

// piece is a new or rewritten object.
type piece struct {
	num  uint32
	gen  uint16
	body []byte
	// sealed says that the body is encrypted where the document is.
	sealed bool
}

// edit is an object of the document with splices to be done.
type edit struct {
	object  *syntax.Object
	splices []syntax.Splice
}

// place is where an object was written, as an offset in the whole file.
type place struct {
	num    uint32
	gen    uint16
	offset int64
}

func newIncrement(file *syntax.File) *increment {
	return &increment{file: file, next: file.ObjectCount()}
}

// reserve returns n new object numbers.
func (c *increment) reserve(n int) (uint32, error) {
	first := c.next
	if int64(first)+int64(n) > syntax.MaxObjects {
		return 0, syntax.Errorf(ErrTooLarge, -1, "no object numbers left")
	}
	c.next += uint32(n)
	return first, nil
}

func (c *increment) add(num uint32, body []byte) {
	c.objects = append(c.objects, piece{num: num, body: body})
}

// splice notes a change of an object of the document.
func (c *increment) splice(o *syntax.Object, s syntax.Splice) {
	for _, e := range c.edits {
		if e.object.Num == o.Num {
			e.splices = append(e.splices, s)
			return
		}
	}
	c.edits = append(c.edits, &edit{object: o, splices: []syntax.Splice{s}})
}

// entry adds a key to a dictionary of the object, before its >>.
func (c *increment) entry(o *syntax.Object, dict syntax.Value, text string) {
	at := dict.End - 2
	c.splice(o, syntax.Splice{Start: at, End: at, With: []byte("\n" + text + "\n")})
}

// element adds an element to an array of the object, before its ].
func (c *increment) element(o *syntax.Object, array syntax.Value, text string) {
	at := array.End - 1
	c.splice(o, syntax.Splice{Start: at, End: at, With: []byte("\n" + text + "\n")})
}

// replace puts text in the place of a value of the object.
func (c *increment) replace(o *syntax.Object, v syntax.Value, text string) {
	c.splice(o, syntax.Splice{Start: v.Start, End: v.End, With: []byte(" " + text)})
}

// set gives a dictionary of the object an entry. One that is there, be it null,
// is replaced.
func (c *increment) set(o *syntax.Object, dict syntax.Value, key, text string) error {
	for _, e := range dict.Dict {
		if e.Key == key {
			c.replace(o, e.Value, text)
			return nil
		}
	}
	if o.Data != 0 || dict.Kind != syntax.Dictionary {
		return syntax.Errorf(ErrInvalid, dict.Start, "dictionary expected")
	}
	c.entry(o, dict, "/"+key+" "+text)
	return nil
}

// offset is the place in the whole file of the next byte written.
func (c *increment) offset() int64 { return c.file.Size() + int64(c.buf.Len()) }

// begin writes what goes before the first object: an end of line, where the
// document does not end with one.
func (c *increment) begin(r io.ReaderAt) error {
	var last [1]byte
	if n, err := r.ReadAt(last[:], c.file.Size()-1); n != 1 {
		return fmt.Errorf("reading document: %w", err)
	}
	if last[0] != '\n' && last[0] != '\r' {
		c.buf.WriteByte('\n')
	}
	return nil
}

// object writes one indirect object and returns the offset of its body. In an
// encrypted document it is encrypted here; bytes before the first string stay
// where they are in the body. finish returns what went wrong.
func (c *increment) object(p piece) int64 {
	if !p.sealed {
		var err error
		if p.body, err = c.file.Seal(p.num, p.gen, p.body); err != nil && c.err == nil {
			c.err = err
		}
	}
	c.places = append(c.places, place{p.num, p.gen, c.offset()})
	fmt.Fprintf(&c.buf, "%d %d obj\n", p.num, p.gen)
	at := c.offset()
	c.buf.Write(p.body)
	c.buf.WriteString("\nendobj\n")
	return at
}

// rewrite writes the edited and then the new objects.
func (c *increment) rewrite() error {
	for _, e := range c.edits {
		slices.SortStableFunc(e.splices, func(a, b syntax.Splice) int { return int(a.Start - b.Start) })
		// What was in the file itself is encrypted; what was in an object stream
		// was so with the stream, and now has to be by itself.
		sealed := !e.object.Compressed
		for i := range e.splices {
			if s := &e.splices[i]; sealed {
				var err error
				if s.With, err = c.file.Seal(e.object.Num, e.object.Gen, s.With); err != nil {
					return err
				}
			}
		}
		body, err := e.object.Rewrite(e.splices)
		if err != nil {
			return err
		}
		c.object(piece{e.object.Num, e.object.Gen, body, sealed})
	}
	for _, p := range c.objects {
		c.object(p)
	}
	return nil
}

// finish writes the cross-reference section in the kind of the document's
// newest one, the trailer and the end of the file.
func (c *increment) finish() error {
	if c.err != nil {
		return c.err
	}
	start, stream := c.file.Xref()
	at := c.offset()
	id, err := c.id()
	if err != nil {
		return err
	}
	if stream {
		num, err := c.reserve(1)
		if err != nil {
			return err
		}
		c.places = append(c.places, place{num: num, offset: at})
		c.sort()
		c.xrefStream(num, start, id)
	} else {
		c.sort()
		c.xrefTable(start, id)
	}
	fmt.Fprintf(&c.buf, "startxref\n%d\n%%%%EOF\n", at-c.file.Base())
	return nil
}

func (c *increment) sort() {
	slices.SortFunc(c.places, func(a, b place) int { return int(a.num) - int(b.num) })
}

// runs calls fn for each run of consecutive object numbers.
func (c *increment) runs(fn func([]place)) {
	for from := 0; from < len(c.places); {
		to := from + 1
		for to < len(c.places) && c.places[to].num == c.places[to-1].num+1 {
			to++
		}
		fn(c.places[from:to])
		from = to
	}
}

func (c *increment) xrefTable(prev int64, id string) {
	c.buf.WriteString("xref\n")
	c.runs(func(run []place) {
		fmt.Fprintf(&c.buf, "%d %d\n", run[0].num, len(run))
		for _, p := range run {
			fmt.Fprintf(&c.buf, "%010d %05d n\r\n", p.offset-c.file.Base(), p.gen)
		}
	})
	c.buf.WriteString("trailer\n<<")
	c.trailer(prev, id)
	c.buf.WriteString(">>\n")
}

// xrefStream writes the entries without a filter: they are few.
func (c *increment) xrefStream(num uint32, prev int64, id string) {
	const width = 1 + 5 + 2
	var index, rows bytes.Buffer
	c.runs(func(run []place) {
		fmt.Fprintf(&index, " %d %d", run[0].num, len(run))
		for _, p := range run {
			off := p.offset - c.file.Base()
			rows.Write([]byte{1, byte(off >> 32), byte(off >> 24), byte(off >> 16), byte(off >> 8), byte(off), byte(p.gen >> 8), byte(p.gen)})
		}
	})
	fmt.Fprintf(&c.buf, "%d 0 obj\n<</Type/XRef/W[1 5 2]/Index[%s]/Length %d", num, bytes.TrimSpace(index.Bytes()), len(c.places)*width)
	c.trailer(prev, id)
	c.buf.WriteString(">>\nstream\n")
	c.buf.Write(rows.Bytes())
	c.buf.WriteString("\nendstream\nendobj\n")
}

// trailer writes the entries of the former trailer, byte for byte but for
// those that change (ISO 32000-2, Section 7.5.6).
func (c *increment) trailer(prev int64, id string) {
	old := c.file.Trailer()
	for _, e := range old.Value.Dict {
		switch e.Key {
		case "Size", "Prev", "ID", "XRefStm",
			"Type", "W", "Index", "Length", "Filter", "DecodeParms", "F", "FFilter", "FDecodeParms", "DL":
			continue
		}
		c.buf.WriteByte('\n')
		c.buf.Write(old.Raw(syntax.Value{Start: e.KeyStart, End: e.Value.End}))
	}
	if id != "" {
		fmt.Fprintf(&c.buf, "\n/ID %s", id)
	}
	fmt.Fprintf(&c.buf, "\n/Size %d\n/Prev %d\n", c.next, prev)
}

// id keeps the first part of the file identifier and makes the second one
// from the increment (ISO 32000-2, Section 14.4). An encrypted document that has
// none gets none: its key depends on the first part.
func (c *increment) id() (string, error) {
	h := sha256.New()
	h.Write(c.buf.Bytes())
	fmt.Fprintf(h, "%d", c.file.Size())
	old := c.file.Trailer().Value.Key("ID")
	o, err := c.file.Resolve(old)
	if err != nil {
		return "", err
	}
	var first []byte
	if v := o.Value; v.Kind != syntax.Null {
		if len(v.Array) != 2 || v.Array[0].Kind != syntax.String || v.Array[1].Kind != syntax.String {
			return "", syntax.Errorf(ErrInvalid, old.Start, "malformed /ID")
		}
		h.Write(v.Array[0].Bytes)
		h.Write(v.Array[1].Bytes)
		first = v.Array[0].Bytes
	} else if c.file.Encrypted() {
		return "", nil
	} else {
		sum := sha256.Sum256(c.buf.Bytes())
		first = sum[:16]
	}
	return fmt.Sprintf("[<%x><%x>]", first, h.Sum(nil)[:16]), nil
}
