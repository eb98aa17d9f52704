package enrol_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/storetest"
)

func plainApp(id string) enrol.App {
	return enrol.App{ID: id, Name: "Lejar", Systems: []string{storetest.System}}
}

// JDN registers what is harmless alone; what has power, and what a SAP wants, awaits a JDN who is
// somebody else.
func TestAppsAreRegistered(t *testing.T) {
	o := newOffice(t)
	apps := o.House.Apps
	a, err := apps.Add(ctx, o.jdn, plainApp("lejar"))
	if err != nil || a.State != enrol.AppActive || a.PINEntry != enrol.PINHosted || a.Rate != 50 || !slices.Equal(a.Grants, []string{"sign", "lookup", "verify"}) {
		t.Fatalf("%+v, %v", a, err)
	}
	_, err = apps.Add(ctx, o.jdn, plainApp("lejar"))
	refusedAs(t, err, "app_exists")
	for what, edit := range map[string]func(*enrol.App){
		"app_id": func(a *enrol.App) { a.ID = "a b" }, "name": func(a *enrol.App) { a.Name = "a\nb" }, "systems": func(a *enrol.App) { a.Systems = []string{"NONE"} },
		"grants": func(a *enrol.App) { a.Grants = []string{"sign", "all"} }, "pin_entry": func(a *enrol.App) { a.PINEntry = "sms" }, "rate": func(a *enrol.App) { a.Rate = -1 },
		"redirect_uris": func(a *enrol.App) { a.RedirectURIs = []string{"http://a.example/"} }, "webhook": func(a *enrol.App) { a.Webhook = "https://a.example/#x" },
	} {
		bad := plainApp("other")
		edit(&bad)
		_, err := apps.Add(ctx, o.jdn, bad)
		var no *enrol.Refusal
		if !errors.As(err, &no) || no.Code != "app_invalid" || no.Field != what {
			t.Errorf("%s: %v", what, err)
		}
	}

	// A SAP proposes for the own system alone, and JDN confirms what it has seen.
	foreign := plainApp("asing")
	foreign.Systems = []string{storetest.System, "EP"}
	_, err = apps.Add(ctx, o.sap, foreign)
	refusedAs(t, err, "forbidden")
	p, err := apps.Add(ctx, o.sap, plainApp("cadangan"))
	if err != nil || p.State != enrol.AppProposed || p.Proposal == nil {
		t.Fatalf("%+v, %v", p, err)
	}
	_, err = apps.Confirm(ctx, o.sap, p.ID, p.Proposal.ID)
	refusedAs(t, err, "forbidden")
	_, err = apps.Confirm(ctx, o.jdn, p.ID, "pr_x")
	refusedAs(t, err, "app_changed")
	_, err = apps.Resume(ctx, o.jdn, p.ID, "begin now")
	refusedAs(t, err, "app_state")
	if p, err = apps.Confirm(ctx, o.jdn, p.ID, p.Proposal.ID); err != nil || p.State != enrol.AppActive || p.Proposal != nil {
		t.Fatalf("%+v, %v", p, err)
	}

	// A credential from before a proposal is judged again with it: one person made it.
	_, err = apps.Add(ctx, o.sap, plainApp("tumbuh"))
	must(t, err)
	key, text, err := apps.AddCredential(ctx, o.jdn, "tumbuh", enrol.NewCredential{Kind: enrol.KindKey})
	must(t, err)
	text.Wipe()
	if key.Awaits {
		t.Error("a credential of an app without power waits")
	}
	p, err = apps.Change(ctx, o.jdn, "tumbuh", func(a *enrol.App) { a.Grants, a.PINEntry = append(a.Grants, enrol.GrantRAW), enrol.PINInApp })
	must(t, err)
	must(t, second(apps.Confirm(ctx, o.jd2, "tumbuh", p.Proposal.ID)))
	_, all, err := apps.Show(ctx, o.jdn, "tumbuh")
	if err != nil || len(all) != 1 || !all[0].Awaits {
		t.Errorf("one person's credential of an app with power: %+v, %v", all, err)
	}

	// Each of what is powerful wants two, and nothing of it holds before.
	for what, edit := range map[string]func(*enrol.App){
		"raw": func(a *enrol.App) { a.Grants = []string{enrol.GrantSign, enrol.GrantRAW} }, "csc": func(a *enrol.App) { a.Grants = []string{enrol.GrantExplicit} },
		"pades": func(a *enrol.App) { a.Grants = []string{enrol.GrantSign, enrol.GrantPrepared} },
		"pin":   func(a *enrol.App) { a.PINEntry = enrol.PINInApp },
	} {
		n := plainApp(what)
		edit(&n)
		p, err := apps.Add(ctx, o.jdn, n)
		if err != nil || p.State != enrol.AppProposed {
			t.Fatalf("%s: %+v, %v", what, p, err)
		}
		_, err = apps.Confirm(ctx, o.jdn, p.ID, p.Proposal.ID)
		refusedAs(t, err, "same_person")
		_, err = apps.Confirm(ctx, enrol.Actor{Name: "cli:root"}, p.ID, p.Proposal.ID)
		refusedAs(t, err, "forbidden")
		if p, err = apps.Confirm(ctx, o.jd2, p.ID, p.Proposal.ID); err != nil || p.State != enrol.AppActive {
			t.Fatalf("%s: %+v, %v", what, p, err)
		}
		// From here on its systems count, too; its name does not.
		p, err = apps.Change(ctx, o.jdn, what, func(a *enrol.App) { a.Name = "Lain" })
		if err != nil || p.Name != "Lain" || p.Proposal != nil {
			t.Errorf("%s renamed: %+v, %v", what, p, err)
		}
		p, err = apps.Change(ctx, o.jdn, what, func(a *enrol.App) { a.Systems = append(a.Systems, "EP") })
		if err != nil || p.Serves("EP") || p.Proposal == nil {
			t.Errorf("%s for another system: %+v, %v", what, p, err)
		}
		p, err = apps.Change(ctx, o.jdn, what, func(a *enrol.App) { a.Grants, a.PINEntry = []string{enrol.GrantLookup}, enrol.PINHosted })
		if err != nil || p.Proposal != nil || p.Granted(enrol.GrantRAW) || p.Granted(enrol.GrantPrepared) || p.PINEntry != enrol.PINHosted {
			t.Errorf("%s without it: %+v, %v", what, p, err)
		}
	}
	a, err = apps.Change(ctx, o.jdn, "lejar", func(a *enrol.App) { a.Grants = append(a.Grants, enrol.GrantRAW) })
	if err != nil || a.Granted(enrol.GrantRAW) || a.Proposal == nil {
		t.Errorf("RAW at once: %+v, %v", a, err)
	}
	// The operator of the machine is alone.
	n := plainApp("mesin")
	n.Grants = []string{enrol.GrantRAW}
	if a, err := apps.Add(ctx, enrol.Actor{Name: "cli:root"}, n); err != nil || a.State != enrol.AppActive {
		t.Errorf("%+v, %v", a, err)
	}
	_, err = apps.Change(ctx, o.jdn, "none", func(a *enrol.App) { t.Error("edited nothing") })
	refusedAs(t, err, "not_registered")
	_, err = apps.Change(ctx, o.ap, "lejar", func(a *enrol.App) {})
	refusedAs(t, err, "forbidden")

	list, err := apps.List(ctx, o.jdn, enrol.AppQuery{Limit: 2})
	if err != nil || len(list) != 2 || list[0].ID != "cadangan" {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err = apps.List(ctx, o.sap, enrol.AppQuery{After: "cadangan"}); err != nil || len(list) != 8 { // and the house's own
		t.Errorf("%d, %v", len(list), err)
	}
	_, err = apps.List(ctx, o.ap, enrol.AppQuery{})
	refusedAs(t, err, "forbidden")
}

// A secret is followed by another while it still works, and ended at once when it is stolen.
func TestRotation(t *testing.T) {
	o := newOffice(t)
	apps, clock := o.House.Apps, o.House.Clock
	_, err := apps.Add(ctx, o.jdn, plainApp("lejar"))
	must(t, err)
	fresh := func() enrol.Actor { j := o.jdn; j.LoggedIn = clock.Now(); return j }
	good := func(s secret.Text) bool {
		_, err := apps.BySecret(ctx, "lejar", string(s.Reveal()), nil)
		return err == nil
	}
	old, oldText, err := apps.AddCredential(ctx, fresh(), "lejar", enrol.NewCredential{Kind: enrol.KindSecret})
	must(t, err)
	a, err := apps.BySecret(ctx, "lejar", string(oldText.Reveal()), nil)
	must(t, err)
	token, _, err := apps.Token(ctx, a)
	must(t, err)
	next, nextText, err := apps.AddCredential(ctx, fresh(), "lejar", enrol.NewCredential{Kind: enrol.KindSecret, Replaces: old.ID})
	if err != nil || !next.ReplacesUntil.Equal(clock.Now().Add(enrol.Overlap)) {
		t.Fatalf("%+v, %v", next, err)
	}
	if !good(oldText) || !good(nextText) {
		t.Error("both should work")
	}
	clock.Advance(enrol.Overlap - time.Minute)
	a, err = apps.BySecret(ctx, "lejar", string(oldText.Reveal()), nil)
	must(t, err)
	late, life, err := apps.Token(ctx, a)
	if err != nil || life != time.Minute {
		t.Errorf("a token outlives its credential: %v, %v", life, err)
	}
	clock.Advance(time.Minute)
	if good(oldText) || !good(nextText) {
		t.Error("the old one should have ended, the new one not")
	}
	for _, x := range []string{token, late} {
		if _, err := apps.ByToken(ctx, x, nil); !errors.Is(err, enrol.ErrUnknown) {
			t.Errorf("a token of a credential that has ended: %v", err)
		}
	}
	// Stolen: revoked at once, with its tokens.
	a, err = apps.BySecret(ctx, "lejar", string(nextText.Reveal()), nil)
	must(t, err)
	token, _, err = apps.Token(ctx, a)
	must(t, err)
	must(t, apps.RevokeCredential(ctx, o.sap, "lejar", next.ID))
	if _, err := apps.ByToken(ctx, token, nil); good(nextText) || !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("revoked: %v", err)
	}
	refusedAs(t, apps.RevokeCredential(ctx, o.sap, "lejar", next.ID), "not_registered")

	third, text, err := apps.AddCredential(ctx, fresh(), "lejar", enrol.NewCredential{Kind: enrol.KindKey, ExpiresAt: clock.Now().Add(time.Hour)})
	must(t, err)
	for what, n := range map[string]enrol.NewCredential{
		"kind": {Kind: "password"}, "expires_at": {Kind: enrol.KindKey, ExpiresAt: clock.Now()}, "replaces": {Kind: enrol.KindSecret, Replaces: third.ID},
		"until": {Kind: enrol.KindKey, Replaces: third.ID, Until: clock.Now().Add(enrol.MaxOverlap + time.Second)}, "jwks": {Kind: enrol.KindJWT}, "certificate": {Kind: enrol.KindCertificate},
	} {
		_, text, err := apps.AddCredential(ctx, fresh(), "lejar", n)
		var no *enrol.Refusal
		if !errors.As(err, &no) || no.Field != what || text.Len() != 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	byKey := func() error { _, err := apps.ByKey(ctx, string(text.Reveal()), nil); return err }
	must(t, byKey())
	_, err = apps.Suspend(ctx, o.sap, "lejar", "lost laptop")
	must(t, err)
	if err := byKey(); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("of a suspended app: %v", err)
	}
	_, err = apps.Resume(ctx, o.sap, "lejar", "found again")
	refusedAs(t, err, "forbidden")
	_, err = apps.Resume(ctx, fresh(), "lejar", "found again")
	must(t, err)
	must(t, byKey())
	clock.Advance(time.Hour)
	if err := byKey(); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("expired: %v", err)
	}
	_, err = apps.End(ctx, fresh(), "lejar", "project over")
	must(t, err)
	_, _, err = apps.AddCredential(ctx, fresh(), "lejar", enrol.NewCredential{Kind: enrol.KindKey})
	refusedAs(t, err, "app_ended")
	_, all, err := apps.Show(ctx, o.sap, "lejar")
	if err != nil || len(all) != 3 || all[2].LastUsed.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
	for _, r := range storetest.Chain(t, o.House.DB) {
		for _, s := range []secret.Text{oldText, nextText, text} {
			if strings.Contains(fmt.Sprint(r), string(s.Reveal())) {
				t.Error("a secret is in the audit")
			}
		}
	}
}

