//go:build !race

package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/store/storetest"
)

// A real browser, without script and by keyboard alone, signs and comes back to the app, in
// either language.
func TestHostedSigningInChromium(t *testing.T) {
	gatewaytest.Tool(t, "chromium")
	arrived := make(chan *http.Request, 10)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/kembali" {
			arrived <- r
		}
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>iGFMAS</title>")
	}))
	defer app.Close()
	g := gatewaytest.New(t)
	described(t, g, "KEMENTERIAN KEWANGAN", "sijil")
	redirect := strings.Replace(app.URL, "127.0.0.1", "localhost", 1) + "/kembali?modul=AP" // another site
	key := hostedApp(t, g, redirect)
	for _, lang := range []struct{ code, open, pin, otp, sign, wrong, signed, back, elsewhere string }{
		{"ms", "Buka halaman tandatangan", "PIN sijil", "Kod OTP", "Tandatangan", "Kod OTP salah.", "TELAH DITANDATANGANI", "Kembali ke iGFMAS", "PELAYAR LAIN"},
		{"en", "Open the signing page", "Certificate PIN", "One-time code", "Confirm Signature", "The code is wrong.", "SIGNED", "Back to iGFMAS", "ANOTHER BROWSER"},
	} {
		t.Run(lang.code, func(t *testing.T) {
			ask := raw("Baucar 1")
			ask["redirect_uri"], ask["state"], ask["data_header"] = redirect, "s-"+lang.code, "110FGOM"+g.Dev.Officers[0].IC
			tx, code := asked(t, g, key, ask)
			c := startChromium(t, lang.code)
			// As wide as at 400 % (WCAG 2.2, Success Criterion 1.4.10).
			c.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": false}, nil)
			c.visit(app.URL + "/senarai")
			c.visit(tx.Text("signing_url") + "?lang=" + lang.code)
			shows := func(words ...string) {
				t.Helper()
				text := c.value("document.body.innerText")
				if over := c.value("document.documentElement.scrollWidth - document.documentElement.clientWidth"); over != "0" {
					t.Errorf("the page is %s pixels too wide: %s", over, text)
				}
				for _, w := range words {
					if !strings.Contains(text, w) {
						t.Errorf("the page lacks %q: %s", w, text)
					}
				}
			}
			shows(lang.open)
			c.tab(lang.open)
			c.enter()
			shows("KEMENTERIAN KEWANGAN", "110FGOM"+g.Dev.Officers[0].IC, tx.Text("fingerprint"), "SIJIL DIGITAL DAN NOMBOR PIN")
			c.tab(lang.pin)
			c.write(pin(g))
			c.tab(lang.otp)
			c.write(other(code))
			c.enter()
			shows(lang.wrong)
			for k := 0; c.value("document.activeElement.id") != "ralat"; k++ { // with the first frame
				if k == 200 {
					t.Fatal("after an error the focus is not there")
				}
			}
			if left := c.value("document.getElementById('pin').value + document.getElementById('otp').value"); left != "" {
				t.Error("PIN or code came back in the page")
			}
			c.tab(lang.pin)
			c.write(pin(g))
			c.tab(lang.otp)
			c.write(code)
			c.tab(lang.sign)
			c.enter()
			shows(lang.signed, g.Dev.Officers[0].IC)
			c.tab(lang.back)
			c.enter()
			r := <-arrived
			want := url.Values{"modul": {"AP"}, "state": {"s-" + lang.code}, "status": {"SIGNED"}, "transaction_id": {tx.Text("transaction_id")}}
			if got := r.URL.Query(); got.Encode() != want.Encode() || r.Header.Get("Referer") != "" || r.Header.Get("Cookie") != "" {
				t.Errorf("arrived with %v, from %q", got, r.Header.Get("Referer"))
			}
			tx, _ = asked(t, g, key, raw("Baucar 2"))
			newSurfer(t, g).enter(tx.Text("signing_url"))
			c.visit(tx.Text("signing_url"))
			shows(lang.elsewhere)
		})
	}
}

// The browser's own viewer shows the PDF under a policy that allows it nothing.
func TestSigningPageShowsPDFInChromium(t *testing.T) {
	gatewaytest.Tool(t, "chromium")
	g := gatewaytest.New(t)
	key := hostedApp(t, g)
	up := g.Do("POST", "/v1/documents?name=x.pdf", "application/pdf", storetest.PDF("Baucar 1"), "X-API-Key", key)
	tx, _ := asked(t, g, key, map[string]any{"format": "PADES", "documents": []any{map[string]any{"document_id": up.Text("document_id")}}})
	c := startChromium(t, "ms")
	c.visit(tx.Text("signing_url"))
	c.tab("Buka halaman tandatangan")
	c.enter()
	c.visit(tx.Text("signing_url") + "/documents/0")
	deadline := time.Now().Add(30 * time.Second)
	for {
		var frames struct{ TargetInfos []struct{ URL string } }
		c.call("Target.getTargets", map[string]any{"filter": []map[string]any{{}}}, &frames)
		for _, f := range frames.TargetInfos {
			if f.URL == "chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai/index.html" {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no viewer: %v", frames.TargetInfos)
		}
	}
}
