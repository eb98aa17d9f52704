package joining

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/web/page"
)

// given is what an officer fills in, as it is shown again: no PIN, no code, no picture.
type given struct {
	Address  string `json:"address"`
	Postcode string `json:"postcode"`
	State    string `json:"state"`
	Phone    string `json:"phone"`
	Fax      string `json:"fax"`
	Mobile   string `json:"mobile"`
	MailKind string `json:"mail_kind"`
	Image    string `json:"image"`

	Declared  bool   `json:"-"`
	Algorithm string `json:"-"`
}

// entry is an application as the API tells of it.
type entry struct {
	ID           string     `json:"enrolment_id"`
	System       string     `json:"system"`
	SystemTitle  string     `json:"system_title"`
	Agency       string     `json:"agency"`
	AgencyName   string     `json:"agency_name"`
	Kind         string     `json:"kind"`
	State        string     `json:"state"`
	Since        *time.Time `json:"since"`
	Reason       string     `json:"reason"`
	NextStep     string     `json:"next_step"`
	Ask          string     `json:"ask"`
	CodeUntil    *time.Time `json:"code_until"`
	PersonalMail bool       `json:"personal_mail"`
	Form         *given     `json:"form"`
}

// Title is what the system is called.
func (e *entry) Title() string {
	if e.SystemTitle != "" {
		return e.SystemTitle
	}
	return e.System
}

// waits says whether it waits for the form.
func (e *entry) waits() bool {
	return e.Kind != "REKEY" && e.Kind != "RENEWAL" && (e.State == "CONFIRMED" || e.State == "RETURNED")
}

// open says whether it can still be withdrawn.
func (e *entry) open() bool {
	return slices.Contains([]string{"LISTED", "CONFIRMING", "CONFIRMED", "APPLIED", "VALIDATED", "RETURNED"}, e.State)
}

// step is which of the steps is at hand, 0 where there is none.
func (e *entry) step() int {
	return map[string]int{"CONFIRMING": 1, "CONFIRMED": 2, "RETURNED": 2, "APPLIED": 3, "VALIDATED": 4, "APPROVED": 5, "ISSUED": 6}[e.State]
}

// tone of a state.
func (e *entry) tone() string {
	switch e.State {
	case "ISSUED":
		return page.Good
	case "REJECTED", "RETURNED":
		return page.Bad
	case "CONFIRMED", "WITHDRAWN", "EXPIRED":
		return page.Info
	}
	return page.Wait
}

// guide is what the API says before an application: what there is to choose from, and what is known.
type guide struct {
	Applications []entry `json:"applications"`
	Declaration  struct {
		Version string `json:"version"`
		Text    string `json:"text"`
	} `json:"declaration"`
	States []string `json:"states"`
	Images []string `json:"images"`
	PIN    struct {
		Shortest int `json:"min_length"`
		Longest  int `json:"max_length"`
	} `json:"pin"`
	MyKad bool `json:"mykad_required"`
}

// form is the application to be filled in.
type form struct {
	*guide
	Entry    *entry
	Given    given
	Code     bool // the verification code has to be typed
	Faults   page.Faults
	Withdraw withdrawal
}

// withdrawal is the form to end an application.
type withdrawal struct {
	ID, Reason string
	Faults     page.Faults
}

// progress are the applications of which none waits for the form.
type progress struct {
	Entries  []entry // the newest first
	Withdraw withdrawal
}

func (d *desk) application(w http.ResponseWriter, r *http.Request) {
	d.showApplication(w, r, http.StatusOK, withdrawal{})
}

// showApplication is the form if one waits for it, else how far they are.
func (d *desk) showApplication(w http.ResponseWriter, r *http.Request, code int, end withdrawal) {
	g, waiting, err := d.guide(r)
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	if waiting == nil {
		slices.Reverse(g.Applications)
		d.Show(w, r, code, applications(progress{g.Applications, end}))
		return
	}
	f := form{guide: g, Entry: waiting, Given: given{MailKind: "official"}, Code: d.CookieValue(r, codeCookie) == "" || waiting.State == "RETURNED", Withdraw: end}
	if waiting.Form != nil {
		f.Given = *waiting.Form
	}
	d.Show(w, r, code, application(f))
}

