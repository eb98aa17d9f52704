// Package syntax reads the structure of PDF files: objects, cross-reference
// tables and streams, object streams, the page tree and the form fields (ISO
// 32000-2, Sections 7 and 12.7).
//
// It is made for hostile files. Everything is bounded (see the constants),
// nothing is repaired, and a file that readers may understand in different
// ways is refused: keys twice in one dictionary, objects twice in one
// cross-reference section, a page tree that is none. Values keep the place
// they were read from, so that an edited dictionary can keep every other byte.
package syntax

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Bounds. A file that exceeds one is refused with ErrTooLarge.
const (
	MaxFile     = 9_000_000_000 // bytes; offsets of a cross-reference table have ten digits
	MaxObjects  = 8_388_607     // largest object number (ISO 32000-1, Annex C)
	MaxPages    = 200_000
	MaxFields   = 100_000   // nodes of the form field tree
	MaxDepth    = 64        // nesting of values, page tree and field tree
	MaxSections = 1024      // cross-reference sections
	MaxStream   = 64 << 20  // inflated bytes of one stream
	MaxInflated = 256 << 20 // inflated bytes of one file
	maxObject   = 16 << 20  // bytes of one object without its stream data
	maxRead     = 256 << 20 // bytes of objects parsed in the life of a File
	maxValues   = 1 << 18   // values in one object
	maxName     = 1024      // bytes of a field name, and of that of its parent
	maxHops     = 8         // references to references
	maxHeader   = 1024      // bytes before %PDF-
	maxTail     = 2048      // bytes searched for startxref
	window      = 1024      // bytes read at first for an object
	cacheStream = 4         // decoded object streams kept
	cacheBytes  = 16 << 20  // of which bytes
	maxSubs     = 1 << 17   // subsections of cross-reference tables
	maxColumns  = 1 << 20   // bytes in a row of a predictor
	freeEntries = 1 << 17   // cross-reference entries allowed besides one per byte of file
)

// File is an open PDF file. Its methods must not be called concurrently.
type File struct {
	r    io.ReaderAt
	size int64
	base int64 // added to every offset in the file: junk before the header

	table    table
	trailer  *Object
	xref     int64 // offset given by the last startxref, without base
	streams  bool  // the newest cross-reference section is a stream
	hidden   set   // objects only the stream of a hybrid file gives
	sections int
	subs     int
	entries  int

	// limit is /Size once the newest trailer is known. A reference beyond means
	// null today, but the next object appended: a signature field whose value
	// is such a reference would steal the signature.
	limit     int64
	revisions []Section
	work      *work
	password  []byte
	loading   int // depth of Load through /Length and object streams
	cache     []*objectStream
}

// work is what was done so far for a file, its revisions included.
type work struct {
	read     int64 // bytes parsed
	inflated int64 // bytes decoded
}

// Open reads the cross-reference data of a file which is not encrypted or
// opens with the empty user password. It returns an *Error for documents it
// refuses and wraps errors of r.
func Open(r io.ReaderAt, size int64) (*File, error) { return OpenWith(r, size, Options{}) }

// OpenWith is Open with a password. A password that does not fit is refused
// with ErrEncrypted.
func OpenWith(r io.ReaderAt, size int64, o Options) (*File, error) {
	f := &File{r: r, size: size, work: &work{}, password: o.Password}
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) open() error {
	if f.size > MaxFile {
		return tooLarge(-1, "file of %d bytes", f.size)
	}
	header, err := f.header()
	if err != nil {
		return err
	}
	start, err := f.startxref()
	if err != nil {
		return err
	}
	if err := f.chooseBase(header, start); err != nil {
		return err
	}
	f.xref = start
	return f.readChain(start)
}

// Size returns the size of the file in bytes.
func (f *File) Size() int64 { return f.size }

// Base returns the number of bytes before the header which offsets in the
// file do not count. 0 for nearly all files.
func (f *File) Base() int64 { return f.base }

// Trailer returns the newest trailer: a dictionary, or the dictionary of the
// cross-reference stream.
func (f *File) Trailer() *Object { return f.trailer }

// Xref returns the number behind the last startxref and whether that section
// is a cross-reference stream.
func (f *File) Xref() (offset int64, stream bool) { return f.xref, f.streams }

// ObjectCount returns the trailer's /Size: one more than the largest object
// number.
func (f *File) ObjectCount() uint32 { return uint32(f.trailer.Value.Key("Size").Int) }

