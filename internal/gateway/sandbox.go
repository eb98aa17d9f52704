package gateway

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/internal/secret"
)

// DevFile is the name of the file that tells a program how to use a sandbox.
const DevFile = "dev.json"

// The sandbox's system and app.
const (
	sandboxSystem = "IGFMAS"
	sandboxApp    = "sandbox"
)

// DevOptions shape a sandbox.
type DevOptions struct {
	Dir string
	// Listen is a loopback address; port 0 takes a free one the first time and
	// the remembered one afterwards.
	Listen string
	// SoftHSMConf, CAKey and Audit as in InitOptions; empty for the defaults.
	SoftHSMConf, CAKey string
	// Database and DatabasePasswordFile are as in InitOptions; empty for a file in
	// Dir.
	Database, DatabasePasswordFile string
	// Process is as in OpenServing.
	Process func() *exec.Cmd
	// NoRecovery leaves a lost token lost: a control in tests.
	NoRecovery bool
	// Administrators makes one of each role (two of JDN), unless dev.json has them.
	Administrators bool
	// Change is called with the gateway before anything runs in it: tests put faults between its parts.
	Change func(*Server)
	Now    func() time.Time
	Log    *slog.Logger
	Report func(what string, made bool)
}

// Dev makes or opens the sandbox in o.Dir, proves it and returns it with its
// listener and what dev.json says. The caller runs and closes it.
func Dev(ctx context.Context, o DevOptions) (s *Server, l net.Listener, dev sandbox.DevFile, err error) {
	if !loopback(o.Listen) {
		return nil, nil, dev, fmt.Errorf("%w: a sandbox listens on a loopback address only, not on %q", ErrConfig, o.Listen)
	}
	c, err := LoadConfig(o.Dir)
	known := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, dev, err
	}
	if known {
		// Said before the remembered port is found taken, by the same gateway.
		if err := inUse(o.Dir); err != nil {
			return nil, nil, dev, err
		}
	}
	listen := o.Listen
	if _, port, _ := net.SplitHostPort(o.Listen); known && port == "0" {
		listen = c.Listen
	}
	if l, err = net.Listen("tcp", listen); err != nil {
		return nil, nil, dev, fmt.Errorf("listening on %s: %w", listen, err)
	}
	if s, dev, err = o.start(ctx, l); err != nil {
		return nil, nil, dev, errors.Join(err, l.Close())
	}
	return s, l, dev, nil
}

// inUse is ErrInUse while a gateway serves dir; Prove takes the lock for good.
func inUse(dir string) error {
	unlock, err := lockFile(filepath.Join(dir, "serve.lock"))
	if err == nil {
		unlock()
	}
	return err
}

func (o *DevOptions) start(ctx context.Context, l net.Listener) (*Server, sandbox.DevFile, error) {
	var none sandbox.DevFile
	err := Init(ctx, InitOptions{Dir: o.Dir, Listen: l.Addr().String(), Sandbox: true, SoftHSMConf: o.SoftHSMConf, CAKey: o.CAKey, Database: o.Database, DatabasePasswordFile: o.DatabasePasswordFile, Organization: "Mohor",
		AdminName: "Pentadbir Kotak Pasir", AdminEmail: "pentadbir@mohor.example", ResendAfter: "5s", PerHour: 10_000, PerDay: 100_000, Now: o.Now, Report: o.Report})
	if err != nil {
		return nil, none, err
	}
	i, err := openServing(ctx, o.Dir, o.Now, serving{process: o.Process, log: o.Log, noRecovery: o.NoRecovery})
	if err != nil {
		return nil, none, err
	}
	i.change = o.Change
	mailbox, err := sandbox.StartMailbox(o.Now, o.Log)
	if err != nil {
		return nil, none, errors.Join(err, i.Close())
	}
	s, err := Prove(ctx, i, mailbox, o.Log)
	if err != nil {
		return nil, none, errors.Join(err, mailbox.Close(), i.Close())
	}
	dev, err := s.people(ctx, "http://"+l.Addr().String(), o.Administrators)
	if err != nil {
		return nil, none, errors.Join(err, s.CloseAll())
	}
	o.Log.Warn("SANDBOX: codes can be read by anyone on this machine, PINs lie in "+DevFile+", certificates are NOT VALID", "data", o.Dir)
	return s, dev, nil
}

