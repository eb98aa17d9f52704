package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/spool"
	"github.com/mohor-sign/mohor/internal/table"
)

const (
	// uploadPage is how many items, or refused rows, are handed to the queue at a time: one
	// transaction, for as long as which nobody else can write.
	uploadPage = 500
	// uploadEvery is how long an upload goes on without handing anything over, so that it is not
	// taken for dead while it stores large files.
	uploadEvery = 20 * time.Second
)

// upload is one intake. What is taken in goes to the queue in pages that nobody sees, so that memory
// does not grow with it; an upload of one page is one transaction, as most are. Until the last step
// nothing was taken in.
type upload struct {
	s      *Service
	b      Batch  // as it was
	id     string // of the upload; also of its folder
	folder string // of its own: another upload, at another gateway too, writes and removes nothing of this one

	page     Page
	handed   time.Time // when the last page was
	staged   bool
	accepted int
	got      Intake
}

// next is the index of the next item.
func (u *upload) next() uint32 { return u.b.Next + uint32(u.accepted) }

// accept takes in an item, whose index is next().
func (u *upload) accept(ctx context.Context, it Item) error {
	if u.accepted == maxItems {
		return tooMany("dokumen", "documents")
	}
	u.page.Items = append(u.page.Items, it)
	u.accepted++
	return u.full(ctx)
}

// refuse notes a row that is not taken in.
func (u *upload) refuse(ctx context.Context, r Refusal) error {
	if len(u.got.Refused) < MaxRefused {
		u.got.Refused = append(u.got.Refused, r)
	}
	u.got.RefusedCount++
	u.page.Refused = append(u.page.Refused, r)
	return u.full(ctx)
}

// full hands the page over when it is time. It is asked at every row, good or bad, taken in or only
// judged: who hands nothing over is taken for dead.
func (u *upload) full(ctx context.Context) error {
	if len(u.page.Items) < uploadPage && len(u.page.Refused) < uploadPage && u.s.Now().Sub(u.handed) < uploadEvery {
		return nil
	}
	return u.stage(ctx)
}

// sync makes the page's files durable, all at once, before a row names one.
func (u *upload) sync(ctx context.Context) error {
	var ids []string
	for k := range u.page.Items {
		if b := u.page.Items[k].Blob; b != "" {
			ids = append(ids, b)
		}
	}
	return u.s.Blobs.Sync(ctx, ids...)
}

func (u *upload) stage(ctx context.Context) error {
	if err := u.sync(ctx); err != nil {
		return err
	}
	if !u.staged {
		if err := u.s.Queue.ClaimIntake(ctx, u.b.ID, u.id); err != nil {
			return err
		}
		u.staged = true
	}
	if err := u.s.Queue.Stage(ctx, u.b.ID, u.id, u.page); err != nil {
		return err
	}
	u.page = Page{Items: u.page.Items[:0], Refused: u.page.Refused[:0], FirstRow: u.b.RefusedRows + uint32(u.got.RefusedCount)}
	u.handed = u.s.Now()
	return nil
}

// commit makes all of it the batch's.
func (u *upload) commit(ctx context.Context, ev audit.Event) error {
	ev.Detail = map[string]string{"accepted": strconv.Itoa(u.accepted), "refused": strconv.Itoa(u.got.RefusedCount)}
	if u.got.Encoding == table.Windows1252 || u.got.Encoding == table.UTF16 {
		ev.Detail["encoding"] = u.got.Encoding
	}
	if !u.staged {
		if err := u.sync(ctx); err != nil {
			return errors.Join(err, u.drop(ctx))
		}
		return u.s.Queue.AddItems(ctx, u.b.ID, u.page.Items, u.page.Refused, ev)
	}
	if err := u.stage(ctx); err != nil {
		return errors.Join(err, u.drop(ctx))
	}
	return u.s.Queue.CommitIntake(ctx, u.b.ID, u.id, u.b.Next, u.accepted, u.got.RefusedCount, ev)
}

