package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
)

type webhookOf struct {
	App string `path:"id" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$"`
}

type setWebhookInput struct {
	App  string `path:"id" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$"`
	Body struct {
		URL     string `json:"url,omitempty" maxLength:"2000" doc:"https://host/path; without it, where events go already" example:"https://igfmas.example.gov.my/mohor"`
		Overlap *int   `json:"overlap_hours,omitempty" minimum:"0" maximum:"168" default:"24" doc:"How long the secret before stays good; 0 when somebody else may know it"`
	}
}

type webhookSecretOutput struct {
	Body struct {
		URL    string `json:"url"`
		Secret string `json:"secret" doc:"The key of the signatures, shown this once" example:"mwh_…"`
	}
}

type webhookOutput struct{ Body enrol.Webhook }

type testWebhookOutput struct {
	Body struct {
		Event string `json:"event_id" doc:"See deliveries for what became of it"`
	}
}

type deliveriesInput struct {
	App   string `path:"id" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$"`
	State string `query:"state" enum:"PENDING,DELIVERED,DEAD,DROPPED" doc:"Of one state"`
	After string `query:"after" maxLength:"64" pattern:"^[A-Za-z0-9_-]*$" doc:"Behind this event: the last one of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

type deliveriesOutput struct {
	Body struct {
		Deliveries []enrol.Delivery `json:"deliveries" doc:"The newest first"`
	}
}

type redeliverInput struct {
	App   string `path:"id" maxLength:"32" pattern:"^[A-Za-z0-9_-]+$"`
	Event string `path:"event" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$"`
}

func (s *server) webhooks(h huma.API) {
	admin := func(id, method, path, summary string, codes ...int) huma.Operation {
		o := op("Administration", id, method, "/v1/admin/apps/{id}"+path, summary, append([]int{http.StatusNotFound}, codes...)...)
		o.MaxBodyBytes = maxPersonal
		return o
	}
	huma.Register(h, admin("webhook", http.MethodGet, "/webhook", "Where an app's events go (JDN, SAP of its systems, AUDITOR)"), s.webhook)
	huma.Register(h, unkept(admin("setWebhook", http.MethodPost, "/webhook", "Have an app's events sent to an address, and make another secret, which is shown once; within ten minutes of a log-in (JDN, SAP)", http.StatusUnprocessableEntity)), s.setWebhook)
	drop := admin("dropWebhook", http.MethodDelete, "/webhook", "End an app's events; those that wait are dropped; within ten minutes of a log-in (JDN, SAP)")
	drop.DefaultStatus = http.StatusNoContent
	huma.Register(h, drop, s.dropWebhook)
	test := admin("testWebhook", http.MethodPost, "/webhook/test", "Send a webhook.ping (JDN, SAP)")
	test.DefaultStatus = http.StatusAccepted
	huma.Register(h, test, s.testWebhook)
	huma.Register(h, admin("deliveries", http.MethodGet, "/deliveries", "An app's events, and what became of each (JDN, SAP, AUDITOR)"), s.deliveries)
	again := admin("redeliver", http.MethodPost, "/deliveries/{event}/redeliver", "Send an event once more, with the same id (JDN, SAP)")
	again.DefaultStatus = http.StatusAccepted
	huma.Register(h, again, s.redeliver)
}

func (s *server) webhook(ctx context.Context, in *webhookOf) (*webhookOutput, error) {
	h, err := s.Webhooks.Webhook(ctx, personOf(ctx).Actor, in.App)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &webhookOutput{h}, nil
}

func (s *server) setWebhook(ctx context.Context, in *setWebhookInput) (*webhookSecretOutput, error) {
	overlap := enrol.WebhookOverlap
	if in.Body.Overlap != nil {
		overlap = time.Duration(*in.Body.Overlap) * time.Hour
	}
	url, secret, err := s.Webhooks.Set(ctx, personOf(ctx).Actor, in.App, in.Body.URL, overlap)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	defer secret.Wipe()
	out := &webhookSecretOutput{}
	out.Body.URL, out.Body.Secret = url, string(secret.Reveal())
	return out, nil
}

func (s *server) dropWebhook(ctx context.Context, in *webhookOf) (*struct{}, error) {
	if err := s.Webhooks.Drop(ctx, personOf(ctx).Actor, in.App); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) testWebhook(ctx context.Context, in *webhookOf) (*testWebhookOutput, error) {
	event, err := s.Webhooks.Test(ctx, personOf(ctx).Actor, in.App)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &testWebhookOutput{}
	out.Body.Event = event
	return out, nil
}

func (s *server) deliveries(ctx context.Context, in *deliveriesInput) (*deliveriesOutput, error) {
	list, err := s.Webhooks.Deliveries(ctx, personOf(ctx).Actor, in.App, in.State, in.After, in.Limit)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &deliveriesOutput{}
	out.Body.Deliveries = append([]enrol.Delivery{}, list...)
	return out, nil
}

func (s *server) redeliver(ctx context.Context, in *redeliverInput) (*testWebhookOutput, error) {
	if err := s.Webhooks.Redeliver(ctx, personOf(ctx).Actor, in.App, in.Event); err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &testWebhookOutput{}
	out.Body.Event = in.Event
	return out, nil
}
