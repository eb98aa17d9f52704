package notify

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/mohor-sign/mohor/otp"
)

// Why the Courier takes no message. Nothing was sent.
var (
	ErrQueueFull = errors.New("too many codes wait for the mail server")
	ErrStopping  = errors.New("stopping")
)

// What a field of CourierConfig that is 0 means.
const (
	defaultWorkers  = 8
	defaultMessages = 1000
	defaultBytes    = 4 << 20
	defaultPatience = 250 * time.Millisecond
)

// Back-off of a code: the first pause and the longest, each 25 % more or less.
const (
	codePause    = time.Second
	codePauseMax = 30 * time.Second
)

// reportFor bounds the storing of an outcome.
const reportFor = 10 * time.Second

// CourierConfig bounds a Courier.
type CourierConfig struct {
	Workers  int           // deliveries at once; 0 means 8
	Messages int           // that wait or are in work; 0 means 1000
	Bytes    int           // of memory they take, about; 0 means 4 MiB
	Patience time.Duration // how long SendCode waits for an outcome; 0 means 250 ms
	Now      func() time.Time
	Log      *slog.Logger
}

// Courier delivers codes from a queue in memory, and nowhere else: a code never
// touches a disk, and a crash loses it. What fails for now is tried again with
// growing pauses until the code expires. Close it.
type Courier struct {
	cfg    CourierConfig
	mail   otp.Sender
	ctx    context.Context // of deliveries
	cancel context.CancelFunc
	stop   chan struct{}
	wake   chan struct{} // one token a worker: something was put in
	wg     sync.WaitGroup

	mu       sync.Mutex
	stopping bool
	parcels  []*parcel
	bytes    int
}

var _ otp.Sender = (*Courier)(nil)

// parcel is a message in the queue. Fields but first are under Courier.mu or
// belong to the worker that has it.
type parcel struct {
	msg     otp.Message
	size    int
	expires time.Time // monotonic
	due     time.Time // monotonic
	pause   time.Duration
	working context.CancelFunc // ends the try under way; nil when it waits
	dead    bool               // taken out of the queue
	first   chan error         // the first outcome: nil for sent and deferred
}

// NewCourier starts a Courier that hands each message to mail, which makes one
// try: nil is sent, a *DeliveryError with a 5xx reply, ErrAddress and ErrMessage
// are refused for good, any other error is for now.
func NewCourier(mail otp.Sender, cfg CourierConfig) *Courier {
	for field, value := range map[*int]int{&cfg.Workers: defaultWorkers, &cfg.Messages: defaultMessages, &cfg.Bytes: defaultBytes} {
		if *field == 0 {
			*field = value
		}
	}
	if cfg.Patience == 0 {
		cfg.Patience = defaultPatience
	}
	c := &Courier{cfg: cfg, mail: mail, stop: make(chan struct{}), wake: make(chan struct{}, cfg.Workers)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for range cfg.Workers {
		c.wg.Go(c.work)
	}
	return c
}

// SendCode implements otp.Sender. It queues a copy of m and waits a moment: nil
// when the message was sent or will be tried again, the reason when it was
// refused for good, ErrQueueFull or ErrStopping when it was not taken. An older
// message for the same transaction is dropped.
func (c *Courier) SendCode(ctx context.Context, m otp.Message) error {
	p, err := c.put(m)
	if err != nil {
		return err
	}
	patience := time.NewTimer(c.cfg.Patience)
	defer patience.Stop()
	select {
	case err := <-p.first:
		return err
	case <-patience.C:
	case <-ctx.Done():
	}
	_, err = c.report(context.WithoutCancel(ctx), m, otp.Delivery{State: otp.Deferred})
	if err != nil {
		c.cfg.Log.Error("storing what became of a code's message", "transaction", m.Transaction, "error", err)
	}
	return nil
}

// Waiting is how many messages wait or are in work.
func (c *Courier) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.parcels)
}

// Close drops what waits, lets deliveries in work end until ctx does, cuts them
// off then, and ends the workers. Closing twice is no error.
func (c *Courier) Close(ctx context.Context) error {
	c.mu.Lock()
	if !c.stopping {
		c.stopping = true
		close(c.stop)
	}
	for _, p := range slices.Clone(c.parcels) {
		if p.working == nil {
			c.drop(p)
			p.settle(ErrStopping)
		}
	}
	c.mu.Unlock()
	defer context.AfterFunc(ctx, c.cancel)()
	c.wg.Wait()
	c.cancel()
	return nil
}

