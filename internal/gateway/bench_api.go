package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/apiload"
	"github.com/mohor-sign/mohor/internal/sandbox"
)

// APIBench says what of the API to measure.
type APIBench struct {
	// Load starts the process that asks and takes the mails, in which [apiload.Serve] must run; nil:
	// this one does it, and its processor time counts with the gateway's.
	Load func() *exec.Cmd
	// Rounds is how often interactive signing is measured with and without a batch of Documents
	// beside it, at Rate requests a second; 0 for not at all.
	Rounds, Documents int
	Rate              float64
	// Database and Redis are as in [OTPBench].
	Database, DatabasePasswordFile string
	Redis                          string
	// Profile is a file for a processor profile of all that is measured; empty for none.
	Profile string
}

// APIReport is what [BenchAPI] says beside rows.
type APIReport struct {
	// Costs tell where the processor time of a signature goes.
	Costs []APICost `json:"costs"`
	// Steady is interactive signing beside a batch.
	Steady []Steady `json:"steady,omitempty"`
}

// Latency of one kind of request, in milliseconds. Percentiles are nearest-rank.
type Latency struct {
	Request string  `json:"request"`
	Count   int     `json:"count"`
	P50     float64 `json:"p50_ms"`
	P95     float64 `json:"p95_ms"`
	P99     float64 `json:"p99_ms"`
}

func latency(request string, ms []float64) Latency {
	return Latency{request, len(ms), apiload.Percentile(ms, 0.50), apiload.Percentile(ms, 0.95), apiload.Percentile(ms, 0.99)}
}

// manyDigests is how many a large transaction has: the most that are allowed without a batch.
const manyDigests = 1000

// apiAlgorithms are the kinds of keys that sign through the API.
var apiAlgorithms = []hsm.Algorithm{hsm.RSA2048, hsm.ECDSAP256}

