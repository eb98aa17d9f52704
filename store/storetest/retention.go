package storetest

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/archive"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/signer"
)

const day = 24 * time.Hour

func keep() enrol.Keep {
	return enrol.Keep{Codes: 90 * day, Logins: 7 * day, Changes: 365 * day, Refused: 365 * day, Documents: 90 * day, Events: 30 * day, ActiveYears: tenYears, ArchiveYears: 5}
}

func jdn(ic string) enrol.Actor {
	return enrol.Actor{Name: "account:ac_" + ic, IC: ic, Appointments: []enrol.Appointment{{Role: enrol.JDN}}}
}

const (
	firstJDN  = "700101105554"
	secondJDN = "710202105553"
)

// expunge: what is past its time goes, counted in the audit, and nothing else does.
func expunge(t *testing.T, h *House) {
	ctx, blobs := context.Background(), h.blobs(t)
	must(t, h.DB.PutAgency(ctx, enrol.Agency{Code: "JANM", Name: "JANM"}, h.ev("x", "x")))
	must(t, h.DB.PutSystem(ctx, enrol.System{Code: System, Title: "iGFMAS", Agency: "JANM"}, h.ev("x", "x")))
	h.signed(t, blobs, "tx_1", 1) // with a code that was sent
	rejected := h.list(t, "850505085557", System, enrol.Listed, time.Time{})
	must(t, h.DB.Change(ctx, enrol.Change{ID: rejected, From: enrol.Listed, To: enrol.Withdrawn, At: h.Clock.Now(), Reason: "not needed", Event: h.ev("enrol.withdraw", rejected)}))
	open := h.list(t, "860606085556", System, enrol.Listed, time.Time{})
	for _, id := range []string{"do_unused", "do_used"} {
		must(t, h.DB.PutDocument(ctx, batch.Document{ID: id, App: h.App.ID, Name: "surat", Digest: []byte("d"), Blob: "document/" + id, CreatedAt: h.Clock.Now()}, h.ev("document.upload", id)))
	}
	run := func() (enrol.Expunged, int) {
		before := h.events(t, "retention.expunge")
		n, more, err := h.DB.Expunge(ctx, keep(), h.ev("retention.expunge", ""))
		must(t, err)
		if more {
			t.Error("more is left")
		}
		return n, h.events(t, "retention.expunge") - before
	}
	if n, told := run(); n != (enrol.Expunged{}) || told != 0 {
		t.Errorf("at once: %+v, %d events", n, told)
	}
	h.Clock.Advance(91 * day)
	must(t, h.DB.PutHold(ctx, enrol.Hold{ID: "ho_0", IC: IC, Reason: "court case", By: "x", At: h.Clock.Now()}, h.ev("x", "x")))
	if n, told := run(); n != (enrol.Expunged{Documents: 2}) || told != 1 {
		t.Errorf("after 91 days, the codes held: %+v, %d events", n, told)
	}
	must(t, h.DB.LiftHold(ctx, "ho_0", h.ev("x", "x")))
	if n, told := run(); n != (enrol.Expunged{Codes: 1}) || told != 1 {
		t.Errorf("after 91 days: %+v, %d events", n, told)
	}
	left, err := h.DB.Archives().Removals(ctx, 100)
	must(t, err)
	if len(left) != 4 {
		t.Errorf("files to remove: %v", left)
	}
	hold := enrol.Hold{ID: "ho_1", IC: "850505085557", Reason: "court case", By: "x", At: h.Clock.Now()}
	must(t, h.DB.PutHold(ctx, hold, h.ev("x", "x")))
	h.Clock.Advance(365 * day)
	if n, _ := run(); n != (enrol.Expunged{}) {
		t.Errorf("held: %+v", n)
	}
	must(t, h.DB.LiftHold(ctx, hold.ID, h.ev("x", "x")))
	wants(t, "lifting twice", h.DB.LiftHold(ctx, hold.ID, h.ev("x", "x")), enrol.ErrUnknown)
	if n, told := run(); n != (enrol.Expunged{Applications: 1, Officers: 1}) || told != 1 {
		t.Errorf("after a year: %+v, %d events", n, told)
	}
	_, err = h.DB.Enrolment(ctx, rejected)
	wants(t, "the withdrawn application", err, enrol.ErrUnknown)
	_, _, err = h.DB.Officer(ctx, "850505085557")
	wants(t, "the officer that was only listed", err, enrol.ErrUnknown)
	if _, err := h.DB.Enrolment(ctx, open); err != nil {
		t.Errorf("an open application: %v", err)
	}
	for _, r := range Chain(t, h.DB) {
		if r.Action == "retention.expunge" && strings.Contains(fmt.Sprint(r.Detail), "850505085557") {
			t.Error("the audit of the run names somebody")
		}
	}
}

