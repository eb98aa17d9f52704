package mohor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Kinds of a batch.
const (
	BatchPDF    = "pdf"
	BatchDigest = "digest"
	BatchECert  = "ecert"
)

// Batch is many documents under one PIN and code.
type Batch struct {
	ID   string `json:"batch_id"`
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Status is OPEN, SEALED, SIGNING, PAUSED, NEEDS_AUTHORISATION, SIGNED, SIGNED_WITH_REFUSALS,
	// CANCELLED or EXPIRED.
	Status      string  `json:"status"`
	Count       int     `json:"count"` // items taken in
	Signed      int     `json:"signed"`
	Refused     int     `json:"refused"` // items that could not be signed
	Pending     int     `json:"pending"`
	RefusedRows int     `json:"refused_rows"` // rows refused at intake
	Root        []byte  `json:"root,omitempty"`
	Fingerprint string  `json:"fingerprint"`
	Rate        float64 `json:"rate"` // signed items a second: the last ones, or all of a batch that is done

	ETA           *time.Time     `json:"eta"` // when the pending ones are signed at this rate
	StartedAt     *time.Time     `json:"started_at"`
	FinishedAt    *time.Time     `json:"finished_at"`
	RefusedByCode map[string]int `json:"refused_by_code"`
	Needs         *Needs         `json:"needs"` // nil when it waits for nobody
}

// Needs is what a batch waits for.
type Needs struct {
	Action  string `json:"action"`  // "seal", "authorise" or "resume"
	Message string `json:"message"` // in the client's language
}

// Refused is an item that could not be signed.
type Refused struct {
	Index  int    `json:"index"`
	Name   string `json:"name"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Event is what a batch's stream tells: how the batch stands, or an item that was refused.
type Event struct {
	Batch   *Batch
	Refused *Refused
}

// Done says whether every item has its outcome.
func (b *Batch) Done() bool { return b.Status == "SIGNED" || b.Status == "SIGNED_WITH_REFUSALS" }

// resting says that nothing changes until somebody does something.
func (b *Batch) resting() bool {
	return b.Status != "SIGNING" && b.Status != "SEALED" && b.Status != "OPEN" && b.Status != "PAUSED"
}

// Intake is what became of an upload of items.
type Intake struct {
	Accepted     int          `json:"accepted"`
	Refused      []RefusedRow `json:"refused"` // the first thousand; RefusedRows gives all
	RefusedCount int          `json:"refused_count"`
	Encoding     string       `json:"encoding"` // of a list: as what it was read
	Notes        []Note       `json:"notes"`    // what to look at before sealing
}

// Note says something of an upload that was taken in.
type Note struct {
	Code   string `json:"code"` // "encoding", "separator" or "person_twice"
	Detail string `json:"detail"`
}

// RefusedRow is a row, file or line that was not taken in.
type RefusedRow struct {
	Row    int    `json:"row"`
	Column string `json:"column"`
	Name   string `json:"name"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Item is one document of a batch.
type Item struct {
	Index     int        `json:"index"`
	Name      string     `json:"name"`
	Reference string     `json:"reference"`
	State     string     `json:"state"` // "pending", "claimed", "signed" or "refused"
	Digest    Digest     `json:"digest"`
	Code      string     `json:"code"` // why it was refused
	Detail    string     `json:"detail"`
	Signature []byte     `json:"signature"`
	SignedAt  *time.Time `json:"signed_at"`
	Level     string     `json:"level"`      // the one reached, see Signature
	RecordID  string     `json:"record_id"`  // of an eCertificate: its public page is /s/{record_id}
	RecordURL string     `json:"record_url"` // the address in its QR code, with the secret that opens that page
}

// CreateBatch opens a batch of a kind. Executed once however often it is tried.
func (c *Client) CreateBatch(ctx context.Context, name, kind string) (*Batch, error) {
	b := new(Batch)
	return answer(b, c.post(ctx, "/v1/batches", map[string]string{"name": name, "kind": kind}, b))
}

// AddCandidates adds rows of a list, CSV or XLSX, to a batch of eCertificates. Whatever adds is streamed,
// and sent once; it may be called repeatedly.
func (c *Client) AddCandidates(ctx context.Context, id string, list io.Reader) (*Intake, error) {
	return c.add(ctx, id, "text/csv", list)
}

// AddCandidatesWithPhotos adds rows of the list in a ZIP, with the pictures that its column foto
// names, to a batch of eCertificates.
func (c *Client) AddCandidatesWithPhotos(ctx context.Context, id string, zip io.Reader) (*Intake, error) {
	return c.add(ctx, id, "application/zip", zip)
}

// Paper is what is said of a PDF that is added alone.
type Paper struct {
	Name      string // shown to the officer
	Reference string // yours
	Amount    string // ringgit, such as "29911.35"; either all documents of a batch have one, or none
	Payee     string
	Password  Secret // of an encrypted PDF
}

// AddPDF adds one PDF to a batch of PDFs.
func (c *Client) AddPDF(ctx context.Context, id string, paper Paper, pdf io.Reader) (*Intake, error) {
	q := url.Values{}
	for name, value := range map[string]string{"name": paper.Name, "reference": paper.Reference, "amount": paper.Amount, "payee": paper.Payee} {
		if value != "" {
			q.Set(name, value)
		}
	}
	in := new(Intake)
	return answer(in, c.upload(ctx, batchPath(id)+"/items?"+q.Encode(), "application/pdf", pdf, paper.Password, in))
}

// RefusedRows goes through all rows of a batch that were not taken in.
func (c *Client) RefusedRows(ctx context.Context, id string) iter.Seq2[*RefusedRow, error] {
	return func(yield func(*RefusedRow, error) bool) {
		for after := int64(-1); ; {
			var page struct {
				Refused []RefusedRow `json:"refused"`
				Next    *int64       `json:"next"`
			}
			if err := c.get(ctx, batchPath(id)+"/refused?limit=1000&after="+strconv.FormatInt(after, 10), &page); err != nil {
				yield(nil, err)
				return
			}
			for k := range page.Refused {
				if !yield(&page.Refused[k], nil) {
					return
				}
			}
			if page.Next == nil {
				return
			}
			after = *page.Next
		}
	}
}

// AddPDFs adds the files of a ZIP, with or without a manifest.csv or manifest.json in it, to a batch
// of PDFs.
func (c *Client) AddPDFs(ctx context.Context, id string, zip io.Reader) (*Intake, error) {
	return c.add(ctx, id, "application/zip", zip)
}

// AddDigests adds documents, of which Name, Digest and Reference count, to a batch of
// digests.
func (c *Client) AddDigests(ctx context.Context, id string, documents iter.Seq[Document]) (*Intake, error) {
	r, w := io.Pipe()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		e := json.NewEncoder(w)
		for d := range documents {
			if err := e.Encode(Document{Name: d.Name, Digest: d.Digest, Reference: d.Reference}); err != nil {
				break // the reader is gone
			}
		}
		_ = w.Close() // never fails
	}()
	in, err := c.add(ctx, id, "application/x-ndjson", r)
	_ = r.Close() // never fails
	<-sent
	return in, err
}

