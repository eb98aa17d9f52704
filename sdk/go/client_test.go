package mohor_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// wire answers requests in memory: each takes the next answer, the last one stays.
type wire struct {
	mu      sync.Mutex
	answers []answer
	got     []*http.Request
	bodies  []string
}

// answer is what a request meets; status 0 is a connection that broke.
type answer struct {
	status int
	body   string
	header http.Header
	cut    bool // the connection breaks behind the body
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	body := ""
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	w.got, w.bodies = append(w.got, req), append(w.bodies, body)
	a := w.answers[0]
	if len(w.answers) > 1 {
		w.answers = w.answers[1:]
	}
	if a.status == 0 {
		return nil, errors.New("connection reset")
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	var content io.Reader = strings.NewReader(a.body)
	if a.cut {
		content = io.MultiReader(content, iotest.ErrReader(io.ErrUnexpectedEOF))
	}
	return &http.Response{StatusCode: a.status, Status: http.StatusText(a.status), Header: a.header, Body: io.NopCloser(content), Request: req}, nil
}

func problem(status int, code string, more ...string) answer {
	return answer{status: status, body: fmt.Sprintf(`{"status":%d,"code":%q,"title":"T"%s}`, status, code, strings.Join(more, ""))}
}

// client speaks over w with a key.
func client(t *testing.T, w *wire) *mohor.Client {
	t.Helper()
	c, err := mohor.New("https://mohor.example/", mohor.APIKey(mohor.NewSecret("k")))
	if err != nil {
		t.Fatal(err)
	}
	c.Transport = w
	return c
}

func TestNewRefuses(t *testing.T) {
	key := mohor.APIKey(mohor.NewSecret("k"))
	for base, good := range map[string]bool{
		"https://mohor.example": true, "https://mohor.example:8443/gpki/": true, "http://127.0.0.1:8080": true, "http://localhost": true, "http://[::1]:1": true,
		"http://mohor.example": false, "http://127.0.0.1.mohor.example": false, "http://127.example": false, "mohor.example": false, "": false, "ftp://127.0.0.1": false,
		"https://u:p@mohor.example": false, "https://mohor.example?x=1": false, "https://mohor.example#x": false, "https://": false, "http://localhost.example": false,
	} {
		if _, err := mohor.New(base, key); (err == nil) != good {
			t.Errorf("%q: %v", base, err)
		}
	}
	if _, err := mohor.New("https://mohor.example", nil); err == nil {
		t.Error("a client without a credential")
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	w := &wire{answers: []answer{{status: 307, header: http.Header{"Location": {"https://elsewhere.example/"}}}}}
	_, err := client(t, w).Sign(t.Context(), "tx", mohor.Confirmation{PIN: mohor.NewSecret("made-up-pin")})
	var p *mohor.Problem
	if !errors.As(err, &p) || p.Status != 307 || p.Code != "" || len(w.got) != 1 || w.got[0].URL.Host != "mohor.example" {
		t.Errorf("%v, %d requests", err, len(w.got))
	}
}

func TestProblems(t *testing.T) {
	w := &wire{answers: []answer{problem(403, "otp_wrong", `,"detail":"D","field":"otp","attempts_left":2,"retry_after":7,"row":3,"medium":"TOKEN"`)}}
	c := client(t, w)
	c.Language = "en"
	_, err := c.Sign(t.Context(), "tx", mohor.Confirmation{})
	var p *mohor.Problem
	if !errors.As(err, &p) || mohor.Code(err) != "otp_wrong" || *p.AttemptsLeft != 2 || p.RetryAfter != 7*time.Second || p.Field != "otp" || p.Medium != "TOKEN" || p.Status != 403 {
		t.Fatalf("%+v", err)
	}
	if got := err.Error(); got != "T: otp (line 3): D (2 tries left) [otp_wrong]" {
		t.Error(got)
	}
	if w.got[0].Header.Get("Accept-Language") != "en" || mohor.Code(io.EOF) != "" {
		t.Error("language or code")
	}
	w.answers = []answer{{status: 413, body: "<html>"}}
	if _, err := c.Officer(t.Context(), "x"); !errors.As(err, &p) || p.Status != 413 || p.Title == "" || p.Code != "" {
		t.Errorf("not the gateway's: %+v", err)
	}
}

// What is tried again, and what is left to the caller.
func TestRetries(t *testing.T) {
	create := func(ctx context.Context, c *mohor.Client) error {
		_, err := c.CreateTransaction(ctx, mohor.Ask{})
		return err
	}
	sign := func(ctx context.Context, c *mohor.Client) error {
		_, err := c.Sign(ctx, "tx", mohor.Confirmation{})
		return err
	}
	read := func(ctx context.Context, c *mohor.Client) error { _, err := c.Batch(ctx, "b"); return err }
	upload := func(ctx context.Context, c *mohor.Client) error {
		_, err := c.UploadPDF(ctx, "n", strings.NewReader("x"), mohor.Secret{})
		return err
	}
	cancel := func(ctx context.Context, c *mohor.Client) error { return c.CancelTransaction(ctx, "tx") }
	check := func(ctx context.Context, c *mohor.Client) error {
		_, err := c.VerifyDetached(ctx, mohor.Detached{})
		return err
	}
	broken, cut, ok := answer{}, answer{status: 200, body: `{"batch_id":`, cut: true}, answer{status: 200, body: "{}"}
	away, proxy, often, running := problem(503, "hsm_unavailable"), answer{status: 502}, problem(429, "rate_limited", `,"retry_after":3`), problem(409, "request_in_progress")
	for _, x := range []struct {
		what  string
		call  func(context.Context, *mohor.Client) error
		first answer
		tries int
	}{
		{"reading, broken", read, broken, 2}, {"reading, away", read, away, 2}, {"reading, often", read, often, 2}, {"reading, proxy", read, proxy, 2},
		{"reading, cut", read, cut, 2}, {"creating, cut", create, cut, 2}, {"signing, cut", sign, cut, 2}, {"uploading, cut", upload, cut, 1},
		{"creating, broken", create, broken, 2}, {"creating, away", create, away, 2}, {"creating, running", create, running, 2},
		{"creating, resent too soon", create, problem(429, "otp_resend_too_soon"), 1}, {"creating, wrong", create, problem(400, "invalid_request"), 1},
		{"signing, broken", sign, broken, 2}, {"signing, running", sign, running, 2}, {"signing, proxy", sign, proxy, 2}, {"signing, often", sign, often, 2},
		{"signing, away", sign, away, 1}, {"signing, wrong", sign, problem(403, "otp_wrong"), 1},
		{"uploading, broken", upload, broken, 1}, {"uploading, often", upload, often, 1},
		{"cancelling, broken", cancel, broken, 1}, {"checking, away", check, away, 1},
	} {
		t.Run(x.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{answers: []answer{x.first, ok}}
				start := time.Now()
				err := x.call(t.Context(), client(t, w))
				if len(w.got) != x.tries || (err == nil) != (x.tries == 2) {
					t.Fatalf("%d tries, %v", len(w.got), err)
				}
				if x.tries == 1 {
					return
				}
				a, b := w.got[0], w.got[1]
				if key := a.Header.Get("Idempotency-Key"); key != b.Header.Get("Idempotency-Key") || (key == "") != (a.Method == "GET") || len(key) > 128 || w.bodies[0] != w.bodies[1] {
					t.Errorf("the second try is another: %v %v", a.Header, b.Header)
				}
				if took := time.Since(start); x.first.body == often.body && took < 3*time.Second {
					t.Errorf("Retry-After was not waited for: %v", took)
				}
			})
		})
	}
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answers: []answer{{}}}
		c := client(t, w)
		start := time.Now()
		if _, err := c.Batch(t.Context(), "b"); err == nil || len(w.got) < 4 || len(w.got) > 10 || time.Since(start) > 30*time.Second {
			t.Errorf("%v after %d tries and %v", err, len(w.got), time.Since(start))
		}
		w.got, w.answers = nil, []answer{problem(503, "store_unavailable", `,"retry_after":60`)}
		if _, err := c.Batch(t.Context(), "b"); err == nil || len(w.got) != 1 {
			t.Errorf("more than there is patience for: %v after %d tries", err, len(w.got))
		}
		c.Patience = -1
		w.got, w.answers = nil, []answer{{}}
		if _, err := c.Batch(t.Context(), "b"); err == nil || len(w.got) != 1 {
			t.Errorf("impatient: %v after %d tries", err, len(w.got))
		}
		c.Patience = 0
		ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		if _, err := c.Batch(ctx, "b"); err == nil || ctx.Err() == nil || time.Since(start) > time.Minute {
			t.Errorf("the context ended, and %v", err)
		}
	})
}

