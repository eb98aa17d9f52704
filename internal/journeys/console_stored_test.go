//go:build !race

package journeys_test

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// The administrators that plant, and look.
const (
	adminJDN, adminOther, adminSAP, adminAP = "700101105551", "700101105558", "700101105552", "700101105554"
)

// showing is a page, and a text of a field that it has to show, if any.
type showing struct {
	Path  string `json:"path"`
	Field string `json:"field,omitempty"`
	Text  string `json:"text,omitempty"`
	Real  bool   `json:"real"` // to be opened, and not only read
}

// retold is a text that the audit tells of.
type retold struct{ field, text, request string }

// bearer is a session of an administrator's.
type bearer struct {
	token string
	since time.Time
}

// sower plants payloads wherever the API takes a text of administrators, or shows them one of others.
type sower struct {
	*planter
	o     *recruits
	all   []string
	open  map[string]bearer
	shown []showing
	told  []retold
}

// ask asks as an administrator who has logged in within eight minutes.
func (c *sower) ask(ic, method, path string, body any) *gatewaytest.Reply {
	c.t.Helper()
	c.g.Clock.Advance(2 * time.Second)
	s, kind := c.open[ic], ""
	if c.g.Clock.Now().Sub(s.since) > 8*time.Minute {
		s = bearer{c.enter(ic, "Mozilla/5.0"), c.g.Clock.Now()}
		c.open[ic] = s
	}
	if b, ok := body.(string); ok {
		body, kind = []byte(b), "text/csv"
	}
	return c.g.Do(method, path, kind, body, "X-API-Key", "", "Authorization", "Bearer "+s.token)
}

// enter logs an administrator in with a browser that calls itself agent.
func (c *sower) enter(ic, agent string) string {
	c.t.Helper()
	begun := c.g.Do(http.MethodPost, "/v1/sessions", "", c.o.who(ic), "X-API-Key", "")
	code, err := c.o.totp(ic)
	if err != nil {
		c.t.Fatal(err)
	}
	in := c.g.Do(http.MethodPost, "/v1/sessions/"+begun.Text("session_id")+"/code", "", map[string]string{"code": code, "token": "bearer"}, "X-API-Key", "", "User-Agent", agent)
	if in.Text("token") == "" {
		c.t.Fatalf("%s%s", begun.Raw, in.Raw)
	}
	return in.Text("token")
}

// put plants a text in a field, which has the name that the OpenAPI document gives it, and keeps
// what the audit will say.
func (c *sower) put(field, text, ic, method, path string, body any) (*gatewaytest.Reply, bool) {
	c.t.Helper()
	r := c.ask(ic, method, path, body)
	ok := c.did(field, text, r)
	if ok {
		c.told = append(c.told, retold{field, text, r.Header.Get("X-Request-Id")})
	}
	return r, ok
}

// at says on which page a text is to be seen. Further pages are for those that mark an element.
func (c *sower) at(field, text string, paths ...string) {
	for k, p := range paths {
		if k > 0 && field != "" && !slices.Contains(c.all[len(c.all)-5:], text) {
			continue
		}
		c.shown = append(c.shown, showing{Path: p, Field: field, Text: text})
	}
}

// must is ask where nothing is planted.
func (c *sower) must(ic, method, path string, body any) *gatewaytest.Reply {
	c.t.Helper()
	r := c.ask(ic, method, path, body)
	if r.Status >= 300 {
		c.t.Fatalf("%s %s: %d %s", method, path, r.Status, r.Raw)
	}
	return r
}

// few are the payloads for a field that is slow to plant: those that mark an element, and every
// eighth of the others.
func (c *sower) few() (out []string) {
	for k, text := range c.all {
		if k%8 == 1 || k >= len(c.all)-5 {
			out = append(out, text)
		}
	}
	return out
}

// first plants texts until one is accepted, where that can be done once.
func (c *sower) first(texts []string, plant func(text string) bool) {
	c.t.Helper()
	if !slices.ContainsFunc(texts, plant) {
		c.t.Error("none was accepted")
	}
}

