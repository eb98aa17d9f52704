package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// Attribute types of subjects (X.520).
var (
	oidCountry      = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidOrganization = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidOrgUnit      = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSurname      = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidSerialNumber = asn1.ObjectIdentifier{2, 5, 4, 5}
	// id-kp-documentSigning, RFC 9336, Section 3.
	oidDocumentSigning = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 36}
)

// sandboxUnit stands in the authorities' subjects of a sandbox.
const sandboxUnit = "SANDBOX, NOT VALID"

type attribute struct {
	oid   asn1.ObjectIdentifier
	value string
}

// distinguishedName encodes attributes in the order given, countryName and
// serialNumber as PrintableString (RFC 5280, Appendix A.1), others as
// UTF8String where they need it.
func distinguishedName(attrs ...attribute) ([]byte, error) {
	var seq pkix.RDNSequence
	for _, a := range attrs {
		seq = append(seq, pkix.RelativeDistinguishedNameSET{{Type: a.oid, Value: a.value}})
	}
	return asn1.Marshal(seq)
}

// trainingUnit stands in the subjects of authorities for training, and of all that
// they issue.
const trainingUnit = "LATIHAN, TIDAK SAH / TRAINING, NOT VALID"

// marks are the attributes that say what is not to be relied on.
func (a *Authorities) marks(training bool) (out []attribute, word string) {
	if a.profile.Sandbox {
		out, word = append(out, attribute{oidOrgUnit, sandboxUnit}), " ("+sandboxUnit+")"
	}
	if training {
		out = append(out, attribute{oidOrgUnit, trainingUnit})
	}
	return out, word
}

// authoritySubject is the subject of an authority or a unit: of "issuing-ec-2" it
// is "… Issuing CA EC 2".
func (a *Authorities) authoritySubject(name string, training bool) ([]byte, string, error) {
	cn := map[string]string{TSA: "Time Stamping", Responder: "OCSP Responder"}[name]
	if cn == "" {
		first, rest, _ := strings.Cut(name, "-")
		cn = strings.TrimSpace(strings.ToUpper(first[:1]) + first[1:] + " CA " + strings.ToUpper(strings.ReplaceAll(rest, "-", " ")))
	}
	marks, word := a.marks(training)
	cn = a.profile.Organization + " " + cn + word
	attrs := append([]attribute{{oidCountry, "MY"}, {oidOrganization, a.profile.Organization}}, marks...)
	raw, err := distinguishedName(append(attrs, attribute{oidCommonName, cn})...)
	return raw, cn, err
}

// issueAuthority certifies the key of x by its parent, or by itself.
func (a *Authorities) issueAuthority(ctx context.Context, actor string, x Authority) (*x509.Certificate, error) {
	key, err := a.keys.Signer(ctx, x.Name)
	if err != nil {
		return nil, err
	}
	subject, cn, err := a.authoritySubject(x.Name, x.Training)
	if err != nil {
		return nil, fmt.Errorf("encoding subject: %w", err)
	}
	keyID, err := keyIdentifier(key.Public())
	if err != nil {
		return nil, err
	}
	now := a.now().UTC().Truncate(time.Second)
	t := &x509.Certificate{
		RawSubject: subject, SubjectKeyId: keyID, NotBefore: now.Add(-time.Minute),
		BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	row := Certificate{Issuer: x.Name, Subject: cn, Credential: "authority:" + x.Name}
	if x.Parent == "" {
		t.NotAfter = now.AddDate(a.profile.RootYears, 0, 0)
		t.MaxPathLen = 1
		return a.issue(ctx, actor, row, t, t, key.Public())
	}
	row.Issuer = x.Parent
	parent := a.set.Load().certs[x.Parent]
	t.NotAfter = now.AddDate(a.profile.IssuingYears, 0, 0)
	if t.NotAfter.After(parent.NotAfter) {
		t.NotAfter = parent.NotAfter
	}
	t.MaxPathLenZero = true
	a.addresses(t, x.Parent, false)
	// RFC 5280, Section 4.2.1.4: a path needs the policy in every certificate
	// below the root for it to be valid there.
	if err := a.policy(t); err != nil {
		return nil, err
	}
	return a.issue(ctx, actor, row, t, parent, key.Public())
}

// addresses points at the issuer's CRL and certificate (RFC 5280, Sections
// 4.2.1.13 and 4.2.2.1), and at the OCSP responder where it answers: for issuing
// CAs alone.
func (a *Authorities) addresses(t *x509.Certificate, issuer string, ocsp bool) {
	t.CRLDistributionPoints = []string{a.profile.PublicURL + "/crl/" + issuer + ".crl"}
	t.IssuingCertificateURL = []string{a.profile.PublicURL + "/ca/" + issuer + ".cer"}
	if ocsp {
		t.OCSPServer = []string{a.profile.PublicURL + "/ocsp"}
	}
}

func (a *Authorities) policy(t *x509.Certificate) error {
	oid, err := x509.ParseOID(a.profile.PolicyOID)
	if err != nil {
		return fmt.Errorf("reading policy OID %q: %w", a.profile.PolicyOID, err)
	}
	t.Policies = []x509.OID{oid}
	return nil
}

// keyIdentifier is method 1 of RFC 5280, Section 4.2.1.2.
func keyIdentifier(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("encoding public key: %w", err)
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &spki); err != nil {
		return nil, fmt.Errorf("encoding public key: %w", err)
	}
	sum := sha1.Sum(spki.Key.Bytes)
	return sum[:], nil
}

