package signer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// crest is a picture of one colour.
func crest(t testing.TB, c color.Color) *pdf.Image {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	for k := range 64 {
		m.Set(k%8, k/8, c)
	}
	var b bytes.Buffer
	must(t, png.Encode(&b, m))
	p, err := pdf.NewImage(b.Bytes())
	must(t, err)
	return p
}

func added(t testing.TB, own signer.Template) *signer.Templates {
	t.Helper()
	out := &signer.Templates{}
	must(t, out.Add("jata", own))
	return out
}

// visibly asks for an appearance of a template.
func (h *house) visibly(t testing.TB, template string) signer.Ask {
	t.Helper()
	a := h.pdfs(t, storetest.PDF("x"))
	a.Options.Location = "Putrajaya"
	a.Options.Visible = &signer.Visible{Page: 1, Width: 300, Height: 120, Template: template}
	return a
}

func TestTemplatesThatCannotBe(t *testing.T) {
	red := crest(t, color.NRGBA{255, 0, 0, 255})
	for want, own := range map[string]signer.Template{
		"style must be one of name-left, plain, stamp, standard":               {Style: "image"},
		"language must be ms-en, ms or en":                                     {Language: "fr"},
		"lines must have the name first":                                       {Lines: []string{"title", "name"}},
		"lines must have the name in the style name-left":                      {Style: "name-left", Lines: []string{"time"}},
		"image must not be set in the style name-left":                         {Style: "name-left", Image: red},
		"lines must be of location, name, reason, serial, time, title":         {Lines: []string{"nama"}},
		"lines must be of location, name, reason, serial, time, title, each o": {Lines: []string{"time", "time"}},
		"qr must be an https address":                                          {QR: "http://semak.example"},
		"qr must be an https address of at most 300 bytes":                     {QR: "https://semak.example/" + strings.Repeat("x", 300)},
	} {
		if err := new(signer.Templates).Add("jata", own); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v", own, err)
		}
	}
	one := added(t, signer.Template{Image: red})
	for _, name := range []string{"", "jata", "standard", "Jata", "a/b", strings.Repeat("a", 33)} {
		if err := one.Add(name, signer.Template{}); err == nil {
			t.Errorf("a template named %q", name)
		}
	}
	if got := one.Names(); !slices.Equal(got, []string{"jata", "name-left", "plain", "stamp", "standard"}) {
		t.Errorf("names: %q", got)
	}
}

// What the officer authorises stays what is drawn: whatever shows changes the
// hash, and what is built in has none.
func TestTemplateHashHoldsWhatShows(t *testing.T) {
	red, blue := crest(t, color.NRGBA{255, 0, 0, 255}), crest(t, color.NRGBA{0, 0, 255, 255})
	h := newHouse(t)
	seen := map[string]int{}
	for k, own := range []signer.Template{
		{}, {Style: "plain"}, {Language: "ms"}, {Lines: []string{"name"}}, {Lines: []string{"name", "title", "reason", "time"}},
		{Image: red}, {Image: blue}, {QR: "https://semak.example"}, {QR: "https://semak.example/b"},
	} {
		h.s.Templates = added(t, own)
		r, _ := h.prepare(t, h.visibly(t, "jata"))
		hash := r.Options.Visible.TemplateHash
		if before, dup := seen[hash]; dup || len(hash) != 32 {
			t.Errorf("templates %d and %d have the hash %q", before, k, hash)
		}
		seen[hash] = k
		if text, err := json.Marshal(r.Options); err != nil || !strings.Contains(string(text), hash) {
			t.Errorf("%s, %v", text, err)
		}
		if r, _ := h.prepare(t, h.visibly(t, "stamp")); r.Options.Visible.TemplateHash != "" {
			t.Errorf("a built-in template has the hash %q", r.Options.Visible.TemplateHash)
		}
	}
	// Written out as usual it is the same template; and it is the one that waits
	// over an update of the gateway.
	h.s.Templates = added(t, signer.Template{Style: "standard", Language: "ms-en", Lines: []string{"name", "title", "time", "reason"}})
	if r, _ := h.prepare(t, h.visibly(t, "jata")); r.Options.Visible.TemplateHash != "1379ba931f94991b1218d2755d39d414" {
		t.Errorf("the usual template has the hash %s", r.Options.Visible.TemplateHash)
	}
	if _, _, err := h.s.Prepare(ctx, h.visibly(t, "tiada")); !errors.Is(err, pdf.ErrOptions) {
		t.Errorf("a template nobody defined: %v", err)
	}
}

