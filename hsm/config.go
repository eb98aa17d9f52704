package hsm

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/secret"
)

// Config says which token to open and how much of it to use.
type Config struct {
	// Module is the path of the PKCS#11 library; see [DefaultModule].
	Module string
	// TokenLabel is CKA_LABEL of the token, 1 to 32 bytes of printable ASCII.
	TokenLabel string
	// PIN is the token PIN (CKU_USER), never an officer's. Open keeps a copy for a later log-in
	// and wipes it in Close.
	PIN secret.Text
	// Sessions is the number of sessions for custody and HMAC, 1 to 1024; 0 means 4 per core,
	// which is right for SoftHSM. A network HSM gains up to 30 to 60. Signing keys use
	// Sessions/4, at least 2, on top, and one session holds the log-in.
	Sessions int
	// Interactive is how many of the sessions stay free for people who wait: keys opened with
	// [Use.Bulk] leave that many alone. 0 means a quarter, at least 1 (of one session, none).
	Interactive int
	// AcquireTimeout bounds each wait for a session or for the key derivation; 0 means 5 s.
	AcquireTimeout time.Duration
	// CallTimeout is how long the module may take over one piece of work (making a key pair:
	// twelve times as long) before it counts as hung; 0 means 4 s.
	CallTimeout time.Duration
	// RecycleAfter is the number of opened keys after which the module is finalized and
	// initialised again, without anyone noticing more than a pause; 0 means 20,000, negative
	// never. SoftHSM does not free what it knows of a destroyed key, about 240 bytes.
	RecycleAfter int
	// NoRecovery leaves a lost module lost, as a control in tests of the recovery.
	NoRecovery bool
	// OnHang is called, once, when the module hangs. A call into the module cannot be ended,
	// only the process can: [ServeProcess] ends it. nil does nothing; the Module then answers
	// [ErrUnavailable] until the call comes back by itself.
	OnHang func(what string) `json:"-"`
	// Log hears of losses and recoveries; nil discards.
	Log *slog.Logger `json:"-"`
	// Services, if its label is set, is another token of the same module for the signing keys of
	// [Module.Signer].
	Services Token
	// KDF is used for keys sealed from now on; zero means [DefaultKDF].
	KDF KDFParams
	// KDFConcurrency is how many key derivations run at once; 0 means one per core, but no more
	// than KDF.MemoryKiB of each take an eighth of this machine's memory. Memory in use is at most
	// this times KDF.MemoryKiB (or of the stored keys, at most 256 MiB each).
	KDFConcurrency int
	// Bench leaves Argon2id out, so that the rest of custody can be measured without it. It is
	// refused but for a token labelled "mohor-bench-…", which nobody signs with. Keys sealed so
	// open in no other Module, and keys sealed elsewhere do not open in this one, PIN or not.
	Bench bool
}

// Token is a token and its user PIN.
type Token struct {
	Label string      // CKA_LABEL, 1 to 32 bytes of printable ASCII
	PIN   secret.Text // copied and wiped as Config.PIN
}

// KDFParams are the parameters of Argon2id (RFC 9106), stored with each sealed key.
type KDFParams struct {
	MemoryKiB uint32 `json:"m"` // memory in KiB, 1,024 to 262,144
	Time      uint32 `json:"t"` // passes, 1 to 16
	Threads   uint8  `json:"p"` // lanes, 1 to 8
}

// DefaultKDF is Argon2id with 19 MiB, two passes, one lane: about 26 ms of one core.
var DefaultKDF = KDFParams{MemoryKiB: 19 << 10, Time: 2, Threads: 1}

func (p KDFParams) check() error {
	if p.MemoryKiB < 1<<10 || p.MemoryKiB > 256<<10 || p.Time < 1 || p.Time > 16 || p.Threads < 1 || p.Threads > 8 {
		return fmt.Errorf("%w: Argon2id parameters m=%d t=%d p=%d out of bounds", ErrInput, p.MemoryKiB, p.Time, p.Threads)
	}
	return nil
}

const (
	defaultAcquireTimeout = 5 * time.Second
	defaultCallTimeout    = 4 * time.Second
	defaultRecycleAfter   = 20_000
	slowCalls             = 12 // times CallTimeout, for making a key pair
	maxSessions           = 1024
)

// BenchLabel is how the label of a token begins that is made to be measured and thrown away.
const BenchLabel = "mohor-bench-"

var tokenLabel = regexp.MustCompile(`^[!-~]([ -~]{0,30}[!-~])?$`)

