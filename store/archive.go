package store

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/archive"
	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// Archives is the database as [archive.Records].
type Archives struct{ d *DB }

var _ archive.Records = Archives{}

// Archives gives the database as archive.Records.
func (d *DB) Archives() Archives { return Archives{d} }

// Due implements archive.Records.
func (a Archives) Due(ctx context.Context, before time.Time, after string, limit int) ([]string, error) {
	return a.d.q.OldBatches(ctx, sqlc.OldBatchesParams{Before: micros(before), After: after, Lim: int64(limit)})
}

// Begin implements archive.Records.
func (a Archives) Begin(ctx context.Context, id string, ev audit.Event) error {
	return a.d.do(ctx, ev, func(q *sqlc.Queries) error {
		return q.AddArchive(ctx, sqlc.AddArchiveParams{ID: id, CreatedAt: micros(ev.At)})
	})
}

// Abort implements archive.Records.
func (a Archives) Abort(ctx context.Context, id string, ev audit.Event) error {
	return a.d.do(ctx, ev, func(q *sqlc.Queries) error {
		_, err := q.DropArchive(ctx, id)
		return err
	})
}

// Archives implements archive.Records.
func (a Archives) Archives(ctx context.Context, after string, limit int) ([]archive.Info, error) {
	rows, err := a.d.q.Archives(ctx, sqlc.ArchivesParams{After: after, Lim: int64(limit)})
	out := make([]archive.Info, len(rows))
	for k := range rows {
		out[k] = archiveInfo(&rows[k])
	}
	return out, err
}

func archiveInfo(r *sqlc.Archive) archive.Info {
	in := archive.Info{ID: r.ID, State: r.State, CreatedAt: instant(r.CreatedAt), Newest: instant(r.NewestAt), Transactions: int(r.Transactions), Signatures: int(r.Signatures),
		Size: r.Size, ManifestHex: hex.EncodeToString(r.Manifest)}
	if len(r.Manifest) == len(in.Manifest) {
		in.Manifest = [32]byte(r.Manifest)
	}
	return in
}

// Removals implements archive.Records.
func (a Archives) Removals(ctx context.Context, limit int) ([]archive.Removal, error) {
	rows, err := a.d.q.FileRemovals(ctx, int64(limit))
	out := make([]archive.Removal, len(rows))
	for k, r := range rows {
		out[k] = archive.Removal{Kind: r.Kind, Name: r.Name}
	}
	return out, err
}

// Removed implements archive.Records. The deed that made the file go is in the audit.
func (a Archives) Removed(ctx context.Context, r archive.Removal) error {
	return a.d.tx(ctx, func(q *sqlc.Queries) error {
		return q.DropFileRemoval(ctx, sqlc.DropFileRemovalParams{Kind: r.Kind, Name: r.Name})
	})
}

// Items implements archive.Records.
func (a Archives) Items(ctx context.Context, batch string, after int64, limit int) ([]archive.Item, error) {
	rows, err := a.d.paged().ItemsAfter(ctx, sqlc.ItemsAfterParams{BatchID: batch, After: after, Lim: int64(limit)})
	out := make([]archive.Item, len(rows))
	for k, r := range rows {
		if strings.HasPrefix(r.Blob, "signed/") && r.SignedBlob != "" {
			r.Blob = "" // what another role signed: the signed file begins with it
		}
		out[k] = archive.Item{Index: r.Idx, Name: string(r.Name), Hash: r.Hash, Digest: r.Digest, Blob: r.Blob, Size: r.Size, Document: r.DocumentID, Reference: string(r.Reference),
			RecordID: r.RecordID.String, Number: plain(r.Number), Record: plain(r.Record), State: r.State, Code: r.Code, Detail: string(r.Detail), Signature: r.Signature.V,
			SignedBlob: r.SignedBlob, SignedSize: r.SignedSize, SignedAt: instant(r.SignedAt), Timestamp: instant(r.Timestamp), Level: r.Level, Intent: r.IntentID}
	}
	return out, err
}

// Case implements archive.Records. It reads one state of the database.
func (a Archives) Case(ctx context.Context, batch string, before time.Time) (c archive.Case, proofs []archive.Proof, err error) {
	err = a.d.snapshot(ctx, func(q *sqlc.Queries) error {
		if c, err = readCase(ctx, q, batch, before); err != nil {
			return err
		}
		proofs, err = a.evidence(ctx, q, &c)
		return err
	})
	return c, proofs, err
}

