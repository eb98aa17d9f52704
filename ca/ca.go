// Package ca issues certificates: roots and the issuing CAs below them, whose keys
// stay in the HSM, officers' certificates, and CRLs (RFC 5280). It has a time-stamp
// unit (RFC 3161), an OCSP responder (RFC 6960) for each issuing CA, and asks those
// of others.
//
// Order of issuance: the certificate is drafted with a throwaway key; its serial
// number is reserved together with the bytes to be signed and an audit event; the
// draft is linted; the issuer signs those very bytes; the result is compared and
// stored. A crash in between leaves a reserved serial that says what was about to be
// signed, never a certificate without a record that could be relied on.
package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/keylock"
)

// Names of the authorities that every installation has; others are made with
// [Authorities.Create].
const (
	Root    = "root"
	Issuing = "issuing"
)

// What callers decide on.
var (
	ErrUnknown = errors.New("no such certificate")
	ErrRevoked = errors.New("certificate already revoked")
	ErrExists  = errors.New("exists already")
	ErrInvalid = errors.New("invalid")
	ErrRequest = errors.New("certificate request refused")
	// ErrUnavailable: another CA cannot be reached, or has not said what it did.
	ErrUnavailable = errors.New("the CA is not available")

	ErrSuspended    = errors.New("certificate suspended")
	ErrActive       = errors.New("certificate not suspended")
	ErrReason       = errors.New("not a reason for this revocation")
	ErrNotPublished = errors.New("the CRL could not be published")
)

// Statuses of a certificate row.
const (
	Reserved  = "RESERVED" // serial taken, nothing released
	Active    = "ACTIVE"
	Suspended = "SUSPENDED" // on hold
	Revoked   = "REVOKED"
)

// Certificate is a row of the register of certificates.
type Certificate struct {
	Serial     string // decimal
	Issuer     string // name of the authority that signed it
	Subject    string // RFC 4514 text, for reading
	Credential string // officer's credential id; empty for authorities
	Status     string
	DER        []byte // empty while it is reserved
	Intent     []byte // TBSCertificate that was recorded and linted, to be signed; empty once DER is there
	Key        []byte // of its public key, see KeyHash
	NotBefore  time.Time
	NotAfter   time.Time
	RevokedAt  time.Time // or since when it is suspended
	Reason     int       // CRLReason, RFC 5280, Section 5.3.1
}

// CRL is a published certificate revocation list.
type CRL struct {
	Issuer     string
	Number     int64
	DER        []byte
	ThisUpdate time.Time
	NextUpdate time.Time
	Covers     int64 // how many changes of status of the issuer's certificates it holds
}

// Keys gives the authorities' signers by name. Each Sign is made in the HSM and
// has been verified when it returns.
type Keys interface {
	Signer(ctx context.Context, name string) (crypto.Signer, error)
}

