package enrol_test

import (
	"bytes"
	"errors"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

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
