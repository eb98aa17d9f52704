package pdf

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/pdf/revocation"
)

// Memory keeps what Extend has verified about certificates, for the documents
// after it: paths to trust anchors, and answers about certificates. It is found
// again by its very bytes; signatures and time-stamps are verified each. The
// zero value is ready, several goroutines may use it, and it is bounded.
type Memory struct {
	mu    sync.Mutex
	certs []*x509.Certificate // on the paths
	paths map[[sha256.Size]byte]keptPath
	ocsps map[[3 * sha256.Size]byte]keptOCSP
	crls  map[[3 * sha256.Size]byte]keptCRL
}

// Bounds of what is kept: beyond one, that kind starts afresh.
const (
	maxRemembered      = 256
	maxRememberedLists = 16 // of revoked certificates, up to some megabytes each
)

// keptPath is a verified path, as long as all of it is valid.
type keptPath struct {
	roots       *x509.CertPool
	chain       []*x509.Certificate
	from, until time.Time
}

type keptOCSP struct {
	response *ocsp.Response
	err      error
}

type keptCRL struct {
	list *x509.RevocationList
	err  error
}

// Certificates are those on the paths found so far.
func (m *Memory) Certificates() []*x509.Certificate {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.certs[:len(m.certs):len(m.certs)]
}

// path returns the shortest path from leaf to one of roots at a time.
// intermediates is called when there is none yet.
func (m *Memory) path(leaf *x509.Certificate, roots *x509.CertPool, at time.Time, intermediates func() *x509.CertPool) ([]*x509.Certificate, error) {
	key := sha256.Sum256(leaf.Raw)
	m.mu.Lock()
	kept, ok := m.paths[key]
	m.mu.Unlock()
	if ok && !at.Before(kept.from) && !at.After(kept.until) && (kept.roots == roots || kept.roots.Equal(roots)) {
		return kept.chain, nil
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, fmt.Errorf("building path: %w", err)
	}
	kept = keptPath{roots: roots, chain: chains[0], from: leaf.NotBefore, until: leaf.NotAfter}
	for _, other := range chains[1:] {
		if len(other) < len(kept.chain) {
			kept.chain = other
		}
	}
	for _, c := range kept.chain {
		if c.NotBefore.After(kept.from) {
			kept.from = c.NotBefore
		}
		if c.NotAfter.Before(kept.until) {
			kept.until = c.NotAfter
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.paths == nil || len(m.paths) >= maxRemembered {
		m.paths, m.certs = make(map[[sha256.Size]byte]keptPath), nil
	}
	m.paths[key] = kept
	for _, c := range kept.chain {
		if !slices.ContainsFunc(m.certs, c.Equal) {
			m.certs = append(m.certs, c)
		}
	}
	return kept.chain, nil
}

// about is the key of an answer about a certificate.
func about(der []byte, cert, issuer *x509.Certificate) (key [3 * sha256.Size]byte) {
	for i, b := range [][]byte{der, cert.Raw, issuer.Raw} {
		sum := sha256.Sum256(b)
		copy(key[i*sha256.Size:], sum[:])
	}
	return key
}

// readOCSP reads an answer that knows the certificate, by the issuer or by
// somebody whom it lets answer (RFC 6960, Section 4.2.2.2).
func (m *Memory) readOCSP(der []byte, cert, issuer *x509.Certificate) (*ocsp.Response, error) {
	key := about(der, cert, issuer)
	m.mu.Lock()
	kept, ok := m.ocsps[key]
	m.mu.Unlock()
	if ok {
		return kept.response, kept.err
	}
	kept.response, kept.err = readOCSP(der, cert, issuer)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ocsps == nil || len(m.ocsps) >= maxRemembered {
		m.ocsps = make(map[[3 * sha256.Size]byte]keptOCSP)
	}
	m.ocsps[key] = kept
	return kept.response, kept.err
}

// readCRL reads a list that speaks of the certificate.
func (m *Memory) readCRL(der []byte, cert, issuer *x509.Certificate) (*x509.RevocationList, error) {
	key := about(der, cert, issuer)
	m.mu.Lock()
	kept, ok := m.crls[key]
	m.mu.Unlock()
	if ok {
		return kept.list, kept.err
	}
	kept.list, kept.err = readCRL(der, cert, issuer)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crls == nil || len(m.crls) >= maxRememberedLists {
		m.crls = make(map[[3 * sha256.Size]byte]keptCRL)
	}
	m.crls[key] = kept
	return kept.list, kept.err
}

// readOCSP reads an answer: the parser checks no more than signatures.
func readOCSP(der []byte, cert, issuer *x509.Certificate) (*ocsp.Response, error) {
	r, err := ocsp.ParseResponseForCert(der, cert, issuer)
	if err != nil {
		return nil, fmt.Errorf("reading OCSP response: %w", err)
	}
	if r.Status == ocsp.Unknown {
		return nil, errors.New("the responder does not know the certificate")
	}
	if by := r.Certificate; by != nil && !revocation.MayAnswer(by, issuer, r.ProducedAt) {
		return nil, errors.New("the responder may not answer for the issuer")
	}
	return r, nil
}

func readCRL(der []byte, cert, issuer *x509.Certificate) (*x509.RevocationList, error) {
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("reading revocation list: %w", err)
	}
	if err := crl.CheckSignatureFrom(issuer); err != nil {
		return nil, fmt.Errorf("checking revocation list: %w", err)
	}
	if !bytes.Equal(crl.RawIssuer, cert.RawIssuer) {
		return nil, errors.New("the revocation list is another issuer's")
	}
	return crl, revocation.Covers(crl, cert)
}
