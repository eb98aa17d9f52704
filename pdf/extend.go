package pdf

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/pdf/cms"
)

// Services are what Extend works with.
type Services struct {
	// Timestamper is needed for LevelT and LevelLTA, Revocation from LevelLT on,
	// where the document lacks something of it.
	Timestamper Timestamper
	Revocation  Revocation
	// Roots are the trust anchors of signatories, TSARoots those of time-stamping
	// authorities, Roots when nil: no evidence is asked for about them. Intermediates
	// are certificates for paths besides those in the document. Roots are needed from
	// LevelLT on.
	Roots         *x509.CertPool
	TSARoots      *x509.CertPool
	Intermediates []*x509.Certificate
	// Renew adds a document time-stamp, and the evidence for the ones before,
	// to a document that is at LevelLTA already: before the certificate of the
	// last one expires, or its algorithm is no longer trusted.
	Renew bool
	// Newest leaves alone what came before the last signature: who signs after
	// others need not answer for them.
	Newest bool
	// Memory keeps what is verified about certificates from document to document;
	// nil: it is verified for each.
	Memory *Memory
	// Password opens an encrypted document.
	Password []byte
	// Now is time.Now when nil.
	Now func() time.Time
}

// Extend brings all signatures of a document, whoever made them, to a level
// above LevelB and writes to w what is to be appended to the document. It
// returns the number of bytes written: 0 when the document is at that level
// already. On an error before writing, one of the services included, nothing
// is written.
//
// A signature without time-stamp gets a document time-stamp, as nothing can be
// put into it any more. Evidence is collected for each certificate on the paths
// of signatories, of time-stamping authorities and of OCSP responders, but for
// the trust anchors and for responders that need none (id-pkix-ocsp-nocheck,
// RFC 6960, Section 4.2.2.2.1). A document time-stamp is of SHA-256.
//
// The signatures are not judged: verify the document before and after. It
// refuses with ErrOptions when there is no signature, a service is missing or
// the level unknown, and as Open, AddEvidence and PrepareTimestamp do.
func Extend(ctx context.Context, r io.ReaderAt, size int64, level Level, s Services, w io.Writer) (int64, error) {
	if level.rank() < LevelT.rank() {
		return 0, refuse("level %q to extend to", string(level))
	}
	if level != LevelT && s.Roots == nil {
		return 0, refuse("no trust anchors")
	}
	if s.TSARoots == nil {
		s.TSARoots = s.Roots
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	x := &extender{s: s, r: r, size: size, memory: s.Memory}
	if x.memory == nil {
		x.memory = &Memory{}
	}
	if err := x.run(ctx, level); err != nil {
		return 0, err
	}
	n, err := w.Write(x.out.Bytes())
	if err != nil {
		return int64(n), fmt.Errorf("writing update: %w", err)
	}
	return int64(n), nil
}

// Extendable says whether a document can be brought to a level once it is
// signed, as far as the document decides it: before a key is used for a
// signature that would not be released without. It tries what Extend does with
// evidence and a time-stamp made up, writes nothing, and refuses as Open,
// AddEvidence and PrepareTimestamp do, or with ErrOptions when the level is
// unknown.
func (d *Document) Extendable(level Level) error {
	rank := level.rank()
	if rank == 0 {
		return refuse("level %q to extend to", string(level))
	}
	if rank <= LevelT.rank() {
		return nil
	}
	if _, err := d.sealed(); err != nil {
		return err
	}
	sample := [][]byte{{0x30, 0}}
	if _, err := d.AddEvidence(map[string]Evidence{"": {Certificates: sample, OCSPs: sample, CRLs: sample}}); err != nil {
		return err
	}
	if level == LevelLTA {
		if _, err := d.PrepareTimestamp(1); err != nil {
			return err
		}
	}
	return nil
}

// extender holds the document as it grows.
type extender struct {
	s    Services
	r    io.ReaderAt
	size int64
	out  bytes.Buffer

	memory *Memory
	doc    *Document
	store  *store
	held   []*x509.Certificate // in the store
	seals  []seal
}

// seal is a signature or document time-stamp, read.
type seal struct {
	sealed
	signer *x509.Certificate
	others []*x509.Certificate
	tokens []*cms.Timestamp // of the signature, or the document time-stamp itself
}

// run does the steps that are missing.
func (x *extender) run(ctx context.Context, level Level) error {
	if err := x.read(); err != nil {
		return err
	}
	if level != LevelT {
		done, err := x.archived(ctx)
		if err != nil || done && !(x.s.Renew && level == LevelLTA) {
			return err
		}
	}
	if !x.stamped() {
		if err := x.stamp(ctx); err != nil {
			return err
		}
	}
	if level == LevelT {
		return nil
	}
	if err := x.prove(ctx); err != nil {
		return err
	}
	if level == LevelLT {
		return nil
	}
	return x.stamp(ctx)
}

// open opens the document as it is now, unless it is open.
func (x *extender) open() (err error) {
	if x.doc == nil {
		x.doc, err = OpenWith(x.r, x.size, OpenOptions{Password: x.s.Password})
	}
	return err
}

// read reads signatures and store of the document as it is now.
func (x *extender) read() error {
	if err := x.open(); err != nil || x.store != nil {
		return err
	}
	store, err := x.doc.store()
	if err != nil {
		return err
	}
	x.store = store
	known := slices.Concat(x.s.Intermediates, x.memory.Certificates())
	x.held = parseAll(x.store.held.Certificates, known)
	known = append(known, x.held...)
	all, err := x.doc.sealed()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return refuse("a document without signatures")
	}
	if x.s.Newest {
		all = newest(all)
	}
	x.seals = x.seals[:0]
	for _, one := range all {
		s := seal{sealed: one}
		if err := s.parse(known); err != nil {
			return fmt.Errorf("reading signature %q: %w", one.field, err)
		}
		x.seals = append(x.seals, s)
	}
	return nil
}

