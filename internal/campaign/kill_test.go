package campaign_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
)

var (
	deaths = flag.Int("campaign.deaths", 14, "how often the gateway is killed while it signs a batch")
	fatal  = flag.String("campaign.point", "", "kill at this point alone")
)

// point is where the gateway is killed, at up to the nth time.
type point struct {
	name  string
	most  func(documents int) int
	files bool // only documents that are files pass it
	redis bool // only batches that go on by themselves do
}

// killPoints are all commits, calls of the module and steps of a file on a batch's way.
func killPoints() []point {
	one := func(int) int { return 1 }
	each := func(n int) int { return max(1, n/8) } // parcels of up to eight: at least so many
	chunk := func(n int) int { return max(1, n/50) }
	commits := func(n int) int { return 4 + n/50 } // at least so many, however they are shared
	all := []point{
		{"before request", one, false, false}, {"after request", one, false, false},
		{"after count of the PIN", one, false, false}, {"after opening", one, false, false},
		{"before intent", one, false, false}, {"after intent", one, false, false},
		{"before signature", each, false, false}, {"after signature", each, false, false},
		{"before file", each, true, false}, {"file half written", each, true, false},
		{"file written, not renamed", each, true, false}, {"after file", each, true, false},
		{"before completion", chunk, false, false}, {"after completion", chunk, false, false},
		{"before destruction", one, false, false}, {"after destruction", one, false, false},
		{"before splitting", one, false, true}, {"after splitting", one, false, true},
		{"before commit", commits, false, false}, {"soon after commit", commits, false, false},
		{"at random", nil, false, false},
	}
	if _, many := reflect.TypeFor[signer.Blobs]().MethodByName("Sync"); many { // of several files at once
		all = append(all, point{"before sync", one, true, false}, point{"after sync", one, true, false})
	}
	return all
}

// TestKilled kills the gateway at points of a batch's way, by SIGKILL, again and again, with and without
// Redis; it is started again, and the officer authorises what needs her. In the end each document is
// signed, once, by a signature that an authorisation covers, and its file is whole.
func TestKilled(t *testing.T) {
	redistest.Need(t)
	redis := redistest.Start(t)
	points := filepath.Join(t.TempDir(), "points")
	rigs := map[bool]*rig{
		false: newRigWith(t, &rig{points: points + "-alone"}),
		true:  newRigWith(t, &rig{points: points}, `address: ""`, fmt.Sprintf("address: %q", redis.Address)),
	}
	all := slices.DeleteFunc(killPoints(), func(p point) bool { return *fatal != "" && p.name != *fatal })
	if len(all) == 0 {
		t.Fatalf("no point %q", *fatal)
	}
	seen, resumed, missed, extra := map[string]int{}, 0, 0, 0
	from := rand.IntN(len(all)) // each run of a few has others
	for k := range *deaths {
		p := all[(from+k*5)%len(all)] // 5 does not divide the number of points
		r := rigs[p.redis || (k/len(all)+k)%2 == 1]
		res := r.die(t, p)
		if complain(t, res); !res.hit {
			missed++
			t.Errorf("%q was not passed", res.armed)
		}
		seen[p.name]++
		extra += res.extra
		if res.hit && res.authorised == 1 && p.name != "before request" {
			resumed++
		}
	}
	t.Logf("%d deaths at %d points, after %d of them the batch went on by itself or had ended; %d points missed; %d signatures beyond one a document, which nobody has: %v", *deaths, len(seen), resumed, missed, extra, listed(seen))
}

// An order that is turned round is found by what is looked at after a death.
func TestKilledControl(t *testing.T) {
	for reversed, c := range map[string]struct {
		point point
		found string
	}{
		reversedIntent: {point{name: "after signature", most: func(int) int { return early / 2 }}, "the key was used before any intent"},
		reversedFile:   {point{name: "after completion", most: func(int) int { return 1 }, files: true}, "have no certificate"},
	} {
		t.Run(reversed, func(t *testing.T) {
			r := newRigWith(t, &rig{points: filepath.Join(t.TempDir(), "points"), env: []string{reversedEnv + "=" + reversed}})
			res := r.die(t, c.point)
			if !res.hit || !slices.ContainsFunc(res.violations, func(v string) bool { return strings.Contains(v, c.found) }) {
				t.Errorf("killed: %t; found: %q", res.hit, res.violations)
			}
			t.Logf("%d found after %d deaths at %q, as %q", len(res.violations), res.deaths, res.armed, res.violations[:min(2, len(res.violations))])
		})
	}
}

