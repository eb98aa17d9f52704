package archive

import (
	"archive/zip"
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Archive is an archive that was opened.
type Archive struct {
	Manifest Manifest
	Sum      [32]byte // SHA-256 of manifest.json

	zip   *zip.Reader
	files map[string]*zip.File
}

// maxManifest bounds manifest.json in bytes.
const maxManifest = 256 << 20

// Open opens a sealed archive of size bytes and believes its manifest when seal has
// signed it; [ErrBroken] else. The entries are checked as they are read to their end.
func Open(ctx context.Context, r io.ReaderAt, size int64, m MAC, seal *ecdsa.PublicKey) (*Archive, error) {
	o, id, err := unseal(ctx, r, size, m)
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(o, o.size)
	if err != nil {
		return nil, broken(err)
	}
	a := &Archive{zip: z, files: map[string]*zip.File{}}
	for _, f := range z.File {
		if a.files[f.Name] != nil || strings.HasPrefix(f.Name, "/") || strings.Contains(f.Name, "..") || strings.Contains(f.Name, `\`) {
			return nil, fmt.Errorf("%w: entry %q", ErrBroken, f.Name)
		}
		a.files[f.Name] = f
	}
	raw, err := a.whole(manifestName, maxManifest)
	if err != nil {
		return nil, err
	}
	sig, err := a.whole(signatureName, 1024)
	if err != nil {
		return nil, err
	}
	if !ecdsa.VerifyASN1(seal, digest(raw), sig) {
		return nil, fmt.Errorf("%w: the signature of its manifest is wrong", ErrBroken)
	}
	if err := json.Unmarshal(raw, &a.Manifest); err != nil || a.Manifest.Format != Format || a.Manifest.ID != id {
		return nil, fmt.Errorf("%w: the manifest is not this archive's", ErrBroken)
	}
	a.Sum = sha256.Sum256(raw)
	return a, nil
}

// broken keeps errors of reading and calls the rest by their name.
func broken(err error) error {
	if errors.Is(err, ErrBroken) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
}

func (a *Archive) whole(name string, limit int64) ([]byte, error) {
	f := a.files[name]
	if f == nil {
		return nil, fmt.Errorf("%w: %s is missing", ErrBroken, name)
	}
	r, err := f.Open()
	if err != nil {
		return nil, broken(err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = errors.New(name + " is too large")
	}
	if err != nil {
		return nil, broken(err)
	}
	return raw, nil
}

// Check reads every entry and compares it with the manifest, which must name all of them.
func (a *Archive) Check(ctx context.Context) error {
	if len(a.files) != len(a.Manifest.Entries)+2 {
		return fmt.Errorf("%w: %d entries, the manifest names %d", ErrBroken, len(a.files)-2, len(a.Manifest.Entries))
	}
	for _, e := range a.Manifest.Entries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := a.Copy(io.Discard, e); err != nil {
			return err
		}
	}
	return nil
}

// Copy writes an entry to w. Only when it returns nil was that what the manifest says.
func (a *Archive) Copy(w io.Writer, e Entry) error {
	f := a.files[e.Name]
	if f == nil {
		return fmt.Errorf("%w: %s is missing", ErrBroken, e.Name)
	}
	r, err := f.Open()
	if err != nil {
		return broken(err)
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(r, e.Size+1))
	if err != nil {
		return broken(err)
	}
	if n != e.Size || hex.EncodeToString(h.Sum(nil)) != e.SHA256 {
		return fmt.Errorf("%w: %s has other content", ErrBroken, e.Name)
	}
	return nil
}

// Entry finds an entry of the manifest.
func (a *Archive) Entry(name string) (Entry, bool) {
	k := slices.IndexFunc(a.Manifest.Entries, func(e Entry) bool { return e.Name == name })
	if k < 0 {
		return Entry{}, false
	}
	return a.Manifest.Entries[k], true
}

// Read is an entry of at most limit bytes, compared with the manifest.
func (a *Archive) Read(name string, limit int64) ([]byte, error) {
	e, ok := a.Entry(name)
	if !ok {
		return nil, fmt.Errorf("%w: %s is missing", ErrBroken, name)
	}
	if e.Size > limit {
		return nil, fmt.Errorf("%w: %s is too large", ErrBroken, name)
	}
	var b strings.Builder
	if err := a.Copy(&b, e); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}

// Cases hands over each batch of the archive in order.
func (a *Archive) Cases(f func(c *Case) error) error {
	for _, e := range a.Manifest.Entries {
		if !strings.HasPrefix(e.Name, "cases/") {
			continue
		}
		raw, err := a.Read(e.Name, maxManifest)
		if err != nil {
			return err
		}
		var c Case
		if err := json.Unmarshal(raw, &c); err != nil {
			return broken(err)
		}
		if err := f(&c); err != nil {
			return err
		}
	}
	return nil
}

// Items hands over each item of a batch in order. Check tells whether they are what was
// written.
func (a *Archive) Items(batch string, f func(it *Item) error) error {
	file := a.files["items/"+batch+".jsonl"]
	if file == nil {
		return fmt.Errorf("%w: the items of %s are missing", ErrBroken, batch)
	}
	r, err := file.Open()
	if err != nil {
		return broken(err)
	}
	defer r.Close()
	d := json.NewDecoder(bufio.NewReader(r))
	for {
		var it Item
		if err := d.Decode(&it); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return broken(err)
		}
		if err := f(&it); err != nil {
			return err
		}
	}
}