func (c *Client) add(ctx context.Context, id, contentType string, body io.Reader) (*Intake, error) {
	in := new(Intake)
	return answer(in, c.upload(ctx, batchPath(id)+"/items", contentType, body, Secret{}, in))
}

// Pause signs no more of a batch until Resume: what is in work is finished. The authorisation goes on
// until its deadline. "batch_not_signing".
func (c *Client) Pause(ctx context.Context, id string) (*Batch, error) {
	b := new(Batch)
	return answer(b, c.post(ctx, batchPath(id)+"/pause", nil, b))
}

// Resume goes on with a paused batch. "batch_not_paused".
func (c *Client) Resume(ctx context.Context, id string) (*Batch, error) {
	b := new(Batch)
	return answer(b, c.post(ctx, batchPath(id)+"/resume", nil, b))
}

// Retry lets refused items of a batch that is SIGNED_WITH_REFUSALS be authorised again: those with
// these indexes, or all. A new transaction with the batch's id then covers exactly them.
// "batch_not_refused", "not_refused".
func (c *Client) Retry(ctx context.Context, id string, items ...int) (*Batch, error) {
	b := new(Batch)
	var body any
	if len(items) > 0 {
		body = map[string][]int{"items": items}
	}
	return answer(b, c.post(ctx, batchPath(id)+"/retry", body, b))
}

// Seal fixes a batch: from here a transaction with its id can be made.
// "batch_has_refused_rows" unless there were none, or acceptRefused.
func (c *Client) Seal(ctx context.Context, id string, acceptRefused bool) (*Batch, error) {
	b := new(Batch)
	return answer(b, c.post(ctx, batchPath(id)+"/seal", map[string]bool{"accept_refused": acceptRefused}, b))
}

// Batch tells how a batch stands.
func (c *Client) Batch(ctx context.Context, id string) (*Batch, error) {
	b := new(Batch)
	return answer(b, c.get(ctx, batchPath(id), b))
}

