package office

import (
	"net/http"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	retentionPath = "/admin/retention"
	holdsPath     = retentionPath + "/holds"
	disposalsPath = retentionPath + "/disposals"
	holdsAPI      = "/v1/admin/holds"
	disposalsAPI  = "/v1/admin/disposals"
)

func (d desk) retentionRoutes(r chi.Router) {
	r.Get(retentionPath, d.retention)
	r.Get(holdsPath+"/new", d.newHold)
	r.Post(holdsPath+"/new", d.Form(d.placeHold))
	r.Get(holdsPath+"/{id}", d.hold)
	r.Post(holdsPath+"/{id}", d.Form(d.liftHold))
	r.Get(disposalsPath+"/new", d.newDisposal)
	r.Post(disposalsPath+"/new", d.Form(d.proposeDisposal))
	r.Get(disposalsPath+"/{id}", d.disposal)
	r.Post(disposalsPath+"/{id}", d.Form(d.settleDisposal))
	r.Get(disposalsPath+"/{id}/confirm", d.Fresh(d.confirming))
	r.Get(disposalsPath+"/{id}/csv", d.disposalCSV)
}

// hold is a legal hold.
type hold struct {
	ID        string    `json:"hold_id"`
	IC        string    `json:"ic"`
	Reference string    `json:"reference"`
	Reason    string    `json:"reason"`
	By        string    `json:"placed_by"`
	Placer    string    `json:"placed_by_name"`
	At        time.Time `json:"placed_at"`
}

// what is what it keeps.
func (h *hold) what() string {
	if h.IC != "" {
		return page.IC(h.IC)
	}
	return h.Reference
}

// disposal is a proposal to destroy, or its report.
type disposal struct {
	ID         string    `json:"disposal_id"`
	State      string    `json:"state"`
	Before     time.Time `json:"before"`
	ProposedBy string    `json:"proposed_by"`
	Proposer   string    `json:"proposed_by_name"`
	ProposedAt time.Time `json:"proposed_at"`
	Until      time.Time `json:"confirm_until"`
	DecidedBy  string    `json:"decided_by"`
	Decider    string    `json:"decided_by_name"`
	DecidedAt  time.Time `json:"decided_at"`
	Counts     struct {
		Archives     int `json:"archives"`
		Transactions int `json:"transactions"`
		Signatures   int `json:"signatures"`
		People       int `json:"people"`
		Credentials  int `json:"credentials"`
		Certificates int `json:"certificates"`
		Enrolments   int `json:"enrolments"`
		Kept         int `json:"kept"`
		Held         int `json:"held"`
	} `json:"counts"`
	Items []struct {
		Kind       string    `json:"kind"`
		Archive    string    `json:"archive_id"`
		Newest     time.Time `json:"newest"`
		Signatures int       `json:"signatures"`
		Enrolments []string  `json:"enrolments"`
		Kept       bool      `json:"kept"`
	} `json:"items"`
}

func (x *disposal) tone() string {
	switch x.State {
	case "PROPOSED":
		return page.Wait
	case "DONE":
		return page.Good
	}
	return page.Info
}

// store is the page of what is kept.
type store struct {
	Said      string
	Holds     []hold
	Disposals []disposal
}

func (d desk) retention(w http.ResponseWriter, r *http.Request) {
	s := &store{Said: d.Said(w, r)}
	var got struct {
		Disposals []disposal `json:"disposals"`
	}
	list, err := d.holdsOf(r)
	if err == nil {
		err = d.Call(r, http.MethodGet, disposalsAPI, nil, &got)
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	s.Holds, s.Disposals = list, got.Disposals
	d.Show(w, r, http.StatusOK, retention(s))
}

func (d desk) holdsOf(r *http.Request) ([]hold, error) {
	var got struct {
		Holds []hold `json:"holds"`
	}
	err := d.Call(r, http.MethodGet, holdsAPI, nil, &got)
	return got.Holds, err
}

// holding is the form of a hold.
type holding struct {
	Of     string // "ic" or "reference"
	Hold   hold
	Why    string
	Faults page.Faults
}

func (d desk) newHold(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, newHold(&holding{Of: "ic"}))
}

func (d desk) placeHold(w http.ResponseWriter, r *http.Request) {
	h := &holding{Of: r.PostForm.Get("of"), Why: given(r, "reason"), Hold: hold{IC: given(r, "ic"), Reference: given(r, "reference")}}
	in := map[string]string{"reason": h.Why}
	if h.Of == "reference" {
		in["reference"] = h.Hold.Reference
	} else {
		in["ic"] = plainIC(h.Hold.IC)
	}
	if err := d.Call(r, http.MethodPost, holdsAPI, in, nil); err != nil {
		places := map[string]string{"ic": "ic", "reference": "reference", "reason": "reason", "reason_missing": "reason"}
		if h.Of == "reference" {
			places["ic"] = "reference" // nothing was named
		}
		d.Refused(w, r, err, places, func(f page.Faults) templ.Component { h.Faults = f; return newHold(h) })
		return
	}
	d.Say(w, "office.said.held")
	page.See(w, r, retentionPath)
}

