package queue

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/mohor-sign/mohor/web/page"
)

// progress is how far some officers have come, all of them counted by listed.
type progress struct {
	System    string `json:"system"`
	Phase     string `json:"phase"`
	Agency    string `json:"agency"`
	Office    string `json:"office"`
	Listed    int64  `json:"listed"`
	Confirmed int64  `json:"confirmed"`
	Applied   int64  `json:"applied"`
	Issued    int64  `json:"issued"`
	Ready     int64  `json:"ready"`
	Ended     int64  `json:"ended"`
}

func (p *progress) add(x *progress) {
	p.Listed += x.Listed
	p.Confirmed += x.Confirmed
	p.Applied += x.Applied
	p.Issued += x.Issued
	p.Ready += x.Ready
	p.Ended += x.Ended
}

// share is how much of them is ready, in whole percent of those whose way has not ended.
func (p *progress) share() int64 {
	if p.Listed <= p.Ended {
		return 0
	}
	return p.Ready * 100 / (p.Listed - p.Ended)
}

// piece is a part of a bar: from where, and how long, in thousandths.
type piece struct{ Tint, At, Long int }

// stages are the colours of a bar, in order: who is furthest first.
func stages() []string { return []string{"ready", "issued", "applied", "confirmed", "listed", "ended"} }

// bar is how they stand.
func (p *progress) bar() (out []piece) {
	parts := []int64{p.Ready, p.Issued - p.Ready, p.Applied - p.Issued, p.Confirmed - p.Applied, p.Listed - p.Confirmed - p.Ended, p.Ended}
	at := int64(0)
	for k, n := range parts {
		from := at * 1000 / max(1, p.Listed)
		at += max(0, n)
		if to := at * 1000 / max(1, p.Listed); n > 0 {
			out = append(out, piece{[]int{2, 0, 4, 1, 5, 3}[k], int(from), int(max(2, to-from))})
		}
	}
	return out
}

// chart is the rollout as its page shows it.
type chart struct {
	Rows    []progress `json:"rows"`
	Scopes  []scope
	Scope   *scope
	Choice  choice
	Phases  []string
	Total   progress
	ByPhase []progress
	Shown   []progress // of Rows, by page
	from    int        // the first of them
	reg     registry
}

func (d *desk) rollout(w http.ResponseWriter, r *http.Request) {
	c := chart{Choice: chosen(r.URL.Query())}
	var ok bool
	if c.Scopes, c.Scope, ok = d.work(w, r, &c.Choice); !ok {
		return
	}
	q := url.Values{}
	if c.Choice.System != "" {
		q.Set("system", c.Choice.System)
	}
	if c.Choice.Agency != "" {
		q.Set("agency", c.Choice.Agency)
	}
	err := d.Call(r, http.MethodGet, "/v1/admin/reports/rollout?"+q.Encode(), nil, &c)
	if err == nil {
		c.reg, err = d.registry(r)
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	c.sum()
	if !c.turn() {
		page.See(w, r, c.at(0))
		return
	}
	d.Show(w, r, http.StatusOK, c.page())
}

// turn opens the page that was asked for: there are thousands of rows where each agency's officers
// are of many offices. False when there is no such page any more.
func (c *chart) turn() bool {
	if c.Choice.After != "" {
		n, err := strconv.Atoi(c.Choice.After)
		if err != nil || n < 0 || n >= len(c.Rows) {
			return false
		}
		c.from = n
	}
	c.Shown = c.Rows[c.from:min(len(c.Rows), c.from+rows)]
	return true
}

// at is the address of the page that begins with a row.
func (c *chart) at(row int) string {
	q := url.Values{"scope": {c.Choice.Scope}, "system": {c.Choice.System}, "agency": {c.Choice.Agency}, "phase": {c.Choice.Phase}}
	if row > 0 {
		q.Set("after", strconv.Itoa(row))
	}
	for name, v := range q {
		if v[0] == "" {
			q.Del(name)
		}
	}
	return rolloutPath + "?" + q.Encode()
}

// first and next are the addresses of pages, "" for none.
func (c *chart) first() string {
	if c.from == 0 {
		return ""
	}
	return c.at(0)
}

func (c *chart) next() string {
	if c.from+rows >= len(c.Rows) {
		return ""
	}
	return c.at(c.from + rows)
}

// sum adds up what is shown, phase by phase, and leaves the other phases out.
func (c *chart) sum() {
	for _, x := range c.Rows {
		if !slices.Contains(c.Phases, x.Phase) {
			c.Phases = append(c.Phases, x.Phase)
		}
	}
	slices.Sort(c.Phases)
	if c.Choice.Phase != "" {
		c.Rows = slices.DeleteFunc(c.Rows, func(x progress) bool { return x.Phase != c.Choice.Phase })
	}
	for _, phase := range c.Phases {
		sum := progress{Phase: phase}
		for k := range c.Rows {
			if c.Rows[k].Phase == phase {
				sum.add(&c.Rows[k])
			}
		}
		if sum.Listed > 0 {
			c.ByPhase = append(c.ByPhase, sum)
			c.Total.add(&sum)
		}
	}
}

// queue is where the officers of a row wait.
func (c *chart) queue(p *progress) string {
	x := choice{Scope: c.Choice.Scope, Tab: "", System: p.System, Agency: p.Agency, Office: p.Office, Phase: p.Phase}
	switch { // the farthest behind first
	case p.Listed-p.Confirmed-p.Ended > 0:
		x.Tab = "confirm"
	case p.Confirmed > p.Applied:
		x.Tab = "apply"
	case p.Applied > p.Issued:
		x.Tab = "validate"
	default:
		x.Tab, x.State = done, finished()[0]
	}
	return x.path()
}

func (c *chart) filtered() bool {
	return c.Choice.System != c.Scope.System || c.Choice.Agency != c.Scope.Agency || c.Choice.Phase != ""
}

func (c *chart) phaseOptions(any string) []page.Option {
	out := []page.Option{{Text: any}}
	for _, p := range c.Phases {
		if p != "" {
			out = append(out, page.Option{Value: p, Text: p})
		}
	}
	return out
}
