package ecert_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/ecert"
)

// What a look makes undrawable is said in own words in both languages, with the place in the
// templates, and without what the code says to itself.
func TestUndrawableLooksSayWhere(t *testing.T) {
	const layout, old = "layouts/certificate.yaml", `value: "{ministry}", font: serif,`
	content := change(t, layout, old, `value: "{ministry}", font: sans,`)
	at, _, _ := strings.Cut(content, "{ministry}")
	line := 1 + strings.Count(at, "\n")
	templates, err := ecert.LoadTemplates(own(t, map[string]string{layout: content}))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ecert.NewRenderer(ecert.Options{Templates: templates})
	if err != nil {
		t.Fatal(err)
	}
	look := func(text string) ecert.Look {
		return ecert.Look{Texts: map[ecert.Language]map[string]string{ecert.Malay: {"ministry": text}}}
	}
	if _, err := r.With(look("KEMENTERIAN")); err != nil {
		t.Fatalf("control: %v", err)
	}
	// The certificates' own typeface has it, Open Sans has not.
	_, err = r.With(look("KEMENTERIAN \u0186"))
	var bad *ecert.LookError
	if !errors.As(err, &bad) {
		t.Fatal(err)
	}
	where := []string{layout, "elements[", "'\u0186'", "sans"}
	for text, words := range map[string][]string{bad.MS: {"tidak dapat dilukis", "tiada aksara", "baris " + strconv.Itoa(line)}, bad.EN: {"cannot be drawn", "lacks the character", "line " + strconv.Itoa(line)}} {
		for _, w := range append(words, where...) {
			if !strings.Contains(text, w) {
				t.Errorf("%q lacks %q", text, w)
			}
		}
		if strings.Contains(text, "(U+") {
			t.Errorf("%q has the error itself", text)
		}
	}
	if strings.Contains(bad.MS, "typeface") {
		t.Errorf("English in %q", bad.MS)
	}
}
