package public

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/web/page"
)

// ErrUnknown is returned by [Records] for what nobody issued.
var ErrUnknown = errors.New("no such record")

// Record is what is publicly known of one eCertificate.
type Record struct {
	ID          string // 16 bytes in base64url, 22 characters
	Number      string // certificate number, "S102251979"
	Status      string // the record's own word, see Conclude
	Programme   string // NOSS code, "TP-021-3:2013"
	Centre      string // accredited centre
	Batch       string
	MonthYear   string    // "072021"
	NameMasked  string    // never the full name
	Verdict     string    // of the signature: VALID, INVALID, INDETERMINATE, or "" when not checked
	SignedAt    time.Time // zero: not signed yet
	Signer      string
	Fingerprint string // as the signatory saw it, XXXX-XXXX
}

// Records finds what is publicly known of certificates.
type Records interface {
	// CertificateRecord returns the record with this id (22 characters of
	// base64url, already checked for form), or ErrUnknown: also when secret is not
	// the one that the record asks for. secret is what somebody typed, "" for
	// nothing. Any other error is shown as "try again later", never with its
	// words. Concurrent calls are usual; the answer should take as long for
	// unknown ids and wrong secrets as for known ones.
	CertificateRecord(ctx context.Context, id, secret string) (Record, error)
}

// Status words of a certificate, as records have them and programs read them.
const (
	StatusValid      = "SAH"
	StatusCancelled  = "DIBATALKAN"
	StatusSuperseded = "DIGANTI"
	StatusSuspended  = "DIGANTUNG"
	StatusPending    = "MENUNGGU REKOD"
	StatusUnsigned   = "BELUM DITANDATANGANI"
	StatusUncertain  = "TIDAK DAPAT DISAHKAN"
	StatusInvalid    = "TIDAK SAH"
)

// Verdicts on signatures, as the API has them.
const (
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

// statusOf gives a conclusion its colour, and its name in the catalogue.
func statusOf(conclusion string) (tone, name string) {
	switch conclusion {
	case StatusValid:
		return page.Good, "valid"
	case StatusCancelled:
		return page.Bad, "cancelled"
	case StatusSuperseded:
		return page.Bad, "superseded"
	case StatusSuspended:
		return page.Wait, "suspended"
	case StatusPending:
		return page.Wait, "pending"
	case StatusUnsigned:
		return page.Wait, "unsigned"
	case StatusInvalid:
		return page.Bad, "invalid"
	}
	return page.Wait, "uncertain"
}

// signatureOf names the verdict on a signature in the catalogue.
func signatureOf(verdict string) string {
	switch verdict {
	case verdictValid:
		return "valid"
	case verdictInvalid:
		return "invalid"
	case verdictIndefinite:
		return "uncertain"
	}
	return "unchecked"
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

// record answers GET /s/{id}: the record where it asks for no secret, else a
// page that asks for one. An id that nobody issued gets the same page as one whose
// secret is wanting; none is repeated in it.
func (h *hall) record(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, "", func(asJSON bool) {
		if asJSON || !wellFormed(page.Param(r, "id")) {
			h.noRecord(w, r, asJSON)
			return
		}
		h.Show(w, r, http.StatusOK, locked())
	})
}

// maxSecretBody bounds what is posted.
const maxSecretBody = 4 << 10

// secretOf is what was posted: a form's field, or the member secret of a JSON object. The
// form needs no proof of ours: whoever posts it changes nothing, and programs have no cookies.
func secretOf(w http.ResponseWriter, r *http.Request) string {
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
	return strings.TrimSpace(secret)
}

// opened answers POST /s/{id} with the secret in the body.
func (h *hall) opened(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, secretOf(w, r), func(asJSON bool) { h.noRecord(w, r, asJSON) })
}

func (h *hall) noRecord(w http.ResponseWriter, r *http.Request, asJSON bool) {
	if asJSON {
		writeJSON(w, http.StatusNotFound, "application/problem+json", problemJSON{"about:blank", "Rekod tidak dijumpai / No such record", http.StatusNotFound, "not_found"})
		return
	}
	h.Show(w, r, http.StatusNotFound, unknown())
}

// answer shows the record that id and secret open; otherwise says that there is none.
func (h *hall) answer(w http.ResponseWriter, r *http.Request, secret string, otherwise func(asJSON bool)) {
	w.Header().Set("Vary", "Accept")
	page.Returning(r, "") // the pages of all ids are alike, their addresses too
	asJSON := prefersJSON(r.Header.Values("Accept"))
	id := page.Param(r, "id")
	rec, err := Record{}, ErrUnknown
	if wellFormed(id) {
		rec, err = h.records.CertificateRecord(r.Context(), id, secret)
	}
	switch {
	case errors.Is(err, ErrUnknown):
		otherwise(asJSON)
	case err != nil:
		h.Log.ErrorContext(r.Context(), "certificate record could not be read", "error", err)
		w.Header().Set("Retry-After", "30")
		if asJSON {
			writeJSON(w, http.StatusServiceUnavailable, "application/problem+json", problemJSON{"about:blank", "Perkhidmatan tidak tersedia / Service unavailable", http.StatusServiceUnavailable, "store_unavailable"})
			return
		}
		h.Show(w, r, http.StatusServiceUnavailable, page.Message(page.Notice{Tone: page.Wait, Word: page.T(r.Context(), "public.later"), Text: page.T(r.Context(), "public.later.text")}))
	case asJSON:
		out := recordJSON{ID: rec.ID, Number: rec.Number, Status: Conclude(rec.Status, rec.Verdict), Verdict: rec.Verdict, Signer: rec.Signer}
		if !rec.SignedAt.IsZero() {
			t := rec.SignedAt.UTC()
			out.SignedAt = &t
		}
		writeJSON(w, http.StatusOK, "application/json", out)
	default:
		h.Show(w, r, http.StatusOK, record(rec, Conclude(rec.Status, rec.Verdict), h.Sandbox))
	}
}

// content answers POST /s/{id}/content: the certificate itself, for who has its secret.
func (h *hall) content(w http.ResponseWriter, r *http.Request) {
	page.Returning(r, "/")
	id := page.Param(r, "id")
	if !wellFormed(id) {
		h.noRecord(w, r, false)
		return
	}
	in, err := json.Marshal(map[string]string{"secret": secretOf(w, r)})
	if err != nil {
		h.Failed(w, r, err)
		return
	}
	a, err := h.Ask(r, http.MethodPost, "/v1/public/certificates/"+id+"/content", "application/json", strings.NewReader(string(in)))
	if err == nil {
		err = a.Decode(nil)
	}
	if p := page.Of(err); p != nil && p.Status == http.StatusNotFound {
		h.noRecord(w, r, false)
		return
	}
	if err != nil {
		h.Failed(w, r, err)
		return
	}
	// Nothing of the answer's but what it is: it is shown by the browser's own reader, if at all.
	w.Header().Set("Content-Type", "application/pdf")
	w.Header().Set("Content-Disposition", "attachment; filename=eSijil.pdf")
	if name := a.Header.Get("Content-Disposition"); strings.HasPrefix(name, "attachment;") {
		w.Header().Set("Content-Disposition", name)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	w.Header().Set("Content-Security-Policy", page.Inert)
	_, _ = w.Write(a.Body) // an error means that the reader has gone
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
