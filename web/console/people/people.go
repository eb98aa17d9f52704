// Package people serves the console's pages about officers: finding them, what answers a call,
// and what is done with their certificates and accounts.
package people

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

// Addresses of the pages.
const (
	listPath     = "/admin/officers"
	waitingPath  = "/admin/officers/requests"
	upcomingPath = "/admin/revocations"
)

// desk serves them.
type desk struct{ *page.Site }

// Routes adds its pages to r, whose visitors are administrators in a role that the menu lets in.
func Routes(r chi.Router, s *page.Site) {
	d := desk{s}
	r.Get(listPath, d.list)
	r.Get(waitingPath, d.waiting)
	r.Get(upcomingPath, d.upcoming)
	r.Get(upcomingPath+"/{serial}", d.unschedule)
	r.Post(upcomingPath+"/{serial}", s.Form(d.unscheduled))
	r.Get(listPath+"/{ic}", d.officer)
	r.Get(listPath+"/{ic}/export", s.Fresh(d.export))
	r.Post(listPath+"/{ic}/export", s.Form(d.exported))
	deeds := allDeeds()
	for k := range deeds {
		x := &deeds[k]
		show := http.HandlerFunc(d.showDeed(x))
		r.Get(listPath+"/{ic}/"+x.name, show)
		r.Post(listPath+"/{ic}/"+x.name, s.Form(d.doDeed(x)))
	}
}

// at is the address of an officer's page, or of one below it.
func at(ic string, below ...string) string {
	p := listPath + "/" + url.PathEscape(ic)
	for _, b := range below {
		p += "/" + b
	}
	return p
}

