package batch

import (
	"archive/zip"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"time"

	"github.com/mohor-sign/mohor/internal/spool"
)

// manifest is a manifest.json that is written while the files before it are: it waits in a temporary
// file, compressed as the archive will have it.
type manifest struct {
	f     *os.File
	z     *flate.Writer
	sum   hash.Hash32
	size  uint64
	items int
}

func newManifest(dir string, m *Manifest) (*manifest, error) {
	head, err := m.head()
	if err != nil {
		return nil, fmt.Errorf("encoding manifest: %w", err)
	}
	f, err := spool.File(dir)
	if err != nil {
		return nil, err
	}
	z, err := flate.NewWriter(f, flate.DefaultCompression)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	w := &manifest{f: f, z: z, sum: crc32.NewIEEE()}
	if _, err = w.Write(append(head, '[')); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return w, nil
}

// Write implements io.Writer for what is in the manifest.
func (m *manifest) Write(p []byte) (int, error) {
	m.size += uint64(len(p))
	_, _ = m.sum.Write(p) // never fails
	return m.z.Write(p)
}

// add appends an item, on a line of its own.
func (m *manifest) add(it *ManifestItem) error {
	text, err := json.Marshal(it)
	if err != nil {
		return err
	}
	lead := ",\n"
	if m.items == 0 {
		lead = "\n"
	}
	m.items++
	_, err = m.Write(append([]byte(lead), text...))
	return err
}

// into ends the manifest and copies it into an archive.
func (m *manifest) into(to *zip.Writer, at time.Time) error {
	if _, err := m.Write([]byte("\n]}\n")); err != nil {
		return err
	}
	if err := m.z.Close(); err != nil {
		return err
	}
	packed, err := m.f.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = m.f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	w, err := to.CreateRaw(&zip.FileHeader{Name: "manifest.json", Method: zip.Deflate, Modified: at, CRC32: m.sum.Sum32(), UncompressedSize64: m.size, CompressedSize64: uint64(packed)})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, m.f)
	return err
}

// Close removes the file.
func (m *manifest) Close() error { return m.f.Close() }
