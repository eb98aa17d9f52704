package portal

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/mohor-sign/mohor/internal/table"
	"github.com/mohor-sign/mohor/web/page"
)

// batchEvents sends how the work goes on to the page that shows it, and "done" when that page is
// one of another state.
func (d *desk) batchEvents(w http.ResponseWriter, r *http.Request) {
	as := r.URL.Query().Get("as")
	d.Stream(w, r, batchAPI(r)+"/events", func(e page.Event) (string, templ.Component) {
		b := &lot{}
		if e.Name != "progress" && e.Name != "done" || json.Unmarshal(e.Data, b) != nil {
			return "", nil // what was refused is counted in the next one
		}
		if e.Name == "done" || b.Status != as {
			return "done", nil
		}
		return "", lotProgress(b)
	})
}

// batchProgress is the same where events do not arrive.
func (d *desk) batchProgress(w http.ResponseWriter, r *http.Request) {
	b, err := d.lot(r)
	switch {
	case err != nil:
		d.Failed(w, r, err)
	case b.Status != r.URL.Query().Get("as"):
		d.Show(w, r, http.StatusOK, lotOver())
	default:
		d.Show(w, r, http.StatusOK, lotProgress(b))
	}
}

// left says in words how long the work still takes.
func lotLeft(ctx context.Context, b *lot) string {
	if b.ETA == nil || b.Pending == 0 {
		return page.T(ctx, "batch.left.unknown")
	}
	switch t := b.ETA.Sub(page.Now(ctx)); {
	case t < time.Minute:
		return page.T(ctx, "batch.left.moment")
	case t < time.Hour:
		return page.T(ctx, "batch.left.minutes", "Count", int(t.Minutes()+0.5))
	default:
		return page.T(ctx, "batch.left.hours", "Count", int(t.Hours()), "Minutes", int(t.Minutes())%60)
	}
}

// rate says how fast the work is.
func lotRate(ctx context.Context, b *lot) string {
	if b.Rate >= 1 {
		return page.T(ctx, "batch.rate.second", "N", page.Number(int(b.Rate+0.5)))
	}
	return page.T(ctx, "batch.rate.minute", "N", page.Number(int(60*b.Rate+0.5)))
}

// took is how long signing took, in words.
func lotTook(ctx context.Context, b *lot) string {
	s := int(b.FinishedAt.Sub(*b.StartedAt).Seconds() + 0.5)
	if s < 60 {
		return page.T(ctx, "batch.took.seconds", "Count", max(s, 1))
	}
	return page.T(ctx, "batch.took.minutes", "Count", s/60, "Seconds", s%60)
}

