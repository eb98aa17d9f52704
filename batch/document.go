package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// ErrNotSigned means a document has no signed version yet.
var ErrNotSigned = errors.New("document is not signed yet")

// Document is a PDF an app uploaded, to be named in transactions.
type Document struct {
	ID        string
	App       string
	Name      string
	Size      int64
	Pages     int
	Digest    []byte // SHA-256 of the bytes
	Blob      string
	CreatedAt time.Time
}

// Findings is what stands out in an uploaded PDF.
type Findings struct {
	Signatures []string // names of the signature fields that hold a signature
	Warnings   []string // parts that can change what is seen: scripts, actions …
}

// Documents is the register of uploads. Each call is durable when it returns.
type Documents interface {
	// PutDocument stores d with its event.
	PutDocument(ctx context.Context, d Document, ev audit.Event) error
	// Document returns an upload or ErrUnknown.
	Document(ctx context.Context, id string) (Document, error)
	// SignedDocument returns the newest signed version, or ErrNotSigned.
	SignedDocument(ctx context.Context, id string) (blob string, size int64, err error)
}

// Upload stores a PDF and checks that its structure can be read; *pdf.Error says
// what stands against it, and nothing is registered then. password opens an
// encrypted one.
func (s *Service) Upload(ctx context.Context, docs Documents, app, name, requestID string, r io.Reader, password secret.Text) (Document, Findings, error) {
	ev := audit.Event{At: s.Now(), Actor: "app:" + app, Action: "document.upload", Verdict: audit.Accepted, RequestID: requestID}
	name, err := CleanName(name)
	if err != nil {
		return Document{}, Findings{}, s.refuse(ctx, ev, fmt.Errorf("%w: %w", ErrInput, err))
	}
	d := Document{ID: ident.New("do", 16), App: app, Name: name, CreatedAt: s.Now().UTC()}
	d.Blob = "document/" + d.ID
	ev.Object = d.ID
	p, err := s.storePDF(ctx, d.Blob, r, password)
	if err == nil {
		err = s.Blobs.Sync(ctx, d.Blob)
	}
	if err != nil {
		return Document{}, Findings{}, s.refuse(ctx, ev, errors.Join(err, s.Blobs.Remove(context.WithoutCancel(ctx), d.Blob)))
	}
	d.Size, d.Digest, d.Pages = p.size, p.digest, p.pages
	ev.Detail = map[string]string{"sha256": fmt.Sprintf("%x", d.Digest)}
	return d, p.Findings, docs.PutDocument(ctx, d, ev)
}

// Inspect says again what stands out in an uploaded document; password opens an encrypted one.
func (s *Service) Inspect(ctx context.Context, d Document, password secret.Text) (Findings, error) {
	p, _, err := s.inspect(ctx, d.Blob, password)
	return p.Findings, err
}
