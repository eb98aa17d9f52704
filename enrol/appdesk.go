package enrol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
)

// What is done with apps.
const (
	ReadApps   Action = "app.read"
	ChangeApp  Action = "app.change" // and register
	ConfirmApp Action = "app.confirm"
	SuspendApp Action = "app.suspend"
	ResumeApp  Action = "app.resume"
	EndApp     Action = "app.end"

	AddAppCredential     Action = "app.credential.add"
	ConfirmAppCredential Action = "app.credential.confirm"
	RevokeAppCredential  Action = "app.credential.revoke"
)

// appRules are the rules of apps: JDN decides, a SAP proposes for the own system and can stop
// what is in wrong hands.
func appRules(m map[Action]rule) {
	both := []Role{JDN, SAP}
	m[ReadApps] = rule{roles: []Role{JDN, SAP, Auditor}, machine: true}
	m[ChangeApp] = rule{roles: both, machine: true, fresh: true}
	m[AddAppCredential] = m[ChangeApp]
	m[SuspendApp] = rule{roles: both, machine: true}
	m[RevokeAppCredential] = m[SuspendApp]
	m[ConfirmApp] = rule{roles: []Role{JDN}, another: true, fresh: true}
	m[ConfirmAppCredential] = m[ConfirmApp]
	m[ResumeApp] = rule{roles: []Role{JDN}, machine: true, fresh: true}
	m[EndApp] = m[ResumeApp]
	m[ChangeSystem] = rule{roles: both, machine: true}
	m[TryHeader], m[SeeTokens] = m[ChangeSystem], m[ReadApps]
}

// Limits of an app.
const (
	maxAppSystems = 20
	maxAppName    = 120
	maxRate       = 10_000
)

// power is what is granted on top of operations.
func power() []string { return []string{GrantRAW, GrantPrepared, GrantExplicit} }

// powerful says whether an app can have signed what nobody has seen, or sees PINs.
func (a *App) powerful() bool {
	return slices.ContainsFunc(power(), a.Granted) || a.PINEntry == PINInApp
}

// grows says whether a has power, or systems or places to use it from, that was did not have.
func (a *App) grows(was *App) bool {
	if !a.powerful() {
		return false
	}
	for _, g := range power() {
		if a.Granted(g) && !was.Granted(g) {
			return true
		}
	}
	return a.PINEntry == PINInApp && was.PINEntry != PINInApp || was.MTLS && !a.MTLS || slices.ContainsFunc(a.Systems, func(s string) bool { return !was.Serves(s) })
}

// take makes an app what was proposed.
func (a *App) take(p *AppProposal) {
	n := &p.App
	a.Name, a.Systems, a.Grants, a.PINEntry, a.Rate, a.RedirectURIs = n.Name, n.Systems, n.Grants, n.PINEntry, n.Rate, n.RedirectURIs
	if n.Webhook != p.Webhook {
		a.Webhook = n.Webhook
	}
	a.MTLS = n.MTLS || a.MTLS && !p.Unbinds // a certificate may have come meanwhile
	if a.State == AppProposed {
		a.State = AppActive
	}
	a.Proposal = nil
}

// stale says whether p has another address for events, and they were sent to a third one since:
// the address before may have been given up because somebody else reads there.
func (a *App) stale(p *AppProposal) bool {
	return p.App.Webhook != p.Webhook && a.Webhook != p.Webhook && a.Webhook != p.App.Webhook
}

// Proposed is what a is to become; a itself where nothing awaits a second person.
func (a *App) Proposed() App {
	n := *a
	if a.Proposal != nil {
		n.take(a.Proposal)
	}
	return n
}

func (s *Apps) may(ctx context.Context, by Actor, act Action, id string, shapes ...*App) (audit.Event, error) {
	return decideApp(ctx, s.Records, s.Now(), by, act, id, shapes...)
}

