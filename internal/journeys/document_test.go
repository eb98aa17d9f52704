//go:build !race

package journeys_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// An officer uploads a PDF, places the signature, gives PIN and code, and has a signed PDF, which other
// programs judge.
func TestJourneyDocument(t *testing.T) {
	g := gatewaytest.New(t)
	dir := t.TempDir()
	files := papers(t, g, dir)
	signed := filepath.Join(dir, "signed")
	if err := os.Mkdir(signed, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, g, "document", given{"files": files, "dir": signed}, acts{
		"judge": func(argument json.RawMessage) (any, error) {
			var in struct{ File string }
			if err := json.Unmarshal(argument, &in); err != nil {
				return nil, err
			}
			out, err := exec.Command("pdfsig", "-nocert", in.File).CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("Signature is Valid.")) {
				return nil, fmt.Errorf("pdfsig: %v\n%s", err, out)
			}
			return string(out), nil
		},
		"many": func(argument json.RawMessage) (any, error) {
			var n int
			if err := json.Unmarshal(argument, &n); err != nil {
				return nil, err
			}
			return nil, asked(g, n)
		},
		"compare": func(argument json.RawMessage) (any, error) {
			var in landed
			if err := json.Unmarshal(argument, &in); err != nil {
				return nil, err
			}
			return in.compare(dir)
		},
	})
}

// asked has another system ask for n signatures, and cancels most of them.
func asked(g *gatewaytest.Gateway, n int) error {
	for k := range n {
		digest := map[string]any{"name": fmt.Sprintf("Baucar %d", k+1), "digest": map[string]string{"alg": "SHA-256", "value": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}}
		tx := g.Do(http.MethodPost, "/v1/transactions", "", map[string]any{"ic": g.Dev.Officers[0].IC, "system": g.Dev.System, "format": "RAW", "documents": []any{digest, digest}})
		if tx.Status != http.StatusCreated {
			return fmt.Errorf("asking: %s", tx.Raw)
		}
		if k%7 != 0 {
			if r := g.Do(http.MethodDelete, "/v1/transactions/"+tx.Text("transaction_id"), "", nil); r.Status != http.StatusNoContent {
				return fmt.Errorf("cancelling: %s", r.Raw)
			}
		}
	}
	return nil
}

// landed is a signature that was placed: Box as parts of the page (left, top, width, height, each 0 to 1)
// as the browser showed it, Size the page's in points.
type landed struct {
	Original, Signed string
	Page             int
	Box              [4]float64
	Size             [2]float64
}

