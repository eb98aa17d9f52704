package hsm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"github.com/miekg/pkcs11"

	"github.com/mohor-sign/mohor/internal/secret"
)

// Probe says which token [Conform] examines.
type Probe struct {
	Module     string      // path of the PKCS#11 library
	TokenLabel string      // CKA_LABEL of the token
	PIN        secret.Text // CKU_USER, tried once
	// Reserved is handed to C_Initialize as pReserved, for modules that take their configuration
	// there (NSS softokn); empty for all others.
	Reserved string
}

// Conformance is the outcome of one row of the conformance program.
type Conformance struct {
	Row     string        `json:"row"`
	Needed  bool          `json:"needed"`  // Mohor cannot do without
	Verdict string        `json:"verdict"` // one of the constants below
	Detail  string        `json:"detail,omitempty"`
	Took    time.Duration `json:"took_ns"`
}

// Verdicts of a row. Only the process that started the one in which the module runs can give the
// last three.
const (
	Supported = "supported"
	Missing   = "missing"
	Unsafe    = "UNSAFE" // the module let happen what must not
	Crashed   = "CRASHED"
	Hung      = "HUNG"
	NotRun    = "not run"
)

// Good tells whether Mohor can live with the outcome.
func (c Conformance) Good() bool {
	return c.Verdict == Supported || !c.Needed && (c.Verdict == Missing || c.Verdict == NotRun)
}

// ConformanceRows gives the rows in the order in which Conform goes through them, without a
// verdict. All others stand on the first [ConformanceFoundation]: when one of these fails, the
// rest is not run.
func ConformanceRows() []Conformance {
	var out []Conformance
	for _, r := range conformanceRows() {
		out = append(out, Conformance{Row: r.name, Needed: r.needed, Verdict: NotRun})
	}
	return out
}

// ConformanceFoundation is how many rows all others stand on.
const ConformanceFoundation = 3

// Conform takes a module through all that the custody of keys needs, with keys of its own
// (labels "mohor-check-…", removed before and after each row) and nobody else's. It reports each
// row from number from on, before and after it: a row may end the process, when the module
// crashes, or never end, so this is to be run in a process of its own and to be continued in
// another from the row behind. The error is for what is not a matter of the module; no Module of
// the same library may be open in this process.
func Conform(ctx context.Context, p Probe, from int, begin func(row int), done func(row int, c Conformance)) error {
	c := &conformance{probe: p}
	defer c.close()
	for i, r := range conformanceRows() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i < from && i >= ConformanceFoundation {
			continue
		}
		begin(i)
		if i >= ConformanceFoundation && !c.fitted {
			c.clean()
			c.fit()
		}
		started := time.Now()
		detail, err := c.row(r)
		out := Conformance{Row: r.name, Needed: r.needed, Verdict: Supported, Detail: detail, Took: time.Since(started)}
		if err != nil {
			out.Verdict, out.Detail = Missing, sentence(detail, explain(err))
			if errors.Is(err, ErrUnsafeModule) {
				out.Verdict = Unsafe
			}
		}
		if i >= from || err != nil {
			done(i, out)
		}
		if err != nil && i < ConformanceFoundation {
			return nil
		}
	}
	if from >= len(conformanceRows()) {
		c.clean() // what a process left that ended in the last row
	}
	return nil
}

// conformance is a module under examination.
type conformance struct {
	probe Probe
	p11   *pkcs11.Ctx
	slot  uint
	token pkcs11.TokenInfo
	login pkcs11.SessionHandle

	fitted  bool
	without []uint // attributes left out, because the module refuses them in a KEK
}

// row is one question to the module. What it made is removed after it.
type conformanceRow struct {
	name   string
	needed bool
	run    func(c *conformance, s *session) (detail string, err error)
}

func (c *conformance) row(r conformanceRow) (detail string, err error) {
	if c.login == 0 {
		return r.run(c, nil)
	}
	s, err := c.session()
	if err != nil {
		return "", err
	}
	defer func() {
		_ = c.p11.CloseSession(s.handle) // the row may have closed it, or the whole module
		c.clean()
	}()
	return r.run(c, s)
}

func (c *conformance) session() (*session, error) {
	h, err := c.p11.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return nil, fmt.Errorf("opening session: %w", err)
	}
	return &session{p11: c.p11, handle: h}, nil
}

// initialize is C_Initialize with pReserved.
func (c *conformance) initialize() error {
	if c.probe.Reserved == "" {
		return c.p11.Initialize()
	}
	reserved := append([]byte(c.probe.Reserved), 0)
	return c.p11.Initialize(pkcs11.InitializeWithReserved(unsafe.Pointer(&reserved[0])))
}

// enter logs in; the session stays open, since the log-in ends with the last one.
func (c *conformance) enter() error {
	s, err := c.session()
	if err != nil {
		return err
	}
	if err := c.p11.Login(s.handle, pkcs11.CKU_USER, string(c.probe.PIN.Reveal())); err != nil {
		return loginError(err)
	}
	c.login = s.handle
	return nil
}

// close cannot do anything about a module that does not want to end.
func (c *conformance) close() {
	if c.p11 == nil {
		return
	}
	if c.login != 0 {
		_ = c.p11.CloseAllSessions(c.slot)
	}
	_ = c.p11.Finalize()
	c.p11.Destroy()
}

// Labels of what the program makes in the token.
const (
	probeKEK  = "mohor-check-kek"
	checkHMAC = "mohor-check-hmac"
	checkPair = "mohor-check-pair"
)

// clean removes every token object the program may have made, now or in a process that crashed,
// and gives how many there were.
func (c *conformance) clean() (removed int) {
	s, err := c.session()
	if err != nil {
		return 0
	}
	defer func() { _ = c.p11.CloseSession(s.handle) }()
	for label, classes := range map[string][]uint{
		probeKEK: {pkcs11.CKO_SECRET_KEY}, checkHMAC: {pkcs11.CKO_SECRET_KEY}, checkPair: {pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY},
	} {
		for _, class := range classes {
			found, _ := s.find(class, label)
			for _, h := range found {
				if c.p11.DestroyObject(s.handle, h) == nil {
					removed++
				}
			}
		}
	}
	return removed
}

// unsafe says what the module let happen.
func unsafely(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnsafeModule, fmt.Errorf(format, args...))
}

// verdict gives what an attack found, the first two of it in full.
func (a *attack) verdict() error {
	switch n := len(a.found); {
	case n == 0:
		return a.stopped
	case n <= 2:
		return fmt.Errorf("%w: %w", ErrUnsafeModule, errors.Join(a.found...))
	default:
		return unsafely("%w\n%w\nand %d more", a.found[0], a.found[1], n-2)
	}
}

// explain makes one line of an error, without the package's own prefix.
func explain(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	for _, known := range []error{ErrUnsafeModule, ErrKeyPolicy} {
		text = strings.TrimPrefix(text, known.Error()+": ")
	}
	return text
}

func sentence(parts ...string) string {
	var said []string
	for _, p := range parts {
		if p != "" {
			said = append(said, p)
		}
	}
	return strings.Join(said, "; ")
}