func (h *House) kept() *enrol.Kept {
	return &enrol.Kept{Records: h.DB, Keep: keep(), Now: h.Clock.Now}
}

// disposal: two people, nothing young, nothing held, once, and a report.
func disposal(t *testing.T, h *House) {
	ctx, blobs, dir := context.Background(), h.blobs(t), t.TempDir()
	r := h.signed(t, blobs, "tx_1", 2)
	// Who has used the portal goes as anybody else does.
	account := enrol.NewAccount(h.Officer, h.Clock.Now())
	must(t, h.DB.PutPassword(ctx, account, []byte("one"), h.ev("password", IC)))
	must(t, h.DB.PutApp(ctx, enrol.App{ID: enrol.OwnApp(account.ID), Name: "Portal", PINEntry: enrol.PINHosted, Rate: 1, CreatedAt: h.Clock.Now(), State: enrol.AppActive, Person: account.ID}, nil, h.ev("app", IC)))
	h.Clock.Advance(11 * 365 * day)
	a := h.archiver(t, h.DB.Archives(), blobs, dir)
	var in archive.Info
	must(t, a.Run(ctx, func(x archive.Info) error { in = x; return nil }))
	k := h.kept()
	k.Removed = func(ctx context.Context) { must(t, archive.Remove(ctx, h.DB.Archives(), blobs, dir)) }
	_, err := k.Propose(ctx, jdn(firstJDN), false)
	wants(t, "proposing what is too young", err, enrol.ErrInput)
	h.Clock.Advance(5 * 365 * day)
	for who, by := range map[string]enrol.Actor{"an AP": {Name: "x", IC: firstJDN, Appointments: []enrol.Appointment{{Role: enrol.AP, Agency: "JANM"}}}, "the machine": {Name: "cli:root"},
		"a JDN without IC": {Name: "account:x", Appointments: []enrol.Appointment{{Role: enrol.JDN}}}} {
		_, err := k.Propose(ctx, by, false)
		wants(t, "proposed by "+who, err, enrol.ErrForbidden)
	}
	dry, err := k.Propose(ctx, jdn(firstJDN), true)
	must(t, err)
	if dry.ID != "" || dry.Counts != (enrol.DisposalCounts{Archives: 1, Transactions: 1, Signatures: 2}) {
		t.Errorf("dry run %+v", dry)
	}
	d, err := k.Propose(ctx, jdn(firstJDN), false)
	must(t, err)
	// The one who proposed, a stale session, and a hold meanwhile.
	_, err = k.Confirm(ctx, jdn(firstJDN), d.ID, true)
	wants(t, "confirmed by the proposer", err, enrol.ErrForbidden)
	_, err = k.Confirm(ctx, jdn(secondJDN), d.ID, false)
	wants(t, "confirmed in an old session", err, enrol.ErrStale)
	_, err = k.Confirm(ctx, jdn(secondJDN), "di_other", true)
	wants(t, "confirming nothing", err, enrol.ErrUnknown)
	hold, err := k.Hold(ctx, jdn(firstJDN), "", "ref", "court order 12")
	must(t, err)
	got, err := k.Confirm(ctx, jdn(secondJDN), d.ID, true)
	must(t, err)
	if got.Counts != (enrol.DisposalCounts{Kept: 1, Held: 1}) || !got.Items[0].Kept {
		t.Errorf("held by its document: %+v", got.Counts)
	}
	h.openArchive(t, in.ID, dir)
	_, err = k.Confirm(ctx, jdn(secondJDN), d.ID, true)
	wants(t, "confirmed twice", err, enrol.ErrState)
	wants(t, "lifted by nobody's right", k.Lift(ctx, enrol.Actor{Name: "cli:root"}, hold.ID, "it is over"), enrol.ErrForbidden)
	must(t, k.Lift(ctx, jdn(firstJDN), hold.ID, "it is over"))

	// Too late, and cancelled.
	d, err = k.Propose(ctx, jdn(firstJDN), false)
	must(t, err)
	h.Clock.Advance(enrol.DisposalFor)
	_, err = k.Confirm(ctx, jdn(secondJDN), d.ID, true)
	wants(t, "confirmed too late", err, enrol.ErrState)
	d, err = k.Propose(ctx, jdn(firstJDN), false)
	must(t, err)
	must(t, k.Cancel(ctx, jdn(firstJDN), d.ID))
	_, err = k.Confirm(ctx, jdn(secondJDN), d.ID, true)
	wants(t, "confirmed after it was cancelled", err, enrol.ErrState)

	// A policy that keeps for longer than when it was proposed counts.
	d, err = k.Propose(ctx, jdn(firstJDN), false)
	must(t, err)
	k.Keep.ArchiveYears = 50
	got, err = k.Confirm(ctx, jdn(secondJDN), d.ID, true)
	must(t, err)
	if got.Counts.Archives != 0 || got.Counts.Kept != 1 {
		t.Errorf("under a longer policy: %+v", got.Counts)
	}
	k.Keep.ArchiveYears = 5
	h.confirmed(t, k, in, dir)
	h.personGone(t, k)
	_, err = h.DB.Request(ctx, r.ID)
	wants(t, "the transaction", err, signer.ErrUnknown)
	Chain(t, h.DB)
	must(t, h.DB.Accounted(ctx))
}

