package gateway

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/dialguard"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/signer"
)

// TimestampConfig says who time-stamps signatures.
type TimestampConfig struct {
	From     string      `yaml:"from"`
	Fallback bool        `yaml:"fallback"`
	Servers  []TSAConfig `yaml:"servers"`
	// Outage says what becomes of documents while no time-stamp or revocation data can
	// be had, Patience how long they wait with finish_at_b.
	Outage   string        `yaml:"outage"`
	Patience time.Duration `yaml:"patience"`
	// Roots are files of roots of units that stamped formerly.
	Roots []string `yaml:"roots"`
}

// TSAConfig is one time-stamp unit of others.
type TSAConfig struct {
	URL          string        `yaml:"url"`
	Roots        string        `yaml:"roots"`
	Timeout      time.Duration `yaml:"timeout"`
	MaxBytes     int           `yaml:"max_bytes"`
	Parallel     int           `yaml:"parallel"`
	Username     string        `yaml:"username"`
	PasswordFile string        `yaml:"password_file"`
	ClientCert   string        `yaml:"client_cert"`
	ClientKey    string        `yaml:"client_key"`
	CAFile       string        `yaml:"ca_file"`
}

// The values of timestamps.from.
const (
	stampsOwn      = "own"
	stampsExternal = "external"
)

// The values of timestamps.outage.
const (
	outageWaits    = "wait"
	outageFinishes = "finish_at_b"
)

// maxPatience is longer than any batch signs.
const maxPatience = signer.MaxIntent

// maxTSAs bounds how many servers a signature may have to wait for.
const maxTSAs = 5

// maxParallel bounds the requests to one server.
const maxParallel = 64

// check returns the field that cannot be right and what it must be.
func (c *TimestampConfig) check() (field, want string) {
	switch {
	case c.From != stampsOwn && c.From != stampsExternal:
		return "timestamps.from", stampsOwn + " or " + stampsExternal
	case c.Outage != outageWaits && c.Outage != outageFinishes:
		return "timestamps.outage", outageWaits + " or " + outageFinishes
	case c.Patience < 0 || c.Patience > maxPatience:
		return "timestamps.patience", "0s to 24h"
	case c.From == stampsExternal && len(c.Servers) == 0, len(c.Servers) > maxTSAs:
		return "timestamps.servers", fmt.Sprintf("1 to %d servers, when timestamps.from is %s", maxTSAs, stampsExternal)
	}
	for k := range c.Servers {
		if field, want := c.Servers[k].check(); field != "" {
			return fmt.Sprintf("timestamps.servers[%d].%s", k, field), want
		}
	}
	return "", ""
}

func (c *TSAConfig) check() (field, want string) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil:
		return "url", "an http or https address without a user"
	case c.Roots == "":
		return "roots", "a PEM file of the roots of its certificate"
	case c.Timeout != 0 && (c.Timeout < 100*time.Millisecond || c.Timeout > 30*time.Second):
		return "timeout", "100ms to 30s"
	case c.MaxBytes != 0 && (c.MaxBytes < 1<<10 || c.MaxBytes > 64<<10):
		return "max_bytes", "1024 to 65536"
	case c.Parallel < 0 || c.Parallel > maxParallel:
		return "parallel", fmt.Sprintf("1 to %d, 0 for the default", maxParallel)
	case (c.Username == "") != (c.PasswordFile == "") || (c.ClientCert == "") != (c.ClientKey == ""):
		return "username and password_file, client_cert and client_key", "set together"
	case u.Scheme != "https" && (c.ClientCert != "" || c.CAFile != "" || c.Username != "" && !loopback(net.JoinHostPort(u.Hostname(), "0"))):
		return "url", "https, with a password, client_cert or ca_file"
	}
	return "", ""
}

// files are the paths in it.
func (c *TimestampConfig) files() (paths []*string) {
	for k := range c.Roots {
		paths = append(paths, &c.Roots[k])
	}
	for k := range c.Servers {
		s := &c.Servers[k]
		paths = append(paths, &s.Roots, &s.PasswordFile, &s.ClientCert, &s.ClientKey, &s.CAFile)
	}
	return paths
}

// readRoots reads the roots of all servers, also when our own unit stamps now, and
// of the former ones.
func (c *TimestampConfig) readRoots() (all []*x509.Certificate, err error) {
	files := slices.Clone(c.Roots)
	for _, s := range c.Servers {
		files = append(files, s.Roots)
	}
	for _, path := range files {
		certs, err := readCertificates(path)
		if err != nil {
			return nil, fmt.Errorf("%w: timestamps: %w", ErrConfig, err)
		}
		all = append(all, certs...)
	}
	return all, nil
}

// readCertificates reads a PEM file that has at least one, and nothing else.
func readCertificates(path string) (certs []*x509.Certificate, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading certificates: %w", err)
	}
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("reading certificates: %s holds a %q", path, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading certificates: %s: %w", path, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("reading certificates: %s holds none in PEM", path)
	}
	return certs, nil
}

