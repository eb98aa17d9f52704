package campaign_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

const (
	// pointsEnv names the file that says at which point what is to happen, see [points].
	pointsEnv = "MOHOR_CAMPAIGN_POINTS"
	// reversedEnv turns an order round, which must be found: reversedIntent or reversedFile.
	reversedEnv = "MOHOR_CAMPAIGN_REVERSED"

	reversedIntent = "intent" // the key is used before the intent is committed
	reversedFile   = "file"   // the document is said to be signed before its file is written
)

// What happens at a point.
const (
	dies = "kill" // SIGKILL
	eio  = "eio"  // the call gives EIO, once
)

// points are places on a document's way, in the gateway under test. Its file has one line, "POINT N WHAT":
// what is to happen when a point is passed for the Nth time since the line appeared. It is renamed
// to say that it did.
type points struct {
	path string

	mu     sync.Mutex
	line   string
	passed int
}

// pass is called at a point.
func (p *points) pass(point string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, err := os.ReadFile(p.path)
	if err != nil {
		return nil //nolint:nilerr // nothing is to happen
	}
	if string(b) != p.line {
		p.line, p.passed = string(b), 0
	}
	at, rest, _ := strings.Cut(strings.TrimSpace(p.line), "|")
	if at != point {
		return nil
	}
	n, what := 0, ""
	if _, err := fmt.Sscan(rest, &n, &what); err != nil {
		return fmt.Errorf("points: %q: %w", p.line, err)
	}
	if p.passed++; p.passed != n {
		return nil
	}
	if err := os.Rename(p.path, p.path+".passed"); err != nil {
		return err
	}
	if what == eio {
		return &os.PathError{Op: "write", Path: point, Err: syscall.EIO}
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// arm has something happen at the nth passing of a point.
func (r *rig) arm(t *testing.T, point string, n int, what string) {
	t.Helper()
	must(t, errors.Join(removeFile(r.points+".passed"), os.WriteFile(r.points+".new", fmt.Appendf(nil, "%s|%d %s\n", point, n, what), 0o600), os.Rename(r.points+".new", r.points)))
}

// disarm takes back what did not happen.
func (r *rig) disarm(t *testing.T) {
	t.Helper()
	must(t, removeFile(r.points))
}

func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// pointed puts the points between the parts of a gateway, in the child.
func pointed(path, reversed string) func(*gateway.Server) {
	p := &points{path: path}
	sqlite.RegisterConnectionHook(func(c sqlite.ExecQuerierContext, _ string) error {
		hooks, ok := c.(sqlite.HookRegisterer)
		if !ok {
			return errors.New("points: this driver has no hooks")
		}
		hooks.RegisterCommitHook(func() int32 {
			_ = p.pass("before commit") // it kills alone
			if p.pass("soon after commit") != nil {
				time.AfterFunc(3*time.Millisecond, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
			}
			return 0
		})
		return nil
	})
	return func(s *gateway.Server) {
		b := &pointedBlobs{Blobs: s.Signer.Blobs, p: p, late: reversed == reversedFile}
		r := &pointedRecords{Records: s.Signer.Records, p: p, blobs: b, late: reversed == reversedIntent}
		s.Signer.Records, s.Signer.Blobs, s.Signer.Keys = r, b, &pointedKeys{s.Signer.Keys, p, r}
	}
}

// around is a call between two points.
func (p *points) around(what string, f func() error) error {
	if err := p.pass("before " + what); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return p.pass("after " + what)
}

// pointedRecords are the commits on the way of a batch.
type pointedRecords struct {
	signer.Records
	p     *points
	blobs *pointedBlobs

	late bool // the key is used before its intent is recorded
	mu   sync.Mutex
	key  signer.Key // opened last
}

func (r *pointedRecords) CreateRequest(ctx context.Context, q *signer.Request, docs []signer.Document, ev audit.Event, code *signer.FirstCode) error {
	return r.p.around("request", func() error { return r.Records.CreateRequest(ctx, q, docs, ev, code) })
}

func (r *pointedRecords) CountPIN(ctx context.Context, ic string, policy signer.PINPolicy, now time.Time) (st signer.PINState, err error) {
	err = r.p.around("count of the PIN", func() error {
		st, err = r.Records.CountPIN(ctx, ic, policy, now)
		return err
	})
	return st, err
}

// early is how many signatures are made before an intent that is late.
const early = 20

func (r *pointedRecords) RecordIntent(ctx context.Context, in signer.Intent, nonce [otp.NonceSize]byte, officer string, n int, ev audit.Event) (claimed []signer.Claimed, err error) {
	if r.late {
		r.mu.Lock()
		key := r.key
		r.mu.Unlock()
		made := 0
		for d, err := range r.Pending(ctx, in.Batch) {
			if err != nil {
				return nil, err
			}
			if made == early {
				break
			}
			if _, err := key.SignAll(ctx, [][]byte{d.Digest}, d.Hash); err != nil {
				return nil, err
			}
			made++
		}
	}
	err = r.p.around("intent", func() error {
		claimed, err = r.Records.RecordIntent(ctx, in, nonce, officer, n, ev)
		return err
	})
	return claimed, err
}

func (r *pointedRecords) Complete(ctx context.Context, intent string, out []signer.Outcome, now time.Time, ev audit.Event) (done bool, err error) {
	err = r.p.around("completion", func() error {
		done, err = r.Records.Complete(ctx, intent, out, now, ev)
		return err
	})
	return done, errors.Join(err, r.blobs.flush(ctx))
}

func (r *pointedRecords) Abandon(ctx context.Context, intent string, ev audit.Event) error {
	return r.p.around("abandoning", func() error { return r.Records.Abandon(ctx, intent, ev) })
}

// pointedKeys are the calls of the module for officers' keys.
type pointedKeys struct {
	signer.Keys
	p *points
	r *pointedRecords
}

func (k *pointedKeys) Open(ctx context.Context, c signer.Credential, pin secret.Text, u signer.KeyUse) (key signer.Key, err error) {
	err = k.p.around("opening", func() error {
		key, err = k.Keys.Open(ctx, c, pin, u)
		return err
	})
	key = &pointedKey{key, k}
	k.r.mu.Lock()
	defer k.r.mu.Unlock()
	k.r.key = key
	return key, err
}

func (k *pointedKeys) Reopen(ctx context.Context, c signer.Credential, share secret.Text, sealed, context []byte, until time.Time) (key signer.Key, err error) {
	err = k.p.around("reopening", func() error {
		key, err = k.Keys.Reopen(ctx, c, share, sealed, context, until)
		return err
	})
	return &pointedKey{key, k}, err
}

type pointedKey struct {
	signer.Key
	k *pointedKeys
}

func (k *pointedKey) SignAll(ctx context.Context, digests [][]byte, opts crypto.SignerOpts) (signatures [][]byte, err error) {
	err = k.k.p.around("signature", func() error {
		signatures, err = k.Key.SignAll(ctx, digests, opts)
		return err
	})
	return signatures, err
}

func (k *pointedKey) Split(ctx context.Context, context []byte, until time.Time) (share secret.Text, sealed []byte, err error) {
	err = k.k.p.around("splitting", func() error {
		share, sealed, err = k.Key.Split(ctx, context, until)
		return err
	})
	return share, sealed, err
}

func (k *pointedKey) Close() error {
	return k.k.p.around("destruction", k.Key.Close)
}

// pointedBlobs are the files on the way.
type pointedBlobs struct {
	signer.Blobs
	p *points

	// late: a file is said to be there, and written when a completion is over.
	late    bool
	mu      sync.Mutex
	waiting map[string][]byte
}

// write is Create, or what else takes a name and a function that writes.
func (b *pointedBlobs) write(ctx context.Context, id string, write func(io.Writer) error, create func(context.Context, string, func(io.Writer) error) (int64, error)) (size int64, err error) {
	if b.late && strings.HasPrefix(id, "signed/") {
		var content bytes.Buffer
		if err := write(&content); err != nil {
			return 0, err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.waiting == nil {
			b.waiting = map[string][]byte{}
		}
		b.waiting[id] = content.Bytes()
		return int64(content.Len()), nil
	}
	err = b.p.around("file", func() error {
		size, err = create(ctx, id, func(w io.Writer) error {
			if err := write(&half{w: w, p: b.p}); err != nil {
				return err
			}
			return b.p.pass("file written, not renamed")
		})
		return err
	})
	return size, err
}

func (b *pointedBlobs) Create(ctx context.Context, id string, write func(io.Writer) error) (size int64, err error) {
	return b.write(ctx, id, write, b.Blobs.Create)
}

// Stage and Sync are for stores that make several files durable at once.
func (b *pointedBlobs) Stage(ctx context.Context, id string, write func(io.Writer) error) (size int64, err error) {
	return b.write(ctx, id, write, b.Blobs.(interface {
		Stage(context.Context, string, func(io.Writer) error) (int64, error)
	}).Stage)
}

func (b *pointedBlobs) Sync(ctx context.Context, ids ...string) error {
	if b.late {
		return nil
	}
	return b.p.around("sync", func() error {
		return b.Blobs.(interface {
			Sync(context.Context, ...string) error
		}).Sync(ctx, ids...)
	})
}

// flush writes what is late.
func (b *pointedBlobs) flush(ctx context.Context) (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, content := range b.waiting {
		_, werr := b.Blobs.Create(ctx, id, func(w io.Writer) error {
			_, err := w.Write(content)
			return err
		})
		err = errors.Join(err, werr)
	}
	b.waiting = nil
	return err
}

// half passes a point between two writes of a file.
type half struct {
	w io.Writer
	p *points
	n int
}

func (h *half) Write(b []byte) (int, error) {
	if h.n++; h.n == 2 {
		if err := h.p.pass("file half written"); err != nil {
			return 0, err
		}
	}
	return h.w.Write(b)
}
