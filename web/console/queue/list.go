package queue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/internal/table"
	"github.com/mohor-sign/mohor/web/page"
)

func (d *desk) listRoutes(r chi.Router) {
	r.Get(listPath, d.upload)
	r.Post(listPath, d.Upload(d.uploaded))
	r.Get(listPath+"/mend", back(listPath))
	r.Post(listPath+"/mend", d.LongForm(maxPosted, d.mend))
	r.Get(listPath+"/refused.csv", back(listPath))
	r.Post(listPath+"/refused.csv", d.LongForm(maxPosted, d.refused))
	r.Get(listPath+"/template.{format}", d.template)
	r.Get(onePath, d.oneForm)
	r.Post(onePath, d.Form(d.one))
}

// columns are those of the template, in order; the first five are needed.
func columns() []string {
	return []string{"no_kp", "nama", "emel", "agensi", "sistem", "pejabat_perakaunan", "fasa", "tiket"}
}

// reason is the column of the file of refused rows that says why; a list may come back with it.
const reason = "sebab_ditolak"

type uploadPage struct {
	Said   string
	Faults page.Faults
	JDN    bool // whose officers are mailed at once
}

func (d *desk) upload(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, (&uploadPage{Said: d.Said(w, r), JDN: page.HasRole(r.Context(), "JDN")}).page())
}