// tsaRoots are the trust anchors of time-stamps: ours, and those of others' units.
// To the latter nothing but a time-stamp may lead.
func tsaRoots(own *x509.CertPool, others []*x509.Certificate) *x509.CertPool {
	if len(others) == 0 {
		return own
	}
	all := own.Clone()
	for _, c := range others {
		all.AddCert(c)
	}
	return all
}

// trustedTSAs are the anchors for evidence about time-stamps, as of now.
func (i *Installation) trustedTSAs() *x509.CertPool {
	own := x509.NewCertPool()
	for _, x := range i.ca.Trusted() {
		if x.Parent == "" {
			own.AddCert(i.ca.Certificate(x.Name))
		}
	}
	return tsaRoots(own, i.tsas)
}

// open prepares the way to a server; nothing is asked of it yet.
func (c *TSAConfig) open(now func() time.Time) (*ca.RemoteTSA, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("reading address: %w", err)
	}
	certs, err := readCertificates(c.Roots)
	if err != nil {
		return nil, err
	}
	roots := tsaRoots(x509.NewCertPool(), certs)
	// Its address is the administrator's own, not one that a stranger has named.
	guard := dialguard.Config{Hosts: []string{u.Hostname()}, Timeout: c.Timeout, Conns: max(8, c.Parallel), TLS: &tls.Config{MinVersion: tls.VersionTLS12}}
	if guard.TLS.RootCAs, err = certPool(c.CAFile); err != nil {
		return nil, err
	}
	if c.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(c.ClientCert, c.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("reading client_cert and client_key: %w", err)
		}
		guard.TLS.Certificates = []tls.Certificate{pair}
	}
	t := &ca.RemoteTSA{URL: c.URL, HTTP: dialguard.New(guard), Roots: roots, Now: now, Size: c.MaxBytes, Parallel: c.Parallel}
	if c.Username != "" {
		password, err := readSecret(c.PasswordFile)
		if err != nil {
			return nil, err
		}
		t.Authorize = basic(c.Username, password)
	}
	return t, nil
}

func basic(user string, password secret.Text) func(r *http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, string(password.Reveal())) }
}

// stamper is who stamps signatures: our own unit, or others in their order.
func (i *Installation) stamper(log *slog.Logger) (pdf.Timestamper, error) {
	c := &i.Config.Timestamps
	if c.From != stampsExternal {
		return i.ca, nil
	}
	var units []*ca.RemoteTSA
	for k := range c.Servers {
		t, err := c.Servers[k].open(i.now)
		if err != nil {
			return nil, fmt.Errorf("%w: timestamps.servers[%d]: %w", ErrConfig, k, err)
		}
		units = append(units, t)
	}
	r := ca.NewRemoteTSAs(time.Now, units...)
	r.Report = func(server string, err error) {
		if err != nil {
			log.Error("a time-stamp server is left out for a while", "server", server, "error", err)
			return
		}
		log.Info("a time-stamp server serves again", "server", server)
	}
	if c.Fallback {
		r.Own = i.ca
	}
	return r, nil
}

// stampers has each server stamp a digest of nothing, as a signature would.
func (d *doctor) stampers(ctx context.Context) {
	if field, _ := d.config.Timestamps.check(); !d.readable || field != "" {
		return
	}
	const why = "documents of B-T and above wait for the next server, or in vain"
	if _, err := d.config.Timestamps.readRoots(); err != nil {
		d.fault(cause(err), "the gateway refuses to start", "put the file there, PEM")
		return
	}
	for k, c := range d.config.Timestamps.Servers {
		name := fmt.Sprintf("timestamps.servers[%d]", k)
		t, err := c.open(d.Now)
		if err != nil {
			d.fault(fmt.Sprintf("%s: %v", name, err), "the gateway refuses to start", "correct it in "+d.path(ConfigFile))
			continue
		}
		token, err := t.Timestamp(ctx, crypto.SHA256, make([]byte, sha256.Size))
		t.HTTP.CloseIdleConnections()
		if err != nil {
			d.fault(fmt.Sprintf("%s gives no time-stamp: %v", name, err), why, "correct url, roots or password, or ask its operator")
			continue
		}
		ts, err := cms.ParseTimestamp(token)
		if err != nil {
			d.fault(fmt.Sprintf("%s: %v", name, err), why, "ask its operator")
			continue
		}
		d.ends(fmt.Sprintf("%s stamps (%d bytes, room for %d); its certificate", name, len(token), t.TokenSize()), ts.Certificate.NotBefore, ts.Certificate.NotAfter, why, "ask its operator")
		if len(ts.Certificate.OCSPServer)+len(ts.Certificate.CRLDistributionPoints) == 0 {
			d.warning(name+" has a certificate that names neither OCSP responder nor CRL", "documents of B-LT and B-LTA need its status and fail", "use another server for them")
		}
	}
}
