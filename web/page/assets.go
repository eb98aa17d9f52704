package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
)

//go:embed assets
var embedded embed.FS

// asset is a file that browsers may keep for good: its address changes with its content.
type asset struct {
	url, kind   string
	plain, gzip []byte // gzip is nil where it saves nothing
}

// shelf reads the embedded files once, and compresses them once.
var shelf = sync.OnceValue(func() map[string]*asset {
	all := make(map[string]*asset)
	err := fs.WalkDir(embedded, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := embedded.ReadFile(name)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(name, "assets/")
		sum := sha256.Sum256(b)
		ext := path.Ext(name)
		a := &asset{url: "/assets/" + strings.TrimSuffix(name, ext) + "-" + base64.RawURLEncoding.EncodeToString(sum[:9]) + ext, kind: kindOf(ext), plain: b}
		var z bytes.Buffer
		zw, _ := gzip.NewWriterLevel(&z, gzip.BestCompression)
		_, _ = zw.Write(b) // into memory
		_ = zw.Close()
		if z.Len() < len(b)*9/10 {
			a.gzip = z.Bytes()
		}
		all[name] = a
		return nil
	})
	if err != nil {
		panic(err) // embedded files can be read
	}
	return all
})

func kindOf(ext string) string {
	switch ext {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".wasm":
		return "application/wasm" // else it is not compiled while it arrives
	}
	return mime.TypeByExtension(ext)
}

// Asset is the address of an embedded file, "mohor.css" or "vendor/htmx.min.js". One that there
// is not is an error of ours, which the first test of its page finds.
func Asset(name string) string {
	a := shelf()[name]
	if a == nil {
		panic("no such file among the assets of pages: " + name)
	}
	return a.url
}

// HasAsset says whether there is a file of that name for [Asset].
func HasAsset(name string) bool { return shelf()[name] != nil }

// AssetRoutes adds GET and HEAD of all embedded files.
func AssetRoutes(r chi.Router) {
	for _, a := range shelf() {
		r.Get(a.url, a.serve)
		r.Head(a.url, a.serve)
	}
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	// A worker has the policy of its own file: what reads PDFs evaluates nothing either.
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'")
	b := a.plain
	// Only files of ours that are the same for everybody: what is beside a secret is not compressed.
	if a.gzip != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && r.Header.Get("Range") == "" {
		h.Set("Content-Encoding", "gzip")
		b = a.gzip
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}