// lifting finds the hold of the address; it has answered when it gives nil.
func (d desk) lifting(w http.ResponseWriter, r *http.Request) *holding {
	list, err := d.holdsOf(r)
	if err != nil {
		d.Failed(w, r, err)
		return nil
	}
	for _, h := range list {
		if h.ID == page.Param(r, "id") {
			return &holding{Hold: h}
		}
	}
	d.NotFound(w, r)
	return nil
}

func (d desk) hold(w http.ResponseWriter, r *http.Request) {
	if h := d.lifting(w, r); h != nil {
		d.Show(w, r, http.StatusOK, oneHold(h))
	}
}

func (d desk) liftHold(w http.ResponseWriter, r *http.Request) {
	h := d.lifting(w, r)
	if h == nil {
		return
	}
	h.Why = given(r, "reason")
	if err := d.Call(r, http.MethodPost, below(holdsAPI, h.Hold.ID)+"/lift", map[string]string{"reason": h.Why}, nil); err != nil {
		d.Refused(w, r, err, map[string]string{"reason": "reason", "reason_missing": "reason"}, func(f page.Faults) templ.Component { h.Faults = f; return oneHold(h) })
		return
	}
	d.Say(w, "office.said.lifted")
	page.See(w, r, retentionPath)
}

// destruction is the page of a disposal.
type destruction struct {
	disposal
	Said   string
	Mine   bool // who is logged in proposed it
	Faults page.Faults
}

func (d desk) newDisposal(w http.ResponseWriter, r *http.Request) {
	x := &destruction{}
	if err := d.Call(r, http.MethodPost, disposalsAPI, map[string]bool{"dry_run": true}, &x.disposal); err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, newDisposal(x))
}

func (d desk) proposeDisposal(w http.ResponseWriter, r *http.Request) {
	x := &destruction{}
	if err := d.Call(r, http.MethodPost, disposalsAPI, map[string]bool{}, &x.disposal); err != nil {
		d.Refused(w, r, err, nil, func(f page.Faults) templ.Component { x.Faults = f; return newDisposal(x) })
		return
	}
	d.Say(w, "office.said.disposal")
	page.See(w, r, below(disposalsPath, x.ID))
}

func (d desk) destruction(r *http.Request) (*destruction, error) {
	x := &destruction{}
	err := d.Call(r, http.MethodGet, below(disposalsAPI, page.Param(r, "id")), nil, &x.disposal)
	x.Mine = x.ProposedBy == "account:"+page.Who(r.Context()).Account
	return x, err
}

func (d desk) disposal(w http.ResponseWriter, r *http.Request) {
	x, err := d.destruction(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	x.Said = d.Said(w, r)
	d.Show(w, r, http.StatusOK, oneDisposal(x))
}

func (d desk) confirming(w http.ResponseWriter, r *http.Request) {
	x, err := d.destruction(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, confirming(x))
}

// settleDisposal destroys, or cancels.
func (d desk) settleDisposal(w http.ResponseWriter, r *http.Request) {
	id, step, said := page.Param(r, "id"), "/confirm", "office.said.disposed"
	if r.PostForm.Get("do") == "cancel" {
		step, said = "/cancel", "office.said.undisposed"
	} else if r.PostForm.Get("sure") != "1" {
		x, err := d.destruction(r)
		if err != nil {
			d.Failed(w, r, err)
			return
		}
		page.Returning(r, below(disposalsPath, id)+"/confirm")
		x.Faults = page.Faults{{Field: "sure", Text: page.T(r.Context(), "office.lacks.sure")}}
		d.Show(w, r, http.StatusUnprocessableEntity, confirming(x))
		return
	}
	if err := d.Call(r, http.MethodPost, below(disposalsAPI, id)+step, nil, nil); err != nil {
		x, xerr := d.destruction(r)
		if xerr != nil {
			d.Failed(w, r, xerr)
			return
		}
		d.Refused(w, r, err, nil, func(f page.Faults) templ.Component { x.Faults = f; return oneDisposal(x) })
		return
	}
	d.Say(w, said)
	page.See(w, r, below(disposalsPath, id))
}

func (d desk) disposalCSV(w http.ResponseWriter, r *http.Request) {
	d.Relay(w, r, below(disposalsAPI, page.Param(r, "id"))+"/csv")
}
