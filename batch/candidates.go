package batch

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/internal/table"
	"github.com/mohor-sign/mohor/signer"
)

// AddCandidates takes in a list (CSV or XLSX) of eCertificate candidates and renders a
// certificate for each good row. A file that cannot be read as a list is refused
// whole (*ecert.CSVError).
func (s *Service) AddCandidates(ctx context.Context, app, id, requestID string, r io.Reader) (Intake, error) {
	return s.add(ctx, app, id, requestID, r, map[string]taker{
		Ecert: func(ctx context.Context, u *upload, f *os.File, size int64) error {
			return takeCandidates(ctx, u, f, size, nil)
		},
	})
}

// AddZIP takes in a ZIP: of a batch of PDFs these, with or without a manifest; of eCertificates one
// list and the pictures that it names. What is no such ZIP is refused whole (ErrInput).
func (s *Service) AddZIP(ctx context.Context, app, id, requestID string, r io.Reader) (Intake, error) {
	return s.add(ctx, app, id, requestID, r, map[string]taker{PDF: takePDFs, Ecert: takeListAndPhotos})
}

// takeCandidates judges the whole list before the first page is drawn, and reads it once more to
// draw what is good.
func takeCandidates(ctx context.Context, u *upload, list io.ReaderAt, size int64, photos *photoFiles) error {
	good, err := u.judgeList(ctx, list, size, photos)
	if err != nil {
		return err
	}
	rd, err := openList(list, size, photos)
	if err != nil {
		return err
	}
	rd.Again()
	if photos != nil {
		photos.again = true
	}
	if !good.any() {
		return nil
	}
	look, err := u.s.rendererOf(ctx, &u.b)
	if err != nil {
		return err
	}
	name := u.folder + "/pack"
	_, err = u.s.Blobs.Create(ctx, name, func(w io.Writer) error {
		return u.draw(ctx, newPackWriter(w, name), look, rd, &good, photos)
	})
	return err
}

// draw reads a judged list once more and adds the certificates of its good rows to a pack. Rows that
// are handed to the queue meanwhile are seen by nobody before the pack is there and the last step done.
func (u *upload) draw(ctx context.Context, p *packWriter, look *ecert.Renderer, rd *ecert.Reader, good *judgedRows, photos *photoFiles) error {
	for row := range good.n {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, refusal, err := rd.Next()
		if err != nil {
			return err
		}
		if refusal != nil || !good.has(row) {
			continue
		}
		photo, err := photos.content(&c)
		if err != nil {
			return err
		}
		it, err := u.s.render(p, look, u.next(), c, photo)
		if err != nil {
			return err
		}
		if err := u.accept(ctx, it); err != nil {
			return err
		}
	}
	return nil
}

func openList(list io.ReaderAt, size int64, photos *photoFiles) (*ecert.Reader, error) {
	rd, err := ecert.OpenReader(list, size)
	if err == nil && photos != nil {
		rd.Photo = photos.find
	}
	return rd, err
}

// judgedRows remembers which rows are good, a bit each.
type judgedRows struct {
	bits []uint64
	n    int
}

func (j *judgedRows) add(good bool) {
	if j.n%64 == 0 {
		j.bits = append(j.bits, 0)
	}
	if good {
		j.bits[j.n/64] |= 1 << (j.n % 64)
	}
	j.n++
}

func (j *judgedRows) any() bool {
	return slices.ContainsFunc(j.bits, func(b uint64) bool { return b != 0 })
}

func (j *judgedRows) has(k int) bool { return j.bits[k/64]>>(k%64)&1 == 1 }