// decideApp is decide for an app: whoever acts for a system must do so for each that the app
// serves, in each of its shapes; to read the registration one is enough.
func decideApp(ctx context.Context, r recorder, now time.Time, by Actor, act Action, id string, shapes ...*App) (audit.Event, error) {
	o := object{name: "app:" + id}
	all := map[string]bool{}
	for _, a := range shapes {
		for _, sys := range a.Systems {
			all[sys] = true
		}
	}
	reads := act == ReadApps
	for _, sys := range slices.Sorted(maps.Keys(all)) {
		o.system = sys
		_, no := judge(now, &by, rules()[act], &o)
		if no != nil && !reads || no == nil && reads {
			break
		}
	}
	return decide(ctx, r, now, by, act, o)
}

// find reads an app and decides; who may do that with none is not told which there are.
func (s *Apps) find(ctx context.Context, by Actor, act Action, id string) (App, audit.Event, error) {
	a, err := program(s.Records.AppByID(ctx, id))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return a, audit.Event{}, fmt.Errorf("reading app: %w", err)
	}
	ev, derr := s.may(ctx, by, act, id, &a)
	if derr == nil && err != nil {
		derr = refuse(ctx, s.Records, ev, refusal("not_registered", ErrUnknown))
	}
	return a, ev, derr
}

// Add registers an app. One that is powerful, or that a SAP asks for, awaits a second person:
// see [Apps.Confirm]. It has no credentials yet. A *[Refusal], already_registered among them.
func (s *Apps) Add(ctx context.Context, by Actor, a App) (App, error) {
	if a.Grants = slices.Clone(a.Grants); !slices.ContainsFunc(operations(), a.Granted) {
		a.Grants = append(a.Grants, operations()...)
	}
	a.PINEntry, a.Rate = cmp.Or(a.PINEntry, PINHosted), cmp.Or(a.Rate, 50)
	a.State, a.Proposal, a.CreatedAt = AppActive, nil, s.Now().UTC()
	ev, err := s.may(ctx, by, ChangeApp, a.ID, &a)
	if err != nil {
		return App{}, err
	}
	if err := s.judgeApp(ctx, ev, &a); err != nil {
		return App{}, err
	}
	if s.awaits(&by, ev, a.grows(&App{})) {
		a.Proposal = &AppProposal{ID: ident.New("pr", 16), By: by.Name, App: a, Webhook: a.Webhook}
		a.State = AppProposed
	}
	noted(&ev, &a, a.Proposal)
	ev.Detail["new"] = "true"
	err = s.Records.PutApp(ctx, a, nil, ev)
	if errors.Is(err, ErrExists) {
		return App{}, refuse(ctx, s.Records, ev, refusal("app_exists", ErrExists))
	}
	return a, err
}

// Change has edit change an app's registration: name, systems, grants, pin_entry, rate, redirect
// URIs, webhook, and MTLS. What would make it more powerful, and what a SAP asks for, awaits a
// second person, in the place of what awaited one before. A *[Refusal].
func (s *Apps) Change(ctx context.Context, by Actor, id string, edit func(*App)) (App, error) {
	a, err := program(s.Records.AppByID(ctx, id))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return App{}, fmt.Errorf("reading app: %w", err)
	}
	n, was := a, a
	n.Systems, n.Grants, n.RedirectURIs, n.Proposal = slices.Clone(a.Systems), slices.Clone(a.Grants), slices.Clone(a.RedirectURIs), nil
	if a.State == AppProposed {
		was = App{} // nothing of it was confirmed
	}
	if err == nil {
		edit(&n)
		n.ID, n.State, n.Revision, n.CreatedAt = a.ID, a.State, a.Revision, a.CreatedAt
	}
	ev, derr := s.may(ctx, by, ChangeApp, id, &a, &n)
	if derr != nil {
		return App{}, derr
	}
	switch {
	case err != nil:
		return App{}, refuse(ctx, s.Records, ev, refusal("not_registered", ErrUnknown))
	case a.State == AppEnded:
		return App{}, refuse(ctx, s.Records, ev, refusal("app_ended", ErrState))
	}
	if err := s.judgeApp(ctx, ev, &n); err != nil {
		return App{}, err
	}
	p := &AppProposal{ID: ident.New("pr", 16), By: by.Name, App: n, Unbinds: a.MTLS && !n.MTLS, Webhook: a.Webhook}
	if s.awaits(&by, ev, n.grows(&was)) {
		a.Proposal = p
	} else {
		a.take(p)
	}
	n = a.Proposed()
	noted(&ev, &n, a.Proposal)
	return s.set(ctx, a, false, ev)
}

