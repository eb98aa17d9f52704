package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/signer"
)

type letterBody struct {
	ID       string     `json:"letter_id"`
	IC       string     `json:"ic,omitempty" doc:"Of the officer it is to; none of one to administrators"`
	Name     string     `json:"name,omitempty"`
	SentTo   string     `json:"sent_to,omitempty" doc:"Masked; where it goes, as it was when the letter was written"`
	Kind     string     `json:"kind" example:"certificate.issued"`
	State    string     `json:"state" enum:"waiting,deferred,failed" doc:"Never tried; tried in vain and due again; given up"`
	Reply    string     `json:"reply,omitempty" doc:"The mail server's to the last try, in digits"`
	Attempts int        `json:"attempts" example:"2"`
	At       time.Time  `json:"written_at"`
	DueAt    *time.Time `json:"due_at,omitempty" doc:"Of the next try"`
	FailedAt *time.Time `json:"failed_at,omitempty"`
	Actions  []string   `json:"actions" enum:"retry,drop" nullable:"false"`
}

type letterCountBody struct {
	Kind     string    `json:"kind"`
	Waiting  int64     `json:"waiting"`
	Deferred int64     `json:"deferred"`
	Failed   int64     `json:"failed"`
	Oldest   time.Time `json:"oldest"`
}

type undeliveredBody struct {
	IC      string     `json:"ic"`
	SentTo  string     `json:"sent_to" doc:"Masked"`
	Channel string     `json:"channel"`
	State   string     `json:"state" enum:"deferred,refused,bounced"`
	Reply   string     `json:"reply,omitempty" doc:"The mail server's, in digits"`
	At      time.Time  `json:"issued_at"`
	StateAt *time.Time `json:"state_at,omitempty"`
}

type outboxInput struct {
	State string `query:"state" enum:"waiting,deferred,failed"`
	Kind  string `query:"kind" maxLength:"40"`
	After string `query:"after" maxLength:"200" doc:"What next was in the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type outboxOutput struct {
	Body struct {
		Letters []letterBody      `json:"letters" doc:"The newest first"`
		Kinds   []letterCountBody `json:"kinds" doc:"All that are in the outbox"`
		Codes   []undeliveredBody `json:"codes" doc:"The newest codes of the last seven days that did not arrive, at most 50. No code is in them, and none is sent again: the officer asks for another"`
		Next    string            `json:"next,omitempty" doc:"For after, when there may be more"`
	}
}

type letterPath struct {
	ID string `path:"id" maxLength:"64"`
}

type letterOutput struct{ Body letterBody }

type letterInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Reason string `json:"reason" maxLength:"200" doc:"5 to 200 characters; it stands in the audit"`
	}
}

// undelivered is how far back codes that did not arrive are listed, and how many.
const (
	undeliveredFor   = 7 * 24 * time.Hour
	undeliveredShown = 50
)

func (s *server) outbox(h huma.API) {
	const tag, at = "Administration", "/v1/admin/outbox"
	huma.Register(h, administer(tag, "outbox", http.MethodGet, at, "Letters that wait, or were given up, and codes that did not arrive (JDN, AUDITOR)"), s.showOutbox)
	huma.Register(h, administer(tag, "letter", http.MethodGet, at+"/{id}", "A letter (JDN, AUDITOR)"), s.showLetter)
	retry := administer(tag, "retryLetter", http.MethodPost, at+"/{id}/retry", "Try a letter once more now: it may arrive twice (JDN)")
	retry.DefaultStatus = http.StatusNoContent
	huma.Register(h, retry, s.retryLetter)
	drop := administer(tag, "dropLetter", http.MethodPost, at+"/{id}/drop", "Forget a letter; who it is to is not told (JDN)")
	drop.DefaultStatus = http.StatusNoContent
	huma.Register(h, drop, s.dropLetter)
}

func (s *server) showOutbox(ctx context.Context, in *outboxInput) (*outboxOutput, error) {
	before, err := newestOf(in.After)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	list, counts, err := s.Works.Outbox(ctx, personOf(ctx).Actor, enrol.LetterQuery{State: in.State, Kind: in.Kind, BeforeAt: before.At, BeforeID: before.ID, Limit: in.Limit})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	codes, err := s.Undelivered(ctx, s.Now().Add(-undeliveredFor), undeliveredShown)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &outboxOutput{}
	b := &out.Body
	b.Letters, b.Kinds, b.Codes = []letterBody{}, []letterCountBody{}, []undeliveredBody{}
	for k := range list {
		b.Letters = append(b.Letters, letterOut(&list[k]))
	}
	for _, c := range counts {
		b.Kinds = append(b.Kinds, letterCountBody{c.Kind, c.Waiting, c.Deferred, c.Failed, c.Oldest})
	}
	for _, c := range codes {
		b.Codes = append(b.Codes, undeliveredBody{c.Officer, c.SentTo, c.Channel, c.Delivery.State, c.Delivery.Reply, c.IssuedAt, when(c.Delivery.At)})
	}
	if n := len(list); n == in.Limit {
		b.Next = newestText(list[n-1].At, list[n-1].ID)
	}
	return out, nil
}

func letterOut(l *enrol.Notice) letterBody {
	v := letterBody{ID: l.ID, IC: l.IC, Name: l.Name, Kind: l.Kind, State: l.State, Reply: l.Reply, Attempts: l.Attempts, At: l.At, DueAt: when(l.DueAt), FailedAt: when(l.FailedAt), Actions: []string{}}
	if l.Email != "" {
		v.SentTo = signer.MaskEmail(l.Email)
	}
	if l.Attempts > 0 {
		v.Actions = append(v.Actions, "retry")
	}
	if l.State == enrol.LetterFailed {
		v.Actions = append(v.Actions, "drop")
	}
	return v
}

func (s *server) showLetter(ctx context.Context, in *letterPath) (*letterOutput, error) {
	l, err := s.Works.See(ctx, personOf(ctx).Actor, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &letterOutput{letterOut(&l)}, nil
}

func (s *server) retryLetter(ctx context.Context, in *letterInput) (*struct{}, error) {
	if _, err := s.Works.Retry(ctx, personOf(ctx).Actor, in.ID, in.Body.Reason); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) dropLetter(ctx context.Context, in *letterInput) (*struct{}, error) {
	if _, err := s.Works.Drop(ctx, personOf(ctx).Actor, in.ID, in.Body.Reason); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}
