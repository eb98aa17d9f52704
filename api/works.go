package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
)

type batchOfficerBody struct {
	IC          string `json:"ic,omitempty" doc:"One batch alone; not for an AUDITOR's list"`
	Name        string `json:"name"`
	Transaction string `json:"transaction_id"`
	Status      string `json:"transaction_status"`
	System      string `json:"system"`
}

type anyBatchBody struct {
	BatchBody
	App       string            `json:"app_id"`
	AppName   string            `json:"app_name" example:"MySPIKE"`
	CreatedAt time.Time         `json:"created_at"`
	Officer   *batchOfficerBody `json:"officer,omitempty" doc:"Who was asked last to sign it"`
	Own       bool              `json:"own" doc:"A person's own, at the portal: app_name does not say whose"`
	Look      int64             `json:"template_version" doc:"Of eCertificates: the version they were drawn in; 0 is the configuration"`
	Actions   []string          `json:"actions" enum:"pause,resume,cancel,retry" nullable:"false" doc:"What the state of the batch allows an administrator"`
}

type worksInput struct {
	App    string `query:"app" maxLength:"64" doc:"Of this app alone"`
	Status string `query:"status" enum:"OPEN,SEALED,SIGNING,PAUSED,NEEDS_AUTHORISATION,SIGNED,SIGNED_WITH_REFUSALS,CANCELLED,EXPIRED"`
	After  string `query:"after" maxLength:"200" doc:"What next was in the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"25"`
}

type worksOutput struct {
	Body struct {
		Batches []anyBatchBody `json:"batches" doc:"The newest first"`
		Next    string         `json:"next,omitempty" doc:"For after, when there may be more"`
	}
}

type anyBatchOutput struct{ Body anyBatchBody }

type refusedRowBody struct {
	Row    int    `json:"row" doc:"Of the list, whose header is row 1; the line of NDJSON; the place of a file in a ZIP"`
	Column string `json:"column,omitempty"`
	Code   string `json:"code"`
	Detail string `json:"detail" doc:"In Malay and English"`
}

type refusedItemBody struct {
	Index     uint32 `json:"index"`
	Reference string `json:"reference,omitempty" doc:"Of an eCertificate: its number"`
	Code      string `json:"code"`
	Detail    string `json:"detail,omitempty"`
}

type refusalsInput struct {
	ID        string `path:"id" maxLength:"64"`
	AfterRow  int64  `query:"after_row" default:"-1" minimum:"-1" doc:"next_row of the page before"`
	AfterItem int64  `query:"after_item" default:"0" minimum:"0" doc:"next_item of the page before"`
}

type refusalsOutput struct {
	Body struct {
		Rows     []refusedRowBody  `json:"rows" doc:"Not taken in. Without names: who sent the list has it"`
		Items    []refusedItemBody `json:"items" doc:"Taken in, and could not be signed"`
		NextRow  *int64            `json:"next_row,omitempty" doc:"For after_row, when there may be more"`
		NextItem *int64            `json:"next_item,omitempty" doc:"For after_item, when there may be more"`
	}
}

type progressBody struct {
	Status  string     `json:"status" enum:"OPEN,SEALED,SIGNING,PAUSED,NEEDS_AUTHORISATION,SIGNED,SIGNED_WITH_REFUSALS,CANCELLED,EXPIRED"`
	Count   uint32     `json:"count"`
	Signed  uint32     `json:"signed"`
	Refused uint32     `json:"refused"`
	Pending uint32     `json:"pending"`
	Rate    float64    `json:"rate" doc:"Signed items a second"`
	ETA     *time.Time `json:"eta,omitempty"`
}

type progressOutput struct{ Body progressBody }

type turnBatchInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Reason string `json:"reason" maxLength:"200" doc:"5 to 200 characters; it stands in the audit"`
	}
}

// refusalsShown is how many of each kind a page has.
const refusalsShown = 100