// compare renders both documents with another program than the browser's: what differs is the
// signature. It must lie within 2 points of where it was put.
func (l *landed) compare(dir string) (any, error) {
	const dpi = 144
	before, err := rendered(l.Original, filepath.Join(dir, "before"), l.Page, dpi)
	if err != nil {
		return nil, err
	}
	after, err := rendered(l.Signed, filepath.Join(dir, "after"), l.Page, dpi)
	if err != nil {
		return nil, err
	}
	if before.Bounds() != after.Bounds() {
		return nil, fmt.Errorf("the page is %v, and was %v", after.Bounds(), before.Bounds())
	}
	w, h := float64(after.Rect.Dx()), float64(after.Rect.Dy())
	if math.Abs(w*72/dpi-l.Size[0]) > 1 || math.Abs(h*72/dpi-l.Size[1]) > 1 {
		return nil, fmt.Errorf("the page is %.1f × %.1f points, the browser said %v", w*72/dpi, h*72/dpi, l.Size)
	}
	r := image.Rectangle{}
	for y := range after.Rect.Dy() {
		for x := range after.Rect.Dx() {
			if k := after.PixOffset(x, y); !bytes.Equal(after.Pix[k:k+3], before.Pix[k:k+3]) {
				r = r.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	if r.Empty() {
		return nil, errors.New("no signature is seen")
	}
	got := [4]float64{float64(r.Min.X) / dpi * 72, float64(r.Min.Y) / dpi * 72, float64(r.Max.X) / dpi * 72, float64(r.Max.Y) / dpi * 72}
	want := [4]float64{l.Box[0] * l.Size[0], l.Box[1] * l.Size[1], (l.Box[0] + l.Box[2]) * l.Size[0], (l.Box[1] + l.Box[3]) * l.Size[1]}
	for k := range got {
		if math.Abs(got[k]-want[k]) > 2 {
			return nil, fmt.Errorf("the signature is at %.1f, it was put at %.1f (points from the upper left)", got, want)
		}
	}
	return got, nil
}

// rendered is a page as pdftoppm draws its CropBox.
func rendered(file, to string, number, dpi int) (*image.RGBA, error) {
	n := strconv.Itoa(number)
	if out, err := exec.Command("pdftoppm", "-cropbox", "-singlefile", "-r", strconv.Itoa(dpi), "-f", n, "-l", n, file, to).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pdftoppm: %w: %s", err, out)
	}
	b, err := os.ReadFile(to + ".ppm")
	if err != nil {
		return nil, err
	}
	var w, h, most int
	if _, err := fmt.Sscanf(string(b[:min(len(b), 64)]), "P6\n%d %d\n%d\n", &w, &h, &most); err != nil || most != 255 || len(b) < 3*w*h {
		return nil, fmt.Errorf("%s.ppm: %v", to, err)
	}
	b = b[len(b)-3*w*h:]
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for k := range w * h {
		copy(m.Pix[4*k:], b[3*k:3*k+3])
	}
	return m, nil
}

// papers writes the documents of the journey into dir: their names and files.
func papers(t *testing.T, g *gatewaytest.Gateway, dir string) map[string]string {
	t.Helper()
	voucher, err := os.ReadFile("../../examples/voucher.pdf")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{
		"voucher":  voucher,
		"portrait": paperOf("/MediaBox[0 0 595 842]", 3),
		"rotated":  paperOf("/MediaBox[0 0 595 842]/Rotate 90", 2),
		"offset":   paperOf("/MediaBox[-20 -30 595 842]/CropBox[50 100 450 700]", 1),
		"script":   paperWith("/OpenAction<</S/JavaScript/JS(1)>>", "/MediaBox[0 0 595 842]", 1),
		"link":     paperWith("/OpenAction<</S/SubmitForm/F(https://jpk.example)>>", "/MediaBox[0 0 595 842]", 1),
		"text":     []byte("Ini bukan PDF.\n"),
		"empty":    {},
	}
	files := map[string]string{}
	for name, b := range all {
		files[name] = filepath.Join(dir, name+".pdf")
		if err := os.WriteFile(files[name], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, args := range map[string][]string{"password": {"--encrypt", "buka", "tuan", "256", "--"}, "forbidden": {"--encrypt", "", "tuan", "256", "--modify=none", "--annotate=n", "--form=n", "--"}} {
		files[name] = filepath.Join(dir, name+".pdf")
		args = append(append([]string{files["portrait"]}, args...), files[name])
		if out, err := exec.Command(gatewaytest.Tool(t, "qpdf"), args...).CombinedOutput(); err != nil {
			t.Fatalf("qpdf: %v\n%s", err, out)
		}
	}
	files["certified"] = filepath.Join(dir, "certified.pdf")
	if err := os.WriteFile(files["certified"], certified(t, g, all["portrait"]), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"pdfsig", "pdftoppm"} {
		gatewaytest.Tool(t, tool)
	}
	return files
}

// certified is a document whose signature allows no other.
func certified(t *testing.T, g *gatewaytest.Gateway, plain []byte) []byte {
	t.Helper()
	up := g.Do(http.MethodPost, "/v1/documents?name=diperakui.pdf", "application/pdf", plain)
	o := g.Dev.Officers[1]
	mark := g.Server.Mailbox.Mark()
	tx := g.Do(http.MethodPost, "/v1/transactions", "", map[string]any{"ic": o.IC, "system": g.Dev.System, "format": "PADES", "documents": []any{map[string]string{"document_id": up.Text("document_id")}}, "pades": map[string]any{"certify": 1}})
	if tx.Status != http.StatusCreated {
		t.Fatalf("%s", tx.Raw)
	}
	if r := g.Confirm(tx, g.Code(o.Email, mark), map[string]any{"pin": string(o.PIN.Reveal())}); r.Status != http.StatusOK {
		t.Fatalf("%s", r.Raw)
	}
	return g.Do(http.MethodGet, "/v1/documents/"+up.Text("document_id")+"/content", "", nil).Raw
}

// paperOf is a document of pages that have entries and a text.
func paperOf(entries string, pages int) []byte { return paperWith("", entries, pages) }

// paperWith is one whose catalog has entries, too.
func paperWith(catalog, entries string, pages int) []byte {
	var b bytes.Buffer
	var places []int
	object := func(body string) {
		places = append(places, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(places), body)
	}
	b.WriteString("%PDF-1.7\n")
	var kids strings.Builder
	for k := range pages {
		fmt.Fprintf(&kids, "%d 0 R ", 4+2*k)
	}
	object("<</Type/Catalog/Pages 2 0 R" + catalog + ">>")
	object(fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]%s/Resources<</Font<</F0 3 0 R>>>>>>", pages, kids.String(), ""))
	object("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
	for k := range pages {
		text := fmt.Sprintf("BT /F0 20 Tf 72 600 Td (Memo halaman %d) Tj 0 -320 Td (Tandatangan Pegawai %d) Tj ET", k+1, k+1)
		object(fmt.Sprintf("<</Type/Page/Parent 2 0 R/Contents %d 0 R%s>>", 5+2*k, entries))
		object(fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(text), text))
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(places)+1)
	for _, at := range places {
		fmt.Fprintf(&b, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R/ID[<00112233445566778899AABBCCDDEEFF><00112233445566778899AABBCCDDEEFF>]>>\nstartxref\n%d\n%%%%EOF\n", len(places)+1, start)
	return b.Bytes()
}
