// Package health serves the console's page of how the gateway is, with what to do beside each
// fault, and the alarms.
package health

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	place      = "health"
	path       = "/admin/health"
	alarmsPath = path + "/alarms"
)

type desk struct{ *page.Site }

// Routes adds its pages to r, whose visitors are administrators in a role that the menu lets in.
func Routes(r chi.Router, s *page.Site) {
	d := &desk{s}
	r.Get(path, d.now)
	r.Get(alarmsPath, d.history)
	r.Get(alarmsPath+"/{id}", d.one)
	r.Post(alarmsPath+"/{id}", d.Form(d.acknowledge))
}

type fix struct {
	Text    string `json:"text"`
	Command string `json:"command"`
}

type value struct {
	Name   string     `json:"name"`
	Of     string     `json:"of"`
	Number *float64   `json:"number"`
	Unit   string     `json:"unit"`
	Text   string     `json:"text"`
	Time   *time.Time `json:"time"`
}

type check struct {
	ID     string     `json:"id"`
	Group  string     `json:"group"`
	State  string     `json:"state"`
	Since  time.Time  `json:"since"`
	At     *time.Time `json:"at"`
	Text   string     `json:"text"`
	Fix    *fix       `json:"fix"`
	Values []value    `json:"values"`
}

type vitals struct {
	State    string    `json:"state"`
	Brief    bool      `json:"brief"`
	Node     string    `json:"node"`
	At       time.Time `json:"at"`
	Faults   int       `json:"faults"`
	Warnings int       `json:"warnings"`
	Unknown  int       `json:"unknown"`
	Alarms   int       `json:"alarms"`
	Checks   []check   `json:"checks"`
}

type alarm struct {
	ID           string     `json:"id"`
	Check        string     `json:"check"`
	Node         string     `json:"node"`
	State        string     `json:"state"`
	RaisedAt     time.Time  `json:"raised_at"`
	ClearedAt    *time.Time `json:"cleared_at"`
	Text         string     `json:"text"`
	Fix          *fix       `json:"fix"`
	Acknowledged *struct {
		By   string    `json:"by"`
		At   time.Time `json:"at"`
		Note string    `json:"note"`
	} `json:"acknowledged"`
}

type alarms struct {
	Alarms []alarm `json:"alarms"`
	Next   string  `json:"next"`
}

// board is what the page shows.
type board struct {
	vitals
	Raised      []alarm
	First, Next string // addresses of the pages of alarms, "" for none
	Said        string
}

// mayAcknowledge: the others are shown no button.
func mayAcknowledge(ctx context.Context) bool { return page.HasRole(ctx, "JDN") }

