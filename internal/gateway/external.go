package gateway

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/dialguard"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/store"
)

// ExternalCAConfig names another CA, which issues officers' certificates in the place
// of our own.
type ExternalCAConfig struct {
	URL         string        `yaml:"url"`
	RootsFile   string        `yaml:"roots_file"`
	Provisioner string        `yaml:"provisioner"`
	KeyFile     string        `yaml:"key_file"`
	CRLURL      string        `yaml:"crl_url"`
	Timeout     time.Duration `yaml:"timeout"`
}

func (c *ExternalCAConfig) configured() bool { return c.URL != "" }

// check returns the field that cannot be right and what it must be.
func (c *ExternalCAConfig) check() (field, want string) {
	u, err := url.Parse(c.URL)
	switch {
	case !c.configured():
		return "", ""
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "":
		return "ca.external.url", "https://host:port, without a slash at the end"
	case c.RootsFile == "" || c.Provisioner == "" || c.KeyFile == "":
		return "ca.external", "complete: roots_file, provisioner and key_file"
	case c.CRLURL != "" && !strings.HasPrefix(c.CRLURL, "http://"):
		return "ca.external.crl_url", "an http address: whoever checks a certificate must reach it without a certificate"
	case c.Timeout < time.Second || c.Timeout > time.Minute:
		return "ca.external.timeout", "1s to 1m"
	}
	return "", ""
}

// roots are those whose certificates are trusted beside our own; none when no other CA
// is configured.
func (c *ExternalCAConfig) roots() (out []*x509.Certificate, err error) {
	if c.RootsFile == "" {
		return nil, nil
	}
	rest, err := os.ReadFile(c.RootsFile)
	if err != nil {
		return nil, fmt.Errorf("reading ca.external.roots_file: %w", err)
	}
	for b, rest := pem.Decode(rest); b != nil; b, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(b.Bytes)
		if err != nil || b.Type != "CERTIFICATE" || !cert.IsCA || cert.CheckSignatureFrom(cert) != nil {
			return nil, fmt.Errorf("%w: ca.external.roots_file must hold self-signed CA certificates, PEM, and nothing else", ErrConfig)
		}
		out = append(out, cert)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: ca.external.roots_file holds no certificate", ErrConfig)
	}
	return out, nil
}

// key reads the provisioner's private key, which nobody else on the machine may read.
func (c *ExternalCAConfig) key() (*ecdsa.PrivateKey, error) {
	st, err := os.Stat(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("reading ca.external.key_file: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: ca.external.key_file must be readable by the gateway alone: chmod 600 %s", ErrConfig, c.KeyFile)
	}
	raw, err := os.ReadFile(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("reading ca.external.key_file: %w", err)
	}
	defer clear(raw)
	bad := fmt.Errorf("%w: ca.external.key_file must hold one private key on P-256, PEM, without a password", ErrConfig)
	b, _ := pem.Decode(raw)
	if b == nil {
		return nil, bad
	}
	defer clear(b.Bytes)
	if key, err := x509.ParseECPrivateKey(b.Bytes); err == nil {
		return key, nil
	}
	any, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	key, ok := any.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, bad
	}
	return key, nil
}

