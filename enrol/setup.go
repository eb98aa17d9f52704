package enrol

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	pquerna "github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// TOTP (RFC 6238) as every authenticator app does it: SHA-1, six digits, 30 seconds;
// a clock may be one step off, and a step is accepted once.
const (
	totpSeed = 20 // bytes (RFC 4226, Section 4, R6)
	totpStep = 30 * time.Second
	totpSkew = 1 // steps
)

// SetupFor is how long a set-up code is good.
const SetupFor = 24 * time.Hour

func (x *Appointment) check() error {
	agency, system := x.Role == SA || x.Role == AP, x.Role == SAP
	switch {
	case x.Role != JDN && x.Role != Auditor && !agency && !system:
		return fmt.Errorf("%w: role must be JDN, SAP, SA, AP or AUDITOR", ErrInvalid)
	case (x.Agency != "") != agency || agency && !validID(x.Agency):
		return fmt.Errorf("%w: SA and AP, and no other role, need an agency of 1 to 32 letters, digits, - or _", ErrInvalid)
	case (x.System != "") != system || system && !validID(x.System):
		return fmt.Errorf("%w: SAP, and no other role, needs a system of 1 to 32 letters, digits, - or _", ErrInvalid)
	case x.From.IsZero() || !x.Until.IsZero() && !x.From.Before(x.Until):
		return fmt.Errorf("%w: an appointment begins before it ends", ErrInvalid)
	}
	return nil
}

func (x *Appointment) detail() map[string]string {
	d := map[string]string{"role": string(x.Role)}
	if x.Agency != "" {
		d["agency"] = x.Agency
	}
	if x.System != "" {
		d["system"] = x.System
	}
	return d
}

// newSetup makes a code of 128 random bits.
func newSetup() (secret.Text, [32]byte) {
	code := ident.New("setup", 16)
	return secret.New(code), sha256.Sum256([]byte(code))
}

func setupHash(code secret.Text) [32]byte {
	return sha256.Sum256([]byte(strings.TrimSpace(string(code.Reveal()))))
}

// Seed is a TOTP seed as an authenticator app takes it.
type Seed struct {
	Account Account
	URL     secret.Text // otpauth://totp/…, for a QR code
	Base32  secret.Text // the seed alone, for typing
}

// BeginSetup gives whoever has a set-up code a new seed; an earlier one is replaced.
// ErrUnknown when the code is wrong, spent or expired.
func (a *Accounts) BeginSetup(ctx context.Context, code secret.Text, request string) (Seed, error) {
	hash := setupHash(code)
	acct, _, err := a.Records.BySetup(ctx, hash, a.Now())
	if err != nil {
		return Seed{}, err
	}
	if acct.IC == "" {
		return Seed{}, fmt.Errorf("%w: the account has no IC to log in with: mohor admin reset --ic", ErrInvalid)
	}
	return a.newSeed(ctx, acct, request, func(sealed []byte, ev audit.Event) error {
		return a.Records.PutTOTP(ctx, hash, sealed, a.Now(), ev)
	})
}

// newSeed makes a TOTP seed for an account; keep stores it sealed.
func (a *Accounts) newSeed(ctx context.Context, acct Account, request string, keep func(sealed []byte, ev audit.Event) error) (Seed, error) {
	seed := make([]byte, totpSeed)
	_, _ = rand.Read(seed) // crypto/rand never fails (it ends the process)
	defer clear(seed)
	aead, err := a.sealer(ctx, acct.ID)
	if err != nil {
		return Seed{}, err
	}
	ev := audit.Event{At: a.Now(), Actor: "account:" + acct.ID, Action: "account.setup.begin", Object: "account:" + acct.ID, Verdict: audit.Noted, RequestID: request}
	if err := keep(aead.Seal(nil, nil, seed, nil), ev); err != nil {
		return Seed{}, err
	}
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed)
	label := url.PathEscape("Mohor:" + acct.Email)
	return Seed{acct, secret.New("otpauth://totp/" + label + "?secret=" + text + "&issuer=Mohor&algorithm=SHA1&digits=6&period=30"), secret.New(text)}, nil
}

