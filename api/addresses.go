package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
)

type addressBody struct {
	ID      string     `json:"change_id"`
	State   string     `json:"state" enum:"PENDING,DONE,CANCELLED,EXPIRED"`
	Old     string     `json:"old_email" doc:"Where codes go until both have confirmed"`
	New     string     `json:"new_email"`
	AskedAt time.Time  `json:"asked_at"`
	Until   time.Time  `json:"until"`
	OldAt   *time.Time `json:"old_confirmed_at,omitempty"`
	NewAt   *time.Time `json:"new_confirmed_at,omitempty"`
	OldMail string     `json:"old_reply,omitempty" doc:"What the mail server said when it did not take the link"`
	NewMail string     `json:"new_reply,omitempty"`
}

type addressesOutput struct {
	Body struct {
		Changes []addressBody `json:"changes" doc:"The newest first"`
	}
}

type addressOutput struct{ Body addressBody }

type myAddressInput struct {
	Body struct {
		Email string `json:"email" maxLength:"254"`
	}
}

type addressInput struct {
	IC   string `path:"ic" maxLength:"12"`
	Body struct {
		Email string `json:"email" maxLength:"254"`
	}
}

type vouchInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Reason string `json:"reason" minLength:"5" maxLength:"200" doc:"How the officer's identity was proved; it stands in the audit"`
	}
}

// addresses are changes of the address that codes go to.
func (s *server) addresses(h huma.API) {
	mine := func(id, method, path, summary string) huma.Operation {
		return administer("Me", id, method, path, summary)
	}
	huma.Register(h, mine("myAddress", http.MethodGet, "/v1/me/email", "Changes of the own address"), func(ctx context.Context, _ *struct{}) (*addressesOutput, error) {
		return s.addressesOf(ctx, personOf(ctx).Account.IC)
	})
	ask := mine("changeMyAddress", http.MethodPost, "/v1/me/email", "Ask for another address: a link goes to the old and to the new one")
	ask.DefaultStatus = http.StatusAccepted
	huma.Register(h, ask, func(ctx context.Context, in *myAddressInput) (*addressOutput, error) {
		return s.changeAddress(ctx, personOf(ctx).Account.IC, in.Body.Email)
	})
	stop := mine("cancelMyAddress", http.MethodDelete, "/v1/me/email/{id}", "Cancel a change of the own address")
	stop.DefaultStatus = http.StatusNoContent
	huma.Register(h, stop, s.cancelAddress)
	const tag = "Administrators"
	huma.Register(h, administer(tag, "addresses", http.MethodGet, "/v1/admin/officers/{ic}/email", "Changes of an officer's address"), func(ctx context.Context, in *icInput) (*addressesOutput, error) {
		return s.addressesOf(ctx, in.IC)
	})
	admin := administer(tag, "changeAddress", http.MethodPost, "/v1/admin/officers/{ic}/email", "Ask for another address for an officer: both addresses confirm")
	admin.DefaultStatus = http.StatusAccepted
	huma.Register(h, admin, func(ctx context.Context, in *addressInput) (*addressOutput, error) {
		return s.changeAddress(ctx, in.IC, in.Body.Email)
	})
	vouch := administer(tag, "vouchAddress", http.MethodPost, "/v1/admin/address-changes/{id}/vouch", "Confirm in the place of a dead old address; not by who asked")
	vouch.DefaultStatus = http.StatusNoContent
	huma.Register(h, vouch, s.vouchAddress)
	end := administer(tag, "cancelAddress", http.MethodDelete, "/v1/admin/address-changes/{id}", "Cancel a change of an officer's address")
	end.DefaultStatus = http.StatusNoContent
	huma.Register(h, end, s.cancelAddress)
}

func addressOut(c *enrol.AddressChange) addressBody {
	return addressBody{c.ID, c.State, c.Old, c.New, c.AskedAt.UTC(), c.Until.UTC(), when(c.OldAt), when(c.NewAt), c.OldReply, c.NewReply}
}

func (s *server) addressesOf(ctx context.Context, ic string) (*addressesOutput, error) {
	list, err := s.Desk.AddressChanges(ctx, personOf(ctx).Actor, ic)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &addressesOutput{}
	out.Body.Changes = []addressBody{}
	for _, c := range list {
		out.Body.Changes = append(out.Body.Changes, addressOut(&c))
	}
	return out, nil
}

func (s *server) changeAddress(ctx context.Context, ic, email string) (*addressOutput, error) {
	c, err := s.Desk.ChangeAddress(ctx, personOf(ctx).Actor, ic, email)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &addressOutput{addressOut(&c)}, nil
}

func (s *server) vouchAddress(ctx context.Context, in *vouchInput) (*struct{}, error) {
	if err := s.Desk.Vouch(ctx, personOf(ctx).Actor, in.ID, in.Body.Reason); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) cancelAddress(ctx context.Context, in *byIDInput) (*struct{}, error) {
	if err := s.Desk.CancelAddressChange(ctx, personOf(ctx).Actor, in.ID); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}
