package batch_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

// another opens the database once more, as another process would.
type another func(t testing.TB) (db, again *store.DB)

func databases() map[string]another {
	return map[string]another{
		"SQLite": func(t testing.TB) (*store.DB, *store.DB) {
			db, path := storetest.SQLite(t)
			return db, storetest.OpenSQLite(t, path)
		},
		"PostgreSQL": func(t testing.TB) (*store.DB, *store.DB) {
			db, address := storetest.Postgres(t)
			return db, storetest.OpenPostgres(t, address)
		},
	}
}

// ended is what the audit tells of a batch around a deed of the CA.
type ended struct{ before, after, discarded int }

func (h *house) ended(t testing.TB, deed string) (e ended) {
	t.Helper()
	done := false
	count := func(r audit.Record, detail string) int {
		n, err := strconv.Atoi(r.Detail[detail])
		must(t, err)
		return n
	}
	for _, r := range storetest.Chain(t, h.DB) {
		switch {
		case r.Action == deed:
			done = true
		case r.Action == "signer.complete" && r.Verdict == audit.Accepted && done:
			e.after += count(r, "signed")
		case r.Action == "signer.complete" && r.Verdict == audit.Accepted:
			e.before += count(r, "signed")
		case r.Action == "signer.complete":
			e.discarded += count(r, "signed")
		case r.Action == "signer.discard" && r.Verdict == audit.Refused:
			e.discarded += count(r, "signatures")
		}
	}
	return e
}

const inBatch = 24

// whileSigning runs a batch during whose kth signature another process does a deed,
// and gives the signatures made and the run's error.
func (h *house) whileSigning(t testing.TB, a *signer.Authorization, k int, deed func() error) (made int, err error) {
	t.Helper()
	var once sync.Once
	var uses atomic.Int64
	done := make(chan struct{})
	h.Keys.OnSign = func(signer.Credential, []byte) error {
		n := int(uses.Add(1))
		if n >= k {
			once.Do(func() {
				go func() {
					defer close(done)
					if err := deed(); err != nil {
						t.Error(err)
					}
				}()
			})
		}
		if n > k+6 { // by then it is committed
			<-done
		}
		return nil
	}
	err = batch.NewRunner(h.s, 4, 3, quiet).Run(ctx, a)
	<-done
	h.Keys.OnSign = nil
	return int(uses.Load()), err
}

// A certificate is revoked, or suspended, by another process at any document of a
// running batch: nothing is completed afterwards, what was signed and not completed
// is discarded and audited, and the batch says why it ended. After a release the
// officer goes on with a new PIN and code.
func TestRevokedWhileSigning(t *testing.T) {
	for engine, open := range databases() {
		for _, kind := range []string{batch.Digest, batch.PDF} {
			for _, suspend := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/suspend=%v", engine, kind, suspend), func(t *testing.T) {
					total := ended{}
					for _, k := range []int{1, 3, 7, inBatch - 8, inBatch} {
						e := revokedAt(t, open, kind, suspend, k)
						total.before, total.after, total.discarded = total.before+e.before, total.after+e.after, total.discarded+e.discarded
					}
					t.Logf("signed before %d, made and discarded %d, signed after %d", total.before, total.discarded, total.after)
				})
			}
		}
	}
}

func revokedAt(t *testing.T, open another, kind string, suspend bool, k int) ended {
	db, again := open(t)
	h := newHouseOn(t, db)
	other, err := ca.Load(ctx, storetest.Profile(), h.Keys, again, h.Clock.Now)
	must(t, err)
	serial := h.Credential.Serial
	want, action, deed := signer.ErrCertificateRevoked, "ca.revoke", func() error { return other.Revoke(ctx, "admin", serial, 1) }
	if suspend {
		want, action, deed = signer.ErrCertificateOnHold, "ca.suspend", func() error { return other.Suspend(ctx, "admin", serial, "hilang") }
	}
	var id string
	ask := h.ask
	if kind == batch.Digest {
		id = h.sealed(t, inBatch)
	} else {
		id = h.create(t, kind)
		var files []any
		for n := range inBatch {
			files = append(files, fmt.Sprintf("%02d.pdf", n), storetest.PDF(fmt.Sprint("surat ", n)))
		}
		_, err := h.addPDFs(id, archive(t, files...))
		must(t, err)
		_, err = h.svc.Seal(ctx, h.App.ID, id, false, "r")
		must(t, err)
		ask = func(id string) signer.Ask {
			a := h.ask(id)
			a.Options = signer.Options{Format: signer.PADES}
			return a
		}
	}
	authorize := func() (*signer.Authorization, error) {
		r, c, err := h.s.Prepare(ctx, ask(id))
		if err != nil {
			return nil, err
		}
		return h.s.Authorize(ctx, h.Confirm(r, c))
	}
	a, err := authorize()
	must(t, err)
	made, err := h.whileSigning(t, a, k, deed)
	e := h.ended(t, action)
	b := h.batch(t, id)
	if e.after != 0 || int(b.Signed) != e.before || made != e.before+e.discarded {
		t.Errorf("at %d: %d made, %+v, %d are signed", k, made, e, b.Signed)
	}
	files, _ := filepath.Glob(filepath.Join(h.dir, "signed", "*", "*"))
	if kind == batch.PDF && len(files) != e.before {
		t.Errorf("at %d: %d signed files are kept of %d", k, len(files), e.before)
	}
	if err == nil { // it came after the last commit
		if b.Signed != inBatch || k+6 < inBatch {
			t.Errorf("at %d: the run ended well with %d", k, b.Signed)
		}
		return e
	}
	r, rerr := h.s.Request(ctx, a.Request.App, a.Request.ID)
	if !errors.Is(err, want) || rerr != nil || b.Status != batch.NeedsAuthorisation || r.Status != signer.NeedsAuthorisation || r.Ended != want.Error() {
		t.Errorf("at %d: %v; the batch is %s, the transaction %s (%s)", k, err, b.Status, r.Status, r.Ended)
	}
	if kind == batch.Digest {
		h.settled(t, id, e.before)
	}
	if _, err := authorize(); !errors.Is(err, want) {
		t.Errorf("at %d: asked again: %v", k, err)
	}
	switch err := other.Release(ctx, "admin", serial, "dijumpai"); {
	case !suspend:
		if !errors.Is(err, ca.ErrRevoked) {
			t.Errorf("at %d: released: %v", k, err)
		}
		if _, err := authorize(); !errors.Is(err, want) {
			t.Errorf("at %d: asked after a release that was refused: %v", k, err)
		}
	case err != nil:
		t.Error(err)
	default:
		a, err := authorize()
		must(t, err)
		if a.Request.Count != inBatch-uint32(e.before) {
			t.Errorf("at %d: asked for %d", k, a.Request.Count)
		}
		must(t, batch.NewRunner(h.s, 4, 3, quiet).Run(context.Background(), a))
		if b := h.batch(t, id); b.Signed != inBatch || b.Status != batch.Signed {
			t.Errorf("at %d: after the release %+v", k, b)
		}
	}
	return e
}