// CompleteSetup sets password and TOTP of whoever has a set-up code, and spends it. The
// TOTP proves that the app has the seed. A *PasswordError, ErrWrongCode, ErrUnknown.
func (a *Accounts) CompleteSetup(ctx context.Context, code, password, totp secret.Text, request string) (Account, error) {
	hash := setupHash(code)
	acct, proofs, err := a.Records.BySetup(ctx, hash, a.Now())
	if err != nil {
		return Account{}, err
	}
	stored, err := a.hashPassword(ctx, Officer{IC: acct.IC, Name: acct.Name, Email: acct.Email}, password)
	if err != nil {
		return Account{}, err
	}
	step, err := a.totp(ctx, acct.ID, proofs, totp)
	if err != nil {
		return Account{}, err
	}
	if step == 0 || acct.IC == "" {
		return Account{}, ErrWrongCode
	}
	ev := audit.Event{At: a.Now(), Actor: "account:" + acct.ID, Action: "account.setup", Object: "account:" + acct.ID, Verdict: audit.Accepted, RequestID: request}
	acct.State = AccountActive
	return acct, a.Records.CompleteSetup(ctx, hash, stored, step, a.Now(), ev)
}

// BeginSecondFactor gives an appointed officer, who has just logged in with password and
// mailed code, a TOTP seed; an earlier one is replaced. ErrStale; a *Refusal for whoever
// is not appointed or has a second factor.
func (a *Accounts) BeginSecondFactor(ctx context.Context, p Person) (Seed, error) {
	if err := a.mayHaveFactor(ctx, &p); err != nil {
		return Seed{}, err
	}
	return a.newSeed(ctx, p.Account, p.Actor.Request, func(sealed []byte, ev audit.Event) error {
		return a.Records.PutOwnTOTP(ctx, p.Account.ID, sealed, ev)
	})
}

// CompleteSecondFactor proves that the officer's app has the seed: from then on the officer
// logs in as an administrator, and does so anew. ErrWrongCode, and those of
// BeginSecondFactor.
func (a *Accounts) CompleteSecondFactor(ctx context.Context, p Person, totp secret.Text) error {
	if err := a.mayHaveFactor(ctx, &p); err != nil {
		return err
	}
	_, proofs, err := a.Records.Account(ctx, p.Account.ID)
	if err != nil {
		return err
	}
	step, err := a.totp(ctx, p.Account.ID, proofs, totp)
	if err != nil {
		return err
	}
	if step == 0 {
		return ErrWrongCode
	}
	return a.Records.PutSecondFactor(ctx, p.Account.ID, proofs.TOTP, step, a.event(&p.Actor, "account.setup", "account:"+p.Account.ID))
}

func (a *Accounts) mayHaveFactor(ctx context.Context, p *Person) error {
	var no *Refusal
	switch {
	case p.Account.Kind != OfficerAccount:
		no = refusal("setup_done", ErrState)
	case !p.Account.Factorless(a.Now()):
		no = refusal("not_appointed", ErrForbidden)
	case a.Fresh(p) != nil:
		no = refusal("session_not_fresh", ErrStale)
	}
	if no == nil {
		return nil
	}
	ev := a.event(&p.Actor, "account.setup.begin", "account:"+p.Account.ID)
	ev.Detail = map[string]string{}
	return refuse(ctx, a.Records, ev, no)
}

// sealer is AES-256-GCM under a key that the HSM makes for this account's seed alone.
func (a *Accounts) sealer(ctx context.Context, id string) (cipher.AEAD, error) {
	key, err := a.MAC.MAC(ctx, []byte("mohor TOTP seal v1\n"+id))
	if err != nil {
		return nil, fmt.Errorf("sealing TOTP seed: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealing TOTP seed: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// errSeed: the stored seed is not what was sealed for this account.
var errSeed = errors.New("opening TOTP seed: it was altered")

// totp returns the time step whose code this is, or 0. It does the same work for an
// account that has no seed.
func (a *Accounts) totp(ctx context.Context, id string, p Proofs, code secret.Text) (int64, error) {
	aead, err := a.sealer(ctx, id)
	if err != nil {
		return 0, err
	}
	seed := make([]byte, totpSeed)
	sealed := p.TOTP
	if len(sealed) == 0 {
		sealed = aead.Seal(nil, nil, seed, nil)
	}
	if seed, err = aead.Open(nil, nil, sealed, nil); err != nil {
		return 0, errSeed
	}
	defer clear(seed)
	text := base32.StdEncoding.EncodeToString(seed)
	now, found := a.Now().Unix()/int64(totpStep/time.Second), int64(0)
	for step := now - totpSkew; step <= now+totpSkew; step++ {
		want, err := hotp.GenerateCodeCustom(text, uint64(step), hotp.ValidateOpts{Digits: pquerna.DigitsSix, Algorithm: pquerna.AlgorithmSHA1})
		if err != nil {
			return 0, fmt.Errorf("computing TOTP: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), code.Reveal()) == 1 {
			found = step
		}
	}
	if len(p.TOTP) == 0 {
		return 0, nil
	}
	return found, nil
}
