package gateway

import (
	"context"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/ca"
)

// Revoke revokes a certificate for good, see [ca.Authorities.Revoke].
func (i *Installation) Revoke(ctx context.Context, actor, serial string, reason int) error {
	return i.ca.Revoke(ctx, actor, serial, reason)
}

// Suspend puts an officer's certificate on hold, see [ca.Authorities.Suspend].
func (i *Installation) Suspend(ctx context.Context, actor, serial, why string) error {
	return i.ca.Suspend(ctx, actor, serial, why)
}

// Release ends a suspension, see [ca.Authorities.Release].
func (i *Installation) Release(ctx context.Context, actor, serial, why string) error {
	return i.ca.Release(ctx, actor, serial, why)
}

// Schedule has the running gateway revoke a certificate at a time to come, see
// [ca.Authorities.Schedule].
func (i *Installation) Schedule(ctx context.Context, actor, serial string, reason int, at time.Time) error {
	return i.ca.Schedule(ctx, actor, serial, reason, at)
}

// Unschedule ends that; ca.ErrUnknown when nothing is scheduled.
func (i *Installation) Unschedule(ctx context.Context, actor, serial string) error {
	return i.ca.Unschedule(ctx, actor, serial)
}

// Scheduled lists at most limit revocations to come, the next ones first.
func (i *Installation) Scheduled(ctx context.Context, limit int) ([]ca.Scheduled, error) {
	return i.ca.ScheduledUntil(ctx, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), limit)
}

// OfAuthority says whether a certificate is one of a CA or a unit, whose key stays in the
// token; false when that is not known.
func (i *Installation) OfAuthority(ctx context.Context, serial string) bool {
	row, err := i.db.CertificateBySerial(ctx, serial)
	return err == nil && strings.HasPrefix(row.Credential, "authority:")
}
