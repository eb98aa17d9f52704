package audit

import (
	"context"
	"maps"
	"sync/atomic"
)

// Origin is where a request came from. Whoever stores events adds it to each that is written
// in the request's context, and so knows afterwards whether there was one.
type Origin struct {
	Address  string // of the client, as the gateway sees it
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

// From is ev with the address of the request of ctx as detail "address"; ev itself where there
// is no request.
func (ev Event) From(ctx context.Context) Event {
	o := OriginOf(ctx)
	if o == nil {
		return ev
	}
	o.recorded.Store(true)
	if o.Address != "" {
		if ev.Detail = maps.Clone(ev.Detail); ev.Detail == nil {
			ev.Detail = map[string]string{}
		}
		ev.Detail["address"] = o.Address
	}
	return ev
}

// Recorded says whether an event of the request was written, or tried to be.
func (o *Origin) Recorded() bool { return o.recorded.Load() }
