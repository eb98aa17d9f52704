package otp_test

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
)

// What became of a message is kept for its own nonce; the event of a refusal
// says which code and what the server answered, and nothing secret.
func TestDeliveryIsReported(t *testing.T) {
	d := newDesk()
	c := d.issue(t)
	m := d.mail.last
	if m.Transaction != "tx_1" || m.Envelope != otp.Envelope("tx_1", c.Nonce) || !regexp.MustCompile(`^tx_1\.[0-9a-f]{16}$`).MatchString(m.Envelope) || strings.Contains(m.Envelope, fmt.Sprintf("%x", c.Nonce[:4])) || m.Expires.Sub(m.Issued) != d.Policy.TTL {
		t.Errorf("transaction %q, issued %v, expires %v", m.Transaction, m.Issued, m.Expires)
	}
	said := otp.Delivery{State: otp.Refused, At: d.now, Reply: "550 5.1.1"}
	wanted, err := m.Report(context.Background(), said)
	if err != nil || !wanted || len(d.records.told) != 1 || d.records.told[0] != said {
		t.Errorf("told %+v, wanted %v, %v", d.records.told, wanted, err)
	}
	ev := d.records.ev[len(d.records.ev)-1]
	if ev.Action != "otp.deliver" || ev.Object != "tx_1" || ev.Verdict != audit.Refused || !ev.At.Equal(d.now) ||
		!maps.Equal(ev.Detail, map[string]string{"officer": binding.Officer, "channel": "email", "reply": "550 5.1.1"}) {
		t.Errorf("event %+v", ev)
	}
	if strings.Contains(fmt.Sprintf("%+v", ev), d.mail.code) {
		t.Error("the event holds the code")
	}
	// An older message's outcome is not the newer one's.
	d.now = d.now.Add(time.Minute)
	if second := d.issue(t); second.Nonce == c.Nonce || d.mail.last.Envelope == m.Envelope {
		t.Fatal("the same nonce again")
	}
	if wanted, err := m.Report(context.Background(), otp.Delivery{State: otp.Deferred}); wanted || err != nil {
		t.Errorf("the replaced message is wanted: %v, %v", wanted, err)
	}
}

func TestCopiedMessageOutlivesTheFirst(t *testing.T) {
	m := otp.Message{Code: secret.New("482913"), Titles: []string{"a", "b", "c"}}
	c := m.Copy(2)
	m.Titles[0] = "x"
	m.Wipe()
	if string(c.Code.Reveal()) != "482913" || len(c.Titles) != 2 || c.Titles[0] != "a" || m.Code.Len() != 0 {
		t.Errorf("copy %q %v, original %d bytes", c.Code.Reveal(), c.Titles, m.Code.Len())
	}
	if c.Wipe(); c.Code.Len() != 0 {
		t.Error("the copy was not wiped")
	}
	if big := (otp.Message{Titles: []string{strings.Repeat("x", 5000)}}); big.Size() < 5000 {
		t.Errorf("a title of 5,000 bytes makes a message of %d", big.Size())
	}
}
