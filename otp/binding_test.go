package otp_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
)

// gullible believes every transaction and nonce and knows one code: whatever is
// asked, only the MAC stands between a code and another use of it.
type gullible struct {
	otp.Records
	c   otp.Challenge
	mac []byte
}

func (g *gullible) StoreChallenge(_ context.Context, c *otp.Challenge, _ otp.Policy, _ audit.Event) error {
	g.c = *c
	return nil
}
func (g *gullible) Withdraw(context.Context, otp.Challenge, bool, audit.Event) error { return nil }
func (g *gullible) Challenge(context.Context, string) (otp.Challenge, error)         { return g.c, nil }
func (g *gullible) ReserveTry(context.Context, string, [otp.NonceSize]byte) (int, error) {
	return 1, nil
}
func (g *gullible) Put(_ context.Context, _ string, mac []byte, _ time.Duration) error {
	g.mac = mac
	return nil
}
func (g *gullible) Find(context.Context, string) error               { return nil }
func (g *gullible) Try(context.Context, string, int) ([]byte, error) { return g.mac, nil }
func (g *gullible) Drop(context.Context, string) error               { return nil }

// use is everything a code is bound to, with the code itself.
type use struct {
	b     otp.Binding
	nonce [otp.NonceSize]byte
	code  string
}

// mutate changes one thing about u, by r; the result is always another use.
func mutate(u use, r *rand.Rand) use {
	texts := []*string{&u.b.Transaction, &u.b.Officer, &u.b.Key, &u.b.App, &u.b.Purpose, &u.code}
	was := u
	s := texts[r.IntN(len(texts))]
	switch r.IntN(11) {
	case 0: // one byte of a text
		if p := []byte(*s); len(p) > 0 {
			p[r.IntN(len(p))] ^= byte(1 + r.IntN(255))
			*s = string(p)
		}
	case 1:
		*s += string(rune(r.IntN(128)))
	case 2:
		if n := len(*s); n > 0 {
			*s = (*s)[:n-1]
		}
	case 3: // the end of one field becomes the beginning of the next
		k := r.IntN(len(texts) - 1)
		if a, n := texts[k], len(*texts[k]); n > 0 {
			*texts[k+1] = (*a)[n-1:] + *texts[k+1]
			*a = (*a)[:n-1]
		}
	case 4:
		k := r.IntN(len(texts) - 1)
		*texts[k], *texts[k+1] = *texts[k+1], *texts[k]
	case 5:
		u.nonce[r.IntN(len(u.nonce))] ^= 1 << r.IntN(8)
	case 6:
		u.b.Options[r.IntN(32)] ^= 1 << r.IntN(8)
	case 7:
		u.b.Root[r.IntN(32)] ^= 1 << r.IntN(8)
	case 8:
		u.b.Count += 1 + r.Uint32N(1<<32-1)
	case 9: // what is hashed changes places
		u.b.Options, u.b.Root = u.b.Root, u.b.Options
	case 10: // another code of six digits
		p := []byte(u.code)
		p[r.IntN(6)] = byte('0' + r.IntN(10))
		u.code = string(p)
	}
	if u == was {
		u.b.Count++
	}
	return u
}