// works are the batches of all apps, as administrators see them.
func (s *server) works(h huma.API) {
	const tag, at = "Administration", "/v1/admin/batches"
	huma.Register(h, administer(tag, "worksBatches", http.MethodGet, at, "Batches: JDN and AUDITOR see all, a SAP those of apps of the own system"), s.listWorks)
	huma.Register(h, administer(tag, "worksBatch", http.MethodGet, at+"/{id}", "A batch: counts, rate, the officer who was asked last, what it waits for"), s.showWork)
	huma.Register(h, administer(tag, "worksProgress", http.MethodGet, at+"/{id}/progress", "How far a batch is, without anything about anybody: it may be asked for again and again, and is not in the audit"), s.workProgress)
	huma.Register(h, administer(tag, "worksRefusals", http.MethodGet, at+"/{id}/refusals", "Rows and documents of a batch that were refused, and why"), s.workRefusals)
	for what, act := range map[string]enrol.Action{batch.Pausing: enrol.PauseBatch, batch.Resuming: enrol.ResumeBatch, batch.Cancelling: enrol.CancelBatch, batch.Retrying: enrol.RetryBatch} {
		words := map[string]string{batch.Pausing: "Sign no more of a batch for now (JDN, SAP of the system)", batch.Resuming: "Go on with a paused batch, under the authorisation that it has (JDN, SAP of the system)",
			batch.Cancelling: "End a batch that is not being signed; what is signed stays (JDN, SAP of the system)",
			batch.Retrying:   "Open refused documents again; nothing is signed by it: the officer gives PIN and a new code (JDN, SAP of the system)"}
		huma.Register(h, administer(tag, what+"AnyBatch", http.MethodPost, at+"/{id}/"+what, words[what]), s.turnBatch(what, act))
	}
	s.outbox(h)
	s.looks(h)
}

// actionsOn is what the state of a batch allows an administrator.
func actionsOn(b *batch.Batch) []string {
	switch b.Status {
	case batch.Signing:
		return []string{batch.Pausing}
	case batch.Paused:
		return []string{batch.Resuming}
	case batch.Open, batch.Sealed, batch.NeedsAuthorisation:
		return []string{batch.Cancelling}
	case batch.SignedWithRefusals:
		return []string{batch.Retrying}
	}
	return []string{}
}

// workOf tells of a batch; whole gives the officer's IC.
func (s *server) workOf(ctx context.Context, b batch.Batch, names map[string]enrol.App, whole bool) (anyBatchBody, error) {
	v, err := s.batchView(ctx, b)
	if err != nil {
		return anyBatchBody{}, err
	}
	a, ok := names[b.App]
	if !ok {
		if a, err = s.Apps.Records.AppByID(ctx, b.App); err != nil && !errors.Is(err, enrol.ErrUnknown) {
			return anyBatchBody{}, err
		}
		names[b.App] = a
	}
	out := anyBatchBody{BatchBody: v, App: b.App, AppName: a.Name, Own: a.Person != "", CreatedAt: b.CreatedAt.UTC(), Look: b.Look, Actions: actionsOn(&b)}
	who, err := s.Register.Signatory(ctx, b.ID)
	if errors.Is(err, batch.ErrUnknown) {
		return out, nil
	}
	out.Officer = &batchOfficerBody{Name: who.Name, Transaction: who.Transaction, Status: string(who.Status), System: who.System}
	if whole {
		out.Officer.IC = who.IC
	}
	return out, err
}

