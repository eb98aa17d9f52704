package gateway

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/hsm"
)

// database: opens, current, whole; then it stays open for those behind.
func (d *doctor) database(ctx context.Context) {
	if why := d.unreadable(); why != "" {
		d.skipped("the database", why)
		return
	}
	place := d.config.databasePlace()
	const backup = "stop the gateway and put the database back from the last backup"
	h, err := d.config.inspectDatabase(ctx)
	switch {
	case missing(err):
		d.fault("there is no database "+place, "it holds every officer's key and the audit chain", "put it back from the last backup, or, for a new installation, mohor init --data "+d.Dir)
		return
	case err != nil:
		d.fault("the database cannot be read: "+err.Error(), "nothing can be signed or looked up", backup)
		return
	case len(h.Damage) > 0:
		d.fault("the database is damaged: "+strings.Join(h.Damage, "; "), "rows may be lost without a word", backup+"; keep the damaged file")
		return
	case h.Schema > h.Current:
		d.fault(fmt.Sprintf("the schema of the database is %d, this program knows %d", h.Schema, h.Current), "an older program must not write to it", "install the version of mohor that last served this folder, or a newer one")
		return
	case h.Schema < h.Current:
		d.fault(fmt.Sprintf("the schema of the database is %d, this program wants %d", h.Schema, h.Current), "it has not been migrated", "back the database up, then start the gateway once with this version")
		return
	}
	d.ok("the database is whole, its schema %d is current", h.Schema)
	if d.db, err = d.config.openDatabase(ctx); err != nil {
		d.fault("the database cannot be opened: "+err.Error(), "nothing can be signed or looked up", "give "+place+" and the files beside it to the gateway's user")
		return
	}
	d.stamp(ctx)
	d.loadAuthorities(ctx)
}

// stamp compares what was fixed at init.
func (d *doctor) stamp(ctx context.Context) {
	is, err := d.db.Meta(ctx, metaSandbox)
	public, perr := d.db.Meta(ctx, metaPublicURL)
	switch {
	case err != nil || perr != nil:
		d.fault("facts about the installation cannot be read: "+errors.Join(err, perr).Error(), "the gateway refuses to start", "put the database back from the last backup")
	case is == "":
		d.fault("the installation is not complete", "the gateway refuses to start", "run mohor init --data "+d.Dir+" again; it makes what is missing")
	case public != d.config.PublicURL:
		d.fault(fmt.Sprintf("public_url is %q, certificates issued since init say %q", d.config.PublicURL, public), "the gateway refuses to start, and verifiers ask the old address", fmt.Sprintf("public_url: %q in %s", public, d.path(ConfigFile)))
	case is == "yes":
		d.ok("this is a sandbox: its certificates are NOT VALID")
	}
	d.sandbox = is == "yes"
}

// MAC implements macs with what the token said in the other process.
func (d *doctor) MAC(context.Context, hsm.MACKey, []byte) ([]byte, error) {
	return bytes.Clone(d.sealer), nil
}

// unlock opens what the database holds of people, and says why it cannot.
func (d *doctor) unlock(ctx context.Context) bool {
	had, err := d.db.HasPersonalKey(ctx)
	switch {
	case err == nil && !had:
		d.warning("what the database holds of people is not encrypted", "whoever copies the database reads it", "back the database up, then start the gateway once with this version")
		return false
	case err == nil && d.sealer == nil:
		d.skipped("the audit chain", "the token, which opens what the records say, cannot be used")
		return false
	case err == nil:
		err = unlock(ctx, d.db, d)
	}
	if err != nil {
		d.fault(cause(err), "nobody can be looked up; the gateway refuses to start", "put the token and the database of one time back from the backup")
		return false
	}
	d.ok("what the database holds of people opens")
	list, err := d.db.Administrators(ctx)
	if err == nil && len(list) == 0 {
		d.fault("there is no administrator", "nobody can approve or unlock an officer", "run mohor init --data "+d.Dir+" --admin-name … --admin-email … again")
	}
	return true
}

// unreadable says why neither database nor token may be touched, if so.
func (d *doctor) unreadable() string {
	switch {
	case !d.readable:
		return "the configuration cannot be read"
	case d.foreign:
		return "this user is not the gateway's"
	}
	return ""
}

// undone says why something that needs the database was left out.
func (d *doctor) undone() string {
	if why := d.unreadable(); why != "" {
		return why
	}
	return "the database cannot be used"
}

