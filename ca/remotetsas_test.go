package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	"go.uber.org/goleak"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/dialguard"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// unit is another's time-stamp unit: `openssl ts -reply` behind HTTP, below a root
// of its own.
type unit struct {
	*abroad
	dir     string
	leafKey *ecdsa.PrivateKey
	hits    atomic.Int64
	// answer stands for openssl when it is set.
	answer atomic.Pointer[func(w http.ResponseWriter, r *http.Request, query []byte)]
	srv    *httptest.Server
}

func newUnit(t testing.TB, edit func(*x509.Certificate)) *unit {
	t.Helper()
	requireTool(t, "openssl")
	x := &abroad{now: time.Now().UTC().Truncate(time.Second)}
	x.cert, x.key = x.issue(t, "Another TSA root", nil)
	u := &unit{abroad: x, dir: t.TempDir()}
	eku, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	must(t, err)
	cert, k := x.issue(t, "Another TSA", func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageDigitalSignature
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: eku}}
		if edit != nil {
			edit(c)
		}
	})
	u.leaf, u.leafKey = cert, k
	u.write(t, cert, k)
	u.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.hits.Add(1)
		query, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if f := u.answer.Load(); f != nil {
			(*f)(w, r, query)
			return
		}
		send("application/timestamp-reply", u.reply(t, query))(w, r)
	}))
	return u
}

func (u *unit) write(t testing.TB, cert *x509.Certificate, k *ecdsa.PrivateKey) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	must(t, err)
	f := files{t, u.dir}
	f.pem("tsa.pem", cert)
	f.der("tsa.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	f.der("serial", []byte("01\n"))
	f.der("ts.cnf", fmt.Appendf(nil, "[tsa]\ndefault_tsa=t\n[t]\nserial=%[1]s/serial\ncrypto_device=builtin\nsigner_cert=%[1]s/tsa.pem\nsigner_key=%[1]s/tsa.key\nsigner_digest=sha256\ndefault_policy=1.2.3.4.1\ndigests=sha256,sha384,sha512\naccuracy=secs:1\ness_cert_id_alg=sha256\n", u.dir))
}

// reply is openssl's.
func (u *unit) reply(t testing.TB, query []byte) []byte {
	t.Helper()
	f := files{t, u.dir}
	out := filepath.Join(u.dir, fmt.Sprintf("%d.tsr", u.hits.Load()))
	cmd := exec.Command("openssl", "ts", "-reply", "-config", filepath.Join(u.dir, "ts.cnf"), "-queryfile", f.der(fmt.Sprintf("%d.tsq", u.hits.Load()), query), "-out", out)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	der, err := os.ReadFile(out)
	if err != nil {
		t.Error(err)
	}
	return der
}

// does has it answer otherwise; nil: as before.
func (u *unit) does(f func(w http.ResponseWriter, r *http.Request, query []byte)) {
	if f == nil {
		u.answer.Store(nil)
		return
	}
	u.answer.Store(&f)
}

func (u *unit) client(h *http.Client) *ca.RemoteTSA {
	roots := x509.NewCertPool()
	roots.AddCert(u.cert)
	return &ca.RemoteTSA{URL: u.srv.URL, HTTP: h, Roots: roots, Now: time.Now}
}

func loopback(timeout time.Duration) *http.Client {
	return dialguard.New(dialguard.Config{Hosts: []string{"127.0.0.1"}, Timeout: timeout})
}

// by says whose token it is.
func by(t testing.TB, token []byte) string {
	t.Helper()
	ts, err := cms.ParseTimestamp(token)
	must(t, err)
	must(t, ts.Verify(make([]byte, 32)))
	return ts.Certificate.Issuer.CommonName
}

