package enrol_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/storetest"
)

// codesOf are the codes of the refusals in an error.
func codesOf(err error) (out []string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			out = append(out, codesOf(e)...)
		}
		return out
	}
	var no *enrol.Refusal
	if errors.As(err, &no) {
		out = append(out, no.Code)
	}
	return out
}

func picture(w, h int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for x := range w {
		m.Set(x, x%h, color.RGBA{200, 10, byte(x), 255})
	}
	return m
}

func asJPEG(t testing.TB, m image.Image) []byte {
	var b bytes.Buffer
	must(t, jpeg.Encode(&b, m, nil))
	return b.Bytes()
}

func asPNG(t testing.TB, m image.Image) []byte {
	var b bytes.Buffer
	must(t, png.Encode(&b, m))
	return b.Bytes()
}

// claims is a PNG whose header says that it has w × h pixels.
func claims(t testing.TB, w, h uint32) []byte {
	raw := asPNG(t, picture(100, 100))
	binary.BigEndian.PutUint32(raw[16:], w)
	binary.BigEndian.PutUint32(raw[20:], h)
	binary.BigEndian.PutUint32(raw[29:], crc32.ChecksumIEEE(raw[12:29]))
	return raw
}

// Each defect has a code of its own, several are told at once, and nothing is stored.
func TestApplicationIsJudged(t *testing.T) {
	o := newOffice(t)
	id, code := o.confirmed(t, newIC)
	plain := asJPEG(t, picture(200, 120))
	for what, c := range map[string]struct {
		edit func(a *enrol.Application)
		want []string
	}{
		"no address":         {func(a *enrol.Application) { a.Form.Address = " " }, []string{"field_invalid"}},
		"a short postcode":   {func(a *enrol.Application) { a.Form.Postcode = "6259" }, []string{"postcode_invalid"}},
		"no state":           {func(a *enrol.Application) { a.Form.State = "Singapura" }, []string{"state_invalid"}},
		"letters in a phone": {func(a *enrol.Application) { a.Form.Phone = "03-ABCDEFGH1" }, []string{"phone_invalid"}},
		"no mobile":          {func(a *enrol.Application) { a.Form.Mobile = "03-8882 1000" }, []string{"mobile_invalid"}},
		"personal mail":      {func(a *enrol.Application) { a.Form.MailKind = "personal" }, []string{"personal_mail"}},
		"no kind of mail":    {func(a *enrol.Application) { a.Form.MailKind = "" }, []string{"mail_kind_invalid"}},
		"no picture chosen":  {func(a *enrol.Application) { a.Form.Image = "../x" }, []string{"image_invalid"}},
		"no declaration":     {func(a *enrol.Application) { a.Form.Declaration = "" }, []string{"declaration_missing"}},
		"two PINs":           {func(a *enrol.Application) { a.PINAgain = secret.New("Rusa-Sambar-8") }, []string{"pins_differ"}},
		"a PIN of her IC":    {func(a *enrol.Application) { a.PIN, a.PINAgain = secret.New(newIC), secret.New(newIC) }, []string{"pin_holds_ic"}},
		"several":            {func(a *enrol.Application) { a.Form.State, a.Form.Image, a.PINAgain = "", "", secret.Text{} }, []string{"state_invalid", "image_invalid", "pins_differ"}},
		"a large copy":       {func(a *enrol.Application) { a.MyKad = append(slices.Clone(plain), make([]byte, enrol.MaxCopy)...) }, []string{"mykad_too_large"}},
		"a PDF":              {func(a *enrol.Application) { a.MyKad = []byte("%PDF-1.7") }, []string{"mykad_format"}},
		"half a JPEG":        {func(a *enrol.Application) { a.MyKad = plain[:len(plain)/4] }, []string{"mykad_unreadable"}},
		"a bomb":             {func(a *enrol.Application) { a.MyKad = claims(t, 50_000, 50_000) }, []string{"mykad_too_large"}},
		"a bomb of 16 bits":  {func(a *enrol.Application) { a.MyKad = asPNG(t, image.NewNRGBA64(image.Rect(0, 0, 3000, 3000))) }, []string{"mykad_too_large"}},
		"a false size":       {func(a *enrol.Application) { a.MyKad = claims(t, 400, 400) }, []string{"mykad_unreadable"}},
		"a dot":              {func(a *enrol.Application) { a.MyKad = asPNG(t, picture(9, 9)) }, []string{"mykad_too_small"}},
		"a thousand scans": {func(a *enrol.Application) {
			a.MyKad = append(slices.Clone(plain), bytes.Repeat([]byte{0xFF, 0xDA}, 50)...)
		}, []string{"mykad_unreadable"}},
	} {
		a := application(code)
		c.edit(&a)
		_, err := o.Apply(ctx, a)
		if got := codesOf(err); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), goodPIN) || strings.Contains(err.Error(), newIC)) {
			t.Errorf("%s: the PIN is in the error", what)
		}
		if s := o.state(t, id).State; s != enrol.Confirmed {
			t.Fatalf("%s: it is %s", what, s)
		}
	}
	o.sound(t)
}

