package table

import (
	"archive/zip"
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Writer writes rows of strings and int64s, one after the other, in bounded memory. A
// string that a spreadsheet would take for a formula is inert text in it.
type Writer interface {
	// Row writes a row of at most 26 cells; one that is neither string nor int64 is
	// written as %v is.
	Row(cells ...any) error
	// Close ends the file; it does not close what it is written to.
	Close() error
}

// csvWriter writes RFC 4180 in UTF-8 with a byte order mark, without which Excel takes
// it for Windows-1252.
type csvWriter struct{ w *bufio.Writer }

// NewCSVWriter begins a CSV file.
func NewCSVWriter(w io.Writer) (Writer, error) {
	c := csvWriter{bufio.NewWriter(w)}
	_, err := c.w.WriteString("\ufeff")
	return c, err
}

// Row implements Writer.
func (c csvWriter) Row(cells ...any) error {
	for k, cell := range cells {
		if k > 0 {
			_ = c.w.WriteByte(',') // bufio keeps the error for Flush
		}
		s, text := shown(cell)
		if text && formula(s) {
			s = "'" + s
		}
		if text && (s == "" || strings.ContainsAny(s, "\",\r\n\t ';")) {
			s = `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
		}
		_, _ = c.w.WriteString(s)
	}
	_, err := c.w.WriteString("\r\n")
	return err
}

// Close implements Writer.
func (c csvWriter) Close() error { return c.w.Flush() }

func shown(cell any) (s string, text bool) {
	switch v := cell.(type) {
	case int64:
		return strconv.FormatInt(v, 10), false
	case string:
		return strings.ToValidUTF8(v, string(utf8.RuneError)), true
	}
	return fmt.Sprint(cell), true
}

// formula says whether a spreadsheet may compute s: also behind spaces, which some
// remove, and with the full-width signs that some take for the ASCII ones.
func formula(s string) bool {
	if strings.HasPrefix(s, "\t") || strings.HasPrefix(s, "\r") || strings.HasPrefix(s, "\n") {
		return true
	}
	first, _ := utf8.DecodeRuneInString(strings.TrimLeft(s, " \u00a0\ufeff"))
	return strings.ContainsRune("=+-@\t\r\n＝＋－＠", first)
}

// maxRows of a sheet (ECMA-376 sets none, Excel 2^20); more go to further sheets.
const maxRows = 1 << 20

// xlsxWriter writes a workbook as a stream: sheets first, what names them last. Text is
// inline and styled as such, so that it stays text when somebody edits the cell.
type xlsxWriter struct {
	z      *zip.Writer
	w      *bufio.Writer // of the sheet being written
	sheets int
	row    int
	rows   int // that a sheet holds
	header []any
}

// NewXLSXWriter begins a workbook (ECMA-376); the first row is repeated on each sheet.
func NewXLSXWriter(w io.Writer) (Writer, error) {
	x := &xlsxWriter{z: zip.NewWriter(w), rows: maxRows}
	return x, x.sheet()
}

const (
	xmlHead = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"
	sheetML = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"`
	relsNS  = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
	partsNS = "http://schemas.openxmlformats.org/package/2006"
	parts   = "application/vnd.openxmlformats-officedocument.spreadsheetml."
)

func (x *xlsxWriter) sheet() error {
	if err := x.endSheet(); err != nil {
		return err
	}
	x.sheets++
	x.row = 0
	part, err := x.z.Create(fmt.Sprintf("xl/worksheets/sheet%d.xml", x.sheets))
	if err != nil {
		return err
	}
	x.w = bufio.NewWriter(part)
	_, err = x.w.WriteString(xmlHead + `<worksheet ` + sheetML + `><sheetData>`)
	return err
}

func (x *xlsxWriter) endSheet() error {
	if x.w == nil {
		return nil
	}
	_, _ = x.w.WriteString("</sheetData></worksheet>") // bufio keeps the error for Flush
	return x.w.Flush()
}

// Row implements Writer.
func (x *xlsxWriter) Row(cells ...any) error {
	if len(cells) > 26 {
		return fmt.Errorf("writing a row: %d cells", len(cells))
	}
	if x.header == nil {
		x.header = cells
	}
	if x.row == x.rows {
		if err := x.sheet(); err != nil {
			return err
		}
		if err := x.Row(x.header...); err != nil {
			return err
		}
	}
	x.row++
	fmt.Fprintf(x.w, `<row r="%d">`, x.row)
	for k, cell := range cells {
		s, text := shown(cell)
		if !text {
			fmt.Fprintf(x.w, `<c r="%c%d"><v>%s</v></c>`, 'A'+k, x.row, s)
			continue
		}
		fmt.Fprintf(x.w, `<c r="%c%d" s="1" t="inlineStr"><is><t xml:space="preserve">`, 'A'+k, x.row)
		// _x003D_ is an escape in these texts (ECMA-376, 22.9.2.19): ours are none.
		if err := xml.EscapeText(x.w, []byte(strings.ReplaceAll(s, "_x", "_x005F_x"))); err != nil {
			return err
		}
		_, _ = x.w.WriteString(`</t></is></c>`)
	}
	_, err := x.w.WriteString("</row>")
	return err
}

// Close implements Writer.
func (x *xlsxWriter) Close() error {
	if err := x.endSheet(); err != nil {
		return err
	}
	var types, sheets, rels strings.Builder
	for n := 1; n <= x.sheets; n++ {
		fmt.Fprintf(&types, `<Override PartName="/xl/worksheets/sheet%d.xml" ContentType="%sworksheet+xml"/>`, n, parts)
		fmt.Fprintf(&sheets, `<sheet name="%d" sheetId="%d" r:id="rId%d"/>`, n, n, n)
		fmt.Fprintf(&rels, `<Relationship Id="rId%d" Type="%s/worksheet" Target="worksheets/sheet%d.xml"/>`, n, relsNS, n)
	}
	for _, p := range [][2]string{
		{"xl/workbook.xml", `<workbook ` + sheetML + ` xmlns:r="` + relsNS + `"><sheets>` + sheets.String() + `</sheets></workbook>`},
		{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="` + partsNS + `/relationships">` + rels.String() +
			`<Relationship Id="rId0" Type="` + relsNS + `/styles" Target="styles.xml"/></Relationships>`},
		// Style 1: text (format 49), marked as if typed behind an apostrophe.
		{"xl/styles.xml", `<styleSheet ` + sheetML + `><fonts count="1"><font/></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border/></borders>` +
			`<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="2"><xf xfId="0"/><xf xfId="0" numFmtId="49" quotePrefix="1" applyNumberFormat="1"/></cellXfs></styleSheet>`},
		{"_rels/.rels", `<Relationships xmlns="` + partsNS + `/relationships"><Relationship Id="rId1" Type="` + relsNS + `/officeDocument" Target="xl/workbook.xml"/></Relationships>`},
		{"[Content_Types].xml", `<Types xmlns="` + partsNS + `/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
			`<Override PartName="/xl/workbook.xml" ContentType="` + parts + `sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="` + parts + `styles+xml"/>` + types.String() + `</Types>`},
	} {
		part, err := x.z.Create(p[0])
		if err != nil {
			return err
		}
		if _, err := io.WriteString(part, xmlHead+p[1]); err != nil {
			return err
		}
	}
	return x.z.Close()
}
