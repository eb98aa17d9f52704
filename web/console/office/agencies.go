package office

import (
	"net/http"
	"net/url"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	agenciesPath = "/admin/agencies"
	agenciesAPI  = "/v1/admin/agencies"
)

func (d desk) agencyRoutes(r chi.Router) {
	r.Get(agenciesPath, d.agencies)
	r.Get(agenciesPath+"/new", d.newAgency)
	r.Post(agenciesPath+"/new", d.Form(d.addAgency))
	r.Get(agenciesPath+"/{code}", d.agency)
	r.Post(agenciesPath+"/{code}", d.Form(d.changeAgency))
	r.Post(agenciesPath+"/{code}/offices", d.Form(d.putOffice))
	r.Post(agenciesPath+"/{code}/offices/drop", d.Form(d.dropOffice))
}

// house is an accounting office.
type house struct {
	Code  string `json:"office"`
	Name  string `json:"name"`
	Phase string `json:"phase"`
}

// stray is what lists call an office that is not registered.
type stray struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// directory is the list of agencies.
type directory struct {
	Said   string
	List   []agency
	Vacant map[string]bool // agencies without AP
}

func (d desk) agencies(w http.ResponseWriter, r *http.Request) {
	l := &directory{Said: d.Said(w, r), Vacant: map[string]bool{}}
	var err error
	if l.List, err = d.agenciesOf(r); err == nil {
		o := &overview{}
		err = d.vacancies(r, o)
		for _, g := range o.Vacant {
			l.Vacant[g.Code] = true
		}
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, agencies(l))
}

// card is one agency with its offices, and the forms that change them.
type card struct {
	agency
	Said    string
	Offices []house
	Strays  []stray
	Faults  page.Faults
	Edit    house // the form of an office
	Known   bool  // the office is registered: its code stays
}

func (d desk) newAgency(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, newAgency(&card{}))
}

// read takes the fields of an agency from a form.
func (c *card) read(r *http.Request) {
	c.Name, c.PersonalMail = given(r, "name"), r.PostForm.Get("personal_mail") == "1"
}

func (c *card) put() map[string]any {
	return map[string]any{"name": c.Name, "personal_mail": c.PersonalMail}
}

func (d desk) addAgency(w http.ResponseWriter, r *http.Request) {
	c := &card{agency: agency{Code: given(r, "code")}}
	c.read(r)
	list, err := d.agenciesOf(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	for _, g := range list {
		if g.Code == c.Code {
			c.Faults = append(c.Faults, page.Fault{Field: "code", Text: page.T(r.Context(), "office.agency.taken", "Name", g.Name)})
		}
	}
	if c.Code == "" {
		c.Faults = append(c.Faults, page.Fault{Field: "code", Text: page.T(r.Context(), "office.lacks.code")})
	}
	if c.Name == "" {
		c.Faults = append(c.Faults, page.Fault{Field: "name", Text: page.T(r.Context(), "office.lacks.title")})
	}
	if c.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, newAgency(c))
		return
	}
	if err := d.Call(r, http.MethodPut, below(agenciesAPI, c.Code), c.put(), nil); err != nil {
		d.Refused(w, r, err, map[string]string{"agency": "code", "name": "name", "code": "code"}, func(f page.Faults) templ.Component { c.Faults = f; return newAgency(c) })
		return
	}
	d.Say(w, "office.said.agency")
	page.See(w, r, below(agenciesPath, c.Code))
}

// cardOf finds the agency of the address; it has answered when it gives nil.
func (d desk) cardOf(w http.ResponseWriter, r *http.Request) *card {
	list, err := d.agenciesOf(r)
	if err != nil {
		d.Failed(w, r, err)
		return nil
	}
	for _, g := range list {
		if g.Code != page.Param(r, "code") {
			continue
		}
		c := &card{agency: g}
		var have struct {
			Offices []house `json:"offices"`
			Strays  []stray `json:"unregistered"`
		}
		if err := d.Call(r, http.MethodGet, below(agenciesAPI, g.Code)+"/offices", nil, &have); err != nil {
			d.Failed(w, r, err)
			return nil
		}
		c.Offices, c.Strays = have.Offices, have.Strays
		return c
	}
	d.NotFound(w, r)
	return nil
}

func (d desk) agency(w http.ResponseWriter, r *http.Request) {
	c := d.cardOf(w, r)
	if c == nil {
		return
	}
	c.Said = d.Said(w, r)
	q := r.URL.Query()
	c.Edit.Name = q.Get("name") // of one that is not registered yet
	for _, o := range c.Offices {
		if o.Code == q.Get("office") {
			c.Edit, c.Known = o, true
		}
	}
	d.Show(w, r, http.StatusOK, agencyCard(c))
}

func (d desk) changeAgency(w http.ResponseWriter, r *http.Request) {
	c := d.cardOf(w, r)
	if c == nil {
		return
	}
	c.read(r)
	if err := d.Call(r, http.MethodPut, below(agenciesAPI, c.Code), c.put(), nil); err != nil {
		d.Refused(w, r, err, map[string]string{"agency": "name", "name": "name"}, func(f page.Faults) templ.Component { c.Faults = f; return agencyCard(c) })
		return
	}
	d.Say(w, "office.said.agency")
	page.See(w, r, below(agenciesPath, c.Code))
}

func (d desk) putOffice(w http.ResponseWriter, r *http.Request) {
	c := d.cardOf(w, r)
	if c == nil {
		return
	}
	page.Returning(r, below(agenciesPath, c.Code))
	c.Edit, c.Known = house{given(r, "office"), given(r, "title"), given(r, "phase")}, r.PostForm.Get("known") == "1"
	if c.Edit.Code == "" {
		c.Faults = append(c.Faults, page.Fault{Field: "office", Text: page.T(r.Context(), "office.lacks.office")})
	}
	for _, o := range c.Offices {
		if !c.Known && o.Code == c.Edit.Code {
			c.Faults = append(c.Faults, page.Fault{Field: "office", Text: page.T(r.Context(), "office.agency.taken", "Name", o.Name)})
		}
	}
	if c.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, agencyCard(c))
		return
	}
	if err := d.Call(r, http.MethodPut, below(agenciesAPI, c.Code)+"/offices/"+url.PathEscape(c.Edit.Code), map[string]string{"name": c.Edit.Name, "phase": c.Edit.Phase}, nil); err != nil {
		d.Refused(w, r, err, map[string]string{"office": "office", "name": "title", "phase": "phase"}, func(f page.Faults) templ.Component { c.Faults = f; return agencyCard(c) })
		return
	}
	d.Say(w, "office.said.office")
	page.See(w, r, below(agenciesPath, c.Code))
}

func (d desk) dropOffice(w http.ResponseWriter, r *http.Request) {
	at := page.Param(r, "code")
	err := d.Call(r, http.MethodDelete, below(agenciesAPI, at)+"/offices/"+url.PathEscape(given(r, "office")), nil, nil)
	if p := page.Of(err); err != nil && (p == nil || p.Status != http.StatusNotFound) { // it is gone already
		d.Failed(w, r, err)
		return
	}
	d.Say(w, "office.said.unoffice")
	page.See(w, r, below(agenciesPath, at))
}
