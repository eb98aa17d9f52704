package queue

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/mohor-sign/mohor/web/page"
)

// told is how many people a page about many names, and how many refused ones it asks about.
const told = 100

// order is a step for many: those named, or all that a choice chooses.
type order struct {
	Choice choice
	scope  *scope
	Step   string
	All    bool
	IDs    []string
	Reason string
	Count  int    // of all, as a confirmation
	Until  string // when they were counted
	After  string // where to go on
	People []enrolment
	Faults page.Faults
}

// reasoned says whether the step needs words.
func (o *order) reasoned() bool { return o.Step != "admit" }

// harsh says whether keys are destroyed.
func (o *order) harsh() bool { return o.Step == "return" || o.Step == "reject" }

// order reads a form about many; false when it has been answered already.
func (d *desk) order(w http.ResponseWriter, r *http.Request) (*order, bool) {
	q, _ := url.ParseQuery(r.PostForm.Get("q")) // what is no query chooses nothing
	o := &order{Choice: chosen(q), Step: r.PostForm.Get("do"), Reason: r.PostForm.Get("reason"), Until: r.PostForm.Get("until"), After: r.PostForm.Get("after")}
	o.Count, _ = strconv.Atoi(r.PostForm.Get("count"))
	o.Step, o.All = strings.CutPrefix(o.Step, "all-")
	for _, id := range r.PostForm["id"] {
		if identifier.MatchString(id) && !slices.Contains(o.IDs, id) {
			o.IDs = append(o.IDs, id)
		}
	}
	if !o.All {
		o.Count = len(o.IDs)
	}
	var ok bool
	if _, o.scope, ok = d.work(w, r, &o.Choice); !ok {
		return nil, false
	}
	l := o.scope.line(o.Choice.Tab)
	if l == nil || o.Step != l.forward() && (o.All || !slices.Contains(l.backward(), o.Step)) {
		d.NotFound(w, r)
		return nil, false
	}
	page.Returning(r, o.Choice.path())
	return o, true
}

// confirm says what is going to be done, and asks for the reason.
func (d *desk) confirm(w http.ResponseWriter, r *http.Request) {
	o, ok := d.order(w, r)
	if !ok {
		return
	}
	if !o.All && len(o.IDs) == 0 {
		d.showQueue(w, r, o.Choice, nil, page.Faults{{Text: page.T(r.Context(), "queue.none.chosen")}})
		return
	}
	more := url.Values{"limit": {strconv.Itoa(rows)}, "after": {o.Choice.After}}
	if o.All {
		more = url.Values{"limit": {strconv.Itoa(told)}, "count": {"true"}}
	}
	var f found
	if err := d.find(r, &o.Choice, o.scope, more, &f); err != nil {
		d.Failed(w, r, err)
		return
	}
	if o.All {
		o.Count, o.Until, o.People = f.Count, f.Until.Format("2006-01-02T15:04:05.999999Z07:00"), f.Enrolments
	} else {
		for _, e := range f.Enrolments {
			if slices.Contains(o.IDs, e.ID) {
				o.People = append(o.People, e)
			}
		}
		o.IDs = o.IDs[:0]
		for _, e := range o.People {
			o.IDs = append(o.IDs, e.ID)
		}
		o.Count = len(o.IDs)
	}
	if o.Count == 0 { // others have done it meanwhile
		d.Say(w, "queue.said.gone")
		page.See(w, r, o.Choice.from("").path())
		return
	}
	d.Show(w, r, http.StatusOK, o.page())
}

// outcome is what became of an order.
type outcome struct {
	*order
	Done      int    `json:"done"`
	Refused   int    `json:"refused"`
	Remaining int    `json:"remaining"`
	Next      string `json:"next"`
	Results   []struct {
		ID     string `json:"enrolment_id"`
		Done   bool   `json:"done"`
		State  string `json:"state"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"results"`
	Stopped bool // before the end of what was named
	No      []no
}

// no is one that was refused.
type no struct {
	ID, Name, IC, State, Code, Detail string
}

func (d *desk) do(w http.ResponseWriter, r *http.Request) {
	o, ok := d.order(w, r)
	if !ok {
		return
	}
	in := map[string]any{"step": o.Step}
	if o.reasoned() {
		in["reason"] = o.Reason
	}
	if o.All {
		f := map[string]any{"until": o.Until, "count": o.Count}
		q := o.Choice.asked(o.scope)
		for _, name := range []string{"system", "agency", "office", "phase", "kind"} {
			if v := q.Get(name); v != "" {
				f[name] = v
			}
		}
		if o.After != "" {
			f["after"] = o.After
		}
		in["filter"] = f
	} else {
		in["enrolment_ids"] = o.IDs
	}
	out := outcome{order: o}
	if err := d.Call(r, http.MethodPost, "/v1/admin/enrolments/bulk", in, &out); err != nil {
		if p := page.Of(err); p != nil && p.Code == "count_differs" {
			d.Say(w, "queue.said.differs")
			page.See(w, r, o.Choice.from("").path())
			return
		}
		d.Refused(w, r, err, map[string]string{"reason": "reason", "reason_missing": "reason"}, func(f page.Faults) templ.Component {
			o.Faults = f
			return o.page()
		})
		return
	}
	out.Stopped = !o.All && len(out.Results) < len(o.IDs)
	if out.Refused == 0 && out.Next == "" && !out.Stopped {
		d.Say(w, "queue.said."+o.Step, out.Done)
		page.See(w, r, o.Choice.from("").path())
		return
	}
	for _, x := range out.Results {
		if x.Done || len(out.No) == told {
			continue
		}
		n := no{ID: x.ID, State: x.State, Code: x.Code, Detail: x.Detail}
		var f struct {
			Enrolment enrolment `json:"enrolment"`
		}
		if err := d.Call(r, http.MethodGet, "/v1/admin/enrolments/"+x.ID, nil, &f); err == nil {
			n.Name, n.IC = f.Enrolment.Name, f.Enrolment.IC
		}
		out.No = append(out.No, n)
	}
	d.Show(w, r, http.StatusOK, out.page())
}
