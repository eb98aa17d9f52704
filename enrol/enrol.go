// Package enrol knows people and apps: officers and the media they hold their
// certificates in, administrators, and the credentials of the applications
// that ask for signatures.
package enrol

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// What callers decide on.
var (
	ErrInvalid   = errors.New("invalid registration")
	ErrUnknown   = errors.New("not registered")
	ErrPINPolicy = errors.New("PIN refused")
	ErrExists    = errors.New("already registered")
)

// Media a certificate can be held in (only RoamingOTP signs here).
const (
	Token      = "TOKEN"
	SoftCert   = "SOFTCERT"
	Roaming    = "ROAMING"
	RoamingOTP = "ROAMING_OTP"
)

// Officer is a person who signs.
type Officer struct {
	IC    string // 12 digits
	Name  string // as on the certificate, at most 64 characters (X.520 ub-common-name)
	Email string // where codes go
}

// Medium is how an officer holds the certificate for one system.
type Medium struct {
	Medium     string
	Status     string // "ACTIVE"
	System     string
	Credential string // newest credential, "" when none
	Algorithm  string
	KeyStatus  string // "ACTIVE", "SUSPENDED", "REVOKED"
	Serial     string
	DER        []byte
}

// Credential is a new key with its certificate, ready to be stored.
type Credential struct {
	ID        string
	IC        string
	System    string
	Algorithm string
	Version   uint32
	Sealed    []byte
	Serial    string
	Image     string // the picture that the officer is shown when signing; "" when none was chosen
	CreatedAt time.Time
}

// Keys makes officers' keys in the HSM.
type Keys interface {
	// Generate makes a key pair and returns the private half wrapped by the
	// KEK and sealed by pin, in the text form that signer.Credential carries, and
	// a certificate request that this key has signed (PKCS #10, RFC 2986, DER) for
	// subject, the DER of a Name (see [ca.Officer.Subject]). The request holds the
	// public key and no secret: it may be kept until somebody has approved it.
	Generate(ctx context.Context, officer, credential, algorithm string, version uint32, subject []byte, pin secret.Text) (sealed, request []byte, err error)
}

// Issuer is the CA of officers' certificates: our own, or another in its place
// ([ca.Authorities.External]). It records what it does, with audit events, durably when
// it returns; several goroutines and gateways may ask at once.
type Issuer interface {
	// Issue certifies the key of a request for o, whom somebody has approved. It gives
	// the certificate and those above it, the issuer's first and the root's last.
	//
	// One credential has one certificate: asked again for the same credential, it
	// gives the one there is. Whoever got an error, or no answer, asks again with the
	// same request: nothing that was made and not given is left valid.
	//
	// ca.ErrRequest: the request is not signed by its key, or names somebody else than
	// o; ca.ErrExists: the credential has a certificate of another key; ca.ErrRevoked:
	// it had one. These last. ca.ErrUnavailable: the CA cannot be reached, or
	// has not said whether it issued: ask again later. ca.ErrAnswer: what it issued is
	// not what was asked for, which is for its administrators.
	Issue(ctx context.Context, actor string, o ca.Officer, request []byte) (cert *x509.Certificate, chain []*x509.Certificate, err error)
	// IssueOfficer certifies a key that is not in the HSM, whose request was checked, by
	// o's profile: always by our own CAs. ca.ErrWeakKey, ca.ErrDuplicateKey, ca.ErrProfile
	// and what Issue says.
	IssueOfficer(ctx context.Context, actor string, o ca.Officer, pub crypto.PublicKey) (*x509.Certificate, error)
	// Revoke ends a certificate, by its decimal serial number, for a CRLReason (RFC
	// 5280, Section 5.3.1), and has the officer's key destroyed. ca.ErrRevoked when it
	// was revoked before, ca.ErrUnknown when there is none. After ca.ErrUnavailable it
	// is revoked here, and the CA is told later without being asked again.
	Revoke(ctx context.Context, actor, serial string, reason int) error
	// Suspend puts a certificate on hold, Release ends that, for a why of 1 to 200
	// characters; Schedule has it revoked at a time, Unschedule not. Errors as
	// [ca.Authorities] has them. Another CA is told of revocations alone.
	Suspend(ctx context.Context, actor, serial, why string) error
	Release(ctx context.Context, actor, serial, why string) error
	Schedule(ctx context.Context, actor, serial string, reason int, at time.Time) error
	Unschedule(ctx context.Context, actor, serial string) error
}

