package archive

import (
	"archive/zip"
	"bufio"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

const (
	manifestName  = "manifest.json"
	signatureName = "manifest.sig"
)

// writer fills an archive.
type writer struct {
	sealed  *sealing
	zip     *zip.Writer
	buf     *bufio.Writer
	m       Manifest
	entered map[string]bool
}

func newWriter(ctx context.Context, w io.Writer, m MAC, manifest Manifest) (*writer, error) {
	out := &writer{buf: bufio.NewWriterSize(w, 1<<20), m: manifest, entered: map[string]bool{}}
	var err error
	if out.sealed, err = newSealing(ctx, out.buf, m, manifest.ID); err != nil {
		return nil, err
	}
	out.zip = zip.NewWriter(out.sealed)
	return out, nil
}

// add makes an entry of what fill writes, unless there is one of that name.
func (w *writer) add(name string, method uint16, fill func(io.Writer) error) error {
	if w.entered[name] {
		return nil
	}
	w.entered[name] = true
	f, err := w.zip.CreateHeader(&zip.FileHeader{Name: name, Method: method, Modified: w.m.CreatedAt})
	if err != nil {
		return fmt.Errorf("writing archive: %w", err)
	}
	h, n := sha256.New(), counter(0)
	if err := fill(io.MultiWriter(f, h, &n)); err != nil {
		return fmt.Errorf("archiving %s: %w", name, err)
	}
	w.m.Entries = append(w.m.Entries, Entry{Name: name, Size: int64(n), SHA256: hex.EncodeToString(h.Sum(nil))})
	return nil
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// blob adds a document's bytes; what is missing is missing in the archive, too: a
// document that was refused has no signed version.
func (w *writer) blob(ctx context.Context, b Blobs, name string) error {
	if name == "" || w.entered["blobs/"+name] {
		return nil
	}
	f, err := b.Open(ctx, name)
	if err != nil {
		return fmt.Errorf("%w: %w", errBatch, err)
	}
	defer f.Close()
	return w.add("blobs/"+name, zip.Store, func(to io.Writer) error {
		_, err := io.Copy(to, io.NewSectionReader(f, 0, f.Size()))
		return err
	})
}

// caseOf adds one batch with everything that belongs to it.
func (w *writer) caseOf(ctx context.Context, a *Archiver, c *Case, proofs []Proof) error {
	err := w.add("cases/"+c.Batch.ID+".json", zip.Deflate, func(to io.Writer) error { return json.NewEncoder(to).Encode(c) })
	if err != nil {
		return err
	}
	for _, p := range proofs {
		err := w.add(p.Name, zip.Store, func(to io.Writer) error {
			_, err := to.Write(p.DER)
			return err
		})
		if err != nil {
			return err
		}
	}
	err = w.add("items/"+c.Batch.ID+".jsonl", zip.Deflate, func(to io.Writer) error {
		enc, n := json.NewEncoder(to), 0
		err := a.items(ctx, c.Batch.ID, func(it *Item) error {
			n++
			return enc.Encode(it)
		})
		if err == nil && n != c.Items {
			err = ErrChanged
		}
		return err
	})
	if err != nil {
		return err
	}
	err = a.items(ctx, c.Batch.ID, func(it *Item) error {
		if err := w.blob(ctx, a.Blobs, it.SignedBlob); err != nil {
			return err
		}
		if it.Blob == "" {
			return nil
		}
		err := w.blob(ctx, a.Blobs, it.Blob)
		if errors.Is(err, fs.ErrNotExist) && it.State != "signed" && c.givenUp() {
			return nil // it went when the batch was given up
		}
		if err != nil {
			return err
		}
		// Of an encrypted PDF the password lies beside it, sealed.
		if err := w.blob(ctx, a.Blobs, it.Blob+".password"); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	w.m.Batches++
	w.m.Transactions += len(c.Transactions)
	w.m.Signatures += c.Signed
	if c.Newest.After(w.m.Newest) {
		w.m.Newest = c.Newest
	}
	return err
}

// close signs the manifest and ends the file; it returns the manifest's SHA-256.
func (w *writer) close(seal crypto.Signer) (sum [32]byte, err error) {
	raw, err := json.MarshalIndent(&w.m, "", " ")
	if err != nil {
		return sum, fmt.Errorf("encoding manifest: %w", err)
	}
	sig, err := seal.Sign(rand.Reader, digest(raw), crypto.SHA256)
	if err != nil {
		return sum, fmt.Errorf("signing manifest: %w", err)
	}
	for _, e := range []struct {
		name string
		data []byte
	}{{manifestName, raw}, {signatureName, sig}} {
		f, err := w.zip.CreateHeader(&zip.FileHeader{Name: e.name, Method: zip.Store, Modified: w.m.CreatedAt})
		if err == nil {
			_, err = f.Write(e.data)
		}
		if err != nil {
			return sum, fmt.Errorf("writing archive: %w", err)
		}
	}
	for _, end := range []func() error{w.zip.Close, w.sealed.Close, w.buf.Flush} {
		if err := end(); err != nil {
			return sum, fmt.Errorf("writing archive: %w", err)
		}
	}
	return sha256.Sum256(raw), nil
}
