package api

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/internal/secret"
)

// upload is a request whose body is a stream, not JSON. Handlers read it once.
type upload struct{ body io.Reader }

// Resolve implements huma.Resolver: it keeps the body's reader.
func (u *upload) Resolve(ctx huma.Context) []error {
	u.body = ctx.BodyReader()
	return nil
}

var _ huma.Resolver = (*upload)(nil)

// streamed describes the content types of an upload.
func streamed(o huma.Operation, types ...string) huma.Operation {
	o.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
	for _, t := range types {
		o.RequestBody.Content[t] = &huma.MediaType{Schema: &huma.Schema{Type: "string", Format: "binary"}}
	}
	return o
}

// binary describes an answer that is a file.
func binary(o huma.Operation, contentType, what string) huma.Operation {
	o.Responses = map[string]*huma.Response{"200": {Description: what, Content: map[string]*huma.MediaType{
		contentType: {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}}
	return o
}

// mediaType is the Content-Type without parameters.
func mediaType(header string) string {
	t, _, err := mime.ParseMediaType(header)
	if err != nil {
		return ""
	}
	return t
}

type digestBody struct {
	Alg   string `json:"alg" enum:"SHA-256,SHA-384,SHA-512"`
	Value string `json:"value" maxLength:"128" doc:"Base64"`
}

type uploadInput struct {
	upload
	Name        string `query:"name" maxLength:"200" doc:"Shown to the officer" default:"dokumen.pdf"`
	Password    string `header:"X-PDF-Password" maxLength:"127" doc:"Of an encrypted PDF that does not open without"`
	ContentType string `header:"Content-Type"`
}

type documentBody struct {
	ID         string     `json:"document_id"`
	Name       string     `json:"name"`
	Size       int64      `json:"size" doc:"Bytes"`
	Pages      int        `json:"pages"`
	Digest     digestBody `json:"digest"`
	Signatures []string   `json:"signatures" doc:"Fields that hold a signature"`
	Warnings   []string   `json:"warnings" doc:"What a signatory should know, as codes: scripts, hidden or covering annotations, content from elsewhere …"`
}

type documentOutput struct{ Body documentBody }

type contentInput struct {
	ID      string `path:"id" maxLength:"64"`
	Version string `query:"version" enum:"signed,original" default:"signed"`
}

func (s *server) documents(h huma.API) {
	up := streamed(op("Documents", "uploadDocument", http.MethodPost, "/v1/documents", "Upload a PDF", http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity), "application/pdf")
	up.DefaultStatus = http.StatusCreated
	huma.Register(h, up, s.uploadDocument)
	huma.Register(h, binary(op("Documents", "documentContent", http.MethodGet, "/v1/documents/{id}/content", "Download a document, signed or original", http.StatusNotFound, http.StatusConflict),
		"application/pdf", "The PDF"), s.content)
}

func (s *server) uploadDocument(ctx context.Context, in *uploadInput) (*documentOutput, error) {
	if mediaType(in.ContentType) != "application/pdf" {
		return nil, s.fail(ctx, &invalid{"Content-Type", "It must be application/pdf.", "Ia mesti application/pdf."})
	}
	password := secret.New(in.Password)
	defer password.Wipe()
	d, found, err := s.Batches.Upload(ctx, s.Documents, appOf(ctx).ID, in.Name, requestIDOf(ctx), in.body, password)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &documentOutput{documentBody{ID: d.ID, Name: d.Name, Size: d.Size, Pages: d.Pages, Signatures: append([]string{}, found.Signatures...), Warnings: append([]string{}, found.Warnings...),
		Digest: digestBody{"SHA-256", base64.StdEncoding.EncodeToString(d.Digest)}}}, nil
}

// document finds an upload of the calling app.
func (s *server) document(ctx context.Context, id string) (batch.Document, error) {
	d, err := s.Documents.Document(ctx, id)
	if err == nil && d.App != appOf(ctx).ID {
		err = batch.ErrUnknown
	}
	return d, err
}

func (s *server) content(ctx context.Context, in *contentInput) (*huma.StreamResponse, error) {
	d, err := s.document(ctx, in.ID)
	if errors.Is(err, batch.ErrUnknown) && in.Version != "original" {
		// Of another app: who takes part in its work process may read what is to be signed.
		if err = s.Signer.Readable(ctx, appOf(ctx).ID, appOf(ctx).Serves, in.ID); err == nil {
			d.ID = in.ID
		}
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	blob := d.Blob
	if in.Version != "original" {
		if blob, _, err = s.Documents.SignedDocument(ctx, d.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
	}
	return s.sendBlob(ctx, blob, "application/pdf")
}

// sendBlob streams a stored file.
func (s *server) sendBlob(ctx context.Context, id, contentType string) (*huma.StreamResponse, error) {
	b, err := s.Batches.Blobs.Open(ctx, id)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer b.Close()
		hc.SetHeader("Content-Type", contentType)
		hc.SetHeader("Content-Length", strconv.FormatInt(b.Size(), 10))
		if _, err := io.Copy(hc.BodyWriter(), io.NewSectionReader(b, 0, b.Size())); err != nil {
			s.Log.Warn("sending document", "request_id", requestIDOf(ctx), "error", err)
		}
	}}, nil
}
