package gateway

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/archive"
	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/spool"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
)

// RetentionConfig says how long what is kept.
type RetentionConfig struct {
	Archives      string `yaml:"archives"`
	ActiveYears   int    `yaml:"active_years"`
	ArchiveYears  int    `yaml:"archive_years"`
	CodesDays     int    `yaml:"codes_days"`
	LoginsDays    int    `yaml:"logins_days"`
	ChangesDays   int    `yaml:"address_changes_days"`
	RefusedDays   int    `yaml:"refused_days"`
	DocumentsDays int    `yaml:"unused_documents_days"`
	EventsDays    int    `yaml:"webhooks_days"`
}

func defaultRetention() RetentionConfig {
	return RetentionConfig{Archives: "archives", ActiveYears: 10, ArchiveYears: 10, CodesDays: 90, LoginsDays: 7, ChangesDays: 365, RefusedDays: 365, DocumentsDays: 90, EventsDays: 30}
}

// check returns the field that cannot be right and what it must be.
func (c *RetentionConfig) check() (field, want string) {
	if c.Archives == "" {
		return "retention.archives", "set"
	}
	if c.ActiveYears < 1 || c.ActiveYears > 100 {
		return "retention.active_years", "1 to 100"
	}
	if c.ArchiveYears < 0 || c.ArchiveYears > 100 {
		return "retention.archive_years", "0 to 100"
	}
	// Limits on codes look back a day, and so does the help desk.
	for _, f := range []struct {
		name string
		days int
	}{{"codes_days", c.CodesDays}, {"logins_days", c.LoginsDays}, {"address_changes_days", c.ChangesDays}, {"refused_days", c.RefusedDays}, {"unused_documents_days", c.DocumentsDays}, {"webhooks_days", c.EventsDays}} {
		if f.days < 2 || f.days > 3650 {
			return "retention." + f.name, "2 to 3650"
		}
	}
	return "", ""
}