func (s *server) listWorks(ctx context.Context, in *worksInput) (*worksOutput, error) {
	before, err := newestOf(in.After)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	apps, ev, err := s.Works.Batches(ctx, personOf(ctx).Actor)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if apps != nil && in.App != "" {
		apps = slices.DeleteFunc(apps, func(id string) bool { return id != in.App })
	}
	out := &worksOutput{}
	out.Body.Batches = []anyBatchBody{}
	var list []batch.Batch
	if apps == nil || len(apps) > 0 {
		list, err = s.Register.BatchesFor(ctx, batch.Filter{Apps: apps, App: in.App, Status: batch.Status(in.Status), Before: before, Limit: in.Limit})
	}
	names := map[string]enrol.App{}
	for k := 0; k < len(list) && err == nil; k++ {
		var v anyBatchBody
		v, err = s.workOf(ctx, list[k], names, false)
		out.Body.Batches = append(out.Body.Batches, v)
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if n := len(list); n == in.Limit {
		out.Body.Next = newestText(list[n-1].CreatedAt, list[n-1].ID)
	}
	if err := s.Works.Tell(ctx, ev); err != nil {
		return nil, s.fail(ctx, err)
	}
	return out, nil
}

// batchFor finds a batch that an administrator may see, and puts the look into the audit; one of a
// single transaction is none.
func (s *server) batchFor(ctx context.Context, id string) (batch.Batch, error) {
	b, err := s.Batches.Queue.Batch(ctx, id)
	if err != nil && !errors.Is(err, batch.ErrUnknown) {
		return b, err
	}
	if err != nil || b.Kind == batch.Single {
		b = batch.Batch{}
	}
	ev, err := s.Works.May(ctx, personOf(ctx).Actor, enrol.ReadBatches, id, b.App)
	if err != nil {
		return b, err
	}
	if who, err := s.Register.Signatory(ctx, id); err == nil {
		ev.Detail["officer"] = who.IC
	} else if !errors.Is(err, batch.ErrUnknown) {
		return b, err
	}
	return b, s.Works.Tell(ctx, ev)
}

func (s *server) showWork(ctx context.Context, in *batchInput) (*anyBatchOutput, error) {
	b, err := s.batchFor(ctx, in.ID)
	return s.toldWork(ctx, b, err)
}

func (s *server) toldWork(ctx context.Context, b batch.Batch, err error) (*anyBatchOutput, error) {
	var v anyBatchBody
	if err == nil {
		v, err = s.workOf(ctx, b, map[string]enrol.App{}, true)
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &anyBatchOutput{v}, nil
}

func (s *server) workProgress(ctx context.Context, in *batchInput) (*progressOutput, error) {
	b, err := s.Batches.Queue.Batch(ctx, in.ID)
	if err != nil && !errors.Is(err, batch.ErrUnknown) {
		return nil, s.fail(ctx, err)
	}
	if err != nil || b.Kind == batch.Single {
		b = batch.Batch{}
	}
	if _, err := s.Works.May(ctx, personOf(ctx).Actor, enrol.ReadBatches, in.ID, b.App); err != nil {
		return nil, s.fail(ctx, err)
	}
	v, err := s.batchView(ctx, b)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &progressOutput{}
	out.Body = progressBody{v.Status, v.Count, v.Signed, v.Refused, v.Pending, v.Rate, v.ETA}
	return out, nil
}

func (s *server) workRefusals(ctx context.Context, in *refusalsInput) (*refusalsOutput, error) {
	if _, err := s.batchFor(ctx, in.ID); err != nil {
		return nil, s.fail(ctx, err)
	}
	rows, err := s.Batches.Queue.RefusedRows(ctx, in.ID, in.AfterRow, refusalsShown)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	items, err := s.Batches.Queue.Refusals(ctx, in.ID, in.AfterItem, refusalsShown)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &refusalsOutput{}
	out.Body.Rows, out.Body.Items = []refusedRowBody{}, []refusedItemBody{}
	for _, r := range rows {
		out.Body.Rows = append(out.Body.Rows, refusedRowBody{r.Row, r.Column, r.Code, r.Detail})
	}
	for _, it := range items {
		whole, err := s.Batches.Queue.Item(ctx, in.ID, it.Index)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out.Body.Items = append(out.Body.Items, refusedItemBody{it.Index, whole.Reference, it.Code, it.Detail})
	}
	if len(rows) == refusalsShown {
		next := in.AfterRow + refusalsShown
		out.Body.NextRow = &next
	}
	if n := len(items); n == refusalsShown {
		out.Body.NextItem = &items[n-1].Refusal
	}
	return out, nil
}

func (s *server) turnBatch(what string, act enrol.Action) func(context.Context, *turnBatchInput) (*anyBatchOutput, error) {
	return func(ctx context.Context, in *turnBatchInput) (*anyBatchOutput, error) {
		b, err := s.Batches.Queue.Batch(ctx, in.ID)
		if err != nil && !errors.Is(err, batch.ErrUnknown) {
			return nil, s.fail(ctx, err)
		}
		if err != nil || b.Kind == batch.Single {
			b = batch.Batch{}
		}
		ev, err := s.Works.Because(ctx, personOf(ctx).Actor, act, in.ID, b.App, in.Body.Reason)
		if err == nil {
			b, err = s.Batches.Turn(ctx, what, in.ID, ev)
		}
		return s.toldWork(ctx, b, err)
	}
}
