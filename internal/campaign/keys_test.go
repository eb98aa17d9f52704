package campaign_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

var (
	keyCount = flag.Int("campaign.keys", 300, "requests with an Idempotency-Key, each tried four times through broken connections")
	kills    = flag.Int("campaign.kills", 4, "how often the gateway is killed while it answers requests with a key")
)

// Tries through broken connections, and requests at once.
const (
	keyTries = 4
	keyWidth = 16
)

// said is the answer of a gateway, whole; status 0 is none.
type said struct {
	status int
	body   string
}

func (a said) text(member string) string {
	var m map[string]any
	_ = json.Unmarshal([]byte(a.body), &m)
	s, _ := m[member].(string)
	return s
}

// keyed sends a request with a key.
func (r *rig) keyed(client *http.Client, key, path, contentType string, body []byte) said {
	r.mu.Lock()
	dev := r.dev
	r.mu.Unlock()
	req, err := http.NewRequest(http.MethodPost, dev.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return said{}
	}
	req.Header.Set("X-API-Key", string(dev.APIKey.Reveal()))
	req.Header.Set("Idempotency-Key", key)
	req.Header.Set("Content-Type", contentType)
	resp, err := client.Do(req)
	if err != nil {
		return said{}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return said{}
	}
	return said{resp.StatusCode, string(raw)}
}

// certain repeats a request until it is answered.
func (r *rig) certain(ctx context.Context, key, path, contentType string, body []byte) (a said) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		a = r.keyed(r.client, key, path, contentType, body)
		if a.status != 0 && a.status < 500 && a.text("code") != "request_in_progress" {
			return a
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return a
		}
	}
}

func openBatch(k int) []byte { return fmt.Appendf(nil, `{"name":"Kunci %d","kind":"digest"}`, k) }

// tally is what clients saw.
type tally struct{ whole, cut, other, conflicts atomic.Int64 }

// Requests with a key, each tried again and again through connections that break at any place:
// each is carried out once, and all answers to one key are the same.
func TestKeysThroughBrokenConnections(t *testing.T) {
	r := newRig(t, false)
	x := newToxics(t, host(r.dev.BaseURL), 48)
	made := make([]string, *keyCount)
	var seen tally
	began := time.Now()
	inParallel(*keyCount, keyWidth, func(k int) { made[k] = r.breakKey(t, x, k, &seen) })
	took := time.Since(began)
	ids := map[string]bool{}
	for _, id := range made {
		ids[id] = true
	}
	if len(ids) != *keyCount || ids[""] {
		t.Errorf("%d keys made %d batches", *keyCount, len(ids))
	}
	r.stop(t)
	if n := r.done(t, "batch.create"); n != *keyCount {
		t.Errorf("%d keys, %d executions", *keyCount, n)
	}
	if n, want := r.done(t, "batch.intake"), (*keyCount+9)/10; n != want {
		t.Errorf("%d keys of uploads, %d executions", want, n)
	}
	if seen.cut.Load() == 0 || seen.whole.Load() == 0 || seen.conflicts.Load() == 0 {
		t.Errorf("nothing was broken, or everything: %d whole, %d cut", seen.whole.Load(), seen.cut.Load())
	}
	t.Logf("%d keys, %d tries each in %v: %d answered, %d cut off, %d refused for what was left of the request; %d of another body refused",
		*keyCount, keyTries, took.Round(time.Second), seen.whole.Load(), seen.cut.Load(), seen.other.Load(), seen.conflicts.Load())
}

