package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/internal/raster"
	"github.com/mohor-sign/mohor/signer"
)

type batchCreateInput struct {
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"120"`
		Kind string `json:"kind" enum:"pdf,digest,ecert"`
	}
}

type batchBody struct {
	ID          string     `json:"batch_id"`
	Name        string     `json:"name"`
	Kind        string     `json:"kind" enum:"pdf,digest,ecert"`
	Status      string     `json:"status" enum:"OPEN,SEALED,SIGNING,PAUSED,NEEDS_AUTHORISATION,SIGNED,SIGNED_WITH_REFUSALS,CANCELLED,EXPIRED"`
	Count       uint32     `json:"count" doc:"Items taken in"`
	Signed      uint32     `json:"signed"`
	Refused     uint32     `json:"refused" doc:"Items that could not be signed"`
	Pending     uint32     `json:"pending"`
	RefusedRows uint32     `json:"refused_rows" doc:"Rows refused at intake"`
	Root        string     `json:"root,omitempty" doc:"Base64; once sealed"`
	Fingerprint string     `json:"fingerprint,omitempty"`
	Rate        float64    `json:"rate" doc:"Signed items a second: the last ones while it signs, all of them when it is done"`
	ETA         *time.Time `json:"eta,omitempty" doc:"When the pending items are signed at this rate"`
	StartedAt   *time.Time `json:"started_at,omitempty"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"`

	RefusedByCode map[string]uint32 `json:"refused_by_code,omitempty" doc:"Items that could not be signed, by the code of the refusal"`
	Needs         *needsBody        `json:"needs,omitempty" doc:"What it waits for"`
}

type needsBody struct {
	Action  string `json:"action" enum:"seal,authorise,resume" doc:"To be sealed, to be named in a transaction, to be resumed"`
	Message string `json:"message" doc:"In the language of Accept-Language"`
}

type batchOutput struct{ Body batchBody }

type batchInput struct {
	ID string `path:"id" maxLength:"64"`
}

type sealInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body *struct {
		AcceptRefused bool `json:"accept_refused,omitempty" doc:"Seal although rows were refused"`
	}
}

type retryInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body *struct {
		Items []uint32 `json:"items,omitempty" maxItems:"100000" uniqueItems:"true" doc:"Indexes of refused documents; without it all"`
	}
}

type itemsInput struct {
	ID    string `path:"id" maxLength:"64"`
	State string `query:"state" enum:"pending,claimed,signed,refused"`
	Named string `query:"named" maxLength:"200" doc:"Items alone whose name or reference has this in it, in capitals or not. A page may then hold fewer than limit, or none, and have a next"`
	After int64  `query:"after" default:"-1" minimum:"-1" maximum:"4294967295" doc:"Index of the last item seen: next of the page before"`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}

type itemBody struct {
	Index     uint32     `json:"index"`
	Name      string     `json:"name"`
	Reference string     `json:"reference,omitempty"`
	State     string     `json:"state" enum:"pending,claimed,signed,refused"`
	Digest    digestBody `json:"digest"`
	Code      string     `json:"code,omitempty"`
	Detail    string     `json:"detail,omitempty"`
	Signature string     `json:"signature,omitempty"`
	SignedAt  *time.Time `json:"signed_at,omitempty"`
	Level     string     `json:"level,omitempty" enum:"B-B,B-T,B-LT,B-LTA" doc:"CMS and PADES: the level reached, see transaction"`
	RecordID  string     `json:"record_id,omitempty" doc:"eCertificates: the public page is /s/{record_id}"`
	RecordURL string     `json:"record_url,omitempty" doc:"eCertificates: the address in the QR code. What is behind the # opens the public record: it is for the holder"`
}

type itemsOutput struct {
	Body struct {
		Items []itemBody `json:"items"`
		Next  *uint32    `json:"next,omitempty" doc:"For after, when there may be more"`
	}
}

