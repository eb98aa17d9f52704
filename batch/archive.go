package batch

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/signer"
)

// ManifestItem is one line of manifest.json.
type ManifestItem struct {
	Index     uint32   `json:"index"`
	Name      string   `json:"name"`
	Reference string   `json:"reference,omitempty"`
	State     string   `json:"state"`
	Verdict   Verdict  `json:"verdict,omitempty"`
	Alg       string   `json:"alg"`            // of Digest
	Digest    string   `json:"digest"`         // of the document as authorised, hex
	Size      int64    `json:"size,omitempty"` // of the document as authorised, bytes: the signed PDF begins with it
	Proof     [][]byte `json:"proof"`          // signer.Proof.Path: from this line to root
	Format    string   `json:"format,omitempty"`
	Level     string   `json:"level,omitempty"`       // reached
	File      string   `json:"file,omitempty"`        // in the archive
	SHA256    string   `json:"file_sha256,omitempty"` // of File, hex
	Signature string   `json:"signature,omitempty"`   // RAW, CMS: base64
	SignedAt  string   `json:"signed_at,omitempty"`   // RFC 3339 UTC
	Timestamp string   `json:"timestamp,omitempty"`   // of the time-stamping authority, RFC 3339 UTC
	URL       string   `json:"record_url,omitempty"`  // eCertificates: the address in the QR code, secret included
	Code      string   `json:"refusal_code,omitempty"`
	Detail    string   `json:"refusal_detail,omitempty"`
}

// Verdict is what the gateway found when it signed; "" for what is not signed and not refused.
type Verdict string

// Verdicts. What is verified was so before it was stored: the signature under the officer's
// certificate, which was valid and not revoked in the commit that stored it.
const (
	Verified Verdict = "VERIFIED"
	NoGood   Verdict = "REFUSED"
)

// Manifest is manifest.json of an archive.
type Manifest struct {
	Batch       string         `json:"batch_id"`
	Name        string         `json:"name"`
	Kind        string         `json:"kind"`
	Status      Status         `json:"status"`
	Count       uint32         `json:"count"`
	Root        string         `json:"root"` // base64
	Fingerprint string         `json:"fingerprint"`
	Items       []ManifestItem `json:"items"`
}

// Archive streams a ZIP of the signed files, with the detached signatures, and manifest.json, which
// comes last. Memory is a block of rows and some buffers: the manifest waits in a file. It ends when
// w or ctx does. signer.ErrDocuments when the rows are not those that were sealed.
func (s *Service) Archive(ctx context.Context, b Batch, w io.Writer) error {
	a := &packer{s: s, zip: zip.NewWriter(w)}
	var err error
	if a.tree, err = s.outline(ctx, &b); err != nil {
		return err
	}
	if a.signings, err = s.Queue.Signings(ctx, b.ID); err != nil {
		return err
	}
	m := Manifest{Batch: b.ID, Name: b.Name, Kind: b.Kind, Status: b.Status, Count: b.Count, Root: base64.StdEncoding.EncodeToString(b.Root[:]), Fingerprint: signer.Fingerprint(b.Root)}
	if a.manifest, err = newManifest(s.TempDir, &m); err != nil {
		return err
	}
	defer a.manifest.Close()
	for first := int64(0); first < int64(b.Count); first += signer.Block {
		if err := a.block(ctx, b.ID, uint32(first)); err != nil {
			return err
		}
	}
	if err := a.manifest.into(a.zip, s.Now().UTC()); err != nil {
		return fmt.Errorf("writing archive: %w", err)
	}
	if err := a.zip.Close(); err != nil {
		return fmt.Errorf("writing archive: %w", err)
	}
	return nil
}

// packer writes one archive.
type packer struct {
	s        *Service
	zip      *zip.Writer
	tree     *signer.Outline
	signings map[string]signer.Options
	manifest *manifest
}

