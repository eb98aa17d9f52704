//go:build !race

package journeys_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rsc.io/qr"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/store/storetest"
)

const vendor = "../../web/page/assets/vendor"

// Each file of others is in the README's table, by its SHA-256, and is that of the npm package.
func TestVendorFiles(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(vendor, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"README.md": true}
	packages := "../../bin/browser/node_modules"
	if _, err := os.Stat(packages); err != nil {
		gatewaytest.Require(t, "bin/browser (make browser)")
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`/]+)` \\| `([^`]+)` \\| `([0-9a-f]{64})` \\|$").FindAllStringSubmatch(string(readme), -1) {
		known[row[1]] = true
		ours, err := os.ReadFile(filepath.Join(vendor, row[1]))
		if err != nil {
			t.Error(err)
			continue
		}
		if sum := sha256.Sum256(ours); hex.EncodeToString(sum[:]) != row[3] {
			t.Errorf("%s: its SHA-256 is not the README's: run `make vendor-assets`", row[1])
		}
		if theirs, err := os.ReadFile(filepath.Join(packages, row[2])); err != nil || !bytes.Equal(ours, theirs) {
			t.Errorf("%s is not %s (%v): run `make vendor-assets`", row[1], row[2], err)
		}
	}
	files, err := os.ReadDir(vendor)
	if err != nil || len(known) < 5 {
		t.Fatal(err, known)
	}
	for _, f := range files {
		if !known[f.Name()] || f.IsDir() { // Go leaves folders in a folder called vendor out of a module
			t.Errorf("%s is not in the README's table", f.Name())
		}
	}
}

// strict is the policy of the pages that need most: script-src is completed by path.
const strict = "default-src 'none'; script-src 'self'%s; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; worker-src 'self'; font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

var vendorPages = map[string]string{
	"/htmx": `<meta name="htmx-config" content='{"includeIndicatorCSS":false,"history":false,"mode":"same-origin","extensions":"sse"}'>
<script src="/assets/vendor/htmx.min.js"></script><script src="/assets/vendor/hx-sse.min.js"></script>` +
		`<button hx-get="/part" hx-target="#to">Muat</button><div id="to"></div><div hx-sse:connect="/stream" hx-swap="innerHTML" hx-target="#progress"></div><p id="progress"></p>`,
	"/zxing": `<script src="/assets/vendor/zxing-reader.js"></script><script type="module" src="/zxing.mjs"></script><output></output>`,
	"/jpx":   `<script type="module" src="/jpx.mjs"></script><output></output>`,
	"/pdf":   `<script type="module" src="/pdf.mjs"></script><canvas></canvas><output></output>`,
}

var vendorScripts = map[string]string{
	"/zxing.mjs": `const { prepareZXingModule, readBarcodes } = globalThis.ZXingWASM;
prepareZXingModule({ overrides: { locateFile: (name) => '/assets/vendor/' + name } });
const out = document.querySelector('output');
const [found] = await readBarcodes(await (await fetch('/qr.png')).blob(), { formats: ['QRCode'], maxNumberOfSymbols: 1 });
out.textContent = found?.text; out.dataset.done = '';`,
	"/jpx.mjs": `import open from '/assets/vendor/openjpeg_nowasm_fallback.js';
const out = document.querySelector('output');
out.textContent = typeof (await open())._jp2_decode; out.dataset.done = '';`,
	"/pdf.mjs": `import * as pdfjs from '/assets/vendor/pdf.min.mjs';