// drop takes everything back.
func (u *upload) drop(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var err error
	if u.staged {
		err = u.s.Queue.DropIntake(ctx, u.b.ID, u.id)
	}
	return errors.Join(err, u.s.Blobs.Remove(ctx, u.folder))
}

// uploadFolder is where the files of an upload are; of one that inherited another's, that one's.
func uploadFolder(id, upload string) string {
	first, _, _ := strings.Cut(upload, heir)
	return "original/" + id + "/" + first
}

// heir stands behind the name of an upload that died in the name of who buries it, and dies too,
// perhaps.
const heir = "~"

// taker reads a spooled upload.
type taker func(ctx context.Context, u *upload, f *os.File, size int64) error

// add is the common shape of an upload: spool, judge, write blobs and rows, and then one change that
// makes all of it the batch's. Until that commits nothing was taken in; blobs of a failed upload lie
// in a folder that nothing names.
func (s *Service) add(ctx context.Context, app, id, requestID string, r io.Reader, takers map[string]taker) (Intake, error) {
	ev := audit.Event{At: s.Now(), Actor: "app:" + app, Action: "batch.intake", Object: id, Verdict: audit.Accepted, RequestID: requestID}
	_, unlock, err := s.hold(ctx, app, id)
	if err != nil {
		return Intake{}, s.refuse(ctx, ev, err)
	}
	defer unlock()
	got, err := s.intake(ctx, id, ev, r, takers)
	if err != nil {
		return Intake{}, s.refuse(ctx, ev, err)
	}
	return got, nil
}

func (s *Service) intake(ctx context.Context, id string, ev audit.Event, r io.Reader, takers map[string]taker) (Intake, error) {
	b, err := s.Queue.Batch(ctx, id)
	if err != nil {
		return Intake{}, err
	}
	take := takers[b.Kind]
	switch {
	case b.Status != Open:
		return Intake{}, ErrSealed
	case take == nil:
		return Intake{}, fmt.Errorf("%w: it takes %s", ErrKind, b.Kind)
	}
	f, size, err := spool.Copy(s.TempDir, r, s.MaxUpload)
	if err != nil {
		return Intake{}, err
	}
	defer f.Close()
	// Somebody may have sent for long: what others did to the batch meanwhile counts.
	if b, err = s.Queue.Batch(ctx, id); err != nil {
		return Intake{}, err
	}
	if b.Status != Open {
		return Intake{}, ErrSealed
	}
	if b.Intake != "" {
		if err := s.bury(ctx, id, b.Intake); err != nil {
			return Intake{}, err
		}
	}
	u := &upload{s: s, b: b, id: ident.New("up", 10), page: Page{FirstRow: b.RefusedRows}, handed: s.Now()}
	u.folder = uploadFolder(id, u.id)
	if err := take(ctx, u, f, size); err != nil {
		return Intake{}, errors.Join(err, u.drop(ctx))
	}
	// If it fails, perhaps it was committed and the answer lost: the files go with the batch.
	if err := u.commit(ctx, ev); err != nil {
		return Intake{}, err
	}
	u.got.Accepted = u.accepted
	return u.got, nil
}

// bury removes what an upload that died has left in a batch; ErrIntake if it lives, or was taken in
// meanwhile. First it makes sure that the upload, should it wake, cannot be taken in.
func (s *Service) bury(ctx context.Context, id, dead string) error {
	first, _, _ := strings.Cut(dead, heir)
	upload := ident.New(first+heir, 5)
	if err := s.Queue.InheritIntake(ctx, id, dead, upload); err != nil {
		return err
	}
	if err := s.Blobs.Remove(ctx, uploadFolder(id, upload)); err != nil { // before the last that names it
		return err
	}
	return s.Queue.DropIntake(ctx, id, upload)
}

// Sweep removes what uploads that died have left.
func (s *Service) Sweep(ctx context.Context) error {
	dead, err := s.Queue.LapsedIntakes(ctx)
	for id, upload := range dead {
		if e := s.bury(ctx, id, upload); !errors.Is(e, ErrIntake) {
			err = errors.Join(err, e)
		}
	}
	return err
}
