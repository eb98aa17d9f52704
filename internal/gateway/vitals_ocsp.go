package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/health"
)

// responders: our OCSP responder answers for each issuing CA, and its certificate is renewed in time.
func (v *vitals) responders(ctx context.Context) health.Finding {
	list, err := v.ca.Answers(ctx)
	if err != nil {
		return v.unasked("ocsp", err)
	}
	f := health.Finding{State: health.OK, Code: "ocsp.ok"}
	now := v.now()
	fail := func(code string, a args) {
		if f.State == health.OK {
			f.State, f.Code, f.Args = health.Fail, code, a
		}
	}
	for _, x := range list {
		if c := x.Certificate; c != nil {
			f.Values = append(f.Values, health.Number("days_left", int(c.NotAfter.Sub(now).Hours()/24), "d").About(x.Issuer))
		}
		if x.Err == nil {
			f.Values = append(f.Values, health.At("answered_at", x.Fresh.ThisUpdate).About(x.Issuer), health.At("answer_until", x.Fresh.Until).About(x.Issuer))
		}
		switch c := x.Certificate; {
		case errors.Is(x.Err, ca.ErrNoUnit):
			v.log.Error("the OCSP responder has no certificate", "ca", x.Issuer, "error", x.Err)
			fail("ocsp.unit", args{"ca": x.Issuer})
		case errors.Is(x.Err, hsm.ErrUnavailable), errors.Is(x.Err, hsm.ErrClosed), errors.Is(x.Err, hsm.ErrBusy), x.Err != nil && v.db.Ping(ctx) != nil:
			return v.unasked("ocsp", x.Err) // which has a check of its own
		case x.Err != nil:
			v.log.Error("the OCSP responder gives no answer that can be relied on", "ca", x.Issuer, "error", x.Err)
			fail("ocsp.fails", args{"ca": x.Issuer, "reason": reason(x.Err), "data": v.Dir})
		case !x.Ends && c.NotAfter.Sub(now) < c.NotAfter.Sub(c.NotBefore)/4: // due at half
			fail("ocsp.late", args{"ca": x.Issuer, "until": at(c.NotAfter)})
		}
	}
	return f
}

// sourceAgain is when a server of others that failed is asked again, if nobody has. One that
// fails then, too, is a fault.
const sourceAgain = 5 * time.Minute

// sources: OCSP responders and CRLs of others, as those who needed them have seen them last.
func (v *vitals) sources(ctx context.Context) health.Finding {
	v.ca.Others.Retry(ctx, sourceAgain)
	f := health.Finding{State: health.OK, Code: "sources.none"}
	for _, s := range v.ca.Others.Sources() {
		name := strings.ToUpper(s.Kind) + " " + s.Host
		if !s.Good.IsZero() {
			f.Values = append(f.Values, health.At("answered_at", s.Good).About(name), health.At("answer_until", s.Until).About(name))
		}
		if f.Code == "sources.none" {
			f.Code = "sources.ok"
		}
		if s.Err == nil {
			continue
		}
		state := health.Warn
		if s.Tried.Sub(s.Since) >= sourceAgain {
			state = health.Fail
		}
		if worse := health.Worst(state, f.State); worse != f.State {
			host, _, _ := strings.Cut(s.Host, ":")
			f.State, f.Code, f.Args = state, "sources.fails", args{"source": name, "host": host, "since": at(s.Since), "reason": reason(s.Err)}
		}
		v.log.Warn("another's server gives no answer about certificates", "source", name, "error", fmt.Sprint(s.Err))
	}
	return f
}
