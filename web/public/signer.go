package public

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
)

// signerOf is who signed, by the certificate: the name that people know, and the parts for experts.
type signerOf struct {
	Name, Issuer string
	Subject      string
	IssuerDN     string
	Serial       string
	Key          string // "RSA 2048", "ECDSA P-256"
	Algorithm    string // by which the certificate was signed
	Fingerprint  string // SHA-256
	*x509.Certificate
}

// signerFrom reads what a signature says of its signer: subject is used where there is no
// certificate that can be read.
func signerFrom(der []byte, subject string) signerOf {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return signerOf{Name: commonName(subject), Subject: subject}
	}
	sum := sha256.Sum256(der)
	s := signerOf{Name: c.Subject.CommonName, Issuer: c.Issuer.CommonName, Subject: subject, IssuerDN: c.Issuer.String(), Serial: strings.ToUpper(c.SerialNumber.Text(16)),
		Key: keyOf(c), Algorithm: c.SignatureAlgorithm.String(), Fingerprint: pairs(sum[:]), Certificate: c}
	if s.Name == "" {
		s.Name = commonName(subject)
	}
	if s.Issuer == "" {
		s.Issuer = s.IssuerDN
	}
	return s
}

// commonName is the CN of a name as the API prints it, or all of it.
func commonName(subject string) string {
	for part := range strings.SplitSeq(subject, ",") {
		if cn, ok := strings.CutPrefix(strings.TrimSpace(part), "CN="); ok && cn != "" {
			return cn
		}
	}
	return subject
}

func keyOf(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	}
	return c.PublicKeyAlgorithm.String()
}

// pairs writes bytes as 9A 0F …, which can be broken into lines.
func pairs(b []byte) string {
	var out []string
	for _, x := range b {
		out = append(out, strings.ToUpper(hex.EncodeToString([]byte{x})))
	}
	return strings.Join(out, " ")
}
