package public

import (
	"crypto/sha1" //nolint:gosec // Windows and Adobe name certificates by it; SHA-256 stands beside it
	"crypto/sha256"
	"crypto/x509"
	"net/http"
	"strings"

	"github.com/mohor-sign/mohor/web/page"
)

// cookie is one that the pages or the API set, under its name in the catalogue.
type cookie struct{ Name, What string }

// root is the certificate to be trusted, with what people compare.
type root struct {
	Address, Name string
	SHA256, SHA1  string
	*x509.Certificate
}

func (h *hall) help(w http.ResponseWriter, r *http.Request) {
	h.Show(w, r, http.StatusOK, help())
}

func (h *hall) trust(w http.ResponseWriter, r *http.Request) {
	h.Show(w, r, http.StatusOK, trust(h.root(r)))
}

// root reads the certificate as the link to it gives it. Where it cannot be read the page
// shows the link alone.
func (h *hall) root(r *http.Request) root {
	out := root{Address: h.links.RootCertificate}
	if h.API == nil || !strings.HasPrefix(out.Address, "/") {
		return out
	}
	a, err := h.Ask(r, http.MethodGet, out.Address, "", nil)
	if err != nil || a.Status != http.StatusOK {
		return out
	}
	c, err := x509.ParseCertificate(a.Body)
	if err != nil {
		return out
	}
	wide, narrow := sha256.Sum256(a.Body), sha1.Sum(a.Body) //nolint:gosec // as above
	out.Name, out.SHA256, out.SHA1, out.Certificate = c.Subject.CommonName, pairs(wide[:]), pairs(narrow[:]), c
	return out
}

func (h *hall) privacy(w http.ResponseWriter, r *http.Request) {
	prefix := "mohor-"
	if h.SecureCookies {
		prefix = "__Host-mohor-"
	}
	h.Show(w, r, http.StatusOK, privacy([]cookie{{page.LanguageCookie, "lang"}, {prefix + "form", "form"}, {prefix + "session", "session"}, {prefix + "device", "device"}, {prefix + "login", "login"}, {prefix + "sign-…", "sign"}}))
}
