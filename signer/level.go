package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// tokenMargin is what a time-stamp may be larger than its unit says now, in
// bytes: a new certificate of the unit, with a larger key or a longer name.
const tokenMargin = 1 << 10

// preparePDF makes room in a document for a signature of its level, with a
// time-stamp of the size given, and somewhat more.
func (s *Signer) preparePDF(doc *pdf.Document, o *Options, index uint32, c *Credential, b *cms.Builder, token int) (*pdf.Prepared, error) {
	room := b.Size()
	if stamped(o.of(index).Level) {
		room = b.SizeWith(token + tokenMargin)
	}
	if level := o.of(index).Level; level != "" {
		// A signature that cannot get there is not worth a use of the key.
		if err := doc.Extendable(pdf.Level(level)); err != nil {
			return nil, err
		}
	}
	opts, err := o.pdfOptions(s.Templates, index, c, room)
	if err != nil {
		return nil, err
	}
	return doc.Prepare(opts)
}

// tokenSize is the size of the time-stamp to make room for. The room is part of
// what is signed: a document whose signature was made keeps that which it was
// made with, whatever unit stamps it.
func (s *Signer) tokenSize(a *Authorization, index uint32) (int, error) {
	if !stamped(a.Request.Options.of(index).Level) {
		return 0, nil
	}
	token := s.Timestamps.TokenSize()
	a.mu.Lock()
	before, ok := a.made[index]
	a.mu.Unlock()
	if ok {
		return before.token, nil
	}
	if token <= 0 {
		if err := fmt.Errorf("%w: no unit to make room for", ErrTimestamp); !s.settle(a, s.Now(), err) {
			return 0, err
		}
	}
	return max(0, token), nil
}

func stamped(level string) bool { return level != "" && pdf.Level(level) != pdf.LevelB }

// finishCMS brings a detached signature to its level: CAdES, or what a prepared PDF has
// room for.
func (s *Signer) finishCMS(ctx context.Context, a *Authorization, j *job) (f finished, err error) {
	began, level := s.Now(), reached(&a.Request.Options, j.Index)
	f.level = pdf.Level(level)
	f.contents, f.at, err = s.stamp(ctx, a, level, j.der)
	if stamped(level) && s.settle(a, began, err) {
		return finished{contents: j.der, level: pdf.LevelB}, nil
	}
	return f, err
}

// madeBefore gives the signature of a document that was made before, when what came
// after it failed; nil when there is none.
func (a *Authorization) madeBefore(index uint32, digest []byte) []byte {
	a.mu.Lock()
	before, ok := a.made[index]
	a.mu.Unlock()
	if !ok || before.der == nil {
		return nil
	}
	if sd, err := cms.Parse(before.der, a.parsed()...); err != nil || sd.Verify(digest) != nil {
		return nil
	}
	return before.der
}

// madeValue is madeBefore of a signature value alone.
func (a *Authorization) madeValue(index uint32) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.made[index].value
}

// endedBefore is what a signature came to at its level in a try before; nil when there was none.
func (a *Authorization) endedBefore(index uint32) *finished {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.made[index].end
}

// keepEnd keeps that: no authority is asked again for what it gave.
func (a *Authorization) keepEnd(index uint32, f finished) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m, ok := a.made[index]; ok {
		m.end = &f
		a.made[index] = m
	}
}

// keepMade keeps a signature until [Authorization.forget].
func (a *Authorization) keepMade(index uint32, m made) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.made == nil {
		a.made = map[uint32]made{}
	}
	a.made[index] = m
}

// stampOf is the signature with its time-stamp, had before something after it failed;
// nil without one.
func (a *Authorization) stampOf(index uint32) ([]byte, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.made[index]
	return m.with, m.at
}

// keepStamp keeps it: an authority is asked once for one signature.
func (a *Authorization) keepStamp(index uint32, with []byte, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m, ok := a.made[index]; ok {
		m.with, m.at = with, at
		a.made[index] = m
	}
}

// forget drops it.
func (a *Authorization) forget(index uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.made, index)
}

// stamp adds a time-stamp of the signature value where the level asks for one
// (ETSI EN 319 122-1, Section 5.3). The token is checked before it is believed.
func (s *Signer) stamp(ctx context.Context, a *Authorization, level string, der []byte) ([]byte, time.Time, error) {
	if !stamped(level) {
		return der, time.Time{}, nil
	}
	parsed := a.parsed()
	sd, err := cms.Parse(der, parsed...)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("reading SignedData: %w", err)
	}
	imprint := sha256.Sum256(sd.SignatureValue())
	token, err := s.Timestamps.Timestamp(ctx, crypto.SHA256, imprint[:])
	if err != nil {
		return nil, time.Time{}, unavailable(err)
	}
	der, ts, err := cms.Stamp(der, token, parsed...)
	if err == nil && !bytes.Equal(ts.Imprint, imprint[:]) {
		err = cms.ErrDigest // a digest of another kind was asked for
	}
	if err != nil {
		return nil, time.Time{}, unavailable(err)
	}
	return der, ts.Time, nil
}