// fields are the texts that operations of administrators take, as the OpenAPI document has them:
// strings of requests that are no times, no files and none of some words.
func fields(t *testing.T) (out []string) {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(source(t, "../../api/openapi.json"), &doc); err != nil {
		t.Fatal(err)
	}
	at := func(v any) map[string]any {
		m, _ := v.(map[string]any)
		for m["$ref"] != nil {
			next := any(doc)
			for part := range strings.SplitSeq(strings.TrimPrefix(m["$ref"].(string), "#/"), "/") {
				next = next.(map[string]any)[part]
			}
			m = next.(map[string]any)
		}
		return m
	}
	var texts func(schema any, name string)
	texts = func(schema any, name string) {
		s := at(schema)
		properties, _ := s["properties"].(map[string]any)
		for member, p := range properties {
			texts(p, strings.TrimPrefix(name+"."+member, "."))
		}
		if s["items"] != nil {
			texts(s["items"], name+"[]")
		}
		if s["type"] == "string" && s["enum"] == nil && s["format"] == nil && !strings.HasSuffix(name, "$schema") {
			out = append(out, name)
		}
	}
	paths := at(doc["paths"])
	for path := range paths {
		for method, o := range at(paths[path]) {
			if !strings.HasPrefix(path, "/v1/admin/") || method == "get" || method == "parameters" {
				continue
			}
			op, begun := at(o), len(out)
			for _, content := range at(at(op["requestBody"])["content"]) {
				texts(at(content)["schema"], "")
			}
			parameters, _ := op["parameters"].([]any)
			for _, p := range parameters {
				if x := at(p); x["in"] == "query" {
					texts(x["schema"], x["name"].(string))
				}
			}
			for k := range out[begun:] {
				out[begun+k] = op["operationId"].(string) + " " + out[begun+k]
			}
		}
	}
	slices.Sort(out)
	if out = slices.Compact(out); len(out) < 90 {
		t.Fatalf("only %d fields: %q", len(out), out)
	}
	return out
}

// source is a file of the tree.
func source(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// namesAsked are the names that pages of the console read of their addresses, as their source has them.
func namesAsked(t *testing.T) (out []string) {
	t.Helper()
	get := regexp.MustCompile(`\b(?:q|in|query|Query\(\))\.Get\("([a-z_]+)"\)`)
	lists := regexp.MustCompile(`(?i)filter[^\n]*(?:\n[^\n]*)?\[\]string\{([^}]*)\}`) // some go over the names
	name := regexp.MustCompile(`"([a-z_]+)"`)
	files, err := filepath.Glob("../../web/console/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		source := source(t, f)
		for _, m := range get.FindAllSubmatch(source, -1) {
			out = append(out, string(m[1]))
		}
		for _, l := range lists.FindAllSubmatch(source, -1) {
			for _, m := range name.FindAllSubmatch(l[1], -1) {
				out = append(out, string(m[1]))
			}
		}
	}
	slices.Sort(out)
	if out = slices.Compact(out); len(out) < 30 {
		t.Fatalf("only %d names: %q", len(out), out)
	}
	return out
}

// routes are the pages of the console.
func routes(t *testing.T, g *gatewaytest.Gateway) (all chi.Routes, pages []string) {
	t.Helper()
	all = g.Server.Handler().(chi.Routes)
	if err := chi.Walk(all, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method == http.MethodGet && (route == "/admin" || strings.HasPrefix(route, "/admin/")) {
			pages = append(pages, route)
		}
		return nil
	}); err != nil || len(pages) < 50 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	return all, pages
}

// records are the pages of the audit that tell of what was planted: of each field some.
func (c *sower) records() {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.g.Dir, "mohor.db")+"?mode=ro")
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	seen := map[string]int{}
	for _, x := range slices.Backward(c.told) { // those that mark an element are the last
		if seen[x.field]++; seen[x.field] > 2 { // each proves its place in the chain
			continue
		}
		rows, err := db.QueryContext(c.t.Context(), "SELECT seq FROM audit_events WHERE request_id = ?", x.request)
		if err != nil {
			c.t.Fatal(err)
		}
		for rows.Next() {
			var seq string
			if err := rows.Scan(&seq); err != nil {
				c.t.Fatal(err)
			}
			c.at(x.field, x.text, "/admin/audit/"+seq)
		}
		if err := cmp.Or(rows.Err(), rows.Close()); err != nil {
			c.t.Fatal(err)
		}
	}
}

// unplanted are fields that are no text of somebody's.
var unplanted = map[string]string{
	"addAppCredential replaces":       "the id of a credential",
	"addAppCredential sha256":         "64 digits, or it is refused",
	"appoint ic":                      "12 digits, or it is refused",
	"bulk enrolment_ids[]":            "ids",
	"bulk filter.after":               "a cursor",
	"confirmApp proposal_id":          "an id",
	"proposeEcertTemplate crest":      "a picture",
	"previewEcertTemplate crest":      "a picture",
	"retryAnyBatch reason":            "as of pauseAnyBatch; nothing here is refused while it is signed",
	"retireOfficer system":            "a code that is registered, as of suspendCertificate",
	"revokeCertificate system":        "as that",
	"replaceCertificate system":       "as that",
	"releaseCertificate system":       "as that",
	"transferOfficer system":          "as that",
	"previewEcertTemplate texts[].en": "as of proposals",
}

