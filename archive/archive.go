// Package archive moves what was signed long ago from the database into files that
// still prove it: requests, documents, signatures, and what it takes to verify those.
//
// An archive is a ZIP file. For each batch it has cases/ID.json ([Case]) and
// items/ID.jsonl ([Item], one a line); blobs/ has the documents' bytes, certificates/,
// ca/ and crls/ the evidence in DER. manifest.json, the last but one, names every
// other entry with its SHA-256, and manifest.sig is the gateway's signature on it with the
// key that seals the audit chain. The ZIP is sealed with AES-256-GCM under a key that the
// HSM makes for this archive alone (see [Open]).
package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/signer"
)

// ErrBroken: an archive is not what was written. Nothing in it can be believed.
var ErrBroken = errors.New("archive is not what was written")

// ErrChanged: what was archived has changed meanwhile; everything is still in its place.
var ErrChanged = errors.New("what was to be archived has changed")

// States of an archive.
const (
	Writing  = "WRITING"  // being made: everything is still in the database
	Stored   = "STORED"   // the file alone has it
	Disposed = "DISPOSED" // the file is destroyed, or about to be
)

// Info is what the database knows of an archive.
type Info struct {
	ID           string    `json:"archive_id"` // "ar_…"
	State        string    `json:"state"`
	CreatedAt    time.Time `json:"created_at"`
	Newest       time.Time `json:"newest"` // when the newest thing in it ended
	Transactions int       `json:"transactions"`
	Signatures   int       `json:"signatures"`
	Size         int64     `json:"size"`            // of the file in bytes
	Manifest     [32]byte  `json:"-"`               // SHA-256 of manifest.json
	ManifestHex  string    `json:"manifest_sha256"` // of Manifest
}

// Batch is a batch as it was.
type Batch struct {
	ID          string    `json:"batch_id"`
	App         string    `json:"app"`
	Name        string    `json:"name"`
	Kind        string    `json:"kind"`
	Implicit    bool      `json:"implicit"`
	Status      string    `json:"status"`
	Count       int64     `json:"count"`
	Root        []byte    `json:"root"`
	RefusedRows int64     `json:"refused_rows"`
	CreatedAt   time.Time `json:"created_at"`
	StartedAt   time.Time `json:"started_at,omitzero"`
	FinishedAt  time.Time `json:"finished_at,omitzero"`
}

// Transaction is one request for signatures on a batch.
type Transaction struct {
	ID          string    `json:"transaction_id"`
	App         string    `json:"app"`
	SystemName  string    `json:"system_name"`
	IC          string    `json:"ic"`
	System      string    `json:"system"`
	DataHeader  string    `json:"data_header"`
	Process     string    `json:"process"`
	Role        string    `json:"role"`
	Class       string    `json:"classification"`
	Credential  string    `json:"credential_id"`
	Options     string    `json:"options"` // RFC 8785 JSON, a string: its hash was signed for
	OptionsHash []byte    `json:"options_hash"`
	Count       int64     `json:"count"`
	Root        []byte    `json:"root"`
	Status      string    `json:"status"`
	Ended       string    `json:"ended,omitempty"`
	Channel     string    `json:"channel,omitempty"` // by which the code went
	SentTo      string    `json:"sent_to,omitempty"` // masked
	CreatedAt   time.Time `json:"created_at"`
	ExpiresAt   time.Time `json:"expires_at"`
	FinishedAt  time.Time `json:"finished_at,omitzero"`
}

// Intent is what the officer authorised, and by what it can be verified.
type Intent struct {
	ID          string    `json:"intent_id"`
	Transaction string    `json:"transaction_id"`
	Credential  string    `json:"credential_id"`
	Root        []byte    `json:"root"`
	Count       int64     `json:"count"`
	OptionsHash []byte    `json:"options_hash"`
	CreatedAt   time.Time `json:"created_at"`
	Deadline    time.Time `json:"deadline"`
	Seal        []byte    `json:"seal"`
	State       string    `json:"state"`
	ClosedAt    time.Time `json:"closed_at,omitzero"`
	Evidence    Evidence  `json:"evidence"`
}

// Evidence names the entries that have a signer's certificate, those of the authorities
// above it, the issuer's first, and their revocation lists.
type Evidence struct {
	// At is the time for which the signatures are verified: theirs. The lists may be of long
	// after: an issuer's entries stay for ever, with their times.
	At          time.Time `json:"at"`
	Certificate string    `json:"certificate"`
	Chain       []string  `json:"chain"`
	CRLs        []string  `json:"crls"`
}

