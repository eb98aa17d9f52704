package office

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	appointmentsPath = "/admin/appointments"
	appointmentsAPI  = "/v1/admin/appointments"
)

func (d desk) appointmentRoutes(r chi.Router) {
	r.Get(appointmentsPath, d.appointments)
	r.Get(appointmentsPath+"/new", d.Fresh(d.proposing))
	r.Post(appointmentsPath+"/new", d.Form(d.propose))
	r.Get(appointmentsPath+"/{id}", d.appointment)
	r.Post(appointmentsPath+"/{id}", d.Form(d.decide))
	r.Get(appointmentsPath+"/{id}/end", d.Fresh(d.ending))
	r.Post(appointmentsPath+"/{id}/end", d.Form(d.end))
}

// appointed is an appointment with its person, as the API has it.
type appointed struct {
	ID          string     `json:"appointment_id"`
	Account     string     `json:"account_id"`
	AccountIs   string     `json:"account_state"`
	Ready       bool       `json:"second_factor"`
	IC          string     `json:"ic"`
	Name        string     `json:"name"`
	Email       string     `json:"email"`
	Role        string     `json:"role"`
	Agency      string     `json:"agency"`
	System      string     `json:"system"`
	From        time.Time  `json:"from"`
	Until       *time.Time `json:"until"`
	Document    string     `json:"document"`
	EndDocument string     `json:"end_document"`
	State       string     `json:"state"`
	ProposedBy  string     `json:"proposed_by"`
	Proposer    string     `json:"proposed_by_name"`
	EndedBy     string     `json:"ended_by"`
	Ender       string     `json:"ended_by_name"`
	Setup       *struct {
		MailedAt *time.Time `json:"mailed_at"`
		Reply    string     `json:"mail_reply"`
		Due      bool       `json:"due"`
	} `json:"setup_mail"`
}

// tone is that of its state.
func (a *appointed) tone() string {
	switch a.State {
	case "IN_FORCE":
		if !a.Ready {
			return page.Wait
		}
		return page.Good
	case "AWAITING":
		return page.Wait
	}
	return page.Info
}

// word is its state's, for the catalogue.
func (a *appointed) word() string {
	if a.State == "IN_FORCE" && !a.Ready {
		return "SETUP"
	}
	return a.State
}

// agency and system are of the registry.
type agency struct {
	Code         string `json:"agency"`
	Name         string `json:"name"`
	PersonalMail bool   `json:"personal_mail"`
}

type system struct {
	Code  string `json:"system"`
	Title string `json:"title"`
}

// overview is the list of appointments.
type overview struct {
	Said, Tab          string
	Role, Agency, IC   string
	List               []appointed
	First, Next        string
	Vacant             []agency
	Agencies           []agency
	Awaiting           string // how many wait
	Proposes, Unscoped bool
}

// here is the list's address with a state, and the filters as they are.
func (o *overview) here(state string) string {
	return address(appointmentsPath, "state", state, "role", o.Role, "agency", o.Agency, "ic", o.IC)
}

func (o *overview) narrowed() string {
	if o.Role+o.Agency+o.IC == "" {
		return ""
	}
	return address(appointmentsPath, "state", o.Tab)
}