// readAt fills b from the offset or returns an error. Reading beyond the end
// of the file is the document's fault.
func (f *File) readAt(b []byte, off int64) error {
	if off < 0 || off > f.size-int64(len(b)) {
		return invalid(off, "place outside of the file")
	}
	n, err := f.r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading document: %w", err)
}

// header finds %PDF-1. or %PDF-2. in the first 1024 bytes.
func (f *File) header() (int64, error) {
	b := make([]byte, min(f.size, maxHeader+8))
	if err := f.readAt(b, 0); err != nil {
		return 0, err
	}
	i := bytes.Index(b, []byte("%PDF-"))
	if i < 0 || i > maxHeader || i+7 > len(b) {
		return 0, invalid(0, "no PDF header")
	}
	if v := string(b[i+5 : i+7]); v != "1." && v != "2." {
		return 0, invalid(int64(i), "unknown PDF version")
	}
	return int64(i), nil
}

// startxref reads the number behind the last startxref of the file.
func (f *File) startxref() (int64, error) {
	b := make([]byte, min(f.size, maxTail))
	tail := f.size - int64(len(b))
	if err := f.readAt(b, tail); err != nil {
		return 0, err
	}
	i := bytes.LastIndex(b, []byte("startxref"))
	if i < 0 {
		return 0, invalid(tail, "no startxref")
	}
	p := parser{buf: b, base: tail, pos: i + len("startxref"), eof: true}
	n, err := p.natural()
	if err != nil {
		return 0, err
	}
	_, err = p.marker()
	return n, err
}

// chooseBase decides whether offsets count from the header or from the start
// of the file. Where both would do, readers may differ and so we refuse.
func (f *File) chooseBase(header, start int64) error {
	if header == 0 {
		return nil
	}
	absolute, err := f.plausible(start)
	if err != nil {
		return err
	}
	relative, err := f.plausible(start + header)
	if err != nil {
		return err
	}
	if absolute && relative {
		return invalid(0, "offsets are ambiguous because of bytes before the header")
	}
	if relative {
		f.base = header
	}
	return nil
}

// plausible says whether a cross-reference section seems to start here.
func (f *File) plausible(off int64) (bool, error) {
	found := false
	err := f.parse(off, func(p *parser) error {
		var err error
		if found, err = p.keyword("xref"); found || err != nil {
			return err
		}
		_, _, err = p.objectHeader()
		found = err == nil
		return err
	})
	if refused(err) {
		return false, nil
	}
	return found, err
}

// refused tells faults of the document from errors of the reader below.
func refused(err error) bool {
	var own *Error
	return errors.As(err, &own)
}

// parse calls fn with a parser at the offset. While fn reports errShort it is
// called again, with a larger window.
func (f *File) parse(off int64, fn func(*parser) error) error {
	if off < 0 || off >= f.size {
		return invalid(off, "place outside of the file")
	}
	for n := int64(window); ; n *= 4 {
		b := make([]byte, min(n, f.size-off))
		if err := f.readAt(b, off); err != nil {
			return err
		}
		p := parser{buf: b, base: off, eof: off+int64(len(b)) == f.size, limit: f.limit}
		err := fn(&p)
		if f.work.read += int64(p.pos); f.work.read > maxRead {
			return tooLarge(off, "more than %d bytes of objects", maxRead)
		}
		if !errors.Is(err, errShort) {
			return err
		}
		if n >= maxObject {
			return tooLarge(off, "object of more than %d bytes", maxObject)
		}
	}
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
func (f *File) objectAt(off int64) (*Object, error) {
	o := &Object{}
	err := f.parse(off, func(p *parser) error {
		var err error
		if o.Num, o.Gen, err = p.objectHeader(); err != nil {
			return err
		}
		if o.Value, err = p.value(0); err != nil {
			return err
		}
		o.src, o.base = p.buf, p.base
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
		if p.buf[p.pos] == '\r' {
			p.pos++
		}
		if p.buf[p.pos] != '\n' {
			return invalid(p.at(), "line feed expected after stream")
		}
		p.pos++
		o.Data = p.at()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// Load returns an indirect object. An object that does not exist is null (ISO
// 32000-2, Section 7.3.10). Objects hidden in a hybrid file are refused with
// ErrUnsupported.
func (f *File) Load(num uint32, gen uint16) (*Object, error) {
	e := f.table.at(num)
	if f.hidden.has(num) {
		return nil, Errorf(ErrUnsupported, -1, "object %d of the structure is hidden from some readers (hybrid file)", num)
	}
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