// A template that changed between question and answer: no try is spent, no PIN
// looked at, no key used. Once it is back, the code is good.
func TestChangedTemplateIsRefused(t *testing.T) {
	h := newHouse(t)
	red, blue := crest(t, color.NRGBA{255, 0, 0, 255}), crest(t, color.NRGBA{0, 0, 255, 255})
	good := added(t, signer.Template{Image: red})
	h.s.Templates = good
	ask := h.visibly(t, "jata")
	ask.Options.Each = map[uint32]signer.PAdES{0: {Level: "B-B", Visible: &signer.Visible{Page: 1, Width: 300, Height: 120, Template: "jata"}}}
	ask.Options.Visible = nil
	r, f := h.prepare(t, ask)
	tries := h.tries(t, r)
	for what, now := range map[string]*signer.Templates{"another image": added(t, signer.Template{Image: blue}), "none": nil} {
		h.s.Templates = now
		h.refuses(t, what, signer.ErrTemplate, func() error {
			_, err := h.s.Authorize(ctx, f)
			return err
		})
		sent := h.Mail.Sent()
		h.refuses(t, what+", new code", signer.ErrTemplate, func() error {
			_, _, err := h.s.Resend(ctx, r.App, r.ID, "", "req")
			return err
		})
		if h.Keys.Opens.Load() != 0 || h.tries(t, r) != tries || h.Mail.Sent() != sent {
			t.Errorf("%s: something was spent", what)
		}
	}
	h.s.Templates = good
	a, err := h.s.Authorize(ctx, f)
	must(t, err)
	// Nobody can change it under a running gateway; the key is not used even so.
	h.s.Templates = nil
	wants(t, "changed in signing", h.run(a), signer.ErrTemplate)
	if h.Keys.Signs.Load() != 0 {
		t.Error("the key was used")
	}
}

// A batch that a stop interrupted goes on with the template it was authorised
// for, or not at all.
func TestResumedBatchKeepsItsTemplate(t *testing.T) {
	red, blue := crest(t, color.NRGBA{255, 0, 0, 255}), crest(t, color.NRGBA{0, 0, 255, 255})
	for name, now := range map[string]signer.Template{"same": {Image: red}, "changed": {Image: blue}} {
		h, shares := withShares(t)
		h.s.Templates = added(t, signer.Template{Image: red})
		ask := h.visibly(t, "jata")
		d := ask.Documents[0]
		var tree signer.Tree
		tree.Add(d.Leaf())
		count, root := tree.Root()
		ev := audit.Event{At: h.Clock.Now(), Action: "test"}
		must(t, h.DB.CreateBatch(ctx, batch.Batch{ID: "ba_1", App: h.App.ID, Name: "b", Kind: batch.PDF, Status: batch.Open, CreatedAt: h.Clock.Now()}, ev))
		must(t, h.DB.AddItems(ctx, "ba_1", []batch.Item{{Document: d}}, nil, ev))
		must(t, h.DB.Seal(ctx, "ba_1", count, root, false, ev))
		ask.Documents, ask.Batch = nil, "ba_1"
		h.crash(t, h.authorize(t, ask))
		h.s.Templates = added(t, now)
		if name == "same" {
			must(t, h.run(h.recovers(t)))
			h.ended(t, name, shares)
			continue
		}
		resumed, abandoned, err := h.s.Recover(ctx)
		if err != nil || len(resumed) != 0 || abandoned != 1 || h.Keys.Signs.Load() != 0 {
			t.Errorf("%d resumed, %d abandoned, %v", len(resumed), abandoned, err)
		}
		h.ended(t, name, shares)
		records := storetest.Chain(t, h.DB)
		if last := records[len(records)-1]; last.Detail["reason"] != signer.ErrTemplate.Error() {
			t.Errorf("the audit ends with %+v", last.Event)
		}
		// The officer authorises the rest as it looks now.
		must(t, h.run(h.authorize(t, ask)))
	}
}

func TestTemplatesSayWhatTheyAreTold(t *testing.T) {
	pdftotext := requireTool(t, "pdftotext")
	all := []string{"name", "title", "time", "reason", "location", "serial"}
	for language, wants := range map[string][]string{
		"ms-en": {"Ditandatangani secara digital / Digitally signed", "Tujuan / Reason: Lulus", "Tempat / Location: Putrajaya", "No. Siri / Serial No.: "},
		"ms":    {"Ditandatangani secara digital", "Tujuan: Lulus", "Tempat: Putrajaya", "No. Siri: "},
		"en":    {"Digitally signed", "Reason: Lulus", "Location: Putrajaya", "Serial No.: "},
	} {
		h := newHouse(t)
		h.s.Templates = added(t, signer.Template{Language: language, Lines: all})
		a := h.authorize(t, h.visibly(t, "jata"))
		must(t, h.run(a))
		blob, err := h.blobs.Open(ctx, h.items(t, a.Request)[0].SignedBlob)
		must(t, err)
		defer blob.Close()
		cmd := exec.Command(pdftotext, "-raw", "-", "-")
		cmd.Stdin = io.NewSectionReader(blob, 0, blob.Size())
		text, err := cmd.Output()
		must(t, err)
		squeezed := strings.Join(strings.Fields(string(text)), "")
		for _, want := range append(wants, h.Officer.Name, "01/07/2026 09:00:00 MYT", a.Credential.Certificate.SerialNumber.String()) {
			if !strings.Contains(squeezed, strings.ReplaceAll(want, " ", "")) {
				t.Errorf("%s: %q is not in %q", language, want, text)
			}
		}
		if both := strings.Contains(string(text), " / "); both != (language == "ms-en") {
			t.Errorf("%s: %q", language, text)
		}
	}
}