// Records is the register. Each call is durable, together with its event, when
// it returns nil.
type Records interface {
	// ReserveSerial inserts c as Reserved with its Intent; a serial that exists is an
	// error, and so is a Conflict with the certificates of its key.
	ReserveSerial(ctx context.Context, c Certificate, ev audit.Event) error
	// StoreCertificate makes the reserved serial Active with its DER, unless there is
	// a Conflict by now: of two that were reserved at once one is released.
	StoreCertificate(ctx context.Context, serial string, der []byte, ev audit.Event) error
	// CertificatesByKey lists the certificates of a key, by its KeyHash, but for those
	// that are merely reserved.
	CertificatesByKey(ctx context.Context, key []byte) ([]Certificate, error)
	// AuditAll appends lone events.
	AuditAll(ctx context.Context, evs ...audit.Event) error
	// CertificateBySerial returns a row or ErrUnknown.
	CertificateBySerial(ctx context.Context, serial string) (Certificate, error)
	// CertificateOf returns the credential's certificate that is active, or the last
	// that was revoked, or ErrUnknown.
	CertificateOf(ctx context.Context, credential string) (Certificate, error)
	// AuthorityCertificate returns the newest active certificate of a unit, or of an
	// authority that its parent issued (a root itself), for want of one the last that
	// was revoked; or ErrUnknown.
	AuthorityCertificate(ctx context.Context, name string) (Certificate, error)
	// CrossCertificate returns the newest active certificate that issuer gave the
	// authority name, or ErrUnknown.
	CrossCertificate(ctx context.Context, name, issuer string) (Certificate, error)
	// ExternalChain returns the certificates above those of another CA's issuer, by the
	// name it has in a row, or ErrUnknown.
	ExternalChain(ctx context.Context, issuer string) ([]*x509.Certificate, error)
	// Authorities lists them in the order of their making, a root before those below.
	Authorities(ctx context.Context) ([]Authority, error)
	// PutAuthority inserts a; ErrExists when the name is taken.
	PutAuthority(ctx context.Context, a Authority, ev audit.Event) error
	// Succeed has successor issue in the place of name, for good; ErrExists when
	// name has one.
	Succeed(ctx context.Context, name, successor string, ev audit.Event) error
	// Revoke marks an active or suspended certificate and its credential as revoked,
	// at that time or since the suspension, and drops what was scheduled for it;
	// ErrRevoked when it was, ErrUnknown when there is none.
	Revoke(ctx context.Context, serial string, at time.Time, reason int, ev audit.Event) error
	// Suspend marks an active certificate and its credential as suspended;
	// ErrSuspended, ErrRevoked, ErrUnknown.
	Suspend(ctx context.Context, serial string, at time.Time, reason int, ev audit.Event) error
	// Release makes a suspended certificate and its credential active; ErrActive,
	// ErrRevoked, ErrUnknown.
	Release(ctx context.Context, serial string, ev audit.Event) error
	// ScheduleRevocation stores s in the place of another of its serial number;
	// ErrRevoked, ErrUnknown.
	ScheduleRevocation(ctx context.Context, s Scheduled, ev audit.Event) error
	// UnscheduleRevocation drops it; ErrUnknown when there is none.
	UnscheduleRevocation(ctx context.Context, serial string, ev audit.Event) error
	// ScheduledRevocations lists those due at until or before, in order of time.
	ScheduledRevocations(ctx context.Context, until time.Time, limit int) ([]Scheduled, error)
	// RevokeScheduled is Revoke if s is still scheduled just so, else ErrUnknown.
	RevokeScheduled(ctx context.Context, s Scheduled, at time.Time, ev audit.Event) error
	// RevokedBy lists the issuer's revoked and suspended certificates.
	RevokedBy(ctx context.Context, issuer string) ([]Certificate, error)
	// Listed is RevokedBy with Serial, RevokedAt and Reason alone, for CRLs.
	Listed(ctx context.Context, issuer string) ([]Certificate, error)
	// LastChange counts the changes of status of the issuer's certificates.
	LastChange(ctx context.Context, issuer string) (int64, error)
	// LatestCRL returns the issuer's newest CRL or ErrUnknown.
	LatestCRL(ctx context.Context, issuer string) (CRL, error)
	// StoreCRL keeps a CRL, and of those before it one; ErrExists when its number is not
	// above the last.
	StoreCRL(ctx context.Context, c CRL, ev audit.Event) error
	// NewestTimes returns the time of the last audit record and the latest notBefore
	// of a certificate, zero when there is none: the clock was there already.
	NewestTimes(ctx context.Context) (event, notBefore time.Time, err error)
}

// Profile holds what all certificates of an installation share.
type Profile struct {
	Organization string               // O of the authorities' subjects
	Sandbox      bool                 // stamps SANDBOX, NOT VALID into the authorities' subjects
	PublicURL    string               // base of CRL and AIA addresses, http, without a slash at the end
	PolicyOID    string               // certificate policy of officers' certificates
	RootYears    int                  // validity of roots
	IssuingYears int                  // validity of issuing CAs
	Issuers      []string             // of officers' certificates: the first whose key is of the kind of the officer's, else the first
	Officer      time.Duration        // validity of officers' certificates
	EndEntities  map[string]EndEntity // profiles of people's certificates by name; see DefaultEndEntity
	CRLFor       time.Duration        // thisUpdate to nextUpdate
	TSA          time.Duration        // validity of the time-stamp unit's certificate
	TSAPolicy    string               // policy in its tokens, dotted
	Accuracy     time.Duration        // of its tokens, whole seconds, stated in them
	Responder    time.Duration        // validity of the OCSP responder's certificate
	OCSPFor      time.Duration        // thisUpdate to nextUpdate of its answers
}

