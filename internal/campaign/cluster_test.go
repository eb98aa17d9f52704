package campaign_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/hsm/hsmtest"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/store/ephemeral/redistest"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

// cluster is gateways, each in a process of its own, over one token, one database,
// one Redis and one folder of documents.
type cluster struct {
	*hsmtest.Faulty
	nodes []*rig

	// Of two nodes; with one they are nil, the database is a file and codes are in
	// the gateway's memory.
	pg       *pgtest.Server
	redis    *redistest.Server
	watched  *redistest.Cluster // by Sentinels, instead of redis
	pgSocket string
	toPG     *proxy
	toRedis  *proxy

	driver, address string // of the database, past the proxy

	home *testing.T // the cluster's own, longer than those of single faults
}

// newSingle is one gateway with SQLite and codes in memory.
func newSingle(t *testing.T) *cluster {
	r := newRig(t, false)
	r.client = patient()
	return &cluster{home: t, Faulty: r.Faulty, nodes: []*rig{r}, driver: "sqlite", address: "file:" + filepath.Join(r.dir, "mohor.db") + "?mode=ro&_pragma=busy_timeout(15000)"}
}

// newCluster is two gateways with PostgreSQL and Redis. The second is made as
// docs/operating.md says: of the first one's configuration and secrets, with an
// address of its own.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	return newClusterWith(t)
}

// newClusterWith edits the configuration.
func newClusterWith(t *testing.T, pairs ...string) *cluster {
	t.Helper()
	module := softHSM(t)
	c := &cluster{home: t, driver: "pgx", pg: pgtest.Start(t), redis: redistest.Start(t)}
	var err error
	c.address, err = c.pg.Database(t.Context())
	must(t, err)
	c.assemble(t, module, "mohor", "", pairs...)
	return c
}

// newWatched is two gateways that ask Sentinels where Redis is.
func newWatched(t *testing.T) *cluster {
	t.Helper()
	module := softHSM(t)
	c := &cluster{home: t, driver: "pgx", pg: pgtest.Start(t), watched: redistest.StartCluster(t, redistest.Setup{Replicas: 2, Sentinels: 3})}
	var err error
	c.address, err = c.pg.Database(t.Context())
	must(t, err)
	c.assemble(t, module, "mohor", "")
	return c
}

// assemble starts both gateways, as a user of the database with a password in a
// file, or none; pairs are edits of the configuration.
func (c *cluster) assemble(t *testing.T, module, user, password string, pairs ...string) {
	t.Helper()
	at, err := url.Parse(c.address)
	must(t, err)
	c.pgSocket = filepath.Join(at.Query().Get("host"), ".s.PGSQL.5432")
	c.toPG = newProxy(t, c.pgSocket)
	if c.watched != nil {
		pairs = append(pairs, "sentinels: []", fmt.Sprintf(`sentinels: ["%s"]`, strings.Join(c.watched.Addresses, `", "`)), `master: ""`, fmt.Sprintf("master: %q", c.watched.Name))
	} else if c.redis != nil {
		c.toRedis = newProxy(t, c.redis.Address)
		pairs = append(pairs, `address: ""`, fmt.Sprintf("address: %q", c.toRedis.address))
	}
	c.Faulty = hsmtest.New(t, module)
	first := c.newNode(t, "a")
	first.env = []string{databaseEnv + "=postgres://" + user + "@" + c.toPG.address + at.Path + "?sslmode=disable", passwordEnv + "=" + password}
	first.start(t)
	first.stop(t)
	edit(t, first.dir, append(pairs, "\n  module: \"\"\n", "\n  module: \""+c.Module+"\"\n")...)
	second := c.newNode(t, "b")
	join(t, first.dir, second.dir)
	for _, n := range c.nodes {
		n.start(t)
	}
}

func (c *cluster) newNode(t *testing.T, name string) *rig {
	t.Helper()
	r := &rig{Faulty: c.Faulty, dir: filepath.Join(t.TempDir(), name), client: patient()}
	var err error
	r.log, err = os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	t.Cleanup(func() { r.log.Close() })
	t.Cleanup(func() { r.stop(t) })
	c.nodes = append(c.nodes, r)
	return r
}

// patient waits longer than any judgement lasts, over as many connections as a
// round has submissions.
func patient() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
}

