package signing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/web/page"
	"github.com/mohor-sign/mohor/web/signing"
)

const pageToken = "AAECAwQFBgcICQoLDA0ODw"

var noon = time.Date(2026, 4, 30, 4, 0, 0, 0, time.UTC)

// counter is signing.Signing in memory, with one page.
type counter struct {
	page    signing.Page
	session string // of who opened it
	no      error  // what deeds answer
	did     []string
	given   signing.Confirmation
	pin     string
}

func (d *counter) Page(_ context.Context, v signing.Visit, _ int) (signing.Page, error) {
	switch given := string(v.Session.Reveal()); {
	case string(v.Token.Reveal()) != pageToken:
		return signing.Page{}, signing.ErrUnknown
	case d.session == "":
		return signing.Page{}, signing.ErrUnopened
	case given != d.session:
		return signing.Page{}, signing.ErrElsewhere
	}
	return d.page, nil
}

func (d *counter) Open(_ context.Context, v signing.Visit, seed secret.Text) (secret.Text, time.Time, error) {
	session := "session of " + string(seed.Reveal())
	if _, err := d.Page(context.Background(), signing.Visit{Token: v.Token, Session: secret.New(session)}, -1); err != nil && !errors.Is(err, signing.ErrUnopened) {
		return secret.Text{}, time.Time{}, err
	}
	d.session = strings.ReplaceAll(session, " ", "-")
	return secret.New(d.session), noon.Add(2 * time.Hour), nil
}

func (d *counter) Stray(context.Context, signing.Visit) error {
	d.did = append(d.did, "stray")
	return d.no
}

func (d *counter) Confirm(_ context.Context, _ signing.Visit, c signing.Confirmation) error {
	d.did, d.given, d.pin = append(d.did, "confirm"), c, string(c.PIN.Reveal())+" "+string(c.Code.Reveal())
	return d.no
}

func (d *counter) Resend(context.Context, signing.Visit) error {
	d.did = append(d.did, "code")
	return d.no
}

func (d *counter) Cancel(context.Context, signing.Visit) error {
	d.did = append(d.did, "cancel")
	return d.no
}

func (d *counter) Logo(ctx context.Context, v signing.Visit) (string, []byte, error) {
	_, err := d.Page(ctx, v, -1)
	return "image/png", []byte("\x89PNG\r\n\x1a\n"), err
}

func (d *counter) Document(ctx context.Context, v signing.Visit, index int) (io.ReadCloser, int64, error) {
	if _, err := d.Page(ctx, v, -1); err != nil || index != 0 {
		return nil, 0, errors.Join(err, signing.ErrUnknown)
	}
	if d.no != nil {
		return nil, 0, d.no
	}
	return io.NopCloser(strings.NewReader("%PDF-1.7")), 8, nil
}

func signingPage() signing.Page {
	return signing.Page{
		Transaction: "tx_k3v0f0o8h1", Status: "WAITING", Owner: "KEMENTERIAN KEWANGAN\nJABATAN AKAUNTAN NEGARA MALAYSIA", System: "iGFMAS", Notice: signing.Notice{Token: true, System: "IGFMAS"},
		DataHeader: "110FGOM07022411247A29911.35240405888916", Classification: "terbuka", Process: "AP-01 Baucar Bayaran", Role: "Perakuan 1", Total: "RM 29,911.35", Count: 1,
		Fingerprint: "7K3M-Q0ZV", Root: "cm9vdA==", Nonce: "bm9uY2U=", Tries: 3, SentTo: "s•••@jpk.gov.my", Next: -1,
		Documents: []signing.Document{{Index: 0, Name: "Baucar Bayaran 2026/04/001.pdf", Alg: "SHA-256", Digest: "LUsq9prqLRm6heerwwCFRQisYDQzAgKukkb8egTE15w=", View: true}},
		CodeSent:  noon, CodeUntil: noon.Add(5 * time.Minute), ResendAfter: noon.Add(time.Minute), ExpiresAt: noon.Add(30 * time.Minute),
	}
}

