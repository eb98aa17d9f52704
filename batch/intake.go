package batch

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/internal/spool"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/signer"
)

// add is the common shape of an upload: spool, check everything, then write
// blobs, then one transaction. Until that commits nothing was taken in; blobs
// of a failed upload lie in a folder that nothing names.
func (s *Service) add(ctx context.Context, app, id, kind, requestID string, r io.Reader, take func(b Batch, folder string, f *os.File, size int64) ([]Item, []Refusal, error)) (Intake, error) {
	ev := audit.Event{At: s.Now(), Actor: "app:" + app, Action: "batch.intake", Object: id, Verdict: audit.Accepted, RequestID: requestID}
	_, unlock, err := s.hold(ctx, app, id)
	if err != nil {
		return Intake{}, s.refuse(ctx, ev, err)
	}
	defer unlock()
	got, err := s.intake(ctx, id, kind, ev, r, take)
	if err != nil {
		return Intake{}, s.refuse(ctx, ev, err)
	}
	return got, nil
}

func (s *Service) intake(ctx context.Context, id, kind string, ev audit.Event, r io.Reader, take func(b Batch, folder string, f *os.File, size int64) ([]Item, []Refusal, error)) (Intake, error) {
	b, err := s.Queue.Batch(ctx, id)
	switch {
	case err != nil:
		return Intake{}, err
	case b.Status != Open:
		return Intake{}, ErrSealed
	case b.Kind != kind:
		return Intake{}, fmt.Errorf("%w: it takes %s", ErrKind, b.Kind)
	}
	f, size, err := spool.Copy(s.TempDir, r, s.MaxUpload)
	if err != nil {
		return Intake{}, err
	}
	defer f.Close()
	// A folder of its own: another upload, at another gateway too, writes and removes nothing of this one.
	folder := "original/" + id + "/" + ident.New("up", 10)
	items, refused, err := take(b, folder, f, size)
	if err != nil {
		return Intake{}, errors.Join(err, s.Blobs.Remove(context.WithoutCancel(ctx), folder))
	}
	ev.Detail = map[string]string{"accepted": strconv.Itoa(len(items)), "refused": strconv.Itoa(len(refused))}
	if err := s.Queue.AddItems(ctx, id, items, refused, ev); err != nil {
		// Perhaps it was committed and the answer lost: the files go with the batch.
		return Intake{}, err
	}
	return Intake{Accepted: len(items), Refused: refused}, nil
}

// AddCandidates takes in a list (CSV or XLSX) of eCertificate candidates and renders a
// certificate for each good row. A file that cannot be read as CSV is refused
// whole (*ecert.CSVError).
func (s *Service) AddCandidates(ctx context.Context, app, id, requestID string, r io.Reader) (Intake, error) {
	return s.add(ctx, app, id, Ecert, requestID, r, func(b Batch, folder string, f *os.File, size int64) ([]Item, []Refusal, error) {
		seen, err := s.Queue.Numbers(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		// The whole file is judged before the first page is drawn.
		var good []ecert.Candidate
		var refused []Refusal
		err = readCandidates(f, size, func(c ecert.Candidate) {
			if seen[c.Number] {
				refused = append(refused, Refusal{Row: c.Row, Column: "number", Name: c.Name, Code: "row_number_duplicate", Detail: "certificate number already in the batch"})
				return
			}
			good = append(good, c)
		}, func(r ecert.Refusal) {
			refused = append(refused, Refusal{Row: r.Row, Column: r.Column, Name: r.Name, Code: r.Code, Detail: r.Detail})
		})
		if err != nil {
			return nil, nil, err
		}
		items := make([]Item, len(good))
		if len(good) == 0 {
			return nil, refused, nil
		}
		name := folder + "/pack"
		_, err = s.Blobs.Create(ctx, name, func(w io.Writer) (err error) {
			p := newPacker(w, name)
			for k := range good {
				if items[k], err = s.render(p, b.Next+uint32(k), good[k], nil); err != nil {
					return err
				}
			}
			return nil
		})
		return items, refused, err
	})
}

func readCandidates(r io.ReaderAt, size int64, good func(ecert.Candidate), bad func(ecert.Refusal)) error {
	rd, err := ecert.OpenReader(r, size)
	if err != nil {
		return err
	}
	for {
		c, refusal, err := rd.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case refusal != nil:
			bad(*refusal)
		default:
			good(c)
		}
	}
}