// confirmed disposes of the archive.
func (h *House) confirmed(t *testing.T, k *enrol.Kept, in archive.Info, dir string) {
	t.Helper()
	ctx := context.Background()
	d, err := k.Propose(ctx, jdn(firstJDN), false)
	must(t, err)
	if d.Counts.People != 0 {
		t.Error("a person goes before the archive that names it")
	}
	// Two at once: one wins.
	ok, _ := parallel(t, 2, func() error { _, err := k.Confirm(ctx, jdn(secondJDN), d.ID, true); return err }, enrol.ErrState)
	if ok != 1 {
		t.Errorf("%d confirmations were taken", ok)
	}
	got, err := k.Disposal(ctx, jdn(firstJDN), d.ID)
	must(t, err)
	if got.State != enrol.DisposalDone || got.Counts.Archives != 1 || got.Items[0].Manifest != in.ManifestHex || got.DecidedBy != jdn(secondJDN).Name {
		t.Errorf("report %+v", got)
	}
	var csv bytes.Buffer
	must(t, got.WriteCSV(&csv))
	if !strings.Contains(csv.String(), in.ManifestHex) || strings.Contains(csv.String(), IC) {
		t.Errorf("CSV %q", csv.String())
	}
	if _, err := os.Stat(archive.Path(dir, in.ID)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file: %v", err)
	}
}

// personGone disposes of the officer, of whom nothing is needed any more.
func (h *House) personGone(t *testing.T, k *enrol.Kept) {
	t.Helper()
	ctx := context.Background()
	_, err := k.Propose(ctx, jdn(firstJDN), false)
	wants(t, "a person whose certificate ended later than that", err, enrol.ErrInput)
	h.Clock.Advance(365 * day)
	hold, err := k.Hold(ctx, jdn(firstJDN), IC, "", "court order 13")
	must(t, err)
	_, err = k.Propose(ctx, jdn(firstJDN), false)
	wants(t, "a person who is held", err, enrol.ErrInput)
	must(t, k.Lift(ctx, jdn(firstJDN), hold.ID, "it is over"))
	d, err := k.Propose(ctx, jdn(firstJDN), false)
	must(t, err)
	if d.Counts.People != 1 || d.Counts.Credentials != 1 || d.Counts.Certificates != 1 {
		t.Errorf("proposal %+v", d.Counts)
	}
	got, err := k.Confirm(ctx, jdn(secondJDN), d.ID, true)
	must(t, err)
	if got.Counts.People != 1 || got.Items[0].Credentials[0] != h.Credential.ID {
		t.Errorf("report %+v", got)
	}
	_, _, err = h.DB.Officer(ctx, IC)
	wants(t, "the officer", err, enrol.ErrUnknown)
	if h.events(t, "key.destroy") != 1 {
		t.Error("the key's end is not on record")
	}
}