// block writes the items of one block of the tree.
func (a *packer) block(ctx context.Context, id string, first uint32) error {
	items, err := a.s.Queue.Items(ctx, id, "", int64(first)-1, signer.Block)
	if err != nil {
		return err
	}
	leaves := make([][32]byte, len(items))
	for k := range items {
		leaves[k] = items[k].Leaf()
	}
	tree, err := a.tree.Subtree(first, leaves)
	if err != nil {
		return fmt.Errorf("%w: %w", signer.ErrDocuments, err)
	}
	for k := range items {
		line, err := a.item(ctx, &items[k])
		if err != nil {
			return err
		}
		for _, h := range tree.Proof(first + uint32(k)).Path {
			line.Proof = append(line.Proof, h[:])
		}
		if err := a.manifest.add(line); err != nil {
			return fmt.Errorf("writing manifest: %w", err)
		}
	}
	return nil
}

// item writes what is signed of an item and returns its line, without the proof.
func (a *packer) item(ctx context.Context, it *Item) (*ManifestItem, error) {
	line := &ManifestItem{Index: it.Index, Name: it.Name, Reference: it.Reference, State: it.State, Alg: it.Hash.String(), Digest: hex.EncodeToString(it.Digest), Size: it.Size,
		Proof: [][]byte{}, Code: it.Code, Detail: it.Detail}
	if it.Record != nil {
		line.URL = a.s.Address(it.Record)
	}
	switch it.State {
	case ItemRefused:
		line.Verdict = NoGood
		return line, nil
	case ItemSigned:
	default:
		return line, nil
	}
	line.Code, line.Detail = "", "" // of a try before
	line.Verdict, line.SignedAt = Verified, it.SignedAt.UTC().Format(time.RFC3339)
	o := a.signings[it.Intent]
	line.Format, line.Level = o.Format, it.Level
	if line.Level == "" { // of a release that did not note it
		line.Level = o.LevelOf(it.Index)
		if it.Timestamp.IsZero() && line.Level != "" {
			line.Level = "B-B" // whatever was asked for
		}
	}
	if !it.Timestamp.IsZero() {
		line.Timestamp = it.Timestamp.UTC().Format(time.RFC3339)
	}
	if len(it.Signature) > 0 {
		line.Signature = base64.StdEncoding.EncodeToString(it.Signature)
	}
	switch {
	case it.SignedBlob != "":
		blob, err := a.s.Blobs.Open(ctx, it.SignedBlob)
		if err != nil {
			return nil, fmt.Errorf("opening signed document %d: %w", it.Index, err)
		}
		defer blob.Close()
		return line, a.pack(it, line, ".pdf", io.NewSectionReader(blob, 0, blob.Size()))
	case o.Format != signer.RAW && len(it.Signature) > 0:
		return line, a.pack(it, line, ".p7s", bytes.NewReader(it.Signature))
	}
	return line, nil
}

func (a *packer) pack(it *Item, line *ManifestItem, suffix string, from io.Reader) error {
	line.File = FileName(it, suffix)
	f, err := a.zip.CreateHeader(&zip.FileHeader{Name: line.File, Method: zip.Store, Modified: it.SignedAt})
	if err != nil {
		return fmt.Errorf("writing archive: %w", err)
	}
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, h), from); err != nil {
		return fmt.Errorf("writing archive: %w", err)
	}
	line.SHA256 = hex.EncodeToString(h.Sum(nil))
	return nil
}

// FileName is a signed document's name in the archive, which ends in suffix: its place, so that no
// two are alike and none is a name that a system keeps for itself, and the letters and digits of its
// reference or name.
func FileName(it *Item, suffix string) string {
	name := it.Reference
	if name == "" {
		name = it.Name
	}
	name = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, strings.TrimSuffix(strings.ToValidUTF8(name, "_"), ".pdf"))
	const most = 80 // bytes
	for len(name) > most {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return fmt.Sprintf("%05d-%s%s", it.Index+1, name, suffix)
}

// head is everything of the manifest before its items.
func (m *Manifest) head() ([]byte, error) {
	text, err := json.Marshal(m)
	return bytes.TrimSuffix(text, []byte("null}")), err
}
