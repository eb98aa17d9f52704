package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
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
	Status      string     `json:"status" enum:"OPEN,SEALED,SIGNING,NEEDS_AUTHORISATION,SIGNED,SIGNED_WITH_REFUSALS,CANCELLED"`
	Count       uint32     `json:"count" doc:"Items taken in"`
	Signed      uint32     `json:"signed"`
	Refused     uint32     `json:"refused" doc:"Items that could not be signed"`
	Pending     uint32     `json:"pending"`
	RefusedRows uint32     `json:"refused_rows" doc:"Rows refused at intake"`
	Root        string     `json:"root,omitempty" doc:"Base64; once sealed"`
	Fingerprint string     `json:"fingerprint,omitempty"`
	Rate        float64    `json:"rate" doc:"Signed items a second since signing began"`
	StartedAt   *time.Time `json:"started_at,omitempty"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"`
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

type itemsInput struct {
	ID    string `path:"id" maxLength:"64"`
	State string `query:"state" enum:"pending,claimed,signed,refused"`
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
	RecordID  string     `json:"record_id,omitempty" doc:"eCertificates: the public page is /s/{record_id}"`
	RecordURL string     `json:"record_url,omitempty" doc:"eCertificates: the address in the QR code. What is behind the # opens the public record: it is for the holder"`
}

type itemsOutput struct {
	Body struct {
		Items []itemBody `json:"items"`
		Next  *uint32    `json:"next,omitempty" doc:"For after, when there may be more"`
	}
}

func (s *server) batches(h huma.API) {
	create := op("Batches", "createBatch", http.MethodPost, "/v1/batches", "Open a batch")
	create.DefaultStatus = http.StatusCreated
	huma.Register(h, create, s.createBatch)
	s.intake(h)
	huma.Register(h, op("Batches", "sealBatch", http.MethodPost, "/v1/batches/{id}/seal", "Fix count and root", http.StatusNotFound, http.StatusConflict), s.sealBatch)
	huma.Register(h, op("Batches", "batch", http.MethodGet, "/v1/batches/{id}", "Status and counts", http.StatusNotFound), s.batch)
	huma.Register(h, op("Batches", "batchItems", http.MethodGet, "/v1/batches/{id}/items", "Items with their outcome", http.StatusNotFound), s.batchItems)
	preview := binary(op("Batches", "previewItem", http.MethodGet, "/v1/batches/{id}/items/{index}/preview", "An eCertificate as it will be signed", http.StatusNotFound, http.StatusBadRequest, http.StatusNotImplemented),
		"application/pdf", "The certificate, byte for byte what is signed; image/png for format=png")
	preview.Responses["200"].Content["image/png"] = preview.Responses["200"].Content["application/pdf"]
	huma.Register(h, preview, s.previewItem)
	huma.Register(h, binary(op("Batches", "batchArchive", http.MethodGet, "/v1/batches/{id}/archive", "ZIP of the signed PDFs and manifest.json", http.StatusNotFound, http.StatusConflict),
		"application/zip", "The archive"), s.batchArchive)
	huma.Register(h, op("Batches", "cancelBatch", http.MethodDelete, "/v1/batches/{id}", "Cancel before signing", http.StatusNotFound, http.StatusConflict), s.cancelBatch)
	s.events(h)
}

func batchView(b batch.Batch, now time.Time) batchBody {
	v := batchBody{ID: b.ID, Name: b.Name, Kind: b.Kind, Status: string(b.Status), Count: b.Next, Signed: b.Signed, Refused: b.Refused, Pending: b.Pending, RefusedRows: b.RefusedRows}
	if b.Status != batch.Open && b.Status != batch.Cancelled {
		v.Root, v.Fingerprint = base64.StdEncoding.EncodeToString(b.Root[:]), signer.Fingerprint(b.Root)
	}
	if !b.StartedAt.IsZero() {
		v.StartedAt = &b.StartedAt
		end := now
		if !b.FinishedAt.IsZero() {
			v.FinishedAt, end = &b.FinishedAt, b.FinishedAt
		}
		if d := end.Sub(b.StartedAt).Seconds(); d > 0 {
			v.Rate = float64(b.Signed) / d
		}
	}
	return v
}

func (s *server) createBatch(ctx context.Context, in *batchCreateInput) (*batchOutput, error) {
	b, err := s.Batches.Create(ctx, appOf(ctx).ID, in.Body.Name, in.Body.Kind, requestIDOf(ctx))
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &batchOutput{batchView(b, s.Now())}, nil
}

func (s *server) sealBatch(ctx context.Context, in *sealInput) (*batchOutput, error) {
	b, err := s.Batches.Seal(ctx, appOf(ctx).ID, in.ID, in.Body != nil && in.Body.AcceptRefused, requestIDOf(ctx))
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &batchOutput{batchView(b, s.Now())}, nil
}

func (s *server) batch(ctx context.Context, in *batchInput) (*batchOutput, error) {
	b, err := s.Batches.Batch(ctx, appOf(ctx).ID, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &batchOutput{batchView(b, s.Now())}, nil
}

func (s *server) batchItems(ctx context.Context, in *itemsInput) (*itemsOutput, error) {
	if _, err := s.Batches.Batch(ctx, appOf(ctx).ID, in.ID); err != nil {
		return nil, s.fail(ctx, err)
	}
	items, err := s.Batches.Queue.Items(ctx, in.ID, in.State, in.After, in.Limit)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &itemsOutput{}
	out.Body.Items = make([]itemBody, len(items))
	for k := range items {
		it := &items[k]
		b := itemBody{Index: it.Index, Name: it.Name, Reference: it.Reference, State: it.State, Code: it.Code, Detail: it.Detail,
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
	if n := len(items); n == in.Limit {
		out.Body.Next = &items[n-1].Index
	}
	return out, nil
}

func (s *server) batchArchive(ctx context.Context, in *batchInput) (*huma.StreamResponse, error) {
	b, err := s.Batches.Batch(ctx, appOf(ctx).ID, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if b.Signed == 0 {
		return nil, s.fail(ctx, batch.ErrNotSigned)
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
		if out.Body, err = raster.PNG(ctx, bytes.NewReader(page), in.Page, previewDPI); err != nil {
			return nil, s.fail(ctx, err)
		}
	}
	return out, nil
}

func (s *server) cancelBatch(ctx context.Context, in *batchInput) (*struct{}, error) {
	if err := s.Batches.Cancel(ctx, appOf(ctx).ID, in.ID, requestIDOf(ctx)); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}