// awaits says whether somebody else has to confirm, and notes it.
func (s *Apps) awaits(by *Actor, ev audit.Event, power bool) bool {
	if by.machine() || !power && ev.Detail["by"] != string(SAP) {
		return false
	}
	ev.Detail["awaits"] = "confirmation"
	return true
}

// noted puts into the audit what an app is, or is to be.
func noted(ev *audit.Event, a *App, p *AppProposal) {
	ev.Detail["name"], ev.Detail["grants"], ev.Detail["pin_entry"] = a.Name, strings.Join(a.Grants, " "), a.PINEntry
	ev.Detail["mtls"], ev.Detail["rate"] = fmt.Sprint(a.MTLS), fmt.Sprint(a.Rate)
	// Each of them whole: what is hidden behind a long one is there to be hidden.
	ev.Tell("systems", strings.Join(a.Systems, " "))
	ev.Tell("redirect_uris", strings.Join(a.RedirectURIs, " "))
	noteWebhook(ev, a.Webhook)
	if p != nil {
		ev.Detail["proposal"] = p.ID
	}
}

// set stores an app; one that somebody else was faster with is refused.
func (s *Apps) set(ctx context.Context, a App, awaits bool, ev audit.Event) (App, error) {
	err := s.Records.SetApp(ctx, a, awaits, ev)
	if errors.Is(err, ErrState) {
		return App{}, refuse(ctx, s.Records, ev, refusal("app_changed", ErrState))
	}
	if err != nil {
		return App{}, fmt.Errorf("storing app: %w", err)
	}
	a.Revision++
	return a, nil
}

// judgeApp refuses what no app may be registered with.
func (s *Apps) judgeApp(ctx context.Context, ev audit.Event, a *App) error {
	systems, err := s.Records.Systems(ctx)
	if err != nil {
		return fmt.Errorf("reading systems: %w", err)
	}
	if no := s.fault(a, systems); no != nil {
		return refuse(ctx, s.Records, ev, no)
	}
	return nil
}

func (s *Apps) fault(a *App, systems []System) *Refusal {
	no := func(field, ms, en string) *Refusal { return entered("app_invalid", field, ms, en) }
	known := func(code string) bool {
		return slices.ContainsFunc(systems, func(s System) bool { return s.Code == code })
	}
	granted := func(g string) bool {
		return slices.Contains(append(operations(), power()...), g)
	}
	switch {
	case !validID(a.ID) || strings.HasPrefix(a.ID, ownPrefix):
		return no("app_id", "id aplikasi: 1 hingga 32 huruf, angka, - atau _, tidak bermula dengan me_", "an app's id has 1 to 32 letters, digits, - or _, and does not begin with me_")
	case !showable(a.Name, maxAppName):
		return no("name", "beri nama aplikasi, paling banyak 120 aksara", "give the app a name of at most 120 characters")
	case len(a.Systems) == 0 || len(a.Systems) > maxAppSystems || !each(a.Systems, known):
		return no("systems", "beri sistem yang berdaftar, setiap satu sekali", "give registered systems, each once")
	case len(a.Grants) == 0 || !each(a.Grants, granted):
		return no("grants", "operasi: sign, lookup, verify, RAW, pades_digest, csc_explicit", "operations are sign, lookup, verify, RAW, pades_digest and csc_explicit, each once")
	case a.PINEntry != PINHosted && a.PINEntry != PINInApp:
		return no("pin_entry", "pin_entry ialah hosted atau app", "pin_entry is hosted or app")
	case math.IsNaN(a.Rate) || a.Rate < 0.1 || a.Rate > maxRate:
		return no("rate", "kadar: 0.1 hingga 10000 sesaat", "the rate is 0.1 to 10000 a second")
	case len(a.RedirectURIs) > maxURIs || !each(a.RedirectURIs, func(u string) bool { return CheckRedirect(u, s.Sandbox) == nil }):
		return no("redirect_uris", "alamat kembali: https penuh, tanpa #, * atau pengguna, setiap satu sekali, paling banyak 20", "redirect URIs are whole https addresses without #, * or user, each once, at most 20")
	case a.Webhook != "" && (CheckWebhook(a.Webhook, s.Sandbox) != nil || s.Receiver != nil && s.Receiver(a.Webhook) != nil):
		return no("webhook", "webhook: alamat https awam yang penuh, tanpa # atau pengguna", "the webhook is a whole, public https address without # or user")
	}
	return nil
}

