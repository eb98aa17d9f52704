package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// EnrolReport says what it takes to bring a list of officers to their certificates.
type EnrolReport struct {
	Officers int     `json:"officers"`
	Workers  int     `json:"workers"`
	Seconds  float64 `json:"seconds"` // of all stages
	// Stages in their order; Reports are read after them.
	Stages  []EnrolStage `json:"stages"`
	Reports []EnrolStage `json:"reports"`
	// What the module does by itself, measured before: P-256 keys made, wrapped and
	// requested, and C_Sign, a second. Ratios compare the stages that need them.
	Generate      float64 `json:"generate_per_second"`
	Sign          float64 `json:"sign_per_second"`
	ApplyRatio    float64 `json:"apply_of_generate"`
	ApproveRatio  float64 `json:"approve_of_sign"`
	Peak          int64   `json:"peak_rss_bytes"` // VmHWM of this process
	Disk          int64   `json:"disk_bytes"`     // database and signed heads
	Records       int64   `json:"audit_records"`
	KeyDerivation bool    `json:"key_derivation"` // false: Argon2id was left out
}

// EnrolStage is one step for all officers.
type EnrolStage struct {
	What      string  `json:"what"`
	Rows      int     `json:"rows,omitempty"`
	Bytes     int64   `json:"bytes,omitempty"` // of a report
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second,omitempty"`
}

// BenchEnrol enrols n officers with P-256 keys by a list, start to finish: checked, added,
// confirmed, applied for, validated, approved and issued, by as many people at once as
// o.Sessions says, mails being dropped; and reads every report of them. The key derivation of
// the PIN (Argon2id) is left out: each officer's own takes its time on her day, not on
// the list's.
func BenchEnrol(ctx context.Context, o BenchOptions, n int) (BenchReport, error) {
	if n < 1 || n > enrol.MaxListRows {
		return BenchReport{}, fmt.Errorf("%w: %d officers; 1 to %d can be measured", ErrConfig, n, enrol.MaxListRows)
	}
	return o.within(ctx, func(b *bench, r *BenchReport) error {
		e := &enrolling{bench: b, n: n, r: &EnrolReport{Officers: n, Workers: o.Sessions[0]}, kept: map[string]enrol.Letter{}}
		r.Enrol = e.r
		return e.run(ctx)
	})
}

// enrolling is an office with everybody who takes part.
type enrolling struct {
	*bench
	n    int
	r    *EnrolReport
	desk *enrol.Desk
	pin  secret.Text

	mu   sync.Mutex
	kept map[string]enrol.Letter // by enrolment
}

// SendLetter implements enrol.Mailer: what was mailed is read at once.
func (e *enrolling) SendLetter(_ context.Context, l enrol.Letter) error {
	l.Link, l.Code = secret.New(string(l.Link.Reveal())), secret.New(string(l.Code.Reveal())) // the desk wipes its own
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept[l.ID] = l
	return nil
}

const benchAgency = "UKUR"

// enrolStep is one stage that is to be run.
type enrolStep struct {
	what string
	do   func(ctx context.Context) error
}

