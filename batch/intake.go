package batch

import (
	"archive/zip"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/pdf"
)

// DigestHash maps the API's names.
func DigestHash(alg string) (crypto.Hash, bool) {
	h, ok := map[string]crypto.Hash{"SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}[alg]
	return h, ok
}

// CleanName accepts a document name of 1 to 200 characters without control,
// format or line characters.
func CleanName(name string) (string, error) {
	if !cleanText(name, 200) {
		return "", errors.New("name must have 1 to 200 printable characters")
	}
	return name, nil
}

// cleanText accepts 1 to limit characters without control, format or line characters.
func cleanText(s string, limit int) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= limit && utf8.ValidString(s) && !strings.ContainsFunc(s, unprintable)
}

// checkZIP refuses what would unpack to more than an upload may hold, and
// entries that share their bytes. archive/zip gives no more bytes than an
// entry claims.
func (s *Service) checkZIP(zr *zip.Reader) error {
	var total uint64
	at := make(map[int64]bool, len(zr.File))
	for _, zf := range zr.File {
		off, err := zf.DataOffset()
		if err != nil {
			return damaged(zf.Name, err)
		}
		if zf.CompressedSize64 > 0 && at[off] {
			return unreadable("dua fail dalam ZIP berkongsi bait", "two files of the ZIP share their bytes")
		}
		at[off] = true
		if total += zf.UncompressedSize64; zf.UncompressedSize64 > uint64(s.MaxUpload) || total > uint64(s.MaxUpload) {
			return &InputError{EN: fmt.Sprintf("the ZIP unpacks to more than %d bytes", s.MaxUpload), MS: fmt.Sprintf("ZIP mengembang melebihi %d bait", s.MaxUpload), Kind: ErrTooLarge}
		}
	}
	return nil
}

// storedPDF is what was learned of a PDF while it was stored.
type storedPDF struct {
	size   int64
	digest []byte // SHA-256
	pages  int
	Findings
}

// storePDF stages a PDF of at most MaxPDF bytes as a blob and checks that its
// structure can be read (*pdf.Error otherwise); password is for an encrypted one,
// and kept when it was needed.
func (s *Service) storePDF(ctx context.Context, blob string, r io.Reader, password secret.Text) (p storedPDF, err error) {
	h := sha256.New()
	p.size, err = s.Blobs.Stage(ctx, blob, func(w io.Writer) error { return copyPDF(w, h, r, s.MaxPDF) })
	if err != nil {
		return p, err
	}
	p.digest = h.Sum(nil)
	found, sealed, err := s.inspect(ctx, blob, password)
	if err != nil {
		return p, err
	}
	if p.pages, p.Findings = found.pages, found.Findings; sealed { // last: a document that is refused leaves no password behind
		err = s.Passwords.SealPassword(ctx, blob, password)
	}
	return p, err
}

// inspect reads a stored PDF; sealed says that it took the password.
func (s *Service) inspect(ctx context.Context, blob string, password secret.Text) (p storedPDF, sealed bool, err error) {
	f, err := s.Blobs.Open(ctx, blob)
	if err != nil {
		return p, false, err
	}
	defer f.Close()
	r := &watchedBlob{Blob: f}
	parsed, err := pdf.Open(r, f.Size())
	if sealed = errors.Is(err, pdf.ErrEncrypted) && password.Len() > 0; sealed {
		parsed, err = pdf.OpenWith(r, f.Size(), pdf.OpenOptions{Password: password.Reveal()})
	}
	if err == nil {
		p.pages = parsed.Pages()
		p.Warnings, err = s.examine(ctx, parsed)
	}
	if away := r.failed(); away != nil { // the parser takes what it cannot read for a fault of the document
		err = away
	}
	if err != nil {
		return p, sealed, err
	}
	for _, field := range parsed.Signatures() {
		if field.Signed {
			p.Signatures = append(p.Signatures, field.Name)
		}
	}
	return p, sealed, nil
}

// examine lists what a signatory should know of a document, as codes, and
// refuses one in which there is something as bad as Refuse.
func (s *Service) examine(ctx context.Context, d *pdf.Document) (codes []string, err error) {
	found, err := d.Scan(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if s.Refuse != "" && f.Severity.AtLeast(s.Refuse) {
			where, whereMS := "in the document", "dalam dokumen"
			if f.Page > 0 {
				where, whereMS = fmt.Sprintf("on page %d", f.Page), fmt.Sprintf("pada halaman %d", f.Page)
			}
			return nil, &pdf.Error{Code: string(pdf.ErrUnsafe), Offset: -1,
				Detail: fmt.Sprintf("%s %s: %s", f.Code, where, f.Text("en")), DetailMS: fmt.Sprintf("%s %s: %s", f.Code, whereMS, f.Text("ms"))}
		}
		if !slices.Contains(codes, f.Code) {
			codes = append(codes, f.Code)
		}
	}
	return codes, nil
}

func copyPDF(w io.Writer, h hash.Hash, r io.Reader, limit int64) error {
	src := &watchedReader{r: io.LimitReader(r, limit+1)}
	n, err := io.Copy(io.MultiWriter(w, h), src)
	if src.err != nil {
		return fmt.Errorf("%w: %w", ErrInput, src.err)
	}
	if err != nil {
		return fmt.Errorf("storing PDF: %w", err)
	}
	if n > limit {
		return &pdf.Error{Code: string(pdf.ErrTooLarge), Offset: -1,
			Detail: fmt.Sprintf("the file is larger than %d bytes", limit), DetailMS: fmt.Sprintf("fail itu lebih besar daripada %d bait", limit)}
	}
	return nil
}