// guide asks the API; of several that wait for the form it is the newest one's turn.
func (d *desk) guide(r *http.Request) (*guide, *entry, error) {
	g := &guide{}
	if err := d.Call(r, http.MethodGet, applicationAPI, nil, g); err != nil {
		return nil, nil, err
	}
	for k := len(g.Applications) - 1; k >= 0; k-- {
		if e := &g.Applications[k]; e.waits() {
			return g, e, nil
		}
	}
	return g, nil, nil
}

const applicationAPI = "/v1/me/application"

// maxCopy is what the API takes of a picture, in bytes; maxDrained what is read of a longer one, so that the
// browser hears the answer.
const (
	maxCopy    = 2 << 20
	maxDrained = 64 << 20
)

// picture reads the copy of the MyKad; one that is too long comes as that, one byte too long, for the API to say so.
func picture(u *page.Upload) ([]byte, error) {
	if u.File == nil {
		return nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(u.File, maxCopy+1))
	if err == nil && len(b) > maxCopy {
		_, err = io.Copy(io.Discard, io.LimitReader(u.File, maxDrained))
	}
	return b, err
}

// places are the fields of the form for those of the API.
var places = map[string]string{"code": "code", "link_invalid": "code", "pin": "pin", "pin_again": "pin_again", "address": "address", "postcode": "postcode", "state": "state",
	"phone": "phone", "fax": "fax", "mobile": "mobile", "mail_kind": "mail_kind", "image": "image", "declaration": "declaration", "mykad": "mykad", "algorithm": "algorithm"}

// apply sends the application. What was typed is shown again when something is wrong with it, but for
// PIN, code and picture, which the page does not keep.
func (d *desk) apply(w http.ResponseWriter, r *http.Request, u *page.Upload) {
	copied, err := picture(u)
	if err != nil {
		d.Stray(w, r)
		return
	}
	defer clear(copied)
	v := u.Values
	f := form{Given: given{v.Get("address"), v.Get("postcode"), v.Get("state"), v.Get("phone"), v.Get("fax"), v.Get("mobile"), v.Get("mail_kind"), v.Get("image"), v.Get("declaration") != "", v.Get("algorithm")}}
	code := v.Get("code")
	kept := !v.Has("code")
	if kept {
		code = d.CookieValue(r, codeCookie)
	}
	err = d.Call(r, http.MethodPost, applicationAPI, sent(v, code, copied), nil)
	if err == nil {
		http.SetCookie(w, d.Cookie(codeCookie, "", -1))
		page.See(w, r, applicationPath)
		return
	}
	p := page.Of(err)
	if p == nil || p.Status >= 500 || p.Status == http.StatusUnauthorized {
		d.Failed(w, r, err)
		return
	}
	if p.Code == "already_applied" { // pressed twice: the first one was taken
		page.See(w, r, applicationPath)
		return
	}
	if f.guide, f.Entry, err = d.guide(r); err != nil || f.Entry == nil {
		d.showApplication(w, r, p.Status, withdrawal{})
		return
	}
	f.Faults = named(r.Context(), page.FaultsOf(r.Context(), p, places))
	if p.Code == "link_invalid" {
		f.Faults = page.Faults{{Field: "code", Text: page.T(r.Context(), "join.open.wrong")}}
	}
	f.Code = !kept || p.Code == "link_invalid"
	if kept && f.Code {
		http.SetCookie(w, d.Cookie(codeCookie, "", -1))
	}
	f.remind(r, v, len(copied) > 0)
	d.Show(w, r, p.Status, application(f))
}

