package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
)

const newcomer = "790308109903"

// list puts an officer on the list, in a state, and gives the enrolment's id.
func (h *House) list(t *testing.T, ic, system string, s enrol.State, due time.Time) string {
	t.Helper()
	ctx := context.Background()
	must(t, h.DB.PutAgency(ctx, enrol.Agency{Code: "JANM", Name: "J", PersonalMail: true}, h.ev("registry", "JANM")))
	must(t, h.DB.PutSystem(ctx, enrol.System{Code: system, Title: "T", Agency: "JANM", TokenEnds: h.Clock.Now()}, h.ev("registry", system)))
	e := enrol.Entry{Row: enrol.Row{Officer: enrol.Officer{IC: ic, Name: "NORAINI", Email: "n@janm.example"}, Agency: "JANM", System: system, Office: "o", Phase: "1", Ticket: "t", Medium: enrol.RoamingOTP},
		ID: "en_" + ic + system, List: "l", By: "sap", State: s, At: h.Clock.Now(), Due: due, Event: h.ev("list", ic)}
	must(t, h.DB.AddEntries(ctx, []enrol.Entry{e}))
	return e.ID
}

func enrolmentRegister(t *testing.T, h *House) {
	ctx, db := context.Background(), h.DB
	id := h.list(t, newcomer, System, enrol.Listed, time.Time{})
	e, err := db.Enrolment(ctx, id)
	if err != nil || e.IC != newcomer || e.Name != "NORAINI" || e.Email != "n@janm.example" || e.State != enrol.Listed || e.System != System || e.Agency != "JANM" || e.Office != "o" ||
		e.Phase != "1" || e.Ticket != "t" || e.List != "l" || e.ListedBy != "sap" || !e.ListedAt.Equal(h.Clock.Now()) || !e.DueAt.IsZero() {
		t.Errorf("%+v, %v", e, err)
	}
	_, err = db.Enrolment(ctx, "en_none")
	wants(t, "an unknown enrolment", err, enrol.ErrUnknown)
	if g, err := db.Agencies(ctx); err != nil || len(g) != 1 || g[0] != (enrol.Agency{Code: "JANM", Name: "J", PersonalMail: true}) {
		t.Errorf("%+v, %v", g, err)
	}
	if s, err := db.Systems(ctx); err != nil || len(s) != 1 || s[0].Agency != "JANM" || !s[0].TokenEnds.Equal(h.Clock.Now()) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := db.Standing(ctx, newcomer, System, h.Clock.Now()); err != nil || s != (enrol.Standing{Name: "NORAINI", Email: "n@janm.example", Medium: enrol.RoamingOTP, Enrolment: id, State: enrol.Listed, List: "l"}) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := db.Standing(ctx, IC, System, h.Clock.Now()); err != nil || !s.Live || s.Enrolment != "" {
		t.Errorf("%+v, %v", s, err)
	}
	_, err = db.Standing(ctx, "880101145678", System, h.Clock.Now())
	wants(t, "the standing of nobody", err, enrol.ErrUnknown)

	// All or nothing: the second row has an open enrolment.
	before := h.events(t, "list")
	row := enrol.Row{Officer: enrol.Officer{IC: "880101145678", Name: "A", Email: "a@x.example"}, Agency: "JANM", System: System, Medium: enrol.RoamingOTP}
	again := row
	again.Officer.IC = newcomer
	err = db.AddEntries(ctx, []enrol.Entry{{Row: row, ID: "en_a", State: enrol.Listed, At: h.Clock.Now(), Event: h.ev("list", "a")}, {Row: again, ID: "en_b", State: enrol.Listed, At: h.Clock.Now(), Event: h.ev("list", "b")}})
	wants(t, "an open one twice", err, enrol.ErrExists)
	if _, _, err := db.Officer(ctx, "880101145678"); !errors.Is(err, enrol.ErrUnknown) || h.events(t, "list") != before {
		t.Errorf("half of it was stored: %v", err)
	}
	// A medium without an application; an officer who is there stays as she is.
	row.Medium, row.System, row.Officer.IC = enrol.Token, "EP", IC
	must(t, db.AddEntries(ctx, []enrol.Entry{{Row: row, At: h.Clock.Now(), Event: h.ev("list", "c")}}))
	wants(t, "the medium twice", db.AddEntries(ctx, []enrol.Entry{{Row: row, At: h.Clock.Now(), Event: h.ev("list", "c")}}), enrol.ErrExists)
	if o, media, err := db.Officer(ctx, IC); err != nil || o != h.Officer || len(media) != 2 {
		t.Errorf("%+v %+v, %v", o, media, err)
	}

	h.Clock.Advance(time.Second)
	h.list(t, "880101145679", System, enrol.Listed, time.Time{})
	f := enrol.Filter{State: enrol.Listed, Until: h.Clock.Now(), Limit: 1}
	page := func(f enrol.Filter, want ...string) []enrol.Enrolment {
		t.Helper()
		got, err := db.Enrolments(ctx, f)
		must(t, err)
		if len(got) != len(want) {
			t.Fatalf("%d found, want %d", len(got), len(want))
		}
		for k := range got {
			if got[k].IC != want[k] {
				t.Errorf("found %s, want %s", got[k].IC, want[k])
			}
		}
		return got
	}
	first := page(f, newcomer)[0]
	f.AfterSince, f.AfterID = first.Since, first.ID
	page(f, "880101145679")
	page(enrol.Filter{State: enrol.Listed, Until: first.Since, Limit: 9}, newcomer)
	page(enrol.Filter{State: enrol.Listed, System: "EP", Until: h.Clock.Now(), Limit: 9})
	page(enrol.Filter{State: enrol.Listed, Agency: "JANM", Until: h.Clock.Now(), Limit: 9}, newcomer, "880101145679")
	enrolmentQueues(t, h, page)
	if got, err := db.EnrolmentsOf(ctx, newcomer); err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := db.Stale(ctx, enrol.Listed, first.Since.Add(time.Microsecond)); err != nil || got.ID != id {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = db.Stale(ctx, enrol.Listed, first.Since)
	wants(t, "nothing stale", err, enrol.ErrUnknown)
}

// enrolmentQueues: of a system, an agency or all the same are found, counted and waiting.
func enrolmentQueues(t *testing.T, h *House, page func(enrol.Filter, ...string) []enrol.Enrolment) {
	t.Helper()
	now := h.Clock.Now()
	for _, scope := range []enrol.Scope{{}, {System: System}, {Agency: "JANM"}, {System: System, Agency: "JANM"}, {System: "EP"}, {Agency: "JPK"}} {
		all := []string{newcomer, "880101145679"}
		if scope.System == "EP" || scope.Agency == "JPK" {
			all = nil
		}
		for kind, none := range map[string]bool{"": false, "FIRST": false, enrol.NotRekey: false, "REKEY": true, "RENEWAL": true, "TRANSFER": true} {
			f := enrol.Filter{State: enrol.Listed, System: scope.System, Agency: scope.Agency, Kind: kind, Until: now, Limit: 9}
			want := all
			if none {
				want = nil
			}
			page(f, want...)
			n, err := h.DB.CountEnrolments(t.Context(), f)
			if must(t, err); n != len(want) {
				t.Errorf("%+v: %d counted", f, n)
			}
			f.Office = "none"
			page(f)
			f.Office, f.Phase = "", "none"
			page(f)
		}
		for most, want := range map[int]int{1: min(1, len(all)), 9: len(all)} {
			for kind, n := range map[string]int{"": want, enrol.NotRekey: want, string(enrol.Rekey): 0} {
				if got, err := h.DB.Waiting(t.Context(), scope, enrol.Listed, kind, most); err != nil || got != n {
					t.Errorf("%+v %q: %d of at most %d, %v", scope, kind, got, most, err)
				}
			}
		}
	}
}

func enrolmentClaims(t *testing.T, h *House) {
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	id := h.list(t, newcomer, System, enrol.Confirming, now)
	if _, ok, err := db.ClaimEnrolment(ctx, now.Add(-time.Second), now); ok || err != nil {
		t.Errorf("claimed before it was due: %v", err)
	}
	e, ok, err := db.ClaimEnrolment(ctx, now, now.Add(time.Minute))
	if !ok || err != nil || e.ID != id || e.Attempts != 1 {
		t.Fatalf("%+v %v %v", e, ok, err)
	}
	if _, ok, err := db.ClaimEnrolment(ctx, now, now.Add(time.Minute)); ok || err != nil {
		t.Errorf("claimed twice: %v", err)
	}
	link := [32]byte{1}
	must(t, db.PutSecret(ctx, e, link, now, now.Add(time.Hour), h.ev("mail", id)))
	if got, err := db.EnrolmentByLink(ctx, link); err != nil || got.ID != id || !got.LinkUntil.Equal(now.Add(time.Hour)) || !got.MailedAt.Equal(now) {
		t.Errorf("%+v, %v", got, err)
	}
	// The lease is over: another has it, and the first can do nothing any more.
	later, ok, err := db.ClaimEnrolment(ctx, now.Add(time.Minute), now.Add(2*time.Minute))
	if !ok || err != nil || later.Attempts != 2 {
		t.Fatalf("%+v %v %v", later, ok, err)
	}
	wants(t, "a secret of a lost claim", db.PutSecret(ctx, e, [32]byte{2}, now, now, h.ev("mail", id)), enrol.ErrState)
	must(t, db.Settle(ctx, e, time.Time{}, "lost"))
	if got, _ := db.Enrolment(ctx, id); got.DueAt.IsZero() || got.Reply != "" {
		t.Errorf("a lost claim was settled: %+v", got)
	}
	must(t, db.Settle(ctx, later, time.Time{}, "550"))
	if got, _ := db.Enrolment(ctx, id); !got.DueAt.IsZero() || got.Reply != "550" {
		t.Errorf("%+v", got)
	}
	must(t, db.Change(ctx, enrol.Change{ID: id, From: enrol.Confirming, To: enrol.Confirmed, At: now, Due: now, Event: h.ev("confirm", id)}))
	_, err = db.EnrolmentByLink(ctx, link)
	wants(t, "a link that was used", err, enrol.ErrUnknown)
	e, _, err = db.ClaimEnrolment(ctx, now, now.Add(time.Minute))
	must(t, err)
	must(t, db.PutSecret(ctx, e, [32]byte{3}, now, now.Add(time.Hour), h.ev("mail", id)))
	if got, err := db.EnrolmentByCode(ctx, [32]byte{3}); err != nil || got.ID != id || got.State != enrol.Confirmed {
		t.Errorf("%+v, %v", got, err)
	}
}

// file files an application for an enrolment that is Confirmed or Returned.
func (h *House) file(t *testing.T, id string, from enrol.State, n int) (enrol.Filed, error) {
	t.Helper()
	f := enrol.Filed{Credential: fmt.Sprintf("cr_new%d", n), Algorithm: "ECDSA-P256", Version: 1, Sealed: fmt.Appendf(nil, "sealed %d", n), Request: []byte("request"), Form: []byte("form"), Copy: []byte("copy"), At: h.Clock.Now()}
	return f, h.DB.Change(context.Background(), enrol.Change{ID: id, From: from, To: enrol.Applied, At: h.Clock.Now(), Filed: &f, Event: h.ev("apply", id)})
}

func enrolmentKeys(t *testing.T, h *House) {
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	id := h.list(t, newcomer, System, enrol.Confirmed, time.Time{})
	f, err := h.file(t, id, enrol.Confirmed, 1)
	must(t, err)
	_, err = h.file(t, id, enrol.Confirmed, 2)
	wants(t, "a second application", err, enrol.ErrState)
	got, sealed, request, err := db.Application(ctx, id)
	if err != nil || got.Credential != f.Credential || string(got.Sealed) != "sealed 1" || string(got.Copy) != "copy" || sealed != sha256.Sum256(f.Sealed) || request != sha256.Sum256(f.Request) {
		t.Errorf("%+v, %v", got, err)
	}
	must(t, db.Accounted(ctx))

	// Given back: the key is gone, and the next has a history of its own.
	move := func(from, to enrol.State) error {
		return db.Change(ctx, enrol.Change{ID: id, From: from, To: to, At: now, ActorIC: "700101105555", Reason: "r", Notice: "enrol.rejected", Event: h.ev("move", id)})
	}
	must(t, move(enrol.Applied, enrol.Returned))
	if got, sealed, _, _ := db.Application(ctx, id); len(got.Sealed)+len(got.Copy) != 0 || string(got.Form) != "form" || sealed != ([32]byte{}) {
		t.Errorf("after the return: %+v", got)
	}
	must(t, db.Accounted(ctx))
	f, err = h.file(t, id, enrol.Returned, 2)
	must(t, err)
	must(t, move(enrol.Applied, enrol.Validated))
	wants(t, "validated twice", move(enrol.Applied, enrol.Validated), enrol.ErrState)
	must(t, move(enrol.Validated, enrol.Approved))
	if e, _ := db.Enrolment(ctx, id); e.ValidatedIC != "700101105555" || e.ApprovedIC != "700101105555" || e.ValidatedBy != "test" || !e.ApprovedAt.Equal(now) || e.Reason != "r" {
		t.Errorf("%+v", e)
	}

	// Without its certificate there is no credential; with it both come at once.
	c := enrol.Credential{ID: f.Credential, IC: newcomer, System: System, Algorithm: f.Algorithm, Version: 1, Sealed: f.Sealed, Serial: "77", CreatedAt: now}
	issue := enrol.Change{ID: id, From: enrol.Approved, To: enrol.Issued, At: now, Credential: &c, Event: h.ev("issue", id)}
	wants(t, "without a certificate", db.Change(ctx, issue), ca.ErrUnknown)
	if e, _ := db.Enrolment(ctx, id); e.State != enrol.Approved || h.events(t, "issue") != 0 {
		t.Errorf("half of it was stored: %s", e.State)
	}
	must(t, db.ReserveSerial(ctx, ca.Certificate{Serial: "77", Issuer: ca.Issuing, Subject: "x", Credential: c.ID, NotBefore: now, NotAfter: now.Add(time.Hour)}, h.ev("reserve", "77")))
	must(t, db.StoreCertificate(ctx, "77", []byte{1}, h.ev("store", "77")))
	must(t, db.Change(ctx, issue))
	wants(t, "issued twice", db.Change(ctx, issue), enrol.ErrState)
	if got, _, _, _ := db.Application(ctx, id); len(got.Sealed)+len(got.Copy) != 0 {
		t.Errorf("the application keeps the key: %+v", got)
	}
	must(t, db.Accounted(ctx))
	_, media, err := db.Officer(ctx, newcomer)
	if err != nil || len(media) != 1 || media[0].Status != "ACTIVE" || media[0].Credential != c.ID {
		t.Errorf("%+v, %v", media, err)
	}
	e, _ := db.Enrolment(ctx, id)
	if e.ValidatedIC == "" || e.ApprovedIC == "" {
		t.Errorf("who decided is forgotten: %+v", e)
	}
	wants(t, "another address", db.Correct(ctx, e, "x@x.example", now, h.ev("correct", id)), enrol.ErrState)
}

// A pending key keeps its KEK from being retired, and counts under it.
func enrolmentKEK(t *testing.T, h *House) {
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	id := h.list(t, newcomer, System, enrol.Confirmed, time.Time{})
	f := enrol.Filed{Credential: "cr_new", Algorithm: "ECDSA-P256", Version: 1, Sealed: []byte(`{"kek":"mohor-kek-9"}`), Request: []byte("r"), Form: []byte("f"), At: now}
	must(t, db.Change(ctx, enrol.Change{ID: id, From: enrol.Confirmed, To: enrol.Applied, At: now, Filed: &f, Event: h.ev("apply", id)}))
	if live, err := db.LiveByKEK(ctx); err != nil || live["mohor-kek-9"] != 1 {
		t.Errorf("%v, %v", live, err)
	}
	if err := db.BeginRetirement(ctx, "mohor-kek-9", h.ev("retire", "")); err == nil {
		t.Error("the KEK of a pending key was retired")
	}
	must(t, db.Change(ctx, enrol.Change{ID: id, From: enrol.Applied, To: enrol.Rejected, At: now, Event: h.ev("reject", id)}))
	must(t, db.BeginRetirement(ctx, "mohor-kek-9", h.ev("retire", "")))
	id = h.list(t, "880101145678", System, enrol.Confirmed, time.Time{})
	f.Credential = "cr_new2"
	if err := db.Change(ctx, enrol.Change{ID: id, From: enrol.Confirmed, To: enrol.Applied, At: now, Filed: &f, Event: h.ev("apply", id)}); err == nil {
		t.Error("a key was filed under a KEK that is retired")
	}
}

func enrolmentCorrect(t *testing.T, h *House) {
	ctx, db, now := context.Background(), h.DB, h.Clock.Now()
	id := h.list(t, newcomer, System, enrol.Confirming, time.Time{})
	e, err := db.Enrolment(ctx, id)
	must(t, err)
	must(t, db.PutSecret(ctx, e, [32]byte{1}, now, now.Add(time.Hour), h.ev("mail", id)))
	must(t, db.Correct(ctx, e, "other@janm.example", now, h.ev("correct", id)))
	_, err = db.EnrolmentByLink(ctx, [32]byte{1})
	wants(t, "the link to the old address", err, enrol.ErrUnknown)
	if e, _ = db.Enrolment(ctx, id); e.Email != "other@janm.example" || !e.DueAt.Equal(now) {
		t.Errorf("%+v", e)
	}
	// Once the address is proved for another system it stays.
	h.list(t, newcomer, "EP", enrol.Confirmed, time.Time{})
	wants(t, "a proved address", db.Correct(ctx, e, "third@janm.example", now, h.ev("correct", id)), enrol.ErrState)
}
