package works

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/mohor-sign/mohor/web/page"
)

// without is the address of a whole list where something narrows it.
func without(narrowed, path string) string {
	if narrowed == "" {
		return ""
	}
	return path
}

// back and next are for [page.Pager].
func back(first bool, path string) string {
	if first {
		return ""
	}
	return path
}

func next(after string, at func(string) string) string {
	if after == "" {
		return ""
	}
	return at(after)
}

func statusOptions(ctx context.Context) []page.Option {
	out := []page.Option{{Value: "", Text: page.T(ctx, "works.any")}}
	for _, s := range statuses() {
		out = append(out, page.Option{Value: s, Text: page.T(ctx, "works.status."+s)})
	}
	return out
}

func appName(ctx context.Context, b *work) string {
	if b.Own {
		return page.T(ctx, "works.own")
	}
	return cmp.Or(b.AppName, b.App)
}

// reload is after how many seconds a browser without scripts looks again; poll is where one with
// scripts asks.
func reload(b *work) int {
	if b.Status == "SIGNING" {
		return 10
	}
	return 0
}

func poll(b *work) string {
	if b.Status != "SIGNING" && b.Status != "PAUSED" {
		return ""
	}
	return b.path() + "/progress?as=" + b.Status
}

// rate says how fast a batch is signed, or was.
func rate(ctx context.Context, b *work) string {
	if b.Rate <= 0 {
		return page.T(ctx, "works.rate.none")
	}
	return page.T(ctx, "works.rate.second", "N", strconv.FormatFloat(b.Rate, 'f', map[bool]int{true: 0, false: 1}[b.Rate >= 10], 64))
}

type codeCount struct {
	Code string
	N    int
}

// codes are counts by code, the most first.
func codes(m map[string]int) (out []codeCount) {
	for c, n := range m {
		out = append(out, codeCount{c, n})
	}
	slices.SortFunc(out, func(a, b codeCount) int { return cmp.Or(b.N-a.N, strings.Compare(a.Code, b.Code)) })
	return out
}

// reasonOf is a refusal's code in words.
func reasonOf(ctx context.Context, code string) string {
	if page.Has(ctx, "works.code."+code) {
		return page.T(ctx, "works.code."+code)
	}
	return page.T(ctx, "works.code.other", "Code", code)
}

// ownHalf is the half of "Melayu / English" in the language of the page.
func ownHalf(ctx context.Context, both, code string) string {
	ms, en, ok := strings.Cut(both, " / ")
	switch {
	case both == "":
		return reasonOf(ctx, code)
	case ok && page.Language(ctx) == page.English:
		return en
	}
	return ms
}

// moreRefusals is the address of the refusals behind those that are shown.
func moreRefusals(b *work, no *refusals) string {
	var row, item string
	if no.NextRow != nil {
		row = strconv.Itoa(*no.NextRow)
	}
	if no.NextItem != nil {
		item = strconv.Itoa(*no.NextItem)
	}
	if row+item == "" {
		return ""
	}
	return address(b.path(), "row", row, "item", item)
}

func letterOptions(ctx context.Context) []page.Option {
	out := []page.Option{{Value: "", Text: page.T(ctx, "works.any")}}
	for _, s := range letterStates() {
		out = append(out, page.Option{Value: s, Text: page.T(ctx, "works.letter.state."+s)})
	}
	return out
}

func levelOptions() (out []page.Option) {
	for _, l := range []string{"SKM 1", "SKM 2", "SKM 3", "DKM", "DLKM", "PC", "VTO", "VTE", "VTM"} {
		out = append(out, page.Option{Value: l, Text: l})
	}
	return out
}

// titleOf is a template's name in words.
func titleOf(ctx context.Context, name, level string) string {
	if level == "" {
		return page.T(ctx, "works.common")
	}
	return page.T(ctx, "works.template.of", "Level", cmp.Or(level, name))
}

func versionTone(state string) string {
	switch state {
	case "CURRENT":
		return page.Good
	case "PROPOSED":
		return page.Wait
	case "REJECTED":
		return page.Bad
	}
	return page.Info
}

// picture is what a template's page shows first: the draft that was sent, or the template as it is.
func picture(f *draft) string {
	if f.picture != "" {
		return f.picture
	}
	return address(f.path()+"/sample.png", "version", strconv.FormatInt(f.Version, 10))
}

// sampleOf is a picture of a version in a language.
func sampleOf(v *version, language string) string {
	return address(templatesPath+"/"+v.Template+"/sample.png", "version", strconv.FormatInt(v.Number, 10), "language", language)
}
