package gateway

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
)

// What the pool and an opened key must leave of the module's own rate.
const (
	poolTarget   = 0.97
	openedTarget = 0.95
)

// BenchSign measures what the pool, an opened key and the verification leave of raw C_Sign, for
// each algorithm and number of sessions; and then whole uses of an officer's key of RSA-2048 and
// P-256 if they are among them: opening, change of PIN, generation. It makes a token and a database
// of its own.
func BenchSign(ctx context.Context, o BenchOptions) (BenchReport, error) {
	return o.within(ctx, func(b *bench, r *BenchReport) error {
		for _, alg := range o.Algorithms {
			rows, err := b.signing(ctx, hsm.Algorithm(alg))
			if err != nil {
				return err
			}
			r.Rows = append(r.Rows, rows...)
		}
		for _, alg := range []hsm.Algorithm{hsm.RSA2048, hsm.ECDSAP256} {
			if !slices.Contains(o.Algorithms, string(alg)) {
				continue
			}
			rows, err := b.custody(ctx, alg)
			if err != nil {
				return err
			}
			r.Rows = append(r.Rows, rows...)
		}
		return nil
	})
}

// signing measures one algorithm with each number of sessions.
func (b *bench) signing(ctx context.Context, alg hsm.Algorithm) (rows []BenchRow, err error) {
	s, err := b.fast.NewSignBench(ctx, b.kek, alg, slices.Max(b.Sessions))
	if err != nil {
		return nil, fmt.Errorf("making a key of %s: %w", alg, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var apart *hsm.Key
	if b.apart != nil {
		u, err := newUse(ctx, b.apart, b.kek, alg)
		if err != nil {
			return nil, err
		}
		if apart, err = u.open(ctx); err != nil {
			return nil, err
		}
		defer apart.Close()
	}
	for _, n := range b.Sessions {
		of := func(what string, do func(context.Context, int) error) *entrant {
			return &entrant{row: BenchRow{What: what, Algorithm: string(alg), Sessions: n}, do: do}
		}
		raw := of("raw C_Sign", s.Raw)
		opened := of("opened key, not verified", s.Unverified).against(raw, ofRates, openedTarget)
		all := []*entrant{raw, of("pool", s.Pooled).against(raw, ofRates, poolTarget), opened,
			of("opened key", s.Sign).against(opened, ofRates, 0)}
		if apart != nil {
			e := of("opened key", func(ctx context.Context, _ int) error {
				_, err := apart.Sign(ctx, make([]byte, crypto.SHA256.Size()), crypto.SHA256)
				return err
			}).against(raw, ofRates, 0)
			e.row.In = "another"
			all = append(all, e)
		}
		more, err := b.contest(ctx, fmt.Sprintf("%s in %d sessions", alg, n), all...)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	more, err := b.contest(ctx, string(alg)+" verified", &entrant{row: BenchRow{What: "verification alone", Algorithm: string(alg), Sessions: 1}, do: s.Verify})
	return append(rows, more...), err
}

// custody measures whole uses of an officer's key, with and without the key derivation.
func (b *bench) custody(ctx context.Context, alg hsm.Algorithm) ([]BenchRow, error) {
	var entrants []*entrant
	type way struct {
		m        token
		said, in string
	}
	ways := []way{{b.fast, ", key derivation left out", ""}, {b.hsm, "", ""}}
	if b.apart != nil {
		ways = append(ways, way{b.apart, ", key derivation left out", "another"})
	}
	for _, way := range ways {
		u, err := newUse(ctx, way.m, b.kek, alg)
		if err != nil {
			return nil, err
		}
		of := func(what string, do func(context.Context, int) error) *entrant {
			return &entrant{row: BenchRow{What: what + way.said, In: way.in, Algorithm: string(alg), Sessions: runtime.NumCPU()}, do: do}
		}
		entrants = append(entrants, of("open, sign, destroy", u.sign), of("change PIN", u.change), of("generate", u.generate))
	}
	return b.contest(ctx, string(alg)+" custody", entrants...)
}

// use is an officer's key that is used in whole.
type use struct {
	m       token
	kek     string
	binding hsm.Binding
	sealed  hsm.SealedKey
	public  crypto.PublicKey
	pin     secret.Text
	made    atomic.Int64
}

func newUse(ctx context.Context, m token, kek string, alg hsm.Algorithm) (u *use, err error) {
	u = &use{m: m, kek: kek, binding: binding("800101149901", "cr_bench", string(alg), 1), pin: randomPIN()}
	sealed, request, err := m.Generate(ctx, kek, u.binding, nil, u.pin)
	if err != nil {
		return nil, fmt.Errorf("making a key of %s: %w", alg, err)
	}
	u.sealed, u.public = sealed, request.PublicKey
	return u, nil
}

func (u *use) open(ctx context.Context) (*hsm.Key, error) {
	return u.m.Unseal(ctx, u.binding, u.sealed, u.public, u.pin, hsm.Use{Until: time.Now().Add(hsm.MaxUse / 2)})
}

// sign opens the key, signs once and destroys it.
func (u *use) sign(ctx context.Context, _ int) error {
	key, err := u.open(ctx)
	if err != nil {
		return err
	}
	_, err = key.Sign(ctx, make([]byte, crypto.SHA256.Size()), crypto.SHA256)
	return errors.Join(err, key.Close())
}

func (u *use) change(ctx context.Context, _ int) error {
	_, _, err := u.m.ChangePIN(ctx, u.binding, u.sealed, u.public, u.pin, u.pin)
	return err
}

func (u *use) generate(ctx context.Context, _ int) error {
	b := u.binding
	b.KeyID = fmt.Sprint("cr_bench_", u.made.Add(1))
	_, _, err := u.m.Generate(ctx, u.kek, b, nil, u.pin)
	return err
}
