package pdf

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/mohor-sign/mohor/pdf/content"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Severity is how much a finding matters to who is about to sign.
type Severity string

// The severities.
const (
	Info    Severity = "info"    // worth knowing
	Warning Severity = "warning" // may show other things to other people, or later
	Danger  Severity = "danger"  // has no place in a document to be signed
)

// AtLeast says whether s matters as much as other, or more.
func (s Severity) AtLeast(other Severity) bool {
	rank := func(s Severity) int { return slices.Index([]Severity{Info, Warning, Danger}, s) }
	return rank(s) >= rank(other)
}

// Finding is one thing a signatory should know before signing. Whether it
// keeps a document from being signed is for the caller to decide.
type Finding struct {
	Code     string // stable, one of FindingCodes
	Severity Severity
	Object   uint32 // number of the object it is in, 0 when none can be named
	Page     int    // from 1, 0 when it is not of one page
}

// Text says what was found: in English for "en", in Malay otherwise.
func (f Finding) Text(language string) string {
	k := meanings[f.Code]
	if language == "en" {
		return k.en
	}
	return k.ms
}

// Findings are in the order of pages, then of objects: those of no page first.
type Findings []Finding

// Has says whether there is a finding of the code.
func (f Findings) Has(code string) bool {
	return slices.ContainsFunc(f, func(g Finding) bool { return g.Code == code })
}

// Worst returns the highest severity among the findings, Info when there are
// none.
func (f Findings) Worst() Severity {
	worst := Info
	for _, g := range f {
		if g.Severity.AtLeast(worst) {
			worst = g.Severity
		}
	}
	return worst
}

// Bounds of a scan. What is beyond them is not looked at, and the scan says
// scan_incomplete.
const (
	maxOfCode     = 50  // findings of one code
	maxContent    = 300 // pages and appearances of which the content is read
	maxOnPage     = 500 // annotations of a page compared with each other
	maxCandidates = 10_000
	maxEarlier    = 16 // revisions
)

// Scan looks through the document for what may make it show something else
// later or elsewhere, act when it is opened, or confuse whoever verifies it.
// It reads every object and every byte once, and of pages with annotations
// also the content. What it cannot read it reports as scan_incomplete; the
// error is that of ctx or of the underlying reader.
func (d *Document) Scan(ctx context.Context) (Findings, error) {
	s := &scan{d: d, f: d.file, reader: content.NewReader(d.file), ctx: ctx, signed: make(map[uint32]bool), seen: make(map[key]bool), count: make(map[string]int)}
	for _, step := range []func() error{s.document, s.signatures, s.pages, s.walk, s.leftovers, s.raw} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(s.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Page, b.Page), cmp.Compare(a.Object, b.Object))
	})
	return s.found, nil
}

// Warnings names what a signatory should know before signing, as codes of
// Findings: open_action, additional_actions, javascript, embedded_files, xfa.
// Only what the catalog and the pages say themselves is looked at.
func (d *Document) Warnings() []string {
	var out []string
	d.surface(func(code string) { out = append(out, code) })
	return out
}

// surface reports what the catalog and the pages say themselves.
func (d *Document) surface(report func(code string)) {
	catalog := d.tree.Catalog.Value
	if o, err := d.file.Resolve(catalog.Key("OpenAction")); err != nil || o.Value.Kind == syntax.Dictionary {
		report("open_action")
	}
	if d.tree.Actions || catalog.Key("AA").Kind != syntax.Null {
		report("additional_actions")
	}
	if names, err := d.file.Resolve(catalog.Key("Names")); err == nil {
		if names.Value.Key("JavaScript").Kind != syntax.Null {
			report("javascript")
		}
		if names.Value.Key("EmbeddedFiles").Kind != syntax.Null {
			report("embedded_files")
		}
	}
	if d.xfa {
		report("xfa")
	}
}

