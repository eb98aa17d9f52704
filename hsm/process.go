package hsm

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mohor-sign/mohor/internal/secret"
)

// Process is a token that another process has open, with the methods of a [Module]. A module that
// crashes takes that process with it, and one that hangs is ended by ending it; in both cases, and
// whatever else becomes of it, another process is started, and keys that were open are opened again
// there. Meanwhile calls are refused with [ErrUnavailable] at once.
//
// The process that serves strangers then neither maps the module's library nor holds the log-in,
// keys, pepper or the KEK's handle: it can only ask, as the officers' PINs, or activations that run
// out, allow. It keeps the token PIN, for the next process.
type Process struct {
	cfg     Config
	command func() *exec.Cmd

	child atomic.Pointer[child] // nil while there is none

	mu         sync.Mutex
	closed     bool
	cause      error // why there is no child
	generation int
	tested     string          // KEK with which SelfTest or Canary was passed last, or ""
	life       context.Context // ends with Close
	stop       context.CancelFunc
	done       chan struct{} // closed when supervision has ended
}

// child is one process.
type child struct {
	cmd  *exec.Cmd
	rpc  *rpc.Client
	gone chan struct{} // closed when it has ended
}

// StartProcess starts a process and has it open the token as [Open] would, with Open's errors.
// Each command that command gives must, once started, call [ServeProcess] on file descriptor 3.
// cfg.OnHang is not used.
func StartProcess(ctx context.Context, cfg Config, command func() *exec.Cmd) (*Process, error) {
	cfg, err := cfg.completed()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cfg.PIN, cfg.Services.PIN = cfg.PIN.Copy(), cfg.Services.PIN.Copy()
	p := &Process{cfg: cfg, command: command, done: make(chan struct{})}
	p.life, p.stop = context.WithCancel(context.Background())
	c, err := p.start()
	if err != nil {
		p.stop()
		p.wipe()
		return nil, fmt.Errorf("opening token %q: %w", cfg.TokenLabel, err)
	}
	p.install(c)
	go p.supervise(c)
	return p, nil
}

func (p *Process) wipe() {
	p.cfg.PIN.Wipe()
	p.cfg.Services.PIN.Wipe()
}

// start starts a process and opens the token there. Opening is given as long as a module may take
// to connect, and then the process is ended.
func (p *Process) start() (*child, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "hsm"), os.NewFile(uintptr(fds[1]), "hsm")
	conn, err := net.FileConn(ours)
	err = errors.Join(err, ours.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making socket pair: %w", err), theirs.Close())
	}
	cmd := p.command()
	cmd.ExtraFiles = []*os.File{theirs}
	// Its own group: an interrupt at the terminal is for us, who have yet to end in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	err = errors.Join(err, theirs.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting process for the token: %w", err), conn.Close())
	}
	c := &child{cmd: cmd, rpc: rpc.NewClient(&impatient{conn, p.cfg.CallTimeout}), gone: make(chan struct{})}
	go func() {
		_ = c.cmd.Wait() // how it ended shows in what becomes of its calls
		_ = c.rpc.Close()
		close(c.gone)
	}()
	if err := p.open(c); err != nil {
		c.end(0)
		return nil, err
	}
	return c, nil
}

// impatient is a connection to a process that may have stopped reading. Who asks writes under a lock
// that all others wait for, so a write that does not end ends the connection.
type impatient struct {
	net.Conn
	wait time.Duration
}

func (c *impatient) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.wait)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	if err != nil {
		err = errors.Join(err, c.Close())
	}
	return n, err
}