func (c *Courier) put(m otp.Message) (*parcel, error) {
	now := time.Now()
	// What is left of the code's life does not depend on this machine's clock.
	p := &parcel{msg: m.Copy(titlesShown), expires: now.Add(m.Expires.Sub(m.Issued)), due: now, pause: codePause, first: make(chan error, 1)}
	p.size = p.msg.Size()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, old := range slices.Clone(c.parcels) {
		if m.Transaction != "" && old.msg.Transaction == m.Transaction {
			c.drop(old)
		}
	}
	err := ErrStopping
	if !c.stopping {
		if err = ErrQueueFull; len(c.parcels) < c.cfg.Messages && c.bytes+p.size <= c.cfg.Bytes {
			err = nil
		}
	}
	if err != nil {
		p.msg.Wipe()
		return nil, err
	}
	c.parcels, c.bytes = append(c.parcels, p), c.bytes+p.size
	c.rouse()
	return p, nil
}

// drop takes p out of the queue; a try under way is cut off, and its worker
// wipes. The lock is held.
func (c *Courier) drop(p *parcel) {
	k := slices.Index(c.parcels, p)
	if k < 0 {
		return
	}
	c.parcels, c.bytes = slices.Delete(c.parcels, k, k+1), c.bytes-p.size
	p.dead = true
	if p.working != nil {
		p.working()
	} else {
		p.msg.Wipe()
	}
}

func (c *Courier) work() {
	idle := time.NewTimer(0)
	defer idle.Stop()
	for {
		p, ctx, wait := c.next()
		if p != nil {
			c.try(ctx, p)
			continue
		}
		idle.Reset(wait)
		select {
		case <-c.stop:
			return
		case <-c.wake:
		case <-idle.C:
		}
	}
}

// next takes the parcel that has been due longest, or says how long nothing is.
// Expired ones are dropped on the way.
func (c *Courier) next() (*parcel, context.Context, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, wait := time.Now(), time.Hour
	var best *parcel
	for _, p := range slices.Clone(c.parcels) {
		switch {
		case p.working != nil:
		case !now.Before(p.expires):
			c.drop(p)
			c.cfg.Log.Warn("a code expired before it was delivered", "transaction", p.msg.Transaction)
		case best == nil || p.due.Before(best.due):
			best = p
		}
	}
	if best == nil || c.stopping {
		return nil, nil, wait
	}
	if now.Before(best.due) {
		return nil, nil, best.due.Sub(now)
	}
	ctx, cancel := context.WithDeadline(c.ctx, best.expires)
	best.working = cancel
	// Others may be due, now or before this worker is back.
	c.rouse()
	return best, ctx, 0
}

// rouse has a worker look at the queue.
func (c *Courier) rouse() {
	select {
	case c.wake <- struct{}{}:
	default: // all of them are going to
	}
}

// settle tells the first outcome to SendCode, if it still waits.
func (p *parcel) settle(err error) {
	select {
	case p.first <- err:
	default: // a later outcome
	}
}

// try makes one delivery and settles what follows.
func (c *Courier) try(ctx context.Context, p *parcel) {
	err := c.mail.SendCode(ctx, p.msg)
	d := outcome(err)
	if d.State == otp.Refused {
		p.settle(err)
	} else {
		p.settle(nil)
	}
	rctx, cancel := context.WithTimeout(context.Background(), reportFor)
	wanted, rerr := c.report(rctx, p.msg, d)
	cancel()
	if rerr != nil {
		c.cfg.Log.Error("storing what became of a code's message", "transaction", p.msg.Transaction, "state", d.State, "reply", d.Reply, "error", rerr)
		wanted = true // not known
	}
	if err != nil {
		c.cfg.Log.Warn("a code was not delivered", "transaction", p.msg.Transaction, "state", d.State, "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.working() // frees the context
	p.working = nil
	switch {
	case p.dead:
		p.msg.Wipe()
	case d.State != otp.Deferred, !wanted, c.stopping:
		c.drop(p)
	default:
		p.due = time.Now().Add(jitter(p.pause))
		p.pause = min(2*p.pause, codePauseMax)
	}
}

// report stamps d and tells it; wanted is true when nobody asks.
func (c *Courier) report(ctx context.Context, m otp.Message, d otp.Delivery) (wanted bool, err error) {
	if m.Report == nil {
		return true, nil
	}
	d.At = c.cfg.Now()
	return m.Report(ctx, d)
}

// outcome tells a refusal for good from a failure for now.
func outcome(err error) otp.Delivery {
	var failure *DeliveryError
	switch {
	case err == nil:
		return otp.Delivery{State: otp.Sent}
	case errors.Is(err, ErrAddress), errors.Is(err, ErrMessage):
		return otp.Delivery{State: otp.Refused}
	case !errors.As(err, &failure):
		return otp.Delivery{State: otp.Deferred}
	case failure.Permanent():
		return otp.Delivery{State: otp.Refused, Reply: failure.Reply()}
	}
	return otp.Delivery{State: otp.Deferred, Reply: failure.Reply()}
}

func jitter(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2+1) }