// CloseAll closes the server, its mailbox and its installation.
func (s *Server) CloseAll() error {
	err := s.Close()
	if s.Mailbox != nil {
		err = errors.Join(err, s.Mailbox.Close())
	}
	return errors.Join(err, s.Installation.Close())
}

// people makes two officers with an RSA and an ECDSA key each, an app and, if wanted,
// administrators, unless dev.json says that they were made.
func (s *Server) people(ctx context.Context, base string, administrators bool) (sandbox.DevFile, error) {
	path := s.DataPath(DevFile)
	dev, err := sandbox.ReadDevFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return dev, err
	}
	if err != nil {
		if dev, err = s.enrolPeople(ctx); err != nil {
			return dev, err
		}
	}
	if administrators && len(dev.Administrators) == 0 {
		if dev.Administrators, err = s.appointPeople(ctx); err != nil {
			return dev, err
		}
	}
	dev.BaseURL, dev.MailboxURL = base, base+"/dev/mailbox.json"
	return dev, sandbox.WriteDevFile(path, dev)
}

func (s *Server) enrolPeople(ctx context.Context) (sandbox.DevFile, error) {
	root, err := filepath.Abs(s.DataPath("root.pem"))
	if err != nil {
		return sandbox.DevFile{}, fmt.Errorf("finding root.pem: %w", err)
	}
	dev := sandbox.DevFile{System: sandboxSystem, ClientID: sandboxApp, RootCert: root}
	for _, o := range []enrol.Officer{
		{IC: "800101149901", Name: "SITI AMINAH BINTI AHMAD", Email: "siti@jpk.mohor.example"},
		{IC: "750615109902", Name: "RAJESH A/L MUTHU", Email: "rajesh@janm.mohor.example"},
	} {
		d, err := s.enrolOfficer(ctx, o)
		if err != nil {
			return dev, err
		}
		dev.Officers = append(dev.Officers, d)
	}
	// An app made by an interrupted first start has secrets nobody knows: the
	// id is numbered until one is free.
	for n := 1; ; n++ {
		_, clientSecret, key, err := s.Apps.Register(ctx, "sandbox", enrol.App{ID: dev.ClientID, Name: "iGFMAS (kotak pasir)", Systems: []string{sandboxSystem},
			Grants: []string{enrol.GrantRAW, enrol.GrantPrepared}, PINEntry: enrol.PINInApp, Rate: 1000})
		if errors.Is(err, enrol.ErrExists) && n < 100 {
			dev.ClientID = fmt.Sprintf("%s-%d", sandboxApp, n+1)
			continue
		}
		dev.ClientSecret, dev.APIKey = clientSecret, key
		return dev, err
	}
}

func (s *Server) enrolOfficer(ctx context.Context, o enrol.Officer) (sandbox.DevOfficer, error) {
	pin := randomPIN()
	d := sandbox.DevOfficer{IC: o.IC, Name: o.Name, Email: o.Email, PIN: pin, Password: randomPIN()}
	if err := s.Registrar.AddOfficer(ctx, "sandbox", o, sandboxSystem); err != nil {
		return d, err
	}
	if err := s.Accounts.SetPassword(ctx, enrol.Actor{Name: "sandbox"}, o, d.Password.Copy()); err != nil {
		return d, err
	}
	for _, alg := range []hsm.Algorithm{hsm.RSA2048, hsm.ECDSAP256} {
		c, _, err := s.Registrar.IssueCredential(ctx, "sandbox", o, sandboxSystem, string(alg), pin)
		if err != nil {
			return d, err
		}
		d.Credentials = append(d.Credentials, sandbox.DevCredential{CredentialID: c.ID, Key: string(alg)})
	}
	return d, nil
}