func (p *Process) open(c *child) error {
	conf, err := json.Marshal(p.cfg)
	if err != nil {
		return fmt.Errorf("encoding configuration: %w", err)
	}
	w := &wireOpen{Config: conf, PIN: revealed(p.cfg.PIN), ServicesPIN: revealed(p.cfg.Services.PIN)}
	defer clear(w.PIN)
	defer clear(w.ServicesPIN)
	ctx, cancel := context.WithTimeout(p.life, 2*guardedCalls*p.cfg.CallTimeout)
	defer cancel()
	var reply wireError
	if err := c.call(ctx, "Open", w, &reply); err != nil {
		return fmt.Errorf("%w: process for the token: %w", ErrUnavailable, err)
	}
	return fromWire(reply)
}

// end ends the process: in order if it does so in time, else at once.
func (c *child) end(wait time.Duration) {
	_ = c.rpc.Close()
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-c.gone:
			return
		case <-timer.C:
		}
	}
	_ = c.cmd.Process.Kill()
	<-c.gone
}

func (p *Process) install(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.generation++
	p.cause = nil
	p.child.Store(c)
}

// Generation counts the processes that were started.
func (p *Process) Generation() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation
}

// aliveEvery is how often a process is asked for a sign of life. One that is stopped or starved for
// CallTimeout counts as hung; a module that hangs is noticed by the process itself.
const aliveEvery = time.Second

// supervise keeps a process running until Close.
func (p *Process) supervise(c *child) {
	defer close(p.done)
	for {
		if !p.attend(c) {
			c.end(p.cfg.AcquireTimeout + p.cfg.CallTimeout)
			return
		}
		p.child.Store(nil)
		p.mu.Lock()
		p.cause = fmt.Errorf("%w: process for the token ended: %s", ErrUnavailable, c.cmd.ProcessState)
		p.mu.Unlock()
		began := time.Now()
		p.cfg.Log.Error("process for the token ended", "generation", p.Generation(), "state", c.cmd.ProcessState.String())
		if p.cfg.NoRecovery {
			return
		}
		if c = p.restart(); c == nil {
			return
		}
		p.install(c)
		p.cfg.Log.Warn("process for the token started again", "generation", p.Generation(), "after", time.Since(began).Round(time.Millisecond))
	}
}

// attend waits until c has ended, and ends it when it does not answer; false when the Process was
// closed meanwhile.
func (p *Process) attend(c *child) bool {
	t := time.NewTicker(aliveEvery)
	defer t.Stop()
	for {
		select {
		case <-p.life.Done():
			return false
		case <-c.gone:
			return true
		case <-t.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), p.cfg.CallTimeout)
		err := c.call(ctx, "Alive", &wireNothing{}, &wireNothing{})
		cancel()
		if err != nil {
			p.cfg.Log.Error("process for the token does not answer", "pid", c.cmd.Process.Pid)
			c.end(0)
		}
	}
}

