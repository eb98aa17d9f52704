package gateway_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"image"
	"image/png"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// An app's life over the API: proposed, confirmed by a second person, given a credential that is
// shown once, changed, suspended, ended; and its system as the signing page shows it.
func TestAppsOverTheAPI(t *testing.T) {
	g := gatewaytest.New(t)
	machine := enrol.Actor{Name: "cli:test"}
	must(t, g.Server.Desk.PutAgency(t.Context(), machine, enrol.Agency{Code: "JANM", Name: "JANM"}))
	must(t, g.Server.Desk.PutSystem(t.Context(), machine, enrol.System{Code: g.Dev.System, Title: "iGFMAS", Agency: "JANM"}))
	jdn, second := appointed(t, g, "700202105438", enrol.JDN, "", ""), appointed(t, g, "700202105440", enrol.JDN, "", "")
	sap := appointed(t, g, "700202105442", enrol.SAP, "", g.Dev.System)

	const path = "/v1/admin/apps"
	body := map[string]any{"app_id": "lejar", "name": "Lejar", "systems": []string{g.Dev.System}, "grants": []string{"sign", "RAW"}, "redirect_uris": []string{"https://lejar.example/balik"}}
	made := jdn.do("POST", path, body)
	want(t, made, 201, "")
	if made.Text("state") != "PROPOSED" {
		t.Fatalf("%s", made.Raw)
	}
	want(t, jdn.do("POST", path, body), 409, "app_exists")
	want(t, sap.do("POST", path, map[string]any{"app_id": "x", "name": "X", "systems": []string{"LAIN"}}), 403, "forbidden")
	want(t, jdn.do("POST", path, map[string]any{"app_id": "x", "name": "X", "systems": []string{g.Dev.System}, "redirect_uris": []string{"https://*.example/"}}), 422, "app_invalid")
	proposal := map[string]any{"proposal_id": made.Body["proposal"].(map[string]any)["proposal_id"]}
	want(t, jdn.do("POST", path+"/lejar/confirm", proposal), 403, "same_person")
	want(t, second.do("POST", path+"/lejar/confirm", map[string]any{"proposal_id": "pr_x"}), 409, "app_changed")
	want(t, second.do("POST", path+"/lejar/confirm", proposal), 200, "")

	// A secret is shown once, and kept by nobody: not even for who asks again with the same key.
	jdn.header["Idempotency-Key"] = "k-1"
	want(t, jdn.do("POST", path+"/lejar/credentials", map[string]any{"kind": "api_key"}), 400, "invalid_request")
	want(t, jdn.do("POST", path+"/lejar/credentials/", map[string]any{"kind": "api_key"}), 404, "not_found") // no operation, so no secret
	delete(jdn.header, "Idempotency-Key")
	given := jdn.do("POST", path+"/lejar/credentials", map[string]any{"kind": "api_key"})
	want(t, given, 201, "")
	key, id := given.Text("secret"), given.Body["credential"].(map[string]any)["credential_id"].(string)
	read := "/v1/transactions/tx_none"
	want(t, g.Do("GET", read, "", nil, "X-API-Key", key), 401, "unauthenticated") // awaits
	want(t, second.do("POST", path+"/lejar/credentials/"+id+"/confirm", nil), 204, "")
	want(t, g.Do("GET", read, "", nil, "X-API-Key", key, "X-Request-Id", "reads-nothing"), 404, "not_found")
	want(t, g.Do("GET", "/v1/officers/"+g.Dev.Officers[0].IC+"/medium", "", nil, "X-API-Key", key), 403, "forbidden") // no lookup
	want(t, g.Do("POST", "/v1/verify", "application/pdf", []byte("%PDF-"), "X-API-Key", key), 403, "forbidden")
	shown := sap.do("GET", path+"/lejar", nil)
	if want(t, shown, 200, ""); strings.Contains(string(shown.Raw), key) || !strings.Contains(string(shown.Raw), `"last_used"`) {
		t.Errorf("%s", shown.Raw)
	}

	want(t, jdn.do("PATCH", path+"/lejar", map[string]any{"pin_entry": "app", "nama": "x"}), 400, "invalid_request")
	changed := jdn.do("PATCH", path+"/lejar", map[string]any{"name": "Lejar Am", "pin_entry": "app"})
	if want(t, changed, 200, ""); changed.Text("pin_entry") != "hosted" || changed.Body["proposal"] == nil {
		t.Errorf("%s", changed.Raw)
	}
	page := jdn.do("GET", path+"?limit=1", nil)
	if want(t, page, 200, ""); page.Text("next") != "lejar" {
		t.Errorf("%s", page.Raw)
	}
	for _, what := range []string{"suspend", "resume", "end"} {
		want(t, jdn.do("POST", path+"/lejar/"+what, map[string]any{"reason": " x "}), 422, "reason_missing")
	}
	want(t, sap.do("POST", path+"/lejar/suspend", map[string]any{"reason": "kunci bocor"}), 200, "")
	want(t, g.Do("GET", read, "", nil, "X-API-Key", key), 401, "unauthenticated")
	want(t, sap.do("POST", path+"/lejar/resume", map[string]any{"reason": "kunci ditukar"}), 403, "forbidden")
	want(t, jdn.do("POST", path+"/lejar/resume", map[string]any{"reason": "kunci ditukar"}), 200, "")
	want(t, g.Do("GET", read, "", nil, "X-API-Key", key), 404, "not_found")
	want(t, sap.do("DELETE", path+"/lejar/credentials/"+id, nil), 204, "")
	want(t, g.Do("GET", read, "", nil, "X-API-Key", key), 401, "unauthenticated")
	want(t, jdn.do("POST", path+"/lejar/end", map[string]any{"reason": "projek tamat"}), 200, "")
	want(t, jdn.do("PATCH", path+"/lejar", map[string]any{"name": "X"}), 409, "app_ended")
	want(t, jdn.do("GET", path+"/none", nil), 404, "not_found")

	system := "/v1/admin/systems/" + g.Dev.System
	want(t, sap.do("PATCH", system, map[string]any{"notice": "token", "header_template": "110FGOM{digits:11}A{amount}{ic}"}), 200, "")
	want(t, sap.do("PATCH", system, map[string]any{"header_template": "{ic"}), 422, "registry_invalid")
	var logo bytes.Buffer
	must(t, png.Encode(&logo, image.NewGray(image.Rect(0, 0, 4, 4))))
	want(t, sap.send(http.MethodPut, system+"/logo", "image/png", logo.Bytes()), 204, "")
	want(t, sap.send(http.MethodPut, system+"/logo", "image/png", []byte("<svg/>")), 422, "registry_invalid")
	if r := jdn.do("GET", system, nil); r.Text("logo") != base64.StdEncoding.EncodeToString(logo.Bytes()) || r.Text("notice") != "token" {
		t.Errorf("%s", r.Raw)
	}
	o := g.Dev.Officers[0]
	ask := func(header string) *gatewaytest.Reply {
		r, _ := g.Ask(map[string]any{"format": "RAW", "data_header": header, "documents": []map[string]any{{"name": "a", "data": "YQ=="}}})
		return r
	}
	want(t, ask("110FGOM07022411247A29911.35"+g.Dev.Officers[1].IC), 409, "header_mismatch")
	want(t, ask("BAUCAR "+o.IC), 409, "header_mismatch")
	want(t, ask("110FGOM07022411247A29911.35"+o.IC), 201, "")

	// Each event of a request says where it came from; who only read left one, too.
	said := 0
	must(t, gateway.ReadAudit(t.Context(), g.Dir, "cli:test", "", g.Clock.Now, func(r audit.Record) error {
		if r.RequestID == "reads-nothing" && r.Detail["address"] == "127.0.0.1" && r.Actor == "app:lejar" {
			said++
		}
		if strings.Contains(r.Action+r.Object+r.Actor, key) || strings.Contains(strings.Join(slices.Collect(maps.Values(r.Detail)), " "), key) {
			t.Errorf("the key is in the audit: %+v", r)
		}
		return nil
	}))
	if said != 1 {
		t.Errorf("%d events of a read", said)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// authority is a CA of clients' certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, now time.Time) *authority {
	a := &authority{}
	c := mint(t, nil, "Client CA", now, func(x *x509.Certificate) {
		x.IsCA, x.BasicConstraintsValid, x.KeyUsage, x.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	})
	a.cert, a.key = c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// mint makes a client's certificate, of a itself where there is no CA.
func mint(t *testing.T, a *authority, cn string, now time.Time, edit func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	x := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: cn, Organization: []string{"JANM"}}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if edit != nil {
		edit(x)
	}
	parent, signer := x, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, x, parent, &key.PublicKey, signer)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// bound is a gateway behind TLS, with apps of which "satu" and "dua" are bound to certificates.
type bound struct {
	*gatewaytest.Gateway
	t       *testing.T
	url     string
	clients map[*tls.Certificate]*http.Client
	roots   *x509.CertPool
	secrets map[string]string // by app and kind
	ids     map[string]string
	keys    map[string]*ecdsa.PrivateKey
}

func (b *bound) add(app string, n enrol.NewCredential) string {
	b.t.Helper()
	c, text, err := b.Server.Apps.AddCredential(b.t.Context(), enrol.Actor{Name: "cli:test"}, app, n)
	must(b.t, err)
	b.secrets[app+"/"+n.Kind], b.ids[app+"/"+n.Kind] = string(text.Reveal()), c.ID
	return string(text.Reveal())
}

func (b *bound) register(app string) {
	b.t.Helper()
	_, err := b.Server.Apps.Add(b.t.Context(), enrol.Actor{Name: "cli:test"}, enrol.App{ID: app, Name: app, Systems: []string{b.Dev.System}, PINEntry: enrol.PINHosted})
	must(b.t, err)
	for _, kind := range []string{enrol.KindKey, enrol.KindBasic, enrol.KindSecret} {
		b.add(app, enrol.NewCredential{Kind: kind})
	}
	b.keys[app], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(b.t, err)
	b.add(app, enrol.NewCredential{Kind: enrol.KindJWT, Keys: jwks(b.t, &b.keys[app].PublicKey)})
}

func jwks(t *testing.T, k *ecdsa.PublicKey) []byte {
	t.Helper()
	p, err := k.Bytes()
	must(t, err)
	enc := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "kid": "k1", "x": enc(p[1:33]), "y": enc(p[33:])}}})
	must(t, err)
	return set
}