// audit: the chain since its last signed head, and whether heads are signed.
func (d *doctor) audit(ctx context.Context) {
	if d.db == nil {
		d.skipped("the audit chain", d.undone())
		return
	}
	if _, err := readSeal(d.Dir); err != nil {
		d.fault(cause(err), "without it no signed head can be verified", "mohor init --data "+d.Dir+" writes "+SealFile+" again")
		return
	}
	if !d.unlock(ctx) {
		return
	}
	d.backup(ctx)
	heads := d.config.Audit.Heads
	w := &headWriter{i: &Installation{Dir: d.Dir, Config: d.config, db: d.db}}
	err := w.believe(ctx)
	switch {
	case errors.Is(err, audit.ErrBroken):
		d.fault(cause(err), "somebody changed the record, or a backup that is too old was put back; the gateway refuses to start",
			"keep everything as it is, compare with the off-box copy: mohor audit verify --data "+d.Dir+" --heads COPY")
		return
	case err != nil:
		d.fault("audit heads cannot be read: "+cause(err), "nothing shows whether the chain was cut", "put "+heads+" back from its off-box copy")
		return
	}
	d.ok("the audit chain is whole since its last signed head")
	seq, _, err := d.db.AuditHead(ctx)
	newest, _, terr := d.db.NewestTimes(ctx)
	if err != nil || terr != nil {
		d.fault("the newest audit record cannot be read: "+errors.Join(err, terr).Error(), "the gateway refuses to start", "put the database back from the last backup")
		return
	}
	late := max(5*time.Minute, 2*d.config.Audit.Every)
	switch _, serr := os.Stat(heads); {
	case missing(serr) && d.pid == 0:
		d.warning("no audit head has been signed", "nothing shows whether the chain was cut", "start the gateway once; if it has served before, put "+heads+" back from its off-box copy")
	case missing(serr):
		d.fault("there is no "+d.relative(heads)+" although the gateway runs", "nothing shows whether the chain was cut", "put it back from its off-box copy and look for \"signing audit head\" in the gateway's log")
	case seq > w.last.Seq && d.Now().Sub(newest) > late && d.pid != 0:
		d.fault(fmt.Sprintf("%d audit records are under no signed head, the newest from %s", seq-w.last.Seq, day(newest)), "they could be cut off unseen", "look for \"signing audit head\" in the gateway's log")
	case seq > w.last.Seq && d.pid == 0:
		d.warning(fmt.Sprintf("%d audit records are under no signed head", seq-w.last.Seq), "they could be cut off unseen", "start the gateway, which signs a head at once")
	default:
		d.ok("%d records are under signed heads, the newest from %s", w.last.Seq, day(w.last.At))
	}
}

// backup: how old the last one is that was noted.
func (d *doctor) backup(ctx context.Context) {
	limit := d.config.Backup.MaxAge
	if d.sandbox || limit == 0 {
		return
	}
	const why, fix = "what was made since is lost with the disk", "back up, and note it: mohor backup mark"
	b, marked, err := (&Installation{db: d.db}).lastBackup(ctx)
	switch age := d.Now().Sub(b.Made); {
	case err != nil:
		d.fault("the last backup cannot be told: "+err.Error(), "nobody knows what a lost disk would take", fix)
	case !marked:
		d.warning("no backup was ever noted", "everything is lost with the disk", fix)
	case age > limit:
		d.fault(fmt.Sprintf("the last backup that was noted is of %s, more than %v old", b.Made.Format(time.RFC3339), limit), why, fix)
	case !b.Verified:
		d.warning(fmt.Sprintf("the last backup, of %s, was not verified", b.Made.Format(time.RFC3339)), "it may not be one that can be put back", fix+" with --copy or --verified")
	default:
		d.ok("the last backup is of %s, verified", b.Made.Format(time.RFC3339))
	}
}

// certificates: authorities, their CRLs, and officers' that end soon.
func (d *doctor) certificates(ctx context.Context) {
	if d.db == nil {
		d.skipped("certificates and CRLs", d.undone())
		return
	}
	for _, x := range d.authorities {
		fix := "make another beside it and have it issue: mohor ca init, mohor ca rollover"
		if x.Parent == "" {
			fix = "make another root and issuing CA beside it: mohor ca init, mohor ca rollover; who trusts this one must be given the new one before"
		}
		if cert := d.authority[x.Name]; cert != nil && x.Successor == "" {
			d.ends("the certificate of the "+x.Name+" CA", cert.NotBefore, cert.NotAfter, "no officer's certificate that it issued verifies", fix)
		}
		d.crl(ctx, x.Name)
	}
	d.units()
	d.profiles()
	d.rootFile()
	now := d.Now()
	n, err := d.db.OfficersExpiring(ctx, now, now.Add(soon))
	switch {
	case err != nil:
		d.fault(err.Error(), "renewals go unnoticed", "put the database back from the last backup")
	case n > 0:
		d.warning(fmt.Sprintf("%d officers' certificates end within 30 days", n), "these officers cannot sign from then on", "have them renew")
	default:
		d.ok("no officer's certificate ends within 30 days")
	}
}

