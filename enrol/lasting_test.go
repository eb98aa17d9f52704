package enrol_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
)

// refusing is a CA that issues nothing.
type refusing struct {
	enrol.Issuer
	err error
}

func (r refusing) Issue(context.Context, string, ca.Officer, []byte) (*x509.Certificate, []*x509.Certificate, error) {
	return nil, nil, fmt.Errorf("certifying: %w", r.err)
}

// What the CA will never certify ends with the reason, for the approver and for the
// gateway that completes an approval; what may pass is tried again.
func TestLastingRefusals(t *testing.T) {
	o := newOffice(t)
	for k, c := range []struct {
		is   error
		code string
	}{
		{ca.ErrLint, "certificate_refused"}, {ca.ErrExists, "credential_taken"}, {ca.ErrWeakKey, "key_weak"}, {ca.ErrDuplicateKey, "key_duplicate"},
		{ca.ErrRequest, "request_refused"}, {ca.ErrRevoked, "issued_revoked"}, {ca.ErrUnavailable, ""},
	} {
		real := o.CA
		id := o.applied(t, fmt.Sprintf("79030810990%d", k))
		must(t, o.Validate(ctx, o.ap, id))
		o.CA = refusing{real, c.is}
		_, err := o.Approve(ctx, o.jdn, id)
		if !errors.Is(err, c.is) {
			t.Errorf("%s: %v", c.code, err)
		}
		e := o.state(t, id)
		if c.code == "" {
			if e.State != enrol.Approved || e.DueAt.IsZero() {
				t.Errorf("a CA that is away: %s", e.State)
			}
			o.CA = real
			continue
		}
		refused(t, c.code, err, c.code)
		f, _, _, err := o.House.DB.Application(ctx, id)
		if e.State != enrol.Returned || !strings.Contains(e.Reason, "apply") && !strings.Contains(e.Reason, "JDN must") || err != nil || len(f.Sealed) != 0 {
			t.Errorf("%s: %s %q, %d bytes of key, %v", c.code, e.State, e.Reason, len(f.Sealed), err)
		}
		o.once(t) // the code for another application, with the reason
		if l := o.post.last(t); l.code == "" || l.Reason != e.Reason {
			t.Errorf("%s: mailed %+v", c.code, l.Letter)
		}
		if did, err := o.Once(ctx); did || err != nil {
			t.Errorf("%s: tried again: %v, %v", c.code, did, err)
		}
		o.CA = real
	}
}
