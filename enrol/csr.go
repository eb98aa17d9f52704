package enrol

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
)

// maxCSR bounds a certification request, bytes.
const maxCSR = 64 << 10

// ExternalKey asks for the certificate of a key that is not in the HSM.
type ExternalKey struct {
	IC      string // of an officer on record
	System  string
	Medium  string // Token or SoftCert
	Profile string // of ca.Profile.EndEntities; "" for the default
	CSR     []byte // PKCS#10 (RFC 2986), PEM or DER
}

// IssueExternal certifies the key of a token or software certificate and returns the
// id of its credential. The request's signature proves possession of the key; subject
// and all else come from the record and the profile, nothing from the request. The
// medium is recorded, unless the officer has another for the system (ErrExists). The
// same request again gives the same certificate.
func (r *Registrar) IssueExternal(ctx context.Context, actor string, k ExternalKey) (credential string, cert *x509.Certificate, err error) {
	if k.Medium != Token && k.Medium != SoftCert {
		return "", nil, fmt.Errorf("%w: medium must be %s or %s", ErrInvalid, Token, SoftCert)
	}
	if !validID(k.System) {
		return "", nil, fmt.Errorf("%w: system must have 1 to 32 letters, digits, - or _", ErrInvalid)
	}
	csr, err := readCSR(k.CSR)
	if err != nil {
		return "", nil, err
	}
	if err := ca.CheckKey(csr.PublicKey); err != nil {
		return "", nil, err
	}
	o, media, err := r.Records.Officer(ctx, k.IC)
	if err != nil {
		return "", nil, fmt.Errorf("reading officer: %w", err)
	}
	// One for each holder, use and key, so that a repetition is known for one.
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %x", k.IC, k.System, k.Medium, csr.RawSubjectPublicKeyInfo))
	credential = "cr_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
	have := slices.IndexFunc(media, func(m Medium) bool { return m.System == k.System })
	if have >= 0 && media[have].Medium != k.Medium {
		return "", nil, fmt.Errorf("recording medium: %w: the officer's for %s is %s", ErrExists, k.System, media[have].Medium)
	}
	cert, err = r.CA.IssueOfficer(ctx, actor, ca.Officer{IC: o.IC, Name: o.Name, Credential: credential, Profile: k.Profile}, csr.PublicKey)
	if err != nil {
		return "", nil, fmt.Errorf("issuing certificate: %w", err)
	}
	if have >= 0 {
		return credential, cert, nil
	}
	// What a crash leaves out here is done when the request is repeated.
	ev := audit.Event{At: r.Now(), Actor: actor, Action: "enrol.officer", Object: "officer:" + k.IC, Verdict: audit.Accepted,
		Detail: map[string]string{"system": k.System, "medium": k.Medium, "credential": credential, "serial": cert.SerialNumber.String()}}
	if err := r.Records.PutOfficer(ctx, o, k.System, k.Medium, ev); err != nil {
		return "", nil, fmt.Errorf("recording medium: %w", err)
	}
	return credential, cert, nil
}

// readCSR reads a request and checks its signature.
func readCSR(raw []byte) (*x509.CertificateRequest, error) {
	bad := func(why string) error { return fmt.Errorf("%w: certification request: %s", ErrInvalid, why) }
	if len(raw) > maxCSR {
		return nil, bad("longer than 64 KiB")
	}
	if block, _ := pem.Decode(raw); block != nil {
		if !strings.HasSuffix(block.Type, "CERTIFICATE REQUEST") {
			return nil, bad("the file holds " + block.Type)
		}
		raw = block.Bytes
	}
	csr, err := x509.ParseCertificateRequest(raw)
	if err != nil {
		return nil, bad("not PKCS#10")
	}
	switch csr.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
	default:
		return nil, bad("signed with " + csr.SignatureAlgorithm.String())
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, errors.Join(bad("its signature does not verify by its own key"), err)
	}
	return csr, nil
}