// profiles: whether certificates could be issued by each.
func (d *doctor) profiles() {
	if d.authority[ca.Issuing] == nil {
		d.skipped("certificate profiles", "the issuing CA's certificate cannot be read")
		return
	}
	if err := ca.CheckProfiles(d.config.profile(d.sandbox), d.authorities, d.authority, d.Now); err != nil {
		d.fault(err.Error(), "the gateway refuses to start, and certificates by this profile cannot be issued", "ca.profiles and ca.issuers in "+d.path(ConfigFile)+"; mohor ca list shows the CAs there are")
		return
	}
	d.ok("a certificate by each profile passes the linter (%d besides the default)", len(d.config.CA.Profiles))
}

// loadAuthorities reads the CA certificates, for the token and those behind.
func (d *doctor) loadAuthorities(ctx context.Context) {
	names := []string{ca.Root, ca.Issuing}
	var err error
	if d.authorities, err = d.db.Authorities(ctx); err != nil {
		d.fault("the authorities cannot be read: "+err.Error(), "nothing can be issued or verified", "put the database back from the last backup")
	}
	for _, x := range d.authorities {
		if x.Name != ca.Root && x.Name != ca.Issuing {
			names = append(names, x.Name)
		}
	}
	for _, name := range append(names, unitNames()...) {
		row, err := d.db.AuthorityCertificate(ctx, name)
		if errors.Is(err, ca.ErrUnknown) && slices.Contains(unitNames(), name) {
			continue // said with the certificates
		}
		var cert *x509.Certificate
		if err == nil {
			cert, err = x509.ParseCertificate(row.DER)
		}
		if err != nil {
			d.fault("the certificate of the "+name+" CA cannot be read: "+err.Error(), "nothing can be issued or verified", "mohor init --data "+d.Dir+" completes an installation; else put the database back from the last backup")
			continue
		}
		d.authority[name] = cert
		if k := slices.IndexFunc(d.authorities, func(x ca.Authority) bool { return x.Name == name }); row.Status == ca.Revoked && k >= 0 && d.authorities[k].Successor == "" {
			d.fault("the certificate of the "+name+" CA is revoked", "it issues nothing, and nobody signs with a certificate that it issued", "make another beside it and have it issue: mohor ca init, mohor ca rollover")
		}
	}
}

// units: a start makes and renews their certificates, and so does a gateway that
// runs.
func (d *doctor) units() {
	for _, x := range []struct{ name, what, why string }{
		{ca.TSA, "time-stamp unit", "no signature gets a time-stamp"},
		{ca.Responder, "OCSP responder", "OCSP requests get no answer, and signatures no evidence for later"},
	} {
		cert, now := d.authority[x.name], d.Now()
		switch {
		case cert != nil && !now.Before(cert.NotBefore) && !now.After(cert.NotAfter):
			d.ok("the certificate of the %s is valid until %s", x.what, day(cert.NotAfter))
		case d.pid == 0:
			d.warning("the "+x.what+" has no valid certificate", x.why, "start the gateway, which makes one; it does not where a certificate of the same key was revoked")
		default:
			d.fault("the "+x.what+" has no valid certificate although the gateway runs", x.why, "look into its log: a certificate of the key "+x.name+" was revoked, or the clock was wrong when it was made")
		}
	}
	if !d.sandbox && strings.HasPrefix(d.config.CA.TSAPolicy, "2.999.") {
		d.warning("ca.tsa_policy_oid "+d.config.CA.TSAPolicy+" is of the arc for examples", "time-stamps name a policy that nobody has published", "put your own into "+d.path(ConfigFile))
	}
}

func (d *doctor) crl(ctx context.Context, name string) {
	c, err := d.db.LatestCRL(ctx, name)
	if err != nil {
		d.fault("the CRL of the "+name+" CA cannot be read: "+err.Error(), "signatures cannot be verified", "mohor init --data "+d.Dir+" makes it")
		return
	}
	what, why := fmt.Sprintf("the CRL of the %s CA ends %s and should have been followed by another", name, day(c.NextUpdate)), "verifiers call every signature indeterminate from then on"
	if d.Now().After(c.NextUpdate) {
		what, why = fmt.Sprintf("the CRL of the %s CA ended %s", name, day(c.NextUpdate)), "verifiers call every signature indeterminate"
	}
	switch {
	case staleCRL(c, d.Now()) && d.pid != 0:
		d.fault(what, why, "look for \"keeping CRLs published\" in the gateway's log; mohor ca crl --publish "+name+" makes one by hand")
	case staleCRL(c, d.Now()):
		d.warning(what, why, "start the gateway, which makes a new one at once")
	default:
		d.ok("CRL %d of the %s CA is good until %s", c.Number, name, day(c.NextUpdate))
	}
}

