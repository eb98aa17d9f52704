package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mohor-sign/mohor/audit"
)

// issue drafts, records, lints, signs, compares and stores one certificate.
func (a *Authorities) issue(ctx context.Context, actor string, row Certificate, template, parent *x509.Certificate, pub crypto.PublicKey) (*x509.Certificate, error) {
	key, err := a.signer(ctx, row.Issuer, parent)
	if err != nil {
		return nil, err
	}
	ev := audit.Event{Actor: actor, Action: "ca.reserve", Object: row.Credential, Verdict: audit.Accepted,
		Detail: map[string]string{"issuer": row.Issuer, "subject": row.Subject}}
	if err := CheckKey(pub); err != nil {
		return nil, a.refuse(ctx, ev, err)
	}
	if parent != template {
		if err := a.standing(ctx, row.Issuer, parent); err != nil {
			return nil, a.refuse(ctx, ev, err)
		}
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	draft, err := a.linter.draft(template, parent, pub, key.Public())
	if err != nil {
		return nil, err
	}
	if err := asAsked(draft, template, pub); err != nil {
		return nil, err
	}
	row.Serial, row.Status, row.Intent, row.Key = serial.String(), Reserved, draft.RawTBSCertificate, KeyHash(draft.RawSubjectPublicKeyInfo)
	row.NotBefore, row.NotAfter = template.NotBefore, template.NotAfter
	ev.At, ev.Object = a.now(), row.Serial
	ev.Detail["credential"], ev.Detail["tbs"] = row.Credential, hex.EncodeToString(KeyHash(row.Intent))
	if err := a.records.ReserveSerial(ctx, row, ev); err != nil {
		if errors.Is(err, ErrDuplicateKey) || errors.Is(err, ErrRevoked) {
			err = a.refuse(ctx, ev, err)
		}
		return nil, fmt.Errorf("reserving serial number: %w", err)
	}
	// From here on the register knows what may come to exist under this number.
	if err := a.linter.lint(draft); err != nil {
		return nil, a.refuse(ctx, ev, err)
	}
	// The issuer signs the very bytes that were recorded and linted.
	der, err := signDraft(draft, key)
	if err != nil {
		return nil, err
	}
	issuer := parent
	if parent == template {
		issuer = nil
	}
	c, err := compare(der, draft, issuer)
	if err != nil {
		return nil, a.refuse(ctx, ev, fmt.Errorf("comparing the new certificate: %w", err))
	}
	// A crash up to here loses the signature, which nobody has seen; the number stays
	// reserved for good.
	ev.Action, ev.At = "ca.issue", a.now()
	if err := a.records.StoreCertificate(ctx, row.Serial, der, ev); err != nil {
		return nil, fmt.Errorf("storing certificate: %w", err)
	}
	return c, nil
}

// signer is the key of the authority name, which is looked up in the token once: c is its
// certificate, unless that is yet to be made.
func (a *Authorities) signer(ctx context.Context, name string, c *x509.Certificate) (crypto.Signer, error) {
	if k, ok := a.signers.Load(name); ok && fits(c, k.(crypto.Signer).Public()) {
		return k.(crypto.Signer), nil
	}
	k, err := a.keys.Signer(ctx, name)
	if err == nil && fits(c, k.Public()) {
		a.signers.Store(name, k)
	}
	return k, err
}

// refuse audits why a certificate is not issued, and returns it.
func (a *Authorities) refuse(ctx context.Context, ev audit.Event, why error) error {
	ev.At, ev.Action, ev.Verdict = a.now(), "ca.issue", audit.Refused
	ev.Detail["reason"] = why.Error()
	if err := a.records.AuditAll(ctx, ev); err != nil {
		return errors.Join(why, fmt.Errorf("recording the refusal: %w", err))
	}
	return why
}

// asAsked compares a draft with what it was made from.
func asAsked(draft, template *x509.Certificate, pub crypto.PublicKey) error {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return fmt.Errorf("encoding public key: %w", err)
	}
	if draft.SerialNumber.Cmp(template.SerialNumber) != 0 || !bytes.Equal(draft.RawSubject, template.RawSubject) || !bytes.Equal(draft.RawSubjectPublicKeyInfo, spki) ||
		!draft.NotBefore.Equal(template.NotBefore) || !draft.NotAfter.Equal(template.NotAfter) || draft.IsCA != template.IsCA || draft.KeyUsage != template.KeyUsage {
		return errors.New("comparing the drafted certificate: it is not what was asked for")
	}
	return nil
}

// signDraft puts the issuer's signature in the place of the throwaway one.
func signDraft(draft *x509.Certificate, key crypto.Signer) ([]byte, error) {
	s, err := schemeOf(key.Public())
	if err != nil {
		return nil, err
	}
	if s.alg != draft.SignatureAlgorithm {
		return nil, fmt.Errorf("signing certificate: the draft says %v, the key makes %v", draft.SignatureAlgorithm, s.alg)
	}
	var body, tbs, alg cryptobyte.String
	outer := cryptobyte.String(draft.Raw)
	if !outer.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Element(&tbs, cbasn1.SEQUENCE) || !body.ReadASN1Element(&alg, cbasn1.SEQUENCE) {
		return nil, errors.New("signing certificate: the draft cannot be read")
	}
	sig, err := key.Sign(rand.Reader, digestOf(s.hash, tbs), s.hash)
	if err != nil {
		return nil, fmt.Errorf("signing certificate: %w", err)
	}
	return build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(alg)
		b.AddASN1BitString(sig)
	})
}

