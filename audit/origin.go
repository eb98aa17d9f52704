package audit

import (
	"context"
	"maps"
	"sync/atomic"
)

// Origin is where a request came from. Whoever stores events adds it to each that is written
// in the request's context, and so knows afterwards whether there was one of the request.
type Origin struct {
	Address string // of the client, as the gateway sees it
	// Credential is the id of what an app proved itself with, set before anything is done for
	// it; "" for all others.
	Credential string
	// Person is "account:" and the account of somebody who acts as the own app; "" for all others.
	Person   string
	recorded atomic.Bool
}

type originKey struct{}

// WithOrigin is ctx for what a request does.
func WithOrigin(ctx context.Context, o *Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginOf is where the request of ctx came from; nil where there is none.
func OriginOf(ctx context.Context) *Origin {
	o, _ := ctx.Value(originKey{}).(*Origin)
	return o
}

// From is ev with where the request of ctx came from, as details "address", "app_credential" and
// "person"; ev itself where there is no request.
func (ev Event) From(ctx context.Context) Event {
	o := OriginOf(ctx)
	if o == nil {
		return ev
	}
	if ev.RequestID != "" { // others tell of what the request came upon, not of who asked
		o.recorded.Store(true)
	}
	if ev.Detail = maps.Clone(ev.Detail); ev.Detail == nil {
		ev.Detail = map[string]string{}
	}
	for name, v := range map[string]string{"address": o.Address, "app_credential": o.Credential, "person": o.Person} {
		if v != "" {
			ev.Detail[name] = v
		}
	}
	return ev
}

// Recorded says whether an event that carries the request's id was written, or tried to be.
func (o *Origin) Recorded() bool { return o.recorded.Load() }
