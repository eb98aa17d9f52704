package ecert

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/pdf/font"
)

// maxNumber is the greatest length of a certificate number.
const maxNumber = 20

// maxRunes holds the greatest number of characters of each field.
var maxRunes = [fieldCount]int{
	fieldName: 120, fieldIC: 20, fieldNumber: maxNumber,
	fieldProgrammeCode: 40, fieldProgrammeName: 200, fieldLevel: 20,
	fieldCentreCode: 40, fieldCentreName: 160, fieldBatch: 40, fieldYear: 20, fieldLanguage: 20,
}

// judge turns a row into a candidate, or refuses it for its first defect in the
// order of the fields. A number counts as seen even in a refused row: which of
// two rows is right is not for the program to guess.
func (r *Reader) judge(fields [][]byte) (Candidate, *Refusal) {
	var text [fieldCount]string
	var bad *Refusal
	refuse := func(field int, code, en, ms string) {
		if bad == nil {
			bad = &Refusal{Row: r.row, Column: r.header[r.order[field]], Code: code, Detail: en, DetailMS: ms}
		}
	}
	for field := range fieldCount {
		s, wrong := printableText(r.face, string(fields[r.order[field]]))
		n := utf8.RuneCountInString(s)
		switch {
		case n > maxRunes[field]:
			refuse(field, CodeFieldTooLong, fmt.Sprintf("%d characters, at most %d", n, maxRunes[field]),
				fmt.Sprintf("%d aksara, paling banyak %d", n, maxRunes[field]))
		case wrong >= 0:
			refuse(field, CodeFieldInvalid, fmt.Sprintf("character %U cannot be printed on a certificate", wrong),
				fmt.Sprintf("aksara %U tidak boleh dicetak pada sijil", wrong))
		case s == "":
			refuse(field, CodeFieldMissing, "nothing in the field", "medan kosong")
		default:
			text[field] = s
		}
	}
	c := Candidate{
		Row: r.row, Name: text[fieldName],
		ProgrammeCode: text[fieldProgrammeCode], ProgrammeName: text[fieldProgrammeName],
		CentreCode: text[fieldCentreCode], CentreName: text[fieldCentreName], Batch: text[fieldBatch],
	}
	values := []struct {
		field int
		read  func(*Candidate, string) (code, en, ms string)
	}{
		{fieldIC, readIC}, {fieldNumber, r.readNumber}, {fieldLevel, readLevel},
		{fieldYear, readYear}, {fieldLanguage, readLanguage},
	}
	for _, v := range values {
		if s := text[v.field]; s != "" {
			if code, en, ms := v.read(&c, s); code != "" {
				refuse(v.field, code, en, ms)
			}
		}
	}
	if bad != nil {
		bad.Name = printable(text[fieldName], maxRunes[fieldName])
		return Candidate{}, bad
	}
	return c, nil
}

// printableText normalises a field and returns the first character that may not
// stand in it, or -1.
func printableText(face *font.Face, s string) (string, rune) {
	wrong := rune(-1)
	var b strings.Builder
	space := false
	for _, c := range norm.NFC.String(s) {
		if c == '\t' || unicode.Is(unicode.Zs, c) {
			space = true
			continue
		}
		if wrong < 0 && (c == unicode.ReplacementChar || unicode.Is(unicode.C, c) || !face.Has(c)) {
			wrong = c
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(c)
	}
	return b.String(), wrong
}

// printable returns at most limit characters of s, those that show something.
func printable(s string, limit int) string {
	var b strings.Builder
	for _, c := range s {
		if limit == 0 {
			break
		}
		if unicode.IsPrint(c) {
			b.WriteRune(c)
			limit--
		}
	}
	return b.String()
}

func readIC(c *Candidate, s string) (code, en, ms string) {
	n, err := mykad.Parse(mykad.Clean(s))
	if err == nil {
		c.IC = n
		return "", "", ""
	}
	en, ms = "not 12 digits that begin with a date of birth", "bukan 12 digit yang bermula dengan tarikh lahir"
	if _, err := mykad.Parse("0" + s); err == nil {
		en += "; the first 0 was lost, format the column as text"
		ms += "; sifar pertama hilang, formatkan lajur sebagai teks"
	}
	return CodeICInvalid, en, ms
}

func (r *Reader) readNumber(c *Candidate, s string) (code, en, ms string) {
	s = strings.ToUpper(s)
	strange := func(c rune) bool { return (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' }
	if len(s) < 4 || strings.ContainsFunc(s, strange) {
		return CodeFieldInvalid, "a certificate number has 4 to 20 of A-Z, 0-9 and hyphens",
			"nombor sijil mempunyai 4 hingga 20 aksara A-Z, 0-9 dan sempang"
	}
	var key [maxNumber]byte
	copy(key[:], s)
	if row, twice := r.seen[key]; twice {
		return CodeNumberDuplicate, fmt.Sprintf("row %d has the same number", row), fmt.Sprintf("baris %d mempunyai nombor yang sama", row)
	}
	r.seen[key] = uint32(r.row)
	c.Number = s
	return "", "", ""
}

func readLevel(c *Candidate, s string) (code, en, ms string) {
	l, ok := ParseLevel(s)
	if !ok {
		return CodeFieldInvalid, "not one of SKM 1, SKM 2, SKM 3, DKM, DLKM, PC, VTO, VTE, VTM",
			"bukan salah satu daripada SKM 1, SKM 2, SKM 3, DKM, DLKM, PC, VTO, VTE, VTM"
	}
	c.Level = l
	return "", "", ""
}

func readYear(c *Candidate, s string) (code, en, ms string) {
	en, ms = "not month and year such as 072021", "bukan bulan dan tahun seperti 072021"
	if len(s) == 5 {
		en += "; the first 0 was lost, format the column as text"
		ms += "; sifar pertama hilang, formatkan lajur sebagai teks"
	}
	at, err := time.Parse("012006", s)
	if err != nil || len(s) != 6 || at.Year() < 1970 || at.Year() > 2099 {
		return CodeFieldInvalid, en, ms
	}
	c.Month, c.Year = at.Month(), at.Year()
	return "", "", ""
}

func readLanguage(c *Candidate, s string) (code, en, ms string) {
	switch strings.ToLower(s) {
	case "ms", "bm":
		c.Language = Malay
	case "en", "bi":
		c.Language = English
	default:
		return CodeFieldInvalid, "not ms (Malay) or en (English)", "bukan ms (Melayu) atau en (Inggeris)"
	}
	return "", "", ""
}