// scan is a scan under way.
type scan struct {
	d       *Document
	f       *syntax.File
	reader  *content.Reader
	ctx     context.Context
	found   Findings
	seen    map[key]bool
	count   map[string]int
	reached bits
	queue   []task
	signed  map[uint32]bool // objects that hold a signature's dictionary
	extents []extent
	content int // pages and appearances read
	linear  bool
	cut     bool
}

type key struct {
	code   string
	object uint32
}

// task is an object to be looked at, and the page it was found on.
type task struct {
	num  uint32
	gen  uint16
	page int
}

// extent is where in the file the value of an object lies, with its data.
type extent struct {
	start, end int64
	num        uint32
}

// bits is a set of object numbers.
type bits []uint64

// add reports whether the number was new.
func (b *bits) add(num uint32) bool {
	i, bit := int(num>>6), uint64(1)<<(num&63)
	if i >= len(*b) {
		*b = append(*b, make([]uint64, i+1-len(*b))...)
	}
	if (*b)[i]&bit != 0 {
		return false
	}
	(*b)[i] |= bit
	return true
}

func (s *scan) report(code string, object uint32, page int) {
	k := key{code, object}
	if s.seen[k] {
		return
	}
	if s.count[code]++; s.count[code] > maxOfCode {
		s.incomplete()
		return
	}
	s.seen[k] = true
	s.found = append(s.found, Finding{Code: code, Severity: meanings[code].severity, Object: object, Page: page})
}

func (s *scan) incomplete() {
	if !s.cut {
		s.cut = true
		s.found = append(s.found, Finding{Code: "scan_incomplete", Severity: meanings["scan_incomplete"].severity})
	}
}

// unreadable is unread for what the document leads to: what is damaged there,
// or has two meanings, is not so to all readers and may hold anything.
func (s *scan) unreadable(err error) error {
	if errors.Is(err, syntax.ErrInvalid) {
		s.incomplete()
		for i := range s.found {
			if s.found[i].Code == "scan_incomplete" {
				s.found[i].Severity = Danger
			}
		}
	}
	return s.unread(err)
}

// unread notes what could not be read of the document and returns errors of
// the reader below.
func (s *scan) unread(err error) error {
	var own *syntax.Error
	if err == nil || !errors.As(err, &own) {
		return err
	}
	s.incomplete()
	return nil
}

// resolve is Resolve, null for what cannot be read.
func (s *scan) resolve(v syntax.Value) (*syntax.Object, error) {
	o, err := s.f.Resolve(v)
	if err != nil {
		return &syntax.Object{}, s.unreadable(err)
	}
	return o, nil
}

// value is resolve for callers who want the value alone; errors of the reader
// come again with the next object.
func (s *scan) value(v syntax.Value) syntax.Value {
	if v.Kind != syntax.Reference {
		return v
	}
	o, err := s.resolve(v)
	if err != nil {
		return syntax.Value{}
	}
	return o.Value
}

// meaning is what a code says.
type meaning struct {
	severity Severity
	ms, en   string
}

// SeverityOf is how much a code matters, where no finding of it says otherwise.
func SeverityOf(code string) Severity { return meanings[code].severity }

// FindingCodes returns the codes of findings, sorted.
func FindingCodes() []string {
	out := make([]string, 0, len(meanings))
	for code := range meanings {
		out = append(out, code)
	}
	slices.Sort(out)
	return out
}

