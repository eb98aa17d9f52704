package campaign_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/hsm/hsmtest"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/store/ephemeral"
	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
	"github.com/mohor-sign/mohor/store/storetest"
)

// ignored is a database whose count of tries nobody asks.
type ignored struct{ otp.Records }

func (ignored) ReserveTry(context.Context, string, [otp.NonceSize]byte) (int, error) { return 1, nil }

// logged is a code key that keeps of its inputs what the module's log would.
type logged struct{ calls []hsmtest.Call }

func (l *logged) MAC(ctx context.Context, data []byte) ([]byte, error) {
	l.calls = append(l.calls, hsmtest.Call{Function: "C_Sign", Asked: true, Input: data[:min(64, len(data))]})
	return storetest.MAC("code key").MAC(ctx, data)
}

// A stale replica has forgotten the tries of a code. Who believed Redis alone
// would compare it a fourth time, and the checker says so; with the database it
// is not compared.
func TestFourthTryIsNoticed(t *testing.T) {
	for _, believe := range []bool{false, true} {
		ctx := t.Context()
		master := redistest.Start(t)
		link, front := newProxy(t, master.Address), newProxy(t, master.Address)
		host, port, err := net.SplitHostPort(link.address)
		must(t, err)
		replica := redistest.Start(t, "--replicaof", host, port)
		client := ephemeral.Open(ephemeral.Config{Address: front.address, Installation: "abcd"})
		t.Cleanup(func() { must(t, client.Close()) })
		db, _ := storetest.SQLite(t)
		h := storetest.NewHouse(t, db)
		r, _, err := h.Signer(nil, nil).Prepare(ctx, h.Ask(1)) // a transaction to hang the code on
		must(t, err)
		h.Clock.Advance(otp.DefaultPolicy().ResendAfter)
		key := &logged{}
		i := &otp.Issuer{Records: h.DB, Codes: ephemeral.Codes{Redis: client, Alone: otp.NewMemoryCodes(h.Clock.Now)}, MAC: key, Senders: map[string]otp.Sender{"email": h.Mail}, Policy: otp.DefaultPolicy()}
		if believe {
			i.Records = ignored{h.DB}
		}
		b := otp.Binding{Transaction: r.ID, Officer: r.Officer, Key: r.Credential, App: r.App, Purpose: "sign", Options: r.OptionsHash, Count: r.Count, Root: r.Root}
		c, err := i.Issue(ctx, b, "email", "", otp.Message{}, audit.Event{At: h.Clock.Now(), Actor: "test", Action: "otp.issue", Object: r.ID, Verdict: audit.Accepted})
		must(t, err)
		bad := secret.New(wrong(h.Mail.Code()))
		d := &round{tx: confirmation{ID: r.ID}}
		eventually(t, "the replica has the code", func() bool { return counts(t, replica, d) == "0" })
		link.reset("")
		for range tries {
			if _, err := i.Check(ctx, b, c.Nonce, bad); !errors.Is(err, otp.ErrWrong) {
				t.Fatalf("a wrong code: %v", err)
			}
		}
		if _, err := i.Check(ctx, b, c.Nonce, bad); !errors.Is(err, otp.ErrAttempts) {
			t.Errorf("a fourth try, the count in Redis alive: %v", err)
		}
		must(t, replica.Client.ReplicaOf(ctx, "NO", "ONE").Err())
		front.reset(replica.Address)
		_, err = i.Check(ctx, b, c.Nonce, bad)
		found := tooOften(key.calls)
		switch {
		case believe && (!errors.Is(err, otp.ErrWrong) || len(found) != 1 || !strings.Contains(found[0], r.ID)):
			t.Errorf("control: who believes Redis: %v; the checker: %q", err, found)
		case !believe && (!errors.Is(err, otp.ErrAttempts) || len(found) != 0):
			t.Errorf("the database counts: %v; the checker: %q", err, found)
		}
	}
}

// What must not be in answers is noticed.
func TestJudgeNotices(t *testing.T) {
	ok := answer{status: 201}
	for want, d := range map[string]*round{
		"2 submissions":        {asked: ok, answers: []answer{{status: 200}, {status: 200}}},
		"500 internal_error":   {asked: ok, answers: []answer{{500, "internal_error", false}}},
		"no answer":            {asked: ok, answers: []answer{{code: "no answer"}}},
		"without Retry-After":  {asked: answer{503, "store_unavailable", false}},
		"403 documents_mismat": {asked: ok, answers: []answer{{403, "documents_mismatch", false}}},
	} {
		if got := judge([]*round{d}); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: %q", want, got)
		}
	}
	if got := judge([]*round{{asked: ok, answers: []answer{{status: 200}, {409, "otp_already_used", false}, {503, "store_unavailable", true}}}}); len(got) != 0 {
		t.Errorf("what may be: %q", got)
	}
	if n := signatures([]hsmtest.Call{{Asked: true, Input: []byte("a")}, {Asked: true, Input: []byte("a")}, {Asked: true, Real: 5, Input: []byte("a")}}); n["a"] != 2 {
		t.Errorf("signatures: %v", n)
	}
	if !slices.Contains(documented, "store_unavailable") || slices.Contains(documented, "internal_error") {
		t.Error("the documented codes are others")
	}
}
