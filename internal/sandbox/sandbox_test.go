package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/pquerna/otp/totp"

	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/internal/secret"
)

var noon = time.Date(2026, 4, 30, 4, 0, 0, 0, time.UTC)

func start(t *testing.T) *sandbox.Mailbox {
	t.Helper()
	box, err := sandbox.StartMailbox(func() time.Time { return noon }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	return box
}

func send(t *testing.T, box *sandbox.Mailbox, raw string, to ...string) error {
	t.Helper()
	return smtp.SendMail(box.Addr(), nil, "a@gov.my", to, []byte(strings.ReplaceAll(raw, "\n", "\r\n")))
}

func mustSend(t *testing.T, box *sandbox.Mailbox, raw string, to ...string) {
	t.Helper()
	if err := send(t, box, raw, to...); err != nil {
		t.Fatal(err)
	}
}

func visit(box *sandbox.Mailbox, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := chi.NewRouter()
	box.Routes(r)
	q := httptest.NewRequest(http.MethodGet, path, nil)
	q.Host, q.RemoteAddr = "localhost:8443", "127.0.0.1:50000"
	change(q)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	return w
}

func asIs(*http.Request) {}

const multipart = `Subject: =?utf-8?q?Kod_tandatangan_=E2=80=93_iGFMAS?=
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=o

--o
Content-Type: multipart/alternative; boundary=i

--i
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Dokumen =E2=80=93 satu=
 baris
Kod / Code: 048=
291

--i
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PGI+a29kPC9iPg==
--i--
--o
Content-Type: text/plain
Content-Disposition: attachment

Kod / Code: 999999
--o--
`

func TestMailboxDecodesMail(t *testing.T) {
	box := start(t)
	mustSend(t, box, multipart, "Siti@JPK.gov.my")
	got, ok := box.Latest("siti@jpk.GOV.my")
	if !ok || got.To != "siti@jpk.gov.my" || got.Subject != "Kod tandatangan – iGFMAS" || got.Code != "048291" ||
		got.HTML != "<b>kod</b>" || got.Text != "Dokumen – satu baris\nKod / Code: 048291\n" || !got.ReceivedAt.Equal(noon) {
		t.Fatalf("got %v %+v", ok, got)
	}
}

func TestMailboxTakesOnlyAnUnambiguousCode(t *testing.T) {
	for body, want := range map[string]string{
		"Kod / Code: 123456":                     "123456",
		"x\nKod / Code: 123456\ny":               "123456",
		"Kod / Code: 123456\nKod / Code: 654321": "",
		" Kod / Code: 123456":                    "",
		"Kod / Code: 1234567":                    "",
		"Kod / Code: 12345":                      "",
		"Kod / Code: 123456 ":                    "",
		"kod / code: 123456":                     "",
	} {
		box := start(t)
		mustSend(t, box, "Subject: x\n\n"+body+"\n", "a@gov.my")
		if got, _ := box.Latest("a@gov.my"); got.Code != want {
			t.Errorf("%q: got %q", body, got.Code)
		}
	}
}

func TestMailboxKeepsTheNewest(t *testing.T) {
	box := start(t)
	c, err := smtp.Dial(box.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 1003 {
		if err := errors.Join(c.Mail("a@gov.my"), c.Rcpt(fmt.Sprintf("o%d@gov.my", i))); err != nil {
			t.Fatal(err)
		}
		w, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(w, "Subject: %d\r\n\r\nx\r\n", i)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var all []struct{ To, Subject string }
	if err := json.Unmarshal(visit(box, "/dev/mailbox.json", asIs).Body.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 1000 || all[0].Subject != "1002" || all[999].Subject != "3" {
		t.Fatalf("%d mails, first %q", len(all), all[0].Subject)
	}
	if _, ok := box.Latest("o2@gov.my"); ok {
		t.Fatal("a forgotten mail is found")
	}
}

func TestMailboxRefusesWhatIsTooMuch(t *testing.T) {
	box := start(t)
	deep := "Subject: x\nContent-Type: multipart/mixed; boundary=b0\n\n"
	for i := range 8 {
		deep += fmt.Sprintf("--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n", i, i+1)
	}
	wide := "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 50) + "--b--\n"
	for name, raw := range map[string]string{
		"large": "Subject: x\n\n" + strings.Repeat(strings.Repeat("x", 70)+"\n", 5000), "deep": deep, "wide": wide, "no header": "\x00\n\n",
		"cut short": "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nKod / Code: 123456\n",
	} {
		if err := send(t, box, raw, "a@gov.my"); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := send(t, box, "Subject: x\n\n", strings.Split(strings.Repeat("a@gov.my,", 10)+"a@gov.my", ",")...); err == nil {
		t.Error("eleven recipients: accepted")
	}
	if box.Mark() != 0 {
		t.Error("something was kept")
	}
}

func TestWaitForWaitsForTheNext(t *testing.T) {
	box := start(t)
	mustSend(t, box, "Subject: old\n\n", "a@gov.my")
	mark := box.Mark()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := box.WaitFor(ctx, "a@gov.my", mark); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("an old mail was taken for a new one: %v", err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if m, err := box.WaitFor(t.Context(), "A@gov.my", mark); err != nil || m.Subject != "new" {
				t.Errorf("got %q, %v", m.Subject, err)
			}
		})
	}
	mustSend(t, box, "Subject: other\n\n", "b@gov.my")
	mustSend(t, box, "Subject: a notice, no code\n\nKod anda", "a@gov.my")
	mustSend(t, box, "Subject: new\n\nKod / Code: 123456\n", "a@gov.my")
	wg.Wait()
}

func TestCloseIsSafe(t *testing.T) {
	for range 50 {
		box := start(t)
		if err := errors.Join(box.Close(), box.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMailboxJSON(t *testing.T) {
	box := start(t)
	mustSend(t, box, "Subject: one\n\nKod / Code: 123456\n", "a@gov.my")
	mustSend(t, box, "Subject: two\n\n<b>\n", "b@gov.my", "a@gov.my")
	w := visit(box, "/dev/mailbox.json?to=A@gov.my", asIs)
	want := `[{"to":"a@gov.my","subject":"two","received_at":"2026-04-30T04:00:00Z","text":"\u003cb\u003e\n","html":"","code":null},` +
		`{"to":"a@gov.my","subject":"one","received_at":"2026-04-30T04:00:00Z","text":"Kod / Code: 123456\n","html":"","code":"123456"}]` + "\n"
	if got := w.Body.String(); w.Code != 200 || got != want || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("got %d %v\n%s", w.Code, w.Header(), got)
	}
	if got := visit(box, "/dev/mailbox.json?to=nobody@gov.my", asIs).Body.String(); got != "[]\n" {
		t.Errorf("nobody's mail: %s", got)
	}
}

func TestMailboxPage(t *testing.T) {
	box := start(t)
	mustSend(t, box, "Subject: <script>alert(1)</script>\n\n</pre><img src=x onerror=alert(2)>\nKod / Code: 123456\n", "a@gov.my")
	w := visit(box, `/dev/mailbox`, asIs)
	page := w.Body.String()
	for _, want := range []string{`<html lang="ms">`, "Peti mel sandbox", "Sandbox mailbox", "SANDBOX – TIDAK SAH / <span>NOT VALID", "123456</span>", "&lt;script&gt;alert(1)", "&lt;/pre&gt;&lt;img", "12:00:00 MYT"} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %q", want)
		}
	}
	for _, bad := range []string{"<script", "<img", "onerror=alert(2)>\n<"} {
		if strings.Contains(page, bad) {
			t.Errorf("page holds %q", bad)
		}
	}
	if got := visit(box, `/dev/mailbox?to=%22%3E%3Cscript%3E`, asIs).Body.String(); strings.Contains(got, `"><script`) || !strings.Contains(got, "Belum ada mel") {
		t.Error("the filter's value is not escaped")
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "script-src") {
		t.Errorf("CSP %q", csp)
	}
}

func TestLoopbackOnly(t *testing.T) {
	box := start(t)
	mustSend(t, box, "Subject: secret\n\nKod / Code: 123456\n", "a@gov.my")
	for _, c := range []struct {
		host, peer, header string
		want               int
	}{
		{"localhost", "127.0.0.1:1", "", 200}, {"LocalHost:8443", "127.0.0.1:1", "", 200}, {"127.0.0.1:80", "[::1]:1", "", 200}, {"127.9.9.9", "127.0.0.2:1", "", 200},
		{"[::1]", "[::1]:1", "", 200}, {"[::1]:8443", "[::ffff:127.0.0.1]:1", "", 200},
		{"evil.example", "127.0.0.1:1", "", 403}, {"localhost.evil.example:8443", "127.0.0.1:1", "", 403}, {"127.0.0.1.evil.example", "127.0.0.1:1", "", 403},
		{"localhost.", "127.0.0.1:1", "", 403}, {"", "127.0.0.1:1", "", 403}, {"0.0.0.0", "127.0.0.1:1", "", 403}, {"[::]", "[::1]:1", "", 403}, {"10.0.0.5:8443", "127.0.0.1:1", "", 403},
		{"localhost:x", "127.0.0.1:1", "", 403}, {"localhost:", "127.0.0.1:1", "", 403}, {"2130706433", "127.0.0.1:1", "", 403}, {"[::1%25lo]", "[::1]:1", "", 403},
		{"localhost", "10.0.0.5:1", "", 403}, {"localhost", "", "", 403}, {"localhost", "@", "", 403}, {"localhost", "[fe80::1%eth0]:1", "", 403},
		{"localhost", "127.0.0.1:1", "X-Forwarded-For", 403}, {"localhost", "127.0.0.1:1", "Forwarded", 403}, {"localhost", "127.0.0.1:1", "X-Real-IP", 403}, {"localhost", "127.0.0.1:1", "Via", 403},
	} {
		for _, path := range []string{"/dev/mailbox", "/dev/mailbox.json"} {
			w := visit(box, path, func(r *http.Request) {
				r.Host, r.RemoteAddr = c.host, c.peer
				if c.header != "" {
					r.Header.Set(c.header, "127.0.0.1")
				}
			})
			if w.Code != c.want || (c.want == 403 && strings.Contains(w.Body.String(), "123456")) {
				t.Errorf("%s of %+v: got %d", path, c, w.Code)
			}
		}
	}
}

func TestDevFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dev.json")
	f := sandbox.DevFile{
		BaseURL: "https://localhost:8443", APIKey: secret.New("k<1>"), ClientID: "app", ClientSecret: secret.New("s-2"), System: "IGFMAS",
		MailboxURL: "https://localhost:8443/dev/mailbox", RootCert: "/tmp/root.pem",
		Officers: []sandbox.DevOfficer{{IC: "240405888916", Name: "Siti", Email: "siti@jpk.gov.my", PIN: secret.New("Kucing-7731"), Password: secret.New("Rumah-8842"),
			Credentials: []sandbox.DevCredential{{CredentialID: "c1", Key: "RSA-2048"}, {CredentialID: "c2", Key: "ECDSA-P256"}}}},
		Administrators: []sandbox.DevAdministrator{{IC: "760202145301", Name: "Rohana", Role: "SAP", Of: "IGFMAS", Password: secret.New("Payung-9953"), TOTP: secret.New("JBSWY3DPEHPK3PXP")}},
	}
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := sandbox.WriteDevFile(path, f); err != nil {
		t.Fatal(err)
	}
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var flat bytes.Buffer
	if err := json.Compact(&flat, p); err != nil {
		t.Fatal(err)
	}
	want := `{"base_url":"https://localhost:8443","api_key":"k<1>","client_id":"app","client_secret":"s-2","system":"IGFMAS","mailbox_url":"https://localhost:8443/dev/mailbox","root_cert":"/tmp/root.pem",` +
		`"officers":[{"ic":"240405888916","name":"Siti","email":"siti@jpk.gov.my","pin":"Kucing-7731","password":"Rumah-8842","credentials":[{"credential_id":"c1","key":"RSA-2048"},{"credential_id":"c2","key":"ECDSA-P256"}]}],` +
		`"administrators":[{"ic":"760202145301","name":"Rohana","role":"SAP","of":"IGFMAS","password":"Payung-9953","totp":"JBSWY3DPEHPK3PXP"}]}`
	if flat.String() != want {
		t.Errorf("got %s", flat.String())
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	got, err := sandbox.ReadDevFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := sandbox.WriteDevFile(path, got); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, p) {
		t.Errorf("read back and written again: %s, %v", again, err)
	}
	if s := fmt.Sprintf("%+v", got); strings.Contains(s, "Kucing") || strings.Contains(s, "s-2") || strings.Contains(s, "k<1>") || strings.Contains(s, "Payung") || strings.Contains(s, "JBSWY") {
		t.Errorf("a secret is printed: %s", s)
	}
}

func TestReadDevFileRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"unknown": `{"pin":"Kucing-7731"}`, "type": `{"api_key":7731}`, "empty": ``, "huge": `{"api_key":"` + strings.Repeat("x", 2<<20) + `"}`} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sandbox.ReadDevFile(path); err == nil || strings.Contains(err.Error(), "7731") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := sandbox.ReadDevFile(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: got %v", err)
	}
	if err := sandbox.WriteDevFile(filepath.Join(dir, "no", "dev.json"), sandbox.DevFile{}); err == nil {
		t.Error("written into no folder")
	}
}

