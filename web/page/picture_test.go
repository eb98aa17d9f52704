package page_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/web/page"
)

// Every security image is a picture of its own, in words too, and none fetches or runs anything.
func TestEverySecurityImageIsAPicture(t *testing.T) {
	files, err := os.ReadDir("assets/images")
	if err != nil || len(files) != len(enrol.SecurityImages()) {
		t.Fatalf("%d pictures for %d names: %v", len(files), len(enrol.SecurityImages()), err)
	}
	ms, en := catalogue(t, "ms"), catalogue(t, "en")
	var seen []string
	for _, name := range enrol.SecurityImages() {
		b, err := os.ReadFile("assets/images/" + name + ".svg")
		if err != nil {
			t.Fatal(err)
		}
		svg := string(b)
		if !strings.HasPrefix(svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96">`) || len(svg) > 2048 {
			t.Errorf("%s: %d bytes: %.70s", name, len(svg), svg)
		}
		for _, not := range []string{"href", "url(", "<text", "<style", "<script", "<image"} {
			if strings.Contains(svg, not) {
				t.Errorf("%s has %q", name, not)
			}
		}
		words := ms["join.image."+name]["other"]
		for _, s := range []string{svg, words} {
			if s == "" || slices.Contains(seen, s) {
				t.Errorf("%s is as another picture, or has no words: %.40q", name, s)
			}
			seen = append(seen, s)
		}
		var out bytes.Buffer
		if err := page.Picture(name).Render(t.Context(), &out); err != nil || !strings.Contains(out.String(), `alt="`+words+`"`) || !strings.Contains(out.String(), page.Asset("images/"+name+".svg")) {
			t.Errorf("%s is shown as %q: %v", name, out.String(), err)
		}
		if en["join.image."+name]["other"] == "" {
			t.Errorf("%s has no English words", name)
		}
	}
	var out bytes.Buffer
	if err := page.Picture("../mohor").Render(t.Context(), &out); err != nil || out.Len() > 0 {
		t.Errorf("a picture that there is not is shown as %q: %v", out.String(), err)
	}
}
