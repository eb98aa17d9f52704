package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store"

	softhsmconfig "github.com/mohor-sign/mohor/softhsm-config"
)

// InitOptions describe a new installation. Run again on an existing folder,
// everything but Dir is taken from the folder and must agree where it is given.
type InitOptions struct {
	Dir       string
	Listen    string
	BaseURL   string
	PublicURL string
	// Module is the PKCS#11 library; empty is SoftHSM with a token made in Dir.
	Module string
	// SoftHSMConf uses an existing softhsm2.conf instead of one in Dir.
	SoftHSMConf string
	// Database is a path, or a postgres:// address without a password.
	Database             string // default "mohor.db"
	DatabasePasswordFile string
	TokenLabel           string // default: "mohor-" and 8 random hex digits
	// ServiceToken is the label of a second token for the keys of the authorities
	// and the audit seal; empty for one token.
	ServiceToken string
	Organization string
	CAKey        string
	PolicyOID    string
	AdminName    string
	AdminEmail   string
	// Sandbox stamps the installation for good: only `serve --dev` runs it.
	Sandbox bool
	// Ceremony has Init stop before the keys, with ErrCeremony, until
	// Keyring.Ceremony has put them into the token; for good.
	Ceremony bool
	// What a sandbox raises.
	ResendAfter     string
	PerHour, PerDay int
	Now             func() time.Time
	// Report hears of each step: what, and whether it was made now or was there.
	Report func(what string, made bool)
}

// Names of facts in the database.
const (
	metaSandbox   = "sandbox"
	metaPublicURL = "public_url"
	metaID        = "installation"
	metaCeremony  = "ceremony" // "yes": KEK, pepper and HMAC keys are not made here
)

// Errors an operator acts on.
var (
	ErrSandbox = errors.New("this data folder is a sandbox: only `mohor serve --dev` runs it")
	ErrNotDev  = errors.New("this data folder is not a sandbox: `mohor serve --dev` refuses it")
	ErrInUse   = errors.New("another process is using this data folder")
	// ErrCeremony: Init stopped before the keys, which are to come from a ceremony.
	ErrCeremony = errors.New("the keys of this installation are to come from a ceremony")
)

// Init makes a working installation in o.Dir, or completes a half-made one, or
// changes nothing and says so. Each step is durable before the next begins.
func Init(ctx context.Context, o InitOptions) error {
	o.complete()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("making data folder: %w", err)
	}
	unlock, err := lockFile(filepath.Join(o.Dir, "init.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if err := o.files(); err != nil {
		return err
	}
	c, err := LoadConfig(o.Dir)
	if err != nil {
		return err
	}
	h, err := hsmConfig(&c)
	if err != nil {
		return err
	}
	defer h.PIN.Wipe()
	defer h.Services.PIN.Wipe()
	if err := o.token(ctx, &c, h); err != nil {
		return err
	}
	db, err := c.openDatabase(ctx)
	if err != nil {
		return err
	}
	err = o.stamp(ctx, db, &c)
	if err == nil {
		err = o.awaitCeremony(ctx, db)
	}
	if err == nil {
		err = o.keys(ctx, db, &c, h)
	}
	if err == nil {
		err = o.administrator(ctx, db)
	}
	return errors.Join(err, db.Close())
}

func (o *InitOptions) complete() {
	fill := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	fill(&o.Listen, "127.0.0.1:8080")
	fill(&o.BaseURL, "http://"+o.Listen)
	fill(&o.PublicURL, "http://"+o.Listen)
	fill(&o.Database, "mohor.db")
	fill(&o.Organization, "Mohor")
	fill(&o.CAKey, string(hsm.RSA3072))
	fill(&o.PolicyOID, ca.DefaultProfile().PolicyOID)
	fill(&o.ResendAfter, "1m")
	if o.TokenLabel == "" {
		var b [4]byte
		_, _ = rand.Read(b[:]) // crypto/rand never fails (it ends the process)
		o.TokenLabel = "mohor-" + hex.EncodeToString(b[:])
	}
	if o.PerHour == 0 {
		o.PerHour, o.PerDay = 10, 30
	}
	if o.Module == "" && o.SoftHSMConf == "" {
		o.SoftHSMConf = "token/softhsm2.conf"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(string, bool) {}
	}
}

// files makes what lies in the folder: configuration, PINs, SoftHSM's
// configuration.
func (o *InitOptions) files() error {
	made, err := once(filepath.Join(o.Dir, ConfigFile), 0o600, func() ([]byte, error) { return renderConfig(*o) })
	if err != nil {
		return err
	}
	o.Report("configuration "+ConfigFile, made)
	for _, dir := range []string{"secrets", "tmp"} {
		if err := os.MkdirAll(filepath.Join(o.Dir, dir), 0o700); err != nil {
			return fmt.Errorf("making %s: %w", dir, err)
		}
	}
	names := []string{"token.pin", "token-so.pin"}
	if o.ServiceToken != "" {
		names = append(names, "service-token.pin")
	}
	for _, name := range names {
		made, err := once(filepath.Join(o.Dir, "secrets", name), 0o600, func() ([]byte, error) {
			var b [16]byte
			_, err := rand.Read(b[:])
			return []byte(hex.EncodeToString(b[:]) + "\n"), err
		})
		if err != nil {
			return err
		}
		o.Report("secret "+name, made)
	}
	return nil
}

