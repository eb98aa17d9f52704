package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/timewatch"
)

// ward asks a gateway how it is.
type ward struct {
	*gatewaytest.Gateway
	t   *testing.T
	jdn *browser
	n   int
}

func newWard(t *testing.T, g *gatewaytest.Gateway) *ward {
	t.Helper()
	w := &ward{Gateway: g, t: t}
	w.enter()
	return w
}

// enter is a log-in of an administrator, for the clock may have ended the last one.
func (w *ward) enter() {
	w.t.Helper()
	w.n++
	w.jdn = appointed(w.t, w.Gateway, fmt.Sprintf("7002021054%02d", 40+2*w.n), enrol.JDN, "", "")
}

// check looks and gives what is said of one.
func (w *ward) check(id string) map[string]any {
	w.t.Helper()
	gateway.Look(w.t.Context(), w.Server)
	r := w.jdn.do(http.MethodGet, "/v1/admin/health", nil)
	want(w.t, r, 200, "")
	for _, x := range r.Body["checks"].([]any) {
		if c := x.(map[string]any); c["id"] == id {
			return c
		}
	}
	w.t.Fatalf("there is no check %s: %s", id, r.Raw)
	return nil
}

// becomes looks until a check has a code: what was away may take a moment to come back.
func (w *ward) becomes(id, state, code string) map[string]any {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		c := w.check(id)
		if c["state"] == state && c["code"] == code {
			fix, _ := c["fix"].(map[string]any)
			if bad := state == "fail" || state == "warn"; bad && (fix == nil || fix["text"] == "") || strings.ContainsAny(fmt.Sprint(c["text"], fix), "{}") {
				w.t.Errorf("%s: %v", code, c)
			}
			return c
		}
		if ctx.Err() != nil {
			w.t.Fatalf("%s is %v %v, not %s %s", id, c["state"], c["code"], state, code)
		}
		w.Clock.Advance(time.Second) // who asks too often is refused
	}
}

// takesAll is a mail server that takes every mail.
func takesAll(c *net.TCPConn) {
	say := func(s string) { _, _ = c.Write([]byte(s + "\r\n")) }
	say("220 mail.example")
	body := false
	for lines := bufio.NewScanner(c); lines.Scan(); {
		verb, _, _ := strings.Cut(strings.ToUpper(lines.Text()), " ")
		switch {
		case body && lines.Text() != ".":
			continue
		case body:
			body = false
			say("250 ok")
		case verb == "DATA":
			body = true
			say("354 go on")
		case verb == "QUIT":
			say("221 bye")
		default:
			say("250 ok")
		}
	}
}

// tokens is the folder of SoftHSM's tokens.
func tokens(t *testing.T) string {
	t.Helper()
	conf, err := os.ReadFile(os.Getenv("SOFTHSM2_CONF"))
	check(t, err)
	_, dir, _ := strings.Cut(string(conf), "directories.tokendir = ")
	dir, _, _ = strings.Cut(dir, "\n")
	return dir
}

