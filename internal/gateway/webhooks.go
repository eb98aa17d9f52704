package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/dialguard"
	"github.com/mohor-sign/mohor/notify"
)

// receivers is where events may go: in a sandbox to this machine, too, where the app that
// is being written is.
func (i *Installation) receivers() *dialguard.Config {
	g := &dialguard.Config{Networks: i.Config.Outbound.Networks, Hosts: i.Config.Outbound.Hosts, TLS: &tls.Config{MinVersion: tls.VersionTLS12}}
	if i.Sandbox {
		g.Networks = append([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, g.Networks...)
	}
	return g
}

// webhookMAC is behind the secrets of webhooks.
func (i *Installation) webhookMAC() enrol.MAC { return macKey{i.hsm, hsm.IntentKey} }

// Webhooks decides where apps' events go.
func (i *Installation) Webhooks() *enrol.Webhooks {
	return &enrol.Webhooks{Records: i.db, MAC: i.webhookMAC(), Check: i.checkReceiver, Now: i.now}
}

func (i *Installation) checkReceiver(url string) error {
	return i.receivers().CheckURL(url, i.Sandbox)
}

// deliverer delivers events.
func (s *Server) deliverer() *notify.Webhooks {
	return &notify.Webhooks{Outbox: s.db, HTTP: dialguard.New(*s.receivers()), Check: s.checkReceiver, MAC: s.webhookMAC(), Agent: "Mohor/" + Version, Now: s.now, Log: s.log}
}

// expireOverdue ends what nobody confirmed in time.
func (s *Server) expireOverdue(ctx context.Context) error {
	for {
		_, more, err := s.db.ExpireOverdue(ctx, s.now())
		if err != nil {
			return fmt.Errorf("ending what was not confirmed in time: %w", err)
		}
		if !more {
			return nil
		}
	}
}