// The copy loses all but its pixels, is encrypted, is shown to who decides, and goes
// with the decision.
func TestMyKadCopy(t *testing.T) {
	const where = "GPS 3.1390 N 101.6869 E"
	exif := append([]byte{0xFF, 0xE1, 0, byte(len(where) + 2)}, where...)
	for what, raw := range map[string][]byte{"JPEG": asJPEG(t, picture(300, 200)), "PNG": asPNG(t, picture(300, 200))} {
		o := newOffice(t)
		id, code := o.confirmed(t, newIC)
		a := application(code)
		a.MyKad = append(append(slices.Clone(raw), exif...), "<?php behind the picture"...)
		if what == "JPEG" {
			a.MyKad = slices.Concat(raw[:2], exif, raw[2:], []byte("behind the picture"))
		}
		if _, err := o.Apply(ctx, a); err != nil {
			t.Fatal(err)
		}
		kept, _, _, err := o.House.DB.Application(ctx, id)
		must(t, err)
		if bytes.Contains(kept.Copy, []byte("JFIF")) || bytes.HasPrefix(kept.Copy, []byte{0xFF, 0xD8}) || bytes.Contains(kept.Form, []byte("Putrajaya")) {
			t.Errorf("%s: it is not encrypted", what)
		}
		photo, err := o.MyKad(ctx, o.ap, id)
		must(t, err)
		m, err := jpeg.Decode(bytes.NewReader(photo))
		if err != nil || m.Bounds().Dx() != 300 || m.Bounds().Dy() != 200 || bytes.Contains(photo, []byte("GPS")) || bytes.Contains(photo, []byte("behind")) {
			t.Errorf("%s: %d bytes, %v", what, len(photo), err)
		}
		refused(t, what+" by the auditor", second(o.MyKad(ctx, who(o.House.Clock.Now())["AUDITOR"], id)), "forbidden")
		d, err := o.Open(ctx, o.ap, id)
		if err != nil || !d.HasCopy || d.Form.Address != form().Address || d.Form.Name != "NORAINI BINTI OTHMAN" {
			t.Errorf("%+v, %v", d, err)
		}
		must(t, o.Validate(ctx, o.ap, id))
		if _, err := o.Approve(ctx, o.jdn, id); err != nil {
			t.Fatal(err)
		}
		refused(t, what+" after the decision", second(o.MyKad(ctx, o.ap, id)), "not_registered")
		o.sound(t)
		reads := 0
		for _, r := range storetest.Chain(t, o.House.DB) {
			if r.Action == "enrol.copy" || r.Action == "enrol.read" {
				reads++
			}
		}
		if reads != 4 {
			t.Errorf("%d reads are in the audit, want 4", reads)
		}
	}
}

// Who administers another agency or system sees no more than of somebody unknown.
func TestLookupIsScoped(t *testing.T) {
	o := newOffice(t)
	o.applied(t, newIC)
	people := who(o.House.Clock.Now())
	for _, name := range []string{"JDN", "AUDITOR", "SAP", "SA", "AP", "operator"} {
		if p, err := o.Lookup(ctx, people[name], newIC); err != nil || p.Officer.IC != newIC || len(p.Enrolments) != 1 || len(p.Media) != 1 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	for _, name := range []string{"SAP, other system", "AP, other agency", "another officer", "nobody"} {
		_, known := o.Lookup(ctx, people[name], newIC)
		_, unknown := o.Lookup(ctx, people[name], "880101145678")
		if known == nil || unknown == nil || known.Error() != unknown.Error() {
			t.Errorf("%s: %v for one who is there, %v for one who is not", name, known, unknown)
		}
	}
	if _, _, err := o.Find(ctx, o.ap, enrol.Filter{State: enrol.Applied, Agency: "JPK"}, false); !errors.Is(err, enrol.ErrForbidden) {
		t.Errorf("an AP lists everybody: %v", err)
	}
	if l, n, err := o.Find(ctx, o.ap, enrol.Filter{State: enrol.Applied}, true); err != nil || len(l) != 1 || n != 1 {
		t.Errorf("%d, %v", len(l), err)
	}
}

// A certificate revoked before its credential was there gives the application back.
func TestRevokedWhileIssued(t *testing.T) {
	o := newOffice(t)
	id := o.applied(t, newIC)
	must(t, o.Validate(ctx, o.ap, id))
	d := &enrol.Desk{Registrar: o.Desk.Registrar, MAC: o.Desk.MAC, Mail: o.post, Records: faulty{records: o.House.DB, onChange: func(c enrol.Change) error {
		if c.To == enrol.Issued {
			return errDead
		}
		return nil
	}}}
	if _, err := d.Approve(ctx, o.jdn, id); !errors.Is(err, errDead) {
		t.Fatal(err)
	}
	f, _, _, err := o.House.DB.Application(ctx, id)
	must(t, err)
	row, err := o.House.DB.CertificateOf(ctx, f.Credential)
	must(t, err)
	must(t, o.House.CA.Revoke(ctx, "test", row.Serial, 1))
	o.House.Clock.Advance(5 * time.Minute)
	if _, err := o.Once(ctx); err == nil {
		t.Error("it was issued all the same")
	}
	if e := o.state(t, id); e.State != enrol.Returned {
		t.Errorf("it is %s", e.State)
	}
	o.sound(t)
}
