//go:build !race

package gateway_test

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// bomb is a small PDF whose table of objects is n megabytes of zeros.
func bomb(t *testing.T, megabytes int) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	zeros := make([]byte, 1<<20)
	for range megabytes {
		_, err := z.Write(zeros)
		check(t, err)
	}
	check(t, z.Close())
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[]/Count 0>>\nendobj\n")
	at := b.Len()
	fmt.Fprintf(&b, "3 0 obj\n<</Type/XRef/Size %d/W[1 2 1]/Root 1 0 R/Filter/FlateDecode/Length %d>>\nstream\n", megabytes<<18, packed.Len())
	b.Write(packed.Bytes())
	fmt.Fprintf(&b, "\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n", at)
	return b.Bytes()
}

// Twenty strangers send bombs at once: each is answered, the memory stays small, and others are served.
func TestStrangersBombs(t *testing.T) {
	g := gatewaytest.New(t)
	files := [][]byte{bomb(t, 256), []byte("%PDF-1.7\n" + strings.Repeat("[", 1<<20) + "\n%%EOF"), append([]byte("PK\x03\x04"), bytes.Repeat([]byte{0}, 1<<20)...), []byte("%PDF-1.7\n" + strings.Repeat("1 0 obj\n<<>>\nendobj\n", 1<<15) + "startxref\n9\n%%EOF")}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		var top uint64
		for {
			select {
			case <-stop:
				most <- top
				return
			default:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				top = max(top, m.HeapAlloc)
				runtime.Gosched()
			}
		}
	}()
	var mu sync.Mutex
	answers := map[int]int{}
	var all sync.WaitGroup
	for k := range 20 {
		s := bare(t, g)
		form := tokenOf(t, s.send("GET", "/verify", nil))
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		check(t, w.WriteField("form", form))
		f, err := w.CreateFormFile("file", "bom.pdf")
		check(t, err)
		_, err = f.Write(files[k%len(files)])
		check(t, err)
		check(t, w.Close())
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+"/verify", &body)
		check(t, err)
		q.Header.Set("Content-Type", w.FormDataContentType())
		q.Header.Set("Sec-Fetch-Site", "same-origin")
		all.Go(func() {
			r, err := s.c.Do(q)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Body.Close()
			b, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Contains(b, []byte("</html>")) {
				t.Errorf("%d %v %.200s", r.StatusCode, err, b)
			}
			mu.Lock()
			answers[r.StatusCode]++
			mu.Unlock()
		})
	}
	for range 10 {
		for _, path := range []string{"/", "/login", "/healthz"} {
			if r := g.Do("GET", path, "", nil, "X-API-Key", ""); r.Status != 200 {
				t.Errorf("%s meanwhile: %d", path, r.Status)
			}
		}
	}
	all.Wait()
	close(stop)
	top := <-most
	if top > before+256<<20 {
		t.Errorf("memory went from %d to %d MB", before>>20, top>>20)
	}
	for status := range answers {
		if status >= 500 && status != 503 {
			t.Errorf("answered %v", answers)
		}
	}
	t.Logf("answers %v, at most %d MB more", answers, (top-min(top, before))>>20)
}

// BenchmarkPages is how long the server makes a page, and as a ratio to /healthz, over one connection.
func BenchmarkPages(b *testing.B) {
	g := gatewaytest.New(b)
	cookie := ""
	logIn := func() { // anew for each page: the clock goes on with every request
		g.Clock.Advance(time.Minute)
		o, mark := g.Dev.Officers[0], g.Server.Mailbox.Mark()
		begun := g.Do("POST", "/v1/sessions", "", map[string]string{"ic": o.IC, "password": string(o.Password.Reveal())}, "X-API-Key", "")
		in := g.Do("POST", "/v1/sessions/"+begun.Text("session_id")+"/code", "", map[string]string{"code": g.Code(o.Email, mark), "token": "cookie"}, "X-API-Key", "")
		for _, c := range (&http.Response{Header: in.Header}).Cookies() {
			if c.Name == "mohor-session" {
				cookie = c.Name + "=" + c.Value
			}
		}
	}
	ask := func(b *testing.B, path string) {
		g.Clock.Advance(time.Second) // what a network may ask is no matter here
		q, err := http.NewRequestWithContext(b.Context(), http.MethodGet, g.URL+path, nil)
		if err != nil {
			b.Fatal(err)
		}
		if strings.HasPrefix(path, "/portal") {
			q.Header.Set("Cookie", cookie)
		}
		r, err := http.DefaultTransport.RoundTrip(q) // which follows nothing
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close() // read to its end
		}
		if err != nil || r.StatusCode != 200 {
			b.Fatalf("%s: %v %d", path, err, r.StatusCode)
		}
	}
	took := func(b *testing.B, path string, n int) (p50, p99 float64) {
		all := make([]float64, n)
		for k := range all {
			at := time.Now()
			ask(b, path)
			all[k] = float64(time.Since(at))
		}
		slices.Sort(all)
		return all[n/2], all[n*99/100]
	}
	for _, path := range []string{"/", "/verify", "/candidate", "/status", "/login", "/join", "/help", "/s/AAAAAAAAAAAAAAAAAAAAAA", "/portal", "/portal/sign", "/portal/batches", "/portal/history", "/portal/certificate", "/portal/profile"} {
		b.Run(strings.ReplaceAll(path, "/", "_"), func(b *testing.B) {
			logIn()
			ask(b, path)
			b.ResetTimer()
			p50, p99 := took(b, path, b.N)
			b.StopTimer()
			least, _ := took(b, "/healthz", min(b.N, 200))
			b.ReportMetric(p50/1e6, "p50-ms")
			b.ReportMetric(p99/1e6, "p99-ms")
			b.ReportMetric(p50/least, "x-healthz")
		})
	}
}
