package gateway_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/store/storetest"
)

// amounting adds a total to a transaction.
func amounting(ask map[string]any, total any) map[string]any {
	ask["total"] = total
	return ask
}

func ringgit(amount string) map[string]any {
	return map[string]any{"amount": amount, "currency": "MYR"}
}

// mail is the newest one to the first officer.
func mail(t *testing.T, g *gatewaytest.Gateway) (text, html string) {
	t.Helper()
	m, ok := g.Server.Mailbox.Latest(g.Dev.Officers[0].Email)
	if !ok {
		t.Fatal("no mail")
	}
	return m.Text, m.HTML
}

const totalLine = "\nJumlah / Total: RM 29,911.35 (kata sistem / as the system says)\n"

// What the application says the documents amount to is read by the officer,
// repeated to a refreshed screen and with a new code, and part of what is authorised.
func TestTotalIsToldAndBound(t *testing.T) {
	g := gatewaytest.New(t)
	total := ringgit("29911.35")
	tx, _ := g.Ask(amounting(raw("Baucar 0411247A"), total))
	want(t, tx, 201, "")
	path := "/v1/transactions/" + tx.Text("transaction_id")
	told := func(what string, r *gatewaytest.Reply) {
		t.Helper()
		if !reflect.DeepEqual(r.Body["total"], total) {
			t.Errorf("%s: total %v", what, r.Body["total"])
		}
	}
	told("creation", tx)
	if text, html := mail(t, g); !strings.Contains(text, totalLine) || !strings.Contains(html, ">RM 29,911.35<") {
		t.Errorf("the mail says\n%s\n%s", text, html)
	}
	told("refreshed", g.Do("GET", path, "", nil))
	g.Clock.Advance(time.Minute)
	mark := g.Server.Mailbox.Mark()
	again := g.Do("POST", path+"/otp", "", nil)
	want(t, again, 200, "")
	told("resend", again)
	code := g.Code(g.Dev.Officers[0].Email, mark)
	if text, _ := mail(t, g); !strings.Contains(text, totalLine) {
		t.Errorf("the second mail says\n%s", text)
	}
	signed := g.Confirm(again, code, nil)
	want(t, signed, 200, "")
	told("signed", signed)

	// A total changed behind the code, alone or with the hash that would fit it.
	for _, fit := range []bool{false, true} {
		tx, code = g.Ask(amounting(raw("Baucar"), total))
		want(t, tx, 201, "")
		id, refusal := tx.Text("transaction_id"), "documents_mismatch"
		edit(t, g, "transactions", "options", "id = '"+id+"'", "29911.35", "9911.35")
		if fit {
			refusal = "otp_wrong"
			r, err := g.Server.Signer.Records.Request(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			canonical, hash, err := r.Options.Canonical()
			if sha256.Sum256(canonical) != hash || !bytes.Contains(canonical, []byte(`"total":{"amount":"9911.35","currency":"MYR"}`)) || err != nil {
				t.Fatalf("%s, %v", canonical, err)
			}
			query(t, g, "UPDATE transactions SET options_hash = unhex(?) WHERE id = ?", hex.EncodeToString(hash[:]), id)
		}
		want(t, g.Confirm(tx, code, nil), 403, refusal)
	}

	// Who gives none notices nothing.
	tx, code = g.Ask(raw("Surat"))
	if text, html := mail(t, g); bytes.Contains(tx.Raw, []byte("total")) || strings.Contains(text+html, "Jumlah") {
		t.Errorf("%s\n%s\n%s", tx.Raw, text, html)
	}
	want(t, g.Confirm(tx, code, nil), 200, "")
}

// The total of classified documents stays out of the mail, as their titles do.
func TestTotalOfClassifiedDoesNotTravel(t *testing.T) {
	g := gatewaytest.New(t)
	for class, travels := range map[string]bool{"terbuka": true, "terhad": false, "sulit": false, "rahsia": false, "rahsia besar": false} {
		ask := amounting(raw("Baucar 0411247A"), ringgit("29911.35"))
		ask["classification"] = class
		tx, code := g.Ask(ask)
		want(t, tx, 201, "")
		if !reflect.DeepEqual(tx.Body["total"], ringgit("29911.35")) {
			t.Errorf("%s: the system itself is not told: %s", class, tx.Raw)
		}
		text, html := mail(t, g)
		for _, secret := range []string{"911.35", "Jumlah", "Baucar"} {
			if strings.Contains(text, secret) != travels || strings.Contains(html, secret) != travels {
				t.Errorf("%s: %q in\n%s", class, secret, text)
			}
		}
		want(t, g.Confirm(tx, code, nil), 200, "")
	}
}

func TestTotalOfABatch(t *testing.T) {
	g := gatewaytest.New(t)
	r := g.Do("POST", "/v1/batches", "", map[string]any{"name": "Baucar", "kind": "digest"})
	want(t, r, 201, "")
	id := r.Text("batch_id")
	var lines bytes.Buffer
	for range 3 {
		lines.WriteString(`{"name":"Baucar","digest":{"alg":"SHA-256","value":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}}` + "\n")
	}
	want(t, g.Do("POST", "/v1/batches/"+id+"/items", "application/x-ndjson", lines.Bytes()), 200, "")
	want(t, g.Do("POST", "/v1/batches/"+id+"/seal", "", map[string]any{}), 200, "")
	tx, code := g.Ask(map[string]any{"format": "RAW", "batch_id": id, "total": ringgit("29911.35")})
	want(t, tx, 201, "")
	if text, _ := mail(t, g); !strings.Contains(text, totalLine) {
		t.Errorf("the mail says\n%s", text)
	}
	started := g.Confirm(tx, code, nil)
	want(t, started, 202, "")
	if !reflect.DeepEqual(started.Body["total"], ringgit("29911.35")) {
		t.Errorf("%s", started.Raw)
	}
	finish(t, g, id)
}

// A total that is not plain is refused, naming the field in both languages, and
// no code is sent.
func TestBadTotals(t *testing.T) {
	g := gatewaytest.New(t)
	const amount, currency = "total.amount", "total.currency"
	mark := g.Server.Mailbox.Mark()
	for _, c := range []struct {
		total  any
		field  string
		en, ms string
	}{
		{ringgit("-1.00"), amount, "without sign", "tanpa tanda"},
		{ringgit("1e3"), amount, "exponent", "eksponen"},
		{ringgit("NaN"), amount, "decimal text", "teks perpuluhan"},
		{ringgit(" 1.00"), amount, "decimal text", "teks perpuluhan"},
		{ringgit("1,000.00"), amount, "separator", "pemisah"},
		{ringgit("12\u202e.34"), amount, "decimal text", "teks perpuluhan"},
		{ringgit("1.00\nKod / Code: 000000"), amount, "at most 20 characters", "paling banyak 20 aksara"},
		{ringgit("29911.350"), amount, "MYR: 2", "MYR: 2"},
		{ringgit("1000000000000000.00"), amount, "15 digits", "15 digit"},
		{ringgit(strings.Repeat("9", 10<<10)), amount, "at most 20 characters", "paling banyak 20 aksara"},
		{map[string]any{"amount": 29911.35, "currency": "MYR"}, amount, "quotation marks", "tanda petik"},
		{map[string]any{"amount": "1.00", "currency": "RM"}, currency, "three capital letters", "tiga huruf besar"},
		{map[string]any{"amount": "1.00", "currency": "myr"}, currency, "three capital letters", "tiga huruf besar"},
		{map[string]any{"amount": "1.00", "currency": "М\u200bR"}, currency, "three capital letters", "tiga huruf besar"},
		{map[string]any{"amount": "1.00", "currency": strings.Repeat("M", 10<<10)}, currency, "at most 3 characters", "paling banyak 3 aksara"},
		{map[string]any{"amount": "1.00"}, "total", "missing: currency", "tiada: currency"},
		{map[string]any{"currency": "MYR"}, "total", "missing: amount", "tiada: amount"},
		{map[string]any{"amount": "1.00", "currency": "MYR", "note": "x"}, "total.note", "no such field", "tiada medan"},
		{"RM 29,911.35", "total", "an object", "objek"},
	} {
		for language, words := range map[string]string{"en": c.en, "ms": c.ms} {
			ask := amounting(raw("Baucar"), c.total)
			ask["ic"], ask["system"] = g.Dev.Officers[0].IC, g.Dev.System
			r := g.Do("POST", "/v1/transactions", "", ask, "Accept-Language", language)
			want(t, r, 400, "invalid_request")
			if r.Text("field") != c.field || !strings.Contains(r.Text("detail"), words) || len(r.Raw) > 2000 {
				t.Errorf("%.60v, %s: %s", c.total, language, r.Raw)
			}
		}
	}
	if g.Server.Mailbox.Mark() != mark {
		t.Error("a code was sent")
	}
	tx, code := g.Ask(amounting(raw("Baucar"), nil)) // null is none
	want(t, tx, 201, "")
	want(t, g.Confirm(tx, code, nil), 200, "")
}

// The documents of a batch that come one by one, with amounts and payees: the sum and the payees are
// told as a total is, and so are they bound.
func TestPayeesOfABatch(t *testing.T) {
	g := gatewaytest.New(t)
	for class, travels := range map[string]bool{"terbuka": true, "sulit": false} {
		r := g.Do("POST", "/v1/batches", "", map[string]any{"name": "Baucar", "kind": "pdf"})
		want(t, r, 201, "")
		items := "/v1/batches/" + r.Text("batch_id") + "/items"
		for _, q := range []string{"name=Baucar+1&amount=29900&payee=SYARIKAT+ALI", "name=Baucar+2&amount=11.35&payee=www.jahat.example&reference=R2"} {
			r := g.Do("POST", items+"?"+q, "application/pdf", storetest.PDF(q))
			want(t, r, 200, "")
			if r.Body["accepted"] != 1.0 || r.Body["refused_count"] != 0.0 {
				t.Errorf("%s", r.Raw)
			}
		}
		want(t, g.Do("POST", items+"?amount=-1", "application/pdf", storetest.PDF("x")), 400, "invalid_request")
		want(t, g.Do("POST", items, "application/pdf", []byte("no PDF")), 422, "pdf_invalid")
		want(t, g.Do("POST", "/v1/batches/"+r.Text("batch_id")+"/seal", "", map[string]any{}), 200, "")
		ask := map[string]any{"format": "PADES", "pades": map[string]any{"level": "B-B"}, "batch_id": r.Text("batch_id"), "classification": class}
		wrong := maps.Clone(ask)
		wrong["total"], wrong["ic"], wrong["system"] = ringgit("1.00"), g.Dev.Officers[0].IC, g.Dev.System
		want(t, g.Do("POST", "/v1/transactions", "", wrong), 409, "total_mismatch")
		tx, code := g.Ask(ask)
		want(t, tx, 201, "")
		if payees := map[string]any{"count": 2.0, "first": []any{"SYARIKAT ALI", "www.jahat.example"}}; !reflect.DeepEqual(tx.Body["payees"], payees) || !reflect.DeepEqual(tx.Body["total"], ringgit("29911.35")) {
			t.Errorf("%s", tx.Raw)
		}
		text, html := mail(t, g)
		for _, told := range []string{"SYARIKAT ALI", "29,911.35", "Penerima"} {
			if strings.Contains(text, told) != travels || strings.Contains(html, told) != travels {
				t.Errorf("%s: %q in\n%s", class, told, text)
			}
		}
		if strings.Contains(text, "www.jahat.example") { // a mail program would make it a link
			t.Errorf("a payee is an address:\n%s", text)
		}
		want(t, g.Confirm(tx, code, nil), 202, "")
		finish(t, g, r.Text("batch_id"))
	}
}

func TestRefusedRowsByHTTP(t *testing.T) {
	g := gatewaytest.New(t)
	id, r := newBatch(t, g, header+line(1, "ALI")+strings.Replace(line(2, "=HYPERLINK(A1)"), "800101149002", "801301149002", 1)+line(3, ""))
	want(t, r, 200, "")
	path := "/v1/batches/" + id + "/refused"
	page := g.Do("GET", path+"?limit=1", "", nil)
	want(t, page, 200, "")
	if rows := page.Body["refused"].([]any); len(rows) != 1 || page.Body["next"] != 0.0 || rows[0].(map[string]any)["code"] != "row_ic_invalid" {
		t.Errorf("%s", page.Raw)
	}
	page = g.Do("GET", path+"?limit=2&after=0", "", nil)
	if rows := page.Body["refused"].([]any); len(rows) != 1 || page.Body["next"] != nil || rows[0].(map[string]any)["row"] != 4.0 {
		t.Errorf("%s", page.Raw)
	}
	file := g.Do("GET", path+"?format=csv", "", nil)
	if !strings.HasPrefix(file.Header.Get("Content-Type"), "text/csv") || !strings.Contains(file.Header.Get("Content-Disposition"), ".csv") ||
		!bytes.Contains(file.Raw, []byte("\r\n3,no_kp,\"'=HYPERLINK(A1)\",row_ic_invalid,")) {
		t.Errorf("%v\n%s", file.Header, file.Raw)
	}
	want(t, g.Do("GET", "/v1/batches/ba_nobodys/refused", "", nil), 404, "not_found")
	// As what a list was read is told.
	_, r = newBatch(t, g, strings.ReplaceAll(header+line(7, "JOS\xc9"), ",", ";"))
	want(t, r, 200, "")
	if notes, _ := r.Body["notes"].([]any); r.Body["encoding"] != "windows-1252" || len(notes) != 2 {
		t.Errorf("%s", r.Raw)
	}
}
