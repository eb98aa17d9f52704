package gateway_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

func digestRef(name string, content ...string) map[string]any {
	d := sha256.Sum256([]byte(name + strings.Join(content, "")))
	return map[string]any{"name": name, "digest": map[string]string{"alg": "SHA-256", "value": base64.StdEncoding.EncodeToString(d[:])}}
}

func raw(names ...string) map[string]any {
	var docs []any
	for _, n := range names {
		docs = append(docs, digestRef(n))
	}
	return map[string]any{"format": "RAW", "documents": docs}
}

// want checks status and code of an answer.
func want(t *testing.T, r *gatewaytest.Reply, status int, code string) {
	t.Helper()
	if r.Status != status || r.Code() != code {
		t.Fatalf("got %d %q, want %d %q: %s", r.Status, r.Code(), status, code, r.Raw)
	}
	if r.Status >= 400 {
		if ct := r.Header.Get("Content-Type"); ct != "application/problem+json" {
			t.Fatalf("content type of a problem: %q", ct)
		}
		if r.Text("title") == "" || r.Text("instance") != r.Header.Get("X-Request-Id") {
			t.Fatalf("problem without title or request id: %s", r.Raw)
		}
	}
}

// certificate is the one of a transaction's officer and credential.
func certificate(t *testing.T, g *gatewaytest.Gateway, credential string) *x509.Certificate {
	t.Helper()
	r := g.Do(http.MethodGet, "/v1/officers/"+g.Dev.Officers[0].IC+"/medium", "", nil)
	want(t, r, 200, "")
	for _, m := range r.Body["media"].([]any) {
		m := m.(map[string]any)
		if m["credential_id"] == credential {
			der, err := base64.StdEncoding.DecodeString(m["certificate"].(map[string]any)["der"].(string))
			if err != nil {
				t.Fatal(err)
			}
			c, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
	t.Fatalf("no medium with credential %s: %s", credential, r.Raw)
	return nil
}

func TestRawSignatureVerifiesWithEachKey(t *testing.T) {
	g := gatewaytest.New(t)
	for _, cr := range g.Dev.Officers[0].Credentials {
		ask := raw("Arahan Bayaran 1", "Arahan Bayaran 2")
		ask["credential_id"] = cr.CredentialID
		tx, code := g.Ask(ask)
		want(t, tx, 201, "")
		done := g.Confirm(tx, code, map[string]any{"root": tx.Text("root")})
		want(t, done, 200, "")
		cert := certificate(t, g, cr.CredentialID)
		sigs := done.Body["signatures"].([]any)
		if len(sigs) != 2 || done.Text("status") != "SIGNED" {
			t.Fatalf("got %s", done.Raw)
		}
		for k, s := range sigs {
			sig, err := base64.StdEncoding.DecodeString(s.(map[string]any)["signature"].(string))
			if err != nil {
				t.Fatal(err)
			}
			alg := x509.SHA256WithRSA
			if strings.HasPrefix(cr.Key, "ECDSA") {
				alg = x509.ECDSAWithSHA256
			}
			if err := cert.CheckSignature(alg, []byte(fmt.Sprintf("Arahan Bayaran %d", k+1)), sig); err != nil {
				t.Errorf("%s: signature %d: %v", cr.Key, k, err)
			}
		}
		info := done.Body["signature_information"].(map[string]any)
		if info["serial_number"] != cert.SerialNumber.String() || !strings.Contains(info["subject"].(string), "SURNAME="+g.Dev.Officers[0].IC) {
			t.Errorf("signature information: %v", info)
		}
		again := g.Do(http.MethodGet, "/v1/transactions/"+tx.Text("transaction_id"), "", nil)
		if string(again.Raw) != string(done.Raw) {
			t.Errorf("status says\n%s\nsign said\n%s", again.Raw, done.Raw)
		}
	}
}

// The order of judgement of the API, refusal by refusal.
func TestConfirmRefusals(t *testing.T) {
	g := gatewaytest.New(t)
	tx, code := g.Ask(raw("satu"))
	wrong := otherCode(code)
	other, otherCode := g.Ask(raw("dua"))

	want(t, g.Confirm(tx, code, map[string]any{"nonce": other.Text("nonce")}), 403, "nonce_mismatch")
	want(t, g.Confirm(tx, code, map[string]any{"root": other.Text("root")}), 403, "documents_mismatch")
	want(t, g.Confirm(tx, code, map[string]any{"documents": []any{map[string]any{"digest": digestRef("dua")["digest"]}}}), 403, "documents_mismatch")
	// None of these cost a try.
	if left := attempts(t, g, tx); left != 3 {
		t.Fatalf("%v tries left, want 3", left)
	}
	r := g.Confirm(tx, otherCode, nil) // the code of another transaction
	want(t, r, 403, "otp_wrong")
	if r.Body["attempts_left"] != 2.0 {
		t.Fatalf("attempts_left %v", r.Body["attempts_left"])
	}
	r = g.Confirm(tx, code, map[string]any{"pin": "salah-salah-1"})
	want(t, r, 403, "pin_wrong")
	if r.Body["attempts_left"] != 4.0 {
		t.Fatalf("attempts_left %v", r.Body["attempts_left"])
	}
	want(t, g.Confirm(tx, wrong, nil), 403, "otp_wrong")
	want(t, g.Confirm(tx, code, nil), 403, "otp_attempts_exhausted")

	// A new code and nonce; the old ones are dead.
	want(t, g.Do("POST", "/v1/transactions/"+tx.Text("transaction_id")+"/otp", "", nil), 429, "otp_resend_too_soon")
	g.Clock.Advance(6 * time.Second)
	mark := g.Server.Mailbox.Mark()
	fresh := g.Do("POST", "/v1/transactions/"+tx.Text("transaction_id")+"/otp", "", nil)
	want(t, fresh, 200, "")
	freshCode := g.Code(g.Dev.Officers[0].Email, mark)
	want(t, g.Confirm(tx, code, nil), 403, "nonce_mismatch")
	if freshCode != code {
		want(t, g.Confirm(fresh, code, nil), 403, "otp_wrong")
	}
	want(t, g.Confirm(fresh, freshCode, nil), 200, "")
	want(t, g.Confirm(fresh, freshCode, nil), 409, "otp_already_used")

	want(t, g.Do("DELETE", "/v1/transactions/"+other.Text("transaction_id"), "", nil), 204, "")
	want(t, g.Confirm(other, otherCode, nil), 409, "transaction_cancelled")

	late, lateCode := g.Ask(raw("tiga"))
	g.Clock.Advance(5*time.Minute + time.Second)
	want(t, g.Confirm(late, lateCode, nil), 410, "otp_expired")
	g.Clock.Advance(30 * time.Minute)
	want(t, g.Confirm(late, lateCode, nil), 410, "transaction_expired")
	r = g.Do("GET", "/v1/transactions/"+late.Text("transaction_id"), "", nil)
	if r.Text("status") != "EXPIRED" {
		t.Fatalf("status %s", r.Raw)
	}
}

func otherCode(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

func attempts(t *testing.T, g *gatewaytest.Gateway, tx *gatewaytest.Reply) float64 {
	t.Helper()
	r := g.Do("GET", "/v1/transactions/"+tx.Text("transaction_id"), "", nil)
	want(t, r, 200, "")
	return r.Body["otp"].(map[string]any)["attempts_left"].(float64)
}

func TestWrongPINsLock(t *testing.T) {
	g := gatewaytest.New(t)
	tries := 0
	for tries < 5 {
		tx, code := g.Ask(raw("satu"))
		want(t, tx, 201, "")
		for k := 0; k < 3 && tries < 5; k++ {
			want(t, g.Confirm(tx, code, map[string]any{"pin": "salah-salah-1"}), 403, "pin_wrong")
			tries++
		}
	}
	r := g.Do("POST", "/v1/transactions", "", map[string]any{"ic": g.Dev.Officers[0].IC, "system": g.Dev.System, "format": "RAW", "documents": []any{digestRef("x")}})
	want(t, r, 423, "pin_locked")
	g.Clock.Advance(15*time.Minute + time.Second)
	tx, code := g.Ask(raw("dua"))
	want(t, g.Confirm(tx, code, nil), 200, "") // the right PIN works again, and clears the count
	tx, code = g.Ask(raw("tiga"))
	r = g.Confirm(tx, code, map[string]any{"pin": "salah-salah-1"})
	want(t, r, 403, "pin_wrong")
	if r.Body["attempts_left"] != 4.0 {
		t.Fatalf("the count was not cleared: %s", r.Raw)
	}
}

func TestAskRefusals(t *testing.T) {
	g := gatewaytest.New(t)
	o := g.Dev.Officers[0]
	for name, c := range map[string]struct {
		change map[string]any
		status int
		code   string
	}{
		"unknown IC":         {map[string]any{"ic": "990101149999"}, 404, "not_found"},
		"malformed IC":       {map[string]any{"ic": "991332149999"}, 400, "invalid_request"},
		"foreign system":     {map[string]any{"system": "EPEROLEHAN"}, 403, "forbidden"},
		"foreign header":     {map[string]any{"data_header": "110FGOM29911.35" + g.Dev.Officers[1].IC}, 409, "header_mismatch"},
		"push":               {map[string]any{"channel": "push"}, 409, "channel_unavailable"},
		"no documents":       {map[string]any{"documents": []any{}}, 400, "invalid_request"},
		"unknown credential": {map[string]any{"credential_id": "cr_x"}, 409, "no_active_certificate"},
		"foreign credential": {map[string]any{"credential_id": g.Dev.Officers[1].Credentials[0].CredentialID}, 409, "no_active_certificate"},
		"wrong algorithm":    {map[string]any{"algorithm": "ECDSA", "credential_id": o.Credentials[0].CredentialID}, 400, "invalid_request"},
		"short digest":       {map[string]any{"documents": []any{map[string]any{"name": "x", "digest": map[string]string{"alg": "SHA-512", "value": "AAAA"}}}}, 400, "invalid_request"},
		"control character":  {map[string]any{"documents": []any{map[string]any{"name": "a\nKod / Code: 111111", "data": "AAAA"}}}, 400, "invalid_request"},
		"unknown field":      {map[string]any{"colour": "red"}, 400, "invalid_request"},
		"redirect":           {map[string]any{"redirect_uri": "https://evil.example/"}, 400, "invalid_request"},
		"level not offered":  {map[string]any{"format": "PADES", "pades": map[string]any{"level": "B-LT"}}, 400, "invalid_request"},
		"unknown document":   {map[string]any{"format": "PADES", "documents": []any{map[string]any{"document_id": "do_x"}}}, 404, "not_found"},
		"unknown batch":      {map[string]any{"batch_id": "ba_x", "documents": nil}, 404, "not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			ask := map[string]any{"ic": o.IC, "system": g.Dev.System, "format": "RAW", "documents": []any{digestRef("x")}}
			for k, v := range c.change {
				if v == nil {
					delete(ask, k)
				} else {
					ask[k] = v
				}
			}
			mark := g.Server.Mailbox.Mark()
			want(t, g.Do("POST", "/v1/transactions", "", ask), c.status, c.code)
			if g.Server.Mailbox.Mark() != mark {
				t.Error("a code was sent")
			}
		})
	}
	en := g.Do("POST", "/v1/transactions", "", map[string]any{"ic": "990101149999", "system": g.Dev.System, "format": "RAW", "documents": []any{digestRef("x")}}, "Accept-Language", "en")
	ms := g.Do("POST", "/v1/transactions", "", map[string]any{"ic": "990101149999", "system": g.Dev.System, "format": "RAW", "documents": []any{digestRef("x")}})
	if en.Text("title") == ms.Text("title") || !strings.Contains(ms.Text("title"), "Pegawai") {
		t.Errorf("titles: %q, %q", en.Text("title"), ms.Text("title"))
	}
}

func TestOnlyTheAppItselfGetsIn(t *testing.T) {
	g := gatewaytest.New(t)
	path := "/v1/officers/" + g.Dev.Officers[0].IC + "/medium"
	want(t, g.Do("GET", path, "", nil, "X-API-Key", ""), 401, "unauthenticated")
	want(t, g.Do("GET", path, "", nil, "X-API-Key", "mak_wrong"), 401, "unauthenticated")
	secretText := string(g.Dev.ClientSecret.Reveal())
	form := []byte("grant_type=client_credentials&client_id=" + g.Dev.ClientID + "&client_secret=" + secretText)
	tok := g.Do("POST", "/oauth2/token", "application/x-www-form-urlencoded", form, "X-API-Key", "")
	if tok.Status != 200 || tok.Text("token_type") != "Bearer" || tok.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("token: %d %s", tok.Status, tok.Raw)
	}
	want(t, g.Do("GET", path, "", nil, "X-API-Key", "", "Authorization", "Bearer "+tok.Text("access_token")), 200, "")
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(g.Dev.ClientID+":"+secretText))
	want(t, g.Do("GET", path, "", nil, "X-API-Key", "", "Authorization", basic), 200, "")
	want(t, g.Do("GET", path, "", nil, "Authorization", basic), 401, "unauthenticated") // two credentials at once
	g.Clock.Advance(time.Hour + time.Second)
	want(t, g.Do("GET", path, "", nil, "X-API-Key", "", "Authorization", "Bearer "+tok.Text("access_token")), 401, "unauthenticated")
	bad := g.Do("POST", "/oauth2/token", "application/x-www-form-urlencoded", []byte("grant_type=client_credentials&client_id=sandbox&client_secret=x"), "X-API-Key", "")
	if bad.Status != 401 || bad.Text("error") != "invalid_client" {
		t.Fatalf("wrong secret: %d %s", bad.Status, bad.Raw)
	}
}

