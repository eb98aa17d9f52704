package enrol_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/storetest"
)

func request(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "SOMEBODY ELSE"}, DNSNames: []string{"evil.example"}}, key)
	must(t, err)
	return der
}

// The key of a token is certified once, under the name on record.
func TestIssueExternal(t *testing.T) {
	h := house(t)
	db := h.DB
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der := request(t, key)
	ask := enrol.ExternalKey{IC: storetest.IC, System: "EPEROLEHAN", Medium: enrol.Token, CSR: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})}
	id, cert, err := h.Registrar.IssueExternal(ctx, "test", ask)
	must(t, err)
	if cert.Subject.CommonName != h.Officer.Name || cert.Subject.SerialNumber != storetest.IC || len(cert.DNSNames) != 0 || !key.PublicKey.Equal(cert.PublicKey) {
		t.Errorf("%s, %q", cert.Subject, cert.DNSNames)
	}
	row, err := db.CertificateBySerial(ctx, cert.SerialNumber.String())
	if err != nil || row.Credential != id || id == h.Credential.ID {
		t.Errorf("credential %q, row %+v, %v", id, row.Credential, err)
	}
	ask.CSR = request(t, key) // DER, and another signature
	if again, c, err := h.Registrar.IssueExternal(ctx, "test", ask); err != nil || again != id || !c.Equal(cert) {
		t.Errorf("again: %q, %v", again, err)
	}
	_, media, err := db.Officer(ctx, storetest.IC)
	if err != nil || len(media) != 2 || media[0].System != "EPEROLEHAN" || media[0].Medium != enrol.Token || media[1].Medium != enrol.RoamingOTP {
		t.Errorf("media %+v, %v", media, err)
	}

	broken := bytes.Clone(der)
	broken[len(broken)-1] ^= 1
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	for what, c := range map[string]struct {
		edit func(*enrol.ExternalKey)
		want error
	}{
		"another system":        {func(k *enrol.ExternalKey) { k.System = "X" }, ca.ErrDuplicateKey},
		"in the HSM":            {func(k *enrol.ExternalKey) { k.Medium = enrol.RoamingOTP }, enrol.ErrInvalid},
		"a system of no name":   {func(k *enrol.ExternalKey) { k.System = "a b" }, enrol.ErrInvalid},
		"another medium":        {func(k *enrol.ExternalKey) { k.CSR, k.System = request(t, fresh), storetest.System }, enrol.ErrExists},
		"nobody":                {func(k *enrol.ExternalKey) { k.IC = "800101145678" }, enrol.ErrUnknown},
		"a profile of no name":  {func(k *enrol.ExternalKey) { k.CSR, k.Profile = request(t, fresh), "x" }, ca.ErrProfile},
		"not its own signature": {func(k *enrol.ExternalKey) { k.CSR = broken }, enrol.ErrInvalid},
		"a weak key":            {func(k *enrol.ExternalKey) { k.CSR = request(t, weak) }, ca.ErrWeakKey},
		"nonsense":              {func(k *enrol.ExternalKey) { k.CSR = []byte("hello") }, enrol.ErrInvalid},
		"nothing":               {func(k *enrol.ExternalKey) { k.CSR = nil }, enrol.ErrInvalid},
		"too long":              {func(k *enrol.ExternalKey) { k.CSR = []byte(strings.Repeat("a", 65<<10)) }, enrol.ErrInvalid},
		"a certificate": {func(k *enrol.ExternalKey) {
			k.CSR = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
		}, enrol.ErrInvalid},
	} {
		k := ask
		c.edit(&k)
		if id, cert, err := h.Registrar.IssueExternal(ctx, "test", k); !errors.Is(err, c.want) || cert != nil || id != "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, media, err := db.Officer(ctx, storetest.IC); err != nil || len(media) != 2 {
		t.Errorf("after refusals: %+v, %v", media, err)
	}
}
