package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/web/joining"
)

// disowner is joining.Disowner on the signer; it tells the log. The audit event and
// the notices of mail.alarm_to, written with the deed, are the alarm that lasts.
type disowner struct {
	signer *signer.Signer
	log    *slog.Logger
}

// Asked implements joining.Disowner.
func (d *disowner) Asked(ctx context.Context, token string) (joining.Asked, error) {
	r, at, err := d.signer.Asked(ctx, secret.New(token))
	if err != nil {
		return joining.Asked{}, unlinked(err)
	}
	return asked(r, at), nil
}

// Disown implements joining.Disowner.
func (d *disowner) Disown(ctx context.Context, token, requestID string) (joining.Asked, error) {
	r, at, err := d.signer.Disown(ctx, secret.New(token), requestID)
	if err != nil {
		return joining.Asked{}, unlinked(err)
	}
	level, message := slog.LevelWarn, "an officer says: this was not me; nothing was signed"
	if r.Confirmed() {
		level, message = slog.LevelError, "an officer says: this was not me, and PIN and code were accepted; revoke the certificate"
	}
	d.log.Log(ctx, level, message, "request_id", requestID, "transaction", r.ID, "status", string(r.Status), "app", r.App, "system", r.System,
		"credential", r.Credential, "count", r.Count, "fingerprint", signer.Fingerprint(r.Root))
	return asked(r, at), nil
}

func asked(r *signer.Request, at time.Time) joining.Asked {
	a := joining.Asked{System: r.SystemName, Count: int(r.Count), Fingerprint: signer.Fingerprint(r.Root), SentAt: at, State: joining.AskedEnded}
	switch {
	case r.Confirmed():
		a.State = joining.AskedConfirmed
	case r.Status == signer.Waiting:
		a.State = joining.AskedWaiting
	}
	return a
}

func unlinked(err error) error {
	if errors.Is(err, signer.ErrUnknown) {
		return joining.ErrUnknown
	}
	return err
}

// confirmer is joining.Confirmer on the desk.
type confirmer struct{ desk *enrol.Desk }

// ConfirmAddress implements joining.Confirmer.
func (c confirmer) ConfirmAddress(ctx context.Context, token, requestID string) error {
	_, err := c.desk.Confirm(ctx, secret.New(token), requestID)
	if errors.Is(err, enrol.ErrLink) {
		return joining.ErrUnknown
	}
	return err
}
