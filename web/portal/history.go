package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

const historyPath = "/portal/history"

func (d *desk) historyRoutes(r chi.Router) {
	r.Get(historyPath, d.history)
	r.Get(historyPath+"/{id}", d.evidence)
	r.Post(historyPath+"/{id}/cancel", d.Form(d.withdraw))
	r.Get(historyPath+"/{id}/evidence.json", d.evidenceFile)
	r.Get(historyPath+"/{id}/proof/{index}", d.proof)
}

// past is a transaction in which the officer is the signatory.
type past struct {
	ID          string `json:"transaction_id"`
	Status      string `json:"status"`
	Code        string `json:"code"`
	Own         bool   `json:"own"`
	App         string `json:"app"`
	System      string `json:"system"`
	Process     string `json:"process"`
	Role        string `json:"role"`
	DataHeader  string `json:"data_header"`
	Format      string `json:"format"`
	Level       string `json:"level"`
	Count       int    `json:"count"`
	Root        string `json:"root"`
	Fingerprint string `json:"fingerprint"`
	Total       *struct {
		Amount   string `json:"amount"`
		Currency string `json:"currency"`
	} `json:"total"`
	BatchID    string     `json:"batch_id"`
	BatchName  string     `json:"batch_name"`
	Name       string     `json:"name"` // of the first document
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

// Signed says whether there are signatures.
func (p *past) Signed() bool { return p.Status == "SIGNED" || p.Status == "SIGNED_WITH_REFUSALS" }

// Tone is that of its state.
func (p *past) Tone() string {
	switch p.Status {
	case "SIGNED":
		return page.Good
	case "FAILED":
		return page.Bad
	case "EXPIRED", "CANCELLED":
		return "still"
	}
	return page.Wait
}

// testimony is one of them, with what it leaves as evidence.
type testimony struct {
	past
	SignedCount int        `json:"signed"`
	Refused     int        `json:"refused"`
	IntendedAt  *time.Time `json:"intended_at"`
	Sent        *struct {
		Channel string    `json:"channel"`
		To      string    `json:"sent_to"`
		At      time.Time `json:"sent_at"`
	} `json:"code_sent"`
	Information *information `json:"signature_information"`
	Documents   []exhibit    `json:"documents"`
	More        bool         `json:"more"`
	Audit       []struct {
		Number  int64     `json:"number"`
		At      time.Time `json:"at"`
		Action  string    `json:"action"`
		Verdict string    `json:"verdict"`
	} `json:"audit"`
}

// exhibit is a document that was authorised.
type exhibit struct {
	Index     int    `json:"index"`
	Name      string `json:"name"`
	Reference string `json:"reference"`
	Digest    struct {
		Alg   string `json:"alg"`
		Value string `json:"value"`
	} `json:"digest"`
	State  string `json:"state"`
	Level  string `json:"level"`
	Code   string `json:"code"`
	Detail string `json:"detail"`

	Document string `json:"-"` // id of the upload, where the signed PDF can be fetched
}

// historyPage is how many transactions a page has.
const historyPage = 25

// states are those that the list can be narrowed to.
func states() []string {
	return []string{"SIGNED", "WAITING", "SIGNING", "SIGNED_WITH_REFUSALS", "NEEDS_AUTHORISATION", "EXPIRED", "CANCELLED", "FAILED"}
}

// archive is a page of the history.
type archive struct {
	Transactions []past `json:"transactions"`
	Next         string `json:"next"`

	Status, After string
}

// Older is the address of the page after it.
func (a *archive) Older() string {
	q := url.Values{"after": {a.Next}}
	if a.Status != "" {
		q.Set("status", a.Status)
	}
	return historyPath + "?" + q.Encode()
}

// Newest is the address of the first page.
func (a *archive) Newest() string {
	if a.Status == "" {
		return historyPath
	}
	return historyPath + "?" + url.Values{"status": {a.Status}}.Encode()
}

func (d *desk) history(w http.ResponseWriter, r *http.Request) {
	a := archive{Status: r.URL.Query().Get("status"), After: r.URL.Query().Get("after")}
	if !slices.Contains(states(), a.Status) {
		a.Status = "" // all
	}
	q := url.Values{"limit": {strconv.Itoa(historyPage)}}
	if a.Status != "" {
		q.Set("status", a.Status)
	}
	if a.After != "" {
		q.Set("after", a.After)
	}
	err := d.Call(r, http.MethodGet, "/v1/me/transactions?"+q.Encode(), nil, &a)
	if p := page.Of(err); p != nil && p.Status == http.StatusBadRequest && a.After != "" {
		page.See(w, r, a.Newest()) // no place in the list
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, historyList(&a))
}

func (d *desk) evidence(w http.ResponseWriter, r *http.Request) {
	id := page.Param(r, "id")
	if !identifier.MatchString(id) {
		d.NotFound(w, r)
		return
	}
	var t testimony
	err := d.Call(r, http.MethodGet, "/v1/me/transactions/"+id, nil, &t)
	if p := page.Of(err); p != nil && p.Status == http.StatusNotFound {
		d.NotFound(w, r)
		return
	}
	if err == nil && t.Own && t.BatchID == "" && t.Signed() {
		err = d.uploads(r, &t)
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, testify(&t))
}

// withdraw ends what was asked for here and waits for PIN and code, whatever became of its page. What
// has ended already, and what is not the officer's to end, the evidence tells.
func (d *desk) withdraw(w http.ResponseWriter, r *http.Request) {
	id := page.Param(r, "id")
	if !identifier.MatchString(id) {
		d.NotFound(w, r)
		return
	}
	err := d.Call(r, http.MethodDelete, "/v1/transactions/"+id, nil, nil)
	if p := page.Of(err); err != nil && (p == nil || p.Status == http.StatusUnauthorized || p.Status == http.StatusTooManyRequests || p.Status >= 500) {
		d.Failed(w, r, err)
		return
	}
	page.See(w, r, historyPath+"/"+id)
}

// uploads finds the documents of a transaction of the portal, which the officer can fetch.
func (d *desk) uploads(r *http.Request, t *testimony) error {
	var a asked
	err := d.Call(r, http.MethodGet, "/v1/transactions/"+t.ID, nil, &a)
	if p := page.Of(err); p != nil && p.Status == http.StatusNotFound {
		return nil // it is kept, and no longer to be fetched
	}
	if err != nil {
		return err
	}
	for k := range t.Documents {
		if x := t.Documents[k].Index; x < len(a.Signatures) && t.Documents[k].State == "signed" && identifier.MatchString(a.Signatures[x].DocumentID) {
			t.Documents[k].Document = a.Signatures[x].DocumentID
		}
	}
	return nil
}

// evidenceFile is what the API says of the transaction, as a file to keep.
func (d *desk) evidenceFile(w http.ResponseWriter, r *http.Request) {
	id := page.Param(r, "id")
	if !identifier.MatchString(id) {
		d.NotFound(w, r)
		return
	}
	a, err := d.Ask(r, http.MethodGet, "/v1/me/transactions/"+id, "", nil)
	if err == nil {
		err = a.Decode(nil)
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.save(w, a, "bukti-"+id+".json")
}

// save gives an answer of the API as a file.
func (d *desk) save(w http.ResponseWriter, a *page.Answer, name string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Content-Security-Policy", page.Inert)
	_, _ = w.Write(a.Body) // an error means that the reader has gone
}

// proof is what shows that a document was among those of an own batch.
func (d *desk) proof(w http.ResponseWriter, r *http.Request) {
	id, text := page.Param(r, "id"), page.Param(r, "index")
	index, err := strconv.ParseUint(text, 10, 32)
	if err != nil || !identifier.MatchString(id) {
		d.NotFound(w, r)
		return
	}
	var t past
	if err := d.Call(r, http.MethodGet, "/v1/me/transactions/"+id, nil, &t); err != nil {
		d.Failed(w, r, err)
		return
	}
	if !t.Own || !identifier.MatchString(t.BatchID) {
		d.NotFound(w, r)
		return
	}
	index1 := strconv.FormatUint(index, 10)
	a, err := d.Ask(r, http.MethodGet, "/v1/batches/"+t.BatchID+"/items/"+index1+"/proof", "", nil)
	if err == nil {
		err = a.Decode(nil)
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.save(w, a, "bukti-"+t.BatchID+"-"+index1+".json")
}