// finished is a signature at its level.
type finished struct {
	contents []byte    // the CMS for the room in the document
	more     []byte    // what goes behind the signed document
	at       time.Time // of the time-stamp
	level    pdf.Level // the one reached
}

// finish brings a signature that was made to its level, or to the one it can reach
// when that takes too long, see [Outage].
func (s *Signer) finish(ctx context.Context, a *Authorization, index uint32, p *pdf.Prepared, der, password []byte) (finished, error) {
	began, level := s.Now(), pdf.Level(reached(&a.Request.Options, index))
	f, err := s.finishAt(ctx, a, index, level, p, der, password)
	if level == pdf.LevelB {
		return f, err
	}
	if s.settle(a, began, err) {
		err = nil
	}
	return f, err
}

// finishAt brings a signature to a level. With an error it returns what can be done
// without what failed.
//
// A time-stamp for which there is no room is no reason to use the key again:
// one of the document takes its place (ETSI EN 319 142-1, Section 6.3).
// B-LT and B-LTA append evidence about the signature, and a time-stamp over all
// of it (Sections 6.2.3 and 6.2.4).
func (s *Signer) finishAt(ctx context.Context, a *Authorization, index uint32, level pdf.Level, p *pdf.Prepared, der, password []byte) (finished, error) {
	f := finished{contents: der, level: pdf.LevelB}
	with, at := a.stampOf(index)
	if with == nil {
		var err error
		if with, at, err = s.stamp(ctx, a, string(level), der); err != nil || level == pdf.LevelB {
			return f, err
		}
	}
	fits := len(with) <= p.Room()
	long := level == pdf.LevelLT || level == pdf.LevelLTA
	if fits {
		a.keepStamp(index, with, at)
		f = finished{contents: with, at: at, level: pdf.LevelT}
	}
	if fits && !long {
		return f, nil
	}
	r, size, err := p.Signed(f.contents)
	if err != nil {
		return f, err
	}
	var b bytes.Buffer
	if !fits {
		u, at, err := s.stampPDF(ctx, r, size, password)
		if err != nil {
			return f, err
		}
		if _, err := u.Append(&b); err != nil {
			return f, err
		}
		r, size = u.Updated()
		f = finished{contents: der, more: bytes.Clone(b.Bytes()), at: at, level: pdf.LevelT}
	}
	if long {
		chain := a.Credential.Chain
		roots := x509.NewCertPool()
		roots.AddCert(chain[len(chain)-1])
		stamps := roots
		if s.TSARoots != nil {
			stamps = s.TSARoots()
		}
		_, err = pdf.Extend(ctx, r, size, level, pdf.Services{
			Timestamper: s.Timestamps, Revocation: answers{s, a}, Memory: &a.evidence.memory, Roots: roots, TSARoots: stamps, Intermediates: chain, Newest: true, Password: password, Now: s.Now}, &b)
		if err != nil {
			return f, unavailable(err)
		}
		f.more, f.level = b.Bytes(), level
	}
	return f, nil
}

// stampPDF time-stamps a signed document. One that takes no such time-stamp
// (its owner permits no new field) is not refused for it: with the next
// authorisation it has the room that tokens need now.
func (s *Signer) stampPDF(ctx context.Context, r io.ReaderAt, size int64, password []byte) (*pdf.Update, time.Time, error) {
	doc, err := pdf.OpenWith(r, size, pdf.OpenOptions{Password: password})
	if err != nil {
		return nil, time.Time{}, err
	}
	u, at, err := doc.AddTimestamp(ctx, s.Timestamps)
	var refused *pdf.Error
	if errors.As(err, &refused) {
		return nil, at, fmt.Errorf("%w: larger than its room, and none can be added: %s", ErrTimestamp, refused.Detail)
	}
	if err != nil {
		return nil, at, unavailable(err)
	}
	return u, at, nil
}

// unavailable keeps the HSM's own words, which say when to try again.
func unavailable(err error) error {
	var refused *pdf.Error
	if errors.Is(err, ErrKeysUnavailable) || errors.Is(err, ErrBusy) || errors.Is(err, context.Canceled) || errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrTimestamp, err)
}
