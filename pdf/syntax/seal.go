package syntax

import (
	"bytes"
	"fmt"
)

// Seal returns the body of an object to be written under a number and a
// generation, with its strings and its stream data encrypted as the file's
// other objects are. The body is the object's value, with its stream if there
// is one and then a direct /Length; or any run of complete values which a
// Splice inserts into an object that is not Compressed. All bytes before the
// first string keep their places. Not encrypted are /Contents of a signature
// dictionary (ISO 32000-2, Section 7.6.2), metadata where the file leaves them
// plain, and anything when the file is not encrypted. The same body gives the
// same bytes.
func (f *File) Seal(num uint32, gen uint16, body []byte) ([]byte, error) {
	if f.security == nil {
		return body, nil
	}
	p := parser{buf: body, eof: true}
	var values []Value
	stream := false
	for !p.done() && !stream {
		var err error
		if stream, err = p.keyword("stream"); err != nil {
			return nil, err
		}
		if stream {
			break
		}
		v, err := p.value(0)
		if err != nil {
			return nil, fmt.Errorf("encrypting object %d: %w", num, err)
		}
		values = append(values, v)
	}
	w := sealer{f: f, num: num, gen: gen, body: body}
	if stream {
		if len(values) != 1 || values[0].Kind != Dictionary {
			return nil, invalid(-1, "stream of object %d has no dictionary", num)
		}
		if err := w.stream(values[0], p.pos); err != nil {
			return nil, err
		}
	}
	for i := range values {
		if err := eachString(&values[i], w.text); err != nil {
			return nil, err
		}
	}
	return w.assemble()
}

// Plain returns the text of a value of the object as it would be in a file
// that is not encrypted: what goes into another object, for Seal.
func (f *File) Plain(o *Object, v Value) ([]byte, error) {
	if f.security == nil || f.security.strings == identity || o.Compressed || o.Num == f.security.dict {
		return o.Raw(v), nil
	}
	body := o.Raw(v)
	w := sealer{num: o.Num, body: body}
	err := eachString(&v, func(s *Value) error {
		w.out = append(w.out, Splice{Start: s.Start - v.Start, End: s.End - v.Start, With: fmt.Appendf(nil, "<%x>", s.Bytes)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return w.assemble()
}

// done moves over white space and comments and says whether nothing follows.
func (p *parser) done() bool { return p.skip() != nil }

type sealer struct {
	f    *File
	num  uint32
	gen  uint16
	body []byte
	nth  int
	out  []Splice
}

func (w *sealer) text(v *Value) error {
	m := w.f.security.strings
	if m == identity {
		return nil
	}
	b, err := w.f.encrypt(m, w.num, w.gen, w.nth, v.Bytes)
	w.nth++
	w.out = append(w.out, Splice{Start: v.Start, End: v.End, With: fmt.Appendf(nil, "<%x>", b)})
	return err
}

// stream encrypts the data behind the keyword and corrects /Length.
func (w *sealer) stream(d Value, at int) error {
	if rest := w.body[at:]; bytes.HasPrefix(rest, []byte("\r\n")) {
		at += 2
	} else if bytes.HasPrefix(rest, []byte("\n")) {
		at++
	}
	length := d.Key("Length")
	if length.Kind != Integer || length.Int < 0 || length.Int > int64(len(w.body)-at) {
		return invalid(-1, "stream of object %d without a direct /Length", w.num)
	}
	filters, err := w.f.filters(d)
	if err != nil {
		return err
	}
	m, err := w.f.streamMethod(d, filters)
	if err != nil || m == identity {
		return err
	}
	end := at + int(length.Int)
	b, err := w.f.encrypt(m, w.num, w.gen, -1, w.body[at:end])
	if err != nil {
		return err
	}
	w.out = append(w.out,
		Splice{Start: length.Start, End: length.End, With: fmt.Appendf(nil, "%d", len(b))},
		Splice{Start: int64(at), End: int64(end), With: b})
	return nil
}

func (w *sealer) assemble() ([]byte, error) {
	sortSplices(w.out)
	o := Object{Num: w.num, Value: Value{End: int64(len(w.body))}, src: w.body}
	return o.Rewrite(w.out)
}
