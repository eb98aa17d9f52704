//go:build !race

package journeys_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/store/storetest"
)

// heaviest is what a page may bring with it at most, compressed, in bytes: all but what reads PDFs and QR codes.
const heaviest = 200 << 10

// weighed are the pages that are measured.
func weighed(g *gatewaytest.Gateway) ([]string, error) {
	o := g.Dev.Officers[0]
	mark := g.Server.Mailbox.Mark()
	r := g.Do(http.MethodPost, "/v1/sessions", "", map[string]string{"ic": o.IC, "password": string(o.Password.Reveal())}, "X-API-Key", "")
	r = g.Do(http.MethodPost, "/v1/sessions/"+r.Text("session_id")+"/code", "", map[string]string{"code": g.Code(o.Email, mark), "token": "bearer"}, "X-API-Key", "")
	as := []string{"X-API-Key", "", "Authorization", "Bearer " + r.Text("token")}
	d := g.Do(http.MethodPost, "/v1/documents?name=surat.pdf", "application/pdf", storetest.PDF("surat"), as...)
	b := g.Do(http.MethodPost, "/v1/batches", "", map[string]string{"name": "Julai", "kind": "ecert"}, as...)
	if d.Status != http.StatusCreated || b.Status != http.StatusCreated {
		return nil, fmt.Errorf("%s %s", d.Raw, b.Raw)
	}
	g.Clock.Advance(2 * time.Minute)
	return []string{"/", "/verify", "/scan", "/candidate", "/status", "/help", "/help/trust", "/help/privacy", "/s/AAAAAAAAAAAAAAAAAAAAAA", "/login", "/login/forgotten", "/join",
		"/portal", "/portal/sign", "/portal/sign/" + d.Text("document_id"), "/portal/batches", "/portal/batches/new", "/portal/batches/" + b.Text("batch_id"), "/portal/history", "/portal/certificate", "/portal/profile", "/portal/application",
		"/admin", "/admin/officers", "/admin/queue", "/admin/rollout"}, nil
}

// listed are officers enough for a whole page of the console.
func listed(g *gatewaytest.Gateway) error {
	var all []enrol.Entry
	for k := range 120 {
		id := fmt.Sprintf("en_%d", k)
		all = append(all, enrol.Entry{Row: enrol.Row{Officer: enrol.Officer{IC: fmt.Sprintf("%012d", 820303140000+k), Name: fmt.Sprintf("SITI HAJAR BINTI OTHMAN %d", k), Email: fmt.Sprintf("siti%d@anm.gov.my", k)},
			Agency: "JANM", Office: fmt.Sprintf("Pejabat Perakaunan %d", k), System: g.Dev.System, Phase: "1", Medium: enrol.RoamingOTP}, ID: id, By: "cli:test", State: enrol.Listed, At: g.Clock.Now(),
			Event: audit.Event{At: g.Clock.Now(), Actor: "cli:test", Action: "enrol.list", Object: "enrolment:" + id, Verdict: audit.Accepted}})
	}
	return g.Server.Desk.Records.AddEntries(context.Background(), all)
}

// No page is heavier than it may be. With MOHOR_MEASURE_PAGES set (make measure-pages) it is also
// told when each is seen, which nothing depends on.
func TestJourneyWeight(t *testing.T) {
	g := gatewaytest.New(t)
	pages, err := weighed(g)
	if err != nil {
		t.Fatal(err)
	}
	o := newOffice(t, g)
	if err := listed(g); err != nil {
		t.Fatal(err)
	}
	r := run(t, g, "measure", given{"pages": pages, "times": os.Getenv("MOHOR_MEASURE_PAGES") != "", "admin": map[string]string{"ic": "700101105551", "password": o.password}},
		acts{"totp": func(json.RawMessage) (any, error) { return o.totp("700101105551") }})
	all, _ := r["pages"].(map[string]any)
	if len(all) != len(pages) {
		t.Fatalf("%d of %d pages", len(all), len(pages))
	}
	number := func(path, name string) float64 {
		m, _ := all[path].(map[string]any)
		n, _ := m[name].(float64)
		return n
	}
	reference := number("/status", "first") // the plainest of all
	for _, path := range pages {
		bytes := number(path, "bytes")
		name := strings.TrimRight(path, "0123456789abcdefghijklmnopqrstuvwxyz")
		if !strings.HasSuffix(name, "_") {
			name = path
		}
		t.Logf("| %-28s | %5.1f KB | %5.1f KB | %2.0f | %5.0f ms | %5.0f ms | %4.2f |", name, bytes/1024, number(path, "later")/1024, number(path, "requests"), number(path, "first"), number(path, "largest"), number(path, "first")/reference)
		if bytes > heaviest || bytes < 2<<10 {
			t.Errorf("%s weighs %.0f bytes", path, bytes)
		}
	}
}