// browser is one, without a mind of its own.
type browser struct {
	t   *testing.T
	d   *counter
	jar map[string]*http.Cookie
}

func (b *browser) send(method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := chi.NewRouter()
	signing.Routes(r, &page.Site{SecureCookies: true, Title: "Jabatan Contoh", Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }}, b.d)
	q := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	if form != nil {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	q.Header.Set("Sec-Fetch-Site", "same-origin")
	for k := 0; k < len(header); k += 2 {
		q.Header.Set(header[k], header[k+1])
	}
	for _, c := range b.jar {
		q.AddCookie(c)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	for _, c := range w.Result().Cookies() {
		b.jar[c.Name] = c
	}
	return w
}

func newBrowser(t *testing.T, d *counter) *browser {
	return &browser{t: t, d: d, jar: map[string]*http.Cookie{}}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([a-z]+)" value="([^"]*)">`)

// fields are the hidden ones of the first form.
func fields(page string) url.Values {
	form := url.Values{}
	page, _, _ = strings.Cut(page, "</form>")
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], strings.ReplaceAll(m[2], "&#43;", "+"))
	}
	return form
}

// open presses the button.
func (b *browser) open() *httptest.ResponseRecorder {
	b.t.Helper()
	gate := b.send("GET", "/sign/"+pageToken, nil)
	return b.send("POST", "/sign/"+pageToken, fields(gate.Body.String()))
}

// Over https the cookie is one that nobody else can set, and each page has its own.
func TestSigningCookie(t *testing.T) {
	b := newBrowser(t, &counter{page: signingPage()})
	w := b.open()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/sign/"+pageToken || len(w.Result().Cookies()) != 1 {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	c := w.Result().Cookies()[0]
	if !regexp.MustCompile(`^__Host-mohor-sign-[A-Za-z0-9_-]{12}$`).MatchString(c.Name) || strings.Contains(c.Name, pageToken[:8]) || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode ||
		c.Path != "/" || c.Domain != "" || c.MaxAge != 7200 || !c.Expires.IsZero() {
		t.Errorf("%+v", c)
	}
	if got := b.send("GET", "/sign/"+pageToken, nil); got.Code != 200 || !strings.Contains(got.Body.String(), "LUsq9prqLRm6heerwwCFRQisYDQzAgKukkb8egTE15w=") {
		t.Errorf("%d", got.Code)
	}
}

// Cookies of pages end with them, and one browser keeps so few that its header stays short.
func TestSigningCookiesAreFew(t *testing.T) {
	b := newBrowser(t, &counter{page: signingPage()})
	gate := b.send("GET", "/sign/"+pageToken, nil)
	var brings []string // as browsers send them, the oldest first
	for k := range 40 {
		brings = append(brings, fmt.Sprintf("__Host-mohor-sign-%012d=x", k), fmt.Sprintf("__Host-other-%d=x", k))
	}
	w := b.send("POST", "/sign/"+pageToken, fields(gate.Body.String()), "Cookie", strings.Join(brings, "; "))
	set := w.Result().Cookies()
	if w.Code != 303 || len(set) != 1+9 || set[0].MaxAge != 7200 {
		t.Fatalf("%d, %d cookies", w.Code, len(set))
	}
	for k, c := range set[1:] {
		if c.Name != fmt.Sprintf("__Host-mohor-sign-%012d", k) || c.MaxAge != -1 || c.Value != "" || c.Path != "/" || !c.Secure {
			t.Errorf("%+v", c)
		}
	}
}

// A form that was not made here is noted, whatever it wants; without a note it is not answered.
func TestStrayFormsAreNoted(t *testing.T) {
	d := &counter{page: signingPage()}
	b := newBrowser(t, d)
	b.open()
	form := fields(b.send("GET", "/sign/"+pageToken, nil).Body.String())
	for _, path := range []string{"/confirm", "/code", "/cancel", ""} {
		for what, c := range map[string]struct {
			form   url.Values
			header []string
		}{
			"another site":  {form, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}},
			"nobody's form": {url.Values{"form": {"x"}, "seed": {"x"}}, nil},
		} {
			d.did, d.no = nil, nil
			if w := b.send("POST", "/sign/"+pageToken+path, c.form, c.header...); w.Code != 403 || len(d.did) != 1 || d.did[0] != "stray" {
				t.Errorf("%s, %q: %d %v", what, path, w.Code, d.did)
			}
			d.no = errors.New("a database that is away")
			if w := b.send("POST", "/sign/"+pageToken+path, c.form, c.header...); w.Code != 503 {
				t.Errorf("%s, %q, not noted: %d", what, path, w.Code)
			}
		}
	}
}

// A document that cannot be shown now can be soon.
func TestSigningDocumentBusy(t *testing.T) {
	d := &counter{page: signingPage()}
	b := newBrowser(t, d)
	b.open()
	d.no = &signing.Refusal{Status: 503, MS: "Sibuk.", EN: "Busy.", Left: -1, RetryAfter: 5}
	w := b.send("GET", "/sign/"+pageToken+"/documents/0", nil)
	if w.Code != 503 || w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), "Sibuk.") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// What a form must hold is asked for before anything is tried, and PIN and code never come back.
func TestSigningForms(t *testing.T) {
	d := &counter{page: signingPage()}
	b := newBrowser(t, d)
	b.open()
	form := fields(b.send("GET", "/sign/"+pageToken, nil).Body.String())
	const pin, code = "P1n-yang-panjang", "123456"
	for what, c := range map[string]struct {
		pin, otp, field string
		status          int
	}{
		"all right":        {pin, code, "", 303},
		"a code in groups": {pin, " 123 456 ", "", 303},
		"no PIN":           {"", code, "pin", 400},
		"a PIN too long":   {strings.Repeat("x", 257), code, "pin", 400},
		"no code":          {pin, "", "otp", 400},
		"five digits":      {pin, "12345", "otp", 400},
		"seven digits":     {pin, "1234567", "otp", 400},
		"letters":          {pin, "12345a", "otp", 400},
		"other digits":     {pin, "１２３４５６", "otp", 400},
	} {
		d.did, d.pin = nil, ""
		form.Set("pin", c.pin)
		form.Set("otp", c.otp)
		w := b.send("POST", "/sign/"+pageToken+"/confirm", form)
		page := w.Body.String()
		if w.Code != c.status || (len(d.did) == 1) != (c.status == 303) || c.status == 303 && d.pin != pin+" "+code {
			t.Errorf("%s: %d, %v", what, w.Code, d.did)
		}
		if c.field != "" && (!strings.Contains(page, `id="`+c.field+`-error"`) || !strings.Contains(page, `href="#`+c.field+`"`) || !strings.Contains(page, "<title>Ralat")) {
			t.Errorf("%s: %s", what, page)
		}
		for _, s := range []string{c.pin, c.otp} {
			if len(s) > 4 && strings.Contains(page, s) {
				t.Errorf("%s: what was given came back", what)
			}
		}
	}
	if d.given.Nonce != "bm9uY2U=" || d.given.Root != "cm9vdA==" || d.given.Tries != 3 {
		t.Errorf("%+v", d.given)
	}
	for _, deed := range []string{"code", "cancel"} {
		d.did = nil
		if w := b.send("POST", "/sign/"+pageToken+"/"+deed, url.Values{"form": form["form"]}); w.Code != 303 || len(d.did) != 1 || d.did[0] != deed {
			t.Errorf("%s: %d %v", deed, w.Code, d.did)
		}
	}
	d.no = errors.New("a database that is away: P1n-yang-panjang")
	w := b.send("POST", "/sign/"+pageToken+"/cancel", url.Values{"form": form["form"]})
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "database") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	d.no = &signing.Refusal{Status: 429, MS: "Terlalu awal.", EN: "Too soon.", Left: -1, RetryAfter: 7}
	w = b.send("POST", "/sign/"+pageToken+"/code", url.Values{"form": form["form"]})
	if w.Code != 429 || w.Header().Get("Retry-After") != "7" || !strings.Contains(w.Body.String(), "Terlalu awal.") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Every state has words of its own, and none but the first has fields.
func TestSigningStates(t *testing.T) {
	seen := map[string]string{}
	for _, status := range []string{"WAITING", "locked", "blocked", "SIGNING", "SIGNED", "SIGNED_WITH_REFUSALS", "FAILED", "EXPIRED", "CANCELLED", "NEEDS_AUTHORISATION"} {
		d := &counter{page: signingPage()}
		d.page.Status, d.page.Back = status, "https://igfmas.example/kembali?modul=AP&state=x"
		switch status {
		case "locked":
			d.page.Status, d.page.Locked, d.page.LockedUntil = "WAITING", true, noon.Add(time.Minute)
		case "blocked":
			d.page.Status, d.page.Locked = "WAITING", true
		}
		b := newBrowser(t, d)
		b.open()
		page := b.send("GET", "/sign/"+pageToken, nil).Body.String()
		if has := strings.Contains(page, `name="pin"`); has != (status == "WAITING") {
			t.Errorf("%s: asks for a PIN: %v", status, has)
		}
		if has := strings.Contains(page, `href="https://igfmas.example/kembali?modul=AP&amp;state=x"`); has != (status != "WAITING" && status != "SIGNING") {
			t.Errorf("%s: leads back: %v", status, has)
		}
		if has := strings.Contains(page, `http-equiv="refresh"`); has != (status == "SIGNING") {
			t.Errorf("%s: reloads: %v", status, has)
		}
		word := regexp.MustCompile(`<h1>([^<]*)`).FindString(page)
		if other, twice := seen[word]; twice {
			t.Errorf("%s says what %s does: %q", status, other, word)
		}
		seen[word] = status
	}
}

// What is said of a code leads where something can be done about it, and of a list which part it is.
func TestSigningPageLeadsOn(t *testing.T) {
	d := &counter{page: signingPage()}
	b := newBrowser(t, d)
	b.open()
	form := fields(b.send("GET", "/sign/"+pageToken, nil).Body.String())
	form.Set("pin", "P1n-yang-panjang")
	form.Set("otp", "123456")
	const dead, toCode, toPIN, hasCode = "Kod itu tidak boleh digunakan lagi", `href="#code"`, `href="#pin"`, `id="code"`
	says := func(page string, words map[string]bool) {
		t.Helper()
		for w, want := range words {
			if strings.Contains(page, w) != want {
				t.Errorf("%q: %v", w, !want)
			}
		}
	}
	says(b.send("GET", "/sign/"+pageToken, nil).Body.String(), map[string]bool{dead: false, hasCode: true, toCode: false})
	d.no = &signing.Refusal{Status: 410, Field: "code", MS: "Kod telah luput.", EN: "The code has expired.", Left: -1}
	says(b.send("POST", "/sign/"+pageToken+"/confirm", form).Body.String(), map[string]bool{toCode: true, hasCode: true, "aria-invalid": false})
	d.page.CodeUntil = noon.Add(-time.Second)
	says(b.send("GET", "/sign/"+pageToken, nil).Body.String(), map[string]bool{dead: true, toCode: true})
	d.page.CodeUntil, d.page.Tries = noon.Add(time.Minute), 0
	says(b.send("GET", "/sign/"+pageToken, nil).Body.String(), map[string]bool{dead: true, toCode: true})
	// The PIN that locked: there is no field any more.
	d.page.Locked, d.no = true, &signing.Refusal{Status: 403, Field: "pin", MS: "PIN salah.", EN: "The PIN is wrong.", Left: 0}
	says(b.send("POST", "/sign/"+pageToken+"/confirm", form).Body.String(), map[string]bool{"PIN salah.": true, toPIN: false})

	d.page = signingPage()
	d.page.Count, d.page.Next = 1000, 99
	d.page.Documents = []signing.Document{{Index: 50}, {Index: 99}}
	says(b.send("GET", "/sign/"+pageToken+"?after=49", nil).Body.String(), map[string]bool{"No. 51 – 100; semuanya 1,000 dokumen.": true, "?after=99#dokumen": true})
}

// The four points stand word for word; which word the certificate has is the system's.
func TestLegalNotice(t *testing.T) {
	for want, n := range map[string]signing.Notice{
		"DOKUMEN KEWANGAN iGFMAS MENGGUNAKAN TOKEN DAN NOMBOR PIN.": {Token: true, System: "IGFMAS"}, "DOKUMEN KEWANGAN iGFMAS MENGGUNAKAN SIJIL DIGITAL DAN NOMBOR PIN.": {System: "IGFMAS"},
		"DOKUMEN MYSPIKE MENGGUNAKAN SIJIL DIGITAL DAN NOMBOR PIN.": {System: "MYSPIKE"},
	} {
		d := &counter{page: signingPage()}
		d.page.Notice = n
		b := newBrowser(t, d)
		b.open()
		page := b.send("GET", "/sign/"+pageToken, nil).Body.String()
		for _, point := range []string{
			"DILARANG MEMBERI PINJAM, BERKONGSI ATAU ONE MAN SHOW KETIKA MEMPERAKUKAN " + want,
			"SATU KESALAHAN DI BAWAH AKTA TANDATANGAN DIGITAL 1997 (AKTA 562) SEKSYEN 43 DAN 83.",
			"DENGAN MENEKAN BUTANG TANDATANGAN, ANDA BERHASRAT UNTUK MENANDATANGANI MESEJ, REKOD ATAU DOKUMEN INI SECARA DIGITAL.",
			"PENAMBAHAN TANDATANGAN DIGITAL SEDEMIKIAN HENDAKLAH DIANGGAP SEBAGAI TANDATANGAN YANG MENGIKAT SECARA SAH.",
		} {
			if !strings.Contains(page, point) {
				t.Errorf("%+v lacks %q", n, point)
			}
		}
	}
}

// The page tells to whom a batch pays, as text.
func TestSigningPageNamesPayees(t *testing.T) {
	p := signingPage()
	p.Payees, p.FirstPayees = 12, []string{"SYARIKAT ALI", "<b>ABU</b>"}
	b := newBrowser(t, &counter{page: p})
	b.open()
	if got := b.send("GET", "/sign/"+pageToken, nil).Body.String(); !strings.Contains(got, "12: “SYARIKAT ALI”, “&lt;b&gt;ABU&lt;/b&gt;” …") {
		t.Errorf("%s", got)
	}
	p.Payees, p.FirstPayees = 0, nil
	b = newBrowser(t, &counter{page: p})
	b.open()
	if got := b.send("GET", "/sign/"+pageToken, nil).Body.String(); strings.Contains(got, "Penerima") {
		t.Errorf("%s", got)
	}
}

// The notice is the seed's in every language; what else the page says is in one.
func TestSigningLanguages(t *testing.T) {
	b := newBrowser(t, &counter{page: signingPage()})
	b.open()
	const ms, en = "SATU KESALAHAN DI BAWAH AKTA TANDATANGAN DIGITAL 1997", "It is an offence under the Digital Signature Act 1997"
	malay := b.send("GET", "/sign/"+pageToken, nil).Body.String()
	if !strings.Contains(malay, ms) || strings.Contains(malay, en) || !strings.Contains(malay, "Cap jari") || !strings.Contains(malay, `<html lang="ms">`) {
		t.Errorf("in Malay: %s", malay)
	}
	if w := b.send("GET", "/sign/"+pageToken+"?lang=en&after=3", nil); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/sign/"+pageToken+"?after=3" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	english := b.send("GET", "/sign/"+pageToken, nil).Body.String()
	if !strings.Contains(english, ms) || !strings.Contains(english, en) || strings.Contains(english, "Cap jari") || !strings.Contains(english, `<html lang="en">`) {
		t.Errorf("in English: %s", english)
	}
	// What answers a form leads to the page in the other language, not to the form's address.
	wrong := b.send("POST", "/sign/"+pageToken+"/confirm", fields(english))
	if page := wrong.Body.String(); wrong.Code != 400 || !strings.Contains(page, `href="/sign/`+pageToken+`?lang=ms"`) || !strings.Contains(page, "Enter the PIN") {
		t.Errorf("%d %s", wrong.Code, page)
	}
}

// The officer's picture is shown where the officer is known, and who is not is told why there is none.
func TestSigningPicture(t *testing.T) {
	d := &counter{page: signingPage()}
	b := newBrowser(t, d)
	b.open()
	const why = "Tiada gambar keselamatan di sini"
	if page := b.send("GET", "/sign/"+pageToken, nil).Body.String(); strings.Contains(page, "/assets/images/") || !strings.Contains(page, why) {
		t.Errorf("without one: %s", page)
	}
	d.page.Picture = "harimau"
	if page := b.send("GET", "/sign/"+pageToken, nil).Body.String(); !strings.Contains(page, `src="/assets/images/harimau-`) || strings.Contains(page, why) {
		t.Errorf("with one: %s", page)
	}
}

// How far a batch is can be asked for while it is being signed, by the page's browser.
func TestSigningProgress(t *testing.T) {
	d := &counter{page: signingPage()}
	b := newBrowser(t, d)
	b.open()
	if w := b.send("GET", "/sign/"+pageToken+"/progress", nil); w.Code != http.StatusNoContent || w.Body.Len() != 0 {
		t.Errorf("before: %d %s", w.Code, w.Body)
	}
	d.page.Status, d.page.Count, d.page.Signed, d.page.Refused = "SIGNING", 1200, 40, 2
	w := b.send("GET", "/sign/"+pageToken+"/progress", nil)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "42 daripada 1,200") || !strings.Contains(w.Body.String(), "40 ditandatangani, 2 ditolak") || strings.Contains(w.Body.String(), "<html") || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	other := newBrowser(t, d)
	if w := other.send("GET", "/sign/"+pageToken+"/progress", nil); w.Code != http.StatusConflict {
		t.Errorf("in another browser: %d", w.Code)
	}
}

// A browser that has just asked for its own signature has the page without pressing a button, and
// one that was faster keeps it.
func TestSigningOpensForItsOwnBrowser(t *testing.T) {
	d := &counter{page: signingPage()}
	s := &page.Site{SecureCookies: true, Title: "Jabatan Contoh", Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }}
	r := chi.NewRouter()
	signing.Routes(r, s, d)
	address := ""
	r.With(s.Pages).Post("/portal/x", func(w http.ResponseWriter, r *http.Request) { s.Sign(w, r, address) })
	post := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("POST", "/portal/x", nil))
		return w
	}
	address = "https://mohor.example/sign/" + pageToken
	w := post()
	set := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/sign/"+pageToken || len(set) != 1 || set[0].Value != d.session || !strings.HasPrefix(set[0].Name, "__Host-mohor-sign-") {
		t.Fatalf("%d %v, session %q", w.Code, w.Header(), d.session)
	}
	q := httptest.NewRequest("GET", "/sign/"+pageToken, nil)
	q.AddCookie(set[0])
	shown := httptest.NewRecorder()
	r.ServeHTTP(shown, q)
	if shown.Code != 200 || !strings.Contains(shown.Body.String(), `id="pin"`) {
		t.Errorf("%d %s", shown.Code, shown.Body)
	}
	// It is another browser's now: the page says so, and nothing changes hands.
	if w := post(); w.Code != http.StatusSeeOther || len(w.Result().Cookies()) != 0 || d.session != set[0].Value {
		t.Errorf("again: %d %v", w.Code, w.Header())
	}
	for _, bad := range []string{"", "https://evil.example/", "https://mohor.example/portal", "://"} {
		address = bad
		if w := post(); w.Code != http.StatusServiceUnavailable || w.Header().Get("Location") != "" {
			t.Errorf("%q: %d %v", bad, w.Code, w.Header())
		}
	}
	address = "https://mohor.example/sign/x"
	if w := post(); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/sign/x" || len(w.Result().Cookies()) != 0 {
		t.Errorf("a token that is none: %d %v", w.Code, w.Header())
	}
}