func (d *desk) now(w http.ResponseWriter, r *http.Request) {
	b := board{}
	err := d.Call(r, http.MethodGet, "/v1/admin/health", nil, &b.vitals)
	if err == nil && !b.Brief {
		after := r.URL.Query().Get("after")
		var list alarms
		list, err = d.alarms(r, "raised", "50", after)
		b.Raised = list.Alarms
		b.First, b.Next = around(path, after, list.Next)
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	b.Said = d.Said(w, r)
	d.Show(w, r, http.StatusOK, boardPage(&b))
}

// alarms asks for a page of them.
func (d *desk) alarms(r *http.Request, state, limit, after string) (list alarms, err error) {
	q := url.Values{"state": {state}, "limit": {limit}}
	if after != "" {
		q.Set("after", after)
	}
	return list, d.Call(r, http.MethodGet, "/v1/admin/alarms?"+q.Encode(), nil, &list)
}

// around are the addresses of a list's first page and of the next one, "" for none.
func around(path, after, follows string) (first, next string) {
	if after != "" {
		first = path
	}
	if follows != "" {
		next = path + "?" + url.Values{"after": {follows}}.Encode()
	}
	return first, next
}

func (d *desk) history(w http.ResponseWriter, r *http.Request) {
	after := r.URL.Query().Get("after")
	list, err := d.alarms(r, "cleared", "20", after)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	first, next := around(alarmsPath, after, list.Next)
	d.Show(w, r, http.StatusOK, historyPage(list.Alarms, first, next))
}

// raised finds an alarm that lasts; nil when it does not.
func (d *desk) raised(r *http.Request) (*alarm, error) {
	for after := ""; ; {
		list, err := d.alarms(r, "raised", "200", after)
		if err != nil {
			return nil, err
		}
		k := slices.IndexFunc(list.Alarms, func(a alarm) bool { return a.ID == chi.URLParam(r, "id") })
		if k >= 0 {
			return &list.Alarms[k], nil
		}
		if after = list.Next; after == "" {
			return nil, nil
		}
	}
}

func (d *desk) one(w http.ResponseWriter, r *http.Request) {
	a, err := d.raised(r)
	switch {
	case err != nil:
		d.Failed(w, r, err)
	case a == nil: // it is over, or there was none
		d.Show(w, r, http.StatusNotFound, gonePage())
	default:
		d.Show(w, r, http.StatusOK, alarmPage(a, "", nil))
	}
}

func (d *desk) acknowledge(w http.ResponseWriter, r *http.Request) {
	note := r.PostForm.Get("note")
	err := d.Call(r, http.MethodPost, "/v1/admin/alarms/"+url.PathEscape(chi.URLParam(r, "id"))+"/acknowledge", map[string]string{"note": note}, nil)
	if err == nil {
		d.Say(w, "health.said.acknowledged")
		page.See(w, r, path)
		return
	}
	a, aerr := d.raised(r)
	if aerr != nil || a == nil {
		d.Failed(w, r, err)
		return
	}
	d.Refused(w, r, err, map[string]string{"note": "note"}, func(f page.Faults) templ.Component { return alarmPage(a, note, f) })
}

// of are the checks in some states, the worst first.
func (b *board) of(states ...string) (out []check) {
	for _, s := range states {
		for _, c := range b.Checks {
			if c.State == s {
				out = append(out, c)
			}
		}
	}
	return out
}

// groups of checks in the order of the answer.
func (b *board) groups() (out []string) {
	for _, c := range b.Checks {
		if !slices.Contains(out, c.Group) {
			out = append(out, c.Group)
		}
	}
	return out
}

func (b *board) group(name string) (out []check) {
	for _, c := range b.Checks {
		if c.Group == name {
			out = append(out, c)
		}
	}
	return out
}

// tone is a state's.
func tone(state string) string {
	switch state {
	case "ok":
		return page.Good
	case "fail", "raised":
		return page.Bad
	case "warn":
		return page.Wait
	}
	return page.Info
}

// verdict is the line on top.
func (b *board) verdict(ctx context.Context) page.Notice {
	switch {
	case b.Faults > 0:
		return page.Notice{Tone: page.Bad, Word: page.T(ctx, "health.faults", "Count", b.Faults), Text: page.T(ctx, "health.faults.text")}
	case b.Warnings > 0:
		return page.Notice{Tone: page.Wait, Word: page.T(ctx, "health.warnings", "Count", b.Warnings), Text: page.T(ctx, "health.warnings.text")}
	case b.Unknown > 0:
		return page.Notice{Tone: page.Info, Word: page.T(ctx, "health.unknown", "Count", b.Unknown), Text: page.T(ctx, "health.unknown.text")}
	}
	return page.Notice{Tone: page.Good, Word: page.T(ctx, "health.well"), Text: page.T(ctx, "health.well.text")}
}

// things are what a value may be of; others are names of the installation's own.
func things() []string {
	return []string{"data", "heads", "temporary", "documents", "database", "tsa", "ocsp", "tls", "mohor", "go", "module", "token", "firmware", "hardware", "schema"}
}

func ofName(ctx context.Context, of string) string {
	if slices.Contains(things(), of) {
		return page.T(ctx, "health.of."+of)
	}
	return of
}

// measured writes a value with its unit.
func measured(ctx context.Context, v value) string {
	switch {
	case v.Time != nil:
		return page.Moment(ctx, *v.Time)
	case v.Number == nil && v.Text == "folder":
		return page.T(ctx, "health.folder")
	case v.Number == nil:
		return v.Text
	}
	n := *v.Number
	switch v.Unit {
	case "B":
		return bytes(n)
	case "ms":
		return fmt.Sprintf("%.1f ms", n)
	case "h":
		return page.T(ctx, "health.hours", "Number", fmt.Sprintf("%.1f", n))
	case "d":
		return page.T(ctx, "health.days", "Number", page.Number(int(n)))
	case "s":
		return page.T(ctx, "health.seconds", "Number", fmt.Sprintf("%.0f", n))
	}
	return page.Number(int64(n))
}

func bytes(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	k := 0
	for ; n >= 1024 && k < len(units)-1; k++ {
		n /= 1024
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", n), ".0") + " " + units[k]
}

// checkName is what an alarm's check is called; events have names as well.
func checkName(ctx context.Context, id string) string {
	if page.Has(ctx, "health.check."+id) {
		return page.T(ctx, "health.check."+id)
	}
	return id
}

// heads are columns.
func heads(ctx context.Context, ids ...string) (out []page.Head) {
	for _, id := range ids {
		out = append(out, page.Head{Text: page.T(ctx, id)})
	}
	return out
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
