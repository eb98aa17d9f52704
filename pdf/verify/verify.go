// Package verify checks the digital signature of a PDF file. It is strict: a
// document is VALID only when it has exactly one signature, that of a form
// field, which covers every byte of the file but its own value, and when
// digest, signature, signing certificate, path, key usage, times and, with
// lists given, revocation all hold. Structure comes first, because most known
// attacks leave the cryptography intact (incremental saving, universal
// forgery, signature wrapping).
package verify

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// maxSignatures bounds the signatures examined: each costs a pass.
const maxSignatures = 8

// skew is how far a claimed time may lie ahead of Now.
const skew = 5 * time.Minute

// Options says whom to trust.
type Options struct {
	// Roots are the trust anchors. nil trusts nobody; the machine's own roots
	// are never used.
	Roots *x509.CertPool
	// Intermediates help to build the path, besides those in the signature.
	Intermediates []*x509.Certificate
	// Now is the time of the check. It must be set.
	Now time.Time
	// CRLs are revocation lists. When there is any, the signer's issuer must
	// have a current one; when there is none, revocation is not checked and
	// the report says so. Their signatures are checked here.
	CRLs []*x509.RevocationList
}

// Verify checks the document of size bytes. Whatever is wrong with it is in
// the report; an error means that the check was not made: r or ctx failed, or
// Now is not set.
func Verify(ctx context.Context, r io.ReaderAt, size int64, o Options) (*Report, error) {
	if o.Now.IsZero() {
		return nil, errors.New("time of the check is not set")
	}
	v := &verifier{ctx: ctx, r: r, size: size, options: o}
	report := &Report{Verdict: Valid, Signatures: []Signature{}}
	err := v.document(report)
	var refused *syntax.Error
	if errors.As(err, &refused) {
		report.find(refused.Code, refused.Error())
		err = nil
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	for _, s := range report.Signatures {
		report.Verdict = worse(report.Verdict, s.Verdict)
	}
	if len(report.Signatures) != 1 { // whatever happened above
		report.Verdict = worse(report.Verdict, Indeterminate)
	}
	return report, nil
}

// Detached checks a CMS signature over a content of which the digest is given,
// made with the hash the signature names. There is no claimed time, so the
// certificate is judged at Now.
func Detached(contentDigest, der []byte, o Options) Signature {
	s := newSignature("")
	sd, err := cms.Parse(der)
	if err != nil {
		s.find("cms_malformed", err.Error())
		return s
	}
	s.signed(sd, contentDigest)
	s.judge(sd, o)
	return s
}

// Raw checks a bare signature (PKCS #1 v1.5, PSS or ECDSA as alg says) over a
// digest of SHA-256, SHA-384 or SHA-512. The certificate comes from whoever
// asks; it is judged at Now, as there is no claimed time.
func Raw(cert *x509.Certificate, alg cms.Algorithm, digest, sig []byte, o Options) Signature {
	s := newSignature("")
	s.Signer, s.Certificate = Subject(cert), cert.Raw
	if err := cms.VerifyRaw(cert, alg, digest, sig); errors.Is(err, cms.ErrKey) {
		s.find("key_weak", err.Error())
	} else if err != nil {
		s.find("signature_wrong", "")
	}
	s.judge(&cms.SignedData{Certificate: cert}, o)
	return s
}

type verifier struct {
	ctx     context.Context
	r       io.ReaderAt
	size    int64
	options Options
	file    *syntax.File
}

func (v *verifier) document(report *Report) error {
	var err error
	if v.file, err = syntax.Open(v.r, v.size); err != nil {
		return err
	}
	if id := v.file.Trailer().Value.Key("ID"); len(id.Array) > 0 {
		report.DocumentID = id.Array[0].Bytes
	}
	tree, err := v.file.Tree()
	if err != nil {
		return err
	}
	form, err := v.file.Form(tree.Catalog)
	if err != nil {
		return err
	}
	signed := 0
	for _, f := range form.Fields {
		if f.V.Kind == syntax.Null {
			continue
		}
		if signed++; signed > maxSignatures {
			break
		}
		s, err := v.signature(f)
		if err != nil {
			return err
		}
		report.Signatures = append(report.Signatures, s)
	}
	switch {
	case signed == 0:
		report.find("no_signature", "")
	case signed > 1:
		report.find("several_signatures", "")
		for i := range report.Signatures {
			report.Signatures[i].find("several_signatures", "")
		}
	}
	stray, err := v.stray(tree, form)
	if err != nil {
		return err
	}
	if stray {
		report.find("stray_signature", "")
	}
	return nil
}

func newSignature(field string) Signature {
	return Signature{
		Field: field, Verdict: Valid, Reasons: []Reason{}, Changes: []string{},
		TimeSource: "claimed", Revocation: Revocation{Status: "not_checked"},
	}
}

// signature checks one signature: place, cryptography, certificate.
func (v *verifier) signature(f syntax.Field) (Signature, error) {
	s := newSignature(f.Name)
	p, err := v.locate(f, &s)
	if err != nil || p == nil {
		return s, err
	}
	sd, err := cms.Parse(p.der)
	if err != nil {
		s.find("cms_malformed", err.Error())
		return s, nil
	}
	digest, err := v.digest(p, sd)
	if err != nil {
		return s, err
	}
	s.signed(sd, digest)
	if sd.HasSigningTime {
		s.find("not_pades", "signing-time attribute")
	}
	if s.Verdict == Valid {
		s.Level = "B-B"
	}
	s.judge(sd, v.options)
	return s, nil
}

// signed checks the cryptography.
func (s *Signature) signed(sd *cms.SignedData, digest []byte) {
	s.Signer = Subject(sd.Certificate)
	s.Certificate = sd.Certificate.Raw
	err := sd.Verify(digest)
	switch {
	case err == nil:
	case errors.Is(err, cms.ErrDigest):
		s.find("digest_mismatch", "")
	case errors.Is(err, cms.ErrSignature):
		s.find("signature_wrong", "")
	case errors.Is(err, cms.ErrSigningCertificateMissing):
		s.find("signing_certificate_missing", "")
	case errors.Is(err, cms.ErrSigningCertificate):
		s.find("signing_certificate_mismatch", "")
	case errors.Is(err, cms.ErrKey):
		s.find("key_weak", "")
	default:
		s.find("signature_wrong", err.Error())
	}
}

// digest hashes the two parts of the byte range.
func (v *verifier) digest(p *position, sd *cms.SignedData) ([]byte, error) {
	h := sd.Hash.New()
	b := make([]byte, 128<<10)
	for _, part := range [][2]int64{{0, p.gap}, {p.resume, p.end}} {
		for at := part[0]; at < part[1]; {
			if err := v.ctx.Err(); err != nil {
				return nil, err
			}
			n := min(int64(len(b)), part[1]-at)
			if got, err := v.r.ReadAt(b[:n], at); int64(got) != n {
				if err == nil || errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return nil, fmt.Errorf("reading document: %w", err)
			}
			h.Write(b[:n])
			at += n
		}
	}
	return h.Sum(nil), nil
}
