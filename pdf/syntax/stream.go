package syntax

import (
	"bufio"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// readError tells damage of the document from errors of the reader below.
func readError(err error, at int64) error {
	var corrupt flate.CorruptInputError
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return invalid(at, "unexpected end of data")
	case errors.As(err, &corrupt), errors.Is(err, zlib.ErrChecksum), errors.Is(err, zlib.ErrHeader), errors.Is(err, zlib.ErrDictionary):
		return invalid(at, "damaged compressed data")
	}
	if refused(err) {
		return err
	}
	return fmt.Errorf("reading document: %w", err)
}

// Stream returns a reader of the plain data of a stream object: decrypted, and
// decoded from FlateDecode, LZWDecode, ASCIIHexDecode, ASCII85Decode and
// RunLengthDecode with predictors (ISO 32000-2, Section 7.4). Other filters
// and data in other files are refused with ErrUnsupported. At most MaxStream
// bytes are read, and MaxInflated from the streams of one file. What is wrong
// with the data is an *Error of Read.
func (f *File) Stream(o *Object) (io.Reader, error) {
	if o.Data == 0 {
		return nil, invalid(o.Value.Start, "object %d is no stream", o.Num)
	}
	length, err := f.resolve(o.Value.Key("Length"))
	if err != nil {
		return nil, err
	}
	if length.Kind != Integer || length.Int < 0 || length.Int > f.size-o.Data {
		return nil, invalid(o.Data, "malformed /Length of stream")
	}
	err = f.look(o.Data+length.Int, func(p *parser) error {
		p.blank()
		word, err := p.regular()
		if err == nil && string(word) != "endstream" {
			err = invalid(o.Data, "no endstream where /Length says")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if v := o.Value.Key("F"); v.Kind != Null {
		return nil, Errorf(ErrUnsupported, v.Start, "stream data in another file")
	}
	filters, err := f.filters(o.Value)
	if err != nil {
		return nil, err
	}
	var r io.Reader = io.NewSectionReader(f.r, o.Data, length.Int)
	m, err := f.streamMethod(o.Value, filters)
	if err != nil {
		return nil, err
	}
	if m != identity {
		if r, err = f.security.decryptStream(r, m, o.Num, o.Gen); err != nil {
			return nil, err
		}
	}
	b := bufio.NewReaderSize(r, int(max(16, min(length.Int, 16<<10))))
	if r, err = f.decode(b, filters, o.Data); err != nil {
		return nil, err
	}
	return &honest{r: r, at: o.Data}, nil
}

// honest gives damage of the document as an *Error.
type honest struct {
	r  io.Reader
	at int64
}

func (h *honest) Read(b []byte) (int, error) {
	n, err := h.r.Read(b)
	if err != nil && err != io.EOF {
		err = readError(err, h.at)
	}
	return n, err
}

// source is what a decoder reads from.
type source interface {
	io.Reader
	io.ByteReader
}

// meter bounds the output of one decoder, and that of all in the file.
type meter struct {
	r    *bufio.Reader
	work *work
	at   int64
	n    int64
}

func (f *File) meter(r io.Reader, at int64) *meter {
	b, ok := r.(*bufio.Reader)
	if !ok {
		b = bufio.NewReader(r)
	}
	return &meter{r: b, work: f.work, at: at}
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	if over := m.count(n); over != nil {
		return 0, over // with bytes the error would pass unseen
	}
	return n, err
}

// ReadByte makes a meter a source for flate without another buffer.
func (m *meter) ReadByte() (byte, error) {
	c, err := m.r.ReadByte()
	if err != nil {
		return c, err
	}
	return c, m.count(1)
}

func (m *meter) count(n int) error {
	m.n += int64(n)
	m.work.inflated += int64(n)
	if m.n > MaxStream || m.work.inflated > MaxInflated {
		return tooLarge(m.at, "stream inflates beyond the bound")
	}
	return nil
}

// filter is one step of decoding.
type filter struct {
	name  string
	parms Value // a dictionary or Null
}

// filters returns the filters of a stream in the order of decoding.
func (f *File) filters(d Value) ([]filter, error) {
	names, err := f.resolve(d.Key("Filter"))
	if err != nil {
		return nil, err
	}
	parms, err := f.resolve(d.Key("DecodeParms"))
	if err != nil {
		return nil, err
	}
	list, parmList := []Value{names}, []Value{parms}
	if names.Kind == Array {
		list = names.Array
	} else if names.Kind == Null {
		list = nil
	}
	if parms.Kind == Array {
		parmList = parms.Array
	} else if parms.Kind != Null && len(list) > 1 {
		return nil, invalid(d.Start, "malformed decode parameters")
	}
	if len(list) > maxFilters {
		return nil, tooLarge(d.Start, "more than %d filters", maxFilters)
	}
	var out []filter
	for i, v := range list {
		if v, err = f.resolve(v); err != nil {
			return nil, err
		}
		if v.Kind != Name {
			return nil, invalid(d.Start, "malformed /Filter")
		}
		step := filter{name: string(v.Bytes)}
		if i < len(parmList) {
			if step.parms, err = f.resolve(parmList[i]); err != nil {
				return nil, err
			}
		}
		if k := step.parms.Kind; k != Null && k != Dictionary {
			return nil, invalid(d.Start, "malformed decode parameters")
		}
		out = append(out, step)
	}
	return out, nil
}

// decode puts the decoders in a row, each behind a meter.
func (f *File) decode(raw *bufio.Reader, filters []filter, at int64) (io.Reader, error) {
	var r source = raw
	metered := false
	for i, step := range filters {
		var next io.Reader
		var err error
		switch step.name {
		case "FlateDecode":
			next, err = zlib.NewReader(r)
		case "LZWDecode":
			next, err = f.lzw(r, step.parms)
		case "ASCIIHexDecode":
			next = &asciiHex{r: r}
		case "ASCII85Decode":
			next = &ascii85{r: r}
		case "RunLengthDecode":
			next = &runLength{r: r}
		case "Crypt":
			if i > 0 {
				return nil, invalid(at, "decryption behind another filter")
			}
			continue
		default:
			return nil, Errorf(ErrUnsupported, at, "filter of a stream")
		}
		if err != nil {
			return nil, readError(err, at)
		}
		r, metered = f.meter(next, at), true
		if step.name == "FlateDecode" || step.name == "LZWDecode" {
			if r, err = f.predict(r, step.parms); err != nil {
				return nil, err
			}
		}
	}
	if !metered {
		r = f.meter(raw, at)
	}
	return r, nil
}
