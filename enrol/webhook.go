package enrol

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// What is done about an app's webhook.
const (
	SetWebhook  Action = "app.webhook"      // address and secret
	DropWebhook Action = "app.webhook.drop" // no events any more
	TestWebhook Action = "app.webhook.test"
	Redeliver   Action = "app.webhook.redeliver"
	SeeWebhook  Action = "app.webhook.read"
)

// States of an event.
const (
	EventPending   = "PENDING"
	EventDelivered = "DELIVERED" // the receiver answered with 2xx
	EventDead      = "DEAD"      // the last try failed; it can be delivered again by hand
	EventDropped   = "DROPPED"   // the webhook was removed before
)

// WebhookPing is the type of the event that a test sends; its data is empty.
const WebhookPing = "webhook.ping"

// How long the secret before stays good: by default, and at most.
const (
	WebhookOverlap    = 24 * time.Hour
	MaxWebhookOverlap = 7 * 24 * time.Hour
)

// generationSize is how many random bytes a generation of the secret has. A counter would
// repeat itself on a database put back from a backup, and with it a secret that was
// given up.
const generationSize = 16

// WebhookSecret makes the secret of an app for a generation, "mwh_" and 52 characters: the
// whole text is the key. It is stored nowhere; the key behind mac is in the HSM.
func WebhookSecret(ctx context.Context, mac MAC, app string, generation []byte) (secret.Text, error) {
	key, err := mac.MAC(ctx, fmt.Appendf(nil, "mohor webhook secret v1\n%s\n%x", app, generation))
	if err != nil {
		return secret.Text{}, err
	}
	defer clear(key)
	e := base32.StdEncoding.WithPadding(base32.NoPadding)
	return secret.NewBytes([]byte("mwh_" + strings.ToLower(e.EncodeToString(key)))), nil
}

// Webhook is where an app's events go.
type Webhook struct {
	URL      string     `json:"url"`
	SetAt    time.Time  `json:"set_at"`                     // with the secret that is good now
	OldUntil *time.Time `json:"old_secret_until,omitempty"` // the one before is good until then
}

// Delivery is an event and what became of it. What a receiver answered is not kept, but
// for its status.
type Delivery struct {
	ID        string     `json:"event_id"`
	Type      string     `json:"type"`
	Object    string     `json:"object"` // a transaction or a credential
	CreatedAt time.Time  `json:"created_at"`
	State     string     `json:"state" enum:"PENDING,DELIVERED,DEAD,DROPPED"`
	Tries     int        `json:"tries"`
	Status    int        `json:"last_status,omitempty"` // HTTP, of the last try
	Why       string     `json:"last_error,omitempty" enum:"status,timeout,name,address,tls,connection"`
	TriedAt   *time.Time `json:"last_tried_at,omitempty"`
	NextAt    *time.Time `json:"next_try_at,omitempty"`
}

// WebhookRecords keeps webhooks and their events. Each change is durable, with its event
// of the audit, when it returns nil.
type WebhookRecords interface {
	recorder
	AppByID(ctx context.Context, id string) (App, error)
	// Webhook is ErrUnknown when the app has none.
	Webhook(ctx context.Context, app string) (Webhook, error)
	// SetWebhook stores the address and another generation of the secret; the one before is
	// good until a time, or no more if that is zero.
	SetWebhook(ctx context.Context, app, address string, generation []byte, oldUntil time.Time, ev audit.Event) error
	// DropWebhook is ErrUnknown when there is none. What is not delivered is dropped.
	DropWebhook(ctx context.Context, app string, ev audit.Event) error
	// AddEvent puts an event into the outbox; ErrUnknown when the app has no webhook.
	AddEvent(ctx context.Context, app, id, kind string, data json.RawMessage, ev audit.Event) error
	// Redeliver makes an event due as if it were new; ErrUnknown when the app has no such
	// event, or no webhook.
	Redeliver(ctx context.Context, app, event string, ev audit.Event) error
	// Deliveries are an app's events, the newest first, behind the one with the id after
	// unless that is "". state is "" for all.
	Deliveries(ctx context.Context, app, state, after string, limit int) ([]Delivery, error)
}

// Webhooks is where it is decided who has an app's events sent where: JDN; and the SAP of
// all its systems where they go already, for a change of the app awaits a second person. All fields are required.
type Webhooks struct {
	Records WebhookRecords
	MAC     MAC
	// Check is an error for an address that no event may go to.
	Check func(url string) error
	Now   func() time.Time
}

