package ecert

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Codes of the National Occupational Skills Standards (NOSS): the older ones name the sector by
// letters, `TP-021-3:2013`, and the first of them no year; those since the Malaysia Standard
// Industrial Classification 2008 by its section and division or group, `M813-001-3:2020`.
var (
	nossSector = regexp.MustCompile(`\A[A-Z]{1,3}-[0-9]{3}-([0-9])(?::([0-9]{4}))?\z`)
	nossMSIC   = regexp.MustCompile(`\A[A-U][0-9]{2,3}-[0-9]{3}-([0-9]):([0-9]{4})\z`)
)

// nossLevels are those of the certificates that are of one level.
var nossLevels = map[Level]string{SKM1: "1", SKM2: "2", SKM3: "3", DKM: "4", DLKM: "5"}

// checkNOSS says what is wrong with the programme code of a certificate of level l and year, the
// latter 0 if it is not known; "" if nothing is. Training programmes (VTO, VTE, VTM) are not of NOSS.
func checkNOSS(code string, l Level, year int) (en, ms string) {
	switch l {
	case VTO, VTE, VTM:
		return "", ""
	}
	m := nossSector.FindStringSubmatch(code)
	if m == nil {
		m = nossMSIC.FindStringSubmatch(code)
	}
	if m == nil {
		return "not a NOSS code such as TP-021-3:2013 or M813-001-3:2020", "bukan kod NOSS seperti TP-021-3:2013 atau M813-001-3:2020"
	}
	if m[1] < "1" || m[1] > "5" {
		return fmt.Sprintf("there is no level %s: it is 1 to 5", m[1]), fmt.Sprintf("tiada tahap %s: tahap ialah 1 hingga 5", m[1])
	}
	if want := nossLevels[l]; want != "" && m[1] != want {
		return fmt.Sprintf("the code is of level %s, %s is of level %s", m[1], l, want), fmt.Sprintf("kod ini bagi tahap %s, %s bagi tahap %s", m[1], l, want)
	}
	if m[2] == "" {
		return "", ""
	}
	switch of, _ := strconv.Atoi(m[2]); {
	case of < 1990 || of > 2099:
		return "the year of the standard is not 1990 to 2099", "tahun standard bukan 1990 hingga 2099"
	case year > 0 && of > year:
		return fmt.Sprintf("the standard is of %d, the certificate of %d", of, year), fmt.Sprintf("standard ini tahun %d, sijil tahun %d", of, year)
	}
	return "", ""
}

// centreCode is the form of a centre's code.
var centreCode = regexp.MustCompile(`\A[A-Z0-9]+(?:[-/][A-Z0-9]+)*\z`)

func readCentre(c *Candidate, s string) (code, en, ms string) {
	if s = strings.ToUpper(s); !centreCode.MatchString(s) {
		return CodeFieldInvalid, "a centre's code has letters A-Z and digits, with single hyphens or strokes between", "kod pusat mempunyai huruf A-Z dan digit, dengan satu sempang atau garis miring di antaranya"
	}
	c.CentreCode = s
	return "", "", ""
}

func readProgramme(c *Candidate, s string) (code, en, ms string) {
	// What is checked against level and year waits for both (judgeNOSS).
	switch c.Level {
	case VTO, VTE, VTM:
		c.ProgrammeCode = s
	default:
		c.ProgrammeCode = strings.ToUpper(s)
	}
	return "", "", ""
}
