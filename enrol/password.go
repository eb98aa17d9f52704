package enrol

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/mohor-sign/mohor/internal/secret"
)

// Bounds of a password, in characters. It never stands alone, so eight
// would do (NIST SP 800-63B-4, Section 3.1.1.2).
const (
	minPassword = 10
	maxPassword = 64
)

// Argon2id as for PINs: 19 MiB, two passes, one lane, about 26 ms of one core (OWASP's
// least). More would be the lever of whoever floods the log-in, and buys nothing
// against a stolen database: what comes out goes through the HSM before it is stored.
const (
	hashMemory = 19 << 10 // KiB
	hashPasses = 2
	hashSize   = 32
	saltSize   = 16
)

// hashWait is how long a log-in waits for its turn to be hashed.
const hashWait = 5 * time.Second

// hashWidth is how many passwords are hashed at once: a flood takes this times 19 MiB.
func hashWidth() int { return max(1, runtime.GOMAXPROCS(0)) }

// PasswordError says why a password was refused and what to do, never the password.
// It is an ErrPassword.
type PasswordError struct {
	Reason string // as of PINError, with password_ for pin_
	MS, EN string
}

func (e *PasswordError) Error() string { return e.MS + " / " + e.EN }

// Is reports that every PasswordError is an ErrPassword.
func (e *PasswordError) Is(target error) bool { return target == ErrPassword }

// CheckPassword says whether o may have the password: 10 to 64 characters, none of
// what a guesser tries first (see PINPolicy.Check), no rules of composition.
func CheckPassword(password secret.Text, o Officer) error {
	var pin *PINError
	err := PINPolicy{MinLength: minPassword, MaxLength: maxPassword, RefuseCommon: true}.Check(password, o)
	if !errors.As(err, &pin) {
		return err
	}
	said := func(s, whole string) string { return strings.ReplaceAll(s, "PIN", whole) }
	return &PasswordError{"password_" + strings.TrimPrefix(pin.Reason, "pin_"), said(pin.MS, "kata laluan"), said(pin.EN, "password")}
}

// hashPassword judges a password by CheckPassword and gives what is stored of it: it is
// good for o.IC alone, in whatever account. ErrBusy when there are too many at once.
func (a *Accounts) hashPassword(ctx context.Context, o Officer, password secret.Text) ([]byte, error) {
	if err := CheckPassword(password, o); err != nil {
		return nil, err
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // crypto/rand never fails (it ends the process)
	sum, err := a.hash(ctx, o.IC, salt, password)
	if err != nil {
		return nil, err
	}
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Appendf(nil, "argon2id+hsm$v=1$m=%d,t=%d,p=1$%s$%s", hashMemory, hashPasses, b64(salt), b64(sum)), nil
}

// right says whether the password is the stored one, in the same time when nothing is
// stored.
func (a *Accounts) right(ctx context.Context, ic string, stored []byte, password secret.Text) (bool, error) {
	salt, want := make([]byte, saltSize), make([]byte, hashSize)
	known := readHash(stored, salt, want)
	got, err := a.hash(ctx, ic, salt, password)
	if err != nil {
		return false, err
	}
	// What is longer than any password was cut before it was hashed.
	return subtle.ConstantTimeCompare(got, want) == 1 && known && password.Len() <= 4*maxPassword, nil
}

// readHash reads what hashPassword made.
func readHash(stored, salt, sum []byte) bool {
	f := strings.Split(string(stored), "$")
	if len(f) != 5 || f[0] != "argon2id+hsm" || f[1] != "v=1" || f[2] != fmt.Sprintf("m=%d,t=%d,p=1", hashMemory, hashPasses) {
		return false
	}
	s, err := base64.RawStdEncoding.DecodeString(f[3])
	h, herr := base64.RawStdEncoding.DecodeString(f[4])
	return err == nil && herr == nil && copy(salt, s) == saltSize && copy(sum, h) == hashSize
}

// hash is HMAC in the HSM over the IC and Argon2id of the password in Unicode's NFC
// (RFC 8265, Section 4.2.2: what two keyboards make of one character is the same).
func (a *Accounts) hash(ctx context.Context, ic string, salt []byte, password secret.Text) ([]byte, error) {
	wait := time.NewTimer(hashWait)
	defer wait.Stop()
	select {
	case a.hashing <- struct{}{}:
	case <-wait.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	text := password.Reveal()
	text = norm.NFC.Bytes(text[:min(len(text), 4*maxPassword)])
	defer clear(text)
	stretched := argon2.IDKey(text, salt, hashPasses, hashMemory, 1, hashSize)
	<-a.hashing
	defer clear(stretched)
	in := append([]byte("mohor password v1\n"+ic+"\n"), stretched...)
	defer clear(in)
	return a.MAC.MAC(ctx, in)
}