// Set has an app's events sent to an address, or where they go already for "", under a new secret,
// which is returned behind the address and shown once. The secret before stays good for overlap, 0 to MaxWebhookOverlap.
func (w *Webhooks) Set(ctx context.Context, a Actor, app, address string, overlap time.Duration) (string, secret.Text, error) {
	x, ev, err := w.decide(ctx, a, SetWebhook, app)
	if err != nil {
		return "", secret.Text{}, err
	}
	if address == "" {
		address = x.Webhook
	}
	if address != x.Webhook && ev.Detail["by"] == string(SAP) {
		return "", secret.Text{}, refuse(ctx, w.Records, ev, refusal("webhook_registered", ErrForbidden))
	}
	if w.Check(address) != nil {
		return "", secret.Text{}, refuse(ctx, w.Records, ev, entered("webhook_invalid", "url", "alamat webhook mesti https://hos/laluan yang boleh dicapai dari luar, tanpa pengguna, port 443 atau 1024 ke atas",
			"the webhook's address must be https://host/path that can be reached from outside, without a user, with port 443 or one from 1024"))
	}
	if overlap < 0 || overlap > MaxWebhookOverlap {
		return "", secret.Text{}, refuse(ctx, w.Records, ev, entered("webhook_invalid", "overlap_hours", "rahsia lama boleh sah selama 0 hingga 168 jam lagi", "the old secret may be good for 0 to 168 hours more"))
	}
	generation := make([]byte, generationSize)
	_, _ = rand.Read(generation) // crypto/rand never fails (it ends the process)
	s, err := WebhookSecret(ctx, w.MAC, app, generation)
	if err != nil {
		return "", secret.Text{}, fmt.Errorf("making the secret of a webhook: %w", err)
	}
	until := time.Time{}
	if overlap > 0 {
		until = ev.At.Add(overlap)
	}
	ev.Detail["overlap"] = overlap.String()
	noteWebhook(&ev, address)
	if err := w.Records.SetWebhook(ctx, app, address, generation, until, ev); err != nil {
		return "", secret.Text{}, fmt.Errorf("storing webhook: %w", err)
	}
	return address, s, nil
}

// noteWebhook puts into the audit where events go: the host, and the rest as a hash alone, for
// there may be a receiver's own secret in it.
func noteWebhook(ev *audit.Event, address string) {
	if u, err := url.Parse(address); err == nil && address != "" {
		sum := sha256.Sum256([]byte(address))
		ev.Detail["webhook_sha256"] = hex.EncodeToString(sum[:])
		ev.Tell("webhook_host", u.Host)
	}
}

// Drop ends an app's events; both secrets are good no more.
func (w *Webhooks) Drop(ctx context.Context, a Actor, app string) error {
	_, ev, err := w.decide(ctx, a, DropWebhook, app)
	if err != nil {
		return err
	}
	return w.found(ctx, ev, w.Records.DropWebhook(ctx, app, ev))
}

// Test sends an event of type [WebhookPing]; its id is returned, and Deliveries say what
// became of it.
func (w *Webhooks) Test(ctx context.Context, a Actor, app string) (event string, err error) {
	_, ev, err := w.decide(ctx, a, TestWebhook, app)
	if err != nil {
		return "", err
	}
	event = ident.New("ev", 16)
	ev.Detail["event"] = event
	return event, w.found(ctx, ev, w.Records.AddEvent(ctx, app, event, WebhookPing, json.RawMessage(`{}`), ev))
}

// Redeliver sends an event of the app once more, whatever became of it.
func (w *Webhooks) Redeliver(ctx context.Context, a Actor, app, event string) error {
	_, ev, err := w.decide(ctx, a, Redeliver, app)
	if err != nil {
		return err
	}
	ev.Detail["event"] = event
	return w.found(ctx, ev, w.Records.Redeliver(ctx, app, event, ev))
}

// Webhook says where an app's events go.
func (w *Webhooks) Webhook(ctx context.Context, a Actor, app string) (Webhook, error) {
	_, ev, err := w.decide(ctx, a, SeeWebhook, app)
	if err != nil {
		return Webhook{}, err
	}
	h, err := w.Records.Webhook(ctx, app)
	return h, w.found(ctx, ev, err)
}

// Deliveries lists an app's events: see [WebhookRecords].
func (w *Webhooks) Deliveries(ctx context.Context, a Actor, app, state, after string, limit int) ([]Delivery, error) {
	if _, _, err := w.decide(ctx, a, SeeWebhook, app); err != nil {
		return nil, err
	}
	return w.Records.Deliveries(ctx, app, state, after, limit)
}

// found records a refusal of what is not there.
func (w *Webhooks) found(ctx context.Context, ev audit.Event, err error) error {
	if errors.Is(err, ErrUnknown) {
		return refuse(ctx, w.Records, ev, refusal("not_found", ErrUnknown))
	}
	return err
}

// decide reads an app and decides; who may do that with none is not told which there are.
func (w *Webhooks) decide(ctx context.Context, a Actor, act Action, app string) (App, audit.Event, error) {
	x, err := program(w.Records.AppByID(ctx, app))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return App{}, audit.Event{}, fmt.Errorf("reading app: %w", err)
	}
	ev, no := decideApp(ctx, w.Records, w.Now(), a, act, app, &x)
	if no != nil {
		return App{}, ev, no
	}
	if err == nil && x.State == AppEnded && act != SeeWebhook && act != DropWebhook {
		return App{}, ev, refuse(ctx, w.Records, ev, refusal("app_ended", ErrState)) // nothing would be delivered
	}
	return x, ev, w.found(ctx, ev, err)
}
