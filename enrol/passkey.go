package enrol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
)

// Passkey is a WebAuthn credential of an administrator.
type Passkey struct {
	ID        []byte // credential id, 1 to 1023 bytes
	Label     string // what its owner calls it, 1 to 64 printable characters
	Data      []byte // the credential record, JSON
	SignCount uint32
	CreatedAt time.Time
	UsedAt    time.Time // zero: never
}

// maxPasskeys is how many an account may have.
const maxPasskeys = 10

// What callers of passkeys decide on. Why one was refused is for the audit.
var (
	ErrPasskey   = errors.New("passkey refused")
	ErrNoPasskey = errors.New("passkeys are not offered")
)

// PasskeyRecords keeps passkeys. Each call is durable when it returns.
type PasskeyRecords interface {
	// PutPasskey stores a new one; ErrExists when the id is taken. It uses up the
	// log-in under which it was asked for: ErrUsed when that was done before.
	PutPasskey(ctx context.Context, l Login, k Passkey, ev audit.Event) error
	// Passkeys lists those of an account, the oldest first.
	Passkeys(ctx context.Context, account string) ([]Passkey, error)
	// UsePasskey stores count and record after a use. ErrUsed unless the count grew, or
	// is and was 0, or the passkey is gone.
	UsePasskey(ctx context.Context, k Passkey) error
	// DropPasskey removes one of an account's, and closes the account's sessions but the
	// one named; ErrUnknown.
	DropPasskey(ctx context.Context, account string, id []byte, but string, ev audit.Event) error
}

// relying is the relying party of BaseURL. User verification is required in both
// ceremonies, and the authenticator keeps the credential: nobody says who they are
// before they prove it.
func (a *Accounts) relying() (*webauthn.WebAuthn, error) {
	u, err := url.Parse(a.BaseURL)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Hostname() != "localhost" {
		return nil, ErrNoPasskey
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return nil, ErrNoPasskey
	}
	w, err := webauthn.New(&webauthn.Config{RPID: u.Hostname(), RPDisplayName: "Mohor", RPOrigins: []string{u.Scheme + "://" + u.Host},
		AttestationPreference:  protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(), UserVerification: protocol.VerificationRequired}})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPasskey, err)
	}
	return w, nil
}

// holder is an account as the library wants it. The user handle is the account's id:
// random, and nothing of the person.
type holder struct {
	Account
	keys []webauthn.Credential
}

func (h *holder) WebAuthnID() []byte                         { return []byte(h.ID) }
func (h *holder) WebAuthnName() string                       { return h.Email }
func (h *holder) WebAuthnDisplayName() string                { return h.Name }
func (h *holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

func (a *Accounts) holder(ctx context.Context, acct Account) (*holder, []Passkey, error) {
	stored, err := a.Records.Passkeys(ctx, acct.ID)
	if err != nil {
		return nil, nil, err
	}
	h := &holder{Account: acct, keys: make([]webauthn.Credential, len(stored))}
	for k, p := range stored {
		if err := json.Unmarshal(p.Data, &h.keys[k]); err != nil {
			return nil, nil, fmt.Errorf("reading passkey: %w", err)
		}
		h.keys[k].Authenticator.SignCount = p.SignCount
	}
	return h, stored, nil
}

// BeginPasskey returns the options with which p's browser makes a passkey
// (PublicKeyCredentialCreationOptions, JSON). ErrStale unless p has just logged in;
// ErrNoPasskey.
func (a *Accounts) BeginPasskey(ctx context.Context, p Person) (Login, []byte, error) {
	if err := a.Fresh(&p); err != nil {
		return Login{}, nil, err
	}
	w, err := a.relying()
	if err != nil {
		return Login{}, nil, err
	}
	h, stored, err := a.holder(ctx, p.Account)
	if err != nil {
		return Login{}, nil, err
	}
	if len(stored) >= maxPasskeys {
		return Login{}, nil, fmt.Errorf("%w: at most %d passkeys", ErrInvalid, maxPasskeys)
	}
	options, state, err := w.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.keys).CredentialDescriptors()))
	if err != nil {
		return Login{}, nil, fmt.Errorf("preparing passkey: %w", err)
	}
	l, err := a.remember(ctx, p.Account.ID, newPasskey, state)
	if err != nil {
		return Login{}, nil, err
	}
	out, err := json.Marshal(options)
	return l, out, err
}

// remember stores a ceremony that begins.
func (a *Accounts) remember(ctx context.Context, account, purpose string, state *webauthn.SessionData) (Login, error) {
	data, err := json.Marshal(state)
	if err != nil {
		return Login{}, err
	}
	l := Login{ID: ident.New("lg", 16), Account: account, ExpiresAt: a.Now().Add(passkeyFor)}
	if err := a.Records.PutLogin(ctx, l, purpose, string(data)); err != nil {
		return Login{}, fmt.Errorf("storing ceremony: %w", err)
	}
	return l, nil
}

// passkeyFor is how long a ceremony may take.
const passkeyFor = 5 * time.Minute

// recall is the ceremony that remember stored.
func (a *Accounts) recall(ctx context.Context, id, purpose string) (Login, webauthn.SessionData, error) {
	var state webauthn.SessionData
	l, data, err := a.Records.LoginOf(ctx, id, purpose)
	if err != nil {
		return l, state, err
	}
	if !a.Now().Before(l.ExpiresAt) {
		return l, state, ErrUnknown
	}
	if err := json.Unmarshal([]byte(data), &state); err != nil {
		return l, state, fmt.Errorf("reading ceremony: %w", err)
	}
	return l, state, nil
}