// RefusedRow is a row of an upload that was refused.
type RefusedRow struct {
	Row    int64  `json:"row"`
	Column string `json:"column"`
	Name   string `json:"name"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Case is one batch with all that belongs to it but its items.
type Case struct {
	Batch        Batch         `json:"batch"`
	Transactions []Transaction `json:"transactions"`
	Intents      []Intent      `json:"intents"`
	RefusedRows  []RefusedRow  `json:"refused_rows,omitempty"`
	Items        int           `json:"items"`
	Signed       int           `json:"signed"`
	Newest       time.Time     `json:"newest"` // when the last of it ended
}

// givenUp says that documents which were not signed need not be there.
func (c *Case) givenUp() bool { return c.Batch.Status == "CANCELLED" || c.Batch.Status == "EXPIRED" }

// Item is one document. Its blobs are the entries blobs/NAME.
type Item struct {
	Index      int64     `json:"index"`
	Name       string    `json:"name"`
	Hash       int64     `json:"hash"` // crypto.Hash
	Digest     []byte    `json:"digest"`
	Blob       string    `json:"blob,omitempty"`
	Size       int64     `json:"size"`
	Document   string    `json:"document_id,omitempty"`
	Reference  string    `json:"reference,omitempty"`
	RecordID   string    `json:"record_id,omitempty"`
	Number     string    `json:"number,omitempty"`
	Record     string    `json:"record,omitempty"`
	State      string    `json:"state"`
	Code       string    `json:"code,omitempty"`
	Detail     string    `json:"detail,omitempty"`
	Signature  []byte    `json:"signature,omitempty"`
	SignedBlob string    `json:"signed_blob,omitempty"`
	SignedSize int64     `json:"signed_size,omitempty"`
	SignedAt   time.Time `json:"signed_at,omitzero"`
	Timestamp  time.Time `json:"timestamp,omitzero"`
	Level      string    `json:"level,omitempty"` // the one reached
	Intent     string    `json:"intent_id,omitempty"`
}

// Proof is an entry of evidence: its name in the archive and its DER.
type Proof struct {
	Name string
	DER  []byte
}

// Manifest is manifest.json.
type Manifest struct {
	Format       string    `json:"format"` // Format
	ID           string    `json:"archive_id"`
	CreatedAt    time.Time `json:"created_at"`
	Before       time.Time `json:"before"` // all in it ended before
	Newest       time.Time `json:"newest"`
	Batches      int       `json:"batches"`
	Transactions int       `json:"transactions"`
	Signatures   int       `json:"signatures"`
	Entries      []Entry   `json:"entries"`
}

// Format is that of this package's archives.
const Format = "mohor archive v1"

// Entry is one entry of the ZIP.
type Entry struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// digest is what the gateway signs of a manifest.
func digest(manifest []byte) []byte {
	h := sha256.New()
	_, _ = io.WriteString(h, "mohor archive manifest v1\n")
	_, _ = h.Write(manifest)
	return h.Sum(nil)
}

// Records is the database. Each call is durable, with its event, when it returns nil.
type Records interface {
	// Due lists batches that ended before a time, by id, behind after.
	Due(ctx context.Context, before time.Time, after string, limit int) ([]string, error)
	// Begin records that an archive is about to be written.
	Begin(ctx context.Context, id string, ev audit.Event) error
	// Case reads a batch with the evidence of its intents; ErrChanged when it is not due.
	Case(ctx context.Context, batch string, before time.Time) (Case, []Proof, error)
	// Items reads items behind an index, in order, at most limit.
	Items(ctx context.Context, batch string, after int64, limit int) ([]Item, error)
	// Commit removes the cases, which must be as they were read, and makes the archive
	// Stored, in one transaction; their files are to be removed from then on. ErrChanged
	// when one is not as it was or the archive is not Writing.
	Commit(ctx context.Context, in Info, cases []Case, before time.Time, ev audit.Event) error
	// Abort forgets an archive that is Writing.
	Abort(ctx context.Context, id string, ev audit.Event) error
	// Archives lists archives by id, behind after.
	Archives(ctx context.Context, after string, limit int) ([]Info, error)
	// Removals are files that nothing refers to any more, at most limit; Removed forgets one.
	Removals(ctx context.Context, limit int) ([]Removal, error)
	Removed(ctx context.Context, r Removal) error
}

// Removal is a file that is to go: of a document, or an archive's.
type Removal struct{ Kind, Name string }

// Kinds of removals.
const (
	BlobFile    = "blob"
	ArchiveFile = "archive"
)

// Blobs are the documents' bytes.
type Blobs interface {
	Open(ctx context.Context, id string) (signer.Blob, error)
	Remove(ctx context.Context, id string) error
}

// MAC makes keys in the HSM: HMAC-SHA-256, 32 bytes.
type MAC interface {
	MAC(ctx context.Context, data []byte) ([]byte, error)
}