// token makes the SoftHSM token. A token of another module is made with its
// vendor's tools; here it must be there and take the PIN.
func (o *InitOptions) token(ctx context.Context, c *Config, h hsm.Config) error {
	if c.Token.SoftHSMConf == filepath.Join(o.Dir, "token", "softhsm2.conf") {
		if _, err := softhsmconfig.Write(filepath.Dir(c.Token.SoftHSMConf)); err != nil {
			return fmt.Errorf("writing SoftHSM configuration: %w", err)
		}
	}
	if c.Token.SoftHSMConf == "" {
		o.Report("token "+c.Token.Label+" (of "+c.Token.Module+")", false)
		return nil
	}
	so, err := readSecret(filepath.Join(o.Dir, "secrets", "token-so.pin"))
	if err != nil {
		return err
	}
	defer so.Wipe()
	made, err := hsm.CreateToken(ctx, h, so)
	if err != nil {
		return fmt.Errorf("making token %q: %w", c.Token.Label, err)
	}
	o.Report("token "+c.Token.Label, made)
	if c.Token.Services.Label == "" {
		return nil
	}
	h.TokenLabel, h.PIN, h.Services = h.Services.Label, h.Services.PIN, hsm.Token{}
	if made, err = hsm.CreateToken(ctx, h, so); err != nil {
		return fmt.Errorf("making token %q: %w", h.TokenLabel, err)
	}
	o.Report("token "+h.TokenLabel, made)
	return nil
}

// stamp writes what is fixed for good, and compares it when it is there.
func (o *InitOptions) stamp(ctx context.Context, db *store.DB, c *Config) error {
	had, err := db.Meta(ctx, metaID)
	if err != nil {
		return fmt.Errorf("reading installation: %w", err)
	}
	facts := []struct{ name, value string }{{metaSandbox, yesNo(o.Sandbox)}, {metaPublicURL, c.PublicURL}, {metaID, strings.TrimPrefix(c.Token.Label, "mohor-")}}
	for _, f := range facts {
		if err := db.PutMeta(ctx, f.name, f.value); err != nil {
			return fmt.Errorf("stamping installation: %w", err)
		}
	}
	o.Report("database", had == "")
	is, err := db.Meta(ctx, metaSandbox)
	if err != nil {
		return fmt.Errorf("reading installation: %w", err)
	}
	switch {
	case is == "yes" && !o.Sandbox:
		return ErrSandbox
	case is != "yes" && o.Sandbox:
		return ErrNotDev
	}
	return nil
}

// awaitCeremony is ErrCeremony until the keys that a ceremony makes are on record.
func (o *InitOptions) awaitCeremony(ctx context.Context, db *store.DB) error {
	records, err := (&Keyring{db: db}).records(ctx)
	if err != nil {
		return err
	}
	if o.Ceremony && len(records) == 0 {
		if err := db.PutMeta(ctx, metaCeremony, "yes"); err != nil {
			return fmt.Errorf("stamping installation: %w", err)
		}
	}
	is, err := db.Meta(ctx, metaCeremony)
	switch {
	case err != nil:
		return fmt.Errorf("reading installation: %w", err)
	case is != "yes" && o.Ceremony:
		return fmt.Errorf("%w: this installation has keys made in the token; a ceremony is for a new one", ErrConfig)
	case is == "yes" && len(records) == 0:
		return ErrCeremony
	}
	return nil
}

// keys makes the service keys, the authorities and their first CRLs.
func (o *InitOptions) keys(ctx context.Context, db *store.DB, c *Config, h hsm.Config) error {
	m, err := hsm.Open(ctx, h)
	if err != nil {
		return c.Token.openError(err)
	}
	err = o.makeKeys(ctx, db, c, m)
	return errors.Join(err, m.Close())
}