// tone is the colour of a state.
func lotTone(status string) string {
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

// stage is where on the way a batch stands.
func lotStage(b *lot) int {
	switch b.Status {
	case "OPEN":
		return 2
	case "SIGNED", "SIGNED_WITH_REFUSALS":
		return 4
	}
	return 3
}

// todo says what to do about a refusal.
func lotTodo(ctx context.Context, code string) string {
	if page.Has(ctx, "batch.todo."+code) {
		return page.T(ctx, "batch.todo."+code)
	}
	return page.T(ctx, "batch.todo.other")
}

// listed is a page of a batch's documents.
type lotList struct {
	*lot
	State, Find string
	Items       []lotItem
	Next        *int
	First       bool
}

// at is the address of the same list from another place on; after nil: its beginning.
func (l *lotList) at(after *int) string {
	q := url.Values{}
	for name, v := range map[string]string{"state": l.State, "cari": l.Find} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if after != nil {
		q.Set("after", strconv.Itoa(*after))
	}
	return l.path() + "/items?" + q.Encode()
}

// batchItems lists a batch's documents, those of a state or name.
func (d *desk) batchItems(w http.ResponseWriter, r *http.Request) {
	b, err := d.lot(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	in := r.URL.Query()
	l := &lotList{lot: b, Find: strings.TrimSpace(in.Get("cari")), First: in.Get("after") == ""}
	q := url.Values{"limit": {"50"}}
	if s := in.Get("state"); s == "signed" || s == "refused" || s == "pending" {
		l.State = s
		q.Set("state", s)
	}
	if l.Find != "" {
		q.Set("named", l.Find)
	}
	if n, err := strconv.Atoi(in.Get("after")); err == nil {
		q.Set("after", strconv.Itoa(n))
	}
	if l.Items, l.Next, err = d.items(r, q); err != nil {
		if p := lotRefusal(err); p == nil || l.Find == "" {
			d.Failed(w, r, err)
			return
		}
	}
	d.Show(w, r, http.StatusOK, batchItems(l))
}

// exampleRows are people that there are not: the place code of their numbers is 99.
var exampleRows = [][]any{
	{"nama", "no_kp", "no_sijil", "kod_program", "nama_program", "tahap", "kod_pusat", "pusat", "batch", "tahun", "bahasa"},
	{"NUR AISYAH BINTI MOHD CONTOH", "020110996056", "CONTOH-0001", "TP-021-3:2013", "PENYEDIAAN DAN PEMBUATAN MAKANAN", "SKM 3", "CTH-0601", "PUSAT LATIHAN CONTOH", "2026/07-A", "072026", "ms"},
	{"SUBRAMANIAM A/L CONTOH", "010330992984", "CONTOH-0002", "TP-021-3:2013", "FOOD PREPARATION AND PRODUCTION", "SKM 3", "CTH-0601", "CONTOH SKILLS ACADEMY SDN. BHD.", "2026/07-A", "072026", "en"},
	{"LIM CONTOH @ AMINAH", "711002997437", "CONTOH-0003", "EE-021-2:2012", "PEMASANGAN DAN PENYELENGGARAAN ELEKTRIK - SATU FASA", "SKM 2", "CTH-0522", "PUSAT LATIHAN CONTOH", "2026/07-A", "072026", "ms"},
}

// exampleList is a list to begin with.
func (d *desk) exampleList(w http.ResponseWriter, r *http.Request) {
	kind := page.Param(r, "kind")
	form := map[string]struct {
		contentType string
		begin       func(io.Writer) (table.Writer, error)
	}{"csv": {"text/csv; charset=utf-8", table.NewCSVWriter}, "xlsx": {lotTypes["ecert"][".xlsx"], table.NewXLSXWriter}}[kind]
	if form.begin == nil {
		d.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", form.contentType)
	w.Header().Set("Content-Disposition", `attachment; filename="senarai-contoh.`+kind+`"`)
	t, err := form.begin(w)
	for k := 0; err == nil && k < len(exampleRows); k++ {
		err = t.Row(exampleRows[k]...)
	}
	if err == nil {
		err = t.Close()
	}
	if err != nil {
		d.Log.ErrorContext(r.Context(), "the example of a list could not be sent", "error", err)
	}
}

// columnsTaken are those of a list of candidates, as ecert names them first.
var columnsTaken = []string{"nama", "no_kp", "no_sijil", "kod_program", "nama_program", "tahap", "kod_pusat", "pusat", "batch", "tahun", "bahasa", "foto"}

// nextOf is what its clerk does next with a batch.
func nextOf(b *lot) string {
	if b.Status == "OPEN" && b.Count == 0 {
		return "EMPTY"
	}
	return b.Status
}

// itemTone is the colour of a document's state.
func itemTone(state string) string {
	switch state {
	case "signed":
		return page.Good
	case "refused":
		return page.Bad
	}
	return page.Wait
}

// why says why a document was refused.
func lotWhy(ctx context.Context, x *lotItem) string {
	text := half(ctx, x.Detail)
	if text == "" {
		text = x.Code
	}
	return text
}

// moving says whether the page tells how the work goes on.
func (v *lotView) moving() bool { return v.Status == "SIGNING" || v.Status == "PAUSED" }

// reload is for browsers without scripts.
func (v *lotView) reload() int {
	if v.moving() {
		return 3
	}
	return 0
}

// how is what most people want to do with another list: after refusals mend the whole of it.
func (v *lotView) how() string {
	if v.RefusedRows > 0 || v.Count == 0 {
		return "replace"
	}
	return "add"
}

func (v *lotView) accept() string {
	if v.Kind == "pdf" {
		return ".zip,.pdf"
	}
	return ".csv,.xlsx,.zip"
}

// when says when the work was done, and how long it took.
func (v *lotView) when(ctx context.Context) string {
	if v.FinishedAt == nil || v.StartedAt == nil {
		return ""
	}
	return page.T(ctx, "batch.signed.at", "When", page.Moment(ctx, *v.FinishedAt), "Took", lotTook(ctx, v.lot))
}

// dash stands where there is nothing.
func dash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}
