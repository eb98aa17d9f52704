package ca

import (
	"context"
	"crypto"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"time"
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