func (d desk) appointments(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	o := &overview{Said: d.Said(w, r), Tab: q.Get("state"), Role: q.Get("role"), Agency: q.Get("agency"), IC: plainIC(q.Get("ic")),
		Proposes: page.HasRole(r.Context(), "JDN", "SA"), Unscoped: page.HasRole(r.Context(), "JDN", "AUDITOR")}
	if !slices.Contains([]string{"AWAITING", "ENDED"}, o.Tab) {
		o.Tab = "IN_FORCE"
	}
	var list struct {
		Appointments []appointed `json:"appointments"`
		Next         string      `json:"next"`
	}
	err := d.Call(r, http.MethodGet, address(appointmentsAPI, "state", o.Tab, "role", o.Role, "agency", o.Agency, "ic", o.IC, "after", q.Get("after"), "limit", "50"), nil, &list)
	if err == nil && o.Unscoped {
		err = d.vacancies(r, o)
	}
	if err == nil {
		o.Awaiting, err = d.awaiting(r, o, len(list.Appointments))
	}
	if err == nil {
		o.Agencies, err = d.agenciesOf(r)
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	if o.List = list.Appointments; list.Next != "" {
		o.Next = address(appointmentsPath, "state", o.Tab, "role", o.Role, "agency", o.Agency, "ic", o.IC, "after", list.Next)
	}
	if q.Get("after") != "" {
		o.First = o.here(o.Tab)
	}
	d.Show(w, r, http.StatusOK, appointments(o))
}

func (d desk) vacancies(r *http.Request, o *overview) error {
	var vacant struct {
		Agencies []struct{ Code, Name string } `json:"agencies"`
	}
	err := d.Call(r, http.MethodGet, "/v1/admin/vacancies", nil, &vacant)
	for _, g := range vacant.Agencies {
		o.Vacant = append(o.Vacant, agency{Code: g.Code, Name: g.Name})
	}
	return err
}

// awaiting is how many wait for a second person; shown are those of the list at hand.
func (d desk) awaiting(r *http.Request, o *overview, shown int) (string, error) {
	const most = 100
	n := shown
	if o.Tab != "AWAITING" || o.narrowed() != "" || r.URL.Query().Get("after") != "" || shown == 50 {
		var list struct {
			Appointments []struct{} `json:"appointments"`
		}
		if err := d.Call(r, http.MethodGet, address(appointmentsAPI, "state", "AWAITING", "limit", "100"), nil, &list); err != nil {
			return "", err
		}
		n = len(list.Appointments)
	}
	switch {
	case n == 0:
		return "", nil
	case n == most:
		return page.T(r.Context(), "office.many", "Number", most), nil
	}
	return page.Number(n), nil
}

func (d desk) agenciesOf(r *http.Request) ([]agency, error) {
	var list struct {
		Agencies []agency `json:"agencies"`
	}
	err := d.Call(r, http.MethodGet, "/v1/admin/agencies", nil, &list)
	return list.Agencies, err
}

// proposal is the form of an appointment.
type proposal struct {
	Role, Agency, System, IC, Name, Email, From, Until, Document string

	Roles    []string
	Agencies []agency
	Systems  []system
	Faults   page.Faults
}

// roles are those that who is logged in appoints to.
func (d desk) roles(r *http.Request) (out []string) {
	if page.HasRole(r.Context(), "JDN") {
		out = []string{"SAP", "SA", "JDN", "AUDITOR"}
	}
	if page.HasRole(r.Context(), "SA") {
		out = append([]string{"AP"}, out...)
	}
	return out
}

// choices fills in what the form's lists offer: to who is SA alone the own agencies.
func (d desk) choices(r *http.Request, p *proposal) (err error) {
	p.Roles = d.roles(r)
	if p.Agencies, err = d.agenciesOf(r); err != nil {
		return err
	}
	if !page.HasRole(r.Context(), "JDN") {
		own := page.Who(r.Context()).Appointments
		p.Agencies = slices.DeleteFunc(p.Agencies, func(g agency) bool {
			return !slices.ContainsFunc(own, func(a page.Appointment) bool { return a.Role == "SA" && a.Agency == g.Code })
		})
		return nil
	}
	var list struct {
		Systems []system `json:"systems"`
	}
	err = d.Call(r, http.MethodGet, "/v1/admin/systems", nil, &list)
	p.Systems = list.Systems
	return err
}

func (d desk) proposing(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p := &proposal{Role: q.Get("role"), Agency: q.Get("agency"), System: q.Get("system")}
	if err := d.choices(r, p); err != nil {
		d.Failed(w, r, err)
		return
	}
	if len(p.Roles) == 1 {
		p.Role = p.Roles[0]
	}
	if len(p.Agencies) == 1 && p.Role == "AP" {
		p.Agency = p.Agencies[0].Code
	}
	d.Show(w, r, http.StatusOK, propose(p))
}

// appointedTo says what roles are appointed for.
func (p *proposal) appointedTo() (ofAgency, ofSystem bool) {
	return p.Role == "SA" || p.Role == "AP", p.Role == "SAP"
}

func (d desk) propose(w http.ResponseWriter, r *http.Request) {
	p := &proposal{Role: given(r, "role"), Agency: given(r, "agency"), System: given(r, "system"), IC: plainIC(given(r, "ic")), Name: given(r, "name"), Email: given(r, "email"),
		From: given(r, "from"), Until: given(r, "until"), Document: given(r, "document")}
	if err := d.choices(r, p); err != nil {
		d.Failed(w, r, err)
		return
	}
	in := map[string]any{"ic": p.IC, "name": p.Name, "email": p.Email, "role": p.Role, "document": p.Document}
	if p.Faults = d.read(r, p, in); p.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, propose(p))
		return
	}
	var made struct {
		Appointment appointed `json:"appointment"`
	}
	if err := d.Call(r, http.MethodPost, appointmentsAPI, in, &made); err != nil {
		places := map[string]string{"ic": "ic", "name": "name", "email": "email", "role": "role", "agency": "agency", "system": "system", "from": "from", "until": "until", "document": "document",
			"document_missing": "document", "person_conflict": "name", "already_appointed": "role", "own_case": "ic"}
		d.Refused(w, r, err, places, func(f page.Faults) templ.Component { p.Faults = f; return propose(p) })
		return
	}
	d.Say(w, "office.said.proposed")
	page.See(w, r, below(appointmentsPath, made.Appointment.ID))
}

