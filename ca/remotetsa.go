package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/mohor-sign/mohor/internal/dialguard"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// RemoteTSA is another's time-stamp unit, asked over HTTP (RFC 3161, Section 3.4).
// URL, HTTP, Roots and Now are required.
type RemoteTSA struct {
	URL string
	// HTTP is what dialguard makes.
	HTTP *http.Client
	// Roots are those the unit's certificate must lead to, with what is in the token.
	Roots *x509.CertPool
	Now   func() time.Time
	// Size is what TokenSize says; 0 means 16 KiB. A longer token is refused.
	Size int
	// Parallel bounds the requests under way, when it is one of RemoteTSAs; 0 means 4.
	Parallel int
	// Authorize, unless nil, adds to a request what the unit knows its callers by.
	Authorize func(r *http.Request)
}

// TokenSize is a bound in bytes of what Timestamp returns.
func (t *RemoteTSA) TokenSize() int {
	if t.Size == 0 {
		return 16 << 10
	}
	return t.Size
}

// Timestamp asks once and gives a token that verifies: our imprint and nonce, our
// time to five minutes, signed by a unit whose certificate is for time-stamps
// alone, valid, and of one of Roots. Whether it was revoked is not asked. ErrAnswer
// when the token cannot be relied on.
func (t *RemoteTSA) Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return nil, fmt.Errorf("making nonce: %w", err)
	}
	request, err := cms.TimestampRequest(h, digest, nonce, nil, true)
	if err != nil {
		return nil, fmt.Errorf("encoding time-stamp request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(request))
	if err != nil {
		return nil, fmt.Errorf("asking for a time-stamp: %w", err)
	}
	r.Header.Set("Content-Type", "application/timestamp-query")
	if t.Authorize != nil {
		t.Authorize(r)
	}
	reply, err := dialguard.Do(t.HTTP, r, maxTokenAnswer, "application/timestamp-reply")
	if err != nil {
		return nil, fmt.Errorf("asking for a time-stamp: %w", err)
	}
	token, err := cms.ParseTimestampResponse(reply)
	if err != nil {
		return nil, fmt.Errorf("reading time-stamp: %w: %w", ErrAnswer, err)
	}
	if err := t.check(token, h, digest, nonce); err != nil {
		return nil, fmt.Errorf("checking time-stamp: %w", err)
	}
	return token, nil
}

func (t *RemoteTSA) check(token []byte, h crypto.Hash, digest []byte, nonce *big.Int) error {
	ts, err := cms.ParseTimestamp(token)
	if err == nil {
		err = ts.Verify(digest)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	between := x509.NewCertPool()
	for _, c := range ts.Others {
		between.AddCert(c)
	}
	switch now := t.Now(); {
	case len(token) > t.TokenSize():
		return fmt.Errorf("%w: it has %d bytes", ErrAnswer, len(token))
	case ts.Hash != h:
		return fmt.Errorf("%w: it is over a digest of %v", ErrAnswer, ts.Hash)
	case ts.Nonce == nil || ts.Nonce.Cmp(nonce) != 0:
		return fmt.Errorf("%w: it answers another request", ErrAnswer)
	case !ts.ForTimestamps():
		return fmt.Errorf("%w: %q is not a certificate for time-stamps alone", ErrAnswer, ts.Certificate.Subject.CommonName)
	case ts.Time.After(now.Add(skew)) || ts.Time.Before(now.Add(-skew)):
		return fmt.Errorf("%w: its time is %s", ErrAnswer, ts.Time.Format(time.RFC3339))
	}
	_, err = ts.Certificate.Verify(x509.VerifyOptions{Roots: t.Roots, Intermediates: between, CurrentTime: ts.Time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return nil
}
