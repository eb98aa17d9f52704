package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/internal/pdfbench"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// batchPart is measured by itself, once or twice a round.
type batchPart struct {
	what    string
	workers int
	length  time.Duration
	do      func(ctx context.Context, worker int) error
	// each is how many an operation counts for.
	each  int
	round []hsm.Slice // of this round, for limit
	all   []hsm.Slice
}

func (p *batchPart) measure(ctx context.Context) error {
	if p == nil {
		return nil
	}
	s, err := hsm.Measure(ctx, p.workers, p.length, p.do)
	if err != nil {
		return fmt.Errorf("measuring %s: %w", p.what, err)
	}
	s.Ops *= p.each
	p.round, p.all = append(p.round, s), append(p.all, s)
	return nil
}

// cpu and rate are the means of this round's slices.
func (p *batchPart) cpu() (mean time.Duration) {
	if p == nil {
		return 0
	}
	for _, s := range p.round {
		mean += s.CPUPerOp() / time.Duration(len(p.round))
	}
	return mean
}

func (p *batchPart) rate() (mean float64) {
	for _, s := range p.round {
		mean += s.PerSecond() / float64(len(p.round))
	}
	return mean
}

// batchParts are what nobody can do without; those that a kind of batch does not need are nil.
type batchParts struct {
	raw, verify, floor, page, disk *batchPart

	size  int64 // of a document
	bench *hsm.SignBench
}

func (p *batchParts) list() (all []*batchPart) {
	for _, x := range []*batchPart{p.raw, p.verify, p.floor, p.page, p.disk} {
		if x != nil {
			all = append(all, x)
		}
	}
	return all
}

// parts prepares them. The module is used in as many sessions as the batch has documents in work, all in
// one process, as the batch does.
func (b *batchBench) parts(ctx context.Context) (p *batchParts, err error) {
	p = &batchParts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	part := func(what string, workers int, do func(context.Context, int) error) *batchPart {
		return &batchPart{what: what, workers: workers, length: b.Slice, do: do, each: 1}
	}
	width, cores := b.server.Runner.Width, runtime.NumCPU()
	if p.bench, err = b.fast.NewSignBench(ctx, b.kek, hsm.Algorithm(b.c.Key), width); err != nil {
		return nil, fmt.Errorf("making a key of %s: %w", b.c.Key, err)
	}
	p.raw = part(partRaw, width, p.bench.Raw)
	p.verify = part(partVerify, cores, p.bench.Verify)
	if b.c.Kind == mohor.BatchDigest {
		return p, nil
	}
	if b.c.Kind == mohor.BatchECert {
		renderer, err := ecert.NewRenderer(ecert.Options{Sandbox: true})
		if err != nil {
			return nil, fmt.Errorf("preparing certificates: %w", err)
		}
		draw := pageDrawer(renderer)
		p.page = part(partPage, cores, func(context.Context, int) error {
			_, err := draw()
			return err
		})
		page, err := draw()
		if err == nil {
			err = os.WriteFile(b.document(), page, 0o600)
		}
		if err != nil {
			return nil, err
		}
	} else if err := b.makeDocument(); err != nil {
		return nil, fmt.Errorf("making a document of %d bytes: %w", b.c.Size, err)
	}
	st, err := os.Stat(b.document())
	if err != nil {
		return nil, err
	}
	p.size = st.Size()
	kind := map[string]string{string(hsm.RSA2048): "RSA-2048", string(hsm.ECDSAP256): "P-256"}[b.c.Key]
	least, err := pdfbench.NewLeast(b.scratch, kind, b.document(), b.Now(), cores)
	if err != nil {
		return nil, err
	}
	p.floor = part(partFloor, cores, func(_ context.Context, worker int) error { return least.Pass(worker) })
	content, err := os.ReadFile(b.document())
	if err != nil {
		return nil, err
	}
	const signature = 12 << 10 // about what a signature at B-B adds to the file
	p.disk = part(partDisk, cores, writeChunks(b.scratch, append(content, make([]byte, signature)...), cores))
	p.disk.each = syncedTogether
	return p, nil
}