// Each part's fault is found, named with what to do, and seen to be over.
func TestEachFaultIsFound(t *testing.T) {
	g, redis := withRedis(t)
	w := newWard(t, g)
	r := w.jdn.do(http.MethodGet, "/v1/admin/health", nil)
	want(t, r, 200, "")
	if !strings.Contains(string(r.Raw), "Belum diperiksa") || r.Text("state") != "unknown" {
		t.Errorf("before the first look: %s", r.Raw)
	}
	// On a busy machine the first answers may be slow.
	for end := time.Now().Add(2 * time.Minute); r.Text("state") != "ok" && time.Now().Before(end); g.Clock.Advance(time.Second) {
		gateway.Look(t.Context(), g.Server)
		r = w.jdn.do(http.MethodGet, "/v1/admin/health", nil)
	}
	if want(t, r, 200, ""); r.Text("state") != "ok" || r.Body["faults"] != 0.0 || r.Body["unknown"] != 0.0 || r.Text("node") == "" {
		t.Errorf("a new sandbox: %s", r.Raw)
	}
	for _, secret := range []string{string(g.Dev.APIKey.Reveal()), string(g.PIN().Reveal()), redis.Address, "postgres://"} {
		if strings.Contains(string(r.Raw), secret) {
			t.Errorf("it tells %q", secret)
		}
	}

	// Redis.
	check(t, redis.Kill())
	w.becomes("redis", "fail", "redis.fails")
	check(t, redis.Run())
	w.becomes("redis", "ok", "redis.ok")

	// The mail server: nobody listens; then it takes mails again.
	address := g.Server.Mailbox.Addr()
	check(t, g.Server.Mailbox.Close())
	ask := raw("baucar")
	ask["ic"], ask["system"] = g.Dev.Officers[0].IC, g.Dev.System
	want(t, g.Do("POST", "/v1/transactions", "", ask), 201, "")
	c := w.becomes("mail", "fail", "mail.fails")
	if !strings.Contains(c["text"].(string), "sambungan ditolak") {
		t.Errorf("%v", c)
	}
	stop := mailServer(t, address, takesAll)
	w.becomes("mail", "ok", "mail.ok")
	stop()

	// Disks, the worst of them.
	gateway.SetRoom(g.Server, func(path string) (uint64, uint64, error) {
		if strings.HasSuffix(path, "blobs") {
			return 50 << 20, 1 << 20, nil
		}
		return 1 << 30, 1 << 20, nil
	})
	c = w.becomes("disk", "fail", "disk.full")
	if !strings.Contains(c["text"].(string), "50.0 MiB di "+g.Dir+"/blobs") {
		t.Errorf("%v", c)
	}
	gateway.SetRoom(g.Server, func(string) (uint64, uint64, error) { return 1 << 40, 100, nil })
	w.becomes("disk", "fail", "disk.full") // inodes
	gateway.SetRoom(g.Server, func(string) (uint64, uint64, error) { return 1 << 30, 1 << 20, nil })
	w.becomes("disk", "warn", "disk.low")
	gateway.SetRoom(g.Server, func(string) (uint64, uint64, error) { return 0, 0, os.ErrPermission })
	w.becomes("disk", "unknown", "asked")
	gateway.SetRoom(g.Server, func(string) (uint64, uint64, error) { return 1 << 40, 1 << 20, nil })
	w.becomes("disk", "ok", "disk.ok")

	// Documents.
	blobs := filepath.Join(g.Dir, "blobs")
	check(t, os.Rename(blobs, blobs+"-away"))
	w.becomes("documents", "fail", "documents.fails")
	check(t, os.Rename(blobs+"-away", blobs))
	w.becomes("documents", "ok", "documents.ok")

	// A newer program has migrated the database.
	db := opened(t, g)
	_, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)")
	check(t, err)
	w.becomes("database", "fail", "database.schema")
	_, err = db.Exec("DELETE FROM goose_db_version WHERE version_id = 99999")
	check(t, err)
	w.becomes("database", "ok", "database.ok")

	// The HSM.
	dir := tokens(t)
	check(t, os.Rename(dir, dir+"-away"))
	c = w.becomes("hsm", "fail", "hsm.fails")
	w.becomes("sessions", "unknown", "asked")
	if fix := c["fix"].(map[string]any); fix["command"] != "mohor doctor --data "+g.Dir {
		t.Errorf("%v", fix)
	}
	check(t, os.Rename(dir+"-away", dir))
	w.becomes("hsm", "ok", "hsm.ok")
	w.becomes("sessions", "ok", "sessions.ok")

	// The clock is set.
	set := time.Duration(0)
	began := time.Now()
	poll := gateway.WatchTime(g.Server, func() timewatch.Reading {
		d := time.Since(began)
		return timewatch.Reading{Wall: began.Add(d + set), Boot: d, Mono: d, Raw: d}
	})
	poll(t.Context())
	w.becomes("clock", "ok", "clock.ok")
	set = time.Hour
	w.becomes("clock", "fail", "clock.wrong")
	set = 0
	w.becomes("clock", "ok", "clock.ok")
}

