package gateway_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"os/exec"
	"testing"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// TestPreviewOfCertificates: what is seen before sealing is, byte for byte, what is
// signed; and nobody else sees it.
func TestPreviewOfCertificates(t *testing.T) {
	g := gatewaytest.New(t)
	id, r := newBatch(t, g, header+line(1, "ALI BIN ABU")+line(2, "SITI BINTI ALI"))
	want(t, r, 200, "")
	path := "/v1/batches/" + id + "/items/1/preview"
	seen := g.Do("GET", path, "", nil)
	want(t, seen, 200, "")
	item := g.Do("GET", "/v1/batches/"+id+"/items", "", nil).Body["items"].([]any)[1].(map[string]any)
	sum := sha256.Sum256(seen.Raw)
	if seen.Header.Get("Content-Type") != "application/pdf" || seen.Header.Get("Cache-Control") != "no-store" || item["digest"].(map[string]any)["value"] != base64.StdEncoding.EncodeToString(sum[:]) {
		t.Errorf("preview: %v, %d bytes", seen.Header, len(seen.Raw))
	}
	picture := g.Do("GET", path+"?format=png", "", nil)
	if _, err := exec.LookPath("pdftoppm"); err != nil {
		want(t, picture, 501, "preview_unavailable")
	} else if picture.Status != 200 || picture.Header.Get("Content-Type") != "image/png" || !bytes.HasPrefix(picture.Raw, []byte("\x89PNG")) {
		t.Errorf("picture: %d %v", picture.Status, picture.Header)
	}
	want(t, g.Do("GET", path+"?format=gif", "", nil), 400, "invalid_request")
	want(t, g.Do("GET", "/v1/batches/"+id+"/items/9/preview", "", nil), 404, "not_found")
	want(t, g.Do("GET", "/v1/batches/ba_none/items/0/preview", "", nil), 404, "not_found")
	want(t, g.Do("GET", path, "", nil, "X-API-Key", ""), 401, "unauthenticated")

	want(t, g.Do("POST", "/v1/batches/"+id+"/seal", "", nil), 200, "")
	if again := g.Do("GET", path, "", nil); !bytes.Equal(again.Raw, seen.Raw) {
		t.Error("sealing changed the certificate")
	}
	tx, code := g.Ask(map[string]any{"format": "PADES", "batch_id": id})
	want(t, g.Confirm(tx, code, nil), 202, "")
	finish(t, g, id)
	archive := g.Do("GET", "/v1/batches/"+id+"/archive", "", nil)
	zr, err := zip.NewReader(bytes.NewReader(archive.Raw), int64(len(archive.Raw)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := zr.File[1].Open()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := io.ReadAll(f)
	if err != nil || !bytes.HasPrefix(signed, seen.Raw) {
		t.Errorf("what was signed does not begin with what was seen: %v", err)
	}
}
