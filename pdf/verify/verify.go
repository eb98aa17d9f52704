// Package verify checks the digital signatures of a PDF file: structure, what
// later revisions changed, cryptography, certificates, revocation and
// time-stamps, with the indications of ETSI EN 319 102-1.
//
// It is strict: VALID means that every check was made and passed. Structure
// comes first, because most known attacks leave the cryptography intact
// (universal forgery, incremental saving, signature wrapping, shadow
// documents). A signature covers every byte of its revision but its own value;
// the revision, opened alone, holds the same signature in the same field; and
// what later revisions changed, found by comparing the objects both lead to, is
// nothing but evidence, document time-stamps, further signatures and what the
// signatures themselves permit.
package verify

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Bounds, besides those of pdf/syntax. A document beyond one is not judged.
const (
	maxRevisions    = 200      // after the first signature
	maxSignatures   = 100      // signatures and document time-stamps
	maxTokens       = 8        // time-stamps of one signature
	maxCertificates = 200      // in the document security store
	maxAnswers      = 500      // OCSP responses and CRLs in it
	maxEvidence     = 32 << 20 // bytes in it
	defaultMaxFile  = 2_000_000_000
)

// skew is how far clocks may differ.
const skew = 5 * time.Minute

// Options says whom to trust.
type Options struct {
	// Roots are the trust anchors of signers. nil trusts nobody; the machine's
	// own roots are never used.
	Roots *x509.CertPool
	// TSARoots are the trust anchors of time-stamping authorities, Roots when nil.
	TSARoots *x509.CertPool
	// Admit, if set, is asked whether a signer may sign for documents by a path that holds,
	// from the signer's certificate to a trust anchor. Without it all do whom Roots lead to.
	// It is not asked about time-stamps.
	Admit func(ctx context.Context, path []*x509.Certificate) bool
	// Intermediates help to build paths, besides those in the document.
	Intermediates []*x509.Certificate
	// Now is the time of the check. It must be set.
	Now time.Time
	// CRLs are revocation lists besides those in the document. When there is
	// any, the signer's certificate must be known not to be revoked. Their
	// signatures are checked here.
	CRLs []*x509.RevocationList
	// Hindsight has CRLs count that were issued after Now, or after a certificate's end:
	// for what is known to have existed at Now, and lists whose entries stay for ever.
	Hindsight bool
	// RequireRevocation makes all certificates below a trust anchor subject to
	// it. Without it, CRLs and Fetch a certificate about which nothing is known
	// counts as good, and the report says "not_checked".
	RequireRevocation bool
	// Fetch asks for the status of a certificate about which nothing else is
	// known: an OCSP response, a CRL or both, in DER. It bounds time, size and
	// addresses by itself; its error means that nothing was learned. nil asks
	// nobody.
	Fetch func(ctx context.Context, cert, issuer *x509.Certificate) (ocsp, crl []byte, err error)
	// Freshness is how old revocation data may be at the time for which a
	// certificate is judged. 0: their own nextUpdate says it.
	Freshness time.Duration
	// Password opens encrypted documents; without it the empty user password is
	// tried.
	Password []byte
	// MaxFile bounds the size of a document in bytes, 2,000,000,000 when 0.
	MaxFile int64
	// Timeout bounds the time for one document; a check that takes longer ends
	// with pdf_too_large. 0 leaves it to ctx.
	Timeout time.Duration
}

// Verify checks the document of size bytes. Whatever is wrong with it is in
// the report; an error means that the check was not made: r or ctx failed, or
// Now is not set. It reads the document about twice and holds neither it nor a
// stream of its pages in memory.
func Verify(ctx context.Context, r io.ReaderAt, size int64, o Options) (*Report, error) {
	if o.Now.IsZero() {
		return nil, errors.New("time of the check is not set")
	}
	limited := ctx
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	v := &verifier{ctx: limited, r: r, size: size, judge: newJudge(limited, o)}
	report := newReport()
	err := v.document(report)
	if err == nil {
		err = limited.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		report.find("pdf_too_large", fmt.Sprintf("the check takes more than %v", o.Timeout))
		err = nil
	}
	var refused *syntax.Error
	if errors.As(err, &refused) {
		report.find(refused.Code, refused.Error())
		err = nil
	}
	if err != nil {
		return nil, err
	}
	v.write(report)
	return report, nil
}