// open prepares the office, and gives what is to be done in it: the last step approves.
func (e *enrolling) open(ctx context.Context) (jdn enrol.Actor, steps []enrolStep, err error) {
	if e.pin, err = benchPIN(e.Dir); err != nil {
		return jdn, nil, err
	}
	r := *e.Registrar
	r.Keys = officerKeys{e.fast, e.db.CurrentKEK}
	e.desk = &enrol.Desk{Registrar: &r, Records: e.db, MAC: macKey{e.hsm, hsm.IntentKey}, Mail: e}
	lister := enrol.Actor{Name: "bench:lister", IC: "700101105550", Appointments: []enrol.Appointment{{Role: enrol.JDN}}} // who lists does not approve
	jdn = enrol.Actor{Name: "bench:jdn", IC: "700101105551", Appointments: []enrol.Appointment{{Role: enrol.JDN}}}
	ap := enrol.Actor{Name: "bench:ap", IC: "700101105554", Appointments: []enrol.Appointment{{Role: enrol.AP, Agency: benchAgency}}}
	err = errors.Join(e.desk.PutAgency(ctx, jdn, enrol.Agency{Code: benchAgency, Name: "Agensi Ukuran"}),
		e.desk.PutSystem(ctx, jdn, enrol.System{Code: benchSystem, Title: "Ukuran", Agency: benchAgency}))
	list := e.list()
	form := enrol.Form{Address: "Aras 1", Postcode: "62594", State: "W.P. Putrajaya", Phone: "03-8882 1000", Mobile: "012-345 6789", MailKind: "official", Image: "wau", Declaration: enrol.DeclarationVersion}
	all := func(do func(ctx context.Context, l *enrol.Letter) error) func(context.Context) error {
		return func(ctx context.Context) error { return e.everybody(ctx, do) }
	}
	return jdn, []enrolStep{
		{"check the list", func(ctx context.Context) error { return e.whole(e.desk.CheckList(ctx, lister, list, list.Size())) }},
		{"add the list (checked again)", func(ctx context.Context) error {
			return e.whole(e.desk.AddList(ctx, lister, list, list.Size(), enrol.ListChoice{}))
		}},
		{"make and hand over links", e.post},
		{"confirm", all(func(ctx context.Context, l *enrol.Letter) error {
			_, err := e.desk.Confirm(ctx, l.Link, "")
			return err
		})},
		{"make and hand over codes", e.post},
		{"apply: key under the PIN, request", all(func(ctx context.Context, l *enrol.Letter) error {
			_, err := e.desk.Apply(ctx, enrol.Application{Code: l.Code, PIN: e.pin, PINAgain: e.pin, Algorithm: string(hsm.ECDSAP256), Form: form})
			return err
		})},
		{"validate", all(func(ctx context.Context, l *enrol.Letter) error { return e.desk.Validate(ctx, ap, l.ID) })},
		{"approve: certificate, credential", func(ctx context.Context) error { return e.approve(ctx, jdn) }},
	}, err
}

func (e *enrolling) run(ctx context.Context) error {
	jdn, steps, err := e.open(ctx)
	defer e.pin.Wipe()
	if err == nil {
		err = e.raw(ctx)
	}
	if err != nil {
		return err
	}
	for _, s := range steps {
		took, err := e.stage(ctx, s.what, e.n, s.do)
		if err != nil {
			return err
		}
		e.r.Stages = append(e.r.Stages, took)
		e.r.Seconds += took.Seconds
	}
	e.r.ApplyRatio, e.r.ApproveRatio = e.r.Stages[5].PerSecond/e.r.Generate, e.r.Stages[7].PerSecond/e.r.Sign
	if err := e.reports(ctx, jdn); err != nil {
		return err
	}
	if e.r.Records, _, err = e.db.AuditHead(ctx); err != nil {
		return err
	}
	if e.r.Disk, err = onDisk(e.Dir); err != nil {
		return err
	}
	e.r.Peak, err = peakMemory()
	return err
}

func (e *enrolling) stage(ctx context.Context, what string, rows int, do func(context.Context) error) (EnrolStage, error) {
	start := time.Now()
	if err := do(ctx); err != nil {
		return EnrolStage{}, fmt.Errorf("enrolling, %s: %w", what, err)
	}
	took := time.Since(start).Seconds()
	e.Report(what, e.n, e.n)
	return EnrolStage{What: what, Rows: rows, Seconds: took, PerSecond: float64(rows) / took}, nil
}

// raw measures the module alone.
func (e *enrolling) raw(ctx context.Context) (err error) {
	of := ca.Officer{IC: benchIC(0), Name: "PEGAWAI UKURAN", Credential: "cr_bench"}
	subject, err := of.Subject()
	if err != nil {
		return err
	}
	s, err := hsm.Measure(ctx, e.r.Workers, e.Slice, func(ctx context.Context, _ int) error {
		_, _, err := e.desk.Keys.Generate(ctx, of.IC, ident.New("cr", 16), string(hsm.ECDSAP256), 1, subject, e.pin)
		return err
	})
	if err != nil {
		return err
	}
	e.r.Generate = s.PerSecond()
	sign, err := e.fast.NewSignBench(ctx, e.kek, hsm.ECDSAP256, e.r.Workers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sign.Close()) }()
	s, err = hsm.Measure(ctx, e.r.Workers, e.Slice, sign.Raw)
	e.r.Sign = s.PerSecond()
	return err
}

