package gateway

import (
	"context"
	"time"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/internal/timewatch"
)

// TokenPIN reads the token PIN from where c says.
func TokenPIN(c *Config) (secret.Text, error) { return c.Token.pin() }

// Greet goes to a mail server as far as a mail would.
func Greet(ctx context.Context, m MailConfig, address string) error { return greet(ctx, m, address) }

// QuartilesOf and SlopeOf are the arithmetic of reports.
var (
	QuartilesOf  = quartiles
	SlopeOf      = slope
	BenchIC      = benchIC
	Welch        = welch
	CompareTimes = compareTimes
)

// Judge fills in whether a row keeps its target.
func Judge(r *BenchRow) { r.judge() }

// Templates reads the templates of a configuration.
var Templates = (*Config).templates

// RenderConfig is the file that init writes, ChannelsOf the policy of a system.
var (
	RenderConfig = renderConfig
	ChannelsOf   = (*ChannelConfig).of
)

// Deliver empties the outbox of notices, as far as they are due.
func Deliver(ctx context.Context, s *Server) error {
	for {
		if ok, err := s.postman.Once(ctx); !ok || err != nil {
			return err
		}
	}
}

// OpenDKIM reads the key of mail.dkim.
func OpenDKIM(c DKIMConfig) error {
	_, err := c.open()
	return err
}

// WatchTime has another clock watched for time-stamps, and what looks at it once.
func WatchTime(s *Server, read func() timewatch.Reading) (poll func(context.Context)) {
	s.watchTime(read)
	return s.time.Poll
}

// PublisherStep does once what a serving gateway does about CRLs and revocations to
// come, and says when it would again.
func PublisherStep(ctx context.Context, s *Server) time.Duration { return s.publisher.step(ctx) }

// PersonalKey is the key of what a gateway's database holds of people.
func PersonalKey(ctx context.Context, s *Server) ([]byte, error) {
	return personalKey(ctx, s.db, s.hsm)
}
