package joining

import (
	"net/http"
	"strings"

	"github.com/mohor-sign/mohor/web/page"
)

// question is the form of who asks how far an application is.
type question struct {
	IC     string
	Done   bool
	Faults page.Faults
}

// digits are a number as it is typed, without what groups it.
func digits(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(c rune) bool { return c == ' ' || c == '-' }), "")
}

func (d *desk) status(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, status(question{}))
}

// ask answers alike for everybody: what is known goes to the registered mailbox.
func (d *desk) ask(w http.ResponseWriter, r *http.Request) {
	q := question{IC: digits(r.PostForm.Get("ic"))}
	err := d.Call(r, http.MethodPost, "/v1/public/status", map[string]string{"ic": q.IC}, nil)
	if p := page.Of(err); p != nil && p.Status < 500 {
		q.Faults = named(r.Context(), page.FaultsOf(r.Context(), p, map[string]string{"ic": "ic", "": "ic"}))
		d.Show(w, r, p.Status, status(q))
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, status(question{Done: true}))
}
