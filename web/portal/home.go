package portal

import (
	"context"
	"net/http"
	"time"

	"github.com/mohor-sign/mohor/web/page"
)

// listed is a transaction as its signatory sees it in a list.
type listed struct {
	ID          string     `json:"transaction_id"`
	Status      string     `json:"status"`
	Own         bool       `json:"own"`
	App         string     `json:"app"`
	System      string     `json:"system"`
	DataHeader  string     `json:"data_header"`
	Format      string     `json:"format"`
	Count       int        `json:"count"`
	Fingerprint string     `json:"fingerprint"`
	BatchID     string     `json:"batch_id"`
	BatchName   string     `json:"batch_name"`
	CreatedAt   time.Time  `json:"created_at"`
	ExpiresAt   time.Time  `json:"expires_at"`
	FinishedAt  *time.Time `json:"finished_at"`
}

// waiting is what waits for the officer.
type waiting struct {
	Transactions []listed `json:"transactions"`
	Batches      []struct {
		ID     string `json:"batch_id"`
		Name   string `json:"name"`
		Status string `json:"status"`
		Count  int    `json:"count"`
		Needs  *struct {
			Message string `json:"message"`
		} `json:"needs"`
	} `json:"batches"`
	References []struct {
		Reference string    `json:"reference"`
		Process   string    `json:"process"`
		Role      string    `json:"role"`
		Since     time.Time `json:"since"`
		Name      string    `json:"name"`
		System    string    `json:"system"`
	} `json:"references"`
	More bool `json:"more"`
}

// none says whether nothing waits.
func (w *waiting) none() bool { return len(w.Transactions)+len(w.Batches)+len(w.References) == 0 }

// overview is what the first page shows.
type overview struct {
	Said    string
	Own     ownCertificate
	Under   applications
	Waiting waiting
	Last    []listed
}

// signatory says whether the person has anything to do with signing.
func (o *overview) signatory() bool { return o.Own.Status != "NOT_REGISTERED" || len(o.Under.All) > 0 }

// lastShown is how many signatures the first page lists.
const lastShown = 5

func (d *desk) home(w http.ResponseWriter, r *http.Request) {
	o := overview{}
	var err error
	if o.Own, o.Under, err = d.certificates(r); err != nil {
		d.Failed(w, r, err)
		return
	}
	if page.Who(r.Context()).Kind == "administrator" && !o.signatory() {
		page.See(w, r, page.ConsolePath)
		return
	}
	if o.Own.Status != "NOT_REGISTERED" {
		var signed struct {
			Transactions []listed `json:"transactions"`
		}
		err = d.Call(r, http.MethodGet, "/v1/me/waiting", nil, &o.Waiting)
		if p := page.Of(err); p != nil && p.Status == http.StatusForbidden { // nothing that could sign
			err = nil
		}
		if err == nil {
			err = d.Call(r, http.MethodGet, "/v1/me/transactions?limit=20", nil, &signed)
		}
		if err != nil {
			d.Failed(w, r, err)
			return
		}
		for _, t := range signed.Transactions {
			if (t.Status == "SIGNED" || t.Status == "SIGNED_WITH_REFUSALS") && len(o.Last) < lastShown {
				o.Last = append(o.Last, t)
			}
		}
	}
	o.Said = d.Said(w, r)
	d.Show(w, r, http.StatusOK, home(&o))
}

// title names a transaction for its signatory.
func title(ctx context.Context, t *listed) string {
	switch {
	case t.BatchName != "":
		return t.BatchName + " · " + page.T(ctx, "home.count", "Count", t.Count)
	case t.DataHeader != "":
		return t.DataHeader
	}
	return page.T(ctx, "home.count", "Count", t.Count)
}
