package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// An app pauses its batch and goes on with it; what does not fit its state is told, and changes nothing.
func TestPauseOverHTTP(t *testing.T) {
	g := gatewaytest.New(t)
	const n = 1500
	var lines bytes.Buffer
	for k := range n {
		b, err := json.Marshal(digestRef(fmt.Sprint("dokumen ", k)))
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(b, '\n'))
	}
	id := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Jeda", "kind": "digest"}).Text("batch_id")
	at := "/v1/batches/" + id
	want(t, g.Do("POST", at+"/items", "application/x-ndjson", lines.Bytes()), 200, "")
	want(t, g.Do("POST", at+"/seal", "", nil), 200, "")
	want(t, g.Do("POST", at+"/pause", "", nil), 409, "batch_not_signing")
	want(t, g.Do("POST", at+"/resume", "", nil), 409, "batch_not_paused")
	want(t, g.Do("POST", at+"/retry", "", nil), 409, "batch_not_refused")
	want(t, g.Do("POST", "/v1/batches/ba_none/pause", "", nil), 404, "not_found")
	tx, code := g.Ask(map[string]any{"format": "RAW", "batch_id": id, "credential_id": g.Dev.Officers[0].Credentials[0].CredentialID})
	want(t, tx, 201, "")
	want(t, g.Confirm(tx, code, nil), 202, "")
	if r := g.Do("POST", at+"/pause", "", nil, "Idempotency-Key", "jeda-1"); r.Text("status") != "PAUSED" {
		t.Fatalf("pausing: %s", r.Raw)
	}
	want(t, g.Do("POST", at+"/retry", "", map[string]any{"items": []int{1, 2}}), 409, "batch_busy")
	if r := g.Do("GET", at, "", nil); r.Text("status") != "PAUSED" || r.Body["pending"] == 0.0 {
		t.Errorf("paused: %s", r.Raw)
	}
	if r := g.Do("POST", at+"/resume", "", nil); r.Text("status") != "SIGNING" {
		t.Errorf("resuming: %s", r.Raw)
	}
	if done := finish(t, g, id); done.Text("status") != "SIGNED" || done.Body["signed"] != float64(n) {
		t.Errorf("batch: %s", done.Raw)
	}
	want(t, g.Do("POST", at+"/retry", "", map[string]any{"items": []int{1}}), 409, "batch_not_refused")
	want(t, g.Do("POST", at+"/pause", "", nil), 409, "batch_not_signing")
}