func readCase(ctx context.Context, q *sqlc.Queries, batch string, before time.Time) (c archive.Case, err error) {
	if n, err := q.BatchIsOld(ctx, sqlc.BatchIsOldParams{ID: batch, Before: micros(before)}); err != nil || n != 1 {
		return c, errors.Join(archive.ErrChanged, err)
	}
	b, err := q.Batch(ctx, batch)
	if err != nil {
		return c, err
	}
	c.Batch = archive.Batch{ID: b.ID, App: b.AppID, Name: string(b.Name), Kind: b.Kind, Implicit: b.Implicit != 0, Status: b.Status, Count: b.Count, Root: b.Root, RefusedRows: b.RefusedRows,
		CreatedAt: instant(b.CreatedAt), StartedAt: instant(b.StartedAt), FinishedAt: instant(b.FinishedAt)}
	c.Newest = later(c.Batch.CreatedAt, c.Batch.StartedAt, c.Batch.FinishedAt)
	items, err := q.LastSigned(ctx, batch)
	if err != nil {
		return c, err
	}
	c.Items, c.Signed = int(items.Items), int(items.Signed)
	c.Newest = later(c.Newest, instant(items.At))
	transactions, err := q.TransactionsOfBatch(ctx, batch)
	if err != nil {
		return c, err
	}
	for _, t := range transactions {
		x := archive.Transaction{ID: t.ID, App: t.AppID, SystemName: t.SystemName, IC: string(t.Ic), System: t.System, DataHeader: string(t.DataHeader), Process: t.Process, Role: t.Role,
			Class: t.Classification, Credential: t.CredentialID, Options: string(t.Options), OptionsHash: t.OptionsHash, Count: t.Count, Root: t.Root, Status: t.Status, Ended: t.Ended,
			CreatedAt: instant(t.CreatedAt), ExpiresAt: instant(t.ExpiresAt), FinishedAt: instant(t.FinishedAt)}
		switch ch, err := q.Challenge(ctx, t.ID); {
		case err == nil:
			x.Channel, x.SentTo = ch.Channel, string(ch.SentTo)
		case !errors.Is(err, sql.ErrNoRows):
			return c, err
		}
		c.Transactions, c.Newest = append(c.Transactions, x), later(c.Newest, x.CreatedAt, x.FinishedAt)
	}
	intents, err := q.IntentsOfBatch(ctx, batch)
	if err != nil {
		return c, err
	}
	for _, i := range intents {
		c.Intents = append(c.Intents, archive.Intent{ID: i.ID, Transaction: i.TransactionID, Credential: i.CredentialID, Root: i.Root, Count: i.Count, OptionsHash: i.OptionsHash,
			CreatedAt: instant(i.CreatedAt), Deadline: instant(i.Deadline), Seal: i.Seal, State: i.State, ClosedAt: instant(i.ClosedAt)})
		c.Newest = later(c.Newest, instant(i.ClosedAt))
	}
	rows, err := q.RefusedRowsOf(ctx, batch)
	for _, r := range rows {
		c.RefusedRows = append(c.RefusedRows, archive.RefusedRow{Row: r.Row, Column: r.Col, Name: string(r.Name), Code: r.Code, Detail: string(r.Detail)})
	}
	return c, err
}

func later(times ...time.Time) (out time.Time) {
	for _, t := range times {
		if t.After(out) {
			out = t
		}
	}
	return out
}

// evidence finds by what each intent's signatures are verified, and names it there.
func (a Archives) evidence(ctx context.Context, q *sqlc.Queries, c *archive.Case) (out []archive.Proof, err error) {
	parents := map[string]string{}
	names, err := q.Authorities(ctx)
	if err != nil {
		return nil, err
	}
	for _, x := range names {
		parents[x.Name] = x.Parent
	}
	for k := range c.Intents {
		in := &c.Intents[k]
		ev := &in.Evidence
		x, err := q.CertificateOfCredential(ctx, in.Credential)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate of %s: %w", in.Credential, err)
		}
		if _, err := x509.ParseCertificate(x.Der.V); err != nil {
			return nil, fmt.Errorf("parsing certificate %s: %w", x.Serial, err)
		}
		ev.Certificate = "certificates/" + x.Serial + ".cer"
		out = append(out, archive.Proof{Name: ev.Certificate, DER: x.Der.V})
		if ev.At = in.ClosedAt; ev.At.IsZero() {
			ev.At = later(c.Newest, in.CreatedAt)
		}
		list := func(issuer string) error {
			crl, err := listAfter(ctx, q, issuer, ev.At)
			if err == nil {
				ev.CRLs = append(ev.CRLs, fmt.Sprintf("crls/%s-%d.crl", entryName(crl.Issuer), crl.Number))
				out = append(out, archive.Proof{Name: ev.CRLs[len(ev.CRLs)-1], DER: crl.Der})
			}
			return absent(err, nil)
		}
		if err := list(x.Issuer); err != nil {
			return nil, err
		}
		chain, err := a.authorities(ctx, x.Issuer, parents, list)
		if err != nil {
			return nil, err
		}
		for _, p := range chain {
			ev.Chain = append(ev.Chain, p.Name)
		}
		out = append(out, chain...)
	}
	return out, nil
}

// listAfter is the first list there is from after a time, which knows of all revocations before it,
// as the newest still does; the one before where there is none.
func listAfter(ctx context.Context, q *sqlc.Queries, issuer string, at time.Time) (sqlc.Crl, error) {
	crl, err := q.NextCRL(ctx, sqlc.NextCRLParams{Issuer: issuer, At: micros(at)})
	if errors.Is(err, sql.ErrNoRows) {
		return q.CRLInForce(ctx, sqlc.CRLInForceParams{Issuer: issuer, At: micros(at)})
	}
	return crl, err
}

