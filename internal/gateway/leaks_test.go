//go:build !race

package gateway_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// caller is who tries; role "" is let in nowhere.
type caller struct {
	name, role string
	*browser
}

// all are the callers in order. Those who are appointed at another agency only are its AP.
func (w *realm) all() (out []caller) {
	for _, x := range [][2]string{{"nobody", ""}, {"app", ""}, {"officer", ""}, {"SAP " + w.a.agency, "SAP"}, {"SA " + w.a.agency, "SA"}, {"AP " + w.a.agency, "AP"},
		{"tomorrow", "elsewhere"}, {"ended", "elsewhere"}, {"awaits", "elsewhere"}, {"AUDITOR", "AUDITOR"}, {"JDN", "JDN"}} {
		out = append(out, caller{x[0], x[1], w.people[x[0]]})
	}
	return out
}

// global says whether a role is for all agencies.
func (c *caller) global() bool { return c.role == "JDN" || c.role == "AUDITOR" }

// letIn says whether a row lets a caller in to the own side's things, or to the other's.
func (r *adminRow) letIn(c *caller, own bool) bool {
	role := c.role
	if role == "elsewhere" {
		role, own = "AP", false
	}
	return slices.Contains(strings.Fields(r.in), role) && (c.global() || own || r.everywhere || r.rows)
}

// request is a row about a side's things.
func (r *adminRow) request(t *testing.T, c *caller, key string, s *side) *gatewaytest.Reply {
	method, path, _ := strings.Cut(key, " ")
	if r.as != "" {
		path = r.as
	}
	scope := "agency=" + s.agency
	if c.role == "SAP" {
		scope = "system=" + s.system
	}
	address := strings.ReplaceAll(s.filled(path), "{scope}", scope)
	contentType, body := r.contentType, []byte(s.filled(r.body))
	switch {
	case strings.HasPrefix(contentType, "image/"):
		body = logo(t)
	case contentType == "" && r.body != "":
		contentType = "application/json"
	}
	if len(body) == 0 {
		body = nil
	}
	return c.ask(method, address, contentType, body)
}

// ask is send with the browser's headers.
func (b *browser) ask(method, path, contentType string, body []byte) *gatewaytest.Reply {
	h := []string{"X-API-Key", ""}
	for k, v := range b.header {
		h = append(h, k, v)
	}
	var jar []string
	for _, c := range b.cookies {
		jar = append(jar, c.Name+"="+c.Value)
	}
	h = append(h, "Cookie", strings.Join(jar, "; "))
	var raw any
	if body != nil {
		raw = body
	}
	return b.g.Do(method, path, contentType, raw, h...)
}

// watch tells what changes in a gateway's database, and puts it back.
type watch struct {
	t      *testing.T
	db     *sql.DB
	tables []string
}

// unwatched may change when nothing happens: what tells that somebody asked.
var unwatched = []string{"audit_events", "idempotency", "sessions", "meta", "changed", "audit_about"}

