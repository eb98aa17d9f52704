package page_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"
	"gopkg.in/yaml.v3"
)

// catalogue reads all files of a language: the words under each id, and a list of what is wrong.
func catalogue(t *testing.T, language string) map[string]map[string]string {
	t.Helper()
	names, err := filepath.Glob("catalogue/*." + language + ".yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no catalogues of %q: %v", language, err)
	}
	all := map[string]map[string]string{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var in map[string]any
		if err := yaml.Unmarshal(b, &in); err != nil {
			t.Fatalf("%s: %v", name, err) // a key that is there twice, too
		}
		for id, v := range in {
			if all[id] != nil {
				t.Errorf("%s: %q is in two catalogues", name, id)
			}
			forms := map[string]string{}
			switch v := v.(type) {
			case string:
				forms["other"] = v
			case map[string]any:
				for form, text := range v {
					forms[form], _ = text.(string)
				}
			}
			for form, text := range forms {
				if strings.TrimSpace(text) == "" || !slices.Contains([]string{"one", "other"}, form) {
					t.Errorf("%s: %q has no words, or a form that there is not: %v", name, id, v)
				}
			}
			all[id] = forms
		}
	}
	return all
}

var (
	blank = regexp.MustCompile(`\{\{\s*\.(\w+)\s*\}\}`)
	asked = regexp.MustCompile(`\b(?:page\.)?T\(\s*(?:ctx|r\.Context\(\)|[a-z]+)\s*,\s*"([^"]+)"(\s*\+)?`)
	tag   = regexp.MustCompile(`<[^>]*>`)
	word  = regexp.MustCompile(`"([a-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?)"`)
)

func blanks(text string) []string {
	var out []string
	for _, m := range blank.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sources are the files of all pages with a suffix.
func sources(t *testing.T, f func(name, text string), suffix ...string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") || !slices.ContainsFunc(suffix, func(s string) bool { return strings.HasSuffix(name, s) }) {
			return err
		}
		n++
		b, err := os.ReadFile(name)
		f(name, string(b))
		return err
	})
	if err != nil || n == 0 {
		t.Fatalf("%d sources: %v", n, err)
	}
}

// Both languages say the same things, with the same values, and each of them is said somewhere.
func TestCataloguesAgree(t *testing.T) {
	ms, en := catalogue(t, "ms"), catalogue(t, "en")
	used := map[string]bool{}
	var beginnings []string
	sources(t, func(name, text string) {
		for _, m := range asked.FindAllStringSubmatch(text, -1) {
			if m[2] == "" && ms[m[1]] == nil && !strings.HasSuffix(m[1], ".") {
				t.Errorf("%s asks for %q, which no catalogue has", name, m[1])
			}
		}
		for _, m := range word.FindAllStringSubmatch(text, -1) {
			used[m[1]] = true
			if strings.HasSuffix(m[1], ".") {
				beginnings = append(beginnings, m[1])
			}
		}
	}, ".templ", ".go")
	for _, id := range slices.Sorted(maps.Keys(ms)) {
		if en[id] == nil {
			t.Errorf("%q is Malay alone", id)
			continue
		}
		if a, b := blanks(ms[id]["other"]), blanks(en[id]["other"]); !slices.Equal(a, b) {
			t.Errorf("%q: values %v in Malay, %v in English", id, a, b)
		}
		if !used[id] && !slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(id, b) }) {
			t.Errorf("%q is said nowhere", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(en)) {
		if ms[id] == nil {
			t.Errorf("%q is English alone", id)
		}
	}
}

// spoken are attributes that people read or hear.
var spoken = []string{"alt", "title", "placeholder", "aria-label", "label", "aria-description"}

// written gives the words that stand in a template itself: those of its HTML that are text, or an
// attribute that is read out.
func written(code string) (out []string) {
	f, err := parser.ParseFile(token.NewFileSet(), "", code, 0)
	if err != nil {
		return []string{err.Error()}
	}
	var all strings.Builder
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if s, ok := call.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "WriteString" && len(call.Args) > 0 {
			if lit, ok := call.Args[len(call.Args)-1].(*ast.BasicLit); ok {
				text, _ := strconv.Unquote(lit.Value)
				all.WriteString(text)
			}
		}
		return true
	})
	speaks := func(s string) bool { return strings.ContainsFunc(s, unicode.IsLetter) }
	z := html.NewTokenizer(strings.NewReader(all.String()))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return out
		case html.TextToken:
			// What stands in noscript comes as text.
			if text := strings.TrimSpace(tag.ReplaceAllString(string(z.Text()), "")); speaks(text) {
				out = append(out, text)
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			for _, a := range z.Token().Attr {
				if slices.Contains(spoken, a.Key) && speaks(a.Val) {
					out = append(out, a.Key+"="+a.Val)
				}
			}
		}
	}
}

// No template has words of its own: they would be of one language.
func TestTemplatesHaveNoWords(t *testing.T) {
	sources(t, func(name, text string) {
		for _, w := range written(text) {
			t.Errorf("%s: %q is not from a catalogue", name, w)
		}
	}, "_templ.go")
	// The test itself finds both kinds.
	found := written("package x\nfunc f() { w.WriteString(b, 1, \"<p title=\\\"Tajuk\\\">Teks \"); w.WriteString(b, 2, \"</p>\") }")
	if !slices.Equal(found, []string{"title=Tajuk", "Teks"}) {
		t.Errorf("a template with words: %q", found)
	}
}
