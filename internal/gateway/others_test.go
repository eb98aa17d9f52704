//go:build !race

package gateway_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// otherCA is a CA that issues to all sorts of customers.
type otherCA struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
	now  time.Time
}

func newOtherCA(t *testing.T, now time.Time) *otherCA {
	t.Helper()
	c := &otherCA{now: now}
	c.root, c.key = c.issue(t, x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Other Root"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign})
	return c
}

func (c *otherCA) issue(t *testing.T, shape x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signing := c.root, c.key
	if parent == nil {
		parent, signing = &shape, key
	}
	shape.NotBefore, shape.NotAfter = c.now.Add(-time.Hour), c.now.Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &shape, parent, &key.PublicKey, signing)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// customer is a certificate for ALI with a usage.
func (c *otherCA) customer(t *testing.T, serial int64, usage x509.ExtKeyUsage, policies ...x509.OID) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	return c.issue(t, x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "ALI BIN ABU"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, Policies: policies})
}

func (c *otherCA) list(t *testing.T) *x509.RevocationList {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: c.now.Add(-time.Hour), NextUpdate: c.now.Add(time.Hour)}, c.root, c.key)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Below a root of another CA those alone sign that are on record here or have our policy:
// not whoever else that CA has given a certificate to.
func TestOtherCAsCustomersDoNotSign(t *testing.T) {
	g := gatewaytest.New(t)
	other := newOtherCA(t, g.Clock.Now())
	roots, keys := filepath.Join(t.TempDir(), "roots.pem"), filepath.Join(t.TempDir(), "key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(other.key)
	if err != nil {
		t.Fatal(err)
	}
	for path, b := range map[string]*pem.Block{roots: {Type: "CERTIFICATE", Bytes: other.root.Raw}, keys: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reconfigure(t, g, func(text string) string {
		return external(t, text, "https://127.0.0.1:1", roots, "mohor", keys, "")
	})
	policy, err := x509.ParseOID(ca.DefaultProfile().PolicyOID)
	if err != nil {
		t.Fatal(err)
	}
	recorded, recordedKey := other.customer(t, 20, x509.ExtKeyUsageEmailProtection)
	if err := gateway.Record(t.Context(), g.Server, recorded); err != nil {
		t.Fatal(err)
	}
	online, err := g.Server.Trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	alone, err := gateway.OfflineTrust(t.Context(), g.Dir, "", g.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	client, clientKey := other.customer(t, 21, x509.ExtKeyUsageClientAuth)
	mail, mailKey := other.customer(t, 22, x509.ExtKeyUsageEmailProtection)
	again, againKey := other.customer(t, 20, x509.ExtKeyUsageEmailProtection) // the serial number of the one on record
	ours, oursKey := other.customer(t, 23, x509.ExtKeyUsageEmailProtection, policy)
	for what, x := range map[string]struct {
		cert            *x509.Certificate
		key             *ecdsa.PrivateKey
		online, offline bool
	}{
		"clientAuth":       {client, clientKey, false, false},
		"somebody's mail":  {mail, mailKey, false, false},
		"a number of ours": {again, againKey, false, false},
		"on record":        {recorded, recordedKey, true, false},
		"our policy":       {ours, oursKey, true, true},
	} {
		digest := sha256.Sum256([]byte("Arahan Bayaran"))
		sig, err := x.key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		for where, o := range map[string]verify.Options{"online": online, "offline": alone} {
			o.CRLs, o.Fetch = append(slices.Clone(o.CRLs), other.list(t)), nil
			valid := map[string]bool{"online": x.online, "offline": x.offline}[where]
			s := verify.Raw(x.cert, cms.ECDSA, digest[:], sig, o)
			refused := slices.ContainsFunc(s.Reasons, func(r verify.Reason) bool { return r.Code == "signer_not_admitted" && r.MS != "" && r.EN != "" })
			if (s.Verdict == verify.Valid) != valid || refused == valid {
				t.Errorf("%s, %s: %s, %+v", what, where, s.Verdict, s.Reasons)
			}
		}
	}
}
