package enrol_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
)

const site = "https://mohor.example"

var b64 = base64.RawURLEncoding.EncodeToString

// authenticator is one in software: a discoverable credential, ECDSA P-256. Its fields
// are what a test makes wrong.
type authenticator struct {
	key       *ecdsa.PrivateKey
	id        []byte
	handle    []byte
	count     uint32
	flags     byte // user present, verified
	origin    string
	rp        string
	challenge string // replaces the one asked for
}

func newAuthenticator(t testing.TB) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	id := make([]byte, 32)
	_, _ = rand.Read(id)
	return &authenticator{key: key, id: id, flags: 0x05, origin: site, rp: "mohor.example"}
}

// options are the part of what the gateway says that an authenticator needs.
type options struct {
	PublicKey struct {
		Challenge        string `json:"challenge"`
		UserVerification string `json:"userVerification"`
		User             struct {
			ID string `json:"id"`
		} `json:"user"`
		AuthenticatorSelection struct {
			UserVerification string `json:"userVerification"`
			ResidentKey      string `json:"residentKey"`
		} `json:"authenticatorSelection"`
	} `json:"publicKey"`
}

func (a *authenticator) client(kind, challenge string) []byte {
	if a.challenge != "" {
		challenge = a.challenge
	}
	b, _ := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	return b
}

func (a *authenticator) data(flags byte, rest ...byte) []byte {
	rp := sha256.Sum256([]byte(a.rp))
	return append(binary.BigEndian.AppendUint32(append(rp[:], flags), a.count), rest...)
}

