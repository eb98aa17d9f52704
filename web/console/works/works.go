// Package works serves the console's pages of what the gateway works on: batches of all apps, the
// letters it sends, and how eCertificates look.
package works

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
	batchesPath   = "/admin/batches"
	outboxPath    = "/admin/outbox"
	templatesPath = "/admin/templates"
)

// Routes adds its pages to r, whose visitors are administrators in a role that the menu lets in.
func Routes(r chi.Router, s *page.Site) {
	d := &desk{s}
	r.Get(batchesPath, d.batches)
	r.Get(batchesPath+"/{id}", d.batch)
	r.Get(batchesPath+"/{id}/progress", d.progress)
	r.Get(batchesPath+"/{id}/{what:pause|resume|cancel|retry}", d.askBatch)
	r.Post(batchesPath+"/{id}/{what:pause|resume|cancel|retry}", s.Form(d.turnBatch))
	r.Get(outboxPath, d.outbox)
	r.Get(outboxPath+"/{id}/{what:retry|drop}", d.askLetter)
	r.Post(outboxPath+"/{id}/{what:retry|drop}", s.Form(d.turnLetter))
	r.Get(templatesPath, d.templates)
	r.Get(templatesPath+"/versions/{version}", d.version)
	r.Post(templatesPath+"/versions/{version}/{what:confirm|reject}", s.Form(d.decide))
	r.Get(templatesPath+"/{name}", d.template)
	r.Post(templatesPath+"/{name}", s.Upload(d.propose))
	r.Post(templatesPath+"/{name}/preview", s.Upload(d.preview))
	r.Post(templatesPath+"/{name}/draft", s.Upload(d.draft))
	r.Get(templatesPath+"/{name}/sample.png", d.sample)
}

// desk asks the API for these pages.
type desk struct{ *page.Site }

// work is a batch as the API tells it.
type work struct {
	ID            string         `json:"batch_id"`
	Name          string         `json:"name"`
	Kind          string         `json:"kind"`
	Status        string         `json:"status"`
	Count         int            `json:"count"`
	Signed        int            `json:"signed"`
	Refused       int            `json:"refused"`
	Pending       int            `json:"pending"`
	RefusedRows   int            `json:"refused_rows"`
	Fingerprint   string         `json:"fingerprint"`
	Rate          float64        `json:"rate"`
	ETA           *time.Time     `json:"eta"`
	StartedAt     *time.Time     `json:"started_at"`
	FinishedAt    *time.Time     `json:"finished_at"`
	RefusedByCode map[string]int `json:"refused_by_code"`
	Needs         *struct {
		Message string `json:"message"`
	} `json:"needs"`
	App       string    `json:"app_id"`
	AppName   string    `json:"app_name"`
	Own       bool      `json:"own"`
	CreatedAt time.Time `json:"created_at"`
	Officer   *struct {
		IC          string `json:"ic"`
		Name        string `json:"name"`
		Transaction string `json:"transaction_id"`
		Status      string `json:"transaction_status"`
		System      string `json:"system"`
	} `json:"officer"`
	Look    int64    `json:"template_version"`
	Actions []string `json:"actions"`
}

func (b *work) path() string { return batchesPath + "/" + url.PathEscape(b.ID) }

func (b *work) can(what string) bool { return slices.Contains(b.Actions, what) }

// done is how many have an outcome.
func (b *work) done() int { return b.Signed + b.Refused }

// since is when it last became what it is, as far as that is told.
func (b *work) since() time.Time {
	switch {
	case b.FinishedAt != nil:
		return *b.FinishedAt
	case b.StartedAt != nil:
		return *b.StartedAt
	}
	return b.CreatedAt
}

// tone is the colour of a state.
func tone(status string) string {
	switch status {
	case "SIGNED":
		return page.Good
	case "NEEDS_AUTHORISATION", "PAUSED", "SIGNED_WITH_REFUSALS", "SEALED":
		return page.Wait
	case "CANCELLED", "EXPIRED":
		return page.Bad
	}
	return page.Info
}