// Threats, row 4: a code is accepted for nothing but what it was issued for.
func TestCodeIsBoundToEverything(t *testing.T) {
	const each = 1200
	ctx, accepted, mutations := context.Background(), 0, 0
	rapid.Check(t, func(t *rapid.T) {
		b := otp.Binding{Transaction: rapid.String().Draw(t, "transaction"), Officer: rapid.StringMatching("[0-9]{12}").Draw(t, "officer"), Key: rapid.String().Draw(t, "key"),
			App: rapid.String().Draw(t, "app"), Purpose: rapid.SampledFrom([]string{"sign", "login", ""}).Draw(t, "purpose"), Count: rapid.Uint32().Draw(t, "count")}
		copy(b.Options[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "options"))
		copy(b.Root[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "root"))
		g, mail := &gullible{}, &mailbox{}
		i := &otp.Issuer{Records: g, Codes: g, MAC: &mac{}, Senders: map[string]otp.Sender{"email": mail}, Policy: otp.DefaultPolicy()}
		c, err := i.Issue(ctx, b, "email", "", otp.Message{}, audit.Event{})
		if err != nil {
			t.Fatal(err)
		}
		right := use{b, c.Nonce, mail.code}
		try := func(u use) error {
			g.c.Nonce = u.nonce
			_, err := i.Check(ctx, u.b, u.nonce, secret.New(u.code))
			return err
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for range each {
			u := mutate(right, r)
			mutations++
			if err := try(u); err == nil {
				accepted++
				t.Errorf("accepted %+v, issued for %+v", u, right)
			} else if err != otp.ErrWrong {
				t.Fatalf("%+v: %v", u, err)
			}
		}
		if err := try(right); err != nil {
			t.Fatalf("control: %v", err)
		}
	})
	t.Logf("accepted %d of %d mutations", accepted, mutations)
	if mutations < 100_000 || accepted != 0 {
		t.Errorf("accepted %d of %d mutations; want 0 of at least 100,000", accepted, mutations)
	}
}

// Of all codes of six digits exactly one is right.
func TestOneCodeInAMillion(t *testing.T) {
	g, mail := &gullible{}, &mailbox{}
	i := &otp.Issuer{Records: g, Codes: g, MAC: &mac{}, Senders: map[string]otp.Sender{"email": mail}, Policy: otp.DefaultPolicy()}
	c, err := i.Issue(context.Background(), binding, "email", "", otp.Message{}, audit.Event{})
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	digits := []byte("000000")
	for n := range 1_000_000 {
		for k, v := 5, n; k >= 0; k, v = k-1, v/10 {
			digits[k] = byte('0' + v%10)
		}
		if n%10 != 0 && string(digits) != mail.code {
			continue // a tenth of them, and the one
		}
		if _, err := i.Check(context.Background(), binding, c.Nonce, secret.New(string(digits))); err == nil {
			right++
			if string(digits) != mail.code {
				t.Errorf("%s was accepted for %s", digits, mail.code)
			}
		}
	}
	if right != 1 {
		t.Errorf("%d codes were accepted", right)
	}
}

// Six digits, leading zeros kept, every place even.
func TestCodesAreEven(t *testing.T) {
	const n = 20_000
	g, mail := &gullible{}, &mailbox{}
	i := &otp.Issuer{Records: g, Codes: g, MAC: &mac{}, Senders: map[string]otp.Sender{"email": mail}, Policy: otp.DefaultPolicy()}
	var counts [otp.Digits][10]int
	nonces, codes := map[[otp.NonceSize]byte]bool{}, map[string]int{}
	for range n {
		c, err := i.Issue(context.Background(), binding, "email", "", otp.Message{}, audit.Event{})
		if err != nil {
			t.Fatal(err)
		}
		if len(mail.code) != otp.Digits {
			t.Fatalf("code %q", mail.code)
		}
		for k, d := range []byte(mail.code) {
			if d < '0' || d > '9' {
				t.Fatalf("code %q", mail.code)
			}
			counts[k][d-'0']++
		}
		nonces[c.Nonce] = true
		codes[mail.code]++
	}
	if len(nonces) != n {
		t.Errorf("%d nonces for %d codes", len(nonces), n)
	}
	// Chi-square with 9 degrees of freedom: 45 is passed by chance less than
	// once in a million.
	for k := range counts {
		chi := 0.0
		for _, c := range counts[k] {
			d := float64(c) - n/10
			chi += d * d / (n / 10)
		}
		if chi > 45 {
			t.Errorf("place %d is uneven: %v, chi-square %.1f", k, counts[k], chi)
		}
	}
	if counts[0][0] == 0 {
		t.Error("no code began with a zero")
	}
	// About n²/2·10⁶ = 200 pairs are alike; far more would be a small space.
	if pairs := n - len(codes); pairs > 350 {
		t.Errorf("%d codes came again in %d", pairs, n)
	}
}
