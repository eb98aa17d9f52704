package public

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/web/page"
)

// report is the API's on a document. What it says of names comes from whoever made the
// document, and is text.
type report struct {
	Verdict       string      `json:"verdict"`
	Signatures    []signature `json:"signatures"`
	Timestamps    []stamp     `json:"timestamps"`
	Reasons       []reason    `json:"reasons"`
	Indication    string      `json:"indication"`
	SubIndication string      `json:"sub_indication"`
	// Officers are those whose certificate was issued here.
	Officers []struct {
		Field string `json:"field"`
		Name  string `json:"name"`
	} `json:"officers"`
}

type signature struct {
	Field         string     `json:"field"`
	Verdict       string     `json:"verdict"`
	Indication    string     `json:"indication"`
	SubIndication string     `json:"sub_indication"`
	Reasons       []reason   `json:"reasons"`
	Signer        string     `json:"signer"`
	Certificate   []byte     `json:"certificate"` // DER
	SignedAt      *time.Time `json:"signed_at"`
	TimeSource    string     `json:"time_source"` // "timestamp" or "claimed"
	ClaimedAt     *time.Time `json:"claimed_at"`
	Level         string     `json:"level"`
	Covers        bool       `json:"covers_whole_document"`
	Changes       []string   `json:"changes_after"`
	Revocation    struct {
		Source string     `json:"source"`
		Status string     `json:"status"`
		At     *time.Time `json:"at"`
	} `json:"revocation"`
	Timestamps []stamp `json:"timestamps"`
}

type stamp struct {
	Kind      string     `json:"kind"`
	Verdict   string     `json:"verdict"`
	Reasons   []reason   `json:"reasons"`
	Authority string     `json:"authority"`
	Time      *time.Time `json:"time"`
}

type reason struct {
	Code   string `json:"code"`
	MS     string `json:"ms"`
	EN     string `json:"en"`
	Detail string `json:"detail"`
}

// officer is who made the signature in a field, by the certificate that was issued here; "" for others.
func (r *report) officer(field string) string {
	for _, o := range r.Officers {
		if o.Field == field {
			return o.Name
		}
	}
	return ""
}

// has says whether one of the codes is among reasons.
func has(reasons []reason, codes ...string) bool {
	return slices.ContainsFunc(reasons, func(r reason) bool { return slices.Contains(codes, r.Code) })
}

// altered are codes of reasons that say that a document is not what was signed.
var altered = []string{"changed_after", "digest_mismatch", "revision_incomplete", "gap_not_contents", "byte_range_malformed", "signature_moved", "bytes_unexplained"}

// unknownSigner says that nothing but the authority is wanting: the signature itself is good. One
// without any other reason is of somebody whose certificate we cannot judge.
func (s *signature) unknownSigner() bool {
	return s.Verdict == verdictIndefinite && has(s.Reasons, "chain_unknown") &&
		!slices.ContainsFunc(s.Reasons, func(r reason) bool {
			return !slices.Contains([]string{"chain_unknown", "revocation_unknown", "timestamp_unverified", "signing_certificate_missing", "not_pades"}, r.Code)
		})
}

// situation names in the catalogue what the report means for somebody who was given the document,
// and its colour. The worst of all signatures decides.
func (r *report) situation() (tone, name string) {
	all := slices.Clone(r.Reasons)
	strangers := len(r.Signatures) > 0
	for k := range r.Signatures {
		s := &r.Signatures[k]
		all = append(all, s.Reasons...)
		strangers = strangers && (s.Verdict == verdictValid || s.unknownSigner())
	}
	switch {
	case has(r.Reasons, "pdf_invalid"):
		return page.Wait, "nopdf"
	case has(r.Reasons, "pdf_encrypted"):
		return page.Wait, "encrypted"
	case has(r.Reasons, "pdf_too_large", "pdf_unsupported"):
		return page.Wait, "beyond"
	case has(r.Reasons, "no_signature") || len(r.Signatures) == 0:
		return page.Wait, "unsigned"
	case r.Verdict == verdictValid:
		return page.Good, "valid"
	case r.Verdict == verdictInvalid && has(all, altered...):
		return page.Bad, "altered"
	case r.Verdict == verdictInvalid && has(all, "certificate_revoked"):
		return page.Bad, "revoked"
	case r.Verdict == verdictInvalid:
		return page.Bad, "invalid"
	case len(r.Reasons) == 0 && strangers:
		return page.Wait, "stranger"
	case has(all, "revocation_unknown", "certificate_suspended"):
		return page.Wait, "later"
	}
	return page.Wait, "uncertain"
}

// claimant says how sure it is who signed.
func claimant(ctx context.Context, s *signature) string {
	if s.Verdict == verdictInvalid {
		return page.T(ctx, "public.by.claimed")
	}
	return page.T(ctx, "public.by")
}

// toneOf is the colour of a verdict.
func toneOf(verdict string) string {
	switch verdict {
	case verdictValid:
		return page.Good
	case verdictInvalid:
		return page.Bad
	}
	return page.Wait
}

// question is the form, with what was wrong with it.
type question struct {
	Faults page.Faults
	Until  time.Time // not before: too many ask
	Word   string    // why not now
}

func (h *hall) ask(w http.ResponseWriter, r *http.Request) {
	h.Show(w, r, http.StatusOK, ask(question{}))
}

// drain is how much of a refused file is still read, in bytes: a browser that is cut off while it
// sends shows no answer.
const drain = 64 << 20

// verify hands the file on to the API as it comes. Nothing of it is kept.
func (h *hall) verify(w http.ResponseWriter, r *http.Request, u *page.Upload) {
	ctx := r.Context()
	if u.File == nil {
		h.Show(w, r, http.StatusBadRequest, ask(question{Faults: page.Faults{{Field: "file", Text: page.T(ctx, "public.verify.none")}}}))
		return
	}
	var out report
	a, err := h.Ask(r, http.MethodPost, "/v1/public/verify", "application/pdf", u.File)
	if err == nil {
		err = a.Decode(&out)
	}
	if err == nil {
		h.Show(w, r, http.StatusOK, verdict(&out, base(u.Name), h.Sandbox))
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(u.File, drain)) // an error means that the sender has gone
	h.refused(w, r, err, func(q question) { h.Show(w, r, page.Of(err).Status, ask(q)) })
}

// refused gives form what was wrong, or says that the API cannot be asked now. Who has to wait
// sees for how long.
func (h *hall) refused(w http.ResponseWriter, r *http.Request, err error, form func(question)) {
	p := page.Of(err)
	if p == nil {
		h.Failed(w, r, err)
		return
	}
	q := question{}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		wait := time.Duration(max(p.RetryAfter, 5)) * time.Second
		page.RetryAfter(w, wait)
		q.Word, q.Until = page.T(r.Context(), "public.busy"), h.Now().Add(wait)
	case http.StatusRequestEntityTooLarge:
		q.Faults = page.Faults{{Field: "file", Text: page.T(r.Context(), "public.verify.large")}}
	default:
		q.Faults = page.FaultsOf(r.Context(), p, map[string]string{"body": "file", "ic": "ic", "certificate_number": "number"})
	}
	form(q)
}

// base is the last part of a file's name, as some browsers send a whole path.
func base(name string) string {
	if at := strings.LastIndexAny(name, `/\`); at >= 0 {
		name = name[at+1:]
	}
	return name
}
