package syntax

import (
	"bufio"
	"io"
)

// predict undoes a predictor (ISO 32000-2, Section 7.4.4.4).
func (f *File) predict(r source, parms Value) (source, error) {
	var err error
	number := func(key string, otherwise, most int64) int64 {
		v, e := f.resolve(parms.Key(key))
		if e != nil {
			err = e
		} else if v.Kind == Null {
			return otherwise
		} else if v.Kind != Integer || v.Int < 1 || v.Int > most {
			err = invalid(parms.Start, "malformed decode parameters")
		}
		return v.Int
	}
	predictor := number("Predictor", 1, 15)
	colors := number("Colors", 1, 32)
	bits := number("BitsPerComponent", 8, 16)
	columns := number("Columns", 1, maxColumns)
	if err != nil || predictor == 1 {
		return r, err
	}
	if bits&(bits-1) != 0 || predictor > 2 && predictor < 10 {
		return nil, invalid(parms.Start, "malformed decode parameters")
	}
	row := (colors*bits*columns + 7) / 8
	if row > maxColumns {
		return nil, tooLarge(parms.Start, "predictor row of %d bytes", row)
	}
	if predictor == 2 {
		if bits < 8 { // for images alone
			return nil, Errorf(ErrUnsupported, parms.Start, "predictor 2 of components of %d bits", bits)
		}
		return bufio.NewReader(&tiff{r: r, row: make([]byte, row), colors: int(colors), bits: uint(bits)}), nil
	}
	return bufio.NewReader(&png{r: r, at: parms.Start, unit: int(max(1, colors*bits/8)), now: make([]byte, row+1), before: make([]byte, row+1)}), nil
}

// rows hands out what next decodes row by row.
func rows(b []byte, rest *[]byte, next func() error) (int, error) {
	n := 0
	for n < len(b) {
		if len(*rest) == 0 {
			if err := next(); err != nil {
				return n, err
			}
		}
		k := copy(b[n:], *rest)
		*rest = (*rest)[k:]
		n += k
	}
	return n, nil
}

// png undoes the PNG filters row by row (PNG, Section 9).
type png struct {
	r           source
	at          int64
	unit        int    // bytes of a pixel
	now, before []byte // a row with its filter type in front
	rest        []byte // of now, not yet handed out
}

func (d *png) Read(b []byte) (int, error) { return rows(b, &d.rest, d.next) }

func (d *png) next() error {
	d.now, d.before = d.before, d.now
	if err := readRow(d.r, d.now); err != nil {
		return err
	}
	if d.now[0] > 4 {
		return invalid(d.at, "unknown predictor of a row")
	}
	d.undo()
	d.rest = d.now[1:]
	return nil
}

func (d *png) undo() {
	now, up := d.now[1:], d.before[1:]
	up = up[:len(now)]
	switch d.now[0] {
	case 1:
		for i := d.unit; i < len(now); i++ {
			now[i] += now[i-d.unit]
		}
	case 2:
		for i := range now {
			now[i] += up[i]
		}
	case 3:
		for i := range now {
			left := 0
			if i >= d.unit {
				left = int(now[i-d.unit])
			}
			now[i] += byte((left + int(up[i])) / 2)
		}
	case 4:
		for i := range now {
			var left, corner byte
			if i >= d.unit {
				left, corner = now[i-d.unit], up[i-d.unit]
			}
			now[i] += paeth(left, up[i], corner)
		}
	}
}

func paeth(a, b, c byte) byte {
	distance := func(x byte) int {
		d := int(a) + int(b) - int(c) - int(x)
		return max(d, -d)
	}
	pa, pb, pc := distance(a), distance(b), distance(c)
	if pa <= pb && pa <= pc {
		return a
	}
	if pb <= pc {
		return b
	}
	return c
}

// tiff undoes TIFF predictor 2: each component is the difference from that of
// the pixel to the left (TIFF 6.0, Section 14).
type tiff struct {
	r      source
	row    []byte
	colors int
	bits   uint
	rest   []byte
}

func (d *tiff) Read(b []byte) (int, error) { return rows(b, &d.rest, d.next) }

func (d *tiff) next() error {
	if err := readRow(d.r, d.row); err != nil {
		return err
	}
	switch row := d.row; d.bits {
	case 8:
		for i := d.colors; i < len(row); i++ {
			row[i] += row[i-d.colors]
		}
	case 16:
		for i := 2 * d.colors; i+1 < len(row); i += 2 {
			k := i - 2*d.colors
			sum := uint16(row[i])<<8 + uint16(row[i+1]) + uint16(row[k])<<8 + uint16(row[k+1])
			row[i], row[i+1] = byte(sum>>8), byte(sum)
		}
	}
	d.rest = d.row
	return nil
}

// readRow is io.ReadFull; short rows, of which a hostile stream has a great
// many, are read byte by byte.
func readRow(r source, row []byte) error {
	if len(row) > 8 {
		_, err := io.ReadFull(r, row)
		return err
	}
	for i := range row {
		c, err := r.ReadByte()
		if err == io.EOF && i > 0 {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		row[i] = c
	}
	return nil
}