// newest are the last signature and the document time-stamps after it.
func newest(all []sealed) []sealed {
	for i := len(all) - 1; i > 0; i-- {
		if !all[i].stamp {
			return all[i:]
		}
	}
	return all
}

func (s *seal) parse(known []*x509.Certificate) error {
	tokens := [][]byte{s.der}
	if !s.stamp {
		sd, err := cms.Parse(s.der, known...)
		if err != nil {
			return err
		}
		s.signer, s.others, tokens = sd.Certificate, sd.Others, sd.Timestamps
	}
	for _, der := range tokens {
		token, err := cms.ParseTimestamp(der, known...)
		if err != nil {
			return fmt.Errorf("reading time-stamp: %w", err)
		}
		s.tokens = append(s.tokens, token)
	}
	return nil
}

// parseAll reads certificates, but for those known; what cannot be read is of no use.
func parseAll(ders [][]byte, known []*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, der := range ders {
		if i := slices.IndexFunc(known, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, der) }); i >= 0 {
			out = append(out, known[i])
		} else if c, err := x509.ParseCertificate(der); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// time is the earliest time at which the signature is known to have existed:
// that of its own time-stamps or of a document time-stamp over it. ok is false
// without one.
func (x *extender) time(s *seal) (at time.Time, ok bool) {
	for _, other := range x.seals {
		if other.end != s.end && (!other.stamp || other.end < s.end) {
			continue
		}
		for _, token := range other.tokens {
			if !ok || token.Time.Before(at) {
				at, ok = token.Time, true
			}
		}
	}
	return at, ok
}

// stamped says whether there is a time-stamp over each signature.
func (x *extender) stamped() bool {
	for i := range x.seals {
		if _, ok := x.time(&x.seals[i]); !ok {
			return false
		}
	}
	return true
}

// archived says whether a document time-stamp covers the whole document with
// the evidence of all others.
func (x *extender) archived(ctx context.Context) (bool, error) {
	last := x.seals[len(x.seals)-1]
	if !last.stamp || last.end != x.size {
		return false, nil
	}
	_, err := x.collect(ctx, x.seals[:len(x.seals)-1], nil)
	if errors.Is(err, errMissing) {
		return false, nil
	}
	return err == nil, err
}

// prove adds the evidence that is missing.
func (x *extender) prove(ctx context.Context) error {
	if err := x.read(); err != nil {
		return err
	}
	evidence, err := x.collect(ctx, x.seals, x.s.Revocation)
	if errors.Is(err, errMissing) {
		return refuse("no revocation service")
	}
	if err != nil {
		return err
	}
	update, err := x.doc.AddEvidence(evidence)
	if err != nil {
		return err
	}
	return x.grow(update)
}

// stamp adds a document time-stamp.
func (x *extender) stamp(ctx context.Context) error {
	if x.s.Timestamper == nil {
		return refuse("no time-stamping service")
	}
	if err := x.open(); err != nil {
		return err
	}
	update, _, err := x.doc.addTimestamp(ctx, x.s.Timestamper, x.memory.Certificates())
	if err != nil {
		return err
	}
	return x.grow(update)
}

// grow appends to the document.
func (x *extender) grow(u *Update) error {
	if _, err := u.Append(&x.out); err != nil {
		return err
	}
	x.r, x.size = u.Updated()
	x.doc, x.store = nil, nil
	return nil
}