// DefaultProfile: root 20 years, issuing 10, officers 13 months (396 days),
// time-stamp unit 5 years, OCSP responder 30 days, CRL 24 hours, OCSP answers one
// hour, tokens accurate to one second.
func DefaultProfile() Profile {
	const day = 24 * time.Hour
	return Profile{Organization: "Mohor", RootYears: 20, IssuingYears: 10, Issuers: []string{Issuing}, Officer: 396 * day, CRLFor: day,
		PolicyOID: "2.25.210904146799044461029223963532115549110",
		TSA:       5 * 365 * day, TSAPolicy: DefaultTSAPolicy, Accuracy: time.Second, Responder: 30 * day, OCSPFor: time.Hour}
}

// DefaultTSAPolicy is below the arc of examples (ITU-T X.660): arcs of more than 31
// bits, as a UUID's, are not read by many who read tokens.
const DefaultTSAPolicy = "2.999.3161.1"

// Authorities are the CAs of an installation with their time-stamp unit and OCSP
// responders. Make it with Load.
type Authorities struct {
	// Others asks other CAs about their certificates; nil leaves them unanswered.
	// Set before use.
	Others *Client
	// Time says, at each token, whether the clock can be relied on; nil: always. Set
	// before use.
	Time func() error

	// External, if set, issues officers' certificates in the place of our own issuing
	// CAs. Set before use.
	External *External

	profile Profile
	linter  linter
	keys    Keys
	records Records
	now     func() time.Time
	set     atomic.Pointer[set]
	setMu   sync.Mutex // one reads the register at a time
	crlMu   sync.Mutex // one CRL is made at a time
	issuing keylock.Locks
	signers sync.Map // crypto.Signer of authorities that have a certificate, by their name
	units   sync.Map // *unit by its name
	clock   tokenClock
	answers ocspCache
}

func newAuthorities(p Profile, k Keys, r Records, now func() time.Time) *Authorities {
	a := &Authorities{profile: p, keys: k, records: r, now: now}
	a.set.Store(&set{certs: map[string]*x509.Certificate{}})
	return a
}

// Load reads the certificates of authorities and units and checks that each fits
// its key in the HSM. ErrUnknown when Bootstrap has not been run; a unit may have
// no certificate yet, until Renew.
func Load(ctx context.Context, p Profile, k Keys, r Records, now func() time.Time) (*Authorities, error) {
	a := newAuthorities(p, k, r, now)
	if err := a.Refresh(ctx); err != nil {
		return nil, err
	}
	for _, name := range []string{Root, Issuing} {
		if a.Certificate(name) == nil {
			return nil, fmt.Errorf("reading the %s certificate: %w", name, ErrUnknown)
		}
	}
	for _, name := range a.unitNames() {
		if err := a.loadUnit(ctx, name); err != nil {
			return nil, err
		}
	}
	event, _, err := r.NewestTimes(ctx)
	if err != nil {
		return nil, err
	}
	a.clock.last = event
	return a, nil
}

// Bootstrap makes what is missing of the authorities Root and Issuing, the units
// and the first CRLs, and says which it made. The keys must exist.
func Bootstrap(ctx context.Context, p Profile, k Keys, r Records, now func() time.Time) (made []string, err error) {
	a := newAuthorities(p, k, r, now)
	for _, x := range []Authority{{Name: Root}, {Name: Issuing, Parent: Root}} {
		done, err := a.complete(ctx, "gateway", x)
		made = append(made, done...)
		if err != nil {
			return made, err
		}
	}
	units, _, err := a.Renew(ctx)
	return append(made, units...), err
}

// Certificate returns the own certificate of an authority or a unit, nil when it
// has none and for another name.
func (a *Authorities) Certificate(name string) *x509.Certificate {
	if u := a.unit(name); u != nil {
		return u.cert
	}
	if c := a.set.Load().certs[name]; c != nil {
		return c
	}
	return a.fresh().certs[name]
}

// BySerial finds a certificate by its decimal serial number, or ErrUnknown.
func (a *Authorities) BySerial(ctx context.Context, serial string) (Certificate, error) {
	return a.records.CertificateBySerial(ctx, serial)
}