// restart starts processes until one has the token open and passes the self-test; nil when that is
// over for good.
func (p *Process) restart() *child {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		c, err := p.start()
		if err == nil {
			if err = p.retest(c); err == nil {
				return c
			}
			c.end(0)
		}
		p.mu.Lock()
		p.cause = err
		p.mu.Unlock()
		if errors.Is(err, ErrTokenPIN) {
			p.cfg.Log.Error("token PIN refused: it is not tried again; restart with the right PIN", "error", err)
			return nil
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-p.life.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// retest runs the self-test in a new process, if an earlier one passed it: it is another load of the
// library, and its canary has to be made.
func (p *Process) retest(c *child) error {
	p.mu.Lock()
	kek := p.tested
	p.mu.Unlock()
	if kek == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(p.life, slowCalls*p.cfg.CallTimeout)
	defer cancel()
	var reply wireError
	if err := c.call(ctx, "SelfTest", &wireLabel{Label: kek}, &reply); err != nil {
		return fmt.Errorf("%w: process for the token: %w", ErrUnavailable, err)
	}
	return fromWire(reply)
}

// Close closes the token and ends the process; see [Module.Close].
func (p *Process) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	p.closed = true
	p.mu.Unlock()
	p.stop()
	<-p.done
	p.child.Store(nil)
	p.wipe()
	return nil
}

// errGone: the process ended before it answered.
var errGone = errors.New("process ended")

// call asks c. Its errors: errGone, and those of ctx.
func (c *child) call(ctx context.Context, method string, args, reply any) error {
	call := c.rpc.Go("HSM."+method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		switch {
		case call.Error == nil:
			return nil
		case errors.Is(call.Error, rpc.ErrShutdown), errors.Is(call.Error, io.ErrUnexpectedEOF), errors.Is(call.Error, io.EOF):
			return errGone
		}
		return fmt.Errorf("%w: %w", errGone, call.Error)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// use gives the present process.
func (p *Process) use() (*child, error) {
	if c := p.child.Load(); c != nil {
		return c, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return nil, ErrClosed
	case p.cause != nil:
		return nil, fmt.Errorf("%w: being recovered: %w", ErrUnavailable, p.cause)
	}
	return nil, ErrUnavailable
}

// ask asks the present process; err points into reply.
func (p *Process) ask(ctx context.Context, method string, args, reply any, err *wireError) error {
	c, uerr := p.use()
	if uerr != nil {
		return uerr
	}
	return askChild(ctx, c, method, args, reply, err)
}

func askChild(ctx context.Context, c *child, method string, args, reply any, err *wireError) error {
	switch cerr := c.call(ctx, method, args, reply); {
	case errors.Is(cerr, errGone):
		return fmt.Errorf("%w: %w", ErrUnavailable, cerr)
	case cerr != nil:
		return cerr
	}
	return fromWire(*err)
}

// MAC is [Module.MAC].
func (p *Process) MAC(ctx context.Context, key MACKey, data []byte) ([]byte, error) {
	var reply wireBytes
	if err := p.ask(ctx, "MAC", &wireMAC{key, data}, &reply, &reply.Err); err != nil {
		return nil, err
	}
	return reply.Bytes, nil
}

// SelfTest is [Module.SelfTest]. Once it or Canary was passed, every later process must pass it with
// that KEK.
func (p *Process) SelfTest(ctx context.Context, kek string) error {
	return p.prove(ctx, "SelfTest", kek)
}

// Canary is [Module.Canary].
func (p *Process) Canary(ctx context.Context, kek string) error { return p.prove(ctx, "Canary", kek) }

func (p *Process) prove(ctx context.Context, method, kek string) error {
	var reply wireError
	err := p.ask(ctx, method, &wireLabel{Label: kek}, &reply, &reply)
	if err == nil {
		p.mu.Lock()
		p.tested = kek
		p.mu.Unlock()
	}
	return err
}

// BulkSessions is [Module.BulkSessions].
func (p *Process) BulkSessions(ctx context.Context) (int, error) {
	var reply wireCount
	if err := p.ask(ctx, "BulkSessions", &wireNothing{}, &reply, &reply.Err); err != nil {
		return 0, err
	}
	return reply.N, nil
}

// Keys is [Module.Keys].
func (p *Process) Keys(ctx context.Context) ([]KeyInfo, error) {
	var reply wireKeys
	if err := p.ask(ctx, "Keys", &wireNothing{}, &reply, &reply.Err); err != nil {
		return nil, err
	}
	return reply.Keys, nil
}

// Signer is [Module.Signer].
func (p *Process) Signer(label string) (crypto.Signer, error) {
	if err := checkSignerLabel(label); err != nil {
		return nil, err
	}
	var reply wirePublic
	if err := p.ask(context.Background(), "Signer", &wireLabel{Label: label}, &reply, &reply.Err); err != nil {
		return nil, err
	}
	pub, err := parsePublic(reply.DER)
	if err != nil {
		return nil, err
	}
	return &remoteSigner{p, label, pub, reply.DER}, nil
}

// EnsureSigner is [Module.EnsureSigner].
func (p *Process) EnsureSigner(ctx context.Context, label string, alg Algorithm) (made bool, err error) {
	var reply wireMade
	if err := p.ask(ctx, "EnsureSigner", &wireLabel{Label: label, Algorithm: alg}, &reply, &reply.Err); err != nil {
		return false, err
	}
	return reply.Made, nil
}

type remoteSigner struct {
	p      *Process
	label  string
	public crypto.PublicKey
	der    []byte // SubjectPublicKeyInfo
}

// one gives the signature of the one digest that was sent.
func one(sigs [][]byte) ([]byte, error) {
	if len(sigs) != 1 {
		return nil, fmt.Errorf("%w: %d signatures of one digest", ErrUnavailable, len(sigs))
	}
	return sigs[0], nil
}

func (k *remoteSigner) Public() crypto.PublicKey { return k.public }

func (k *remoteSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	w, err := newWireSign(k.public, opts, digest)
	if err != nil {
		return nil, err
	}
	w.Label, w.Public = k.label, k.der
	var reply wireSignatures
	if err := k.p.ask(context.Background(), "ServiceSign", w, &reply, &reply.Err); err != nil {
		return nil, err
	}
	return one(reply.Signatures)
}

// Generate is [Module.Generate].
func (p *Process) Generate(ctx context.Context, kek string, b Binding, subject []byte, pin secret.Text) (s SealedKey, request *x509.CertificateRequest, err error) {
	w := &wireUnseal{KEK: kek, Binding: b, Subject: subject, PIN: revealed(pin)}
	defer clear(w.PIN)
	var reply wireSealed
	if err := p.ask(ctx, "Generate", w, &reply, &reply.Err); err != nil {
		return s, nil, err
	}
	if request, err = x509.ParseCertificateRequest(reply.Request); err != nil {
		return s, nil, err
	}
	return s, request, s.UnmarshalText(reply.Sealed)
}

// ChangePIN is [Module.ChangePIN].
func (p *Process) ChangePIN(ctx context.Context, b Binding, s SealedKey, pub crypto.PublicKey, old, new secret.Text) (Binding, SealedKey, error) {
	w, err := newWireUnseal(b, s, pub, old)
	if err != nil {
		return b, SealedKey{}, err
	}
	w.New = revealed(new)
	defer clear(w.PIN)
	defer clear(w.New)
	var reply wireSealed
	if err := p.ask(ctx, "ChangePIN", w, &reply, &reply.Err); err != nil {
		return b, SealedKey{}, err
	}
	var changed SealedKey
	if err := changed.UnmarshalText(reply.Sealed); err != nil {
		return b, SealedKey{}, err
	}
	return reply.Binding, changed, nil
}

func newWireUnseal(b Binding, s SealedKey, pub crypto.PublicKey, pin secret.Text) (*wireUnseal, error) {
	if !b.Algorithm.matches(pub) {
		return nil, fmt.Errorf("%w: public key is not %s", ErrInput, string(b.Algorithm))
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("%w: public key", ErrInput)
	}
	text, err := s.MarshalText()
	if err != nil {
		return nil, err
	}
	return &wireUnseal{Binding: b, Sealed: text, Public: der, PIN: revealed(pin)}, nil
}

// Unseal is [Module.Unseal]. The key outlives the process it is opened in.
func (p *Process) Unseal(ctx context.Context, b Binding, s SealedKey, pub crypto.PublicKey, pin secret.Text, u Use) (*Key, error) {
	w, err := newWireUnseal(b, s, pub, pin)
	if err != nil {
		return nil, err
	}
	defer clear(w.PIN)
	w.Use = u
	k := &remoteKey{p: p, public: pub, der: w.Public, use: u}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := k.open("Unseal", w); err != nil {
		return nil, err
	}
	return &Key{pub, k}, nil
}

// Reopen is [Module.Reopen].
func (p *Process) Reopen(ctx context.Context, share secret.Text, sealed, context []byte, pub crypto.PublicKey, u Use) (*Key, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("%w: public key", ErrInput)
	}
	w := &wireReopen{Share: revealed(share), Sealed: sealed, Context: context, Public: der, Use: u}
	defer clear(w.Share)
	k := &remoteKey{p: p, public: pub, der: der, use: u}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := k.open("Reopen", w); err != nil {
		return nil, err
	}
	return &Key{pub, k}, nil
}

// remoteKey is a key opened in another process.
type remoteKey struct {
	p      *Process
	public crypto.PublicKey
	der    []byte
	use    Use

	mu            sync.RWMutex // held for reading while signing
	child         *child       // in which id is worth something
	id            uint64
	share, sealed []byte // opens it again in the next child
	closed        bool
}

// open has the present child open the key. Called before k is shared, or with k.mu held. It does
// not end with a context, which could leave a key behind; it is over when the child says so.
func (k *remoteKey) open(method string, args any) error {
	c, err := k.p.use()
	if err != nil {
		return err
	}
	var reply wireKey
	if err := askChild(context.Background(), c, method, args, &reply, &reply.Err); err != nil {
		return err
	}
	k.child, k.id, k.share, k.sealed = c, reply.Key, reply.Share, reply.Sealed
	return nil
}

func (k *remoteKey) signDigests(ctx context.Context, digests [][]byte, opts crypto.SignerOpts) ([][]byte, error) {
	w, err := newWireSign(k.public, opts, digests...)
	if err != nil {
		return nil, err
	}
	sigs, at, err := k.sign(ctx, w)
	if errors.Is(err, errGone) {
		if err := k.again(at); err != nil {
			return nil, err
		}
		sigs, _, err = k.sign(ctx, w)
	}
	if n := len(sigs); n > len(digests) || err == nil && n < len(digests) {
		return nil, fmt.Errorf("%w: %d signatures of %d digests", ErrUnavailable, n, len(digests))
	}
	return sigs, err
}

func (k *remoteKey) sign(ctx context.Context, w *wireSign) ([][]byte, *child, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		return nil, nil, ErrClosed
	}
	w.Key = k.id
	var reply wireSignatures
	if err := askChild(ctx, k.child, "Sign", w, &reply, &reply.Err); err != nil {
		var told *remoteError
		if errors.As(err, &told) {
			return reply.Signatures, k.child, err
		}
		return nil, k.child, err // the reply may still come
	}
	return reply.Signatures, k.child, nil
}

// again opens the key in the present child, unless another goroutine did.
func (k *remoteKey) again(dead *child) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return ErrClosed
	}
	if k.child != dead {
		return nil
	}
	w := &wireReopen{Share: slices.Clone(k.share), Sealed: k.sealed, Context: processContext, Public: k.der, Use: k.use}
	defer clear(w.Share)
	return k.open("Reopen", w)
}

func (k *remoteKey) activation(ctx context.Context, context []byte, until time.Time) (share secret.Text, sealed []byte, err error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		return share, nil, ErrClosed
	}
	var reply wireKey
	if err := askChild(ctx, k.child, "Activate", &wireActivate{k.id, context, until}, &reply, &reply.Err); err != nil {
		return share, nil, err
	}
	return secret.NewBytes(reply.Share), reply.Sealed, nil
}

func (k *remoteKey) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil
	}
	k.closed = true
	return k.shut()
}

// shut closes the key in its child; a child that is gone has no key.
func (k *remoteKey) shut() error {
	clear(k.share)
	ctx, cancel := context.WithTimeout(context.Background(), k.p.cfg.AcquireTimeout+k.p.cfg.CallTimeout)
	defer cancel()
	var reply wireError
	err := askChild(ctx, k.child, "CloseKey", &wireSign{Key: k.id}, &reply, &reply)
	if errors.Is(err, errGone) || errors.Is(err, context.DeadlineExceeded) {
		return nil // ended, or about to be
	}
	return err
}
