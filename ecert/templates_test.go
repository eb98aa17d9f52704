package ecert_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/ecert"
)

// own writes a folder of templates.
func own(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func builtin(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("templates", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// change replaces a text that stands once or more in a file.
func change(t testing.TB, file, old, with string) string {
	t.Helper()
	s := builtin(t, file)
	if !strings.Contains(s, old) {
		t.Fatalf("%s does not hold %q", file, old)
	}
	return strings.Replace(s, old, with, 1)
}

func TestWrongTemplatesAreRefused(t *testing.T) {
	const layout, words = "layouts/certificate.yaml", "ms.yaml"
	const qr = `{ kind: qr, x: 82, y: 128, width: 68, alt: "{qr_alt}" }`
	for name, tt := range map[string]struct{ file, old, with, want string }{
		"unknown key":      {layout, "kind: qr,", "kind: qr, colr: navy,", `colr: unknown; the keys here are`},
		"key twice":        {layout, "kind: qr, x: 82", "kind: qr, x: 82, x: 83", "stands twice"},
		"no number":        {layout, "x: 82, y: 128, width: 68", "x: links, y: 128, width: 68", `"links" is not a number`},
		"huge number":      {layout, "x: 82, y: 128, width: 68", "x: 1e99, y: 128, width: 68", "not a number between"},
		"NaN":              {layout, "x: 82, y: 128, width: 68", "x: .nan, y: 128, width: 68", "not a number between"},
		"beyond the page":  {layout, "x: 82, y: 128, width: 68", "x: 560, y: 128, width: 68", "beyond the page"},
		"small QR":         {layout, "x: 82, y: 128, width: 68", "x: 82, y: 128, width: 40", "at least 57"},
		"no QR":            {layout, "  - " + qr, "", "one element of kind qr"},
		"two QR":           {layout, "  - " + qr, "  - " + qr + "\n  - " + qr, "one element of kind qr"},
		"QR overleaf":      {layout, "kind: qr,", "kind: qr, pages: all,", "stands on the first page"},
		"QR without alt":   {layout, `, alt: "{qr_alt}"`, "", "alt: missing; qr needs it"},
		"no such kind":     {layout, "kind: wave", "kind: ripple", "the kinds are facts, frame"},
		"idle key":         {layout, "kind: wave,", "kind: wave, track: 2,", "wave does nothing with it"},
		"no such colour":   {layout, "radius: 168, colour: pale", "radius: 168, colour: pink", `"pink" is not one of the layout's colours`},
		"bad colour":       {layout, `navy: "#14254C"`, `navy: "#14254"`, `write it as "#14254C"`},
		"no such font":     {layout, "font: serif, size: 34", "font: comic, size: 34", `"comic" is neither`},
		"lost font":        {layout, "colours:", "fonts: { hand: assets/hand.ttf }\ncolours:", "there is no assets/hand.ttf"},
		"font of our name": {layout, "colours:", "fonts: { serif: assets/hand.ttf }\ncolours:", "name of a built-in typeface"},
		"lost picture":     {layout, "  - { kind: signature", "  - { kind: image, image: assets/kp.png, x: 1, y: 1, width: 9, height: 9 }\n  - { kind: signature", "there is no assets/kp.png"},
		"no such field":    {layout, `value: "{noss}"`, `value: "{nos}"`, "{nos} is neither a text nor one of the fields name, ic"},
		"open brace":       {layout, `value: "{noss}"`, `value: "{noss"`, "is not closed"},
		"lone brace":       {layout, `value: "{noss}"`, `value: "noss}"`, "without its {"},
		"no name":          {layout, `value: "{name}"`, `value: "{batch}"`, "no text shows {name}"},
		"name sometimes":   {layout, "    name: person\n", "    name: person\n    if: level\n", ""},
		"after nothing":    {layout, "after: person", "after: nobody", `no text or facts named "nobody"`},
		"y and after":      {layout, "    after: person", "    y: 3\n    after: person", "not both"},
		"size and steps":   {layout, "font: serif, size: 34", "font: serif, size: 34, steps: [{ lines: 1, size: 9, least: 8 }]", "give size or steps"},
		"wrong step":       {layout, "{ lines: 1, size: 25, least: 16.5 }", "{ lines: 0, size: 25, least: 16.5 }", "lines from 1 to 12"},
		"align":            {layout, "align: right", "align: justify", `"justify" is not one of left centre right`},
		"anchor and alias": {layout, "colours:\n", "colours: &c\n", "anchors and aliases are not read"},
		"no mapping":       {layout, builtin(t, layout), "- a\n- b\n", "must be keys with values"},
		"two documents":    {layout, "elements:\n", "---\nelements:\n", "more than one YAML document"},
		"not YAML":         {layout, "elements:\n", "elements: [\n", "not YAML"},
		"empty":            {layout, builtin(t, layout), "", "not YAML"},
		"no elements":      {layout, builtin(t, layout), "colours: {}\n", "nothing is on the page"},
		"lost text":        {words, "  certify: Dengan ini disahkan bahawa\n", "", "{certify} is neither"},
		"lost level":       {words, "  VTM: {", "  VTX: {", "certificates.VTX: not a level"},
		"no such layout":   {words, "DKM:\n    layout: certificate", "DKM:\n    layout: diploma", "there is no layouts/diploma.yaml"},
		"no heading":       {words, "    heading: Penyata Pencapaian\n", "", "heading: missing"},
		"no author":        {words, "author: Jabatan Pembangunan Kemahiran, Malaysia", `author: ""`, "author: missing"},
		"control in text":  {words, "certify: Dengan ini disahkan bahawa", `certify: "Dengan\ttab"`, "control character"},
		"our mark in text": {words, "certify: Dengan ini disahkan bahawa", `certify: "Dengan \x01A"`, "control character"},
		"no glyph":         {words, "certify: Dengan ini disahkan bahawa", "certify: 兹证明", "lacks"},
		"field in label":   {words, "number_label: No. Sijil", `number_label: "{name}"`, ""},
		"null":             {words, "number_label: No. Sijil", `number_label:`, `write "" for an empty text`},
		"stray file":       {"notes.txt", "", "x", "nothing reads this file"},
		"stray folder":     {"assets/a/b.png", "", "x", "nothing reads this file"},
		"bad picture":      {"assets/a.png", "", "x", "neither PNG nor JPEG"},
		"bad font":         {"assets/a.ttf", "", "x", "give a TrueType file"},
		"large file":       {"ms.yaml", "", strings.Repeat("# \n", 100_000), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			content := tt.with
			if tt.old != "" {
				content = change(t, tt.file, tt.old, tt.with)
			}
			templates, err := ecert.LoadTemplates(own(t, map[string]string{tt.file: content}))
			if err == nil {
				_, err = ecert.NewRenderer(ecert.Options{Templates: templates})
			}
			var bad *ecert.TemplateError
			if tt.want == "" { // odd, but the page is sound
				if err != nil && !errors.As(err, &bad) {
					t.Fatal(err)
				}
				return
			}
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), bad.File) {
				t.Fatalf("got %v", err)
			}
		})
	}
	if _, err := ecert.LoadTemplates(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there")
	}
}

