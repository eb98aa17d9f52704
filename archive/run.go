package archive

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
)

// Archiver writes archives. All fields are required. One runs at a time.
type Archiver struct {
	Records Records
	Blobs   Blobs
	MAC     MAC
	Seal    crypto.Signer // ECDSA P-256: the audit seal
	Public  *ecdsa.PublicKey
	Dir     string    // of the archives
	Before  time.Time // what ended before is archived
	Now     func() time.Time
	Actor   string // for the audit
	// Judge verifies the signatures of an archive that is written, and tells left of each batch
	// with one that is not valid by what is in the archive.
	Judge func(ctx context.Context, a *Archive, left func(batch, why string)) error

	left map[string]string // why, by batch
}

// LeftError: batches that are due stay in the database, each with its reason. All others were
// archived.
type LeftError struct{ Batches map[string]string }

func (e *LeftError) Error() string {
	const most = 10
	var b strings.Builder
	fmt.Fprintf(&b, "%d batches stay in the database, as their archive would not show that they are valid", len(e.Batches))
	for k, id := range slices.Sorted(maps.Keys(e.Batches)) {
		if k == most {
			b.WriteString("; …")
			break
		}
		fmt.Fprintf(&b, "; %s: %s", id, e.Batches[id])
	}
	return b.String()
}

// An archive is closed when it has as many documents or bytes; one batch is never split.
const (
	maxItems = 20_000
	maxBytes = 1 << 30
)

const page = 500

// errBatch: what a batch refers to cannot be read; another batch may well be.
var errBatch = errors.New("the batch cannot be read")

// Path is where the file of an archive lies.
func Path(dir, id string) string { return filepath.Join(dir, id+".mohor") }

func (a *Archiver) event(action, id string) audit.Event {
	return audit.Event{At: a.Now(), Actor: a.Actor, Action: action, Object: id, Verdict: audit.Accepted, Detail: map[string]string{}}
}

// Run archives all that is due and tells each archive when it is stored. What an earlier
// run left unfinished is cleared first: its rows are still in the database. After an
// error the rows that were not told of are in the database. A batch that cannot be read, or
// whose signatures would not be valid by its archive alone, holds up no other: *[LeftError].
func (a *Archiver) Run(ctx context.Context, tell func(Info) error) error {
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of archives: %w", err)
	}
	if err := a.Clear(ctx); err != nil {
		return err
	}
	a.left = map[string]string{}
	for {
		if more, err := a.more(ctx); err != nil || !more {
			return err
		}
		in, stored, err := a.one(ctx)
		if err != nil {
			return err
		}
		if !stored { // once more, without what is left
			if err := a.Clear(ctx); err != nil {
				return err
			}
			continue
		}
		if err := tell(in); err != nil {
			return err
		}
		if err := Remove(ctx, a.Records, a.Blobs, a.Dir); err != nil {
			return err
		}
	}
}

// more says whether something is due that was not left; a *LeftError when all that is was.
func (a *Archiver) more(ctx context.Context) (bool, error) {
	for after := ""; ; {
		due, err := a.Records.Due(ctx, a.Before, after, page)
		if err != nil {
			return false, fmt.Errorf("reading what is due: %w", err)
		}
		for _, after = range due {
			if a.left[after] == "" {
				return true, nil
			}
		}
		if len(due) < page {
			break
		}
	}
	if len(a.left) > 0 {
		return false, &LeftError{a.left}
	}
	return false, nil
}

// Clear removes what an interrupted run or disposal left: files of archives that were
// never stored, and files that nothing refers to.
func (a *Archiver) Clear(ctx context.Context) error {
	for after := ""; ; {
		list, err := a.Records.Archives(ctx, after, page)
		if err != nil {
			return fmt.Errorf("reading archives: %w", err)
		}
		for _, in := range list {
			after = in.ID
			if in.State != Writing {
				continue
			}
			if err := remove(Path(a.Dir, in.ID)); err != nil {
				return err
			}
			if err := a.Records.Abort(ctx, in.ID, a.event("archive.abort", in.ID)); err != nil {
				return fmt.Errorf("clearing archive %s: %w", in.ID, err)
			}
		}
		if len(list) < page {
			break
		}
	}
	return Remove(ctx, a.Records, a.Blobs, a.Dir)
}

// Remove removes the files that nothing refers to any more. An interruption leaves the
// rest to the next call.
func Remove(ctx context.Context, r Records, b Blobs, dir string) error {
	for {
		files, err := r.Removals(ctx, page)
		if err != nil {
			return fmt.Errorf("reading what is to be removed: %w", err)
		}
		for _, f := range files {
			err := remove(Path(dir, f.Name))
			if f.Kind == BlobFile {
				err = b.Remove(ctx, f.Name)
			}
			if err == nil {
				err = r.Removed(ctx, f)
			}
			if err != nil {
				return fmt.Errorf("removing files: %w", err)
			}
		}
		if len(files) < page {
			return nil
		}
	}
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing archive: %w", err)
	}
	return nil
}