// AddPasskey registers what the browser made (PublicKeyCredential, JSON).
func (a *Accounts) AddPasskey(ctx context.Context, p Person, id, label string, response []byte) (Passkey, error) {
	if err := a.Fresh(&p); err != nil {
		return Passkey{}, err
	}
	if label == "" || printable(label, 64) != label {
		return Passkey{}, fmt.Errorf("%w: a passkey's label has 1 to 64 printable ASCII characters", ErrInvalid)
	}
	w, err := a.relying()
	if err != nil {
		return Passkey{}, err
	}
	l, state, err := a.recall(ctx, id, newPasskey)
	if err != nil {
		return Passkey{}, err
	}
	if l.Account != p.Account.ID {
		return Passkey{}, ErrUnknown
	}
	h, _, err := a.holder(ctx, p.Account)
	if err != nil {
		return Passkey{}, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return Passkey{}, fmt.Errorf("%w: %w", ErrPasskey, err)
	}
	made, err := w.CreateCredential(h, state, parsed)
	if err != nil {
		return Passkey{}, fmt.Errorf("%w: %w", ErrPasskey, err)
	}
	data, err := json.Marshal(made)
	if err != nil {
		return Passkey{}, err
	}
	k := Passkey{ID: made.ID, Label: label, Data: data, SignCount: made.Authenticator.SignCount, CreatedAt: a.Now().UTC()}
	ev := a.event(&p.Actor, "account.passkey", "account:"+p.Account.ID)
	ev.Detail = map[string]string{"label": label}
	return k, a.Records.PutPasskey(ctx, l, k, ev)
}

// Passkeys lists p's.
func (a *Accounts) Passkeys(ctx context.Context, p Person) ([]Passkey, error) {
	return a.Records.Passkeys(ctx, p.Account.ID)
}

// DropPasskey removes one of p's and closes p's other sessions.
func (a *Accounts) DropPasskey(ctx context.Context, p Person, id []byte) error {
	return a.Records.DropPasskey(ctx, p.Account.ID, id, p.Session.ID, a.event(&p.Actor, "account.passkey.drop", "account:"+p.Account.ID))
}

// BeginWithPasskey returns the options with which a browser proves who sits there
// (PublicKeyCredentialRequestOptions, JSON): nobody is named, so nobody is found out.
func (a *Accounts) BeginWithPasskey(ctx context.Context) (Login, []byte, error) {
	w, err := a.relying()
	if err != nil {
		return Login{}, nil, err
	}
	options, state, err := w.BeginDiscoverableLogin()
	if err != nil {
		return Login{}, nil, fmt.Errorf("preparing log-in: %w", err)
	}
	l, err := a.remember(ctx, "", withPasskey, state)
	if err != nil {
		return Login{}, nil, err
	}
	out, err := json.Marshal(options)
	return l, out, err
}

// FinishWithPasskey opens a session for the holder of a passkey. ErrPasskey for an
// unknown passkey, another origin or challenge, a wrong signature, without user
// verification, or a counter that did not grow: then there are two of it.
func (a *Accounts) FinishWithPasskey(ctx context.Context, id string, response []byte, bearer bool, peer Peer, request string) (Opened, error) {
	if err := a.flush(ctx); err != nil {
		return Opened{}, err
	}
	if err := a.addresses.allow(network(peer.Address), a.Now()); err != nil {
		return Opened{}, err
	}
	w, err := a.relying()
	if err != nil {
		return Opened{}, err
	}
	l, state, err := a.recall(ctx, id, withPasskey)
	if err != nil {
		return Opened{}, err
	}
	refuse := func(err error) (Opened, error) {
		a.addresses.add(network(peer.Address), 1, a.Now())
		a.refusals.note("", peer.Address)
		return Opened{}, fmt.Errorf("%w: %w", ErrPasskey, err)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return refuse(err)
	}
	var who *holder
	var stored []Passkey
	var proofs Proofs
	var broken error
	used, err := w.ValidateDiscoverableLogin(func(_, handle []byte) (webauthn.User, error) {
		var acct Account
		if acct, proofs, broken = a.Records.Account(ctx, string(handle)); broken == nil {
			who, stored, broken = a.holder(ctx, acct)
		}
		return who, broken
	}, state, parsed)
	switch {
	case broken != nil && !errors.Is(broken, ErrUnknown):
		return Opened{}, broken
	case err != nil:
		return refuse(err)
	case used.Authenticator.CloneWarning:
		ev := audit.Event{At: a.Now(), Actor: "account:" + who.ID, Action: "session.open", Object: "account:" + who.ID, Verdict: audit.Refused, RequestID: request,
			Detail: map[string]string{"method": ByPasskey, "reason": "counter did not grow: the passkey may have been copied", "address": peer.Address}}
		return Opened{}, errors.Join(ErrPasskey, a.Records.Audit(context.WithoutCancel(ctx), ev))
	case who.State != AccountActive:
		return refuse(errors.New("account is not active"))
	}
	data, err := json.Marshal(used)
	if err != nil {
		return Opened{}, err
	}
	for _, k := range stored {
		if string(k.ID) == string(used.ID) {
			k.Data, k.SignCount, k.UsedAt = data, used.Authenticator.SignCount, a.Now().UTC()
			if err := a.Records.UsePasskey(ctx, k); err != nil {
				return Opened{}, err
			}
		}
	}
	return a.open(ctx, l, who.Account, proofs, ByPasskey, 0, bearer, peer, request)
}