func TestIdempotencyKeyOfTheCaller(t *testing.T) {
	w := &wire{answers: []answer{{status: 201, body: "{}"}}}
	c := client(t, w)
	for _, ctx := range []context.Context{mohor.WithIdempotencyKey(t.Context(), "order-1"), t.Context(), t.Context()} {
		if _, err := c.CreateTransaction(ctx, mohor.Ask{}); err != nil {
			t.Fatal(err)
		}
	}
	a, b, d := w.got[0].Header.Get("Idempotency-Key"), w.got[1].Header.Get("Idempotency-Key"), w.got[2].Header.Get("Idempotency-Key")
	if a != "order-1" || b == "" || b == a || b == d {
		t.Error(a, b, d)
	}
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issued := 0
		w := &wire{}
		var one sync.Mutex
		gateway := roundTrip(func(req *http.Request) (*http.Response, error) {
			one.Lock()
			defer one.Unlock()
			if req.URL.Path == "/oauth2/token" {
				issued++
				w.answers = []answer{{status: 200, body: fmt.Sprintf(`{"access_token":"t%d","token_type":"Bearer","expires_in":3600}`, issued)}}
			} else {
				w.answers = []answer{{status: 200, body: "{}"}}
				if req.Header.Get("Authorization") != fmt.Sprintf("Bearer t%d", issued) || req.Header.Get("Authorization") == "Bearer t2" {
					w.answers = []answer{problem(401, "unauthenticated")}
				}
			}
			return w.RoundTrip(req)
		})
		c, err := mohor.New("https://mohor.example", mohor.ClientCredentials("app-1", mohor.NewSecret("s&cret")))
		if err != nil {
			t.Fatal(err)
		}
		c.Transport = gateway
		call := func(want int) {
			t.Helper()
			if _, err := c.Batch(t.Context(), "b"); err != nil || issued != want {
				t.Fatalf("%v, %d tokens, want %d", err, issued, want)
			}
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { _, _ = c.Batch(t.Context(), "b") })
		}
		all.Wait()
		call(1)
		form, err := url.ParseQuery(w.bodies[0])
		if err != nil || form.Get("grant_type") != "client_credentials" || form.Get("client_id") != "app-1" || form.Get("client_secret") != "s&cret" {
			t.Errorf("asked for a token with %q", w.bodies[0])
		}
		time.Sleep(53 * time.Minute)
		call(1)
		time.Sleep(2 * time.Minute) // before its end; t2 is one that the gateway refuses
		call(3)
		call(3)
		// A refusal that stays is told, not tried for ever.
		issued = 1
		c.Patience = -1
		if _, err := c.Batch(t.Context(), "b"); mohor.Code(err) != "unauthenticated" || issued != 2 {
			t.Errorf("%v, %d tokens", err, issued)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTokenRefused(t *testing.T) {
	w := &wire{answers: []answer{{status: 401, body: `{"error":"invalid_client","error_description":"D"}`}}}
	c, err := mohor.New("https://mohor.example", mohor.ClientCredentials("app-1", mohor.NewSecret("x")))
	if err != nil {
		t.Fatal(err)
	}
	c.Transport = w
	if _, err := c.Batch(t.Context(), "b"); mohor.Code(err) != "invalid_client" || len(w.got) != 1 {
		t.Errorf("%v after %d requests", err, len(w.got))
	}
}

// An assertion verifies with the public half, by the rules of JWS.
func TestPrivateKeyJWT(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for alg, key := range map[string]crypto.Signer{"PS256": rsaKey, "ES256": newEC(t, elliptic.P256()), "ES384": newEC(t, elliptic.P384())} {
		w := &wire{answers: []answer{{status: 200, body: `{"access_token":"t","token_type":"Bearer","expires_in":60}`}, {status: 200, body: "{}"}}}
		c, err := mohor.New("https://mohor.example", mohor.PrivateKeyJWT("app-1", "k-7", key))
		if err != nil {
			t.Fatal(err)
		}
		c.Transport = w
		if _, err := c.Batch(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		form, err := url.ParseQuery(w.bodies[0])
		if err != nil || form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form.Has("client_secret") {
			t.Fatal(w.bodies[0], err)
		}
		jwt := form.Get("client_assertion")
		parts := strings.Split(jwt, ".")
		if len(parts) != 3 {
			t.Fatal(jwt)
		}
		var head, claims map[string]any
		for k, into := range []*map[string]any{&head, &claims} {
			b, err := base64.RawURLEncoding.DecodeString(parts[k])
			if err != nil || json.Unmarshal(b, into) != nil {
				t.Fatal(jwt, err)
			}
		}
		if head["alg"] != alg || head["kid"] != "k-7" || claims["iss"] != "app-1" || claims["sub"] != "app-1" || claims["aud"] != "https://mohor.example/oauth2/token" ||
			claims["jti"] == "" || claims["exp"].(float64)-claims["iat"].(float64) > 300 {
			t.Errorf("%v %v", head, claims)
		}
		sig, err := base64.RawURLEncoding.DecodeString(parts[2])
		if err != nil || !verifies(key.Public(), alg, parts[0]+"."+parts[1], sig) {
			t.Errorf("%s does not verify: %v", alg, err)
		}
	}
	c, err := mohor.New("https://mohor.example", mohor.PrivateKeyJWT("app-1", "k", newEC(t, elliptic.P521())))
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{answers: []answer{{status: 200, body: "{}"}}}
	if c.Transport = w; true {
		if _, err := c.Batch(t.Context(), "b"); err == nil || len(w.got) > 0 {
			t.Errorf("P-521: %v", err)
		}
	}
}

func newEC(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func verifies(pub crypto.PublicKey, alg, text string, sig []byte) bool {
	h := crypto.SHA256
	if alg == "ES384" {
		h = crypto.SHA384
	}
	sum := h.New()
	sum.Write([]byte(text))
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPSS(k, h, sum.Sum(nil), sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case *ecdsa.PublicKey:
		n := len(sig) / 2
		return len(sig) == 2*h.Size() && ecdsa.Verify(k, sum.Sum(nil), new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:]))
	}
	return false
}

// PIN and code are in the body that goes to the gateway, and in nothing that prints.
func TestSecretsDoNotPrint(t *testing.T) {
	w := &wire{answers: []answer{problem(403, "pin_wrong")}}
	c := client(t, w)
	with := mohor.Confirmation{Nonce: "n", PIN: mohor.NewSecret("Kucing-7731"), OTP: mohor.NewSecret("918273")}
	_, err := c.Sign(t.Context(), "tx", with)
	if !strings.Contains(w.bodies[0], `"pin":"Kucing-7731"`) || !strings.Contains(w.bodies[0], `"otp":"918273"`) {
		t.Error("the gateway does not get them")
	}
	j, jerr := json.Marshal(with)
	if jerr != nil {
		t.Fatal(jerr)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", with, with, with, with), string(j), fmt.Sprint(err), fmt.Sprintf("%+v %#v", c, c), w.got[0].URL.String()} {
		if strings.Contains(text, "7731") || strings.Contains(text, "918273") {
			t.Errorf("printed: %s", text)
		}
	}
}

// A stream that is cut is no verdict; the counts are asked for.
func TestProgressOutlivesItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		event := func(name, status string, signed int) string {
			return fmt.Sprintf("event: %s\ndata: {\"batch_id\":\"b\",\"status\":%q,\"signed\":%d}\n\n", name, status, signed)
		}
		w := &wire{answers: []answer{
			{status: 200, body: event("progress", "SIGNING", 1) + event("progress", "SIGNING", 2)},
			{status: 200, body: `{"batch_id":"b","status":"SIGNING","signed":3}`},
			{status: 200, body: event("progress", "SIGNING", 4) + event("done", "SIGNED", 5) + event("progress", "SIGNING", 6)},
		}}
		var got []int
		for b, err := range client(t, w).Progress(t.Context(), "b") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b.Signed)
		}
		if fmt.Sprint(got) != "[1 2 3 4 5]" {
			t.Error(got)
		}
		w.answers = []answer{problem(404, "not_found")}
		n := 0
		for _, err := range client(t, w).Progress(t.Context(), "b") {
			if n++; mohor.Code(err) != "not_found" {
				t.Error(err)
			}
		}
		if n != 1 {
			t.Error(n)
		}
	})
}

