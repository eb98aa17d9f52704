package ca

import (
	"bytes"
	"container/list"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/mohor-sign/mohor/internal/dialguard"
)

// ErrAnswer: the answer of another CA or time-stamp unit is not one that can be
// relied on.
var ErrAnswer = errors.New("answer cannot be relied on")

// Bounds of answers in bytes. A longer CRL would be in every signed document.
const (
	maxOCSPAnswer  = 64 << 10
	maxCRLAnswer   = 1 << 20
	maxTokenAnswer = 64 << 10
)

// Bounds of trust in clocks: what another's may be ahead of ours, and how old an
// answer without an end may be.
const (
	skew    = 5 * time.Minute
	endless = time.Hour
)

// Client asks other CAs about certificates they issued, at the addresses in these
// certificates. It must be asked only about certificates of a chain that is
// trusted: a stranger's certificate names whatever addresses the stranger likes.
// Answers are verified, shared by those who ask at the same time, and kept for
// half of their remaining time, at most an hour.
type Client struct {
	http   *http.Client
	now    func() time.Time
	flight singleflight.Group

	mu     sync.Mutex
	recent *list.List // of *fetched, the latest used in front
	kept   map[string]*list.Element

	sources map[string]*source // by kind and host
}

// Kinds of sources.
const (
	kindOCSP = "ocsp"
	kindCRL  = "crl"
)

// maxFetched is how many answers are kept, at most 256 MB and mostly less than 1.
const maxFetched = 256

type fetched struct {
	key       string
	der       []byte
	at, until time.Time
}

// NewClient makes a client; the addresses it may ask are those of h, which
// dialguard makes.
func NewClient(h *http.Client, now func() time.Time) *Client {
	return &Client{http: h, now: now, recent: list.New(), kept: make(map[string]*list.Element)}
}

// Revocation gives an OCSPResponse or, where that cannot be had, a CRL about cert,
// which issuer signed, both in DER. It does not say whether cert was revoked.
func (c *Client) Revocation(ctx context.Context, cert, issuer *x509.Certificate) (ocsp, crl []byte, err error) {
	return c.RevocationSince(ctx, cert, issuer, time.Time{})
}

// RevocationSince is Revocation with an OCSPResponse that was asked for at since or
// later; the responder may have made it before.
func (c *Client) RevocationSince(ctx context.Context, cert, issuer *x509.Certificate, since time.Time) (ocsp, crl []byte, err error) {
	if ocsp, err = c.ocspSince(ctx, cert, issuer, since); err == nil {
		return ocsp, nil, nil
	}
	crl, crlErr := c.CRL(ctx, cert, issuer)
	if crlErr != nil {
		return nil, nil, errors.Join(err, crlErr)
	}
	return nil, crl, nil
}

// OCSP asks the responders that cert names (RFC 6960) until one gives an answer
// that verifies: about this very certificate, signed by its issuer or a responder
// certified by it, fresh, and with our nonce if with any.
func (c *Client) OCSP(ctx context.Context, cert, issuer *x509.Certificate) ([]byte, error) {
	return c.ocspSince(ctx, cert, issuer, time.Time{})
}

func (c *Client) ocspSince(ctx context.Context, cert, issuer *x509.Certificate, since time.Time) ([]byte, error) {
	return c.first(ctx, kindOCSP, cert, issuer, cert.OCSPServer, since, c.askOCSP)
}

// CRL fetches the list that cert names (RFC 5280, Section 5), complete, direct and
// fresh.
func (c *Client) CRL(ctx context.Context, cert, issuer *x509.Certificate) ([]byte, error) {
	return c.first(ctx, kindCRL, cert, issuer, cert.CRLDistributionPoints, time.Time{}, c.fetchCRL)
}

// ask gets one answer and says when it ends.
type ask func(ctx context.Context, cert, issuer *x509.Certificate, address string) (der []byte, next time.Time, err error)

