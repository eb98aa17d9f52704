package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// ExternalIssuer is the issuer of a certificate that was asked for at another CA. Once it
// is there, its issuer is ExternalIssuer, a colon, and 32 hexadecimal digits of the
// SHA-256 of the issuer's certificate.
const ExternalIssuer = "external"

// IsExternal says whether a row's issuer is another CA.
func IsExternal(issuer string) bool {
	return issuer == ExternalIssuer || strings.HasPrefix(issuer, ExternalIssuer+":")
}

func externalName(issuer *x509.Certificate) string {
	sum := sha256.Sum256(issuer.Raw)
	return ExternalIssuer + ":" + hex.EncodeToString(sum[:16])
}

// ExternalRecords is what External needs of the register besides. Each call is
// durable, with its event, when it returns nil.
type ExternalRecords interface {
	Records
	// ReserveExternal inserts c as Reserved, before it is asked for. ErrExists when the
	// credential has an active certificate, ErrAsking when another is being asked for since
	// a time after abandoned. What was asked for before and has not come is from then on
	// to be revoked at the CA.
	ReserveExternal(ctx context.Context, c Certificate, abandoned time.Time, ev audit.Event) error
	// StoreExternal makes the reserved c.Serial Active as c says, with the
	// certificates above it, the issuer's first. ErrUnknown when it is not reserved,
	// or to be revoked at the CA.
	StoreExternal(ctx context.Context, c Certificate, chain []*x509.Certificate, ev audit.Event) error
	// Discard ends what was asked for: the CA is to revoke the serial number, unless
	// nothing was issued. A second time changes nothing.
	Discard(ctx context.Context, serial string, nothing bool, ev audit.Event) error
	// StaleExternal lists at most 1,000 serial numbers reserved before that time which
	// neither came nor were discarded, the oldest first.
	StaleExternal(ctx context.Context, before time.Time) ([]string, error)
	// UntoldExternal lists at most 1,000 certificates that the CA is to revoke, with
	// Serial and Reason, the oldest first. Revoke puts there what it revokes of that CA.
	UntoldExternal(ctx context.Context) ([]Certificate, error)
	// ToldExternal notes that the CA has revoked one.
	ToldExternal(ctx context.Context, serial string, ev audit.Event) error
}

// External has officers' certificates issued by another CA, which takes the serial
// number, the subject and the validity from us. [Authorities.External] is where it is
// used. All fields are required.
//
// The serial number is reserved before the CA is asked, so that what was issued is
// known even when its answer is lost: the next request has another number, and the
// CA is told to revoke the first, whether it has used it or not.
type External struct {
	CA       *StepCA
	Records  ExternalRecords
	Roots    *x509.CertPool // whom its certificates must lead to
	Validity time.Duration  // of officers' certificates
	Now      func() time.Time
}

func newSerial() (*big.Int, error) {
	// RFC 5280, Section 4.1.2.2: positive, at most 20 octets; 126 random bits below a one.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, fmt.Errorf("making serial number: %w", err)
	}
	return serial.SetBit(serial, 126, 1), nil
}

// patience is how long a request that was not heard of again may still be under
// way; longer than the CA's answer is waited for and a token is valid.
const patience = 10 * time.Minute

