package gateway

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/pdfbench"
	"github.com/mohor-sign/mohor/internal/secret"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// register makes the app that asks.
func (b *batchBench) register(ctx context.Context) (key secret.Text, err error) {
	_, _, key, err = b.Apps.Register(ctx, "bench", enrol.App{ID: benchApp, Name: "Ukuran", Systems: []string{benchSystem}, Grants: []string{enrol.GrantRAW}, PINEntry: enrol.PINInApp, Rate: 1e6})
	return key, err
}

// batchTaken is what one batch took.
type batchTaken struct {
	documents                    int
	intake, seal, signing, whole time.Duration
	gateway, token, intakeCPU    time.Duration // processor time
	peak, tokenPeak, signedBytes int64
	anew                         bool  // the peaks are of this batch alone
	written, flushes             int64 // -1: nobody knows
}

// batch has one batch taken in, sealed, confirmed and signed, and removes its files.
func (b *batchBench) batch(ctx context.Context, run *BatchRun, profiled bool) (t batchTaken, err error) {
	t.documents = run.Documents
	debug.FreeOSMemory() // what measuring left is not the batch's
	t.anew = b.peaksAnew()
	before := b.disk()
	began := time.Now()
	made, err := b.client.CreateBatch(ctx, "bench", b.c.Kind)
	if err != nil {
		return t, err
	}
	here, _, err := b.processor()
	if err != nil {
		return t, err
	}
	if err := b.fill(ctx, made.ID, run.Documents); err != nil {
		return t, fmt.Errorf("taking in: %w", err)
	}
	hereAfter, _, err := b.processor()
	if err != nil {
		return t, err
	}
	t.intake, t.intakeCPU = time.Since(began), hereAfter-here
	sealing := time.Now()
	if _, err := b.client.Seal(ctx, made.ID, false); err != nil {
		return t, err
	}
	t.seal = time.Since(sealing)
	if profiled {
		if err := pprof.StartCPUProfile(b.profile); err != nil {
			return t, fmt.Errorf("making profile: %w", err)
		}
	}
	err = b.sign(ctx, made.ID, run, &t)
	if profiled {
		pprof.StopCPUProfile()
	}
	if err != nil {
		return t, err
	}
	t.whole = time.Since(began)
	after := b.disk()
	t.written, t.flushes = since(before.written, after.written), since(before.flushes, after.flushes)
	if t.peak, err = peakOf("self"); err == nil && len(b.tokens) > 0 {
		t.tokenPeak, err = peakOf(fmt.Sprint(b.tokens[len(b.tokens)-1].Process.Pid))
	}
	if err != nil {
		return t, err
	}
	return t, b.clear(made.ID, &t)
}

// sign confirms with PIN and code, and waits for the last commit.
func (b *batchBench) sign(ctx context.Context, id string, run *BatchRun, t *batchTaken) error {
	mark := b.box.Mark()
	ask := mohor.Ask{IC: b.officer.IC, System: benchSystem, CredentialID: b.credential(), BatchID: id, Format: mohor.PADES, PAdES: &mohor.PAdES{Level: run.Level}}
	if b.c.Kind == mohor.BatchDigest {
		ask.Format, ask.PAdES = mohor.RAW, nil
	}
	tx, err := b.client.CreateTransaction(ctx, ask)
	if err != nil {
		return err
	}
	wait, stop := context.WithTimeout(ctx, waitMail)
	defer stop()
	mail, err := b.box.WaitFor(wait, b.officer.Email, mark)
	if err != nil {
		return fmt.Errorf("waiting for the code: %w", err)
	}
	here, there, err := b.processor()
	if err != nil {
		return err
	}
	if _, err := b.client.Sign(ctx, tx.ID, mohor.Confirmation{Nonce: tx.Nonce, PIN: secret.New(string(b.officer.PIN.Reveal())), OTP: secret.New(mail.Code)}); err != nil {
		return err
	}
	got, err := b.wait(ctx, id)
	if err != nil {
		return err
	}
	hereAfter, thereAfter, err := b.processor()
	if err != nil {
		return err
	}
	if got.Signed != run.Documents || got.StartedAt == nil || got.FinishedAt == nil {
		return fmt.Errorf("batch ended as %s with %d of %d signed", got.Status, got.Signed, run.Documents)
	}
	t.signing = got.FinishedAt.Sub(*got.StartedAt)
	t.gateway, t.token = hereAfter-here, thereAfter-there
	return nil
}

