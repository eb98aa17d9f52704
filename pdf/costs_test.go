//go:build !race

package pdf_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

func deflated(t *testing.T, dict, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("<<%s/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream", dict, b.Len(), b.String())
}

// shows is content with n thousand characters a.
func shows(n int) string {
	return "BT /F0 1 Tf " + strings.Repeat("("+strings.Repeat("a", 1000)+") Tj ", n) + "ET"
}

// costs runs f, which wants a second or two of processor time: the machine may
// be busy, and work that is not bounded takes minutes.
func costs(t *testing.T, f func()) {
	t.Helper()
	spent := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	f()
	if took := spent() - before; took > 20*time.Second {
		t.Errorf("%v of processor time", took)
	} else {
		t.Logf("%v of processor time", took)
	}
}

func opened(t *testing.T, document []byte) *pdf.Document {
	t.Helper()
	d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestScanLongFieldText(t *testing.T) {
	d := opened(t, pdftest.Document(pdftest.Shape{Catalog: "/AcroForm<</Fields[1000 0 R]>>", Page: "/Annots[1000 0 R]", Extra: map[int]string{
		1000: "<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/V(a)/F 4/Rect[0 0 9 9]/AP<</N 1001 0 R>>>>",
		1001: deflated(t, "/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</Font<</F0 1002 0 R>>>>", shows(1000)),
		1002: pdftest.Font[:len(pdftest.Font)-2] + "/Encoding/WinAnsiEncoding>>"}}))
	costs(t, func() {
		if _, err := d.Scan(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestFindLongCodes: one code stands for a long text.
func TestFindLongCodes(t *testing.T) {
	for units, want := range map[int]error{3: nil, 10_000: pdf.ErrAnchor} {
		cmap := "1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfchar <61> <" + strings.Repeat("0041", units) + "> <62> <0042> endbfchar"
		w := &pdftest.Writer{}
		w.Object(1, "<</Type/Catalog/Pages 2 0 R>>")
		w.Object(2, "<</Type/Pages/Count 1/Kids[3 0 R]/MediaBox[0 0 595000 842]>>")
		w.Object(3, "<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font<</F0 5 0 R>>>>>>")
		w.Object(4, deflated(t, "", shows(60)+" BT /F0 1 Tf (b) Tj ET"))
		w.Object(5, pdftest.Font[:len(pdftest.Font)-2]+"/ToUnicode 6 0 R>>")
		w.Object(6, deflated(t, "", cmap))
		d := opened(t, w.Close(""))
		costs(t, func() {
			if _, err := d.Find("B", pdf.FindOptions{}); !errors.Is(err, want) {
				t.Errorf("%d units: %v", units, err)
			}
		})
	}
}

// TestFindOnManyPages: all show the same million characters.
func TestFindOnManyPages(t *testing.T) {
	const pages = 100
	w := &pdftest.Writer{}
	w.Object(1, "<</Type/Catalog/Pages 2 0 R>>")
	var kids strings.Builder
	for i := range pages {
		fmt.Fprintf(&kids, " %d 0 R", 10+i)
		w.Object(10+i, "<</Type/Page/Parent 2 0 R/Contents 4 0 R>>")
	}
	w.Object(2, fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]/MediaBox[0 0 595000 842]/Resources<</Font<</F0 5 0 R>>>>>>", pages, kids.String()))
	w.Object(4, deflated(t, "", shows(1000)))
	w.Object(5, pdftest.Font)
	d := opened(t, w.Close(""))
	costs(t, func() {
		if _, err := d.Find("palsu", pdf.FindOptions{}); !errors.Is(err, pdf.ErrTooLarge) {
			t.Error(err)
		}
	})
	if _, err := d.Find("palsu", pdf.FindOptions{Page: -1}); !errors.Is(err, pdf.ErrAnchor) {
		t.Error(err)
	}
}
