// Package public serves the pages that anybody may open: what this is, the
// verification of documents and of eCertificates, the candidate's own status,
// and help. What they know of a document or a candidate they ask of the JSON API;
// the record behind a QR code they have from [Records].
//
// What a page says is never better than what was proven: the word SAH needs both
// the record's status and a signature that verified ([Conclude]). Documents that
// visitors send are checked and forgotten, and what stands in them is shown as text.
package public

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

// Links are what anybody needs to trust the gateway's certificates; an empty one is left
// out. When all are empty, the routes of the API are meant: /ca/root.cer, /ca/chain.pem,
// /crl/issuing.crl and, in a sandbox, /dev/mailbox.
type Links struct {
	CRL             string // of the issuing CA, DER
	RootCertificate string // DER
	Chain           string // PEM
	Mailbox         string // sandbox only
}

// hall is the pages at work.
type hall struct {
	*page.Site
	records Records
	links   Links
}

// Routes adds the pages to r: GET and HEAD of each, POST of their forms. Without an API there is
// nothing to verify with: /verify and /candidate are left out.
func Routes(r chi.Router, s *page.Site, records Records, links Links) {
	if links == (Links{}) {
		links = Links{CRL: "/crl/issuing.crl", RootCertificate: "/ca/root.cer", Chain: "/ca/chain.pem"}
		if s.Sandbox {
			links.Mailbox = "/dev/mailbox"
		}
	}
	h := &hall{s, records, links}
	r = r.With(s.Pages)
	for path, f := range map[string]http.HandlerFunc{"/": h.landing, "/help": h.help, "/help/trust": h.trust, "/help/privacy": h.privacy} {
		show(r, path, f)
	}
	show(r.With(page.Camera), "/scan", h.scan)
	r = r.With(page.Private)
	show(r, "/s/{id}", h.record)
	r.Post("/s/{id}", h.opened)
	if s.API == nil {
		return
	}
	r.Post("/s/{id}/content", h.content)
	show(r, "/verify", h.ask)
	r.Post("/verify", s.Upload(h.verify))
	show(r, "/candidate", h.candidate)
	r.Post("/candidate", s.Form(h.status))
}

func show(r chi.Router, path string, f http.HandlerFunc) {
	r.Get(path, f)
	r.Head(path, f)
}

func (h *hall) landing(w http.ResponseWriter, r *http.Request) {
	h.Show(w, r, http.StatusOK, landing(h.Sandbox, h.links))
}