// tellExternal tells another CA at once what was revoked of it.
func (a *Authorities) tellExternal(ctx context.Context) error {
	if a.External == nil {
		return fmt.Errorf("%w: the one that issued it is not configured (ca.external)", ErrUnavailable)
	}
	return a.External.Settle(ctx)
}

// Revoke revokes a certificate for a CRLReason (RFC 5280, Section 5.3.1) and
// publishes the issuer's CRL at once, or tells the other CA that issued it; that
// cannot suspend.
func (a *Authorities) Revoke(ctx context.Context, actor, serial string, reason int) error {
	row, err := a.records.CertificateBySerial(ctx, serial)
	if err != nil {
		return err
	}
	if IsExternal(row.Issuer) && reason == ReasonCode("certificateHold") {
		return fmt.Errorf("%w: another CA's certificate cannot be suspended there", ErrInvalid)
	}
	now := a.now().UTC().Truncate(time.Second)
	ev := audit.Event{At: now, Actor: actor, Action: "ca.revoke", Object: serial, Verdict: audit.Accepted, Detail: map[string]string{"reason": fmt.Sprint(reason)}}
	err = a.records.Revoke(ctx, serial, now, reason, ev)
	switch {
	case err != nil && !errors.Is(err, ErrRevoked):
		return err
	case IsExternal(row.Issuer):
		return errors.Join(err, a.tellExternal(ctx))
	case err != nil:
		// Revoked before; perhaps the CRL could not be made then.
		_, perr := a.PublishCRL(ctx, row.Issuer)
		return errors.Join(err, perr)
	}
	_, err = a.PublishCRL(ctx, row.Issuer)
	return err
}

// PublishCRL makes and stores the authority's next CRL (RFC 5280, Section 5).
func (a *Authorities) PublishCRL(ctx context.Context, name string) (CRL, error) {
	a.crlMu.Lock()
	defer a.crlMu.Unlock()
	return a.publish(ctx, name)
}

func (a *Authorities) publish(ctx context.Context, name string) (CRL, error) {
	revoked, err := a.records.RevokedBy(ctx, name)
	if err != nil {
		return CRL{}, fmt.Errorf("listing revoked certificates: %w", err)
	}
	last, err := a.records.LatestCRL(ctx, name)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return CRL{}, fmt.Errorf("reading the last CRL: %w", err)
	}
	key, err := a.keys.Signer(ctx, name)
	if err != nil {
		return CRL{}, err
	}
	now := a.now().UTC().Truncate(time.Second)
	t := &x509.RevocationList{Number: big.NewInt(last.Number + 1), ThisUpdate: now, NextUpdate: now.Add(a.profile.CRLFor)}
	for _, c := range revoked {
		n, ok := new(big.Int).SetString(c.Serial, 10)
		if !ok {
			return CRL{}, fmt.Errorf("reading serial number %q of a revoked certificate: not decimal", c.Serial)
		}
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: c.RevokedAt, ReasonCode: c.Reason})
	}
	der, err := x509.CreateRevocationList(rand.Reader, t, a.set.Load().certs[name], key)
	if err != nil {
		return CRL{}, fmt.Errorf("signing the %s CRL: %w", name, err)
	}
	c := CRL{Issuer: name, Number: last.Number + 1, DER: der, ThisUpdate: t.ThisUpdate, NextUpdate: t.NextUpdate}
	ev := audit.Event{At: now, Actor: "gateway", Action: "ca.crl", Object: name, Verdict: audit.Accepted, Detail: map[string]string{"number": fmt.Sprint(c.Number), "revoked": fmt.Sprint(len(revoked))}}
	if err := a.records.StoreCRL(ctx, c, ev); err != nil {
		return CRL{}, fmt.Errorf("storing the %s CRL: %w", name, err)
	}
	return c, nil
}

// lists says whether the CRL holds a revocation of that time or a later one.
func lists(c CRL, at time.Time) (bool, error) {
	list, err := x509.ParseRevocationList(c.DER)
	if err != nil {
		return false, fmt.Errorf("parsing CRL %d of %s: %w", c.Number, c.Issuer, err)
	}
	for _, e := range list.RevokedCertificateEntries {
		if !e.RevocationTime.Before(at.Truncate(time.Second)) {
			return true, nil
		}
	}
	return false, nil
}

// CRL returns the current CRL, made anew when half of its time has passed, so
// that a mirror never holds an expired one.
func (a *Authorities) CRL(ctx context.Context, name string) (CRL, error) {
	if a.set.Load().certs[name] == nil && a.fresh().certs[name] == nil {
		return CRL{}, ErrUnknown
	}
	a.crlMu.Lock()
	defer a.crlMu.Unlock()
	c, err := a.records.LatestCRL(ctx, name)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return CRL{}, err
	}
	if err == nil && a.now().Before(c.ThisUpdate.Add(a.profile.CRLFor/2)) {
		last, err := a.records.LastRevocation(ctx, name)
		if err != nil {
			return CRL{}, err
		}
		if last.Before(c.ThisUpdate) {
			return c, nil
		}
		// A revocation whose own CRL was not made (or in this very second): if the
		// list has it, the list is current.
		if on, err := lists(c, last); err != nil || on {
			return c, err
		}
	}
	return a.publish(ctx, name)
}

// reasons are the CRLReasons (RFC 5280, Section 5.3.1) by their code.
var reasons = [...]string{0: "unspecified", 1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded",
	5: "cessationOfOperation", 6: "certificateHold", 8: "removeFromCRL", 9: "privilegeWithdrawn", 10: "aACompromise"}

// ReasonCode is the code of a CRLReason by its name, 0 (unspecified) for one that
// is none.
func ReasonCode(name string) int { return max(0, slices.Index(reasons[:], name)) }
