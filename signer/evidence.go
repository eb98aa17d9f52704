package signer

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
	"golang.org/x/sync/singleflight"

	"github.com/mohor-sign/mohor/pdf"
)

// Revocation answers for the status of certificates. It bounds time, size and
// addresses by itself and may be called concurrently.
type Revocation interface {
	// Revocation returns an answer about cert, which issuer signed, as
	// [pdf.Revocation] does. The thisUpdate of one that is ours to make is since
	// or later; another's responder was asked at since or later, and answers with
	// what it has. A list of revoked certificates is as old as
	// its issuer lets it be.
	Revocation(ctx context.Context, cert, issuer *x509.Certificate, since time.Time) (pdf.Answer, error)
}

// evidenceFor bounds how long an answer serves the documents of one
// authorisation. It ends earlier when half of the time is over that it has left.
const evidenceFor = 15 * time.Minute

// evidence is what the documents of one authorisation share: the answers about
// certificates, and what was verified about them. It decides nothing: whether a
// certificate was revoked meanwhile is read when documents are completed.
type evidence struct {
	memory pdf.Memory
	flight singleflight.Group

	mu   sync.Mutex
	kept map[[2 * sha256.Size]byte]keptAnswer
}

// keptAnswer serves until its time.
type keptAnswer struct {
	answer pdf.Answer
	until  time.Time
}

// answers is the evidence of an authorisation as package pdf asks for it.
type answers struct {
	s *Signer
	a *Authorization
}

// Revocation implements [pdf.Revocation]: each certificate is asked for once, by
// whichever document is first, until the answer is old. That about the signatory's
// own certificate is of the time of the intent or later (ETSI EN 319 102-1, Section
// 5.2.5): one from before could not know of a revocation between it and the
// signature. Both times are whole seconds, so it may be a second older all the
// same; what happened in that second, Authorize and Complete have read.
func (x answers) Revocation(ctx context.Context, cert, issuer *x509.Certificate) (pdf.Answer, error) {
	e := &x.a.evidence
	var key [2 * sha256.Size]byte
	for i, c := range []*x509.Certificate{cert, issuer} {
		sum := sha256.Sum256(c.Raw)
		copy(key[i*sha256.Size:], sum[:])
	}
	if answer, ok := e.get(key, x.s.Now()); ok {
		return answer, nil
	}
	var since time.Time
	if cert.Equal(x.a.Credential.Certificate) {
		since = x.a.Intent.CreatedAt
	}
	// The answer is for all documents: one that gives up must not spoil it.
	done := e.flight.DoChan(string(key[:]), func() (kept any, err error) {
		defer func() { // nobody could recover behind this: who waits panics
			if recover() != nil {
				kept, err = &Panic{debug.Stack()}, nil
			}
		}()
		if answer, ok := e.get(key, x.s.Now()); ok { // of a flight that has just ended
			return answer, nil
		}
		answer, err := x.s.Revocation.Revocation(context.WithoutCancel(ctx), cert, issuer, since)
		if err != nil {
			return answer, err
		}
		until, err := servesUntil(answer, cert, issuer, x.s.Now())
		if err == nil {
			e.put(key, keptAnswer{answer, until})
		}
		return answer, err
	})
	select {
	case r := <-done:
		if p, ok := r.Val.(*Panic); ok {
			panic(p)
		}
		answer, _ := r.Val.(pdf.Answer)
		return answer, r.Err
	case <-ctx.Done():
		return pdf.Answer{}, ctx.Err()
	}
}

func (e *evidence) get(key [2 * sha256.Size]byte, now time.Time) (pdf.Answer, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k, ok := e.kept[key]
	return k.answer, ok && now.Before(k.until)
}

// maxAnswers bounds what is kept: beyond it, it starts afresh. A batch has some
// five certificates, and documents that others signed before have theirs.
const maxAnswers = 64

func (e *evidence) put(key [2 * sha256.Size]byte, k keptAnswer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kept == nil || len(e.kept) >= maxAnswers {
		e.kept = make(map[[2 * sha256.Size]byte]keptAnswer)
	}
	e.kept[key] = k
}

// servesUntil is how long an answer may be used again. It is an error when the
// answer cannot be read.
func servesUntil(answer pdf.Answer, cert, issuer *x509.Certificate, now time.Time) (time.Time, error) {
	var next time.Time
	if len(answer.OCSP) > 0 {
		r, err := ocsp.ParseResponseForCert(answer.OCSP, cert, issuer)
		if err != nil {
			return next, fmt.Errorf("reading OCSP response: %w", err)
		}
		next = r.NextUpdate
	} else if len(answer.CRL) > 0 {
		crl, err := x509.ParseRevocationList(answer.CRL)
		if err != nil {
			return next, fmt.Errorf("reading revocation list: %w", err)
		}
		next = crl.NextUpdate
	}
	until := now.Add(evidenceFor)
	if !next.IsZero() && next.Sub(now)/2 < evidenceFor {
		until = now.Add(next.Sub(now) / 2)
	}
	return until, nil
}

// parsed are the certificates that need not be parsed again: the credential's,
// and those of time-stamps seen before.
func (a *Authorization) parsed() []*x509.Certificate {
	return slices.Concat([]*x509.Certificate{a.Credential.Certificate}, a.Credential.Chain, a.evidence.memory.Certificates())
}
