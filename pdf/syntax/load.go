package syntax

import (
	"bytes"
	"fmt"
)

// parse calls fn with a parser at the offset: in what is left of the window
// read last, for neighbours. While fn reports errShort it is called again, with
// a larger window.
func (f *File) parse(off int64, fn func(*parser) error) error {
	return f.parseIn(nil, off, fn)
}

// look is parse for what keeps no value.
func (f *File) look(off int64, fn func(*parser) error) error {
	return f.parseIn(f.space(), off, fn)
}

// space is memory for what is looked at and not kept.
func (f *File) space() []byte {
	if f.scratch == nil {
		f.scratch = make([]byte, 4*window)
	}
	return f.scratch
}

// parseIn is parse with a first window in memory given, or memory of its own.
func (f *File) parseIn(first []byte, off int64, fn func(*parser) error) error {
	if off < 0 || off >= f.size {
		return invalid(off, "place outside of the file")
	}
	if at := off - f.windowAt; at >= 0 && at < int64(len(f.window)) {
		if err := f.try(&parser{buf: f.window[at:], base: off}, fn); err != errShort { //nolint:errorlint // never wrapped
			return err
		}
	}
	for n := int64(window); ; {
		var b []byte
		if m := min(n, f.size-off); n == window && first != nil {
			b = first[:m]
		} else {
			b = make([]byte, m)
		}
		if err := f.readAt(b, off); err != nil {
			return err
		}
		if n == window && first == nil {
			f.window, f.windowAt = b, off
		}
		p := parser{buf: b, base: off}
		err := f.try(&p, fn)
		if err != errShort { //nolint:errorlint // never wrapped
			return err
		}
		if n >= maxObject {
			return tooLarge(off, "object of more than %d bytes", maxObject)
		}
		if n = min(2*n, maxObject); p.open {
			if n, err = f.closing(off, n); err != nil {
				return err
			}
		}
	}
}

// try calls fn with a parser of one window.
func (f *File) try(p *parser, fn func(*parser) error) error {
	p.eof, p.limit, p.stack = p.base+int64(len(p.buf)) == f.size, f.limit, &f.stack
	err := fn(p)
	f.unstack()
	if over := f.work.parsed(p.pos, p.values, p.base); over != nil {
		return over
	}
	return err
}

// closing returns the size of a window which holds the end of a hexadecimal
// string that half of n bytes do not hold, as signatures are long; n when it is
// nearer, or farther than some times that.
func (f *File) closing(off, n int64) (int64, error) {
	b := f.space()
	from, to := off+n/2, min(f.size, off+16*n, off+maxObject-window)
	at := from
	for ; at < to; at += int64(len(b)) {
		b = b[:min(int64(len(b)), f.size-at)]
		if err := f.readAt(b, at); err != nil {
			return 0, err
		}
		if i := bytes.IndexByte(b, '>'); i >= 0 {
			n = max(n, at-off+int64(i)+window)
			break
		}
	}
	return min(n, maxObject), f.work.parsed(int(at-from), 0, off)
}

// unstack forgets the values of the last parse, and a stack of a large object.
func (f *File) unstack() {
	const keep = 1024
	if cap(f.stack.values)+cap(f.stack.entries) > keep {
		f.stack = stack{}
	}
	clear(f.stack.values[:cap(f.stack.values)])
	clear(f.stack.entries[:cap(f.stack.entries)])
}

// blank moves over white space. Unlike skip it stops at a comment: an offset
// may point to the end of line before an object, but not to a comment.
func (p *parser) blank() {
	for p.pos < len(p.buf) && isSpace(p.buf[p.pos]) {
		p.pos++
	}
}

