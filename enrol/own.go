package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/audit"
)

// What every person's own app is like.
const (
	ownPrefix = "me_" // of its id, which no registered app's begins with
	ownName   = "Portal Mohor"
	ownRate   = 20
)

// Own is p as an app: what somebody who is logged in asks for at the gateway's own portal, for
// the own signature alone. It serves the systems that p holds an active roaming medium for at this
// moment (none: it can ask for nothing), has no credentials and no power, and leads back to the
// portal. With keep it is stored at the first need, for what is made refers to it.
func (s *Apps) Own(ctx context.Context, p *Person, keep bool) (App, error) {
	a := App{ID: OwnApp(p.Account.ID), Name: ownName, Systems: []string{}, Grants: operations(), PINEntry: PINHosted, Rate: ownRate,
		RedirectURIs: []string{s.Portal}, State: AppActive, Person: p.Account.ID, CreatedAt: s.Now().UTC(), via: "session:" + p.Session.ID}
	var err error
	if a.Systems, err = s.systemsOf(ctx, p.Account.IC); err != nil || !keep || len(a.Systems) == 0 {
		return a, err
	}
	switch was, err := s.Records.AppByID(ctx, a.ID); {
	case err == nil && was.Person == a.Person:
		a.CreatedAt = was.CreatedAt
		return a, nil
	case err == nil:
		return App{}, fmt.Errorf("finding own app %q: it is somebody else's", a.ID)
	case !errors.Is(err, ErrUnknown):
		return App{}, fmt.Errorf("finding own app: %w", err)
	}
	stored := a
	stored.Systems = []string{} // they are read anew each time
	ev := audit.Event{At: s.Now(), Actor: p.Actor.Name, Action: "enrol.app.own", Object: "app:" + a.ID, Verdict: audit.Accepted, RequestID: p.Actor.Request}
	err = s.Records.PutApp(ctx, stored, nil, ev)
	if errors.Is(err, ErrExists) { // another request of the same person was faster
		was, rerr := s.Records.AppByID(ctx, a.ID)
		if err = rerr; err == nil && was.Person != a.Person {
			err = fmt.Errorf("it is somebody else's")
		}
	}
	if err != nil {
		return App{}, fmt.Errorf("storing own app %q: %w", a.ID, err)
	}
	return a, nil
}

// OwnApp is the id of an account's own app, whether or not there is one yet.
func OwnApp(account string) string { return ownPrefix + strings.TrimPrefix(account, "ac_") }

// systemsOf are those that an officer can sign for with a key that is here.
func (s *Apps) systemsOf(ctx context.Context, ic string) ([]string, error) {
	out := []string{}
	if ic == "" {
		return out, nil
	}
	_, media, err := s.Records.Officer(ctx, ic)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return out, fmt.Errorf("reading media: %w", err)
	}
	for _, m := range media {
		if m.Medium == RoamingOTP && m.Status == "ACTIVE" && !slices.Contains(out, m.System) {
			out = append(out, m.System)
		}
	}
	return out, nil
}

// program hides people's own apps from those who manage apps.
func program(a App, err error) (App, error) {
	if err == nil && a.Person != "" {
		return App{}, ErrUnknown
	}
	return a, err
}