// named are faults that say which field they are about, for the list of them above the form.
func named(ctx context.Context, all page.Faults) page.Faults {
	for k := range all {
		x := &all[k]
		if slices.Contains([]string{"address", "phone", "fax", "mobile"}, x.Field) {
			x.Text = page.T(ctx, "join.apply."+x.Field) + ": " + strings.ToLower(x.Text[:1]) + x.Text[1:] // the name begins the sentence
		}
		x.Text = capital(x.Text)
		if !strings.HasSuffix(x.Text, ".") {
			x.Text += "."
		}
	}
	return all
}

// capital begins a sentence.
func capital(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	return string(unicode.ToUpper(first)) + s[size:]
}

// remind says of what was given and is not kept that it has to be given again.
func (f *form) remind(r *http.Request, v url.Values, pictured bool) {
	if pictured && f.Faults.Of("mykad") == "" {
		f.Faults = append(f.Faults, page.Fault{Field: "mykad", Text: page.T(r.Context(), "join.apply.again.mykad")})
	}
	if v.Get("pin") != "" && f.Faults.Of("pin") == "" && f.Faults.Of("pin_again") == "" {
		f.Faults = append(f.Faults, page.Fault{Field: "pin", Text: page.T(r.Context(), "join.apply.again.pin")})
	}
	// In the order of the form.
	order := []string{"", "code", "address", "postcode", "state", "phone", "fax", "mobile", "mail_kind", "image", "pin", "pin_again", "algorithm", "declaration", "mykad"}
	slices.SortStableFunc(f.Faults, func(a, b page.Fault) int { return slices.Index(order, a.Field) - slices.Index(order, b.Field) })
}

// sent is the application as the API takes it.
func sent(v url.Values, code string, copied []byte) map[string]string {
	body := map[string]string{"code": code, "declaration": v.Get("declaration")}
	for _, name := range []string{"pin", "pin_again", "address", "postcode", "state", "phone", "mobile", "mail_kind", "image"} {
		body[name] = v.Get(name)
	}
	// The API takes one line; people write an address in several.
	body["address"] = strings.Join(strings.FieldsFunc(v.Get("address"), func(c rune) bool { return c == '\r' || c == '\n' }), ", ")
	for _, name := range []string{"fax", "algorithm"} {
		if s := v.Get(name); s != "" {
			body[name] = s
		}
	}
	if len(copied) > 0 {
		body["mykad"] = base64.StdEncoding.EncodeToString(copied)
	}
	return body
}

func (d *desk) withdraw(w http.ResponseWriter, r *http.Request) {
	end := withdrawal{ID: r.PostForm.Get("id"), Reason: r.PostForm.Get("reason")}
	err := d.Call(r, http.MethodPost, applicationAPI+"/withdraw", map[string]string{"enrolment_id": end.ID, "reason": end.Reason}, nil)
	if p := page.Of(err); p != nil && p.Status != http.StatusUnauthorized && p.Status < 500 {
		page.Returning(r, applicationPath)
		end.Faults = named(r.Context(), page.FaultsOf(r.Context(), p, map[string]string{"reason": "reason", "reason_missing": "reason"}))
		d.showApplication(w, r, p.Status, end)
		return
	}
	if err != nil {
		d.Failed(w, r, err)
		return
	}
	page.See(w, r, applicationPath)
}

// What stands in lists and beside fields.

func stateOptions(choose string, states []string) []page.Option {
	out := []page.Option{{Text: choose}}
	for _, s := range states {
		out = append(out, page.Option{Value: s, Text: s})
	}
	return out
}

// keyOptions: the usual one is the API's own choice.
func keyOptions(usual string) []page.Option {
	out := []page.Option{{Text: usual}}
	for _, s := range []string{"RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-P256", "ECDSA-P384"} {
		out = append(out, page.Option{Value: s, Text: s})
	}
	return out
}

func describedImage(f page.Faults) string {
	if f.Of("image") != "" {
		return "image-error"
	}
	return ""
}

func reasonOf(e *entry, w withdrawal) string {
	if w.ID == e.ID {
		return w.Reason
	}
	return ""
}

func reasonFault(e *entry, w withdrawal) string {
	if w.ID == e.ID {
		return w.Faults.Of("reason")
	}
	return ""
}
