package queue

import (
	"net/http"
	"slices"
	"time"

	"github.com/a-h/templ"

	"github.com/mohor-sign/mohor/web/page"
)

// dossier is an enrolment with all that is known about it, as far as it is the person's to see.
type dossier struct {
	Enrolment enrolment `json:"enrolment"`
	Form      *struct {
		Name     string `json:"name"`
		Address  string `json:"address"`
		Postcode string `json:"postcode"`
		State    string `json:"state"`
		Phone    string `json:"phone"`
		Fax      string `json:"fax"`
		Mobile   string `json:"mobile"`
		MailKind string `json:"mail_kind"`
	} `json:"form"`
	Steps []struct {
		At     time.Time `json:"at"`
		Action string    `json:"action"`
		By     string    `json:"by"`
		Name   string    `json:"by_name"`
		Role   string    `json:"role"`
		Why    string    `json:"why"`
	} `json:"steps"`
	Can []possible `json:"can"`

	MyKad  bool `json:"mykad"`
	Shown  bool `json:"-"` // the copy is looked at
	Said   string
	Faults page.Faults
	Value  string // of the field that came back
}

// possible is a step that can be taken, or why this person cannot.
type possible struct {
	Step   string `json:"step"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// can finds a step that this person can take.
func (x *dossier) can(step string) bool {
	return slices.ContainsFunc(x.Can, func(p possible) bool { return p.Step == step && p.Code == "" })
}

// plain are the steps that a button takes at once; worded ones have a page of their own, by their
// names in addresses and in the API.
func plain() []string { return []string{"admit", "validate", "approve", "resend"} }

func worded() map[string]string {
	return map[string]string{"return": "return", "reject": "reject", "withdraw": "withdraw", "correct": "correct", "rekey": "rekey/confirm"}
}

// barred are the steps that this person cannot take now, with why.
func (x *dossier) barred() (out []possible) {
	for _, p := range x.Can {
		if p.Code != "" && p.Step != "mykad" && p.Step != "resend" {
			out = append(out, p)
		}
	}
	return out
}

// wait says why the mail cannot be sent again just now, "" where it can.
func (x *dossier) wait() string {
	for _, p := range x.Can {
		if p.Step == "resend" && p.Code != "" {
			return upper(p.Detail)
		}
	}
	return ""
}

// read asks for an enrolment; false when the page has been answered already.
func (d *desk) read(w http.ResponseWriter, r *http.Request) (*dossier, bool) {
	id := page.Param(r, "id")
	if !identifier.MatchString(id) {
		d.NotFound(w, r)
		return nil, false
	}
	x := &dossier{}
	err := d.Call(r, http.MethodGet, "/v1/admin/enrolments/"+id, nil, x)
	if p := page.Of(err); p != nil && p.Status == http.StatusNotFound {
		d.NotFound(w, r)
		return nil, false
	}
	if err != nil {
		d.Failed(w, r, err)
		return nil, false
	}
	return x, true
}

func (d *desk) enrolment(w http.ResponseWriter, r *http.Request) {
	x, ok := d.read(w, r)
	if !ok {
		return
	}
	x.Said, x.Shown = d.Said(w, r), r.URL.Query().Get("mykad") == "1" && x.can("mykad")
	d.Show(w, r, http.StatusOK, x.page())
}

// myKad hands the copy on. That it was looked at stands in the audit.
func (d *desk) myKad(w http.ResponseWriter, r *http.Request) {
	id := page.Param(r, "id")
	if !identifier.MatchString(id) {
		d.NotFound(w, r)
		return
	}
	d.Relay(w, r, "/v1/admin/enrolments/"+id+"/mykad")
}

// ask is the page of a step that needs words.
func (d *desk) ask(w http.ResponseWriter, r *http.Request) {
	step := page.Param(r, "step")
	if slices.Contains(plain(), step) { // a form that was answered
		page.See(w, r, enrolmentPath+page.Param(r, "id"))
		return
	}
	if worded()[step] == "" {
		d.NotFound(w, r)
		return
	}
	x, ok := d.read(w, r)
	if !ok {
		return
	}
	if !x.can(worded()[step]) { // somebody has gone on with it, or it is another's to do
		page.See(w, r, enrolmentPath+x.Enrolment.ID)
		return
	}
	d.Show(w, r, http.StatusOK, x.asking(step))
}

// step takes one.
func (d *desk) step(w http.ResponseWriter, r *http.Request) {
	id, step := page.Param(r, "id"), page.Param(r, "step")
	route, words := worded()[step]
	if !identifier.MatchString(id) || !words && !slices.Contains(plain(), step) {
		d.NotFound(w, r)
		return
	}
	var in any
	typed := r.PostForm.Get("text")
	switch step {
	case "return", "reject", "withdraw":
		in = map[string]string{"reason": typed}
	case "correct":
		in = map[string]string{"email": typed}
	case "rekey":
		in = map[string]string{"how": typed}
	default:
		route = step
	}
	err := d.Call(r, http.MethodPost, "/v1/admin/enrolments/"+id+"/"+route, in, nil)
	if err == nil {
		d.Say(w, "queue.said.step."+step)
		page.See(w, r, enrolmentPath+id)
		return
	}
	p := page.Of(err)
	if p == nil || p.Status == http.StatusUnauthorized || p.Status == http.StatusNotFound {
		d.Failed(w, r, err)
		return
	}
	x, ok := d.read(w, r)
	if !ok {
		return
	}
	page.Returning(r, enrolmentPath+id)
	d.Refused(w, r, err, map[string]string{"reason": "text", "email": "text", "how": "text", "reason_missing": "text", "field_missing": "text"}, func(f page.Faults) templ.Component {
		x.Faults, x.Value = f, typed
		if words && x.can(worded()[step]) {
			return x.asking(step)
		}
		return x.page()
	})
}
