package enrol

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/secret"
)

// How long a credential still works once another has taken its place: what is usual, and at
// most.
const (
	Overlap    = 7 * 24 * time.Hour
	MaxOverlap = 90 * 24 * time.Hour
)

// maxCredentials bounds those of an app that have not ended.
const maxCredentials = 20

// NewCredential says what to make.
type NewCredential struct {
	Kind       string
	Keys       []byte   // of KindJWT: a JWK set, see CheckKeys
	Thumbprint [32]byte // of KindCertificate: SHA-256 of its DER; or
	Subject    string   // its subject (RFC 4514), as [SubjectOf] writes it
	ExpiresAt  time.Time
	// Replaces is another of the same kind, which works until Until; zero: Overlap from now,
	// at most MaxOverlap.
	Replaces string
	Until    time.Time
}

// AddCredential gives an app another credential. What is secret is returned once, and kept
// nowhere. It works at once, but for an app that is powerful and where a SAP makes it: then it
// awaits a second person. A *[Refusal].
func (s *Apps) AddCredential(ctx context.Context, by Actor, app string, n NewCredential) (c AppCredential, text secret.Text, err error) {
	a, ev, err := s.find(ctx, by, AddAppCredential, app)
	if err != nil {
		return c, text, err
	}
	now := s.Now().UTC()
	c = AppCredential{ID: ident.New("ac", 16), App: app, Kind: n.Kind, By: by.Name, CreatedAt: now, ExpiresAt: n.ExpiresAt, Replaces: n.Replaces, ReplacesUntil: n.Until}
	if c.Replaces != "" && c.ReplacesUntil.IsZero() {
		c.ReplacesUntil = now.Add(Overlap)
	}
	all, err := s.Records.AppCredentials(ctx, app)
	if err != nil {
		return AppCredential{}, text, fmt.Errorf("reading credentials of the app: %w", err)
	}
	no := s.newFault(&n, &c, all)
	if a.State == AppEnded {
		no = refusal("app_ended", ErrState)
	}
	if no != nil {
		return AppCredential{}, text, refuse(ctx, s.Records, ev, no)
	}
	prefix := map[string]string{KindSecret: "mcs", KindBasic: "mbp", KindKey: "mak"}[n.Kind]
	switch n.Kind {
	case KindJWT:
		if c.Public, err = canonical(n.Keys); err != nil {
			return AppCredential{}, text, fmt.Errorf("writing keys: %w", err)
		}
	case KindCertificate:
		c.Hash, c.Public = n.Thumbprint, n.Subject
	default:
		v := ident.New(prefix, 32)
		c.Hash, text = sha256.Sum256([]byte(v)), secret.New(v)
	}
	c.Awaits = s.awaits(&by, ev, a.powerful() || a.Proposal != nil && a.Proposal.App.powerful())
	ev.Detail["credential"], ev.Detail["kind"], ev.Detail["replaces"] = c.ID, c.Kind, c.Replaces
	if !c.ReplacesUntil.IsZero() {
		ev.Detail["replaces_until"] = c.ReplacesUntil.UTC().Format(time.RFC3339)
	}
	if err := s.Records.PutAppCredential(ctx, c, ev); err != nil {
		text.Wipe()
		return AppCredential{}, secret.Text{}, fmt.Errorf("storing credential: %w", err)
	}
	return c, text, nil
}

// newFault refuses a credential that cannot be, or one too many.
func (s *Apps) newFault(n *NewCredential, c *AppCredential, all []AppCredential) *Refusal {
	no := func(field, ms, en string) *Refusal { return entered("credential_invalid", field, ms, en) }
	now, live := s.Now(), 0
	for _, x := range all {
		if x.RevokedAt.IsZero() && (x.ExpiresAt.IsZero() || now.Before(x.ExpiresAt)) {
			live++
		}
	}
	named := n.Subject != "" && showable(n.Subject, 400) && s.ClientCAs != nil
	switch {
	case !slices.Contains([]string{KindSecret, KindBasic, KindKey, KindJWT, KindCertificate}, n.Kind):
		return no("kind", "jenis: client_secret, private_key_jwt, api_key, basic, certificate", "the kinds are client_secret, private_key_jwt, api_key, basic and certificate")
	case (n.Kind == KindJWT) != (len(n.Keys) > 0) || n.Kind == KindJWT && (len(n.Keys) > maxAssertion || CheckKeys(n.Keys) != nil):
		return no("jwks", "beri set JWK kunci awam: RSA 2048 hingga 4096 bit, P-256 atau P-384", "give a JWK set of public keys: RSA of 2048 to 4096 bits, P-256 or P-384")
	case n.Kind == KindCertificate && (n.Thumbprint == [32]byte{}) == (n.Subject == "") || n.Kind != KindCertificate && (n.Thumbprint != [32]byte{} || n.Subject != "") || n.Subject != "" && !named:
		return no("certificate", "beri cap jari SHA-256, atau subjek di bawah CA yang ditetapkan dalam tls.client_ca", "give a SHA-256 thumbprint, or a subject where tls.client_ca names a CA")
	case !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(now):
		return no("expires_at", "tarikh tamat sudah berlalu", "the end has passed")
	case c.Replaces != "" && !slices.ContainsFunc(all, func(x AppCredential) bool {
		return x.ID == c.Replaces && x.Kind == c.Kind && x.live(now)
	}):
		return no("replaces", "yang diganti mesti kelayakan sejenis yang masih sah", "what is replaced is a credential of the same kind that works")
	case c.Replaces == "" && !n.Until.IsZero() || !n.Until.IsZero() && !n.Until.After(now) || c.ReplacesUntil.After(now.Add(MaxOverlap)):
		return no("until", "yang lama tamat dalam 90 hari", "the old one ends within 90 days")
	case live >= maxCredentials:
		return no("kind", "aplikasi ini sudah mempunyai 20 kelayakan: batalkan satu", "the app has 20 credentials: revoke one")
	}
	return nil
}

// ConfirmCredential puts into force what awaits a second person: not who made it; see Confirm.
func (s *Apps) ConfirmCredential(ctx context.Context, by Actor, app, id string) error {
	_, ev, err := s.find(ctx, by, ConfirmAppCredential, app)
	if err != nil {
		return err
	}
	ev.Detail["credential"] = id
	all, err := s.Records.AppCredentials(ctx, app)
	if err != nil {
		return fmt.Errorf("reading credentials of the app: %w", err)
	}
	k := slices.IndexFunc(all, func(c AppCredential) bool { return c.ID == id })
	if k < 0 {
		return refuse(ctx, s.Records, ev, refusal("not_registered", ErrUnknown))
	}
	if err := oneHand(ctx, s.Records, ev, &by, all[k].By); err != nil {
		return err
	}
	err = s.Records.ConfirmAppCredential(ctx, app, id, ev)
	if errors.Is(err, ErrUnknown) {
		err = refuse(ctx, s.Records, ev, refusal("app_changed", ErrState))
	}
	return err
}

// RevokeCredential ends a credential at once, with its tokens. An app that was bound to a
// certificate stays bound: without another one nothing of it works.
func (s *Apps) RevokeCredential(ctx context.Context, by Actor, app, id string) error {
	_, ev, err := s.find(ctx, by, RevokeAppCredential, app)
	if err != nil {
		return err
	}
	ev.Detail["credential"] = id
	err = s.Records.RevokeAppCredential(ctx, app, id, ev)
	if errors.Is(err, ErrUnknown) {
		err = refuse(ctx, s.Records, ev, refusal("not_registered", ErrUnknown))
	}
	return err
}
