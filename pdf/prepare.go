package pdf

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Bounds of Options.
const (
	MaxText         = 1000    // bytes of UTF-8 in each text
	MaxContents     = 1 << 20 // bytes of DER
	DefaultContents = 16 << 10
)

// Options says what signature to make room for.
type Options struct {
	// Field is the fully qualified name of an existing empty signature field to
	// sign, or of a new one: for a.b.c the nodes a and a.b are made as needed.
	// When empty, a new field is made: the first of Signature1, Signature2 … that
	// is free.
	Field string
	// Name, Reason, Location and ContactInfo go into the signature dictionary
	// (ISO 32000-2, Table 255). UTF-8 without control characters, at most
	// MaxText bytes each.
	Name, Reason, Location, ContactInfo string
	// Time is the claimed time of signing, written as /M in UTC with seconds.
	Time time.Time
	// Visible asks for an appearance on a page. nil makes no mark. In an existing
	// field its place is the field's own: Page, X, Y, Width and Height stay 0.
	Visible *Visible
	// Certify makes a certification signature which permits no changes (1),
	// filling in of forms and signing (2), or annotations too (3): DocMDP, ISO
	// 32000-2, Section 12.8.2.2. 0 is an approval signature. Only the first
	// signature of a document can certify.
	Certify int
	// Lock locks form fields. An existing field may have a lock of its own, which
	// is honoured without being asked for; then Lock must be nil.
	Lock *Lock
	// SubFilter is SubFilterPAdES when empty, or SubFilterPKCS7.
	SubFilter string
	// Level, Hash and Certificates are what the caller is going to do. They
	// change no byte: seed values of an existing field (ISO 32000-2, Section
	// 12.7.5.5) may demand them. Level is LevelB when empty. Hash is the one of
	// Digest, not known when 0. Certificates are that of the signatory and those
	// above it, in ascending order.
	Level        Level
	Hash         crypto.Hash
	Certificates []*x509.Certificate
	// ContentsSize is the number of bytes of DER to reserve, DefaultContents when
	// 0, at most MaxContents. It is part of what is signed: a time-stamp for which
	// there is no room any more must be one of the document. So be generous.
	ContentsSize int
}

// Prepared is a document with room for a signature. It holds the increment,
// not the document. Its methods may be called repeatedly, not concurrently.
type Prepared struct {
	r         io.ReaderAt
	size      int64
	increment []byte
	gap, end  int           // the /Contents string, < and > included, in increment
	hashes    []crypto.Hash // the only ones for Digest, nil for any
	read      hash.Cloner   // SHA-256 over the document, once Digest has read it
}

// Prepare makes room for a signature. The same document and options give the
// same bytes. It refuses with ErrOptions, or the document with ErrCertified
// (an earlier signature forbids this one), ErrEncrypted (the owner forbids it),
// ErrUnsupported, ErrInvalid or ErrTooLarge. Earlier signatures stay valid.
func (d *Document) Prepare(o Options) (*Prepared, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	t, err := d.target(&o, "Signature")
	if err != nil {
		return nil, err
	}
	if err := d.file.Permissions().MaySign(t.field == nil); err != nil {
		return nil, err
	}
	r, err := d.rules()
	if err != nil {
		return nil, err
	}
	if err := r.permit(t, &o); err != nil {
		return nil, err
	}
	hashes, err := d.seeds(t, &o)
	if err != nil {
		return nil, err
	}
	c := newIncrement(d.file)
	sig, err := c.reserve(1)
	if err != nil {
		return nil, err
	}
	if err := d.sign(c, t, &o, sig); err != nil {
		return nil, err
	}
	if o.Certify != 0 {
		if err := d.certify(c, sig); err != nil {
			return nil, err
		}
	}
	p, err := d.reserve(c, sig, o.signature(d.transforms(&o, t)), o.ContentsSize)
	if err != nil {
		return nil, err
	}
	p.hashes = hashes
	return p, nil
}

// value is the text of a signature dictionary without /ByteRange and /Contents,
// which go between its parts.
type value struct{ head, tail string }

