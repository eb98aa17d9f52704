package notify

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"regexp"
	"strconv"
	"strings"
	texttemplate "text/template"

	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/otp"
)

//go:embed templates
var templates embed.FS

// The templates are constant: a fault in them is found by any test.
var (
	textCode = texttemplate.Must(texttemplate.ParseFS(templates, "templates/code.txt.tmpl"))
	htmlCode = htmltemplate.Must(htmltemplate.ParseFS(templates, "templates/code.html.tmpl"))

	textLogin = texttemplate.Must(texttemplate.ParseFS(templates, "templates/login.txt.tmpl"))
	htmlLogin = htmltemplate.Must(htmltemplate.ParseFS(templates, "templates/login.html.tmpl"))
)

var (
	sixDigits   = regexp.MustCompile(`\A[0-9]{6}\z`)
	token       = regexp.MustCompile(`\A[A-Za-z0-9_-]{22}\z`)                           // 16 bytes in base64url
	fingerprint = regexp.MustCompile(`\A[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}\z`) // Crockford base32
	// A dot-atom and a host name: no quoted local part, no comment, no literal.
	address = regexp.MustCompile(`\A[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+)*@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\z`)
)

// page is what the templates show: every string one clean line.
type page struct {
	Name, System string
	Count        int
	Titles       []string
	More         int
	Total        string // "": none
	Payees       string // "": none
	Classified   bool
	Unseen       bool   // RAW, CMS: the application gave the digest, or bytes that nobody looked into
	Place        string // how the address of the signing page begins; "": it is not ours
	Fingerprint  string
	Expires      string
	Code         string
	Link         string // the only one: of the page "this was not me"
}

// rendered is one message before it becomes MIME. Wipe it after sending.
type rendered struct {
	subject    string
	text, html []byte
}

func (r *rendered) wipe() {
	clear(r.text)
	clear(r.html)
}

// render makes the message; its link leads below base. Errors name the field, never its value.
func render(m otp.Message, base string) (*rendered, error) {
	if w, ok := personal(m.Purpose); ok {
		return renderPersonal(m, w)
	}
	switch {
	case !sixDigits.Match(m.Code.Reveal()):
		return nil, fmt.Errorf("%w: the code is not six digits", ErrMessage)
	case !fingerprint.MatchString(m.Fingerprint):
		return nil, fmt.Errorf("%w: the fingerprint is not XXXX-XXXX", ErrMessage)
	case m.Count < 1 || m.Count < len(m.Titles):
		return nil, fmt.Errorf("%w: the count does not fit the titles", ErrMessage)
	case !token.Match(m.Link.Reveal()):
		return nil, fmt.Errorf("%w: the link's token is not 22 characters of base64url", ErrMessage)
	case m.Total != nil && m.Total.Check() != nil:
		return nil, fmt.Errorf("%w: malformed total", ErrMessage)
	case m.Expires.IsZero():
		return nil, fmt.Errorf("%w: no expiry", ErrMessage)
	}
	p := page{
		Name:        unlink(clean(m.Name, nameChars)),
		System:      unlink(clean(m.System, systemChars)),
		Count:       m.Count,
		Classified:  m.Classified,
		Unseen:      m.Unseen,
		Fingerprint: m.Fingerprint,
		Expires:     myt.Format(m.Expires),
		Code:        string(m.Code.Reveal()),
		Link:        base + "/r/" + string(m.Link.Reveal()),
	}
	if p.System == "" {
		return nil, fmt.Errorf("%w: no system name", ErrMessage)
	}
	if m.Hosted {
		// To be compared, not followed.
		_, host, _ := strings.Cut(base, "://")
		p.Place = unlink(host + "/sign/")
	}
	if !m.Classified {
		p.Titles, p.More = titles(m.Titles, m.Count)
		if m.Total != nil {
			p.Total = m.Total.String() // digits, commas and capitals: nothing to clean
		}
		p.Payees = payees(m.Payees)
	}
	var text, html bytes.Buffer
	if err := textCode.Execute(&text, p); err != nil {
		return nil, fmt.Errorf("%w: text template", ErrMessage)
	}
	if err := htmlCode.Execute(&html, p); err != nil {
		return nil, fmt.Errorf("%w: html template", ErrMessage)
	}
	subject := "Kod tandatangan / Signing code – " + p.System
	return &rendered{subject: subject, text: text.Bytes(), html: html.Bytes()}, nil
}