// The key of an app with power does nothing until somebody else has confirmed it.
func TestCredentialsOfThePowerfulAwait(t *testing.T) {
	o := newOffice(t)
	apps := o.House.Apps
	c, text, err := apps.AddCredential(ctx, o.jdn, o.House.App.ID, enrol.NewCredential{Kind: enrol.KindKey})
	if err != nil || !c.Awaits {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := apps.ByKey(ctx, string(text.Reveal()), nil); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("unconfirmed: %v", err)
	}
	refusedAs(t, apps.ConfirmCredential(ctx, o.jdn, o.House.App.ID, c.ID), "same_person")
	refusedAs(t, apps.ConfirmCredential(ctx, o.jd2, "other", c.ID), "not_registered")
	refusedAs(t, apps.ConfirmCredential(ctx, o.sap, o.House.App.ID, c.ID), "forbidden")
	must(t, apps.ConfirmCredential(ctx, o.jd2, o.House.App.ID, c.ID))
	refusedAs(t, apps.ConfirmCredential(ctx, o.jd2, o.House.App.ID, c.ID), "app_changed")
	if _, err := apps.ByKey(ctx, string(text.Reveal()), nil); err != nil {
		t.Errorf("confirmed: %v", err)
	}
}

// Nobody lowers an app, makes it a key alone, and has it raised again by somebody who sees no key.
func TestCredentialsOfTheRaisedAwait(t *testing.T) {
	o := newOffice(t)
	apps, id := o.House.Apps, o.House.App.ID
	var was enrol.App
	_, err := apps.Change(ctx, o.jdn, id, func(a *enrol.App) {
		was = *a
		a.Grants, a.PINEntry = []string{enrol.GrantSign}, enrol.PINHosted
	})
	must(t, err)
	c, text, err := apps.AddCredential(ctx, o.jdn, id, enrol.NewCredential{Kind: enrol.KindKey})
	if err != nil || c.Awaits {
		t.Fatalf("%+v, %v", c, err)
	}
	byKey := func() error {
		_, err := apps.ByKey(ctx, string(text.Reveal()), nil)
		return err
	}
	must(t, byKey())
	a, err := apps.Change(ctx, o.jdn, id, func(a *enrol.App) { a.Grants, a.PINEntry = was.Grants, was.PINEntry })
	if err != nil || a.Proposal == nil {
		t.Fatalf("%+v, %v", a, err)
	}
	must(t, byKey())
	_, err = apps.Confirm(ctx, o.jd2, id, a.Proposal.ID)
	must(t, err)
	if err := byKey(); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("a key that nobody else has seen: %v", err)
	}
	refusedAs(t, apps.ConfirmCredential(ctx, o.jdn, id, c.ID), "same_person")
	must(t, apps.ConfirmCredential(ctx, o.jd2, id, c.ID))
	must(t, byKey())
}

