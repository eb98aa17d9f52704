package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"
)

// Confirmer judges the links of mails that ask an officer to confirm an address.
type Confirmer interface {
	// ConfirmAddress uses the token up; ErrUnknown for one that is unknown, malformed,
	// replaced, used or too old. Other errors are shown as "try again".
	ConfirmAddress(ctx context.Context, token, requestID string) error
}

// confirmRoutes adds GET, HEAD and POST of /e/{token}. Programs that scan mail follow
// every link: only the button acts, and the page before it is the same for any token.
func (s *site) confirmRoutes(r chi.Router) {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.show(w, http.StatusForbidden, "confirmNotice", notHere())
	}))
	r = r.With(private, cross.Handler)
	ask := func(w http.ResponseWriter, _ *http.Request) { s.show(w, http.StatusOK, "confirm", nil) }
	r.Get("/e/{token}", ask)
	r.Head("/e/{token}", ask)
	r.Post("/e/{token}", s.confirm)
}

func (s *site) confirm(w http.ResponseWriter, r *http.Request) {
	id := w.Header().Get("X-Request-Id")
	err := s.Confirm.ConfirmAddress(context.WithoutCancel(r.Context()), chi.URLParam(r, "token"), id)
	switch {
	case errors.Is(err, ErrUnknown):
		s.show(w, http.StatusNotFound, "confirmNotice", notice{"wait", "PAUTAN INI TIDAK BOLEH DIGUNAKAN", "THIS LINK CANNOT BE USED",
			"Ia tidak dikenali, sudah digunakan, sudah diganti atau tamat tempoh. Jika anda baru menekan butang, e-mel anda telah disahkan dan kod pengesahan sedang dihantar. Jika tidak, minta pautan baharu daripada pentadbir agensi anda.",
			"It is unknown, was used, was replaced, or is too old. If you have just pressed the button, your address is confirmed and the verification code is on its way. Else ask your agency administrator for a new link."})
	case err != nil:
		s.Log.ErrorContext(r.Context(), "a link that confirms an address could not be judged", "request_id", id, "error", err)
		w.Header().Set("Retry-After", "30")
		s.show(w, http.StatusServiceUnavailable, "confirmNotice", notice{"wait", "BELUM DISAHKAN", "NOT CONFIRMED YET",
			"Sila cuba sebentar lagi.", "Please try again shortly."})
	default:
		s.show(w, http.StatusOK, "confirmNotice", notice{"good", "E-MEL ANDA TELAH DISAHKAN", "YOUR ADDRESS IS CONFIRMED",
			"Kod pengesahan untuk permohonan anda sedang dihantar ke alamat itu.", "The verification code for your application is on its way to that address."})
	}
}
