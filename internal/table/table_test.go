package table_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/table"
)

const (
	book = `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="A" sheetId="1" r:id="rId7"/><sheet name="B" sheetId="2" r:id="rId8"/></sheets></workbook>`
	rels = `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId8" Target="worksheets/sheet1.xml"/><Relationship Id="rId7" Target="worksheets/sheet2.xml"/></Relationships>`
)

func sheet(rows string) string {
	return `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>` + rows + `</sheetData></worksheet>`
}

// workbook makes an XLSX of parts; a part "" is left out.
func workbook(t testing.TB, parts map[string]string) []byte {
	t.Helper()
	all := map[string]string{"xl/workbook.xml": book, "xl/_rels/workbook.xml.rels": rels, "xl/worksheets/sheet2.xml": sheet(`<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row>`)}
	for name, s := range parts {
		all[name] = s
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, s := range all {
		if s == "" {
			continue
		}
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, s)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read gives all rows as "line:a|b".
func read(raw []byte) (out []string, err error) {
	rows, err := table.Open(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return nil, err
	}
	for {
		fields, line, err := rows.Next(4)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, fmt.Sprintf("%d:%s", line, bytes.Join(fields, []byte("|"))))
	}
}

func TestXLSX(t *testing.T) {
	got, err := read(workbook(t, map[string]string{
		"xl/sharedStrings.xml":     `<sst><si><t>No KP</t></si><si><r><t>Na</t></r><r><t>ma</t></r><rPh><t>x</t></rPh></si></sst>`,
		"xl/worksheets/sheet1.xml": sheet(`<row r="1"><c r="A1"><v>wrong sheet</v></c></row>`),
		"xl/worksheets/sheet2.xml": sheet(`<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>` +
			`<row r="3"><c r="A3"><v>9.00101145678E11</v></c><c r="C3" t="inlineStr"><is><t>=1+1</t></is></c><c r="D3" s="4"/></row>` +
			`<row r="4"/><row><c><v>12</v></c><c t="str"><v>é</v></c></row>`),
	}))
	if want := []string{"1:No KP|Nama", "3:900101145678||=1+1", "5:12|é"}; err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q, %v", got, err)
	}
	got, err = read([]byte("a,b\n1,2\n"))
	if err != nil || strings.Join(got, " ") != "1:a|b 2:1|2" {
		t.Errorf("CSV: %q, %v", got, err)
	}
}

// What is no workbook, or may hurt, is refused whole with a sentence in both languages,
// in bounded memory.
func TestXLSXRefused(t *testing.T) {
	one := func(rows string) map[string]string {
		return map[string]string{"xl/worksheets/sheet2.xml": sheet(rows)}
	}
	long := strings.Repeat("x", 20_000)
	for what, parts := range map[string]map[string]string{
		"a formula":         one(`<row r="1"><c r="A1"><f>1+1</f><v>2</v></c></row>`),
		"an error value":    one(`<row r="1"><c r="A1" t="e"><v>#REF!</v></c></row>`),
		"too many columns":  one(`<row r="1"><c r="E1"><v>2</v></c></row>`),
		"a far column":      one(`<row r="1"><c r="ZZZZZZZZ1"><v>2</v></c></row>`),
		"cells backwards":   one(`<row r="1"><c r="B1"><v>2</v></c><c r="A1"><v>2</v></c></row>`),
		"rows backwards":    one(`<row r="2"><c r="A2"><v>2</v></c></row><row r="1"/>`),
		"a long field":      one(`<row r="1"><c r="A1" t="inlineStr"><is><t>` + long + `</t></is></c></row>`),
		"a bomb of a row":   one(`<row r="1"><c r="A1" t="inlineStr"><is><t>` + strings.Repeat(long, 500) + `</t></is></c></row>`),
		"a bomb of a space": one(strings.Repeat(" ", 3<<20) + `<row r="1"/>`),
		"no such text":      one(`<row r="1"><c r="A1" t="s"><v>9</v></c></row>`),
		"cut off":           {"xl/worksheets/sheet2.xml": `<worksheet><sheetData><row r="1"><c`},
		"an entity":         {"xl/worksheets/sheet2.xml": `<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>&a;</t></is></c></row></sheetData></worksheet>`},
		"macros":            {"xl/vbaProject.bin": "x"},
		"a hidden sheet":    {"xl/workbook.xml": strings.Replace(book, `name="A"`, `name="A" state="hidden"`, 1)},
		"no sheet":          {"xl/worksheets/sheet2.xml": ""},
		"no book":           {"xl/workbook.xml": ""},
		"a huge book":       {"xl/workbook.xml": strings.Repeat(" ", 2<<20) + book},
		"a way out":         {"xl/_rels/workbook.xml.rels": strings.ReplaceAll(rels, "worksheets", "../../../etc")},
		"a bomb of nothing": {"xl/sharedStrings.xml": `<sst>` + strings.Repeat("<si/>", 1_000_001) + `</sst>`},
		"a shared bomb":     {"xl/sharedStrings.xml": `<sst><si><t>` + strings.Repeat(long, 100) + `</t></si></sst>`},
	} {
		rows, err := read(workbook(t, parts))
		var no *table.Error
		if !errors.As(err, &no) || !errors.Is(err, table.ErrRefused) || no.Detail == "" || no.DetailMS == "" || strings.Contains(no.Detail, "x") && strings.Contains(no.Detail, long[:50]) {
			t.Errorf("%s: %q, %v", what, rows, err)
		}
	}
	for what, raw := range map[string]string{"an old workbook": "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1 rest", "a broken archive": "PK\x03\x04 rest", "UTF-16": "\xFF\xFEa\x00", "Latin 1": "a,b\nM\xE9,1\n"} {
		if rows, err := read([]byte(raw)); !errors.Is(err, table.ErrRefused) {
			t.Errorf("%s: %q, %v", what, rows, err)
		}
	}
}

// A text of many runs costs what it is long, not its square.
func TestXLSXRuns(t *testing.T) {
	const runs = 1 << 16
	raw := workbook(t, map[string]string{"xl/sharedStrings.xml": `<sst><si>` + strings.Repeat("<r><t>a</t></r>", runs) + `</si></sst>`})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if got, err := read(raw); err != nil || len(got) != 1 {
		t.Errorf("%q, %v", got, err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 512<<20 {
		t.Errorf("%d bytes for a text of %d", n, runs)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(workbook(f, nil))
	f.Add([]byte("a,b\n\"1\",2\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := read(raw); err != nil && !errors.Is(err, table.ErrRefused) {
			t.Errorf("%v", err)
		}
	})
}
