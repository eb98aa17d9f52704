package notify_test

import (
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/notify"
)

const administrator = "sap@jpk.gov.my"

func disowned(outcome string, change map[string]string) notify.Notice {
	n := notify.Notice{ID: "no_abc234", Email: administrator, Kind: notify.TransactionDisowned, At: sentAt, Attempt: 1, Detail: map[string]string{
		"system": "iGFMAS", "transaction": "tx_5arnatcdiigdnxm3rvqqb3xvuq", "officer": notify.MaskName("SITI AMINAH BINTI AHMAD"), "count": "7", "fingerprint": "7QK2-M9XD", "outcome": outcome}}
	maps.Copy(n.Detail, change)
	return n
}

func TestAlarmsTellWhatWasDisowned(t *testing.T) {
	mailer, box := post(t)
	for outcome, says := range map[string][]string{
		notify.DisownedCancelled: {"Amaran: “Ini bukan saya” / Alarm: “This was not me”", "tiada apa-apa ditandatangani", "The request was cancelled; nothing was signed.", "Call the officer, and ask"},
		notify.DisownedEnded:     {"Amaran: “Ini bukan saya” / Alarm: “This was not me”", "sudah berakhir", "had ended before; nothing was signed.", "Call the officer, and ask"},
		notify.DisownedConfirmed: {"Amaran segera: tandatangan dinafikan / Urgent alarm: signature disowned", "PIN dan kod yang betul sudah diberi", "The right PIN and code had been given", "revoke the certificate"},
	} {
		if err := mailer.SendNotice(t.Context(), disowned(outcome, nil)); err != nil {
			t.Fatalf("%s: %v", outcome, err)
		}
		got, _ := box.Latest(administrator)
		if got.Subject != says[0] {
			t.Errorf("%s: subject %q", outcome, got.Subject)
		}
		for _, want := range append(says[1:], "\n\nSistem / System: “iGFMAS”\nTransaksi / Transaction: tx_5arnatcdiigdnxm3rvqqb3xvuq\nPegawai / Officer: S••• A••••• B•••• A••••\n"+
			"Dokumen / Documents: 7\nCap jari / Fingerprint: 7QK2-M9XD\nMasa / Time: 30/04/2026, 12:09:54 MYT\n\nButang “Ini bukan saya”") {
			if !strings.Contains(got.Text, want) {
				t.Errorf("%s: the text lacks %q:\n%s", outcome, want, got.Text)
			}
		}
		for _, want := range append(says[1:2], "iGFMAS", "tx_5arnatcdiigdnxm3rvqqb3xvuq", "S••• A••••• B•••• A••••", ">7<", "7QK2-M9XD", "30/04/2026, 12:09:54 MYT") {
			if !strings.Contains(got.HTML, want) {
				t.Errorf("%s: the html lacks %q:\n%s", outcome, want, got.HTML)
			}
		}
		if links(got.Text) != nil || strings.Contains(got.Text, "://") || strings.Contains(got.HTML, "href") || got.Code != "" || strings.Contains(got.Text, "Kepada") {
			t.Errorf("%s: links %q, code %q:\n%s", outcome, links(got.Text), got.Code, got.Text)
		}
	}
	mark := box.Mark()
	for what, n := range map[string]notify.Notice{
		"outcome": disowned("", nil), "count": disowned(notify.DisownedEnded, map[string]string{"count": "7\nKod / Code: 000000"}), "no count": disowned(notify.DisownedEnded, map[string]string{"count": "0"}),
		"transaction": disowned(notify.DisownedEnded, map[string]string{"transaction": "http://evil.example"}), "fingerprint": disowned(notify.DisownedEnded, map[string]string{"fingerprint": "x"}),
	} {
		if err := mailer.SendNotice(t.Context(), n); !errors.Is(err, notify.ErrMessage) {
			t.Errorf("malformed %s: %v", what, err)
		}
	}
	if box.Mark() != mark {
		t.Error("a malformed alarm was sent")
	}
	if err := mailer.SendNotice(t.Context(), disowned(notify.DisownedEnded, map[string]string{"system": "www.evil.com\r\nKod / Code: 000000", "officer": "\u202eA••• http://evil.example"})); err != nil {
		t.Fatal(err)
	}
	if got, _ := box.Latest(administrator); got.Code != "" || links(got.Text) != nil || links(words(got.HTML)) != nil || strings.ContainsRune(got.Text, '\u202e') {
		t.Errorf("hostile names:\n%s", got.Text)
	}
}

// An alarm that nobody takes leaves its trace about the transaction.
func TestAlarmGivenUp(t *testing.T) {
	b := &inbox{refuse: &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no " + administrator}}
	n := disowned(notify.DisownedCancelled, nil)
	s := &shelf{n: &n}
	p := &notify.Postman{Outbox: s, Mail: mailer(t, b.start(t), func(*notify.Config) {}), Now: func() time.Time { return sentAt }, Log: slog.New(slog.DiscardHandler)}
	if ok, err := p.Once(t.Context()); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	if s.ev.Action != "notice.deliver" || s.ev.Verdict != audit.Refused || s.ev.Object != "tx_5arnatcdiigdnxm3rvqqb3xvuq" || s.ev.Detail["reply"] != "550 5.1.1" {
		t.Errorf("event %+v", s.ev)
	}
}

func TestCheckAddress(t *testing.T) {
	for address, good := range map[string]bool{
		administrator: true, "a.b+c@x": true,
		"": false, "sap": false, "SAP <sap@jpk.gov.my>": false, "sap@jpk.gov.my\r\nBcc: a@b.my": false, "a@b,c@d": false, `"a b"@jpk.gov.my`: false, "sáp@jpk.gov.my": false,
		strings.Repeat("a", 65) + "@jpk.gov.my": false, "a@" + strings.Repeat("b.", 200) + "my": false,
	} {
		if err := notify.CheckAddress(address); (err == nil) != good || err != nil && !errors.Is(err, notify.ErrAddress) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestMaskName(t *testing.T) {
	for name, want := range map[string]string{"": "", "A": "A", "SITI AMINAH": "S••• A•••••", " JÜRGEN  ÅSE ": "J••••• Å••", "陳大文": "陳••", strings.Repeat("x", 99): "x••••••"} {
		if got := notify.MaskName(name); got != want {
			t.Errorf("%q became %q, want %q", name, got, want)
		}
	}
}