// read puts scope and dates into a request; what is missing it names.
func (d desk) read(r *http.Request, p *proposal, in map[string]any) (faults page.Faults) {
	lacks := func(field, value string) {
		if value == "" {
			faults = append(faults, page.Fault{Field: field, Text: page.T(r.Context(), "office.lacks."+field)})
		}
	}
	lacks("role", p.Role)
	ofAgency, ofSystem := p.appointedTo()
	if ofAgency {
		lacks("agency", p.Agency)
		in["agency"] = p.Agency
	}
	if ofSystem {
		lacks("system", p.System)
		in["system"] = p.System
	}
	for _, x := range [][2]string{{"ic", p.IC}, {"name", p.Name}, {"email", p.Email}, {"document", p.Document}} {
		lacks(x[0], x[1])
	}
	from, ok := day(p.From)
	switch {
	case p.From == "":
	case !ok:
		faults = append(faults, page.Fault{Field: "from", Text: page.T(r.Context(), "office.lacks.day")})
	case from.After(d.Now()):
		in["from"] = from
	case from.Before(d.Now().AddDate(0, 0, -1)):
		in["from"] = from // the API says what is wrong with it
	}
	if until, ok := day(p.Until); ok {
		in["until"] = until.AddDate(0, 0, 1) // with the last day
	} else if p.Until != "" {
		faults = append(faults, page.Fault{Field: "until", Text: page.T(r.Context(), "office.lacks.day")})
	}
	return faults
}

// file is one appointment as its page shows it.
type file struct {
	appointed
	Said      string
	Faults    page.Faults
	Own, Mine bool // it is about who is logged in; who is logged in proposed it
}

// mayConfirm and mayEnd are what the page offers; the API decides.
func (f *file) decider(r *http.Request) bool {
	return page.HasRole(r.Context(), "JDN") || f.Role == "AP" && page.HasRole(r.Context(), "SA")
}

func (d desk) fileOf(r *http.Request) (*file, error) {
	f := &file{}
	err := d.Call(r, http.MethodGet, below(appointmentsAPI, page.Param(r, "id")), nil, &f.appointed)
	who := page.Who(r.Context())
	f.Own, f.Mine = f.IC == who.IC, f.ProposedBy == "account:"+who.Account
	return f, err
}

func (d desk) appointment(w http.ResponseWriter, r *http.Request) {
	f, err := d.fileOf(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	f.Said = d.Said(w, r)
	d.Show(w, r, http.StatusOK, appointment(f, f.decider(r)))
}

// decide confirms, or has another set-up code mailed.
func (d desk) decide(w http.ResponseWriter, r *http.Request) {
	at := below(appointmentsAPI, page.Param(r, "id"))
	step, said := "/confirm", "office.said.confirmed"
	if r.PostForm.Get("do") == "resend" {
		step, said = "/resend", "office.said.resent"
	}
	if err := d.Call(r, http.MethodPost, at+step, nil, nil); err != nil {
		f, ferr := d.fileOf(r)
		if ferr != nil {
			d.Failed(w, r, ferr)
			return
		}
		d.Refused(w, r, err, nil, func(x page.Faults) templ.Component { f.Faults = x; return appointment(f, f.decider(r)) })
		return
	}
	d.Say(w, said)
	page.See(w, r, below(appointmentsPath, page.Param(r, "id")))
}

// farewell is the form that ends an appointment.
type farewell struct {
	*file
	When, Day, Document string
}

func (d desk) ending(w http.ResponseWriter, r *http.Request) {
	f, err := d.fileOf(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, ending(&farewell{file: f, When: "now"}))
}

func (d desk) end(w http.ResponseWriter, r *http.Request) {
	f, err := d.fileOf(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	e := &farewell{f, given(r, "when"), given(r, "day"), given(r, "document")}
	q := url.Values{"document": {e.Document}}
	if e.When == "day" {
		last, ok := day(e.Day)
		if !ok {
			e.Faults = append(e.Faults, page.Fault{Field: "day", Text: page.T(r.Context(), "office.lacks.day")})
		}
		q.Set("until", last.AddDate(0, 0, 1).UTC().Format(time.RFC3339))
	}
	if e.Document == "" {
		e.Faults = append(e.Faults, page.Fault{Field: "document", Text: page.T(r.Context(), "office.lacks.document")})
	}
	if e.Faults != nil {
		d.Show(w, r, http.StatusUnprocessableEntity, ending(e))
		return
	}
	if err := d.Call(r, http.MethodDelete, below(appointmentsAPI, f.ID)+"?"+q.Encode(), nil, nil); err != nil {
		d.Refused(w, r, err, map[string]string{"until": "day", "document": "document", "document_missing": "document"}, func(x page.Faults) templ.Component { e.Faults = x; return ending(e) })
		return
	}
	d.Say(w, "office.said.ended")
	page.See(w, r, below(appointmentsPath, f.ID))
}