// What only time brings: heads that are not signed, CRLs that are not renewed, certificates that end.
func TestFaultsOfTime(t *testing.T) {
	g := gatewaytest.New(t)
	w := newWard(t, g)
	g.Clock.Advance(30 * time.Minute)
	w.enter()
	w.becomes("outbox", "warn", "outbox.late")
	c := w.becomes("audit", "fail", "audit.late")
	if !strings.Contains(fmt.Sprint(c["values"]), "records_behind") {
		t.Errorf("%v", c)
	}
	check(t, gateway.SignHead(t.Context(), g.Server))
	w.becomes("audit", "ok", "audit.ok")
	if err := gateway.Deliver(t.Context(), g.Server); err != nil {
		t.Fatal(err)
	}
	w.becomes("outbox", "ok", "outbox.ok")

	g.Clock.Advance(6*24*time.Hour + 12*time.Hour)
	w.enter()
	w.becomes("crl", "fail", "crl.stale")
	gateway.PublisherStep(t.Context(), g.Server)
	w.becomes("crl", "ok", "crl.ok")

	issuing := gateway.CAOf(g.Server).Certificate("issuing")
	g.Clock.Advance(issuing.NotAfter.Sub(g.Clock.Now()) - 20*24*time.Hour)
	w.enter()
	w.becomes("certificates", "fail", "certificates.unit") // nobody has renewed them
	g.Clock.Advance(30 * 24 * time.Hour)
	w.enter()
	c = w.check("certificates")
	if c["state"] != "fail" {
		t.Errorf("%v", c)
	}
}

// A batch that stopped waits for its officer.
func TestStoppedBatchesAreTold(t *testing.T) {
	g := gatewaytest.New(t)
	confirmed(t, g, 3)
	g.Stop()
	g.Start()
	w := newWard(t, g)
	w.becomes("queue", "warn", "queue.needs")
}

