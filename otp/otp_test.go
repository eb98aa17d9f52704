package otp_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
)

var errDown = errors.New("down")

// records is otp.Records in memory with the rules of its contract.
type records struct {
	mu   sync.Mutex
	now  func() time.Time
	c    map[string]otp.Challenge
	ev   []audit.Event
	told []otp.Delivery
	fail error

	refused bool // what was withdrawn last
}

func (r *records) StoreChallenge(_ context.Context, c *otp.Challenge, p otp.Policy, ev audit.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, ok := r.c[c.Transaction]
	now := r.now()
	c.IssuedAt, c.ExpiresAt, c.ResendAfter, c.TriesLeft = now, now.Add(p.TTL), now.Add(p.ResendAfter), p.Tries
	switch {
	case r.fail != nil:
		return r.fail
	case ok && old.Redeemed:
		return otp.ErrUsed
	case ok && (c.IssuedAt.Before(old.ResendAfter) || old.Sends >= p.MaxSends):
		return &otp.RetryError{Err: otp.ErrResendTooSoon, After: old.ResendAfter.Sub(c.IssuedAt)}
	}
	c.Sends = old.Sends + 1
	r.c[c.Transaction], r.ev = *c, append(r.ev, ev)
	return nil
}

func (r *records) Withdraw(_ context.Context, c otp.Challenge, refused bool, ev audit.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.c[c.Transaction]
	if old.Nonce != c.Nonce || old.Redeemed {
		return nil
	}
	old.ExpiresAt, old.ResendAfter, old.TriesLeft, old.Sends = old.IssuedAt, old.IssuedAt, 0, old.Sends-1
	r.c[c.Transaction], r.ev, r.refused = old, append(r.ev, ev), refused
	return nil
}

func (r *records) Challenge(_ context.Context, tx string) (otp.Challenge, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.c[tx]
	if !ok {
		return otp.Challenge{}, otp.ErrUnknown
	}
	return c, nil
}

func (r *records) ReserveTry(_ context.Context, tx string, nonce [otp.NonceSize]byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.c[tx]
	switch {
	case c.Redeemed:
		return 0, otp.ErrUsed
	case c.Nonce != nonce:
		return c.TriesLeft, otp.ErrNonce
	case !r.now().Before(c.ExpiresAt):
		return c.TriesLeft, otp.ErrExpired
	case c.TriesLeft == 0:
		return 0, otp.ErrAttempts
	}
	c.TriesLeft--
	r.c[tx] = c
	return c.TriesLeft, nil
}

func (r *records) StoreDelivery(_ context.Context, tx string, nonce [otp.NonceSize]byte, d otp.Delivery, ev audit.Event) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told = append(r.told, d); d.State == otp.Refused {
		r.ev = append(r.ev, ev)
	}
	c := r.c[tx]
	return c.Nonce == nonce && !c.Redeemed, nil
}

func (r *records) tries(tx string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.c[tx].TriesLeft
}

// mac is the code key; it fails when down.
type mac struct{ down bool }

func (m *mac) MAC(_ context.Context, data []byte) ([]byte, error) {
	if m.down {
		return nil, errDown
	}
	h := hmac.New(sha256.New, []byte("code key"))
	h.Write(data)
	return h.Sum(nil), nil
}

// mailbox keeps the last message, and its code as it was when it came.
type mailbox struct {
	last otp.Message
	code string
	link string
	n    int
	fail error
}

func (m *mailbox) SendCode(_ context.Context, msg otp.Message) error {
	m.last, m.code, m.link = msg, string(msg.Code.Reveal()), string(msg.Link.Reveal())
	m.n++
	return m.fail
}

// codes counts what MemoryCodes is asked, and can fail.
type codes struct {
	*otp.MemoryCodes
	puts, drops int
	fail        error
}

func (c *codes) Put(ctx context.Context, key string, mac []byte, ttl time.Duration) error {
	c.puts++
	if c.fail != nil {
		return c.fail
	}
	return c.MemoryCodes.Put(ctx, key, mac, ttl)
}

func (c *codes) Drop(ctx context.Context, key string) error {
	c.drops++
	return c.MemoryCodes.Drop(ctx, key)
}

