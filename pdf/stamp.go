package pdf

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// PrepareTimestamp makes room for a document time-stamp (ISO 32000-2, Section
// 12.8.5) in a new field without area. size is the number of bytes to reserve:
// Timestamper.TokenSize. What Digest gives is time-stamped, and the token goes
// to Complete or Append. No signature forbids it (ISO 32000-2, Table 257). It
// refuses as Document.Prepare does.
func (d *Document) PrepareTimestamp(size int) (*Prepared, error) {
	if size <= 0 || size > MaxContents {
		return nil, refuse("size %d of the time-stamp out of bounds", size)
	}
	o := &Options{}
	t, err := d.target(o, "Timestamp")
	if err != nil {
		return nil, err
	}
	if err := d.file.Permissions().MaySign(true); err != nil {
		return nil, err
	}
	if _, err := d.rules(); err != nil { // usage rights, and what nobody knows
		return nil, err
	}
	c := newIncrement(d.file)
	sig, err := c.reserve(1)
	if err != nil {
		return nil, err
	}
	if err := d.sign(c, t, o, sig); err != nil {
		return nil, err
	}
	return d.reserve(c, sig, value{"<</Type/DocTimeStamp/Filter/Adobe.PPKLite/SubFilter/ETSI.RFC3161", "\n>>"}, size)
}

// Bounds of AddTimestamp.
const (
	stampTries = 3   // tokens asked for
	stampMore  = 256 // bytes of room above the size of the last one
)

// AddTimestamp puts a document time-stamp of SHA-256 over all of the document
// and returns it with the time it tells. The room for the token is in what is
// stamped: one that is larger than TokenSize said costs another, for which
// there is room. It refuses as PrepareTimestamp does; an error of the service,
// or tokens that grow each time, are not a refusal.
func (d *Document) AddTimestamp(ctx context.Context, t Timestamper) (*Update, time.Time, error) {
	return d.addTimestamp(ctx, t, nil)
}

// addTimestamp does not parse again those certificates of a token that are known.
func (d *Document) addTimestamp(ctx context.Context, t Timestamper, known []*x509.Certificate) (*Update, time.Time, error) {
	size := t.TokenSize()
	if size <= 0 { // the service's failure, not the document's
		return nil, time.Time{}, errors.New("asking for a time-stamp: the service has no tokens to make room for")
	}
	for range stampTries {
		p, err := d.PrepareTimestamp(min(size, MaxContents))
		if err != nil {
			return nil, time.Time{}, err
		}
		token, at, err := p.ask(ctx, t, known)
		if err != nil {
			return nil, time.Time{}, err
		}
		if len(token) <= p.Room() {
			var b bytes.Buffer
			_, err = p.Append(&b, token)
			return &Update{p.r, p.size, b.Bytes()}, at, err
		}
		size = len(token) + stampMore
	}
	return nil, time.Time{}, fmt.Errorf("asking for a time-stamp: each of %d is larger than the one before", stampTries)
}

// ask returns a token over the document with its room, checked.
func (p *Prepared) ask(ctx context.Context, t Timestamper, known []*x509.Certificate) (token []byte, at time.Time, err error) {
	digest, _, err := p.Digest(crypto.SHA256)
	if err != nil {
		return nil, at, err
	}
	if token, err = t.Timestamp(ctx, crypto.SHA256, digest); err != nil {
		return nil, at, fmt.Errorf("asking for a time-stamp: %w", err)
	}
	stamp, err := cms.ParseTimestamp(token, known...)
	if err == nil && !stamp.Embedded() {
		err = cms.ErrCertificateMissing
	}
	if err != nil {
		return nil, at, fmt.Errorf("reading time-stamp: %w", err)
	}
	if stamp.Hash != crypto.SHA256 {
		return nil, at, fmt.Errorf("checking time-stamp: %w", cms.ErrDigest)
	}
	if err := stamp.Verify(digest); err != nil {
		return nil, at, fmt.Errorf("checking time-stamp: %w", err)
	}
	if !stamp.ForTimestamps() {
		return nil, at, errors.New("checking time-stamp: its certificate is not for time-stamping")
	}
	return token, stamp.Time, nil
}

// sealed is a signature as it lies in a document.
type sealed struct {
	field string
	stamp bool   // a document time-stamp
	der   []byte // without padding
	end   int64  // of the byte range
}

// sealed returns the signatures of a document in the order of their byte
// ranges, without judging them.
func (d *Document) sealed() ([]sealed, error) {
	var out []sealed
	for _, f := range d.form.Fields {
		if f.V.Kind == syntax.Null {
			continue
		}
		one, err := d.sealedIn(f)
		if err != nil {
			return nil, fmt.Errorf("reading signature: %w", err)
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b sealed) int { return cmp.Compare(a.end, b.end) })
	return out, nil
}

func (d *Document) sealedIn(f syntax.Field) (s sealed, err error) {
	sig, err := d.file.Resolve(f.V)
	if err != nil {
		return s, err
	}
	byteRange, err := d.file.Resolve(sig.Value.Key("ByteRange"))
	if err != nil {
		return s, err
	}
	contents, err := d.file.Resolve(sig.Value.Key("Contents"))
	if err != nil {
		return s, err
	}
	s.field, s.stamp = f.Name, sig.Value.Key("SubFilter").IsName("ETSI.RFC3161")
	n, _ := element(contents.Value.Bytes, 0)
	if s.der = contents.Value.Bytes[:n]; n == 0 {
		return s, syntax.Errorf(ErrInvalid, f.V.Start, "malformed /Contents")
	}
	a := byteRange.Value.Array
	for _, e := range a {
		if e.Kind != syntax.Integer || e.Int < 0 || e.Int > d.file.Size() {
			a = nil
		}
	}
	if len(a) != 4 || a[3].Int > d.file.Size()-a[2].Int {
		return s, syntax.Errorf(ErrInvalid, f.V.Start, "malformed /ByteRange")
	}
	s.end = a[2].Int + a[3].Int
	return s, nil
}

// element returns the number of bytes of the first BER value in b: /Contents
// is padded, and lengths may be indefinite (X.690, Section 8.1.3.6).
func element(b []byte, depth int) (int, bool) {
	at := 1
	if len(b) < 2 || depth > syntax.MaxDepth {
		return 0, false
	}
	if b[0]&0x1F == 0x1F { // tag of several bytes
		for at < len(b) && b[at]&0x80 != 0 {
			at++
		}
		at++
	}
	if at >= len(b) {
		return 0, false
	}
	size := int(b[at])
	at++
	switch {
	case size == 0x80:
		for {
			if at+2 > len(b) {
				return 0, false
			}
			if b[at] == 0 && b[at+1] == 0 {
				return at + 2, true
			}
			n, ok := element(b[at:], depth+1)
			if !ok {
				return 0, false
			}
			at += n
		}
	case size > 0x84:
		return 0, false
	case size > 0x80:
		n := size & 0x7F
		if at+n > len(b) {
			return 0, false
		}
		size = 0
		for _, c := range b[at : at+n] {
			size = size<<8 | int(c)
		}
		at += n
	}
	if size > len(b)-at {
		return 0, false
	}
	return at + size, true
}
