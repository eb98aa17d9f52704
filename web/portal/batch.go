package portal

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const batchesPath = "/portal/batches"

func (d *desk) batchRoutes(r chi.Router) {
	r.Get(batchesPath, d.batches)
	r.Get(batchesPath+"/new", d.newBatch)
	r.Post(batchesPath, d.Upload(d.makeBatch))
	r.Get(batchesPath+"/contoh.{kind}", d.exampleList)
	r.Route(batchesPath+"/{id}", func(r chi.Router) {
		r.Get("/", d.batch)
		r.Post("/list", d.Upload(d.moreOfBatch))
		r.Post("/sign", d.Form(d.signBatch))
		for act, f := range map[string]func(*http.Request, *lot) error{"pause": d.pauseBatch, "resume": d.resumeBatch, "stop": d.stopBatch, "cancel": d.cancelBatch, "retry": d.retryBatch} {
			r.Post("/"+act, d.Form(d.acting(f)))
		}
		r.Get("/progress", d.batchProgress)
		r.Get("/items", d.batchItems)
		for to, from := range map[string]string{"/arkib.zip": "/archive", "/ditolak.csv": "/refused?format=csv", "/ditolak.json": "/refused?limit=1000",
			"/items/{index}/pratonton.png": "/items/{index}/preview?format=png", "/items/{index}/pratonton.pdf": "/items/{index}/preview",
			"/items/{index}/fail": "/items/{index}/content", "/items/{index}/bukti.json": "/items/{index}/proof"} {
			r.Get(to, func(w http.ResponseWriter, r *http.Request) {
				d.Relay(w, r, batchAPI(r)+strings.ReplaceAll(from, "{index}", url.PathEscape(page.Param(r, "index"))))
			})
		}
	})
}

// lot is a batch as the API tells it.
type lot struct {
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
	CreatedAt     time.Time      `json:"created_at"` // in lists
	RefusedByCode map[string]int `json:"refused_by_code"`
}

func (b *lot) path() string { return batchesPath + "/" + url.PathEscape(b.ID) }

// ecert says whether its documents are drawn here, and can be looked at.
func (b *lot) ecert() bool { return b.Kind == "ecert" }

// done is what nothing more happens to by itself.
func (b *lot) done() int { return b.Signed + b.Refused }

// batchAPI is the API's address of the batch in the page's.
func batchAPI(r *http.Request) string { return "/v1/batches/" + url.PathEscape(page.Param(r, "id")) }

func (d *desk) lot(r *http.Request) (*lot, error) {
	b := &lot{}
	return b, d.Call(r, http.MethodGet, batchAPI(r), nil, b)
}

// batches is the list. What was cancelled before anything was in it interests nobody.
func (d *desk) batches(w http.ResponseWriter, r *http.Request) {
	var list struct {
		Batches []lot  `json:"batches"`
		Next    string `json:"next"`
	}
	at := "/v1/me/batches"
	if after := r.URL.Query().Get("after"); after != "" {
		at += "?" + url.Values{"after": {after}}.Encode()
	}
	if err := d.Call(r, http.MethodGet, at, nil, &list); err != nil {
		d.Failed(w, r, err)
		return
	}
	list.Batches = slices.DeleteFunc(list.Batches, func(b lot) bool { return b.Status == "CANCELLED" && b.Count == 0 && b.RefusedRows == 0 })
	d.Show(w, r, http.StatusOK, batches(list.Batches, list.Next, r.URL.Query().Get("after") != ""))
}

// beginning is the form of a new batch as it is shown again.
type lotForm struct {
	Name, Kind string
	Most       int64 // megabytes
	Faults     page.Faults
	Replacing  bool // another batch, which was cancelled for this one
}

func (d *desk) newBatch(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, newBatch(lotForm{Kind: "ecert", Most: d.MaxUpload >> 20}))
}

// types are what files of a name hold, for each kind of batch.
var lotTypes = map[string]map[string]string{
	"ecert": {".csv": "text/csv", ".txt": "text/csv", ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".zip": "application/zip"},
	"pdf":   {".zip": "application/zip", ".pdf": "application/pdf"},
}

// fileFault says what is wrong with a file before it is read: there is none, or it is of another kind.
func fileFault(ctx context.Context, u *page.Upload, kind string) (contentType, fault string) {
	if u.File == nil {
		return "", page.T(ctx, "batch.file.none")
	}
	contentType = lotTypes[kind][strings.ToLower(path.Ext(u.Name))]
	switch {
	case contentType != "":
		return contentType, ""
	case kind == "pdf":
		return "", page.T(ctx, "batch.file.type.pdf")
	}
	return "", page.T(ctx, "batch.file.type")
}

