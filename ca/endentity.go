package ca

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ErrProfile: a profile of people's certificates is not sound.
var ErrProfile = errors.New("certificate profile")

// DefaultEndEntity is the name of the profile that officers' certificates have where
// none is named.
const DefaultEndEntity = "officer"

// EndEntity is a profile of people's certificates. What is left empty is as in the
// profile [DefaultEndEntity] of an installation that says nothing.
type EndEntity struct {
	// Issuers are names of authorities: the first whose key is of the kind of the
	// person's issues, else the first; its successor in its place.
	Issuers  []string
	Validity time.Duration // at least an hour; a certificate ends with its issuer's at the latest
	Keys     []string      // kinds allowed: RSA-2048, RSA-3072, RSA-4096, ECDSA-P256, ECDSA-P384
	// KeyUsage holds names of RFC 5280, Section 4.2.1.3, but those of CAs.
	KeyUsage []string
	// ExtKeyUsage holds documentSigning (RFC 9336), emailProtection, clientAuth, or
	// object identifiers, dotted; none that would make a person a server, a CA's
	// responder or a time-stamp unit.
	ExtKeyUsage []string
	Policies    []string // certificate policies, dotted
	// Subject holds attributes in order, TYPE=VALUE of C, O, OU, CN, SURNAME,
	// GIVENNAME, TITLE and SERIALNUMBER. {name} and {ic} stand for the person's; {ic}
	// must be there.
	Subject []string
	// CRL, OCSP and CAIssuers are http addresses; {public} stands for PublicURL and
	// {issuer} for the issuer's name.
	CRL, OCSP, CAIssuers []string
}

// defaultEndEntity is what an EndEntity that says nothing means.
func (p *Profile) defaultEndEntity() EndEntity {
	return EndEntity{
		Issuers: p.Issuers, Validity: p.Officer, Keys: keyKinds(), KeyUsage: []string{"digitalSignature", "nonRepudiation"},
		// Verifiers built on NSS (pdfsig, Okular, LibreOffice) do not know RFC 9336
		// and trust only certificates that are good for e-mail, too.
		ExtKeyUsage: []string{"emailProtection", "documentSigning"},
		Policies:    []string{p.PolicyOID},
		Subject:     []string{"C=MY", "CN={name}", "SURNAME={ic}", "SERIALNUMBER={ic}"},
		CRL:         []string{"{public}/crl/{issuer}.crl"}, OCSP: []string{"{public}/ocsp"}, CAIssuers: []string{"{public}/ca/{issuer}.cer"},
	}
}

// endEntity finds a profile and fills what it leaves empty.
func (p *Profile) endEntity(name string) (EndEntity, error) {
	if name == "" {
		name = DefaultEndEntity
	}
	e, ok := p.EndEntities[name]
	if !ok && name != DefaultEndEntity {
		return e, fmt.Errorf("%w: there is none called %q", ErrProfile, name)
	}
	d := p.defaultEndEntity()
	if e.Validity == 0 {
		e.Validity = d.Validity
	}
	for _, f := range []struct{ set, otherwise *[]string }{{&e.Issuers, &d.Issuers}, {&e.Keys, &d.Keys}, {&e.KeyUsage, &d.KeyUsage}, {&e.ExtKeyUsage, &d.ExtKeyUsage},
		{&e.Policies, &d.Policies}, {&e.Subject, &d.Subject}, {&e.CRL, &d.CRL}, {&e.OCSP, &d.OCSP}, {&e.CAIssuers, &d.CAIssuers}} {
		if len(*f.set) == 0 {
			*f.set = *f.otherwise
		}
	}
	return e, nil
}

// names are those of all profiles, in order.
func (p *Profile) names() []string {
	names := slices.Collect(maps.Keys(p.EndEntities))
	if _, ok := p.EndEntities[DefaultEndEntity]; !ok {
		names = append(names, DefaultEndEntity)
	}
	slices.Sort(names)
	return names
}

