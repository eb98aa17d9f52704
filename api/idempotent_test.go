package api_test

import (
	"context"
	"database/sql/driver"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/api"
	"github.com/mohor-sign/mohor/enrol"
)

// shelf is api.Replies for one key on a database that goes away.
type shelf struct {
	mu      sync.Mutex
	began   time.Time // of the claim; zero: none
	status  int
	away    int  // calls that fail
	claimed bool // BeginReply fails after it has claimed
	settled chan struct{}
}

func (s *shelf) gone() error {
	if s.away == 0 {
		return nil
	}
	s.away--
	return driver.ErrBadConn
}

func (s *shelf) BeginReply(_ context.Context, _, _ string, print []byte, now time.Time) (bool, string, []byte, int, string, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.began.IsZero() {
		return false, "", print, s.status, "{}", nil, nil
	}
	s.began, s.status = now, 0
	if s.claimed {
		s.claimed = false
		return false, "", nil, 0, "", nil, driver.ErrBadConn
	}
	return true, "", print, 0, "", nil, nil
}

func (s *shelf) FinishReply(_ context.Context, _, _ string, began time.Time, status int, _ string, _ []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.gone(); err != nil {
		return err
	}
	if began.Equal(s.began) {
		s.status = status
	}
	s.settled <- struct{}{}
	return nil
}

func (s *shelf) LeaveReply(_ context.Context, _, _ string, began time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.gone(); err != nil {
		return err
	}
	if began.Equal(s.began) {
		s.began = time.Time{}
	}
	s.settled <- struct{}{}
	return nil
}

func (s *shelf) ClaimedReply(ctx context.Context, _, _ string, _ time.Time) context.Context {
	return ctx
}

func (s *shelf) ExtendReply(context.Context, string, string, time.Time) error { return nil }

// A claim that could not be settled while the database was away is settled when it
// is back: who does as 503 says and asks again is not told for a day that the
// first request runs.
func TestClaimsAreSettledWhenTheDatabaseIsBack(t *testing.T) {
	for what, c := range map[string]struct {
		shelf         *shelf
		answer, again int // of the first request and of the next one
		runs          int
	}{
		"what failed is forgotten":         {&shelf{away: 2}, 503, 503, 2},
		"what was done is kept":            {&shelf{away: 2}, 201, 201, 1},
		"a claim whose answer was lost":    {&shelf{away: 2, claimed: true}, 503, 201, 1},
		"control: a database that is well": {&shelf{}, 201, 201, 1},
	} {
		t.Run(what, func(t *testing.T) {
			c.shelf.settled = make(chan struct{}, 9)
			runs, stopping := 0, make(chan struct{})
			defer close(stopping)
			h := api.Idempotent(api.Config{Replies: c.shelf, Now: time.Now, Log: slog.New(slog.DiscardHandler), Stopping: stopping,
				Fingerprint: func(_ context.Context, p []byte) ([]byte, error) { return p, nil }},
				enrol.App{ID: "igfmas"}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { runs++; w.WriteHeader(c.again) }))
			ask := func() int {
				r := httptest.NewRequest("POST", "/v1/transactions", strings.NewReader("{}"))
				r.Header.Set("Idempotency-Key", "k")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w.Code
			}
			if got := ask(); got != c.answer {
				t.Errorf("first: %d, want %d", got, c.answer)
			}
			select {
			case <-c.shelf.settled:
			case <-time.After(10 * time.Second):
				t.Fatal("the claim was left")
			}
			if got := ask(); got != c.again || runs != c.runs {
				t.Errorf("then: %d after %d runs, want %d after %d", got, runs, c.again, c.runs)
			}
		})
	}
}

// A request of any size that may hold PIN and code is kept off the disk, which an upload is not.
func TestKeyedJSONTouchesNoDisk(t *testing.T) {
	padded := `{"pin":"123456"` + strings.Repeat(" ", 300<<10) + "}"
	for what, c := range map[string]struct {
		kind, body string
		status     int
	}{
		"JSON":                  {"application/json", padded, 200},
		"JSON, unsaid":          {"", padded, 200},
		"JSON by another name":  {"application/vnd.mohor+json; charset=utf-8", padded, 200},
		"JSON by a wrong name":  {"text/plain", padded, 200}, // and refused by what reads it
		"JSON beyond its bound": {"application/json", strings.Repeat(" ", 16<<20+1), 413},
		"JSON to its bound":     {"application/json", strings.Repeat(" ", 16<<20), 200},
		"control: an upload":    {"application/pdf", padded, 503}, // there is nowhere to put it
	} {
		read := 0
		h := api.Idempotent(api.Config{Replies: &shelf{settled: make(chan struct{}, 9)}, Now: time.Now, Log: slog.New(slog.DiscardHandler), MaxUpload: 1 << 30,
			TempDir: filepath.Join(t.TempDir(), "none"), Fingerprint: func(_ context.Context, p []byte) ([]byte, error) { return p, nil }},
			enrol.App{ID: "igfmas"}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				p, _ := io.ReadAll(r.Body)
				read = len(p)
			}))
		r := httptest.NewRequest("POST", "/v1/transactions/tx_1/sign", strings.NewReader(c.body))
		r.Header.Set("Idempotency-Key", "k")
		r.Header.Set("Content-Type", c.kind)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || c.status == 200 && read != len(c.body) {
			t.Errorf("%s: %d, %d bytes read", what, w.Code, read)
		}
	}
}