// Detached checks a CMS signature over a content of which the digest is given,
// made with the hash the signature names. A signing-time in it is reported; the
// certificate is judged at Now all the same, or at the time of a time-stamp in the CMS.
func Detached(contentDigest, der []byte, o Options) Signature {
	j := newJudge(context.Background(), o)
	s := newSignature("")
	f := &findings{verdict: Valid}
	sd, err := cms.Parse(der, o.Intermediates...)
	if err != nil {
		f.find("cms_malformed", err.Error())
		return s.finish(f)
	}
	s.signed(f, sd, contentDigest)
	if at := sd.SigningTime; !at.IsZero() && !at.After(o.Now) {
		s.SignedAt, s.ClaimedAt = &at, &at
	}
	j.embed(sd.Revocation, nowhere)
	j.signature(&s, f, sd, sd.Timestamps, time.Time{})
	return s.finish(f)
}

// DetachedContent checks a CMS signature over a content. The report has one
// signature; an error means that content or ctx failed.
func DetachedContent(ctx context.Context, content io.Reader, der []byte, o Options) (*Report, error) {
	if o.Now.IsZero() {
		return nil, errors.New("time of the check is not set")
	}
	var digest []byte
	if sd, err := cms.Parse(der, o.Intermediates...); err == nil && sd.Hash.Available() {
		h := sd.Hash.New()
		for n := int64(0); ; {
			part, err := io.CopyN(h, content, 1<<20)
			if n += part; err != nil && err != io.EOF {
				return nil, fmt.Errorf("reading content: %w", err)
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err == io.EOF {
				break
			}
		}
		digest = h.Sum(nil)
	}
	return Single(Detached(digest, der, o)), nil
}

// Raw checks a bare signature (PKCS #1 v1.5, PSS or ECDSA as alg says) over a
// digest of SHA-256, SHA-384 or SHA-512. The certificate comes from whoever
// asks; it is judged at Now, as there is no claimed time.
func Raw(cert *x509.Certificate, alg cms.Algorithm, digest, sig []byte, o Options) Signature {
	j := newJudge(context.Background(), o)
	s := newSignature("")
	f := &findings{verdict: Valid}
	s.Signer, s.Certificate = Subject(cert), cert.Raw
	if err := cms.VerifyRaw(cert, alg, digest, sig); errors.Is(err, cms.ErrKey) {
		f.find("key_weak", err.Error())
	} else if err != nil {
		f.find("signature_wrong", "")
	}
	j.signature(&s, f, &cms.SignedData{Certificate: cert}, nil, time.Time{})
	return s.finish(f)
}

type verifier struct {
	ctx    context.Context
	r      io.ReaderAt
	size   int64
	buffer []byte
	judge  *judge

	file   *syntax.File
	tree   *syntax.Tree
	form   *syntax.Form
	roles  *roles
	signed []*signed // in the order in which they were made
	store  *store    // the newest /DSS, nil without one
}

func (v *verifier) document(report *Report) error {
	limit := v.judge.MaxFile
	if limit == 0 {
		limit = defaultMaxFile
	}
	if v.size > limit {
		return syntax.Errorf(syntax.ErrTooLarge, -1, "file of %d bytes, %d are allowed", v.size, limit)
	}
	var err error
	if v.file, err = syntax.OpenWith(v.r, v.size, syntax.Options{Password: v.judge.Password}); err != nil {
		return err
	}
	if id := v.file.Trailer().Value.Key("ID"); len(id.Array) > 0 {
		report.DocumentID = id.Array[0].Bytes
	}
	if v.tree, err = v.file.Tree(); err != nil {
		return err
	}
	if v.form, err = v.file.Form(v.tree.Catalog); err != nil {
		return err
	}
	if v.roles, err = v.readRoles(); err != nil {
		return err
	}
	for _, step := range []func(*Report) error{v.linearized, v.collect, v.structure, v.strays, v.tail, v.evidence, v.cryptography, v.changes, v.judgement} {
		if err := step(report); err != nil {
			return err
		}
	}
	return nil
}

// linearized refuses a document whose first object calls it linearized
// with its later revisions: readers may then start from cross-reference data
// which none of them leads to.
func (v *verifier) linearized(report *Report) error {
	length, err := v.file.Linearized()
	if err == nil && length == v.size && len(v.file.Sections()) > 1 {
		report.find("changed_after", "the document was linearized before it was complete")
	}
	return err
}

// collect finds the fields with a value and their places in the file.
func (v *verifier) collect(report *Report) error {
	signatures := 0
	for _, f := range v.form.Fields {
		if f.V.Kind == syntax.Null {
			continue
		}
		if len(v.signed) == maxSignatures {
			return syntax.Errorf(syntax.ErrTooLarge, f.V.Start, "more than %d signatures", maxSignatures)
		}
		s := &signed{field: f, node: v.roles.byNum[f.Object.Num], out: &findings{verdict: Valid}}
		if s.node == nil {
			return syntax.Errorf(syntax.ErrInvalid, f.Object.Value.Start, "malformed field tree")
		}
		if err := v.locate(s); err != nil {
			return err
		}
		if !s.stamp {
			signatures++
		}
		v.signed = append(v.signed, s)
	}
	if signatures == 0 {
		report.find("no_signature", "")
	}
	return nil
}

// structure checks where signatures lie and the revisions they signed.
func (v *verifier) structure(*Report) error {
	v.arrange()
	for _, s := range v.signed {
		if s.broken {
			continue
		}
		if err := v.revision(s); err != nil {
			return err
		}
		if err := v.readRules(s); err != nil {
			if err = s.refuse(err, "signature_malformed"); err != nil {
				return err
			}
		}
		var err error
		if s.shown, err = v.shows(s.node); err != nil {
			return err
		}
	}
	return nil
}

// evidence reads the document security store.
func (v *verifier) evidence(*Report) (err error) {
	if v.store, err = v.readStore(); err == nil && v.store != nil {
		v.judge.help(v.store.certs)
	}
	return err
}

// changes judges what later revisions changed: of each revision from the first
// signed one on, and so of each signature.
func (v *verifier) changes(report *Report) error {
	bases, err := v.bases()
	if err != nil || len(bases) == 0 {
		return err
	}
	c := v.newComparison()
	for i, base := range bases {
		next, end := v.file, v.file.Sections()[0].End
		if i+1 < len(bases) {
			next, end = bases[i+1].old, bases[i+1].end
		}
		changed, err := next.Changes(base.old)
		if err != nil {
			return err
		}
		fault, err := v.account(base.old, next, base.end, end, changed)
		if err != nil {
			return err
		}
		if fault != "" {
			report.find("bytes_unexplained", fault)
		}
		if err := v.orphans(base, next, changed); err != nil {
			return err
		}
		if err := c.judge(base); err != nil {
			return err
		}
		v.blame(base)
	}
	return nil
}

// bases are the revisions to compare the newest one with, the oldest first:
// those signed, and those between and after them which nobody signed.
func (v *verifier) bases() (out []*signed, err error) {
	sections := v.file.Sections()
	for i := len(sections) - 1; i > 0; i-- {
		end := sections[i].End
		base := &signed{position: position{end: end}, stamp: true, out: &findings{verdict: Valid}}
		for _, s := range v.signed {
			// An end of line may follow that is not part of what was signed.
			if !s.broken && s.end <= end && end-s.end <= 2 {
				base = s
			}
		}
		if len(out) == 0 && (base.stamp || base.broken) {
			continue // nothing is signed yet
		}
		if len(out) == maxRevisions {
			return nil, syntax.Errorf(syntax.ErrTooLarge, end, "more than %d revisions after a signature", maxRevisions)
		}
		if base.old == nil {
			if base.old, err = v.file.At(end); err != nil {
				return nil, err
			}
		}
		out = append(out, base)
	}
	return out, v.ctx.Err()
}

// blame makes what was found about a revision a finding of each signature that
// was there.
func (v *verifier) blame(base *signed) {
	for _, s := range v.signed {
		if s.broken || s.stamp || s.end > base.end {
			continue
		}
		for _, fault := range base.faults {
			s.change(fault, true)
		}
		if base.annotated {
			s.out.find("annotated_after", "")
		}
		if base.filled {
			s.filledAfter = max(s.filledAfter, base.end)
		}
	}
}

// tail looks for bytes behind the end of the newest revision: what no
// revision explains, some readers find by searching.
func (v *verifier) tail(report *Report) error {
	sections := v.file.Sections()
	end := int64(0)
	if len(sections) > 0 {
		end = sections[0].End
	}
	if end == v.size {
		return nil
	}
	blank := blanks(true)
	if err := v.copy(&blank, end, v.size); err != nil {
		return err
	}
	if blank {
		report.find("bytes_after", fmt.Sprintf("%d blanks behind the end of the document", v.size-end))
	} else {
		report.find("changed_after", fmt.Sprintf("%d bytes behind the end of the document", v.size-end))
	}
	return nil
}

// blanks becomes false when something else than white space is written.
type blanks bool

func (b *blanks) Write(p []byte) (int, error) {
	for _, c := range p {
		switch c {
		case ' ', '\n', '\r', '\t', '\f', 0:
		default:
			*b = false
		}
	}
	return len(p), nil
}

// cryptography parses the signatures, hashes and verifies.
func (v *verifier) cryptography(*Report) error {
	for _, s := range v.signed {
		if !s.broken {
			s.parse(v.judge)
		}
	}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		if err := v.digests(h); err != nil {
			return err
		}
	}
	return nil
}