// Check is ErrProfile, naming profile and field, when a profile cannot be right
// whatever authorities there are.
func (p *Profile) Check() error {
	for _, name := range p.names() {
		e, err := p.endEntity(name)
		if err != nil {
			return err
		}
		for _, k := range e.Keys {
			if !slices.Contains(keyKinds(), k) {
				return fmt.Errorf("%w: %s: keys: %q is none of %s", ErrProfile, name, k, strings.Join(keyKinds(), ", "))
			}
		}
		if e.Validity < time.Hour {
			return fmt.Errorf("%w: %s: validity must be at least 1h", ErrProfile, name)
		}
		if len(e.Issuers) == 0 || slices.Contains(e.Issuers, "") {
			return fmt.Errorf("%w: %s: issuers must name authorities", ErrProfile, name)
		}
		if _, _, err := e.shape(p.PublicURL, sample(), Authority{Name: "name"}); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrProfile, name, err)
		}
	}
	return nil
}

// sample is nobody, with a name as long as any that is enrolled and no PrintableString:
// what a profile can make of it, it can make of all.
func sample() Officer {
	return Officer{IC: "000101000000", Name: strings.Repeat("NAMA CONTOH É/O.", 4)}
}

// keyUsages by their names; those of CAs are not for people.
func keyUsages() map[string]x509.KeyUsage {
	return map[string]x509.KeyUsage{"digitalSignature": x509.KeyUsageDigitalSignature, "nonRepudiation": x509.KeyUsageContentCommitment,
		"contentCommitment": x509.KeyUsageContentCommitment, "keyEncipherment": x509.KeyUsageKeyEncipherment,
		"dataEncipherment": x509.KeyUsageDataEncipherment, "keyAgreement": x509.KeyUsageKeyAgreement}
}

// extKeyUsage reads a purpose by name or number.
func extKeyUsage(s string) (asn1.ObjectIdentifier, error) {
	switch s {
	case "documentSigning":
		return oidDocumentSigning, nil
	case "emailProtection":
		return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}, nil
	case "clientAuth":
		return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}, nil
	}
	oid, err := x509.ParseOID(s)
	if err != nil {
		return nil, fmt.Errorf("ext_key_usage: %q is neither documentSigning, emailProtection, clientAuth nor an object identifier", s)
	}
	switch oid.String() { // not s: 9 may be written 09
	case "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.3", "1.3.6.1.5.5.7.3.8", "1.3.6.1.5.5.7.3.9", "2.5.29.37.0":
		return nil, fmt.Errorf("ext_key_usage: %s is not for people", oid)
	}
	var out asn1.ObjectIdentifier
	raw, err := oid.MarshalBinary()
	if err == nil {
		_, err = asn1.Unmarshal(append([]byte{asn1.TagOID, byte(len(raw))}, raw...), &out)
	}
	if err != nil || len(raw) > 127 {
		return nil, fmt.Errorf("ext_key_usage: %q: its numbers are too large", s)
	}
	return out, nil
}

// attributeTypes of subject templates (X.520).
func attributeTypes() map[string]asn1.ObjectIdentifier {
	return map[string]asn1.ObjectIdentifier{"C": oidCountry, "O": oidOrganization, "OU": oidOrgUnit, "CN": oidCommonName, "SURNAME": oidSurname,
		"GIVENNAME": {2, 5, 4, 42}, "TITLE": {2, 5, 4, 12}, "SERIALNUMBER": oidSerialNumber}
}

