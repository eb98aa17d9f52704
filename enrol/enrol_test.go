package enrol_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/storetest"
)

var ctx = context.Background()

func house(t testing.TB) *storetest.House {
	t.Helper()
	db, _ := storetest.SQLite(t)
	return storetest.NewHouse(t, db)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAddOfficer(t *testing.T) {
	h := house(t)
	good := enrol.Officer{IC: "880229145678", Name: "MUTHU A/L SAMY", Email: "muthu@jpk.example"}
	for what, edit := range map[string]func(o *enrol.Officer, system *string){
		"no IC":                   func(o *enrol.Officer, _ *string) { o.IC = "" },
		"a short IC":              func(o *enrol.Officer, _ *string) { o.IC = "88022914567" },
		"dashes":                  func(o *enrol.Officer, _ *string) { o.IC = "880229-14-5678" },
		"no such day":             func(o *enrol.Officer, _ *string) { o.IC = "880230145678" },
		"other digits":            func(o *enrol.Officer, _ *string) { o.IC = "８８０２２９１４５６７８" },
		"no name":                 func(o *enrol.Officer, _ *string) { o.Name = "" },
		"65 characters":           func(o *enrol.Officer, _ *string) { o.Name = strings.Repeat("é", 65) },
		"a line end":              func(o *enrol.Officer, _ *string) { o.Name = "A\nB" },
		"a direction mark":        func(o *enrol.Officer, _ *string) { o.Name = "A\u202eB" },
		"a NUL":                   func(o *enrol.Officer, _ *string) { o.Name = "A\x00" },
		"no UTF-8":                func(o *enrol.Officer, _ *string) { o.Name = "A\xff" },
		"no address":              func(o *enrol.Officer, _ *string) { o.Email = "" },
		"no @":                    func(o *enrol.Officer, _ *string) { o.Email = "muthu" },
		"a name in the address":   func(o *enrol.Officer, _ *string) { o.Email = "Muthu <muthu@jpk.example>" },
		"two addresses":           func(o *enrol.Officer, _ *string) { o.Email = "a@x.example, b@x.example" },
		"a header in the address": func(o *enrol.Officer, _ *string) { o.Email = "a@x.example\r\nBcc: b@x.example" },
		"a long address":          func(o *enrol.Officer, _ *string) { o.Email = strings.Repeat("a", 250) + "@x.my" },
		"no system":               func(_ *enrol.Officer, s *string) { *s = "" },
		"a long system":           func(_ *enrol.Officer, s *string) { *s = strings.Repeat("S", 33) },
		"a path":                  func(_ *enrol.Officer, s *string) { *s = "../S" },
		"a letter of others":      func(_ *enrol.Officer, s *string) { *s = "SİSTEM" },
	} {
		o, system := good, "S"
		edit(&o, &system)
		before := len(storetest.Chain(t, h.DB))
		if err := h.Registrar.AddOfficer(ctx, "test", o, system); !errors.Is(err, enrol.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
		if len(storetest.Chain(t, h.DB)) != before {
			t.Errorf("%s: stored", what)
		}
	}
	for _, o := range []enrol.Officer{good, {IC: "000229145678", Name: strings.Repeat("é", 64), Email: "a+b@x.example"}} {
		must(t, h.Registrar.AddOfficer(ctx, "test", o, "S_1-a"))
		got, media, err := h.DB.Officer(ctx, o.IC)
		if err != nil || got != o || len(media) != 1 || media[0].Medium != enrol.RoamingOTP || media[0].System != "S_1-a" || media[0].Credential != "" {
			t.Errorf("%+v %+v, %v", got, media, err)
		}
	}
}

func TestIssueCredential(t *testing.T) {
	h := house(t)
	for _, algorithm := range []string{"ECDSA-P256", "ECDSA-P384", "RSA-2048"} {
		c, cert, err := h.Registrar.IssueCredential(ctx, "admin:a", h.Officer, storetest.System, algorithm, secret.New(storetest.PIN))
		must(t, err)
		if c.IC != h.Officer.IC || c.System != storetest.System || c.Algorithm != algorithm || c.Version != 1 || !strings.HasPrefix(c.ID, "cr_") || len(c.Sealed) == 0 || c.Serial != cert.SerialNumber.String() {
			t.Errorf("credential %+v", c)
		}
		if cert.Subject.CommonName != h.Officer.Name || cert.Subject.SerialNumber != h.Officer.IC || cert.CheckSignatureFrom(h.CA.Certificate(ca.Issuing)) != nil {
			t.Errorf("certificate %s", cert.Subject)
		}
		switch cert.PublicKey.(type) {
		case *ecdsa.PublicKey, *rsa.PublicKey:
		default:
			t.Errorf("public key %T", cert.PublicKey)
		}
		got, err := h.DB.Credential(ctx, h.Officer.IC, storetest.System, c.ID)
		if err != nil || got.Status != "ACTIVE" || !got.Certificate.Equal(cert) || !bytes.Equal(got.Sealed, c.Sealed) {
			t.Errorf("stored %+v, %v", got, err)
		}
	}
	before := len(storetest.Chain(t, h.DB))
	for what, c := range map[string]struct{ algorithm, pin string }{"a weak PIN": {"ECDSA-P256", "900101145678"}, "no PIN": {"ECDSA-P256", ""}, "an algorithm": {"DSA", storetest.PIN}} {
		if _, cert, err := h.Registrar.IssueCredential(ctx, "t", h.Officer, storetest.System, c.algorithm, secret.New(c.pin)); err == nil || cert != nil {
			t.Errorf("%s was accepted", what)
		}
	}
	// An officer without a number gets a verdict, not a panic.
	if _, _, err := h.Registrar.IssueCredential(ctx, "t", enrol.Officer{Name: "X"}, storetest.System, "ECDSA-P256", secret.New(storetest.PIN)); err == nil {
		t.Error("an officer who is not registered got a credential")
	}
	for _, r := range storetest.Chain(t, h.DB)[before:] {
		if r.Action == "enrol.credential" {
			t.Errorf("stored %+v", r.Event)
		}
	}
	h.Keys.OnAuthority = func(string) error { return errDead }
	if _, cert, err := h.Registrar.IssueCredential(ctx, "t", h.Officer, storetest.System, "ECDSA-P256", secret.New(storetest.PIN)); !errors.Is(err, errDead) || cert != nil {
		t.Errorf("without the CA's key: %v", err)
	}
}

var errDead = errors.New("token is gone")

// deaf is a register that cannot store; it fails before or after the deed.
type deaf struct {
	enrol.Records
	after bool
}

func (d deaf) PutCredential(ctx context.Context, c enrol.Credential, ev audit.Event) error {
	if d.after {
		_ = d.Records.PutCredential(ctx, c, ev)
	}
	return errDead
}

// deafApps is that for apps.
type deafApps struct {
	enrol.AppRecords
	after bool
}

func (d deafApps) PutApp(ctx context.Context, a enrol.App, c []enrol.AppCredential, ev audit.Event) error {
	if d.after {
		_ = d.AppRecords.PutApp(ctx, a, c, ev)
	}
	return errDead
}

func TestRegisterFaultsBothWays(t *testing.T) {
	for _, after := range []bool{false, true} {
		h := house(t)
		r := *h.Registrar
		r.Records = deaf{h.DB, after}
		if c, cert, err := r.IssueCredential(ctx, "t", h.Officer, storetest.System, "ECDSA-P256", secret.New(storetest.PIN)); !errors.Is(err, errDead) || cert != nil || c.ID != "" {
			t.Errorf("done %v: %+v, %v", after, c, err)
		}
		a := *h.Apps
		a.Records = deafApps{h.DB, after}
		if app, s, k, err := a.Register(ctx, "t", enrol.App{ID: "x", Name: "X", Systems: []string{"S"}, PINEntry: enrol.PINHosted}); !errors.Is(err, errDead) || app.ID != "" || s.Len()+k.Len() != 0 {
			t.Errorf("done %v: %+v, %v", after, app, err)
		}
	}
}

func TestApps(t *testing.T) {
	h := house(t)
	good := enrol.App{ID: "eperolehan", Name: "ePerolehan", Systems: []string{"A", "B"}, Grants: []string{enrol.GrantRAW}, PINEntry: enrol.PINHosted}
	for what, edit := range map[string]func(a *enrol.App){
		"no id":             func(a *enrol.App) { a.ID = "" },
		"a path":            func(a *enrol.App) { a.ID = "a/b" },
		"a long id":         func(a *enrol.App) { a.ID = strings.Repeat("a", 33) },
		"no name":           func(a *enrol.App) { a.Name = "" },
		"no system":         func(a *enrol.App) { a.Systems = nil },
		"no place of PIN":   func(a *enrol.App) { a.PINEntry = "" },
		"another PIN place": func(a *enrol.App) { a.PINEntry = "anywhere" },
	} {
		a := good
		edit(&a)
		if _, s, k, err := h.Apps.Register(ctx, "t", a); !errors.Is(err, enrol.ErrInvalid) || s.Len()+k.Len() != 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	app, clientSecret, apiKey, err := h.Apps.Register(ctx, "t", good)
	must(t, err)
	if app.Rate != 50 || !app.Serves("B") || app.Serves("b") || app.Serves("") || !app.Granted(enrol.GrantRAW) || app.Granted("csc_explicit") {
		t.Errorf("app %+v", app)
	}
	s, k := string(clientSecret.Reveal()), string(apiKey.Reveal())
	if !strings.HasPrefix(s, "mcs_") || !strings.HasPrefix(k, "mak_") || len(s) != 56 || len(k) != 56 {
		t.Errorf("secrets of %d and %d characters", len(s), len(k))
	}
	if _, _, _, err := h.Apps.Register(ctx, "t", good); !errors.Is(err, enrol.ErrExists) {
		t.Errorf("the same again: %v", err)
	}
	other, otherSecret, otherKey, err := h.Apps.Register(ctx, "t", enrol.App{ID: "other", Name: "O", Systems: []string{"A"}, PINEntry: enrol.PINInApp, Rate: 7})
	must(t, err)
	if other.Rate != 7 || string(otherSecret.Reveal()) == s || string(otherKey.Reveal()) == k {
		t.Error("two apps share their secrets")
	}
	// What the audit and the database hold opens nothing.
	for _, r := range storetest.Chain(t, h.DB) {
		if text := r.Actor + r.Object + r.Detail["pin_entry"]; strings.Contains(text, s) || strings.Contains(text, k) {
			t.Error("a secret is in the audit")
		}
	}

	for what, c := range map[string]struct {
		id, secret string
		good       bool
	}{
		"right": {"eperolehan", s, true}, "another's": {"eperolehan", string(otherSecret.Reveal()), false}, "the API key": {"eperolehan", k, false}, "no secret": {"eperolehan", "", false},
		"its hash": {"eperolehan", hashOf(s), false}, "cut": {"eperolehan", s[:len(s)-1], false}, "in capitals": {"eperolehan", strings.ToUpper(s), false},
		"another id": {"other", s, false}, "no such id": {"nobody", s, false}, "no id": {"", "", false},
	} {
		got, err := h.Apps.BySecret(ctx, c.id, c.secret, nil)
		if c.good && (err != nil || got.ID != c.id) || !c.good && (!errors.Is(err, enrol.ErrUnknown) || got.ID != "") {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	if got, err := h.Apps.ByKey(ctx, k, nil); err != nil || got.ID != "eperolehan" {
		t.Errorf("by key: %+v, %v", got, err)
	}
	for _, bad := range []string{"", s, k + " ", k[:len(k)-1], hashOf(k)} {
		if got, err := h.Apps.ByKey(ctx, bad, nil); !errors.Is(err, enrol.ErrUnknown) || got.ID != "" {
			t.Errorf("by a wrong key: %+v, %v", got, err)
		}
	}
}

func hashOf(s string) string {
	h := sha256.Sum256([]byte(s))
	return string(h[:])
}

func TestTokens(t *testing.T) {
	h := house(t)
	app, clientSecret, _, err := h.Apps.Register(ctx, "t", enrol.App{ID: "tokens", Name: "T", Systems: []string{"A"}, PINEntry: enrol.PINHosted})
	must(t, err)
	if _, _, err := h.Apps.Token(ctx, app); err == nil {
		t.Error("a token for an app that did not prove itself")
	}
	app, err = h.Apps.BySecret(ctx, app.ID, string(clientSecret.Reveal()), nil)
	must(t, err)
	token, life, err := h.Apps.Token(ctx, app)
	must(t, err)
	if !strings.HasPrefix(token, "mat_") || len(token) != 56 || life != time.Hour {
		t.Errorf("token of %d characters for %v", len(token), life)
	}
	second, _, err := h.Apps.Token(ctx, app)
	if err != nil || second == token {
		t.Errorf("a second token: %v", err)
	}
	for _, good := range []string{token, second} {
		if got, err := h.Apps.ByToken(ctx, good, nil); err != nil || got.ID != app.ID {
			t.Errorf("%+v, %v", got, err)
		}
	}
	hash := sha256.Sum256([]byte(token))
	for _, bad := range []string{"", token + "x", token[:55], string(hash[:])} {
		if _, err := h.Apps.ByToken(ctx, bad, nil); !errors.Is(err, enrol.ErrUnknown) {
			t.Errorf("a wrong token: %v", err)
		}
	}
	h.Clock.Advance(time.Hour - time.Microsecond)
	if _, err := h.Apps.ByToken(ctx, token, nil); err != nil {
		t.Errorf("in its last microsecond: %v", err)
	}
	h.Clock.Advance(time.Microsecond)
	if _, err := h.Apps.ByToken(ctx, token, nil); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("expired: %v", err)
	}
	if _, _, err := h.Apps.Token(ctx, enrol.App{ID: "nobody"}); err == nil {
		t.Error("a token for nobody was stored")
	}
}