// unlooked are pages that show no text of somebody's.
var unlooked = map[string]string{
	"/admin/enrolments/{id}/mykad":            "a picture",
	"/admin/retention/disposals/{id}":         "nothing is old enough; it shows ids and numbers",
	"/admin/retention/disposals/{id}/confirm": "as that",
	"/admin/retention/disposals/{id}/csv":     "as that",
}

// unseen are fields of which no page shows what was accepted.
var unseen = map[string]string{
	"tryHeader data_header":           "an answer to a form; of the template alone the audit tells",
	"addAppCredential jwks":           "as JSON writes it",
	"bulk filter.office":              "of many at once the audit names each",
	"bulk filter.phase":               "as that",
	"changeAddress email":             "taken back",
	"previewEcertTemplate texts[].ms": "a picture",
	"rows of a batch":                 "files",
	"rows of a list":                  "files",
}

// Nothing that administrators enter, or that others have them see, is more than text in a page of the
// console, in either language; nor what stands in the address of a page, or comes back in a form.
func TestJourneyConsoleStoredText(t *testing.T) {
	g := gatewaytest.New(t)
	p := &planter{t: t, g: g, o: g.Dev.Officers[0], done: map[string]*planted{}}
	c := &sower{planter: p, o: &recruits{newOffice(t, g), "", t.Context, nil}, all: evil(), open: map[string]bearer{}}
	c.o.seat(t, adminOther, "LIM MEI HUA", enrol.Appointment{Role: enrol.JDN})
	began := time.Now()
	for _, plant := range []func(){c.registry, c.appointments, c.apps, c.works, c.enrolments, c.applications, c.orders, c.desk, c.kept, c.records} {
		plant()
	}
	t.Logf("planted in %.1f s", time.Since(began).Seconds())
	total, refused := 0, 0
	for _, x := range p.done {
		total, refused = total+x.Accepted, refused+x.Refused
	}
	for _, f := range fields(t) {
		if (p.done[f] == nil) == (unplanted[f] == "") {
			t.Errorf("%s: is it planted, or why not?", f)
		}
	}
	for _, m := range regexp.MustCompile(`\{name: "([a-z-]+)"`).FindAllSubmatch(source(t, "../../web/console/reports/reports.go"), -1) {
		c.at("", "", "/admin/reports/"+string(m[1]), "/admin/reports/"+string(m[1])+"/file?format=csv")
	}
	all, pages := routes(t, g)
	var lists []string
	missing := map[string]bool{}
	for _, route := range pages {
		if missing[route] = strings.Contains(route, "{"); !missing[route] {
			lists = append(lists, route)
		}
	}
	var shown []showing
	others := map[string]int{}
	for _, x := range slices.Backward(c.shown) {
		u, err := url.Parse(x.Path)
		if err != nil {
			t.Fatal(err)
		}
		route := all.Find(chi.NewRouteContext(), http.MethodGet, u.Path)
		if others[route]++; x.Field == "" && others[route] > 8 {
			continue
		}
		x.Real, missing[route] = missing[route], false
		shown = append(shown, x)
	}
	for route, yes := range missing {
		if yes != (unlooked[route] != "") {
			t.Errorf("%s: is such a page looked at, or why not?", route)
		}
	}
	r := run(t, g, "console_stored", given{"jdn": c.o.who(adminJDN), "ap": c.o.who(adminAP), "lists": lists, "shown": shown, "names": namesAsked(t), "marks": c.all[len(c.all)-5:], "texts": c.all}, acts{
		"totp": func(argument json.RawMessage) (any, error) {
			var ic string
			if err := json.Unmarshal(argument, &ic); err != nil {
				return nil, err
			}
			return c.o.totp(ic)
		},
	})
	seen, _ := r["seen"].(map[string]any)
	shows := 0.0
	for _, field := range slices.Sorted(maps.Keys(p.done)) {
		x := p.done[field]
		n, _ := seen[field].(float64)
		shows += n
		t.Logf("%-36s %3d accepted, %3d refused, %3.0f seen", field, x.Accepted, x.Refused, n)
		if (x.Accepted > 0 && n == 0) != (unseen[field] != "") {
			t.Errorf("%s: is it seen, or why not?", field)
		}
	}
	t.Logf("%d payloads in %d fields, %d texts stored, %d refused; %v pages opened, %v read; %.0f seen as text, %v active", len(c.all), len(p.done), total, refused, r["opened"], r["read"], shows, r["active"])
	if r["active"] != 0.0 || total < 1000 {
		t.Errorf("%v are active of %d", r["active"], total)
	}
}
