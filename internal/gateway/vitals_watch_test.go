package gateway_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/health"
)

// A backup that was never noted, was not verified, or is too old; none is wanted of a sandbox.
func TestBackupsAreWatched(t *testing.T) {
	g := gatewaytest.New(t)
	w := newWard(t, g)
	w.becomes("backup", "ok", "backup.sandbox")
	g.Clock.Advance(48 * time.Hour)
	w.enter()
	w.becomes("backup", "ok", "backup.sandbox")
	gateway.InEarnest(g.Server)
	w.becomes("backup", "fail", "backup.none") // the installation is two days old

	mark := func(b gateway.Backup) {
		t.Helper()
		if _, err := g.Server.MarkBackup(t.Context(), "cli:test", b, ""); err != nil {
			t.Fatal(err)
		}
	}
	mark(gateway.Backup{})
	w.becomes("backup", "warn", "backup.unverified")
	mark(gateway.Backup{Verified: true})
	w.becomes("backup", "ok", "backup.ok")
	made := g.Clock.Now()
	g.Clock.Advance(25*time.Hour + 59*time.Minute)
	w.enter()
	w.becomes("backup", "ok", "backup.ok")
	g.Clock.Advance(2 * time.Minute)
	c := w.becomes("backup", "fail", "backup.old")
	if fix := fmt.Sprint(c["fix"]); !strings.Contains(c["text"].(string), made.In(time.FixedZone("MYT", 8*3600)).Format("02/01/2006, 15:04")) || !strings.Contains(c["text"].(string), "26 jam") ||
		!strings.Contains(fix, "mohor backup mark --data "+g.Dir+" --copy") || !strings.Contains(fmt.Sprint(c["values"]), "backup_age") {
		t.Errorf("%v", c)
	}
	mark(gateway.Backup{Verified: true, Made: g.Clock.Now().Add(-time.Hour)})
	w.becomes("backup", "ok", "backup.ok")

	replaceInConfig(t, g, "max_age: 26h", "max_age: 0s")
	gateway.InEarnest(g.Server)
	g.Clock.Advance(48 * time.Hour)
	w.enter()
	w.becomes("backup", "ok", "backup.off")
}

// A new installation has a day for its first backup.
func TestFirstBackupHasADay(t *testing.T) {
	g := gatewaytest.New(t)
	gateway.InEarnest(g.Server)
	w := newWard(t, g)
	w.becomes("backup", "warn", "backup.none")
	g.Clock.Advance(27 * time.Hour)
	w.enter()
	w.becomes("backup", "fail", "backup.none")
}

// Our OCSP responder: its answer to a certificate in force, and its certificate's end.
func TestResponderIsWatched(t *testing.T) {
	g := gatewaytest.New(t)
	w := newWard(t, g)
	c := w.becomes("ocsp", "ok", "ocsp.ok")
	if v := fmt.Sprint(c["values"]); !strings.Contains(v, "answered_at") || !strings.Contains(v, "answer_until") || !strings.Contains(v, "days_left") {
		t.Errorf("%v", c)
	}
	g.Clock.Advance(23 * 24 * time.Hour) // of 30; nobody has renewed it
	w.enter()
	w.becomes("ocsp", "fail", "ocsp.late")
	_, _, err := gateway.CAOf(g.Server).Renew(t.Context())
	check(t, err)
	w.becomes("ocsp", "ok", "ocsp.ok")

	// A register that does not know the certificate as it is.
	db := opened(t, g)
	serial := gateway.CAOf(g.Server).Certificate(ca.Responder).SerialNumber.String()
	edit := func(statement string) {
		t.Helper()
		_, err := db.Exec(statement, serial)
		check(t, err)
	}
	edit("UPDATE certificates SET der = CAST(der || x'00' AS BLOB) WHERE serial = ?")
	w.becomes("ocsp", "fail", "ocsp.fails")
	edit("UPDATE certificates SET der = substr(der, 1, length(der) - 1) WHERE serial = ?")
	w.becomes("ocsp", "ok", "ocsp.ok")
	edit("UPDATE certificates SET status = 'SUSPENDED' WHERE serial = ?")
	w.becomes("ocsp", "fail", "ocsp.unit")
	edit("UPDATE certificates SET status = 'ACTIVE' WHERE serial = ?")

	// Without the HSM it is not known, and the HSM's is the alarm; with what was said before, it is.
	dir := tokens(t)
	check(t, os.Rename(dir, dir+"-away"))
	w.becomes("hsm", "fail", "hsm.fails")
	w.becomes("ocsp", "ok", "ocsp.ok")
	g.Clock.Advance(31 * time.Minute) // which ends the session, too
	report := func(id string) (r health.Report) {
		gateway.Look(t.Context(), g.Server)
		for _, x := range g.Server.Monitor().Reports() {
			if x.ID == id {
				r = x
			}
		}
		return r
	}
	if r := report("ocsp"); r.State != health.Unknown || r.Args["reason"] != "away" {
		t.Errorf("without the HSM: %+v", r)
	}
	check(t, os.Rename(dir+"-away", dir))
	for end := time.Now().Add(2 * time.Minute); report("hsm").State != health.OK; {
		if time.Now().After(end) {
			t.Fatal("the HSM does not come back")
		}
	}
	if r := report("ocsp"); r.State != health.OK {
		t.Errorf("with the HSM: %+v", r)
	}
}

// OCSP of others, whose time-stamps are used: what those who needed it have seen, and one that
// fails is asked again.
func TestSourcesAreWatched(t *testing.T) {
	g, other := gatewaytest.New(t), gatewaytest.New(t)
	root := filepath.Join(other.Dir, "root.pem")
	replaceInConfig(t, g, "  hosts: []", `  hosts: ["127.0.0.1"]`)
	replaceInConfig(t, g, "  servers: []\n", "  servers: [{url: \""+other.URL+"/tsa\", roots: \""+root+"\", max_bytes: 8192}]\n")
	replaceInConfig(t, g, "  from: own\n", "  from: external\n")
	w := newWard(t, g)
	w.becomes("sources", "ok", "sources.none")
	sealed(t, g, "B-LT")
	host := strings.TrimPrefix(other.URL, "http://")
	if c := w.becomes("sources", "ok", "sources.ok"); !strings.Contains(fmt.Sprint(c["values"]), "OCSP "+host) {
		t.Errorf("%v", c)
	}
	if c := w.check("stamps"); !strings.Contains(fmt.Sprint(c["values"]), "stamped_at") {
		t.Errorf("%v", c)
	}

	theirs := gateway.CAOf(other.Server)
	tsa, issuing := theirs.Certificate(ca.TSA), theirs.Certificate(ca.Issuing)
	other.Stop()
	later := func(d time.Duration) {
		g.Clock.Advance(d)
		other.Clock.Advance(d)
		w.enter()
	}
	later(time.Hour)
	if _, _, err := gateway.CAOf(g.Server).Others.Revocation(t.Context(), tsa, issuing); err == nil {
		t.Fatal("a server that is away has answered")
	}
	w.becomes("sources", "warn", "sources.fails")
	later(5 * time.Minute)
	c := w.becomes("sources", "fail", "sources.fails")
	if !strings.Contains(c["text"].(string), host+" tidak memberi jawapan yang sah") || !strings.Contains(fmt.Sprint(c["fix"]), "hosts: [127.0.0.1]") {
		t.Errorf("%v", c)
	}
	other.Start()
	later(6 * time.Minute)
	w.becomes("sources", "ok", "sources.ok")
}