// withQuery is a path with names and values in its query; empty ones are left out.
func withQuery(path string, pairs ...string) string {
	q := url.Values{}
	for k := 0; k+1 < len(pairs); k += 2 {
		if pairs[k+1] != "" {
			q.Set(pairs[k], pairs[k+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// line is what an officer is with one ICT system.
type line struct {
	System    string     `json:"system"`
	Agency    string     `json:"agency"`
	Office    string     `json:"office"`
	Medium    string     `json:"medium"`
	Status    string     `json:"status"`
	Serial    string     `json:"serial_number"`
	NotAfter  *time.Time `json:"not_after"`
	Enrolment string     `json:"enrolment_state"`
}

// listed is an officer of the list.
type listed struct {
	IC       string `json:"ic"`
	Name     string `json:"name"`
	Email    string `json:"email"`
	Withheld bool   `json:"withheld"`
	Lines    []line `json:"systems"`
}

// finding is the list with what was asked for.
type finding struct {
	Said     string
	Query    map[string]string
	Asked    bool // something was asked for
	Officers []listed
	Next     string
	Systems  []page.Option
	Agencies []page.Option
	Faults   page.Faults
}

var filters = []string{"q", "system", "agency", "office", "medium", "status"}

// list finds officers.
func (d desk) list(w http.ResponseWriter, r *http.Request) {
	f := finding{Query: map[string]string{}}
	in := r.URL.Query()
	ask := url.Values{"limit": {"50"}}
	for _, name := range filters {
		v := strings.TrimSpace(in.Get(name))
		if f.Query[name] = v; v != "" {
			f.Asked = true
			ask.Set(name, v)
		}
	}
	if after := in.Get("after"); after != "" {
		f.Query["after"] = after
		ask.Set("after", after)
	}
	var err error
	if f.Systems, f.Agencies, err = d.registry(r); err != nil {
		d.Failed(w, r, err)
		return
	}
	var got struct {
		Officers []listed `json:"officers"`
		Next     string   `json:"next"`
	}
	status := http.StatusOK
	if err := d.Call(r, http.MethodGet, "/v1/admin/officers?"+ask.Encode(), nil, &got); err != nil {
		p := page.Of(err)
		if p == nil || p.Status != http.StatusUnprocessableEntity {
			d.Failed(w, r, err)
			return
		}
		status, f.Faults = p.Status, page.FaultsOf(r.Context(), p, map[string]string{"q": "q", "query.q": "q"})
	}
	f.Officers, f.Next, f.Said = got.Officers, got.Next, d.Said(w, r)
	d.Show(w, r, status, list(&f))
}

// first is the address of the list's first page, next that of the next one; "" for none.
func (f *finding) first() string {
	if f.Query["after"] == "" {
		return ""
	}
	return f.address("")
}

func (f *finding) next() string {
	if f.Next == "" {
		return ""
	}
	return f.address(f.Next)
}

func (f *finding) address(after string) string {
	pairs := []string{"after", after}
	for _, name := range filters {
		pairs = append(pairs, name, f.Query[name])
	}
	return withQuery(listPath, pairs...)
}

// without is the list of everybody, "" where it is that.
func (f *finding) without() string {
	if f.Asked {
		return listPath
	}
	return ""
}

// registry are the systems and agencies to choose from, as far as who is logged in may ask for them.
func (d desk) registry(r *http.Request) (systems, agencies []page.Option, err error) {
	var s struct {
		Systems []struct {
			Code  string `json:"code"`
			Title string `json:"title"`
		} `json:"systems"`
	}
	var a struct {
		Agencies []struct {
			Code string `json:"code"`
			Name string `json:"name"`
		} `json:"agencies"`
	}
	if err := d.Call(r, http.MethodGet, "/v1/admin/systems", nil, &s); err != nil && !refusal(err) {
		return nil, nil, err
	}
	if err := d.Call(r, http.MethodGet, "/v1/admin/agencies", nil, &a); err != nil && !refusal(err) {
		return nil, nil, err
	}
	for _, x := range s.Systems {
		systems = append(systems, page.Option{Value: x.Code, Text: named(x.Code, x.Title)})
	}
	for _, x := range a.Agencies {
		agencies = append(agencies, page.Option{Value: x.Code, Text: named(x.Code, x.Name)})
	}
	return systems, agencies, nil
}

func refusal(err error) bool {
	p := page.Of(err)
	return p != nil && (p.Status == http.StatusForbidden || p.Status == http.StatusNotFound)
}

func named(code, title string) string {
	if title == "" || title == code {
		return code
	}
	return title + " (" + code + ")"
}

// request waits, or waited, for a second person.
type request struct {
	ID      string    `json:"request_id"`
	IC      string    `json:"ic"`   // in the list of all
	Name    string    `json:"name"` // in the list of all
	Kind    string    `json:"kind"`
	State   string    `json:"state"`
	AskedBy string    `json:"asked_by"`
	Asker   string    `json:"asked_by_name"`
	Own     bool      `json:"own"`
	AskedAt time.Time `json:"asked_at"`
	Until   time.Time `json:"until"`
	Reason  string    `json:"reason"`
	System  string    `json:"system"`
	Serial  string    `json:"serial_number"`
	CRL     string    `json:"revocation_reason"`
}

// who asked, by name.
func (q *request) who(ctx context.Context) string {
	if q.Asker != "" {
		return q.Asker
	}
	if strings.HasPrefix(q.AskedBy, "officer:") || q.Kind == "RESET" {
		return page.T(ctx, "people.request.officer")
	}
	return q.AskedBy
}

type waitingList struct {
	Said        string
	Requests    []request
	First, Next string
}

// waiting lists what waits for a second person.
func (d desk) waiting(w http.ResponseWriter, r *http.Request) {
	var got struct {
		Requests []request `json:"requests"`
		Next     string    `json:"next"`
	}
	after := r.URL.Query().Get("after")
	if err := d.Call(r, http.MethodGet, withQuery("/v1/admin/officer-requests", "after", after), nil, &got); err != nil && !nothingToSee(err) {
		d.Failed(w, r, err)
		return
	}
	l := waitingList{Said: d.Said(w, r), Requests: got.Requests}
	if after != "" {
		l.First = waitingPath
	}
	if got.Next != "" {
		l.Next = withQuery(waitingPath, "after", got.Next)
	}
	d.Show(w, r, http.StatusOK, waiting(&l))
}

// nothingToSee: an auditor sees the same page, with nothing to decide.
func nothingToSee(err error) bool {
	p := page.Of(err)
	return p != nil && p.Status == http.StatusForbidden
}

func has(list []string, s string) bool { return slices.Contains(list, s) }