// render draws one certificate and adds it to the upload's pack. photo is the
// picture that the candidate names, nil without one.
func (s *Service) render(p *packer, index uint32, c ecert.Candidate, photo []byte) (Item, error) {
	rec, err := NewRecord(c)
	if err != nil {
		return Item{}, err
	}
	page, err := s.Renderer.Draw(c, s.Address(rec), photo)
	if err != nil {
		return Item{}, fmt.Errorf("drawing certificate %q: %w", c.Number, err)
	}
	it := Item{Document: signer.Document{Index: index, Name: c.Number + " " + c.Name, Hash: crypto.SHA256, Digest: page.Sum(), Reference: c.Number}, Record: rec, State: Pending}
	it.Blob, it.Size, err = p.add(page)
	return it, err
}

// maxLine bounds one NDJSON line, maxItems one upload.
const (
	maxLine  = 16 << 10
	maxItems = 1_000_000
)

// AddDigests takes in one {"name","digest":{"alg","value"},"reference"?} a
// line; a line that is not that refuses the upload whole (ErrInput).
func (s *Service) AddDigests(ctx context.Context, app, id, requestID string, r io.Reader) (Intake, error) {
	return s.add(ctx, app, id, Digest, requestID, r, func(b Batch, _ string, f *os.File, _ int64) ([]Item, []Refusal, error) {
		var items []Item
		sc := bufio.NewScanner(f)
		sc.Buffer(make([]byte, 4096), maxLine)
		for row := 1; sc.Scan(); row++ {
			if len(bytes.TrimSpace(sc.Bytes())) == 0 {
				continue
			}
			d, err := parseDigestLine(sc.Bytes())
			if err != nil {
				return nil, nil, fmt.Errorf("%w: line %d: %w", ErrInput, row, err)
			}
			d.Index = b.Next + uint32(len(items))
			if items = append(items, Item{Document: d, State: Pending}); len(items) > maxItems {
				return nil, nil, fmt.Errorf("%w: more than %d lines", ErrTooLarge, maxItems)
			}
		}
		if err := sc.Err(); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrInput, err)
		}
		return items, nil, nil
	})
}

// DigestHash maps the API's names.
func DigestHash(alg string) (crypto.Hash, bool) {
	h, ok := map[string]crypto.Hash{"SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}[alg]
	return h, ok
}

func parseDigestLine(line []byte) (signer.Document, error) {
	var l struct {
		Name   string `json:"name"`
		Digest struct {
			Alg   string `json:"alg"`
			Value string `json:"value"`
		} `json:"digest"`
		Reference string `json:"reference"`
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return signer.Document{}, fmt.Errorf("reading JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return signer.Document{}, errors.New("one JSON object a line")
	}
	h, ok := DigestHash(l.Digest.Alg)
	// Base64url and no padding are taken, too, as everywhere in the API.
	text := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(l.Digest.Value, "="))
	v, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if l.Reference != "" {
		if _, err := CleanName(l.Reference); err != nil {
			return signer.Document{}, errors.New("reference must have 1 to 200 printable characters")
		}
	}
	switch {
	case strings.ContainsAny(l.Digest.Value, "\r\n"):
		return signer.Document{}, errors.New("digest.value must be base64 without line ends")
	case !ok:
		return signer.Document{}, errors.New(`digest.alg must be "SHA-256", "SHA-384" or "SHA-512"`)
	case err != nil || len(v) != h.Size():
		return signer.Document{}, fmt.Errorf("digest.value must be %d bytes in base64", h.Size())
	}
	name, err := CleanName(l.Name)
	return signer.Document{Name: name, Hash: h, Digest: v, Reference: l.Reference}, err
}

// CleanName accepts a document name of 1 to 200 characters without control,
// format or line characters.
func CleanName(name string) (string, error) {
	if n := utf8.RuneCountInString(name); n < 1 || n > 200 || !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable) {
		return "", errors.New("name must have 1 to 200 printable characters")
	}
	return name, nil
}