// shape is the certificate of o by the authority called by, without times, key and
// number, and its subject as text (RFC 4514, most significant first).
func (e *EndEntity) shape(public string, o Officer, by Authority) (t *x509.Certificate, text string, err error) {
	t = &x509.Certificate{BasicConstraintsValid: true}
	for _, name := range e.KeyUsage {
		u := keyUsages()[name]
		if u == 0 {
			return nil, "", fmt.Errorf("key_usage: %q is not a usage for people", name)
		}
		t.KeyUsage |= u
	}
	for _, name := range e.ExtKeyUsage {
		oid, err := extKeyUsage(name)
		if err != nil {
			return nil, "", err
		}
		t.UnknownExtKeyUsage = append(t.UnknownExtKeyUsage, oid)
	}
	for _, name := range e.Policies {
		oid, err := x509.ParseOID(name)
		if err != nil {
			return nil, "", fmt.Errorf("policies: %q is not an object identifier", name)
		}
		t.Policies = append(t.Policies, oid)
	}
	if t.RawSubject, text, err = e.subject(o, by.Training); err != nil {
		return nil, "", err
	}
	for _, f := range []struct {
		name      string
		templates []string
		to        *[]string
	}{{"crl", e.CRL, &t.CRLDistributionPoints}, {"ocsp", e.OCSP, &t.OCSPServer}, {"ca_issuers", e.CAIssuers, &t.IssuingCertificateURL}} {
		for _, s := range f.templates {
			s = strings.NewReplacer("{public}", public, "{issuer}", by.Name).Replace(s)
			// RFC 5280, Section 8: https would need a certificate to check a certificate.
			if u, err := url.Parse(s); err != nil || u.Scheme != "http" || u.Host == "" || strings.ContainsAny(s, "{} ") {
				return nil, "", fmt.Errorf("%s: %q is not an http address; {public} and {issuer} may stand in it", f.name, s)
			}
			*f.to = append(*f.to, s)
		}
	}
	return t, text, nil
}

// subject fills the template. What is for training says so behind the country.
func (e *EndEntity) subject(o Officer, training bool) (raw []byte, text string, err error) {
	var attrs []attribute
	var parts []string
	named := false
	for _, s := range e.Subject {
		kind, value, _ := strings.Cut(s, "=")
		oid := attributeTypes()[kind]
		if oid == nil || value == "" {
			return nil, "", fmt.Errorf("subject: %q is not TYPE=VALUE of a known type", s)
		}
		named = named || strings.Contains(value, "{ic}")
		value = strings.NewReplacer("{name}", o.Name, "{ic}", o.IC).Replace(value)
		attrs = append(attrs, attribute{oid, value})
		parts = append(parts, kind+"="+escape(value))
	}
	if !named {
		return nil, "", errors.New("subject: {ic} must stand in it: a name alone is not one person's")
	}
	if training {
		at := 0
		if attrs[0].oid.Equal(oidCountry) {
			at = 1
		}
		attrs, parts = slices.Insert(attrs, at, attribute{oidOrgUnit, trainingUnit}), slices.Insert(parts, at, "OU="+escape(trainingUnit))
	}
	raw, err = distinguishedName(attrs...)
	return raw, strings.Join(parts, ","), err
}

// escape writes a value as RFC 4514, Section 2.4, so that no two names read alike.
func escape(v string) string {
	v = strings.NewReplacer(`\`, `\\`, ",", `\,`, "+", `\+`, `"`, `\"`, "<", `\<`, ">", `\>`, ";", `\;`).Replace(v)
	if strings.HasSuffix(v, " ") {
		v = v[:len(v)-1] + `\ `
	}
	if v != `\ ` && strings.HasPrefix(v, " ") || strings.HasPrefix(v, "#") {
		v = `\` + v
	}
	return v
}

// person is the certificate that profile gives o for pub, but for its number, with
// the row and the issuer's certificate.
func (a *Authorities) person(e *EndEntity, o Officer, pub crypto.PublicKey, by Authority, issuer *x509.Certificate) (*x509.Certificate, Certificate, error) {
	t, text, err := e.shape(a.profile.PublicURL, o, by)
	if err != nil {
		return nil, Certificate{}, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	if !slices.Contains(e.Keys, keyKind(pub)) {
		return nil, Certificate{}, fmt.Errorf("%w: the profile allows %s", ErrWeakKey, strings.Join(e.Keys, ", "))
	}
	if t.SubjectKeyId, err = keyIdentifier(pub); err != nil {
		return nil, Certificate{}, err
	}
	now := a.now().UTC().Truncate(time.Second)
	t.NotBefore, t.NotAfter = now.Add(-time.Minute), now.Add(e.Validity)
	if t.NotAfter.After(issuer.NotAfter) {
		t.NotAfter = issuer.NotAfter
	}
	if !o.NotAfter.IsZero() && t.NotAfter.After(o.NotAfter) {
		t.NotAfter = o.NotAfter.UTC()
	}
	return t, Certificate{Issuer: by.Name, Subject: text, Credential: o.Credential, NotBefore: t.NotBefore, NotAfter: t.NotAfter}, nil
}
