package signer_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// pdfs asks for PAdES signatures on documents with these bytes.
func (h *house) pdfs(t testing.TB, files ...[]byte) signer.Ask {
	t.Helper()
	a := h.Ask(0)
	a.Options = signer.Options{Format: signer.PADES, PAdES: signer.PAdES{Level: "B-B", Reason: "Lulus"}}
	for k, p := range files {
		d := signer.Document{Index: uint32(k), Name: fmt.Sprintf("surat-%d.pdf", k), Hash: crypto.SHA256, Blob: fmt.Sprintf("in/%d", k), Size: int64(len(p)), DocumentID: fmt.Sprintf("do_%d", k)}
		sum := sha256.Sum256(p)
		d.Digest = sum[:]
		h.write(t, d.Blob, p)
		a.Documents = append(a.Documents, d)
	}
	return a
}

func (h *house) write(t testing.TB, blob string, p []byte) {
	t.Helper()
	_, err := h.blobs.Create(ctx, blob, func(w io.Writer) error {
		_, err := w.Write(p)
		return err
	})
	must(t, err)
}

func TestPrepareStoresTellsAndSends(t *testing.T) {
	h := newHouse(t)
	a := h.Ask(5)
	a.Class, a.DataHeader = "terhad", "BAUCAR 900101145678"
	r, c, err := h.s.Prepare(ctx, a)
	must(t, err)
	if r.Status != signer.Waiting || r.Count != 5 || !r.Implicit || r.Options.Algorithm != signer.ECDSA || r.Options.Time != "2026-07-01T01:00:00Z" || !r.ExpiresAt.Equal(h.Clock.Now().Add(30*time.Minute)) {
		t.Errorf("request %+v", r)
	}
	if c.SentTo != "n•••@jpk.example" || c.Transaction != r.ID {
		t.Errorf("challenge %+v", c)
	}
	m := h.Mail.Message()
	if m.To != h.Officer.Email || m.Name != h.Officer.Name || m.System != "iGFMAS" || m.Count != 5 || !m.Unseen || !slices.Equal(m.Titles, []string{"baucar-0", "baucar-1", "baucar-2"}) ||
		m.Fingerprint != signer.Fingerprint(r.Root) || !m.Classified {
		t.Errorf("message %+v", m)
	}
	for class, want := range map[string]bool{"": false, "terbuka": false, "sulit": true} {
		a := h.Ask(1)
		a.Class = class
		h.prepare(t, a)
		if got := h.Mail.Message().Classified; got != want {
			t.Errorf("class %q: classified %v", class, got)
		}
	}
	// The audit names neither PIN nor code.
	for _, rec := range storetest.Chain(t, h.DB) {
		if s := fmt.Sprintf("%+v", rec.Event); strings.Contains(s, h.Mail.Code()) || strings.Contains(s, storetest.PIN) {
			t.Errorf("a secret is in the audit: %s", s)
		}
	}
}

var errHeaders = errors.New("the table of systems is gone")

// templates has every system's headers made so.
func (h *house) templates(t *testing.T, template string) {
	t.Helper()
	x, err := enrol.ParseHeader(template)
	must(t, err)
	h.s.Headers = func(context.Context, string) (signer.HeaderFits, error) { return x.Fits, nil }
}