func (o *InitOptions) makeKeys(ctx context.Context, db *store.DB, c *Config, m *hsm.Module) error {
	ring := &Keyring{Dir: o.Dir, config: *c, db: db, hsm: m, module: m, now: o.Now}
	if err := unlock(ctx, db, m); err != nil && !errors.Is(err, hsm.ErrNoKey) {
		return err
	}
	// A key that is on record is not made anew: it was lost, and what hangs on it with it.
	if _, err := ring.compare(ctx, true); err != nil {
		return fmt.Errorf("comparing the keys with their records: %w", err)
	}
	kek, err := db.CurrentKEK(ctx)
	if err != nil {
		return err
	}
	made, err := m.EnsureKeys(ctx, kek)
	if err != nil {
		return fmt.Errorf("making service keys: %w", err)
	}
	o.Report("service keys", len(made) > 0)
	if err := unlock(ctx, db, m); err != nil {
		return err
	}
	for label, alg := range serviceSigners(c) {
		made, err := m.EnsureSigner(ctx, label, alg)
		if err != nil {
			return fmt.Errorf("making key %q: %w", label, err)
		}
		o.Report("key "+label, made)
	}
	if err := m.SelfTest(ctx, kek); err != nil {
		return fmt.Errorf("testing the module: %w", err)
	}
	recorded, err := ring.record(ctx, "cli", "init")
	if err != nil {
		return err
	}
	o.Report("check values of keys", recorded > 0)
	if err := o.writeSeal(m); err != nil {
		return err
	}
	profile := c.profile(o.Sandbox)
	madeCerts, err := ca.Bootstrap(ctx, profile, caKeys{m}, db, o.Now)
	if err != nil {
		return err
	}
	o.Report("certificates and CRLs", len(madeCerts) > 0)
	authority, err := ca.Load(ctx, profile, caKeys{m}, db, o.Now)
	if err != nil {
		return err
	}
	wrote, err := mirror(filepath.Join(o.Dir, "root.pem"), 0o644, rootsPEM(authority))
	o.Report("root.pem", wrote)
	return err
}

// serviceSigners are the signing keys of an installation.
func serviceSigners(c *Config) map[string]hsm.Algorithm {
	return map[string]hsm.Algorithm{ca.Root: hsm.Algorithm(c.CA.Key), ca.Issuing: hsm.Algorithm(c.CA.Key), sealKey: hsm.ECDSAP256,
		// Many signatures, each in a document: the fast and short kind.
		ca.TSA: hsm.ECDSAP256, ca.Responder: hsm.ECDSAP256}
}

// SealFile holds the public half of the audit-seal key.
const SealFile = "audit-seal.pem"

func (o *InitOptions) writeSeal(m *hsm.Module) error {
	seal, err := m.Signer(sealKey)
	if err != nil {
		return fmt.Errorf("finding key %q: %w", sealKey, err)
	}
	der, err := x509.MarshalPKIXPublicKey(seal.Public())
	if err != nil {
		return fmt.Errorf("encoding audit-seal key: %w", err)
	}
	made, err := once(filepath.Join(o.Dir, SealFile), 0o644, func() ([]byte, error) {
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
	})
	o.Report(SealFile, made)
	return err
}

func (o *InitOptions) administrator(ctx context.Context, db *store.DB) error {
	have, err := db.Administrators(ctx)
	if err != nil || len(have) > 0 {
		o.Report("first administrator", false)
		return err
	}
	if o.AdminName == "" || o.AdminEmail == "" {
		return fmt.Errorf("%w: the first administrator needs a name and an e-mail address", ErrConfig)
	}
	// It logs in once `mohor admin reset` has given it an IC and a set-up code.
	a := enrol.NewAccount(enrol.Officer{Name: o.AdminName, Email: o.AdminEmail}, o.Now())
	a.Kind, a.State, a.Appointments = enrol.AdministratorAccount, enrol.AccountNew, []enrol.Appointment{{Role: enrol.JDN, From: o.Now()}}
	ev := audit.Event{At: o.Now(), Actor: "cli", Action: "account.administrator", Object: "account:" + a.ID, Verdict: audit.Accepted, Detail: map[string]string{"role": string(enrol.JDN)}}
	if err := db.PutAdministrator(ctx, a, [32]byte{}, time.Time{}, ev); err != nil {
		return fmt.Errorf("storing administrator: %w", err)
	}
	o.Report("first administrator", true)
	return nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// once writes a file that is not there, whole or not at all.
func once(path string, mode fs.FileMode, content func() ([]byte, error)) (made bool, err error) {
	if _, err := os.Stat(path); err == nil {
		return false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("looking for %s: %w", filepath.Base(path), err)
	}
	b, err := content()
	if err != nil {
		return false, err
	}
	return true, replaceFile(path, mode, b)
}

// mirror keeps a file that repeats what the database says equal to it: the
// database may have been made anew, or put back from a backup.
func mirror(path string, mode fs.FileMode, content []byte) (made bool, err error) {
	have, err := os.ReadFile(path)
	if err == nil && bytes.Equal(have, content) {
		return false, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("reading %s: %w", filepath.Base(path), err)
	}
	return true, replaceFile(path, mode, content)
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, mode fs.FileMode, content []byte) error {
	tmp := path + ".part"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err == nil {
		_, err = f.Write(content)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	return nil
}

// lockFile takes an exclusive lock that ends with the process.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(ErrInUse, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// readSecret reads a file with one secret; a final newline is not part of it.
func readSecret(path string) (secret.Text, error) {
	st, err := os.Stat(path)
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading secret: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return secret.Text{}, fmt.Errorf("reading secret %s: its mode is %v; make it 0600", path, st.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading secret: %w", err)
	}
	defer clear(b)
	return secret.New(strings.TrimRight(string(b), "\r\n")), nil
}