// issue reserves, asks, checks and stores one certificate. An error leaves nothing valid.
func (x *External) issue(ctx context.Context, actor string, o Officer, request []byte, pub crypto.PublicKey) (*x509.Certificate, []*x509.Certificate, error) {
	subject, err := o.Subject()
	if err != nil {
		return nil, nil, fmt.Errorf("encoding subject: %w", err)
	}
	if err := CheckKey(pub); err != nil {
		return nil, nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding public key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	now := x.Now().UTC().Truncate(time.Second)
	row := Certificate{Serial: serial.String(), Issuer: ExternalIssuer, Subject: "C=MY,CN=" + o.Name + ",SURNAME=" + o.IC + ",SERIALNUMBER=" + o.IC, Credential: o.Credential, Status: Reserved, Key: KeyHash(spki),
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(x.Validity)}
	if !o.NotAfter.IsZero() && row.NotAfter.After(o.NotAfter) {
		row.NotAfter = o.NotAfter.UTC()
	}
	ev := audit.Event{At: x.Now(), Actor: actor, Action: "ca.reserve", Object: row.Serial, Verdict: audit.Accepted,
		Detail: map[string]string{"issuer": row.Issuer, "subject": row.Subject}}
	if err := x.reserve(ctx, row, ev); err != nil {
		return nil, nil, overtaken(fmt.Errorf("reserving serial number: %w", err))
	}
	// From here on the CA may come to issue a certificate with this serial number.
	w := order{serial: serial, subject: subject, name: o.Name, request: request, notBefore: row.NotBefore, notAfter: row.NotAfter}
	answer, err := x.CA.sign(ctx, w)
	if err != nil {
		return nil, nil, errors.Join(err, x.discard(ctx, row.Serial, errors.Is(err, errNotIssued), err))
	}
	chain, err := x.check(answer, w, pub)
	if err != nil {
		// Whatever it has issued is not for the officer.
		errs := []error{err, x.discard(ctx, row.Serial, false, err)}
		if other := answer[0].SerialNumber.String(); other != row.Serial {
			errs = append(errs, x.discard(ctx, other, false, err))
		}
		return nil, nil, errors.Join(errs...)
	}
	cert := chain[0]
	row.Issuer, row.DER, row.NotBefore, row.NotAfter = externalName(chain[1]), cert.Raw, cert.NotBefore, cert.NotAfter
	ev = audit.Event{At: x.Now(), Actor: actor, Action: "ca.issue", Object: row.Serial, Verdict: audit.Accepted,
		Detail: map[string]string{"issuer": row.Issuer, "subject": row.Subject}}
	if err := x.Records.StoreExternal(ctx, row, chain[1:], ev); err != nil {
		return nil, nil, overtaken(fmt.Errorf("storing certificate: %w", err))
	}
	return cert, chain[1:], nil
}

// How long a gateway that finds another asking waits for it, and how often it looks.
const (
	waitFor   = 10 * time.Second
	lookEvery = 100 * time.Millisecond
)

// errOvertaken: the certificate is there.
var errOvertaken = errors.New("another gateway has got the same certificate")

// ErrAsking: another gateway is asking the CA for the same certificate.
var ErrAsking = errors.New("another gateway asks for the same certificate")

// reserve has the first of several gateways ask; the others wait until it has the
// certificate, has given up, or its request can come to nothing any more.
func (x *External) reserve(ctx context.Context, row Certificate, ev audit.Event) error {
	late := time.NewTimer(waitFor)
	defer late.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		ev.At = x.Now()
		// The CA takes no request that has been under way for longer than its token lives.
		err := x.Records.ReserveExternal(ctx, row, ev.At.Add(-tokenFor), ev)
		if !errors.Is(err, ErrAsking) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return err
		case <-look.C:
		}
	}
}

// overtaken says to ask again where another gateway has asked for the same credential
// meanwhile.
func overtaken(err error) error {
	switch {
	case errors.Is(err, ErrExists):
		return fmt.Errorf("%w: %w", ErrUnavailable, errOvertaken)
	case errors.Is(err, ErrUnknown) || errors.Is(err, ErrAsking):
		return fmt.Errorf("%w: another gateway asks for the same certificate (%v)", ErrUnavailable, err)
	}
	return err
}

// discard has what may have been issued revoked. It is done also for a caller who
// has gone.
func (x *External) discard(ctx context.Context, serial string, nothing bool, why error) error {
	ev := audit.Event{At: x.Now(), Actor: "gateway", Action: "ca.discard", Object: serial, Verdict: audit.Noted,
		Detail: map[string]string{"issuer": ExternalIssuer, "reason": reasonFor(why)}}
	if err := x.Records.Discard(context.WithoutCancel(ctx), serial, nothing, ev); err != nil {
		return fmt.Errorf("discarding serial number %s: %w", serial, err)
	}
	return nil
}

// reasonFor is a word for the audit: what another's server wrote is not.
func reasonFor(err error) string {
	switch {
	case errors.Is(err, errNotIssued):
		return "not issued"
	case errors.Is(err, ErrAnswer):
		return "not what was asked for"
	}
	return "no answer"
}