// What fits is accepted, with the total that the header says, or with neither.
func TestPrepareTakesHeadersThatFit(t *testing.T) {
	const header = "110FGOM07022411247A0029911.35" + storetest.IC
	for what, edit := range map[string]func(a *signer.Ask){
		"with its total": func(a *signer.Ask) {
			a.DataHeader, a.Options.Total = header, &otp.Total{Amount: "29911.35", Currency: "MYR"}
		},
		"without a total":  func(a *signer.Ask) { a.DataHeader = header },
		"without a header": func(a *signer.Ask) { a.Options.Total = &otp.Total{Amount: "1.00", Currency: "MYR"} },
	} {
		h := newHouse(t)
		h.templates(t, "110FGOM{digits:11}A{amount}{ic}")
		a := h.Ask(1)
		edit(&a)
		if r, _, err := h.s.Prepare(ctx, a); err != nil || r.DataHeader != a.DataHeader || h.Mail.Sent() != 1 {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
}

func TestPrepareRefuses(t *testing.T) {
	good := storetest.PDF("x")
	for name, c := range map[string]struct {
		want error
		edit func(t *testing.T, h *house, a *signer.Ask)
	}{
		"an unknown officer": {signer.ErrUnknownOfficer, func(_ *testing.T, _ *house, a *signer.Ask) { a.Officer = "880101145678" }},
		"another system":     {signer.ErrUnknownOfficer, func(_ *testing.T, _ *house, a *signer.Ask) { a.System = "X" }},
		"another medium": {signer.ErrMedium, func(t *testing.T, h *house, a *signer.Ask) {
			must(t, h.DB.PutOfficer(ctx, h.Officer, storetest.System, enrol.Token, audit.Event{}))
		}},
		"no such credential": {signer.ErrNoCredential, func(_ *testing.T, _ *house, a *signer.Ask) { a.Credential = "cr_x" }},
		"a channel":          {signer.ErrChannel, func(_ *testing.T, _ *house, a *signer.Ask) { a.Channel = "sms" }},
		"another's header":   {signer.ErrHeader, func(_ *testing.T, _ *house, a *signer.Ask) { a.DataHeader = "BAUCAR 880101145678" }},
		"a header that does not fit": {signer.ErrHeader, func(t *testing.T, h *house, a *signer.Ask) {
			h.templates(t, "110FGOM{digits:11}A{amount}{ic}")
			a.DataHeader = "BAUCAR " + storetest.IC
		}},
		"another's within a header": {signer.ErrHeader, func(t *testing.T, h *house, a *signer.Ask) {
			h.templates(t, "{ic}/{digits:4}")
			a.DataHeader = "880101145678/2026"
		}},
		"another amount in the header": {signer.ErrHeader, func(t *testing.T, h *house, a *signer.Ask) {
			h.templates(t, "110FGOM{digits:11}A{amount}{ic}")
			a.DataHeader, a.Options.Total = "110FGOM07022411247A29911.35"+storetest.IC, &otp.Total{Amount: "29911.36", Currency: "MYR"}
		}},
		"a template that cannot be read": {errHeaders, func(_ *testing.T, h *house, a *signer.Ask) {
			h.s.Headers = func(context.Context, string) (signer.HeaderFits, error) { return nil, errHeaders }
			a.DataHeader = "x"
		}},
		"an algorithm":   {signer.ErrAlgorithm, func(_ *testing.T, _ *house, a *signer.Ask) { a.Options.Algorithm = signer.RSAPSS }},
		"nothing":        {signer.ErrBatchEmpty, func(_ *testing.T, _ *house, a *signer.Ask) { a.Documents = nil }},
		"an empty batch": {signer.ErrBatchEmpty, func(_ *testing.T, _ *house, a *signer.Ask) { a.Documents, a.Batch = nil, "ba_none" }},
		"one of a revoked CA": {signer.ErrCertificateRevoked, func(t *testing.T, h *house, _ *signer.Ask) {
			must(t, h.CA.Revoke(ctx, "t", h.CA.Certificate(ca.Issuing).SerialNumber.String(), 2))
		}},
		"a revoked one":      {signer.ErrCertificateRevoked, func(t *testing.T, h *house, _ *signer.Ask) { must(t, h.CA.Revoke(ctx, "t", h.Credential.Serial, 1)) }},
		"an expired one":     {signer.ErrCertificateExpired, func(_ *testing.T, h *house, _ *signer.Ask) { h.Clock.Advance(400 * 24 * time.Hour) }},
		"one not valid yet":  {signer.ErrCertificateExpired, func(_ *testing.T, h *house, _ *signer.Ask) { h.Clock.Advance(-time.Hour) }},
		"a PDF that is none": {pdf.ErrInvalid, func(t *testing.T, h *house, a *signer.Ask) { *a = h.pdfs(t, good, []byte("%PDF-1.7 no")) }},
		"a field that cannot": {pdf.ErrOptions, func(t *testing.T, h *house, a *signer.Ask) {
			*a = h.pdfs(t, good)
			a.Options.Visible = &signer.Visible{Page: 9, Width: 1, Height: 1}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			a := h.Ask(1)
			c.edit(t, h, &a)
			before := h.refusals(t)
			r, ch, err := h.s.Prepare(ctx, a)
			if !errors.Is(err, c.want) || r != nil || ch != nil {
				t.Errorf("%v, want %v", err, c.want)
			}
			if h.Mail.Sent() != 0 || h.refusals(t) != before+1 || h.Keys.Opens.Load() != 0 {
				t.Errorf("%d mails, %d refusals in the audit", h.Mail.Sent(), h.refusals(t)-before)
			}
			var n int
			must(t, h.raw(t).QueryRow("SELECT (SELECT count(*) FROM transactions) + (SELECT count(*) FROM items)").Scan(&n))
			if n != 0 {
				t.Errorf("%d rows were stored", n)
			}
		})
	}
	h := newHouse(t)
	var bad *signer.DocumentError
	if _, _, err := h.s.Prepare(ctx, h.pdfs(t, good, []byte("no"))); !errors.As(err, &bad) || bad.Index != 1 || bad.Name != "surat-1.pdf" || bad.Error() == "" {
		t.Errorf("%v", err)
	}
	a := h.Ask(1)
	a.Documents[0].Digest = a.Documents[0].Digest[:20]
	if _, _, err := h.s.Prepare(ctx, a); err == nil || h.Mail.Sent() != 0 {
		t.Errorf("a short digest: %v", err)
	}
}

// When no code reaches the officer nothing half-done stays.
func TestPrepareWithoutMailLeavesNothingLive(t *testing.T) {
	h := newHouse(t)
	h.Mail.Fail = errors.New("550")
	h.refuses(t, "no mail", otp.ErrNotSent, func() error {
		_, _, err := h.s.Prepare(ctx, h.Ask(1))
		return err
	})
	var status string
	must(t, h.raw(t).QueryRow("SELECT status FROM transactions").Scan(&status))
	if status != string(signer.Cancelled) {
		t.Errorf("the transaction is %s", status)
	}
}

// A resend between the judgement and its commit: the old code authorises nothing,
// which is not "used", and the right PIN is not counted. The new one does.
func TestResendOvertakesSigning(t *testing.T) {
	h := newHouse(t)
	r, f := h.prepare(t, h.Ask(1))
	h.Clock.Advance(time.Minute)
	h.Keys.OnOpen = func(signer.Credential) error {
		h.Keys.OnOpen = nil
		_, _, err := h.s.Resend(ctx, r.App, r.ID, "", "r")
		return err
	}
	if _, err := h.s.Authorize(ctx, f); !errors.Is(err, otp.ErrNonce) || h.pin(t) != (signer.PINState{}) || h.Keys.Live.Load() != 0 {
		t.Errorf("%v, counter %+v, %d keys are open", err, h.pin(t), h.Keys.Live.Load())
	}
	ch, err := h.DB.Challenge(ctx, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	a, err := h.s.Authorize(ctx, h.Confirm(r, &ch))
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
}

func TestResend(t *testing.T) {
	h := newHouse(t)
	r, f := h.prepare(t, h.Ask(4))
	resend := func(app, id, channel string) error {
		_, _, err := h.s.Resend(ctx, app, id, channel, "r")
		return err
	}
	h.refuses(t, "at once", otp.ErrResendTooSoon, func() error { return resend(r.App, r.ID, "") })
	h.refuses(t, "a channel", signer.ErrChannel, func() error { return resend(r.App, r.ID, "sms") })
	h.refuses(t, "another app", signer.ErrUnknown, func() error { return resend("other", r.ID, "") })
	h.refuses(t, "an unknown transaction", signer.ErrUnknown, func() error { return resend(r.App, "tx_none", "") })
	h.Clock.Advance(time.Minute)
	_, c, err := h.s.Resend(ctx, r.App, r.ID, "email", "r")
	must(t, err)
	if c.Nonce == f.Nonce || c.Sends != 2 || h.Mail.Sent() != 2 || len(h.Mail.Message().Titles) != 3 || h.Mail.Message().Fingerprint != signer.Fingerprint(r.Root) {
		t.Errorf("second code: %+v, message %+v", c, h.Mail.Message())
	}
	a, err := h.s.Authorize(ctx, h.Confirm(r, c))
	must(t, err)
	defer a.Close()
	h.Clock.Advance(time.Minute)
	h.refuses(t, "while it is signed", otp.ErrUsed, func() error { return resend(r.App, r.ID, "") })

	r, _ = h.prepare(t, h.Ask(1))
	h.Clock.Advance(time.Minute)
	for range 5 {
		_, err := h.DB.CountPIN(ctx, storetest.IC, signer.DefaultPINPolicy(), h.Clock.Now())
		must(t, err)
	}
	h.refuses(t, "while the PIN is locked", signer.ErrPINLocked, func() error { return resend(r.App, r.ID, "") })
	h.Clock.Advance(15 * time.Minute)
	must(t, h.CA.Revoke(ctx, "test", h.Credential.Serial, 1))
	mails := h.Mail.Sent()
	h.refuses(t, "after a revocation", signer.ErrCertificateRevoked, func() error { return resend(r.App, r.ID, "") })
	if h.Mail.Sent() != mails {
		t.Error("a code was sent for a revoked certificate")
	}
}

func TestCancelAndExpire(t *testing.T) {
	h := newHouse(t)
	r, _ := h.prepare(t, h.Ask(1))
	h.refuses(t, "another app", signer.ErrUnknown, func() error { return h.s.Cancel(ctx, "other", r.ID, "r") })
	if _, err := h.s.Request(ctx, "other", r.ID); !errors.Is(err, signer.ErrUnknown) {
		t.Errorf("another app reads it: %v", err)
	}
	must(t, h.s.Cancel(ctx, r.App, r.ID, "r"))
	h.refuses(t, "twice", signer.ErrCancelled, func() error { return h.s.Cancel(ctx, r.App, r.ID, "r") })
	r, _ = h.prepare(t, h.Ask(1))
	h.Clock.Advance(30*time.Minute - time.Second)
	if got, err := h.s.Request(ctx, r.App, r.ID); err != nil || got.Status != signer.Waiting {
		t.Errorf("%s, %v", got.Status, err)
	}
	h.Clock.Advance(time.Second)
	for range 2 {
		if got, err := h.s.Request(ctx, r.App, r.ID); err != nil || got.Status != signer.Expired {
			t.Errorf("%s, %v", got.Status, err)
		}
	}
	h.refuses(t, "after it expired", signer.ErrTransactionExpired, func() error { return h.s.Cancel(ctx, r.App, r.ID, "r") })
	r, f := h.prepare(t, h.Ask(1))
	a, err := h.s.Authorize(ctx, f)
	must(t, err)
	defer a.Close()
	h.refuses(t, "while it is signed", otp.ErrUsed, func() error { return h.s.Cancel(ctx, r.App, r.ID, "r") })
}

// A sealed batch is measured from its rows; one transaction at a time.
func TestPrepareOnABatch(t *testing.T) {
	h := newHouse(t)
	ev := audit.Event{Action: "x"}
	must(t, h.DB.CreateBatch(ctx, batch.Batch{ID: "ba", App: h.App.ID, Name: "b", Kind: batch.Digest, Status: batch.Open}, ev))
	var items []batch.Item
	var tree signer.Tree
	for _, d := range h.Ask(4).Documents {
		items = append(items, batch.Item{Document: d})
		tree.Add(d.Leaf())
	}
	must(t, h.DB.AddItems(ctx, "ba", items, nil, ev))
	n, root := tree.Root()
	must(t, h.DB.Seal(ctx, "ba", n, root, false, ev))
	a := h.Ask(0)
	a.Documents, a.Batch = nil, "ba"
	r, f := h.prepare(t, a)
	if r.Count != 4 || r.Root != root || r.Implicit {
		t.Errorf("request %+v", r)
	}
	h.refuses(t, "a second transaction", signer.ErrBatchBusy, func() error {
		_, _, err := h.s.Prepare(ctx, a)
		return err
	})
	auth, err := h.s.Authorize(ctx, f)
	must(t, err)
	must(t, auth.Close())
}