pdfjs.GlobalWorkerOptions.workerSrc = '/assets/vendor/pdf.worker.min.mjs';
const doc = await pdfjs.getDocument({ url: '/' + location.search.slice(1) + '.pdf', useSystemFonts: true, isEvalSupported: false, useWasm: false, wasmUrl: '/assets/vendor/', enableXfa: false }).promise;
const page = await doc.getPage(1);
const canvas = document.querySelector('canvas');
const viewport = page.getViewport({ scale: 1 });
canvas.width = viewport.width; canvas.height = viewport.height;
await page.render({ canvas, viewport }).promise;
const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
let dark = 0;
for (let k = 0; k < data.length; k += 4) if (data[k] + data[k + 1] + data[k + 2] < 300) dark++;
const out = document.querySelector('output');
out.textContent = JSON.stringify({ pages: doc.numPages, dark }); out.dataset.done = '';`,
}

// base14 has a line in each of some fonts that every reader of PDF has, none of them embedded.
func base14() []byte {
	p := storetest.PDF("PERBENDAHARAAN MALAYSIA")
	return bytes.Replace(p, []byte("/BaseFont/Helvetica"), []byte("/BaseFont/Times-Bold"), 1) // its table is one byte off, which readers mend
}

// square is one of 64 x 64, the upper half black, as scanners code it: CCITT Group 4 (ITU-T T.6).
func square() (data []byte) {
	// The first row: horizontal, white 0, black 64 + 0; 31 as the one above; the first white one, the
	// black above passed over; 31 as that; the end.
	bits := "001" + "00110101" + "0000001111" + "0000110111" + strings.Repeat("11", 31) + "00011" + strings.Repeat("1", 31) + strings.Repeat("000000000001", 2)
	bits += strings.Repeat("0", (8-len(bits)%8)%8)
	for k := 0; k < len(bits); k += 8 {
		b, _ := strconv.ParseUint(bits[k:k+8], 2, 8)
		data = append(data, byte(b))
	}
	return data
}

// jbig2 is the same as a generic region of JBIG2 (ITU-T T.88, 7.4.6) on its page (7.4.8).
func jbig2() []byte {
	u32 := func(n ...uint32) (b []byte) {
		for _, v := range n {
			b = binary.BigEndian.AppendUint32(b, v)
		}
		return b
	}
	page := append(u32(64, 64, 0, 0), 0, 0, 0)
	region := append(append(u32(64, 64, 0, 0), 0, 1), square()...)
	out := slices.Concat(u32(0), []byte{48, 0, 1}, u32(uint32(len(page))), page)
	return slices.Concat(out, u32(1), []byte{38, 0, 1}, u32(uint32(len(region))), region)
}

// scan is a page with an image.
func scan(filter string, data []byte) []byte {
	image := fmt.Sprintf("<</Type/XObject/Subtype/Image/Width 64/Height 64/BitsPerComponent 1/ColorSpace/DeviceGray/Filter/%s/Length %d>>\nstream\n%s\nendstream", filter, len(data), data)
	return []byte("%PDF-1.7\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Count 1/Kids[3 0 R]>>\nendobj\n" +
		"3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Resources<</XObject<</I 5 0 R>>>>/Contents 4 0 R>>\nendobj\n" +
		"4 0 obj\n<</Length 27>>\nstream\n64 0 0 64 50 50 cm\n/I Do   \nendstream\nendobj\n5 0 obj\n" + image + "\nendobj\ntrailer\n<</Size 6/Root 1 0 R>>\n%%EOF\n") // readers find the objects
}

// htmx with server-sent events, the reader of QR codes, and PDF.js with fonts that are not
// embedded work under the strict policy, and ask nobody else.
func TestJourneyVendor(t *testing.T) {
	voucher, err := os.ReadFile("../../examples/voucher.pdf")
	if err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode("https://mohor.example/s/AAAAAAAAAAAAAAAAAAAAAA", qr.M)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"/voucher.pdf": voucher, "/helvetica.pdf": storetest.PDF("PERBENDAHARAAN MALAYSIA"), "/times.pdf": base14(),
		"/ccitt.pdf": scan("CCITTFaxDecode/DecodeParms<</K -1/Columns 64/Rows 64>>", square()), "/jbig2.pdf": scan("JBIG2Decode", jbig2()), "/qr.png": code.PNG()}
	assets := http.StripPrefix("/assets/vendor/", http.FileServer(http.Dir(vendor)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		eval := map[string]string{"/zxing": " 'wasm-unsafe-eval'"}[r.URL.Path]
		w.Header().Set("Content-Security-Policy", fmt.Sprintf(strict, eval))
		body, page := vendorPages[r.URL.Path]
		script, ok := vendorScripts[r.URL.Path]
		switch file := files[r.URL.Path]; {
		case page:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(w, `<!DOCTYPE html><html lang="ms"><title>Kawalan</title>%s</html>`, body)
		case ok:
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = io.WriteString(w, script)
		case file != nil:
			_, _ = w.Write(file)
		case r.URL.Path == "/part":
			_, _ = io.WriteString(w, "<p>Dimuatkan</p>")
		case r.URL.Path == "/stream":
			w.Header().Set("Content-Type", "text/event-stream")
			for k := range 3 {
				fmt.Fprintf(w, "data: kemajuan %d\n\n", k+1)
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, ".mjs"):
			w.Header().Set("Content-Type", "text/javascript")
			assets.ServeHTTP(w, r)
		default:
			assets.ServeHTTP(w, r)
		}
	}))
	defer s.Close()
	defer s.CloseClientConnections()
	pdfs := []string{"voucher", "helvetica", "times", "ccitt", "jbig2"}
	r, problems, err := play(t, "vendor", config{Given: given{"base": s.URL, "pdfs": pdfs}}, nil)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %q", err, problems)
	}
	if r["sheets"] != 0.0 || r["jpx"] != "function" || r["qr"] != "https://mohor.example/s/AAAAAAAAAAAAAAAAAAAAAA" {
		t.Errorf("%v", r)
	}
	least := map[string]float64{"voucher": 5000, "helvetica": 1500, "times": 2000, "ccitt": 2048, "jbig2": 2048} // dark pixels
	for _, name := range pdfs {
		if of, _ := r[name].(map[string]any); of == nil || of["dark"].(float64) < least[name] || of["dark"].(float64) > 3*least[name] {
			t.Errorf("%s shows %v", name, of)
		}
	}
}
