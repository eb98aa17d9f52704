package api

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// mineBody is a transaction as its signatory sees it in a list; exported fields only, to be embedded.
type mineBody struct {
	ID          string     `json:"transaction_id"`
	Status      string     `json:"status" enum:"WAITING,SIGNING,SIGNED,SIGNED_WITH_REFUSALS,FAILED,EXPIRED,CANCELLED,NEEDS_AUTHORISATION"`
	Code        string     `json:"code,omitempty" doc:"NEEDS_AUTHORISATION, CANCELLED: why, where it is one of the error codes"`
	Own         bool       `json:"own" doc:"Asked for at the gateway's own portal, by the officer: /v1/transactions and /v1/batches know it, too"`
	App         string     `json:"app" example:"iGFMAS" doc:"Who asked, as registered then"`
	System      string     `json:"system"`
	Process     string     `json:"process,omitempty"`
	Role        string     `json:"role,omitempty"`
	Class       string     `json:"classification,omitempty"`
	DataHeader  string     `json:"data_header,omitempty"`
	Format      string     `json:"format" enum:"RAW,CMS,PADES"`
	Level       string     `json:"level,omitempty" enum:"B-B,B-T,B-LT,B-LTA" doc:"That was asked for"`
	Count       uint32     `json:"count"`
	Root        string     `json:"root" doc:"Base64, 32 bytes"`
	Fingerprint string     `json:"fingerprint" example:"7K3M-Q0ZV"`
	Total       *totalBody `json:"total,omitempty"`
	BatchID     string     `json:"batch_id,omitempty"`
	BatchName   string     `json:"batch_name,omitempty"`
	Name        string     `json:"name,omitempty" example:"Memo 12.pdf" doc:"Of the first document, where it is no batch"`
	Hosted      bool       `json:"hosted" doc:"Confirmed on the gateway's own page, whose address whoever asked has"`
	CreatedAt   time.Time  `json:"created_at"`
	ExpiresAt   time.Time  `json:"expires_at"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"`
}

