//go:build !race

package gateway_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// doors are the console's menu: whom it leads where. No roles: all.
var doors = map[string]string{
	"/admin": "", "/admin/queue": "", "/admin/list": "JDN SAP", "/admin/rollout": "", "/admin/officers": "", "/admin/revocations": "", "/admin/appointments": "JDN SA AUDITOR", "/admin/agencies": "JDN AUDITOR",
	"/admin/apps": "JDN SAP AUDITOR", "/admin/systems": "JDN SAP AUDITOR", "/admin/templates": "JDN SAP AUDITOR", "/admin/batches": "JDN SAP AUDITOR",
	"/admin/reports": "", "/admin/audit": "JDN AUDITOR", "/admin/health": "JDN SAP AUDITOR", "/admin/outbox": "JDN AUDITOR", "/admin/retention": "JDN AUDITOR",
}

// leadsTo says whether the menu leads a role to a page: by the longest door before it.
func leadsTo(role, path string) bool {
	best := "/admin"
	for at := range doors {
		if (path == at || strings.HasPrefix(path, at+"/")) && len(at) > len(best) {
			best = at
		}
	}
	return role != "" && (doors[best] == "" || slices.Contains(strings.Fields(doors[best]), role))
}

var menuLink = regexp.MustCompile(`href="(/admin[a-z/]*)"`)

// Each page of the console is for those to whom the menu leads: an officer and nobody see none of
// it, and each role sees the doors of its own menu alone. Nothing of it may be kept or framed.
func TestConsolePagesByRole(t *testing.T) {
	g := gatewaytest.New(t)
	people := map[string]*browser{"nobody": newBrowser(t, g), "officer": loggedIn(t, g), "JDN": appointed(t, g, "700101105551", enrol.JDN, "", ""), "SAP": appointed(t, g, "700101105553", enrol.SAP, "", g.Dev.System),
		"SA": appointed(t, g, "700101105555", enrol.SA, "JANM", ""), "AP": appointed(t, g, "700101105557", enrol.AP, "JANM", ""), "AUDITOR": appointed(t, g, "700101105559", enrol.Auditor, "", "")}
	shown, forms := pages(t, g)
	shown = slices.DeleteFunc(shown, func(p string) bool { return !strings.HasPrefix(p, "/admin") })
	forms = slices.DeleteFunc(forms, func(p string) bool { return !strings.HasPrefix(p, "/admin") })
	if len(shown) == 0 {
		t.Fatal("there is no console")
	}
	tried := 0
	for _, name := range slices.Sorted(maps.Keys(people)) {
		b := people[name]
		b.header["Accept"], b.header["Sec-Fetch-Site"] = "text/html", "none"
		role := map[bool]string{true: name}[name != "nobody" && name != "officer"]
		for _, route := range shown {
			g.Clock.Advance(time.Second)
			tried++
			r := b.ask("GET", filled(route), "", nil)
			page := string(r.Raw)
			switch {
			case name == "nobody" && !strings.Contains(page, `action="/login"`), role == "" && name != "nobody" && r.Status != 403,
				role != "" && (r.Status == 403) == leadsTo(role, route) && r.Code() == "" && !strings.Contains(page, "<form"), r.Status >= 500:
				t.Errorf("%s by %s: %d %.200s", route, name, r.Status, page)
			}
			if name != "nobody" && r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("X-Frame-Options") != "DENY" || !strings.Contains(r.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("%s by %s: %v", route, name, r.Header)
			}
			if role == "" {
				if links := menuLink.FindAllString(page, -1); len(links) > 0 {
					t.Errorf("%s shows %s %q", route, name, links)
				}
				continue
			}
			_, nav, _ := strings.Cut(page, "<nav")
			for _, link := range menuLink.FindAllStringSubmatch(nav, -1) {
				if !leadsTo(role, link[1]) {
					t.Errorf("%s leads %s to %s", route, name, link[1])
				}
			}
		}
		for _, route := range forms {
			g.Clock.Advance(time.Second)
			tried++
			b.header["Sec-Fetch-Site"] = "cross-site"
			if r := b.ask(http.MethodPost, filled(route), "application/x-www-form-urlencoded", []byte("form=x")); r.Status != 403 && r.Status != 404 {
				t.Errorf("%s takes another site's form by %s: %d", route, name, r.Status)
			}
		}
	}
	t.Logf("%d pages and %d forms × %d callers: %d tries", len(shown), len(forms), len(people), tried)
}
