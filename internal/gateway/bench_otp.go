package gateway

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// OTPBench says what of one-time codes to measure.
type OTPBench struct {
	// Codes is how many are issued and redeemed in a slice.
	Codes int
	// Database is an empty PostgreSQL database, as in mohor.yaml, and Redis the address of a
	// server; they are measured after the embedded stores. Either may be empty.
	Database, DatabasePasswordFile string
	Redis                          string
	// Samples is how many wrong codes are timed for each place of the first wrong digit; 0 for none.
	Samples int
	// LogIns is how many log-ins of each class are timed; 0 for none.
	LogIns int
}

// maxBenchCodes bounds what a slice keeps in memory.
const maxBenchCodes = 100_000

// codeOfficers share the codes of a bench, so that the count of one officer's stays small.
const codeOfficers = 64

// BenchOTP measures issuing and redeeming one-time codes on the embedded stores and on those that c
// names, against bare commits of the same database in the same round; sending is left out, and so is
// the PIN. Then it asks whether the time of a refusal tells the place of the first wrong digit.
func BenchOTP(ctx context.Context, o BenchOptions, c OTPBench) (BenchReport, error) {
	if c.Codes < 1 || c.Codes > maxBenchCodes || c.Samples < 0 || c.Samples > maxSamples || c.LogIns < 0 || c.LogIns > maxSamples {
		return BenchReport{}, fmt.Errorf("%w: %d codes and %d samples; 1 to %d and at most %d can be measured", ErrConfig, c.Codes, c.Samples, maxBenchCodes, maxSamples)
	}
	o.Slice = time.Second // the number of codes ends a slice
	return o.within(ctx, func(b *bench, r *BenchReport) (err error) {
		if r.Rows, err = b.codeRates(ctx, &c, "memory and SQLite"); err != nil {
			return err
		}
		if c.Database != "" || c.Redis != "" {
			rows, err := b.otherStores(ctx, &c)
			if err != nil {
				return err
			}
			r.Rows = append(r.Rows, rows...)
		}
		if c.Samples > 0 {
			if r.Timing, err = b.codeTiming(ctx, c.Samples); err != nil {
				return err
			}
		}
		if c.LogIns > 0 {
			r.LogIns, err = b.loginTiming(ctx, c.LogIns)
		}
		return err
	})
}

// otherStores measures an installation of its own on the stores that c names.
func (b *bench) otherStores(ctx context.Context, c *OTPBench) (rows []BenchRow, err error) {
	codes, records := "memory", "SQLite"
	o := *b.BenchOptions
	if c.Database != "" {
		records, o.database, o.databasePasswordFile = "PostgreSQL", c.Database, c.DatabasePasswordFile
	}
	other, err := newBench(ctx, &o, filepath.Join(filepath.Dir(b.Dir), "other"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, other.Close()) }()
	if c.Redis != "" {
		codes, other.Config.Redis = "Redis", RedisConfig{Address: c.Redis}
		if field, want := other.Config.Redis.check(); field != "" {
			return nil, fmt.Errorf("%w: %s must be %s", ErrConfig, field, want)
		}
		if err := other.openRedis(); err != nil {
			return nil, err
		}
		if err := other.PingRedis(ctx); err != nil {
			return nil, err
		}
	}
	return other.codeRates(ctx, c, codes+" and "+records)
}

// codeRates measures one pair of stores.
func (b *bench) codeRates(ctx context.Context, c *OTPBench, stores string) ([]BenchRow, error) {
	d := &codeDesk{bench: b, n: c.Codes, workers: b.Sessions[0], codes: map[string]secret.Text{}}
	if err := d.furnish(ctx); err != nil {
		return nil, fmt.Errorf("registering who asks for codes: %w", err)
	}
	of := func(what string, do func(context.Context, int) error, before func(context.Context) error) *entrant {
		return &entrant{row: BenchRow{What: what + ", " + stores, Sessions: d.workers}, slice: func(ctx context.Context) (hsm.Slice, error) {
			if before != nil {
				if err := before(ctx); err != nil {
					return hsm.Slice{}, err
				}
			}
			return d.all(ctx, do)
		}}
	}
	bare := of("bare commit", d.commit, nil)
	return b.contest(ctx, "codes, "+stores, bare, of("challenge", d.issue, d.ask).against(bare, ofRates, 0),
		of("redemption", d.redeem, nil).against(bare, ofRates, 0))
}

// codeDesk issues codes for transactions that nobody signs.
type codeDesk struct {
	*bench
	issuer     *otp.Issuer
	credential string
	n, workers int
	commits    atomic.Int64

	asked      []*signer.Request
	challenges []otp.Challenge
	mu         sync.Mutex
	codes      map[string]secret.Text // by transaction
}

const benchApp = "bench"

