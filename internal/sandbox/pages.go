package sandbox

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/internal/myt"
)

//go:embed mailbox.html.tmpl
var mailboxTemplate string

var mailboxPage = template.Must(template.New("mailbox").Funcs(template.FuncMap{
	"myt": myt.Format,
}).Parse(mailboxTemplate))

// shownMails bounds the page; the JSON has all.
const shownMails = 100

// mailJSON is the wire form of a [Mail] at /dev/mailbox.json.
type mailJSON struct {
	To         string    `json:"to"`
	Subject    string    `json:"subject"`
	ReceivedAt time.Time `json:"received_at"`
	Text       string    `json:"text"`
	HTML       string    `json:"html"`
	Code       *string   `json:"code"`
}

// Routes adds GET /dev/mailbox (a page in Malay and English) and GET
// /dev/mailbox.json to r, both behind [LoopbackOnly]. With ?to=address only
// that recipient's mails are shown, newest first.
func (b *Mailbox) Routes(r chi.Router) {
	r = r.With(LoopbackOnly, private)
	r.Get("/dev/mailbox", b.servePage)
	r.Get("/dev/mailbox.json", b.serveJSON)
}

// private keeps what is shown out of caches, frames, and other origins' hands.
func private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (b *Mailbox) servePage(w http.ResponseWriter, r *http.Request) {
	to := r.URL.Query().Get("to")
	mails := b.list(to)
	total := len(mails)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// An error here means that the reader has gone.
	_ = mailboxPage.Execute(w, struct {
		To           string
		Mails        []Mail
		Total, Shown int
	}{to, mails[:min(total, shownMails)], total, min(total, shownMails)})
}

func (b *Mailbox) serveJSON(w http.ResponseWriter, r *http.Request) {
	mails := b.list(r.URL.Query().Get("to"))
	out := make([]mailJSON, len(mails))
	for i, m := range mails {
		out[i] = mailJSON{To: m.To, Subject: m.Subject, ReceivedAt: m.ReceivedAt, Text: m.Text, HTML: m.HTML}
		if m.Code != "" {
			out[i].Code = &m.Code
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(out) // as above
}
