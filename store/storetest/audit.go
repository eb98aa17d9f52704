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
	"github.com/mohor-sign/mohor/enrol"
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

// search asks for actions, the newest first, in as many steps as it takes.
func (h *House) search(t *testing.T, r enrol.AuditRead) (out []string) {
	t.Helper()
	r.Limit = 3
	for {
		seqs, next, err := h.DB.SearchAudit(context.Background(), r)
		must(t, err)
		for _, seq := range seqs {
			rec, err := h.DB.AuditRecord(context.Background(), seq)
			must(t, err)
			out = append(out, rec.Action)
		}
		if next == 0 {
			return out
		}
		if r.Before > 0 && next >= r.Before {
			t.Fatalf("from %d to %d", r.Before, next)
		}
		r.Before = next
	}
}

// Whoever an event names, in whatever form, it is found about them; and by who did what, when.
func auditSearch(t *testing.T, h *House) {
	ctx := context.Background()
	h.signing(t, "tx_search", 1)
	other := "790308100009"
	at := h.Clock.Now().Add(time.Hour)
	for k, e := range []audit.Event{
		{Actor: "account:ac_1", Action: "t.list", Object: "officer:" + other},
		{Actor: "account:ac_1", Action: "enrol.read", Object: "officer:" + other, RequestID: "r-search"},
		{Actor: "officer:" + other, Action: "enrol.read", Object: "officer:" + other},
		{Actor: "account:ac_2", Action: "officer.codes", Object: "en_none", Detail: map[string]string{"ic": other}, Verdict: audit.Refused},
		{Actor: "account:ac_2", Action: "t.note", Object: "x", Detail: map[string]string{"why": "of " + other + ", by letter"}},
		{Actor: "account:ac_2", Action: "t.hash", Object: "9" + other, Detail: map[string]string{"a": "a" + other, "b": other + "f", "c": "1_" + other[:11]}},
		{Actor: "gateway", Action: "transaction.expire", Object: "tx_search"},
		{Actor: "gateway", Action: "t.key", Object: h.Credential.ID},
		{Actor: "officer:" + IC, Action: "signer.authorize", Object: "tx_search", Verdict: audit.Refused, Detail: map[string]string{"reason": "wrong PIN"}},
		{Actor: "cli", Action: "hsm.key", Object: "key:x"},
	} {
		e.At = at.Add(time.Duration(k) * time.Minute)
		if e.Verdict == "" {
			e.Verdict = audit.Accepted
		}
		must(t, h.DB.Audit(ctx, e))
	}
	for what, c := range map[string]struct {
		read enrol.AuditRead
		want string
	}{
		"about":              {enrol.AuditRead{About: other}, "t.note officer.codes enrol.read enrol.read t.list"},
		"looks":              {enrol.AuditRead{About: other, Looks: true}, "officer.codes enrol.read"},
		"looks, refused":     {enrol.AuditRead{About: other, Looks: true, Verdict: audit.Refused}, "officer.codes"},
		"about, by one":      {enrol.AuditRead{About: other, Actors: []string{"account:ac_1"}}, "enrol.read t.list"},
		"by two":             {enrol.AuditRead{Actors: []string{"account:ac_1", "account:ac_2"}, Action: "t."}, "t.hash t.note t.list"},
		"of the token":       {enrol.AuditRead{Objects: []string{"key:x"}}, "hsm.key"},
		"beginning":          {enrol.AuditRead{Action: "t."}, "t.key t.hash t.note t.list"},
		"beginning, on":      {enrol.AuditRead{Action: "enrol.rea", Verdict: audit.Accepted}, "enrol.read enrol.read"},
		"request":            {enrol.AuditRead{Request: "r-search"}, "enrol.read"},
		"time":               {enrol.AuditRead{From: at.Add(3 * time.Minute), To: at.Add(5 * time.Minute)}, "t.note officer.codes"},
		"time, by one":       {enrol.AuditRead{To: at.Add(time.Minute), Actors: []string{"account:ac_1"}}, "t.list"},
		"later":              {enrol.AuditRead{From: at.AddDate(0, 0, 1)}, ""},
		"nobody":             {enrol.AuditRead{About: "790308100010"}, ""},
		"not said in words":  {enrol.AuditRead{About: IC, From: at}, "signer.authorize t.key transaction.expire"},
		"underscore is none": {enrol.AuditRead{Action: "t_"}, ""},
	} {
		if got := strings.Join(h.search(t, c.read), " "); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
	_, err := h.DB.AuditRecord(ctx, 1<<40)
	wants(t, "no such record", err, enrol.ErrUnknown)
	rows := h.report(t, enrol.ReportRead{Name: enrol.ReportRefusals, From: at, To: at.AddDate(0, 0, 1), By: enrol.ByMonth})
	if want := at.UTC().Add(8*time.Hour).Format("2006-01") + " " + System + " wrong_pin 1"; len(rows) != 1 || rows[0] != want {
		t.Errorf("%q, want %q", rows, want)
	}
}