// one writes an archive, reads it back, and only then has the database give up the rows. When it
// finds batches to be left, it stores none.
func (a *Archiver) one(ctx context.Context) (in Info, stored bool, err error) {
	in = Info{ID: ident.New("ar", 16), State: Stored, CreatedAt: a.Now().UTC().Truncate(time.Second)}
	if err := a.Records.Begin(ctx, in.ID, a.event("archive.begin", in.ID)); err != nil {
		return in, false, fmt.Errorf("beginning archive: %w", err)
	}
	cases, err := a.write(ctx, &in)
	if errors.Is(err, errBatch) || err == nil && len(cases) == 0 {
		return in, false, nil
	}
	if err != nil {
		return in, false, err
	}
	known := len(a.left)
	if err := a.check(ctx, &in); err != nil {
		return in, false, fmt.Errorf("reading archive %s back: %w", in.ID, err)
	}
	if len(a.left) > known {
		return in, false, nil
	}
	// From here on the file is whole and durable; the rows go with the commit.
	ev := a.event("archive.store", in.ID)
	ev.Detail = map[string]string{"manifest": in.ManifestHex, "before": a.Before.UTC().Format(time.RFC3339), "batches": fmt.Sprint(len(cases)),
		"transactions": fmt.Sprint(in.Transactions), "signatures": fmt.Sprint(in.Signatures)}
	if err := a.Records.Commit(ctx, in, cases, a.Before, ev); err != nil {
		return in, false, fmt.Errorf("storing archive: %w", err)
	}
	return in, true, nil
}

func (a *Archiver) write(ctx context.Context, in *Info) ([]Case, error) {
	f, err := os.OpenFile(Path(a.Dir, in.ID), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating archive: %w", err)
	}
	defer f.Close()
	w, err := newWriter(ctx, f, a.MAC, Manifest{Format: Format, ID: in.ID, CreatedAt: in.CreatedAt, Before: a.Before.UTC()})
	if err != nil {
		return nil, err
	}
	cases, err := a.fill(ctx, w)
	if err != nil {
		return nil, err
	}
	if in.Manifest, err = w.close(a.Seal); err != nil {
		return nil, err
	}
	in.ManifestHex = hex.EncodeToString(in.Manifest[:])
	in.Newest, in.Transactions, in.Signatures = w.m.Newest, w.m.Transactions, w.m.Signatures
	if err := f.Sync(); err != nil {
		return nil, fmt.Errorf("writing archive: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("writing archive: %w", err)
	}
	in.Size = st.Size()
	return cases, syncDir(a.Dir)
}

// fill adds batches that are due until the archive is full.
func (a *Archiver) fill(ctx context.Context, w *writer) (cases []Case, err error) {
	items := 0
	for after := ""; ; {
		due, err := a.Records.Due(ctx, a.Before, after, page)
		if err != nil {
			return nil, fmt.Errorf("reading what is due: %w", err)
		}
		for _, batch := range due {
			if after = batch; a.left[batch] != "" {
				continue
			}
			c, proofs, err := a.Records.Case(ctx, batch, a.Before)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				a.left[batch] = err.Error()
				continue
			}
			if err := w.caseOf(ctx, a, &c, proofs); err != nil {
				if errors.Is(err, errBatch) {
					a.left[batch] = err.Error() // the file has a part of it
				}
				return nil, fmt.Errorf("archiving batch %s: %w", batch, err)
			}
			cases = append(cases, c)
			if items += c.Items; items >= maxItems || w.sealed.n*piece >= maxBytes {
				return cases, nil
			}
		}
		if len(due) < page {
			return cases, nil
		}
	}
}

// check reads the file back as whoever opens it later does.
func (a *Archiver) check(ctx context.Context, in *Info) error {
	f, err := os.Open(Path(a.Dir, in.ID))
	if err != nil {
		return err
	}
	defer f.Close()
	read, err := Open(ctx, f, in.Size, a.MAC, a.Public)
	if err != nil {
		return err
	}
	if read.Sum != in.Manifest {
		return fmt.Errorf("%w: another manifest", ErrBroken)
	}
	if err := read.Check(ctx); err != nil {
		return err
	}
	return a.Judge(ctx, read, func(batch, why string) { a.left[batch] = why })
}

// items hands over the items of a batch.
func (a *Archiver) items(ctx context.Context, batch string, f func(it *Item) error) error {
	for after := int64(-1); ; {
		list, err := a.Records.Items(ctx, batch, after, page)
		if err != nil {
			return fmt.Errorf("reading items: %w", err)
		}
		for k := range list {
			after = list[k].Index
			if err := f(&list[k]); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("writing archive: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