// What an app may be sent back to, and what it may speak for, stands in the audit whole: one long
// address hides no other, nor its own end.
func TestAuditOfAnAppHidesNothing(t *testing.T) {
	o := newOffice(t)
	a := plainApp("lejar")
	long := "https://igfmas.anm.gov.my." + strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + "." + strings.Repeat("c", 60) + ".evil.example/" + strings.Repeat("d", 200)
	for k := range 18 {
		a.RedirectURIs = append(a.RedirectURIs, fmt.Sprintf("https://igfmas.anm.gov.my/%d/%s", k, strings.Repeat("x", 300)))
	}
	a.RedirectURIs = append(a.RedirectURIs, long, "https://evil.example/")
	for k := range 12 {
		code := fmt.Sprintf("SISTEM-YANG-PANJANG-%d", k)
		must(t, o.PutSystem(ctx, o.jdn, enrol.System{Code: code, Title: code, Agency: "JANM"}))
		a.Systems = append(a.Systems, code)
	}
	a.Webhook = "https://hooks.agency.example/secret-of-the-receiver"
	_, err := o.House.Apps.Add(ctx, o.jdn, a)
	must(t, err)
	chain := storetest.Chain(t, o.House.DB)
	d := chain[len(chain)-1].Detail
	whole := func(name string) string {
		text := d[name]
		for n := 2; d[fmt.Sprintf("%s.%d", name, n)] != ""; n++ {
			text += d[fmt.Sprintf("%s.%d", name, n)]
		}
		return text
	}
	if got := whole("redirect_uris"); got != strings.Join(a.RedirectURIs, " ") {
		t.Errorf("redirect URIs: %d bytes of %d", len(got), len(strings.Join(a.RedirectURIs, " ")))
	}
	if got := whole("systems"); got != strings.Join(a.Systems, " ") {
		t.Errorf("systems: %q", got)
	}
	sum := sha256.Sum256([]byte(a.Webhook))
	if d["webhook_host"] != "hooks.agency.example" || d["webhook_sha256"] != fmt.Sprintf("%x", sum) || strings.Contains(fmt.Sprint(d), "secret-of") {
		t.Errorf("webhook: %v", d)
	}
}