// stepCA is the way to the CA; roots are those it may show.
func (c *ExternalCAConfig) stepCA(roots *x509.CertPool, now func() time.Time) (*ca.StepCA, error) {
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	if _, err := ca.NewJWK(&key.PublicKey); err != nil {
		return nil, fmt.Errorf("%w: ca.external.key_file: %w", ErrConfig, err)
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: ca.external.url: %w", ErrConfig, err)
	}
	h := dialguard.New(dialguard.Config{Hosts: []string{u.Hostname()}, Timeout: c.Timeout, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	return &ca.StepCA{URL: c.URL, Provisioner: c.Provisioner, Key: key, HTTP: h, Now: now}, nil
}

func pool(list []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range list {
		p.AddCert(c)
	}
	return p
}

// externalCA is the other CA that the configuration names, with certificates below
// one of the roots; nil for none.
func (c *CAConfig) externalCA(list []*x509.Certificate, db *store.DB, now func() time.Time) (*ca.External, error) {
	if !c.External.configured() {
		return nil, nil
	}
	roots := pool(list)
	step, err := c.External.stepCA(roots, now)
	if err != nil {
		return nil, err
	}
	return &ca.External{CA: step, Records: db, Roots: roots, Validity: c.Officer, Now: now}, nil
}

// otherCA is whom of another CA we trust: it issues to others, too, whose certificates are
// not for documents here. Below its roots those sign that are on record, and those with our
// policy, which it gives to whom we ask it for.
type otherCA struct {
	roots  []*x509.Certificate
	policy x509.OID
	// records is nil where the policy alone is to count.
	records interface {
		CertificateBySerial(ctx context.Context, serial string) (ca.Certificate, error)
	}
}

// others is the other CA whose roots the configuration names; db may be nil.
func (c *CAConfig) others(db *store.DB) (o otherCA, err error) {
	if o.roots, err = c.External.roots(); err != nil || len(o.roots) == 0 {
		return o, err
	}
	if o.policy, err = x509.ParseOID(c.PolicyOID); err != nil {
		return o, fmt.Errorf("%w: ca.policy_oid: %w", ErrConfig, err)
	}
	if db != nil {
		o.records = db
	}
	return o, nil
}

// join makes the roots trust anchors of signers, as far as they are admitted.
func (x otherCA) join(o *verify.Options) {
	if len(x.roots) == 0 {
		return
	}
	for _, r := range x.roots {
		o.Roots.AddCert(r)
	}
	o.Admit = x.admit
}

// admit is verify.Options.Admit. A record that cannot be read admits nobody.
func (x otherCA) admit(ctx context.Context, path []*x509.Certificate) bool {
	cert := path[0]
	if !slices.ContainsFunc(x.roots, path[len(path)-1].Equal) || slices.ContainsFunc(cert.Policies, x.policy.Equal) {
		return true
	}
	if x.records == nil {
		return false
	}
	row, err := x.records.CertificateBySerial(ctx, cert.SerialNumber.String())
	return err == nil && ca.IsExternal(row.Issuer) && bytes.Equal(row.DER, cert.Raw)
}

// ExternalProvisioner is the entry of authority.provisioners with which the CA of
// ca.external issues as it is asked; JSON.
func ExternalProvisioner(dir string) ([]byte, error) {
	c, err := LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	if !c.CA.External.configured() {
		return nil, fmt.Errorf("%w: ca.external.url is not set: no other CA issues for this installation", ErrConfig)
	}
	step, err := c.CA.External.stepCA(nil, time.Now)
	if err != nil {
		return nil, err
	}
	return step.ProvisionerJSON(c.CA.Officer, c.CA.External.CRLURL, c.CA.PolicyOID)
}

// otherCA looks at the CA that issues in the place of our own.
func (d *doctor) otherCA(ctx context.Context) {
	c := &d.config.CA.External
	if !d.readable || !c.configured() {
		return
	}
	const why = "no certificate is issued for an officer, and revocations do not reach the CA"
	d.private(c.KeyFile, "whoever reads it can have any certificate issued", false)
	list, err := c.roots()
	if err != nil {
		d.fault(cause(err), why, "put the CA's root there, and compare its fingerprint with what its administrators say")
		return
	}
	step, err := c.stepCA(pool(list), d.Now)
	if err != nil {
		d.fault(cause(err), why, "see mohor ca provisioner --help")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, netWait)
	defer cancel()
	if err := step.Health(ctx); err != nil {
		d.fault("the CA "+c.URL+" does not answer: "+err.Error(), why, "start it, or let the firewall through; what is to be revoked is told to it later")
		return
	}
	d.ok("the CA %s answers, below a root of ca.external.roots_file", c.URL)
	if d.db == nil {
		return
	}
	switch untold, err := d.db.UntoldExternal(ctx); {
	case err != nil:
		d.fault("what the CA is to revoke cannot be read: "+err.Error(), why, "see the database")
	case len(untold) > 0:
		d.warning(fmt.Sprintf("the CA has not been told of %d certificates to revoke", len(untold)), "its CRL leaves them out", "a gateway that serves tells it each minute; its log says why it cannot")
	}
}
