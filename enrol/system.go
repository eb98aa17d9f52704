package enrol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // the two formats of a logo
	_ "image/png"
	"slices"
)

// ChangeSystem is what the signing page shows of a system, and what its data headers are.
const ChangeSystem Action = "enrol.system"

// TryHeader is a try of a header template; SeeTokens, who still has a token.
const (
	TryHeader Action = "enrol.header"
	SeeTokens Action = "enrol.tokens"
)

// maxLogoSide bounds a logo in pixels.
const maxLogoSide = 2000

// ShowSystem sets what the signing page shows of a system: title and notice, and what its data
// headers are made of (see [ParseHeader]; "": anything). edit gets it as it is. A *[Refusal].
func (d *Desk) ShowSystem(ctx context.Context, a Actor, code string, edit func(*System)) (System, error) {
	s, err := d.Records.System(ctx, code)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return s, fmt.Errorf("reading system: %w", err)
	}
	unknown := err != nil
	if !unknown {
		edit(&s)
	}
	ev, err := d.decide(ctx, a, ChangeSystem, object{name: "system:" + code, system: code, detail: map[string]string{"title": s.Title, "notice": s.Notice, "header_template": s.HeaderTemplate}})
	if err != nil {
		return s, err
	}
	var herr error
	if s.HeaderTemplate != "" {
		_, herr = ParseHeader(s.HeaderTemplate)
	}
	switch {
	case unknown:
		return s, d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	case !showable(s.Title, 120):
		return s, d.refuse(ctx, ev, entered("registry_invalid", "title", "beri tajuk sistem, paling banyak 120 aksara", "give the system a title of at most 120 characters"))
	case s.Notice != NoticeCertificate && s.Notice != NoticeToken:
		return s, d.refuse(ctx, ev, entered("registry_invalid", "notice", "notis ialah sijil atau token", "the notice is sijil or token"))
	case herr != nil:
		return s, d.refuse(ctx, ev, badTemplate())
	}
	return s, d.Records.ShowSystem(ctx, s, ev)
}

// SetLogo sets a system's logo, a PNG or JPEG of at most MaxLogo bytes and 2000 pixels a side;
// nil: none. A *[Refusal].
func (d *Desk) SetLogo(ctx context.Context, a Actor, code string, logo []byte) error {
	ev, err := d.decide(ctx, a, ChangeSystem, object{name: "system:" + code, system: code, detail: map[string]string{"logo": fmt.Sprint(len(logo))}})
	if err != nil {
		return err
	}
	kind := ""
	if len(logo) > 0 {
		head, format, err := image.DecodeConfig(bytes.NewReader(logo))
		if err != nil || len(logo) > MaxLogo || head.Width > maxLogoSide || head.Height > maxLogoSide || format != "png" && format != "jpeg" {
			return d.refuse(ctx, ev, entered("registry_invalid", "logo", "logo ialah PNG atau JPEG, paling besar 64 KiB dan 2000 piksel", "a logo is a PNG or JPEG of at most 64 KiB and 2000 pixels a side"))
		}
		kind = "image/" + format
	}
	err = d.Records.SetLogo(ctx, code, logo, kind, ev)
	if errors.Is(err, ErrUnknown) {
		return d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	}
	return err
}

// TriedHeader is what a template reads from a header.
type TriedHeader struct {
	Template string
	Fits     bool
	Amount   string // see [Header.Fits]
	Parts    []ReadPart
	Rest     string // what no part has read
}

// TryHeader reads an example of a data header by a template, or by the system's own where template
// is nil, and changes nothing. The header may name anybody: it is not kept. A *[Refusal].
func (d *Desk) TryHeader(ctx context.Context, a Actor, code string, template *string, header string) (TriedHeader, error) {
	ev, err := d.decide(ctx, a, TryHeader, object{name: "system:" + code, system: code})
	if err != nil {
		return TriedHeader{}, err
	}
	s, err := d.Records.System(ctx, code)
	if errors.Is(err, ErrUnknown) {
		return TriedHeader{}, d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	}
	if err != nil {
		return TriedHeader{}, fmt.Errorf("reading system: %w", err)
	}
	t := TriedHeader{Template: s.HeaderTemplate}
	if template != nil {
		t.Template = *template
	}
	ev.Detail["header_template"] = t.Template
	if t.Template == "" {
		t.Fits, t.Rest = true, header
		return t, d.Records.Audit(ctx, ev)
	}
	h, err := ParseHeader(t.Template)
	if err != nil {
		return TriedHeader{}, d.refuse(ctx, ev, badTemplate())
	}
	t.Parts, t.Rest = h.Read(header)
	if t.Fits = t.Rest == "" && !slices.ContainsFunc(t.Parts, func(p ReadPart) bool { return p.Got == "" }); t.Fits {
		k := slices.IndexFunc(t.Parts, func(p ReadPart) bool { return p.Field == HeaderIC })
		if k < 0 {
			t.Amount, t.Fits = h.Fits(header, "")
		} else {
			t.Amount, t.Fits = h.Fits(header, t.Parts[k].Got)
		}
	}
	return t, d.Records.Audit(ctx, ev)
}

func badTemplate() *Refusal {
	return entered("registry_invalid", "header_template", "templat: teks tetap, {digits:N}, {letters:N}, {amount} sekali, {ic}", "a template is fixed text, {digits:N}, {letters:N}, {amount} once, and {ic}")
}

// Tokens says how many officers hold a token for a system: those who lose it when the system takes
// no more. A *[Refusal].
func (d *Desk) Tokens(ctx context.Context, a Actor, code string) (int, error) {
	ev, err := d.decide(ctx, a, SeeTokens, object{name: "system:" + code, system: code})
	if err != nil {
		return 0, err
	}
	n, err := d.Records.CountTokens(ctx, code)
	if err != nil {
		return 0, fmt.Errorf("counting tokens: %w", err)
	}
	return n, d.Records.Audit(ctx, ev)
}
