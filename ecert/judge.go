package ecert

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
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
	fieldCentreCode: 40, fieldCentreName: 160, fieldBatch: 40, fieldYear: 20, fieldLanguage: 20, fieldPhoto: 200,
}

// refuser notes what is wrong with a column of the row, by its index: the first defect counts.
type refuser func(column int, code, en, ms string)

// judge turns a row into a candidate, or refuses it for its first defect in the
// order of the fields. A number counts as seen even in a refused row: which of
// two rows is right is not for the program to guess.
func (r *Reader) judge(fields [][]byte) (Candidate, *Refusal) {
	var bad *Refusal
	refuse := func(column int, code, en, ms string) {
		if bad == nil {
			bad = &Refusal{Row: r.row, Column: r.header[column], Code: code, Detail: en, DetailMS: ms}
		}
	}
	text := r.texts(fields, refuse)
	c := Candidate{Row: r.row, Name: text[fieldName], ProgrammeName: text[fieldProgrammeName], CentreName: text[fieldCentreName], Batch: text[fieldBatch]}
	values := []struct {
		field int
		read  func(*Candidate, string) (code, en, ms string)
	}{
		{fieldIC, readIC}, {fieldNumber, r.readNumber}, {fieldLevel, readLevel}, {fieldProgrammeCode, readProgramme},
		{fieldCentreCode, readCentre}, {fieldYear, readYear}, {fieldLanguage, readLanguage},
	}
	for _, v := range values {
		if s := text[v.field]; s != "" {
			if code, en, ms := v.read(&c, s); code != "" {
				refuse(r.order[v.field], code, en, ms)
			}
		}
	}
	if c.ProgrammeCode != "" && c.Level != "" {
		if en, ms := checkNOSS(c.ProgrammeCode, c.Level, c.Year); en != "" {
			refuse(r.order[fieldProgrammeCode], CodeNOSSInvalid, en, ms)
		}
	}
	r.judgeUnits(fields, &c, refuse)
	r.judgePhoto(&c, text[fieldPhoto], refuse)
	if bad != nil {
		bad.Name = printable(text[fieldName], maxRunes[fieldName])
		return Candidate{}, bad
	}
	r.notePerson(&c)
	return c, nil
}

// texts normalises the fields; what it refuses is "".
func (r *Reader) texts(fields [][]byte, refuse refuser) (text [fieldCount]string) {
	for field, at := range r.order {
		if at < 0 {
			continue
		}
		s, wrong := printableText(r.face, string(fields[at]))
		n := utf8.RuneCountInString(s)
		switch {
		case n > maxRunes[field]:
			refuse(at, CodeFieldTooLong, tooLongEN(n, maxRunes[field]), tooLongMS(n, maxRunes[field]))
		case wrong >= 0:
			refuse(at, CodeFieldInvalid, wrongEN(wrong), wrongMS(wrong))
		case s == "" && field != fieldPhoto:
			refuse(at, CodeFieldMissing, "nothing in the field", "medan kosong")
		default:
			text[field] = s
		}
	}
	return text
}

// judgePhoto looks for the picture that the row names.
func (r *Reader) judgePhoto(c *Candidate, name string, refuse refuser) {
	if name == "" {
		return
	}
	if r.Photo == nil {
		refuse(r.order[fieldPhoto], CodePhotoInvalid, "pictures come with the list, in a ZIP", "gambar dihantar bersama senarai, dalam ZIP")
		return
	}
	hash, en, ms := r.Photo(name)
	if en != "" {
		refuse(r.order[fieldPhoto], CodePhotoInvalid, en, ms)
	}
	c.Photo = hash
}

// notePerson counts second certificates of the same programme and level for one person: likely a row
// that was entered twice, but nobody here can know. Statements of achievement are given for parts of
// a programme: there may be more.
func (r *Reader) notePerson(c *Candidate) {
	key, ok := personKey(c)
	if !ok || r.again {
		return
	}
	if _, twice := r.persons[key]; !twice {
		r.persons[key] = struct{}{}
		return
	}
	if r.Twice++; len(r.TwiceRows) < maxTwiceRows {
		r.TwiceRows = append(r.TwiceRows, c.Row)
	}
}

// personKey stands for who gets which certificate; false where that may come twice, or is not known.
func personKey(c *Candidate) (key [16]byte, ok bool) {
	if c.Level == PC || c.Level == "" || c.IC == "" || c.ProgrammeCode == "" {
		return key, false
	}
	sum := sha256.Sum256([]byte(string(c.IC) + "\x00" + string(c.Level) + "\x00" + c.ProgrammeCode))
	return [16]byte(sum[:]), true
}

// packNumber writes a certificate number in 16 bytes: 20 characters of 38 kinds are less than 2^106.
func packNumber(s string) (key [16]byte, ok bool) {
	if len(s) > maxNumber {
		return key, false
	}
	var hi, lo uint64
	for k := range maxNumber {
		digit := uint64(0) // behind the end
		if k < len(s) {
			switch c := s[k]; {
			case c >= 'A' && c <= 'Z':
				digit = uint64(c-'A') + 1
			case c >= '0' && c <= '9':
				digit = uint64(c-'0') + 27
			case c == '-':
				digit = 37
			default:
				return key, false
			}
		}
		over, low := bits.Mul64(lo, 38)
		var carry uint64
		lo, carry = bits.Add64(low, digit, 0)
		hi = hi*38 + over + carry
	}
	binary.BigEndian.PutUint64(key[:], hi)
	binary.BigEndian.PutUint64(key[8:], lo)
	return key, true
}

// sameAs says where something has come before.
func sameAs(row uint32, en, ms string) (string, string) {
	if row == 0 {
		return "an earlier list of this batch has " + en, "senarai terdahulu kelompok ini mempunyai " + ms
	}
	return fmt.Sprintf("row %d has %s", row, en), fmt.Sprintf("baris %d mempunyai %s", row, ms)
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
	c.Number = s
	key, ok := packNumber(s)
	if !ok || r.again {
		return "", "", ""
	}
	if row, twice := r.numbers[key]; twice {
		en, ms := sameAs(row, "the same number", "nombor yang sama")
		return CodeNumberDuplicate, en, ms
	}
	r.numbers[key] = uint32(r.row)
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
		en += "; the first 0 was lost, or the cell is a date: format the column as text"
		ms += "; sifar pertama hilang, atau sel itu tarikh: formatkan lajur sebagai teks"
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