var meanings = map[string]meaning{
	"additional_actions":      {Warning, "Tindakan automatik pada dokumen, halaman atau medan", "Actions run by themselves on the document, a page or a field"},
	"already_signed":          {Info, "Dokumen telah mempunyai tandatangan", "The document is signed already"},
	"alternate_image":         {Warning, "Imej lain mungkin dipaparkan apabila dicetak", "Another image may be shown when printed"},
	"annotation_covers_text":  {Warning, "Anotasi menutup teks halaman", "An annotation covers text of the page"},
	"annotation_hidden":       {Warning, "Anotasi atau medan tersembunyi", "A hidden annotation or field"},
	"annotation_not_printed":  {Warning, "Anotasi dipaparkan tetapi tidak dicetak", "An annotation is shown but not printed"},
	"annotation_transparent":  {Warning, "Anotasi hampir lutsinar", "An annotation that is nearly transparent"},
	"annotations_overlap":     {Warning, "Anotasi atau medan bertindih", "Annotations or fields overlap"},
	"appearance_changes":      {Warning, "Rupa anotasi berubah di bawah penunjuk tetikus", "The look of an annotation changes under the pointer"},
	"appearance_missing":      {Info, "Rupa anotasi ditentukan oleh perisian paparan", "The viewer decides how an annotation looks"},
	"appearance_state":        {Warning, "Keadaan anotasi tidak mempunyai rupa", "An annotation's state has no appearance"},
	"byte_range_lookalike":    {Danger, "Data yang menyerupai tandatangan di luar medan tandatangan", "Data that look like a signature outside of signature fields"},
	"changed_after_signature": {Warning, "Kandungan ditambah selepas tandatangan terakhir", "Something was added after the last signature"},
	"earlier_versions":        {Info, "Versi terdahulu sebahagian dokumen masih ada dalam fail", "Earlier versions of parts of the document are still in the file"},
	"embedded_files":          {Info, "Fail lampiran di dalam dokumen", "Files embedded in the document"},
	"encrypted":               {Info, "Dokumen disulitkan", "The document is encrypted"},
	"external_reference":      {Warning, "Rujukan kepada fail di luar dokumen", "A reference to a file outside of the document"},
	"external_stream":         {Danger, "Kandungan diambil dari luar dokumen", "Content that is taken from outside of the document"},
	"field_value_differs":     {Warning, "Nilai medan berbeza daripada yang dipaparkan", "The value of a field is not what it shows"},
	"font_not_embedded":       {Warning, "Fon tidak dibenamkan: rupa bergantung pada komputer", "A font is not embedded: how text looks depends on the computer"},
	"goto_remote":             {Warning, "Tindakan membuka dokumen lain", "An action that opens another document"},
	"hide_action":             {Warning, "Tindakan menyembunyi atau memaparkan sebahagian dokumen", "An action that hides or shows parts of the document"},
	"import_data":             {Danger, "Tindakan memuatkan data ke dalam borang", "An action that loads data into the form"},
	"javascript":              {Danger, "Skrip di dalam dokumen", "Scripts in the document"},
	"launch":                  {Danger, "Tindakan menjalankan program", "An action that starts a program"},
	"multimedia":              {Warning, "Bunyi, video atau kandungan 3D", "Sound, video or 3D content"},
	"need_appearances":        {Warning, "Rupa medan borang dijana semula oleh perisian paparan", "The viewer draws form fields anew"},
	"open_action":             {Warning, "Tindakan semasa dokumen dibuka", "An action when the document is opened"},
	"optional_content":        {Info, "Lapisan yang boleh dimatikan", "Layers that can be turned off"},
	"optional_content_hidden": {Warning, "Lapisan tersembunyi, atau berbeza antara paparan dan cetakan", "Layers that are hidden, or differ between screen and print"},
	"scan_incomplete":         {Warning, "Tidak semua bahagian dokumen dapat diperiksa", "Not all of the document could be examined"},
	"submit_form":             {Warning, "Tindakan menghantar data borang", "An action that sends form data"},
	"transfer_function":       {Warning, "Warna diubah semasa paparan atau cetakan", "Colours are changed when shown or printed"},
	"type3_font":              {Info, "Fon dilukis oleh dokumen sendiri", "A font drawn by the document itself"},
	"unlisted_object":         {Warning, "Objek di dalam fail yang tidak disenaraikan oleh mana-mana versi", "Objects in the file which no version lists"},
	"unreferenced_object":     {Warning, "Kandungan halaman di dalam fail yang tidak digunakan", "Page content in the file which is not used"},
	"uri":                     {Info, "Pautan ke laman web", "A link to a web page"},
	"xfa":                     {Danger, "Borang XFA: paparan berbeza antara perisian", "XFA form: shown differently by different software"},
}
