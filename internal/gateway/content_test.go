package gateway_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// A download that was cut off goes on where it was, of the same file or not at all.
func TestDownloadsInParts(t *testing.T) {
	g := gatewaytest.New(t)
	pdf := voucher(t)
	id := upload(t, g, pdf)
	original, signed := "/v1/documents/"+id+"/content?version=original", "/v1/documents/"+id+"/content"
	want(t, g.Do("GET", signed, "", nil), 409, "not_signed")
	if r := g.Do("HEAD", signed, "", nil); r.Status != 409 {
		t.Errorf("HEAD of what is not signed: %d", r.Status)
	}
	tx, code := g.Ask(pades(id))
	want(t, g.Confirm(tx, code, nil), 200, "")
	sum := sha256.Sum256(pdf)
	whole := g.Do("GET", original, "", nil)
	tag := whole.Header.Get("ETag")
	if !bytes.Equal(whole.Raw, pdf) || tag != `"`+hex.EncodeToString(sum[:])+`"` || !strings.Contains(whole.Header.Get("Content-Disposition"), `attachment; filename="baucar.pdf"`) ||
		whole.Header.Get("Cache-Control") != "no-store" || whole.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("%v", whole.Header)
	}
	file := g.Do("GET", signed, "", nil)
	if file.Status != 200 || file.Header.Get("ETag") == "" || file.Header.Get("ETag") == tag || file.Header.Get("ETag") != g.Do("GET", signed, "", nil).Header.Get("ETag") {
		t.Errorf("ETag of the signed one: %v", file.Header)
	}
	n := len(pdf)
	for what, c := range map[string]struct {
		method, path string
		header       []string
		status       int
		body         []byte
	}{
		"HEAD":                           {"HEAD", original, nil, 200, nil},
		"the beginning":                  {"GET", original, []string{"Range", "bytes=0-9"}, 206, pdf[:10]},
		"the rest":                       {"GET", original, []string{"Range", "bytes=1000-"}, 206, pdf[1000:]},
		"the end":                        {"GET", original, []string{"Range", "bytes=-5"}, 206, pdf[n-5:]},
		"the rest of the same file":      {"GET", original, []string{"Range", "bytes=1000-", "If-Range", tag}, 206, pdf[1000:]},
		"the rest of another file":       {"GET", original, []string{"Range", "bytes=1000-", "If-Range", `"x"`}, 200, pdf},
		"the rest, of the signed one":    {"GET", signed, []string{"Range", "bytes=1000-", "If-Range", file.Header.Get("ETag")}, 206, file.Raw[1000:]},
		"signed, where it was original":  {"GET", signed, []string{"Range", "bytes=1000-", "If-Range", tag}, 200, file.Raw},
		"behind the end":                 {"GET", original, []string{"Range", fmt.Sprintf("bytes=%d-", n)}, 416, nil},
		"HEAD behind the end":            {"HEAD", original, []string{"Range", fmt.Sprintf("bytes=%d-", n)}, 416, nil},
		"what is there":                  {"GET", original, []string{"If-None-Match", tag}, 304, nil},
		"no bytes":                       {"GET", original, []string{"Range", "pages=1-2"}, 416, nil},
		"more than the file, many times": {"GET", original, []string{"Range", "bytes=" + strings.Repeat("0-,", 500) + "0-"}, 200, pdf},
	} {
		r := g.Do(c.method, c.path, "", nil, c.header...)
		if r.Status != c.status || c.body != nil && !bytes.Equal(r.Raw, c.body) {
			t.Errorf("%s: %d, %d bytes, want %d, %d bytes", what, r.Status, len(r.Raw), c.status, len(c.body))
		}
		if c.method == http.MethodHead && c.status == 200 && (len(r.Raw) > 0 || r.Header.Get("Content-Length") != strconv.Itoa(n)) {
			t.Errorf("HEAD: %v", r.Header)
		}
	}
}
