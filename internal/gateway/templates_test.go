//go:build !race

package gateway_test

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/pdf"
)

// ring is a picture one can look through.
func ring(t testing.TB) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 60, 60))
	for k := range 3600 {
		x, y := k%60-30, k/60-30
		if r := x*x + y*y; r < 900 && r > 400 {
			m.Set(k%60, k/60, color.NRGBA{150, 30, 30, 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(gatewaytest.Tool(t, name), args...).Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	return string(out)
}

const ownTemplate = `templates:
  perbendaharaan:
    lines: [name, title, time, reason, location, serial]
    image: jata.png
    qr: https://semak.mohor.example`

// withTemplate is a gateway whose administrator defined a template.
func withTemplate(t *testing.T) *gatewaytest.Gateway {
	t.Helper()
	g := gatewaytest.New(t)
	g.Stop()
	configure(t, g, "\ntemplates: {}\n", "\n"+ownTemplate+"\n")
	if err := os.WriteFile(filepath.Join(g.Dir, "jata.png"), ring(t), 0o600); err != nil {
		t.Fatal(err)
	}
	g.Start()
	return g
}

// visibly asks for an appearance on a document.
func visibly(id, template string) map[string]any {
	ask := pades(id)
	ask["pades"] = map[string]any{"reason": "Perakuan 1", "location": "Putrajaya",
		"visible": map[string]any{"page": 1, "x": 40, "y": 60, "width": 260, "height": 80, "template": template}}
	return ask
}

// What the administrator defined is drawn, upright on any page, and the
// signature is as good as any.
func TestTemplateOfTheAdministrator(t *testing.T) {
	g := withTemplate(t)
	dir := t.TempDir()
	turned := filepath.Join(dir, "turned.pdf")
	tool(t, "qpdf", "--rotate=+90:1", filepath.Join("..", "..", "examples", "voucher.pdf"), turned)
	sideways, err := os.ReadFile(turned)
	if err != nil {
		t.Fatal(err)
	}
	for name, original := range map[string][]byte{"upright": voucher(t), "turned": sideways} {
		id := upload(t, g, original)
		tx, code := g.Ask(visibly(id, "perbendaharaan"))
		want(t, tx, 201, "")
		want(t, g.Confirm(tx, code, nil), 200, "")
		signed := g.Do("GET", "/v1/documents/"+id+"/content", "", nil).Raw
		if verdict := judge(t, g, signed); !strings.Contains(verdict, "Signature is Valid.") || !strings.Contains(verdict, "Total document signed") {
			t.Errorf("%s: pdfsig: %s", name, verdict)
		}
		path := filepath.Join(dir, name+".pdf")
		if err := os.WriteFile(path, signed, 0o600); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(tool(t, "pdftotext", "-raw", path, "-")), "")
		for _, line := range []string{g.Dev.Officers[0].Name, "Ditandatangani secara digital / Digitally signed", "Tujuan / Reason: Perakuan 1", "Tempat / Location: Putrajaya", "No. Siri / Serial No.: "} {
			if !strings.Contains(text, strings.ReplaceAll(line, " ", "")) {
				t.Errorf("%s: %q is not on the page", name, line)
			}
		}
		if list := tool(t, "pdfimages", "-list", path); !strings.Contains(list, "smask") {
			t.Errorf("%s: no picture one can look through:\n%s", name, list)
		}
		tool(t, "pdftoppm", "-png", "-r", "200", "-f", "1", "-singlefile", path, filepath.Join(dir, name))
		if got := strings.TrimSpace(tool(t, "zbarimg", "-q", "--raw", filepath.Join(dir, name+".png"))); got != "https://semak.mohor.example" {
			t.Errorf("%s: the QR code says %q", name, got)
		}
	}
}

// A name nobody defined is refused before a code is sent, with those there are;
// templates of the package that want an image are not among them.
func TestUnknownTemplateNamesTheKnown(t *testing.T) {
	g := withTemplate(t)
	id := upload(t, g, voucher(t))
	mark := g.Server.Mailbox.Mark()
	for _, name := range []string{"tiada", "image", "qr", "Standard", "\u202e"} {
		r := g.Do("POST", "/v1/transactions", "", merge(visibly(id, name), g), "Accept-Language", "en")
		want(t, r, 400, "invalid_request")
		if r.Text("field") != "pades.visible.template" || r.Text("detail") != "There is no such template. There are: name-left, perbendaharaan, plain, stamp, standard." {
			t.Errorf("%q: %s", name, r.Raw)
		}
	}
	ask := visibly(id, "standard")
	ask["documents"] = []any{map[string]any{"document_id": id, "pades": visibly(id, "tiada")["pades"]}}
	r := g.Do("POST", "/v1/transactions", "", merge(ask, g))
	want(t, r, 400, "invalid_request")
	if r.Text("field") != "documents[0].pades.visible.template" || !strings.HasPrefix(r.Text("detail"), "Tiada templat sedemikian. Yang ada: name-left, ") {
		t.Errorf("%s", r.Raw)
	}
	if g.Server.Mailbox.Mark() != mark {
		t.Error("a code was sent")
	}
}

// merge adds who is to sign.
func merge(ask map[string]any, g *gatewaytest.Gateway) map[string]any {
	ask["ic"], ask["system"] = g.Dev.Officers[0].IC, g.Dev.System
	return ask
}

// The officer was asked about one picture; the gateway starts with another.
func TestTemplateChangedBehindATransaction(t *testing.T) {
	g := withTemplate(t)
	id := upload(t, g, voucher(t))
	tx, code := g.Ask(visibly(id, "perbendaharaan"))
	want(t, tx, 201, "")
	path := "/v1/transactions/" + tx.Text("transaction_id")
	g.Stop()
	picture, err := os.ReadFile(filepath.Join("..", "..", "docs", "images", "mail.png"))
	if err == nil {
		err = os.WriteFile(filepath.Join(g.Dir, "jata.png"), picture, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	g.Start()
	want(t, g.Do("POST", path+"/otp", "", nil), 409, "template_changed")
	want(t, g.Confirm(tx, code, nil), 409, "template_changed")
	want(t, g.Do("GET", "/v1/documents/"+id+"/content", "", nil), 409, "not_signed")
	// The first picture again: only the code is to be had anew.
	g.Stop()
	if err := os.WriteFile(filepath.Join(g.Dir, "jata.png"), ring(t), 0o600); err != nil {
		t.Fatal(err)
	}
	g.Start()
	g.Clock.Advance(61e9)
	mark := g.Server.Mailbox.Mark()
	again := g.Do("POST", path+"/otp", "", nil)
	want(t, again, 200, "")
	want(t, g.Confirm(again, g.Code(g.Dev.Officers[0].Email, mark), nil), 200, "")
}

// What is wrong with a template is said with its name and that of its image.
func TestTemplatesOfTheConfigurationAreRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var wide, moving bytes.Buffer
	if err := png.Encode(&wide, image.NewGray(image.Rect(0, 0, 4096, 1025))); err != nil {
		t.Fatal(err)
	}
	if err := gif.Encode(&moving, image.NewPaletted(image.Rect(0, 0, 1, 1), color.Palette{color.Black}), nil); err != nil {
		t.Fatal(err)
	}
	good := write("jata.png", ring(t))
	for want, c := range map[string]gateway.TemplateConfig{
		"templates.jata.image: open " + filepath.Join(dir, "tiada.png") + ": no such file or directory":                             {Image: filepath.Join(dir, "tiada.png")},
		"templates.jata.image: " + write("teks.png", []byte("bukan imej")) + ": image is neither PNG nor JPEG":                      {Image: filepath.Join(dir, "teks.png")},
		"templates.jata.image: " + write("gerak.png", moving.Bytes()) + ": image is neither PNG nor JPEG":                           {Image: filepath.Join(dir, "gerak.png")},
		"templates.jata.image: " + write("rosak.png", ring(t)[:100]) + ": damaged PNG image":                                        {Image: filepath.Join(dir, "rosak.png")},
		"templates.jata.image: " + write("luas.png", wide.Bytes()) + ": image of more than 4194304 pixels":                          {Image: filepath.Join(dir, "luas.png")},
		"templates.jata.image: " + write("berat.png", append(ring(t), make([]byte, pdf.MaxImage)...)) + ": image of more than 1048": {Image: filepath.Join(dir, "berat.png")},
		"templates.jata.image: read " + dir + ": is a directory":                                                                    {Image: dir},
		"templates.jata: image must not be set in the style name-left: the name is in its place":                                    {Image: good, Style: "name-left"},
		"templates.jata: lines must be of location, name, reason, serial, time, title, each once":                                   {Lines: []string{"tarikh"}},
	} {
		_, err := gateway.Templates(&gateway.Config{Templates: map[string]gateway.TemplateConfig{"jata": c}})
		if err == nil || !strings.HasPrefix(err.Error(), "configuration: "+want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := gateway.Templates(&gateway.Config{Templates: map[string]gateway.TemplateConfig{"stamp": {}}}); err == nil {
		t.Error("a built-in template was replaced")
	}
	if all, err := gateway.Templates(&gateway.Config{Templates: map[string]gateway.TemplateConfig{"jata": {Image: good}, "b": {}}}); err != nil || len(all.Names()) != 6 {
		t.Error(all, err)
	}
}
