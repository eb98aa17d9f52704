package ca

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Answering is how the OCSP responder of an issuing CA is.
type Answering struct {
	Issuer      string            // name of the CA
	Certificate *x509.Certificate // the responder's; nil when it has none
	Ends        bool              // the certificate ends with its CA, and cannot be made to last longer
	Fresh       Freshness         // of the answer it gave
	Err         error             // why it gave none that can be relied on
}

// Answers has the responder of each issuing CA answer about a certificate that is in force, its
// own, and judges the answer as a stranger would. Answers are kept as always: most cost nothing.
// CAs whose own certificate is revoked, or has ended, are left out.
func (a *Authorities) Answers(ctx context.Context) (out []Answering, err error) {
	s := a.set.Load()
	for _, x := range s.list {
		issuer := s.certs[x.Name]
		if issuer == nil || x.Parent == "" {
			continue
		}
		row, err := a.records.CertificateBySerial(ctx, issuer.SerialNumber.String())
		if err != nil {
			return nil, fmt.Errorf("reading the %s certificate: %w", x.Name, err)
		}
		if row.Status != Active || a.now().After(issuer.NotAfter) {
			continue
		}
		r := Answering{Issuer: x.Name}
		u, err := a.usable(ctx, responder(x.Name), a.now())
		if err == nil {
			r.Certificate, r.Ends = u.cert, !u.cert.NotAfter.Before(issuer.NotAfter)
			r.Fresh, err = a.prove(ctx, u.cert, issuer)
		}
		r.Err = err
		out = append(out, r)
	}
	return out, nil
}

// prove has cert, which is in force, answered for.
func (a *Authorities) prove(ctx context.Context, cert, issuer *x509.Certificate) (f Freshness, err error) {
	der, err := a.OCSP(ctx, cert, issuer)
	if err != nil {
		return f, err
	}
	id, err := newCertID(crypto.SHA1, cert.SerialNumber, issuer)
	if err != nil {
		return f, err
	}
	if f.Until, err = checkOCSP(der, id, nil, issuer, a.now()); err != nil {
		return f, err
	}
	got, err := ocsp.ParseResponse(der, issuer)
	if err == nil && got.Status != ocsp.Good {
		err = fmt.Errorf("%w: it says that a certificate in force is not", ErrAnswer)
	}
	if err != nil {
		return f, err
	}
	f.ThisUpdate = got.ThisUpdate
	return f, nil
}

// Source is a server of others that was asked about certificates, and what came of it.
type Source struct {
	Kind, Host string    // "ocsp" or "crl"
	Good       time.Time // of its last answer that could be relied on; zero for none
	Until      time.Time // the end of that answer
	// Since is when the first of those tries was made that have failed in a row, Tried the last;
	// Err is why it did. Without failures they are zero.
	Since, Tried time.Time
	Err          error
}

// source is a Source with what was asked last, to be asked again.
type source struct {
	Source
	cert, issuer *x509.Certificate
	address      string
	wanted       time.Time // by somebody else than Retry
}

// Bounds of what is remembered of sources.
const (
	maxSources = 64
	sourceFor  = 24 * time.Hour // after it was asked by somebody
)

// note remembers what came of a try. wanted: somebody waits for the answer.
func (c *Client) note(kind, host, address string, cert, issuer *x509.Certificate, asked, until time.Time, err error, wanted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := kind + " " + host
	s := c.sources[key]
	if s == nil {
		if !wanted {
			return // forgotten meanwhile
		}
		if c.sources == nil {
			c.sources = make(map[string]*source)
		}
		if len(c.sources) >= maxSources {
			delete(c.sources, c.leastWanted())
		}
		s = &source{Source: Source{Kind: kind, Host: host}}
		c.sources[key] = s
	}
	s.cert, s.issuer, s.address = cert, issuer, address
	if wanted {
		s.wanted = asked
	}
	if err == nil {
		s.Good, s.Until, s.Since, s.Tried, s.Err = asked, until, time.Time{}, time.Time{}, nil
		return
	}
	if s.Since.IsZero() {
		s.Since = asked
	}
	s.Tried, s.Err = asked, err
}

// leastWanted is the source that nobody has asked for the longest time; c.mu is held.
func (c *Client) leastWanted() (key string) {
	for k, s := range c.sources {
		if key == "" || s.wanted.Before(c.sources[key].wanted) {
			key = k
		}
	}
	return key
}

// Sources lists the servers that were asked within a day, in order of kind and host.
func (c *Client) Sources() (out []Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, s := range c.sources {
		if c.now().Sub(s.wanted) > sourceFor {
			delete(c.sources, key)
			continue
		}
		out = append(out, s.Source)
	}
	slices.SortFunc(out, func(x, y Source) int {
		return cmp.Or(strings.Compare(x.Kind, y.Kind), strings.Compare(x.Host, y.Host))
	})
	return out
}

// Retry asks those sources again whose last try failed so long ago, one after the other: who
// signs asks only when there is something to sign.
func (c *Client) Retry(ctx context.Context, after time.Duration) {
	c.mu.Lock()
	var again []source
	for _, s := range c.sources {
		if s.Err != nil && c.now().Sub(s.Tried) >= after && c.now().Sub(s.wanted) <= sourceFor {
			again = append(again, *s)
		}
	}
	c.mu.Unlock()
	for _, s := range again {
		if ctx.Err() != nil {
			return
		}
		f := c.askOCSP
		if s.Kind == kindCRL {
			f = c.fetchCRL
		}
		asked := c.now()
		_, until, err := f(ctx, s.cert, s.issuer, s.address)
		if err != nil && ctx.Err() != nil {
			return // our haste says nothing about it
		}
		c.note(s.Kind, s.Host, s.address, s.cert, s.issuer, asked, until, err, false)
	}
}