// die has a batch signed by a gateway that is killed at p, and looks at what is left.
func (r *rig) die(t *testing.T, p point) (res result) {
	t.Helper()
	r.Forget(t)
	n := 120 // three chunks
	var b *job
	if files := p.files || p.most == nil && rand.IntN(2) == 0; files {
		n = 60
		b = r.newList(t, n)
	} else {
		b = r.newJob(t, n)
	}
	r.mu.Lock()
	before := r.deaths
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	killed := make(chan struct{})
	if p.most == nil {
		after := rand.N(600 * time.Millisecond)
		res.armed = []string{p.name, after.String()}
		timer := time.AfterFunc(after, func() {
			defer close(killed)
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.child != nil {
				_ = r.child.cmd.Process.Kill() // the supervisor does the rest
			}
		})
		defer timer.Stop()
	} else {
		nth := 1 + rand.IntN(max(1, p.most(n)))
		res.armed = []string{p.name, fmt.Sprint(nth)}
		r.arm(t, p.name, nth, dies)
	}
	res.refusals = map[string]int{}
	res.recovered = r.insist(ctx, t, b, &res)
	if p.most == nil {
		<-killed
		res.hit = true
	} else {
		res.hit = r.passed(ctx)
		r.disarm(t)
	}
	res.recovered = res.recovered && r.insist(ctx, t, b, &res) // also after a death past the end
	if !res.recovered {
		res.violations = append(res.violations, fmt.Sprintf("the batch did not come to its end: %s, %v", r.status(ctx, b), res.refusals))
		return res
	}
	e := r.gather(t, b)
	res.violations, res.extra = e.check(b.id)
	if b.rows != nil {
		res.violations = append(res.violations, r.wrongFiles(t, b)...)
	}
	r.mu.Lock()
	res.deaths = r.deaths - before
	r.mu.Unlock()
	return res
}

// passed waits a little: the last points come when the batch is signed already.
func (r *rig) passed(ctx context.Context) bool {
	within, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(r.points + ".passed"); err == nil {
			return true
		}
		select {
		case <-within.Done():
			return false
		case <-tick.C:
		}
	}
}