// An agency's own layout takes the place of ours, with a picture of the Director
// General's signature and another wording.
func TestOwnTemplates(t *testing.T) {
	picture, err := os.ReadFile("../pdf/internal/pdftest/testdata/none.png")
	if err != nil {
		picture = pngFile(t)
	}
	dir := own(t, map[string]string{
		"assets/kp.png": string(picture),
		"layouts/certificate.yaml": change(t, "layouts/certificate.yaml", "  - { kind: signature",
			"  - { kind: image, image: assets/kp.png, x: 350, y: 144, width: 140, height: 44, alt: Tandatangan }\n  - { kind: signature"),
		"ms.yaml": change(t, "ms.yaml", "certify: Dengan ini disahkan bahawa", "certify: Adalah dengan ini diperakukan bahawa"),
	})
	templates, err := ecert.LoadTemplates(dir)
	if err != nil {
		t.Fatal(err)
	}
	mine := 0
	for _, s := range templates.Sources() {
		if s.Own {
			mine++
		}
	}
	if mine != 3 || len(templates.Sources()) != 5 {
		t.Errorf("sources %+v", templates.Sources())
	}
	r := renderer(t, ecert.Options{Templates: templates})
	path := render(t, r, candidate(), address)
	if got := text(t, path); !strings.Contains(got, "Adalah dengan ini diperakukan bahawa NUR AISYAH BINTI MOHD YUSOF") {
		t.Errorf("got %q", got)
	}
	if images := run(t, "pdfimages", "-list", path); !strings.Contains(images, " image ") {
		t.Errorf("no picture: %s", images)
	}
	c := candidate()
	c.Language = ecert.English
	if got := text(t, render(t, r, c, address)); !strings.Contains(got, "This is to certify that") {
		t.Errorf("the other language is ours no more: %q", got)
	}
}

func FuzzTemplates(f *testing.F) {
	for _, name := range []string{"layouts/certificate.yaml", "layouts/statement.yaml"} {
		f.Add(builtin(f, name))
	}
	f.Add("elements:\n- {kind: text, value: '{name}{number}', font: sans, size: 9, x: 1, y: 1, width: 500, colour: k}\n- {kind: qr, x: 1, y: 1, width: 90, alt: a}\n- {kind: signature, x: 1, y: 1, width: 1, height: 1}\ncolours: {k: '#000000'}\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(t *testing.T, layout string) {
		if len(layout) > 64<<10 {
			return
		}
		templates, err := ecert.LoadTemplates(own(t, map[string]string{"layouts/certificate.yaml": layout}))
		if err != nil {
			var bad *ecert.TemplateError
			if !errors.As(err, &bad) {
				t.Fatal(err)
			}
			return
		}
		r, err := ecert.NewRenderer(ecert.Options{Templates: templates})
		if err != nil {
			return
		}
		c := worstCandidates()[1]
		if b, err := r.Render(c, address, nil); err != nil || !strings.HasPrefix(string(b), "%PDF-1.7") {
			t.Fatalf("a template that was accepted does not draw: %v", err)
		}
	})
}
