package corpus

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// object is an indirect object. Free ones appear in the cross-reference
// section alone; packed ones live in an object stream.
type object struct {
	num, gen int
	body     string
	free     bool
	packed   int // number of the object stream, 0 for none
}

func obj(num int, body string) object { return object{num: num, body: body} }

// stm is a stream object without a filter.
func stm(num int, dict, data string) object {
	return obj(num, fmt.Sprintf("<<%s/Length %d>>\nstream\n%s\nendstream", dict, len(data), data))
}

// flate is a stream object with FlateDecode.
func flate(num int, dict, data string) object {
	return stm(num, dict+"/Filter/FlateDecode", deflate(data))
}

func deflate(data string) string { return deflateMany(data, 1) }

// deflateMany compresses texts, each as often as the number behind it says.
func deflateMany(parts ...any) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		for range parts[i+1].(int) {
			_, _ = w.Write([]byte(parts[i].(string))) // a buffer takes all it is given
		}
	}
	_ = w.Close()
	return b.String()
}

// zeros is n megabytes of them, compressed. All parts but the first have the
// same bytes. The end and the checksum are missing: nobody should come there.
func zeros(n int) string {
	part := make([]byte, 1<<20)
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	var first int
	for range 2 { // a buffer takes all it is given
		first = b.Len()
		_, _ = w.Write(part)
		_ = w.Flush()
	}
	return b.String() + strings.Repeat(b.String()[first:], n-2)
}

// layout is how a file is written. The zero value is a file of PDF 1.7 with
// line feeds and a cross-reference table.
type layout struct {
	header   string // "%PDF-1.7\n%âãÏÓ\n"
	eol      string // between the parts of objects and in the trailer, "\n"
	entryEOL string // of table entries: " \n"
	trailer  string // entries besides /Size and /Root
	root     string // "1 0 R"
	size     int    // one more than the largest number
	before   string // each object
	streams  bool   // cross-reference stream in place of a table
	filter   bool   // which is compressed with a predictor
	widths   [3]int // of the cross-reference stream: 1 4 2
	tail     string // behind the startxref number: eol %%EOF eol
	shift    int    // added to all offsets
}

func (l layout) or() layout {
	if l.header == "" {
		l.header = "%PDF-1.7\n%\xE2\xE3\xCF\xD3\n"
	}
	if l.eol == "" {
		l.eol = "\n"
	}
	if l.entryEOL == "" {
		l.entryEOL = " \n"
	}
	if l.root == "" {
		l.root = "1 0 R"
	}
	if l.widths == [3]int{} {
		l.widths = [3]int{1, 4, 2}
	}
	if l.tail == "" {
		l.tail = l.eol + "%%EOF" + l.eol
	}
	return l
}

// write makes a whole file of objects.
func write(l layout, objects ...object) []byte {
	l = l.or()
	return section([]byte(l.header), l, -1, objects)
}

// lines puts the layout's ends of lines into a body, but not into stream data.
// After "stream" a carriage return alone is not allowed (ISO 32000-2, Section
// 7.3.8.1).
func (l layout) lines(body string) string {
	dict, data, ok := strings.Cut(body, "\nstream\n")
	dict = strings.ReplaceAll(dict, "\n", l.eol)
	if !ok {
		return dict
	}
	eol := l.eol
	if eol == "\r" {
		eol = "\r\n"
	}
	return dict + l.eol + "stream" + eol + strings.TrimSuffix(data, "\nendstream") + l.eol + "endstream"
}

// row is a cross-reference entry.
type row struct{ num, kind, a, b int }

// section appends objects and a cross-reference section. prev is the former
// section's offset, -1 for none.
func section(b []byte, l layout, prev int, objects []object) []byte {
	l = l.or()
	rows := []row{}
	if prev < 0 {
		rows = append(rows, row{0, 0, 0, 65535})
	}
	index := map[int]int{}
	for _, o := range objects {
		switch {
		case o.free:
			rows = append(rows, row{o.num, 0, 0, o.gen})
			continue
		case o.packed > 0:
			rows = append(rows, row{o.num, 2, o.packed, index[o.packed]})
			index[o.packed]++
			continue
		}
		b = append(b, l.before...)
		rows = append(rows, row{o.num, 1, len(b) + l.shift, o.gen})
		b = fmt.Appendf(b, "%d %d obj%s%s%sendobj%s", o.num, o.gen, l.eol, l.lines(o.body), l.eol, l.eol)
	}
	for _, r := range rows {
		l.size = max(l.size, r.num+1)
	}
	link := l.trailer
	if prev >= 0 {
		link = fmt.Sprintf("/Prev %d%s", prev, l.trailer)
	}
	at := len(b)
	if l.streams {
		rows = append(rows, row{l.size, 1, at + l.shift, 0})
		l.size++
		b = xrefStream(b, l, link, rows)
	} else {
		b = xrefTable(b, l, rows)
		b = fmt.Appendf(b, "trailer%s<</Size %d/Root %s%s>>%s", l.eol, l.size, l.root, link, l.eol)
	}
	return fmt.Appendf(b, "startxref%s%d%s", l.eol, at+l.shift, l.tail)
}