func newWatch(t *testing.T, g *gatewaytest.Gateway) *watch {
	t.Helper()
	file := filepath.Join(g.Dir, "mohor.db")
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(15000)")
	must(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	w := &watch{t: t, db: db}
	w.exec("VACUUM INTO '" + file + ".before'")
	w.exec("ATTACH '" + file + ".before' AS before")
	w.exec("CREATE TABLE changed (name TEXT NOT NULL)")
	rows, err := db.Query("SELECT name FROM before.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
	must(t, err)
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		if !slices.Contains(unwatched, name) {
			w.tables = append(w.tables, name)
		}
	}
	must(t, rows.Close())
	for _, name := range w.tables {
		for _, on := range []string{"INSERT", "UPDATE", "DELETE"} {
			w.exec(fmt.Sprintf("CREATE TRIGGER watch_%s_%s AFTER %s ON %s BEGIN INSERT INTO changed VALUES ('%s'); END", name, on, on, name, name))
		}
	}
	return w
}

func (w *watch) exec(statement string) {
	w.t.Helper()
	if _, err := w.db.Exec(statement); err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
}

// changes are the tables that have, since it was asked last.
func (w *watch) changes() (out []string) {
	w.t.Helper()
	rows, err := w.db.Query("SELECT DISTINCT name FROM changed")
	must(w.t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		must(w.t, rows.Scan(&name))
		out = append(out, name)
	}
	must(w.t, rows.Err())
	return out
}

// undo puts everything back; sessions, too.
func (w *watch) undo() {
	w.t.Helper()
	changed := w.changes()
	w.exec("PRAGMA foreign_keys = OFF")
	for _, name := range append(changed, "sessions") {
		w.exec("DELETE FROM " + name)
		var columns string // without those that are computed
		must(w.t, w.db.QueryRow("SELECT group_concat(name) FROM pragma_table_info(?)", name).Scan(&columns))
		w.exec("INSERT INTO " + name + " (" + columns + ") SELECT " + columns + " FROM before." + name)
	}
	w.exec("DELETE FROM changed")
}

// leaked are the marks in an answer that were not in the question.
func leaked(marks []string, question string, r *gatewaytest.Reply) (out []string) {
	text := string(r.Raw)
	for _, m := range marks {
		if strings.Contains(text, m) && !strings.Contains(question, m) {
			out = append(out, m)
		}
	}
	return out
}

var variable = regexp.MustCompile(`\{[a-z]+\}`)

// rowsOf are the document's operations, each with its row; one without is an error.
func rowsOf(t *testing.T, g *gatewaytest.Gateway) (keys []string) {
	t.Helper()
	known := map[string]string{}
	for key := range adminTable {
		known[variable.ReplaceAllString(key, "{}")] = key
	}
	specOf(t, g).each(func(method, path string, _ *specOperation) {
		if !strings.HasPrefix(path, "/v1/admin") {
			return
		}
		key := variable.ReplaceAllString(method+" "+path, "{}")
		if known[key] == "" {
			t.Errorf("%s %s has no row in adminTable: say whom it lets in, and to what", method, path)
			return
		}
		keys = append(keys, known[key])
		delete(known, key)
	})
	for _, key := range known {
		t.Errorf("adminTable has a row for %s, which is no operation", key)
	}
	slices.Sort(keys)
	return keys
}

// An administrator reaches what is of the own system or agency, and of all else nothing: not
// that it is there, and no change. Who is none reaches nothing at all.
func TestAdministratorsReachOnlyTheirOwn(t *testing.T) {
	w := newRealm(t)
	keys, people := rowsOf(t, w.Gateway), w.all()
	if len(keys) < 80 {
		t.Fatalf("%d operations", len(keys))
	}
	l := &leaks{t: t, realm: w, watch: newWatch(t, w.Gateway), refusals: map[string]string{}}
	for _, key := range keys {
		for k := range people {
			l.refused(key, &people[k])
		}
	}
	l.shared(keys, people)
	l.audited()
	for _, key := range keys {
		for k := range people {
			l.admitted(key, &people[k])
		}
	}
	l.sideways(people)
	t.Logf("%d operations × %d callers × 3 scopes: %d refused, %d let in, %d leaks", len(keys), len(people), l.no, l.yes, l.found)
	if l.no < 1500 || l.yes < 250 {
		t.Errorf("%d refused, %d let in", l.no, l.yes)
	}
}

// leaks counts what was tried.
type leaks struct {
	t *testing.T
	*realm
	*watch
	n, no, yes, found int
	refusals          map[string]string // by request id: who asked what
}

// leak is an error of the gateway's.
func (l *leaks) leak(format string, args ...any) {
	l.t.Helper()
	l.found++
	l.t.Errorf(format, args...)
}

// send asks under a request id of its own.
func (l *leaks) send(key string, c *caller, s *side) (*gatewaytest.Reply, string) {
	l.n++
	l.Clock.Advance(25 * time.Millisecond) // within what one network may ask
	id := fmt.Sprintf("leak-%d", l.n)
	c.header["X-Request-Id"] = id
	row := adminTable[key]
	return row.request(l.t, c, key, s), id
}

// marks are those that a caller must not see.
func (l *leaks) marks(c *caller) []string {
	switch c.role {
	case "JDN", "AUDITOR":
		return nil
	case "SAP", "SA", "AP":
		return l.b.marks
	}
	return slices.Concat(l.a.marks, l.b.marks)
}

// refused asks for what c is to be refused: the same for another's as for what is not there.
func (l *leaks) refused(key string, c *caller) {
	l.t.Helper()
	row := adminTable[key]
	var other map[string]any
	for what, s := range map[string]*side{"own": l.a, "another's": l.b, "none": l.none} {
		if row.letIn(c, what == "own") {
			continue
		}
		r, id := l.send(key, c, s)
		l.no++
		if r.Status != 401 && (r.Status != 403 || r.Code() != "forbidden") || (r.Status == 401) != (c.name == "nobody" || c.name == "app") {
			l.leak("%s by %s to %s: %d %s", key, c.name, what, r.Status, r.Raw)
		}
		question := s.filled(key + row.as + row.body)
		if m := leaked(slices.Concat(l.a.marks, l.b.marks), question, r); len(m) > 0 {
			l.leak("%s by %s to %s is refused, and tells %q", key, c.name, what, m)
		}
		if c.name != "nobody" && c.name != "app" { // strangers are counted, not told one by one
			l.refusals[id] = key + " by " + c.name + " to " + what
		}
		if changed := l.changes(); len(changed) > 0 {
			l.leak("%s by %s to %s is refused, and changes %q", key, c.name, what, changed)
			l.undo()
		}
		if what == "own" {
			continue
		}
		delete(r.Body, "instance")
		if other != nil && !reflect.DeepEqual(other, r.Body) {
			l.leak("%s by %s: another's is answered otherwise than what is not there: %v, %v", key, c.name, other, r.Body)
		}
		other = r.Body
	}
}

// shared asks about an officer of the other's whom the own side has listed: that opens the own
// enrolment and nothing else.
func (l *leaks) shared(keys []string, people []caller) {
	l.t.Helper()
	for _, key := range keys {
		if !strings.Contains(key, "{officer}") {
			continue
		}
		for k := range people {
			c := &people[k]
			row := adminTable[key]
			if c.global() || c.role == "" {
				continue
			}
			r, id := l.send(key, c, l.realm.shared)
			own := key == "GET /v1/admin/officers/{officer}" && c.role != "elsewhere"
			l.no++
			if (r.Status == 200) != own || !own && r.Code() != "forbidden" {
				l.leak("%s by %s about an officer of both: %d %s", key, c.name, r.Status, r.Raw)
			}
			if m := leaked(l.b.marks, l.realm.shared.filled(key+row.body), r); len(m) > 0 || strings.Contains(string(r.Raw), "+60 12-345 6789") {
				l.leak("%s by %s about an officer of both tells %q: %s", key, c.name, m, r.Raw)
			}
			if changed := l.changes(); len(changed) > 0 {
				l.leak("%s by %s about an officer of both changes %q", key, c.name, changed)
				l.undo()
			}
			if !own {
				l.refusals[id] = key + " by " + c.name + " about an officer of both"
			}
		}
	}
}

// sideways are questions that no row asks: without a scope, with one of each side, about all the
// reports, with somebody else's cursor. Whatever is answered, nothing of the other's is in it.
func (l *leaks) sideways(people []caller) {
	l.t.Helper()
	a, b := l.a, l.b
	asked := []string{"/v1/admin/enrolments?state=APPLIED", "/v1/admin/enrolments?state=APPLIED&agency={agency}&system=" + b.system, "/v1/admin/enrolments?state=APPLIED&system={system}&agency=" + b.agency,
		"/v1/admin/revocations", "/v1/admin/revocations?agency={agency}&system=" + b.system, "/v1/admin/revocations?system={system}&agency=" + b.agency,
		"/v1/admin/apps?after=janm-lejar", "/v1/admin/apps?limit=1", "/v1/admin/appointments?ended=true", "/v1/admin/enrolments?state=LISTED&agency={agency}&agency=" + b.agency,
		"/v1/admin/enrolments?state=LISTED&agency={agency}", "/v1/admin/enrolments?state=LISTED&system={system}", "/v1/admin/enrolments/" + l.realm.shared.things["listed"],
		"/v1/admin/apps/{app}/deliveries?after=" + b.things["event"], "/v1/admin/apps/{app}/../" + b.things["app"]}
	for _, report := range enrol.Reports() {
		for _, format := range enrol.ReportFormats() {
			for _, scope := range []string{"", "&agency={agency}", "&system={system}", "&agency=" + b.agency, "&system=" + b.system, "&agency={agency}&system=" + b.system, "&system={system}&agency=" + b.agency} {
				asked = append(asked, "/v1/admin/reports/"+report+"?days=400&format="+format+scope)
			}
		}
	}
	own := 0
	for k := range people {
		c := &people[k]
		if c.global() || c.role == "" {
			continue
		}
		for _, question := range asked {
			l.Clock.Advance(25 * time.Millisecond)
			question = a.filled(question)
			r := c.ask("GET", question, "", nil)
			l.yes++
			if m := leaked(l.marks(c), question, r); len(m) > 0 || r.Status >= 500 {
				l.leak("%s by %s: %d tells %q: %s", question, c.name, r.Status, m, r.Raw)
			}
			if c.role != "elsewhere" && len(leaked(a.marks, question, r)) > 0 {
				own++
			}
		}
	}
	if own < 20 {
		l.t.Errorf("%d answers tell of the own", own)
	}
}

// audited looks for each refusal in the audit.
func (l *leaks) audited() {
	l.t.Helper()
	must(l.t, gateway.ReadAudit(l.t.Context(), l.Dir, "cli:test", "", l.Clock.Now, func(r audit.Record) error {
		if r.Verdict == audit.Refused {
			delete(l.refusals, r.RequestID)
		}
		return nil
	}))
	missing := map[string]bool{}
	for _, what := range l.refusals {
		missing[what] = true
	}
	for _, what := range slices.Sorted(maps.Keys(missing)) {
		l.leak("%s was refused, and the audit does not know", what)
	}
}

// admitted asks for what c is let in to, sees that c is, and that the answer is of c's own alone;
// then all is as before.
func (l *leaks) admitted(key string, c *caller) {
	l.t.Helper()
	row := adminTable[key]
	for what, s := range map[string]*side{"own": l.a, "another's": l.b, "none": l.none} {
		if !row.letIn(c, what == "own") {
			continue
		}
		r, _ := l.send(key, c, s)
		l.yes++
		l.undo()
		stranger := row.rows && what != "own" && !c.global() // let in, but to none of the rows
		switch {
		case r.Status == 401 || r.Status >= 500 || r.Code() == "forbidden" || r.Code() == "invalid_request":
			l.t.Errorf("%s by %s to %s: %d %s", key, c.name, what, r.Status, r.Raw)
		case row.everywhere || stranger:
		case what == "none" && r.Status != max(row.absent, 404) && r.Status != row.absent:
			l.t.Errorf("%s by %s to what is not there: %d %s", key, c.name, r.Status, r.Raw)
		case what != "none" && r.Status == 404 && !row.gone(key):
			l.t.Errorf("%s by %s to %s: %d %s", key, c.name, what, r.Status, r.Raw)
		}
		if m := leaked(l.marks(c), s.filled(key+row.as+row.body), r); len(m) > 0 {
			l.leak("%s by %s to %s tells %q: %s", key, c.name, what, m, r.Raw)
		}
		if stranger {
			l.stranger(key, c, r)
		}
	}
}

// gone says whether a row's thing is not there in the realm.
func (r *adminRow) gone(key string) bool {
	return strings.Contains(key, "{letter}") || strings.Contains(key, "{version}") ||
		slices.Contains([]string{"DELETE /v1/admin/systems/{system}/logo", "POST /v1/admin/apps/{app}/deliveries/{event}/redeliver"}, key)
}

// stranger sees that nothing was done about a row that is another's.
func (l *leaks) stranger(key string, c *caller, r *gatewaytest.Reply) {
	l.t.Helper()
	if strings.Contains(string(r.Raw), `"done":true`) || strings.Contains(string(r.Raw), `"accepted":1`) || strings.Contains(string(r.Raw), `"state":"R`) {
		l.leak("%s by %s did another's row: %s", key, c.name, r.Raw)
	}
	var any map[string]any
	if json.Unmarshal(r.Raw, &any) != nil {
		l.t.Errorf("%s by %s: %s", key, c.name, r.Raw)
	}
}
