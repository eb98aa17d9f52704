package office

import (
	"context"
	"time"

	"github.com/mohor-sign/mohor/web/page"
)

// dash stands where there is nothing.
func dash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

func roleOptions(ctx context.Context, roles []string) []page.Option {
	out := make([]page.Option, len(roles))
	for k, r := range roles {
		out[k] = page.Option{Value: r, Text: page.T(ctx, "office.role."+r)}
	}
	return out
}

// roleHints are roles with what each is for.
func roleHints(ctx context.Context, roles []string) []page.Option {
	out := roleOptions(ctx, roles)
	for k := range out {
		out[k].Hint = page.T(ctx, "office.does."+out[k].Value)
	}
	return out
}

func agencyOptions(list []agency) []page.Option {
	out := make([]page.Option, len(list))
	for k, g := range list {
		out[k] = page.Option{Value: g.Code, Text: g.Code + " – " + g.Name}
	}
	return out
}

func systemOptions(list []system) []page.Option {
	out := make([]page.Option, len(list))
	for k, s := range list {
		out[k] = page.Option{Value: s.Code, Text: s.Code + " – " + s.Title}
	}
	return out
}

// term is from when until when an appointment holds; its last day is the one before the end.
func term(ctx context.Context, a *appointed) string {
	from := page.Day(ctx, a.From)
	if a.Until == nil {
		return page.T(ctx, "office.since", "From", from)
	}
	return page.T(ctx, "office.between", "From", from, "Until", page.Day(ctx, a.Until.Add(-time.Second)))
}
