package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/sandbox"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// BatchBench says what batch to measure.
type BatchBench struct {
	// Kind is that of the API: "pdf", "digest" or "ecert".
	Kind string
	// Key is what the officer signs with: "RSA-2048" or "ECDSA-P256".
	Key string
	// Level is "B-B", "B-T", "B-LT" or "B-LTA"; of digests, whose signature value alone is made, "B-B".
	// Above B-B a batch at B-B is measured beside it.
	Level string
	// Documents is how many, Size how many bytes a PDF has, which the kind "pdf" alone asks for. From
	// 20,000 eCertificates a tenth of them is measured beside all.
	Documents int
	Size      int64
	// Others are other programs, by name, that speak as contenders of internal/pdfbench do. They sign
	// such a document over and over with a key in the same token, and sync nothing.
	Others map[string]func() *exec.Cmd
	// Profile is a file for a processor profile of this process while the batch is signed in the last
	// round; empty for none.
	Profile string
}

// BatchReport is what [BenchBatch] found.
type BatchReport struct {
	Cores     int     `json:"cores"`
	Kind      string  `json:"kind"`
	Key       string  `json:"key"`
	Level     string  `json:"level"`
	Documents int     `json:"documents"`
	Size      int64   `json:"size"` // bytes of a document before it is signed; 0 for digests
	Width     int     `json:"width"`
	Chunk     int     `json:"chunk"`
	Slices    int     `json:"slices"`
	Slice     float64 `json:"slice_seconds"`

	// Parts are measured by themselves in every round, and Limit is composed of them.
	Parts []BatchPart `json:"parts"`
	Limit BatchLimit  `json:"limit"`
	// Batches are the one asked for, first, and those it is compared with.
	Batches []BatchRun `json:"batches"`
	// Others are other programs with the same documents.
	Others  []BatchOther  `json:"others,omitempty"`
	Targets []BatchTarget `json:"targets"`
}

// BatchPart is one part of a document's way by itself.
type BatchPart struct {
	What      string    `json:"what"`
	AtOnce    int       `json:"at_once"`
	PerSecond Quartiles `json:"per_second"`
	CPU       Quartiles `json:"cpu_ms_per_op"`
}

// BatchLimit is what parts alone would allow: all cores at nothing but C_Sign, the least pass over a
// document, a verification and, for an eCertificate, its page; and no more than is written and synced.
type BatchLimit struct {
	CPU       Quartiles `json:"cpu_ms_per_document"`
	PerSecond Quartiles `json:"per_second"`
	// Capped says how many rounds the disk and not the processor is the limit.
	Capped int `json:"rounds_capped_by_disk"`
}

// BatchRun is one batch through the whole gateway.
type BatchRun struct {
	Level     string `json:"level"`
	Documents int    `json:"documents"`
	// Intake, Seal and Signing are seconds: of the upload until it is taken in, of the seal, and from
	// the intent to the last commit. Whole is Documents by all of them, and the code and its mail.
	Intake    Quartiles `json:"intake_seconds"`
	Seal      Quartiles `json:"seal_seconds"`
	Signing   Quartiles `json:"signing_seconds"`
	PerSecond Quartiles `json:"per_second"`
	Whole     Quartiles `json:"whole_per_second"`
	// Processor time of a document while it is signed, in this process, which is gateway and client,
	// and in that of the token; and of its intake in this process, client included.
	Gateway   Quartiles `json:"gateway_cpu_ms"`
	Token     Quartiles `json:"token_cpu_ms"`
	IntakeCPU Quartiles `json:"intake_cpu_ms"`
	// Share is PerSecond by the limit of its round, OfRaw by raw C_Sign of it.
	Share Quartiles `json:"share_of_limit"`
	OfRaw Quartiles `json:"of_raw_c_sign"`
	// CPUShare is the limit's processor time of a document by the batch's, Gateway and Token: what Share
	// would be if the batch waited for nothing, which other work on the machine disturbs less.
	CPUShare Quartiles `json:"cpu_share_of_limit"`
	// Peak is the most memory (VmHWM) in bytes while it ran, of this process and that of the token,
	// in any round. It counts from the start of the process where the kernel does not let it begin anew.
	Peak      int64 `json:"peak_rss"`
	TokenPeak int64 `json:"token_peak_rss"`
	Anew      bool  `json:"peak_rss_of_batch_alone"`
	// Written is bytes a document that this process had written to disks (/proc/self/io), Flushes how
	// often the device of the folder was flushed, by anybody, a document. -1 where nobody knows.
	Written float64 `json:"written_bytes_per_document"`
	Flushes float64 `json:"device_flushes_per_document"`
	// Signed is bytes of a signed document.
	Signed int64 `json:"signed_bytes"`
}

// BatchOther is another program.
type BatchOther struct {
	What      string    `json:"what"`
	AtOnce    int       `json:"processes"`
	PerSecond Quartiles `json:"per_second"`
	CPU       Quartiles `json:"cpu_ms_per_document"`
	// Times is the batch's rate by this one's, round by round.
	Times Quartiles `json:"batch_by_this"`
}