// appointPeople makes administrators who can log in: two of JDN, for what takes two, and one of each
// other role.
func (s *Server) appointPeople(ctx context.Context) ([]sandbox.DevAdministrator, error) {
	const agency = "JANM"
	by := enrol.Actor{Name: "cli:sandbox"}
	if err := s.Desk.PutAgency(ctx, by, enrol.Agency{Code: agency, Name: "Jabatan Akauntan Negara Malaysia"}); err != nil {
		return nil, fmt.Errorf("registering agency %s: %w", agency, err)
	}
	var out []sandbox.DevAdministrator
	for _, x := range []struct {
		ic, name string
		enrol.Appointment
	}{
		{"760202145301", "ROHANA BINTI ISMAIL", enrol.Appointment{Role: enrol.JDN}},
		{"810914085302", "LIM WEI JIE", enrol.Appointment{Role: enrol.JDN}},
		{"790723105303", "FARIDAH BINTI OSMAN", enrol.Appointment{Role: enrol.SAP, System: sandboxSystem}},
		{"840330025304", "KAVITHA A/P SUBRAMANIAM", enrol.Appointment{Role: enrol.SA, Agency: agency}},
		{"880811035305", "MOHD HAFIZ BIN ZAKARIA", enrol.Appointment{Role: enrol.AP, Agency: agency}},
		{"730505115306", "AZMAN BIN ABDULLAH", enrol.Appointment{Role: enrol.Auditor}},
	} {
		d, err := s.appoint(ctx, by, enrol.Officer{IC: x.ic, Name: x.name, Email: x.ic + "@pentadbir.mohor.example"}, x.Appointment)
		if err != nil {
			return nil, fmt.Errorf("making the sandbox's %s: %w", x.Role, err)
		}
		out = append(out, d)
	}
	return out, nil
}

// appoint makes an administrator with a password and a second factor. One that an interrupted start
// has left is set up anew, with secrets that are known.
func (s *Server) appoint(ctx context.Context, by enrol.Actor, o enrol.Officer, x enrol.Appointment) (sandbox.DevAdministrator, error) {
	d := sandbox.DevAdministrator{IC: o.IC, Name: o.Name, Role: string(x.Role), Of: x.Agency + x.System, Password: randomPIN()}
	x.From = s.now()
	_, code, err := s.Accounts.CreateAdministrator(ctx, by, o, x)
	if err != nil {
		acct, _, other := s.Accounts.Records.AccountByIC(ctx, o.IC)
		if other != nil {
			return d, err
		}
		code, err = s.Accounts.ResetAdministrator(ctx, by, acct.ID, "")
	}
	if err != nil {
		return d, err
	}
	seed, err := s.Accounts.BeginSetup(ctx, code, "")
	if err != nil {
		return d, err
	}
	d.TOTP = seed.Base32
	first, err := totp.GenerateCode(string(seed.Base32.Reveal()), s.now())
	if err != nil {
		return d, errors.New("making the first code of an authenticator app") // its own words may hold the seed
	}
	_, err = s.Accounts.CompleteSetup(ctx, code, d.Password.Copy(), secret.New(first), "")
	return d, err
}

// randomPIN makes twelve letters and digits, 60 bits, for a PIN or a password.
func randomPIN() secret.Text {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails (it ends the process)
	return secret.New(strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])[:12]))
}

// RemoveSandbox deletes a sandbox's data folder; ErrNotDev when it is not one,
// ErrInUse while a gateway serves it.
func RemoveSandbox(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, ConfigFile)); errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) > 0 {
			return errors.Join(fmt.Errorf("removing %s: %w", dir, ErrNotDev), err)
		}
		return nil
	}
	if err := checkSandbox(ctx, dir); err != nil {
		return fmt.Errorf("removing %s: %w", dir, err)
	}
	unlock, err := lockFile(filepath.Join(dir, "serve.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	return os.RemoveAll(dir)
}

// checkSandbox reads the stamp without opening the token.
func checkSandbox(ctx context.Context, dir string) error {
	c, err := LoadConfig(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.Database); errors.Is(err, fs.ErrNotExist) && !c.postgres() {
		return nil // a first start that did not get as far as the database
	}
	db, err := c.openDatabase(ctx)
	if err != nil {
		return err
	}
	is, err := db.Meta(ctx, metaSandbox)
	if err == nil && is == "no" {
		err = ErrNotDev
	}
	return errors.Join(err, db.Close())
}
