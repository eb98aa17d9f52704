package notify

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"regexp"
	texttemplate "text/template"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/otp"
)

var (
	textLetter = texttemplate.Must(texttemplate.ParseFS(templates, "templates/letter.txt.tmpl"))
	htmlLetter = htmltemplate.Must(htmltemplate.ParseFS(templates, "templates/letter.html.tmpl"))
	// A verification code: Crockford base32 in groups.
	setupCode    = regexp.MustCompile(`\Asetup_[a-z2-7]{26}\z`)
	verification = regexp.MustCompile(`\A[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}\z`)
)

// reasonChars bounds a reason as it is shown.
const reasonChars = 500

// addressChars is as long as an address can be (RFC 5321, Section 4.5.3.1).
const addressChars = 254

var _ enrol.Mailer = (*Mailer)(nil)

// SendLetter implements enrol.Mailer: one attempt, with errors as SendCode has them. It
// asks for no delivery report: one would be addressed by the enrolment.
func (m *Mailer) SendLetter(ctx context.Context, l enrol.Letter) error {
	err := m.sendLetter(ctx, l)
	if errors.Is(err, ErrAddress) || errors.Is(err, ErrMessage) || errors.Is(err, otp.ErrRefused) {
		return fmt.Errorf("%w: %w", enrol.ErrUndeliverable, err)
	}
	return err
}

func (m *Mailer) sendLetter(ctx context.Context, l enrol.Letter) error {
	if !deliverable(l.Email) {
		return ErrAddress
	}
	r, err := renderLetter(l, m.cfg.BaseURL)
	if err != nil {
		return err
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // crypto/rand never fails (it ends the process)
	return m.send(ctx, l.Email, hex.EncodeToString(id[:]), "", r)
}

// renderLetter makes the message. Errors name the field, never its value.
func renderLetter(l enrol.Letter, base string) (*rendered, error) {
	p := struct{ TitleMS, TitleEN, Name, System, Reason, MS, EN, Code, Link, Until, Address, ButtonMS, ButtonEN string }{
		Name: unlink(clean(l.Name, nameChars)), System: unlink(clean(l.System, systemChars)), Reason: unlink(clean(l.Reason, reasonChars)), Until: myt.Format(l.Until),
		ButtonMS: "Sahkan e-mel", ButtonEN: "Confirm the address"}
	switch {
	case p.System == "" && l.Change == "" && !l.Setup:
		return nil, fmt.Errorf("%w: no system name", ErrMessage)
	case l.Until.IsZero():
		return nil, fmt.Errorf("%w: no expiry", ErrMessage)
	case l.Setup && setupCode.Match(l.Code.Reveal()):
		p.TitleMS, p.TitleEN = "Sediakan akaun pentadbir anda", "Set up your administrator's account"
		p.MS = "Anda dilantik sebagai pentadbir, atau akaun anda ditetapkan semula. Dengan kod ini anda memilih kata laluan dan aplikasi pengesah. Jangan beri kepada sesiapa, termasuk pentadbir lain."
		p.EN = "You were appointed as an administrator, or your account was reset. With this code you choose password and authenticator app. Give it to nobody, not to another administrator either."
		p.MS += " Halamannya: " + base + "/setup"
		p.EN += " The page: " + base + "/setup"
		p.Code = string(l.Code.Reveal())
	case l.Code.Len() > 0:
		if !verification.Match(l.Code.Reveal()) {
			return nil, fmt.Errorf("%w: the verification code is not XXXX-XXXX-XXXX-XXXX", ErrMessage)
		}
		p.TitleMS, p.TitleEN = "Kod pengesahan permohonan sijil", "Verification code for your application"
		p.MS = "E-mel anda telah disahkan. Gunakan kod ini untuk memohon sijil digital. Jangan beri kepada sesiapa."
		p.EN = "Your address is confirmed. Apply for your certificate with this code. Give it to nobody."
		page := "/join"
		if l.Rekey {
			page = "/portal/certificate"
			p.TitleMS, p.TitleEN = "Kod untuk PIN baharu", "Code for a new PIN"
			p.MS = "Anda meminta PIN baharu. Dengan kod ini anda membuat kunci baharu; agensi anda kemudian mengesahkannya. Jangan beri kepada sesiapa. Jika bukan anda, maklumkan segera kepada agensi anda."
			p.EN = "You asked for a new PIN. With this code you make a new key; your agency then confirms it. Give it to nobody. If it was not you, tell your agency at once."
		}
		p.Code = string(l.Code.Reveal())
		if p.Reason != "" {
			p.TitleMS, p.TitleEN = "Permohonan sijil dikembalikan", "Your application was returned"
			p.MS, p.EN = "Sila betulkan dan mohon sekali lagi dengan kod ini.", "Please put it right and apply again with this code."
			page = "/portal/application"
		}
		p.MS += " Halamannya: " + base + page
		p.EN += " The page: " + base + page
	case l.Change != "" && !deliverable(l.Address):
		return nil, fmt.Errorf("%w: no new address", ErrMessage)
	case l.Change != "" && token.Match(l.Link.Reveal()):
		p.TitleMS, p.TitleEN = "Sahkan pertukaran e-mel anda", "Confirm the change of your address"
		p.MS = "Permintaan telah dibuat untuk menukar e-mel yang menerima kod tandatangan anda kepada alamat di atas. Jika anda memintanya, buka pautan ini dan tekan butang. Jika tidak, jangan buka."
		p.EN = "It was asked that your signing codes go to the address above from now on. If you asked for it, open this link and press the button. If you did not, do not open it."
		p.Address, p.ButtonMS, p.ButtonEN = unlink(clean(l.Address, addressChars)), "Sahkan pertukaran", "Confirm the change"
		p.Link = base + "/e/" + string(l.Link.Reveal())
	case token.Match(l.Link.Reveal()):
		p.TitleMS, p.TitleEN = "Sahkan e-mel anda", "Confirm your address"
		p.MS = "Anda didaftarkan untuk tandatangan digital. Buka pautan ini dan tekan butang untuk mengesahkan bahawa e-mel ini milik anda."
		p.EN = "You are being enrolled for digital signatures. Open this link and press the button to confirm that this address is yours."
		p.Link = base + "/e/" + string(l.Link.Reveal())
	default:
		return nil, fmt.Errorf("%w: the link's token is not 22 characters of base64url", ErrMessage)
	}
	var text, html bytes.Buffer
	if err := textLetter.Execute(&text, p); err != nil {
		return nil, fmt.Errorf("%w: text template", ErrMessage)
	}
	if err := htmlLetter.Execute(&html, p); err != nil {
		return nil, fmt.Errorf("%w: html template", ErrMessage)
	}
	return &rendered{subject: p.TitleMS + " / " + p.TitleEN, text: text.Bytes(), html: html.Bytes()}, nil
}