// runs cuts sorted rows into runs of consecutive numbers.
func runs(rows []row) (out [][]row) {
	slices.SortStableFunc(rows, func(a, b row) int { return a.num - b.num })
	for from, i := 0, 1; i <= len(rows); i++ {
		if i == len(rows) || rows[i].num != rows[i-1].num+1 {
			out = append(out, rows[from:i])
			from = i
		}
	}
	return out
}

func xrefTable(b []byte, l layout, rows []row) []byte {
	line := l.eol
	if line == " " { // a table has lines, whatever the rest has (ISO 32000-2, Section 7.5.4)
		line = "\n"
	}
	b = append(b, "xref"+line...)
	for _, run := range runs(rows) {
		b = fmt.Appendf(b, "%d %d%s", run[0].num, len(run), line)
		for _, r := range run {
			letter := "nf"[(r.kind+1)%2]
			b = fmt.Appendf(b, "%010d %05d %c%s", r.a, r.b, letter, l.entryEOL)
		}
	}
	return b
}

// xrefStream writes the stream as object l.size-1.
func xrefStream(b []byte, l layout, link string, rows []row) []byte {
	var data []byte
	var index strings.Builder
	width := l.widths[0] + l.widths[1] + l.widths[2]
	for _, run := range runs(rows) {
		fmt.Fprintf(&index, " %d %d", run[0].num, len(run))
		for _, r := range run {
			for i, v := range []int{r.kind, r.a, r.b} {
				for n := l.widths[i] - 1; n >= 0; n-- {
					data = append(data, byte(v>>min(8*n, 62)))
				}
			}
		}
	}
	filter := ""
	if l.filter {
		filter = fmt.Sprintf("/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns %d>>", width)
		data = []byte(deflate(string(up(data, width))))
	}
	return fmt.Appendf(b, "%d 0 obj%s<</Type/XRef/W[%d %d %d]/Index[%s]/Size %d/Root %s%s%s/Length %d>>%sstream\n%s\nendstream%sendobj%s",
		l.size-1, l.eol, l.widths[0], l.widths[1], l.widths[2], strings.TrimSpace(index.String()), l.size, l.root, link, filter, len(data), l.eol, data, l.eol, l.eol)
}

// up applies the PNG filter "up" to rows.
func up(data []byte, width int) []byte {
	var out []byte
	before := make([]byte, width)
	for at := 0; at < len(data); at += width {
		out = append(out, 2)
		for i := range width {
			out = append(out, data[at+i]-before[i])
		}
		before = data[at : at+width]
	}
	return out
}

// pack makes an object stream and the objects in it.
func pack(num int, dict string, members ...object) []object {
	var head, body strings.Builder
	for i := range members {
		fmt.Fprintf(&head, "%d %d ", members[i].num, body.Len())
		body.WriteString(members[i].body + "\n")
		members[i].packed = num
	}
	s := flate(num, fmt.Sprintf("/Type/ObjStm/N %d/First %d%s", len(members), head.Len(), dict), head.String()+body.String())
	return append(members, s)
}

// lastXref finds the number behind the last startxref.
func lastXref(b []byte) (n int) {
	i := bytes.LastIndex(b, []byte("startxref"))
	fmt.Sscanf(strings.TrimSpace(strings.ReplaceAll(string(b[i+9:min(len(b), i+30)]), "\r", "\n")), "%d", &n)
	return n
}

// update appends a revision.
func update(b []byte, l layout, objects ...object) []byte {
	sizes := regexp.MustCompile(`/Size (\d+)`).FindAllSubmatch(b, -1)
	l.size, _ = strconv.Atoi(string(sizes[len(sizes)-1][1]))
	return section(slices.Clone(b), l, lastXref(b), objects)
}

// Parts of the plain document: object 1 is the catalog, 2 the page tree, 3
// the page, 4 its content, 5 the font.
const (
	catalog = "<</Type/Catalog/Pages 2 0 R>>"
	pages   = "<</Type/Pages/Count 1/Kids[3 0 R]>>"
	page    = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F0 5 0 R>>>>>>"
	text    = "BT /F0 24 Tf 72 700 Td (Halaman 1) Tj ET"
	font    = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"
	ids     = "/ID[<00112233445566778899AABBCCDDEEFF><00112233445566778899AABBCCDDEEFF>]"
)

// with returns the objects of the plain document, those given in the place of
// or besides them. A body of "-" leaves an object out.
func with(changes ...object) []object {
	objects := []object{obj(1, catalog), obj(2, pages), obj(3, page), stm(4, "", text), obj(5, font)}
	for _, c := range changes {
		i := slices.IndexFunc(objects, func(o object) bool { return o.num == c.num })
		switch {
		case i >= 0 && c.body == "-":
			objects = slices.Delete(objects, i, i+1)
		case i >= 0:
			objects[i] = c
		default:
			objects = append(objects, c)
		}
	}
	return objects
}

// plain writes the plain document with changes.
func plain(changes ...object) []byte { return write(layout{trailer: ids}, with(changes...)...) }

// withPage is the page with more entries.
func withPage(entries string) object {
	return obj(3, strings.TrimSuffix(page, ">>")+entries+">>")
}

// withCatalog is the catalog with more entries.
func withCatalog(entries string) object {
	return obj(1, strings.TrimSuffix(catalog, ">>")+entries+">>")
}
