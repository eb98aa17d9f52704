package mohor_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	mohor "github.com/mohor-sign/mohor/sdk/go"
)

const (
	secret = "mwh_2qo3zzjn"
	body   = `{"id":"ev_1","type":"transaction.signed","created_at":"2026-07-01T01:00:00Z","data":{"transaction_id":"tx_1"}}`
)

func mark(t int64, body, secret string) string {
	h := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(h, "%d.%s", t, body)
	return hex.EncodeToString(h.Sum(nil))
}

func TestVerifyWebhook(t *testing.T) {
	now := time.Date(2026, 7, 1, 1, 0, 0, 0, time.UTC)
	at := now.Unix()
	right := mark(at, body, secret)
	signed := func(at time.Duration) string {
		t := now.Add(at).Unix()
		return fmt.Sprintf("t=%d,v1=%s", t, mark(t, body, secret))
	}
	zeros := strings.Repeat("0", 64)
	for name, header := range map[string]string{
		"plain":             signed(0),
		"spaces":            fmt.Sprintf("t=%d, v1=%s", at, right),
		"another order":     fmt.Sprintf("v1=%s,t=%d", right, at),
		"old secret first":  fmt.Sprintf("t=%d,v1=%s,v1=%s", at, zeros, right),
		"old secret behind": fmt.Sprintf("t=%d,v1=%s,v1=%s", at, right, zeros),
		"another scheme":    fmt.Sprintf("t=%d,v2=whatever,v1=%s", at, right),
		"upper case":        fmt.Sprintf("t=%d,v1=%s", at, strings.ToUpper(right)),
		"five minutes old":  signed(-5 * time.Minute),
		"five minutes new":  signed(5 * time.Minute),
	} {
		e, err := mohor.VerifyWebhook(header, []byte(body), secret, now)
		if err != nil || e.ID != "ev_1" || e.Type != "transaction.signed" || !e.CreatedAt.Equal(now) || string(e.Data) != `{"transaction_id":"tx_1"}` {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	other := func(b string) string { return fmt.Sprintf("t=%d,v1=%s", at, mark(at, b, secret)) }
	for name, c := range map[string]struct{ header, body, secret string }{
		"no header":         {"", body, secret},
		"no time":           {"v1=" + right, body, secret},
		"no signature":      {fmt.Sprintf("t=%d", at), body, secret},
		"older":             {signed(-5*time.Minute - time.Second), body, secret},
		"newer":             {signed(5*time.Minute + time.Second), body, secret},
		"another time":      {fmt.Sprintf("t=%d,v1=%s", at+1, right), body, secret},
		"two times":         {fmt.Sprintf("t=%d,t=%d,v1=%s", at, at, right), body, secret},
		"a time with sign":  {fmt.Sprintf("t=+%d,v1=%s", at, right), body, secret},
		"a time in hex":     {fmt.Sprintf("t=0x%x,v1=%s", at, right), body, secret},
		"an endless time":   {"t=" + strings.Repeat("9", 40) + ",v1=" + right, body, secret},
		"altered body":      {signed(0), strings.Replace(body, "tx_1", "tx_2", 1), secret},
		"a space behind":    {signed(0), body + " ", secret},
		"no body":           {signed(0), "", secret},
		"another secret":    {signed(0), body, secret + "x"},
		"no secret":         {fmt.Sprintf("t=%d,v1=%s", at, mark(at, body, "")), body, ""},
		"a short signature": {fmt.Sprintf("t=%d,v1=%s", at, right[:62]), body, secret},
		"no hexadecimal":    {fmt.Sprintf("t=%d,v1=%s", at, strings.Repeat("z", 64)), body, secret},
		"another scheme":    {fmt.Sprintf("t=%d,v0=%s", at, right), body, secret},
		"an endless header": {signed(0) + strings.Repeat(",v1="+zeros, 20), body, secret},
		"no event":          {other(`[]`), `[]`, secret},
		"no id":             {other(`{"type":"x"}`), `{"type":"x"}`, secret},
		"no JSON":           {other("x"), "x", secret},
	} {
		if e, err := mohor.VerifyWebhook(c.header, []byte(c.body), c.secret, now); !errors.Is(err, mohor.ErrWebhook) || e.ID != "" {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

func FuzzVerifyWebhook(f *testing.F) {
	now := time.Unix(1767225600, 0)
	f.Add(fmt.Sprintf("t=%d,v1=%s", now.Unix(), mark(now.Unix(), body, "other")), []byte(body))
	f.Add("t=,v1=", []byte("{}"))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		if e, err := mohor.VerifyWebhook(header, body, secret, now); err == nil && !strings.Contains(header, mark(now.Unix(), string(body), secret)) {
			t.Errorf("%q is believed: %+v", header, e)
		}
	})
}