func (d *doctor) rootFile() {
	if d.authority[ca.Root] == nil {
		return
	}
	d.roots = x509.NewCertPool()
	for _, x := range d.authorities {
		if cert := d.authority[x.Name]; cert != nil && x.Parent == "" && !x.Training {
			d.roots.AddCert(cert)
		}
	}
	raw, err := os.ReadFile(d.path("root.pem"))
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(raw) || !pool.Equal(d.roots) {
		d.fault("root.pem does not hold the certificates of the roots", "whoever trusts that file trusts something else", "mohor init --data "+d.Dir+" writes it again")
	}
}

// clock: time goes on, and nothing we made lies in its future.
func (d *doctor) clock(ctx context.Context) {
	elapsed := time.Since(d.started)
	if wall := time.Now().Round(0).Sub(d.started.Round(0)); math.Abs((wall - elapsed).Seconds()) > 1 {
		d.warning(fmt.Sprintf("the clock was set by %v while the doctor looked on", (wall-elapsed).Round(time.Second)), "codes, locks and CRLs depend on it", "let one service keep the time: systemd-timesyncd or chrony")
	}
	now := d.Now()
	if d.db != nil {
		event, notBefore, err := d.db.NewestTimes(ctx)
		switch {
		case err != nil:
			d.fault(err.Error(), "the clock cannot be compared", "put the database back from the last backup")
		case event.After(now.Add(time.Minute)):
			d.fault(fmt.Sprintf("the clock says %s, the newest audit record is from %s", day(now), day(event)), "codes and locks would last too long and signatures get times that are past", "set the clock: timedatectl set-ntp true")
		case notBefore.After(now.Add(time.Minute)):
			d.fault(fmt.Sprintf("the clock says %s, the newest certificate is valid from %s", day(now), day(notBefore)), "signatures would be made before their certificate begins", "set the clock: timedatectl set-ntp true")
		default:
			d.ok("the clock is not behind what was recorded")
		}
	} else {
		d.skipped("the clock against what was recorded", d.undone())
	}
	d.synchronised()
	d.timePeers(ctx)
}

// softHSM looks at the files of a SoftHSM token.
func (d *doctor) softHSM() (whole bool) {
	conf := d.config.Token.SoftHSMConf
	if conf == "" {
		return true
	}
	raw, err := os.ReadFile(conf)
	if err != nil {
		d.fault("SoftHSM's configuration cannot be read: "+cause(err), "SoftHSM shows no token", "token.softhsm_conf must name it; mohor init --data "+d.Dir+" writes token/softhsm2.conf")
		return false
	}
	dir := ""
	for line := range bytes.Lines(raw) {
		if name, value, ok := strings.Cut(string(line), "="); ok && strings.TrimSpace(name) == "directories.tokendir" {
			dir = strings.TrimSpace(value)
		}
	}
	if _, err := os.ReadDir(dir); err != nil {
		d.fault("SoftHSM's token folder cannot be read: "+err.Error(), "every key is in it: KEK, pepper, CA", "put "+filepath.Clean(dir)+" back from the backup, owned by the gateway's user")
		return false
	}
	d.private(dir, "whoever copies it has every key but for the PINs", true)
	return true
}

// pagesFor is how far back the doctor looks.
const pagesFor = 7 * 24 * time.Hour

// pages: nobody opens officers' signing pages for them.
func (d *doctor) pages(ctx context.Context) {
	if d.db == nil {
		d.skipped("who opens signing pages", d.undone())
		return
	}
	apps, err := d.db.PagesOfApps(ctx, d.Now().Add(-pagesFor))
	if err != nil {
		d.fault(err.Error(), "an app that opens officers' pages goes unnoticed", "put the database back from the last backup")
		return
	}
	for _, app := range slices.Sorted(maps.Keys(apps)) {
		d.warning(fmt.Sprintf("in 7 days %d signing pages of the app %s were opened from the address from which it had asked for them", apps[app], app),
			"an app that opens the page itself can show officers a copy and read their PIN and code; or the app and its officers leave their network by one address",
			"ask the app's owner; mohor audit show --action page.open names the pages (same_address_as); mohor app suspend "+app+" stops it. Where app and officers share an address, give the app one of its own")
	}
	if len(apps) == 0 {
		d.ok("no signing page was opened from its app's own address in 7 days")
	}
}