// subject: everything about one person, nothing about another, no secret.
func subject(t *testing.T, h *House) {
	ctx, blobs := context.Background(), h.blobs(t)
	r := h.signed(t, blobs, "tx_1", 2)
	must(t, h.DB.PutOfficer(ctx, enrol.Officer{IC: "850505085557", Name: "SITI BINTI ABU", Email: "siti@x.example"}, System, "TOKEN", h.ev("other", "officer:850505085557")))
	must(t, h.DB.PutPassword(ctx, enrol.Account{ID: "ac_1", Kind: enrol.OfficerAccount, IC: IC, Name: "NOR'AINI", Email: "n@x.example", CreatedAt: h.Clock.Now()}, []byte("hash of a password"), h.ev("account.password", "account:ac_1")))
	// A deed of her own about another, and one about her that names another.
	about := h.ev("enrol.list", "officer:850505085557")
	about.Actor, about.Detail = "account:ac_1", map[string]string{"reason": "SITI moved", "why": "x"}
	must(t, h.DB.Audit(ctx, about))
	about = h.ev("officer.address", "officer:"+IC)
	about.Detail = map[string]string{"asked_ic": "850505085557", "kept": "a detail that stays"}
	must(t, h.DB.Audit(ctx, about))
	d := &enrol.Desk{Registrar: h.Registrar, Records: h.DB, MAC: MAC("desk")}
	own := enrol.Actor{Name: "account:ac_1", IC: IC}
	for who, c := range map[string]struct {
		by     enrol.Actor
		reason string
		fresh  bool
		want   error
	}{
		"another officer":     {enrol.Actor{Name: "x", IC: "850505085557"}, "for fun", true, enrol.ErrForbidden},
		"an AP":               {enrol.Actor{Name: "x", IC: firstJDN, Appointments: []enrol.Appointment{{Role: enrol.AP, Agency: "JANM"}}}, "for fun", true, enrol.ErrForbidden},
		"JDN without request": {jdn(firstJDN), "", true, enrol.ErrInput},
		"an old session":      {own, "", false, enrol.ErrStale},
	} {
		_, err := d.Export(ctx, h.DB, c.by, IC, c.reason, c.fresh)
		wants(t, "export by "+who, err, c.want)
	}
	s, err := d.Export(ctx, h.DB, own, IC, "", true)
	must(t, err)
	var out bytes.Buffer
	must(t, s.Write(ctx, &out))
	z, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	must(t, err)
	all := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		must(t, err)
		raw, err := io.ReadAll(r)
		must(t, err)
		all[f.Name] = string(raw)
	}
	for name, want := range map[string]string{"pegawai.json": IC, "pegawai.csv": "noraini@jpk.example", "transaksi.json": r.ID, "dokumen.csv": "baucar-1", "sijil.json": "der_hex", "kunci.csv": h.Credential.ID,
		"kod_dihantar.csv": r.ID, "akaun.json": "ac_1", "audit.csv": "subject.export", "BACA-README.txt": "DATA PERIBADI", "borang.csv": "postcode"} {
		if !strings.Contains(all[name], want) {
			t.Errorf("%s has no %q: %.300s", name, want, all[name])
		}
	}
	for _, want := range []string{"enrol.list", "a detail that stays"} {
		if !strings.Contains(all["audit.json"], want) {
			t.Errorf("the audit has no %q", want)
		}
	}
	for name, content := range all {
		for _, never := range []string{"850505085557", "SITI", "hash of a password", fmt.Sprintf("%x", "hash of a password")} {
			if strings.Contains(content, never) {
				t.Errorf("%s has %q", name, never)
			}
		}
	}
	wants(t, "two at once", s.Write(ctx, writerFunc(func(p []byte) (int, error) {
		wants(t, "the second", s.Write(ctx, io.Discard), enrol.ErrBusy)
		return 0, errCrash
	})), errCrash)
	s, err = d.Export(ctx, h.DB, jdn(firstJDN), "990909099999", "letter 4/2026", true)
	must(t, err)
	wants(t, "nobody", s.Write(ctx, io.Discard), enrol.ErrUnknown)
	if h.events(t, "subject.export") != 6 {
		t.Errorf("%d events of exports", h.events(t, "subject.export"))
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