// Whatever the first does, the second's token is had; the errors say what it was.
func TestRemoteTSAsGoOn(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	client, hurried := loopback(time.Minute), loopback(500*time.Millisecond)
	defer client.CloseIdleConnections()
	defer hurried.CloseIdleConnections()
	second := newUnit(t, nil)
	defer second.srv.Close()
	digest := make([]byte, 32)
	type answer = func(w http.ResponseWriter, r *http.Request, query []byte)
	status := func(code int) answer {
		return func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(code) }
	}
	for name, c := range map[string]struct {
		edit   func(c *x509.Certificate)
		does   func(u *unit) answer
		client func(c *ca.RemoteTSA)
		want   string
	}{
		"all well": {want: ""},
		"dead":     {does: func(u *unit) answer { u.srv.Close(); return nil }, want: "connection refused"},
		"hangs": {does: func(*unit) answer {
			return func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() }
		}, client: func(c *ca.RemoteTSA) { c.HTTP = hurried }, want: "Client.Timeout"},
		"500":          {does: func(*unit) answer { return status(500) }, want: "status 500"},
		"wants a name": {does: func(*unit) answer { return status(401) }, want: "status 401"},
		"sends elsewhere": {does: func(*unit) answer {
			return func(w http.ResponseWriter, r *http.Request, _ []byte) {
				http.Redirect(w, r, second.srv.URL, http.StatusTemporaryRedirect)
			}
		}, want: "status 307"},
		"another type": {does: func(*unit) answer {
			return func(w http.ResponseWriter, r *http.Request, _ []byte) { send("text/html", []byte("<p>"))(w, r) }
		}, want: "type"},
		"wrong imprint": {does: func(u *unit) answer {
			return func(w http.ResponseWriter, r *http.Request, q []byte) {
				send("application/timestamp-reply", u.reply(t, bytes.Replace(q, digest, bytes.Repeat([]byte{7}, 32), 1)))(w, r)
			}
		}, want: "digest"},
		"wrong nonce": {does: func(u *unit) answer {
			return func(w http.ResponseWriter, r *http.Request, q []byte) {
				q[len(q)-4] ^= 1 // before certReq, at the end
				send("application/timestamp-reply", u.reply(t, q))(w, r)
			}
		}, want: "another request"},
		"refuses": {does: func(u *unit) answer {
			return func(w http.ResponseWriter, r *http.Request, q []byte) {
				q[4] = 9
				send("application/timestamp-reply", u.reply(t, q))(w, r)
			}
		}, want: "refused with status 2"},
		"expired":     {edit: func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Minute) }, want: "expired"},
		"another use": {edit: func(c *x509.Certificate) { c.ExtraExtensions = twoUses(t) }, does: (*unit).stamps, want: "time-stamps alone"},
		"other root":  {client: func(c *ca.RemoteTSA) { c.Roots = x509.NewCertPool() }, want: "unknown authority"},
		"larger":      {client: func(c *ca.RemoteTSA) { c.Size = 300 }, want: "bytes"},
		"other time":  {client: func(c *ca.RemoteTSA) { c.Now = func() time.Time { return time.Now().Add(time.Hour) } }, want: "its time is"},
	} {
		t.Run(name, func(t *testing.T) {
			first := newUnit(t, c.edit)
			defer first.srv.Close()
			if c.does != nil {
				first.does(c.does(first))
			}
			one, two := first.client(client), second.client(client)
			if c.client != nil {
				c.client(one)
			}
			alone := ca.NewRemoteTSAs(time.Now, one)
			token, err := alone.Timestamp(ctx, crypto.SHA256, digest)
			if c.want == "" {
				must(t, err)
				if by(t, token) != "Another TSA root" {
					t.Error(by(t, token))
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), strings.TrimPrefix(first.srv.URL, "http://")) {
				t.Errorf("%v, want %q", err, c.want)
			}
			both := ca.NewRemoteTSAs(time.Now, one, two)
			before := second.hits.Load()
			if _, err := both.Timestamp(ctx, crypto.SHA256, digest); err != nil || (second.hits.Load() == before) != (c.want == "") {
				t.Errorf("with another: %v, %d asked", err, second.hits.Load()-before)
			}
		})
	}
	if n := ca.NewRemoteTSAs(time.Now, &ca.RemoteTSA{Size: 5000}, &ca.RemoteTSA{Size: 9000}).TokenSize(); n != 9000 {
		t.Errorf("%d bytes", n)
	}
}

// stamps answers without openssl, which signs with no certificate but a right one.
func (u *unit) stamps() func(w http.ResponseWriter, r *http.Request, query []byte) {
	return func(w http.ResponseWriter, r *http.Request, query []byte) {
		q, err := timestamp.ParseRequest(query)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s := timestamp.Timestamp{HashAlgorithm: q.HashAlgorithm, HashedMessage: q.HashedMessage, Time: time.Now(), Accuracy: time.Second, SerialNumber: big.NewInt(1), Policy: asn1.ObjectIdentifier{1, 2, 3, 4, 1}, Nonce: q.Nonce, AddTSACertificate: true}
		reply, err := s.CreateResponseWithOpts(u.leaf, u.leafKey, crypto.SHA256)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		send("application/timestamp-reply", reply)(w, r)
	}
}