// judgeList reads a list to its end and refuses its bad rows, also those whose number another batch
// has.
func (u *upload) judgeList(ctx context.Context, list io.ReaderAt, size int64, photos *photoFiles) (good judgedRows, err error) {
	rd, err := openList(list, size, photos)
	if err != nil {
		return good, err
	}
	if u.b.Next > 0 {
		if err := u.s.each(ctx, u.b.ID, "", func(it *Item) error { rd.Seen(&it.Record.Candidate); return nil }); err != nil {
			return good, err
		}
	}
	column := rd.NumberColumn()
	type judged struct {
		row          int
		number, name string
		refusal      *ecert.Refusal
	}
	var rows []judged
	settle := func() error {
		var numbers []string
		for _, r := range rows {
			if r.refusal == nil {
				numbers = append(numbers, r.number)
			}
		}
		taken, err := u.s.Queue.Elsewhere(ctx, u.b.ID, numbers)
		if err != nil {
			return err
		}
		for _, r := range rows {
			no := Refusal{Row: r.row, Column: column, Name: r.name, Code: ecert.CodeNumberDuplicate}
			at, twice := taken[r.number]
			switch {
			case r.refusal != nil:
				no = Refusal{Row: r.row, Column: r.refusal.Column, Name: r.refusal.Name, Code: r.refusal.Code, Detail: r.refusal.DetailMS + " / " + r.refusal.Detail}
			case !twice:
				good.add(true)
				continue
			case at.App == u.b.App:
				day := at.At.UTC().Format("2006-01-02")
				no.Detail = fmt.Sprintf("kelompok %q (%s) mempunyai nombor ini / batch %q (%s) has this number", at.Batch, day, at.Batch, day)
			default:
				no.Detail = "kelompok aplikasi lain mempunyai nombor ini / a batch of another application has this number"
			}
			good.add(false)
			if err := u.refuse(ctx, no); err != nil {
				return err
			}
		}
		rows = rows[:0]
		return nil
	}
	for {
		if err := ctx.Err(); err != nil { // who sent it has gone
			return good, err
		}
		if err := u.full(ctx); err != nil {
			return good, err
		}
		c, refusal, err := rd.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return good, err
		}
		r := judged{row: c.Row, number: c.Number, name: c.Name, refusal: refusal}
		if refusal != nil {
			r.row = refusal.Row
		}
		if rows = append(rows, r); len(rows) == uploadPage {
			if err := settle(); err != nil {
				return good, err
			}
		}
	}
	u.got.Encoding, u.got.Notes = rd.Format().Encoding, listNotes(rd)
	return good, settle()
}

// formatNotes says as what a list was read.
func formatNotes(f table.Format) (notes []Note) {
	switch {
	case f.Encoding == table.Windows1252:
		notes = append(notes, Note{"encoding", "The file is not UTF-8: it was read as Windows-1252. Look at names with letters such as é, ñ or ’ before you seal.",
			"Fail ini bukan UTF-8: ia dibaca sebagai Windows-1252. Semak nama yang berhuruf seperti é, ñ atau ’ sebelum kelompok dimeterai."})
	case f.Encoding == table.UTF16:
		notes = append(notes, Note{"encoding", "The file is UTF-16 and was read as such.", "Fail ini UTF-16 dan dibaca sedemikian."})
	}
	switch f.Separator {
	case ';':
		notes = append(notes, Note{"separator", "Fields are separated by semicolons.", "Medan dipisahkan oleh koma bertitik."})
	case '\t':
		notes = append(notes, Note{"separator", "Fields are separated by tabs.", "Medan dipisahkan oleh tab."})
	}
	return notes
}

// listNotes says what was made of a list.
func listNotes(rd *ecert.Reader) []Note {
	notes := formatNotes(rd.Format())
	if rd.Twice > 0 {
		var some []string
		for _, row := range rd.TwiceRows {
			some = append(some, fmt.Sprint(row))
		}
		at := strings.Join(some, ", ")
		if rd.Twice > len(some) {
			at += " …"
		}
		notes = append(notes, Note{"person_twice", fmt.Sprintf("%d certificates are of a person who has one of the same programme and level already: rows %s.", rd.Twice, at),
			fmt.Sprintf("%d sijil adalah bagi orang yang sudah ada sijil program dan tahap yang sama: baris %s.", rd.Twice, at)})
	}
	return notes
}

// render draws one certificate and adds it to the upload's pack. photo is the JPEG that c.Photo
// names, which is in the page; nil for none.
func (s *Service) render(p *packWriter, look *ecert.Renderer, index uint32, c ecert.Candidate, photo []byte) (Item, error) {
	rec, err := NewRecord(c)
	if err != nil {
		return Item{}, err
	}
	page, err := look.Draw(c, s.Address(rec), photo)
	if err != nil {
		return Item{}, fmt.Errorf("drawing certificate %q: %w", c.Number, err)
	}
	it := Item{Document: signer.Document{Index: index, Name: c.Number + " " + c.Name, Hash: crypto.SHA256, Digest: page.Sum(), Reference: c.Number}, Record: rec, State: Pending}
	it.Blob, it.Size, err = p.add(page)
	return it, err
}
