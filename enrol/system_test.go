package enrol_test

import (
	"bytes"
	"errors"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/storetest"
)

func TestSystemsAreShown(t *testing.T) {
	o := newOffice(t)
	s, err := o.ShowSystem(ctx, o.sap, storetest.System, func(s *enrol.System) {
		s.Title, s.Notice, s.HeaderTemplate = "iGFMAS — JANM", enrol.NoticeToken, "110FGOM{digits:11}A{amount}{ic}"
	})
	must(t, err)
	if got, err := o.House.DB.System(ctx, storetest.System); err != nil || got.Title != s.Title || got.Notice != "token" || got.HeaderTemplate != s.HeaderTemplate {
		t.Errorf("%+v, %v", got, err)
	}
	for field, edit := range map[string]func(*enrol.System){
		"title": func(s *enrol.System) { s.Title = "" }, "notice": func(s *enrol.System) { s.Notice = "kad" }, "header_template": func(s *enrol.System) { s.HeaderTemplate = "{ic" },
	} {
		_, err := o.ShowSystem(ctx, o.jdn, storetest.System, edit)
		var no *enrol.Refusal
		if !errors.As(err, &no) || no.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err = o.ShowSystem(ctx, o.sap, "EP", func(*enrol.System) {})
	refusedAs(t, err, "forbidden")
	_, err = o.ShowSystem(ctx, o.jdn, "NONE", func(*enrol.System) {})
	refusedAs(t, err, "not_registered")

	small, wide := image.NewGray(image.Rect(0, 0, 8, 8)), image.NewGray(image.Rect(0, 0, 2001, 1))
	var p, j, g, w bytes.Buffer
	must(t, errors.Join(png.Encode(&p, small), jpeg.Encode(&j, small, nil), gif.Encode(&g, small, nil), png.Encode(&w, wide)))
	for what, c := range map[string]struct {
		logo []byte
		kind string
	}{"png": {p.Bytes(), "image/png"}, "jpeg": {j.Bytes(), "image/jpeg"}, "none": {nil, ""}} {
		must(t, o.SetLogo(ctx, o.jdn, storetest.System, c.logo))
		if got, err := o.House.DB.System(ctx, storetest.System); err != nil || got.LogoType != c.kind || !bytes.Equal(got.Logo, c.logo) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	for what, logo := range map[string][]byte{"gif": g.Bytes(), "too wide": w.Bytes(), "svg": []byte("<svg/>"), "too big": append(p.Bytes(), make([]byte, enrol.MaxLogo)...)} {
		if err := o.SetLogo(ctx, o.jdn, storetest.System, logo); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	refusedAs(t, o.SetLogo(ctx, o.jdn, "NONE", nil), "not_registered")
	refusedAs(t, o.SetLogo(ctx, o.ap, storetest.System, nil), "forbidden")
}

// A template is tried before it is saved; it says where a header differs, and keeps nothing.
func TestHeadersAreTried(t *testing.T) {
	o := newOffice(t)
	const template, header = "110FGOM{digits:11}A{amount}{ic}", "110FGOM07022411247A29911.35240405888916"
	try := func(by enrol.Actor, template, header string) (enrol.TriedHeader, error) {
		return o.TryHeader(ctx, by, storetest.System, &template, header)
	}
	got, err := try(o.sap, template, header)
	if err != nil || !got.Fits || got.Amount != "29911.35" || got.Rest != "" || len(got.Parts) != 5 || got.Parts[4] != (enrol.ReadPart{Field: enrol.HeaderIC, Want: "{ic}", Got: "240405888916"}) {
		t.Errorf("%+v, %v", got, err)
	}
	for what, c := range map[string]struct{ template, header, rest, stops string }{
		"another letter":    {template, "110FGOM07022411247B29911.35240405888916", "B29911.35240405888916", "A"},
		"too short":         {template, "110FGOM0702241124", "0702241124", "{digits:11}"},
		"nothing":           {template, "", "", "110FGOM"},
		"longer":            {template, header + "X", "X", ""},
		"two people":        {"{ic}-{ic}", "240405888916-800101145001", "", ""},
		"small letters":     {"{letters:2}{digits:1}", "ab1", "ab1", "{letters:2}"},
		"amount by a comma": {"{amount}", "1,00", "1,00", "{amount}"},
	} {
		got, err := try(o.jdn, c.template, c.header)
		stops := ""
		for _, p := range got.Parts {
			if p.Got == "" && stops == "" {
				stops = p.Want
			}
		}
		if err != nil || got.Fits || got.Rest != c.rest || stops != c.stops {
			t.Errorf("%s: %+v, stops at %q, %v", what, got, stops, err)
		}
	}
	if got, err := o.TryHeader(ctx, o.sap, storetest.System, nil, "BAUCAR 1"); err != nil || !got.Fits || len(got.Parts) != 0 {
		t.Errorf("without a template: %+v, %v", got, err)
	}
	if s, err := o.House.DB.System(ctx, storetest.System); err != nil || s.HeaderTemplate != "" {
		t.Errorf("a try was saved: %+v, %v", s, err)
	}
	_, err = try(o.sap, "{ic", header)
	refusedAs(t, err, "registry_invalid")
	_, err = try(o.ap, template, header)
	refusedAs(t, err, "forbidden")
	_, err = o.TryHeader(ctx, o.sap, "EP", nil, header)
	refusedAs(t, err, "forbidden")
	_, err = o.TryHeader(ctx, o.sap, "NONE", nil, header)
	refusedAs(t, err, "forbidden")
	_, err = o.TryHeader(ctx, o.jdn, "NONE", nil, header)
	refusedAs(t, err, "not_registered")
}

func TestTokensAreCounted(t *testing.T) {
	o := newOffice(t)
	for ic, medium := range map[string]string{"790308109903": enrol.Token, "790308109904": enrol.Token, "790308109905": "SOFTCERT"} {
		must(t, o.House.DB.PutOfficer(ctx, enrol.Officer{IC: ic, Name: "NORAINI", Email: "n@janm.gov.my"}, "EP", medium, audit.Event{At: o.House.Clock.Now(), Actor: "cli:test", Action: "officer", Object: "officer:" + ic, Verdict: audit.Accepted}))
	}
	if n, err := o.Tokens(ctx, o.jdn, "EP"); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := o.Tokens(ctx, o.sap, storetest.System); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	for _, by := range []enrol.Actor{o.sap, o.ap} {
		_, err := o.Tokens(ctx, by, "EP")
		refusedAs(t, err, "forbidden")
	}
}