// send makes a request with a certificate or none, and gives status and body.
func (b *bound) send(cert *tls.Certificate, method, path string, form url.Values, header ...string) (int, map[string]any) {
	b.t.Helper()
	c := b.clients[cert]
	if c == nil {
		shape := &tls.Config{RootCAs: b.roots}
		if cert != nil {
			// Sent whatever the server asks for.
			shape.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
		}
		c = &http.Client{Transport: &http.Transport{TLSClientConfig: shape}}
		b.t.Cleanup(c.CloseIdleConnections)
		b.clients[cert] = c
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, body)
	must(b.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k := 0; k < len(header); k += 2 {
		req.Header.Add(header[k], header[k+1])
	}
	resp, err := c.Do(req)
	must(b.t, err)
	defer resp.Body.Close()
	var out map[string]any
	_ = json.NewDecoder(resp.Body).Decode(&out)
	return resp.StatusCode, out
}

func (b *bound) read(cert *tls.Certificate, header ...string) int {
	b.t.Helper()
	status, _ := b.send(cert, "GET", "/v1/officers/"+b.Dev.Officers[0].IC+"/medium", nil, header...)
	return status
}

func (b *bound) token(cert *tls.Certificate, form url.Values, header ...string) (string, int) {
	b.t.Helper()
	form.Set("grant_type", "client_credentials")
	status, out := b.send(cert, "POST", "/oauth2/token", form, header...)
	text, _ := out["access_token"].(string)
	return text, status
}

func (b *bound) bySecret(cert *tls.Certificate, app string) (string, int) {
	b.t.Helper()
	return b.token(cert, url.Values{"client_id": {app}, "client_secret": {b.secrets[app+"/"+enrol.KindSecret]}})
}

// assertion is what app signs, after edit.
func (b *bound) assertion(app string, edit func(h map[string]any, c jwt.MapClaims)) string {
	b.t.Helper()
	now := b.Clock.Now()
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	tok := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": app, "sub": app, "aud": b.Server.Config.BaseURL + "/oauth2/token", "exp": now.Add(2 * time.Minute).Unix(),
		"iat": now.Unix(), "jti": hex.EncodeToString(id)})
	tok.Header["kid"] = "k1"
	if edit != nil {
		edit(tok.Header, tok.Claims.(jwt.MapClaims))
	}
	s, err := tok.SignedString(b.keys[app])
	must(b.t, err)
	return s
}