// words are what the message with a personal code says of it: what it is for, and what it
// means for who did not ask.
type words struct{ TitleMS, TitleEN, ForMS, ForEN, WarnMS, WarnEN string }

// personal gives the words of a purpose that is no signature.
func personal(purpose string) (words, bool) {
	const tellMS, tellEN = " maklumkan segera kepada pentadbir agensi anda.", " tell your agency administrator at once."
	switch purpose {
	case otp.Login:
		return words{"Kod log masuk", "Log-in code", "untuk log masuk", "for logging in",
			"Jika bukan anda yang sedang log masuk, ada orang yang tahu kata laluan anda: tukar kata laluan itu dan maklumkan pentadbir agensi anda.",
			"If you are not logging in, somebody knows your password: change it and tell your agency administrator."}, true
	case otp.Reset:
		return words{"Kod kata laluan baharu", "Code for a new password", "untuk kata laluan baharu", "for a new password",
			"Jika bukan anda yang memintanya, kata laluan anda kekal;" + tellMS, "If you did not ask for it, your password stays;" + tellEN}, true
	case otp.Deletion:
		return words{"Kod pemadaman akaun", "Code for deleting your account", "untuk memadam akaun anda: sijil anda dibatalkan dan kuncinya dimusnahkan", "for deleting your account: your certificates are revoked and their keys destroyed",
			"Jika bukan anda yang memintanya, ada orang lain dalam akaun anda: tukar kata laluan dan" + tellMS, "If you did not ask for it, somebody is in your account: change the password and" + tellEN}, true
	case otp.Phone:
		return words{"Kod pertukaran nombor telefon", "Code for another mobile number", "untuk menukar nombor telefon bimbit anda", "for changing your mobile number",
			"Jika bukan anda yang memintanya, ada orang lain dalam akaun anda: tukar kata laluan dan" + tellMS, "If you did not ask for it, somebody is in your account: change the password and" + tellEN}, true
	}
	return words{}, false
}

// renderPersonal makes the message with a code that signs nothing: it has no link at all.
func renderPersonal(m otp.Message, w words) (*rendered, error) {
	switch {
	case !sixDigits.Match(m.Code.Reveal()):
		return nil, fmt.Errorf("%w: the code is not six digits", ErrMessage)
	case m.Expires.IsZero():
		return nil, fmt.Errorf("%w: no expiry", ErrMessage)
	}
	p := struct {
		words
		Name, Expires, Code string
	}{w, unlink(clean(m.Name, nameChars)), myt.Format(m.Expires), string(m.Code.Reveal())}
	var text, html bytes.Buffer
	if err := textLogin.Execute(&text, p); err != nil {
		return nil, fmt.Errorf("%w: text template", ErrMessage)
	}
	if err := htmlLogin.Execute(&html, p); err != nil {
		return nil, fmt.Errorf("%w: html template", ErrMessage)
	}
	return &rendered{subject: w.TitleMS + " / " + w.TitleEN, text: text.Bytes(), html: html.Bytes()}, nil
}

// payees is how many there are, and the first of them, cleaned.
func payees(p *otp.Payees) string {
	if p == nil {
		return ""
	}
	var names []string
	for _, name := range p.First[:min(len(p.First), otp.MaxPayees)] {
		if name = unlink(clean(name, titleChars)); name != "" {
			names = append(names, "“"+name+"”")
		}
	}
	s := strconv.Itoa(p.Count)
	if len(names) > 0 {
		s += ": " + strings.Join(names, ", ")
	}
	if p.Count > len(names) {
		s += " …"
	}
	return s
}

// titles returns the first few, cleaned, and how many documents are left.
func titles(all []string, count int) (shown []string, more int) {
	for i, t := range all {
		if i == titlesShown {
			break
		}
		if t = unlink(clean(t, titleChars)); t == "" {
			t = "(tiada nama / unnamed " + strconv.Itoa(i+1) + ")"
		}
		shown = append(shown, t)
	}
	return shown, count - len(shown)
}
