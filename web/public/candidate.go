package public

import (
	"net/http"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/web/page"
)

// claim is what a candidate typed, with what was wrong with it.
type claim struct {
	IC, Number string
	question
}

// standing is how far a candidate's certificate is; there may be one for each language.
type standing struct {
	Number    string     `json:"certificate_number"`
	Name      string     `json:"name"` // masked
	Kind      string     `json:"kind"`
	Programme string     `json:"programme"`
	Code      string     `json:"programme_code"`
	Batch     string     `json:"batch"`
	MonthYear string     `json:"month_year"`
	Language  string     `json:"language"`
	Status    string     `json:"status"` // "IN_BATCH", "SIGNED", "ISSUED"
	SignedAt  *time.Time `json:"signed_at"`
}

func (h *hall) candidate(w http.ResponseWriter, r *http.Request) {
	h.Show(w, r, http.StatusOK, candidate(claim{}))
}

func (h *hall) status(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	c := claim{IC: strings.Join(strings.FieldsFunc(r.PostForm.Get("ic"), func(c rune) bool { return c == ' ' || c == '-' }), ""), Number: strings.ToUpper(strings.Join(strings.Fields(r.PostForm.Get("number")), ""))}
	if len(c.IC) != 12 || strings.Trim(c.IC, "0123456789") != "" {
		c.Faults = append(c.Faults, page.Fault{Field: "ic", Text: page.T(ctx, "public.candidate.ic.wrong")})
	}
	if c.Number == "" {
		c.Faults = append(c.Faults, page.Fault{Field: "number", Text: page.T(ctx, "public.candidate.number.wrong")})
	}
	if len(c.Faults) > 0 {
		h.Show(w, r, http.StatusBadRequest, candidate(c))
		return
	}
	var out struct {
		Certificates []standing `json:"certificates"`
	}
	err := h.Call(r, http.MethodPost, "/v1/public/candidate", map[string]string{"ic": c.IC, "certificate_number": c.Number}, &out)
	switch p := page.Of(err); {
	case err == nil || p != nil && p.Status == http.StatusNotFound:
		// Unknown people and numbers, and those that do not belong together, are alike.
		h.Show(w, r, http.StatusOK, found(out.Certificates, c.Number))
	default:
		h.refused(w, r, err, func(q question) {
			c.question = q
			h.Show(w, r, p.Status, candidate(c))
		})
	}
}

// stateOf gives a state its colour, its name in the catalogue and its place on the way, from 1: behind the
// last when nothing is left.
func stateOf(state string) (tone, name string, at int) {
	switch state {
	case "IN_BATCH":
		return page.Wait, "batch", 2
	case "SIGNED":
		return page.Good, "signed", 3
	case "ISSUED":
		return page.Good, "issued", 5
	}
	return page.Wait, "none", 1
}
