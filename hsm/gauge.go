package hsm

import (
	"context"
	"fmt"

	"github.com/miekg/pkcs11"
)

// Gauge is how much of a token is in use, and what it says it is.
type Gauge struct {
	Sessions, Free       int   // that it gives us, and those that nobody holds
	BulkPlaces, BulkUsed int   // of Sessions, for keys opened with Use.Bulk
	Derivations          int   // of PINs, under way
	Refused              int64 // who found no session in time, since the token was opened
	Opened, RecycleAfter int64 // keys, since the module was initialised, and after how many it is again
	Generation           int   // see [Module.Generation]
	Manufacturer, Model  string
	Hardware, Firmware   string // "major.minor" of the token
	Library              string // the module's own name and version
}

// Gauge looks at the present link. It takes no session, and asks the module what it knows by heart.
func (m *Module) Gauge(ctx context.Context) (Gauge, error) {
	if err := ctx.Err(); err != nil {
		return Gauge{}, err
	}
	l, err := m.use()
	if err != nil {
		return Gauge{}, err
	}
	p := l.pool
	g := Gauge{Sessions: cap(p.free), Free: len(p.free), BulkPlaces: cap(p.bulk), BulkUsed: len(p.bulk), Refused: p.refused.Load(),
		Opened: l.opened.Load(), RecycleAfter: int64(m.cfg.RecycleAfter), Generation: m.Generation()}
	m.waits.mu.Lock()
	g.Derivations = m.waits.n
	m.waits.mu.Unlock()
	about, err := l.about(ctx)
	if err != nil {
		return g, err
	}
	g.Manufacturer, g.Model, g.Hardware, g.Firmware, g.Library = about.Manufacturer, about.Model, about.Hardware, about.Firmware, about.Library
	return g, nil
}

// about asks the module once for each link what it is, from within the pool: a call that hangs is
// seen, and none is made beneath the end of a link.
func (l *link) about(ctx context.Context) (Gauge, error) {
	l.mu.Lock()
	known := l.said
	l.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	var g Gauge
	err := l.pool.do(ctx, func(*session) error {
		t, err := l.p11.GetTokenInfo(l.slot)
		if err != nil {
			return fmt.Errorf("asking the token what it is: %w", err)
		}
		i, err := l.p11.GetInfo()
		if err != nil {
			return fmt.Errorf("asking the module what it is: %w", err)
		}
		g.Manufacturer, g.Model, g.Hardware, g.Firmware = t.ManufacturerID, t.Model, version(t.HardwareVersion), version(t.FirmwareVersion)
		g.Library = i.LibraryDescription + " " + version(i.LibraryVersion)
		return nil
	})
	if err == nil {
		l.mu.Lock()
		l.said = &g
		l.mu.Unlock()
	}
	return g, err
}

func version(v pkcs11.Version) string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Gauge is [Module.Gauge].
func (p *Process) Gauge(ctx context.Context) (Gauge, error) {
	var reply wireGauge
	if err := p.ask(ctx, "Gauge", &wireNothing{}, &reply, &reply.Err); err != nil {
		return Gauge{}, err // the answer may still come, and be written into reply
	}
	return reply.Gauge, nil
}

// Gauge is [Module.Gauge].
func (d *desk) Gauge(_ *wireNothing, reply *wireGauge) error {
	return d.run(&reply.Err, func(ctx context.Context, m *Module) (err error) {
		reply.Gauge, err = m.Gauge(ctx)
		return err
	})
}