// BatchTarget is a bound and what the median of the rounds is.
type BatchTarget struct {
	What  string  `json:"what"`
	Bound float64 `json:"bound"`
	Below bool    `json:"at_most"` // or at least
	Found float64 `json:"found"`
	Met   bool    `json:"met"`
}

// Bounds of a batch.
const (
	digestTarget  = 0.90 // of raw C_Sign, RSA-2048
	rsaTarget     = 0.75 // of the limit, PDFs of 100 KB
	ecdsaTarget   = 0.65
	archiveTarget = 0.3 // B-LTA by B-B
	longTarget    = 0.9 // 100,000 eCertificates by 10,000
	longRSS       = 150 << 20
	pageTarget    = 1500 // a core-second
	smallPDF      = 100 << 10
	longBatch     = 20_000
)

// The parts of a document's way.
const (
	partRaw    = "raw C_Sign"
	partVerify = "verification of a signature"
	partFloor  = "least pass: read, SHA-256, SignedData, write"
	partPage   = "page of an eCertificate"
	partDisk   = "files written, one sync for 50"
)

// BenchBatch measures batches from the upload to the last signed document, in a whole gateway with the
// token in a process of its own, and in the same rounds what nobody can do without. o.Sessions
// and o.Algorithms are not used.
func BenchBatch(ctx context.Context, o BenchOptions, c BatchBench) (r BatchReport, err error) {
	o.Sessions = []int{runtime.NumCPU()}
	if err := errors.Join(o.check(), c.check()); err != nil {
		return r, err
	}
	dir, remove, err := o.folder()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	b, err := openBatchBench(ctx, &o, c, filepath.Join(dir, manyDir))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	return b.measure(ctx)
}

func (c *BatchBench) check() error {
	switch {
	case c.Documents < 2 || c.Documents > 1_000_000:
		return fmt.Errorf("%w: %d documents; 2 to 1,000,000 can be measured", ErrConfig, c.Documents)
	case c.Kind != mohor.BatchPDF && c.Kind != mohor.BatchDigest && c.Kind != mohor.BatchECert:
		return fmt.Errorf("%w: no batch is of kind %q", ErrConfig, c.Kind)
	case c.Key != string(hsm.RSA2048) && c.Key != string(hsm.ECDSAP256):
		return fmt.Errorf("%w: key %q; %s and %s can be measured", ErrConfig, c.Key, hsm.RSA2048, hsm.ECDSAP256)
	case c.Level != "B-B" && c.Kind == mohor.BatchDigest || !slices.Contains([]string{"B-B", "B-T", "B-LT", "B-LTA"}, c.Level):
		return fmt.Errorf("%w: level %q of %s", ErrConfig, c.Level, c.Kind)
	case c.Kind == mohor.BatchDigest && len(c.Others) > 0:
		return fmt.Errorf("%w: other programs sign PDFs", ErrConfig)
	case c.Kind == mohor.BatchPDF && (c.Size < 2<<10 || c.Size > 1<<30):
		return fmt.Errorf("%w: documents of %d bytes; 2 KB to 1 GB can be measured", ErrConfig, c.Size)
	}
	return nil
}

// batchBench is a gateway at work on batches.
type batchBench struct {
	*apiBench
	c       BatchBench
	client  *mohor.Client
	officer sandbox.DevOfficer
	box     *sandbox.Mailbox
	scratch string // beside the blobs, on the same file system
	profile *os.File
}

func openBatchBench(ctx context.Context, o *BenchOptions, c BatchBench, dir string) (_ *batchBench, err error) {
	if err := o.initBench(ctx, dir); err != nil {
		return nil, err
	}
	g := &apiBench{bench: &bench{BenchOptions: o}, served: make(chan error, 1)}
	how := serving{log: slog.New(slog.DiscardHandler)}
	if o.Process != nil {
		how.process = func() *exec.Cmd {
			cmd := o.Process()
			g.tokens = append(g.tokens, cmd)
			return cmd
		}
	}
	if g.Installation, err = openServing(ctx, dir, o.Now, how); err != nil {
		return nil, err
	}
	b := &batchBench{apiBench: g, c: c, scratch: filepath.Join(dir, "scratch")}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if g.kek, err = g.db.CurrentKEK(ctx); err != nil {
		return nil, err
	}
	if g.fast, err = o.openFast(ctx, &g.Config); err != nil {
		return nil, err
	}
	if err = os.Mkdir(b.scratch, 0o700); err != nil {
		return nil, fmt.Errorf("making scratch folder: %w", err)
	}
	if c.Profile != "" {
		if b.profile, err = os.Create(c.Profile); err != nil {
			return nil, fmt.Errorf("making profile: %w", err)
		}
	}
	return b, b.serve(ctx, how.log)
}

