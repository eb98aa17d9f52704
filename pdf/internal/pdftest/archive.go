package pdftest

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf/font"
)

// Archive makes a PDF/A-1b, -2b or -3b file of one page without an output
// intent.
func Archive(t testing.TB, part int) []byte {
	t.Helper()
	w := &Writer{}
	face, err := font.Serif()
	if err != nil {
		t.Fatal(err)
	}
	embed := face.Embed
	if part == 1 {
		embed = face.EmbedCIDSet
	}
	const text = "Baucar bayaran"
	objects, type0, err := embed(text, 10)
	if err != nil {
		t.Fatal(err)
	}
	w.Object(1, "<</Type/Catalog/Pages 2 0 R/Metadata 5 0 R>>")
	w.Object(2, "<</Type/Pages/Count 1/Kids[3 0 R]/MediaBox[0 0 595 842]>>")
	w.Object(3, fmt.Sprintf("<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font<</F0 %d 0 R>>/ColorSpace<</DefaultGray[/CalGray<</WhitePoint[0.9505 1 1.089]>>]>>>>>>", type0))
	w.Stream(4, "", fmt.Sprintf("BT /F0 24 Tf 72 700 Td <%x> Tj ET", face.Encode(text)))
	w.Stream(5, "/Type/Metadata/Subtype/XML", fmt.Sprintf("<?xpacket begin=\"\uFEFF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"+
		"<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"+
		"<rdf:Description rdf:about=\"\" xmlns:pdfaid=\"http://www.aiim.org/pdfa/ns/id/\"><pdfaid:part>%d</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance></rdf:Description>"+
		"</rdf:RDF></x:xmpmeta>\n<?xpacket end=\"w\"?>", part))
	for i, o := range objects {
		w.Object(10+i, string(o))
	}
	return w.Close("/ID[<00112233445566778899AABBCCDDEEFF><00112233445566778899AABBCCDDEEFF>]")
}

//go:embed verapdf/Validate.java
var validate string

// VeraPDF lets veraPDF judge files by the part of PDF/A they claim, and
// returns what it says of each, beginning with PASS or FAIL. The environment
// variable MOHOR_VERAPDF names the directory with its jars.
func VeraPDF(t testing.TB, paths ...string) []string {
	t.Helper()
	jars := os.Getenv("MOHOR_VERAPDF")
	if jars == "" {
		if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			t.Fatal("MOHOR_VERAPDF is not set")
		}
		t.Skip("MOHOR_VERAPDF is not set")
	}
	RequireTool(t, "java")
	source := Write(t, "Validate.java", []byte(validate))
	c := exec.Command("java", append([]string{"-cp", filepath.Join(jars, "*"), source}, paths...)...)
	var complaints strings.Builder
	c.Stderr = &complaints
	out, err := c.Output()
	if err != nil {
		t.Fatalf("veraPDF: %v\n%s", err, complaints.String())
	}
	var verdicts []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, " ") && len(verdicts) > 0 {
			verdicts[len(verdicts)-1] += line
		} else {
			verdicts = append(verdicts, line)
		}
	}
	if len(verdicts) != len(paths) {
		t.Fatalf("veraPDF judged %d of %d files:\n%s\n%s", len(verdicts), len(paths), out, complaints.String())
	}
	return verdicts
}
