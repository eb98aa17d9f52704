package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/pdf"
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
	ID         string        `json:"document_id"`
	Name       string        `json:"name"`
	Size       int64         `json:"size" doc:"Bytes"`
	Pages      int           `json:"pages"`
	Digest     digestBody    `json:"digest"`
	Signatures []string      `json:"signatures" doc:"Fields that hold a signature"`
	Warnings   []string      `json:"warnings" doc:"What a signatory should know, as codes: scripts, hidden or covering annotations, content from elsewhere …"`
	Findings   []findingBody `json:"findings" doc:"The same in words, in the language of the request"`
}

type findingBody struct {
	Code     string `json:"code" example:"javascript"`
	Severity string `json:"severity" enum:"info,warning,danger"`
	Text     string `json:"text" example:"Skrip di dalam dokumen"`
}

type documentOutput struct{ Body documentBody }

type describeInput struct {
	ID       string `path:"id" maxLength:"64"`
	Password string `header:"X-PDF-Password" maxLength:"127"`
}

type contentInput struct {
	ID      string `path:"id" maxLength:"64"`
	Version string `query:"version" enum:"signed,original" default:"signed"`
}

func (s *server) documents(h huma.API) {
	up := streamed(op("Documents", "uploadDocument", http.MethodPost, "/v1/documents", "Upload a PDF", http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity), "application/pdf")
	up.DefaultStatus = http.StatusCreated
	huma.Register(h, up, s.uploadDocument)
	huma.Register(h, op("Documents", "document", http.MethodGet, "/v1/documents/{id}", "What was said at the upload; X-PDF-Password for an encrypted one, as then", http.StatusNotFound, http.StatusUnprocessableEntity), s.describe)
	get := binary(op("Documents", "documentContent", http.MethodGet, "/v1/documents/{id}/content", "Download a document, signed or original; in parts with Range", http.StatusNotFound, http.StatusConflict),
		"application/pdf", "The PDF")
	content := get.Responses["200"].Content
	get.Responses["206"] = &huma.Response{Description: "The part that Range asks for (RFC 9110, Section 14)", Content: content}
	get.Responses["304"] = &huma.Response{Description: "It is what If-None-Match names"}
	get.Responses["416"] = &huma.Response{Description: "There is no such part", Content: map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: "string"}}}}
	huma.Register(h, get, s.content)
	head := op("Documents", "documentHead", http.MethodHead, "/v1/documents/{id}/content", "Size and ETag of a document", http.StatusNotFound, http.StatusConflict)
	head.Responses = map[string]*huma.Response{"200": {Description: "As GET, without the PDF"}, "206": {Description: "As GET, without the part"}, "304": get.Responses["304"], "416": {Description: "There is no such part"}}
	huma.Register(h, head, s.content)
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
	return documentView(&d, &found, english(ctx)), nil
}

func documentView(d *batch.Document, found *batch.Findings, en bool) *documentOutput {
	told := make([]findingBody, 0, len(found.Warnings))
	for _, code := range found.Warnings {
		f := pdf.Finding{Code: code, Severity: pdf.SeverityOf(code)}
		told = append(told, findingBody{code, string(f.Severity), f.Text(pick(en, "en", "ms"))})
	}
	return &documentOutput{documentBody{Findings: told, ID: d.ID, Name: d.Name, Size: d.Size, Pages: d.Pages, Signatures: append([]string{}, found.Signatures...), Warnings: append([]string{}, found.Warnings...),
		Digest: digestBody{"SHA-256", base64.StdEncoding.EncodeToString(d.Digest)}}}
}

func (s *server) describe(ctx context.Context, in *describeInput) (*documentOutput, error) {
	d, err := s.document(ctx, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	release, err := slot(ctx, s.checks)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	defer release()
	password := secret.New(in.Password)
	defer func() { password.Wipe() }()
	if password.Len() == 0 && personOf(ctx) != nil {
		// Whose document it is gave the password with it.
		if password, err = s.Signer.StoredPassword(ctx, d.Blob); err != nil {
			return nil, s.fail(ctx, err)
		}
	}
	found, err := s.Batches.Inspect(ctx, d, password)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return documentView(&d, &found, english(ctx)), nil
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
		if err = s.Signer.Readable(ctx, appOf(ctx).ID, appOf(ctx).Serves, personOf(ctx) != nil, in.ID); err == nil {
			d.ID = in.ID
		}
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	blob, tag, name := d.Blob, hex.EncodeToString(d.Digest), d.Name
	if in.Version != "original" {
		var size int64
		if blob, size, err = s.Documents.SignedDocument(ctx, d.ID); err != nil {
			return nil, s.fail(ctx, err)
		}
		// The next signature has a place of its own; the same one made anew is the same.
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", blob, size))
		tag, name = hex.EncodeToString(sum[:16]), signedName(name)
	}
	b, err := s.Batches.Blobs.Open(ctx, blob)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer b.Close()
		hc.SetHeader("Content-Type", "application/pdf")
		hc.SetHeader("Content-Disposition", attachment(name, ".pdf"))
		hc.SetHeader("ETag", `"`+tag+`"`)
		r, w := humachi.Unwrap(hc)
		http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(b, 0, b.Size()))
	}}, nil
}

func signedName(name string) string { return strings.TrimSuffix(name, ".pdf") + " (signed).pdf" }

// attachment names a file to be saved, which ends in suffix (RFC 6266, RFC 8187): without what
// file systems and shells take for more than a letter, and in ASCII for those who know no more.
func attachment(name, suffix string) string {
	name = strings.TrimLeft(strings.Map(func(r rune) rune {
		if strings.ContainsRune("/\\:*?\"<>|%$`;'", r) || !unicode.IsGraphic(r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_")), ". ")
	if !strings.HasSuffix(strings.ToLower(name), suffix) {
		name += suffix
	}
	ascii := strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '_'
		}
		return r
	}, name)
	out := `attachment; filename="` + ascii + `"`
	if ascii != name {
		out += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return out
}
