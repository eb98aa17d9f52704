package mohor

import (
	"context"
	"crypto/sha256"
	"io"
	"net/url"
)

// Digest is the hash of a document; the gateway never hashes it again.
type Digest struct {
	Alg   string `json:"alg"` // "SHA-256", "SHA-384" or "SHA-512"
	Value []byte `json:"value"`
}

// SHA256 is the digest of data.
func SHA256(data []byte) Digest {
	sum := sha256.Sum256(data)
	return Digest{"SHA-256", sum[:]}
}

// Upload is a PDF that lies with the gateway.
type Upload struct {
	ID     string `json:"document_id"`
	Name   string `json:"name"`
	Size   int64  `json:"size"` // bytes
	Pages  int    `json:"pages"`
	Digest Digest `json:"digest"`
	// Signatures are the fields that hold one.
	Signatures []string `json:"signatures"`
	// Warnings are codes of what a signatory should know: scripts, hidden or covering
	// annotations, content from elsewhere.
	Warnings []string `json:"warnings"`
	// Findings are the warnings in words.
	Findings []Finding `json:"findings"`
	// Refusal is why the document takes no more signatures; nil where it does.
	Refusal *UploadRefusal `json:"refusal"`
}

// Finding is what a signatory should know of a document.
type Finding struct {
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Text     string `json:"text"`
}

// UploadRefusal is why a document cannot be signed, in the language of the client.
type UploadRefusal struct {
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

// UploadPDF sends a PDF under the name that the officer will read. password is for one
// that does not open without. The body is streamed, and sent once.
func (c *Client) UploadPDF(ctx context.Context, name string, body io.Reader, password Secret) (*Upload, error) {
	u := new(Upload)
	return answer(u, c.upload(ctx, "/v1/documents?name="+url.QueryEscape(name), "application/pdf", body, password, u))
}

// SignedPDF streams a document as it was signed; "not_signed" before. The caller closes
// it. One that is cut off ends with io.ErrUnexpectedEOF.
func (c *Client) SignedPDF(ctx context.Context, documentID string) (io.ReadCloser, error) {
	return c.open(ctx, "/v1/documents/"+url.PathEscape(documentID)+"/content")
}

// OriginalPDF streams a document as it was uploaded, see SignedPDF.
func (c *Client) OriginalPDF(ctx context.Context, documentID string) (io.ReadCloser, error) {
	return c.open(ctx, "/v1/documents/"+url.PathEscape(documentID)+"/content?version=original")
}
