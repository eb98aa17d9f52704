package web

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

// Status words of a certificate, as the public sees them.
const (
	StatusValid       = "SAH"
	StatusCancelled   = "DIBATALKAN"
	StatusSuperseded  = "DIGANTI"
	StatusSuspended   = "DIGANTUNG"
	StatusPending     = "MENUNGGU REKOD"
	StatusUnsigned    = "BELUM DITANDATANGANI"
	StatusUncertain   = "TIDAK DAPAT DISAHKAN"
	StatusInvalid     = "TIDAK SAH"
	verdictValid      = "VALID"
	verdictInvalid    = "INVALID"
	verdictIndefinite = "INDETERMINATE"
)

// Conclude returns the status to show for a record's status and the verdict
// on its signature. SAH needs both: with INVALID it becomes TIDAK SAH, with
// any other verdict, and for a word that is not one of the above, TIDAK DAPAT
// DISAHKAN. The other words stand whatever the verdict.
func Conclude(status, verdict string) string {
	switch status {
	case StatusValid:
		switch verdict {
		case verdictValid:
			return StatusValid
		case verdictInvalid:
			return StatusInvalid
		}
	case StatusCancelled, StatusSuperseded, StatusSuspended, StatusPending, StatusUnsigned, StatusInvalid:
		return status
	}
	return StatusUncertain
}

// wording explains a status; Tone picks its colour and sign.
type wording struct {
	Tone, EN, ExplainMS, ExplainEN string
}

func explain(status string) wording {
	switch status {
	case StatusValid:
		return wording{"good", "VALID", "Sijil ini direkodkan sebagai sah dan tandatangan digitalnya telah disahkan.", "This certificate is on record as valid and its digital signature was verified."}
	case StatusCancelled:
		return wording{"bad", "CANCELLED", "Sijil ini telah dibatalkan dan tidak boleh digunakan.", "This certificate was cancelled and must not be relied on."}
	case StatusSuperseded:
		return wording{"bad", "SUPERSEDED", "Sijil ini telah diganti dengan sijil lain dan tidak boleh digunakan.", "This certificate was replaced by another and must not be relied on."}
	case StatusSuspended:
		return wording{"wait", "SUSPENDED", "Sijil ini digantung buat sementara waktu.", "This certificate is suspended for the time being."}
	case StatusPending:
		return wording{"wait", "RECORD PENDING", "Sijil ini sedang direkodkan. Sila semak semula kemudian.", "This certificate is being recorded. Please check again later."}
	case StatusUnsigned:
		return wording{"wait", "NOT YET SIGNED", "Sijil ini belum ditandatangani. Ia belum sah.", "This certificate has not been signed. It is not valid yet."}
	case StatusInvalid:
		return wording{"bad", "NOT VALID", "Sijil ini tidak sah: tandatangan digital atau rekodnya tidak dapat diterima.", "This certificate is not valid: its digital signature or record is not acceptable."}
	}
	return wording{"wait", "CANNOT BE CONFIRMED", "Sijil ini tidak dapat disahkan sekarang. Jangan anggap ia sah.", "This certificate cannot be confirmed now. Do not take it as valid."}
}

// signature words the verdict on the signature in both languages.
func signature(verdict string) (ms, en string) {
	switch verdict {
	case verdictValid:
		return "Sah", "Valid"
	case verdictInvalid:
		return "Tidak sah", "Invalid"
	case verdictIndefinite:
		return "Tidak dapat dipastikan", "Indeterminate"
	}
	return "Belum disemak", "Not checked"
}

// certificatePage is a record as shown.
type certificatePage struct {
	Record
	wording
	Conclusion  string
	SignatureMS string
	SignatureEN string
	Month       string
	CheckedAt   time.Time
}

// recordJSON is the answer to Accept: application/json. status is the
// conclusion, so that a program reading nothing else is not misled.
type recordJSON struct {
	ID       string     `json:"id"`
	Number   string     `json:"number"`
	Status   string     `json:"status"`
	Verdict  string     `json:"verdict"`
	SignedAt *time.Time `json:"signed_at"`
	Signer   string     `json:"signer"`
}

// problemJSON is a problem document (RFC 9457).
type problemJSON struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
}

// certificate answers GET /s/{id}: the record where it asks for no secret, else a
// page that asks for one. An id that nobody issued gets the same page as one whose
// secret is wanting; none is repeated in it.
func (s *site) certificate(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, "", func(asJSON bool) {
		if asJSON || !wellFormed(chi.URLParam(r, "id")) {
			s.noRecord(w, asJSON)
			return
		}
		// This page alone runs a script: ours.
		w.Header().Set("Content-Security-Policy", strings.Replace(w.Header().Get("Content-Security-Policy"), "style-src", "script-src 'self'; style-src", 1))
		s.show(w, http.StatusOK, "secret", recordScriptURL)
	})
}