// BenchAPI measures a whole gateway through HTTP on a loopback address, with the token in a process
// of its own, on the embedded stores and on those that a names: requests a second and their
// latencies, the processor time of a signature, and interactive signing beside a batch. o.Algorithms
// is not used, o.Sessions[0] is how many ask at once.
func BenchAPI(ctx context.Context, o BenchOptions, a APIBench) (r BenchReport, err error) {
	if err := o.check(); err != nil {
		return r, err
	}
	if a.Rounds < 0 || a.Rounds > 0 && (a.Documents < 1 || a.Documents > 1_000_000 || a.Rate <= 0 || a.Rate > 1000) {
		return r, fmt.Errorf("%w: %d rounds beside %d documents at %g requests a second", ErrConfig, a.Rounds, a.Documents, a.Rate)
	}
	dir, remove, err := o.folder()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	var cmd *exec.Cmd
	if a.Load != nil {
		cmd = a.Load()
	}
	load, err := apiload.Start(ctx, cmd)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, load.Close()) }()
	if a.Profile != "" {
		f, err := os.Create(a.Profile)
		if err != nil {
			return r, fmt.Errorf("making profile: %w", err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return r, fmt.Errorf("making profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	r = o.report()
	r.API = &APIReport{}
	if err := o.api(ctx, filepath.Join(dir, manyDir), &a, load, "memory and SQLite", &r); err != nil {
		return r, err
	}
	if a.Database == "" && a.Redis == "" {
		return r, nil
	}
	codes, records := "memory", "SQLite"
	if a.Database != "" {
		records, o.database, o.databasePasswordFile = "PostgreSQL", a.Database, a.DatabasePasswordFile
	}
	if a.Redis != "" {
		codes = "Redis"
		o.redis = RedisConfig{Address: a.Redis}
		if field, want := o.redis.check(); field != "" {
			return r, fmt.Errorf("%w: %s must be %s", ErrConfig, field, want)
		}
	}
	return r, o.api(ctx, filepath.Join(dir, "other"), &a, load, codes+" and "+records, &r)
}

// api measures one installation, made in dir.
func (o *BenchOptions) api(ctx context.Context, dir string, a *APIBench, load *apiload.Client, stores string, r *BenchReport) (err error) {
	g, err := o.openAPI(ctx, dir, load, stores, max(o.Sessions[0], a.officers()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	if err := g.measure(ctx, r); err != nil || a.Rounds == 0 {
		return err
	}
	s, err := g.steady(ctx, a)
	r.API.Steady = append(r.API.Steady, s)
	return err
}

// apiBench is a gateway at work.
type apiBench struct {
	*bench // its Installation is the server's
	server *Server
	load   *apiload.Client
	stores string
	dev    string // file
	light  string // another, of officers whose keys have leastKDF
	tokens []*exec.Cmd

	stop   context.CancelFunc
	served chan error
}

func (o *BenchOptions) openAPI(ctx context.Context, dir string, load *apiload.Client, stores string, officers int) (_ *apiBench, err error) {
	if err := o.initBench(ctx, dir); err != nil {
		return nil, err
	}
	g := &apiBench{bench: &bench{BenchOptions: o}, load: load, stores: stores, dev: filepath.Join(dir, DevFile), light: filepath.Join(dir, "light.json"), served: make(chan error, 1)}
	how := serving{log: slog.New(slog.NewTextHandler(io.Discard, nil))} // as expensive as a log that is kept
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
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if o.redis.configured() {
		g.Config.Redis = o.redis
		if err := g.openRedis(); err != nil {
			return nil, err
		}
		if err := g.PingRedis(ctx); err != nil {
			return nil, err
		}
	}
	if g.kek, err = g.db.CurrentKEK(ctx); err != nil {
		return nil, err
	}
	if g.fast, err = o.openFast(ctx, &g.Config); err != nil {
		return nil, err
	}
	g.sink = load.Sink
	return g, g.serve(ctx, how.log, officers)
}

// serve begins to serve, for an app and officers.
func (g *apiBench) serve(ctx context.Context, log *slog.Logger, officers int) error {
	box, err := sandbox.StartMailbox(g.now, log) // a sandbox has one; mails go elsewhere
	if err != nil {
		return err
	}
	if g.server, err = Prove(ctx, g.Installation, box, log); err != nil {
		return errors.Join(err, box.Close())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if err := g.furnish(ctx, "http://"+l.Addr().String(), officers); err != nil {
		return errors.Join(err, l.Close())
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.stop = stop
	go func() { g.served <- g.server.Run(serving, l) }()
	return nil
}

// furnish registers an app, officers, each with a key of each kind, and one more for a batch.
func (g *apiBench) furnish(ctx context.Context, base string, officers int) error {
	dev := sandbox.DevFile{BaseURL: base, System: benchSystem, ClientID: benchApp}
	var err error
	_, dev.ClientSecret, dev.APIKey, err = g.Apps.Register(ctx, "bench", enrol.App{ID: benchApp, Name: "Ukuran", Systems: []string{benchSystem}, Grants: []string{enrol.GrantRAW}, PINEntry: enrol.PINInApp, Rate: 1e6})
	if err != nil {
		return err
	}
	for k := range officers + 1 {
		d, err := g.officer(ctx, g.Registrar, k)
		if err != nil {
			return fmt.Errorf("enrolling officer %d: %w", k, err)
		}
		dev.Officers = append(dev.Officers, d)
	}
	if err := sandbox.WriteDevFile(g.dev, dev); err != nil {
		return err
	}
	dev.Officers = nil
	h, err := hsmConfig(&g.Config)
	if err != nil {
		return err
	}
	defer h.PIN.Wipe()
	h.KDF = leastKDF
	m, err := hsm.Open(ctx, h)
	if err != nil {
		return fmt.Errorf("opening token %q: %w", g.Config.Token.Label, err)
	}
	defer m.Close() //nolint:errcheck // nothing is left to do with it
	r := *g.Registrar
	r.Keys = officerKeys{m, g.db.CurrentKEK}
	for k := range g.Sessions[0] + 1 {
		d, err := g.officer(ctx, &r, officers+1+k)
		if err != nil {
			return fmt.Errorf("enrolling officer %d: %w", officers+1+k, err)
		}
		dev.Officers = append(dev.Officers, d)
	}
	return sandbox.WriteDevFile(g.light, dev)
}

// leastKDF is the least that keys are sealed with.
var leastKDF = hsm.KDFParams{MemoryKiB: 1 << 10, Time: 1, Threads: 1}

func (g *apiBench) officer(ctx context.Context, r *enrol.Registrar, k int) (sandbox.DevOfficer, error) {
	ic, pin := benchIC(k), randomPIN()
	d := sandbox.DevOfficer{IC: ic, Name: fmt.Sprintf("PEGAWAI %06d", k), Email: ic + "@bench.example", PIN: pin}
	o := enrol.Officer{IC: ic, Name: d.Name, Email: d.Email}
	if err := r.AddOfficer(ctx, "bench", o, benchSystem); err != nil {
		return d, err
	}
	for _, alg := range apiAlgorithms {
		c, _, err := r.IssueCredential(ctx, "bench", o, benchSystem, string(alg), pin)
		if err != nil {
			return d, err
		}
		d.Credentials = append(d.Credentials, sandbox.DevCredential{CredentialID: c.ID, Key: string(alg)})
	}
	return d, nil
}

// close stops serving and closes all.
func (g *apiBench) close() (err error) {
	if g.stop != nil {
		g.stop()
		err = <-g.served
	}
	if g.fast != nil {
		err = errors.Join(err, g.fast.Close())
	}
	if g.server == nil {
		return errors.Join(err, g.Installation.Close())
	}
	return errors.Join(err, g.server.CloseAll())
}