// A proposal of before an address was given up does not bring it back.
func TestProposalsBringNoWebhookBack(t *testing.T) {
	const first, second, third = "https://a.example/hook", "https://b.example/hook", "https://c.example/hook"
	for what, c := range map[string]struct {
		edit func(*enrol.App)
		set  []string // meanwhile
		want string   // "refused" for app_changed
	}{
		"renamed, moved meanwhile":         {func(a *enrol.App) { a.Name = "Lain" }, []string{second}, second},
		"renamed, dropped meanwhile":       {func(a *enrol.App) { a.Name = "Lain" }, []string{""}, ""},
		"moved, and nothing else":          {func(a *enrol.App) { a.Webhook = second }, nil, second},
		"moved, and there already":         {func(a *enrol.App) { a.Webhook = second }, []string{second}, second},
		"moved, and given up since":        {func(a *enrol.App) { a.Webhook = second }, []string{second, third}, "refused"},
		"moved, and dropped since":         {func(a *enrol.App) { a.Webhook = second }, []string{second, ""}, "refused"},
		"dropped, and moved since":         {func(a *enrol.App) { a.Webhook = "" }, []string{second}, "refused"},
		"control: nothing in the meantime": {func(a *enrol.App) { a.Name = "Lain" }, nil, first},
	} {
		o := newOffice(t)
		apps, db := o.House.Apps, o.House.DB
		a := plainApp("lejar")
		a.Webhook = first
		_, err := apps.Add(ctx, o.jdn, a)
		must(t, err)
		ev := audit.Event{At: o.House.Clock.Now(), Actor: o.jdn.Name, Action: "app.webhook", Object: "app:lejar", Verdict: audit.Accepted}
		must(t, db.SetWebhook(ctx, "lejar", first, []byte{1}, time.Time{}, ev))
		p, err := apps.Change(ctx, o.sap, "lejar", c.edit)
		if err != nil || p.Proposal == nil || p.Webhook != first {
			t.Fatalf("%s: %+v, %v", what, p, err)
		}
		for _, to := range c.set {
			if to == "" {
				err = db.DropWebhook(ctx, "lejar", ev)
			} else {
				err = db.SetWebhook(ctx, "lejar", to, []byte{2}, time.Time{}, ev)
			}
			must(t, err)
		}
		before, err := db.AppByID(ctx, "lejar")
		must(t, err)
		shown := before.Proposed()
		got, err := apps.Confirm(ctx, o.jd2, "lejar", p.Proposal.ID)
		if c.want == "refused" {
			if refusedAs(t, err, "app_changed"); before.Webhook != c.set[len(c.set)-1] {
				t.Errorf("%s: %q", what, before.Webhook)
			}
			continue
		}
		if err != nil || got.Webhook != c.want || shown.Webhook != c.want || got.Name != shown.Name {
			t.Errorf("%s: %q, shown %q, %v", what, got.Webhook, shown.Webhook, err)
		}
	}
}

