package audit_test

import (
	"context"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/audit"
)

// An event says where its request came from and by which credential; only one that carries the
// request's id is the request's own.
func TestEventsSayWhereTheyCameFrom(t *testing.T) {
	o := &audit.Origin{Address: "192.0.2.7", Credential: "ak_1"}
	ctx := audit.WithOrigin(context.Background(), o)
	detail := map[string]string{"why": "x"}
	ev := audit.Event{Actor: "gateway", Action: "transaction.expire", Detail: detail}.From(ctx)
	if ev.Detail["address"] != "192.0.2.7" || ev.Detail["app_credential"] != "ak_1" || ev.Detail["why"] != "x" || len(detail) != 1 || o.Recorded() {
		t.Errorf("of the gateway: %+v, recorded %v, %v", ev, o.Recorded(), detail)
	}
	if ev = (audit.Event{RequestID: "r"}).From(ctx); !o.Recorded() || ev.Detail["app_credential"] != "ak_1" {
		t.Errorf("of the request: %+v, recorded %v", ev, o.Recorded())
	}
	if ev = (audit.Event{RequestID: "r"}).From(audit.WithOrigin(ctx, &audit.Origin{Address: "::1"})); len(ev.Detail) != 1 {
		t.Errorf("of nobody: %+v", ev)
	}
	if ev = (audit.Event{RequestID: "r"}).From(context.Background()); ev.Detail != nil {
		t.Errorf("of no request: %+v", ev)
	}
}

// What Tell puts into an event is in its record whole.
func TestTellHidesNothing(t *testing.T) {
	for _, text := range []string{"", "a", strings.Repeat("é", 200), strings.Repeat("é", 201), strings.Repeat("0123456789", 60) + "end"} {
		ev := audit.Event{Detail: map[string]string{}}
		ev.Tell("uris", text)
		r := audit.Next(0, [32]byte{}, nil, ev)
		got := r.Detail["uris"]
		for _, more := range []string{"uris.2", "uris.3", "uris.4"} {
			got += r.Detail[more]
		}
		if want := max(1, (len([]rune(text))+199)/200); got != text || len(r.Detail) != want {
			t.Errorf("%d of %d bytes in %d details, want %d", len(got), len(text), len(r.Detail), want)
		}
	}
}
