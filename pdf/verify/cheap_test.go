//go:build !race

package verify_test

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// cost is what a check takes: processor time of the process, for the machine
// may be busy, and memory allocated.
func cost(t *testing.T, document []byte) (time.Duration, uint64) {
	t.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := used()
	check(t, document, verify.Options{})
	took := used() - start
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d kB: %v, %d MB", len(document)>>10, took.Round(time.Millisecond), allocated>>20)
	return took, allocated
}

func deflated(entries string, b []byte) string {
	var out bytes.Buffer
	w, _ := zlib.NewWriterLevel(&out, zlib.BestCompression)
	w.Write(b)
	w.Close()
	return fmt.Sprintf("<<%s/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream", entries, out.Len(), out.Bytes())
}

// TestMetadataIsCheapToCompare: long names around many texts, and a long name
// of a space that short ones stand for.
func TestMetadataIsCheapToCompare(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	const entries = "/Type/Metadata/Subtype/XML"
	document := pdftest.Document(pdftest.Shape{Catalog: "/Metadata 1000 0 R", Extra: map[int]string{1000: deflated(entries, []byte("<a/>"))}})
	signed := p.Sign(t, document, pdf.Options{Field: "Pengarah"})
	nested := func(name int) string {
		var open, end strings.Builder
		for i := range 40 {
			fmt.Fprintf(&open, "<a%d%s>", i, strings.Repeat("x", name))
			fmt.Fprintf(&end, "</a%d%s>", 39-i, strings.Repeat("x", name))
		}
		for i := range 18_000 {
			fmt.Fprintf(&open, "<a>%d</a>", i)
		}
		return open.String() + end.String()
	}
	for name, packet := range map[string]string{
		"long names":  nested(10_000),
		"names":       nested(1000),
		"long spaces": `<a xmlns:b="` + strings.Repeat("x", 500_000) + `">` + strings.Repeat("<b:c>d</b:c>", 40_000) + "</a>",
		"spaces":      `<a xmlns:b="` + strings.Repeat("x", 1000) + `">` + strings.Repeat("<b:c>d</b:c>", 80_000) + "</a>",
		"attributes":  "<a" + strings.Repeat(` b="c"`, 150_000) + "/>",
	} {
		t.Run(name, func(t *testing.T) {
			took, allocated := cost(t, supersede(signed, map[int]numbered{1000: {0, deflated(entries, []byte(packet))}}))
			if took > 5*time.Second || allocated > 256<<20 {
				t.Error("not cheap")
			}
		})
	}
}

// TestManyLargeCertificatesAreCheap: they differ at their ends, and there are
// several signatures.
func TestManyLargeCertificatesAreCheap(t *testing.T) {
	p := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil)
	for name, size := range map[string]int{"large": 150_000, "small": 7000} {
		t.Run(name, func(t *testing.T) {
			template := *p.Signer
			template.SignatureAlgorithm, template.PublicKey, template.SerialNumber = 0, nil, big.NewInt(1_000_000_000)
			template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: make([]byte, size)})
			first := pdftest.Issue(t, &template, p.Issuer, p.Key, p.IssuerKey).Raw
			extra := make(map[int]string)
			refs := ""
			for i := range 190 {
				der := bytes.Clone(first)
				other := sha256.Sum256([]byte{byte(i)})
				copy(der[len(der)-20:], other[:])
				extra[1000+i] = deflated("", der)
				refs += fmt.Sprintf(" %d 0 R", 1000+i)
			}
			b := pdftest.Document(pdftest.Shape{Catalog: "/DSS<</Certs[" + refs + "]>>", Extra: extra})
			for range 4 {
				b = p.Sign(t, b, pdf.Options{})
			}
			if took, _ := cost(t, b); took > 10*time.Second {
				t.Error("not cheap")
			}
		})
	}
}
