package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/signer"
)

type itemInput struct {
	ID    string `path:"id" maxLength:"64"`
	Index int64  `path:"index" minimum:"0" maximum:"4294967295"`
}

// itemProofBody is all that is needed to compute the root again; docs/api.md says how.
type itemProofBody struct {
	ID          string     `json:"batch_id"`
	Index       uint32     `json:"index"`
	Name        string     `json:"name"`
	Digest      digestBody `json:"digest" doc:"Of the document as authorised"`
	Size        int64      `json:"size,omitempty" doc:"Bytes of that document, when it came in with the batch: the signed PDF begins with it"`
	Count       uint32     `json:"count"`
	Root        string     `json:"root" doc:"Base64: the root that the batch was sealed with"`
	Fingerprint string     `json:"fingerprint"`
	Path        []string   `json:"path" maxItems:"32" doc:"Hashes from the leaf's sibling up, base64 (RFC 9162, Section 2.1.3)"`
}

type itemProofOutput struct{ Body itemProofBody }

// outputs are the routes of what a batch gives out item by item.
func (s *server) outputs(h huma.API) {
	proof := op("Batches", "itemProof", http.MethodGet, "/v1/batches/{id}/items/{index}/proof", "Shows that an item is in the sealed batch", http.StatusNotFound, http.StatusConflict)
	proof.Description = "The leaf is SHA-256 of: a zero octet, index (u32), length of the name in bytes (u16), name (UTF-8), 1, 2 or 3 for SHA-256, SHA-384 or SHA-512, digest; numbers big-endian. With index, count and path it gives the root as RFC 9162, Section 2.1.3.2 says. The fingerprint is what the officer was shown with the code when that was for all items."
	huma.Register(h, proof, s.itemProof)
	content := op("Batches", "itemContent", http.MethodGet, "/v1/batches/{id}/items/{index}/content", "The signed PDF of an item, or its signature; in parts with Range", http.StatusNotFound, http.StatusConflict)
	file := map[string]*huma.MediaType{}
	for _, t := range []string{"application/pdf", typeP7S, "application/octet-stream"} {
		file[t] = &huma.MediaType{Schema: &huma.Schema{Type: "string", Format: "binary"}}
	}
	content.Responses = map[string]*huma.Response{"200": {Description: "The PDF; where there is none, the detached signature (CMS) or the signature's value (RAW)", Content: file},
		"206": {Description: "The part that Range asks for (RFC 9110, Section 14)", Content: file}, "304": {Description: "It is what If-None-Match names"},
		"416": {Description: "There is no such part", Content: map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: "string"}}}}}
	huma.Register(h, content, s.itemContent)
	head := op("Batches", "itemHead", http.MethodHead, "/v1/batches/{id}/items/{index}/content", "Size and ETag of what an item gives", http.StatusNotFound, http.StatusConflict)
	head.Responses = map[string]*huma.Response{"200": {Description: "As GET, without the content"}, "206": {Description: "As GET, without the part"}, "304": content.Responses["304"], "416": {Description: "There is no such part"}}
	huma.Register(h, head, s.itemContent)
}

func (s *server) itemProof(ctx context.Context, in *itemInput) (*itemProofOutput, error) {
	b, err := s.Batches.Batch(ctx, appOf(ctx).ID, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	it, p, err := s.Batches.Proof(ctx, b, uint32(in.Index))
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &itemProofOutput{itemProofBody{ID: b.ID, Index: it.Index, Name: it.Name, Digest: digestBody{hashName(it.Hash), base64.StdEncoding.EncodeToString(it.Digest)},
		Size: it.Size, Count: p.Count, Root: base64.StdEncoding.EncodeToString(b.Root[:]), Fingerprint: signer.Fingerprint(b.Root), Path: make([]string, len(p.Path))}}
	for k, h := range p.Path {
		out.Body.Path[k] = base64.StdEncoding.EncodeToString(h[:])
	}
	return out, nil
}

// typeP7S is the media type of a detached signature (RFC 8551, Section 3.2.1).
const typeP7S = "application/pkcs7-signature"

// given is what an item's content is.
type given struct {
	mediaType, suffix, tag string
	content                io.ReaderAt
	size                   int64
	close                  func() error
}

func (s *server) given(ctx context.Context, app, id string, index uint32) (g given, name string, err error) {
	if _, err := s.Batches.Batch(ctx, app, id); err != nil {
		return g, "", err
	}
	it, err := s.Batches.Queue.Item(ctx, id, index)
	if err != nil {
		return g, "", err
	}
	if it.State != batch.ItemSigned {
		return g, "", batch.ErrNotSigned
	}
	if it.SignedBlob != "" {
		blob, err := s.Batches.Blobs.Open(ctx, it.SignedBlob)
		if err != nil {
			return g, "", err
		}
		// The next signature has a place of its own; the same one made anew is the same.
		return given{"application/pdf", ".pdf", fmt.Sprintf("%s %d", it.SignedBlob, it.SignedSize), blob, blob.Size(), blob.Close}, signedName(it.Name), nil
	}
	options, err := s.Batches.Queue.Signings(ctx, id)
	if err != nil {
		return g, "", err
	}
	g = given{typeP7S, ".p7s", string(it.Signature), bytes.NewReader(it.Signature), int64(len(it.Signature)), func() error { return nil }}
	if o := options[it.Intent]; o.Format == signer.RAW {
		g.mediaType, g.suffix = "application/octet-stream", ".sig"
	}
	return g, it.Name, nil
}

func (s *server) itemContent(ctx context.Context, in *itemInput) (*huma.StreamResponse, error) {
	g, name, err := s.given(ctx, appOf(ctx).ID, in.ID, uint32(in.Index))
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	sum := sha256.Sum256([]byte(g.tag))
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer g.close() //nolint:errcheck // it was read
		hc.SetHeader("Content-Type", g.mediaType)
		hc.SetHeader("Content-Disposition", attachment(name, g.suffix))
		hc.SetHeader("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
		r, w := humachi.Unwrap(hc)
		http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(g.content, 0, g.size))
	}}, nil
}
