package page

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// ConsolePath is the first page of administrators.
const ConsolePath = "/admin"

// A door is an entry of the console's menu, to all pages below its path, for some roles.
type door struct {
	name, path string
	roles      []string // none: every administrator
}

// A wing is a part of the console's menu.
type wing struct {
	name  string // "" has no heading
	doors []door
}

// wings are the console's menu: who sees what. What a role may do there the API decides.
func wings() []wing {
	const jdn, sap, sa, ap, auditor = "JDN", "SAP", "SA", "AP", "AUDITOR"
	return []wing{
		{"", []door{{name: "console", path: ConsolePath}}},
		{"enrolment", []door{
			{name: "queue", path: "/admin/queue"},
			{"list", "/admin/list", []string{jdn, sap}},
			{name: "rollout", path: "/admin/rollout"},
		}},
		{"people", []door{
			{name: "officers", path: "/admin/officers"},
			{name: "revocations", path: "/admin/revocations"},
			{"appointments", "/admin/appointments", []string{jdn, sa, auditor}},
			{"agencies", "/admin/agencies", []string{jdn, auditor}},
		}},
		{"signing", []door{
			{"apps", "/admin/apps", []string{jdn, sap, auditor}},
			{"systems", "/admin/systems", []string{jdn, sap, auditor}},
			{"templates", "/admin/templates", []string{jdn, sap, auditor}},
			{"works", "/admin/batches", []string{jdn, sap, auditor}},
		}},
		{"watch", []door{
			{name: "reports", path: "/admin/reports"},
			{"audit", "/admin/audit", []string{jdn, auditor}},
			{"health", "/admin/health", []string{jdn, sap, auditor}},
			{"outbox", "/admin/outbox", []string{jdn, auditor}},
			{"retention", "/admin/retention", []string{jdn, auditor}},
		}},
	}
}

// enters says whether a person may go through.
func (d *door) enters(p *Person) bool {
	return len(d.roles) == 0 || slices.ContainsFunc(p.Appointments, func(a Appointment) bool { return slices.Contains(d.roles, a.Role) })
}

// open are the wings and doors that are open to who is logged in.
func open(ctx context.Context) (out []wing) {
	p := Who(ctx)
	if p == nil {
		return nil
	}
	for _, w := range wings() {
		w.doors = slices.DeleteFunc(w.doors, func(d door) bool { return !d.enters(p) })
		if len(w.doors) > 0 {
			out = append(out, w)
		}
	}
	return out
}

// inConsole says whether a place is one of the console's menu.
func inConsole(place string) bool {
	return slices.ContainsFunc(wings(), func(w wing) bool {
		return slices.ContainsFunc(w.doors, func(d door) bool { return d.name == place })
	})
}

// May says whether the menu of who is logged in leads to an address, "/admin/apps": a page that
// links across areas asks before it does.
func May(ctx context.Context, path string) bool {
	p := Who(ctx)
	if p == nil || p.Kind != "administrator" {
		return false
	}
	var best *door
	for _, w := range wings() {
		for _, d := range w.doors {
			if (path == d.path || strings.HasPrefix(path, d.path+"/")) && (best == nil || len(d.path) > len(best.path)) {
				best = &d
			}
		}
	}
	return best != nil && best.enters(p)
}

// HasRole says whether who is logged in is appointed to one of some roles.
func HasRole(ctx context.Context, roles ...string) bool {
	p := Who(ctx)
	return p != nil && slices.ContainsFunc(p.Appointments, func(a Appointment) bool { return slices.Contains(roles, a.Role) })
}

// Administrators is the middleware of the console's pages: whoever is no administrator, or in no
// role to which the menu leads there, is told so. It stands behind [Site.SignedIn].
func (s *Site) Administrators(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx := r.Context(); !May(ctx, r.URL.Path) {
			s.Show(w, r, http.StatusForbidden, Message(Notice{Tone: Bad, Word: T(ctx, "page.console.closed"), Text: T(ctx, "page.console.closed.text")}))
			return
		}
		next.ServeHTTP(w, r)
	})
}
