//go:build !race

package journeys_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
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
	"/htmx": `<meta name="htmx-config" content='{"includeIndicatorCSS":false,"history":false,"mode":"same-origin"}'>
<script src="/assets/vendor/htmx.min.js"></script><script src="/assets/vendor/hx-sse.min.js"></script>` +
		`<button hx-get="/part" hx-target="#to">Muat</button><div id="to"></div><div hx-sse:connect="/stream" hx-swap="innerHTML" hx-target="#progress"></div><p id="progress"></p>`,
	"/zxing": `<script src="/assets/vendor/zxing-reader.js"></script><script type="module" src="/zxing.mjs"></script><output></output>`,
	"/pdf":   `<script type="module" src="/pdf.mjs"></script><canvas></canvas><output></output>`,
}

var vendorScripts = map[string]string{
	"/zxing.mjs": `const { prepareZXingModule, readBarcodes } = globalThis.ZXingWASM;
prepareZXingModule({ overrides: { locateFile: (name) => '/assets/vendor/' + name } });
const out = document.querySelector('output');
const [found] = await readBarcodes(await (await fetch('/qr.png')).blob(), { formats: ['QRCode'], maxNumberOfSymbols: 1 });
out.textContent = found?.text; out.dataset.done = '';`,
	"/pdf.mjs": `import * as pdfjs from '/assets/vendor/pdf.min.mjs';
pdfjs.GlobalWorkerOptions.workerSrc = '/assets/vendor/pdf.worker.min.mjs';
const doc = await pdfjs.getDocument({ url: '/' + location.search.slice(1) + '.pdf', useSystemFonts: true, isEvalSupported: false, useWasm: false, enableXfa: false }).promise;
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
	files := map[string][]byte{"/voucher.pdf": voucher, "/helvetica.pdf": storetest.PDF("PERBENDAHARAAN MALAYSIA"), "/times.pdf": base14(), "/qr.png": code.PNG()}
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
	r, problems, err := play(t, "vendor", config{Given: given{"base": s.URL, "pdfs": []string{"voucher", "helvetica", "times"}}}, nil)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %q", err, problems)
	}
	if r["sheets"] != 0.0 || r["qr"] != "https://mohor.example/s/AAAAAAAAAAAAAAAAAAAAAA" {
		t.Errorf("%v", r)
	}
	for _, name := range []string{"voucher", "helvetica", "times"} {
		if of, _ := r[name].(map[string]any); of == nil || of["dark"].(float64) < 500 {
			t.Errorf("%s shows %v", name, of)
		}
	}
}
