package ecert

import (
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"

	"github.com/mohor-sign/mohor/pdf/font"
)

// The templates that come with the program: ms.yaml and en.yaml say which layout
// each kind of certificate takes and in which words, layouts/ what stands where.
//
//go:embed templates
var embedded embed.FS

// languageFile is ms.yaml or en.yaml.
type languageFile struct {
	Author       string                       `yaml:"author"` // the issuing department, in the metadata
	Texts        map[string]string            `yaml:"texts"`
	Certificates map[string]map[string]string `yaml:"certificates"` // by level: layout, and texts of its own
}

// Templates are what certificates look like: layouts, words and assets, read and
// checked. What they look like does not change.
type Templates struct {
	languages map[Language]*languageFile
	layouts   map[string]*layoutFile
	pictures  map[string]*picture
	faces     map[string]*font.Face // own typefaces, by file
	sources   []TemplateSource
	sum       [32]byte // over names and content of all files, and what With changed
	art       sync.Map // of *art by artKey: ornament that was drawn
}

// Sum is SHA-256 over all that certificates are drawn from: equal sums, equal looks.
func (t *Templates) Sum() [32]byte { return t.sum }

// TemplateSource is a file that templates were read from.
type TemplateSource struct {
	File string // below the folder
	Own  bool   // from the installation's folder, in place of or beside those that come with the program
}

// Sources lists the files read, in order of their names.
func (t *Templates) Sources() []TemplateSource { return slices.Clone(t.sources) }

// Levels of certificates, in the order of the guide.
var levels = []Level{SKM1, SKM2, SKM3, DKM, DLKM, PC, VTO, VTE, VTM}

// Layout names the layout that certificates of a level and language take, modular
// ones with Competency Units.
func (t *Templates) Layout(l Level, in Language, modular bool) string {
	entry := t.languages[in].Certificates[string(l)]
	if name := entry["modular"]; modular && name != "" {
		return name
	}
	return entry["layout"]
}

// LoadTemplates reads the templates that come with the program and, where dir is
// not "", an installation's own beside them: a file of the same path takes the
// place of one of ours, others are added. What is wrong with them is a
// *TemplateError; a folder that cannot be read is another error.
func LoadTemplates(dir string) (*Templates, error) {
	ours, err := fs.Sub(embedded, "templates")
	if err != nil {
		return nil, fmt.Errorf("opening templates: %w", err)
	}
	if dir == "" {
		return loadTemplates(ours, nil)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder of templates: %w", err)
	}
	defer root.Close()
	return loadTemplates(ours, root.FS())
}

// Bounds of a folder of templates.
const (
	maxTemplateFiles = 200
	maxAsset         = 1 << 20 // bytes of a picture or typeface
)

func loadTemplates(ours, own fs.FS) (*Templates, error) {
	t := &Templates{languages: map[Language]*languageFile{}, layouts: map[string]*layoutFile{}, pictures: map[string]*picture{}, faces: map[string]*font.Face{}}
	files := map[string]fs.FS{}
	for _, from := range []fs.FS{ours, own} {
		if from == nil {
			continue
		}
		err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if strings.HasPrefix(path.Base(name), ".") {
				return nil
			}
			if len(files) >= maxTemplateFiles {
				return &TemplateError{name, 0, "", fmt.Sprintf("more than %d files in the folder", maxTemplateFiles)}
			}
			files[name] = from
			return nil
		})
		if err != nil {
			return nil, templatesError(err)
		}
	}
	for name, from := range files {
		t.sources = append(t.sources, TemplateSource{name, own != nil && from == own})
	}
	slices.SortFunc(t.sources, func(a, b TemplateSource) int { return strings.Compare(a.File, b.File) })
	for _, s := range t.sources {
		if err := t.read(files[s.File], s.File); err != nil {
			return nil, templatesError(err)
		}
	}
	return t, t.check()
}

func templatesError(err error) error {
	var bad *TemplateError
	if errors.As(err, &bad) {
		return err
	}
	return fmt.Errorf("reading templates: %w", err)
}

func (t *Templates) read(from fs.FS, name string) error {
	limit := int64(maxTemplateFile)
	if strings.HasPrefix(name, "assets/") {
		limit = maxAsset
	}
	f, err := from.Open(name)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if int64(len(b)) > limit {
		return &TemplateError{name, 0, "", fmt.Sprintf("larger than %d bytes", limit)}
	}
	content := sha256.Sum256(b)
	t.sum = sha256.Sum256(fmt.Appendf(nil, "%x %s %x", t.sum, name, content))
	dir, base := path.Split(name)
	switch ext := path.Ext(name); {
	case dir == "" && (base == "ms.yaml" || base == "en.yaml"):
		l := &languageFile{}
		t.languages[Language(strings.TrimSuffix(base, ext))] = l
		return readYAML(name, b, l)
	case dir == "layouts/" && ext == ".yaml":
		l := &layoutFile{}
		t.layouts[strings.TrimSuffix(base, ext)] = l
		if err := readYAML(name, b, l); err != nil {
			return err
		}
		return l.check(name)
	case dir == "assets/" && (ext == ".png" || ext == ".jpg" || ext == ".jpeg"):
		p, err := newPicture(b)
		if err != nil {
			return &TemplateError{name, 0, "", err.Error()}
		}
		t.pictures[name] = p
	case dir == "assets/" && ext == ".ttf":
		face, err := font.Parse(b)
		if err != nil {
			return &TemplateError{name, 0, "", err.Error() + "; give a TrueType file with glyf outlines"}
		}
		t.faces[name] = face
	default:
		return &TemplateError{name, 0, "", "nothing reads this file; templates are ms.yaml, en.yaml, layouts/NAME.yaml and assets/NAME.png, .jpg, .ttf"}
	}
	return nil
}

