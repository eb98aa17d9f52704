// Package gateway wires the parts into a working installation: initialising a
// data folder, opening it, proving it, serving it. It alone imports hsm.
package gateway

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/dialguard"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/ephemeral"
)

// Installation is an opened data folder: database, token, authorities.
type Installation struct {
	Dir     string
	Config  Config
	Sandbox bool

	db  *store.DB
	hsm token
	ca  *ca.Authorities
	// others is trusted beside ca.
	others otherCA
	// redis is nil when none is configured.
	redis *ephemeral.Redis
	// tsas are roots of others' time-stamp units.
	tsas []*x509.Certificate
	// sink takes a sandbox's mails in the place of its mailbox: host:port of a loopback address.
	sink string
	now  func() time.Time
	// change is DevOptions.Change, or nil.
	change func(*Server)
	Apps   *enrol.Apps
	// Registrar enrols officers.
	Registrar *enrol.Registrar
	// Accounts are the people who log in; only a gateway that serves mails codes.
	Accounts *enrol.Accounts
	// Desk takes and decides applications; it mails only in a gateway that serves.
	Desk *enrol.Desk
}

// Open opens the installation in dir, with the token in this process. It is
// safe beside a running gateway. The token PIN is tried once.
func Open(ctx context.Context, dir string, now func() time.Time) (*Installation, error) {
	return openServing(ctx, dir, now, serving{log: slog.New(slog.DiscardHandler)})
}

// OpenServing is Open for a gateway that is going to serve: the token is in a
// process of its own, which process starts and in which TokenProcess must run,
// unless process is nil or the configuration says otherwise.
func OpenServing(ctx context.Context, dir string, now func() time.Time, process func() *exec.Cmd, log *slog.Logger) (*Installation, error) {
	return openServing(ctx, dir, now, serving{process: process, log: log})
}

// serving is how the token is opened.
type serving struct {
	process    func() *exec.Cmd
	log        *slog.Logger
	noRecovery bool
}

