package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	process "os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/notify"
	mohor "github.com/mohor-sign/mohor/sdk/go"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

// dying is what a child process is told.
type dying struct{ SQLite, Postgres, URL, At string }

const dyingVariable = "MOHOR_TEST_DYING_WEBHOOK"

func dies() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// mortal dies around the steps of a delivery.
type mortal struct {
	*store.DB
	at string
}

func (m mortal) ClaimEvent(ctx context.Context, app string, lease time.Duration) (notify.Event, bool, error) {
	if m.at == "before the claim" {
		dies()
	}
	e, ok, err := m.DB.ClaimEvent(ctx, app, lease)
	if ok && m.at == "after the claim" {
		dies()
	}
	return e, ok, err
}

func (m mortal) SettleEvent(ctx context.Context, e notify.Event, t notify.Try, ev audit.Event) error {
	if m.at == "after the answer" {
		dies()
	}
	err := m.DB.SettleEvent(ctx, e, t, ev)
	if m.at == "at the end" {
		dies()
	}
	return err
}

func deliverer(o notify.EventOutbox, now func() time.Time) *notify.Webhooks {
	return &notify.Webhooks{Outbox: o, HTTP: http.DefaultClient, Check: func(string) error { return nil }, MAC: storetest.MAC("key"), Agent: "test", Now: now, Log: slog.New(slog.DiscardHandler)}
}

// The child: it ends a transaction and delivers, if it lives.
func TestDyingWebhookChild(t *testing.T) {
	text := os.Getenv(dyingVariable)
	if text == "" {
		return
	}
	var told dying
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		t.Fatal(err)
	}
	db := told.open(t)
	ctx := t.Context()
	ev := audit.Event{At: time.Now(), Actor: "test", Action: "test", Verdict: audit.Accepted}
	if err := db.AddEvent(ctx, "igfmas", "ev_1", notify.TransactionSigned, json.RawMessage(`{"transaction_id":"tx_1"}`), ev); err != nil {
		t.Fatal(err)
	}
	if told.At == "after the commit" {
		dies()
	}
	if _, err := deliverer(mortal{db, told.At}, time.Now).Once(ctx); err != nil {
		t.Fatal(err)
	}
}

func (d *dying) open(t *testing.T) *store.DB {
	if d.SQLite != "" {
		return storetest.OpenSQLite(t, d.SQLite)
	}
	return storetest.OpenPostgres(t, d.Postgres)
}

// Killed anywhere between the commit and the end of a delivery: after a start the event
// is delivered, and a receiver that follows docs/api.md acts once.
func TestKilledWhileDelivering(t *testing.T) {
	for engine, open := range map[string]func(t *testing.T) (*store.DB, dying){
		"SQLite": func(t *testing.T) (*store.DB, dying) {
			db, path := storetest.SQLite(t)
			return db, dying{SQLite: path}
		},
		"PostgreSQL": func(t *testing.T) (*store.DB, dying) {
			db, address := storetest.Postgres(t)
			return db, dying{Postgres: address}
		},
	} {
		for at, arrives := range map[string]int{"after the commit": 1, "before the claim": 1, "after the claim": 1, "after the answer": 2, "at the end": 1} {
			t.Run(engine+"/"+strings.ReplaceAll(at, " ", "_"), func(t *testing.T) {
				db, told := open(t)
				told.At = at
				killedWhileDelivering(t, storetest.NewHouse(t, db), told, arrives)
			})
		}
	}
}

func killedWhileDelivering(t *testing.T, h *storetest.House, told dying, arrives int) {
	ctx := t.Context()
	secret, err := enrol.WebhookSecret(ctx, storetest.MAC("key"), h.App.ID, []byte("generation"))
	if err != nil {
		t.Fatal(err)
	}
	requests, seen := 0, map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e, err := mohor.VerifyWebhook(r.Header.Get("Mohor-Signature"), body, string(secret.Reveal()), time.Now())
		if err != nil {
			t.Error(err)
		}
		requests++
		seen[e.ID] = true
	}))
	defer s.Close()
	ev := audit.Event{At: time.Now(), Actor: "test", Action: "test", Verdict: audit.Accepted}
	if err := h.DB.SetWebhook(ctx, h.App.ID, s.URL, []byte("generation"), time.Time{}, ev); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(told)
	if err != nil {
		t.Fatal(err)
	}
	cmd := process.Command(os.Args[0], "-test.run=^TestDyingWebhookChild$")
	cmd.Env = append(os.Environ(), dyingVariable+"="+string(text))
	out, err := cmd.CombinedOutput()
	if status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
	}
	// The next start, when the lease is over.
	later := time.Now().Add(time.Minute)
	h.DB.Now = func() time.Time { return later }
	for ok := true; ok; {
		if ok, err = deliverer(h.DB, time.Now).Once(ctx); err != nil {
			t.Fatal(err)
		}
	}
	list, err := h.DB.Deliveries(ctx, h.App.ID, "", "", 10)
	if err != nil || len(list) != 1 || list[0].State != enrol.EventDelivered || len(seen) != 1 || requests != arrives {
		t.Errorf("%d requests, want %d; %d different events; %+v, %v", requests, arrives, len(seen), list, err)
	}
}
