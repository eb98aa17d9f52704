package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digitorus/timestamp"

	"github.com/mohor-sign/mohor/ca"
)

// gate is a time-stamp server in memory, which answers when it is let.
type gate struct {
	*abroad
	leafKey *ecdsa.PrivateKey
	under   atomic.Int64
	all     atomic.Int64
	pass    chan bool // false: answer 503
}

func newGate(t *testing.T) *gate {
	x := &abroad{now: time.Now().UTC().Truncate(time.Second)}
	x.cert, x.key = x.issue(t, "A TSA root", nil)
	eku, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	must(t, err)
	g := &gate{abroad: x, pass: make(chan bool)}
	g.leaf, g.leafKey = x.issue(t, "A TSA", func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageDigitalSignature
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: eku}}
	})
	return g
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	g.all.Add(1)
	g.under.Add(1)
	defer g.under.Add(-1)
	if !<-g.pass {
		return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody, Request: r}, nil
	}
	query, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	asked, err := timestamp.ParseRequest(query)
	if err != nil {
		return nil, err
	}
	made := timestamp.Timestamp{HashAlgorithm: asked.HashAlgorithm, HashedMessage: asked.HashedMessage, Time: g.now, Nonce: asked.Nonce, Policy: asn1.ObjectIdentifier{1, 2, 3}, AddTSACertificate: true}
	reply, err := made.CreateResponseWithOpts(g.leaf, g.leafKey, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/timestamp-reply"}}, Body: io.NopCloser(bytes.NewReader(reply)), ContentLength: int64(len(reply)), Request: r}, nil
}

func (g *gate) client(parallel int) *ca.RemoteTSAs {
	roots := x509.NewCertPool()
	roots.AddCert(g.cert)
	return ca.NewRemoteTSAs(time.Now, &ca.RemoteTSA{URL: "http://tsa.example/", HTTP: &http.Client{Transport: g}, Roots: roots, Now: g.clock, Parallel: parallel})
}

// Whoever wants time-stamps for thousands, a server has so many requests under way
// and no more, and all are answered in the end.
func TestFewAreAskedForAtOnce(t *testing.T) {
	for parallel, want := range map[int]int64{0: 4, 1: 1, 3: 3} {
		synctest.Test(t, func(t *testing.T) {
			const count = 50
			g := newGate(t)
			r := g.client(parallel)
			var tokens atomic.Int64
			var done sync.WaitGroup
			for range count {
				done.Go(func() {
					if _, err := r.Timestamp(ctx, crypto.SHA256, make([]byte, 32)); err != nil {
						t.Error(err)
						return
					}
					tokens.Add(1)
				})
			}
			for answered := range int64(count) {
				synctest.Wait()
				if n := g.under.Load(); n != min(want, count-answered) {
					t.Fatalf("%d requests are under way after %d answers, want %d", n, answered, want)
				}
				g.pass <- true
			}
			done.Wait()
			if tokens.Load() != count || g.all.Load() != count {
				t.Errorf("%d tokens, %d requests for %d", tokens.Load(), g.all.Load(), count)
			}
		})
	}
}

// A server that fails is left alone, by those who wait in line, too; a caller that
// gives up leaves the line. When it is tried again differs.
func TestNoStormOnAServerThatFails(t *testing.T) {
	seen := make(map[time.Duration]bool)
	for range 8 {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(t)
			r := g.client(2)
			hasty, leave := context.WithCancel(ctx)
			var refused, left atomic.Int64
			var done sync.WaitGroup
			ask := func(c context.Context) {
				done.Go(func() {
					switch _, err := r.Timestamp(c, crypto.SHA256, make([]byte, 32)); {
					case errors.Is(err, context.Canceled):
						left.Add(1)
					case errors.Is(err, ca.ErrOpen):
						refused.Add(1)
					case err == nil:
						t.Error("a token")
					}
				})
			}
			ask(ctx)
			ask(ctx)
			synctest.Wait()
			ask(hasty)
			synctest.Wait()
			leave()
			synctest.Wait()
			if left.Load() != 1 || g.all.Load() != 2 {
				t.Errorf("%d left, %d requests", left.Load(), g.all.Load())
			}
			for range 40 {
				ask(ctx)
			}
			for range 4 { // the third failure opens, the fourth was under way
				synctest.Wait()
				g.pass <- false
			}
			done.Wait()
			if n := g.all.Load(); n != 4 || refused.Load() != 38 {
				t.Errorf("%d requests, %d were not sent", n, refused.Load())
			}
			began := time.Now()
			for g.all.Load() == 4 {
				<-time.After(100 * time.Millisecond)
				ask(ctx)
				synctest.Wait()
			}
			waited := time.Since(began)
			if waited < 11*time.Second || waited > 19*time.Second {
				t.Errorf("tried again after %v", waited)
			}
			seen[waited] = true
			g.pass <- false
			done.Wait()
		})
	}
	if len(seen) < 2 {
		t.Errorf("tried again after %v each time", seen)
	}
}
