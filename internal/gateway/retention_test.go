package gateway_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/archive"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

const year = 366 * 24 * time.Hour

// archived signs a digest, lets eleven years pass and archives it.
func archived(t *testing.T, g *gatewaytest.Gateway) archive.Info {
	t.Helper()
	tx, code := g.Ask(map[string]any{"format": "RAW", "documents": []map[string]any{{"name": "baucar", "digest": map[string]string{"alg": "SHA-256", "value": strings.Repeat("A", 43) + "="}, "reference": "FGOM07"}}})
	want(t, g.Confirm(tx, code, nil), 200, "")
	g.Clock.Advance(11 * year)
	var in archive.Info
	if err := g.Server.RunArchive(t.Context(), "cli:test", func(x archive.Info) error { in = x; return nil }); err != nil {
		t.Fatal(err)
	}
	if in.Signatures != 1 {
		t.Fatalf("archived %+v", in)
	}
	return in
}

// A signature is archived, still verifies, and is destroyed by two people over HTTP.
func TestDisposalByHTTP(t *testing.T) {
	g := gatewaytest.New(t)
	in := archived(t, g)
	path := archive.Path(g.Server.Config.Retention.Archives, in.ID)
	a, end, err := g.Server.OpenArchive(t.Context(), enrol.Actor{Name: "cli:test"}, path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := g.Server.VerifyArchive(t.Context(), a, func(s gateway.ArchivedSignature) error {
		if n++; s.Verdict != verify.Valid || s.Format != "RAW" {
			t.Errorf("%+v", s)
		}
		return nil
	}); err != nil || n != 1 {
		t.Errorf("%d signatures, %v", n, err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}

	g.Clock.Advance(10 * year)
	auditor := appointed(t, g, "700101105551", enrol.Auditor, "", "")
	want(t, auditor.do(http.MethodPost, "/v1/admin/disposals", map[string]any{}), 403, "forbidden")
	first := appointed(t, g, "700101105552", enrol.JDN, "", "")
	r := first.do(http.MethodPost, "/v1/admin/disposals", map[string]any{"dry_run": true})
	want(t, r, 201, "")
	if !strings.Contains(string(r.Raw), `"archives":1`) || r.Text("disposal_id") != "" {
		t.Errorf("dry run %s", r.Raw)
	}
	r = first.do(http.MethodPost, "/v1/admin/disposals", map[string]any{})
	want(t, r, 201, "")
	id := "/v1/admin/disposals/" + r.Text("disposal_id")
	want(t, first.do(http.MethodPost, id+"/confirm", nil), 403, "same_person")
	want(t, auditor.do(http.MethodPost, id+"/confirm", nil), 403, "forbidden")
	old := appointed(t, g, "700101105553", enrol.JDN, "", "")
	g.Clock.Advance(enrol.FreshFor + time.Minute)
	want(t, old.do(http.MethodPost, id+"/confirm", nil), 403, "session_not_fresh")

	second := appointed(t, g, "700101105555", enrol.JDN, "", "")
	hold := second.do(http.MethodPost, "/v1/admin/holds", map[string]any{"reference": "FGOM07", "reason": "court order 9"})
	want(t, hold, 201, "")
	want(t, second.do(http.MethodPost, "/v1/admin/holds", map[string]any{"reason": "court order 9"}), 422, "hold_invalid")
	if r := second.do(http.MethodGet, id, nil); !strings.Contains(string(r.Raw), `"kept":1`) {
		t.Errorf("held %s", r.Raw)
	}
	want(t, second.do(http.MethodPost, "/v1/admin/holds/"+hold.Text("hold_id")+"/lift", map[string]any{"reason": "it is over"}), 204, "")
	r = second.do(http.MethodPost, id+"/confirm", nil)
	want(t, r, 200, "")
	if r.Text("state") != "DONE" || !strings.Contains(string(r.Raw), in.ManifestHex) {
		t.Errorf("report %s", r.Raw)
	}
	want(t, second.do(http.MethodPost, id+"/confirm", nil), 409, "disposal_state")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the archive: %v", err)
	}
	r = second.do(http.MethodGet, id+"/csv", nil)
	if r.Status != 200 || !strings.Contains(string(r.Raw), in.ManifestHex) || strings.Contains(string(r.Raw), g.Dev.Officers[0].IC) {
		t.Errorf("%d %s", r.Status, r.Raw)
	}
}

// The lists of the time of a signature are long gone when it is archived: the one of now tells
// what was so then, also where the certificate was revoked or ran out since. What would not verify
// stays in the database, and holds up nothing else.
func TestArchiveVerifiesByLaterLists(t *testing.T) {
	g := gatewaytest.New(t)
	for _, format := range []string{"RAW", "CMS", "PADES"} { // the last one of a PDF that is elsewhere
		tx, code := g.Ask(map[string]any{"format": format, "credential_id": g.Dev.Officers[0].Credentials[0].CredentialID,
			"documents": []map[string]any{{"name": "baucar", "digest": map[string]string{"alg": "SHA-256", "value": strings.Repeat("A", 43) + "="}}}})
		want(t, g.Confirm(tx, code, nil), 200, "")
	}
	g.Clock.Advance(time.Hour)
	cert := certificate(t, g, g.Dev.Officers[0].Credentials[0].CredentialID)
	if err := g.Server.Revoke(t.Context(), "test", cert.SerialNumber.String(), 1); err != nil {
		t.Fatal(err)
	}
	for range 11 {
		g.Clock.Advance(year)
		for _, name := range []string{"issuing", "root"} {
			if r := g.Do(http.MethodGet, "/crl/"+name+".crl", "", nil); r.Status != 200 {
				t.Fatalf("%s %+v", name, r)
			}
		}
	}
	run := func() (out []archive.Info, err error) {
		err = g.Server.RunArchive(t.Context(), "cli:test", func(x archive.Info) error { out = append(out, x); return nil })
		return out, err
	}
	execSQL(t, g, "CREATE TABLE kept AS SELECT * FROM crls", "DELETE FROM crls")
	out, err := run()
	var left *archive.LeftError
	if len(out) != 0 || !errors.As(err, &left) || len(left.Batches) != 3 || !strings.Contains(err.Error(), "revocation_unknown") {
		t.Fatalf("without lists: %+v, %v", out, err)
	}
	if n := count(t, g, "SELECT COUNT(*) FROM batches"); n != 3 {
		t.Errorf("%d batches stay", n)
	}
	execSQL(t, g, "INSERT INTO crls SELECT * FROM kept")
	if out, err = run(); err != nil || len(out) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	a, end, err := g.Server.OpenArchive(t.Context(), enrol.Actor{Name: "cli:test"}, archive.Path(g.Server.Config.Retention.Archives, out[0].ID))
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	n := 0
	if err := g.Server.VerifyArchive(t.Context(), a, func(s gateway.ArchivedSignature) error {
		if n++; s.Verdict != verify.Valid {
			t.Errorf("%+v", s)
		}
		return nil
	}); err != nil || n != 3 {
		t.Errorf("%d signatures, %v", n, err)
	}
}

// An officer takes her own data after a fresh log-in, and nobody else's.
func TestExportByHTTP(t *testing.T) {
	g, officer := withPassword(t)
	ic := g.Dev.Officers[0].IC
	want(t, officer.do(http.MethodGet, "/v1/me/export", nil), 401, "unauthenticated")
	id, code := officer.begin(ic, officerPassword, true)
	want(t, officer.do(http.MethodPost, "/v1/sessions/"+id+"/code", map[string]string{"code": code}), 200, "")
	want(t, officer.do(http.MethodPost, "/v1/admin/officers/"+ic+"/export", map[string]string{"reason": "for fun"}), 403, "forbidden")
	r := officer.do(http.MethodGet, "/v1/me/export", nil)
	z, err := zip.NewReader(bytes.NewReader(r.Raw), int64(len(r.Raw)))
	if r.Status != 200 || err != nil || len(z.File) < 20 || r.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d, %v, %.200s", r.Status, err, r.Raw)
	}
	g.Clock.Advance(enrol.FreshFor + time.Minute)
	want(t, officer.do(http.MethodGet, "/v1/me/export", nil), 403, "session_not_fresh")
	jdn := appointed(t, g, "700101105552", enrol.JDN, "", "")
	want(t, jdn.do(http.MethodPost, "/v1/admin/officers/"+ic+"/export", map[string]string{"reason": ""}), 422, "reason_missing")
	want(t, jdn.do(http.MethodPost, "/v1/admin/officers/990909099999/export", map[string]string{"reason": "letter 4/2026"}), 404, "not_found")
	if r := jdn.do(http.MethodPost, "/v1/admin/officers/"+ic+"/export", map[string]string{"reason": "letter 4/2026"}); r.Status != 200 || r.Header.Get("Content-Type") != "application/zip" {
		t.Errorf("%d %.200s", r.Status, r.Raw)
	}
}

// The gateway removes what is past its time, and the files with it.
func TestGatewayExpunges(t *testing.T) {
	g := gatewaytest.New(t)
	pdf, err := os.ReadFile("../../examples/voucher.pdf")
	if err != nil {
		t.Fatal(err)
	}
	r := g.Do(http.MethodPost, "/v1/documents?name=baucar", "application/pdf", pdf)
	want(t, r, 201, "")
	file := g.Server.DataPath("blobs/document/" + r.Text("document_id"))
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	if err := g.Server.Expunge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("at once: %v", err)
	}
	g.Clock.Advance(91 * 24 * time.Hour)
	if err := g.Server.Expunge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("after 91 days: %v", err)
	}
}
