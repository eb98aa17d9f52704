// Package pdf makes room for a signature in a PDF file, gives the digest to
// be signed and embeds the result: PAdES baseline B-B (ETSI EN 319 142-1) as
// an incremental update (ISO 32000-2, Sections 7.5.6 and 12.8).
//
// The bytes of the document are never changed, only appended to, and every
// offset is computed while the appended bytes are written; nothing is ever
// searched for in the document. Memory is the increment and one buffer,
// whatever the size of the document. What cannot be done right is refused
// with an *Error:
//
//	doc, err := pdf.Open(r, size)
//	prepared, err := doc.Prepare(pdf.Options{Time: now, ContentsSize: builder.Size()})
//	digest, original, err := prepared.Digest(crypto.SHA256)
//	// compare original with what was authorised, make the CMS of digest
//	n, err := prepared.Complete(w, cms)
package pdf

import (
	"fmt"
	"io"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Error is the type of all refusals of a document: Code is one of the codes
// below (and of the wire contract), Offset the place in the file or -1.
type Error = syntax.Error

// Reasons for refusing, for errors.Is.
const (
	ErrInvalid     = syntax.ErrInvalid     // pdf_invalid: not a PDF, or damaged
	ErrEncrypted   = syntax.ErrEncrypted   // pdf_encrypted
	ErrCertified   = syntax.ErrCertified   // pdf_certified_no_changes
	ErrTooLarge    = syntax.ErrTooLarge    // pdf_too_large: a bound of pdf/syntax
	ErrUnsupported = syntax.ErrUnsupported // pdf_unsupported: legal, but not handled yet
	// ErrUnsafe is for callers whose policy refuses what Document.Scan found.
	ErrUnsafe syntax.Sentinel = "pdf_unsafe"
	// ErrOptions: the document is fine, what was asked for is not.
	ErrOptions syntax.Sentinel = "invalid_request"
)

// Document is an open PDF file. Its methods must not be called concurrently.
type Document struct {
	r     io.ReaderAt
	file  *syntax.File
	tree  *syntax.Tree
	form  *syntax.Form
	perms syntax.Value // the catalog's /Perms
	xfa   bool
}

// FieldInfo describes a signature field.
type FieldInfo struct {
	Name   string // fully qualified, UTF-8
	Signed bool   // has a value
}

// OpenOptions says how to open a document.
type OpenOptions struct {
	// Password opens an encrypted document: that of its user or of its owner.
	// Without one the empty user password is tried.
	Password []byte
}

// Open is OpenWith without options: for documents that are not encrypted or
// open with the empty user password.
func Open(r io.ReaderAt, size int64) (*Document, error) { return OpenWith(r, size, OpenOptions{}) }

// OpenWith reads the structure of a document of size bytes: cross-reference data,
// page tree and form fields. It refuses with ErrInvalid, ErrEncrypted,
// ErrTooLarge or ErrUnsupported; an error of r is wrapped as it is. r must
// stay readable and unchanged while the Document and what it prepared are used.
func OpenWith(r io.ReaderAt, size int64, o OpenOptions) (*Document, error) {
	file, err := syntax.OpenWith(r, size, syntax.Options{Password: o.Password})
	if err != nil {
		return nil, err
	}
	// One that reaches the length it claims becomes another document to readers
	// that believe the claim: bytes are missing, or somebody foresaw ours.
	if claimed, err := file.Linearized(); err != nil {
		return nil, err
	} else if claimed > size {
		return nil, &Error{Code: string(ErrInvalid), Offset: -1, Detail: fmt.Sprintf("linearized for %d bytes, of which %d are here", claimed, size)}
	}
	tree, err := file.Tree()
	if err != nil {
		return nil, err
	}
	form, err := file.Form(tree.Catalog)
	if err != nil {
		return nil, err
	}
	d := &Document{r: r, file: file, tree: tree, form: form}
	d.xfa = form.Dict.Key("XFA").Kind != syntax.Null
	perms, err := file.Resolve(tree.Catalog.Value.Key("Perms"))
	if err != nil {
		return nil, err
	}
	d.perms = perms.Value
	return d, nil
}

// Pages returns the number of pages, at least 1.
func (d *Document) Pages() int { return len(d.tree.Pages) }

// Signatures returns the signature fields in the order of the field tree.
func (d *Document) Signatures() []FieldInfo {
	out := make([]FieldInfo, 0, len(d.form.Fields))
	for _, f := range d.form.Fields {
		out = append(out, FieldInfo{Name: f.Name, Signed: f.V.Kind != syntax.Null})
	}
	return out
}
