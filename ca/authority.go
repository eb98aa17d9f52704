package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// Authority is one CA of the installation: a root, or an issuing CA below a root.
type Authority struct {
	// Name is the label of its key and its name under /ca and /crl: a letter, then
	// small letters, digits and single hyphens, 32 at most.
	Name      string
	Parent    string // the root that certified it; "" for a root
	Algorithm string // of its key, as the HSM names it; "" where an installation's own choice made it
	Training  bool   // all that it issues is marked as not valid, and nobody is to trust its root
	Successor string // issues in its place since a rollover; "" while it issues itself
	CreatedAt time.Time
}

// set is what is known of the authorities at one time.
type set struct {
	list  []Authority
	certs map[string]*x509.Certificate
}

func (s *set) find(name string) (Authority, bool) {
	k := slices.IndexFunc(s.list, func(a Authority) bool { return a.Name == name })
	if k < 0 {
		return Authority{}, false
	}
	return s.list[k], true
}

// live is the authority that issues in the place of name, or name.
func (s *set) live(name string) Authority {
	a, _ := s.find(name)
	for range s.list {
		next, ok := s.find(a.Successor)
		if !ok {
			break
		}
		a = next
	}
	return a
}

// chain is the certificates from name to its root.
func (s *set) chain(name string) (out []*x509.Certificate) {
	for range s.list {
		c := s.certs[name]
		if c == nil {
			break
		}
		out = append(out, c)
		a, _ := s.find(name)
		name = a.Parent
	}
	return out
}

// by is the authority whose certificate, or cross-certificate, issuer is.
func (s *set) by(issuer *x509.Certificate) (Authority, bool) {
	for _, a := range s.list {
		if c := s.certs[a.Name]; c != nil && bytes.Equal(c.RawSubject, issuer.RawSubject) && bytes.Equal(c.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo) {
			return a, true
		}
	}
	return Authority{}, false
}

// Refresh reads which authorities there are: other processes make them. It is called
// here whenever that may matter: before issuing, and before an authority is unknown.
func (a *Authorities) Refresh(ctx context.Context) error {
	a.setMu.Lock()
	defer a.setMu.Unlock()
	list, err := a.records.Authorities(ctx)
	if err != nil {
		return fmt.Errorf("reading authorities: %w", err)
	}
	old := a.set.Load()
	if slices.Equal(old.list, list) && len(old.certs) == len(list) {
		return nil
	}
	next := &set{list: list, certs: maps.Clone(old.certs)}
	for _, x := range list {
		if next.certs[x.Name] != nil {
			continue
		}
		c, err := a.read(ctx, x, next)
		if errors.Is(err, ErrUnknown) {
			continue // being made
		}
		if err != nil {
			return fmt.Errorf("reading the %s certificate: %w", x.Name, err)
		}
		next.certs[x.Name] = c
	}
	a.set.Store(next)
	return nil
}

// fresh is the set as it is now, or as it was when the register does not answer soon.
func (a *Authorities) fresh() *set {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = a.Refresh(ctx) // an authority made this minute is unknown for the while
	return a.set.Load()
}

// read gives the own certificate of an authority, which fits its key and its parent.
func (a *Authorities) read(ctx context.Context, x Authority, s *set) (*x509.Certificate, error) {
	row, err := a.records.AuthorityCertificate(ctx, x.Name)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return nil, err
	}
	key, err := a.keys.Signer(ctx, x.Name)
	if err != nil {
		return nil, err
	}
	if !fits(c, key.Public()) {
		return nil, fmt.Errorf("it does not belong to the key %q in the token", x.Name)
	}
	parent := c
	if x.Parent != "" {
		parent = s.certs[x.Parent]
	}
	if parent == nil {
		return nil, fmt.Errorf("its parent %q has no certificate", x.Parent)
	}
	return c, c.CheckSignatureFrom(parent)
}

// List gives the authorities, each root before those below it.
func (a *Authorities) List() []Authority { return slices.Clone(a.set.Load().list) }

// Chain returns the certificates from the authority name to its root; none for a
// name that is no authority's.
func (a *Authorities) Chain(name string) []*x509.Certificate {
	if chain := a.set.Load().chain(name); chain != nil {
		return chain
	}
	return a.fresh().chain(name)
}

// ChainOf returns the certificates of the authorities above c, its issuer first;
// none when another CA issued it.
func (a *Authorities) ChainOf(c *x509.Certificate) []*x509.Certificate {
	if chain := a.set.Load().above(c); chain != nil {
		return chain
	}
	return a.fresh().above(c)
}

