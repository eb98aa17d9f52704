package syntax

import (
	"errors"
	"io"
)

// badData says that data are not what their filter needs.
func badData(what string) error { return invalid(-1, "damaged %s data", what) }

// asciiHex undoes ASCIIHexDecode (ISO 32000-2, Section 7.4.2).
type asciiHex struct {
	r   io.ByteReader
	end bool
}

func (d *asciiHex) Read(b []byte) (int, error) {
	n := 0
	for ; n < len(b); n++ {
		hi, ok, err := d.digit()
		if err != nil {
			return n, err
		}
		if !ok {
			break
		}
		lo, ok, err := d.digit()
		if err != nil {
			return n, err
		}
		b[n] = hi<<4 | lo // a missing last digit is 0
		if !ok {
			n++
			break
		}
	}
	if d.end && n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// digit returns the next digit, or false at the end of data.
func (d *asciiHex) digit() (byte, bool, error) {
	for !d.end {
		c, err := d.r.ReadByte()
		switch {
		case err == io.EOF:
			return 0, false, io.ErrUnexpectedEOF
		case err != nil:
			return 0, false, err
		case c == '>':
			d.end = true
		case !isSpace(c):
			v, ok := unhex(c)
			if !ok {
				return 0, false, badData("hexadecimal")
			}
			return v, true, nil
		}
	}
	return 0, false, nil
}

// ascii85 undoes ASCII85Decode (ISO 32000-2, Section 7.4.3).
type ascii85 struct {
	r    io.ByteReader
	out  [4]byte
	rest []byte
	end  bool
}

func (d *ascii85) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		if len(d.rest) == 0 {
			if d.end {
				break
			}
			if err := d.group(); err != nil {
				return n, err
			}
		}
		k := copy(b[n:], d.rest)
		d.rest = d.rest[k:]
		n += k
	}
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// group decodes five characters, or the fewer last ones.
func (d *ascii85) group() error {
	var value uint64
	n := 0
	for n < 5 {
		c, err := d.r.ReadByte()
		switch {
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case isSpace(c):
			continue
		case c == 'z' && n == 0:
			d.out = [4]byte{}
			d.rest = d.out[:]
			return nil
		case c == '~':
			if c, err = d.r.ReadByte(); err != nil && err != io.EOF {
				return err
			}
			if err != nil || c != '>' || n == 1 {
				return badData("base-85")
			}
			d.end = true
			if n == 0 {
				return nil
			}
			return d.emit(value, n)
		case c < '!' || c > 'u':
			return badData("base-85")
		}
		value = value*85 + uint64(c-'!')
		n++
	}
	return d.emit(value, n)
}

func (d *ascii85) emit(value uint64, n int) error {
	for k := n; k < 5; k++ {
		value = value*85 + 84
	}
	if value > 1<<32-1 {
		return badData("base-85")
	}
	d.out = [4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}
	d.rest = d.out[:n-1]
	return nil
}

// runLength undoes RunLengthDecode (ISO 32000-2, Section 7.4.5).
type runLength struct {
	r      io.ByteReader
	left   int // bytes of the current run
	repeat bool
	c      byte
	end    bool
}

func (d *runLength) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) && !d.end {
		if d.left == 0 {
			if err := d.run(); err != nil {
				return n, err
			}
			continue
		}
		if !d.repeat {
			var err error
			if d.c, err = d.r.ReadByte(); err != nil {
				return n, unexpected(err)
			}
		}
		b[n] = d.c
		n++
		d.left--
	}
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (d *runLength) run() error {
	c, err := d.r.ReadByte()
	switch {
	case err == io.EOF, err == nil && c == 128: // some producers leave the mark out
		d.end = true
		return nil
	case err != nil:
		return err
	}
	if d.repeat = c > 128; !d.repeat {
		d.left = int(c) + 1
		return nil
	}
	d.left = 257 - int(c)
	d.c, err = d.r.ReadByte()
	return unexpected(err)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// lzwReader undoes LZWDecode (ISO 32000-2, Section 7.4.4): codes of 9 to 12
// bits, high bit first.
type lzwReader struct {
	r      io.ByteReader
	early  int // 1 when codes grow one entry early
	bits   uint32
	count  uint
	width  uint
	next   int // next free entry
	last   int // code before, -1 after a clear
	prefix [4096]uint16
	suffix [4096]byte
	length [4096]uint16
	buf    [4096]byte // the current sequence
	rest   []byte
	end    bool
}

const (
	lzwClear = 256
	lzwEnd   = 257
)

func (f *File) lzw(r io.ByteReader, parms Value) (io.Reader, error) {
	early, err := f.resolve(parms.Key("EarlyChange"))
	if err != nil {
		return nil, err
	}
	d := &lzwReader{r: r, early: 1}
	if early.Kind == Integer && (early.Int == 0 || early.Int == 1) {
		d.early = int(early.Int)
	} else if early.Kind != Null {
		return nil, invalid(parms.Start, "malformed decode parameters")
	}
	d.clear()
	return d, nil
}

func (d *lzwReader) clear() { d.width, d.next, d.last = 9, 258, -1 }

func (d *lzwReader) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		if len(d.rest) == 0 {
			if d.end {
				break
			}
			if err := d.step(); err != nil {
				return n, err
			}
			continue
		}
		k := copy(b[n:], d.rest)
		d.rest = d.rest[k:]
		n += k
	}
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// step reads one code.
func (d *lzwReader) step() error {
	for d.count < d.width {
		c, err := d.r.ReadByte()
		if err == io.EOF { // as after the end code, which some producers leave out
			d.end = true
			return nil
		}
		if err != nil {
			return err
		}
		d.bits = d.bits<<8 | uint32(c)
		d.count += 8
	}
	d.count -= d.width
	code := int(d.bits >> d.count & (1<<d.width - 1))
	switch {
	case code == lzwEnd:
		d.end = true
		return nil
	case code == lzwClear:
		d.clear()
		return nil
	case d.last < 0 && code > 255, code > d.next, code == d.next && d.next == 4096:
		return badData("LZW")
	}
	return d.sequence(code)
}

// sequence puts out what a code stands for and notes the next entry.
func (d *lzwReader) sequence(code int) error {
	add := d.last >= 0 && d.next < 4096
	if code == d.next && !add {
		return badData("LZW")
	}
	from := code
	if code == d.next { // the entry being made: the sequence before and its first byte
		from = d.last
	}
	n := d.sizeOf(from)
	d.spell(from, n)
	if add {
		d.prefix[d.next] = uint16(d.last)
		d.suffix[d.next] = d.buf[0]
		d.length[d.next] = uint16(d.sizeOf(d.last) + 1)
		if code == d.next {
			if n == len(d.buf) {
				return badData("LZW")
			}
			d.buf[n] = d.buf[0]
			n++
		}
		d.next++
	}
	d.rest = d.buf[:n]
	d.last = code
	if d.next+d.early >= 1<<d.width && d.width < 12 {
		d.width++
	}
	return nil
}

func (d *lzwReader) sizeOf(code int) int {
	if code < 256 {
		return 1
	}
	return int(d.length[code])
}

func (d *lzwReader) spell(code, n int) {
	for i := n - 1; i > 0; i-- {
		d.buf[i] = d.suffix[code]
		code = int(d.prefix[code])
	}
	d.buf[0] = byte(code)
}
