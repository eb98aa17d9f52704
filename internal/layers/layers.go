// Package layers is the import table of the house, as a check: who may import
// whom inside the module. A package that is not in the table may not exist, and
// an edge that is not in it may not be drawn. Test files are free.
package layers

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the module path.
const Module = "github.com/mohor-sign/mohor"

// MaxLines is the most lines a hand-written Go file may have.
const MaxLines = 800

// Package is what `go list -json` says of a package.
type Package struct {
	ImportPath string
	Imports    []string
	GoFiles    []string
	CgoFiles   []string
}

// table lists for each package the packages of the module it may import. From
// top (L6) to bottom (L0): a package imports only from below.
func table() map[string]string {
	return map[string]string{
		"cmd/mohor": "archive ca ecert internal/apiload internal/gateway internal/raster internal/myt internal/pdfbench internal/sandbox internal/secret enrol pdf/verify sdk/go",

		// L6: wires everything; it alone may import hsm.
		"internal/gateway":     "* hsm",
		"internal/gatewaytest": "api internal/gateway internal/sandbox internal/secret",

		// What callers' programs import: as little as can be.
		"sdk/go":       "internal/secret",
		"sdk/go/pades": "sdk/go pdf pdf/cms",

		// L5
		"web":                 "web/console web/joining web/manual web/page web/portal web/public web/signing",
		"web/manual":          "web/page",
		"web/console":         "web/console/apps web/console/health web/console/office web/console/people web/console/queue web/console/reports web/console/works web/page",
		"web/console/apps":    "internal/myt web/page web/signing",
		"web/console/health":  "web/page",
		"web/console/office":  "internal/myt web/page",
		"web/console/people":  "internal/myt web/page",
		"web/console/queue":   "internal/table web/page",
		"web/console/reports": "internal/myt web/page",
		"web/console/works":   "web/page",
		"web/joining":         "web/page",
		"web/page":            "internal/mykad internal/myt",
		"web/portal":          "internal/myt internal/secret internal/table web/page",
		"web/public":          "web/page",
		"web/signing":         "internal/myt internal/secret web/page",
		"internal/sandbox":    "internal/myt internal/secret",

		// L4
		"api":        "audit internal/health process signer batch ca enrol otp pdf pdf/cms pdf/verify ecert internal/mykad internal/myt internal/raster internal/secret internal/spool internal/table",
		"store":      "archive audit internal/health signer batch ca enrol notify otp pdf store/personal store/sqlc internal/ident internal/secret",
		"store/sqlc": "store/personal",
		// Encrypted columns: keys, types, and connections that seal and open.
		"store/personal": "",
		// Redis: what may be lost, and a server for tests.
		"store/ephemeral":           "otp signer internal/secret",
		"store/ephemeral/redistest": "",
		// Documents in a bucket of an S3-compatible store, and a server for tests.
		"store/s3":        "signer internal/secret",
		"store/s3/s3test": "internal/secret store/s3",
		// What every database engine passes, and the house that tests stand on.
		"store/storetest":          "archive audit internal/health signer batch ca enrol notify otp store store/personal store/storetest/pgtest internal/secret",
		"store/storetest/pgtest":   "",
		"store/storetest/disktest": "",

		// L3, L2
		"archive": "audit signer internal/ident",
		"batch":   "audit signer ecert pdf internal/ident internal/keylock internal/secret internal/spool internal/table",
		"signer":  "audit otp pdf pdf/cms process internal/ident internal/keylock internal/mykad internal/myt internal/secret internal/spool",
		"notify":  "audit enrol otp internal/dialguard internal/myt internal/secret",

		// L1
		// The work processes of ICT systems: data alone.
		"process": "",

		"otp":   "audit internal/secret",
		"ca":    "audit pdf/cms pdf/revocation internal/dialguard internal/ident internal/keylock",
		"enrol": "audit ca internal/ident internal/mykad internal/myt internal/secret internal/table",
		"pdf":   "pdf/syntax pdf/content pdf/cms pdf/revocation pdf/font",
		"ecert": "pdf/font internal/mykad internal/table",

		// Checks in the background, and alarms.
		"internal/health": "audit internal/ident",

		// L0
		"audit":                "",
		"hsm":                  "internal/secret",
		"hsm/hsmtest":          "",
		"softhsm-config":       "",
		"pdf/syntax":           "",
		"pdf/content":          "pdf/syntax",
		"pdf/cms":              "",
		"pdf/font":             "",
		"pdf/revocation":       "",
		"pdf/verify":           "pdf/syntax pdf/cms pdf/revocation",
		"pdf/internal/corpus":  "pdf/syntax pdf/cms",
		"pdf/internal/pdftest": "pdf pdf/syntax pdf/cms pdf/verify pdf/font",
		"internal/ceremony":    "internal/secret",
		"internal/dialguard":   "",
		"internal/myt":         "",
		"internal/ident":       "",
		"internal/keylock":     "",
		"internal/mykad":       "",
		"internal/secret":      "",
		"internal/raster":      "",
		"internal/spool":       "",
		"internal/timewatch":   "",
		"internal/table":       "",
		"internal/layers":      "",
		// Asks a gateway by HTTP and takes its mails, in a process of its own.
		"internal/apiload": "internal/sandbox",
		// Software keys: it needs neither gateway nor module.
		"internal/pdfbench": "pdf pdf/cms pdf/verify",
		// Tests alone.
		"internal/campaign":   "",
		"internal/journeys":   "",
		"internal/stepcatest": "",
	}
}

// Check returns a line for each import that the table does not allow, each
// package it does not know, and for a tree in which there is nothing to check.
func Check(pkgs []Package) (violations []string) {
	allowed := table()
	files := 0
	for _, p := range pkgs {
		name, ok := strings.CutPrefix(p.ImportPath, Module+"/")
		if !ok {
			continue
		}
		files += len(p.GoFiles) + len(p.CgoFiles)
		may, known := allowed[name]
		if !known {
			violations = append(violations, fmt.Sprintf("package %s is not in the table of internal/layers", name))
			continue
		}
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, Module+"/")
			if ours && !permits(strings.Fields(may), to) {
				violations = append(violations, fmt.Sprintf("%s imports %s, which the table of internal/layers forbids", name, to))
			}
		}
	}
	if files == 0 {
		violations = append(violations, "no Go files were found: nothing was checked")
	}
	return violations
}

// permits: "*" allows everything but hsm, which must be named.
func permits(may []string, to string) bool {
	return slices.Contains(may, to) || (to != "hsm" && slices.Contains(may, "*"))
}
