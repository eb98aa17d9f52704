//go:build !race

package gateway_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/table"
)

// walk plays the examples of the OpenAPI document against a gateway.
type walk struct {
	*gatewaytest.Gateway
	t     *testing.T
	known map[string]*specOperation
	real  *strings.Replacer
}

// do sends an operation's example, with the ids that there are and members replaced, and
// wants the answer to look like the document's.
func (w *walk) do(id, method, path string, status int, rest map[string]any) *gatewaytest.Reply {
	w.t.Helper()
	o := w.known[id]
	if o == nil {
		w.t.Fatalf("no operation %s", id)
	}
	contentType, body := "", any(nil)
	if o.RequestBody != nil {
		for _, kind := range slices.Sorted(maps.Keys(o.RequestBody.Content)) {
			switch example := o.RequestBody.Content[kind].Example.(type) {
			case string:
				if kind == "text/csv" {
					continue // of another kind of batch than the example's
				}
				contentType, body = kind, []byte(w.real.Replace(example))
			case map[string]any:
				p, err := json.Marshal(example)
				if err != nil {
					w.t.Fatal(err)
				}
				var b map[string]any
				if err := json.Unmarshal([]byte(w.real.Replace(string(p))), &b); err != nil {
					w.t.Fatal(err)
				}
				maps.Copy(b, rest)
				maps.DeleteFunc(b, func(_ string, v any) bool { return v == nil })
				contentType, body = kind, b
			}
		}
	}
	if raw, is := rest[""]; is {
		contentType, body = "application/pdf", raw
	}
	r := w.Do(method, path, contentType, body)
	want(w.t, r, status, "")
	if said, _ := o.Responses[itoa(status)].Content["application/json"].Example.(map[string]any); said != nil && rest["documents"] == nil {
		alike(w.t, id, said, r.Body)
	}
	return r
}

func itoa(n int) string { p, _ := json.Marshal(n); return string(p) }

// alike wants the same members in an example and an answer.
func alike(t *testing.T, at string, said, got map[string]any) {
	t.Helper()
	if a, b := slices.Sorted(maps.Keys(said)), slices.Sorted(maps.Keys(got)); !slices.Equal(a, b) {
		t.Errorf("%s: the example has %q, the answer %q", at, a, b)
	}
	for k, v := range said {
		one, is := v.(map[string]any)
		two, same := got[k].(map[string]any)
		if list, isList := v.([]any); isList && len(list) > 0 {
			other, _ := got[k].([]any)
			if one, is = list[0].(map[string]any); len(other) > 0 {
				two, same = other[0].(map[string]any)
			}
		}
		if is && same {
			alike(t, at+"."+k, one, two)
		}
	}
}

// The examples of the signing flow work as they stand in the document, and answers look like
// those there.
func TestExamplesOfSigningWork(t *testing.T) {
	g := gatewaytest.New(t)
	w := &walk{Gateway: g, t: t, known: map[string]*specOperation{}, real: strings.NewReplacer("800101149999", g.Dev.Officers[0].IC, "client_id=igfmas", "client_id="+g.Dev.ClientID, "mcs_…", string(g.Dev.ClientSecret.Reveal()))}
	specOf(t, g).each(func(_, _ string, o *specOperation) { w.known[o.OperationID] = o })
	mail := g.Dev.Officers[0].Email

	w.do("healthz", "GET", "/healthz", 200, nil)
	w.do("token", "POST", "/oauth2/token", 200, nil)
	medium := w.do("medium", "GET", "/v1/officers/"+g.Dev.Officers[0].IC+"/medium", 200, nil)
	if medium.Body["can_sign"] != true {
		t.Errorf("medium: %s", medium.Raw)
	}
	w.do("uploadDocument", "POST", "/v1/documents?name=baucar.pdf", 201, map[string]any{"": voucher(t)})

	mark := g.Server.Mailbox.Mark()
	tx := w.do("createTransaction", "POST", "/v1/transactions", 201, nil)
	g.Code(mail, mark)
	path := "/v1/transactions/" + tx.Text("transaction_id")
	g.Clock.Advance(time.Minute)
	mark = g.Server.Mailbox.Mark()
	tx = w.do("resend", "POST", path+"/otp", 200, nil)
	confirm := func(tx *gatewaytest.Reply, code string) map[string]any {
		return map[string]any{"nonce": tx.Text("nonce"), "pin": string(g.PIN().Reveal()), "otp": code}
	}
	w.do("sign", "POST", path+"/sign", 200, confirm(tx, g.Code(mail, mark)))
	signed := w.do("transaction", "GET", path, 200, nil)

	g.Clock.Advance(time.Minute)
	b := w.do("createBatch", "POST", "/v1/batches", 201, nil)
	batch := "/v1/batches/" + b.Text("batch_id")
	w.do("addItems", "POST", batch+"/items", 200, nil)
	w.do("sealBatch", "POST", batch+"/seal", 200, nil)
	w.do("batch", "GET", batch, 200, nil)
	w.do("batchItems", "GET", batch+"/items?limit=1", 200, nil)
	mark = g.Server.Mailbox.Mark()
	many := g.Do("POST", "/v1/transactions", "", map[string]any{"ic": g.Dev.Officers[0].IC, "system": g.Dev.System, "format": "RAW", "batch_id": b.Text("batch_id")})
	want(t, many, 201, "")
	w.do("sign", "POST", "/v1/transactions/"+many.Text("transaction_id")+"/sign", 202, confirm(many, g.Code(mail, mark)))
	finish(t, g, b.Text("batch_id"))

	one := signed.Body["signatures"].([]any)[0].(map[string]any)
	media := medium.Body["media"].([]any)
	der := ""
	for _, m := range media {
		if c := m.(map[string]any)["certificate"].(map[string]any); c["serial_number"] == signed.Body["signature_information"].(map[string]any)["serial_number"] {
			der = c["der"].(string)
		}
	}
	v := w.do("verify", "POST", "/v1/verify", 200, map[string]any{"signature": one["signature"], "certificate": der, "algorithm": nil})
	if v.Text("verdict") != "VALID" {
		t.Errorf("verify: %s", v.Raw)
	}
}

