package ca_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// current is an authority at the time that other programs see.
func current(t testing.TB) *authority {
	t.Helper()
	a := bootstrapped(t, nil)
	a.now = time.Now()
	_, _, err := a.Renew(ctx)
	must(t, err)
	return a
}

func TestTimestamp(t *testing.T) {
	a := bootstrapped(t, nil)
	seen := map[string]bool{}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		digest := make([]byte, h.Size())
		a.now = a.now.Truncate(time.Second).Add(1987654 * time.Microsecond)
		rand.Read(digest)
		signs := 0
		a.keys.OnAuthority = func(string) error { signs++; return nil }
		der, err := a.Timestamp(ctx, h, digest)
		must(t, err)
		if signs != 1 {
			t.Errorf("%d signatures for a token", signs)
		}
		ts, err := cms.ParseTimestamp(der)
		must(t, err)
		must(t, ts.Verify(digest))
		if !ts.Certificate.Equal(a.Certificate(ca.TSA)) || !ts.ForTimestamps() || len(ts.Others) != 1 || !ts.Others[0].Equal(a.Certificate(ca.Issuing)) {
			t.Error("certificates")
		}
		if ts.Hash != h || !ts.Time.Equal(a.now.Truncate(time.Millisecond)) || ts.Accuracy != time.Second || ts.Ordering || ts.Nonce != nil || ts.Policy.String() != ca.DefaultTSAPolicy {
			t.Errorf("token %+v", ts)
		}
		if n := ts.Serial; n.Sign() <= 0 || n.BitLen() < 64 || n.BitLen() > 159 || seen[n.String()] {
			t.Errorf("serial number %x", n)
		}
		seen[ts.Serial.String()] = true
		if len(der) > a.TokenSize() || h == crypto.SHA512 && a.TokenSize() > len(der)+8 {
			t.Errorf("%d bytes, said to be at most %d", len(der), a.TokenSize())
		}
	}
	for h, n := range map[crypto.Hash]int{crypto.SHA1: 20, crypto.SHA256: 31, crypto.SHA512: 32, 0: 32} {
		if _, err := a.Timestamp(ctx, h, make([]byte, n)); err == nil {
			t.Errorf("%v of %d bytes is time-stamped", h, n)
		}
	}
	// A key that does not sign, or not what it was given.
	a.keys.OnAuthority = func(string) error { return errDead }
	if _, err := a.Timestamp(ctx, crypto.SHA256, make([]byte, 32)); !errors.Is(err, errDead) {
		t.Errorf("a dead token: %v", err)
	}
}

// Times never go back, also over a restart.
func TestTokenTimes(t *testing.T) {
	a := bootstrapped(t, nil)
	at := func() (time.Time, error) {
		t.Helper()
		der, err := a.Timestamp(ctx, crypto.SHA256, make([]byte, 32))
		if err != nil {
			return time.Time{}, err
		}
		ts, err := cms.ParseTimestamp(der)
		must(t, err)
		return ts.Time, nil
	}
	start := a.now.UTC().Truncate(time.Second)
	a.now = start.Add(10 * time.Second)
	if got, err := at(); err != nil || !got.Equal(start.Add(10*time.Second)) {
		t.Errorf("%v, %v", got, err)
	}
	a.now = start.Add(9 * time.Second) // as when the clock is corrected
	if got, err := at(); err != nil || !got.Equal(start.Add(10*time.Second)) {
		t.Errorf("a second back: %v, %v", got, err)
	}
	a.now = start.Add(8 * time.Second)
	if got, err := at(); !errors.Is(err, ca.ErrClock) {
		t.Errorf("two seconds back: %v, %v", got, err)
	}
	reply, err := a.TimestampReply(ctx, query(t, nil))
	if !errors.Is(err, ca.ErrClock) || failInfo(t, reply) != 14 {
		t.Errorf("the reply names failure %d, %v", failInfo(t, reply), err)
	}
	// Another process, after a last record in the audit.
	a.now = start.Add(time.Hour)
	a.officer(t)
	a.now = start.Add(30 * time.Minute)
	a.Authorities, err = ca.Load(ctx, a.shape, a.keys, a.db, a.clock)
	must(t, err)
	if _, err := at(); !errors.Is(err, ca.ErrClock) {
		t.Errorf("behind the audit: %v", err)
	}
	a.now = start.Add(time.Hour)
	if got, err := at(); err != nil || !got.Equal(a.now) {
		t.Errorf("when it has caught up: %v, %v", got, err)
	}
}