// pageDrawer draws certificates of changing candidates, in both languages.
func pageDrawer(r *ecert.Renderer) func() ([]byte, error) {
	var n atomic.Int64
	return func() ([]byte, error) {
		k := int(n.Add(1))
		c := ecert.Candidate{Name: benchNames[k%len(benchNames)], IC: mykad.Number(benchIC(k)), Number: fmt.Sprintf("S%09d", k), ProgrammeCode: "TP-021-3:2013",
			ProgrammeName: "PENYEDIAAN DAN PEMBUATAN MAKANAN", Level: [...]ecert.Level{ecert.SKM1, ecert.SKM2, ecert.SKM3, ecert.DKM, ecert.DLKM}[k%5],
			CentreCode: "CTH-0601", CentreName: "SLDN HOTEL & RESORT PULAU CONTOH", Batch: "2021/07-A", Month: time.July, Year: 2021,
			Language: [...]ecert.Language{ecert.Malay, ecert.English}[k%2]}
		return r.Render(c, fmt.Sprintf("http://127.0.0.1:8080/s/%022d", k), nil)
	}
}

// syncedTogether is how many files share a sync.
const syncedTogether = 50

// writeChunks writes that many files with content, under names that they had before, and syncs once.
func writeChunks(dir string, content []byte, workers int) func(context.Context, int) error {
	rounds := make([]int, workers) // each worker's own
	return func(_ context.Context, worker int) (err error) {
		// Two sets of names, so that a set is not replaced before it is on the disk.
		rounds[worker]++
		folder := filepath.Join(dir, fmt.Sprintf("disk-%d-%d", worker, rounds[worker]))
		if err := os.Mkdir(folder, 0o700); err != nil {
			return err
		}
		for k := range syncedTogether {
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprint(k)), content, 0o600); err != nil {
				return err
			}
		}
		if err := syncFolder(folder); err != nil {
			return err
		}
		return os.RemoveAll(filepath.Join(dir, fmt.Sprintf("disk-%d-%d", worker, rounds[worker]-1)))
	}
}

func (p *batchParts) close() error {
	if p.bench == nil {
		return nil
	}
	return p.bench.Close()
}

// measure begins a round.
func (p *batchParts) measure(ctx context.Context) error {
	for _, x := range p.list() {
		x.round = nil
		if err := x.measure(ctx); err != nil {
			return err
		}
	}
	return nil
}

// roundLimit is what the parts of a round allow.
type roundLimit struct {
	cpu       time.Duration // of a document
	perSecond float64
	capped    bool
	raw       float64
}

// limit composes it. The least pass verifies its signature, too, so that it is not added again.
func (p *batchParts) limit() roundLimit {
	l := roundLimit{cpu: p.raw.cpu() + p.page.cpu(), raw: p.raw.rate()}
	if p.floor != nil {
		l.cpu += p.floor.cpu()
	} else {
		l.cpu += p.verify.cpu()
	}
	l.perSecond = float64(runtime.NumCPU()) / l.cpu.Seconds()
	if p.disk != nil && p.disk.rate() < l.perSecond {
		l.perSecond, l.capped = p.disk.rate(), true
	}
	return l
}

func limitOf(rounds []roundLimit) (l BatchLimit) {
	var cpu, rate []float64
	for _, r := range rounds {
		cpu, rate = append(cpu, r.cpu.Seconds()*1000), append(rate, r.perSecond)
		if r.capped {
			l.Capped++
		}
	}
	l.CPU, l.PerSecond = quartiles(cpu), quartiles(rate)
	return l
}

// report gives the parts of all rounds.
func (p *batchParts) report() (all []BatchPart) {
	for _, x := range p.list() {
		var rate, cpu []float64
		for _, s := range x.all {
			rate, cpu = append(rate, s.PerSecond()), append(cpu, s.CPUPerOp().Seconds()*1000)
		}
		all = append(all, BatchPart{What: x.what, AtOnce: x.workers, PerSecond: quartiles(rate), CPU: quartiles(cpu)})
	}
	return all
}
