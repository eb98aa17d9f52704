package batch

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/signer"
)

// AddPDFs is AddZIP for a batch of PDFs.
func (s *Service) AddPDFs(ctx context.Context, app, id, requestID string, r io.Reader) (Intake, error) {
	return s.add(ctx, app, id, requestID, r, map[string]taker{PDF: takePDFs})
}

// File is what is said of a PDF that comes alone.
type File struct {
	Name      string // 1 to 200 printable characters
	Reference string // as Name; "": the name
	signer.Payment
	Password secret.Text // of an encrypted one
}

// AddPDF takes in one PDF. *pdf.Error says why not: an upload of one is taken in or refused whole.
func (s *Service) AddPDF(ctx context.Context, app, id, requestID string, file File, r io.Reader) (Intake, error) {
	return s.add(ctx, app, id, requestID, r, map[string]taker{PDF: func(ctx context.Context, u *upload, f *os.File, _ int64) error {
		if file.Reference == "" {
			file.Reference = file.Name
		}
		if err := file.check(); err != nil {
			return err
		}
		amount, ok := signer.ParseAmount(file.Amount)
		if file.Amount != "" && !ok {
			return &InputError{EN: "not an amount such as 29911.35", MS: "bukan amaun seperti 29911.35", Field: "amount", Kind: ErrInput}
		}
		file.Amount = amount
		it, err := u.storePDF(ctx, file, f)
		if err != nil {
			return err
		}
		return u.accept(ctx, it)
	}})
}

// check judges the texts.
func (f *File) check() error {
	for _, x := range []struct {
		field, value string
		limit        int
	}{{"name", f.Name, 200}, {"reference", f.Reference, 200}, {"payee", f.Payee, maxPayee}} {
		if (x.field != "payee" || x.value != "") && !cleanText(x.value, x.limit) {
			return &InputError{EN: fmt.Sprintf("%s must have 1 to %d printable characters", x.field, x.limit),
				MS: fmt.Sprintf("%s mesti 1 hingga %d aksara yang boleh dicetak", x.field, x.limit), Field: x.field, Kind: ErrInput}
		}
	}
	return nil
}

// storePDF writes a PDF as a blob and checks that it can be signed.
func (u *upload) storePDF(ctx context.Context, file File, r io.Reader) (Item, error) {
	it := Item{State: Pending, Payment: file.Payment,
		Document: signer.Document{Index: u.next(), Name: file.Name, Hash: crypto.SHA256, Blob: fmt.Sprintf("%s/%d", u.folder, u.next()), Reference: file.Reference}}
	p, err := u.s.storePDF(ctx, it.Blob, r, file.Password)
	it.Size, it.Digest = p.size, p.digest
	return it, err
}

// openZIP refuses what is no ZIP, or one that would unpack to more than an upload may hold.
func (s *Service) openZIP(f *os.File, size int64) (*zip.Reader, error) {
	zr, err := readZIP(f, size, maxItems)
	if err != nil {
		return nil, err
	}
	return zr, s.checkZIP(zr)
}

// readZIP reads the directory of a ZIP of at most limit files. What the ZIP announces may be a lie;
// so the entries are counted as they are read, before they take memory.
func readZIP(f io.ReaderAt, size int64, limit int) (*zip.Reader, error) {
	c := &entryCounter{ReaderAt: f, limit: limit + endEntries}
	zr, err := zip.NewReader(c, size)
	switch {
	case errors.Is(err, ErrTooLarge), err == nil && len(zr.File) > limit:
		return nil, tooMany("fail", "files")
	case err != nil:
		return nil, damaged("", err)
	}
	c.limit = math.MaxInt
	return zr, nil
}

// entryCounter is a ZIP whose directory is being read from its beginning on.
type entryCounter struct {
	io.ReaderAt
	limit, n int
	tail     [3]byte // what was read last
	at       int64   // where that ends
}

const (
	entryMark = "PK\x01\x02" // APPNOTE 4.3.12
	// endEntries may be counted twice, as who looks for the end of the directory passes them.
	endEntries = 2 * (66 << 10) / 46
)

func (c *entryCounter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	if c.limit == math.MaxInt {
		return n, err
	}
	c.n += bytes.Count(p[:n], []byte(entryMark))
	if k := min(n, 3); off == c.at && k > 0 { // one that two readings share
		c.n += bytes.Count(append(c.tail[:], p[:k]...), []byte(entryMark))
	}
	if n >= 3 {
		copy(c.tail[:], p[n-3:n])
	}
	if c.at = off + int64(n); n < 3 {
		c.at = -1
	}
	if c.n > c.limit {
		return 0, ErrTooLarge
	}
	return n, err
}

// takePDFs takes in a ZIP of PDFs, and what its manifest says of them. Files that cannot be signed, or
// are not as the manifest says, are refused as rows.
func takePDFs(ctx context.Context, u *upload, f *os.File, size int64) error {
	zr, err := u.s.openZIP(f, size)
	if err != nil {
		return err
	}
	m, err := u.s.readManifest(zr)
	if err != nil {
		return err
	}
	if m != nil {
		u.got.Encoding, u.got.Notes = m.format.Encoding, formatNotes(m.format)
	}
	for k, zf := range zr.File {
		if aside(zf.Name) || isManifest(zf.Name) {
			continue
		}
		no, err := u.takePDF(ctx, k+1, zf, m)
		if err == nil && no != nil {
			err = u.refuse(ctx, *no)
		}
		if err != nil {
			return err
		}
	}
	return m.left(func(r Refusal) error { return u.refuse(ctx, r) })
}

// takePDF takes in one file of a ZIP.
func (u *upload) takePDF(ctx context.Context, row int, zf *zip.File, m *listing) (*Refusal, error) {
	file := File{Name: zf.Name, Reference: zf.Name}
	if !cleanText(file.Name, 200) {
		return &Refusal{Row: row, Name: shownName(zf.Name), Code: ecert.CodeFieldInvalid, Detail: "nama fail mesti 1 hingga 200 aksara yang boleh dicetak / a file's name must have 1 to 200 printable characters"}, nil
	}
	said, no := m.of(row, zf.Name)
	if no != nil {
		return no, nil
	}
	if said != nil {
		file.Payment = signer.Payment{Amount: said.Amount, Payee: said.Payee}
		if said.Title != "" {
			file.Name = said.Title
		}
		if said.Reference != "" {
			file.Reference = said.Reference
		}
	}
	rc, err := zf.Open()
	if err != nil {
		return nil, damaged(zf.Name, err)
	}
	defer rc.Close()
	it, err := u.storePDF(ctx, file, rc)
	var bad *pdf.Error
	if errors.As(err, &bad) {
		if err := u.s.Blobs.Remove(context.WithoutCancel(ctx), it.Blob); err != nil {
			return nil, err
		}
		return &Refusal{Row: row, Name: zf.Name, Code: bad.Code, Detail: bad.DetailMS + " / " + bad.Detail}, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, u.accept(ctx, it)
}
