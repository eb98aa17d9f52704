package hsm

import (
	"context"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/mohor-sign/mohor/internal/secret"
)

// CreateToken makes a token labelled cfg.TokenLabel in a free slot (C_InitToken with soPIN) and
// sets its user PIN to cfg.PIN (C_InitPIN). A token of that label that logs in is left alone,
// and created is false; one whose user PIN was never set is completed; one that refuses the PIN
// gives [ErrTokenPIN] after a single try. It never initialises a token again: that would destroy
// its keys.
//
// It logs out when it is done, so it does not run beside an [Open] that is under way in the same
// process. For SoftHSM, SOFTHSM2_CONF must be set before; see [DefaultModule].
func CreateToken(ctx context.Context, cfg Config, soPIN secret.Text) (created bool, err error) {
	cfg, err = cfg.completed()
	if err != nil {
		return false, err
	}
	if soPIN.Len() == 0 {
		return false, fmt.Errorf("%w: no SO PIN", ErrInput)
	}
	lib, err := load(cfg.Module)
	if err != nil {
		return false, err
	}
	defer lib.release()
	slot, info, err := findToken(lib.p11, cfg.TokenLabel)
	switch {
	case errors.Is(err, errTokenAbsent):
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if slot, err = initToken(lib.p11, cfg.TokenLabel, soPIN); err != nil {
			return false, err
		}
	case err != nil:
		return false, err
	case info.Flags&pkcs11.CKF_USER_PIN_INITIALIZED != 0:
		return false, tryLogin(lib.p11, slot, pkcs11.CKU_USER, cfg.PIN, nil)
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	err = tryLogin(lib.p11, slot, pkcs11.CKU_SO, soPIN, func(s pkcs11.SessionHandle) error {
		if err := lib.p11.InitPIN(s, string(cfg.PIN.Reveal())); err != nil {
			return fmt.Errorf("setting the user PIN: %w", err)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	return true, tryLogin(lib.p11, slot, pkcs11.CKU_USER, cfg.PIN, nil)
}

// library is a loaded and initialised module.
type library struct {
	p11  *pkcs11.Ctx
	ours bool // we initialised it, so we finalize it
}

// load loads a module; another user of it in this process may have initialised it.
func load(path string) (library, error) {
	p11 := pkcs11.New(path)
	if p11 == nil {
		return library{}, fmt.Errorf("%w at %q: not loadable as PKCS#11", ErrNoModule, path)
	}
	switch err := p11.Initialize(); {
	case err == nil:
		return library{p11, true}, nil
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)):
		return library{p11, false}, nil
	default:
		p11.Destroy()
		return library{}, fmt.Errorf("initialising module: %w", unavailable(err))
	}
}

// release cannot do anything about a failing C_Finalize.
func (l library) release() {
	if l.ours {
		_ = l.p11.Finalize()
	}
	l.p11.Destroy()
}

// errTokenAbsent is ErrNoToken for a label that no token has.
var errTokenAbsent = fmt.Errorf("%w: none", ErrNoToken)

// findToken gives the slot of the one token labelled so.
func findToken(p11 *pkcs11.Ctx, label string) (slot uint, info pkcs11.TokenInfo, err error) {
	slots, err := p11.GetSlotList(true)
	if err != nil {
		return 0, info, fmt.Errorf("listing slots: %w", unavailable(err))
	}
	found := 0
	for _, s := range slots {
		t, err := p11.GetTokenInfo(s)
		if err != nil {
			continue // a slot that went away, or a token of another kind
		}
		if t.Label == label && t.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 {
			slot, info = s, t
			found++
		}
	}
	switch found {
	case 0:
		return 0, info, fmt.Errorf("%w labelled %q", errTokenAbsent, label)
	case 1:
		return slot, info, nil
	}
	return 0, info, fmt.Errorf("%w: %d tokens labelled %q", ErrNoToken, found, label)
}

// initToken makes a token in the first slot whose token is not initialised.
func initToken(p11 *pkcs11.Ctx, label string, soPIN secret.Text) (slot uint, err error) {
	slots, err := p11.GetSlotList(true)
	if err != nil {
		return 0, fmt.Errorf("listing slots: %w", unavailable(err))
	}
	for _, s := range slots {
		info, err := p11.GetTokenInfo(s)
		if err != nil || info.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 {
			continue
		}
		if err := p11.InitToken(s, string(soPIN.Reveal()), label); err != nil {
			return 0, fmt.Errorf("initialising token %q: %w", label, unavailable(err))
		}
		// The module may have moved it to another slot.
		slot, _, err = findToken(p11, label)
		return slot, err
	}
	return 0, fmt.Errorf("%w: no slot is free for token %q", ErrNoToken, label)
}

// tryLogin logs in once, runs then, and logs out again unless somebody else in this process was
// logged in before.
func tryLogin(p11 *pkcs11.Ctx, slot uint, user uint, pin secret.Text, then func(pkcs11.SessionHandle) error) (err error) {
	s, err := p11.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return fmt.Errorf("opening session: %w", unavailable(err))
	}
	defer func() { err = errors.Join(err, p11.CloseSession(s)) }()
	err = p11.Login(s, user, string(pin.Reveal()))
	if errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)) && then == nil {
		return nil
	}
	if err != nil {
		return loginError(err)
	}
	if then != nil {
		err = then(s)
	}
	return errors.Join(err, p11.Logout(s))
}

// loginError turns a refused PIN into ErrTokenPIN.
func loginError(err error) error {
	var rv pkcs11.Error
	if errors.As(err, &rv) {
		switch rv {
		case pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE,
			pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_USER_PIN_NOT_INITIALIZED:
			return fmt.Errorf("%w: %w", ErrTokenPIN, rv)
		}
	}
	return fmt.Errorf("logging in: %w", unavailable(err))
}