// Records is the register of people. Each call is durable, with its
// event, when it returns nil.
type Records interface {
	// PutOfficer inserts or updates the officer and the medium for system.
	PutOfficer(ctx context.Context, o Officer, system, medium string, ev audit.Event) error
	// Officer returns a person with every medium, or ErrUnknown.
	Officer(ctx context.Context, ic string) (Officer, []Medium, error)
	// PutCredential stores a credential as ACTIVE and its key as version
	// c.Version, with an audit event of that, too. ca.ErrRevoked or ca.ErrUnknown
	// when its certificate is not active (any more).
	PutCredential(ctx context.Context, c Credential, ev audit.Event) error
}

// Registrar enrols officers. All fields are required.
type Registrar struct {
	Records Records
	Keys    Keys
	CA      Issuer
	PIN     PINPolicy
	Now     func() time.Time
}

// AddOfficer registers a person with the medium ROAMING_OTP for system.
func (r *Registrar) AddOfficer(ctx context.Context, actor string, o Officer, system string) error {
	if err := checkPerson(o); err != nil {
		return err
	}
	if !validID(system) {
		return fmt.Errorf("%w: system must have 1 to 32 letters, digits, - or _", ErrInvalid)
	}
	return r.Records.PutOfficer(ctx, o, system, RoamingOTP, audit.Event{At: r.Now(), Actor: actor, Action: "enrol.officer", Object: "officer:" + o.IC, Verdict: audit.Accepted,
		Detail: map[string]string{"system": system, "medium": RoamingOTP}})
}

// IssueCredential makes a key under pin, has it certified, and stores both.
// algorithm is "RSA-2048", "ECDSA-P256" … as the HSM names them. A *PINError when
// the policy refuses the PIN; ca.ErrRevoked when the certificate was revoked
// before its key was stored, which is then lost.
func (r *Registrar) IssueCredential(ctx context.Context, actor string, o Officer, system, algorithm string, pin secret.Text) (Credential, *x509.Certificate, error) {
	if err := r.PIN.Check(pin, o); err != nil {
		return Credential{}, nil, err
	}
	c := Credential{ID: ident.New("cr", 16), IC: o.IC, System: system, Algorithm: algorithm, Version: 1, CreatedAt: r.Now().UTC()}
	of := ca.Officer{IC: o.IC, Name: o.Name, Credential: c.ID}
	subject, err := of.Subject()
	if err != nil {
		return Credential{}, nil, fmt.Errorf("encoding subject: %w", err)
	}
	sealed, request, err := r.Keys.Generate(ctx, o.IC, c.ID, algorithm, c.Version, subject, pin)
	if err != nil {
		return Credential{}, nil, fmt.Errorf("generating key: %w", err)
	}
	cert, _, err := r.CA.Issue(ctx, actor, of, request)
	if err != nil {
		return Credential{}, nil, fmt.Errorf("issuing certificate: %w", err)
	}
	c.Sealed, c.Serial = sealed, cert.SerialNumber.String()
	ev := audit.Event{At: r.Now(), Actor: actor, Action: "enrol.credential", Object: c.ID, Verdict: audit.Accepted,
		Detail: map[string]string{"officer": o.IC, "algorithm": algorithm, "version": "1", "serial": c.Serial}}
	if err := r.Records.PutCredential(ctx, c, ev); err != nil {
		return Credential{}, nil, fmt.Errorf("storing credential: %w", err)
	}
	return c, cert, nil
}

func validID(s string) bool {
	return len(s) >= 1 && len(s) <= 32 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
}
