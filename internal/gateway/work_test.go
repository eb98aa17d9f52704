package gateway_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/archive"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// third is a third officer of the sandbox.
func third(t *testing.T, g *gatewaytest.Gateway) sandbox.DevOfficer {
	t.Helper()
	o := enrol.Officer{IC: "820303109903", Name: "WONG MEI LING", Email: "wong@janm.mohor.example"}
	check(t, g.Server.Registrar.AddOfficer(t.Context(), "test", o, g.Dev.System))
	pin := g.Dev.Officers[0].PIN
	_, _, err := g.Server.Registrar.IssueCredential(t.Context(), "test", o, g.Dev.System, "ECDSA-P256", secret.New(string(pin.Reveal())))
	check(t, err)
	return sandbox.DevOfficer{IC: o.IC, Name: o.Name, Email: o.Email, PIN: pin}
}

// role is one officer's turn, asked for by one app.
type role struct {
	g       *gatewaytest.Gateway
	officer sandbox.DevOfficer
	key     string // of the app
}

func (r *role) ask(rest map[string]any) (*gatewaytest.Reply, string) {
	ask := map[string]any{"ic": r.officer.IC, "system": r.g.Dev.System, "process": "AA-11", "format": "PADES"}
	for k, v := range rest {
		ask[k] = v
	}
	mark := r.g.Server.Mailbox.Mark()
	tx := r.g.Do("POST", "/v1/transactions", "", ask, "X-API-Key", r.key)
	if tx.Status != http.StatusCreated {
		return tx, ""
	}
	return tx, r.g.Code(r.officer.Email, mark)
}

func (r *role) sign(tx *gatewaytest.Reply, code string) *gatewaytest.Reply {
	return r.g.Do("POST", "/v1/transactions/"+tx.Text("transaction_id")+"/sign", "", map[string]string{
		"nonce": tx.Text("nonce"), "pin": string(r.officer.PIN.Reveal()), "otp": code}, "X-API-Key", r.key)
}

func named(reference string) []any { return []any{map[string]string{"reference": reference}} }

// secondApp is another app of the sandbox's system, and a stranger of another system.
func twoApps(t *testing.T, g *gatewaytest.Gateway) (second, stranger string) {
	t.Helper()
	_, _, key, err := g.Server.Apps.Register(t.Context(), "test", enrol.App{ID: "igfmas-gui", Name: "iGFMAS GUI", Systems: []string{g.Dev.System}, PINEntry: enrol.PINInApp})
	check(t, err)
	_, _, other, err := g.Server.Apps.Register(t.Context(), "test", otherApp())
	check(t, err)
	return string(key.Reveal()), string(other.Reveal())
}

