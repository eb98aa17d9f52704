// Package queue serves the console's pages about enrolments: what waits for whom, one enrolment
// with all that can be done about it, lists of officers, and how far the rollout has come.
package queue

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	queuePath     = "/admin/queue"
	enrolmentPath = "/admin/enrolments/"
	listPath      = "/admin/list"
	onePath       = "/admin/list/one"
	rolloutPath   = "/admin/rollout"
)

type desk struct{ *page.Site }

// Routes adds its pages to r, whose visitors are administrators in a role that the menu lets in.
func Routes(r chi.Router, s *page.Site) {
	d := &desk{s}
	r.Get(queuePath, d.list)
	r.Post(queuePath+"/confirm", s.Form(d.confirm))
	r.Post(queuePath+"/do", s.Form(d.do))
	for _, path := range []string{"/confirm", "/do"} { // where a form was answered
		r.Get(queuePath+path, back(queuePath))
	}
	r.Get(enrolmentPath+"{id}", d.enrolment)
	r.Get(enrolmentPath+"{id}/mykad", d.myKad)
	r.Get(enrolmentPath+"{id}/{step}", d.ask)
	r.Post(enrolmentPath+"{id}/{step}", s.Form(d.step))
	r.Get(rolloutPath, d.rollout)
	d.listRoutes(r)
}

// back leads from the address of a form that was answered to where it stood.
func back(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { page.See(w, r, path) }
}

// identifier is what ids of enrolments look like.
var identifier = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// enrolment is one officer's way to a certificate.
type enrolment struct {
	ID          string     `json:"enrolment_id"`
	IC          string     `json:"ic"`
	Name        string     `json:"name"`
	Email       string     `json:"email"`
	System      string     `json:"system"`
	Agency      string     `json:"agency"`
	Office      string     `json:"office"`
	Phase       string     `json:"phase"`
	Ticket      string     `json:"ticket"`
	Kind        string     `json:"kind"`
	Follows     string     `json:"replaces_serial_number"`
	State       string     `json:"state"`
	Since       time.Time  `json:"since"`
	ListedAt    time.Time  `json:"listed_at"`
	MailedAt    *time.Time `json:"mailed_at"`
	Reply       string     `json:"mail_reply"`
	LinkUntil   *time.Time `json:"link_until"`
	CodeUntil   *time.Time `json:"code_until"`
	Reason      string     `json:"reason"`
	ValidatedAt *time.Time `json:"validated_at"`
	ApprovedAt  *time.Time `json:"approved_at"`
}

// days is how many whole days it has been in its state.
func (e *enrolment) days(now time.Time) int { return max(0, int(now.Sub(e.Since).Hours()/24)) }

// tone is that of a state.
func tone(state string) string {
	switch state {
	case "ISSUED":
		return page.Good
	case "REJECTED", "WITHDRAWN", "EXPIRED":
		return "still"
	case "RETURNED":
		return page.Bad
	case "APPLIED", "VALIDATED", "LISTED":
		return page.Wait
	}
	return page.Info
}

// a line is what waits for one step.
type line struct {
	Name    string   `json:"name"`
	State   string   `json:"state"`
	Kind    string   `json:"kind"`
	Waiting int      `json:"waiting"`
	More    bool     `json:"more"`
	Can     []string `json:"can"`
}

// count is how many wait, in words; "" for none.
func (l *line) count() string {
	switch {
	case l.More:
		return page.Number(l.Waiting) + "+"
	case l.Waiting == 0:
		return ""
	}
	return page.Number(l.Waiting)
}

// forward is the step that goes on with many at once; "" where each is opened.
func (l *line) forward() string {
	for _, step := range []string{"admit", "validate", "approve"} {
		if slices.Contains(l.Can, step) {
			return step
		}
	}
	return ""
}

// backward are the steps that end or give back many at once.
func (l *line) backward() (out []string) {
	for _, step := range []string{"return", "reject"} {
		if l.forward() != "" && slices.Contains(l.Can, step) {
			out = append(out, step)
		}
	}
	return out
}

// scope is what the person looks after: a system, an agency, or with neither all.
type scope struct {
	System string   `json:"system"`
	Agency string   `json:"agency"`
	Roles  []string `json:"roles"`
	Queues []line   `json:"queues"`
}

// key names a scope in an address.
func (s *scope) key() string {
	switch {
	case s.System != "":
		return "s:" + s.System
	case s.Agency != "":
		return "a:" + s.Agency
	}
	return "all"
}

func (s *scope) line(name string) *line {
	for k := range s.Queues {
		if s.Queues[k].Name == name {
			return &s.Queues[k]
		}
	}
	return nil
}

