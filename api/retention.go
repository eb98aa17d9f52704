package api

import (
	"bytes"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/mykad"
)

type holdInput struct {
	Body struct {
		IC        string `json:"ic,omitempty" maxLength:"64" doc:"No. Kad Pengenalan, 12 digits"`
		Reference string `json:"reference,omitempty" maxLength:"200" doc:"Of a document, as requests give it"`
		Reason    string `json:"reason" maxLength:"2000" doc:"5 to 200 characters; it stands in the audit"`
	}
}

type legalHoldBody struct {
	enrol.Hold
	Placer string `json:"placed_by_name,omitempty" doc:"Of an account"`
}

type holdOutput struct{ Body legalHoldBody }

type holdsOutput struct {
	Body struct {
		Holds []legalHoldBody `json:"holds" doc:"Those that last"`
	}
}

type keptInput struct {
	ID string `path:"id" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$"`
}

type liftInput struct {
	ID   string `path:"id" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$"`
	Body struct {
		Reason string `json:"reason" maxLength:"2000" doc:"5 to 200 characters; it stands in the audit"`
	}
}

type proposeInput struct {
	Body struct {
		DryRun bool `json:"dry_run,omitempty" doc:"Tell what would go, propose nothing"`
	}
}

type disposalBody struct {
	enrol.Disposal
	Proposer string `json:"proposed_by_name,omitempty" doc:"Of an account"`
	Decider  string `json:"decided_by_name,omitempty"`
}

type disposalOutput struct{ Body disposalBody }

type disposalsOutput struct {
	Body struct {
		Disposals []disposalBody `json:"disposals" doc:"The newest 100, without their items"`
	}
}

type exportInput struct {
	IC   string `path:"ic" maxLength:"64"`
	Body struct {
		Reason string `json:"reason" maxLength:"2000" doc:"The request in writing, 5 to 200 characters; it stands in the audit"`
	}
}

func (s *server) retention(h huma.API) {
	admin := func(id, method, path, summary string, codes ...int) huma.Operation {
		o := op("Retention", id, method, "/v1/admin"+path, summary, codes...)
		o.MaxBodyBytes = maxPersonal
		return o
	}
	const absent, state, entered = http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity
	huma.Register(h, admin("holds", http.MethodGet, "/holds", "Legal holds (JDN, AUDITOR)"), s.holds)
	place := admin("placeHold", http.MethodPost, "/holds", "Keep all about a person or a document from disposal (JDN)", entered)
	place.DefaultStatus = http.StatusCreated
	huma.Register(h, place, s.placeHold)
	lift := admin("liftHold", http.MethodPost, "/holds/{id}/lift", "End a legal hold (JDN)", absent, entered)
	lift.DefaultStatus = http.StatusNoContent
	huma.Register(h, lift, s.liftHold)
	huma.Register(h, admin("disposals", http.MethodGet, "/disposals", "Disposals, proposed and done (JDN, AUDITOR)"), s.disposals)
	propose := admin("proposeDisposal", http.MethodPost, "/disposals", "Propose to destroy all whose time is over (JDN)", entered)
	propose.DefaultStatus = http.StatusCreated
	huma.Register(h, propose, s.proposeDisposal)
	huma.Register(h, admin("disposal", http.MethodGet, "/disposals/{id}", "What would go, or the report of what went (JDN, AUDITOR)", absent), s.disposal)
	huma.Register(h, binary(admin("disposalCSV", http.MethodGet, "/disposals/{id}/csv", "The same as CSV", absent), "text/csv", "The report"), s.disposalCSV)
	huma.Register(h, admin("confirmDisposal", http.MethodPost, "/disposals/{id}/confirm", "Destroy it: by another JDN than proposed it, within ten minutes of a log-in and seven days of the proposal", absent, state), s.confirmDisposal)
	cancel := admin("cancelDisposal", http.MethodPost, "/disposals/{id}/cancel", "Cancel a proposal (JDN)", absent, state)
	cancel.DefaultStatus = http.StatusNoContent
	huma.Register(h, cancel, s.cancelDisposal)

	export := binary(admin("exportOfficer", http.MethodPost, "/officers/{ic}/export", "All that is kept about a person, for a request in writing (JDN)", absent, entered), "application/zip", "ZIP of JSON and CSV")
	huma.Register(h, unkept(export), s.exportOfficer)
	huma.Register(h, binary(op("Me", "exportMe", http.MethodGet, "/v1/me/export", "All that is kept about oneself, within ten minutes of a log-in"), "application/zip", "ZIP of JSON and CSV"), s.exportMe)
}

