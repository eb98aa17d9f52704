package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/internal/table"
	"github.com/mohor-sign/mohor/signer"
)

type itemsUploadInput struct {
	upload
	ID          string `path:"id" maxLength:"64"`
	Name        string `query:"name" maxLength:"200" doc:"Of a single PDF: shown to the officer" default:"dokumen.pdf"`
	Reference   string `query:"reference" maxLength:"200" doc:"Of a single PDF: your name of it"`
	Amount      string `query:"amount" maxLength:"20" doc:"Of a single PDF: ringgit, such as 29911.35"`
	Payee       string `query:"payee" maxLength:"120" doc:"Of a single PDF: to whom it pays"`
	Password    string `header:"X-PDF-Password" maxLength:"127" doc:"Of a single PDF that does not open without"`
	ContentType string `header:"Content-Type"`
}

type noteBody struct {
	Code   string `json:"code" enum:"encoding,separator,person_twice"`
	Detail string `json:"detail" doc:"In Malay and English"`
}

type intakeOutput struct {
	Body struct {
		Accepted     int             `json:"accepted"`
		Refused      []batch.Refusal `json:"refused" doc:"The first thousand of them; all at …/refused"`
		RefusedCount int             `json:"refused_count"`
		Encoding     string          `json:"encoding,omitempty" enum:"utf-8,utf-16,windows-1252,xlsx" doc:"Of a list: as what it was read"`
		Notes        []noteBody      `json:"notes,omitempty" doc:"What to look at before sealing"`
	}
}

type refusedInput struct {
	ID     string `path:"id" maxLength:"64"`
	Format string `query:"format" enum:"json,csv" default:"json" doc:"CSV holds all of them, for a spreadsheet: what it would compute stands behind an apostrophe"`
	After  int64  `query:"after" default:"-1" minimum:"-1" maximum:"4294967295" doc:"JSON: next of the page before"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"JSON"`
}

// refusedPage is the JSON of refused rows.
type refusedPage struct {
	Refused []batch.Refusal `json:"refused"`
	Next    *int64          `json:"next,omitempty" doc:"For after, when there may be more"`
}

func (s *server) intake(h huma.API) {
	huma.Register(h, streamed(op("Batches", "addItems", http.MethodPost, "/v1/batches/{id}/items", "Add candidates (CSV, XLSX, or a ZIP of a list and pictures), PDFs (ZIP, or one) or digests (NDJSON)",
		http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity), "text/csv", sheetType, "application/zip", "application/pdf", "application/x-ndjson"), s.addItems)
	o := op("Batches", "refusedRows", http.MethodGet, "/v1/batches/{id}/refused", "Rows that were not taken in, with the reasons", http.StatusNotFound)
	o.Responses = map[string]*huma.Response{"200": {Description: "The rows, in the order of the uploads", Content: map[string]*huma.MediaType{
		"application/json": {Schema: h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[refusedPage](), true, "RefusedPage")},
		"text/csv":         {Schema: &huma.Schema{Type: "string"}}}}}
	huma.Register(h, o, s.refusedRows)
}

func (s *server) addItems(ctx context.Context, in *itemsUploadInput) (*intakeOutput, error) {
	add := map[string]func(context.Context, string, string, string, io.Reader) (batch.Intake, error){
		"text/csv": s.Batches.AddCandidates, sheetType: s.Batches.AddCandidates, "application/zip": s.Batches.AddZIP, "application/x-ndjson": s.Batches.AddDigests,
		"application/pdf": func(ctx context.Context, app, id, requestID string, r io.Reader) (batch.Intake, error) {
			return s.Batches.AddPDF(ctx, app, id, requestID, batch.File{Name: in.Name, Reference: in.Reference, Payment: signer.Payment{Amount: in.Amount, Payee: in.Payee}, Password: secret.New(in.Password)}, r)
		},
	}[mediaType(in.ContentType)]
	if add == nil {
		return nil, s.fail(ctx, fixed("Content-Type", "It must be text/csv, XLSX, application/zip, application/pdf or application/x-ndjson.", "Ia mesti text/csv, XLSX, application/zip, application/pdf atau application/x-ndjson."))
	}
	if _, ok := signer.ParseAmount(in.Amount); in.Amount != "" && !ok {
		return nil, s.fail(ctx, fixed("amount", "It must be ringgit such as 29911.35: no sign, no thousands separator, at most two decimals.", "Ia mesti ringgit seperti 29911.35: tanpa tanda, tanpa pemisah ribu, paling banyak dua perpuluhan."))
	}
	got, err := add(ctx, appOf(ctx).ID, in.ID, requestIDOf(ctx), in.body)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &intakeOutput{}
	out.Body.Accepted, out.Body.Refused, out.Body.RefusedCount, out.Body.Encoding = got.Accepted, got.Refused, got.RefusedCount, got.Encoding
	if out.Body.Refused == nil {
		out.Body.Refused = []batch.Refusal{}
	}
	for _, n := range got.Notes {
		out.Body.Notes = append(out.Body.Notes, noteBody{n.Code, n.TextMS + " / " + n.Text})
	}
	return out, nil
}

func (s *server) refusedRows(ctx context.Context, in *refusedInput) (*huma.StreamResponse, error) {
	b, err := s.Batches.Batch(ctx, appOf(ctx).ID, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	page := refusedPage{}
	if in.Format == "json" {
		if page.Refused, err = s.Batches.Queue.RefusedRows(ctx, in.ID, in.After, in.Limit); err != nil {
			return nil, s.fail(ctx, err)
		}
		if n := len(page.Refused); n == in.Limit {
			last := in.After + int64(n)
			page.Next = &last
		}
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Cache-Control", "no-store")
		err := error(nil)
		if in.Format == "json" {
			hc.SetHeader("Content-Type", "application/json")
			err = json.NewEncoder(hc.BodyWriter()).Encode(page)
		} else {
			hc.SetHeader("Content-Type", "text/csv; charset=utf-8")
			hc.SetHeader("Content-Disposition", attachment(b.ID+"-ditolak", ".csv"))
			err = s.writeRefused(ctx, in.ID, hc.BodyWriter())
		}
		if err != nil {
			// The status line may be gone; a cut connection is the honest answer.
			s.Log.Error("sending refused rows", "request_id", requestIDOf(ctx), "error", err)
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// writeRefused writes all refused rows of a batch as CSV.
func (s *server) writeRefused(ctx context.Context, id string, w io.Writer) error {
	t, err := table.NewCSVWriter(w)
	if err != nil {
		return err
	}
	if err := t.Row("baris", "lajur", "nama", "kod", "sebab", "reason"); err != nil {
		return err
	}
	const page = 500
	for after := int64(-1); ; after += page {
		rows, err := s.Batches.Queue.RefusedRows(ctx, id, after, page)
		if err != nil {
			return err
		}
		for _, r := range rows {
			ms, en, _ := strings.Cut(r.Detail, " / ")
			if err := t.Row(int64(r.Row), r.Column, r.Name, r.Code, ms, en); err != nil {
				return err
			}
		}
		if len(rows) < page {
			return t.Close()
		}
	}
}
