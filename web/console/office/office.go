// Package office serves the console's pages of its area: who is appointed to what, agencies and
// their offices, lost proofs of administrators, what is kept and what is disposed of.
package office

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/web/page"
)

// desk is the area at work.
type desk struct{ *page.Site }

// Routes adds its pages to r, whose visitors are administrators in a role that the menu lets in.
func Routes(r chi.Router, s *page.Site) {
	d := desk{s}
	d.appointmentRoutes(r)
	d.accountRoutes(r)
	d.agencyRoutes(r)
	d.retentionRoutes(r)
}

// address is a path with what is set of some names and values in its query.
func address(path string, values ...string) string {
	q := url.Values{}
	for k := 0; k+1 < len(values); k += 2 {
		if values[k+1] != "" {
			q.Set(values[k], values[k+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// below is the API's address of one thing.
func below(path, id string) string { return path + "/" + url.PathEscape(id) }

// given is a field of a form without what stands around it.
func given(r *http.Request, name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }

// plainIC is a number without what people put between its digits.
func plainIC(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == '-' }), "")
}

// day is a date of a form, as the beginning of that day in Malaysia.
func day(text string) (time.Time, bool) {
	t, err := time.ParseInLocation(time.DateOnly, text, myt.Zone)
	return t, err == nil
}

// scope is what an appointment is for.
func scope(agency, system string) string {
	if agency != "" {
		return agency
	}
	return system
}

// by is who did something: a name, or what else the audit calls them.
func by(ctx context.Context, name, actor string) string {
	switch {
	case name != "":
		return name
	case strings.HasPrefix(actor, "cli:"):
		return page.T(ctx, "office.by.machine", "Name", strings.TrimPrefix(actor, "cli:"))
	}
	return actor
}

// decides says whether who is logged in is a central administrator; others here only read.
func decides(ctx context.Context) bool { return page.HasRole(ctx, "JDN") }
