package portal

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

// ownCertificate is what the API says of the officer's certificates and PIN.
type ownCertificate struct {
	CanSign  bool     `json:"can_sign"`
	NextStep string   `json:"next_step"`
	Status   string   `json:"status"`
	Media    []medium `json:"media"`
	Ask      string   `json:"ask"`
	PIN      struct {
		State       string     `json:"state"`
		LockedUntil *time.Time `json:"locked_until"`
	} `json:"pin"`
	Ways []struct {
		System  string `json:"system"`
		Channel string `json:"channel"`
		SentTo  string `json:"sent_to"`
	} `json:"ways"`
}

// medium is one key of the officer's with its certificate, or another medium that is on record.
type medium struct {
	Medium     string `json:"medium"`
	Status     string `json:"status"`
	System     string `json:"system"`
	Credential string `json:"credential_id"`
	Key        *struct {
		Algorithm string `json:"alg"`
	} `json:"key"`
	Certificate *struct {
		Serial    string    `json:"serial_number"`
		Subject   string    `json:"subject"`
		NotBefore time.Time `json:"not_before"`
		NotAfter  time.Time `json:"not_after"`
		Status    string    `json:"status"`
		DER       []byte    `json:"der"`
		Chain     [][]byte  `json:"chain"`
	} `json:"certificate"`
}

// live says whether the certificate can sign.
func (m *medium) live() bool { return m.Certificate != nil && m.Certificate.Status == "ACTIVE" }

// left is how many days the certificate has, never less than 0.
func (m *medium) left(now time.Time) int {
	return max(0, int(m.Certificate.NotAfter.Sub(now).Hours()/24))
}

// soon: so many days before the end officers are told, and renew at once.
const soon = 30

func (m *medium) ending(now time.Time) bool { return m.live() && m.left(now) <= soon }

// application is a way to a certificate, to another key or to a renewal.
type application struct {
	ID        string     `json:"enrolment_id"`
	System    string     `json:"system"`
	Kind      string     `json:"kind"`
	State     string     `json:"state"`
	Since     *time.Time `json:"since"`
	Reason    string     `json:"reason"`
	NextStep  string     `json:"next_step"`
	Ask       string     `json:"ask"`
	CodeUntil *time.Time `json:"code_until"`
}

// open says whether it can still lead to a certificate.
func (a *application) open() bool {
	switch a.State {
	case "ISSUED", "REJECTED", "WITHDRAWN", "EXPIRED":
		return false
	}
	return true
}

type applications struct {
	All         []application `json:"applications"`
	Declaration struct {
		Version string `json:"version"`
		Text    string `json:"text"`
	} `json:"declaration"`
}

// under finds the application under way for a system, nil for none.
func (a *applications) under(system string) *application {
	for k := len(a.All) - 1; k >= 0; k-- {
		if x := &a.All[k]; x.System == system && x.open() {
			return x
		}
	}
	return nil
}

// newest is the application in which something happened last, nil for none.
func (a *applications) newest() *application {
	var out *application
	for k := range a.All {
		if x := &a.All[k]; out == nil || x.Since != nil && (out.Since == nil || x.Since.After(*out.Since)) {
			out = x
		}
	}
	return out
}

// certificates asks for what there is and what is under way.
func (d *desk) certificates(r *http.Request) (c ownCertificate, a applications, err error) {
	if err = d.Call(r, http.MethodGet, "/v1/me/certificate", nil, &c); err == nil {
		c.order()
		err = d.Call(r, http.MethodGet, "/v1/me/application", nil, &a)
	}
	return c, a, err
}

// order puts what can sign first, then the newest.
func (c *ownCertificate) order() {
	rank := func(m *medium) (int, int64) {
		switch {
		case m.Certificate == nil:
			return 3, 0
		case m.Certificate.Status == "REVOKED":
			return 2, -m.Certificate.NotBefore.Unix()
		case !m.live():
			return 1, -m.Certificate.NotBefore.Unix()
		}
		return 0, -m.Certificate.NotBefore.Unix()
	}
	slices.SortStableFunc(c.Media, func(a, b medium) int {
		x, t := rank(&a)
		y, u := rank(&b)
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(t, u))
	})
}

// of finds the officer's roaming certificate for a system, nil for none.
func (c *ownCertificate) of(system string) *medium {
	for k := range c.Media {
		if m := &c.Media[k]; m.System == system && m.Certificate != nil {
			return m
		}
	}
	return nil
}

// signs finds a certificate that can sign, nil for none.
func (c *ownCertificate) signs() *medium {
	for k := range c.Media {
		if c.Media[k].live() {
			return &c.Media[k]
		}
	}
	return nil
}

func (d *desk) accountRoutes(r chi.Router) {
	r.Post("/portal/again", d.Form(d.again))
}

// again ends the session for a new log-in, which comes back to where it was: what the same person has
// begun in other tabs goes on.
func (d *desk) again(w http.ResponseWriter, r *http.Request) {
	if err := d.leave(w, r, "sign-", askedCookie, "join"); err != nil {
		d.Failed(w, r, err)
		return
	}
	page.See(w, r, page.LoginPath+"?"+url.Values{"next": {page.Next(r)}}.Encode())
}

// secrets takes fields out of a form, so that nothing shows or logs them.
func secrets(r *http.Request, names ...string) map[string]string {
	out := make(map[string]string, len(names))
	for _, n := range names {
		out[n] = r.PostForm.Get(n)
		r.PostForm.Del(n)
	}
	return out
}

// digits is a code without what people type between its figures.
func digits(code string) string { return strings.Join(strings.Fields(code), "") }

// inQuery is a path with one name in its query.
func inQuery(path, name, value string) string { return path + "?" + url.Values{name: {value}}.Encode() }