// A clock that is doubted gives no tokens, and the reply says timeNotAvailable.
func TestDoubtedTime(t *testing.T) {
	a := bootstrapped(t, nil)
	doubt := errors.New("set by 3s")
	a.Time = func() error { return doubt }
	if token, err := a.Timestamp(ctx, crypto.SHA256, make([]byte, 32)); !errors.Is(err, ca.ErrClock) || !errors.Is(err, doubt) || token != nil {
		t.Errorf("%d bytes, %v", len(token), err)
	}
	reply, err := a.TimestampReply(ctx, query(t, nil))
	if !errors.Is(err, doubt) || failInfo(t, reply) != 14 || bytes.Contains(reply, []byte(doubt.Error())) {
		t.Errorf("the reply names failure %d, %v", failInfo(t, reply), err)
	}
	doubt = nil
	if _, err := a.Timestamp(ctx, crypto.SHA256, make([]byte, 32)); err != nil {
		t.Error(err)
	}
}

// tsReq is a TimeStampReq as encoding/asn1 writes it.
type tsReq struct {
	Version int
	Imprint struct {
		Alg    struct{ OID asn1.ObjectIdentifier }
		Digest []byte
	}
	Policy     asn1.ObjectIdentifier `asn1:"optional"`
	Nonce      *big.Int              `asn1:"optional"`
	CertReq    bool                  `asn1:"optional"`
	Extensions []asn1.RawValue       `asn1:"optional,tag:0"`
}

func query(t testing.TB, edit func(*tsReq)) []byte {
	t.Helper()
	q := tsReq{Version: 1}
	q.Imprint.Alg.OID = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	q.Imprint.Digest = make([]byte, 32)
	if edit != nil {
		edit(&q)
	}
	der, err := asn1.Marshal(q)
	must(t, err)
	return der
}

// tsResp is a TimeStampResp.
type tsResp struct {
	Status struct {
		Status int
		Text   []asn1.RawValue `asn1:"optional"`
		Fail   asn1.BitString  `asn1:"optional"`
	}
	Token asn1.RawValue `asn1:"optional"`
}

// failInfo is the one bit of PKIFailureInfo, or -1 when a token was granted.
func failInfo(t testing.TB, der []byte) int {
	t.Helper()
	var r tsResp
	rest, err := asn1.Unmarshal(der, &r)
	if err != nil || len(rest) != 0 {
		t.Fatalf("reply %x: %v", der, err)
	}
	if r.Status.Status == 0 && len(r.Token.FullBytes) > 0 && r.Status.Fail.BitLength == 0 {
		return -1
	}
	if r.Status.Status != 2 || len(r.Token.FullBytes) != 0 || len(r.Status.Text) != 1 || r.Status.Text[0].Tag != asn1.TagUTF8String {
		t.Fatalf("reply %+v", r)
	}
	// RFC 3161: one bit, and it is the last (DER).
	for k := range r.Status.Fail.BitLength - 1 {
		if r.Status.Fail.At(k) != 0 {
			t.Fatalf("two failures: %x", r.Status.Fail.Bytes)
		}
	}
	return r.Status.Fail.BitLength - 1
}