// The page gives what logs an administrator in, to this machine alone.
func TestAdministrators(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dev.json")
	now := time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)
	r := chi.NewRouter()
	sandbox.AdministratorRoutes(r, path, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	visit := func(host string) *httptest.ResponseRecorder {
		q := httptest.NewRequest(http.MethodGet, "http://"+host+"/dev/administrators", nil)
		q.RemoteAddr = "127.0.0.1:4711"
		w := httptest.NewRecorder()
		r.ServeHTTP(w, q)
		return w
	}
	if w := visit("localhost"); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), path) {
		t.Errorf("without a file: %d %s", w.Code, w.Body)
	}
	const seed = "JBSWY3DPEHPK3PXP"
	err := sandbox.WriteDevFile(path, sandbox.DevFile{Administrators: []sandbox.DevAdministrator{
		{IC: "760202145301", Name: "<b>Rohana</b>", Role: "SAP", Of: "IGFMAS", Password: secret.New("Payung-9953"), TOTP: secret.New(seed)},
		{IC: "760202145302", Name: "Broken", Role: "JDN", Password: secret.New("x"), TOTP: secret.New("!")}}})
	if err != nil {
		t.Fatal(err)
	}
	want, err := totp.GenerateCode(seed, now)
	if err != nil {
		t.Fatal(err)
	}
	w := visit("localhost:8443")
	body := w.Body.String()
	for _, x := range []string{"SAP IGFMAS", "&lt;b&gt;Rohana", "760202145301", "Payung-9953", want} {
		if !strings.Contains(body, x) {
			t.Errorf("no %q on the page", x)
		}
	}
	if strings.Contains(body, seed) || strings.Contains(body, "Broken") {
		t.Errorf("the seed, or somebody without one, is shown: %s", body)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Error("the page may be kept")
	}
	if w := visit("mohor.example"); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "Payung") {
		t.Errorf("by another name: %d %s", w.Code, w.Body)
	}
}