// CancelBatch gives up one that is not being signed.
func (c *Client) CancelBatch(ctx context.Context, id string) error {
	return c.cancel(ctx, batchPath(id))
}

// Archive streams a ZIP of the signed PDFs and manifest.json. The caller closes it. One
// that is cut off ends with io.ErrUnexpectedEOF.
func (c *Client) Archive(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.open(ctx, batchPath(id)+"/archive")
}

// Content streams the signed PDF of an item, or its detached signature; "not_signed" when there is
// none. The caller closes it.
func (c *Client) Content(ctx context.Context, id string, index int) (io.ReadCloser, error) {
	return c.open(ctx, itemPath(id, index)+"/content")
}

// Proof gives what shows that an item is in a sealed batch.
func (c *Client) Proof(ctx context.Context, id string, index int) (*Proof, error) {
	p := new(Proof)
	return answer(p, c.get(ctx, itemPath(id, index)+"/proof", p))
}

func itemPath(id string, index int) string { return batchPath(id) + "/items/" + strconv.Itoa(index) }

// Items lists a batch's items, page by page, in ascending index; state chooses those of
// one state, "" all. An error ends it.
func (c *Client) Items(ctx context.Context, id, state string) iter.Seq2[*Item, error] {
	return func(yield func(*Item, error) bool) {
		const limit = 1000
		for after := -1; ; {
			var page struct {
				Items []Item `json:"items"`
			}
			q := url.Values{"after": {strconv.Itoa(after)}, "limit": {strconv.Itoa(limit)}}
			if state != "" {
				q.Set("state", state)
			}
			if err := c.get(ctx, batchPath(id)+"/items?"+q.Encode(), &page); err != nil {
				yield(nil, err)
				return
			}
			for k := range page.Items {
				after = page.Items[k].Index
				if !yield(&page.Items[k], nil) {
					return
				}
			}
			if len(page.Items) < limit {
				return
			}
		}
	}
}

// Progress is what Events tells of the batch alone.
func (c *Client) Progress(ctx context.Context, id string) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		for e, err := range c.Events(ctx, id) {
			if err != nil {
				yield(nil, err)
				return
			}
			if e.Batch != nil && !yield(e.Batch, nil) {
				return
			}
		}
	}
}

// Events tells of each item that is refused, once, and how a batch stands, at least each few
// seconds, until nothing changes any more unless somebody does something: it is signed, cancelled or
// needs another authorisation. That is the last one told. It listens to the gateway's event stream;
// where that is cut it asks, and listens again from there. An error ends it.
func (c *Client) Events(ctx context.Context, id string) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		last := ""
		for {
			heard := false
			goOn, err := c.listen(ctx, id, &last, func(e *Event) bool {
				heard = true
				return yield(e, nil) && (e.Batch == nil || !e.Batch.resting())
			})
			if err == nil && !goOn {
				return
			}
			var p *Problem
			if ctx.Err() == nil && !errors.As(err, &p) {
				err = nil // a stream that ends is no verdict on the batch
			}
			var b *Batch
			if err == nil {
				b, err = c.Batch(ctx, id)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			// At its end the stream tells all that was refused, and asking does not: the last word is the
			// stream's, unless none comes through.
			over := b.resting()
			if (!over || !heard) && !yield(&Event{Batch: b}, nil) || over && !heard {
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// listen gives each event of a batch's stream behind *last to tell, and keeps *last. goOn says that
// the stream ended before tell had enough.
func (c *Client) listen(ctx context.Context, id string, last *string, tell func(*Event) bool) (goOn bool, err error) {
	r := &request{method: http.MethodGet, path: batchPath(id) + "/events"}
	if *last != "" {
		r.header = map[string]string{"Last-Event-ID": *last}
	}
	resp, err := c.send(ctx, r)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	name, event := "", ""
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			name = value
		case "id":
			event = value
		case "data":
			e, err := eventOf(name, value)
			if err != nil {
				return false, err
			}
			if e != nil && !tell(e) {
				return false, nil
			}
			name = ""
			if event != "" {
				*last = event
			}
		}
	}
	return true, lines.Err()
}

// eventOf reads an event; nil for what this client does not know.
func eventOf(name, data string) (e *Event, err error) {
	e = &Event{}
	switch name {
	case "refused":
		e.Refused = new(Refused)
		err = json.Unmarshal([]byte(data), e.Refused)
	case "progress", "done":
		e.Batch = new(Batch)
		err = json.Unmarshal([]byte(data), e.Batch)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading an event: %w", err)
	}
	return e, nil
}

func batchPath(id string) string { return "/v1/batches/" + url.PathEscape(id) }
