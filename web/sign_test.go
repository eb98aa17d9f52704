package web_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/web"
)

const pageToken = "AAECAwQFBgcICQoLDA0ODw"

// counter is web.Signing in memory, with one page.
type counter struct {
	page    web.SigningPage
	session string // of who opened it
	no      error  // what deeds answer
	did     []string
	given   web.Confirmation
	pin     string
}

func (d *counter) Page(_ context.Context, v web.Visit, _ int) (web.SigningPage, error) {
	switch given := string(v.Session.Reveal()); {
	case string(v.Token.Reveal()) != pageToken:
		return web.SigningPage{}, web.ErrUnknown
	case d.session == "":
		return web.SigningPage{}, web.ErrUnopened
	case given != d.session:
		return web.SigningPage{}, web.ErrElsewhere
	}
	return d.page, nil
}

func (d *counter) Open(_ context.Context, v web.Visit, seed secret.Text) (secret.Text, error) {
	session := "session of " + string(seed.Reveal())
	if _, err := d.Page(context.Background(), web.Visit{Token: v.Token, Session: secret.New(session)}, -1); err != nil && !errors.Is(err, web.ErrUnopened) {
		return secret.Text{}, err
	}
	d.session = strings.ReplaceAll(session, " ", "-")
	return secret.New(d.session), nil
}

func (d *counter) Confirm(_ context.Context, _ web.Visit, c web.Confirmation) error {
	d.did, d.given, d.pin = append(d.did, "confirm"), c, string(c.PIN.Reveal())+" "+string(c.Code.Reveal())
	return d.no
}

func (d *counter) Resend(context.Context, web.Visit) error {
	d.did = append(d.did, "code")
	return d.no
}

func (d *counter) Cancel(context.Context, web.Visit) error {
	d.did = append(d.did, "cancel")
	return d.no
}

func (d *counter) Logo(ctx context.Context, v web.Visit) (string, []byte, error) {
	_, err := d.Page(ctx, v, -1)
	return "image/png", []byte("\x89PNG\r\n\x1a\n"), err
}

func (d *counter) Document(ctx context.Context, v web.Visit, index int) (io.ReadCloser, int64, error) {
	if _, err := d.Page(ctx, v, -1); err != nil || index != 0 {
		return nil, 0, errors.Join(err, web.ErrUnknown)
	}
	return io.NopCloser(strings.NewReader("%PDF-1.7")), 8, nil
}

func signingPage() web.SigningPage {
	return web.SigningPage{
		Transaction: "tx_k3v0f0o8h1", Status: "WAITING", Owner: "KEMENTERIAN KEWANGAN\nJABATAN AKAUNTAN NEGARA MALAYSIA", System: "iGFMAS", Notice: web.Notice{Token: true, System: "IGFMAS"},
		DataHeader: "110FGOM07022411247A29911.35240405888916", Classification: "terbuka", Process: "AP-01 Baucar Bayaran", Role: "Perakuan 1", Total: "RM 29,911.35", Count: 1,
		Fingerprint: "7K3M-Q0ZV", Root: "cm9vdA==", Nonce: "bm9uY2U=", Tries: 3, SentTo: "s•••@jpk.gov.my", Next: -1,
		Documents: []web.SigningDocument{{Index: 0, Name: "Baucar Bayaran 2026/04/001.pdf", Alg: "SHA-256", Digest: "LUsq9prqLRm6heerwwCFRQisYDQzAgKukkb8egTE15w=", View: true}},
		CodeUntil: noon.Add(5 * time.Minute), ResendAfter: noon.Add(time.Minute), ExpiresAt: noon.Add(30 * time.Minute),
	}
}

// browser is one, without a mind of its own.
type browser struct {
	t *testing.T
	c web.Config
	jar map[string]*http.Cookie
}

func (b *browser) send(method, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := chi.NewRouter()
	web.Routes(r, b.c)
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
	c, _ := config()
	c.Signing, c.SecureCookies, c.Now = d, true, func() time.Time { return noon }
	return &browser{t: t, c: c, jar: map[string]*http.Cookie{}}
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