// authorities are the certificates from an issuer up to its root; above is called for each
// name above the issuer.
func (a Archives) authorities(ctx context.Context, issuer string, parents map[string]string, above func(name string) error) (out []archive.Proof, err error) {
	if strings.HasPrefix(issuer, "external") {
		chain, err := a.d.ExternalChain(ctx, issuer)
		for k, x := range chain {
			out = append(out, archive.Proof{Name: fmt.Sprintf("ca/%s-%d.cer", entryName(issuer), k), DER: x.Raw})
		}
		return out, absent(err, nil)
	}
	for name, n := issuer, 0; name != "" && n <= len(parents); name, n = parents[name], n+1 {
		cert, err := a.d.AuthorityCertificate(ctx, name)
		if errors.Is(err, ca.ErrUnknown) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, archive.Proof{Name: "ca/" + entryName(name) + "-" + cert.Serial + ".cer", DER: cert.DER})
		if name != issuer {
			if err := above(name); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// entryName is a name of an authority as part of a file's name.
func entryName(name string) string { return strings.ReplaceAll(name, ":", "-") }

// Commit implements archive.Records.
func (a Archives) Commit(ctx context.Context, in archive.Info, cases []archive.Case, before time.Time, ev audit.Event) error {
	return a.d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.StoreArchive(ctx, sqlc.StoreArchiveParams{NewestAt: micros(in.Newest), Transactions: int64(in.Transactions), Signatures: int64(in.Signatures), Size: in.Size,
			Manifest: in.Manifest[:], ID: in.ID})
		if err != nil || n != 1 {
			return errors.Join(archive.ErrChanged, err)
		}
		for k := range cases {
			if err := commitCase(ctx, q, in.ID, &cases[k], before); err != nil {
				return fmt.Errorf("moving batch %s: %w", cases[k].Batch.ID, err)
			}
		}
		return nil
	})
}

// commitCase removes one batch, which must be what was read. Its files go later.
func commitCase(ctx context.Context, q *sqlc.Queries, id string, c *archive.Case, before time.Time) error {
	now, err := readCase(ctx, q, c.Batch.ID, before)
	if err != nil {
		return err
	}
	if now.Batch.Status != c.Batch.Status || now.Items != c.Items || now.Signed != c.Signed || !now.Newest.Equal(c.Newest) || len(now.Transactions) != len(c.Transactions) || len(now.Intents) != len(c.Intents) {
		return archive.ErrChanged
	}
	for _, t := range c.Transactions {
		if err := q.AddArchivePerson(ctx, sqlc.AddArchivePersonParams{ArchiveID: id, Ic: personal.IC(t.IC)}); err != nil {
			return err
		}
	}
	blobs, err := q.BlobsOfBatch(ctx, c.Batch.ID)
	if err != nil {
		return err
	}
	batch := c.Batch.ID
	for _, drop := range []func(context.Context, string) error{q.DropCodeSendsOfBatch, q.DropChallengesOfBatch, q.DropSigningPagesOfBatch, q.DropIntentsOfBatch, q.DropRefusedRowsOfBatch, q.DropPaymentsOfBatch, q.DropSignatoriesOfBatch, q.DropOutcomesOfBatch} {
		if err := drop(ctx, batch); err != nil {
			return err
		}
	}
	for _, drop := range []func(context.Context, string) (int64, error){q.DropTransactionsOfBatch, q.DropItemsOfBatch, q.DropBatch} {
		if _, err := drop(ctx, batch); err != nil {
			return err
		}
	}
	packs := map[string]bool{}
	for _, b := range blobs {
		if b.Reference != "" {
			if err := q.AddArchiveReference(ctx, sqlc.AddArchiveReferenceParams{ArchiveID: id, Reference: personal.Object(b.Reference)}); err != nil {
				return err
			}
		}
		files := []string{signer.PackOf(b.SignedBlob)}
		if b.Blob != "" { // with what a crash left of other attempts
			files = append(files, signer.SignedBlobs(batch, uint32(b.Idx), b.Attempt)...)
		}
		if b.DocumentID == "" {
			// The certificates of an upload lie in one file, which goes once.
			if pack := signer.PackOf(b.Blob); !packs[pack] {
				packs[pack] = true
				files = append(files, pack)
			}
		} else if gone, err := q.DropDocument(ctx, sqlc.DropDocumentParams{ID: b.DocumentID, Before: micros(before)}); err != nil {
			return err
		} else {
			files = append(files, gone...)
		}
		if err := removals(ctx, q, files...); err != nil {
			return err
		}
	}
	return nil
}

// removals has the files of documents removed after the commit.
func removals(ctx context.Context, q *sqlc.Queries, blobs ...string) error {
	for _, name := range blobs {
		if name == "" {
			continue
		}
		for _, file := range []string{name, name + ".password"} {
			if err := q.AddFileRemoval(ctx, sqlc.AddFileRemovalParams{Kind: archive.BlobFile, Name: file}); err != nil {
				return err
			}
		}
	}
	return nil
}