func TestTimestampReplies(t *testing.T) {
	a := bootstrapped(t, nil)
	long := func(n int) func(*tsReq) {
		return func(q *tsReq) { q.Nonce = new(big.Int).Lsh(big.NewInt(1), uint(8*n-2)) }
	}
	for name, x := range map[string]struct {
		query []byte
		want  int
	}{
		"plain":      {query(t, nil), -1},
		"policy":     {query(t, func(q *tsReq) { q.Policy = asn1.ObjectIdentifier{2, 999, 3161, 1} }), -1},
		"long nonce": {query(t, long(64)), -1},
		"SHA-1": {query(t, func(q *tsReq) {
			q.Imprint.Alg.OID, q.Imprint.Digest = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, make([]byte, 20)
		}), 0},
		"SHA3":        {query(t, func(q *tsReq) { q.Imprint.Alg.OID = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 8} }), 0},
		"version":     {query(t, func(q *tsReq) { q.Version = 2 }), 2},
		"length":      {query(t, func(q *tsReq) { q.Imprint.Digest = make([]byte, 20) }), 5},
		"policy else": {query(t, func(q *tsReq) { q.Policy = asn1.ObjectIdentifier{1, 2, 3, 4, 1} }), 15},
		"extension":   {query(t, func(q *tsReq) { q.Extensions = []asn1.RawValue{{FullBytes: []byte{0x30, 0}}} }), 16},
		"huge nonce":  {query(t, long(65)), 5},
		"empty":       {nil, 5},
		"text":        {[]byte("GET / HTTP/1.1"), 5},
		"trailing":    {append(query(t, nil), 0), 5},
		"cut":         {query(t, nil)[:20], 5},
		"too long":    {make([]byte, ca.MaxTimestampQuery+1), 5},
	} {
		reply, err := a.TimestampReply(ctx, x.query)
		must(t, err)
		if got := failInfo(t, reply); got != x.want {
			t.Errorf("%s: failure %d, want %d", name, got, x.want)
		}
	}
	// Nonce echoed, certificates only when asked for.
	nonce := big.NewInt(-42)
	for _, wanted := range []bool{false, true} {
		der := query(t, func(q *tsReq) { q.Nonce, q.CertReq = nonce, wanted })
		reply, err := a.TimestampReply(ctx, der)
		must(t, err)
		token, err := cms.ParseTimestampResponse(reply)
		must(t, err)
		ts, err := cms.ParseTimestamp(token, a.Certificate(ca.TSA))
		must(t, err)
		must(t, ts.Verify(make([]byte, 32)))
		if ts.Nonce == nil || ts.Nonce.Cmp(nonce) != 0 || bytes.Contains(token, a.Certificate(ca.TSA).Raw) != wanted {
			t.Errorf("certificates wanted %v: nonce %v, %d bytes", wanted, ts.Nonce, len(token))
		}
	}
	a.keys.OnAuthority = func(string) error { return errDead }
	reply, err := a.TimestampReply(ctx, query(t, nil))
	if !errors.Is(err, errDead) || failInfo(t, reply) != 25 {
		t.Errorf("a dead token: failure %d, %v", failInfo(t, reply), err)
	}
	for k, der := range [][]byte{query(t, nil), query(t, long(8))} {
		for n := range der {
			for _, bit := range []byte{1, 0x80} {
				bad := bytes.Clone(der)
				bad[n] ^= bit
				if _, err := a.TimestampReply(ctx, bad); err != nil && !errors.Is(err, errDead) {
					t.Errorf("query %d changed at %d: %v", k, n, err)
				}
			}
		}
	}
}

func TestTimestampsAtOnce(t *testing.T) {
	a := bootstrapped(t, nil)
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				der, err := a.Timestamp(ctx, crypto.SHA256, make([]byte, 32))
				if err != nil {
					t.Error(err)
					return
				}
				ts, err := cms.ParseTimestamp(der)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[ts.Serial.String()] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 200 {
		t.Errorf("%d serial numbers for 200 tokens", len(seen))
	}
}

// files writes PEM and DER for other programs.
type files struct {
	t   testing.TB
	dir string
}

