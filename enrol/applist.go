package enrol

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// AppQuery says which apps to list; what is zero does not matter.
type AppQuery struct {
	System, State string
	Awaits        bool   // what awaits a second person: a registration, a change or a credential
	Text          string // a part of name or id, in capitals or not
	After         string // an id: those behind it
	Limit         int    // 0: 100, at most 1000
}

// CredentialSum is what an app's credentials come to.
type CredentialSum struct {
	Live, Awaiting int
	EndsAt         time.Time // the first end to come of one in force; zero: none
	LastUsed       time.Time // the day, UTC; zero: never
}

// ListedApp is an app of a list.
type ListedApp struct {
	App
	Credentials CredentialSum
}

// fits says whether an app is one that q asks for.
func (q *AppQuery) fits(a *ListedApp) bool {
	text := strings.ToLower(q.Text)
	return (q.System == "" || a.Serves(q.System)) && (q.State == "" || a.State == q.State) &&
		(!q.Awaits || a.State != AppEnded && (a.Proposal != nil || a.Credentials.Awaiting > 0)) &&
		(text == "" || strings.Contains(strings.ToLower(a.Name), text) || strings.Contains(strings.ToLower(a.ID), text))
}

// List gives the apps that by may see and q asks for, by id.
func (s *Apps) List(ctx context.Context, by Actor, q AppQuery) ([]ListedApp, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	limit := min(q.Limit, 1000)
	o := object{name: "apps"}
	// Who administers a system may ask, also when no app serves it.
	if k := slices.IndexFunc(by.Appointments, func(x Appointment) bool { return x.holds(s.Now()) && slices.Contains(rules()[ReadApps].roles, x.Role) }); k >= 0 {
		o.system = by.Appointments[k].System
	}
	ev, err := decide(ctx, s.Records, s.Now(), by, ReadApps, o)
	if err != nil {
		return nil, err
	}
	// There are some hundred apps: they are sorted out here, a page of the database at a time.
	var out []ListedApp
	for from, page := q.After, limit; page == limit && len(out) < limit; {
		list, err := s.listed(ctx, from, limit)
		if err != nil {
			return nil, err
		}
		for k := range list {
			if a := &list[k]; len(out) < limit && s.sees(&by, &a.App) && q.fits(a) {
				out = append(out, *a)
			}
		}
		if page = len(list); page > 0 {
			from = list[page-1].ID
		}
	}
	ev.Detail["found"] = fmt.Sprint(len(out))
	return out, s.Records.Audit(ctx, ev)
}

// listed reads a page of apps with the sums of their credentials.
func (s *Apps) listed(ctx context.Context, after string, limit int) ([]ListedApp, error) {
	list, err := s.Records.ListApps(ctx, after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading apps: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	sums, err := s.Records.SumAppCredentials(ctx, after, list[len(list)-1].ID, s.Now())
	if err != nil {
		return nil, fmt.Errorf("reading credentials of apps: %w", err)
	}
	out := make([]ListedApp, len(list))
	for k, a := range list {
		out[k] = ListedApp{a, sums[a.ID]}
	}
	return out, nil
}

func (s *Apps) sees(by *Actor, a *App) bool {
	return slices.ContainsFunc(a.Systems, func(code string) bool {
		_, no := judge(s.Now(), by, rules()[ReadApps], &object{system: code})
		return no == nil
	})
}