func asserted(s string) url.Values {
	return url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {s}}
}

func basicAuth(id, pass string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+pass))
}

func newBound(t *testing.T, ca *authority) *bound {
	g := gatewaytest.New(t)
	b := &bound{Gateway: g, t: t, clients: map[*tls.Certificate]*http.Client{}, roots: x509.NewCertPool(), secrets: map[string]string{}, ids: map[string]string{}, keys: map[string]*ecdsa.PrivateKey{}}
	g.Server.Apps.ClientCAs = x509.NewCertPool()
	g.Server.Apps.ClientCAs.AddCert(ca.cert)
	s := httptest.NewUnstartedServer(g.Server.Handler())
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	b.url = s.URL
	b.roots.AddCert(s.Certificate())
	machine := enrol.Actor{Name: "cli:test"}
	must(t, g.Server.Desk.PutAgency(t.Context(), machine, enrol.Agency{Code: "JANM", Name: "JANM"}))
	must(t, g.Server.Desk.PutSystem(t.Context(), machine, enrol.System{Code: g.Dev.System, Title: "iGFMAS", Agency: "JANM"}))
	for _, app := range []string{"satu", "dua", "tiga", "empat"} {
		b.register(app)
	}
	return b
}

// Row 35 of docs/threats.md: whoever does not hold what an app was given, and the certificate it
// is bound to, is nobody. Of each kind of credential what is right is accepted.
func TestStolenAppCredentialsAreRefused(t *testing.T) {
	now := time.Now()
	ca, other := newAuthority(t, now), newAuthority(t, now)
	b := newBound(t, ca)
	now = b.Clock.Now()
	cert := func(a *authority, cn string, edit func(*x509.Certificate)) *tls.Certificate {
		c := mint(t, a, cn, now, edit)
		return &c
	}
	one, two, again := cert(ca, "satu", nil), cert(nil, "dua", nil), cert(ca, "satu", nil)
	b.add("satu", enrol.NewCredential{Kind: enrol.KindCertificate, Subject: enrol.SubjectOf(one.Leaf)})
	b.add("dua", enrol.NewCredential{Kind: enrol.KindCertificate, Thumbprint: sha256.Sum256(two.Leaf.Raw)})
	key := func(app string) []string { return []string{"X-API-Key", b.secrets[app+"/"+enrol.KindKey]} }
	basic := func(app string) []string {
		return []string{"Authorization", basicAuth(app, b.secrets[app+"/"+enrol.KindBasic])}
	}
	bearer := func(t string) []string { return []string{"Authorization", "Bearer " + t} }
	got := func(text string, status int) string {
		t.Helper()
		if status != 200 || text == "" {
			t.Fatalf("no token: %d", status)
		}
		return text
	}

	// What is right.
	tokenOne, tokenTwo, tokenThree := got(b.bySecret(one, "satu")), got(b.bySecret(two, "dua")), got(b.bySecret(nil, "tiga"))
	used := b.assertion("tiga", nil)
	for what, status := range map[string]int{
		"key, subject": b.read(one, key("satu")...), "basic, subject": b.read(one, basic("satu")...), "token, subject": b.read(one, bearer(tokenOne)...),
		"another certificate of the subject": b.read(again, key("satu")...), "key, thumbprint": b.read(two, key("dua")...), "token, thumbprint": b.read(two, bearer(tokenTwo)...),
		"key": b.read(nil, key("tiga")...), "basic": b.read(nil, basic("tiga")...), "token": b.read(nil, bearer(tokenThree)...),
		"a certificate that nobody wants": b.read(two, key("tiga")...),
		"assertion":                       b.read(nil, bearer(got(b.token(nil, asserted(used))))...),
		"assertion, certificate":          b.read(one, bearer(got(b.token(one, asserted(b.assertion("satu", nil)))))...),
		"assertion to the issuer":         b.read(nil, bearer(got(b.token(nil, asserted(b.assertion("tiga", func(_ map[string]any, c jwt.MapClaims) { c["aud"] = []string{b.Server.Config.BaseURL} })))))...),
		"client_secret_basic":             b.read(nil, bearer(got(b.token(nil, url.Values{}, "Authorization", basicAuth("tiga", b.secrets["tiga/"+enrol.KindSecret]))))...),
	} {
		if status != 200 {
			t.Errorf("%s: %d", what, status)
		}
	}

	refused, accepted := 0, 0
	no := func(what string, status int) {
		t.Helper()
		refused++
		if status != 401 {
			accepted++
			t.Errorf("%s: %d", what, status)
		}
	}
	noToken := func(what string, text string, status int) { t.Helper(); no(what, max(status, len(text))) }

	for what, c := range map[string]*tls.Certificate{
		"no certificate": nil, "wrong CN": cert(ca, "Satu", nil), "other CA, same subject": cert(other, "satu", nil), "self-signed, same subject": cert(nil, "satu", nil), "of app B": two,
		"expired":      cert(ca, "satu", func(x *x509.Certificate) { x.NotBefore, x.NotAfter = now.Add(-48*time.Hour), now.Add(-time.Second) }),
		"not yet":      cert(ca, "satu", func(x *x509.Certificate) { x.NotBefore = now.Add(time.Minute) }),
		"for servers":  cert(ca, "satu", func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"another O":    cert(ca, "satu", func(x *x509.Certificate) { x.Subject.Organization = []string{"JPK"} }),
		"one RDN more": cert(ca, "satu", func(x *x509.Certificate) { x.Subject.OrganizationalUnit = []string{"X"} }),
	} {
		no("key of A, certificate "+what, b.read(c, key("satu")...))
		no("token of A, certificate "+what, b.read(c, bearer(tokenOne)...))
		text, status := b.bySecret(c, "satu")
		noToken("secret of A, certificate "+what, text, status)
	}
	no("token of A, its own other certificate", b.read(again, bearer(tokenOne)...))
	no("token of B, certificate of A", b.read(one, bearer(tokenTwo)...))
	no("key of B, certificate of A", b.read(one, key("dua")...))
	no("key of B, same key and name, other certificate", b.read(cert(nil, "dua", nil), key("dua")...))
	no("basic of A, no certificate", b.read(nil, basic("satu")...))
	pemText := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Leaf.Raw})))
	no("key of A, certificate in a header", b.read(nil, append(key("satu"), "Client-Cert", ":"+base64.StdEncoding.EncodeToString(one.Leaf.Raw)+":", "X-SSL-Client-Cert", pemText)...))
	text, status := b.token(nil, asserted(b.assertion("satu", nil)))
	noToken("assertion of A, no certificate", text, status)
	no("secret as key", b.read(nil, "X-API-Key", b.secrets["tiga/"+enrol.KindSecret]))
	no("secret as basic", b.read(nil, "Authorization", basicAuth("tiga", b.secrets["tiga/"+enrol.KindSecret])))
	no("key as bearer", b.read(nil, bearer(b.secrets["tiga/"+enrol.KindKey])...))
	no("two credentials", b.read(nil, append(key("tiga"), basic("tiga")...)...))
	no("basic of C as D", b.read(nil, "Authorization", basicAuth("empat", b.secrets["tiga/"+enrol.KindBasic])))
	text, status = b.token(nil, url.Values{"client_id": {"empat"}, "client_secret": {b.secrets["tiga/"+enrol.KindSecret]}})
	noToken("secret of C as D", text, status)
	text, status = b.token(nil, url.Values{"client_id": {"tiga"}, "client_secret": {b.secrets["tiga/"+enrol.KindBasic]}})
	noToken("basic password as secret", text, status)

	for what, form := range b.badAssertions(used) {
		text, status := b.token(nil, form)
		noToken("assertion: "+what, text, status)
	}

	// What has ended.
	machine := enrol.Actor{Name: "cli:test"}
	must(t, b.Server.Apps.RevokeCredential(t.Context(), machine, "satu", b.ids["satu/"+enrol.KindKey]))
	no("revoked key, right certificate", b.read(one, key("satu")...))
	must(t, b.Server.Apps.RevokeCredential(t.Context(), machine, "satu", b.ids["satu/"+enrol.KindSecret]))
	no("token of a revoked secret", b.read(one, bearer(tokenOne)...))
	must(t, b.Server.Apps.RevokeCredential(t.Context(), machine, "dua", b.ids["dua/"+enrol.KindCertificate]))
	no("revoked certificate", b.read(two, key("dua")...))
	no("token of a revoked certificate", b.read(two, bearer(tokenTwo)...))
	no("no certificate after it was revoked", b.read(nil, key("dua")...))
	must(t, b.Server.Apps.RevokeCredential(t.Context(), machine, "tiga", b.ids["tiga/"+enrol.KindJWT]))
	text, status = b.token(nil, asserted(b.assertion("tiga", nil)))
	noToken("assertion of a revoked key", text, status)
	tokenFour := got(b.bySecret(nil, "empat"))
	_, err := b.Server.Apps.Suspend(t.Context(), machine, "empat", "stolen laptop")
	must(t, err)
	no("key of a suspended app", b.read(nil, key("empat")...))
	no("token of a suspended app", b.read(nil, bearer(tokenFour)...))
	text, status = b.token(nil, asserted(b.assertion("empat", nil)))
	noToken("assertion of a suspended app", text, status)
	if refused < 60 {
		t.Errorf("only %d rows", refused)
	}
	t.Logf("%d rows, %d accepted", refused, accepted)
}

