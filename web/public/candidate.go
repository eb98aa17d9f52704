package public

import (
	"net/http"
	"strings"

	"github.com/mohor-sign/mohor/web/page"
)

// claim is what a candidate typed, with what was wrong with it.
type claim struct {
	IC, Number string
	question
}

// standing is what the API says of a candidate's certificate. Unknown people and numbers, and
// those that do not belong together, are "none".
type standing struct {
	State      string `json:"state"` // "none", "in_batch", "signed", "issued"
	Number     string `json:"number"`
	NameMasked string `json:"name_masked"`
	Programme  string `json:"programme"`
	Centre     string `json:"centre"`
	MonthYear  string `json:"month_year"`
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
	var out standing
	err := h.Call(r, http.MethodPost, "/v1/public/candidate", map[string]string{"ic": c.IC, "number": c.Number}, &out)
	if err != nil {
		h.refused(w, r, err, func(q question) {
			c.question = q
			h.Show(w, r, page.Of(err).Status, candidate(c))
		})
		return
	}
	h.Show(w, r, http.StatusOK, found(out, c.Number))
}

// stateOf gives a state its colour, its name in the catalogue and its place on the way, from 1.
func stateOf(state string) (tone, name string, at int) {
	switch state {
	case "in_batch":
		return page.Wait, "batch", 2
	case "signed":
		return page.Good, "signed", 3
	case "issued":
		return page.Good, "issued", 4
	}
	return page.Wait, "none", 1
}