func jwkOf(t testing.TB, k *ecdsa.PrivateKey, more map[string]any) map[string]any {
	t.Helper()
	point, err := k.PublicKey.Bytes()
	must(t, err)
	n, enc := (len(point)-1)/2, base64.RawURLEncoding.EncodeToString
	m := map[string]any{"kty": "EC", "crv": k.Curve.Params().Name, "x": enc(point[1 : 1+n]), "y": enc(point[1+n:])}
	for name, v := range more {
		m[name] = v
	}
	return m
}

func TestKeySets(t *testing.T) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	big, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	must(t, err)
	other := sha256.Sum256([]byte("x"))
	for what, c := range map[string]struct {
		keys []map[string]any
		good bool
	}{
		"one":              {[]map[string]any{jwkOf(t, k, nil)}, true},
		"named":            {[]map[string]any{jwkOf(t, k, map[string]any{"kid": "a", "alg": "ES256", "use": "sig"}), jwkOf(t, k, map[string]any{"kid": "b"})}, true},
		"none":             {nil, false},
		"without names":    {[]map[string]any{jwkOf(t, k, nil), jwkOf(t, k, nil)}, false},
		"with one name":    {[]map[string]any{jwkOf(t, k, map[string]any{"kid": "a"}), jwkOf(t, k, map[string]any{"kid": "a"})}, false},
		"private":          {[]map[string]any{jwkOf(t, k, map[string]any{"d": "AQ"})}, false},
		"to encrypt":       {[]map[string]any{jwkOf(t, k, map[string]any{"use": "enc"})}, false},
		"HS256":            {[]map[string]any{jwkOf(t, k, map[string]any{"alg": "HS256"})}, false},
		"another's alg":    {[]map[string]any{jwkOf(t, k, map[string]any{"alg": "ES384"})}, false},
		"not on the curve": {[]map[string]any{jwkOf(t, k, map[string]any{"y": base64.RawURLEncoding.EncodeToString(other[:])})}, false},
		"P-521":            {[]map[string]any{jwkOf(t, big, nil)}, false},
		"octets":           {[]map[string]any{{"kty": "oct", "k": "AAAA"}}, false},
		"short RSA":        {[]map[string]any{{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(make([]byte, 128)), "e": "AQAB"}}, false},
		"too many":         {slices.Repeat([]map[string]any{jwkOf(t, k, nil)}, 9), false},
		"Ed25519":          {[]map[string]any{{"kty": "OKP", "crv": "Ed25519", "x": "AA"}}, false},
	} {
		set, err := json.Marshal(map[string]any{"keys": c.keys})
		must(t, err)
		if err := enrol.CheckKeys(set); (err == nil) != c.good {
			t.Errorf("%s: %v", what, err)
		}
	}
}
