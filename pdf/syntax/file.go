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

// Bounds. A file that exceeds one is refused with ErrTooLarge. Together they
// keep the cost of any file below some seconds and 256 MB.
const (
	MaxFile         = 9_000_000_000 // bytes; offsets of a cross-reference table have ten digits
	MaxObjects      = 8_388_607     // largest object number (ISO 32000-1, Annex C)
	MaxPages        = 200_000
	MaxFields       = 100_000   // nodes of the form field tree
	MaxDepth        = 64        // nesting of values, page tree and field tree
	MaxSections     = 1024      // cross-reference sections
	MaxStream       = 64 << 20  // decoded bytes of one stream, after each of its filters
	MaxInflated     = 256 << 20 // decoded bytes of one file with its revisions
	maxObject       = 16 << 20  // bytes of one object without its stream data
	maxObjectStream = 32 << 20  // decoded bytes of one object stream
	maxWork         = 256 << 20 // of parsing a file with its revisions, see work
	maxValues       = 1 << 17   // values in one object
	maxKept         = 32 << 20  // bytes of the signature fields and names of a form
	maxName         = 1024      // bytes of a field name, and of that of its parent
	maxHops         = 8         // references to references
	maxFilters      = 8         // of one stream
	maxHeader       = 1024      // bytes before %PDF-
	maxTail         = 1024      // last bytes of the file in which startxref stands, as all readers look there
	window          = 1024      // bytes read at first for an object
	cacheStreams    = 64        // decoded object streams kept
	cacheBytes      = 16 << 20  // of which bytes
	keptObjects     = 2 << 20   // bytes of parsed objects kept
	keptObject      = 256 << 10 // of which one
	maxSubs         = 1 << 15   // subsections of cross-reference sections
	maxColumns      = 1 << 20   // bytes in a row of a predictor
	maxEntries      = 4 << 20   // cross-reference entries of all sections
	freeEntries     = 1 << 17   // of those, allowed besides one per byte of file
)

// File is an open PDF file. Its methods must not be called concurrently, nor
// with those of a File that At returned.
type File struct {
	r        io.ReaderAt
	size     int64
	base     int64 // added to every offset in the file: junk before the header
	version  string
	password []byte
	security *security // nil when the file is not encrypted
	work     *work
	objects  *objects

	table     table
	trailer   *Object
	xref      int64 // offset given by the last startxref, without base
	streams   bool  // the newest cross-reference section is a stream
	revisions []Section
	sections  int
	subs      int
	entries   int
	seen      set // objects of the section being read

	// limit is /Size once the newest trailer is known. A reference beyond means
	// null today, but the next object appended: a signature field whose value
	// is such a reference would steal the signature.
	limit    int64
	stack    stack  // of the parser, kept from object to object
	scratch  []byte // see space
	window   []byte // read last; values share it, nobody writes to it
	windowAt int64
	loading  int // depth of Load through /Length and object streams
	cache    map[uint32]*objectStream
	cached   int   // bytes
	clock    int64 // counts uses of the cache
}

// work is what was done so far for a file, its revisions included.
type work struct {
	parse    int64 // bytes parsed, and what values and places cost besides
	inflated int64 // bytes decoded
}

// parsed counts the cost of a parse: a value costs as much as some bytes, and
// so does going to a place. The memory of many values at once costs more.
func (w *work) parsed(bytes, values int, at int64) error {
	const many, perValue, perMany, perPlace = 4096, 8, 64, 128
	if values > many {
		w.parse += perMany * int64(values)
	}
	if w.parse += int64(bytes) + perValue*int64(values) + perPlace; w.parse > maxWork {
		return tooLarge(at, "objects take more than %d units of work", maxWork)
	}
	return nil
}

// Open reads the cross-reference data of a file which is not encrypted or
// opens with the empty user password. It returns an *Error for documents it
// refuses and wraps errors of r.
func Open(r io.ReaderAt, size int64) (*File, error) { return OpenWith(r, size, Options{}) }

// OpenWith is Open with a password. A password that does not fit is refused
// with ErrEncrypted.
func OpenWith(r io.ReaderAt, size int64, o Options) (*File, error) {
	f := &File{r: r, size: size, work: &work{}, objects: &objects{}, password: o.Password}
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
	if err := f.readChain(start); err != nil {
		return err
	}
	return f.unlock()
}

// Size returns the size of the file in bytes.
func (f *File) Size() int64 { return f.size }

// Base returns the number of bytes before the header which offsets in the
// file do not count. 0 for nearly all files.
func (f *File) Base() int64 { return f.base }

// Version returns the version in the header, as 1.7. The catalog's /Version
// counts instead when it is later (ISO 32000-2, Section 7.5.2).
func (f *File) Version() string { return f.version }

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
	if i < 0 || i > maxHeader || i+8 > len(b) {
		return 0, invalid(0, "no PDF header")
	}
	if v := string(b[i+5 : i+7]); v != "1." && v != "2." {
		return 0, invalid(int64(i), "unknown PDF version")
	}
	f.version = string(b[i+5 : i+8])
	return int64(i), nil
}

// startxref reads the number behind the last startxref of the file.
func (f *File) startxref() (int64, error) {
	b := make([]byte, min(f.size, maxTail))
	tail := f.size - int64(len(b))
	if err := f.readAt(b, tail); err != nil {
		return 0, err
	}
	f.window, f.windowAt = b, tail
	i := bytes.LastIndex(b, []byte("startxref"))
	if i < 0 {
		return 0, invalid(tail, "no startxref")
	}
	p := parser{buf: b, base: tail, pos: i + len("startxref"), eof: true}
	n, _, err := p.place()
	return n, err
}

// Linearized returns the length that the first object of the file claims for a
// linearized file (ISO 32000-2, Annex F), 0 when there is no such claim. Readers
// look for it at the start of the file, not in the cross-reference data.
func (f *File) Linearized() (int64, error) {
	header, err := f.header()
	if err != nil {
		return 0, err
	}
	var o Object
	err = f.parse(header, func(p *parser) error {
		if err := p.skip(); err != nil {
			return err
		}
		return p.object(&o)
	})
	if refused(err) || err == nil && o.Value.Key("Linearized").Kind == Null {
		return 0, nil
	}
	return o.Value.Key("L").Int, err
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
	err := f.look(off, func(p *parser) error {
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