// first tries the addresses in turn, for all who ask meanwhile.
func (c *Client) first(ctx context.Context, what string, cert, issuer *x509.Certificate, addresses []string, since time.Time, f ask) ([]byte, error) {
	if err := cert.CheckSignatureFrom(issuer); err != nil {
		return nil, fmt.Errorf("checking the issuer of %q: %w", cert.Subject.CommonName, err)
	}
	sum := sha256.Sum256(append(bytes.Clone(issuer.Raw), cert.Raw...))
	key := what + string(sum[:])
	if der := c.get(key, since); der != nil {
		return der, nil
	}
	// The answer is for all: one who gives up must not spoil it. The client's own
	// time limit ends it.
	done := c.flight.DoChan(fmt.Sprint(key, since.UnixNano()), func() (any, error) {
		if der := c.get(key, since); der != nil { // of a flight that has just ended
			return der, nil
		}
		var errs []error
		for _, address := range addresses[:min(len(addresses), maxAddresses)] {
			u, err := url.Parse(address)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" {
				continue // LDAP, mostly
			}
			asked := c.now()
			der, next, err := f(context.WithoutCancel(ctx), cert, issuer, address)
			c.note(what, u.Host, address, cert, issuer, asked, next, err, true)
			if err == nil {
				c.put(key, der, asked, next)
				return der, nil
			}
			errs = append(errs, fmt.Errorf("asking %s for %s: %w", u.Host, what, err))
		}
		if len(errs) == 0 {
			errs = []error{fmt.Errorf("asking for %s: %q names no http address: %w", what, cert.Subject.CommonName, ErrUnknown)}
		}
		return nil, errors.Join(errs...)
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.([]byte), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// maxAddresses bounds how many addresses of a certificate are tried.
const maxAddresses = 3

func (c *Client) get(key string, since time.Time) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.kept[key]
	if e == nil || !c.now().Before(e.Value.(*fetched).until) || e.Value.(*fetched).at.Before(since) {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(*fetched).der
}

func (c *Client) put(key string, der []byte, asked, next time.Time) {
	now := c.now()
	f := &fetched{key, der, asked, now.Add(min(next.Sub(now)/2, time.Hour))}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.kept[key]; e != nil {
		c.recent.Remove(e)
	}
	c.kept[key] = c.recent.PushFront(f)
	if c.recent.Len() > maxFetched {
		last := c.recent.Back()
		c.recent.Remove(last)
		delete(c.kept, last.Value.(*fetched).key)
	}
}

func (c *Client) askOCSP(ctx context.Context, cert, issuer *x509.Certificate, address string) ([]byte, time.Time, error) {
	var none time.Time
	id, err := newCertID(crypto.SHA1, cert.SerialNumber, issuer)
	if err != nil {
		return nil, none, err
	}
	nonce := make([]byte, ocspNonce)
	if _, err := rand.Read(nonce); err != nil {
		return nil, none, fmt.Errorf("making nonce: %w", err)
	}
	request, err := encodeOCSPRequest(id, nonce)
	if err != nil {
		return nil, none, fmt.Errorf("encoding OCSP request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(request))
	if err != nil {
		return nil, none, err
	}
	r.Header.Set("Content-Type", "application/ocsp-request")
	der, err := dialguard.Do(c.http, r, maxOCSPAnswer, "application/ocsp-response")
	if err != nil {
		return nil, none, err
	}
	next, err := checkOCSP(der, id, nonce, issuer, c.now())
	return der, next, err
}

func (c *Client) fetchCRL(ctx context.Context, cert, issuer *x509.Certificate, address string) ([]byte, time.Time, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, time.Time{}, err
	}
	// RFC 2585, Section 4.2, and what servers send that do not know it.
	der, err := dialguard.Do(c.http, r, maxCRLAnswer, "application/pkix-crl", "application/x-pkcs7-crl", "application/octet-stream")
	if err != nil {
		return nil, time.Time{}, err
	}
	next, err := checkCRL(der, cert, issuer, c.now())
	return der, next, err
}