// first is the queue to begin with: the one where the person has something to do.
func (s *scope) first() string {
	best := ""
	for k := range s.Queues {
		l := &s.Queues[k]
		mine := l.forward() != "" || slices.Contains(l.Can, "rekey/confirm")
		if mine && l.Waiting > 0 {
			return l.Name
		}
		if mine && best == "" {
			best = l.Name
		}
	}
	return cmp.Or(best, "validate")
}

// registry is what filters and forms offer.
type registry struct {
	Agencies []struct {
		Code string `json:"agency"`
		Name string `json:"name"`
	} `json:"agencies"`
	Systems []struct {
		Code  string `json:"system"`
		Title string `json:"title"`
	} `json:"systems"`
}

func (d *desk) registry(r *http.Request) (reg registry, err error) {
	if err = d.Call(r, http.MethodGet, "/v1/admin/agencies", nil, &reg); err == nil {
		err = d.Call(r, http.MethodGet, "/v1/admin/systems", nil, &reg)
	}
	return reg, err
}

// agencies and systems are options, with one for none of them if any has words.
func (reg *registry) agencies(any string) []page.Option {
	out := []page.Option{{Text: any}}
	for _, a := range reg.Agencies {
		out = append(out, page.Option{Value: a.Code, Text: a.Code + " – " + a.Name})
	}
	return out
}

func (reg *registry) systems(any string) []page.Option {
	out := []page.Option{{Text: any}}
	for _, x := range reg.Systems {
		out = append(out, page.Option{Value: x.Code, Text: x.Code + " – " + x.Title})
	}
	return out
}

// choice is what of the queues an address chooses.
type choice struct {
	Scope, Tab, State          string // State: of what is finished
	System, Agency             string
	Office, Phase, Kind, After string
	Days                       int
}

// done is the tab of what waits for nobody any more.
const done = "done"

func finished() []string { return []string{"ISSUED", "REJECTED", "WITHDRAWN", "EXPIRED"} }

func kinds() []string { return []string{"FIRST", "RENEWAL", "REPLACEMENT", "TRANSFER"} }

func chosen(q url.Values) choice {
	c := choice{Scope: q.Get("scope"), Tab: q.Get("tab"), State: q.Get("state"), System: q.Get("system"), Agency: q.Get("agency"), Office: q.Get("office"), Phase: q.Get("phase"), Kind: q.Get("kind"), After: q.Get("after")}
	if n, err := strconv.Atoi(q.Get("days")); err == nil && n > 0 && n <= 3650 {
		c.Days = n
	}
	if !slices.Contains(kinds(), c.Kind) {
		c.Kind = ""
	}
	if !slices.Contains(finished(), c.State) {
		c.State = finished()[0]
	}
	return c
}

// within sets what a scope says already, and the tab.
func (c *choice) within(s *scope) {
	c.Scope = s.key()
	if s.System != "" {
		c.System = s.System
	}
	if s.Agency != "" {
		c.Agency = s.Agency
	}
	if s.line(c.Tab) == nil && c.Tab != done {
		c.Tab = s.first()
	}
}

// query is the choice as an address has it, without what is not chosen.
func (c *choice) query() url.Values {
	q := url.Values{}
	for name, v := range map[string]string{"scope": c.Scope, "tab": c.Tab, "system": c.System, "agency": c.Agency, "office": c.Office, "phase": c.Phase, "kind": c.Kind, "after": c.After} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if c.Days > 0 {
		q.Set("days", strconv.Itoa(c.Days))
	}
	if c.Tab == done {
		q.Set("state", c.State)
	}
	return q
}

func (c choice) path() string { return queuePath + "?" + c.query().Encode() }

// on is the choice in another tab; from the first page.
func (c choice) on(tab string) choice {
	c.Tab, c.After = tab, ""
	return c
}

// from is the choice from a place of the list on.
func (c choice) from(after string) choice {
	c.After = after
	return c
}

// bare is the choice with nothing filtered.
func (c choice) bare() choice { return choice{Scope: c.Scope, Tab: c.Tab, State: c.State} }

// narrowed says whether something is filtered that the scope does not say already.
func (c *choice) narrowed(s *scope) bool {
	return c.System != s.System || c.Agency != s.Agency || c.Office != "" || c.Phase != "" || c.Kind != "" || c.Days > 0
}

// asked is the question to the API for it.
func (c *choice) asked(s *scope) url.Values {
	q := url.Values{"state": {c.State}}
	kind := c.Kind
	if l := s.line(c.Tab); l != nil {
		q.Set("state", l.State)
		if kind == "" || l.Kind == "REKEY" {
			kind = l.Kind
		}
	}
	for name, v := range map[string]string{"system": c.System, "agency": c.Agency, "office": c.Office, "phase": c.Phase, "kind": kind} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if c.Days > 0 {
		q.Set("days", strconv.Itoa(c.Days))
	}
	return q
}