// statuses are the states of a batch in the order of its life.
func statuses() []string {
	return []string{"OPEN", "SEALED", "SIGNING", "PAUSED", "NEEDS_AUTHORISATION", "SIGNED", "SIGNED_WITH_REFUSALS", "CANCELLED", "EXPIRED"}
}

// worksList is a page of batches.
type worksList struct {
	Batches []work `json:"batches"`
	Next    string `json:"next"`

	status, app string
	first       bool
	said        string
}

// at is the address of the list from another place on.
func (l *worksList) at(after string) string {
	return address(batchesPath, "status", l.status, "app", l.app, "after", after)
}

// address is a path with those of names and values that have one.
func address(path string, pairs ...string) string {
	q := url.Values{}
	for k := 0; k+1 < len(pairs); k += 2 {
		if pairs[k+1] != "" {
			q.Set(pairs[k], pairs[k+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

func (d *desk) batches(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	l := worksList{status: q.Get("status"), app: q.Get("app"), first: q.Get("after") == ""}
	if !slices.Contains(statuses(), l.status) {
		l.status = ""
	}
	err := d.Call(r, http.MethodGet, address("/v1/admin/batches", "status", l.status, "app", l.app, "after", q.Get("after")), nil, &l)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	l.said = d.Said(w, r)
	d.Show(w, r, http.StatusOK, batchList(&l))
}

// refusals are what of a batch was refused.
type refusals struct {
	Rows []struct {
		Row    int    `json:"row"`
		Column string `json:"column"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"rows"`
	Items []struct {
		Index     int    `json:"index"`
		Reference string `json:"reference"`
		Code      string `json:"code"`
		Detail    string `json:"detail"`
	} `json:"items"`
	NextRow  *int `json:"next_row"`
	NextItem *int `json:"next_item"`
}

func batchAPI(r *http.Request) string {
	return "/v1/admin/batches/" + url.PathEscape(page.Param(r, "id"))
}

func (d *desk) batch(w http.ResponseWriter, r *http.Request) {
	var b work
	var no refusals
	err := d.Call(r, http.MethodGet, batchAPI(r), nil, &b)
	if err == nil && b.RefusedRows+b.Refused > 0 {
		q := r.URL.Query()
		err = d.Call(r, http.MethodGet, address(batchAPI(r)+"/refusals", "after_row", q.Get("row"), "after_item", q.Get("item")), nil, &no)
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, batchPage(&b, &no, d.Said(w, r)))
}

// progress is the part of a batch's page that says how far it is; a script asks for it.
func (d *desk) progress(w http.ResponseWriter, r *http.Request) {
	var b work
	if err := d.Call(r, http.MethodGet, batchAPI(r)+"/progress", nil, &b); err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, progress(&b, b.Status != r.URL.Query().Get("as")))
}

func (d *desk) askBatch(w http.ResponseWriter, r *http.Request) {
	var b work
	if err := d.Call(r, http.MethodGet, batchAPI(r), nil, &b); err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, batchDeed(&b, page.Param(r, "what"), "", nil))
}

func (d *desk) turnBatch(w http.ResponseWriter, r *http.Request) {
	what, reason := page.Param(r, "what"), r.PostForm.Get("reason")
	err := d.Call(r, http.MethodPost, batchAPI(r)+"/"+what, map[string]string{"reason": reason}, nil)
	if err == nil {
		d.Say(w, "works.said."+what)
		page.See(w, r, batchesPath+"/"+url.PathEscape(page.Param(r, "id")))
		return
	}
	var b work
	if rerr := d.Call(r, http.MethodGet, batchAPI(r), nil, &b); rerr != nil {
		d.Failed(w, r, err)
		return
	}
	d.Refused(w, r, err, map[string]string{"reason": "reason", "reason_missing": "reason", "body.reason": "reason"}, func(f page.Faults) templ.Component { return batchDeed(&b, what, reason, f) })
}