// Names are sealed in the database, so that who looks for one has them read; searchPage at a time,
// and no more than maxSearched for one answer.
const (
	searchPage  = 1000
	maxSearched = 20 * searchPage
)

func (s *server) batches(h huma.API) {
	create := op("Batches", "createBatch", http.MethodPost, "/v1/batches", "Open a batch")
	create.DefaultStatus = http.StatusCreated
	huma.Register(h, create, s.createBatch)
	s.intake(h)
	huma.Register(h, op("Batches", "sealBatch", http.MethodPost, "/v1/batches/{id}/seal", "Fix count and root", http.StatusNotFound, http.StatusConflict), s.sealBatch)
	huma.Register(h, op("Batches", "batch", http.MethodGet, "/v1/batches/{id}", "Status, counts, rate and what it waits for", http.StatusNotFound), s.batch)
	huma.Register(h, op("Batches", "pauseBatch", http.MethodPost, "/v1/batches/{id}/pause", "Sign no more of it for now", http.StatusNotFound, http.StatusConflict), s.pauseBatch)
	huma.Register(h, op("Batches", "resumeBatch", http.MethodPost, "/v1/batches/{id}/resume", "Go on with a paused batch", http.StatusNotFound, http.StatusConflict), s.resumeBatch)
	huma.Register(h, op("Batches", "retryBatch", http.MethodPost, "/v1/batches/{id}/retry", "Let refused documents be authorised again", http.StatusNotFound, http.StatusConflict), s.retryBatch)
	huma.Register(h, op("Batches", "batchItems", http.MethodGet, "/v1/batches/{id}/items", "Items with their outcome", http.StatusNotFound), s.batchItems)
	preview := binary(op("Batches", "previewItem", http.MethodGet, "/v1/batches/{id}/items/{index}/preview", "An eCertificate as it will be signed", http.StatusNotFound, http.StatusBadRequest, http.StatusNotImplemented),
		"application/pdf", "The certificate, byte for byte what is signed; image/png for format=png")
	preview.Responses["200"].Content["image/png"] = preview.Responses["200"].Content["application/pdf"]
	huma.Register(h, preview, s.previewItem)
	huma.Register(h, binary(op("Batches", "batchArchive", http.MethodGet, "/v1/batches/{id}/archive", "ZIP of the signed PDFs, detached signatures and manifest.json", http.StatusNotFound, http.StatusConflict),
		"application/zip", "The archive"), s.batchArchive)
	huma.Register(h, op("Batches", "cancelBatch", http.MethodDelete, "/v1/batches/{id}", "Cancel before signing", http.StatusNotFound, http.StatusConflict), s.cancelBatch)
	s.outputs(h)
	s.events(h)
}

// batchView tells how a batch stands, and how it goes on.
func (s *server) batchView(ctx context.Context, b batch.Batch) (batchBody, error) {
	p, err := s.Batches.Pace(ctx, &b)
	if err != nil {
		return batchBody{}, err
	}
	return batchBodyOf(&b, &p, english(ctx)), nil
}

func batchBodyOf(b *batch.Batch, p *batch.Pace, en bool) batchBody {
	v := batchBody{ID: b.ID, Name: b.Name, Kind: b.Kind, Status: string(b.Status), Count: b.Next, Signed: b.Signed, Refused: b.Refused, Pending: b.Pending, RefusedRows: b.RefusedRows,
		Rate: p.Rate, RefusedByCode: p.Refused, Needs: needs(b.Status, en)}
	if b.Count > 0 && b.Status != batch.Cancelled {
		v.Root, v.Fingerprint = base64.StdEncoding.EncodeToString(b.Root[:]), signer.Fingerprint(b.Root)
	}
	if !p.ETA.IsZero() {
		v.ETA = &p.ETA
	}
	if !b.StartedAt.IsZero() {
		v.StartedAt = &b.StartedAt
		if !b.FinishedAt.IsZero() {
			v.FinishedAt = &b.FinishedAt
		}
	}
	return v
}

