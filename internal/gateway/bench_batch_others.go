package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/pdfbench"
)

// otherKey is the label of the key that other programs sign with.
const otherKey = "mohor-bench-other"

// batchOther is another program at work, with its slices.
type batchOther struct {
	what  string
	other *pdfbench.Other
	all   []pdfbench.Slice
}

// startOthers puts a key into the gateway's token and starts the programs, as many processes of
// each as there are cores.
func (b *batchBench) startOthers(ctx context.Context) (all []*batchOther, err error) {
	if len(b.c.Others) == 0 {
		return nil, nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, stopOthers(all))
		}
	}()
	dir := filepath.Join(b.scratch, "others")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	kind := map[string]string{string(hsm.RSA2048): "RSA-2048", string(hsm.ECDSAP256): "P-256"}[b.c.Key]
	key, certificates, err := pdfbench.NewKey(dir, kind, b.Now())
	if err != nil {
		return nil, err
	}
	h, err := hsmConfig(&b.Config)
	if err != nil {
		return nil, err
	}
	defer h.PIN.Wipe()
	// The PIN is that of a token that is thrown away.
	cmd := exec.CommandContext(ctx, "softhsm2-util", "--import", key, "--token", h.TokenLabel, "--label", otherKey, "--id", "0b", "--pin", string(h.PIN.Reveal()))
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("importing a key for other programs: %w: %s", err, out)
	}
	t := pdfbench.Task{Document: b.document(), Certificates: certificates, Now: b.Now(),
		Token: &pdfbench.Token{Module: h.Module, Label: h.TokenLabel, PINFile: b.Config.Token.PINFile, Key: otherKey}}
	for _, what := range slices.Sorted(maps.Keys(b.c.Others)) {
		t.What = what
		o, err := pdfbench.StartOther(ctx, dir, runtime.NumCPU(), b.c.Others[what], t)
		if err != nil {
			return all, fmt.Errorf("starting %s: %w", what, err)
		}
		all = append(all, &batchOther{what: what, other: o})
		if _, err := o.Slice(time.Millisecond); err != nil { // it warms up
			return all, fmt.Errorf("signing with %s: %w", what, err)
		}
	}
	return all, nil
}

func stopOthers(all []*batchOther) (err error) {
	for _, o := range all {
		err = errors.Join(err, o.other.Close())
	}
	return err
}

// report sets the rounds of o beside those of the batch.
func (o *batchOther) report(batch []batchTaken) BatchOther {
	var rate, cpu, times []float64
	for k, s := range o.all {
		r := float64(s.Documents) / s.Seconds
		rate, cpu = append(rate, r), append(cpu, s.CPU*1000/float64(s.Documents))
		times = append(times, float64(batch[k].documents)/batch[k].signing.Seconds()/r)
	}
	return BatchOther{What: o.what, AtOnce: runtime.NumCPU(), PerSecond: quartiles(rate), CPU: quartiles(cpu), Times: quartiles(times)}
}