// A transfer of assets: three officers, by two apps, sign one PDF after the other, each what the
// one before left.
func TestDocumentMovesThroughItsRoles(t *testing.T) {
	g := gatewaytest.New(t)
	mine := string(g.Dev.APIKey.Reveal())
	gui, stranger := twoApps(t, g)
	one, two, three := &role{g, g.Dev.Officers[0], mine}, &role{g, g.Dev.Officers[1], gui}, &role{g, third(t, g), mine}
	const reference = "110FGOM07022411247"
	inbox := func(key string) *gatewaytest.Reply {
		return g.Do("GET", "/v1/inbox?system="+g.Dev.System, "", nil, "X-API-Key", key)
	}
	content := func(id, key, query string) *gatewaytest.Reply {
		return g.Do("GET", "/v1/documents/"+id+"/content"+query, "", nil, "X-API-Key", key)
	}
	original := voucher(t)
	id := upload(t, g, original)
	documents := []any{map[string]string{"document_id": id, "reference": reference}}
	want(t, content(id, gui, ""), 404, "not_found")

	tx, code := one.ask(map[string]any{"role": "Perakuan 1", "classification": "sulit", "documents": documents, "total": map[string]string{"amount": "29911.35", "currency": "MYR"},
		"data_header": "110FGOM07022411247A29911.35" + one.officer.IC})
	want(t, tx, 201, "")
	// A screen that was refreshed has all it needs.
	live := g.Do("GET", "/v1/transactions/"+tx.Text("transaction_id"), "", nil)
	shown := live.Body["documents"].([]any)[0].(map[string]any)
	if live.Text("process") != "AA-11" || live.Text("role") != "Perakuan 1" || live.Text("classification") != "sulit" || live.Text("nonce") != tx.Text("nonce") ||
		!strings.HasPrefix(live.Text("data_header"), reference) || shown["reference"] != reference || shown["id"] != id || live.Text("system") != g.Dev.System {
		t.Errorf("the live transaction: %s", live.Raw)
	}
	want(t, one.sign(tx, code), 200, "")
	if m, ok := g.Server.Mailbox.Latest(one.officer.Email); !ok {
		t.Error("no mail")
	} else if all := m.Subject + m.Text + m.HTML; strings.Contains(all, reference) || strings.Contains(all, "29911") || strings.Contains(all, "baucar") {
		t.Errorf("a mail says what is classified:\n%s", all)
	}
	waiting := inbox(gui)
	want(t, waiting, 200, "")
	w := waiting.Body["waiting"].([]any)[0].(map[string]any)
	if w["reference"] != reference || w["role"] != "Perakuan 2" || w["document_id"] != id || w["process"] != "AA-11" || w["classification"] != "sulit" || w["name"] != "baucar.pdf" ||
		fmt.Sprint(w["signed"].([]any)[0].(map[string]any)["name"]) != "S••• A••• B••• A•••" {
		t.Errorf("waiting: %s", waiting.Raw)
	}
	if bytes.Contains(waiting.Raw, []byte(one.officer.IC)) || bytes.Contains(waiting.Raw, []byte(one.officer.Name)) {
		t.Errorf("the inbox names the officer: %s", waiting.Raw)
	}
	want(t, inbox(stranger), 403, "forbidden")
	want(t, content(id, stranger, ""), 404, "not_found")
	want(t, content(id, gui, "?version=original"), 404, "not_found")
	afterOne := content(id, gui, "")
	want(t, afterOne, 200, "")

	// Nobody plays two roles, none is skipped, and no other document takes the place of this one.
	refused := func(what string, r *role, ask map[string]any, status int, code string) {
		t.Helper()
		before := g.Server.Mailbox.Mark()
		got, _ := r.ask(ask)
		if want(t, got, status, code); g.Server.Mailbox.Mark() != before {
			t.Errorf("%s: a mail was sent", what)
		}
	}
	refused("one man show", one, map[string]any{"role": "Perakuan 2", "documents": documents}, 409, "duplicate_signatory")
	refused("one man show by another app", &role{g, one.officer, gui}, map[string]any{"role": "Perakuan 2", "documents": named(reference)}, 409, "duplicate_signatory")
	refused("the first role again", three, map[string]any{"role": "Perakuan 1", "documents": documents}, 409, "role_out_of_order")
	refused("the last role", three, map[string]any{"role": "Akuan Terima", "documents": documents}, 409, "role_out_of_order")
	another := upload(t, g, original)
	refused("another document", three, map[string]any{"role": "Perakuan 2", "documents": []any{map[string]string{"document_id": another, "reference": reference}}}, 403, "documents_mismatch")
	refused("the document under another reference", three, map[string]any{"role": "Perakuan 1", "documents": []any{map[string]string{"document_id": id, "reference": "B"}}}, 403, "documents_mismatch")
	refused("the document without a process", three, map[string]any{"process": "", "documents": []any{map[string]string{"document_id": id}}}, 403, "documents_mismatch")
	refused("an unknown process", three, map[string]any{"process": "AA-99", "role": "Perakuan 1", "documents": documents}, 400, "invalid_request")
	refused("two where one is allowed", three, map[string]any{"role": "Perakuan 1", "documents": append(named("X"), named("Y")...)}, 400, "invalid_request")

	tx, code = two.ask(map[string]any{"role": "Perakuan 2", "documents": named(reference)})
	want(t, tx, 201, "")
	if d := tx.Body["documents"].([]any)[0].(map[string]any); d["id"] != id || d["name"] != "baucar.pdf" || fmt.Sprint(d["digest"]) != fmt.Sprint(w["digest"]) || tx.Text("classification") != "sulit" {
		t.Errorf("the second role signs %s", tx.Raw)
	}
	if n := len(inbox(mine).Body["waiting"].([]any)); n != 1 {
		t.Errorf("asked and not signed: %d wait", n)
	}
	want(t, two.sign(tx, code), 200, "")
	afterTwo := content(id, mine, "")
	tx, code = three.ask(map[string]any{"role": "Akuan Terima", "documents": documents, "pades": map[string]any{"level": "B-LTA"}})
	want(t, tx, 201, "")
	want(t, three.sign(tx, code), 200, "")
	final := content(id, mine, "")
	want(t, final, 200, "")
	want(t, content(id, gui, ""), 200, "") // it took part
	if n := len(inbox(mine).Body["waiting"].([]any)); n != 0 {
		t.Errorf("all have signed: %d wait", n)
	}

	// Each signature covers what was there, and none ends another.
	if !bytes.HasPrefix(final.Raw, afterTwo.Raw) || !bytes.HasPrefix(afterTwo.Raw, afterOne.Raw) || !bytes.HasPrefix(afterOne.Raw, original) {
		t.Error("a role did not sign what the one before left")
	}
	for n, file := range [][]byte{afterOne.Raw, afterTwo.Raw, final.Raw} {
		n++
		verdict := judge(t, g, file)
		if strings.Count(verdict, "Signature is Valid.") < n || strings.Contains(verdict, "Signature is Invalid") || strings.Count(verdict, "Certificate is Trusted.") < n {
			t.Errorf("pdfsig of %d signatures:\n%s", n, verdict)
		}
		v := g.Do("POST", "/v1/verify", "application/pdf", file)
		signers := map[string]bool{}
		for _, x := range v.Body["signatures"].([]any) {
			if s := x.(map[string]any); s["verdict"] == "VALID" {
				signers[fmt.Sprint(s["signer"])] = true
			}
		}
		if v.Text("verdict") != "VALID" || len(signers) < n {
			t.Errorf("our verdict on %d signatures: %s", n, v.Raw)
		}
	}
}