// needs is what a batch waits for; nil when it is nobody's turn.
func needs(status batch.Status, en bool) *needsBody {
	switch status {
	case batch.Open:
		return &needsBody{"seal", pick(en, "Seal the batch when all items are in it.", "Meterai kelompok ini apabila semua item sudah dimasukkan.")}
	case batch.Sealed:
		return &needsBody{"authorise", pick(en, "Ask for a transaction with this batch_id: the officer gives PIN and code.", "Buat transaksi dengan batch_id ini: pegawai memberi PIN dan kod.")}
	case batch.NeedsAuthorisation:
		return &needsBody{"authorise", pick(en, "Signing stopped before its end; what was signed stays. Ask for another transaction with this batch_id: the officer gives PIN and a new code for the rest.",
			"Penandatanganan terhenti sebelum selesai; apa yang telah ditandatangani kekal. Buat transaksi baharu dengan batch_id ini: pegawai memberi PIN dan kod baharu untuk yang selebihnya.")}
	case batch.Paused:
		return &needsBody{"resume", pick(en, "The batch is paused. Resume it before its authorisation ends; no PIN is needed.", "Kelompok ini dijeda. Sambung semula sebelum kebenarannya tamat; PIN tidak diperlukan.")}
	}
	return nil
}

// told answers with how a batch stands.
func (s *server) told(ctx context.Context, b batch.Batch, err error) (*batchOutput, error) {
	var v batchBody
	if err == nil {
		v, err = s.batchView(ctx, b)
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &batchOutput{v}, nil
}

func (s *server) createBatch(ctx context.Context, in *batchCreateInput) (*batchOutput, error) {
	b, err := s.Batches.Create(ctx, appOf(ctx).ID, in.Body.Name, in.Body.Kind, requestIDOf(ctx))
	return s.told(ctx, b, err)
}

func (s *server) sealBatch(ctx context.Context, in *sealInput) (*batchOutput, error) {
	b, err := s.Batches.Seal(ctx, appOf(ctx).ID, in.ID, in.Body != nil && in.Body.AcceptRefused, requestIDOf(ctx))
	return s.told(ctx, b, err)
}

func (s *server) pauseBatch(ctx context.Context, in *batchInput) (*batchOutput, error) {
	b, err := s.Batches.Pause(ctx, appOf(ctx).ID, in.ID, requestIDOf(ctx))
	return s.told(ctx, b, err)
}

func (s *server) resumeBatch(ctx context.Context, in *batchInput) (*batchOutput, error) {
	b, err := s.Batches.Resume(ctx, appOf(ctx).ID, in.ID, requestIDOf(ctx))
	return s.told(ctx, b, err)
}

func (s *server) retryBatch(ctx context.Context, in *retryInput) (*batchOutput, error) {
	var items []uint32
	if in.Body != nil {
		items = in.Body.Items
	}
	b, err := s.Batches.Retry(ctx, appOf(ctx).ID, in.ID, items, requestIDOf(ctx))
	return s.told(ctx, b, err)
}

func (s *server) batch(ctx context.Context, in *batchInput) (*batchOutput, error) {
	b, err := s.Batches.Batch(ctx, appOf(ctx).ID, in.ID)
	return s.told(ctx, b, err)
}

func (s *server) batchItems(ctx context.Context, in *itemsInput) (*itemsOutput, error) {
	if _, err := s.Batches.Batch(ctx, appOf(ctx).ID, in.ID); err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &itemsOutput{}
	var items []batch.Item
	var err error
	if in.Named == "" {
		if items, err = s.Batches.Queue.Items(ctx, in.ID, in.State, in.After, in.Limit); err == nil && len(items) == in.Limit {
			out.Body.Next = &items[in.Limit-1].Index
		}
	} else {
		items, out.Body.Next, err = s.named(ctx, in)
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out.Body.Items = make([]itemBody, len(items))
	for k := range items {
		it := &items[k]
		b := itemBody{Index: it.Index, Name: it.Name, Reference: it.Reference, State: it.State, Level: it.Level, Code: it.Code, Detail: it.Detail,
			Digest: digestBody{hashName(it.Hash), base64.StdEncoding.EncodeToString(it.Digest)}}
		if len(it.Signature) > 0 {
			b.Signature = base64.StdEncoding.EncodeToString(it.Signature)
		}
		if it.State == batch.ItemSigned {
			b.SignedAt = &it.SignedAt
		}
		if it.Record != nil {
			b.RecordID, b.RecordURL = it.Record.ID, s.Batches.Address(it.Record)
		}
		out.Body.Items[k] = b
	}
	return out, nil
}

// named finds items by what they are called, and says after which it has not looked.
func (s *server) named(ctx context.Context, in *itemsInput) (found []batch.Item, next *uint32, err error) {
	release, err := slot(ctx, s.checks) // it unseals thousands of names
	if err != nil {
		return nil, nil, err
	}
	defer release()
	want, after := strings.ToUpper(in.Named), in.After
	for seen := 0; seen < maxSearched; seen += searchPage {
		items, err := s.Batches.Queue.Items(ctx, in.ID, in.State, after, searchPage)
		if err != nil {
			return nil, nil, err
		}
		for k := range items {
			it := &items[k]
			if after = int64(it.Index); !strings.Contains(strings.ToUpper(it.Name), want) && !strings.Contains(strings.ToUpper(it.Reference), want) {
				continue
			}
			if found = append(found, *it); len(found) == in.Limit {
				return found, &it.Index, nil
			}
		}
		if len(items) < searchPage {
			return found, nil, nil
		}
	}
	at := uint32(after)
	return found, &at, nil
}

func (s *server) batchArchive(ctx context.Context, in *batchInput) (*huma.StreamResponse, error) {
	b, err := s.Batches.Batch(ctx, appOf(ctx).ID, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if b.Signed == 0 {
		return nil, s.fail(ctx, batch.ErrNotSigned)
	}
	if err := s.Batches.Intact(ctx, b); err != nil {
		return nil, s.fail(ctx, err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", "application/zip")
		hc.SetHeader("Content-Disposition", attachment(b.ID, ".zip"))
		if err := s.Batches.Archive(ctx, b, hc.BodyWriter()); err != nil {
			// The status line is gone; a cut connection is the honest answer.
			s.Log.Error("sending archive", "request_id", requestIDOf(ctx), "error", err)
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

type previewInput struct {
	ID     string `path:"id" maxLength:"64"`
	Index  uint32 `path:"index"`
	Format string `query:"format" enum:"pdf,png" default:"pdf"`
	Page   int    `query:"page" minimum:"1" maximum:"2" default:"1" doc:"Of png: the page"`
}

type previewOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Cache       string `header:"Cache-Control"`
	Body        []byte
}

// previewDPI draws an A4 page of 910 by 1287 pixels.
const previewDPI = 110

func (s *server) previewItem(ctx context.Context, in *previewInput) (*previewOutput, error) {
	page, err := s.Batches.Preview(ctx, appOf(ctx).ID, in.ID, in.Index)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &previewOutput{ContentType: "application/pdf", Disposition: "inline", Cache: "no-store", Body: page}
	if in.Format == "png" {
		out.ContentType = "image/png"
		if out.Body, err = picture(ctx, page, in.Page); err != nil {
			return nil, s.fail(ctx, err)
		}
	}
	return out, nil
}

// picture draws a page of a certificate, the first being 1.
func picture(ctx context.Context, pdf []byte, page int) ([]byte, error) {
	out, err := raster.PNG(ctx, bytes.NewReader(pdf), page, previewDPI)
	if errors.Is(err, raster.ErrNoPage) {
		return nil, fixed("page", "There is no such page.", "Tiada halaman itu.")
	}
	return out, err
}

func (s *server) cancelBatch(ctx context.Context, in *batchInput) (*struct{}, error) {
	if err := s.Batches.Cancel(ctx, appOf(ctx).ID, in.ID, requestIDOf(ctx)); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}