// reserve writes the increment with the signature dictionary and its gap.
func (d *Document) reserve(c *increment, sig uint32, v value, size int) (*Prepared, error) {
	if err := c.begin(d.r); err != nil {
		return nil, err
	}
	if err := c.rewrite(); err != nil {
		return nil, err
	}
	byteRange := v.head + "\n/ByteRange "
	head := byteRange + fmt.Sprintf("[0 %*s %*s %*s]\n/Contents <", rangeDigits, "", rangeDigits, "", rangeDigits, "")
	tail := ">" + v.tail
	body := bytes.Repeat([]byte{'0'}, len(head)+2*size+len(tail))
	copy(body, head)
	copy(body[len(head)+2*size:], tail)
	c.buf.Grow(len(body) + 1024) // and what comes behind
	at := int(c.object(piece{num: sig, body: body}) - d.file.Size())
	if err := c.finish(); err != nil {
		return nil, err
	}
	p := &Prepared{r: d.r, size: d.file.Size(), increment: c.buf.Bytes()}
	p.gap = at + len(head) - 1
	p.end = p.gap + 2*size + 2
	start, end, n := p.byteRange()
	if n > syntax.MaxFile {
		return nil, syntax.Errorf(ErrTooLarge, -1, "file of %d bytes", n)
	}
	copy(p.increment[at+len(byteRange):], fmt.Sprintf("[0 %-*d %-*d %-*d]", rangeDigits, start, rangeDigits, end, rangeDigits, n-end))
	return p, nil
}

// byteRange returns where the gap starts and ends and the size of the whole.
func (p *Prepared) byteRange() (start, end, size int64) {
	return p.size + int64(p.gap), p.size + int64(p.end), p.size + int64(len(p.increment))
}

// rangeDigits is the width of a number in /ByteRange: offsets do not exceed
// ten digits.
const rangeDigits = 10

// signature returns the signature dictionary; reference is its /Reference.
func (o *Options) signature(reference string) value {
	var b strings.Builder
	b.WriteString("\n/M(D:" + o.Time.UTC().Format("20060102150405") + "Z)")
	for _, t := range [][2]string{{"Name", o.Name}, {"Reason", o.Reason}, {"Location", o.Location}, {"ContactInfo", o.ContactInfo}} {
		if t[1] != "" {
			b.WriteString("\n/" + t[0] + textString(t[1]))
		}
	}
	return value{"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/" + o.SubFilter, b.String() + reference + "\n>>"}
}

func (o *Options) check() error {
	if o.ContentsSize == 0 {
		o.ContentsSize = DefaultContents
	}
	if o.ContentsSize < 0 || o.ContentsSize > MaxContents {
		return refuse("ContentsSize %d out of bounds", o.ContentsSize)
	}
	if y := o.Time.UTC().Year(); o.Time.IsZero() || y < 1970 || y > 9999 {
		return refuse("Time missing or out of bounds")
	}
	if o.Certify < 0 || o.Certify > annotating {
		return refuse("Certify %d is none of 0 to 3", o.Certify)
	}
	if o.SubFilter == "" {
		o.SubFilter = SubFilterPAdES
	}
	if o.SubFilter != SubFilterPAdES && o.SubFilter != SubFilterPKCS7 {
		return refuse("unknown SubFilter")
	}
	if o.Level == "" {
		o.Level = LevelB
	}
	if o.Level.rank() == 0 {
		return refuse("unknown Level")
	}
	if o.Lock != nil {
		if err := o.Lock.check(); err != nil {
			return err
		}
	}
	for _, t := range []string{o.Field, o.Name, o.Reason, o.Location, o.ContactInfo} {
		if err := checkText(t); err != nil {
			return err
		}
	}
	return nil
}

func checkText(s string) error {
	if len(s) > MaxText {
		return refuse("text of more than %d bytes", MaxText)
	}
	if !utf8.ValidString(s) {
		return refuse("text is not UTF-8")
	}
	for _, r := range s {
		if r < ' ' || r >= 0x7F && r < 0xA0 || r == 0x2028 || r == 0x2029 {
			return refuse("text has control characters")
		}
	}
	return nil
}

func refuse(format string, args ...any) error {
	return syntax.Errorf(ErrOptions, -1, format, args...)
}

// textString encodes a text string (ISO 32000-2, Section 7.9.2.2): ASCII as a
// literal, anything else as UTF-16BE.
func textString(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= 0x7F {
			return utf16String(s)
		}
	}
	b.WriteByte('(')
	for _, c := range []byte(s) {
		if c == '(' || c == ')' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	b.WriteByte(')')
	return b.String()
}

func utf16String(s string) string {
	var b strings.Builder
	b.WriteString("<FEFF")
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	b.WriteByte('>')
	return b.String()
}