func TestProcessesOfTheAppsSystems(t *testing.T) {
	g := gatewaytest.New(t)
	_, stranger := twoApps(t, g)
	list := g.Do("GET", "/v1/processes", "", nil)
	want(t, list, 200, "")
	if n := len(list.Body["processes"].([]any)); n != 50 {
		t.Errorf("%d processes", n)
	}
	want(t, g.Do("GET", "/v1/processes?system=LAIN", "", nil), 403, "forbidden")
	if none := g.Do("GET", "/v1/processes", "", nil, "X-API-Key", stranger); none.Status != 200 || len(none.Body["processes"].([]any)) != 0 {
		t.Errorf("of another system: %s", none.Raw)
	}
	want(t, g.Do("GET", "/v1/inbox", "", nil), 400, "invalid_request")
	want(t, g.Do("GET", "/v1/inbox?system=IGFMAS&after=xx", "", nil), 400, "invalid_request")
}

// An administrator's list takes the place of the one that is built in.
func TestOwnProcesses(t *testing.T) {
	g := gatewaytest.New(t)
	file := filepath.Join(g.Dir, "proses.csv")
	const head = "code,system,module,client,name_ms,name_en,roles,bulk,check\n"
	write := func(text string) {
		t.Helper()
		check(t, os.WriteFile(file, []byte(head+text), 0o600))
	}
	write("P-1,IGFMAS,,,Ujian,Test,Penyedia>Pelulus,no,\n")
	replaceInConfig(t, g, `processes: ""`, `processes: "proses.csv"`)
	list := g.Do("GET", "/v1/processes?system=IGFMAS", "", nil).Body["processes"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["code"] != "P-1" {
		t.Errorf("%v", list)
	}
	tx, _ := g.Ask(map[string]any{"format": "RAW", "process": "P-1", "role": "Pelulus", "documents": []any{digestRef("x")}})
	want(t, tx, 400, "invalid_request")
	if tx.Text("field") != "documents[0].reference" {
		t.Errorf("which field: %s", tx.Raw)
	}
}

// A bulk process: the references of a batch's items, one by one, in order and by different people.
func TestBatchOfReferences(t *testing.T) {
	g := gatewaytest.New(t)
	mine := string(g.Dev.APIKey.Reveal())
	one, two := &role{g, g.Dev.Officers[0], mine}, &role{g, g.Dev.Officers[1], mine}
	batch := func(lines ...string) string {
		t.Helper()
		b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Pindahan", "kind": "digest"})
		want(t, b, 201, "")
		id := b.Text("batch_id")
		var body bytes.Buffer
		for _, line := range lines {
			reference, content, _ := strings.Cut(line, "=")
			sum := sha256.Sum256([]byte(content))
			fmt.Fprintf(&body, `{"name":"Pindahan %s","reference":%q,"digest":{"alg":"SHA-256","value":%q}}`+"\n", reference, reference, base64.StdEncoding.EncodeToString(sum[:]))
		}
		want(t, g.Do("POST", "/v1/batches/"+id+"/items", "application/x-ndjson", body.Bytes()), 200, "")
		want(t, g.Do("POST", "/v1/batches/"+id+"/seal", "", nil), 200, "")
		return id
	}
	ask := func(r *role, role, batch string) (*gatewaytest.Reply, string) {
		return r.ask(map[string]any{"process": "AA-18", "format": "CMS", "role": role, "batch_id": batch})
	}
	refused := func(what string, r *role, role, batch, field string, status int, code string) {
		t.Helper()
		got, _ := ask(r, role, batch)
		if want(t, got, status, code); got.Text("field") != field {
			t.Errorf("%s: field %q", what, got.Text("field"))
		}
	}
	refused("one without a reference", one, "Perakuan 1", batch("A=a", "=b"), "documents[1].reference", 400, "invalid_request")
	refused("one reference twice", one, "Perakuan 1", batch("A=a", "B=b", "A=a"), "documents[2].reference", 400, "invalid_request")
	refused("the second role first", one, "Perakuan 2", batch("A=a"), "documents[0]", 409, "role_out_of_order")
	first := batch("A=a", "B=b", "C=c")
	tx, code := ask(one, "Perakuan 1", first)
	want(t, tx, 201, "")
	want(t, one.sign(tx, code), 202, "")
	finish(t, g, first)
	refused("one man show", one, "Perakuan 2", batch("C=c"), "documents[0]", 409, "duplicate_signatory")
	refused("one that nobody signed", two, "Perakuan 2", batch("A=a", "D=d"), "documents[1]", 409, "role_out_of_order")
	refused("another digest", two, "Perakuan 2", batch("A=a", "B=x"), "documents[1]", 403, "documents_mismatch")
	second := batch("C=c", "A=a")
	tx, code = ask(two, "Perakuan 2", second)
	want(t, tx, 201, "")
	want(t, two.sign(tx, code), 202, "")
	finish(t, g, second)
	var waits []string
	for after := ""; ; {
		r := g.Do("GET", "/v1/inbox?limit=2&system="+g.Dev.System+"&process=AA-18&after="+after, "", nil)
		want(t, r, 200, "")
		for _, x := range r.Body["waiting"].([]any) {
			w := x.(map[string]any)
			waits = append(waits, fmt.Sprint(w["reference"], " ", w["role"]))
		}
		if after = r.Text("next"); after == "" {
			break
		}
	}
	if got := strings.Join(waits, ", "); got != "B Perakuan 2, C Akuan Terima, A Akuan Terima" && got != "C Akuan Terima, A Akuan Terima, B Perakuan 2" {
		t.Errorf("waiting: %s", got)
	}
}

// A list that cannot be read keeps the gateway from starting, with row and column.
func TestOwnProcessesAreChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "proses.csv")
	const head = "code,system,module,client,name_ms,name_en,roles,bulk,check\n"
	for text, want := range map[string]string{
		"":                                   file + ": row 1: there is no process",
		"P-1,IGFMAS,,,Ujian,,A>A,no,\n":      file + `: row 2, column roles: "A" is there twice`,
		"P-1,IGFMAS,,,Ujian,,A>B,mungkin,\n": file + ": row 2, column bulk: it must be yes, no or empty",
	} {
		check(t, os.WriteFile(file, []byte(head+text), 0o600))
		if _, err := gateway.Processes(&gateway.Config{Processes: file}); err == nil || err.Error() != "configuration: processes: "+want {
			t.Errorf("%v; want %s", err, want)
		}
	}
	if _, err := gateway.Processes(&gateway.Config{Processes: file + "x"}); err == nil {
		t.Error("a file that is not there")
	}
	if all, err := gateway.Processes(&gateway.Config{}); err != nil || len(all.Of("IGFMAS")) != 50 {
		t.Errorf("the list that is built in: %v", err)
	}
}

