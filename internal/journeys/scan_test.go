//go:build !race

package journeys_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rsc.io/qr"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// film is what a camera sees that looks at a QR code: a Y4M of a few frames. Chromium's
// false camera plays it over and over.
func film(t *testing.T, text string) string {
	t.Helper()
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	const width, height = 640, 480
	scale := (height - 80) / code.Size
	left, top := (width-scale*code.Size)/2, (height-scale*code.Size)/2
	frame := bytes.Repeat([]byte{200}, width*height) // light grey
	for y := range height {
		for x := range width {
			// What is right in the picture of a camera is left of who looks at it: Chromium does not turn it.
			if cx, cy := (x-left)/scale, (y-top)/scale; x >= left && y >= top && cx < code.Size && cy < code.Size && code.Black(cx, cy) {
				frame[y*width+x] = 24
			}
		}
	}
	frame = append(frame, bytes.Repeat([]byte{128}, width*height/2)...) // no colour
	out := []byte(fmt.Sprintf("YUV4MPEG2 W%d H%d F15:1 Ip A1:1 C420jpeg\n", width, height))
	for range 5 {
		out = append(append(out, "FRAME\n"...), frame...)
	}
	return stored(t, "kamera.y4m", out)
}

// stored is a file with these bytes, of a picture or a document that somebody has.
func stored(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func picture(t *testing.T, text string) string {
	t.Helper()
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	return stored(t, "kod.png", code.PNG())
}

// The QR code of a certificate is read by the camera and from a picture; what leads
// elsewhere is shown, and not opened.
func TestJourneyScan(t *testing.T) {
	g := gatewaytest.New(t)
	record := certificate(t, g)
	film := film(t, record)
	foreign := map[string]string{}
	for name, text := range map[string]string{
		"other-site": "https://mohor.example/s/AAAAAAAAAAAAAAAAAAAAAA#AAAAAAAAAAAAAAAAAAAAAA", "script": "javascript:alert(document.cookie)//<img src=x onerror=alert(1)>", "long": strings.Repeat("panjang ", 90),
		"other-page": g.URL + "/docs", "query": strings.Replace(record, "#", "?next=https://mohor.example#", 1), "user": strings.Replace(record, "://", "://mohor.example@", 1),
	} {
		foreign[name] = picture(t, text)
	}
	run(t, g, "scan", given{"args": []string{"--use-fake-device-for-media-stream", "--use-file-for-fake-video-capture=" + film},
		"record": picture(t, record), "foreign": foreign, "nocode": stored(t, "kosong.pdf", []byte("%PDF-1.7"))}, nil)
}

// certificate is the address in the QR code of a signed eCertificate.
func certificate(t *testing.T, g *gatewaytest.Gateway) string {
	t.Helper()
	b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Kelompok", "kind": "ecert"})
	id := b.Text("batch_id")
	const list = "no_kp,nama,no_sijil,kod_program,nama_program,tahap,kod_pusat,nama_pusat,kelompok,tahun,bahasa\n" +
		"800101149001,SITI NURHALIZA BINTI TARUDIN,S102200001,TP-021-3:2013,PENYELENGGARAAN,SKM 3,L01234,PUSAT LATIHAN TEKNOLOGI TINGGI KUALA LUMPUR,2026/01,072026,ms\n"
	if r := g.Do("POST", "/v1/batches/"+id+"/items", "text/csv", []byte(list)); r.Status != 200 {
		t.Fatalf("%s", r.Raw)
	}
	if r := g.Do("POST", "/v1/batches/"+id+"/seal", "", nil); r.Status != 200 {
		t.Fatalf("%s", r.Raw)
	}
	tx, code := g.Ask(map[string]any{"format": "PADES", "batch_id": id})
	if r := g.Confirm(tx, code, nil); r.Status != 202 {
		t.Fatalf("%s", r.Raw)
	}
	if r := g.Do("GET", "/v1/batches/"+id+"/events", "", nil); !bytes.Contains(r.Raw, []byte("event: done")) {
		t.Fatalf("%s", r.Raw)
	}
	r := g.Do("GET", "/v1/batches/"+id+"/items", "", nil)
	items, _ := r.Body["items"].([]any)
	if len(items) != 1 {
		t.Fatalf("%s", r.Raw)
	}
	address, _ := items[0].(map[string]any)["record_url"].(string)
	return address
}
