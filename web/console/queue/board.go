package queue

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/mohor-sign/mohor/web/page"
)

// rows is how many enrolments a page of a queue has.
const rows = 100

// found is a page of a list of enrolments.
type found struct {
	Enrolments []enrolment `json:"enrolments"`
	Next       string      `json:"next"`
	Count      int         `json:"count"`
	Until      time.Time   `json:"until"`
}

// board is a queue as its page shows it.
type board struct {
	found
	Choice choice
	Scopes []scope
	Scope  *scope
	Line   *line // nil for what is finished
	reg    registry
	Said   string
	Ticked map[string]bool
	Faults page.Faults
}

// work asks what waits, and gives the scope of a choice, which it completes; false when the page
// has been answered already.
func (d *desk) work(w http.ResponseWriter, r *http.Request, c *choice) ([]scope, *scope, bool) {
	var out struct {
		Scopes []scope `json:"scopes"`
	}
	if err := d.Call(r, http.MethodGet, "/v1/admin/work", nil, &out); err != nil {
		d.Failed(w, r, err)
		return nil, nil, false
	}
	if len(out.Scopes) == 0 { // the appointment has just ended
		d.NotFound(w, r)
		return nil, nil, false
	}
	s := &out.Scopes[0]
	for k := range out.Scopes {
		if out.Scopes[k].key() == c.Scope {
			s = &out.Scopes[k]
		}
	}
	c.within(s)
	return out.Scopes, s, true
}

func (d *desk) list(w http.ResponseWriter, r *http.Request) {
	d.showQueue(w, r, chosen(r.URL.Query()), nil, nil)
}

// showQueue shows a page of a queue; with faults for a form that chose nothing.
func (d *desk) showQueue(w http.ResponseWriter, r *http.Request, c choice, ticked map[string]bool, faults page.Faults) {
	b := board{Choice: c, Ticked: ticked, Faults: faults}
	var ok bool
	if b.Scopes, b.Scope, ok = d.work(w, r, &b.Choice); !ok {
		return
	}
	b.Line = b.Scope.line(b.Choice.Tab)
	var err error
	if b.reg, err = d.registry(r); err == nil {
		err = d.find(r, &b.Choice, b.Scope, url.Values{"limit": {strconv.Itoa(rows)}, "after": {c.After}}, &b.found)
	}
	if p := page.Of(err); p != nil && p.Status == http.StatusBadRequest && c.After != "" {
		page.See(w, r, b.Choice.from("").path()) // no place in the list
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	b.Said = d.Said(w, r)
	status := http.StatusOK
	if len(faults) > 0 {
		status = http.StatusUnprocessableEntity
	}
	d.Show(w, r, status, b.page())
}

// find asks the API for what a choice chooses.
func (d *desk) find(r *http.Request, c *choice, s *scope, more url.Values, out *found) error {
	q := c.asked(s)
	for name, v := range more {
		if v[0] != "" {
			q.Set(name, v[0])
		}
	}
	return d.Call(r, http.MethodGet, "/v1/admin/enrolments?"+q.Encode(), nil, out)
}
