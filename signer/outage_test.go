package signer_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/dialguard"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// tsaServer is a time-stamp server that can be stopped and started.
type tsaServer struct {
	h      *house
	srv    *httptest.Server
	client *ca.RemoteTSAs
}

// external has signatures stamped over HTTP, by a server of the authority.
func (h *house) external(t testing.TB) *tsaServer {
	t.Helper()
	s := &tsaServer{h: h}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := listener.Addr().String()
	s.listen(listener)
	t.Cleanup(func() { s.stop() })
	roots := x509.NewCertPool()
	roots.AddCert(h.CA.Certificate(ca.Root))
	web := dialguard.New(dialguard.Config{Hosts: []string{"127.0.0.1"}})
	t.Cleanup(web.CloseIdleConnections)
	s.client = ca.NewRemoteTSAs(h.Clock.Now, &ca.RemoteTSA{URL: "http://" + address, HTTP: web, Roots: roots, Now: h.Clock.Now})
	h.s.Timestamps = s.client
	return s
}

func (s *tsaServer) listen(l net.Listener) {
	s.srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := io.ReadAll(r.Body)
		if err == nil {
			query, err = s.h.CA.TimestampReply(r.Context(), query)
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(query)
	}))
	s.srv.Listener.Close()
	s.srv.Listener = l
	s.srv.Start()
}

func (s *tsaServer) stop() { s.srv.Close() }

// start has it listen where it did, and the client's patience with it begin anew.
func (s *tsaServer) start(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", s.srv.Listener.Addr().String())
	must(t, err)
	s.listen(l)
	s.h.Clock.Advance(10 * time.Minute) // longer than a server is left out
}

// A time-stamp server is away for a part of a batch: its documents wait, or are
// finished at B-B and say so, each signed once and none lost.
func TestOutageOfAnExternalServer(t *testing.T) {
	for name, finishes := range map[string]bool{"wait": false, "finish_at_b": true} {
		t.Run(name, func(t *testing.T) {
			const patience = time.Minute
			h := newHouse(t)
			h.serve(t)
			tsa := h.external(t)
			h.s.IntentBase = 12 * time.Hour
			h.s.Outage = signer.Outage{FinishAtB: finishes, Patience: patience}
			var files [][]byte
			for range 6 {
				files = append(files, storetest.PDF("satu"))
			}
			a := h.pdfs(t, files...)
			a.Options.Level = "B-LTA"
			r, f := h.prepare(t, a)
			auth, err := h.s.Authorize(ctx, f)
			must(t, err)
			defer auth.Close()
			docs, err := h.s.Claim(ctx, auth, len(files))
			must(t, err)
			levels := make([]string, len(docs))
			var done []signer.Outcome
			sign := func(k int, want string) {
				t.Helper()
				out, err := signOne(h.s, auth, docs[k])
				if want == "" {
					wants(t, "while the server is away", err, signer.ErrTimestamp)
					return
				}
				must(t, errors.Join(err, out.Refused))
				if levels[k] = out.Level; out.Level != want || (want == "B-B") != out.Timestamp.IsZero() {
					t.Errorf("document %d reached %s at %v, want %s", k, out.Level, out.Timestamp, want)
				}
				done = append(done, out)
			}
			sign(0, "B-LTA")
			tsa.stop()
			sign(1, "")
			h.Clock.Advance(patience - time.Second)
			sign(1, "")
			h.Clock.Advance(time.Second)
			if finishes {
				sign(1, "B-B")
				sign(2, "B-B") // the outage is that of the batch: it does not wait anew
			} else {
				h.Clock.Advance(time.Hour)
				sign(1, "")
				sign(2, "")
			}
			tsa.start(t)
			sign(3, "B-LTA")
			tsa.stop()
			sign(4, "") // another outage, another patience
			tsa.start(t)
			sign(4, "B-LTA")
			sign(5, "B-LTA")
			if !finishes {
				sign(1, "B-LTA")
				sign(2, "B-LTA")
			}
			complete, err := h.s.Complete(ctx, auth, done)
			if err != nil || !complete {
				t.Fatalf("%v, complete %v", err, complete)
			}
			if n := h.Keys.Signs.Load(); n != int64(len(files)) {
				t.Errorf("the officer's key was used %d times for %d documents", n, len(files))
			}
			h.tellsLevels(t, r, levels, finishes)
		})
	}
}

// tellsLevels compares what items, files and audit tell of levels.
func (h *house) tellsLevels(t testing.TB, r *signer.Request, levels []string, below bool) {
	t.Helper()
	for k, it := range h.items(t, r) {
		if it.Level != levels[k] {
			t.Errorf("item %d says %q, reached was %s", k, it.Level, levels[k])
		}
		b, err := h.blobs.Open(ctx, it.SignedBlob)
		must(t, err)
		file, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		must(t, errors.Join(err, b.Close()))
		report := h.verdict(t, file, nil)
		if report.Verdict != verify.Valid && report.Verdict != verify.Indeterminate || report.Signatures[0].Level != levels[k] {
			t.Errorf("document %d is %s, %s %+v", k, report.Signatures[0].Level, report.Verdict, report.Reasons)
		}
	}
	records := storetest.Chain(t, h.DB)
	told := ""
	for _, rec := range records {
		if rec.Action == "signer.complete" && rec.Verdict == audit.Accepted {
			told = rec.Detail["below_level"]
		}
	}
	if want := map[bool]string{true: "2", false: ""}[below]; told != want {
		t.Errorf("the audit tells of %q documents below their level, want %q", told, want)
	}
}

