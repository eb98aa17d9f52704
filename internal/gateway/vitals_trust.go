package gateway

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/health"
	"github.com/mohor-sign/mohor/notify"
)

// The mail server is greeted when no mail has shown that it works, and seldom.
const (
	greetEvery = time.Minute
	greetAgain = 10 * time.Second
	// refusedFor is how long a mail that was not taken is spoken of.
	refusedFor = 5 * time.Minute
)

// mail: mails go out. A server that took one a moment ago is not greeted besides.
func (v *vitals) mail(ctx context.Context) health.Finding {
	accepted, failed, why := v.out.Last()
	v.mu.Lock()
	greeted, err := v.greeted, v.greets
	v.mu.Unlock()
	every := greetEvery
	if err != nil || !failed.IsZero() {
		every = greetAgain
	}
	// A mail that was taken since says nothing of a greeting that failed: that is made again.
	if time.Since(greeted) >= every && (err != nil || !failed.IsZero() || v.now().Sub(accepted) >= greetEvery) {
		greeted = time.Now()
		err = v.greet(ctx)
		v.mu.Lock()
		v.greeted, v.greets = greeted, err
		v.mu.Unlock()
	}
	f := health.Finding{State: health.OK, Code: "mail.ok", Values: []health.Value{health.Number("letters_of_codes", v.courier.Waiting(), "")}}
	if !accepted.IsZero() {
		f.Values = append(f.Values, health.At("accepted_at", accepted))
	}
	// A server that greets may still take no mail; one that could not be reached is back.
	if err == nil && !failed.IsZero() && time.Since(failed) < refusedFor && (failed.After(greeted) || reason(why) == "other") {
		err = why
	}
	if err != nil {
		v.log.Warn("no mail goes out", "error", err)
		f.State, f.Code, f.Args = health.Fail, "mail.fails", args{"reason": reason(err), "data": v.Dir}
	}
	return f
}

// greet goes to the mail server as far as a mail would.
func (v *vitals) greet(ctx context.Context) error {
	m := v.Config.Mail
	to := net.JoinHostPort(m.Host, strconv.Itoa(m.Port))
	if v.Mailbox != nil {
		to = v.Mailbox.Addr()
		if v.sink != "" {
			to = v.sink
		}
		m = MailConfig{Host: "127.0.0.1", TLS: notify.TLSNone}
	}
	return greet(ctx, m, to)
}

// lateLetter is how long a letter may wait before somebody should know.
const lateLetter = 15 * time.Minute

// outbox: notices leave, and codes arrive.
func (v *vitals) outbox(ctx context.Context) health.Finding {
	o, err := v.db.Outbox(ctx, v.now().Add(-24*time.Hour))
	if err != nil {
		return v.unasked("outbox", err)
	}
	f := health.Finding{State: health.OK, Code: "outbox.ok", Values: []health.Value{health.Number("letters", o.Waiting, ""), health.Number("undelivered", o.Undelivered, "")}}
	if !o.Oldest.IsZero() {
		f.Values = append(f.Values, health.At("oldest", o.Oldest))
	}
	switch {
	case o.Waiting > 0 && v.now().Sub(o.Oldest) > lateLetter:
		f.State, f.Code, f.Args = health.Warn, "outbox.late", args{"waiting": fmt.Sprint(o.Waiting), "since": at(o.Oldest)}
	case o.Undelivered > 0:
		f.State, f.Code, f.Args = health.Warn, "outbox.bounced", args{"bounced": fmt.Sprint(o.Undelivered)}
	}
	return f
}

// lists: every authority's CRL is renewed in time.
func (v *vitals) lists(ctx context.Context) health.Finding {
	f := health.Finding{State: health.OK, Code: "crl.ok"}
	for _, x := range v.ca.List() {
		if v.ca.Certificate(x.Name) == nil {
			continue
		}
		c, err := v.db.LatestCRL(ctx, x.Name)
		if err != nil {
			return v.unasked("crl", err)
		}
		f.Values = append(f.Values, health.Number("crl_age", v.now().Sub(c.ThisUpdate).Hours(), "h").About(x.Name), health.At("crl_until", c.NextUpdate).About(x.Name))
		if staleCRL(c, v.now()) {
			f.State, f.Code, f.Args = health.Fail, "crl.stale", args{"ca": x.Name, "until": at(c.NextUpdate), "data": v.Dir}
		}
	}
	return f
}

// certificates of authorities, their units and the gateway.
func (v *vitals) certificates(ctx context.Context) health.Finding {
	f := health.Finding{State: health.OK, Code: "certificates.ok"}
	now := v.now()
	days := func(until time.Time) int { return int(until.Sub(now).Hours() / 24) }
	judge := func(state health.State, code, name string, until time.Time) {
		if worse := health.Worst(state, f.State); worse != f.State {
			f.State, f.Code, f.Args = state, code, args{"name": name, "days": fmt.Sprint(days(until)), "until": at(until), "data": v.Dir}
		}
	}
	left := func(name string, until time.Time) {
		f.Values = append(f.Values, health.Number("days_left", days(until), "d").About(name))
	}
	for _, x := range v.ca.List() {
		cert := v.ca.Certificate(x.Name)
		if cert == nil || x.Successor != "" {
			continue
		}
		left(x.Name, cert.NotAfter)
		switch {
		case now.After(cert.NotAfter):
			judge(health.Fail, "certificates.ended", x.Name, cert.NotAfter)
		case cert.NotAfter.Sub(now) < soon:
			judge(health.Warn, "certificates.authority", x.Name, cert.NotAfter)
		}
	}
	// The responder's has a check of its own.
	row, err := v.db.AuthorityCertificate(ctx, ca.TSA)
	if err != nil && !errors.Is(err, ca.ErrUnknown) {
		return v.unasked("certificates", err)
	}
	cert, perr := x509.ParseCertificate(row.DER)
	if err != nil || perr != nil || now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		judge(health.Fail, "certificates.unit", ca.TSA, now)
	} else {
		left(ca.TSA, cert.NotAfter)
	}
	if cert := v.ownTLS(); cert != nil {
		left("tls", cert.NotAfter)
		switch {
		case now.After(cert.NotAfter):
			judge(health.Fail, "certificates.tlsended", "tls", cert.NotAfter)
		case cert.NotAfter.Sub(now) < soon:
			judge(health.Warn, "certificates.tls", "tls", cert.NotAfter)
		}
	}
	return f
}

