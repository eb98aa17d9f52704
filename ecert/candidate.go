package ecert

import (
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/mykad"
)

// Language is the language a certificate is printed in, as in RFC 5646.
type Language string

// The languages of certificates.
const (
	Malay   Language = "ms"
	English Language = "en"
)

// Level is the kind of certificate. It decides the heading.
type Level string

// The levels, spelled as Candidate holds them. The reader also takes them in
// other case, without the space, and with the word `Tahap` or `Level` before
// the digit.
const (
	SKM1 Level = "SKM 1" // Sijil Kemahiran Malaysia, Tahap 1
	SKM2 Level = "SKM 2"
	SKM3 Level = "SKM 3"
	DKM  Level = "DKM"  // Diploma Kemahiran Malaysia
	DLKM Level = "DLKM" // Diploma Lanjutan Kemahiran Malaysia
	PC   Level = "PC"   // Penyata Pencapaian
	VTO  Level = "VTO"  // Vocational Training Officer
	VTE  Level = "VTE"  // Vocational Training Executive
	VTM  Level = "VTM"  // Vocational Training Manager
)

// ParseLevel returns the level s names.
func ParseLevel(s string) (Level, bool) {
	key := strings.ToUpper(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '-' }), ""))
	for _, word := range []string{"TAHAP", "LEVEL"} {
		key = strings.Replace(key, word, "", 1)
	}
	for _, l := range []Level{SKM1, SKM2, SKM3, DKM, DLKM, PC, VTO, VTE, VTM} {
		if key == strings.ReplaceAll(string(l), " ", "") {
			return l, true
		}
	}
	return "", false
}

// Candidate is one certificate to be issued. Text is UTF-8 in NFC, without
// control, format and line characters, without space at the ends.
type Candidate struct {
	Row           int          // row in the file, the header being row 1
	Name          string       // at most 120 characters, printed as given
	IC            mykad.Number // No. Kad Pengenalan
	Number        string       // certificate number: 4 to 20 of A-Z, 0-9 and '-'
	ProgrammeCode string       // NOSS code such as TP-021-3:2013, at most 40 characters
	ProgrammeName string       // at most 200 characters
	Level         Level
	CentreCode    string // at most 40 characters
	CentreName    string // at most 160 characters
	Batch         string // at most 40 characters
	Month         time.Month
	Year          int // 1970 to 2099
	Language      Language
	// Units are the Competency Units of a modular certificate, at most MaxUnits.
	Units []Unit `json:",omitempty"`
	// Photo is the SHA-256, in lower-case hex, of the candidate's picture; "" without one.
	Photo string `json:",omitempty"`
}

// MaxUnits bounds the Competency Units of one certificate.
const MaxUnits = 24

// Unit is a Competency Unit (Unit Kompetensi).
type Unit struct {
	Code  string // such as TP-021-3:2013-C01, at most 40 characters
	Title string // at most 160 characters
}

// MonthYear returns month and year in words and capitals: JULAI 2021, JULY 2021.
func (c Candidate) MonthYear() string {
	names := monthsMalay
	if c.Language == English {
		names = monthsEnglish
	}
	if c.Month < time.January || c.Month > time.December {
		return ""
	}
	return names[c.Month-1] + " " + strconv.Itoa(c.Year)
}

var (
	monthsMalay = [12]string{"JANUARI", "FEBRUARI", "MAC", "APRIL", "MEI", "JUN",
		"JULAI", "OGOS", "SEPTEMBER", "OKTOBER", "NOVEMBER", "DISEMBER"}
	monthsEnglish = [12]string{"JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE",
		"JULY", "AUGUST", "SEPTEMBER", "OCTOBER", "NOVEMBER", "DECEMBER"}
)