// insist is an officer, and an operator, who do what is needed until the batch is signed.
func (r *rig) insist(ctx context.Context, t *testing.T, b *job, res *result) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		switch r.status(ctx, b) {
		case "SIGNED":
			return true
		case "SEALED", "NEEDS_AUTHORISATION":
			// What was asked for, and lost with its code, would hold the batch until it expires.
			b.waiting = r.waits(t, b)
			within, cancel := context.WithTimeout(ctx, 10*time.Second)
			if err := r.authorise(within, b); err == nil {
				res.authorised++
			} else {
				res.refusals[err.Error()]++
			}
			cancel()
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// exact takes the times of intents from their events: those of the intents are whole seconds.
func (e *evidence) exact(t *testing.T, db *sql.DB, b *job, records []audit.Record) {
	t.Helper()
	of := map[string]string{} // intents by transaction
	must(t, each(t.Context(), db, "SELECT id, transaction_id FROM intents WHERE batch_id = $1", []any{b.id}, func(row *sql.Rows) error {
		var id, tx string
		err := row.Scan(&id, &tx)
		of[tx] = id
		return err
	}))
	for _, rec := range records {
		if in, ok := e.intents[of[rec.Object]]; ok && rec.Action == "signer.authorize" && rec.Verdict == audit.Accepted && rec.At.After(in.created) {
			in.created = rec.At
			e.intents[of[rec.Object]] = in
		}
	}
}

// waits is the transaction of a batch that waits to be confirmed, of the database.
func (r *rig) waits(t *testing.T, b *job) (id string) {
	t.Helper()
	db := r.database(t)
	defer db.Close()
	must(t, each(t.Context(), db, "SELECT id FROM transactions WHERE batch_id = $1 AND status = 'WAITING'", []any{b.id}, func(row *sql.Rows) error { return row.Scan(&id) }))
	return id
}

func (r *rig) database(t *testing.T) *sql.DB {
	t.Helper()
	driver, address := r.driver, r.address
	if driver == "" {
		driver, address = "sqlite", "file:"+filepath.Join(r.dir, "mohor.db")+"?mode=ro&_pragma=busy_timeout(15000)"
	}
	db, err := sql.Open(driver, address)
	must(t, err)
	return db
}

// awkward are names that a page and a text extractor may get wrong.
var awkward = []string{"NUR AISYAH BINTI MOHD YUSOF", "SUBRAMANIAM A/L PERIASAMY", "KAVITHA A/P MUNIANDY", "D'CRUZ ANAK JUGAH", "DAYANG NURFAIZAH @ FAIZAH BINTI AWANG DOLLAH",
	"JOSÉ MARÍA NÚÑEZ-O’BRIEN", "TAN, MEI LING", "LIM & SONS <QA>", `WONG "JIMMY" KAH-FAI`, "ÅSA ŁUKASIEWICZ ŞAHİN", "=HYPERLINK(1)", "-1+1", "VENKATANARASIMHARAJUVARIPETA BINTI SYED ABDUL RAHMAN AL-HABSYI BIN TENGKU MAHKOTA", "FI FL FFI"}

// newList is a sealed batch of eCertificates, with names that are hard to print.
func (r *rig) newList(t *testing.T, n int) *job {
	t.Helper()
	b := &job{rows: map[string]string{}}
	var made struct {
		ID string `json:"batch_id"`
	}
	ctx := t.Context()
	if status, err := r.do(ctx, "POST", "/v1/batches", map[string]string{"name": "Kempen sijil", "kind": "ecert"}, &made); err != nil || status != 201 {
		t.Fatalf("opening a batch: %d, %v", status, err)
	}
	b.id = made.ID
	list := b.list(n)
	r.mu.Lock()
	dev := r.dev
	r.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, dev.BaseURL+"/v1/batches/"+b.id+"/items", bytes.NewReader(list))
	must(t, err)
	req.Header.Set("X-API-Key", string(dev.APIKey.Reveal()))
	req.Header.Set("Content-Type", "text/csv")
	resp, err := r.client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	var in struct{ Accepted int }
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	if err := json.Unmarshal(raw, &in); err != nil || resp.StatusCode != 200 || in.Accepted == 0 {
		t.Fatalf("adding candidates: %d, %v: %.500s", resp.StatusCode, err, raw)
	}
	if status, err := r.do(ctx, "POST", "/v1/batches/"+b.id+"/seal", map[string]bool{"accept_refused": true}, nil); err != nil || status != 200 {
		t.Fatalf("sealing: %d, %v", status, err)
	}
	db := r.database(t)
	defer db.Close()
	must(t, each(ctx, db, "SELECT digest FROM items WHERE batch_id = $1 ORDER BY idx", []any{b.id}, func(row *sql.Rows) error {
		var d []byte
		err := row.Scan(&d)
		b.digests = append(b.digests, d)
		return err
	}))
	if len(b.digests) != in.Accepted {
		t.Fatalf("%d rows were taken in, %d are stored", in.Accepted, len(b.digests))
	}
	return b
}

// list is the file of candidates, and fills in b.rows.
func (b *job) list(n int) []byte {
	var list bytes.Buffer
	list.WriteString("nama,no_kp,no_sijil,kod_program,nama_program,tahap,kod_pusat,pusat,batch,tahun,bahasa\n")
	of := strings.ToUpper(b.id[len(b.id)-8:])
	for k := range n {
		name, number := awkward[k%len(awkward)], fmt.Sprintf("%s-%05d", of, k)
		b.rows[number] = name
		fmt.Fprintf(&list, "\"%s\",%02d010114%04d,%s,TP-021-%d:2013,PENYEDIAAN DAN PEMBUATAN MAKANAN,SKM %[5]d,CTH-0601,SLDN HOTEL & RESORT PULAU CONTOH,2021/07-A,072021,%s\n",
			strings.ReplaceAll(name, `"`, `""`), 70+k%30, k, number, k%3+1, []string{"ms", "en"}[k%2])
	}
	return list.Bytes()
}