// ownTLS is the certificate in the file of tls.cert; nil when TLS ends elsewhere.
func (v *vitals) ownTLS() *x509.Certificate {
	if v.Config.TLS.Cert == "" {
		return nil
	}
	raw, err := os.ReadFile(v.Config.TLS.Cert)
	if err != nil {
		return nil
	}
	b, _ := pem.Decode(raw)
	if b == nil {
		return nil
	}
	cert, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		return nil
	}
	return cert
}

// stampers: who stamps, and which servers of others are left out.
func (v *vitals) stampers(context.Context) health.Finding {
	remote, ok := v.stamps.(*ca.RemoteTSAs)
	if !ok {
		return health.Finding{State: health.OK, Code: "stamps.own"}
	}
	list, out := remote.Seen(), 0
	f := health.Finding{State: health.OK, Code: "stamps.ok"}
	for _, x := range list {
		if x.Out {
			out++
		}
		if !x.Good.IsZero() {
			f.Values = append(f.Values, health.At("stamped_at", x.Good).About(x.Host))
		}
	}
	all := len(list)
	f.Values = append([]health.Value{health.Number("servers", all, ""), health.Number("servers_out", out, "")}, f.Values...)
	switch {
	case out == all && remote.Own == nil:
		f.State, f.Code = health.Fail, "stamps.fails"
	case out > 0:
		f.State, f.Code, f.Args = health.Warn, "stamps.some", args{"out": fmt.Sprint(out), "all": fmt.Sprint(all), "data": v.Dir}
	}
	return f
}

// issuer: the CA of others that issues for us.
func (v *vitals) issuer(ctx context.Context) health.Finding {
	c := &v.Config.CA.External
	list, err := c.roots()
	if err == nil {
		var step *ca.StepCA
		if step, err = c.stepCA(pool(list), v.now); err == nil {
			err = step.Health(ctx)
			step.HTTP.CloseIdleConnections()
		}
	}
	if err != nil {
		v.log.Warn("the external CA does not answer", "error", err)
		return health.Finding{State: health.Fail, Code: "issuer.fails", Args: args{"reason": reason(err), "data": v.Dir}}
	}
	f := health.Finding{State: health.OK, Code: "issuer.ok"}
	if untold, err := v.db.UntoldExternal(ctx); err == nil {
		f.Values = append(f.Values, health.Number("untold", len(untold), ""))
	}
	return f
}

// clock: what time-stamps rely on.
func (v *vitals) clock(context.Context) health.Finding {
	f := health.Finding{State: health.OK, Code: "clock.ok", Values: []health.Value{health.Number("peers", len(v.Config.CA.Time.Peers), ""), health.At("now", v.now())}}
	if err := v.time.Check(); err != nil {
		f.State, f.Code = health.Fail, "clock.wrong"
	}
	return f
}

// versions of all that takes part.
func (v *vitals) versions(ctx context.Context) health.Finding {
	f := health.Finding{State: health.OK, Code: "versions.ok", Values: []health.Value{health.Text("version", Version).About("mohor"), health.Text("version", strings.TrimPrefix(runtime.Version(), "go")).About("go")}}
	g, err := v.hsm.Gauge(ctx)
	if err != nil {
		f.State, f.Code = health.Unknown, "versions.unknown"
	} else {
		f.Values = append(f.Values, health.Text("version", g.Library).About("module"), health.Text("version", strings.TrimSpace(g.Manufacturer+" "+g.Model)).About("token"),
			health.Text("version", g.Firmware).About("firmware"), health.Text("version", g.Hardware).About("hardware"))
	}
	d, err := v.db.Vital(ctx)
	if err != nil {
		f.State, f.Code = health.Unknown, "versions.unknown"
	} else {
		f.Values = append(f.Values, health.Text("version", d.Kind+" "+d.Version).About("database"), health.Text("version", fmt.Sprint(d.Schema)).About("schema"))
	}
	return f
}

// mode: whether any of this counts.
func (v *vitals) mode(context.Context) health.Finding {
	if v.Sandbox {
		return health.Finding{State: health.OK, Code: "mode.sandbox"}
	}
	return health.Finding{State: health.OK, Code: "mode.live"}
}

// settings that work, and are not good for a real installation: the worst of them.
func (v *vitals) settings(context.Context) health.Finding {
	c := &v.Config
	switch {
	case v.Sandbox:
	case !strings.HasPrefix(c.BaseURL, "https://"):
		return health.Finding{State: health.Warn, Code: "config.https"}
	case len(c.Mail.AlarmTo) == 0:
		return health.Finding{State: health.Warn, Code: "config.alarms"}
	case strings.HasPrefix(c.CA.TSAPolicy, "2.999."):
		return health.Finding{State: health.Warn, Code: "config.policy"}
	}
	return health.Finding{State: health.OK, Code: "config.ok"}
}