// twoUses is an extended key usage of two purposes, as a unit's must not be.
func twoUses(t testing.TB) []pkix.Extension {
	t.Helper()
	eku, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}, {1, 3, 6, 1, 5, 5, 7, 3, 4}})
	must(t, err)
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: eku}}
}

// Another installation, asked over HTTP, with a breaker in front: it opens
// after three failures, tries once, opens for longer, and closes.
func TestBreaker(t *testing.T) {
	other, own := bootstrapped(t, nil), bootstrapped(t, nil)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	client := loopback(time.Minute)
	defer client.CloseIdleConnections()
	var hits, broken atomic.Int64
	var hold atomic.Pointer[chan struct{}]
	arrived := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		q, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if c := hold.Load(); c != nil {
			arrived <- struct{}{}
			<-*c
		}
		if broken.Load() > 0 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if user, password, _ := r.BasicAuth(); user != "mohor" || password != "rahsia" {
			t.Errorf("asked by %q", user)
		}
		reply, err := other.TimestampReply(ctx, q)
		if err != nil {
			t.Error(err)
		}
		send("application/timestamp-reply", reply)(w, r)
	}))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(other.Certificate(ca.Root))
	var mu sync.Mutex
	clock := other.now
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	advance := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); clock = clock.Add(d) }
	remote := &ca.RemoteTSA{URL: s.URL, HTTP: client, Roots: roots, Now: other.clock, Authorize: func(r *http.Request) { r.SetBasicAuth("mohor", "rahsia") }}
	tsas := ca.NewRemoteTSAs(now, remote)
	var said []string
	tsas.Report = func(server string, err error) { said = append(said, fmt.Sprintf("%v", err != nil)) }
	ask := func(what string, asked int64, good bool) {
		t.Helper()
		hits.Store(0)
		_, err := tsas.Timestamp(ctx, crypto.SHA256, make([]byte, 32))
		if (err == nil) != good || hits.Load() != asked || err != nil && asked == 0 && !errors.Is(err, ca.ErrOpen) {
			t.Errorf("%s: %v, %d requests", what, err, hits.Load())
		}
	}
	ask("well", 1, true)
	broken.Store(1)
	ask("first failure", 1, false)
	ask("second", 1, false)
	broken.Store(0)
	ask("well between", 1, true)
	broken.Store(1)
	for range 3 {
		ask("failures in a row", 1, false)
	}
	ask("open", 0, false)
	// 15 s, and each time twice as long, give or take a quarter.
	advance(11 * time.Second)
	ask("still open", 0, false)
	advance(8 * time.Second)
	ask("trial", 1, false)
	advance(22 * time.Second)
	ask("open for longer", 0, false)
	for range 9 { // the most is five minutes
		advance(5 * time.Minute * 5 / 4)
		ask("trial", 1, false)
	}
	advance(5*time.Minute*3/4 - time.Second)
	ask("open", 0, false)
	advance(5*time.Minute/2 + time.Second)
	// A caller who hangs up is no failure; the next one tries.
	gone, hangUp := context.WithCancel(ctx)
	if _, err := tsas.Timestamp(ctx, crypto.SHA384, make([]byte, 47)); err == nil || errors.Is(err, ca.ErrOpen) {
		t.Errorf("a digest of 47 bytes: %v", err) // is not the trial
	}
	wait := make(chan struct{})
	hold.Store(&wait)
	ended := make(chan error, 1)
	go func() {
		_, err := tsas.Timestamp(gone, crypto.SHA256, make([]byte, 32))
		ended <- err
	}()
	<-arrived
	// One tries at a time.
	if _, err := tsas.Timestamp(ctx, crypto.SHA256, make([]byte, 32)); !errors.Is(err, ca.ErrOpen) {
		t.Errorf("beside the trial: %v", err)
	}
	hangUp()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("who hung up: %v", err)
	}
	hold.Store(nil)
	close(wait)
	broken.Store(0)
	ask("trial", 1, true)
	ask("closed", 1, true)
	if got := strings.Join(said, " "); got != "true false" {
		t.Errorf("reported %s", got)
	}
	// Nobody else: the own unit, which is known to say why not.
	broken.Store(1)
	tsas.Own = own
	ask("own unit", 1, true)
	own.Time = func() error { return errDead }
	if _, err := tsas.Timestamp(ctx, crypto.SHA256, make([]byte, 32)); !errors.Is(err, ca.ErrClock) || !strings.Contains(err.Error(), "status 502") {
		t.Errorf("nobody: %v", err)
	}
	if tsas.TokenSize() != remote.TokenSize() {
		t.Errorf("%d bytes", tsas.TokenSize())
	}
}
