package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"
	"rsc.io/qr"

	"github.com/mohor-sign/mohor/web/page"
)

const (
	setupPath  = "/setup"
	factorPath = profilePath + "/second-factor"
)

// setupRoutes are of administrators who cannot log in yet.
func (d *desk) setupRoutes(r chi.Router) {
	r.Get(setupPath, d.setup)
	r.Post(setupPath, d.Form(d.beginSetup))
	r.Post(setupPath+"/complete", d.Form(d.completeSetup))
	r.Get(setupPath+"/done", d.setupDone)
}

// factorRoutes are of officers who were appointed.
func (d *desk) factorRoutes(r chi.Router) {
	r.Get(factorPath, d.Fresh(d.factor))
	r.Post(factorPath, d.Form(d.beginFactor))
	r.Post(factorPath+"/complete", d.Form(d.completeFactor))
}

// seed is a TOTP seed as the API hands it over. It is in the page that shows it and in that page's
// form, so that it can be shown again: nowhere else.
type seed struct {
	Name    string `json:"name"`
	OTPAuth string `json:"otpauth"`
	Secret  string `json:"secret"`
}

// enrolling is what a seed is set up with.
type enrolling struct {
	Code   string // the set-up code
	Seed   seed
	Faults page.Faults
	Ended  bool // the code is of no use
}

// quiet is the margin of a QR code, in modules (ISO/IEC 18004).
const quiet = 4

// picture is the QR code of a seed as the path of a picture with box as its viewBox.
func (s *seed) picture() (box, path string, err error) {
	code, err := qr.Encode(s.OTPAuth, qr.M)
	if err != nil {
		return "", "", fmt.Errorf("drawing the QR code of a seed: %w", err)
	}
	var b strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			}
		}
	}
	side := code.Size + 2*quiet
	return fmt.Sprintf("0 0 %d %d", side, side), b.String(), nil
}

// grouped is the seed as people type it.
func (s *seed) grouped() string {
	var out []string
	for rest := s.Secret; rest != ""; {
		n := min(4, len(rest))
		out, rest = append(out, rest[:n]), rest[n:]
	}
	return strings.Join(out, " ")
}

var base32Seed = regexp.MustCompile(`\A[A-Z2-7]{16,64}\z`)

// shownBefore is the seed of a page whose form comes back. It is only shown: what counts is what the
// API keeps.
func shownBefore(r *http.Request) (seed, bool) {
	f := secrets(r, "otpauth", "secret")
	s := seed{OTPAuth: f["otpauth"], Secret: f["secret"]}
	u, err := url.Parse(s.OTPAuth)
	return s, err == nil && u.Scheme == "otpauth" && len(s.OTPAuth) <= 600 && base32Seed.MatchString(s.Secret)
}

func (d *desk) setup(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, setupCode(&enrolling{}))
}

func (d *desk) beginSetup(w http.ResponseWriter, r *http.Request) {
	page.Returning(r, setupPath)
	e := &enrolling{Code: strings.TrimSpace(secrets(r, "code")["code"])}
	if e.Faults = missing(r.Context(), map[string]string{"setup": e.Code}, "setup"); e.Faults != nil {
		e.Faults[0].Field = "code"
		d.Show(w, r, http.StatusUnprocessableEntity, setupCode(e))
		return
	}
	if err := d.Call(r, http.MethodPost, "/v1/setup", map[string]string{"code": e.Code}, &e.Seed); err != nil {
		p := page.Of(err)
		if p != nil && p.Status == http.StatusNotFound {
			d.Show(w, r, http.StatusNotFound, setupCode(&enrolling{Faults: page.Faults{{Field: "code", Text: page.T(r.Context(), "setup.code.unknown")}}}))
			return
		}
		d.Refused(w, r, err, nil, func(f page.Faults) templ.Component { return setupCode(&enrolling{Faults: f}) })
		return
	}
	d.showSeed(w, r, http.StatusOK, e)
}

// showSeed shows the page with the QR code.
func (d *desk) showSeed(w http.ResponseWriter, r *http.Request, status int, e *enrolling) {
	box, path, err := e.Seed.picture()
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, status, setupSeed(e, box, path))
}

func (d *desk) completeSetup(w http.ResponseWriter, r *http.Request) {
	page.Returning(r, setupPath)
	in := secrets(r, "code", "password", "again", "totp")
	e := &enrolling{Code: in["code"]}
	var shown bool
	if e.Seed, shown = shownBefore(r); !shown || e.Code == "" {
		page.See(w, r, setupPath)
		return
	}
	in["totp"] = digits(in["totp"])
	e.Faults = missing(r.Context(), map[string]string{"new": in["password"], "again": in["again"], "totp": in["totp"]}, "new", "again", "totp")
	for k := range e.Faults {
		if e.Faults[k].Field == "new" {
			e.Faults[k].Field = "password"
		}
	}
	if e.Faults == nil && in["password"] != in["again"] {
		e.Faults = page.Faults{{Field: "again", Text: page.T(r.Context(), "account.differs")}}
	}
	if e.Faults != nil {
		d.showSeed(w, r, http.StatusUnprocessableEntity, e)
		return
	}
	err := d.Call(r, http.MethodPost, "/v1/setup/complete", map[string]string{"code": e.Code, "password": in["password"], "totp": in["totp"]}, nil)
	if p := page.Of(err); p != nil && p.Status < 500 {
		if p.Status == http.StatusNotFound { // spent, or its time is over
			d.Show(w, r, http.StatusGone, setupCode(&enrolling{Ended: true}))
			return
		}
		e.Faults = page.FaultsOf(r.Context(), p, map[string]string{"password_refused": "password", "password": "password", "otp_wrong": "totp", "totp": "totp"})
		d.showSeed(w, r, p.Status, e)
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	page.See(w, r, setupPath+"/done")
}

func (d *desk) setupDone(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, setupDone())
}

func (d *desk) factor(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, factorIntro(page.Who(r.Context()).Factorless))
}

func (d *desk) beginFactor(w http.ResponseWriter, r *http.Request) {
	page.Returning(r, factorPath)
	e := &enrolling{}
	if err := d.Call(r, http.MethodPost, "/v1/me/second-factor", nil, &e.Seed); err != nil {
		d.done(w, r, err, "")
		return
	}
	d.showFactor(w, r, http.StatusOK, e)
}

func (d *desk) showFactor(w http.ResponseWriter, r *http.Request, status int, e *enrolling) {
	box, path, err := e.Seed.picture()
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, status, factorSeed(e, box, path))
}

func (d *desk) completeFactor(w http.ResponseWriter, r *http.Request) {
	page.Returning(r, factorPath)
	e := &enrolling{}
	totp := digits(secrets(r, "totp")["totp"])
	var shown bool
	if e.Seed, shown = shownBefore(r); !shown {
		page.See(w, r, factorPath)
		return
	}
	if e.Faults = missing(r.Context(), map[string]string{"totp": totp}, "totp"); e.Faults != nil {
		d.showFactor(w, r, http.StatusUnprocessableEntity, e)
		return
	}
	err := d.Call(r, http.MethodPost, "/v1/me/second-factor/complete", map[string]string{"totp": totp}, nil)
	if p := page.Of(err); p != nil && p.Code == "otp_wrong" {
		e.Faults = page.FaultsOf(r.Context(), p, map[string]string{"otp_wrong": "totp"})
		d.showFactor(w, r, p.Status, e)
		return
	}
	if err != nil {
		d.done(w, r, err, "")
		return
	}
	d.Forget(w, r) // the session has ended with all others
	page.See(w, r, setupPath+"/done")
}