// create answers navigator.credentials.create.
func (a *authenticator) create(t testing.TB, raw []byte) []byte {
	t.Helper()
	var o options
	must(t, json.Unmarshal(raw, &o))
	if o.PublicKey.AuthenticatorSelection.UserVerification != "required" || o.PublicKey.AuthenticatorSelection.ResidentKey != "required" {
		t.Fatalf("options %s", raw)
	}
	handle, err := base64.RawURLEncoding.DecodeString(o.PublicKey.User.ID)
	must(t, err)
	a.handle = handle
	pub, err := a.key.PublicKey.Bytes() // 0x04, x, y
	must(t, err)
	attested := append(make([]byte, 16), byte(len(a.id)>>8), byte(len(a.id)))
	attested = append(attested, a.id...)
	attested = append(attested, 0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20) // COSE EC2, ES256, P-256
	attested = append(attested, pub[1:33]...)
	attested = append(attested, 0x22, 0x58, 0x20)
	attested = append(attested, pub[33:]...)
	data := a.data(a.flags|0x40, attested...)
	object := append([]byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58"), byte(len(data)))
	return a.answer(map[string]string{"clientDataJSON": b64(a.client("webauthn.create", o.PublicKey.Challenge)), "attestationObject": b64(append(object, data...))})
}

// get answers navigator.credentials.get.
func (a *authenticator) get(t testing.TB, raw []byte) []byte {
	t.Helper()
	var o options
	must(t, json.Unmarshal(raw, &o))
	if o.PublicKey.UserVerification != "required" {
		t.Fatalf("options %s", raw)
	}
	a.count++
	data, client := a.data(a.flags), a.client("webauthn.get", o.PublicKey.Challenge)
	sum := sha256.Sum256(client)
	digest := sha256.Sum256(append(data, sum[:]...))
	sig, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	must(t, err)
	return a.answer(map[string]string{"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(sig), "userHandle": b64(a.handle)})
}

func (a *authenticator) answer(response map[string]string) []byte {
	b, _ := json.Marshal(map[string]any{"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "clientExtensionResults": map[string]any{}, "response": response})
	return b
}

// boss with a passkey.
func withPasskey(t *testing.T) (*people, enrol.Person, *authenticator) {
	t.Helper()
	p := newPeople(t, site)
	_, seed := p.administrator(t)
	p.Clock.Advance(30 * time.Second)
	l := p.begin(t, boss.IC, bossPassword, "")
	o, err := p.finish(l.ID, p.totp(t, seed, 0))
	must(t, err)
	who := p.holds(t, o, nil)
	auth := newAuthenticator(t)
	l, raw, err := p.BeginPasskey(ctx, who)
	must(t, err)
	response := auth.create(t, raw)
	if _, err := p.AddPasskey(ctx, enrol.Person{Account: enrol.Account{ID: "ac_x", Kind: enrol.AdministratorAccount}, Session: who.Session}, l.ID, "Kunci", response); !errors.Is(err, enrol.ErrUnknown) {
		t.Fatalf("another finished the registration: %v", err)
	}
	_, err = p.AddPasskey(ctx, who, l.ID, "Kunci", response)
	must(t, err)
	if _, err := p.AddPasskey(ctx, who, l.ID, "Kunci", response); !errors.Is(err, enrol.ErrUsed) {
		t.Fatalf("registered twice: %v", err)
	}
	return p, who, auth
}

func (p *people) withPasskey(t testing.TB, a *authenticator) (enrol.Opened, error) {
	t.Helper()
	l, raw, err := p.BeginWithPasskey(ctx)
	must(t, err)
	return p.FinishWithPasskey(ctx, l.ID, a.get(t, raw), false, enrol.Peer{Address: "10.0.0.1"}, "r")
}

func TestPasskeyOpensSession(t *testing.T) {
	p, who, auth := withPasskey(t)
	o, err := p.withPasskey(t, auth)
	must(t, err)
	if now := p.holds(t, o, nil); now.Account.ID != who.Account.ID || now.Session.Method != enrol.ByPasskey {
		t.Errorf("%+v", now)
	}
	if list, err := p.Passkeys(ctx, who); err != nil || len(list) != 1 || list[0].SignCount != 1 || list[0].UsedAt.IsZero() || list[0].Label != "Kunci" {
		t.Errorf("%+v, %v", list, err)
	}
	p.Clock.Advance(enrol.FreshFor + time.Second)
	if _, _, err := p.BeginPasskey(ctx, who); !errors.Is(err, enrol.ErrStale) {
		t.Errorf("registered another from an old session: %v", err)
	}
	must(t, p.DropPasskey(ctx, who, auth.id))
	p.holds(t, o, enrol.ErrUnknown)
	if _, err := p.withPasskey(t, auth); !errors.Is(err, enrol.ErrPasskey) {
		t.Errorf("a removed passkey: %v", err)
	}
}

func TestPasskeyMisuse(t *testing.T) {
	p, who, auth := withPasskey(t)
	for what, spoil := range map[string]func(a *authenticator){
		"another origin":        func(a *authenticator) { a.origin = "https://mohor.example.evil.example" },
		"plain http":            func(a *authenticator) { a.origin = "http://mohor.example" },
		"another relying party": func(a *authenticator) { a.rp = "evil.example" },
		"another challenge":     func(a *authenticator) { a.challenge = b64(make([]byte, 32)) },
		"not verified":          func(a *authenticator) { a.flags = 0x01 },
		"not present":           func(a *authenticator) { a.flags = 0x04 },
		"another's handle":      func(a *authenticator) { a.handle = []byte("ac_other") },
		"no handle":             func(a *authenticator) { a.handle = nil },
		"another key":           func(a *authenticator) { a.key = newAuthenticator(t).key },
		"another credential":    func(a *authenticator) { a.id = make([]byte, 32) },
		"an officer's as handle": func(a *authenticator) {
			acct, _, _ := p.Accounts.Records.AccountByIC(ctx, mimi.IC)
			a.handle = []byte(acct.ID)
		},
	} {
		bad := *auth
		spoil(&bad)
		if _, err := p.withPasskey(t, &bad); !errors.Is(err, enrol.ErrPasskey) {
			t.Errorf("%s: %v", what, err)
		}
		if bad.count > auth.count {
			auth.count = bad.count
		}
	}
	// An answer is good once, and for its own log-in.
	l, raw, err := p.BeginWithPasskey(ctx)
	must(t, err)
	response := auth.get(t, raw)
	other, _, err := p.BeginWithPasskey(ctx)
	must(t, err)
	finish := func(id string) error {
		_, err := p.FinishWithPasskey(ctx, id, response, false, enrol.Peer{Address: "10.0.0.1"}, "r")
		return err
	}
	if err := finish(other.ID); !errors.Is(err, enrol.ErrPasskey) {
		t.Errorf("an answer to another log-in: %v", err)
	}
	must(t, finish(l.ID))
	if err := finish(l.ID); !errors.Is(err, enrol.ErrUsed) {
		t.Errorf("an answer again: %v", err)
	}
	// A copy of the passkey lags behind.
	clone := *auth
	clone.count = 0
	if _, err := p.withPasskey(t, &clone); !errors.Is(err, enrol.ErrPasskey) {
		t.Errorf("a cloned counter: %v", err)
	}
	late, raw, err := p.BeginWithPasskey(ctx)
	must(t, err)
	p.Clock.Advance(6 * time.Minute)
	if _, err := p.FinishWithPasskey(ctx, late.ID, auth.get(t, raw), false, enrol.Peer{}, "r"); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("after its time: %v", err)
	}
	// A password's log-in is not a passkey's, nor the other way round.
	l = p.begin(t, mimi.IC, goodPassword, "")
	if _, err := p.FinishWithPasskey(ctx, l.ID, response, false, enrol.Peer{}, "r"); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("a passkey for a password's log-in: %v", err)
	}
	if _, err := p.finish(other.ID, "123456"); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("a code for a passkey's log-in: %v", err)
	}
	p.successor(t)
	must(t, p.EndAccount(ctx, machine, who.Account.ID))
	if _, err := p.withPasskey(t, auth); !errors.Is(err, enrol.ErrPasskey) {
		t.Errorf("an ended account: %v", err)
	}
}

func TestPasskeyRegistrationMisuse(t *testing.T) {
	p, who, _ := withPasskey(t)
	for what, spoil := range map[string]func(a *authenticator){
		"another origin":    func(a *authenticator) { a.origin = "https://evil.example" },
		"another challenge": func(a *authenticator) { a.challenge = b64(make([]byte, 32)) },
		"not verified":      func(a *authenticator) { a.flags = 0x01 },
		"another party":     func(a *authenticator) { a.rp = "evil.example" },
	} {
		a := newAuthenticator(t)
		spoil(a)
		l, raw, err := p.BeginPasskey(ctx, who)
		must(t, err)
		if _, err := p.AddPasskey(ctx, who, l.ID, "X", a.create(t, raw)); !errors.Is(err, enrol.ErrPasskey) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, base := range []string{"", "http://mohor.example", "https://10.0.0.1"} {
		none := enrol.NewAccounts(enrol.AccountConfig{Records: p.DB, MAC: p.MAC, Now: p.Clock.Now, BaseURL: base})
		if _, _, err := none.BeginWithPasskey(ctx); !errors.Is(err, enrol.ErrNoPasskey) {
			t.Errorf("passkeys at %q: %v", base, err)
		}
	}
}

// An officer's passkey opens the portal until the password is another, by whomever: whoever had the
// account before may have left it there.
func TestOfficersPasskeyGoesWithThePassword(t *testing.T) {
	p, _, _ := withPasskey(t)
	officer := p.holds(t, p.enter(t, ""), nil)
	a := newAuthenticator(t)
	l, raw, err := p.BeginPasskey(ctx, officer)
	must(t, err)
	_, err = p.AddPasskey(ctx, officer, l.ID, "Telefon", a.create(t, raw))
	must(t, err)
	opened, err := p.withPasskey(t, a)
	if err != nil || opened.Session.Method != enrol.ByPasskey || p.holds(t, opened, nil).Account.IC != officer.Account.IC {
		t.Fatalf("an officer's passkey: %+v, %v", opened.Session, err)
	}
	must(t, p.SetPassword(ctx, machine, enrol.Officer{IC: officer.Account.IC, Name: officer.Account.Name, Email: officer.Account.Email}, secret.New("sebuah kata laluan yang lain 7")))
	if _, err := p.withPasskey(t, a); !errors.Is(err, enrol.ErrPasskey) {
		t.Errorf("after another password: %v", err)
	}
	if left, err := p.DB.Passkeys(ctx, officer.Account.ID); err != nil || len(left) != 0 {
		t.Errorf("%d passkeys are left, %v", len(left), err)
	}
}
