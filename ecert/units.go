package ecert

import (
	"fmt"
	"regexp"
	"strconv"
	"unicode/utf8"
)

// unitColumn is the name of a column of Competency Units: unit_1_kod, unit_1_nama, unit_1_code, unit_1_title.
var unitColumn = regexp.MustCompile(`\Aunit_([1-9][0-9]?)_(?:(kod|code)|nama|name|tajuk|title)\z`)

// unitColumns are the columns of a Competency Unit; 0 for none, else one more than the index.
type unitColumns struct{ code, title int }

const (
	maxUnitCode  = 40 // characters
	maxUnitTitle = 160
)

// unitHeader takes a column of units; false if it is none, and the number of the column that means
// the same, from 1, if there is one.
func (r *Reader) unitHeader(key string, at int) (ok bool, twin int) {
	m := unitColumn.FindStringSubmatch(key)
	if m == nil {
		return false, 0
	}
	n, _ := strconv.Atoi(m[1])
	if n > MaxUnits {
		return false, 0
	}
	for len(r.units) < n {
		r.units = append(r.units, unitColumns{})
	}
	column := &r.units[n-1].title
	if m[2] != "" {
		column = &r.units[n-1].code
	}
	if twin = *column; twin == 0 {
		*column = at + 1
	}
	return true, twin
}

// judgeUnits reads the Competency Units of a row: from the first on, without gaps, each with code and
// title, on a statement of achievement alone.
func (r *Reader) judgeUnits(fields [][]byte, c *Candidate, refuse refuser) {
	ended := 0 // the first unit without anything, from 1
	for k, u := range r.units {
		code, wrongCode := printableText(r.face, string(fields[u.code-1]))
		title, wrongTitle := printableText(r.face, string(fields[u.title-1]))
		if code == "" && title == "" {
			if ended == 0 {
				ended = k + 1
			}
			continue
		}
		for _, f := range []struct {
			column, limit int
			text          string
			wrong         rune
		}{{u.code - 1, maxUnitCode, code, wrongCode}, {u.title - 1, maxUnitTitle, title, wrongTitle}} {
			switch n := utf8.RuneCountInString(f.text); {
			case n > f.limit:
				refuse(f.column, CodeFieldTooLong, tooLongEN(n, f.limit), tooLongMS(n, f.limit))
			case f.wrong >= 0:
				refuse(f.column, CodeFieldInvalid, wrongEN(f.wrong), wrongMS(f.wrong))
			case n == 0:
				refuse(f.column, CodeFieldMissing, "a Competency Unit has a code and a title", "Unit Kompetensi mempunyai kod dan nama")
			case ended > 0:
				refuse(f.column, CodeFieldMissing, fmt.Sprintf("unit %d is empty, and unit %d is not", ended, k+1), fmt.Sprintf("unit %d kosong, sedangkan unit %d tidak", ended, k+1))
			case c.Level != "" && c.Level != PC:
				refuse(f.column, CodeFieldInvalid, "Competency Units stand on a statement of achievement (PC) alone", "Unit Kompetensi hanya dicetak pada Penyata Pencapaian (PC)")
			}
		}
		c.Units = append(c.Units, Unit{Code: code, Title: title})
	}
}

func tooLongEN(n, limit int) string { return fmt.Sprintf("%d characters, at most %d", n, limit) }
func tooLongMS(n, limit int) string { return fmt.Sprintf("%d aksara, paling banyak %d", n, limit) }
func wrongEN(c rune) string {
	return fmt.Sprintf("character %U cannot be printed on a certificate", c)
}
func wrongMS(c rune) string { return fmt.Sprintf("aksara %U tidak boleh dicetak pada sijil", c) }