func openServing(ctx context.Context, dir string, now func() time.Time, how serving) (*Installation, error) {
	c, err := LoadConfig(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (run `mohor init --data %s` first)", err, dir)
	}
	if err != nil {
		return nil, err
	}
	i := &Installation{Dir: dir, Config: c, now: now}
	if i.db, err = c.openDatabase(ctx); err != nil {
		return nil, err
	}
	if !c.postgres() { // alone, this process's clock is the one that all nodes share
		i.db.Now = now
	}
	if err := shield(); err != nil {
		return nil, err
	}
	if c.Token.Process == processInside {
		how.process = nil
	}
	if err := i.open(ctx, how); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

func (i *Installation) open(ctx context.Context, how serving) error {
	is, err := i.db.Meta(ctx, metaSandbox)
	if err != nil {
		return fmt.Errorf("reading installation: %w", err)
	}
	if is == "" {
		return fmt.Errorf("reading installation: it is not complete; run `mohor init` again")
	}
	i.Sandbox = is == "yes"
	public, err := i.db.Meta(ctx, metaPublicURL)
	if err != nil {
		return fmt.Errorf("reading installation: %w", err)
	}
	if public != i.Config.PublicURL {
		return fmt.Errorf("%w: public_url must be %q, as certificates issued since init say", ErrConfig, public)
	}
	if i.hsm, err = openToken(ctx, &i.Config, how); err != nil {
		return err
	}
	if err = unlock(ctx, i.db, i.hsm); err != nil {
		return err
	}
	if i.ca, err = ca.Load(ctx, i.Config.profile(i.Sandbox), caKeys{i.hsm}, i.db, i.now); err != nil {
		return err
	}
	i.ca.Others = ca.NewClient(dialguard.New(dialguard.Config{Networks: i.Config.Outbound.Networks, Hosts: i.Config.Outbound.Hosts}), i.now)
	if i.tsas, err = i.Config.Timestamps.readRoots(); err != nil {
		return err
	}
	if err := i.openRedis(); err != nil {
		return err
	}
	i.Accounts = i.accounts(nil)
	if i.Apps, err = i.Config.apps(i.db, i.now, i.Sandbox); err != nil {
		return err
	}
	i.Apps.Receiver = i.checkReceiver
	i.Registrar = &enrol.Registrar{Records: i.db, Keys: officerKeys{i.hsm, i.db.CurrentKEK}, CA: i.ca, PIN: i.Config.PIN.policy(), Now: i.now}
	i.Desk = &enrol.Desk{Registrar: i.Registrar, Records: i.db, MAC: macKey{i.hsm, hsm.IntentKey}, Policy: i.Config.deskPolicy(),
		PINs: pinProver{&signer.Signer{Records: i.db, Keys: i.Registrar.Keys.(officerKeys), PIN: i.Config.PIN.limits(), Now: i.now}}}
	if i.others, err = i.Config.CA.others(i.db); err != nil {
		return err
	}
	i.ca.External, err = i.Config.CA.externalCA(i.others.roots, i.db, i.now)
	return err
}

// Close closes database, Redis and token.
func (i *Installation) Close() error {
	var errs []error
	if i.hsm != nil {
		errs = append(errs, i.hsm.Close())
	}
	if i.redis != nil {
		errs = append(errs, i.redis.Close())
	}
	if i.db != nil {
		errs = append(errs, i.db.Close())
	}
	return errors.Join(errs...)
}

// Trust says whom verifications trust: our own roots, with current CRLs, and for
// time-stamps alone those of other units.
func (i *Installation) Trust(ctx context.Context) (verify.Options, error) {
	return trust(ctx, i.ca, i.others, i.tsas, i.now())
}

// RawSignRate measures C_Sign a second; see hsm. The token must be in this
// process.
func (i *Installation) RawSignRate(ctx context.Context, algorithm string, sessions int, d time.Duration) (float64, error) {
	m, ok := i.hsm.(*hsm.Module)
	if !ok {
		return 0, errors.New("measuring the module: it is in another process")
	}
	kek, err := i.db.CurrentKEK(ctx)
	if err != nil {
		return 0, err
	}
	return m.RawSignRate(ctx, kek, hsm.Algorithm(algorithm), sessions, d)
}

// AuditReport is what VerifyAudit found.
type AuditReport struct {
	Records int64     `json:"records"`
	Heads   int       `json:"heads"`
	Covered int64     `json:"covered"` // records under a signed head
	Newest  time.Time `json:"newest_head"`
}

// VerifyAudit checks the whole chain of dir against its signed heads, and
// against a copy of the heads kept elsewhere when copy is not "". It needs the
// token, for the key of what the records say, and no stopped gateway; it shows
// nothing of that. Broken chains are audit.ErrBroken.
func VerifyAudit(ctx context.Context, dir, copyPath string) (rep AuditReport, err error) {
	c, err := LoadConfig(dir)
	if err != nil {
		return rep, err
	}
	db, err := c.openUnlocked(ctx)
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return verifyAudit(ctx, db, &c, dir, copyPath)
}

func verifyAudit(ctx context.Context, db *store.DB, c *Config, dir, copyPath string) (rep AuditReport, err error) {
	pub, err := readSeal(dir)
	if err != nil {
		return rep, err
	}
	if copyPath == "" {
		copyPath = c.Audit.Heads
	}
	f, err := os.Open(copyPath)
	if err != nil {
		return rep, fmt.Errorf("reading audit heads: %w", err)
	}
	defer f.Close()
	heads, err := audit.ReadHeads(f, pub)
	if err != nil {
		return rep, err
	}
	v := audit.NewVerifier(heads)
	if err := db.AuditRecords(ctx, 0, v.Add); err != nil {
		return rep, err
	}
	rep.Heads = len(heads)
	if n := len(heads); n > 0 {
		rep.Covered, rep.Newest = heads[n-1].Seq, heads[n-1].At
	}
	rep.Records, _, err = v.Finish()
	return rep, err
}

// VerifyExport checks an export of the audit with the public key of the seal, and against a copy of
// the heads when copyPath is not "". Errors: audit.ErrBroken, audit.ErrExport.
func VerifyExport(path, seal, copyPath string) (rep audit.ExportReport, err error) {
	pub, err := readSealFile(seal)
	if err != nil {
		return rep, err
	}
	var heads []audit.Head
	if copyPath != "" {
		f, err := os.Open(copyPath)
		if err != nil {
			return rep, fmt.Errorf("reading audit heads: %w", err)
		}
		heads, err = audit.ReadHeads(f, pub)
		if err := errors.Join(err, f.Close()); err != nil {
			return rep, err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return rep, fmt.Errorf("reading an export of the audit: %w", err)
	}
	defer f.Close()
	return audit.CheckExport(f, pub, heads, nil)
}

// DataPath joins a name to the data folder.
func (i *Installation) DataPath(name string) string { return filepath.Join(i.Dir, name) }

// OfflineTrust says whom to trust from what lies in the data folder, without
// the token: root.pem, the issuing CA and the newest CRLs. roots, when not "",
// is a PEM file used instead of root.pem, and nothing else is read.
func OfflineTrust(ctx context.Context, dir, roots string, now time.Time) (verify.Options, error) {
	o := verify.Options{Roots: x509.NewCertPool(), Now: now, RequireRevocation: true}
	path := roots
	if path == "" {
		path = filepath.Join(dir, "root.pem")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return o, fmt.Errorf("reading trusted certificates: %w", err)
	}
	if !o.Roots.AppendCertsFromPEM(raw) {
		return o, fmt.Errorf("reading trusted certificates: %s holds none", path)
	}
	if roots != "" {
		return o, nil
	}
	c, err := LoadConfig(dir)
	if err != nil {
		return o, err
	}
	others, err := c.CA.others(nil) // what is on record is sealed
	if err != nil {
		return o, err
	}
	others.join(&o)
	tsas, err := c.Timestamps.readRoots()
	if err != nil {
		return o, err
	}
	o.TSARoots = tsaRoots(o.Roots, tsas)
	db, err := c.openDatabase(ctx)
	if err != nil {
		return o, err
	}
	defer db.Close()
	list, err := db.Authorities(ctx)
	if err != nil {
		return o, fmt.Errorf("reading authorities: %w", err)
	}
	for _, x := range list {
		name := x.Name
		row, err := db.AuthorityCertificate(ctx, name)
		if x.Training || errors.Is(err, ca.ErrUnknown) { // not to be trusted, or being made
			continue
		}
		if err != nil {
			return o, fmt.Errorf("reading the %s certificate: %w", name, err)
		}
		cert, err := x509.ParseCertificate(row.DER)
		if err != nil {
			return o, fmt.Errorf("parsing the %s certificate: %w", name, err)
		}
		o.Intermediates = append(o.Intermediates, cert)
		crl, err := db.LatestCRL(ctx, name)
		if err != nil {
			return o, fmt.Errorf("reading the %s CRL: %w", name, err)
		}
		list, err := x509.ParseRevocationList(crl.DER)
		if err != nil {
			return o, fmt.Errorf("parsing the %s CRL: %w", name, err)
		}
		o.CRLs = append(o.CRLs, list)
	}
	return o, nil
}

// AskOnline lets verifications ask the OCSP responders and the CRL addresses
// that certificates below a trusted root name: public addresses and those in
// the networks given (CIDR).
func AskOnline(o *verify.Options, networks []string) error {
	var allowed []netip.Prefix
	for _, text := range networks {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("reading network %q: %w", text, err)
		}
		allowed = append(allowed, p)
	}
	now := o.Now
	o.Fetch = ca.NewClient(dialguard.New(dialguard.Config{Networks: allowed}), func() time.Time { return now }).Revocation
	return nil
}

// ReadCRL reads a revocation list in DER or PEM.
func ReadCRL(path string) (*x509.RevocationList, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading revocation list: %w", err)
	}
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	}
	list, err := x509.ParseRevocationList(raw)
	if err != nil {
		return nil, fmt.Errorf("parsing revocation list %s: %w", path, err)
	}
	return list, nil
}