// objectHeader reads "number generation obj".
func (p *parser) objectHeader() (uint32, uint16, error) {
	start := p.at()
	if p.blank(); p.pos < len(p.buf) && !isDigit(p.buf[p.pos]) {
		return 0, 0, invalid(start, "object header expected")
	}
	num, err := p.natural()
	if err != nil {
		return 0, 0, err
	}
	gen, err := p.natural()
	if err != nil {
		return 0, 0, err
	}
	ok, err := p.keyword("obj")
	if err != nil {
		return 0, 0, err
	}
	if !ok || num > MaxObjects || gen > 65535 {
		return 0, 0, invalid(start, "object header expected")
	}
	return uint32(num), uint16(gen), nil
}

// objectAt reads the indirect object at an offset of the file (base added).
// Its strings are as they are in the file.
func (f *File) objectAt(off int64) (*Object, error) {
	if k, ok := f.objects.at(f, off); ok {
		return k.object, f.work.parsed(k.used, k.object.values, off)
	}
	o := &Object{}
	used, top := 0, int64(0)
	err := f.parse(off, func(p *parser) error {
		err := p.object(o)
		used, top = p.pos, p.top
		return err
	})
	if err != nil {
		return nil, err
	}
	f.objects.keep(f, off, kept{object: o, used: used, top: top})
	return o, nil
}

// object reads an indirect object up to its endobj or its stream data.
func (p *parser) object(o *Object) (err error) {
	if o.Num, o.Gen, err = p.objectHeader(); err != nil {
		return err
	}
	if o.Value, err = p.value(0); err != nil {
		return err
	}
	o.src, o.base, o.values = p.buf, p.base, p.values
	if done, err := p.keyword("endobj"); done || err != nil {
		return err
	}
	at := p.at()
	ok, err := p.keyword("stream")
	if err != nil {
		return err
	}
	if !ok || o.Value.Kind != Dictionary {
		return invalid(at, "endobj expected")
	}
	if p.pos+2 > len(p.buf) {
		return p.short()
	}
	if p.buf[p.pos] == '\r' { // never alone (ISO 32000-2, Section 7.3.8.1)
		p.pos++
	}
	if p.buf[p.pos] != '\n' {
		return invalid(p.at(), "line feed expected after stream")
	}
	p.pos++
	o.Data = p.at()
	return nil
}

// Load returns an indirect object. An object that does not exist is null (ISO
// 32000-2, Section 7.3.10), and so is one of another generation. Strings are
// decrypted; Raw gives them as they are in the file. Objects are kept and given
// again, so nobody may change them.
func (f *File) Load(num uint32, gen uint16) (*Object, error) {
	e := f.table.at(num)
	switch e.kind() {
	case inFile:
		if e.gen() != gen {
			break
		}
		o, err := f.objectAt(e.offset() + f.base)
		if err != nil {
			return nil, fmt.Errorf("reading object %d: %w", num, err)
		}
		if o.Num != num || o.Gen != gen {
			return nil, invalid(e.offset()+f.base, "object %d expected", num)
		}
		if f.security != nil {
			if err := f.security.open(o); err != nil {
				return nil, fmt.Errorf("decrypting object %d: %w", num, err)
			}
		}
		return o, nil
	case inStream:
		if gen != 0 {
			break
		}
		return f.compressed(num, e)
	}
	return &Object{Num: num, Gen: gen}, nil
}

// Resolve follows a reference. For a direct value the Object has number 0.
func (f *File) Resolve(v Value) (*Object, error) {
	for hop := 0; v.Kind == Reference; hop++ {
		if hop == maxHops {
			return nil, invalid(v.Start, "more than %d references in a row", maxHops)
		}
		o, err := f.Load(uint32(v.Int), v.Gen)
		if err != nil || o.Value.Kind != Reference {
			return o, err
		}
		v = o.Value
	}
	return &Object{Value: v}, nil
}

// resolve is Resolve for callers who want the value alone.
func (f *File) resolve(v Value) (Value, error) {
	if v.Kind != Reference {
		return v, nil
	}
	o, err := f.Resolve(v)
	if err != nil {
		return Value{}, err
	}
	return o.Value, nil
}
