package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/otp"
)

type icInput struct {
	IC string `path:"ic" maxLength:"12" doc:"No. Kad Pengenalan, 12 digits"`
}

type helpInput struct {
	IC   string `path:"ic" maxLength:"12" doc:"No. Kad Pengenalan, 12 digits"`
	Body struct {
		Reason string `json:"reason" minLength:"5" maxLength:"200" doc:"Why, and how the officer's identity was proved; it stands in the audit"`
	}
}

type sentBody struct {
	Transaction string     `json:"transaction_id" doc:"Or a log-in's, lg_…"`
	Channel     string     `json:"channel"`
	SentTo      string     `json:"sent_to" doc:"Masked"`
	IssuedAt    time.Time  `json:"issued_at"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	Used        bool       `json:"used"`
	State       string     `json:"state" enum:",sent,deferred,refused,bounced" doc:"Empty when it is not known"`
	Reply       string     `json:"reply,omitempty" doc:"The mail server's, in digits"`
	StateAt     *time.Time `json:"state_at,omitempty"`
}

type sentOutput struct {
	Body struct {
		Codes []sentBody `json:"codes" doc:"The newest first, at most 20"`
	}
}

type unlockedOutput struct {
	Body struct {
		Blocked bool `json:"was_blocked"`
		Locked  bool `json:"was_locked"`
		Wrong   int  `json:"wrong_pins" doc:"That are forgotten"`
	}
}

type clearedOutput struct {
	Body struct {
		Cleared bool `json:"cleared" doc:"false: nothing held the account up"`
	}
}

// codesShown is how many codes an administrator sees.
const codesShown = 20

// help is what administrators do for officers of their agency.
func (s *server) help(h huma.API) {
	const tag = "Administrators"
	huma.Register(h, administer(tag, "codesSent", http.MethodGet, "/v1/admin/officers/{ic}/codes", "I never got the code: what became of those sent"), s.codesSent)
	huma.Register(h, administer(tag, "unlockPIN", http.MethodPost, "/v1/admin/officers/{ic}/unlock", "Clear the PIN counter, lock and block, after identity was proved"), s.unlockPIN)
	huma.Register(h, administer(tag, "unlockLogin", http.MethodPost, "/v1/admin/officers/{ic}/unlock-login", "Forget failed log-ins that hold the account up, after identity was proved"), s.unlockLogin)
}

func (s *server) codesSent(ctx context.Context, in *icInput) (*sentOutput, error) {
	if err := s.Desk.SeeCodes(ctx, personOf(ctx).Actor, in.IC); err != nil {
		return nil, s.fail(ctx, err)
	}
	list, err := s.Codes(ctx, in.IC, codesShown)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &sentOutput{}
	out.Body.Codes = []sentBody{}
	for k := range list {
		out.Body.Codes = append(out.Body.Codes, sentOut(&list[k]))
	}
	return out, nil
}

func sentOut(x *otp.Send) sentBody {
	return sentBody{x.Transaction, x.Channel, x.SentTo, x.IssuedAt.UTC(), when(x.ExpiresAt), x.Redeemed, x.Delivery.State, x.Delivery.Reply, when(x.Delivery.At)}
}

func (s *server) unlockPIN(ctx context.Context, in *helpInput) (*unlockedOutput, error) {
	was, err := s.Desk.UnlockPIN(ctx, personOf(ctx).Actor, in.IC, in.Body.Reason)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &unlockedOutput{}
	out.Body.Blocked, out.Body.Locked, out.Body.Wrong = was.Blocked, s.Now().Before(was.LockedUntil), was.Wrong
	return out, nil
}

func (s *server) unlockLogin(ctx context.Context, in *helpInput) (*clearedOutput, error) {
	out := &clearedOutput{}
	var err error
	if out.Body.Cleared, err = s.Desk.ClearFailures(ctx, s.Accounts.Records, personOf(ctx).Actor, in.IC, in.Body.Reason); err != nil {
		return nil, s.fail(ctx, err)
	}
	return out, nil
}