// join makes a second node's folder.
func join(t *testing.T, first, second string) {
	t.Helper()
	must(t, os.CopyFS(filepath.Join(second, "secrets"), os.DirFS(filepath.Join(first, "secrets"))))
	for _, name := range []string{gateway.ConfigFile, "audit-seal.pem", "root.pem", gateway.DevFile} {
		b, err := os.ReadFile(filepath.Join(first, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(second, name), b, 0o600))
	}
	for _, name := range []string{"token.pin", "token-so.pin"} {
		must(t, os.Chmod(filepath.Join(second, "secrets", name), 0o600))
	}
	conf, err := os.ReadFile(filepath.Join(second, gateway.ConfigFile))
	must(t, err)
	_, rest, _ := strings.Cut(string(conf), "\nlisten: ")
	listen, _, _ := strings.Cut(rest, "\n")
	edit(t, second, "\nlisten: "+listen, "\nlisten: \"127.0.0.1:0\"", `blobs: "blobs"`, fmt.Sprintf("blobs: %q", filepath.Join(first, "blobs")),
		`softhsm_conf: "token/softhsm2.conf"`, fmt.Sprintf("softhsm_conf: %q", filepath.Join(first, "token", "softhsm2.conf")))
}

// edit replaces texts in the configuration of a folder.
func edit(t *testing.T, dir string, pairs ...string) {
	t.Helper()
	path := filepath.Join(dir, gateway.ConfigFile)
	conf, err := os.ReadFile(path)
	must(t, err)
	for k := 0; k < len(pairs); k += 2 {
		if !bytes.Contains(conf, []byte(pairs[k])) {
			t.Fatalf("no %q in the configuration", pairs[k])
		}
		conf = bytes.Replace(conf, []byte(pairs[k]), []byte(pairs[k+1]), 1)
	}
	must(t, os.WriteFile(path, conf, 0o600))
}

// answer is what a submission was told.
type answer struct {
	status int
	code   string // of the problem, or "no answer"
	wait   bool   // with Retry-After
}

func (a answer) String() string {
	if a.code == "" {
		return fmt.Sprint(a.status)
	}
	return fmt.Sprint(a.status, " ", a.code)
}

// send sends a request to a node; out may be nil.
func (r *rig) send(ctx context.Context, method, path string, body, out any) answer {
	p, err := json.Marshal(body)
	if err != nil {
		return answer{code: "no answer"}
	}
	r.mu.Lock()
	dev := r.dev
	r.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, method, dev.BaseURL+path, bytes.NewReader(p))
	if err != nil {
		return answer{code: "no answer"}
	}
	req.Header.Set("X-API-Key", string(dev.APIKey.Reveal()))
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return answer{code: "no answer"}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{code: "no answer"}
	}
	a := answer{status: resp.StatusCode, wait: resp.Header.Get("Retry-After") != ""}
	if resp.StatusCode >= 300 {
		var problem struct{ Code string }
		_ = json.Unmarshal(raw, &problem) // one without a code is none that is documented
		a.code = problem.Code
	} else if out != nil && json.Unmarshal(raw, out) != nil {
		a.code = "no answer"
	}
	return a
}

// round is one code and all that was submitted with it.
type round struct {
	officer int
	digest  []byte
	tx      confirmation
	code    string
	asked   answer
	answers []answer // of the submissions
}

// won counts the submissions that were told of a signature.
func (d *round) won() (n int) {
	for _, a := range d.answers {
		if a.status == http.StatusOK {
			n++
		}
	}
	return n
}

// ask has a node send a code to an officer; asked says what became of it.
func (c *cluster) ask(ctx context.Context, n *rig, officer int) *round {
	d := &round{officer: officer, digest: make([]byte, 32)}
	_, _ = rand.Read(d.digest) // never fails
	o, from := n.dev.Officers[officer], time.Now()
	key := ""
	for _, k := range o.Credentials {
		if strings.HasPrefix(k.Key, "ECDSA") {
			key = k.CredentialID
		}
	}
	d.asked = n.send(ctx, "POST", "/v1/transactions", map[string]any{"ic": o.IC, "system": n.dev.System, "format": "RAW", "credential_id": key,
		"documents": []any{map[string]any{"name": "baucar", "digest": map[string]string{"alg": "SHA-256", "value": base64.StdEncoding.EncodeToString(d.digest)}}}}, &d.tx)
	if d.asked.status != http.StatusCreated {
		return d
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var err error
	if d.code, err = n.code(ctx, o.Email, from); err != nil {
		d.asked = answer{code: "no mail"}
	}
	return d
}

// submit confirms with a code.
func (n *rig) submit(ctx context.Context, d *round, code string) answer {
	var got struct{ Status string }
	a := n.send(ctx, "POST", "/v1/transactions/"+d.tx.ID+"/sign", map[string]string{"nonce": d.tx.Nonce, "pin": string(n.dev.Officers[d.officer].PIN.Reveal()), "otp": code}, &got)
	if a.status == http.StatusOK && got.Status != "SIGNED" {
		a.code = "status " + got.Status
	}
	return a
}

// wrong is another code of six digits.
func wrong(code string) string { return string('0'+(code[0]-'0'+1)%10) + code[1:] }