// badAssertions are forms that must not give a token to app "tiga", whose assertion used was.
func (b *bound) badAssertions(used string) map[string]url.Values {
	b.t.Helper()
	now, public := b.Clock.Now(), &b.keys["tiga"].PublicKey
	spki, err := x509.MarshalPKIXPublicKey(public)
	must(b.t, err)
	with := func(edit func(h map[string]any, c jwt.MapClaims)) url.Values {
		return asserted(b.assertion("tiga", edit))
	}
	claim := func(name string, v any) url.Values {
		return with(func(_ map[string]any, c jwt.MapClaims) {
			if c[name] = v; v == nil {
				delete(c, name)
			}
		})
	}
	symmetric := func(method jwt.SigningMethod, key any) url.Values {
		s, err := jwt.NewWithClaims(method, jwt.MapClaims{"iss": "tiga", "sub": "tiga", "aud": b.Server.Config.BaseURL + "/oauth2/token", "exp": now.Add(time.Minute).Unix(), "jti": "h"}).SignedString(key)
		must(b.t, err)
		return asserted(s)
	}
	b.keys["musuh"], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(b.t, err)
	stranger := func(edit func(h map[string]any, c jwt.MapClaims)) url.Values {
		return asserted(b.assertion("musuh", func(h map[string]any, c jwt.MapClaims) {
			if c["iss"], c["sub"] = "tiga", "tiga"; edit != nil {
				edit(h, c)
			}
		}))
	}
	parts := strings.Split(b.assertion("tiga", nil), ".")
	forged := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"empat","sub":"empat"}`))
	twice, both, kind, named := asserted(b.assertion("tiga", nil)), asserted(b.assertion("tiga", nil)), asserted(b.assertion("tiga", nil)), asserted(b.assertion("tiga", nil))
	twice.Add("client_assertion", b.assertion("tiga", nil))
	both.Set("client_secret", b.secrets["tiga/"+enrol.KindSecret])
	kind.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
	named.Set("client_id", "empat")
	return map[string]url.Values{
		"replayed jti":              asserted(used),
		"alg none":                  symmetric(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"HS256 with the public key": symmetric(jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})),
		"HS256 with the JWK set":    symmetric(jwt.SigningMethodHS256, jwks(b.t, public)),
		"expired":                   claim("exp", now.Add(-time.Minute).Unix()),
		"without exp":               claim("exp", nil),
		"for too long":              claim("exp", now.Add(6*time.Minute).Unix()),
		"not yet":                   claim("nbf", now.Add(2*time.Minute).Unix()),
		"issued in the future":      claim("iat", now.Add(2*time.Minute).Unix()),
		"another audience":          claim("aud", "https://other.example/oauth2/token"),
		"a second audience":         claim("aud", []string{b.Server.Config.BaseURL + "/oauth2/token", "https://other.example"}),
		"an audience like it":       claim("aud", b.Server.Config.BaseURL+"/oauth2/token/"),
		"without audience":          claim("aud", nil),
		"without jti":               claim("jti", nil),
		"another subject":           claim("sub", "empat"),
		"without subject":           claim("sub", nil),
		"another issuer":            claim("iss", "empat"),
		"an issuer that is no app":  claim("iss", "lima"),
		"another's key":             stranger(nil),
		"with its own key in it": stranger(func(h map[string]any, _ jwt.MapClaims) {
			h["jwk"] = json.RawMessage(jwks(b.t, &b.keys["musuh"].PublicKey))
		}),
		"with its own address": stranger(func(h map[string]any, _ jwt.MapClaims) { h["jku"] = "https://evil.example/keys" }),
		"an unknown kid":       with(func(h map[string]any, _ jwt.MapClaims) { h["kid"] = "k2" }),
		"crit":                 with(func(h map[string]any, _ jwt.MapClaims) { h["crit"] = []string{"exp"} }),
		"other claims":         asserted(parts[0] + "." + forged + "." + parts[2]),
		"no signature":         asserted(parts[0] + "." + parts[1] + "."),
		"two parts":            asserted(parts[0] + "." + parts[1]),
		"nothing":              asserted(""),
		"too long":             asserted(strings.Repeat("a", 9<<10)),
		"twice":                twice,
		"with a secret":        both,
		"another type":         kind,
		"another client_id":    named,
	}
}