// AddPDFs takes in a ZIP of PDFs; files that cannot be signed come back as
// refused, a file that is not a ZIP refuses the upload whole (ErrInput).
func (s *Service) AddPDFs(ctx context.Context, app, id, requestID string, r io.Reader) (Intake, error) {
	return s.add(ctx, app, id, PDF, requestID, r, func(b Batch, folder string, f *os.File, size int64) ([]Item, []Refusal, error) {
		zr, err := zip.NewReader(f, size)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrInput, err)
		}
		if len(zr.File) > maxItems {
			return nil, nil, fmt.Errorf("%w: more than %d files", ErrTooLarge, maxItems)
		}
		if err := s.checkZIP(zr); err != nil {
			return nil, nil, err
		}
		var items []Item
		var refused []Refusal
		for row, zf := range zr.File {
			if strings.HasSuffix(zf.Name, "/") {
				continue
			}
			it, err := s.unpack(ctx, folder, b.Next+uint32(len(items)), zf)
			var bad *pdf.Error
			switch {
			case errors.As(err, &bad):
				refused = append(refused, Refusal{Row: row + 1, Name: zf.Name, Code: bad.Code, Detail: bad.Detail})
			case err != nil:
				return nil, nil, err
			default:
				items = append(items, it)
			}
		}
		return items, refused, nil
	})
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
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		if zf.CompressedSize64 > 0 && at[off] {
			return fmt.Errorf("%w: two files share their bytes", ErrInput)
		}
		at[off] = true
		if total += zf.UncompressedSize64; zf.UncompressedSize64 > uint64(s.MaxUpload) || total > uint64(s.MaxUpload) {
			return fmt.Errorf("%w: it unpacks to more than %d bytes", ErrTooLarge, s.MaxUpload)
		}
	}
	return nil
}

// unpack stores one file of a ZIP and checks that it can be signed.
func (s *Service) unpack(ctx context.Context, folder string, index uint32, zf *zip.File) (Item, error) {
	name, err := CleanName(zf.Name)
	if err != nil {
		return Item{}, fmt.Errorf("%w: file %d: %w", ErrInput, index+1, err)
	}
	rc, err := zf.Open()
	if err != nil {
		return Item{}, fmt.Errorf("%w: %q: %w", ErrInput, name, err)
	}
	defer rc.Close()
	it := Item{Document: signer.Document{Index: index, Name: name, Hash: crypto.SHA256, Blob: fmt.Sprintf("%s/%d", folder, index), Reference: name}, State: Pending}
	p, err := s.storePDF(ctx, it.Blob, rc, secret.Text{})
	it.Size, it.Digest = p.size, p.digest
	return it, err
}

// storedPDF is what was learned of a PDF while it was stored.
type storedPDF struct {
	size   int64
	digest []byte // SHA-256
	pages  int
	Findings
}

// storePDF writes a PDF of at most MaxPDF bytes as a blob and checks that its
// structure can be read (*pdf.Error otherwise); password is for an encrypted one,
// and kept when it was needed.
func (s *Service) storePDF(ctx context.Context, blob string, r io.Reader, password secret.Text) (p storedPDF, err error) {
	h := sha256.New()
	p.size, err = s.Blobs.Create(ctx, blob, func(w io.Writer) error { return copyPDF(w, h, r, s.MaxPDF) })
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
	parsed, err := pdf.Open(f, f.Size())
	if sealed = errors.Is(err, pdf.ErrEncrypted) && password.Len() > 0; sealed {
		parsed, err = pdf.OpenWith(f, f.Size(), pdf.OpenOptions{Password: password.Reveal()})
	}
	if err != nil {
		return p, sealed, err
	}
	p.pages = parsed.Pages()
	if p.Warnings, err = s.examine(ctx, parsed); err != nil {
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
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(r, limit+1))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	if n > limit {
		return &pdf.Error{Code: string(pdf.ErrTooLarge), Offset: -1,
			Detail: fmt.Sprintf("the file is larger than %d bytes", limit), DetailMS: fmt.Sprintf("fail itu lebih besar daripada %d bait", limit)}
	}
	return nil
}