// makeBatch opens a batch and takes the list in. What cannot be taken in leaves no batch.
func (d *desk) makeBatch(w http.ResponseWriter, r *http.Request, u *page.Upload) {
	defer d.drain(u)
	page.Returning(r, batchesPath+"/new")
	f := lotForm{Name: strings.TrimSpace(u.Values.Get("name")), Kind: u.Values.Get("kind"), Most: d.MaxUpload >> 20}
	if lotTypes[f.Kind] == nil {
		f.Kind = "ecert"
	}
	contentType, fault := fileFault(r.Context(), u, f.Kind)
	if fault != "" {
		f.Faults = page.Faults{{Field: "file", Text: fault}}
		d.Show(w, r, http.StatusUnprocessableEntity, newBatch(f))
		return
	}
	name := f.Name
	if name == "" {
		name = nameOf(u.Name)
	}
	b, got, err := d.takenIn(r, name, f.Kind, contentType, u)
	if p := lotRefusal(err); p != nil {
		f.Faults = fileFaults(r.Context(), p)
		if b == nil { // before the upload the name alone can be wrong
			f.Faults = page.Faults{{Field: "name", Text: page.FaultsOf(r.Context(), p, nil)[0].Text}}
		}
		d.Show(w, r, p.Status, newBatch(f))
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.taken(w, b, got)
	page.See(w, r, b.path())
}

// shown is a refusal that the page can show beside its form; nil for another error.
func lotRefusal(err error) *page.Problem {
	if p := page.Of(err); p != nil && p.Status < 500 && p.Status != http.StatusUnauthorized {
		return p
	}
	return nil
}

// fileFaults are what was wrong with an upload. The API says it in the middle of a sentence.
func fileFaults(ctx context.Context, p *page.Problem) page.Faults {
	f := page.FaultsOf(ctx, p, nil)
	for k := range f {
		text := []rune(f[k].Text)
		f[k] = page.Fault{Field: "file", Text: strings.ToUpper(string(text[:1])) + string(text[1:])}
		if p.Row > 1 {
			f[k].Text = page.T(ctx, "batch.file.row", "N", p.Row, "Text", f[k].Text)
		}
	}
	return f
}

// nameOf is a batch's name after its file's, where the clerk gave none.
func nameOf(file string) string {
	file = path.Base(strings.ReplaceAll(file, `\`, "/"))
	name := []rune(strings.TrimSpace(strings.TrimSuffix(file, path.Ext(file))))
	return string(name[:min(len(name), 120)])
}

// takenIn makes a batch of one upload; when that is refused the batch is cancelled.
func (d *desk) takenIn(r *http.Request, name, kind, contentType string, u *page.Upload) (*lot, *lotIntake, error) {
	b := &lot{}
	if err := d.Call(r, http.MethodPost, "/v1/batches", map[string]string{"name": name, "kind": kind}, b); err != nil {
		return nil, nil, err
	}
	got, err := d.intake(r, b, contentType, u)
	if err == nil {
		return b, got, nil
	}
	// Perhaps the clerk's connection broke: the batch goes all the same.
	if gone := d.Call(r.WithContext(context.WithoutCancel(r.Context())), http.MethodDelete, "/v1/batches/"+url.PathEscape(b.ID), nil, nil); gone != nil {
		d.Log.WarnContext(r.Context(), "a batch whose upload failed could not be cancelled", "batch", b.ID, "error", gone)
	}
	return b, nil, err
}

// intake is what an upload came to.
type lotIntake struct {
	Accepted     int `json:"accepted"`
	RefusedCount int `json:"refused_count"`
	Notes        []struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"notes"`
}

// intake hands a file on to the batch as it arrives.
func (d *desk) intake(r *http.Request, b *lot, contentType string, u *page.Upload) (*lotIntake, error) {
	at := "/v1/batches/" + url.PathEscape(b.ID) + "/items"
	if contentType == "application/pdf" {
		at += "?" + url.Values{"name": {path.Base(u.Name)}}.Encode()
	}
	a, err := d.Ask(r, http.MethodPost, at, contentType, u.File)
	if err != nil {
		return nil, err
	}
	got := &lotIntake{}
	return got, a.Decode(got)
}

// drain reads what is left of a file that was refused, as much as could have been taken: a browser
// that is still sending sees no answer.
func (d *desk) drain(u *page.Upload) {
	if u.File != nil {
		_, _ = io.CopyN(io.Discard, u.File, max(d.MaxUpload, 1<<20))
	}
}

// notesCookie has what the API said of the newest upload, for the page of its batch.
const notesCookie = "notes"

type lotNotes struct {
	Batch string   `json:"b"`
	Texts []string `json:"t"`
}

func (d *desk) taken(w http.ResponseWriter, b *lot, got *lotIntake) {
	n := lotNotes{Batch: b.ID}
	for _, x := range got.Notes {
		n.Texts = append(n.Texts, x.Detail)
	}
	text, err := json.Marshal(n)
	if value := base64.RawURLEncoding.EncodeToString(text); err == nil && len(n.Texts) > 0 && len(value) < 3500 {
		http.SetCookie(w, d.Cookie(notesCookie, value, 3600))
		return
	}
	http.SetCookie(w, d.Cookie(notesCookie, "", -1))
}

func (d *desk) notesOf(r *http.Request, b *lot) (out []string) {
	var n lotNotes
	text, err := base64.RawURLEncoding.DecodeString(d.CookieValue(r, notesCookie))
	if err != nil || json.Unmarshal(text, &n) != nil || n.Batch != b.ID {
		return nil
	}
	for _, t := range n.Texts {
		out = append(out, half(r.Context(), t))
	}
	return out
}

// half is the part of a text in the language of the page, where the API gives it in Malay and
// English at once, a stroke between. What it quotes may have strokes of its own, in both alike.
func half(ctx context.Context, text string) string {
	const stroke = " / "
	parts := strings.Split(text, stroke)
	if len(parts)%2 != 0 {
		return text
	}
	return page.Pick(ctx, strings.Join(parts[:len(parts)/2], stroke), strings.Join(parts[len(parts)/2:], stroke))
}

// moreOfBatch takes in another list: added to the batch, or in its place as a batch anew.
func (d *desk) moreOfBatch(w http.ResponseWriter, r *http.Request, u *page.Upload) {
	defer d.drain(u)
	b, err := d.lot(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	page.Returning(r, b.path())
	contentType, fault := fileFault(r.Context(), u, b.Kind)
	if fault != "" {
		d.showBatch(w, r, http.StatusUnprocessableEntity, b, page.Faults{{Field: "file", Text: fault}})
		return
	}
	var got *lotIntake
	cancelled := false
	if u.Values.Get("how") == "replace" {
		// First: the same numbers may not be in two batches. What was in it the clerk has in the file.
		if err = d.Call(r, http.MethodDelete, batchAPI(r), nil, nil); err == nil {
			cancelled = true
			var anew *lot
			if anew, got, err = d.takenIn(r, b.Name, b.Kind, contentType, u); err == nil {
				b = anew
			}
		}
	} else {
		got, err = d.intake(r, b, contentType, u)
	}
	switch p := lotRefusal(err); {
	case err == nil:
		d.taken(w, b, got)
		page.See(w, r, b.path())
	case cancelled:
		d.notReplaced(w, r, b, err)
	case p == nil:
		d.Failed(w, r, err)
	default:
		faults := fileFaults(r.Context(), p)
		now, err := d.lot(r)
		if err != nil {
			d.Failed(w, r, err)
			return
		}
		d.showBatch(w, r, p.Status, now, faults)
	}
}

// notReplaced says that a batch was cancelled and the one in its place was not made, whatever the
// reason: the form with its name and kind. A session that has ended leads to the log-in, and from
// there to the cancelled batch.
func (d *desk) notReplaced(w http.ResponseWriter, r *http.Request, b *lot, err error) {
	p := page.Of(err)
	switch {
	case p != nil && p.Status == http.StatusUnauthorized:
		page.See(w, r, inQuery(page.LoginPath, "next", b.path()))
		return
	case p == nil:
		d.Log.ErrorContext(r.Context(), "a batch could not be replaced", "batch", b.ID, "error", err)
		p = &page.Problem{Status: http.StatusServiceUnavailable, Title: page.T(r.Context(), "page.later")}
	}
	page.Returning(r, batchesPath+"/new")
	d.Show(w, r, p.Status, newBatch(lotForm{Name: b.Name, Kind: b.Kind, Most: d.MaxUpload >> 20, Faults: fileFaults(r.Context(), p), Replacing: true}))
}