// check looks at how the files fit together: every language says for every level
// which layout, and every text of a layout is there.
func (t *Templates) check() error {
	for _, name := range slices.Sorted(maps.Keys(t.layouts)) {
		if err := t.checkAssets("layouts/"+name+".yaml", t.layouts[name]); err != nil {
			return err
		}
	}
	for _, lang := range []Language{Malay, English} {
		file := string(lang) + ".yaml"
		l := t.languages[lang]
		c := templateCheck{file}
		if l == nil {
			return c.fault(0, "", "missing")
		}
		if l.Author == "" {
			return c.fault(0, "author", "missing; the issuing department as the metadata name it")
		}
		for _, name := range slices.Sorted(maps.Keys(l.Certificates)) {
			if !slices.Contains(levels, Level(name)) {
				return c.fault(0, "certificates."+name, "not a level; the levels are %s", levelList())
			}
		}
		for _, level := range levels {
			entry, ok := l.Certificates[string(level)]
			at := "certificates." + string(level)
			switch {
			case !ok:
				return c.fault(0, at, "missing")
			case entry["heading"] == "":
				return c.fault(0, at+".heading", "missing; it is the title of the document")
			}
			for _, key := range []string{"layout", "modular"} {
				name, given := entry[key]
				if t.layouts[name] == nil && (given || key == "layout") {
					return c.fault(0, at+"."+key, "there is no layouts/%s.yaml", name)
				}
				if t.layouts[name] == nil {
					continue
				}
				if err := t.checkWords(lang, level, name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func levelList() string {
	s := make([]string, len(levels))
	for i, l := range levels {
		s[i] = string(l)
	}
	return strings.Join(s, ", ")
}

func (t *Templates) checkAssets(file string, l *layoutFile) error {
	c := templateCheck{file}
	for name, f := range l.Fonts {
		if slices.Contains(builtinFonts, name) {
			return c.fault(0, "fonts."+name, "this is the name of a built-in typeface; take another")
		}
		if t.faces[f] == nil {
			return c.fault(0, "fonts."+name, "there is no %s", f)
		}
	}
	for i, e := range l.Elements {
		if e.Image != "" && t.pictures[e.Image] == nil {
			return c.fault(e.line, fmt.Sprintf("elements[%d].image", i), "there is no %s; pictures are in assets, PNG or JPEG", e.Image)
		}
	}
	return nil
}

// text finds a text for a level: its own, then the language's.
func (t *Templates) text(in Language, l Level, key string) (string, bool) {
	f := t.languages[in]
	if s, ok := f.Certificates[string(l)][key]; ok && key != "layout" && key != "modular" {
		return s, true
	}
	s, ok := f.Texts[key]
	return s, ok
}

// checkWords finds the texts that a layout names.
func (t *Templates) checkWords(in Language, level Level, name string) error {
	c := templateCheck{"layouts/" + name + ".yaml"}
	for i := range t.layouts[name].Elements {
		e := &t.layouts[name].Elements[i]
		at := fmt.Sprintf("elements[%d]", i)
		for _, cond := range []string{e.If, e.Not} {
			if _, ok := t.text(in, level, cond); cond != "" && !ok && !slices.Contains(conditions, cond) {
				return c.fault(e.line, at, "the condition %q is neither %s nor a text of %s.yaml", cond, strings.Join(conditions, ", "), in)
			}
		}
		values := append([]string{e.Value, e.labelled().Value, e.More, e.Alt}, e.Heads...)
		for _, r := range e.Rows {
			values = append(values, r.Label, r.Value)
		}
		for k, v := range values {
			expanded, err := t.expand(in, level, v)
			if err != nil {
				return c.fault(e.line, at, "%s (%s.yaml, %s)", err, in, level)
			}
			if k > 0 && (e.Kind != "facts" || k%2 == 0) && strings.ContainsRune(expanded, fieldMark) {
				return c.fault(e.line, at, "a label, head or alt cannot hold a field of the candidate")
			}
			if e.Kind != "text" && e.Kind != "facts" && strings.ContainsRune(expanded, fieldMark) {
				return c.fault(e.line, at, "%s cannot hold a field of the candidate", e.Kind)
			}
			if !norm.NFC.IsNormalString(expanded) || strings.ContainsFunc(expanded, func(r rune) bool { return r < ' ' && r != fieldMark || r == 0x7F }) {
				return c.fault(e.line, at, "a text has a control character or is not in the form NFC")
			}
		}
	}
	return nil
}

// fieldMark stands in expanded texts before a byte that is the field's number.
const fieldMark = '\x01'

// expand puts the language's texts in the place of their names, and a mark in the
// place of the candidate's fields.
func (t *Templates) expand(in Language, l Level, s string) (string, error) {
	const control = "a text has a control character"
	if strings.ContainsRune(s, fieldMark) {
		return "", errors.New(control)
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "{")
		b.WriteString(before)
		if !found {
			if strings.Contains(before, "}") {
				return "", errors.New("a } without its {")
			}
			return b.String(), nil
		}
		key, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", fmt.Errorf("{%s is not closed", rest)
		}
		if i := slices.Index(fields, key); i >= 0 {
			b.WriteRune(fieldMark)
			b.WriteByte(byte('A' + i))
		} else if text, ok := t.text(in, l, key); ok && strings.ContainsRune(text, fieldMark) {
			return "", errors.New(control)
		} else if ok {
			b.WriteString(text)
		} else {
			return "", fmt.Errorf("{%s} is neither a text nor one of the fields %s", key, strings.Join(fields, ", "))
		}
		s = after
	}
}
