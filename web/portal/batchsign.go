package portal

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/web/page"
)

// item is a document of a batch.
type lotItem struct {
	Index    int        `json:"index"`
	Name     string     `json:"name"`
	State    string     `json:"state"`
	Code     string     `json:"code"`
	Detail   string     `json:"detail"`
	SignedAt *time.Time `json:"signed_at"`
	Level    string     `json:"level"`
}

// row is one that was refused when the list came in.
type lotRow struct {
	Row    int    `json:"row"`
	Column string `json:"column"`
	Name   string `json:"name"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// view is a batch with what its page shows of it.
type lotView struct {
	*lot
	Faults page.Faults
	Notes  []string
	Rows   []lotRow // refused at intake, the first hundred
	Most   int64    // megabytes of an upload

	Previewed *lotItem // that is looked at
	Find      string   // what was looked for
	Missing   bool     // it was not there

	Systems []page.Option // that the officer can sign for now
	Unable  string        // why for none
	Waiting *lotAsked     // a signing page is open

	Items []lotItem // refused while signing, the first hundred
}

// asked is a transaction of the officer's own.
type lotAsked struct {
	ID        string    `json:"transaction_id"`
	Status    string    `json:"status"`
	BatchID   string    `json:"batch_id"`
	Code      string    `json:"code"`
	CreatedAt time.Time `json:"created_at"`
	URL       string    `json:"signing_url"`
}

// shows says in how many rows a page shows a long list.
const lotShows = 100

func (d *desk) batch(w http.ResponseWriter, r *http.Request) {
	b, err := d.lot(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.showBatch(w, r, http.StatusOK, b, nil)
}

// showBatch shows how a batch stands, and what to do next.
func (d *desk) showBatch(w http.ResponseWriter, r *http.Request, status int, b *lot, faults page.Faults) {
	v := &lotView{lot: b, Faults: faults, Most: d.MaxUpload >> 20}
	if err := d.fill(r, v); err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, status, batchPage(v))
}

// fill asks for what the page of a batch in its state needs.
func (d *desk) fill(r *http.Request, v *lotView) error {
	unsigned := v.Status == "OPEN" || v.Status == "SEALED" || v.Status == "NEEDS_AUTHORISATION"
	if v.Status == "OPEN" {
		v.Notes = d.notesOf(r, v.lot)
		if v.RefusedRows > 0 {
			var got struct {
				Refused []lotRow `json:"refused"`
			}
			if err := d.Call(r, http.MethodGet, batchAPI(r)+"/refused?limit="+strconv.Itoa(lotShows), nil, &got); err != nil {
				return err
			}
			v.Rows = got.Refused
		}
	}
	if unsigned && v.Count > 0 {
		if v.ecert() && v.Status != "NEEDS_AUTHORISATION" {
			if err := d.preview(r, v); err != nil {
				return err
			}
		}
		if err := d.able(r, v); err != nil {
			return err
		}
	}
	if unsigned && v.Status != "OPEN" {
		var err error
		if v.Waiting, err = d.ofBatch(r, v.ID, "WAITING"); err != nil {
			return err
		}
	}
	if v.Refused > 0 && strings.HasPrefix(v.Status, "SIGNED") {
		got, _, err := d.items(r, url.Values{"state": {"refused"}, "limit": {strconv.Itoa(lotShows)}})
		v.Items = got
		return err
	}
	return nil
}

// items are a page of a batch's, and after which to go on.
func (d *desk) items(r *http.Request, q url.Values) ([]lotItem, *int, error) {
	var got struct {
		Items []lotItem `json:"items"`
		Next  *int      `json:"next"`
	}
	err := d.Call(r, http.MethodGet, batchAPI(r)+"/items?"+q.Encode(), nil, &got)
	return got.Items, got.Next, err
}

// preview finds the certificate to be looked at: by its place, from 1, or by name or number; else
// the first.
func (d *desk) preview(r *http.Request, v *lotView) error {
	q := url.Values{"limit": {"1"}}
	at, err := strconv.Atoi(strings.TrimSpace(r.URL.Query().Get("sijil")))
	switch v.Find = strings.TrimSpace(r.URL.Query().Get("cari")); {
	case v.Find != "":
		if n, err := strconv.Atoi(v.Find); err == nil && n >= 1 && n <= v.Count {
			q.Set("after", strconv.Itoa(n-2))
		} else {
			q.Set("named", v.Find)
		}
	case err == nil && at >= 1 && at <= v.Count:
		q.Set("after", strconv.Itoa(at-2))
	}
	got, _, err := d.items(r, q)
	if p := lotRefusal(err); p != nil && v.Find != "" { // too long to be a name
		got, err = nil, nil
	}
	if err == nil && len(got) == 0 {
		v.Missing = true
		got, _, err = d.items(r, url.Values{"limit": {"1"}})
	}
	if err == nil && len(got) > 0 {
		v.Previewed = &got[0]
	}
	return err
}

// able finds for which systems the officer can sign now.
func (d *desk) able(r *http.Request, v *lotView) error {
	var got struct {
		CanSign bool   `json:"can_sign"`
		Next    string `json:"next_step"`
		Media   []struct {
			Medium string `json:"medium"`
			Status string `json:"status"`
			System string `json:"system"`
		} `json:"media"`
	}
	if err := d.Call(r, http.MethodGet, "/v1/me/certificate", nil, &got); err != nil {
		return err
	}
	for _, m := range got.Media {
		if m.Medium == "ROAMING_OTP" && m.Status == "ACTIVE" {
			v.Systems = append(v.Systems, page.Option{Value: m.System, Text: m.System})
		}
	}
	if !got.CanSign || len(v.Systems) == 0 {
		if v.Systems, v.Unable = nil, got.Next; v.Unable == "" {
			v.Unable = page.T(r.Context(), "batch.unable.text")
		}
	}
	return nil
}

// ofBatch is the officer's newest transaction in a state for a batch; nil for none.
func (d *desk) ofBatch(r *http.Request, id, status string) (*lotAsked, error) {
	var got struct {
		Transactions []lotAsked `json:"transactions"`
	}
	if err := d.Call(r, http.MethodGet, "/v1/me/transactions?"+url.Values{"status": {status}, "limit": {"200"}}.Encode(), nil, &got); err != nil {
		return nil, err
	}
	for k := range got.Transactions {
		if x := &got.Transactions[k]; x.BatchID == id && x.Status == status {
			return x, nil
		}
	}
	return nil, nil
}

// signBatch seals a batch that is open, asks for its signature and leads to the signing page. In
// two windows at once one is first; the other is shown how the batch stands.
func (d *desk) signBatch(w http.ResponseWriter, r *http.Request) {
	page.Returning(r, batchesPath+"/"+url.PathEscape(page.Param(r, "id")))
	b, err := d.lot(r)
	if err == nil && b.Status == "OPEN" {
		err = d.Call(r, http.MethodPost, batchAPI(r)+"/seal", map[string]bool{"accept_refused": r.PostForm.Get("accept") == "1"}, b)
		if p := page.Of(err); p != nil && p.Code == "batch_sealed" {
			err = nil
		}
	}
	var tx *lotAsked
	if err == nil {
		tx, err = d.askFor(r, page.Param(r, "id"))
	}
	if p := lotRefusal(err); p != nil {
		now, err := d.lot(r)
		if err != nil {
			d.Failed(w, r, err)
			return
		}
		d.showBatch(w, r, p.Status, now, page.FaultsOf(r.Context(), p, map[string]string{"batch_has_refused_rows": "accept"}))
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Sign(w, r, tx.URL)
}

// askFor asks for the signature of a sealed batch. A signing page that is open already, in a window
// that was closed perhaps, makes room if the officer says so.
func (d *desk) askFor(r *http.Request, id string) (*lotAsked, error) {
	if r.PostForm.Get("again") == "1" {
		old, err := d.ofBatch(r, id, "WAITING")
		if err == nil && old != nil {
			err = d.Call(r, http.MethodDelete, "/v1/transactions/"+url.PathEscape(old.ID), nil, nil)
		}
		if p := lotRefusal(err); err != nil && (p == nil || p.Status != http.StatusGone && p.Status != http.StatusConflict) {
			return nil, err
		}
	}
	ask := map[string]any{"system": r.PostForm.Get("system"), "format": "PADES", "batch_id": id, "redirect_uri": d.Return, "state": "batch:" + id}
	if level := r.PostForm.Get("level"); level != "" {
		ask["pades"] = map[string]string{"level": level}
	}
	tx := &lotAsked{}
	return tx, d.Call(r, http.MethodPost, "/v1/transactions", ask, tx)
}

// acting is a button of a batch's page: after it the page is shown anew.
func (d *desk) acting(act func(*http.Request, *lot) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		page.Returning(r, batchesPath+"/"+url.PathEscape(page.Param(r, "id")))
		b, err := d.lot(r)
		if err == nil {
			err = act(r, b)
		}
		if p := lotRefusal(err); p != nil && b.ID != "" {
			now, err := d.lot(r)
			if err != nil {
				d.Failed(w, r, err)
				return
			}
			d.showBatch(w, r, p.Status, now, page.FaultsOf(r.Context(), p, nil))
			return
		}
		if err != nil {
			d.Failed(w, r, err)
			return
		}
		page.See(w, r, b.path())
	}
}

func (d *desk) pauseBatch(r *http.Request, b *lot) error {
	return d.Call(r, http.MethodPost, batchAPI(r)+"/pause", nil, nil)
}

func (d *desk) resumeBatch(r *http.Request, b *lot) error {
	return d.Call(r, http.MethodPost, batchAPI(r)+"/resume", nil, nil)
}

// stopBatch takes the authorisation back: what was signed stays.
func (d *desk) stopBatch(r *http.Request, b *lot) error {
	tx, err := d.ofBatch(r, b.ID, "SIGNING")
	if err != nil || tx == nil { // it is over meanwhile
		return err
	}
	return d.Call(r, http.MethodDelete, "/v1/transactions/"+url.PathEscape(tx.ID), nil, nil)
}

// cancelBatch ends a batch that nothing signs, with a signing page that is open for it.
func (d *desk) cancelBatch(r *http.Request, b *lot) error {
	if b.Status != "OPEN" {
		tx, err := d.ofBatch(r, b.ID, "WAITING")
		if err == nil && tx != nil {
			err = d.Call(r, http.MethodDelete, "/v1/transactions/"+url.PathEscape(tx.ID), nil, nil)
		}
		if err != nil {
			return err
		}
	}
	return d.Call(r, http.MethodDelete, batchAPI(r), nil, nil)
}

// retryBatch lets what was refused be signed with another authorisation: one document, or all.
func (d *desk) retryBatch(r *http.Request, b *lot) error {
	var in any
	if k, err := strconv.Atoi(r.PostForm.Get("item")); err == nil {
		in = map[string][]int{"items": {k}}
	}
	return d.Call(r, http.MethodPost, batchAPI(r)+"/retry", in, nil)
}