func (f files) pem(name string, certs ...*x509.Certificate) string {
	f.t.Helper()
	var b bytes.Buffer
	for _, c := range certs {
		must(f.t, pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return f.der(name, b.Bytes())
}

func (f files) der(name string, b []byte) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	must(f.t, os.WriteFile(path, b, 0o600))
	return path
}

func run(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command(requireTool(t, name), args...).CombinedOutput()
	return string(out), err
}

// OpenSSL asks and judges.
func TestOpenSSLVerifiesTimestamps(t *testing.T) {
	a := current(t)
	f := files{t, t.TempDir()}
	root := f.pem("root.pem", a.Certificate(ca.Root))
	data := f.der("data", []byte("surat kelulusan"))
	a.now = a.now.Truncate(time.Second)
	for _, hash := range []string{"-sha256", "-sha384", "-sha512"} {
		for _, cert := range []bool{true, false} {
			q := filepath.Join(f.dir, "q.tsq")
			args := []string{"ts", "-query", "-data", data, hash, "-out", q}
			verify := []string{"ts", "-verify", "-queryfile", q, "-CAfile", root}
			if cert {
				args = append(args, "-cert")
			} else {
				verify = append(verify, "-untrusted", f.pem("chain.pem", a.Certificate(ca.TSA), a.Certificate(ca.Issuing)))
			}
			if out, err := run(t, "openssl", args...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			der, err := os.ReadFile(q)
			must(t, err)
			a.now = a.now.Add(250 * time.Millisecond) // a fraction without zeros at its end, and in the end none
			reply, err := a.TimestampReply(ctx, der)
			must(t, err)
			out, err := run(t, "openssl", append(verify, "-in", f.der("r.tsr", reply))...)
			if err != nil || !strings.Contains(out, "Verification: OK") {
				t.Errorf("%s, certificates %v: %v\n%s", hash, cert, err, out)
			}
			text, err := run(t, "openssl", "ts", "-reply", "-in", filepath.Join(f.dir, "r.tsr"), "-text")
			for _, want := range []string{"Status: Granted.", "Policy OID: 2.999.3161.1", "Accuracy: 0x01 seconds", "Ordering: no", "Nonce: 0x"} {
				if err != nil || !strings.Contains(text, want) {
					t.Errorf("%v, no %q in\n%s", err, want, text)
				}
			}
		}
	}
	// In process, and against other data.
	digest := sha256.Sum256([]byte("surat kelulusan"))
	token, err := a.Timestamp(ctx, crypto.SHA256, digest[:])
	must(t, err)
	path := f.der("token.der", token)
	if out, err := run(t, "openssl", "ts", "-verify", "-data", data, "-token_in", "-in", path, "-CAfile", root); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run(t, "openssl", "ts", "-verify", "-data", root, "-token_in", "-in", path, "-CAfile", root); err == nil {
		t.Errorf("of other data:\n%s", out)
	}
	other := current(t)
	if out, err := run(t, "openssl", "ts", "-verify", "-data", data, "-token_in", "-in", path, "-CAfile", f.pem("other.pem", other.Certificate(ca.Root))); err == nil {
		t.Errorf("under another root:\n%s", out)
	}
	// A rejection reads as one.
	reply, err := a.TimestampReply(ctx, query(t, func(q *tsReq) { q.Version = 3 }))
	must(t, err)
	if out, _ := run(t, "openssl", "ts", "-reply", "-in", f.der("bad.tsr", reply), "-text"); !strings.Contains(out, "Status: Rejected.") || !strings.Contains(out, "only requests of version 1") || !strings.Contains(out, "transaction not permitted or supported") {
		t.Errorf("a rejection:\n%s", out)
	}
}

func BenchmarkTimestamp(b *testing.B) {
	a := bootstrapped(b, nil)
	digest := make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Timestamp(ctx, crypto.SHA256, digest); err != nil {
			b.Fatal(err)
		}
	}
}