// PIN, code and app secrets are nowhere but where they belong.
func TestSecretsLeaveNoTrace(t *testing.T) {
	g := gatewaytest.New(t)
	tx, code := g.Ask(raw("satu"))
	const canary = "K4n4ri-b3sar-99"
	want(t, g.Confirm(tx, code, map[string]any{"pin": canary}), 403, "pin_wrong")
	// A canary where it cannot be understood: wrong type, wrong field, wrong length.
	for _, body := range []any{
		map[string]any{"nonce": canary, "pin": 1, "otp": canary}, map[string]any{"nonce": tx.Text("nonce"), "pin": canary, "otp": canary, canary: 1},
		[]byte(`{"pin":"` + canary + ``), map[string]any{"nonce": tx.Text("nonce"), "pin": strings.Repeat(canary, 90), "otp": code},
	} {
		r := g.Do("POST", "/v1/transactions/"+tx.Text("transaction_id")+"/sign", "application/json", body)
		if r.Status != 400 || bytes.Contains(r.Raw, []byte(canary)) && !strings.Contains(r.Text("field"), canary) {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	}
	want(t, g.Confirm(tx, code, nil), 200, "")
	// A code that runs out, and one that cannot be sent.
	tx, late := g.Ask(raw("dua"))
	g.Clock.Advance(6 * time.Minute)
	want(t, g.Confirm(tx, late, nil), 410, "otp_expired")
	if err := g.Server.Mailbox.Close(); err != nil {
		t.Fatal(err)
	}
	asked := raw("tiga")
	asked["ic"], asked["system"] = g.Dev.Officers[0].IC, g.Dev.System
	unsent := g.Do("POST", "/v1/transactions", "", asked)
	want(t, unsent, 201, "") // it is tried until the code expires
	g.Stop()
	// The sandbox's own file of PINs and keys is the planted control.
	hits := map[string][]string{}
	secrets := map[string]string{"wrong PIN": canary, "PIN": string(g.PIN().Reveal()), "code": code, "late code": late, "API key": string(g.Dev.APIKey.Reveal()), "client secret": string(g.Dev.ClientSecret.Reveal())}
	err := filepath.WalkDir(g.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for name, s := range secrets {
			if strings.HasSuffix(name, "code") && !hasWord(b, s) {
				continue
			}
			if bytes.Contains(b, []byte(s)) {
				hits[name] = append(hits[name], filepath.Base(path))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range secrets {
		digits := strings.HasSuffix(name, "code")
		if strings.Contains(g.Log.String(), s) && !digits || digits && hasWord([]byte(g.Log.String()), s) {
			t.Errorf("%s is in the log", name)
		}
		for _, file := range hits[name] {
			if file != "dev.json" {
				t.Errorf("%s is in %s", name, file)
			}
		}
	}
	for _, name := range []string{"PIN", "API key", "client secret"} {
		if len(hits[name]) != 1 {
			t.Errorf("control: %s was found in %v, want dev.json", name, hits[name])
		}
	}
}

// hasWord finds six digits that are not part of a longer number, so that a
// time or a hash is not taken for the code.
func hasWord(b []byte, s string) bool {
	for at := 0; ; {
		k := bytes.Index(b[at:], []byte(s))
		if k < 0 {
			return false
		}
		from, to := at+k, at+k+len(s)
		digit := func(i int) bool {
			return i >= 0 && i < len(b) && (b[i] >= '0' && b[i] <= '9' || b[i] >= 'a' && b[i] <= 'f' || b[i] >= 'A' && b[i] <= 'Z' || b[i] == '.')
		}
		if !digit(from-1) && !digit(to) {
			return true
		}
		at = to
	}
}

func TestIdempotency(t *testing.T) {
	g := gatewaytest.New(t)
	ask := map[string]any{"ic": g.Dev.Officers[0].IC, "system": g.Dev.System, "format": "RAW", "documents": []any{digestRef("x")}}
	key := rand.Text()
	first := g.Do("POST", "/v1/transactions", "", ask, "Idempotency-Key", key)
	want(t, first, 201, "")
	mark := g.Server.Mailbox.Mark()
	again := g.Do("POST", "/v1/transactions", "", ask, "Idempotency-Key", key)
	if again.Status != 201 || !bytes.Equal(first.Raw, again.Raw) || g.Server.Mailbox.Mark() != mark {
		t.Fatalf("the second answer differs, or a second code was sent: %s", again.Raw)
	}
	ask["data_header"] = "lain"
	want(t, g.Do("POST", "/v1/transactions", "", ask, "Idempotency-Key", key), 409, "idempotency_conflict")
	g.Clock.Advance(25 * time.Hour)
	want(t, g.Do("POST", "/v1/transactions", "", ask, "Idempotency-Key", key), 201, "")
}

func TestRevokedCertificateSignsNoMore(t *testing.T) {
	g := gatewaytest.New(t)
	cr := g.Dev.Officers[0].Credentials[0].CredentialID
	first := raw("satu")
	first["credential_id"] = cr
	tx, code := g.Ask(first)
	cert := certificate(t, g, cr)
	if err := g.Server.Revoke(t.Context(), "test", cert.SerialNumber.String(), 1); err != nil {
		t.Fatal(err)
	}
	want(t, g.Confirm(tx, code, nil), 409, "certificate_revoked")
	ask := raw("dua")
	ask["credential_id"] = cr
	r, _ := g.Ask(ask)
	want(t, r, 409, "certificate_revoked")
	crl := g.Do("GET", "/crl/issuing.crl", "", nil)
	list, err := x509.ParseRevocationList(crl.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].SerialNumber.Cmp(cert.SerialNumber) != 0 {
		t.Errorf("CRL lists %v", list.RevokedCertificateEntries)
	}
	if !strings.Contains(crl.Header.Get("Cache-Control"), "max-age=") || crl.Header.Get("Expires") == "" {
		t.Errorf("CRL headers: %v", crl.Header)
	}
	ask["credential_id"] = g.Dev.Officers[0].Credentials[1].CredentialID
	tx, code = g.Ask(ask) // the other key goes on
	want(t, g.Confirm(tx, code, nil), 200, "")
}
