package apps

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

func (d *desk) webhookRoutes(r chi.Router, both func(string, http.HandlerFunc, http.HandlerFunc)) {
	const at = appsPath + "/{id}/webhook"
	r.Get(at, d.webhook)
	both(at+"/secret", d.Fresh(d.newHookSecret), d.setWebhook)
	both(at+"/end", d.Fresh(d.endingWebhook), d.dropWebhook)
	r.Post(at+"/test", d.Form(d.testWebhook))
	r.Post(at+"/redeliver", d.Form(d.redeliver))
}

// delivery is an event and what became of it.
type delivery struct {
	ID        string     `json:"event_id"`
	Type      string     `json:"type"`
	Object    string     `json:"object"`
	CreatedAt time.Time  `json:"created_at"`
	State     string     `json:"state"`
	Tries     int        `json:"tries"`
	Status    int        `json:"last_status"`
	Why       string     `json:"last_error"`
	TriedAt   *time.Time `json:"last_tried_at"`
	NextAt    *time.Time `json:"next_try_at"`
}

func (v *delivery) tone() string {
	return map[string]string{"DELIVERED": page.Good, "PENDING": page.Wait, "DEAD": page.Bad}[v.State]
}

// hook is where an app's events go.
type hook struct {
	App      *app
	Said     string
	Set      bool       // there is a secret, and events go
	URL      string     `json:"url"`
	SetAt    time.Time  `json:"set_at"`
	OldUntil *time.Time `json:"old_secret_until"`
	// State and After narrow the deliveries.
	State, After string
	Deliveries   []delivery
	Faults       page.Faults
}

const pageOfEvents = 25

func (h *hook) path() string { return h.App.path() + "/webhook" }

// query is the page's address behind an event.
func (h *hook) query(after string) string {
	q := url.Values{}
	if h.State != "" {
		q.Set("state", h.State)
	}
	if after != "" {
		q.Set("after", after)
	}
	if len(q) == 0 {
		return h.path()
	}
	return h.path() + "?" + q.Encode()
}

// next is the address of the page behind this one, "" for none.
func (h *hook) next() string {
	if n := len(h.Deliveries); n == pageOfEvents {
		return h.query(h.Deliveries[n-1].ID)
	}
	return ""
}

// hookOf reads an app with its webhook.
func (d *desk) hookOf(w http.ResponseWriter, r *http.Request) (*hook, bool) {
	a, ok := d.find(w, r)
	if !ok {
		return nil, false
	}
	h := &hook{App: a}
	err := d.Call(r, http.MethodGet, apiOf(a.ID)+"/webhook", nil, h)
	if p := page.Of(err); p != nil && p.Status == http.StatusNotFound {
		h.URL = a.Webhook // an address may wait for its first secret
		return h, true
	}
	if err != nil {
		d.Failed(w, r, err)
		return nil, false
	}
	h.Set = true
	return h, true
}

func (d *desk) webhook(w http.ResponseWriter, r *http.Request) {
	h, ok := d.hookOf(w, r)
	if !ok {
		return
	}
	if err := d.deliveries(r, h); err != nil {
		d.Failed(w, r, err)
		return
	}
	h.Said = d.Said(w, r)
	d.Show(w, r, http.StatusOK, webhook(h))
}

func (d *desk) deliveries(r *http.Request, h *hook) error {
	q := r.URL.Query()
	h.State, h.After = q.Get("state"), q.Get("after")
	ask := url.Values{"limit": {strconv.Itoa(pageOfEvents)}}
	if h.State != "" {
		ask.Set("state", h.State)
	}
	if h.After != "" {
		ask.Set("after", h.After)
	}
	var found struct {
		Deliveries []delivery `json:"deliveries"`
	}
	err := d.Call(r, http.MethodGet, apiOf(h.App.ID)+"/deliveries?"+ask.Encode(), nil, &found)
	h.Deliveries = found.Deliveries
	return err
}

// hookForm asks for another secret, and from JDN for another address.
type hookForm struct {
	*hook
	Address, Overlap string
}

func (x *hookForm) again(f page.Faults) templ.Component {
	x.Faults = f
	return hookSecret(x)
}

// hours are how long the old secret may go on.
var hours = []string{"24", "72", "168", "0"}

func (d *desk) newHookSecret(w http.ResponseWriter, r *http.Request) {
	if h, ok := d.hookOf(w, r); ok {
		d.Show(w, r, http.StatusOK, hookSecret(&hookForm{h, h.URL, "24"}))
	}
}

// setWebhook answers with the secret itself, as addCredential does.
func (d *desk) setWebhook(w http.ResponseWriter, r *http.Request) {
	h, ok := d.hookOf(w, r)
	if !ok {
		return
	}
	x := &hookForm{h, strings.TrimSpace(r.PostForm.Get("url")), r.PostForm.Get("overlap")}
	in := struct {
		URL     string `json:"url,omitempty"`
		Overlap int    `json:"overlap_hours"`
	}{URL: x.Address}
	if h.Set {
		in.Overlap, _ = strconv.Atoi(x.Overlap) // one of hours, or 0
	}
	var out struct {
		URL    string `json:"url"`
		Secret string `json:"secret"`
	}
	if err := d.Call(r, http.MethodPost, apiOf(h.App.ID)+"/webhook", in, &out); err != nil {
		d.Refused(w, r, err, map[string]string{"url": "url", "webhook_registered": "url", "overlap_hours": "overlap"}, x.again)
		return
	}
	page.Returning(r, h.path())
	d.Show(w, r, http.StatusOK, hookSecretOnce(h.App, out.URL, out.Secret))
}

func (d *desk) endingWebhook(w http.ResponseWriter, r *http.Request) {
	if h, ok := d.hookOf(w, r); ok {
		d.Show(w, r, http.StatusOK, endHook(h))
	}
}

func (d *desk) dropWebhook(w http.ResponseWriter, r *http.Request) {
	h, ok := d.hookOf(w, r)
	if !ok {
		return
	}
	if err := d.Call(r, http.MethodDelete, apiOf(h.App.ID)+"/webhook", nil, nil); err != nil {
		d.Refused(w, r, err, nil, func(f page.Faults) templ.Component { h.Faults = f; return endHook(h) })
		return
	}
	d.Say(w, "apps.said.hook-ended")
	page.See(w, r, h.App.path())
}

func (d *desk) testWebhook(w http.ResponseWriter, r *http.Request) {
	d.resent(w, r, "/webhook/test", "apps.said.ping")
}

func (d *desk) redeliver(w http.ResponseWriter, r *http.Request) {
	d.resent(w, r, "/deliveries/"+url.PathEscape(r.PostForm.Get("event"))+"/redeliver", "apps.said.redeliver")
}

// resent has an event sent, and goes back to the list, where its fate is seen.
func (d *desk) resent(w http.ResponseWriter, r *http.Request, path, said string) {
	id := page.Param(r, "id")
	if err := d.Call(r, http.MethodPost, apiOf(id)+path, nil, nil); err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Say(w, said)
	page.See(w, r, anchor(id)+"/webhook")
}