// fault is what the API found in a row.
type fault struct {
	Row    int    `json:"row"`
	Column string `json:"column"`
	Field  string `json:"field"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// report is what the API says of a list.
type report struct {
	Rows     int     `json:"rows"`
	Good     int     `json:"good"`
	Already  int     `json:"already"`
	Accepted int     `json:"accepted"`
	Count    int     `json:"refused_count"`
	Refused  []fault `json:"refused"`
}

// ask has the API judge a list, or add it.
func (d *desk) askList(r *http.Request, s *sheet, q url.Values) (rep report, err error) {
	a, err := d.Ask(r, http.MethodPost, "/v1/admin/enrolments/list?"+q.Encode(), "text/csv", bytes.NewReader(s.csv()))
	if err != nil {
		return rep, err
	}
	return rep, a.Decode(&rep)
}

func check() url.Values { return url.Values{"check": {"true"}} }

// uploaded judges a file that was sent and shows what there is to mend.
func (d *desk) uploaded(w http.ResponseWriter, r *http.Request, u *page.Upload) {
	p := &uploadPage{JDN: page.HasRole(r.Context(), "JDN")}
	wrong := func(status int, text string) {
		p.Faults = page.Faults{{Field: "file", Text: text}}
		d.Show(w, r, status, p.page())
	}
	if u.File == nil {
		wrong(http.StatusUnprocessableEntity, page.T(r.Context(), "queue.list.file.none"))
		return
	}
	s, err := open(u.File)
	var refused *table.Error
	switch {
	case errors.As(err, &refused):
		wrong(http.StatusUnprocessableEntity, page.T(r.Context(), "queue.list.file.line", "Row", refused.Line, "Why", page.Pick(r.Context(), refused.DetailMS, refused.Detail)))
		return
	case err != nil:
		d.Failed(w, r, err)
		return
	case len(s.Rows) == 0:
		wrong(http.StatusUnprocessableEntity, page.T(r.Context(), "queue.list.file.empty"))
		return
	}
	rep, err := d.askList(r, s, check())
	if err != nil {
		d.Refused(w, r, err, map[string]string{}, func(f page.Faults) templ.Component {
			p.Faults = page.Faults{{Field: "file", Text: f[0].Text}}
			return p.page()
		})
		return
	}
	page.Returning(r, listPath)
	d.Show(w, r, http.StatusOK, (&mending{sheet: s, report: rep, Name: name(u.Name), JDN: p.JDN}).page())
}

// name is a file's as it is shown.
func name(file string) string {
	if r := []rune(file); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return file
}

// shown is how many rows are mended at a time.
const shown = 50

// mending is the page on which rows are mended.
type mending struct {
	*sheet
	report
	Name   string // of the file
	Added  int    // by the form that is answered
	Failed bool   // it was to add all
	JDN    bool

	found []place // see places
}

// place is a row that is shown: a refused one with its faults, or a good one beside it.
type place struct {
	Row    int
	Cells  []string
	Faults []fault // none: it is good
	Gap    bool    // rows between this and the one before are not shown
}

// places are the rows that are shown, in order.
func (m *mending) places() []place {
	if m.found == nil {
		m.found = m.find()
	}
	return m.found
}

func (m *mending) find() (out []place) {
	wrong := map[int][]fault{}
	var numbers []int
	for _, f := range m.Refused {
		if len(wrong[f.Row]) == 0 {
			numbers = append(numbers, f.Row)
		}
		wrong[f.Row] = append(wrong[f.Row], f)
	}
	slices.Sort(numbers)
	if len(numbers) > shown {
		numbers = numbers[:shown]
	}
	last := 1
	for _, n := range numbers {
		for row := max(2, n-1); row <= n+1 && row-2 < len(m.sheet.Rows); row++ {
			if row <= last || row != n && (empty(m.sheet.Rows[row-2])) {
				continue
			}
			if row > n && slices.Contains(numbers, row) {
				continue // its turn comes
			}
			out = append(out, place{row, m.sheet.Rows[row-2], wrong[row], row > last+1})
			last = row
		}
	}
	return out
}

// left is how many refused rows are not shown.
func (m *mending) left() int {
	seen := map[int]bool{}
	for _, f := range m.Refused {
		seen[f.Row] = true
	}
	return max(0, m.Count-min(len(seen), shown))
}

// bad is the list with the refused rows alone.
func (m *mending) bad() *sheet {
	keep := map[int]bool{}
	for _, f := range m.Refused {
		keep[f.Row] = true
	}
	return m.only(keep)
}

// mend judges the rows as they were mended, and adds all of them, or the good ones, if it was asked.
func (d *desk) mend(w http.ResponseWriter, r *http.Request) {
	s, err := unpack(r.PostForm.Get("list"))
	if err != nil {
		d.Stray(w, r)
		return
	}
	page.Returning(r, listPath)
	s.mend(r.PostForm)
	m := &mending{sheet: s, Name: name(r.PostForm.Get("name")), JDN: page.HasRole(r.Context(), "JDN")}
	q := check()
	switch r.PostForm.Get("do") {
	case "all":
		q = url.Values{}
	case "good":
		q = url.Values{"good_only": {"true"}}
	}
	m.report, err = d.askList(r, s, q)
	if p := page.Of(err); p != nil && p.Code == "list_has_refused_rows" { // still
		m.Failed = true
		m.report, err = d.askList(r, s, check())
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	m.Added = m.Accepted
	if !m.Failed && q.Get("check") == "" && m.Count == 0 {
		d.Say(w, map[bool]string{true: "queue.said.sent", false: "queue.said.listed"}[m.JDN], m.Accepted+m.Already)
		page.See(w, r, listPath)
		return
	}
	status := http.StatusOK
	if m.Failed {
		status = http.StatusUnprocessableEntity
	}
	if m.Added > 0 { // what is left is the list from here on
		m.sheet = m.bad()
		m.Good, m.Already, m.report.Rows = 0, 0, m.Count
	}
	d.Show(w, r, status, m.page())
}

// refused is the rows that are refused as a file, each with the reason; it can be mended and comes back.
func (d *desk) refused(w http.ResponseWriter, r *http.Request) {
	s, err := unpack(r.PostForm.Get("list"))
	if err != nil {
		d.Stray(w, r)
		return
	}
	rep, err := d.askList(r, s, check())
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="baris-ditolak.csv"`)
	h.Set("Content-Security-Policy", page.Inert)
	if err := s.write(w, rep.Refused); err != nil {
		d.Log.WarnContext(r.Context(), "a file was not sent whole", "error", err)
	}
}