// Who sees what; a fault seen twice raises an alarm that a restart keeps, that is mailed once,
// acknowledged once, and over when the part is well.
func TestAlarmsLast(t *testing.T) {
	g := gatewaytest.New(t)
	g.Stop()
	alarmTo(t, g.Dir, "[jaga@jdn.mohor.example]")
	g.Start()
	w := newWard(t, g)
	raised := func() []any {
		t.Helper()
		gateway.Look(t.Context(), g.Server)
		r := w.jdn.do(http.MethodGet, "/v1/admin/alarms", nil)
		want(t, r, 200, "")
		return r.Body["alarms"].([]any)
	}
	full := func(string) (uint64, uint64, error) { return 1 << 20, 1 << 20, nil }
	if n := len(raised()); n != 0 {
		t.Fatalf("%d alarms of a gateway that is well", n)
	}
	gateway.SetRoom(g.Server, full)
	if n := len(raised()); n != 0 {
		t.Errorf("%d alarms of what was seen once", n)
	}
	one := raised()
	if len(one) != 1 {
		t.Fatalf("%d alarms", len(one))
	}
	a := one[0].(map[string]any)
	id := a["id"].(string)
	if a["check"] != "disk" || a["state"] != "raised" || a["node"] == "" || !strings.Contains(a["text"].(string), "1.0 MiB") || a["fix"] == nil || a["acknowledged"] != nil {
		t.Errorf("%v", a)
	}
	check(t, gateway.Deliver(t.Context(), g.Server))
	m, ok := g.Server.Mailbox.Latest("jaga@jdn.mohor.example")
	if !ok || !strings.Contains(m.Text, "MiB left") || !strings.Contains(m.Text, "open Health") || strings.Contains(m.Text, "du -xh") {
		t.Errorf("the mail: %s", m.Text)
	}

	g.Stop()
	g.Start()
	gateway.SetRoom(g.Server, full)
	w.enter()
	mark, restarted := g.Server.Mailbox.Mark(), time.Now()
	raised()
	if again := raised(); len(again) != 1 || again[0].(map[string]any)["id"] != id {
		t.Errorf("after a start: %v", again)
	}

	// Who may.
	auditor, sap := appointed(t, g, "700202105472", enrol.Auditor, "", ""), appointed(t, g, "700202105474", enrol.SAP, "", g.Dev.System)
	want(t, auditor.do("GET", "/v1/admin/alarms", nil), 200, "")
	want(t, auditor.do("GET", "/v1/admin/health", nil), 200, "")
	note := map[string]string{"note": "cakera diganti petang ini"}
	want(t, auditor.do("POST", "/v1/admin/alarms/"+id+"/acknowledge", note), 403, "forbidden")
	want(t, sap.do("GET", "/v1/admin/alarms", nil), 403, "forbidden")
	want(t, sap.do("POST", "/v1/admin/alarms/"+id+"/acknowledge", note), 403, "forbidden")
	r := sap.do("GET", "/v1/admin/health", nil)
	want(t, r, 200, "")
	if len(r.Body["checks"].([]any)) != 2 || r.Body["brief"] != true || r.Body["node"] != nil || strings.Contains(string(r.Raw), `"fix"`) || strings.Contains(string(r.Raw), `"values"`) || strings.Contains(string(r.Raw), g.Dir) {
		t.Errorf("an SAP is told %s", r.Raw)
	}
	want(t, newBrowser(t, g).do("GET", "/v1/admin/health", nil), 401, "unauthenticated")

	want(t, w.jdn.do("POST", "/v1/admin/alarms/"+id+"/acknowledge", map[string]string{"note": " x "}), 422, "reason_missing")
	want(t, w.jdn.do("POST", "/v1/admin/alarms/al_none/acknowledge", note), 404, "not_found")
	want(t, w.jdn.do("POST", "/v1/admin/alarms/"+id+"/acknowledge", note), 204, "")
	want(t, w.jdn.do("POST", "/v1/admin/alarms/"+id+"/acknowledge", note), 409, "alarm_acknowledged")
	ack, _ := raised()[0].(map[string]any)["acknowledged"].(map[string]any)
	if ack["note"] != "cakera diganti petang ini" || ack["by"] == "" {
		t.Errorf("acknowledged: %v", ack)
	}

	gateway.SetRoom(g.Server, func(string) (uint64, uint64, error) { return 1 << 40, 1 << 20, nil })
	raised()
	if n := len(raised()); n != 0 {
		t.Errorf("%d alarms of what is well again", n)
	}
	r = w.jdn.do("GET", "/v1/admin/alarms?state=cleared&limit=1", nil)
	want(t, r, 200, "")
	if list := r.Body["alarms"].([]any); len(list) != 1 || list[0].(map[string]any)["id"] != id || list[0].(map[string]any)["cleared_at"] == nil {
		t.Errorf("%s", r.Raw)
	}
	want(t, w.jdn.do("GET", "/v1/admin/alarms?state=cleared&after=x", nil), 400, "invalid_request")
	check(t, gateway.Deliver(t.Context(), g.Server))
	if m, _ := g.Server.Mailbox.Latest("jaga@jdn.mohor.example"); g.Server.Mailbox.Mark() > mark && strings.Contains(m.Text, "MiB left") && !m.ReceivedAt.Before(restarted) {
		t.Error("one alarm was mailed twice")
	}
	for _, act := range []string{"alarm.raise", "alarm.clear", "alarm.acknowledge"} {
		n := 0
		check(t, opened(t, g).QueryRow("SELECT COUNT(*) FROM audit_events WHERE action = ? AND verdict <> 'refused'", act).Scan(&n))
		if n != 1 {
			t.Errorf("%d events %s", n, act)
		}
	}
}

