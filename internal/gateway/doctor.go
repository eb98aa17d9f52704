package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/store"
)

// Levels of a Finding.
const (
	DoctorOK      = "OK"
	DoctorWarning = "WARNING"
	DoctorFault   = "FAULT"
	DoctorSkipped = "NOT CHECKED"
)

// Finding is one line of the doctor's: what was looked at and found, why that
// matters, and what to do about it.
type Finding struct {
	Area  string `json:"area"`
	Level string `json:"level"`
	What  string `json:"what"`
	Why   string `json:"why,omitempty"`
	Fix   string `json:"fix,omitempty"`
}

// DoctorOptions say what to examine.
type DoctorOptions struct {
	Dir      string
	Now      func() time.Time
	Patience time.Duration // for one step of the module; 0 means 30 s
	Part     Part          // runs DoctorPart
	Report   func(Finding)
}

// doctor examines an installation. It changes nothing, so it may run beside a
// gateway, and it goes on after each fault.
type doctor struct {
	DoctorOptions
	area    string
	faults  int
	started time.Time

	config    Config
	readable  bool // config says where things are, be it right or not
	foreign   bool // the folder belongs to another user than this one
	db        *store.DB
	pid       int // of the gateway that serves the folder, 0 for none
	sandbox   bool
	roots     *x509.CertPool
	authority map[string]*x509.Certificate
	// sealer is what the token says of the key of personal fields; nil while it has not.
	sealer []byte
	// authorities are the CAs on record.
	authorities []ca.Authority
}

// Diagnose names each fault of the installation in o.Dir with its fix, and says
// whether there is none. The token PIN is tried at most once.
func Diagnose(ctx context.Context, o DoctorOptions) (healthy bool) {
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	d := &doctor{DoctorOptions: o, started: time.Now(), authority: map[string]*x509.Certificate{}}
	defer func() {
		if d.db != nil {
			_ = d.db.Close() // was read from only
		}
	}()
	for _, x := range []struct {
		area  string
		check func(context.Context)
	}{
		{"installation", d.installation},
		{"database", d.database},
		{"token", d.token}, // opens the key of what the database holds of people
		{"audit", d.audit},
		{"certificates", d.certificates},
		{"other CA", d.otherCA},
		{"addresses", d.addresses},
		{"mail", d.mail},
		{"webhooks", d.webhooks},
		{"signing pages", d.pages},
		{"clock", d.clock},
		{"time-stamps", d.stampers},
		{"machine", d.machine},
	} {
		if ctx.Err() != nil {
			return false
		}
		d.area = x.area
		x.check(ctx)
	}
	return d.faults == 0
}

func (d *doctor) say(level, what, why, fix string) {
	if level == DoctorFault {
		d.faults++
	}
	line := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	d.Report(Finding{d.area, level, line(what), line(why), line(fix)})
}

func (d *doctor) ok(format string, args ...any) {
	d.say(DoctorOK, fmt.Sprintf(format, args...), "", "")
}
func (d *doctor) fault(what, why, fix string)   { d.say(DoctorFault, what, why, fix) }
func (d *doctor) warning(what, why, fix string) { d.say(DoctorWarning, what, why, fix) }
func (d *doctor) skipped(what, because string)  { d.say(DoctorSkipped, what, because, "") }
func (d *doctor) path(name string) string       { return filepath.Join(d.Dir, name) }
func (d *doctor) relative(path string) string {
	return strings.TrimPrefix(path, d.Dir+string(filepath.Separator))
}
func cause(err error) string { return strings.TrimPrefix(err.Error(), ErrConfig.Error()+": ") }
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// installation: the folder, its configuration, and the files it names.
func (d *doctor) installation(ctx context.Context) {
	st, err := os.Stat(d.Dir)
	if err != nil || !st.IsDir() {
		d.fault("there is no data folder "+d.Dir, "nothing else can be looked at", "name it with --data, or make one: mohor init --data "+d.Dir)
		return
	}
	d.pid = lockHolder(d.path("serve.lock"))
	if d.foreign = os.Geteuid() == 0 && owner(st) != 0; d.foreign {
		d.warning("the data folder belongs to another user", "files made by root would shut the gateway out, so database and token are left alone",
			fmt.Sprintf("run as that user: sudo -u '#%d' mohor doctor --data %s", owner(st), d.Dir))
	}
	d.private(d.Dir, "whoever enters it can copy keys, codes and documents", true)
	d.readConfig()
	if !d.readable {
		return
	}
	c := &d.config
	secrets, _ := filepath.Glob(d.path("secrets/*"))
	files := append(secrets, d.path(ConfigFile))
	if !c.postgres() {
		files = append(files, c.Database)
	}
	for _, path := range files {
		d.private(path, "other users of this machine can read it", false)
	}
	places := []string{d.Dir}
	if c.S3.configured() {
		d.bucket(ctx)
	} else {
		d.blobs()
		places = append(places, c.Blobs)
	}
	d.gatewayTLS()
	d.templates()
	d.ecerts()
	d.processes()
	for _, path := range places {
		d.space(path)
	}
	if err := writable(d.path("tmp")); err != nil {
		d.fault("tmp cannot be written to: "+err.Error(), "uploads and rendered certificates go through it", "mkdir -m 0700 -p "+d.path("tmp")+" as the gateway's user")
	}
}