// each says whether all of list are good and no two are alike.
func each(list []string, good func(string) bool) bool {
	for k, v := range list {
		if !good(v) || slices.Contains(list[:k], v) {
			return false
		}
	}
	return true
}

// Confirm makes an app what was proposed, as the second person: not who proposed it, nor anybody
// whom one of these appointed. proposal is its id, so that nobody confirms what they have not
// seen.
func (s *Apps) Confirm(ctx context.Context, by Actor, id, proposal string) (App, error) {
	a, ev, err := s.find(ctx, by, ConfirmApp, id)
	if err != nil {
		return App{}, err
	}
	if a.Proposal == nil || a.Proposal.ID != proposal || a.State == AppEnded || a.stale(a.Proposal) {
		return App{}, refuse(ctx, s.Records, ev, refusal("app_changed", ErrState))
	}
	p, n := a.Proposal, a.Proposed()
	if err := oneHand(ctx, s.Records, ev, &by, p.By); err != nil {
		return App{}, err
	}
	// What was fit to be proposed may not be any more.
	if err := s.judgeApp(ctx, ev, &n); err != nil {
		return App{}, err
	}
	// Credentials that one person made for an app without power are not those of one with it.
	awaits := !a.powerful() && n.powerful()
	noted(&ev, &n, p)
	ev.Detail["proposed_by"] = p.By
	return s.set(ctx, n, awaits, ev)
}

// Suspend refuses all credentials and tokens of an app from now on, for a why of 5 to 200
// characters; Resume ends that. End is Suspend for good.
func (s *Apps) Suspend(ctx context.Context, by Actor, id, why string) (App, error) {
	return s.turn(ctx, by, SuspendApp, id, why, AppSuspended, AppActive)
}

// Resume: see Suspend.
func (s *Apps) Resume(ctx context.Context, by Actor, id, why string) (App, error) {
	return s.turn(ctx, by, ResumeApp, id, why, AppActive, AppSuspended)
}

// End: see Suspend.
func (s *Apps) End(ctx context.Context, by Actor, id, why string) (App, error) {
	return s.turn(ctx, by, EndApp, id, why, AppEnded, AppActive, AppSuspended, AppProposed)
}

func (s *Apps) turn(ctx context.Context, by Actor, act Action, id, why, to string, from ...string) (App, error) {
	a, ev, err := s.find(ctx, by, act, id)
	if err != nil {
		return App{}, err
	}
	if no := reasonGiven(&why, auditReason); no != nil {
		return App{}, refuse(ctx, s.Records, ev, no)
	}
	if !slices.Contains(from, a.State) {
		return App{}, refuse(ctx, s.Records, ev, refusal("app_state", ErrState))
	}
	ev.Detail["why"], a.State = why, to
	return s.set(ctx, a, false, ev)
}

// Show gives an app with all its credentials, the oldest first. A *[Refusal].
func (s *Apps) Show(ctx context.Context, by Actor, id string) (App, []AppCredential, error) {
	a, ev, err := s.find(ctx, by, ReadApps, id)
	if err != nil {
		return App{}, nil, err
	}
	list, err := s.Records.AppCredentials(ctx, id)
	if err != nil {
		return App{}, nil, fmt.Errorf("reading credentials of the app: %w", err)
	}
	return a, list, s.Records.Audit(ctx, ev)
}