// compare reads a new certificate and holds it against its draft and its issuer, nil
// for itself.
func compare(der []byte, draft, issuer *x509.Certificate) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(c.RawTBSCertificate, draft.RawTBSCertificate) {
		return nil, errors.New("it is not the one that was recorded")
	}
	if issuer == nil {
		issuer = c
	}
	if err := c.CheckSignatureFrom(issuer); err != nil {
		return nil, err
	}
	return c, nil
}

// Officer is who an officer's certificate names.
type Officer struct {
	IC, Name   string
	Credential string
	Profile    string // "": DefaultEndEntity
	// NotAfter is when the certificate ends at the latest; zero: as the profile has it.
	NotAfter time.Time
}

// Subject is the name in an officer's request, in DER: C=MY, CN=<name>, SURNAME=<IC>,
// serialNumber=<IC>. What a certificate says is its profile's to decide.
func (o Officer) Subject() ([]byte, error) {
	return distinguishedName(attribute{oidCountry, "MY"}, attribute{oidCommonName, o.Name}, attribute{oidSurname, o.IC}, attribute{oidSerialNumber, o.IC})
}

// IssueOfficer issues a person's certificate by a profile of Profile.EndEntities. In
// the default one the subject is C=MY, CN=<name>, SURNAME=<IC>, serialNumber=<IC>,
// for digitalSignature and nonRepudiation (RFC 5280, Section 4.2.1.3), documentSigning
// (RFC 9336) and emailProtection.
//
// Once per credential, key and subject: called again, as after a crash, it gives the
// certificate there is, while that is good. ErrWeakKey, ErrDuplicateKey, ErrRevoked
// (a certificate of this key was) and ErrLint refuse; refusals are in the audit.
func (a *Authorities) IssueOfficer(ctx context.Context, actor string, o Officer, pub crypto.PublicKey) (*x509.Certificate, error) {
	e, err := a.profile.endEntity(o.Profile)
	if err != nil {
		return nil, err
	}
	by, issuer, err := a.issuerFor(ctx, e.Issuers, pub)
	if err != nil {
		return nil, err
	}
	t, row, err := a.person(&e, o, pub, by, issuer)
	if errors.Is(err, ErrWeakKey) {
		return nil, a.refuse(ctx, audit.Event{Actor: actor, Object: o.Credential, Detail: map[string]string{"issuer": by.Name}}, err)
	}
	if err != nil {
		return nil, err
	}
	if c, err := a.existing(ctx, row, pub); !errors.Is(err, ErrUnknown) {
		return c, err
	}
	c, err := a.issue(ctx, actor, row, t, issuer, pub)
	if errors.Is(err, ErrExists) { // somebody else was faster
		return a.existing(ctx, row, pub)
	}
	return c, err
}

// existing is the certificate that row conflicts with because it is the same again,
// or ErrUnknown.
func (a *Authorities) existing(ctx context.Context, row Certificate, pub crypto.PublicKey) (*x509.Certificate, error) {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("encoding public key: %w", err)
	}
	others, err := a.records.CertificatesByKey(ctx, KeyHash(spki))
	if err != nil {
		return nil, fmt.Errorf("reading certificates of the key: %w", err)
	}
	for _, o := range others {
		if o.Status == Active && o.Credential == row.Credential && errors.Is(Conflict(row, []Certificate{o}), ErrExists) {
			return x509.ParseCertificate(o.DER)
		}
	}
	return nil, fmt.Errorf("looking for the certificate there is: %w", ErrUnknown)
}

// CheckProfiles drafts and lints certificates as each profile would have each of its
// issuers sign them, and is ErrProfile, naming the profile, when one could not be
// issued. Nothing is signed.
func (a *Authorities) CheckProfiles(ctx context.Context) error {
	if err := a.Refresh(ctx); err != nil {
		return err
	}
	return a.checkProfiles()
}

// CheckProfiles is [Authorities.CheckProfiles] for whoever has no keys, with the
// authorities on record and their certificates.
func CheckProfiles(p Profile, list []Authority, certs map[string]*x509.Certificate, now func() time.Time) error {
	a := newAuthorities(p, nil, nil, now)
	a.set.Store(&set{list: list, certs: certs})
	return a.checkProfiles()
}

func (a *Authorities) checkProfiles() error {
	if err := a.profile.Check(); err != nil {
		return err
	}
	for _, name := range a.profile.names() {
		e, err := a.profile.endEntity(name)
		if err != nil {
			return err
		}
		for _, issuer := range e.Issuers {
			if err := a.checkProfile(&e, issuer); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrProfile, name, err)
			}
		}
	}
	return nil
}

func (a *Authorities) checkProfile(e *EndEntity, issuer string) error {
	s := a.set.Load()
	by := s.live(issuer)
	cert := s.certs[by.Name]
	if cert == nil || by.Parent == "" {
		return fmt.Errorf("issuers: there is no issuing CA %q", issuer)
	}
	seen := make(map[string]bool)
	for _, kind := range e.Keys {
		if seen[kind[:3]] {
			continue // one kind of RSA, one of ECDSA
		}
		seen[kind[:3]] = true
		pub, err := samplePublicKey(kind)
		if err != nil {
			return err
		}
		t, _, err := a.person(e, sample(), pub, by, cert)
		if err != nil {
			return err
		}
		t.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 126)
		draft, err := a.linter.draft(t, cert, pub, cert.PublicKey)
		if err != nil {
			return err
		}
		if err := a.linter.lint(draft); err != nil {
			return err
		}
	}
	return nil
}