func (s *set) above(c *x509.Certificate) []*x509.Certificate {
	for _, x := range s.list {
		if p := s.certs[x.Name]; p != nil && bytes.Equal(p.RawSubject, c.RawIssuer) && bytes.Equal(p.SubjectKeyId, c.AuthorityKeyId) {
			return s.chain(x.Name)
		}
	}
	return nil
}

// Above returns the certificates above c, its issuer's first and the root's last, also
// when another CA issued it for us; ErrUnknown when it is not on record.
func (a *Authorities) Above(ctx context.Context, c *x509.Certificate) ([]*x509.Certificate, error) {
	if chain := a.ChainOf(c); chain != nil {
		return chain, nil
	}
	row, err := a.records.CertificateBySerial(ctx, c.SerialNumber.String())
	if err != nil {
		return nil, err
	}
	return a.records.ExternalChain(ctx, row.Issuer)
}

// Trusted returns the authorities that have certificates and whose signatures are
// to be relied on, issuing CAs before roots: none that is for training.
func (a *Authorities) Trusted() (out []Authority) {
	s := a.fresh()
	for _, x := range s.list {
		if s.certs[x.Name] != nil && !x.Training {
			out = append(out, x)
		}
	}
	slices.SortStableFunc(out, func(x, y Authority) int { return depth(y) - depth(x) })
	return out
}

func depth(x Authority) int { return min(len(x.Parent), 1) }

// Create makes an authority: its record, its certificate and its first CRL, and
// says what it made. Its key must exist, and have come into the token after this
// authority was recorded: see [Authorities.Record]. Run again after an
// interruption it completes what is there.
func (a *Authorities) Create(ctx context.Context, actor string, x Authority) (made []string, err error) {
	if err := a.Record(ctx, actor, x); err != nil {
		return nil, err
	}
	made, err = a.complete(ctx, actor, x)
	if err != nil {
		return made, err
	}
	units, _, err := a.Renew(ctx)
	return append(made, units...), err
}

// Record puts an authority on record, before its key is made: then a key under its
// name was made for it. The same record again is no error; another of that name is
// ErrExists, and what is no sound authority ErrInvalid.
func (a *Authorities) Record(ctx context.Context, actor string, x Authority) error {
	if err := a.Refresh(ctx); err != nil {
		return err
	}
	s := a.set.Load()
	if old, ok := s.find(x.Name); ok {
		if old.Parent != x.Parent || old.Algorithm != x.Algorithm || old.Training != x.Training {
			return fmt.Errorf("recording the authority %s: %w", x.Name, ErrExists)
		}
		return nil
	}
	if err := x.sound(s); err != nil {
		return err
	}
	ev := audit.Event{At: a.now(), Actor: actor, Action: "ca.authority", Object: "authority:" + x.Name, Verdict: audit.Accepted,
		Detail: map[string]string{"parent": x.Parent, "algorithm": x.Algorithm, "training": fmt.Sprint(x.Training)}}
	if err := a.records.PutAuthority(ctx, x, ev); err != nil {
		return fmt.Errorf("recording the authority %s: %w", x.Name, err)
	}
	return a.Refresh(ctx)
}

func (x *Authority) sound(s *set) error {
	bad := func(why string) error { return fmt.Errorf("%w: %s", ErrInvalid, why) }
	letters := func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-') }
	if x.Name == "" || len(x.Name) > 32 || x.Name[0] < 'a' || strings.ContainsFunc(x.Name, letters) || strings.Contains(x.Name, "--") || strings.HasSuffix(x.Name, "-") {
		return bad("its name must be a small letter, then small letters, digits and single hyphens, 32 at most")
	}
	if x.Parent == "" {
		return nil
	}
	parent, ok := s.find(x.Parent)
	switch {
	case !ok || s.certs[x.Parent] == nil:
		return bad(fmt.Sprintf("there is no authority %q", x.Parent))
	case parent.Parent != "":
		return bad(fmt.Sprintf("%q is no root", x.Parent))
	case parent.Training != x.Training:
		return bad("an authority for training stands below a root for training, and no other does")
	}
	return nil
}

// complete makes what is missing of an authority.
func (a *Authorities) complete(ctx context.Context, actor string, x Authority) (made []string, err error) {
	if err := a.Record(ctx, actor, x); err != nil {
		return nil, err
	}
	if a.set.Load().certs[x.Name] == nil {
		if _, err := a.issueAuthority(ctx, actor, x); err != nil {
			return nil, fmt.Errorf("issuing the %s certificate: %w", x.Name, err)
		}
		made = append(made, "certificate "+x.Name)
		if err := a.Refresh(ctx); err != nil {
			return made, err
		}
	}
	if _, err := a.records.LatestCRL(ctx, x.Name); errors.Is(err, ErrUnknown) {
		if _, err := a.PublishCRL(ctx, x.Name); err != nil {
			return made, err
		}
		made = append(made, "crl "+x.Name)
	} else if err != nil {
		return made, fmt.Errorf("reading the %s CRL: %w", x.Name, err)
	}
	return made, nil
}