// maxSecretBody bounds what is posted.
const maxSecretBody = 4 << 10

// opened answers POST /s/{id} with the secret in the body: a form's field, or the
// member secret of a JSON object.
func (s *site) opened(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxSecretBody)
	var secret string
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) == "application/json" {
		var body struct {
			Secret string `json:"secret"`
		}
		if json.NewDecoder(r.Body).Decode(&body) == nil {
			secret = body.Secret
		}
	} else if r.ParseForm() == nil {
		secret = r.PostForm.Get("secret")
	}
	// Somebody may paste the whole address.
	if at := strings.LastIndexByte(secret, '#'); at >= 0 {
		secret = secret[at+1:]
	}
	s.answer(w, r, strings.TrimSpace(secret), func(asJSON bool) { s.noRecord(w, asJSON) })
}

func (s *site) noRecord(w http.ResponseWriter, asJSON bool) {
	s.refuse(w, asJSON, http.StatusNotFound, "missing", problemJSON{"about:blank", "Rekod tidak dijumpai / No such record", http.StatusNotFound, "not_found"})
}

// answer shows the record that id and secret open; otherwise says that there is none.
func (s *site) answer(w http.ResponseWriter, r *http.Request, secret string, otherwise func(asJSON bool)) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Robots-Tag", "noindex, nofollow")
	w.Header().Set("Vary", "Accept")
	asJSON := prefersJSON(r.Header.Values("Accept"))
	id := chi.URLParam(r, "id")
	rec, err := Record{}, ErrUnknown
	if wellFormed(id) {
		rec, err = s.Records.CertificateRecord(r.Context(), id, secret)
	}
	switch {
	case errors.Is(err, ErrUnknown):
		otherwise(asJSON)
	case err != nil:
		s.Log.ErrorContext(r.Context(), "certificate record could not be read", "error", err)
		w.Header().Set("Retry-After", "30")
		s.refuse(w, asJSON, http.StatusServiceUnavailable, "unavailable", problemJSON{"about:blank", "Perkhidmatan tidak tersedia / Service unavailable", http.StatusServiceUnavailable, "store_unavailable"})
	case asJSON:
		out := recordJSON{ID: rec.ID, Number: rec.Number, Status: Conclude(rec.Status, rec.Verdict), Verdict: rec.Verdict, Signer: rec.Signer}
		if !rec.SignedAt.IsZero() {
			t := rec.SignedAt.UTC()
			out.SignedAt = &t
		}
		writeJSON(w, http.StatusOK, "application/json", out)
	default:
		p := certificatePage{Record: rec, Conclusion: Conclude(rec.Status, rec.Verdict), Month: month(rec.MonthYear), CheckedAt: s.Now()}
		p.wording = explain(p.Conclusion)
		p.SignatureMS, p.SignatureEN = signature(rec.Verdict)
		s.show(w, http.StatusOK, "certificate", p)
	}
}

func (s *site) refuse(w http.ResponseWriter, asJSON bool, status int, page string, problem problemJSON) {
	if asJSON {
		writeJSON(w, status, "application/problem+json", problem)
		return
	}
	s.show(w, status, page, nil)
}

func writeJSON(w http.ResponseWriter, status int, kind string, v any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error means that the reader has gone
}

// wellFormed accepts 16 bytes in canonical unpadded base64url.
func wellFormed(id string) bool {
	if len(id) != 22 || strings.ContainsAny(id, "\r\n") {
		return false
	}
	p, err := base64.RawURLEncoding.Strict().DecodeString(id)
	return err == nil && len(p) == 16
}

// prefersJSON is true when application/json is asked for and text/html is not
// named with the same or a higher weight (RFC 9110, Section 12.5.1).
func prefersJSON(accept []string) bool {
	var json, html float64
	for item := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, params, _ := strings.Cut(item, ";")
		q := 1.0
		for p := range strings.SplitSeq(params, ";") {
			if v, ok := strings.CutPrefix(strings.ReplaceAll(p, " ", ""), "q="); ok {
				q, _ = strconv.ParseFloat(v, 64)
			}
		}
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "application/json":
			json = q
		case "text/html":
			html = q
		}
	}
	return json > html
}

// month turns "072021" into "07/2021" and leaves anything else alone.
func month(s string) string {
	if len(s) == 6 && strings.Trim(s, "0123456789") == "" {
		return s[:2] + "/" + s[2:]
	}
	return s
}