// Pages of items follow one another to the end.
func TestItemsByPages(t *testing.T) {
	g := gatewaytest.New(t)
	b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Halaman", "kind": "digest"})
	var lines bytes.Buffer
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		lines.WriteString(`{"name":"` + name + `","digest":{"alg":"SHA-256","value":"WJG1vVwTF7X8xH0zf5b0KmgzhsUhmgSf-hQTz9G2NgM"}}` + "\n")
	}
	path := "/v1/batches/" + b.Text("batch_id") + "/items"
	want(t, g.Do("POST", path, "application/x-ndjson", lines.Bytes()), 200, "")
	var got []string
	for next := "-1"; next != ""; {
		r := g.Do("GET", path+"?limit=2&after="+next, "", nil)
		want(t, r, 200, "")
		for _, x := range r.Body["items"].([]any) {
			got = append(got, x.(map[string]any)["name"].(string))
		}
		next = ""
		if n, more := r.Body["next"]; more {
			next = itoa(int(n.(float64)))
		}
	}
	if strings.Join(got, "") != "abcde" {
		t.Errorf("pages have %q", got)
	}
	other, _, key, err := g.Server.Apps.Register(t.Context(), "test", enrol.App{ID: "lain", Name: "Lain", Systems: []string{"LAIN"}, PINEntry: enrol.PINHosted})
	if err != nil {
		t.Fatal(err)
	}
	for _, tail := range []string{"", "/items", "/events", "/archive"} {
		r := g.Do("GET", "/v1/batches/"+b.Text("batch_id")+tail, "", nil, "X-API-Key", string(key.Reveal()))
		if want(t, r, 404, "not_found"); r.Header.Get("Content-Language") != "ms" {
			t.Errorf("%s%s: %v", other.ID, tail, r.Header)
		}
	}
}

// Candidates come as a sheet, too; rows are numbered as there.
func TestCandidatesAsXLSX(t *testing.T) {
	g := gatewaytest.New(t)
	var sheet bytes.Buffer
	x, err := table.NewXLSXWriter(&sheet)
	if err != nil {
		t.Fatal(err)
	}
	for k, row := range []string{header, line(1, "ALI BIN ABU"), strings.Replace(line(2, "ABU BIN ALI"), "800101", "801301", 1)} {
		var cells []any
		for _, c := range strings.Split(strings.TrimSpace(row), ",") {
			cells = append(cells, c)
		}
		if err := x.Row(cells...); err != nil {
			t.Fatal(k, err)
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Helaian", "kind": "ecert"})
	r := g.Do("POST", "/v1/batches/"+b.Text("batch_id")+"/items", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", sheet.Bytes())
	want(t, r, 200, "")
	refused, _ := r.Body["refused"].([]any)
	if r.Body["accepted"] != 1.0 || len(refused) != 1 || refused[0].(map[string]any)["row"] != 3.0 || refused[0].(map[string]any)["code"] != "row_ic_invalid" {
		t.Errorf("%s", r.Raw)
	}
}

// Near the end of a certificate the look-up says so, and the officer still signs.
func TestLookUpSaysRenew(t *testing.T) {
	g := gatewaytest.New(t)
	path := "/v1/officers/" + g.Dev.Officers[0].IC + "/medium"
	if r := g.Do("GET", path, "", nil, "Accept-Language", "en"); r.Text("status") != "ISSUED" || r.Header.Get("Content-Language") != "en" {
		t.Errorf("%v %s", r.Header, r.Raw)
	}
	ends := certificate(t, g, g.Dev.Officers[0].Credentials[0].CredentialID).NotAfter
	g.Clock.Advance(ends.Add(-20 * 24 * time.Hour).Sub(g.Clock.Now()))
	r := g.Do("GET", path, "", nil)
	if r.Text("status") != "RENEW" || r.Body["can_sign"] != true || !strings.Contains(r.Text("next_step"), "perbaharui") {
		t.Errorf("%s", r.Raw)
	}
	g.Clock.Advance(30 * 24 * time.Hour)
	if r := g.Do("GET", path, "", nil); r.Text("status") != "EXPIRED" || r.Body["can_sign"] != false {
		t.Errorf("%s", r.Raw)
	}
}
