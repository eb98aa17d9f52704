package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// headWriter signs the audit head and appends it to the head file.
type headWriter struct {
	i    *Installation
	log  *slog.Logger
	mu   sync.Mutex
	last audit.Head
	// broken ends signing: no head is to stand behind a chain found broken.
	broken bool
}

// believe reads the newest head and checks everything recorded since, so that
// a gateway never goes on behind a broken chain.
func (w *headWriter) believe(ctx context.Context) error {
	pub, err := readSeal(w.i.Dir)
	if err != nil {
		return err
	}
	f, err := os.Open(w.i.Config.Audit.Heads)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading audit heads: %w", err)
	}
	v := audit.NewVerifier(nil)
	if err == nil {
		defer f.Close()
		tail, err := lastHeads(f)
		if err != nil {
			return fmt.Errorf("reading audit heads: %w", err)
		}
		heads, err := audit.ReadHeads(tail, pub)
		if err != nil {
			return err
		}
		if n := len(heads); n > 0 {
			w.last = heads[n-1]
			v = audit.NewVerifierFrom(w.last)
		}
	}
	seen := false
	err = w.i.db.AuditRecords(ctx, max(0, w.last.Seq-1), func(r audit.Record) error {
		if r.Seq == w.last.Seq {
			seen = true
			if r.Hash != w.last.Hash {
				return &audit.BrokenError{Seq: r.Seq, What: "it is not the record whose hash was signed (chain rewritten)"}
			}
			return nil
		}
		return v.Add(r)
	})
	if err == nil && w.last.Seq > 0 && !seen {
		err = &audit.BrokenError{Seq: w.last.Seq, What: "missing, though a signed head covers it (truncated)"}
	}
	return err
}

// auditEvery is how often the whole audit chain is checked while serving.
const auditEvery = 24 * time.Hour

// check verifies the whole chain against all signed heads at once and then each
// day, until ctx ends or it is broken: a start looks only at what came after the
// last head. The error is an audit.ErrBroken.
func (w *headWriter) check(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		t.Reset(auditEvery)
		rep, err := verifyAudit(ctx, w.i.db, &w.i.Config, w.i.Dir, "")
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, audit.ErrBroken):
			w.mu.Lock()
			w.broken = true
			w.mu.Unlock()
			return fmt.Errorf("verifying the whole audit chain: %w", err)
		case errors.Is(err, fs.ErrNotExist): // no head was signed yet
			t.Reset(w.i.Config.Audit.Every)
		case err != nil:
			w.log.Error("verifying the whole audit chain", "error", err)
		default:
			w.log.Info("whole audit chain verified", "records", rep.Records, "heads", rep.Heads)
		}
	}
}

// headTail holds about twenty heads: how long a start takes must not depend on how many there are.
// `mohor audit verify` reads them all.
const headTail = 8 << 10

// lastHeads gives the whole lines of the end of the head file.
func lastHeads(f *os.File) (io.Reader, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	from := max(0, end-headTail)
	tail := make([]byte, end-from)
	if _, err := f.ReadAt(tail, from); err != nil && err != io.EOF {
		return nil, err
	}
	if from > 0 {
		n := bytes.IndexByte(tail, '\n')
		if n < 0 {
			return nil, errors.New("the head file does not hold lines")
		}
		tail = tail[n+1:]
	}
	return bytes.NewReader(tail), nil
}

// write signs the head when it has moved and makes it durable.
func (w *headWriter) write(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return nil
	}
	seq, hash, err := w.i.db.AuditHead(ctx)
	if err != nil || seq == w.last.Seq {
		return err
	}
	seal, err := w.i.hsm.Signer(sealKey)
	if err != nil {
		return fmt.Errorf("finding key %q: %w", sealKey, err)
	}
	h, err := audit.SignHead(seal, seq, hash, w.i.now())
	if err != nil {
		return err
	}
	line, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encoding audit head: %w", err)
	}
	if err := appendLine(w.i.Config.Audit.Heads, line); err != nil {
		return fmt.Errorf("writing audit head: %w", err)
	}
	w.last = h
	return nil
}

