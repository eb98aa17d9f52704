package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
)

// What a transaction can be to the officer who says "this was not me".
const (
	AskedWaiting   = "waiting"   // for PIN and code: it can be cancelled
	AskedEnded     = "ended"     // cancelled or run out: nothing was signed
	AskedConfirmed = "confirmed" // with PIN and code: signed, or being signed
)

// Asked is what the page "this was not me" shows of a transaction: no name, no
// title, no IC, for whoever has the link may read it.
type Asked struct {
	System      string // registered name
	Count       int    // of documents
	Fingerprint string // as in the mail, XXXX-XXXX
	SentAt      time.Time
	State       string // AskedWaiting, AskedEnded or AskedConfirmed
}

// Disowner judges the links of mails with codes. Both methods give ErrUnknown,
// and take as long, for a token that is unknown, malformed, replaced, used or
// too old. Other errors are shown as "try again", never with their words.
type Disowner interface {
	// Asked changes nothing: programs that scan mail follow every link.
	Asked(ctx context.Context, token string) (Asked, error)
	// Disown cancels the transaction if it still waits, raises the alarm, uses
	// up the token, and returns what the transaction is then.
	Disown(ctx context.Context, token, requestID string) (Asked, error)
}

// notice is a page with a sign and a few words.
type notice struct {
	Tone, WordMS, WordEN, MS, EN string
}

func noLink() notice {
	return notice{"wait", "PAUTAN INI TIDAK BOLEH DIGUNAKAN", "THIS LINK CANNOT BE USED",
		"Ia tidak dikenali, sudah digunakan, sudah diganti oleh e-mel yang lebih baharu, atau tamat tempoh. Jika anda baru melaporkan dengannya, laporan itu telah diterima. Jika anda ragu, hubungi pentadbir GPKI agensi anda.",
		"It is unknown, was used, was replaced by a newer e-mail, or is too old. If you have just reported with it, the report was received. When in doubt, call your agency’s GPKI administrator."}
}

func notHere() notice {
	return notice{"bad", "TIADA APA-APA DIUBAH", "NOTHING WAS CHANGED",
		"Permintaan itu bukan dari halaman ini. Buka pautan dalam e-mel sekali lagi dengan pelayar terkini dan tekan butang di situ, atau hubungi pentadbir GPKI agensi anda.",
		"The request did not come from this page. Open the link in the e-mail again in a current browser and press the button there, or call your agency’s GPKI administrator."}
}

func notNow() notice {
	return notice{"wait", "LAPORAN BELUM DITERIMA", "NOT REPORTED YET",
		"Sila cuba sebentar lagi. Jika masih gagal, hubungi pentadbir GPKI agensi anda. Jangan beri kod kepada sesiapa.",
		"Please try again shortly. If it keeps failing, call your agency’s GPKI administrator. Do not give the code to anyone."}
}

// disownPage is a transaction as shown, before or after the button.
type disownPage struct {
	Asked
	Done      bool
	Reference string // request id, to be told on the telephone
}

// disownRoutes adds GET, HEAD and POST of /r/{token}. Only POST acts, and not
// for another site's page. No answer repeats the token.
func (s *site) disownRoutes(r chi.Router) {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.show(w, http.StatusForbidden, "disownNotice", notHere())
	}))
	r = r.With(private, cross.Handler)
	r.Get("/r/{token}", s.asked)
	r.Head("/r/{token}", s.asked)
	r.Post("/r/{token}", s.disown)
}

// private keeps answers out of caches and search engines.
func private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Robots-Tag", "noindex, nofollow")
		next.ServeHTTP(w, r)
	})
}

func (s *site) asked(w http.ResponseWriter, r *http.Request) {
	a, err := s.Disown.Asked(r.Context(), chi.URLParam(r, "token"))
	s.showAsked(w, r, disownPage{Asked: a}, err)
}

func (s *site) disown(w http.ResponseWriter, r *http.Request) {
	id := w.Header().Get("X-Request-Id")
	// Who closes the page after pressing the button has reported all the same.
	a, err := s.Disown.Disown(context.WithoutCancel(r.Context()), chi.URLParam(r, "token"), id)
	s.showAsked(w, r, disownPage{Asked: a, Done: true, Reference: id}, err)
}

func (s *site) showAsked(w http.ResponseWriter, r *http.Request, p disownPage, err error) {
	switch {
	case errors.Is(err, ErrUnknown):
		s.show(w, http.StatusNotFound, "disownNotice", noLink())
	case err != nil:
		s.Log.ErrorContext(r.Context(), "a link \"this was not me\" could not be judged", "request_id", w.Header().Get("X-Request-Id"), "error", err)
		w.Header().Set("Retry-After", "30")
		s.show(w, http.StatusServiceUnavailable, "disownNotice", notNow())
	default:
		s.show(w, http.StatusOK, "disown", p)
	}
}