func (c *codes) Find(ctx context.Context, key string) error {
	if c.fail != nil {
		return c.fail
	}
	return c.MemoryCodes.Find(ctx, key)
}

type desk struct {
	*otp.Issuer
	now     time.Time
	records *records
	codes   *codes
	mac     *mac
	mail    *mailbox
}

func newDesk() *desk {
	d := &desk{now: time.Date(2026, 7, 1, 1, 2, 3, 456789123, time.FixedZone("MYT", 8*3600)), records: &records{c: map[string]otp.Challenge{}}, mac: &mac{}, mail: &mailbox{}}
	now := func() time.Time { return d.now }
	d.records.now, d.codes = func() time.Time { return d.now.UTC().Truncate(time.Microsecond) }, &codes{MemoryCodes: otp.NewMemoryCodes(now)}
	d.Issuer = &otp.Issuer{Records: d.records, Codes: d.codes, MAC: d.mac, Senders: map[string]otp.Sender{"email": d.mail}, Policy: otp.DefaultPolicy()}
	return d
}

var binding = otp.Binding{Transaction: "tx_1", Officer: "900101145678", Key: "cr_1", App: "igfmas", Purpose: "sign", Options: [32]byte{1}, Count: 3, Root: [32]byte{2}}

func (d *desk) issue(t *testing.T) otp.Challenge {
	t.Helper()
	c, err := d.Issue(context.Background(), binding, "email", "s•••@x", otp.Message{To: "s@x", Titles: []string{"a"}, Count: 3}, audit.Event{Action: "otp.issue"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (d *desk) check(nonce [otp.NonceSize]byte, code string) (int, error) {
	return d.Check(context.Background(), binding, nonce, secret.New(code))
}

// wrong is another code of six digits.
func wrong(code string) string { return string('0'+(code[0]-'0'+1)%10) + code[1:] }

func TestIssueAndCheck(t *testing.T) {
	d := newDesk()
	c := d.issue(t)
	at := d.now.UTC().Truncate(time.Microsecond)
	if c.Transaction != "tx_1" || c.Officer != binding.Officer || c.Channel != "email" || c.SentTo != "s•••@x" || !c.IssuedAt.Equal(at) || !c.ExpiresAt.Equal(at.Add(5*time.Minute)) ||
		!c.ResendAfter.Equal(at.Add(time.Minute)) || c.TriesLeft != 3 || c.Sends != 1 || c.Redeemed || c.Nonce == [otp.NonceSize]byte{} {
		t.Errorf("challenge %+v", c)
	}
	if m := d.mail.last; m.To != "s@x" || m.Count != 3 || !m.Expires.Equal(c.ExpiresAt) {
		t.Errorf("message %+v", m)
	}
	if form := regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`); !form.MatchString(d.mail.link) || c.Link != sha256.Sum256([]byte(d.mail.link)) || d.mail.last.Link.Len() != 0 {
		t.Errorf("the link's token %q, its hash %x; after sending %d characters of it are left", d.mail.link, c.Link, d.mail.last.Link.Len())
	}
	if d.mail.last.Code.Len() != 0 {
		t.Error("the code was not wiped after it was sent")
	}
	if len(d.records.ev) != 1 || d.records.ev[0].Action != "otp.issue" {
		t.Errorf("events %+v", d.records.ev)
	}
	left, err := d.check(c.Nonce, d.mail.code)
	if err != nil || left != 2 {
		t.Errorf("the right code: %d left, %v", left, err)
	}
	// Check does not spend the code: the intent's transaction does.
	if left, err := d.check(c.Nonce, d.mail.code); err != nil || left != 1 {
		t.Errorf("the right code again: %d left, %v", left, err)
	}
	if left, err := d.check(c.Nonce, wrong(d.mail.code)); !errors.Is(err, otp.ErrWrong) || left != 0 {
		t.Errorf("a wrong code: %d left, %v", left, err)
	}
	if _, err := d.check(c.Nonce, d.mail.code); !errors.Is(err, otp.ErrAttempts) {
		t.Errorf("a fourth try: %v", err)
	}
}

func TestCheckRefusesInOrder(t *testing.T) {
	d := newDesk()
	if _, err := d.check([otp.NonceSize]byte{}, "000000"); !errors.Is(err, otp.ErrUnknown) {
		t.Errorf("before any code: %v", err)
	}
	c := d.issue(t)
	code, ctx := d.mail.code, context.Background()
	other := c.Nonce
	other[15] ^= 1
	if left, err := d.check(other, code); !errors.Is(err, otp.ErrNonce) || left != 3 {
		t.Errorf("another nonce: %d left, %v", left, err)
	}
	for _, bad := range []string{"", code[:5], code + "0", " " + code, code + "\x00", "\u0660\u0660\u0660\u0660\u0660\u0660"} {
		d := newDesk()
		c := d.issue(t)
		if _, err := d.check(c.Nonce, bad); !errors.Is(err, otp.ErrWrong) {
			t.Errorf("code %q: %v", bad, err)
		}
	}
	// The HSM is away: the try is gone, the verdict is not "wrong".
	d.mac.down = true
	if left, err := d.check(c.Nonce, code); !errors.Is(err, otp.ErrMACUnavailable) || !errors.Is(err, errDown) || errors.Is(err, otp.ErrWrong) || left != 2 {
		t.Errorf("without the HSM: %d left, %v", left, err)
	}
	d.mac.down = false

	d.now = c.ExpiresAt.Add(-time.Microsecond)
	if left, err := d.check(c.Nonce, code); err != nil || left != 1 {
		t.Errorf("in the last microsecond: %d left, %v", left, err)
	}
	d.now = c.ExpiresAt
	if left, err := d.check(c.Nonce, code); !errors.Is(err, otp.ErrExpired) || left != 1 || d.records.tries("tx_1") != 1 {
		t.Errorf("expired: %d left, %v", left, err)
	}
	d.now = c.IssuedAt
	r := d.records.c["tx_1"]
	r.Redeemed = true
	d.records.c["tx_1"] = r
	for _, nonce := range [][otp.NonceSize]byte{c.Nonce, other} {
		if _, err := d.check(nonce, code); !errors.Is(err, otp.ErrUsed) {
			t.Errorf("redeemed: %v", err)
		}
	}
	if err := d.Forget(ctx, c); err != nil || d.codes.drops != 1 {
		t.Errorf("forgetting: %v, %d", err, d.codes.drops)
	}
}

// keeper is a code store whose clock stands still.
type keeper struct{ m map[string][]byte }

func (k keeper) Put(_ context.Context, key string, mac []byte, _ time.Duration) error {
	k.m[key] = mac
	return nil
}
func (k keeper) Find(context.Context, string) error                       { return nil }
func (k keeper) Try(_ context.Context, key string, _ int) ([]byte, error) { return k.m[key], nil }
func (k keeper) Drop(context.Context, string) error                       { return nil }

// The records' clock decides, whatever the code store still has.
func TestExpiredWhateverTheCodeStoreKeeps(t *testing.T) {
	d := newDesk()
	d.Codes = keeper{map[string][]byte{}}
	c := d.issue(t)
	for _, late := range []time.Duration{0, time.Microsecond, time.Minute, 24 * time.Hour} {
		d.now = c.ExpiresAt.Add(late)
		if left, err := d.check(c.Nonce, d.mail.code); !errors.Is(err, otp.ErrExpired) || left != 3 {
			t.Errorf("%v late: %d left, %v", late, left, err)
		}
	}
	d.now = c.IssuedAt
	if _, err := d.check(c.Nonce, d.mail.code); err != nil {
		t.Errorf("control: %v", err)
	}
}

// A code that nothing can be compared with costs no try, however often it is
// submitted, and no comparison comes of that; once there is no try left the
// database alone answers.
func TestAbsentCodeStoreCostsNoTry(t *testing.T) {
	d := newDesk()
	c := d.issue(t)
	d.codes.fail = fmt.Errorf("%w: away", otp.ErrCodesUnavailable)
	d.mac.down = true // what compares nothing does not need it
	for range 5 {
		for _, code := range []string{d.mail.code, wrong(d.mail.code)} {
			if left, err := d.check(c.Nonce, code); !errors.Is(err, otp.ErrCodesUnavailable) || left != 3 || d.records.tries("tx_1") != 3 {
				t.Errorf("away: %d left of %d, %v", left, d.records.tries("tx_1"), err)
			}
		}
	}
	d.codes.fail, d.mac.down = nil, false
	for left := 2; left >= 0; left-- {
		if got, err := d.check(c.Nonce, wrong(d.mail.code)); !errors.Is(err, otp.ErrWrong) || got != left {
			t.Errorf("back: %d left, want %d: %v", got, left, err)
		}
	}
	d.codes.fail = otp.ErrCodesUnavailable
	if _, err := d.check(c.Nonce, d.mail.code); !errors.Is(err, otp.ErrAttempts) {
		t.Errorf("without a try: %v", err)
	}
}

// leaver is Records whose caller goes away when the code is recorded.
type leaver struct {
	*records
	leave func()
}

func (l *leaver) StoreChallenge(ctx context.Context, c *otp.Challenge, p otp.Policy, ev audit.Event) error {
	defer l.leave()
	return l.records.StoreChallenge(ctx, c, p, ev)
}

// presentCodes refuses whoever went away.
type presentCodes struct{ otp.Codes }

func (p presentCodes) Put(ctx context.Context, key string, mac []byte, ttl time.Duration) error {
	return errors.Join(ctx.Err(), p.Codes.Put(ctx, key, mac, ttl))
}

// A code that is sent though nobody waits any more is where every node finds it.
func TestRecordedCodeIsKeptThoughNobodyWaits(t *testing.T) {
	d := newDesk()
	ctx, cancel := context.WithCancel(t.Context())
	d.Records, d.Codes = &leaver{d.records, cancel}, presentCodes{d.codes}
	c, err := d.Issue(ctx, binding, "email", "", otp.Message{}, audit.Event{})
	if err != nil || ctx.Err() == nil {
		t.Fatal(err)
	}
	if _, err := d.check(c.Nonce, d.mail.code); err != nil {
		t.Error(err)
	}
}

func TestLosingTheCodeMeansANewOne(t *testing.T) {
	d := newDesk()
	c := d.issue(t)
	d.codes.MemoryCodes = otp.NewMemoryCodes(func() time.Time { return d.now }) // restarted
	if _, err := d.check(c.Nonce, d.mail.code); !errors.Is(err, otp.ErrExpired) {
		t.Errorf("a lost code: %v", err)
	}
	d.now = d.now.Add(time.Minute)
	c = d.issue(t)
	if _, err := d.check(c.Nonce, d.mail.code); err != nil {
		t.Errorf("the new code: %v", err)
	}
}

func TestResendKillsTheOldCode(t *testing.T) {
	d := newDesk()
	first := d.issue(t)
	old := d.mail.code
	if _, err := d.Issue(context.Background(), binding, "email", "", otp.Message{}, audit.Event{}); !errors.Is(err, otp.ErrResendTooSoon) {
		t.Fatalf("at once: %v", err)
	}
	if _, err := d.check(first.Nonce, old); err != nil {
		t.Errorf("after a refused resend: %v", err)
	}
	var second otp.Challenge
	for { // once in a million the new code is the old one
		d.now = d.now.Add(time.Minute)
		d.records.c["tx_1"] = otp.Challenge{Transaction: "tx_1", Sends: 1}
		if second = d.issue(t); d.mail.code != old {
			break
		}
	}
	if second.Nonce == first.Nonce || second.Sends != 2 {
		t.Errorf("second challenge %+v", second)
	}
	if left, err := d.check(first.Nonce, old); !errors.Is(err, otp.ErrNonce) || left != 3 {
		t.Errorf("old nonce, old code: %d left, %v", left, err)
	}
	if left, err := d.check(first.Nonce, d.mail.code); !errors.Is(err, otp.ErrNonce) || left != 3 {
		t.Errorf("old nonce, new code: %d left, %v", left, err)
	}
	if left, err := d.check(second.Nonce, old); !errors.Is(err, otp.ErrWrong) || left != 2 {
		t.Errorf("new nonce, old code: %d left, %v", left, err)
	}
	if left, err := d.check(second.Nonce, d.mail.code); err != nil || left != 1 {
		t.Errorf("new nonce, new code: %d left, %v", left, err)
	}
}

func TestIssueFailsWhole(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		fail                func(d *desk)
		want                error
		stored, puts, mails int
	}{
		"no HSM":        {func(d *desk) { d.mac.down = true }, otp.ErrMACUnavailable, 0, 0, 0},
		"no database":   {func(d *desk) { d.records.fail = errDown }, errDown, 0, 0, 0},
		"limit":         {func(d *desk) { d.records.fail = &otp.RetryError{Err: otp.ErrTooManyCodes, After: time.Hour} }, otp.ErrTooManyCodes, 0, 0, 0},
		"no code store": {func(d *desk) { d.codes.fail = errDown }, errDown, 1, 1, 0},
		"no mail":       {func(d *desk) { d.mail.fail = errDown }, otp.ErrNotSent, 1, 1, 1},
		"no recipient":  {func(d *desk) { d.mail.fail = fmt.Errorf("550: %w", otp.ErrRefused) }, otp.ErrNotSent, 1, 1, 1},
	} {
		d := newDesk()
		c.fail(d)
		got, err := d.Issue(ctx, binding, "email", "", otp.Message{}, audit.Event{})
		if !errors.Is(err, c.want) || got != (otp.Challenge{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if len(d.records.c) != c.stored || d.codes.puts != c.puts || d.mail.n != c.mails {
			t.Errorf("%s: %d challenges, %d codes, %d mails", name, len(d.records.c), d.codes.puts, d.mail.n)
		}
		if name == "no code store" && (d.records.c["tx_1"].Sends != 0 || len(d.records.ev) != 2) {
			t.Errorf("a code that could not be kept was not withdrawn: %+v", d.records.c)
		}
		if c.mails == 0 {
			continue
		}
		if d.records.refused != (name == "no recipient") {
			t.Errorf("%s: withdrawn as refused: %v", name, d.records.refused)
		}
		if c := d.records.c["tx_1"]; c.Sends != 0 || len(d.records.ev) != 2 || d.records.ev[1].Action != "otp.withdraw" || d.records.ev[1].Verdict != audit.Noted {
			t.Errorf("it was not withdrawn: %+v, events %+v", c, d.records.ev)
		}
		// The code went nowhere: whoever guesses it finds nothing to compare with.
		if d.codes.drops != 1 {
			t.Error("the code was not dropped")
		}
		if _, err := d.check(d.records.c["tx_1"].Nonce, d.mail.code); !errors.Is(err, otp.ErrExpired) {
			t.Errorf("a code that was not sent: %v", err)
		}
	}
	retry := &otp.RetryError{Err: otp.ErrTooManyCodes, After: time.Hour}
	if retry.Error() != otp.ErrTooManyCodes.Error() || !errors.Is(retry, otp.ErrTooManyCodes) {
		t.Error("a RetryError does not say what it wraps")
	}
}

// A cancelled request must not keep a code alive that was not sent.
func TestDropsTheCodeEvenWhenCancelled(t *testing.T) {
	d := newDesk()
	ctx, cancel := context.WithCancel(context.Background())
	d.Senders["email"] = senderFunc(func(ctx context.Context, m otp.Message) error {
		cancel()
		return ctx.Err()
	})
	if _, err := d.Issue(ctx, binding, "email", "", otp.Message{}, audit.Event{}); !errors.Is(err, otp.ErrNotSent) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if d.codes.drops != 1 {
		t.Error("the code was not dropped")
	}
}

// A channel that nobody wired is no panic, and nothing is stored for it.
func TestNoSuchChannel(t *testing.T) {
	d := newDesk()
	if _, err := d.Issue(context.Background(), binding, "push", "", otp.Message{}, audit.Event{}); !errors.Is(err, otp.ErrNotSent) || len(d.records.c) != 0 || d.mail.n != 0 {
		t.Errorf("%v, %d challenges", err, len(d.records.c))
	}
}

// What the evidence says of the channel is what the code was made for.
func TestCodeIsBoundToItsChannel(t *testing.T) {
	d := newDesk()
	c := d.issue(t)
	for channel, want := range map[string]error{"push": otp.ErrWrong, "": otp.ErrWrong, "email": nil} {
		c.Channel, c.TriesLeft = channel, 3
		d.records.c["tx_1"] = c
		if _, err := d.check(c.Nonce, d.mail.code); !errors.Is(err, want) {
			t.Errorf("channel %q: %v", channel, err)
		}
	}
}

type senderFunc func(ctx context.Context, m otp.Message) error

func (f senderFunc) SendCode(ctx context.Context, m otp.Message) error { return f(ctx, m) }

func TestExactlyThreeTriesForFiftyCallers(t *testing.T) {
	for _, right := range []bool{false, true} {
		d := newDesk()
		c := d.issue(t)
		code := d.mail.code
		if !right {
			code = wrong(code)
		}
		start, errs := make(chan struct{}), make(chan error, 50)
		for range 50 {
			go func() {
				<-start
				_, err := d.check(c.Nonce, code)
				errs <- err
			}()
		}
		close(start)
		got := map[error]int{}
		for range 50 {
			got[<-errs]++
		}
		verdict := otp.ErrWrong
		if right {
			verdict = nil
		}
		if got[verdict] != 3 || got[otp.ErrAttempts] != 47 {
			t.Errorf("right %v: %v", right, got)
		}
	}
}

// Whoever can write to the database resets the tries there; the code store has
// counted, too.
func TestTriesAreCountedTwice(t *testing.T) {
	d := newDesk()
	c := d.issue(t)
	for k := range 10 {
		r := d.records.c["tx_1"]
		r.TriesLeft = 1000
		d.records.c["tx_1"] = r
		want := otp.ErrWrong
		if k >= 3 {
			want = otp.ErrAttempts
		}
		if _, err := d.check(c.Nonce, wrong(d.mail.code)); !errors.Is(err, want) {
			t.Errorf("try %d: %v, want %v", k+1, err, want)
		}
	}
	if _, err := d.check(c.Nonce, d.mail.code); !errors.Is(err, otp.ErrAttempts) {
		t.Errorf("the right code after all tries: %v", err)
	}
}

func TestMemoryCodes(t *testing.T) {
	ctx, now := context.Background(), time.Unix(1000, 0)
	m := otp.NewMemoryCodes(func() time.Time { return now })
	try := func(what, key string, want error) {
		t.Helper()
		got, err := m.Try(ctx, key, 4)
		if !errors.Is(err, want) || err == nil && !bytes.Equal(got, []byte{1, 2, 3}) || err != nil && got != nil {
			t.Errorf("%s: %v, %v; want %v", what, got, err, want)
		}
	}
	mac := []byte{1, 2, 3}
	if err := m.Put(ctx, "a", mac, time.Minute); err != nil {
		t.Fatal(err)
	}
	mac[0] = 9 // the store keeps a copy
	try("first", "a", nil)
	try("an absent key", "b", otp.ErrExpired)
	now = now.Add(time.Minute - 1)
	try("in the last nanosecond", "a", nil)
	now = now.Add(1)
	try("expired", "a", otp.ErrExpired)
	// A sweep removes what expired: going back in time does not revive it.
	mac[0] = 1
	now = now.Add(2 * time.Minute)
	if err := m.Put(ctx, "c", mac, time.Minute); err != nil {
		t.Fatal(err)
	}
	now = time.Unix(1000, 0)
	try("swept", "a", otp.ErrExpired)
	for range 4 {
		try("what lives", "c", nil)
	}
	try("a fifth of four tries", "c", otp.ErrAttempts)
	if err := m.Put(ctx, "c", mac, time.Minute); err != nil { // a new code, new tries
		t.Fatal(err)
	}
	try("put again", "c", nil)
	for range 2 {
		if err := m.Drop(ctx, "c"); err != nil {
			t.Fatal(err)
		}
		try("dropped", "c", otp.ErrExpired)
	}
}