// wait asks now and then until nothing changes any more.
func (b *batchBench) wait(ctx context.Context, id string) (*mohor.Batch, error) {
	tick := time.NewTicker(500 * time.Millisecond) // what is asked counts with the gateway
	defer tick.Stop()
	for {
		got, err := b.client.Batch(ctx, id)
		if err != nil || got.Status != "SIGNING" && got.Status != "SEALED" {
			return got, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (b *batchBench) credential() string {
	for _, c := range b.officer.Credentials {
		if c.Key == b.c.Key {
			return c.CredentialID
		}
	}
	return ""
}

// benchUpload is about how many bytes of PDFs go up at once.
const benchUpload = 256 << 20

// fill uploads the documents of a batch.
func (b *batchBench) fill(ctx context.Context, id string, n int) error {
	switch b.c.Kind {
	case mohor.BatchDigest:
		_, err := b.client.AddDigests(ctx, id, func(yield func(mohor.Document) bool) {
			for k := range n {
				if !yield(mohor.Document{Name: fmt.Sprintf("bench %d", k), Digest: mohor.SHA256(fmt.Append(nil, id, k))}) {
					return
				}
			}
		})
		return err
	case mohor.BatchECert:
		return b.upload(func(w io.Writer) error { return writeCandidates(w, id, n) }, func(r io.Reader) error {
			in, err := b.client.AddCandidates(ctx, id, r)
			if err == nil && in.Accepted != n {
				err = fmt.Errorf("%d of %d rows were taken in: %+v", in.Accepted, n, in.Refused[0])
			}
			return err
		})
	}
	page, err := os.ReadFile(b.document())
	if err != nil {
		return err
	}
	for from, each := 0, max(1, benchUpload/len(page)); from < n; from += each {
		to := min(n, from+each)
		err := b.upload(func(w io.Writer) error { return writePDFs(w, page, from, to) }, func(r io.Reader) error {
			in, err := b.client.AddPDFs(ctx, id, r)
			if err == nil && in.Accepted != to-from {
				err = fmt.Errorf("%d of %d files were taken in: %+v", in.Accepted, to-from, in.Refused[0])
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// upload streams what write makes.
func (b *batchBench) upload(write func(io.Writer) error, send func(io.Reader) error) error {
	r, w := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		buffered := bufio.NewWriterSize(w, 64<<10)
		err := write(buffered)
		if err == nil {
			err = buffered.Flush()
		}
		wrote <- errors.Join(err, w.CloseWithError(err))
	}()
	err := send(r)
	_ = r.Close() // so that the writer ends
	return errors.Join(err, <-wrote)
}

// document is the PDF of which all those of a batch are copies with an end of their own.
func (b *batchBench) document() string { return filepath.Join(b.scratch, "document.pdf") }

func (b *batchBench) makeDocument() error { return pdfbench.WriteDocument(b.document(), b.c.Size) }

// writePDFs writes a ZIP of copies of page, each of which says in a comment which it is.
func writePDFs(w io.Writer, page []byte, from, to int) error {
	z := zip.NewWriter(w)
	for k := from; k < to; k++ {
		f, err := z.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("%06d.pdf", k), Method: zip.Store})
		if err != nil {
			return err
		}
		if _, err := f.Write(page); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(f, "%% %06d\n", k); err != nil {
			return err
		}
	}
	return z.Close()
}

// benchNames are names as they come.
var benchNames = [...]string{"NUR AISYAH BINTI MOHD YUSOF", "MUHAMMAD HAZIQ BIN ABDUL RAHMAN", "SUBRAMANIAM A/L PERIASAMY", "KAVITHA A/P MUNIANDY", "TAN MEI LING", "DAYANG NURFAIZAH @ FAIZAH BINTI AWANG DOLLAH", "D'CRUZ ANAK JUGAH"}

// writeCandidates writes a list of n candidates, whose certificates have numbers that no other batch has.
func writeCandidates(w io.Writer, batch string, n int) error {
	if _, err := io.WriteString(w, "nama,no_kp,no_sijil,kod_program,nama_program,tahap,kod_pusat,pusat,batch,tahun,bahasa\n"); err != nil {
		return err
	}
	of := strings.ToUpper(batch[len(batch)-8:])
	for k := range n {
		level, language := [...]string{"SKM 1", "SKM 2", "SKM 3", "DKM", "DLKM"}[k%5], [...]string{"ms", "en"}[k%2]
		if _, err := fmt.Fprintf(w, "%s,%s,%s-%06d,TP-021-%d:2013,PENYEDIAAN DAN PEMBUATAN MAKANAN,%s,CTH-0601,SLDN HOTEL & RESORT PULAU CONTOH,2021/07-A,072021,%s\n",
			benchNames[k%len(benchNames)], benchIC(k), of, k, k%5+1, level, language); err != nil {
			return err
		}
	}
	return nil
}

// clear removes the batch's files, after the signed ones were measured.
func (b *batchBench) clear(id string, t *batchTaken) error {
	signed, all := filepath.Join(b.Config.Blobs, "signed", id), int64(0)
	err := filepath.WalkDir(signed, func(_ string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // digests have none
		}
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err == nil {
			all += st.Size()
		}
		return err
	})
	t.signedBytes = all / int64(t.documents)
	return errors.Join(err, os.RemoveAll(signed), os.RemoveAll(filepath.Join(b.Config.Blobs, "original", id)))
}

// diskUse is what was written so far, -1 where nobody knows.
type diskUse struct{ written, flushes int64 }

func (b *batchBench) disk() diskUse {
	d := diskUse{-1, -1}
	if raw, err := os.ReadFile("/proc/self/io"); err == nil {
		if _, line, ok := strings.Cut(string(raw), "\nwrite_bytes:"); ok {
			if _, err := fmt.Sscan(line, &d.written); err != nil {
				d.written = -1
			}
		}
	}
	var st unix.Stat_t
	if unix.Stat(b.Dir, &st) != nil {
		return d
	}
	raw, err := os.ReadFile("/proc/diskstats")
	if err != nil {
		return d
	}
	for line := range bytes.Lines(raw) {
		f := strings.Fields(string(line))
		// Field 16 of a device, after its numbers and name (Documentation/admin-guide/iostats.rst).
		if len(f) >= 3+16 && f[0] == fmt.Sprint(unix.Major(st.Dev)) && f[1] == fmt.Sprint(unix.Minor(st.Dev)) {
			if _, err := fmt.Sscan(f[3+15], &d.flushes); err != nil {
				d.flushes = -1
			}
		}
	}
	return d
}

// since is how much a count grew, -1 where nobody knows.
func since(before, after int64) int64 {
	if before < 0 || after < 0 {
		return -1
	}
	return after - before
}

// peaksAnew lets the peaks of memory begin anew (proc_pid_clear_refs(5)), where the kernel lets it.
func (b *batchBench) peaksAnew() bool {
	whose := []string{"self"}
	if n := len(b.tokens); n > 0 {
		whose = append(whose, fmt.Sprint(b.tokens[n-1].Process.Pid))
	}
	for _, w := range whose {
		if os.WriteFile("/proc/"+w+"/clear_refs", []byte("5"), 0) != nil {
			return false
		}
	}
	return true
}

// peakOf is VmHWM in bytes.
func peakOf(process string) (peak int64, err error) {
	raw, err := os.ReadFile("/proc/" + process + "/status")
	if err != nil {
		return 0, fmt.Errorf("reading memory use: %w", err)
	}
	_, line, _ := strings.Cut(string(raw), "VmHWM:")
	if _, err := fmt.Sscan(line, &peak); err != nil {
		return 0, fmt.Errorf("reading memory use: %w", err)
	}
	return peak << 10, nil
}

// fill sums up what the rounds took.
func (r *BatchRun) fill(seen []batchTaken, limits []roundLimit) {
	of := func(f func(t *batchTaken, l *roundLimit) float64) Quartiles {
		var all []float64
		for k := range seen {
			all = append(all, f(&seen[k], &limits[k]))
		}
		return quartiles(all)
	}
	each := func(f func(t *batchTaken) time.Duration) Quartiles {
		return of(func(t *batchTaken, _ *roundLimit) float64 { return f(t).Seconds() * 1000 / float64(t.documents) })
	}
	rate := func(t *batchTaken) float64 { return float64(t.documents) / t.signing.Seconds() }
	r.Intake = of(func(t *batchTaken, _ *roundLimit) float64 { return t.intake.Seconds() })
	r.Seal = of(func(t *batchTaken, _ *roundLimit) float64 { return t.seal.Seconds() })
	r.Signing = of(func(t *batchTaken, _ *roundLimit) float64 { return t.signing.Seconds() })
	r.PerSecond = of(func(t *batchTaken, _ *roundLimit) float64 { return rate(t) })
	r.Whole = of(func(t *batchTaken, _ *roundLimit) float64 { return float64(t.documents) / t.whole.Seconds() })
	r.Gateway = each(func(t *batchTaken) time.Duration { return t.gateway })
	r.Token = each(func(t *batchTaken) time.Duration { return t.token })
	r.IntakeCPU = each(func(t *batchTaken) time.Duration { return t.intakeCPU })
	r.Share = of(func(t *batchTaken, l *roundLimit) float64 { return rate(t) / l.perSecond })
	r.OfRaw = of(func(t *batchTaken, l *roundLimit) float64 { return rate(t) / l.raw })
	r.CPUShare = of(func(t *batchTaken, l *roundLimit) float64 {
		return l.cpu.Seconds() * float64(t.documents) / (t.gateway + t.token).Seconds()
	})
	counted := func(f func(t *batchTaken) int64) float64 {
		sum, n := int64(0), 0
		for k := range seen {
			if f(&seen[k]) < 0 {
				return -1
			}
			sum, n = sum+f(&seen[k]), n+seen[k].documents
		}
		return float64(sum) / float64(n)
	}
	r.Written = counted(func(t *batchTaken) int64 { return t.written })
	r.Flushes = counted(func(t *batchTaken) int64 { return t.flushes })
	r.Anew = true
	for k := range seen {
		t := &seen[k]
		r.Peak, r.TokenPeak, r.Anew, r.Signed = max(r.Peak, t.peak), max(r.TokenPeak, t.tokenPeak), r.Anew && t.anew, t.signedBytes
	}
}
