package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
)

type queueBody struct {
	Name    string   `json:"name" enum:"admit,confirm,apply,validate,rekey,approve,issue,returned" doc:"For what it waits: confirm and apply wait for the officer, issue for the CA"`
	State   string   `json:"state" example:"APPLIED"`
	Kind    string   `json:"kind,omitempty" enum:"NOT_REKEY,REKEY" doc:"For the list"`
	Waiting int      `json:"waiting" maximum:"1000" example:"12"`
	More    bool     `json:"more" doc:"There are more than that"`
	Can     []string `json:"can" doc:"Steps that one's role may take there; each case is judged again"`
}

type workBody struct {
	System string      `json:"system,omitempty"`
	Agency string      `json:"agency,omitempty" doc:"With neither: all"`
	Roles  []string    `json:"roles" example:"[\"SAP\"]" doc:"That one holds there"`
	Queues []queueBody `json:"queues" doc:"In the order of an enrolment's way"`
}

type workOutput struct {
	Body struct {
		Scopes []workBody `json:"scopes" doc:"One for each system or agency that one looks after"`
	}
}

func (s *server) queues(h huma.API) {
	o := op("Enrolment", "adminWork", http.MethodGet, "/v1/admin/work", "How much waits for whom, in one's own scope; counted to a thousand")
	huma.Register(h, o, s.adminWork)
}

// stepNames are what the routes call the steps.
func stepNames(acts []enrol.Action) []string {
	out := make([]string, len(acts))
	for k, a := range acts {
		out[k] = stepName(a)
	}
	return out
}

func stepName(a enrol.Action) string {
	return map[enrol.Action]string{enrol.Admit: "admit", enrol.Validate: "validate", enrol.Vouch: "rekey/confirm", enrol.Approve: "approve", enrol.Return: "return",
		enrol.Reject: "reject", enrol.Resend: "resend", enrol.Correct: "correct", enrol.Withdraw: "withdraw", enrol.ReadCopy: "mykad"}[a]
}

func (s *server) adminWork(ctx context.Context, _ *struct{}) (*workOutput, error) {
	list, err := s.Desk.Work(ctx, personOf(ctx).Actor)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &workOutput{}
	out.Body.Scopes = make([]workBody, len(list))
	for k, w := range list {
		b := workBody{System: w.System, Agency: w.Agency, Roles: make([]string, len(w.Roles)), Queues: make([]queueBody, len(w.Queues))}
		for i, r := range w.Roles {
			b.Roles[i] = string(r)
		}
		for i, q := range w.Queues {
			b.Queues[i] = queueBody{q.Name, string(q.State), q.Kind, q.Waiting, q.More, stepNames(q.Can)}
		}
		out.Body.Scopes[k] = b
	}
	return out, nil
}

func canOut(ctx context.Context, list []enrol.Possible) []canBody {
	out := make([]canBody, len(list))
	for k, x := range list {
		out[k].Step = stepName(x.Action)
		if no := x.Not; no != nil {
			out[k].Code, out[k].Detail = no.Code, pick(english(ctx), no.EN, no.MS)
			if no.After > 0 {
				out[k].After = seconds(no.After)
			}
		}
	}
	return out
}