// Rollover has the authority next issue in the place of name, at once and in every
// process. name goes on publishing CRLs and answering for what it issued. Both must
// stand below a root, or both be for training.
func (a *Authorities) Rollover(ctx context.Context, actor, name, next string) error {
	if err := a.Refresh(ctx); err != nil {
		return err
	}
	s := a.set.Load()
	old, ok := s.find(name)
	new, there := s.find(next)
	switch {
	case !ok || !there || s.certs[next] == nil:
		return fmt.Errorf("%w: there is no authority %q with a certificate", ErrInvalid, next)
	case name == next || old.Parent == "" || new.Parent == "" || old.Training != new.Training || s.live(next).Name != next:
		return fmt.Errorf("%w: %q cannot issue in the place of %q", ErrInvalid, next, name)
	}
	if err := a.standing(ctx, next, s.certs[next]); err != nil {
		return err
	}
	ev := audit.Event{At: a.now(), Actor: actor, Action: "ca.rollover", Object: "authority:" + name, Verdict: audit.Accepted, Detail: map[string]string{"successor": next}}
	if err := a.records.Succeed(ctx, name, next, ev); err != nil {
		return fmt.Errorf("recording the rollover of %s: %w", name, err)
	}
	return a.Refresh(ctx)
}

// CrossSign certifies the key of the issuing CA name by another root, so that who
// trusts that root alone can verify what name issued (RFC 5280, Section 3.2). Run
// again it gives the certificate that is there.
func (a *Authorities) CrossSign(ctx context.Context, actor, name, by string) (*x509.Certificate, error) {
	if err := a.Refresh(ctx); err != nil {
		return nil, err
	}
	s := a.set.Load()
	x, ok := s.find(name)
	root, there := s.find(by)
	if !ok || !there || s.certs[name] == nil || s.certs[by] == nil || x.Parent == "" || root.Parent != "" || x.Parent == by || x.Training != root.Training {
		return nil, fmt.Errorf("%w: an issuing CA is certified by another root than its own", ErrInvalid)
	}
	if err := a.standing(ctx, name, s.certs[name]); err != nil {
		return nil, err
	}
	row, err := a.records.CrossCertificate(ctx, name, by)
	if err == nil {
		return x509.ParseCertificate(row.DER)
	}
	if !errors.Is(err, ErrUnknown) {
		return nil, err
	}
	x.Parent = by
	return a.issueAuthority(ctx, actor, x)
}

// standing is ErrUnavailable unless the certificate c of the authority called name is
// active, as the register has it now, and has not ended: nothing is issued below another.
func (a *Authorities) standing(ctx context.Context, name string, c *x509.Certificate) error {
	row, err := a.records.CertificateBySerial(ctx, c.SerialNumber.String())
	switch {
	case err != nil:
		return fmt.Errorf("reading the %s certificate: %w", name, err)
	case row.Status != Active:
		return fmt.Errorf("%w: the certificate of %s is %s: have another issue in its place", ErrUnavailable, name, row.Status)
	case !a.now().Before(c.NotAfter):
		return fmt.Errorf("%w: the certificate of %s ended %s: have another issue in its place", ErrUnavailable, name, c.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// issuerFor is the authority that issues a certificate for pub, of those named.
func (a *Authorities) issuerFor(ctx context.Context, names []string, pub crypto.PublicKey) (Authority, *x509.Certificate, error) {
	if err := a.Refresh(ctx); err != nil {
		return Authority{}, nil, err
	}
	s := a.set.Load()
	var found Authority
	for _, name := range names {
		x := s.live(name)
		c := s.certs[x.Name]
		if c == nil {
			return Authority{}, nil, fmt.Errorf("looking for the issuer %q: %w", name, ErrUnknown)
		}
		if kind(c.PublicKey) == kind(pub) {
			return x, c, nil
		}
		if found.Name == "" {
			found = x
		}
	}
	return found, s.certs[found.Name], nil
}

func kind(pub crypto.PublicKey) string {
	switch pub.(type) {
	case *rsa.PublicKey:
		return "RSA"
	case *ecdsa.PublicKey:
		return "ECDSA"
	}
	return ""
}