// What is left of a level is kept: with a time-stamp and without an OCSP answer it
// is B-T, and the authority is asked for the time-stamp once.
func TestOutageOfRevocationData(t *testing.T) {
	h := newHouse(t)
	s := h.serve(t)
	counted := &stamps{services: s}
	h.s.Timestamps = counted
	h.s.Outage = signer.Outage{FinishAtB: true, Patience: time.Minute}
	s.revocationFails = 1 << 30
	a := h.pdfs(t, storetest.PDF("satu"), storetest.PDF("dua"))
	a.Options.Level = "B-LT"
	auth := h.authorize(t, a)
	docs, err := h.s.Claim(ctx, auth, 2)
	must(t, err)
	for range 3 {
		_, err := signOne(h.s, auth, docs[0])
		wants(t, "without revocation data", err, signer.ErrTimestamp)
	}
	h.Clock.Advance(time.Minute)
	out, err := signOne(h.s, auth, docs[0])
	if err != nil || out.Level != "B-T" || out.Timestamp.IsZero() || counted.n != 1 || h.Keys.Signs.Load() != 1 {
		t.Errorf("%v, %+v, %d time-stamps, %d signatures", err, out, counted.n, h.Keys.Signs.Load())
	}
	s.revocationFails = 0
	if out, err = signOne(h.s, auth, docs[1]); err != nil || out.Level != "B-LT" {
		t.Errorf("afterwards: %v, %+v", err, out)
	}
}

// stamps counts time-stamps.
type stamps struct {
	*services
	n int
}

func (s *stamps) Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	s.n++
	return s.services.Timestamp(ctx, h, digest)
}

// hanging is an authority of which each request takes some time and comes to nothing.
type hanging struct {
	*services
	clock *storetest.Clock
	takes time.Duration
}

func (s *hanging) Timestamp(context.Context, crypto.Hash, []byte) ([]byte, error) {
	s.clock.Advance(s.takes)
	return nil, errOutage
}

// Somebody waits for a lone document: it does not wait as a batch does.
func TestOutageOfALoneDocument(t *testing.T) {
	h := newHouse(t)
	h.s.Timestamps = &hanging{h.serve(t), h.Clock, 6 * time.Second}
	h.s.Outage = signer.Outage{FinishAtB: true, Patience: time.Hour}
	a := h.pdfs(t, storetest.PDF("satu"))
	a.Options.Level = "B-LTA"
	items, files := h.signed(t, a)
	if items[0].Level != "B-B" || !items[0].Timestamp.IsZero() || h.Keys.Signs.Load() != 1 {
		t.Errorf("%+v, %d signatures", items[0], h.Keys.Signs.Load())
	}
	if got := h.verdict(t, files[0], nil).Signatures[0].Level; got != "B-B" {
		t.Errorf("the file is of %s", got)
	}
	// A detached signature alike.
	a = h.Ask(1)
	a.Options.Format, a.Options.Level = signer.CMS, "B-T"
	items, _ = h.signed(t, a)
	sd, err := cms.Parse(items[0].Signature)
	must(t, err)
	must(t, sd.Verify(items[0].Digest))
	if items[0].Level != "B-B" || len(sd.Timestamps) != 0 {
		t.Errorf("%s with %d time-stamps", items[0].Level, len(sd.Timestamps))
	}
}

// With a unit that is off there is no room to reserve: after the patience the
// document has none, and is of B-B.
func TestUnitOffForGood(t *testing.T) {
	h := newHouse(t)
	u := &units{services: h.serve(t)}
	h.s.Timestamps = u
	h.s.Outage = signer.Outage{FinishAtB: true, Patience: time.Minute}
	a := h.pdfs(t, storetest.PDF("satu"), storetest.PDF("dua"))
	a.Options.Level = "B-T"
	auth := h.authorize(t, a)
	docs, err := h.s.Claim(ctx, auth, 2)
	must(t, err)
	_, err = signOne(h.s, auth, docs[0])
	wants(t, "a unit that is off", err, signer.ErrTimestamp)
	if n := h.Keys.Signs.Load(); n != 0 {
		t.Errorf("%d signatures", n)
	}
	h.Clock.Advance(time.Minute)
	out, err := signOne(h.s, auth, docs[0])
	if err != nil || out.Level != "B-B" || h.Keys.Signs.Load() != 1 {
		t.Errorf("%v, %+v", err, out)
	}
}
