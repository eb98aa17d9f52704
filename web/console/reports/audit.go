package reports

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/web/page"
)

// event is a record of the audit.
type event struct {
	Seq       int64             `json:"seq"`
	At        time.Time         `json:"at"`
	Actor     string            `json:"actor"`
	Name      string            `json:"actor_name"`
	Action    string            `json:"action"`
	Object    string            `json:"object"`
	Verdict   string            `json:"verdict"`
	RequestID string            `json:"request_id"`
	Detail    map[string]string `json:"detail"`
	// Unreadable: the record cannot be believed, and this is why.
	Unreadable *struct {
		Text string `json:"text"`
	} `json:"unreadable"`
}

// said: the record's content is told.
func (e *event) said() bool { return e.Unreadable == nil || e.Action != "" }

// who names an actor in words.
func (e *event) who(ctx context.Context) string {
	kind, id, _ := strings.Cut(e.Actor, ":")
	if e.Name != "" {
		return e.Name
	}
	if has := "audit.actor." + kind; page.Has(ctx, has) {
		return page.T(ctx, has, "ID", id)
	}
	return e.Actor
}

// role is the ground on which an actor acted, in words.
func (e *event) role(ctx context.Context) string {
	by := e.Detail["by"]
	if id := "audit.role." + by; by != "" && page.Has(ctx, id) {
		return page.T(ctx, id)
	}
	return by
}

// deed is an action in words, the longest beginning of it that has any.
func (e *event) deed(ctx context.Context) string {
	for a := e.Action; a != ""; {
		if id := "audit.action." + a; page.Has(ctx, id) {
			return page.T(ctx, id)
		}
		k := strings.LastIndexByte(a, '.')
		a = a[:max(k, 0)]
	}
	return e.Action
}

// why is what a refusal says.
func (e *event) why() string {
	if e.Verdict != "refused" {
		return ""
	}
	return orElse(e.Detail["reason"], e.Detail["code"])
}

func (e *event) tone() string {
	return map[string]string{"accepted": page.Good, "refused": page.Bad}[e.Verdict]
}

// details are the rest of what a record says, by name.
func (e *event) details() (out [][2]string) {
	for name, v := range e.Detail {
		out = append(out, [2]string{name, v})
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// filterNames are the fields of a search.
func filterNames() []string {
	return []string{"about", "actor", "action", "object", "verdict", "from", "to", "request_id"}
}

// found is an answer to a search.
type answer struct {
	Records []event `json:"records"`
	Next    int64   `json:"next"`

	query  url.Values // without before
	before string
	faults page.Faults
}

func filtersOf(q url.Values, names ...string) url.Values {
	out := url.Values{}
	for _, name := range names {
		if v := strings.TrimSpace(q.Get(name)); v != "" {
			out.Set(name, v)
		}
	}
	return out
}

// ask asks the API; false where a page was shown already.
func (d desk) ask(w http.ResponseWriter, r *http.Request, a *answer, limit int) bool {
	q := with(a.query, "limit", strconv.Itoa(limit))
	if a.before != "" {
		q.Set("before", a.before)
	}
	err := d.Call(r, http.MethodGet, place("/v1/admin/audit", q), nil, a)
	if p := page.Of(err); p != nil && (p.Status == http.StatusUnprocessableEntity || p.Status == http.StatusBadRequest) {
		places := map[string]string{}
		for _, name := range filterNames() {
			places[name] = name
		}
		a.faults = page.FaultsOf(r.Context(), p, places)
		return true
	}
	if err != nil {
		d.Failed(w, r, err)
		return false
	}
	return true
}

func (a *answer) status() int {
	if len(a.faults) > 0 {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

// first and next are the addresses of the answer's pages, "" for none.
func (a *answer) first(path string) string {
	if a.before == "" {
		return ""
	}
	return place(path, a.query)
}

func (a *answer) next(path string) string {
	if a.Next == 0 {
		return ""
	}
	return place(path, with(a.query, "before", strconv.FormatInt(a.Next, 10)))
}

// file is the address of an export of the whole answer.
func (a *answer) file(format string) string {
	return place(auditPath+"/file", with(a.query, "format", format))
}

// narrowed says whether an export takes it.
func (a *answer) narrowed() bool {
	return slices.ContainsFunc([]string{"about", "actor", "action", "object", "from"}, func(name string) bool { return a.query.Get(name) != "" })
}

func (d desk) search(w http.ResponseWriter, r *http.Request) {
	a := &answer{query: filtersOf(r.URL.Query(), filterNames()...), before: r.URL.Query().Get("before")}
	if d.ask(w, r, a, 50) {
		d.Show(w, r, a.status(), auditPage(a))
	}
}

// looks answers who looked at an officer.
func (d desk) looks(w http.ResponseWriter, r *http.Request) {
	a := &answer{query: filtersOf(r.URL.Query(), "about", "from", "to"), before: r.URL.Query().Get("before")}
	a.query.Set("about", strings.NewReplacer("-", "", " ", "").Replace(a.query.Get("about")))
	if a.query.Get("about") == "" {
		a.query.Del("about")
		d.Show(w, r, http.StatusOK, looksPage(a))
		return
	}
	a.query.Set("looks", "true")
	if d.ask(w, r, a, 100) {
		d.Show(w, r, a.status(), looksPage(a))
	}
}

func (d desk) auditFile(w http.ResponseWriter, r *http.Request) {
	q := filtersOf(r.URL.Query(), append(filterNames(), "looks", "seq", "format")...)
	d.Relay(w, r, place("/v1/admin/audit/export", q))
}

// proved is a record with its place in the chain.
type proved struct {
	event
	Proof struct {
		InChain bool   `json:"in_chain"`
		Broken  string `json:"broken"`
		At      int64  `json:"broken_at"`
		Hash    string `json:"hash"`
		Prev    string `json:"prev"`
		Links   int64  `json:"links"`
		Head    *struct {
			Seq       int64     `json:"seq"`
			Hash      string    `json:"hash"`
			At        time.Time `json:"at"`
			Signature string    `json:"signature"`
		} `json:"head"`
	} `json:"proof"`
}

func (d desk) record(w http.ResponseWriter, r *http.Request) {
	seq, err := strconv.ParseInt(page.Param(r, "seq"), 10, 64)
	if err != nil || seq < 1 {
		d.NotFound(w, r)
		return
	}
	var p proved
	if err := d.Call(r, http.MethodGet, "/v1/admin/audit/"+strconv.FormatInt(seq, 10), nil, &p); err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, recordPage(&p))
}