// write gives the rows that were refused with why.
func (s *sheet) write(w io.Writer, refused []fault) error {
	t, err := table.NewCSVWriter(w)
	if err != nil {
		return err
	}
	note := slices.Index(s.Head, reason)
	row := func(cells []string, why string) error {
		out := make([]any, 0, len(cells)+1)
		for k, c := range cells {
			if k != note {
				out = append(out, c)
			}
		}
		return t.Row(append(out, why)...)
	}
	if err := row(s.Head, reason); err != nil {
		return err
	}
	for k := 0; k < len(refused); {
		n, why := refused[k].Row, []string{}
		for ; k < len(refused) && refused[k].Row == n; k++ {
			why = append(why, strings.TrimPrefix(refused[k].Column+": "+refused[k].Detail, ": "))
		}
		if n < 2 || n-2 >= len(s.Rows) {
			continue
		}
		if err := row(s.Rows[n-2], strings.Join(why, "; ")); err != nil {
			return err
		}
	}
	return t.Close()
}

// template is an empty list to fill in.
func (d *desk) template(w http.ResponseWriter, r *http.Request) {
	format := page.Param(r, "format")
	begin := map[string]func(io.Writer) (table.Writer, error){"csv": table.NewCSVWriter, "xlsx": table.NewXLSXWriter}[format]
	if begin == nil {
		d.NotFound(w, r)
		return
	}
	var b bytes.Buffer
	t, err := begin(&b)
	if err == nil {
		cells := make([]any, len(columns()))
		for k, c := range columns() {
			cells[k] = c
		}
		if err = t.Row(cells...); err == nil {
			err = t.Close()
		}
	}
	if err != nil {
		d.Failed(w, r, fmt.Errorf("making a template: %w", err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", map[string]string{"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}[format])
	h.Set("Content-Disposition", `attachment; filename="senarai-pegawai.`+format+`"`)
	h.Set("Content-Security-Policy", page.Inert)
	_, _ = w.Write(b.Bytes()) // an error means that the reader has gone
}

// single is one officer to be added.
type single struct {
	IC     string `json:"ic"`
	Name   string `json:"name"`
	Email  string `json:"email"`
	Agency string `json:"agency"`
	System string `json:"system"`
	Office string `json:"office,omitempty"`
	Phase  string `json:"phase,omitempty"`
	Ticket string `json:"ticket,omitempty"`

	reg    registry
	own    []string // the systems of a SAP; none: all
	faults page.Faults
}

// start fills in what the person can choose from.
func (d *desk) start(r *http.Request, x *single) (err error) {
	if x.reg, err = d.registry(r); err != nil || page.HasRole(r.Context(), "JDN") {
		return err
	}
	for _, a := range page.Who(r.Context()).Appointments {
		if a.Role == "SAP" && !slices.Contains(x.own, a.System) {
			x.own = append(x.own, a.System)
		}
	}
	if len(x.own) == 1 && x.System == "" {
		x.System = x.own[0]
	}
	return nil
}

func (d *desk) oneForm(w http.ResponseWriter, r *http.Request) {
	x := &single{}
	if err := d.start(r, x); err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, x.page())
}

func (d *desk) one(w http.ResponseWriter, r *http.Request) {
	f := r.PostForm
	x := &single{IC: strings.NewReplacer("-", "", " ", "").Replace(f.Get("ic")), Name: f.Get("name"), Email: strings.TrimSpace(f.Get("email")), Agency: f.Get("agency"), System: f.Get("system"), Office: f.Get("office"), Phase: f.Get("phase"), Ticket: f.Get("ticket")}
	var out struct {
		ID string `json:"enrolment_id"`
	}
	err := d.Call(r, http.MethodPost, "/v1/admin/enrolments", x, &out)
	if err == nil {
		d.Say(w, "queue.said.one")
		page.See(w, r, enrolmentPath+out.ID)
		return
	}
	if failed := d.start(r, x); failed != nil {
		d.Failed(w, r, failed)
		return
	}
	places := map[string]string{}
	for _, name := range []string{"ic", "name", "email", "agency", "system", "office", "phase", "ticket"} {
		places[name] = name
	}
	for ours, theirs := range map[string]string{"ic": "no_kp", "name": "nama", "email": "emel", "agency": "agensi", "system": "sistem"} {
		places[theirs] = ours
	}
	d.Refused(w, r, err, places, func(faults page.Faults) templ.Component {
		x.faults = faults
		return x.page()
	})
}