// breakKey sends one key's request and gives the batch that it made; every tenth one's items, too.
func (r *rig) breakKey(t *testing.T, x *toxics, k int, seen *tally) string {
	key, broken := fmt.Sprintf("kunci-%d", k), x.through()
	try := func(key, path, contentType string, body []byte) said {
		var whole []said
		for range keyTries {
			switch a := r.keyed(broken, key, path, contentType, body); {
			case a.status == 0:
				seen.cut.Add(1)
			case a.status < 300:
				seen.whole.Add(1)
				whole = append(whole, a)
			default: // the gateway saw less than the whole request, or is still at work
				seen.other.Add(1)
				if a.status >= 500 {
					t.Errorf("%s: %d %s", key, a.status, a.body)
				}
			}
		}
		last := r.certain(t.Context(), key, path, contentType, body)
		for _, a := range whole {
			if a != last {
				t.Errorf("%s: %v, and then %v", key, a, last)
			}
		}
		return last
	}
	a := try(key, "/v1/batches", "application/json", openBatch(k))
	if a.status != http.StatusCreated {
		t.Errorf("%s: %v", key, a)
		return ""
	}
	id := a.text("batch_id")
	if k%10 == 0 {
		line := `{"name":"d","digest":{"alg":"SHA-256","value":"` + strings.Repeat("A", 43) + `="}}` + "\n"
		if up := try(key+"-items", "/v1/batches/"+id+"/items", "application/x-ndjson", []byte(strings.Repeat(line, 5))); up.status != http.StatusOK {
			t.Errorf("%s: %v", key, up)
		}
		if c := r.certain(t.Context(), key, "/v1/batches", "application/json", openBatch(k+1)); c.text("code") != "idempotency_conflict" {
			t.Errorf("%s with another body: %v", key, c)
		} else {
			seen.conflicts.Add(1)
		}
	}
	return id
}

// done counts what was carried out, in the audit of a gateway that is stopped.
func (r *rig) done(t *testing.T, action string) (n int) {
	t.Helper()
	records, err := auditOf(t.Context(), r.dir, r.Env)
	must(t, err)
	for _, e := range records {
		if e.Action == action && e.Verdict == audit.Accepted {
			n++
		}
	}
	return n
}

// Requests with a key while the gateway is killed at any moment: each client repeats its request
// until it is answered, each is carried out once.
func TestKeysWhileTheGatewayIsKilled(t *testing.T) {
	r := newRig(t, false)
	pdf := readVoucher(t)
	stopping := make(chan struct{})
	var wg sync.WaitGroup
	var batches, documents atomic.Int64
	for w := range keyWidth {
		wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-stopping:
					return
				default:
				}
				key := fmt.Sprintf("%d-%d", w, k)
				if k%4 > 0 {
					if a := r.certain(t.Context(), key, "/v1/batches", "application/json", openBatch(k)); a.status != http.StatusCreated {
						t.Errorf("%s: %v", key, a)
					}
					batches.Add(1)
					continue
				}
				if a := r.certain(t.Context(), key, "/v1/documents", "application/pdf", pdf); a.status != http.StatusCreated {
					t.Errorf("%s: %v", key, a)
				}
				documents.Add(1)
			}
		})
	}
	// Each worker's first key is one of an upload.
	eventually(t, "the first requests are answered", func() bool { return batches.Load() > 0 && documents.Load() > 0 })
	for range *kills {
		pause := time.NewTimer(time.Duration(100+rand.IntN(400)) * time.Millisecond)
		<-pause.C
		r.kill(t)
	}
	close(stopping)
	wg.Wait()
	r.stop(t)
	if n := r.done(t, "batch.create"); n != int(batches.Load()) || n == 0 {
		t.Errorf("%d keys, %d executions", batches.Load(), n)
	}
	if n := r.done(t, "document.upload"); n != int(documents.Load()) || n == 0 {
		t.Errorf("%d keys of uploads, %d executions", documents.Load(), n)
	}
	t.Logf("%d kills: %d batches and %d documents, each once", *kills, batches.Load(), documents.Load())
}

// inParallel calls f with 0 to n-1, width at once.
func inParallel(n, width int, f func(k int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range width {
		wg.Go(func() {
			for k := int(next.Add(1)) - 1; k < n; k = int(next.Add(1)) - 1 {
				f(k)
			}
		})
	}
	wg.Wait()
}

func readVoucher(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "examples", "voucher.pdf"))
	must(t, err)
	return b
}
