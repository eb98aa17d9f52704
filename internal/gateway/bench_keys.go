package gateway

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
)

const (
	benchSystem = "BENCH"
	fewOfficers = 1000 // what many are compared with
	manyTarget  = 1.1  // what many may cost of the few
	// enrolTogether is how many officers share a commit; an interruption loses no more.
	enrolTogether = 1000
)

// KeyReport says what many officers take.
type KeyReport struct {
	Officers int `json:"officers"`
	Few      int `json:"few"` // what they are compared with
	// Enrolled were enrolled by this run, in Seconds; the others were there.
	Enrolled int     `json:"enrolled"`
	Seconds  float64 `json:"enrol_seconds"`
	Records  int64   `json:"audit_records"`
	// Bytes of database and signed heads with few and with all.
	FewDisk int64 `json:"few_disk_bytes"`
	Disk    int64 `json:"disk_bytes"`
	// Memory of a gateway of few and of one of all, in turn, each in a process of its own.
	Memory []MemoryRow `json:"memory"`
}

// MemoryRow compares memory in bytes.
type MemoryRow struct {
	What   string    `json:"what"`
	Few    Quartiles `json:"few_bytes"`
	All    Quartiles `json:"bytes"`
	Ratio  Quartiles `json:"ratio"`
	Target float64   `json:"target"`
	Met    bool      `json:"met"` // by the upper quartile
}

// BenchKeys enrols n officers with a P-256 key each, or as many as are wanting in [Data], and
// measures what their number does to looking one up and signing, to starting, to memory and disk.
// They are enrolled as any officer is, audit and certificate included, but without the key
// derivation and a thousand to a commit. Half of a small n, else 1,000, is compared with.
func BenchKeys(ctx context.Context, o BenchOptions, n int) (BenchReport, error) {
	if n < 2 || n > maxBenchOfficers {
		return BenchReport{}, fmt.Errorf("%w: %d officers; 2 to %d can be measured", ErrConfig, n, maxBenchOfficers)
	}
	return o.within(ctx, func(b *bench, r *BenchReport) error {
		k, err := b.populate(ctx, n)
		if err != nil {
			return err
		}
		r.Keys = &k
		if r.Rows, err = b.lookups(ctx, &k); err != nil {
			return err
		}
		rows, err := b.starts(ctx, &k)
		r.Rows = append(r.Rows, rows...)
		return err
	})
}

// few is the folder of the installation with few officers, beside that with many.
func (b *bench) few() string { return filepath.Join(filepath.Dir(b.Dir), fewDir) }

// populate enrols officers until there are n, keeping a copy of the database as it was when there
// were few.
func (b *bench) populate(ctx context.Context, n int) (k KeyReport, err error) {
	pin, err := benchPIN(b.Dir)
	if err != nil {
		return k, err
	}
	defer pin.Wipe()
	have, err := countOfficers(ctx, b.db)
	if err != nil {
		return k, err
	}
	start, was := time.Now(), have
	if _, err := os.Stat(b.few()); errors.Is(err, fs.ErrNotExist) {
		few := max(have, min(fewOfficers, n/2))
		if err := b.enrolUpTo(ctx, have, few, n, pin); err != nil {
			return k, err
		}
		if err := b.reopen(ctx, b.keepFew); err != nil {
			return k, fmt.Errorf("keeping a copy with few officers: %w", err)
		}
		have = few
	}
	if err := b.enrolUpTo(ctx, have, n, n, pin); err != nil {
		return k, err
	}
	k.Officers = max(have, n)
	k.Enrolled, k.Seconds = k.Officers-was, time.Since(start).Seconds()
	// Closed, so that SQLite moves its log into the database.
	err = b.reopen(ctx, func() (err error) {
		k.Disk, err = onDisk(b.Dir)
		return err
	})
	if err != nil {
		return k, err
	}
	if k.FewDisk, err = onDisk(b.few()); err != nil {
		return k, err
	}
	k.Records, _, err = b.db.AuditHead(ctx)
	return k, err
}

// enrolUpTo enrols officers number from to n of goal, and signs the head of the audit chain.
func (b *bench) enrolUpTo(ctx context.Context, from, n, goal int, pin secret.Text) error {
	heads := &headWriter{i: b.Installation, log: slog.New(slog.DiscardHandler)}
	for from < n {
		to := min(from+enrolTogether, n)
		err := b.db.Together(ctx, func(db *store.DB) error {
			authority, err := ca.Load(ctx, b.Config.profile(true), caKeys{b.hsm}, db, b.now)
			if err != nil {
				return err
			}
			r := &enrol.Registrar{Records: db, Keys: officerKeys{b.fast, db.CurrentKEK}, CA: authority, Now: b.now}
			group, ctx := errgroup.WithContext(ctx)
			group.SetLimit(2 * runtime.NumCPU())
			for k := from; k < to; k++ {
				group.Go(func() error { return enrolBench(ctx, r, k, pin) })
			}
			return group.Wait()
		})
		if err != nil {
			return fmt.Errorf("enrolling officers: %w", err)
		}
		if err := heads.write(ctx); err != nil {
			return err
		}
		from = to
		b.Report("officers enrolled", from, goal)
	}
	return nil
}