// "This was not me" is an alarm until somebody says what was done about it.
func TestEventsRaiseAlarms(t *testing.T) {
	g := gatewaytest.New(t)
	w := newWard(t, g)
	tx, _ := g.Ask(amounting(raw("Surat"), ringgit("10.00")))
	want(t, tx, 201, "")
	path := leads(t, g)
	visit(g, "POST", path)
	visit(g, "POST", path)
	r := w.jdn.do("GET", "/v1/admin/alarms", nil)
	want(t, r, 200, "")
	list := r.Body["alarms"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["check"] != "disowned" || !strings.Contains(list[0].(map[string]any)["text"].(string), tx.Text("transaction_id")) {
		t.Fatalf("%s", r.Raw)
	}
	want(t, w.jdn.do("POST", "/v1/admin/alarms/"+list[0].(map[string]any)["id"].(string)+"/acknowledge", map[string]string{"note": "pegawai ditelefon, sijil dibatalkan"}), 204, "")
	if r := w.jdn.do("GET", "/v1/admin/alarms", nil); len(r.Body["alarms"].([]any)) != 0 {
		t.Errorf("%s", r.Raw)
	}
	if r := w.jdn.do("GET", "/v1/admin/alarms?state=cleared", nil); len(r.Body["alarms"].([]any)) != 1 {
		t.Errorf("%s", r.Raw)
	}
}

// Each of hundreds of alarms is reached, in the API and on the page, and can be acknowledged there.
func TestHundredsOfAlarmsArePaged(t *testing.T) {
	g := gatewaytest.New(t)
	w := newWard(t, g)
	const events = 230
	for k := range events {
		check(t, gateway.Tell(t.Context(), g.Server, audit.Event{At: time.Now(), Actor: "gateway", Action: "signer.alarm", Object: fmt.Sprintf("tx_%03d", k), Verdict: audit.Noted}))
	}
	gateway.Look(t.Context(), g.Server)
	marked := func(who *browser) (int, bool) {
		t.Helper()
		m := regexp.MustCompile(`<span class="alarms"[^>]*>\s*([0-9+]+)`).FindStringSubmatch(string(who.do(http.MethodGet, "/admin", nil).Raw))
		n, told := who.do(http.MethodGet, "/v1/me", nil).Body["open_alarms"].(float64)
		if (n > 0) != (m != nil && m[1] == "99+") {
			t.Errorf("%v alarms, the mark in the menu: %q", n, m)
		}
		return int(n), told
	}
	if n, _ := marked(w.jdn); n < 200 {
		t.Errorf("%d alarms in the menu", n)
	}
	if _, told := marked(appointed(t, g, "700202105566", enrol.SAP, "", g.Dev.System)); told {
		t.Error("a SAP is told of alarms")
	}
	seen := map[string]bool{}
	last := ""
	for after, pages := "", 0; ; pages++ {
		r := w.jdn.do(http.MethodGet, "/v1/admin/alarms?limit=100&after="+after, nil)
		want(t, r, 200, "")
		for _, x := range r.Body["alarms"].([]any) {
			last = x.(map[string]any)["id"].(string)
			seen[last] = true
		}
		if after = r.Text("next"); after == "" {
			break
		}
		if pages > 10 {
			t.Fatal("it does not end")
		}
	}
	if len(seen) != events {
		t.Errorf("%d alarms in the API", len(seen))
	}
	want(t, w.jdn.do(http.MethodGet, "/v1/admin/alarms?after=eA", nil), 400, "invalid_request")
	rows, next := regexp.MustCompile(`data-alarm="([^"]+)"`), regexp.MustCompile(`href="(/admin/health\?after=[A-Za-z0-9_-]+)"`)
	shown := map[string]bool{}
	for path := "/admin/health"; path != ""; {
		body := string(w.jdn.do(http.MethodGet, path, nil).Raw)
		for _, m := range rows.FindAllStringSubmatch(body, -1) {
			shown[m[1]] = true
		}
		path = ""
		if m := next.FindStringSubmatch(body); m != nil && len(shown) <= events {
			path = m[1]
		}
	}
	if len(shown) != events {
		t.Errorf("%d alarms on the page", len(shown))
	}
	if r := w.jdn.do(http.MethodGet, "/admin/health/alarms/"+last, nil); r.Status != 200 || !strings.Contains(string(r.Raw), `name="note"`) {
		t.Errorf("the last one's page: %d", r.Status)
	}
	before, _ := marked(w.jdn)
	want(t, w.jdn.do(http.MethodPost, "/v1/admin/alarms/"+last+"/acknowledge", map[string]string{"note": "disiasat oleh JDN"}), 204, "")
	if after, _ := marked(w.jdn); after != before-1 {
		t.Errorf("%d alarms before one was acknowledged, %d then", before, after)
	}
}
