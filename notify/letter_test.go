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
	// Whoever confirms a change of address sees which address it is.
	text, err = send(func(l *enrol.Letter) {
		link(l)
		l.Change, l.System, l.Address = enrol.OldAddress, "", "lain@janm.gov.my"
	})
	if plain := strings.ReplaceAll(text, "\u2060", ""); err != nil || strings.Count(plain, "lain@janm.gov.my") != 2 || !strings.Contains(text, "Sahkan pertukaran") || strings.Contains(text, "enrolment") {
		t.Errorf("%v: %s", err, text)
	}
	const setup = "setup_abcdefghijklmnopqrstuvwx27"
	text, err = send(func(l *enrol.Letter) { l.Setup, l.System, l.Code = true, "", secret.New(setup) })
	if err != nil || !strings.Contains(text, "Kod / Code: "+setup) || strings.Index(text, "Sediakan akaun") > strings.Index(text, "Set up your") {
		t.Errorf("%v: %s", err, text)
	}
	for what, edit := range map[string]func(l *enrol.Letter){
		"a set-up code for an officer": func(l *enrol.Letter) { l.Code = secret.New(setup) },
		"no new address":               func(l *enrol.Letter) { link(l); l.Change = enrol.OldAddress },
		"no secret":                    func(*enrol.Letter) {},
		"a false code":                 func(l *enrol.Letter) { l.Code = secret.New("0123456789ABCDEF") },
		"a false link":                 func(l *enrol.Letter) { l.Link = secret.New("../../" + linkToken[:16]) },
		"no expiry":                    func(l *enrol.Letter) { link(l); l.Until = time.Time{} },
		"no system":                    func(l *enrol.Letter) { link(l); l.System = "" },
		"no address":                   func(l *enrol.Letter) { link(l); l.Email = "a@b, c@d" },
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

// What became of a certificate is told in both languages; what needs a time or a number
// is not told without.
func TestCertificateNotices(t *testing.T) {
	m, box := post(t)
	full := map[string]string{"system": "IGFMAS", "serial": "1234", "until": "2027-08-01T00:00:00Z", "days": "7", "reason": "3"}
	for kind, want := range map[string][2]string{
		notify.CertificateRenewed: {"telah diperbaharui", "stays valid"}, notify.CertificateEnding: {"tamat dalam 7 hari", "ends in 7 days"},
		notify.CertificateRevoked: {"bertukar jawatan", "your post or agency changed"}, notify.CertificateSuspended: {"digantung", "suspended"},
		notify.CertificateReleased: {"boleh menandatangani semula", "can sign again"}, notify.RevocationScheduled: {"dibatalkan pada 01/08/2027", "revoked on 01/08/2027"},
		notify.RevocationCancelled: {"ditarik balik", "withdrawn"}, notify.PINReplaced: {"sijil lama dibatalkan", "old certificate revoked"}, notify.RekeyAsked: {"menunggu pengesahan", "awaits your agency"},
	} {
		if err := m.SendNotice(t.Context(), notice(kind, full)); err != nil {
			t.Fatal(err)
		}
		if mail, _ := box.Latest(officer); !strings.Contains(mail.Text, want[0]) || !strings.Contains(mail.Text, want[1]) {
			t.Errorf("%s: %s", kind, mail.Text)
		}
	}
	for _, kind := range []string{notify.CertificateRenewed, notify.CertificateEnding, notify.RevocationScheduled, notify.PINReplaced} {
		if err := m.SendNotice(t.Context(), notice(kind, map[string]string{"system": "IGFMAS", "days": "7"})); !errors.Is(err, notify.ErrMessage) {
			t.Errorf("%s without its time: %v", kind, err)
		}
	}
	if err := m.SendNotice(t.Context(), notice(notify.CertificateEnding, map[string]string{"until": full["until"]})); !errors.Is(err, notify.ErrMessage) {
		t.Error(err)
	}
}

// Whoever is appointed, reset or has a second factor is told what and by what role.
func TestAccountNotices(t *testing.T) {
	m, box := post(t)
	for what, said := range map[string]string{"appointed": "Anda dicadangkan sebagai pentadbir", "confirmed": "Pelantikan anda disahkan", "ready": "Faktor kedua anda", "reset": "ditetapkan semula"} {
		n := notify.Notice{ID: "no_" + what, Name: "Siti", Email: officer, Kind: notify.AccountChanged, At: sentAt, Detail: map[string]string{"what": what, "role": "SA", "scope": "JANM\r\nhttp://evil.example"}}
		if err := m.SendNotice(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		mail, _ := box.Latest(officer)
		role := strings.Contains(mail.Text, "SA JANM")
		if !strings.Contains(mail.Subject, said) || role != (what == "appointed" || what == "confirmed") || strings.Contains(mail.Text, "http://evil.example") || !strings.Contains(mail.Text, "JDN") {
			t.Errorf("%s: %s\n%s", what, mail.Subject, mail.Text)
		}
	}
	if err := m.SendNotice(t.Context(), notify.Notice{ID: "no_x", Name: "Siti", Email: officer, Kind: notify.AccountChanged, At: sentAt}); !errors.Is(err, notify.ErrMessage) {
		t.Error(err)
	}
}
