package verify_test

import (
	"bytes"
	"crypto"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// TestVersionAfterSignature: an update may raise /Version (ISO 32000-2,
// Section 7.5.2) for what it adds, and readers show and judge what was there
// as before. Anything else about it is a change.
func TestVersionAfterSignature(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	jury := pdftest.NewJury(t, p.Root)
	o := verify.Options{Roots: p.Roots()}
	for _, then := range []string{"", "/Version/1.6", "/Version/2.0"} { // the header says 1.7
		document := pdftest.Document(pdftest.Shape{Catalog: then, Page: "/Annots[]"})
		signed := p.Sign(t, document, pdf.Options{Certify: 1})
		mustPass(t, signed, o)
		former := catalogIn(t, signed)
		for now, permitted := range map[string]bool{
			"/DSS<<>>/Version/2.0":          true,
			"/DSS<<>>/Version/1.7":          then != "/Version/2.0",
			"/DSS<<>>/Version/1.6":          then == "/Version/1.6",
			"/DSS<<>>/Version/1.4":          false,
			"/DSS<<>>":                      then == "",
			"/Version/2.0":                  then == "/Version/2.0",
			"/DSS<<>>/Version/1.8":          false,
			"/DSS<<>>/Version/3.0":          false,
			"/DSS<<>>/Version 2.0":          false,
			"/DSS<<>>/Version(2.0)":         false,
			"/DSS<<>>/Version 10 0 R":       false,
			"/DSS<<>>/Version/2.0/Lang(ms)": false,
		} {
			catalog := bytes.Replace([]byte(former), []byte(then), nil, 1)
			raised := supersede(signed, map[int]numbered{1: {0, string(catalog[:len(catalog)-2]) + now + ">>"}})
			r := check(t, raised, o)
			if (r.Verdict == verify.Valid) != permitted {
				t.Errorf("%q, later %q: %s %s", then, now, r.Verdict, describe(r))
			}
			if permitted {
				verdicts := jury.Verdicts(t, pdftest.Evidence{Original: document, Signed: raised, Uncovered: true, ADES: "-"})
				for _, judge := range []string{"pdfsig", "mutool", "pyHanko", "text", "rendering"} {
					if objection := verdicts[judge]; objection != "" {
						t.Errorf("%q, later %q: %s: %s", then, now, judge, objection)
					}
				}
			}
		}
	}
}
