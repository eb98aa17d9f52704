package page

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
)

// What a form did is said on the next page, once. The cookie can only choose among the words of
// the catalogues under an id with ".said." in it, and a number.
const toldCookie = "told"

// Say has the next page of this browser say what a form did: id is in the catalogues, with ".said."
// in it ("queue.said.approved"); count, if given, is its {{.Count}}.
func (s *Site) Say(w http.ResponseWriter, id string, count ...int) {
	if len(count) > 0 {
		id += ":" + strconv.Itoa(count[0])
	}
	http.SetCookie(w, s.Cookie(toldCookie, id, 60))
}

// Said is what [Site.Say] left for this page, in words; "" for nothing. [SaidNote] shows it.
func (s *Site) Said(w http.ResponseWriter, r *http.Request) string {
	id := s.CookieValue(r, toldCookie)
	if id == "" {
		return ""
	}
	http.SetCookie(w, s.Cookie(toldCookie, "", -1))
	id, number, counted := strings.Cut(id, ":")
	if !strings.Contains(id, ".said.") || !Has(r.Context(), id) {
		return ""
	}
	if n, err := strconv.Atoi(number); counted && err == nil {
		return T(r.Context(), id, "Count", n)
	}
	return T(r.Context(), id)
}

// FreshFor is a minute less than the API's bound, so that a form can still be filled in.
const FreshFor = 9 * time.Minute

// Fresh is the middleware of pages for what needs a log-in of a moment ago: it is asked for before
// anything is typed.
func (s *Site) Fresh(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.Now().Sub(Who(r.Context()).Session.CreatedAt) > FreshFor {
			s.Show(w, r, http.StatusOK, Stale(r.URL.RequestURI()))
			return
		}
		next(w, r)
	}
}

// Refused answers a form that the API did not take: again shows the page with what was wrong, at
// the fields that places names (see [FaultsOf]); where the session is too old for it, a page that
// leads to a log-in and back to the address of the form, which must answer to GET, too.
func (s *Site) Refused(w http.ResponseWriter, r *http.Request, err error, places map[string]string, again func(Faults) templ.Component) {
	p := Of(err)
	switch {
	case p != nil && p.Code == "session_not_fresh":
		s.Show(w, r, http.StatusForbidden, Stale(r.URL.RequestURI()))
	case p == nil, p.Status == http.StatusUnauthorized, p.Status >= 500 && p.Status != http.StatusServiceUnavailable:
		s.Failed(w, r, err)
	default:
		retryAfter(w, p)
		s.Show(w, r, p.Status, again(FaultsOf(r.Context(), p, places)))
	}
}
