package joining

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	// codeCookie keeps a verification code that was right, so that nobody types it twice: the
	// application asks for it again, after a log-in. Without that log-in it opens nothing.
	codeCookie = "join"
	codeFor    = 60 * 60 // seconds
)

// opening is the form of code and password as it is shown again.
type opening struct {
	Has    bool // there is an account with a password already
	Faults page.Faults
}

func (d *desk) join(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, join(opening{}))
}

// open sets the password for a verification code; then the officer logs in, and applies.
func (d *desk) open(w http.ResponseWriter, r *http.Request) {
	typed, password := r.PostForm.Get("code"), r.PostForm.Get("password")
	r.PostForm.Del("code")
	r.PostForm.Del("password")
	err := d.Call(r, http.MethodPost, "/v1/account", map[string]string{"code": typed, "password": password}, nil)
	if p := page.Of(err); p != nil && p.Status < 500 {
		o := opening{Has: p.Code == "account_exists" || p.Code == "enrolment_state"}
		if !o.Has {
			o.Faults = named(r.Context(), page.FaultsOf(r.Context(), p, map[string]string{"code": "code", "link_invalid": "code", "password": "password", "password_refused": "password"}))
			if p.Code == "link_invalid" {
				o.Faults = page.Faults{{Field: "code", Text: page.T(r.Context(), "join.open.wrong")}}
			}
		}
		d.Show(w, r, p.Status, join(o))
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	http.SetCookie(w, d.Cookie(codeCookie, plainCode(typed), codeFor))
	page.See(w, r, page.LoginPath+"?"+url.Values{"next": {applicationPath}}.Encode())
}

// plainCode is a code as a cookie can hold it: what is left out says nothing.
func plainCode(typed string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' {
			return c
		}
		return -1
	}, strings.ToUpper(typed))
}
