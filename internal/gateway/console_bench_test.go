package gateway_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	pquerna "github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

const (
	// officersOfPhases are the iGFMAS users of the three phases; MOHOR_BENCH_OFFICERS has others.
	officersOfPhases = 41_875
	consoleJDN       = "700101105551"
	consoleSecret    = "tujuh belas kerusi rotan"
)

// consoleGateway is a gateway with an administrator of JDN who is logged in.
type consoleGateway struct {
	*gatewaytest.Gateway
	direct *httptest.Server // no answer is judged on its way
	client *http.Client
	cookie string
	first  string // IC of the officer whose page is looked at
	after  string // IC of the last of the list's first page
}

func newConsole(b *testing.B, database string) *consoleGateway {
	b.Helper()
	g := &consoleGateway{Gateway: gatewaytest.NewOn(b, database), client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	g.direct = httptest.NewServer(g.Server.Handler())
	b.Cleanup(g.direct.Close)
	_, code, err := g.Server.Accounts.CreateAdministrator(b.Context(), enrol.Actor{Name: "cli:bench"}, enrol.Officer{IC: consoleJDN, Name: "PENTADBIR", Email: "p@jdn.gov.my"},
		enrol.Appointment{Role: enrol.JDN, From: g.Clock.Now()})
	if err != nil {
		b.Fatal(err)
	}
	set := map[string]string{"code": string(code.Reveal()), "password": consoleSecret}
	seed := g.Do(http.MethodPost, "/v1/setup", "", map[string]string{"code": set["code"]}, "X-API-Key", "").Text("secret")
	totp := func() string {
		g.Clock.Advance(30 * time.Second)
		shown, err := hotp.GenerateCodeCustom(seed, uint64(g.Clock.Now().Unix()/30), hotp.ValidateOpts{Digits: pquerna.DigitsSix})
		if err != nil {
			b.Fatal(err)
		}
		return shown
	}
	set["totp"] = totp()
	if r := g.Do(http.MethodPost, "/v1/setup/complete", "", set, "X-API-Key", ""); r.Status != http.StatusNoContent {
		b.Fatalf("%s", r.Raw)
	}
	begun := g.Do(http.MethodPost, "/v1/sessions", "", map[string]string{"ic": consoleJDN, "password": consoleSecret}, "X-API-Key", "")
	in := g.Do(http.MethodPost, "/v1/sessions/"+begun.Text("session_id")+"/code", "", map[string]string{"code": totp(), "token": "cookie"}, "X-API-Key", "")
	for _, c := range (&http.Response{Header: in.Header}).Cookies() {
		if c.Name == "mohor-session" {
			g.cookie = c.Name + "=" + c.Value
		}
	}
	if g.cookie == "" {
		b.Fatalf("%s%s", begun.Raw, in.Raw)
	}
	return g
}

// ask is one question of the administrator's browser, over a kept connection: what came, and after how long.
func (g *consoleGateway) ask(b *testing.B, path string) ([]byte, time.Duration) {
	g.Clock.Advance(time.Second) // what a network may ask is no matter here
	q, err := http.NewRequestWithContext(b.Context(), http.MethodGet, g.direct.URL+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	q.Header.Set("Cookie", g.cookie)
	began := time.Now()
	r, err := g.client.Do(q)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close() // read to its end
	}
	took := time.Since(began)
	if err != nil || r.StatusCode != http.StatusOK {
		b.Fatalf("%s: %v %d %.300s", path, err, r.StatusCode, body)
	}
	return body, took
}

// raw is the gateway's database as SQL sees it, personal fields sealed.
func (g *consoleGateway) raw(b *testing.B, database string) *sql.DB {
	b.Helper()
	engine, address := "pgx", database
	if database == "" {
		engine, address = "sqlite", "file:"+filepath.Join(g.Dir, "mohor.db")+"?_pragma=busy_timeout(15000)"
	}
	db, err := sql.Open(engine, address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	return db
}

// populate lists n officers of 24 agencies and 53 offices in three phases, brings most of them to a
// certificate, and has these sign four times each.
func (g *consoleGateway) populate(b *testing.B, n int, database string) {
	b.Helper()
	ctx := context.Background()
	now := g.Clock.Now()
	desk := g.Server.Desk
	jdn := enrol.Actor{Name: "account:bench", Appointments: []enrol.Appointment{{Role: enrol.JDN}}}
	for k := range 24 {
		must(b, desk.PutAgency(ctx, jdn, enrol.Agency{Code: fmt.Sprintf("AG%d", k), Name: fmt.Sprintf("Jabatan Ujian Negeri %d", k)}))
	}
	must(b, desk.PutSystem(ctx, jdn, enrol.System{Code: g.Dev.System, Title: "iGFMAS", Agency: "AG0"}))
	given := []string{"NUR AISYAH", "MUHAMMAD HAFIZ", "SITI HAJAR", "AHMAD FAIZ", "TAN MEI LING", "KAVITHA", "WONG SIEW YEN", "NORAINI", "MOHD AZLAN", "ROSNAH"}
	father := []string{"RAHMAN", "OTHMAN", "ABU BAKAR", "ISMAIL", "HASSAN", "SULAIMAN", "YUSOF", "KRISHNAN", "ABDULLAH", "IBRAHIM", "ZAKARIA"}
	var chunk []enrol.Entry
	for k := range n {
		ic := fmt.Sprintf("%02d%02d%02d14%04d", 60+k/10000%40, 1+k/400000, 1+k%28, k%10000)
		office := k % 53
		r := enrol.Row{Officer: enrol.Officer{IC: ic, Name: fmt.Sprintf("%s BINTI %s %d", given[k%len(given)], father[k%len(father)], k), Email: fmt.Sprintf("p%d@anm.gov.my", k)},
			Agency: fmt.Sprintf("AG%d", k%24), Office: fmt.Sprintf("Pejabat Perakaunan %d", office), System: g.Dev.System, Phase: strconv.Itoa(1 + office/18), Ticket: "HD-2025-114", Medium: enrol.RoamingOTP}
		at := now.AddDate(0, 0, -300+k%240)
		id := fmt.Sprintf("en_%d", k)
		chunk = append(chunk, enrol.Entry{Row: r, ID: id, List: "bench", By: "account:bench", State: enrol.Listed, At: at,
			Event: audit.Event{At: at, Actor: "account:bench", Action: "enrol.list", Object: "enrolment:" + id, Verdict: audit.Accepted, Detail: map[string]string{"officer": ic}}})
		if len(chunk) == 1000 || k == n-1 {
			must(b, desk.Records.AddEntries(ctx, chunk))
			chunk = chunk[:0]
		}
	}
	key, err := gateway.PersonalKey(ctx, g.Server)
	must(b, err)
	keys, err := personal.NewKeys(key)
	must(b, err)
	db := g.raw(b, database)
	for _, s := range history(g.Dev.Officers[0].Credentials[0].CredentialID, keys.Seal("note", "{}"), now, database != "") {
		if _, err := db.Exec(s); err != nil {
			b.Fatalf("%s: %v", s, err)
		}
	}
}

// history is what became of those who are listed, in SQL of either engine: what is sealed is copied.
func history(credential, options string, now time.Time, postgres bool) []string {
	const day = 86_400_000_000
	words := strings.NewReplacer("{now}", fmt.Sprint(now.UnixMicro()), "{day}", fmt.Sprint(day), "{credential}", credential, "{options}", options, "{k}", "CAST(substr(e.id, 4) AS BIGINT)",
		"{tx}", "n.k || '_' || t.t", "{at}", "({now} - (1 + (n.k * 7 + t.t * 13) % 25) * {day})")
	issued := "(SELECT e.id, e.ic, e.system, e.listed_at, {k} AS k FROM enrolments e WHERE e.list = 'bench' AND e.state = 'ISSUED') n"
	four := "(SELECT 0 AS t UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) t"
	hash := "(SELECT x.key_hash AS h FROM certificates x WHERE x.credential_id = '{credential}') x"
	all := []string{
		`UPDATE enrolments AS e SET state = CASE WHEN {k} % 100 < 60 THEN 'ISSUED' WHEN {k} % 100 < 65 THEN 'LISTED' WHEN {k} % 100 < 75 THEN 'CONFIRMING' WHEN {k} % 100 < 80 THEN 'CONFIRMED'
			WHEN {k} % 100 < 86 THEN 'APPLIED' WHEN {k} % 100 < 90 THEN 'VALIDATED' WHEN {k} % 100 < 92 THEN 'APPROVED' WHEN {k} % 100 < 94 THEN 'RETURNED' WHEN {k} % 100 < 96 THEN 'REJECTED'
			WHEN {k} % 100 < 97 THEN 'WITHDRAWN' ELSE 'EXPIRED' END, since = listed_at + {k} % 50 * {day} WHERE list = 'bench'`,
		`INSERT INTO certificates (serial, issuer, subject, credential_id, status, der, not_before, not_after, created_at, key_hash)
			SELECT CAST(7000000000000000 + n.k AS TEXT), x.issuer, x.subject, 'cr_' || n.k, CASE n.k % 50 WHEN 7 THEN 'REVOKED' WHEN 8 THEN 'SUSPENDED' ELSE 'ACTIVE' END, x.der, n.listed_at,
			{now} + CASE n.k % 37 WHEN 0 THEN -10 WHEN 1 THEN 20 ELSE 60 + n.k % 700 END * {day}, n.listed_at, x.key_hash
			FROM ` + issued + ` CROSS JOIN (SELECT * FROM certificates WHERE credential_id = '{credential}') x`,
		`INSERT INTO credentials (id, ic, system, algorithm, version, sealed, serial, status, created_at)
			SELECT 'cr_' || n.k, n.ic, n.system, x.algorithm, x.version, x.sealed, CAST(7000000000000000 + n.k AS TEXT), CASE n.k % 50 WHEN 7 THEN 'REVOKED' WHEN 8 THEN 'SUSPENDED' ELSE 'ACTIVE' END, n.listed_at
			FROM ` + issued + ` CROSS JOIN (SELECT * FROM credentials WHERE id = '{credential}') x`,
		`UPDATE media SET status = 'ACTIVE' WHERE ic IN (SELECT e.ic FROM enrolments e WHERE e.list = 'bench' AND e.state = 'ISSUED')`,
		`INSERT INTO batches (id, app_id, name, kind, implicit, status, count, root, created_at)
			SELECT 'ba_' || {tx}, (SELECT MIN(a.id) FROM apps a), '', 'digest', 1, 'COMPLETE', 1, x.h, {at} FROM ` + issued + ` CROSS JOIN ` + four + ` CROSS JOIN ` + hash,
		`INSERT INTO transactions (id, app_id, system_name, ic, system, data_header, process, role, classification, credential_id, options, options_hash, batch_id, implicit, count, root, status, created_at, expires_at, finished_at)
			SELECT 'tx_' || {tx}, (SELECT MIN(a.id) FROM apps a), 'iGFMAS', n.ic, n.system, '', 'AP-01', '', '', 'cr_' || n.k, '{options}', x.h, 'ba_' || {tx}, 1, 1, x.h, 'SIGNED', {at}, {at} + 180000000, {at} + 20000000
			FROM ` + issued + ` CROSS JOIN ` + four + ` CROSS JOIN ` + hash,
		`INSERT INTO intents (id, transaction_id, credential_id, batch_id, root, count, options_hash, created_at, deadline, seal, state, closed_at)
			SELECT 'in_' || {tx}, 'tx_' || {tx}, 'cr_' || n.k, 'ba_' || {tx}, x.h, 1, x.h, {at} + 10000000, {at} + 180000000, x.h, 'complete', {at} + 20000000
			FROM ` + issued + ` CROSS JOIN ` + four + ` CROSS JOIN ` + hash,
		`INSERT INTO items (batch_id, idx, name, hash, digest, blob, size, document_id, reference, state, signed_at, intent_id)
			SELECT 'ba_' || {tx}, 0, '', 5, x.h, '', 0, '', '', 'signed', {at} + 20000000, 'in_' || {tx} FROM ` + issued + ` CROSS JOIN ` + four + ` CROSS JOIN ` + hash,
		`INSERT INTO code_sends (transaction_id, ic, sent_at, redeemed, channel, delivery, delivery_at)
			SELECT 'tx_' || {tx}, n.ic, {at}, 1, 'email', CASE WHEN n.k % 97 = 3 THEN 'bounced' ELSE 'sent' END, {at} FROM ` + issued + ` CROSS JOIN ` + four,
	}
	if postgres {
		all = append(all, "VACUUM (ANALYZE)") // as its own process does within minutes
	}
	for k, s := range all {
		all[k] = words.Replace(words.Replace(s))
	}
	return all
}

// BenchmarkConsole asks a gateway of 41,875 officers and an empty one by turns, over HTTP, for the
// console's lists and for the answers of the API behind them: median, 99th of a hundred, bytes, and how
// many times as long as the empty one it takes.
func BenchmarkConsole(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { consoleOn(b, "", "") })
	b.Run("PostgreSQL", func(b *testing.B) {
		s := pgtest.Start(b)
		var addresses [2]string
		for k := range addresses {
			var err error
			addresses[k], err = s.Database(b.Context())
			must(b, err)
		}
		consoleOn(b, addresses[0], addresses[1])
	})
}

func consoleOn(b *testing.B, database, other string) {
	n := officersOfPhases
	if s := os.Getenv("MOHOR_BENCH_OFFICERS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	full, empty := newConsole(b, database), newConsole(b, other)
	began := time.Now()
	full.populate(b, n, database)
	b.Logf("%d officers in %v", n, time.Since(began).Round(time.Second))
	began = time.Now()
	ic := regexp.MustCompile(`"ic":"(\d{12})"`)
	for _, g := range []*consoleGateway{full, empty} {
		body, _ := g.ask(b, "/v1/admin/officers?limit=50")
		ics := ic.FindAllSubmatch(body, -1)
		if len(ics) == 0 {
			b.Fatalf("%.300s", body)
		}
		g.after = string(ics[len(ics)-1][1])
		body, _ = g.ask(b, "/v1/admin/officers?limit=1&status=ACTIVE")
		g.first = string(ic.FindSubmatch(body)[1])
	}
	b.Logf("the first question takes %v", time.Since(began).Round(time.Millisecond))
	for _, c := range consoleQuestions(full, empty) {
		b.Run(strings.ReplaceAll(strings.TrimPrefix(c[0], "/"), "/", "_"), func(b *testing.B) { compared(b, full, empty, c[1], c[2]) })
	}
}

// consoleQuestions are name, address at the full gateway, and at the empty one.
func consoleQuestions(full, empty *consoleGateway) (all [][3]string) {
	add := func(name, path string, there ...string) {
		all = append(all, [3]string{name, path, cmp.Or(append(there, path)...)})
	}
	add("/admin", "/admin")
	add("/admin/officers", "/admin/officers")
	add("/admin/officers:next", "/admin/officers?after="+full.after, "/admin/officers?after="+empty.after)
	for name, q := range map[string]string{"common-name": "siti hassan", "rare-name": "rosnah 41869", "nobody": "zzzz", "mail": "p41000@anm", "ic": full.first} {
		add("/admin/officers:"+name, "/admin/officers?q="+url.QueryEscape(q))
	}
	add("/admin/officers:office-status", "/admin/officers?status=REVOKED&office="+url.QueryEscape("Pejabat Perakaunan 52"))
	add("/admin/officers:agency-renew", "/admin/officers?agency=AG7&status=RENEW&medium=ROAMING_OTP")
	add("/admin/officers/{ic}", "/admin/officers/"+full.first, "/admin/officers/"+empty.first)
	for _, tab := range []string{"confirm", "validate", "approve"} {
		add("/admin/queue:"+tab, "/admin/queue?tab="+tab)
	}
	add("/admin/queue:done", "/admin/queue?tab=done&state=ISSUED")
	add("/admin/queue:agency-office", "/admin/queue?tab=validate&agency=AG7&office="+url.QueryEscape("Pejabat Perakaunan 3"))
	add("/admin/rollout", "/admin/rollout")
	add("/admin/rollout:agency-phase", "/admin/rollout?agency=AG7&phase=2")
	for _, name := range []string{"users", "officers", "expiring", "pending", "calendar", "daily", "signatures", "channels", "no-ap"} {
		add("/admin/reports/"+name, "/admin/reports/"+name)
	}
	add("/v1/admin/work", "/v1/admin/work")
	add("/v1/admin/officers", "/v1/admin/officers?limit=50")
	add("/v1/admin/officers:nobody", "/v1/admin/officers?limit=50&q=zzzz")
	add("/v1/admin/officers/{ic}", "/v1/admin/officers/"+full.first, "/v1/admin/officers/"+empty.first)
	add("/v1/admin/enrolments", "/v1/admin/enrolments?state=APPLIED&limit=100")
	for _, name := range []string{"rollout", "users", "officers", "expiring"} {
		add("/v1/admin/reports/"+name, "/v1/admin/reports/"+name+"?limit=500")
	}
	slices.SortStableFunc(all, func(x, y [3]string) int { return strings.Compare(x[0][:4], y[0][:4]) })
	return all
}

func compared(b *testing.B, full, empty *consoleGateway, path, there string) {
	body, _ := full.ask(b, path)
	empty.ask(b, there)
	var long, short []time.Duration
	for b.Loop() {
		_, d := full.ask(b, path)
		_, e := empty.ask(b, there)
		long, short = append(long, d), append(short, e)
	}
	slices.Sort(long)
	slices.Sort(short)
	b.ReportMetric(long[len(long)/2].Seconds()*1e3, "p50-ms")
	b.ReportMetric(long[len(long)*99/100].Seconds()*1e3, "p99-ms")
	b.ReportMetric(long[len(long)*99/100].Seconds()/short[len(short)*99/100].Seconds(), "p99-x-empty")
	b.ReportMetric(float64(len(body))/1024, "KB")
	b.ReportMetric(long[len(long)/2].Seconds()/short[len(short)/2].Seconds(), "x-empty")
	b.ReportMetric(0, "ns/op")
}
