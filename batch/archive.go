package batch

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/signer"
)

// ManifestItem is one line of manifest.json.
type ManifestItem struct {
	Index     uint32 `json:"index"`
	Name      string `json:"name"`
	Reference string `json:"reference,omitempty"`
	State     string `json:"state"`
	Digest    string `json:"digest"`                 // of the document as authorised, hex
	File      string `json:"file,omitempty"`         // in the archive
	SHA256    string `json:"file_sha256,omitempty"`  // of the signed file, hex
	Signature string `json:"signature,omitempty"`    // RAW, CMS: base64
	SignedAt  string `json:"signed_at,omitempty"`    // RFC 3339 UTC
	URL       string `json:"record_url,omitempty"`   // eCertificates: the address in the QR code, secret included
	Code      string `json:"refusal_code,omitempty"` // of a refused item
	Detail    string `json:"refusal_detail,omitempty"`
}

// Manifest is manifest.json of an archive.
type Manifest struct {
	Batch       string         `json:"batch_id"`
	Name        string         `json:"name"`
	Status      Status         `json:"status"`
	Count       uint32         `json:"count"`
	Root        string         `json:"root"` // base64
	Fingerprint string         `json:"fingerprint"`
	Items       []ManifestItem `json:"items"`
}

// Archive streams a ZIP of the signed files and manifest.json, which comes
// last. Memory is the manifest and one buffer.
func (s *Service) Archive(ctx context.Context, b Batch, w io.Writer) error {
	zw := zip.NewWriter(w)
	m := Manifest{Batch: b.ID, Name: b.Name, Status: b.Status, Count: b.Count, Root: base64.StdEncoding.EncodeToString(b.Root[:]), Fingerprint: signer.Fingerprint(b.Root)}
	err := s.each(ctx, b.ID, "", func(it *Item) error {
		line := ManifestItem{Index: it.Index, Name: it.Name, Reference: it.Reference, State: it.State, Digest: hex.EncodeToString(it.Digest),
			Code: it.Code, Detail: it.Detail}
		if it.Record != nil {
			line.URL = s.Address(it.Record)
		}
		if it.State == ItemSigned {
			line.SignedAt = it.SignedAt.UTC().Format(time.RFC3339)
			if len(it.Signature) > 0 {
				line.Signature = base64.StdEncoding.EncodeToString(it.Signature)
			}
			if it.SignedBlob != "" {
				if err := s.pack(ctx, zw, it, &line); err != nil {
					return err
				}
			}
		}
		m.Items = append(m.Items, line)
		return nil
	})
	if err != nil {
		return err
	}
	f, err := zw.CreateHeader(&zip.FileHeader{Name: "manifest.json", Method: zip.Deflate, Modified: s.Now().UTC()})
	if err != nil {
		return fmt.Errorf("writing archive: %w", err)
	}
	e := json.NewEncoder(f)
	e.SetIndent("", " ")
	if err := e.Encode(m); err != nil {
		return fmt.Errorf("writing archive: %w", err)
	}
	return zw.Close()
}

func (s *Service) pack(ctx context.Context, zw *zip.Writer, it *Item, line *ManifestItem) error {
	blob, err := s.Blobs.Open(ctx, it.SignedBlob)
	if err != nil {
		return fmt.Errorf("opening signed document %d: %w", it.Index, err)
	}
	defer blob.Close()
	line.File = FileName(it)
	f, err := zw.CreateHeader(&zip.FileHeader{Name: line.File, Method: zip.Store, Modified: it.SignedAt})
	if err != nil {
		return fmt.Errorf("writing archive: %w", err)
	}
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, h), io.NewSectionReader(blob, 0, blob.Size())); err != nil {
		return fmt.Errorf("writing archive: %w", err)
	}
	line.SHA256 = hex.EncodeToString(h.Sum(nil))
	return nil
}

// FileName is a signed document's name in the archive: its place, so that no
// two are alike, and what is plain in its reference or name.
func FileName(it *Item) string {
	name := it.Reference
	if name == "" {
		name = it.Name
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, strings.TrimSuffix(name, ".pdf"))
	if len(name) > 80 {
		name = name[:80]
	}
	return fmt.Sprintf("%05d-%s.pdf", it.Index+1, name)
}