type mineInput struct {
	After  string `query:"after" maxLength:"200" doc:"What next was in the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Status string `query:"status" enum:"WAITING,SIGNING,SIGNED,SIGNED_WITH_REFUSALS,FAILED,EXPIRED,CANCELLED,NEEDS_AUTHORISATION"`
}

type mineOutput struct {
	Body struct {
		Transactions []mineBody `json:"transactions" doc:"The newest first"`
		Next         string     `json:"next,omitempty" doc:"For after, when there may be more"`
	}
}

type mineDocument struct {
	Index     uint32     `json:"index"`
	Name      string     `json:"name"`
	Reference string     `json:"reference,omitempty"`
	Digest    digestBody `json:"digest"`
	State     string     `json:"state" enum:"pending,claimed,signed,refused"`
	SignedAt  *time.Time `json:"signed_at,omitempty"`
	Level     string     `json:"level,omitempty" enum:"B-B,B-T,B-LT,B-LTA" doc:"That was reached"`
	Code      string     `json:"code,omitempty" doc:"Why it could not be signed"`
	Detail    string     `json:"detail,omitempty"`
}

type codeSentBody struct {
	Channel string    `json:"channel"`
	SentTo  string    `json:"sent_to" example:"s•••@jpk.gov.my"`
	SentAt  time.Time `json:"sent_at" doc:"The newest one"`
}

type traceBody struct {
	Number  int64     `json:"number" doc:"Of the row in the audit chain, which whoever runs the gateway can prove"`
	At      time.Time `json:"at"`
	Action  string    `json:"action" example:"signer.authorize"`
	Verdict string    `json:"verdict" enum:"accepted,refused,noted"`
}

// mineFull is a transaction with what it leaves as evidence.
type mineFull struct {
	MineBody
	Signed      uint32           `json:"signed"`
	Refused     uint32           `json:"refused"`
	IntendedAt  *time.Time       `json:"intended_at,omitempty" doc:"When PIN and code were right, and it was recorded what the key was about to sign"`
	Sent        *codeSentBody    `json:"code_sent,omitempty" doc:"How the code went to the officer"`
	Information *informationBody `json:"signature_information,omitempty"`
	Documents   []mineDocument   `json:"documents" doc:"The first hundred of what it authorised, or of its batch"`
	More        bool             `json:"more" doc:"There are others"`
	Audit       []traceBody      `json:"audit" doc:"What the audit has about it, the oldest first; a hundred at most"`
}

// MineBody is mineBody, to be embedded.
type MineBody = mineBody

type mineFullOutput struct{ Body mineFull }

type myBatchBody struct {
	BatchBody
	CreatedAt time.Time `json:"created_at"`
}

// BatchBody is batchBody, to be embedded.
type BatchBody = batchBody

type myBatchesOutput struct {
	Body struct {
		Batches []myBatchBody `json:"batches" doc:"The newest first"`
		Next    string        `json:"next,omitempty" doc:"For after, when there may be more"`
	}
}

type myBatchesInput struct {
	After string `query:"after" maxLength:"200" doc:"What next was in the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

type myReferenceBody struct {
	WaitingBody
	System string `json:"system"`
}

// WaitingBody is waitingBody, to be embedded.
type WaitingBody = waitingBody

type myWaitingOutput struct {
	Body struct {
		Transactions []mineBody        `json:"transactions" doc:"That wait for PIN and code on the gateway's page; whoever asked has its address, and for the portal's own ones another can be asked for"`
		Batches      []myBatchBody     `json:"batches" doc:"Of the portal: sealed and not yet asked for, or in need of another authorisation"`
		References   []myReferenceBody `json:"references" doc:"Of work processes of the own systems that wait for a role, longest first, without those signed in another role and those that are classified"`
		More         bool              `json:"more" doc:"There are others of one kind: at most a hundred of each are here"`
	}
}

// minePage is how many of each kind an overview has.
const minePage = 100

func (s *server) mine(h huma.API) {
	get := func(id, path, summary string, codes ...int) huma.Operation {
		return op("Me", id, http.MethodGet, path, summary, codes...)
	}
	huma.Register(h, get("myTransactions", "/v1/me/transactions", "What one was asked to sign, whoever asked"), s.myTransactions)
	huma.Register(h, get("myTransaction", "/v1/me/transactions/{id}", "One of them, with its evidence", http.StatusNotFound), s.myTransaction)
	huma.Register(h, get("myBatches", "/v1/me/batches", "The own batches at the portal"), s.myBatches)
	huma.Register(h, get("myWaiting", "/v1/me/waiting", "What waits for one's signature"), s.myWaiting)
}

func (s *server) mineOut(p *enrol.Person, x *signer.OwnTransaction) mineBody {
	r := &x.Request
	b := mineBody{ID: r.ID, Status: string(r.Status), Code: codeOf(r.Ended), Own: r.App == enrol.OwnApp(p.Account.ID), App: r.SystemName, System: r.System, Process: r.Process, Role: r.Role,
		Class: r.Class, DataHeader: r.DataHeader, Format: r.Options.Format, Level: r.Options.PAdES.Level, Count: r.Count, Root: base64.StdEncoding.EncodeToString(r.Root[:]),
		Fingerprint: signer.Fingerprint(r.Root), BatchName: x.BatchName, Name: x.First, Hosted: r.Page != nil, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, FinishedAt: when(r.FinishedAt)}
	if r.Status == signer.Waiting && !s.Now().Before(r.ExpiresAt) { // nobody has looked since
		b.Status = string(signer.Expired)
	}
	if t := r.Options.Total; t != nil {
		b.Total = &totalBody{t.Amount, t.Currency}
	}
	if !r.Implicit {
		b.BatchID = r.Batch
	}
	return b
}

// newestOf reads a place in one of these lists.
func newestOf(text string) (n signer.Newest, err error) {
	if text == "" {
		return n, nil
	}
	c, ok := cursorOf(text)
	if !ok {
		return n, fixed("after", "It must be what next was.", "Ia mesti nilai next yang diberi.")
	}
	return signer.Newest{At: c.At, ID: c.Batch}, nil
}

func newestText(at time.Time, id string) string { return cursorText(signer.Cursor{At: at, Batch: id}) }

func (s *server) myTransactions(ctx context.Context, in *mineInput) (*mineOutput, error) {
	p, out := personOf(ctx), &mineOutput{}
	before, err := newestOf(in.After)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	list, err := s.Signer.Records.OwnTransactions(ctx, signer.Mine{Officer: p.Account.IC, Status: signer.Status(in.Status), Before: before, Limit: in.Limit})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out.Body.Transactions = make([]mineBody, 0, len(list))
	for k := range list {
		out.Body.Transactions = append(out.Body.Transactions, s.mineOut(p, &list[k]))
	}
	if n := len(list); n == in.Limit {
		out.Body.Next = newestText(list[n-1].CreatedAt, list[n-1].ID)
	}
	return out, nil
}

func (s *server) myTransaction(ctx context.Context, in *transactionInput) (*mineFullOutput, error) {
	p := personOf(ctx)
	r, err := s.Signer.Records.Request(ctx, in.ID)
	if err == nil && r.Officer != p.Account.IC {
		err = signer.ErrUnknown
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &mineFullOutput{}
	if err := s.evidence(ctx, p, &r, &out.Body); err != nil {
		return nil, s.fail(ctx, err)
	}
	return out, nil
}

// evidence fills in what is known of a transaction.
func (s *server) evidence(ctx context.Context, p *enrol.Person, r *signer.Request, b *mineFull) error {
	ba, err := s.Batches.Queue.Batch(ctx, r.Batch)
	if err != nil {
		return err
	}
	x := signer.OwnTransaction{Request: *r}
	if !r.Implicit {
		x.BatchName = ba.Name
	}
	v, err := s.view(ctx, r, nil)
	if err != nil {
		return err
	}
	b.MineBody, b.Signed, b.Refused, b.Information = s.mineOut(p, &x), v.Signed, v.Refused, v.Information
	at, err := s.Signer.Records.Intended(ctx, r.ID)
	if err != nil {
		return err
	}
	b.IntendedAt = when(at)
	switch ch, err := s.Signer.Codes.Records.Challenge(ctx, r.ID); {
	case err == nil:
		b.Sent = &codeSentBody{ch.Channel, ch.SentTo, ch.IssuedAt.UTC()}
	case !errors.Is(err, otp.ErrUnknown): // forgotten with its time
		return err
	}
	traces, err := s.Signer.Records.Traces(ctx, r.ID, minePage)
	if err != nil {
		return err
	}
	b.Audit = []traceBody{}
	for _, x := range traces {
		b.Audit = append(b.Audit, traceBody{x.Seq, x.At, x.Action, x.Verdict})
	}
	items, err := s.Batches.Queue.Items(ctx, r.Batch, "", -1, minePage+1)
	if err != nil {
		return err
	}
	b.More, b.Documents = len(items) > minePage, []mineDocument{}
	for k := range items[:min(len(items), minePage)] {
		it := &items[k]
		if it.Index == 0 && r.Implicit {
			b.Name = it.Name
		}
		b.Documents = append(b.Documents, mineDocument{it.Index, it.Name, it.Reference, digestBody{hashName(it.Hash), base64.StdEncoding.EncodeToString(it.Digest)}, it.State, when(it.SignedAt), it.Level, it.Code, it.Detail})
	}
	return nil
}

func myBatchOut(b *batch.Batch, en bool) myBatchBody {
	return myBatchBody{batchBodyOf(b, &batch.Pace{}, en), b.CreatedAt}
}

func (s *server) myBatches(ctx context.Context, in *myBatchesInput) (*myBatchesOutput, error) {
	out := &myBatchesOutput{}
	before, err := newestOf(in.After)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	list, err := s.Batches.Queue.BatchesOf(ctx, enrol.OwnApp(personOf(ctx).Account.ID), false, before, in.Limit)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out.Body.Batches = make([]myBatchBody, 0, len(list))
	for k := range list {
		out.Body.Batches = append(out.Body.Batches, myBatchOut(&list[k], english(ctx)))
	}
	if n := len(list); n == in.Limit {
		out.Body.Next = newestText(list[n-1].CreatedAt, list[n-1].ID)
	}
	return out, nil
}

func (s *server) myWaiting(ctx context.Context, _ *struct{}) (*myWaitingOutput, error) {
	p, out := personOf(ctx), &myWaitingOutput{}
	b := &out.Body
	// It writes into the audit, so that its rate is that of what the person asks for elsewhere.
	own, err := s.Apps.Own(ctx, p, false)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if wait, ok := s.allow(ctx, &own); !ok {
		return nil, s.fail(ctx, &retry{errRateLimited, wait})
	}
	list, err := s.Signer.Records.OwnTransactions(ctx, signer.Mine{Officer: p.Account.IC, Status: signer.Waiting, Limit: minePage})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	b.More, b.Transactions, b.Batches, b.References = len(list) == minePage, []mineBody{}, []myBatchBody{}, []myReferenceBody{}
	asked := map[string]bool{}
	for k := range list {
		if x := s.mineOut(p, &list[k]); x.Status == string(signer.Waiting) && x.Hosted {
			b.Transactions = append(b.Transactions, x)
			asked[x.BatchID] = true
		}
	}
	batches, err := s.Batches.Queue.BatchesOf(ctx, enrol.OwnApp(p.Account.ID), true, signer.Newest{}, minePage)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	b.More = b.More || len(batches) == minePage
	for k := range batches {
		if !asked[batches[k].ID] {
			b.Batches = append(b.Batches, myBatchOut(&batches[k], english(ctx)))
		}
	}
	if err := s.referencesOf(ctx, p, own.Systems, out); err != nil {
		return nil, s.fail(ctx, err)
	}
	return out, nil
}

// referencesOf adds what waits for a role in the person's systems. The reading stands in the audit,
// as an app's does.
func (s *server) referencesOf(ctx context.Context, p *enrol.Person, systems []string, out *myWaitingOutput) error {
	b := &out.Body
	for _, system := range systems {
		list, err := s.Signer.Inbox(ctx, signer.Inbox{System: system, Limit: minePage})
		if err != nil {
			return err
		}
		b.More = b.More || len(list) == minePage
		for k := range list {
			w := waitingOut(&list[k])
			took := slices.ContainsFunc(list[k].Signed, func(x signer.Signatory) bool { return x.Officer == p.Account.IC })
			if !took && !signer.Classified(w.Classification) {
				b.References = append(b.References, myReferenceBody{w, system})
			}
		}
		ev := audit.Event{At: s.Now(), Actor: p.Actor.Name, Action: "inbox.read", Object: "system:" + system, Verdict: audit.Accepted, RequestID: requestIDOf(ctx)}
		if err := s.Signer.Records.Audit(ctx, ev); err != nil {
			return err
		}
	}
	return nil
}
