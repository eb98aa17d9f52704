package notify_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/notify"
)

// A letter has either the link or the code, Malay first, and nothing of an attacker's.
func TestLetters(t *testing.T) {
	m, box := post(t)
	base := enrol.Letter{ID: "en_x", Name: "Siti binti Ahmad", Email: officer, System: "iGFMAS", Until: sentAt.Add(24 * time.Hour)}
	send := func(edit func(l *enrol.Letter)) (string, error) {
		t.Helper()
		l := base
		edit(&l)
		if err := m.SendLetter(t.Context(), l); err != nil {
			return "", err
		}
		mail, ok := box.Latest(officer)
		if !ok {
			t.Fatal("nothing arrived")
		}
		return mail.Subject + "\n" + mail.Text + "\n" + mail.HTML, nil
	}
	link := func(l *enrol.Letter) { l.Link = secret.New(linkToken) }
	code := func(l *enrol.Letter) { l.Code = secret.New("0123-4567-89AB-CDEF") }
	text, err := send(link)
	if err != nil || strings.Count(text, "https://sign.gov.my/e/"+linkToken) != 2 || strings.Index(text, "Sahkan e-mel anda") > strings.Index(text, "Confirm your address") ||
		!strings.Contains(text, "01/05/2026, 12:09:54 MYT") || !strings.Contains(text, "Siti binti Ahmad") || strings.Contains(text, "Kod / Code") {
		t.Errorf("%v: %s", err, text)
	}
	text, err = send(func(l *enrol.Letter) {
		code(l)
		l.Reason = "Salinan kabur\r\nBuka http://evil.example \u202e"
	})
	if err != nil || !strings.Contains(text, "Kod / Code: 0123-4567-89AB-CDEF") || !strings.Contains(text, "Salinan kabur") || strings.Contains(text, "http://evil.example") || strings.Contains(text, "\u202e") || strings.Contains(text, "/e/") {
		t.Errorf("%v: %s", err, text)
	}
	for what, edit := range map[string]func(l *enrol.Letter){
		"no secret":    func(*enrol.Letter) {},
		"a false code": func(l *enrol.Letter) { l.Code = secret.New("0123456789ABCDEF") },
		"a false link": func(l *enrol.Letter) { l.Link = secret.New("../../" + linkToken[:16]) },
		"no expiry":    func(l *enrol.Letter) { link(l); l.Until = time.Time{} },
		"no system":    func(l *enrol.Letter) { link(l); l.System = "" },
		"no address":   func(l *enrol.Letter) { link(l); l.Email = "a@b, c@d" },
	} {
		if _, err := send(edit); !errors.Is(err, enrol.ErrUndeliverable) || strings.Contains(err.Error(), linkToken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	box.Close()
	if err := m.SendLetter(t.Context(), enrol.Letter{Email: officer, System: "S", Until: sentAt, Link: secret.New(linkToken)}); err == nil || errors.Is(err, enrol.ErrUndeliverable) {
		t.Errorf("a server that is away: %v", err)
	}
}

func TestEnrolmentNotices(t *testing.T) {
	m, box := post(t)
	for kind, want := range map[string]string{notify.EnrolmentValidated: "menunggu kelulusan", notify.EnrolmentRejected: "Sebab: “Bukan pegawai kami”"} {
		if err := m.SendNotice(t.Context(), notice(kind, map[string]string{"system": "IGFMAS", "reason": "Bukan pegawai kami"})); err != nil {
			t.Fatal(err)
		}
		if mail, _ := box.Latest(officer); !strings.Contains(mail.Text, want) {
			t.Errorf("%s: %s", kind, mail.Text)
		}
	}
}
