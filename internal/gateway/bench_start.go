package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/sandbox"
)

// probeUses is how often a probe looks up, opens and signs before its memory is read again.
const probeUses = 500

// Start is what the start of a gateway took in a process of its own, until it would have listened.
type Start struct {
	Officers int           `json:"officers"`
	Took     time.Duration `json:"took"`
	CPU      time.Duration `json:"cpu"`
	RSS      int64         `json:"rss"`     // VmRSS in bytes, when ready
	Private  int64         `json:"private"` // RssAnon in bytes, after 500 signatures of officers at random
}

// ProbeStart starts a gateway in a folder that [BenchKeys] made, as `mohor serve` does, uses it and
// stops it.
func ProbeStart(ctx context.Context, dir string, now func() time.Time) (p Start, err error) {
	c, err := LoadConfig(dir)
	if err != nil {
		return p, err
	}
	if !strings.HasPrefix(c.Token.Label, hsm.BenchLabel) {
		return p, fmt.Errorf("%w: %s was not made by `mohor bench hsm`", ErrConfig, dir)
	}
	log := slog.New(slog.DiscardHandler)
	mailbox, err := sandbox.StartMailbox(now, log)
	if err != nil {
		return p, err
	}
	var s *Server
	took, err := hsm.Measure(ctx, 1, time.Nanosecond, func(context.Context, int) error {
		i, err := Open(ctx, dir, now)
		if err != nil {
			return err
		}
		if s, err = Prove(ctx, i, mailbox, log); err != nil {
			return errors.Join(err, i.Close())
		}
		return nil
	})
	if err != nil {
		return p, errors.Join(err, mailbox.Close())
	}
	defer func() { err = errors.Join(err, s.CloseAll()) }()
	p.Took, p.CPU = took.Took, took.CPU
	if p.RSS, _, err = memory(); err != nil {
		return p, err
	}
	if p.Officers, err = countOfficers(ctx, s.db); err != nil {
		return p, err
	}
	pin, err := benchPIN(dir)
	if err != nil {
		return p, err
	}
	defer pin.Wipe()
	o := BenchOptions{Sessions: []int{1}}
	fast, err := o.openFast(ctx, &c)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, fast.Close()) }()
	r := &register{s.db, p.Officers, officerKeys{fast, nil}, pin}
	if err := times(ctx, probeUses, r.sign); err != nil {
		return p, err
	}
	_, p.Private, err = memory()
	return p, err
}

// starts compares gateways of few and of many, started in turn.
func (b *bench) starts(ctx context.Context, k *KeyReport) ([]BenchRow, error) {
	seen := map[string][]Start{}
	of := func(dir string, officers int) *entrant {
		return &entrant{row: BenchRow{What: "start until it would listen", Sessions: 1, Officers: officers},
			slice: func(ctx context.Context) (hsm.Slice, error) {
				p, err := b.Probe(ctx, dir)
				if err == nil && p.Officers != officers {
					err = fmt.Errorf("found %d officers in %s, not %d", p.Officers, filepath.Base(dir), officers)
				}
				seen[dir] = append(seen[dir], p)
				return hsm.Slice{Ops: 1, Took: p.Took, CPU: p.CPU}, err
			}}
	}
	few := of(b.few(), k.Few)
	rows, err := b.contest(ctx, "starting", few, of(b.Dir, k.Officers).against(few, ofTimes, manyTarget))
	if err != nil {
		return nil, err
	}
	first, second := seen[b.few()][1:], seen[b.Dir][1:] // the first round warmed up
	k.Memory = []MemoryRow{
		compare("VmRSS when ready", first, second, func(s Start) int64 { return s.RSS }),
		compare(fmt.Sprintf("RssAnon after %d signatures", probeUses), first, second, func(s Start) int64 { return s.Private }),
	}
	return rows, nil
}

func compare(what string, few, all []Start, size func(Start) int64) MemoryRow {
	var f, a, ratio []float64
	for k := range few {
		f, a = append(f, float64(size(few[k]))), append(a, float64(size(all[k])))
		ratio = append(ratio, a[k]/f[k])
	}
	m := MemoryRow{What: what, Few: quartiles(f), All: quartiles(a), Ratio: quartiles(ratio), Target: manyTarget}
	m.Met = m.Ratio.Q3 <= m.Target
	return m
}