func enrolBench(ctx context.Context, r *enrol.Registrar, k int, pin secret.Text) error {
	ic := benchIC(k)
	o := enrol.Officer{IC: ic, Name: fmt.Sprintf("PEGAWAI %06d", k), Email: ic + "@bench.example"}
	if err := r.AddOfficer(ctx, "bench", o, benchSystem); err != nil {
		return err
	}
	_, _, err := r.IssueCredential(ctx, "bench", o, benchSystem, string(hsm.ECDSAP256), pin)
	return err
}

// maxBenchOfficers is how many numbers benchIC has: ten thousand a day of birth, for 27 years.
const maxBenchOfficers = 10_000 * 365 * 27

// benchIC is the k-th officer's identity card number.
func benchIC(k int) string {
	born := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, k/10_000)
	return fmt.Sprintf("%s99%04d", born.Format("060102"), k%10_000)
}

// countOfficers relies on their having been enrolled in order.
func countOfficers(ctx context.Context, db *store.DB) (n int, err error) {
	n = sort.Search(maxBenchOfficers, func(k int) bool {
		if err != nil {
			return true
		}
		_, err = db.Credential(ctx, benchIC(k), benchSystem, "")
		if errors.Is(err, signer.ErrUnknownOfficer) {
			err = nil
			return true
		}
		return err != nil
	})
	return n, err
}

// benchPIN is the PIN of all officers of a bench, kept beside its folders.
func benchPIN(dir string) (secret.Text, error) {
	path := filepath.Join(filepath.Dir(dir), "pin")
	_, err := once(path, 0o600, func() ([]byte, error) { return randomPIN().Reveal(), nil })
	if err != nil {
		return secret.Text{}, err
	}
	return readSecret(path)
}

// keepFew makes the folder with few officers: a copy of the database and its signed heads, with
// all else that of the folder with many. The database is closed.
func (b *bench) keepFew() error {
	part := b.few() + ".part"
	err := errors.Join(os.RemoveAll(part), os.MkdirAll(filepath.Join(part, "tmp"), 0o700))
	for _, name := range []string{ConfigFile, "secrets", "token", SealFile, "root.pem"} {
		err = errors.Join(err, os.Symlink(filepath.Join("..", filepath.Base(b.Dir), name), filepath.Join(part, name)))
	}
	for _, path := range []string{b.Config.Database, b.Config.Audit.Heads} {
		raw, rerr := os.ReadFile(path) // small: there are few
		err = errors.Join(err, rerr, os.WriteFile(filepath.Join(part, filepath.Base(path)), raw, 0o600))
	}
	if err != nil {
		return err
	}
	return os.Rename(part, b.few())
}

// onDisk adds up what grows with the officers.
func onDisk(dir string) (total int64, err error) {
	c, err := LoadConfig(dir)
	if err != nil {
		return 0, err
	}
	for _, path := range []string{c.Database, c.Database + "-wal", c.Audit.Heads} {
		switch info, err := os.Stat(path); {
		case err == nil:
			total += info.Size()
		case !errors.Is(err, fs.ErrNotExist):
			return 0, err
		}
	}
	return total, nil
}

// lookups measures one officer's signature among few and among many.
func (b *bench) lookups(ctx context.Context, k *KeyReport) (rows []BenchRow, err error) {
	pin, err := benchPIN(b.Dir)
	if err != nil {
		return nil, err
	}
	defer pin.Wipe()
	c, err := LoadConfig(b.few())
	if err != nil {
		return nil, err
	}
	db, err := c.openUnlocked(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if k.Few, err = countOfficers(ctx, db); err != nil {
		return nil, err
	}
	few, all := &register{db, k.Few, officerKeys{b.fast, nil}, pin}, &register{b.db, k.Officers, officerKeys{b.fast, nil}, pin}
	of := func(what string, r *register, do func(context.Context, int) error) *entrant {
		return &entrant{row: BenchRow{What: what, Algorithm: string(hsm.ECDSAP256), Sessions: runtime.NumCPU(), Officers: r.n}, do: do}
	}
	found := of("look up", few, few.find)
	signed := of("look up, open, sign, destroy, key derivation left out", few, few.sign)
	return b.contest(ctx, "looking up", found, of(found.row.What, all, all.find).against(found, ofTimes, 0),
		signed, of(signed.row.What, all, all.sign).against(signed, ofTimes, manyTarget))
}

// register is a database of n officers, and what opens their keys.
type register struct {
	db   *store.DB
	n    int
	keys officerKeys
	pin  secret.Text
}

// find reads one at random, as a transaction does.
func (r *register) find(ctx context.Context, _ int) error {
	_, err := r.db.Credential(ctx, benchIC(rand.IntN(r.n)), benchSystem, "")
	return err
}

// sign signs for one at random.
func (r *register) sign(ctx context.Context, _ int) error {
	c, err := r.db.Credential(ctx, benchIC(rand.IntN(r.n)), benchSystem, "")
	if err != nil {
		return err
	}
	key, err := r.keys.Open(ctx, c, r.pin, signer.KeyUse{Until: time.Now().Add(time.Minute)})
	if err != nil {
		return err
	}
	_, err = key.SignAll(ctx, [][]byte{make([]byte, crypto.SHA256.Size())}, crypto.SHA256)
	return errors.Join(err, key.Close())
}
