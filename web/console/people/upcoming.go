package people

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/mohor-sign/mohor/web/page"
)

// leaving is a revocation to come.
type leaving struct {
	Serial string    `json:"serial_number"`
	IC     string    `json:"ic"`
	Name   string    `json:"name"`
	System string    `json:"system"`
	Agency string    `json:"agency"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	Why    string    `json:"why"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
}

type upcomingList struct {
	Said, First, Next string
	List              []leaving
}

// scopes are the API's filters that who is logged in has to name: none for who sees all.
func scopes(r *http.Request) [][2]string {
	p := page.Who(r.Context())
	var out [][2]string
	for _, a := range p.Appointments {
		s := [2]string{"agency", a.Agency}
		switch a.Role {
		case "JDN", "AUDITOR":
			return [][2]string{{"", ""}}
		case "SAP":
			s = [2]string{"system", a.System}
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// perPage is how many revocations a page has.
const perPage = 50

// revocations is a page of those of all scopes together, the next ones first.
func (d desk) revocations(r *http.Request, after string) (out []leaving, next string, err error) {
	all := scopes(r)
	more := false
	for _, s := range all {
		var got struct {
			Revocations []leaving `json:"revocations"`
			Next        string    `json:"next"`
		}
		if err := d.Call(r, http.MethodGet, withQuery("/v1/admin/revocations", s[0], s[1], "after", after, "limit", strconv.Itoa(perPage)), nil, &got); err != nil {
			return nil, "", err
		}
		out, next, more = append(out, got.Revocations...), got.Next, more || got.Next != ""
	}
	if len(all) < 2 {
		return out, next, nil
	}
	// One that is of several scopes stands in the page once.
	slices.SortFunc(out, func(a, b leaving) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Serial, b.Serial)) })
	out = slices.CompactFunc(out, func(a, b leaving) bool { return a.Serial == b.Serial })
	if len(out) > perPage {
		out, more = out[:perPage], true
	}
	if !more || len(out) == 0 {
		return out, "", nil
	}
	// The API's place in the list is the last one's time and serial number, in each scope alike.
	last := out[len(out)-1]
	return out, fmt.Sprintf("%d.%s", last.At.UnixMicro(), last.Serial), nil
}

func (d desk) upcoming(w http.ResponseWriter, r *http.Request) {
	after := r.URL.Query().Get("after")
	list, next, err := d.revocations(r, after)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	l := upcomingList{Said: d.Said(w, r), List: list}
	if after != "" {
		l.First = upcomingPath
	}
	if next != "" {
		l.Next = withQuery(upcomingPath, "after", next)
	}
	d.Show(w, r, http.StatusOK, upcoming(&l))
}

// one finds a revocation to come by its serial number; nil when the answer was given already.
func (d desk) one(w http.ResponseWriter, r *http.Request) *leaving {
	serial := page.Param(r, "serial")
	for after := ""; ; {
		list, next, err := d.revocations(r, after)
		if err != nil {
			d.Failed(w, r, err)
			return nil
		}
		for k := range list {
			if list[k].Serial == serial {
				return &list[k]
			}
		}
		if next == "" {
			d.Show(w, r, http.StatusNotFound, noRevocation())
			return nil
		}
		after = next
	}
}

func (d desk) unschedule(w http.ResponseWriter, r *http.Request) {
	if l := d.one(w, r); l != nil {
		d.Show(w, r, http.StatusOK, unschedule(l, "", nil))
	}
}

func (d desk) unscheduled(w http.ResponseWriter, r *http.Request) {
	l := d.one(w, r)
	if l == nil {
		return
	}
	page.Returning(r, r.URL.RequestURI())
	why := strings.TrimSpace(r.PostForm.Get("why"))
	if why == "" {
		d.Show(w, r, http.StatusUnprocessableEntity, unschedule(l, why, page.Faults{{Field: "why", Text: page.T(r.Context(), "people.missing.why")}}))
		return
	}
	if err := d.Call(r, http.MethodDelete, withQuery("/v1/admin/revocations/"+url.PathEscape(l.Serial), "why", why), nil, nil); err != nil {
		d.Refused(w, r, err, map[string]string{"reason_missing": "why", "why": "why", "query.why": "why"}, func(f page.Faults) templ.Component { return unschedule(l, why, f) })
		return
	}
	d.Say(w, "people.said.unscheduled")
	page.See(w, r, upcomingPath)
}

// asJSON is an object with one text.
func asJSON(name, value string) string {
	b, err := json.Marshal(map[string]string{name: value})
	if err != nil {
		return "{}"
	}
	return string(b)
}