// list is a CSV of n officers in 3 phases and 53 offices.
func (e *enrolling) list() *bytes.Reader {
	var b bytes.Buffer
	b.WriteString("no_kp,nama,emel,agensi,sistem,pejabat_perakaunan,fasa,tiket\n")
	for k := range e.n {
		fmt.Fprintf(&b, "%s,PEGAWAI UKURAN %d,p%d@ukur.gov.my,%s,%s,PTJ %d,%d,HD-%d\n", benchIC(k), k, k, benchAgency, benchSystem, k%53, k%3+1, k)
	}
	return bytes.NewReader(b.Bytes())
}

func (e *enrolling) whole(r enrol.ListReport, err error) error {
	if err == nil && r.Good != e.n {
		err = fmt.Errorf("%d rows of %d are good", r.Good, e.n)
	}
	return err
}

// post has the desk do all that is due.
func (e *enrolling) post(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range e.r.Workers {
		group.Go(func() error {
			for {
				if ok, err := e.desk.Once(ctx); !ok || err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(e.kept) != e.n {
		return fmt.Errorf("%d mails for %d officers", len(e.kept), e.n)
	}
	return nil
}

// everybody does it for each officer, so many at once.
func (e *enrolling) everybody(ctx context.Context, do func(context.Context, *enrol.Letter) error) error {
	var done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(e.r.Workers)
	for _, l := range e.kept {
		group.Go(func() error {
			if err := do(ctx, &l); err != nil {
				return err
			}
			if k := int(done.Add(1)); k%1000 == 0 {
				e.Report("officers", k, e.n)
			}
			return nil
		})
	}
	return group.Wait()
}

// approve has everybody approved a thousand at a time, as an administrator does it.
func (e *enrolling) approve(ctx context.Context, a enrol.Actor) error {
	done := 0
	for ids := range slices.Chunk(slices.Collect(maps.Keys(e.kept)), enrol.MaxBulk) {
		verdicts, err := e.desk.Bulk(ctx, a, enrol.Approve, ids, "Disemak dengan senarai")
		for _, v := range verdicts {
			err = errors.Join(err, v.Err)
		}
		if err != nil || len(verdicts) < len(ids) {
			return fmt.Errorf("approving %d officers: %d done: %w", len(ids), len(verdicts), err)
		}
		done += len(ids)
		e.Report("officers", done, e.n)
	}
	return nil
}

func (e *enrolling) reports(ctx context.Context, a enrol.Actor) error {
	for _, name := range enrol.Reports() {
		for _, format := range enrol.ReportFormats() {
			var size written
			took, err := e.stage(ctx, "report "+name+" as "+format, 0, func(ctx context.Context) error {
				r, err := e.desk.Report(ctx, a, enrol.ReportQuery{Name: name, Days: 400})
				if err != nil {
					return err
				}
				return r.Write(ctx, &size, format)
			})
			if err != nil {
				return err
			}
			took.Bytes = int64(size)
			e.r.Reports = append(e.r.Reports, took)
		}
	}
	return nil
}

// written counts bytes.
type written int64

func (w *written) Write(p []byte) (int, error) {
	*w += written(len(p))
	return len(p), nil
}

// peakMemory is the greatest resident size of this process so far, in bytes.
func peakMemory() (peak int64, err error) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("reading memory in use: %w", err)
	}
	for line := range bytes.Lines(raw) {
		if n, _ := fmt.Sscanf(string(line), "VmHWM: %d kB", &peak); n == 1 {
			return peak << 10, nil
		}
	}
	return 0, errors.New("reading memory in use: /proc/self/status does not say")
}