func (c *RetentionConfig) keep() enrol.Keep {
	days := func(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
	return enrol.Keep{Codes: days(c.CodesDays), Logins: days(c.LoginsDays), Changes: days(c.ChangesDays), Refused: days(c.RefusedDays), Documents: days(c.DocumentsDays), Events: days(c.EventsDays),
		ActiveYears: c.ActiveYears, ArchiveYears: c.ArchiveYears}
}

// Kept decides about holds and disposals.
func (i *Installation) Kept() *enrol.Kept {
	return &enrol.Kept{Records: i.db, Keep: i.Config.Retention.keep(), Now: i.now, Removed: func(ctx context.Context) {
		// What cannot be removed now the next sweep removes.
		blobs, err := i.Config.openDocuments()
		if err != nil {
			return
		}
		_ = i.removeFiles(context.WithoutCancel(ctx), blobs)
		_ = blobs.Close()
	}}
}

func (i *Installation) removeFiles(ctx context.Context, blobs archive.Blobs) error {
	return archive.Remove(ctx, i.db.Archives(), blobs, i.Config.Retention.Archives)
}

// expungeEvery is how often what is past its short time is looked for.
const expungeEvery = time.Hour

// expunge removes it, some hundred things a transaction, and the files that nothing
// refers to. Several gateways may do so at once.
func (s *Server) expunge(ctx context.Context) error {
	if err := s.expireBatches(ctx); err != nil {
		return err
	}
	for {
		ev := audit.Event{At: s.now(), Actor: "gateway", Action: "retention.expunge", Verdict: audit.Accepted}
		n, more, err := s.db.Expunge(ctx, s.Config.Retention.keep(), ev)
		if err != nil {
			return fmt.Errorf("removing what is past its time: %w", err)
		}
		if n != (enrol.Expunged{}) {
			s.log.Info("removed what is past its time", "codes", n.Codes, "logins", n.Logins, "address_changes", n.Changes, "applications", n.Applications, "officers", n.Officers, "documents", n.Documents, "events", n.Events)
		}
		if !more {
			return errors.Join(s.removeFiles(ctx, s.blobs), s.tidy(ctx))
		}
	}
}

// expireBatches ends those that nobody has touched for batch.open_for, one a transaction.
func (s *Server) expireBatches(ctx context.Context) error {
	for n := 0; ; n++ {
		now := s.now()
		some, err := s.db.ExpireBatch(ctx, now.Add(-s.Config.Batch.OpenFor), now)
		if n > 0 && !some {
			s.log.Info("batches that nobody came for have expired", "count", n)
		}
		if err != nil || !some {
			return err
		}
	}
}

// Expunge does at once what a running gateway does every hour.
func (s *Server) Expunge(ctx context.Context) error { return s.expunge(ctx) }

// keepTime runs expunge until ctx ends.
func (s *Server) keepTime(ctx context.Context) {
	t := time.NewTicker(expungeEvery)
	defer t.Stop()
	for {
		if err := s.expunge(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("keeping what is kept no longer than its time", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// RunArchive archives what is older than retention.active_years, also beside a running
// gateway; tell is called for each archive that is stored. One run at a time: ErrInUse.
func (i *Installation) RunArchive(ctx context.Context, actor string, tell func(archive.Info) error) error {
	r := &i.Config.Retention
	if err := os.MkdirAll(r.Archives, 0o700); err != nil {
		return fmt.Errorf("making the folder of archives: %w", err)
	}
	unlock, err := lockFile(filepath.Join(r.Archives, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	blobs, err := i.Config.openDocuments()
	if err != nil {
		return err
	}
	defer blobs.Close()
	seal, err := i.hsm.Signer(sealKey)
	if err != nil {
		return fmt.Errorf("finding key %q: %w", sealKey, err)
	}
	pub, err := readSeal(i.Dir)
	if err != nil {
		return err
	}
	a := &archive.Archiver{Records: i.db.Archives(), Blobs: batch.NewPacks(blobs), MAC: macKey{i.hsm, hsm.IntentKey}, Seal: seal, Public: pub, Dir: r.Archives,
		Before: i.now().UTC().AddDate(-r.ActiveYears, 0, 0), Now: i.now, Actor: actor,
		Judge: func(ctx context.Context, a *archive.Archive, left func(batch, why string)) error {
			return i.judgeAll(ctx, a, func(s ArchivedSignature) error {
				if s.Verdict != verify.Valid {
					left(s.Batch, fmt.Sprintf("document %d: %s %s", s.Index, s.Verdict, strings.Join(s.Reasons, ", ")))
				}
				return nil
			})
		}}
	return a.Run(ctx, tell)
}

// Archives lists the archives; who is answered stands in the audit.
func (i *Installation) Archives(ctx context.Context, by enrol.Actor) ([]archive.Info, error) {
	k := i.Kept()
	if err := k.Read(ctx, by, "archives"); err != nil {
		return nil, err
	}
	var out []archive.Info
	for after := ""; ; {
		const page = 500
		list, err := i.db.Archives().Archives(ctx, after, page)
		if err != nil {
			return nil, err
		}
		for _, in := range list {
			after = in.ID
			out = append(out, in)
		}
		if len(list) < page {
			return out, nil
		}
	}
}

// OpenArchive opens an archive by its path; the reading stands in the audit. The manifest is
// believed; the content is checked as it is read. close closes the file.
func (i *Installation) OpenArchive(ctx context.Context, by enrol.Actor, path string) (a *archive.Archive, close func() error, err error) {
	pub, err := readSeal(i.Dir)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("opening archive: %w", err)
	}
	st, err := f.Stat()
	if err == nil {
		a, err = i.openArchive(ctx, by, f, st.Size(), pub)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return a, f.Close, nil
}

func (i *Installation) openArchive(ctx context.Context, by enrol.Actor, f io.ReaderAt, size int64, pub *ecdsa.PublicKey) (*archive.Archive, error) {
	a, err := archive.Open(ctx, f, size, macKey{i.hsm, hsm.IntentKey}, pub)
	if err != nil {
		return nil, err
	}
	return a, i.Kept().Read(ctx, by, a.Manifest.ID)
}

// ArchivedSignature is the verdict on one signature of an archive.
type ArchivedSignature struct {
	Batch   string         `json:"batch_id"`
	Index   int64          `json:"index"`
	Name    string         `json:"name"`
	Format  string         `json:"format"`
	At      time.Time      `json:"verified_for"`
	Verdict verify.Verdict `json:"verdict"`
	Reasons []string       `json:"reasons,omitempty"`
}

// VerifyArchive checks that everything in an archive is what was written, and verifies
// every signature anew with the evidence that is in it, for the time of that: the roots of
// this installation are trusted, and the archive's own lists say what was revoked.
func (i *Installation) VerifyArchive(ctx context.Context, a *archive.Archive, tell func(ArchivedSignature) error) error {
	if err := a.Check(ctx); err != nil {
		return err
	}
	return i.judgeAll(ctx, a, tell)
}

func (i *Installation) judgeAll(ctx context.Context, a *archive.Archive, tell func(ArchivedSignature) error) error {
	return a.Cases(func(c *archive.Case) error {
		judges := map[string]*archiveJudge{}
		for k := range c.Intents {
			j, err := i.judge(a, c, &c.Intents[k])
			if err != nil {
				return err
			}
			judges[c.Intents[k].ID] = j
		}
		return a.Items(c.Batch.ID, func(it *archive.Item) error {
			if it.State != "signed" {
				return nil
			}
			j := judges[it.Intent]
			if j == nil {
				return fmt.Errorf("%w: the intent of document %d is missing", archive.ErrBroken, it.Index)
			}
			s := ArchivedSignature{Batch: c.Batch.ID, Index: it.Index, Name: it.Name, Format: j.options.Format, At: j.trust.Now}
			report, err := j.verify(ctx, a, it)
			if err != nil {
				return err
			}
			s.Verdict = report.Verdict
			for _, x := range report.Signatures {
				for _, r := range x.Reasons {
					s.Reasons = append(s.Reasons, r.Code)
				}
			}
			for _, r := range report.Reasons {
				s.Reasons = append(s.Reasons, r.Code)
			}
			return tell(s)
		})
	})
}

// archiveJudge verifies the signatures of one intent.
type archiveJudge struct {
	options signer.Options
	cert    *x509.Certificate
	trust   verify.Options
}

func (i *Installation) judge(a *archive.Archive, c *archive.Case, in *archive.Intent) (*archiveJudge, error) {
	j := &archiveJudge{trust: verify.Options{Roots: x509.NewCertPool(), Now: in.Evidence.At, Hindsight: true, RequireRevocation: true}}
	for _, t := range c.Transactions {
		if t.ID == in.Transaction {
			if err := json.Unmarshal([]byte(t.Options), &j.options); err != nil {
				return nil, fmt.Errorf("%w: the options of %s", archive.ErrBroken, t.ID)
			}
		}
	}
	der := func(name string) ([]byte, error) { return a.Read(name, 64<<20) }
	raw, err := der(in.Evidence.Certificate)
	if err != nil {
		return nil, err
	}
	if j.cert, err = x509.ParseCertificate(raw); err != nil {
		return nil, fmt.Errorf("%w: %s", archive.ErrBroken, in.Evidence.Certificate)
	}
	// Roots are our own, and not what the archive says.
	for _, x := range i.ca.Trusted() {
		if x.Parent == "" {
			j.trust.Roots.AddCert(i.ca.Certificate(x.Name))
		}
	}
	i.others.join(&j.trust)
	j.trust.TSARoots = tsaRoots(j.trust.Roots, i.tsas)
	for _, name := range in.Evidence.Chain {
		raw, err := der(name)
		if err != nil {
			return nil, err
		}
		x, err := x509.ParseCertificate(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", archive.ErrBroken, name)
		}
		j.trust.Intermediates = append(j.trust.Intermediates, x)
	}
	for _, name := range in.Evidence.CRLs {
		raw, err := der(name)
		if err != nil {
			return nil, err
		}
		list, err := x509.ParseRevocationList(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", archive.ErrBroken, name)
		}
		j.trust.CRLs = append(j.trust.CRLs, list)
	}
	return j, nil
}

func (j *archiveJudge) verify(ctx context.Context, a *archive.Archive, it *archive.Item) (*verify.Report, error) {
	switch j.options.Format {
	case signer.RAW:
		if !crypto.Hash(it.Hash).Available() {
			return nil, fmt.Errorf("%w: hash of document %d", archive.ErrBroken, it.Index)
		}
		return verify.Single(verify.Raw(j.cert, cms.Algorithm(j.options.Algorithm), it.Digest, it.Signature, j.trust)), nil
	case signer.CMS:
		return verify.Single(verify.Detached(it.Digest, it.Signature, j.trust)), nil
	}
	if it.SignedBlob == "" { // of a PDF that stayed with the caller
		return verify.Single(verify.Detached(it.Digest, it.Signature, j.trust)), nil
	}
	f, err := spool.File("")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	e, ok := a.Entry("blobs/" + it.SignedBlob)
	if !ok {
		return nil, fmt.Errorf("%w: signed document %d is missing", archive.ErrBroken, it.Index)
	}
	if err := a.Copy(f, e); err != nil {
		return nil, err
	}
	return verify.Verify(ctx, f, e.Size, j.trust)
}

// ExportSubject writes what is kept about a person to w, as [enrol.Subject.Write] does,
// for a request in writing that reason names.
func (i *Installation) ExportSubject(ctx context.Context, by enrol.Actor, ic, reason string, w io.Writer) error {
	s, err := i.Desk.Export(ctx, i.db, by, ic, reason, true)
	if err != nil {
		return err
	}
	return s.Write(ctx, w)
}
