package pdfbench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// NewKey makes a key of kind ("RSA-2048" or "P-256"; PKCS #8) and its certificate with its issuer, as
// PEM files in dir.
func NewKey(dir, kind string, now time.Time) (key, certificates string, err error) {
	p, err := newPKI(dir, kind, now)
	if err != nil {
		return "", "", fmt.Errorf("making %s keys: %w", kind, err)
	}
	return p.keyPath, p.certPath, nil
}

// Other is another program in several processes, each of which signs a document at a time.
type Other struct{ children []*child }

// StartOther starts n processes with a task each, whose outputs are files of their own in dir.
func StartOther(ctx context.Context, dir string, n int, program func() *exec.Cmd, t Task) (*Other, error) {
	o := &Other{}
	for k := range n {
		t.Output = filepath.Join(dir, fmt.Sprintf("other-%d.pdf", k))
		c, err := start(ctx, program(), t)
		if err != nil {
			return nil, errors.Join(err, o.Close())
		}
		o.children = append(o.children, c)
	}
	return o, nil
}

// Slice has them all sign for d, and adds up what they did; Seconds is the longest.
func (o *Other) Slice(d time.Duration) (sum Slice, err error) {
	all, errs := make([]Slice, len(o.children)), make([]error, len(o.children))
	var group sync.WaitGroup
	for k, c := range o.children {
		group.Go(func() { all[k], errs[k] = c.slice(d) })
	}
	group.Wait()
	for _, s := range all {
		sum.Documents, sum.CPU, sum.Operations = sum.Documents+s.Documents, sum.CPU+s.CPU, sum.Operations+s.Operations
		sum.Seconds = max(sum.Seconds, s.Seconds)
	}
	return sum, errors.Join(errs...)
}

// Close ends them.
func (o *Other) Close() (err error) {
	for _, c := range o.children {
		err = errors.Join(err, c.stop())
	}
	return err
}