// archived is the archive of a batch: the files by certificate number. One that the gateway does
// not give whole has none.
func (r *rig) archived(t *testing.T, b *job) map[string]*zip.File {
	t.Helper()
	r.mu.Lock()
	dev := r.dev
	r.mu.Unlock()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, dev.BaseURL+"/v1/batches/"+b.id+"/archive", nil)
	must(t, err)
	req.Header.Set("X-API-Key", string(dev.APIKey.Reveal()))
	whole := *r.client
	whole.Timeout = 10 * time.Minute
	resp, err := whole.Do(req)
	if err != nil {
		t.Logf("archive: %v", err)
		return nil
	}
	defer resp.Body.Close()
	path := filepath.Join(t.TempDir(), "archive.zip")
	f, err := os.Create(path)
	must(t, err)
	_, err = io.Copy(f, resp.Body)
	must(t, f.Close())
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Logf("archive: %d, %v", resp.StatusCode, err)
		return nil
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Logf("archive: %v", err)
		return nil
	}
	t.Cleanup(func() { must(t, z.Close()) })
	files := map[string]*zip.File{}
	for _, f := range z.File {
		number, isPDF := strings.CutSuffix(filepath.Base(f.Name), ".pdf")
		if !isPDF {
			continue
		}
		_, number, _ = strings.Cut(number, "-") // before it is the place in the batch
		if files[number] != nil {
			number += " again"
		}
		files[number] = f
	}
	return files
}

func unzipped(t *testing.T, f *zip.File) []byte {
	t.Helper()
	rc, err := f.Open()
	must(t, err)
	content, err := io.ReadAll(rc)
	if must(t, rc.Close()); err != nil {
		t.Logf("archive: %s: %v", f.Name, err)
	}
	return content
}

// root is the sandbox's root certificate.
func (r *rig) root(t *testing.T) *x509.Certificate {
	t.Helper()
	raw, err := os.ReadFile(r.dev.RootCert)
	must(t, err)
	block, _ := pem.Decode(raw)
	root, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return root
}

// wrongFiles is what must not be in the output of a batch of certificates.
func (r *rig) wrongFiles(t *testing.T, b *job) (violations []string) {
	t.Helper()
	bad := func(format string, a ...any) { violations = append(violations, fmt.Sprintf(format, a...)) }
	files := r.archived(t, b)
	if len(files) != len(b.digests) {
		bad("the archive has %d files for %d documents", len(files), len(b.digests))
	}
	roots := x509.NewCertPool()
	roots.AddCert(r.root(t))
	authorised := map[string]bool{}
	for _, d := range b.digests {
		authorised[hex.EncodeToString(d)] = true
	}
	for _, number := range slices.Sorted(maps.Keys(files)) {
		f := unzipped(t, files[number])
		rep, err := verify.Verify(t.Context(), bytes.NewReader(f), int64(len(f)), verify.Options{Roots: roots, Now: time.Now()})
		if err != nil || rep.Verdict != verify.Valid || len(rep.Signatures) != 1 || !rep.Signatures[0].Covers {
			bad("certificate %s of %d bytes: %v, %s with %d signatures: %+v", number, len(f), err, rep.Verdict, len(rep.Signatures), rep.Reasons)
			continue
		}
		// The document as it was authorised is what stands before the end of its first revision.
		end := bytes.Index(f, []byte("%%EOF"))
		found := false
		for cut := end + len("%%EOF"); end >= 0 && cut <= min(len(f), end+len("%%EOF")+2); cut++ {
			sum := sha256.Sum256(f[:cut])
			if key := hex.EncodeToString(sum[:]); authorised[key] {
				delete(authorised, key)
				found = true
			}
		}
		if !found {
			bad("certificate %s is of no document that was authorised, or of one that another is of", number)
		}
	}
	if len(authorised) > 0 {
		bad("%d documents have no certificate", len(authorised))
	}
	return violations
}