// serve begins to serve, for an app and one officer.
func (b *batchBench) serve(ctx context.Context, log *slog.Logger) (err error) {
	if b.box, err = sandbox.StartMailbox(b.now, log); err != nil {
		return err
	}
	if b.server, err = Prove(ctx, b.Installation, b.box, log); err != nil {
		return errors.Join(err, b.box.Close())
	}
	key, err := b.register(ctx)
	if err != nil {
		return err
	}
	if b.officer, err = b.apiBench.officer(ctx, b.Registrar, 0); err != nil {
		return fmt.Errorf("enrolling an officer: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if b.client, err = mohor.New("http://"+l.Addr().String(), mohor.APIKey(key)); err != nil {
		return errors.Join(err, l.Close())
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stop = stop
	go func() { b.served <- b.server.Run(serving, l) }()
	return nil
}

func (b *batchBench) close() error {
	if b.profile != nil {
		return errors.Join(b.profile.Close(), b.apiBench.close())
	}
	return b.apiBench.close()
}

// runs are the batches of a round: the one asked for, and what it is compared with.
func (c *BatchBench) runs() []BatchRun {
	runs := []BatchRun{{Level: c.Level, Documents: c.Documents}}
	if c.Level != "B-B" {
		runs = append(runs, BatchRun{Level: "B-B", Documents: c.Documents})
	}
	if c.Kind == mohor.BatchECert && c.Documents >= longBatch {
		runs = append(runs, BatchRun{Level: c.Level, Documents: c.Documents / 10})
	}
	return runs
}

// measure runs the rounds.
func (b *batchBench) measure(ctx context.Context) (r BatchReport, err error) {
	r = BatchReport{Cores: runtime.NumCPU(), Kind: b.c.Kind, Key: b.c.Key, Level: b.c.Level, Documents: b.c.Documents,
		Width: b.server.Runner.Width, Chunk: b.server.Runner.Chunk, Slices: b.Slices, Slice: b.Slice.Seconds()}
	parts, err := b.parts(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, parts.close()) }()
	r.Size = parts.size
	others, err := b.startOthers(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, stopOthers(others)) }()
	runs := b.c.runs()
	seen := make([][]batchTaken, len(runs))
	var limits []roundLimit
	for round := range b.Slices {
		if err := parts.measure(ctx); err != nil {
			return r, err
		}
		// What is compared takes its turn before, so that the batch is between two measurements of the module.
		for k := len(runs) - 1; k >= 0; k-- {
			t, err := b.batch(ctx, &runs[k], b.c.Profile != "" && k == 0 && round == b.Slices-1)
			if err != nil {
				return r, fmt.Errorf("signing %d documents at %s: %w", runs[k].Documents, runs[k].Level, err)
			}
			seen[k] = append(seen[k], t)
		}
		if err := parts.raw.measure(ctx); err != nil {
			return r, err
		}
		limits = append(limits, parts.limit())
		for _, o := range others {
			slice, err := o.other.Slice(b.Slice)
			if err != nil {
				return r, fmt.Errorf("signing with %s: %w", o.what, err)
			}
			o.all = append(o.all, slice)
		}
		b.Report("batch of "+b.c.Kind, round+1, b.Slices)
	}
	r.Limit = limitOf(limits)
	r.Parts = parts.report()
	for k := range runs {
		runs[k].fill(seen[k], limits)
	}
	r.Batches = runs
	for _, o := range others {
		r.Others = append(r.Others, o.report(seen[0]))
	}
	r.judge()
	return r, nil
}

// judge compares with the targets that this batch has.
func (r *BatchReport) judge() {
	add := func(what string, found, bound float64, below bool) {
		r.Targets = append(r.Targets, BatchTarget{what, bound, below, found, found <= bound && below || found >= bound && !below})
	}
	r.Targets = []BatchTarget{}
	it := &r.Batches[0]
	rsa := r.Key == string(hsm.RSA2048)
	switch {
	case r.Kind == mohor.BatchDigest && rsa:
		add("digests by raw C_Sign", it.OfRaw.Median, digestTarget, false)
	case r.Kind == mohor.BatchPDF && r.Level == "B-B" && r.Size <= 2*smallPDF && r.Size >= smallPDF/2:
		bound := ecdsaTarget
		if rsa {
			bound = rsaTarget
		}
		add("PDFs by the limit", it.Share.Median, bound, false)
	}
	for k := range r.Batches[1:] {
		other := &r.Batches[1+k]
		switch {
		case other.Documents < it.Documents:
			add("rate by that of a tenth", it.PerSecond.Median/other.PerSecond.Median, longTarget, false)
			add("peak RSS of the gateway", float64(it.Peak), longRSS, true)
		case r.Level == "B-LTA":
			add("B-LTA by B-B", it.PerSecond.Median/other.PerSecond.Median, archiveTarget, false)
		}
	}
	for _, p := range r.Parts {
		if p.What == partPage {
			add("pages a core-second", 1000/p.CPU.Median, pageTarget, false)
		}
	}
}

// waitMail is how long a code may take.
const waitMail = 30 * time.Second