// What was signed for a reference goes into an archive when its last role is old, and verifies
// there: the file that a later role signed is the beginning of what it made of it.
func TestRolesAreArchivedTogether(t *testing.T) {
	g := gatewaytest.New(t)
	mine := string(g.Dev.APIKey.Reveal())
	one, two := &role{g, g.Dev.Officers[0], mine}, &role{g, g.Dev.Officers[1], mine}
	id := upload(t, g, voucher(t))
	documents := []any{map[string]string{"document_id": id, "reference": "R"}}
	for k, r := range []*role{one, two} {
		tx, code := r.ask(map[string]any{"process": "AA-01", "role": fmt.Sprint("Perakuan ", k+1), "documents": documents})
		want(t, tx, 201, "")
		want(t, r.sign(tx, code), 200, "")
		g.Clock.Advance(20 * 24 * time.Hour)
		gateway.PublisherStep(t.Context(), g.Server) // a revocation list that is younger
	}
	archives := func() (out []archive.Info) {
		t.Helper()
		check(t, g.Server.RunArchive(t.Context(), "cli:test", func(x archive.Info) error { out = append(out, x); return nil }))
		return out
	}
	now := g.Clock.Now()
	g.Clock.Advance(now.AddDate(10, 0, 0).Sub(now) - 30*24*time.Hour) // only the first is older
	if in := archives(); len(in) != 0 {
		t.Fatalf("archived too early: %+v", in)
	}
	g.Clock.Advance(20 * 24 * time.Hour)
	in := archives()
	if len(in) != 1 || in[0].Signatures != 2 || count(t, g, "SELECT COUNT(*) FROM signatories") != 0 {
		t.Fatalf("archived %+v", in)
	}
	a, end, err := g.Server.OpenArchive(t.Context(), enrol.Actor{Name: "cli:test"}, archive.Path(g.Server.Config.Retention.Archives, in[0].ID))
	check(t, err)
	n := 0
	check(t, g.Server.VerifyArchive(t.Context(), a, func(s gateway.ArchivedSignature) error {
		if n++; s.Verdict != verify.Valid || s.Format != "PADES" {
			t.Errorf("%+v", s)
		}
		return nil
	}))
	if check(t, end()); n != 2 {
		t.Errorf("%d signatures", n)
	}
}
