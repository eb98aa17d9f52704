package signer

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// Formats of a signature.
const (
	RAW   = "RAW"   // the signature value over a digest
	CMS   = "CMS"   // detached SignedData (RFC 5652, ETSI EN 319 122-1) over a digest
	PADES = "PADES" // a PDF with the signature in it (ETSI EN 319 142-1), or SignedData for one that was prepared elsewhere
)

// Algorithms of a signature.
const (
	RSAPKCS1 = "RSA-PKCS1"
	RSAPSS   = "RSA-PSS"
	ECDSA    = "ECDSA"
)

// Options is everything that shapes a signature, and the total that the officer
// is told, fixed when the transaction is created. Its canonical JSON (RFC 8785) is stored, hashed into
// the code's binding and into the intent.
type Options struct {
	Format    string `json:"format"`
	Algorithm string `json:"algorithm"`
	// Time is the claimed signing time, RFC 3339 UTC, seconds.
	Time string `json:"time"`
	// Certificate is the serial number, decimal, of the officer's certificate.
	Certificate string `json:"certificate"`
	PAdES
	// Each holds, by index, what documents have in the place of PAdES.
	Each map[uint32]PAdES `json:"each,omitempty"`
	// Unseen is set by Prepare: PADES of which a PDF is not here, but prepared elsewhere.
	Unseen bool `json:"unseen,omitempty"`
	// Total is the app's word on what the documents amount to; nil: it gave none. Of a batch
	// whose documents have amounts it is their sum, set by Prepare.
	Total *otp.Total `json:"total,omitempty"`
	// Payees are set by Prepare: to whom the batch's documents pay, as the app said with them.
	Payees *otp.Payees `json:"payees,omitempty"`
	// Work is the request's place in a work process; nil: it names none.
	Work *Work `json:"work,omitempty"`
}

// PAdES is what a document's signature shall be like.
type PAdES struct {
	Level    string   `json:"level,omitempty"` // "B-B", "B-T", "B-LT", "B-LTA"; CMS: the first two
	Reason   string   `json:"reason,omitempty"`
	Location string   `json:"location,omitempty"`
	Contact  string   `json:"contact,omitempty"`
	Field    string   `json:"field,omitempty"`   // fully qualified; "" makes one
	Certify  int      `json:"certify,omitempty"` // 1 to 3: certification, DocMDP's /P
	Visible  *Visible `json:"visible,omitempty"`
}

// of is what a document's signature shall be like.
func (o *Options) of(index uint32) PAdES {
	if p, own := o.Each[index]; own {
		return p
	}
	return o.PAdES
}

// Visible places an appearance; points from the lower left of the CropBox as
// displayed. Page counts from 1, -1 is the last. With Anchor, X and Y count from
// the lower left corner of this text, the only one of its kind on the page, or
// in the document when Page is 0; both 0 is just above it. In an existing field all but Template are zero.
type Visible struct {
	Page     int     `json:"page"`
	X        float64 `json:"x"`
	Y        float64 `json:"y"`
	Width    float64 `json:"width"`
	Height   float64 `json:"height"`
	Anchor   string  `json:"anchor,omitempty"`
	Template string  `json:"template,omitempty"`
	// TemplateHash is set by Prepare: what a template of the administrator is.
	TemplateHash string `json:"template_hash,omitempty"`
}

// Canonical returns the options in the form that is stored and hashed. Fields
// are strings without control characters and numbers in the range where
// encoding/json and RFC 8785 print alike; keys are sorted by going through a
// map.
func (o *Options) Canonical() (text []byte, hash [32]byte, err error) {
	plain, err := json.Marshal(o)
	if err != nil {
		return nil, hash, fmt.Errorf("encoding signature options: %w", err)
	}
	var m map[string]any
	if err := json.Unmarshal(plain, &m); err != nil {
		return nil, hash, fmt.Errorf("encoding signature options: %w", err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return nil, hash, fmt.Errorf("encoding signature options: %w", err)
	}
	text = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	return text, sha256.Sum256(text), nil
}

// prepared refuses what cannot be done to a PDF that is not here: of index only the
// signature is made, with a time-stamp of it or without.
func (o *Options) prepared(index uint32) error {
	p := o.of(index)
	if p != (PAdES{Level: p.Level}) || stamped(p.Level) && pdf.Level(p.Level) != pdf.LevelT {
		return ErrPrepared
	}
	return nil
}

// fit fills in the algorithm for the credential's key and refuses one that
// does not fit it.
func (o *Options) fit(c *Credential) error {
	rsaKey := false
	if _, ok := c.Certificate.PublicKey.(*rsa.PublicKey); ok {
		rsaKey = true
	}
	switch {
	case o.Algorithm == "" && rsaKey:
		o.Algorithm = RSAPKCS1
	case o.Algorithm == "":
		o.Algorithm = ECDSA
	}
	if fits := strings.HasPrefix(o.Algorithm, "RSA"); fits != rsaKey {
		return fmt.Errorf("%w: %s with an %s key", ErrAlgorithm, o.Algorithm, c.Algorithm)
	}
	return nil
}

// signerOpts is how the HSM is to sign a digest of hash h.
func (o *Options) signerOpts(h crypto.Hash) crypto.SignerOpts {
	if o.Algorithm == RSAPSS {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}
	}
	return h
}

func (o *Options) cmsAlgorithm() cms.Algorithm {
	switch o.Algorithm {
	case RSAPSS:
		return cms.RSAPSS
	case ECDSA:
		return cms.ECDSA
	default:
		return cms.RSAPKCS1
	}
}

// pdfOptions is how the document is prepared. It depends on nothing but the
// stored options, the templates whose hashes they hold and the credential, so
// that preparing twice gives the same bytes. ErrTemplate when those changed.
func (o *Options) pdfOptions(templates *Templates, index uint32, c *Credential, contents int) (pdf.Options, error) {
	at, err := time.Parse(time.RFC3339, o.Time)
	if err != nil {
		return pdf.Options{}, fmt.Errorf("reading claimed time: %w", err)
	}
	own := o.of(index)
	p := pdf.Options{
		Field: own.Field, Name: c.Certificate.Subject.CommonName, Reason: own.Reason, Location: own.Location, ContactInfo: own.Contact,
		Time: at, ContentsSize: contents,
	}
	p.Certify, p.Level, p.Hash, p.Certificates = own.Certify, pdf.Level(own.Level), crypto.SHA256, append([]*x509.Certificate{c.Certificate}, c.Chain...)
	if v := own.Visible; v != nil {
		t, err := templates.pinned(v)
		if err != nil {
			return p, err
		}
		p.Visible = t.visible(v, &own, c, at)
	}
	return p, nil
}