// Head implements enrol.Heads: heads stand in the file in the order of their records, so the one
// wanted is found by halving.
func (w *headWriter) Head(ctx context.Context, seq int64) (audit.Head, error) {
	w.mu.Lock()
	last, broken := w.last.Seq, w.broken
	w.mu.Unlock()
	if broken {
		return audit.Head{}, &audit.BrokenError{Seq: seq, What: "the chain was found broken, and no heads are signed any more"}
	}
	if last < seq {
		if err := w.write(ctx); err != nil {
			return audit.Head{}, err
		}
	}
	pub, err := readSeal(w.i.Dir)
	if err != nil {
		return audit.Head{}, err
	}
	f, err := os.Open(w.i.Config.Audit.Heads)
	if err != nil {
		return audit.Head{}, fmt.Errorf("reading audit heads: %w", err)
	}
	defer f.Close()
	end, err := wholeLines(f)
	if err != nil {
		return audit.Head{}, fmt.Errorf("reading audit heads: %w", err)
	}
	h, err := headFrom(f, end, seq)
	if err != nil {
		return h, fmt.Errorf("reading audit heads: %w", err)
	}
	if h.Seq < seq {
		return h, &audit.BrokenError{Seq: seq, What: "no signed head stands at it or behind it"}
	}
	return h, h.Verify(pub)
}

// headFrom is the first head of a file of end bytes whose record is not before seq; the last where
// there is none.
func headFrom(f io.ReaderAt, end, seq int64) (h audit.Head, err error) {
	read := func(from int64) *bufio.Reader { return bufio.NewReader(io.NewSectionReader(f, from, end-from)) }
	low := int64(0) // a line begins here, and all before it are of records before seq
	for high := end; high-low > 4096; {
		mid := low + (high-low)/2
		r := read(mid)
		skipped, err := r.ReadBytes('\n')
		if err != nil {
			return h, err
		}
		start := mid + int64(len(skipped))
		if start >= high {
			high = mid
			continue
		}
		line, err := r.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &h)
		}
		if err != nil {
			return h, err
		}
		if h.Seq < seq {
			low = start
		} else {
			high = mid
		}
	}
	for r := read(low); ; {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return h, nil
		}
		if err == nil {
			err = json.Unmarshal(line, &h)
		}
		if err != nil || h.Seq >= seq {
			return h, err
		}
	}
}

// appendLine adds a line durably. What a crash left of an unfinished line is
// ended first, so that it cannot swallow the new one; ReadHeads would stumble
// over it, so it is cut off instead.
func appendLine(path string, line []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := wholeLines(f)
	if err != nil {
		return err
	}
	if err := f.Truncate(end); err != nil {
		return err
	}
	if _, err := f.WriteAt(append(line, '\n'), end); err != nil {
		return err
	}
	return f.Sync()
}

// wholeLines is the length of the file up to its last newline.
func wholeLines(f *os.File) (int64, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return 0, err
	}
	tail := make([]byte, min(end, 4096))
	if _, err := f.ReadAt(tail, end-int64(len(tail))); err != nil {
		return 0, err
	}
	n := bytes.LastIndexByte(tail, '\n')
	if n < 0 && end > int64(len(tail)) {
		return 0, errors.New("the head file does not hold lines")
	}
	return end - int64(len(tail)) + int64(n) + 1, nil
}

// run writes heads until ctx ends, and one at the end.
func (w *headWriter) run(ctx context.Context) {
	t := time.NewTicker(w.i.Config.Audit.Every)
	defer t.Stop()
	for {
		if err := w.write(context.WithoutCancel(ctx)); err != nil {
			w.log.Error("signing audit head", "error", err)
		}
		select {
		case <-ctx.Done():
			if err := w.write(context.WithoutCancel(ctx)); err != nil {
				w.log.Error("signing audit head", "error", err)
			}
			return
		case <-t.C:
		}
	}
}