func TestPages(t *testing.T) {
	b, err := json.Marshal([]mohor.Visible{{Page: mohor.LastPage}, {Page: 3, X: 1.5}, {Anchor: "PERAKUAN 1"}})
	if want := `[{"page":"last"},{"page":3,"x":1.5},{"anchor":"PERAKUAN 1"}]`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}

// PIN and code are in one place of the request, which is overwritten when it was sent, and not
// before: a transport may read on after its answer.
func TestSignWipesWhatItSent(t *testing.T) {
	var sent []byte
	var late io.Closer
	c := client(t, nil)
	c.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
		late = req.Body
		_, err := req.Body.(io.WriterTo).WriteTo(writer(func(p []byte) { sent = p }))
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("{}"))}, err
	})
	pin := "ru\"sa\\\x01\u00e9\u2028-\U0001f98c"
	if _, err := c.Sign(t.Context(), "tx", mohor.Confirmation{Nonce: "n", PIN: mohor.NewSecret(pin), OTP: mohor.NewSecret("123456"), Root: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Nonce, PIN, OTP string
		Root            []byte
	}
	if err := json.Unmarshal(sent, &got); err != nil || got.PIN != pin || got.OTP != "123456" || got.Nonce != "n" || len(got.Root) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	for range 2 { // closing twice lets go once
		if err := late.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(sent) == 0 || strings.Trim(string(sent), "\x00") != "" {
		t.Errorf("left: %q", sent)
	}
}

type writer func(p []byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// One PDF goes with what is said of it, a list with its pictures as the ZIP it is, and refused rows come page by page.
func TestIntake(t *testing.T) {
	w := &wire{answers: []answer{{status: 200, body: `{"accepted":1,"refused":[],"refused_count":0}`}, {status: 200, body: `{"accepted":0,"refused":[],"refused_count":2,"encoding":"windows-1252","notes":[{"code":"encoding","detail":"d"}]}`},
		{status: 200, body: `{"refused":[{"row":3,"code":"row_ic_invalid"}],"next":0}`}, {status: 200, body: `{"refused":[{"row":4,"code":"row_noss_invalid"}]}`}}}
	c := client(t, w)
	if in, err := c.AddPDF(t.Context(), "ba", mohor.Paper{Name: "Baucar & 1", Amount: "1.50", Payee: "ALI", Password: mohor.NewSecret("p")}, strings.NewReader("%PDF")); err != nil || in.Accepted != 1 {
		t.Fatalf("%+v, %v", in, err)
	}
	in, err := c.AddCandidatesWithPhotos(t.Context(), "ba", strings.NewReader("PK"))
	if err != nil || in.RefusedCount != 2 || in.Encoding != "windows-1252" || len(in.Notes) != 1 {
		t.Fatalf("%+v, %v", in, err)
	}
	var rows []int
	for r, err := range c.RefusedRows(t.Context(), "ba") {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r.Row)
	}
	if fmt.Sprint(rows) != "[3 4]" {
		t.Errorf("rows %v", rows)
	}
	for k, want := range []string{"/v1/batches/ba/items?amount=1.50&name=Baucar+%26+1&payee=ALI", "/v1/batches/ba/items", "/v1/batches/ba/refused?limit=1000&after=-1", "/v1/batches/ba/refused?limit=1000&after=0"} {
		if got := w.got[k].URL.RequestURI(); got != want {
			t.Errorf("%d: %s, want %s", k, got, want)
		}
	}
	if w.got[0].Header.Get("X-PDF-Password") != "p" || w.got[0].Header.Get("Content-Type") != "application/pdf" || w.got[1].Header.Get("Content-Type") != "application/zip" || w.bodies[0] != "%PDF" {
		t.Errorf("%v, %v", w.got[0].Header, w.bodies)
	}
}

// An upload has the caller's key or none: it goes once, and only whoever knows its key can repeat it.
func TestUploadsTakeTheCallersKey(t *testing.T) {
	w := &wire{answers: []answer{{status: 201, body: "{}"}}}
	c := client(t, w)
	for ctx, want := range map[context.Context]string{mohor.WithIdempotencyKey(t.Context(), "baucar-1"): "baucar-1", t.Context(): ""} {
		w.got = nil
		if _, err := c.UploadPDF(ctx, "n", strings.NewReader("x"), mohor.NewSecret("p")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.AddPDFs(ctx, "ba", strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		for k, pass := range []string{"p", ""} {
			if h := w.got[k].Header; h.Get("Idempotency-Key") != want || h.Get("X-PDF-Password") != pass {
				t.Errorf("upload %d: %v", k, h)
			}
		}
	}
}

func TestInboxGoesOn(t *testing.T) {
	w := &wire{answers: []answer{{status: 200, body: `{"waiting":[{"reference":"A"},{"reference":"B"}],"next":"n 1"}`}, {status: 200, body: `{"waiting":[{"reference":"C","signed":[{"role":"Perakuan 1"}]}]}`}}}
	var got []string
	for x, err := range client(t, w).Inbox(t.Context(), "IGFMAS", "AA-11", "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, x.Reference)
	}
	if fmt.Sprint(got) != "[A B C]" || len(w.got) != 2 || w.got[0].URL.RawQuery != "process=AA-11&system=IGFMAS" || w.got[1].URL.Query().Get("after") != "n 1" {
		t.Errorf("%v, %v", got, w.got)
	}
	w.answers = []answer{problem(403, "forbidden")}
	for _, err := range client(t, w).Inbox(t.Context(), "X", "", "") {
		if mohor.Code(err) != "forbidden" {
			t.Error(err)
		}
	}
}