// check gives the certificate and those above it, the root's last, if it is what was
// asked for.
func (x *External) check(answer []*x509.Certificate, w order, pub crypto.PublicKey) ([]*x509.Certificate, error) {
	bad := func(what string) error { return fmt.Errorf("%w: the CA has issued %s", ErrAnswer, what) }
	cert := answer[0]
	const signing = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	switch {
	case !fits(cert, pub):
		return nil, bad("for another key")
	case !bytes.Equal(cert.RawSubject, w.subject):
		return nil, bad("for another subject")
	case cert.SerialNumber.Cmp(w.serial) != 0:
		return nil, bad("with a serial number of its own: its template must take ours (see `mohor ca provisioner`)")
	case cert.IsCA || cert.KeyUsage&signing == 0 || cert.KeyUsage&^signing != 0:
		return nil, bad("for something else than signatures")
	case !forDocuments(cert):
		return nil, bad("without id-kp-documentSigning or emailProtection among its extended key usages")
	case len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) > usages(cert):
		return nil, bad("for something else than documents and mail, by its extended key usages")
	case cert.NotAfter.After(w.notAfter):
		return nil, bad("for longer than was asked for")
	case cert.NotBefore.Before(w.notBefore.Add(-skew)) || cert.NotBefore.After(x.Now().Add(skew)):
		return nil, bad("from another time on than was asked for")
	case len(cert.DNSNames)+len(cert.EmailAddresses)+len(cert.IPAddresses)+len(cert.URIs) > 0:
		return nil, bad("with further names")
	}
	above := x509.NewCertPool()
	for _, c := range answer[1:] {
		above.AddCert(c)
	}
	chains, err := cert.Verify(x509.VerifyOptions{Roots: x.Roots, Intermediates: above, CurrentTime: x.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, fmt.Errorf("%w: the CA has issued below no root of ca.external.roots_file: %w", ErrAnswer, err)
	}
	return chains[0], nil
}

// forDocuments: what verifiers of documents look for (RFC 9336), and those built on NSS.
func forDocuments(c *x509.Certificate) bool {
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) ||
		slices.ContainsFunc(c.UnknownExtKeyUsage, oidDocumentSigning.Equal)
}

// usages counts what forDocuments looks for.
func usages(c *x509.Certificate) (n int) {
	for _, u := range c.ExtKeyUsage {
		if u == x509.ExtKeyUsageEmailProtection {
			n++
		}
	}
	for _, oid := range c.UnknownExtKeyUsage {
		if oid.Equal(oidDocumentSigning) {
			n++
		}
	}
	return n
}

// Settle tells the CA what it is to revoke: what was revoked here, and what it may
// have issued without our having got it. ErrUnavailable when some of it is left. To
// be called now and then.
func (x *External) Settle(ctx context.Context) error {
	stale, err := x.Records.StaleExternal(ctx, x.Now().Add(-patience))
	if err != nil {
		return fmt.Errorf("listing what was not heard of: %w", err)
	}
	for _, serial := range stale {
		if err := x.discard(ctx, serial, false, nil); err != nil {
			return err
		}
	}
	list, err := x.Records.UntoldExternal(ctx)
	if err != nil {
		return fmt.Errorf("listing what the CA is to revoke: %w", err)
	}
	var errs []error
	for _, c := range list {
		if err := x.CA.revoke(ctx, c.Serial, c.Reason); err != nil {
			errs = append(errs, fmt.Errorf("telling the CA to revoke %s: %w", c.Serial, err))
			if errors.Is(err, ErrUnavailable) {
				break // so is it for the others
			}
			continue
		}
		ev := audit.Event{At: x.Now(), Actor: "gateway", Action: "ca.told", Object: c.Serial, Verdict: audit.Noted, Detail: map[string]string{"reason": fmt.Sprint(c.Reason)}}
		if err := x.Records.ToldExternal(ctx, c.Serial, ev); err != nil {
			return errors.Join(append(errs, fmt.Errorf("noting that the CA has revoked %s: %w", c.Serial, err))...)
		}
	}
	return errors.Join(errs...)
}