func (s *server) holds(ctx context.Context, _ *struct{}) (*holdsOutput, error) {
	list, err := s.Kept.Holds(ctx, personOf(ctx).Actor)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out, name := &holdsOutput{}, s.callers(ctx)
	out.Body.Holds = make([]legalHoldBody, len(list))
	for k, h := range list {
		placer, err := name(h.By)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		out.Body.Holds[k] = legalHoldBody{h, placer}
	}
	return out, nil
}

func (s *server) placeHold(ctx context.Context, in *holdInput) (*holdOutput, error) {
	h, err := s.Kept.Hold(ctx, personOf(ctx).Actor, in.Body.IC, in.Body.Reference, in.Body.Reason)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &holdOutput{legalHoldBody{h, personOf(ctx).Account.Name}}, nil
}

func (s *server) liftHold(ctx context.Context, in *liftInput) (*struct{}, error) {
	if err := s.Kept.Lift(ctx, personOf(ctx).Actor, in.ID, in.Body.Reason); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) disposals(ctx context.Context, _ *struct{}) (*disposalsOutput, error) {
	list, err := s.Kept.Disposals(ctx, personOf(ctx).Actor)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out, name := &disposalsOutput{}, s.callers(ctx)
	out.Body.Disposals = make([]disposalBody, len(list))
	for k := range list {
		if out.Body.Disposals[k], err = disposalOut(list[k], name); err != nil {
			return nil, s.fail(ctx, err)
		}
	}
	return out, nil
}

func (s *server) proposeDisposal(ctx context.Context, in *proposeInput) (*disposalOutput, error) {
	return s.disposed(ctx)(s.Kept.Propose(ctx, personOf(ctx).Actor, in.Body.DryRun))
}

func (s *server) disposal(ctx context.Context, in *keptInput) (*disposalOutput, error) {
	return s.disposed(ctx)(s.Kept.Disposal(ctx, personOf(ctx).Actor, in.ID))
}

func (s *server) confirmDisposal(ctx context.Context, in *keptInput) (*disposalOutput, error) {
	// What is confirmed is done though the browser has gone.
	p := personOf(ctx)
	return s.disposed(ctx)(s.Kept.Confirm(context.WithoutCancel(ctx), p.Actor, in.ID, s.Accounts.Fresh(p) == nil))
}

func (s *server) disposed(ctx context.Context) func(enrol.Disposal, error) (*disposalOutput, error) {
	return func(d enrol.Disposal, err error) (*disposalOutput, error) {
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		b, err := disposalOut(d, s.callers(ctx))
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &disposalOutput{b}, nil
	}
}

func disposalOut(d enrol.Disposal, name callers) (b disposalBody, err error) {
	d.Items = append([]enrol.DisposalEntry{}, d.Items...)
	b.Disposal = d
	if b.Proposer, err = name(d.ProposedBy); err == nil {
		b.Decider, err = name(d.DecidedBy)
	}
	return b, err
}

func (s *server) disposalCSV(ctx context.Context, in *keptInput) (*huma.StreamResponse, error) {
	d, err := s.Kept.Disposal(ctx, personOf(ctx).Actor, in.ID)
	var out bytes.Buffer
	if err == nil {
		err = d.WriteCSV(&out)
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return attached(out.Bytes(), reportTypes["csv"], d.ID, ".csv"), nil
}

func (s *server) cancelDisposal(ctx context.Context, in *keptInput) (*struct{}, error) {
	if err := s.Kept.Cancel(ctx, personOf(ctx).Actor, in.ID); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

// attached is a file that a browser saves.
func attached(content []byte, kind, name, suffix string) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", kind)
		hc.SetHeader("Cache-Control", "no-store")
		hc.SetHeader("Content-Disposition", attachment(name, suffix))
		_, _ = hc.BodyWriter().Write(content) // the client is gone if this fails
	}}
}

func (s *server) exportOfficer(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
	if _, err := mykad.Parse(in.IC); err != nil {
		return nil, s.fail(ctx, badIC("ic"))
	}
	p := personOf(ctx)
	return s.export(ctx, p.Actor, in.IC, in.Body.Reason, s.Accounts.Fresh(p) == nil)
}

func (s *server) exportMe(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	// As an officer: what the person is appointed to is no ground here.
	p := personOf(ctx)
	return s.export(ctx, enrol.Actor{Name: p.Actor.Name, IC: p.Account.IC, Request: p.Actor.Request}, p.Account.IC, "", s.Accounts.Fresh(p) == nil)
}

func (s *server) export(ctx context.Context, by enrol.Actor, ic, reason string, fresh bool) (*huma.StreamResponse, error) {
	subject, err := s.Desk.Export(ctx, s.Subject, by, ic, reason, fresh)
	var out bytes.Buffer
	if err == nil {
		err = subject.Write(ctx, &out)
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return attached(out.Bytes(), "application/zip", "mohor-data", ".zip"), nil
}
