package api_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/api"
	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/signer"
)

// book is an audit that may be full.
type book struct {
	signer.Records
	full   bool
	events []audit.Event
}

func (b *book) Audit(ctx context.Context, ev audit.Event) error {
	if b.full {
		return errors.New("the disk is full")
	}
	b.events = append(b.events, ev.From(ctx))
	return nil
}

// An answer leaves when its request stands in the audit, once, and not otherwise.
func TestNoAuditNoAnswer(t *testing.T) {
	const secretWords = "what was read"
	for what, c := range map[string]struct {
		full   bool
		serve  func(b *book, w http.ResponseWriter, r *http.Request)
		status int
		events int
	}{
		"a read": {false, func(_ *book, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, secretWords) }, 200, 1},
		"a file": {false, func(_ *book, w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, strings.NewReader(secretWords))
		}, 200, 1},
		"a refusal": {false, func(_ *book, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, 404, 1},
		"our fault": {false, func(_ *book, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 503, 0},
		"one of its own": {false, func(b *book, w http.ResponseWriter, r *http.Request) {
			_ = b.Audit(r.Context(), audit.Event{RequestID: "r"})
			w.WriteHeader(200)
		}, 200, 1},
		"one of the gateway's": {false, func(b *book, w http.ResponseWriter, r *http.Request) {
			_ = b.Audit(r.Context(), audit.Event{Actor: "gateway", Action: "transaction.expire"})
			w.WriteHeader(200)
		}, 200, 2},
		"a read, full": {true, func(_ *book, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, secretWords) }, 503, 0},
		"a file, full": {true, func(_ *book, w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, strings.NewReader(secretWords))
		}, 503, 0},
		"a refusal, full": {true, func(_ *book, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			_, _ = io.WriteString(w, secretWords)
		}, 503, 0},
		"again after, full": {true, func(_ *book, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.WriteHeader(200) }, 503, 0},
	} {
		b := &book{full: c.full}
		cfg := api.Config{Signer: &signer.Signer{Records: b}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		rec := httptest.NewRecorder()
		api.Accounted(cfg, enrol.App{ID: "lejar"}, &audit.Origin{Address: "192.0.2.7"}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(b, w, r) })).
			ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/transactions/tx_1?nonce=x", nil))
		last := rec.Result().StatusCode
		if last != c.status || len(b.events) != c.events {
			t.Errorf("%s: %d, %d events", what, last, len(b.events))
		}
		if c.full && strings.Contains(rec.Body.String(), secretWords) {
			t.Errorf("%s: answered %q", what, rec.Body)
		}
		for _, ev := range b.events {
			if ev.Detail["address"] != "192.0.2.7" || ev.Action == "app.request" && (ev.Object != "/v1/transactions/tx_1" || ev.Actor != "app:lejar") {
				t.Errorf("%s: %+v", what, ev)
			}
		}
	}
}
