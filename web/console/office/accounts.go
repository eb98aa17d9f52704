package office

import (
	"net/http"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	accountsPath = "/admin/accounts"
	accountsAPI  = "/v1/admin/accounts"
)

func (d desk) accountRoutes(r chi.Router) {
	r.Get(accountsPath, d.resets)
	r.Get(accountsPath+"/new", d.Fresh(d.asking))
	r.Post(accountsPath+"/new", d.Form(d.ask))
	r.Get(accountsPath+"/{id}", d.reset)
	r.Post(accountsPath+"/{id}", d.Form(d.settle))
}

// wish is a reset that awaits a second person.
type wish struct {
	Account string    `json:"account_id"`
	IC      string    `json:"ic"`
	Name    string    `json:"name"`
	Email   string    `json:"email"`
	AskedBy string    `json:"asked_by"`
	Asker   string    `json:"asked_by_name"`
	AskedAt time.Time `json:"asked_at"`
	Until   time.Time `json:"confirm_until"`
	Reason  string    `json:"reason"`
}

// lost is the page of resets, and of one.
type lost struct {
	Said   string
	List   []wish
	One    *wish
	Mine   bool // who is logged in asked for it
	Own    bool // it is about who is logged in
	Faults page.Faults
}

func (d desk) wishes(r *http.Request) ([]wish, error) {
	var list struct {
		Resets []wish `json:"resets"`
	}
	err := d.Call(r, http.MethodGet, "/v1/admin/resets", nil, &list)
	return list.Resets, err
}

func (d desk) resets(w http.ResponseWriter, r *http.Request) {
	list, err := d.wishes(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, resets(&lost{Said: d.Said(w, r), List: list}))
}

// asked is the form that asks for a reset.
type asked struct {
	IC, Reason string
	Person     *appointed
	Faults     page.Faults
}

// find looks for an administrator by the number.
func (d desk) find(r *http.Request, a *asked) error {
	if a.IC == "" {
		return nil
	}
	var list struct {
		Appointments []appointed `json:"appointments"`
	}
	err := d.Call(r, http.MethodGet, address(appointmentsAPI, "ic", a.IC, "limit", "20"), nil, &list)
	for k := range list.Appointments {
		if x := &list.Appointments[k]; x.Ready || a.Person == nil {
			a.Person = x
		}
	}
	return err
}

func (d desk) asking(w http.ResponseWriter, r *http.Request) {
	a := &asked{IC: plainIC(r.URL.Query().Get("ic"))}
	if err := d.find(r, a); err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, asking(a))
}

func (d desk) ask(w http.ResponseWriter, r *http.Request) {
	a := &asked{IC: plainIC(given(r, "ic")), Reason: given(r, "reason")}
	if err := d.find(r, a); err != nil {
		d.Failed(w, r, err)
		return
	}
	switch {
	case a.Person == nil:
		a.Faults = page.Faults{{Field: "ic", Text: page.T(r.Context(), "office.reset.unknown")}}
	case a.Reason == "":
		a.Faults = page.Faults{{Field: "reason", Text: page.T(r.Context(), "office.lacks.reason")}}
	}
	if a.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, asking(a))
		return
	}
	if err := d.Call(r, http.MethodPost, below(accountsAPI, a.Person.Account)+"/reset", map[string]string{"reason": a.Reason}, nil); err != nil {
		d.Refused(w, r, err, map[string]string{"reason": "reason", "reason_missing": "reason", "own_case": "ic", "not_registered": "ic"}, func(f page.Faults) templ.Component { a.Faults = f; return asking(a) })
		return
	}
	d.Say(w, "office.said.asked")
	page.See(w, r, accountsPath)
}

// one finds a reset that waits; nil when it does not (any more).
func (d desk) one(r *http.Request) (*lost, error) {
	list, err := d.wishes(r)
	l, who := &lost{}, page.Who(r.Context())
	for k := range list {
		if x := &list[k]; x.Account == page.Param(r, "id") {
			l.One, l.Mine, l.Own = x, x.AskedBy == "account:"+who.Account, x.IC == who.IC
		}
	}
	return l, err
}

func (d desk) reset(w http.ResponseWriter, r *http.Request) {
	l, err := d.one(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	if l.One == nil {
		d.NotFound(w, r)
		return
	}
	d.Show(w, r, http.StatusOK, reset(l))
}

// settle confirms a reset, or cancels it.
func (d desk) settle(w http.ResponseWriter, r *http.Request) {
	at, said := below(accountsAPI, page.Param(r, "id"))+"/reset", "office.said.reset"
	method, path := http.MethodPost, at+"/confirm"
	if r.PostForm.Get("do") == "cancel" {
		method, path, said = http.MethodDelete, at, "office.said.unreset"
	}
	if err := d.Call(r, method, path, nil, nil); err != nil {
		l, lerr := d.one(r)
		if lerr != nil || l.One == nil { // it has ended meanwhile
			d.Failed(w, r, err)
			return
		}
		d.Refused(w, r, err, nil, func(f page.Faults) templ.Component { l.Faults = f; return reset(l) })
		return
	}
	d.Say(w, said)
	page.See(w, r, accountsPath)
}
