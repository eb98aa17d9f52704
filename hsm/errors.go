package hsm

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// Errors a caller decides by; all others say what went wrong and mean "this did not happen".
var (
	// ErrWrongPIN: the seal did not open. The officer's PIN is wrong, or the sealed key, its
	// binding or its parameters are not those that were stored together; by design nothing
	// tells these apart.
	ErrWrongPIN = errors.New("hsm: seal does not open with this PIN")
	// ErrBusy: no session, or no place for the key derivation, came free in AcquireTimeout.
	// Nothing was done; the caller may try again later.
	ErrBusy = errors.New("hsm: busy")
	// ErrUnavailable: the module or the token is gone, hangs, or the log-in is lost. Nothing is
	// known about the call that was under way; calls made since are refused without being made
	// until the module is back.
	ErrUnavailable = errors.New("hsm: module unavailable")
	// ErrClosed: the Module or the Key was closed.
	ErrClosed = errors.New("hsm: closed")
	// ErrInput: the arguments cannot be right, and the module was not asked.
	ErrInput = errors.New("hsm: invalid input")
	// ErrNoKey: the token has no key of that label.
	ErrNoKey = errors.New("hsm: no such key")
	// ErrKeyExists: the token has a key of that label already. It is left as it is.
	ErrKeyExists = errors.New("hsm: key of that label exists")
	// ErrKeyPolicy: a key of that label is there but is not what this package would have made,
	// or there are several. It is left as it is.
	ErrKeyPolicy = errors.New("hsm: key found is not as it must be")
	// ErrBadSignature: the module made a signature that does not verify. It was thrown away.
	ErrBadSignature = errors.New("hsm: module made a wrong signature")
	// ErrUnsafeModule: the self-test found that the module does not guard keys. Do not start.
	ErrUnsafeModule = errors.New("hsm: module does not guard its keys")
	// ErrNoToken: no token of that label, or several.
	ErrNoToken = errors.New("hsm: no single token of that label")
	// ErrTokenPIN: the token refused its PIN, which was tried once. Do not try again.
	ErrTokenPIN = errors.New("hsm: token PIN refused")
	// ErrNoModule: no PKCS#11 library at that path, or it does not load.
	ErrNoModule = errors.New("hsm: no PKCS#11 module")
)

// errRetired: the link was given up before the call was made. The Module has another, or will.
var errRetired = fmt.Errorf("%w: connection given up", ErrUnavailable)

// Return values that github.com/miekg/pkcs11 does not name, or names at length.
const (
	ckrOperationActive = pkcs11.Error(pkcs11.CKR_OPERATION_ACTIVE)
	ckrSessionClosed   = pkcs11.Error(pkcs11.CKR_SESSION_CLOSED)
	ckrSessionInvalid  = pkcs11.Error(pkcs11.CKR_SESSION_HANDLE_INVALID)
	ckrNotLoggedIn     = pkcs11.Error(pkcs11.CKR_USER_NOT_LOGGED_IN)
)

// fault sorts what a call into the module came back with, by what must be done about it.
type fault int

const (
	faultNone      fault = iota
	faultInput           // the input is wrong; the session is as good as before
	faultObject          // the handle is dead: find or unwrap again
	faultSession         // the session is dead or dirty and nothing was done: replace it, try once more
	faultModule          // module, token or log-in are gone: give up the link
	faultOther           // anything else the module says: nothing is known about the session
	faultNotModule       // the error is not the module's
)

// classify gives the fault of err.
func classify(err error) fault {
	if err == nil {
		return faultNone
	}
	var rv pkcs11.Error
	if !errors.As(err, &rv) {
		return faultNotModule
	}
	switch rv {
	case pkcs11.CKR_DATA_INVALID, pkcs11.CKR_DATA_LEN_RANGE,
		pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID,
		pkcs11.CKR_WRAPPED_KEY_INVALID, pkcs11.CKR_WRAPPED_KEY_LEN_RANGE,
		pkcs11.CKR_TEMPLATE_INCOMPLETE, pkcs11.CKR_TEMPLATE_INCONSISTENT,
		pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED, pkcs11.CKR_KEY_UNEXTRACTABLE,
		pkcs11.CKR_KEY_TYPE_INCONSISTENT, pkcs11.CKR_KEY_SIZE_RANGE,
		pkcs11.CKR_ATTRIBUTE_READ_ONLY, pkcs11.CKR_ATTRIBUTE_SENSITIVE,
		pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID,
		pkcs11.CKR_ACTION_PROHIBITED:
		return faultInput
	case pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_KEY_HANDLE_INVALID,
		pkcs11.CKR_WRAPPING_KEY_HANDLE_INVALID, pkcs11.CKR_UNWRAPPING_KEY_HANDLE_INVALID:
		return faultObject
	case ckrSessionInvalid, ckrSessionClosed, ckrOperationActive:
		return faultSession
	case ckrNotLoggedIn, pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_MEMORY,
		pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_TOKEN_NOT_RECOGNIZED,
		pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_SLOT_ID_INVALID,
		pkcs11.CKR_HOST_MEMORY:
		return faultModule
	}
	return faultOther
}

// unavailable marks what the module came back with, unless it is about the input, so that callers
// see ErrUnavailable and still find the return value in the text.
func unavailable(err error) error {
	switch classify(err) {
	case faultModule, faultSession, faultOther:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}