func (d *doctor) readConfig() {
	raw, err := os.ReadFile(d.path(ConfigFile))
	if err != nil {
		d.fault("the configuration cannot be read: "+cause(err), "it says where everything is", "mohor init --data "+d.Dir+", or put "+ConfigFile+" back from a backup")
		return
	}
	before := d.faults
	c, err := decodeConfig(raw, true)
	if err != nil {
		d.fault(cause(err), "the gateway refuses to start", "correct "+d.path(ConfigFile)+"; mohor init --data NEW writes an example with every field explained")
		if c, err = decodeConfig(raw, false); err != nil {
			return
		}
	}
	if err := c.check(); err != nil {
		d.fault(cause(err), "the gateway refuses to start", "correct it in "+d.path(ConfigFile))
	} else if d.faults == before {
		d.ok("%s is read", ConfigFile)
	}
	c.resolve(d.Dir)
	d.config, d.readable = c, true
}

// private wants a file or folder to be its owner's alone. One that is missing
// is another check's business.
func (d *doctor) private(path, why string, good bool) {
	st, err := os.Stat(path)
	if err != nil {
		return
	}
	mode, want := st.Mode().Perm(), fs.FileMode(0o600)
	if st.IsDir() {
		want = 0o700
	}
	switch {
	case mode&0o077 != 0:
		d.fault(fmt.Sprintf("%s has mode %04o", d.relative(path), mode), why, fmt.Sprintf("chmod %04o %s", want, path))
	case good:
		d.ok("%s is its owner's alone", d.relative(path))
	}
}

// mostBlobs bounds how many documents are looked at.
const mostBlobs = 1000

func (d *doctor) blobs() {
	dir := d.config.Blobs
	if _, err := os.Stat(dir); missing(err) {
		if _, err := os.Stat(d.config.Audit.Heads); err == nil { // the gateway has served
			d.fault("there is no folder "+d.relative(dir), "documents are in it", "put it back from the backup")
		}
		return
	}
	d.private(dir, "documents can be read by other users of this machine", false)
	if err := writable(dir); err != nil {
		d.fault("documents cannot be stored: "+err.Error(), "every upload fails", "give "+dir+" to the gateway's user: chown -R")
	}
	seen, open := 0, ""
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if st, err := e.Info(); err == nil && st.Mode().Perm()&0o077 != 0 && path != dir {
			open = path
		}
		if seen++; seen == mostBlobs || open != "" {
			return fs.SkipAll
		}
		return nil
	})
	switch {
	case err != nil:
		d.fault("documents cannot be listed: "+err.Error(), "they cannot be signed or shown", "give "+dir+" to the gateway's user: chown -R")
	case open != "":
		d.fault(d.relative(open)+" can be read by others", "documents are confidential", "chmod -R go= "+dir)
	default:
		d.ok("documents are their owner's alone (%d looked at)", seen-1)
	}
}

// writable tries it with a file that is gone at once.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// soon is how long before its end a certificate is spoken of.
const soon = 30 * 24 * time.Hour

// gatewayTLS looks at the gateway's own certificate.
func (d *doctor) gatewayTLS() {
	t := d.config.TLS
	if t.Cert == "" || t.Key == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		d.fault("tls.cert and tls.key cannot be used: "+err.Error(), "the gateway cannot listen", "put the chain and its key, PEM, where "+ConfigFile+" says")
		return
	}
	d.private(t.Key, "whoever reads the key can pose as the gateway and collect PINs", false)
	d.ends("the gateway's TLS certificate", pair.Leaf.NotBefore, pair.Leaf.NotAfter, "nobody reaches the gateway", "renew it and restart the gateway")
}

// templates looks at those of visible signatures, and their images.
func (d *doctor) templates() {
	if len(d.config.Templates) == 0 {
		return
	}
	if _, err := d.config.templates(); err != nil {
		d.fault(cause(err), "the gateway refuses to start", "correct it in "+d.path(ConfigFile)+", or put the image back")
		return
	}
	d.ok("templates of visible signatures can be drawn: %s", strings.Join(slices.Sorted(maps.Keys(d.config.Templates)), ", "))
}

// ecerts looks at the templates of eCertificates, when there are the agency's own.
func (d *doctor) ecerts() {
	if d.config.Ecert.Templates == "" {
		return
	}
	if _, err := d.config.certificates(false); err != nil {
		d.fault(cause(err), "the gateway refuses to start", "correct it; mohor ecert templates "+d.config.Ecert.Templates+" checks the folder")
		return
	}
	d.ok("templates of eCertificates can be drawn: %s", d.config.Ecert.Templates)
}

// processes looks at the work processes of ICT systems, when they are the agency's own.
func (d *doctor) processes() {
	if d.config.Processes == "" {
		return
	}
	if _, err := d.config.processes(); err != nil {
		d.fault(cause(err), "the gateway refuses to start", "correct the file")
		return
	}
	d.ok("work processes can be read: %s", d.config.Processes)
}

// ends judges a validity.
func (d *doctor) ends(what string, from, to time.Time, why, fix string) {
	now := d.Now()
	switch {
	case now.Before(from):
		d.fault(what+" is not valid before "+day(from), why+"; the clock may be wrong", "check the clock")
	case now.After(to):
		d.fault(what+" ended "+day(to), why, fix)
	case to.Sub(now) < soon:
		d.warning(what+" ends "+day(to), why+" from then on", fix)
	default:
		d.ok("%s is valid until %s", what, day(to))
	}
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// space wants room for a day's work.
func (d *doctor) space(path string) {
	bytes, inodes, err := room(path)
	if err != nil {
		return // the folder is missing, as was said
	}
	what := fmt.Sprintf("%s has %d MiB and %d inodes left", d.relative(path), bytes>>20, inodes)
	const why, fix = "a full disk stops signing: no audit record, no signature", "make room, or move blobs to a larger disk"
	switch {
	case bytes < 100<<20 || inodes < 1000:
		d.fault(what, why, fix)
	case bytes < 2<<30 || inodes < 100_000:
		d.warning(what, why, fix)
	default:
		d.ok("%s", what)
	}
}