// completed fills in the defaults and refuses what cannot be.
func (c Config) completed() (Config, error) {
	if c.Sessions == 0 {
		c.Sessions = 4 * runtime.NumCPU()
	}
	if c.AcquireTimeout == 0 {
		c.AcquireTimeout = defaultAcquireTimeout
	}
	if c.Interactive == 0 {
		c.Interactive = min(max(1, c.Sessions/4), c.Sessions-1)
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = defaultCallTimeout
	}
	if c.RecycleAfter == 0 {
		c.RecycleAfter = defaultRecycleAfter
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.KDF == (KDFParams{}) {
		c.KDF = DefaultKDF
	}
	if c.KDFConcurrency == 0 {
		c.KDFConcurrency = runtime.NumCPU()
		if total := memory(); total > 0 && c.KDF.check() == nil {
			c.KDFConcurrency = max(1, min(c.KDFConcurrency, int(total/8/(int64(c.KDF.MemoryKiB)<<10))))
		}
	}
	switch {
	case c.Sessions < 1 || c.Sessions > maxSessions:
		return c, fmt.Errorf("%w: %d sessions", ErrInput, c.Sessions)
	case c.Interactive < 0 || c.Interactive >= max(c.Sessions, 1) && c.Interactive > 0:
		return c, fmt.Errorf("%w: %d of %d sessions kept for interactive use", ErrInput, c.Interactive, c.Sessions)
	case c.CallTimeout < 0:
		return c, fmt.Errorf("%w: call timeout %v", ErrInput, c.CallTimeout)
	case c.Services.Label != "" && (!tokenLabel.MatchString(c.Services.Label) || c.Services.Label == c.TokenLabel):
		return c, fmt.Errorf("%w: label %q of the token for service keys", ErrInput, c.Services.Label)
	case c.Services.Label != "" && c.Services.PIN.Len() == 0:
		return c, fmt.Errorf("%w: no PIN for token %q", ErrInput, c.Services.Label)
	case c.AcquireTimeout < 0:
		return c, fmt.Errorf("%w: acquire timeout %v", ErrInput, c.AcquireTimeout)
	case c.KDFConcurrency < 1 || c.KDFConcurrency > maxSessions:
		return c, fmt.Errorf("%w: %d key derivations at once", ErrInput, c.KDFConcurrency)
	case !tokenLabel.MatchString(c.TokenLabel):
		return c, fmt.Errorf("%w: token label %q", ErrInput, c.TokenLabel)
	case c.Bench && !strings.HasPrefix(c.TokenLabel, BenchLabel):
		return c, fmt.Errorf("%w: bench on token %q", ErrInput, c.TokenLabel)
	case c.PIN.Len() == 0:
		return c, fmt.Errorf("%w: no token PIN", ErrInput)
	}
	if err := c.KDF.check(); err != nil {
		return c, err
	}
	// One library under two names would be initialised twice.
	path, err := filepath.EvalSymlinks(c.Module)
	if err != nil {
		return c, fmt.Errorf("%w at %q: %w", ErrNoModule, c.Module, err)
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return c, fmt.Errorf("%w at %q: not a file", ErrNoModule, c.Module)
	}
	if c.Module, err = filepath.Abs(path); err != nil {
		return c, fmt.Errorf("%w at %q: %w", ErrNoModule, c.Module, err)
	}
	return c, nil
}

// softHSM lists where distributions put SoftHSM's library.
var softHSM = []string{
	"/usr/lib/softhsm/libsofthsm2.so",
	"/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib64/softhsm/libsofthsm2.so",
	"/usr/lib64/pkcs11/libsofthsm2.so",
	"/usr/local/lib/softhsm/libsofthsm2.so",
	"/opt/homebrew/lib/softhsm/libsofthsm2.so",
}

// DefaultModule gives the path of SoftHSM's library on this machine, for development and tests,
// or ErrNoModule. SoftHSM wants SOFTHSM2_CONF in the environment before [Open] or [CreateToken]
// loads it; softhsm-config writes that file.
func DefaultModule() (string, error) {
	for _, path := range softHSM {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: SoftHSM is not installed (Debian: apt install softhsm2)", ErrNoModule)
}

// memory is that of this machine in bytes, 0 where it cannot be known.
func memory() int64 {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	var kib int64
	if n, _ := fmt.Sscanf(string(raw), "MemTotal: %d kB", &kib); n != 1 {
		return 0
	}
	return kib << 10
}