// furnish registers an app, officers, and the one credential that all transactions name.
func (d *codeDesk) furnish(ctx context.Context) error {
	p := otp.DefaultPolicy()
	p.PerHour, p.PerDay = 1<<30, 1<<30
	d.issuer = &otp.Issuer{Records: d.db, Codes: d.bench.Installation.codes(), MAC: macKey{d.hsm, hsm.CodeKey}, Senders: map[string]otp.Sender{signer.Email: d}, Policy: p}
	if _, _, _, err := d.Apps.Register(ctx, "bench", enrol.App{ID: benchApp, Name: "Ukuran", Systems: []string{benchSystem}, Grants: []string{enrol.GrantRAW}, PINEntry: enrol.PINInApp}); err != nil {
		return err
	}
	pin := randomPIN()
	defer pin.Wipe()
	if err := enrolBench(ctx, d.Registrar, 0, pin); err != nil {
		return err
	}
	for k := 1; k < codeOfficers; k++ {
		ic := benchIC(k)
		if err := d.Registrar.AddOfficer(ctx, "bench", enrol.Officer{IC: ic, Name: "PEGAWAI", Email: ic + "@bench.example"}, benchSystem); err != nil {
			return err
		}
	}
	c, err := d.db.Credential(ctx, benchIC(0), benchSystem, "")
	d.credential = c.ID
	return err
}

// all does it once for each transaction of a slice.
func (d *codeDesk) all(ctx context.Context, do func(ctx context.Context, k int) error) (hsm.Slice, error) {
	s, err := hsm.Measure(ctx, 1, time.Nanosecond, func(ctx context.Context, _ int) error {
		var next atomic.Int64
		group, ctx := errgroup.WithContext(ctx)
		for range d.workers {
			group.Go(func() error {
				for k := int(next.Add(1)) - 1; k < d.n; k = int(next.Add(1)) - 1 {
					if err := do(ctx, k); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return group.Wait()
	})
	s.Ops = d.n
	return s, err
}

// commit is the least change there is: one row.
func (d *codeDesk) commit(ctx context.Context, _ int) error {
	return d.db.PutMeta(ctx, fmt.Sprint("bench-", d.commits.Add(1)), "x")
}

// ask stores the transactions of a slice.
func (d *codeDesk) ask(ctx context.Context) error {
	d.asked, d.challenges = make([]*signer.Request, d.n), make([]otp.Challenge, d.n)
	for k := range d.n {
		now := d.now().UTC().Truncate(time.Second)
		digest := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(k)))
		doc := signer.Document{Name: "baucar", Hash: crypto.SHA256, Digest: digest[:]}
		r := &signer.Request{ID: ident.New("tx", 16), Batch: ident.New("ba", 16), App: benchApp, SystemName: "Ukuran", Officer: benchIC(k % codeOfficers), System: benchSystem,
			Credential: d.credential, Implicit: true, Status: signer.Waiting, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
			Options: signer.Options{Format: signer.RAW, Algorithm: signer.ECDSA, Time: now.Format(time.RFC3339)}}
		var t signer.Tree
		t.Add(doc.Leaf())
		r.Count, r.Root = t.Root()
		var err error
		if _, r.OptionsHash, err = r.Options.Canonical(); err != nil {
			return err
		}
		if err := d.db.CreateRequest(ctx, r, []signer.Document{doc}, d.event("transaction.create", r), nil); err != nil {
			return err
		}
		d.asked[k] = r
	}
	return nil
}

func (d *codeDesk) event(action string, r *signer.Request) audit.Event {
	return audit.Event{At: d.now(), Actor: "app:" + benchApp, Action: action, Object: r.ID, Verdict: audit.Accepted, Detail: map[string]string{"officer": r.Officer, "channel": signer.Email}}
}

func codeBinding(r *signer.Request) otp.Binding {
	return otp.Binding{Transaction: r.ID, Officer: r.Officer, Key: r.Credential, App: r.App, Purpose: "sign", Options: r.OptionsHash, Count: r.Count, Root: r.Root}
}

// issue is a nonce, a code, its MAC, one commit and the code store.
func (d *codeDesk) issue(ctx context.Context, k int) (err error) {
	r := d.asked[k]
	d.challenges[k], err = d.issuer.Issue(ctx, codeBinding(r), signer.Email, "", otp.Message{To: r.ID}, d.event("otp.issue", r))
	return err
}

// SendCode implements otp.Sender.
func (d *codeDesk) SendCode(_ context.Context, m otp.Message) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.codes[m.To] = secret.New(string(m.Code.Reveal()))
	return nil
}

// redeem is a try reserved in one commit, the MAC compared, the intent with its seal in another
// commit, and the code forgotten.
func (d *codeDesk) redeem(ctx context.Context, k int) error {
	r, c := d.asked[k], d.challenges[k]
	d.mu.Lock()
	code := d.codes[r.ID]
	delete(d.codes, r.ID)
	d.mu.Unlock()
	if _, err := d.issuer.Check(ctx, codeBinding(r), c.Nonce, code); err != nil {
		return err
	}
	seal, err := macKey{d.hsm, hsm.IntentKey}.MAC(ctx, r.Root[:])
	if err != nil {
		return err
	}
	now := d.now().UTC().Truncate(time.Second)
	in := signer.Intent{ID: ident.New("in", 16), Transaction: r.ID, Credential: r.Credential, Batch: r.Batch, Root: r.Root, Count: r.Count, OptionsHash: r.OptionsHash,
		CreatedAt: now, Deadline: now.Add(time.Minute), Seal: seal}
	if _, err := d.db.RecordIntent(ctx, in, c.Nonce, r.Officer, 0, d.event("signer.authorize", r)); err != nil {
		return err
	}
	return d.issuer.Forget(ctx, c)
}
