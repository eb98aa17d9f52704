package storetest

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/signer"
)

func auditChain(t *testing.T, h *House) {
	ctx := context.Background()
	at := time.Date(2026, 7, 1, 9, 0, 0, 123456789, time.FixedZone("MYT", 8*3600))
	want := audit.Event{At: at, Actor: "app:\"x\"", Action: "a<b>&\u2028", Object: "", Verdict: audit.Refused, RequestID: "é", Detail: map[string]string{"b": "2", "a": "ÿ\u00a0"}}
	must(t, h.DB.Audit(ctx, want))
	must(t, h.DB.Audit(ctx, audit.Event{At: at}))
	must(t, h.DB.Audit(ctx, audit.Event{At: at, Actor: "not UTF-8: \xff, a line\n", Object: strings.Repeat("é", 300), Detail: map[string]string{"\xfe": "\xfd"}}))
	all := Chain(t, h.DB)
	got := all[len(all)-3]
	if !got.At.Equal(at.Truncate(time.Microsecond)) || got.At.Location() != time.UTC || got.Actor != want.Actor || got.Action != want.Action ||
		got.Verdict != want.Verdict || got.RequestID != want.RequestID || !maps.Equal(got.Detail, want.Detail) {
		t.Errorf("kept %+v, want %+v", got.Event, want)
	}
	if last := all[len(all)-1]; strings.Contains(last.Actor, "\n") || !utf8.ValidString(last.Actor) || len(last.Object) != 400 {
		t.Errorf("kept as it came: %+v", last.Event)
	}
	// Parallel writers make one chain without gaps.
	before := len(all)
	if n, _ := parallel(t, 20, func() error { return h.DB.Audit(ctx, h.ev("noise", "")) }); n != 20 {
		t.Errorf("%d of 20 events were appended", n)
	}
	if all = Chain(t, h.DB); len(all) != before+20 {
		t.Errorf("%d records after %d and 20 more", len(all), before)
	}
	// From the middle, as a start-up check reads it.
	mid := all[len(all)/2]
	v := audit.NewVerifierFrom(audit.Head{Seq: mid.Seq, Hash: mid.Hash})
	must(t, h.DB.AuditRecords(ctx, mid.Seq, v.Add))
	if seq, _, err := v.Finish(); err != nil || seq != all[len(all)-1].Seq {
		t.Errorf("from record %d: ended at %d, %v", mid.Seq, seq, err)
	}
	stop := fmt.Errorf("enough")
	if err := h.DB.AuditRecords(ctx, 0, func(audit.Record) error { return stop }); err != stop {
		t.Errorf("a reader that stops: %v", err)
	}
}

// A change whose event cannot be appended is not made, and a refused change
// leaves no event of an acceptance.
func noAuditNoAction(t *testing.T, h *House) {
	ctx, cancel := context.WithCancel(context.Background())
	b := batch.Batch{ID: "ba_x", App: h.App.ID, Name: "x", Kind: batch.Digest, Status: batch.Open, CreatedAt: h.Clock.Now()}
	cancel()
	if err := h.DB.CreateBatch(ctx, b, h.ev("create", b.ID)); err == nil {
		t.Fatal("a cancelled call succeeded")
	}
	_, err := h.DB.Batch(context.Background(), b.ID)
	wants(t, "a batch that was not created", err, batch.ErrUnknown)

	ctx = context.Background()
	b.App = "nobody" // not registered
	if err := h.DB.CreateBatch(ctx, b, h.ev("create", b.ID)); err == nil {
		t.Error("a batch without an app was created")
	}
	wants(t, "cancelling nothing", h.DB.CancelRequest(ctx, "tx_none", signer.Cancelled, h.ev("create", "")), signer.ErrFinished)
	if n := h.events(t, "create"); n != 0 {
		t.Errorf("%d events tell of changes that were not made", n)
	}
}
