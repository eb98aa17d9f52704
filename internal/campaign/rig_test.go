package campaign_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/hsm/hsmtest"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/sandbox"
)

// What makes the test binary a gateway: its folder, and whether recovery is off or the token inside;
// and what makes it the process that holds the token.
const (
	childEnv   = "MOHOR_CAMPAIGN_DIR"
	controlEnv = "MOHOR_CAMPAIGN_CONTROL"
	insideEnv  = "MOHOR_CAMPAIGN_INSIDE"
	tokenEnv   = "MOHOR_CAMPAIGN_TOKEN"
	// auditEnv makes it a process that verifies and prints the audit of that folder.
	auditEnv = "MOHOR_CAMPAIGN_AUDIT"
	// databaseEnv is the database that the first start is to make, passwordEnv the
	// file with its password.
	databaseEnv = "MOHOR_CAMPAIGN_DATABASE"
	passwordEnv = "MOHOR_CAMPAIGN_DATABASE_PASSWORD_FILE"
)

func TestMain(m *testing.M) {
	if os.Getenv(tokenEnv) != "" {
		if err := gateway.TokenProcess(slog.New(slog.NewTextHandler(os.Stderr, nil)), os.Exit); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(childEnv); dir != "" {
		os.Unsetenv(childEnv) // not for the process that the gateway starts
		if err := serve(dir, os.Getenv(controlEnv) != ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(auditEnv); dir != "" {
		if err := printAudit(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func printAudit(dir string) error {
	if _, err := gateway.VerifyAudit(context.Background(), dir, ""); err != nil {
		return fmt.Errorf("audit chain: %w", err)
	}
	out := json.NewEncoder(os.Stdout)
	return gateway.ReadAudit(context.Background(), dir, "cli:test", "", time.Now, func(r audit.Record) error { return out.Encode(r) })
}

// auditOf is a gateway's audit, which verifies. It takes the token, and so a process that
// has the environment of the module.
func auditOf(ctx context.Context, dir string, env []string) (records []audit.Record, err error) {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(append(os.Environ(), auditEnv+"="+dir), env...)
	var told bytes.Buffer
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("reading audit: %w: %s", err, told.Bytes())
	}
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var r audit.Record
		if err := in.Decode(&r); errors.Is(err, io.EOF) {
			return records, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading audit: %w", err)
		}
		records = append(records, r)
	}
}

// tokenProcess is the process that holds the token.
func tokenProcess() *exec.Cmd {
	return &exec.Cmd{Path: os.Args[0], Env: append(os.Environ(), tokenEnv+"=1"), Stderr: os.Stderr}
}

// serve is a gateway until standard input ends.
func serve(dir string, control bool) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, l, _, err := gateway.Dev(context.Background(), options(dir, control, log))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	fmt.Println("ready")
	err = s.Run(ctx, l)
	return errors.Join(err, s.CloseAll())
}

// options are those of the gateway under test. The control is the same gateway without breaker and
// recovery, which must fail.
func options(dir string, control bool, log *slog.Logger) gateway.DevOptions {
	o := gateway.DevOptions{Dir: dir, Listen: "127.0.0.1:0", CAKey: "ECDSA-P256", NoRecovery: control, Database: os.Getenv(databaseEnv), DatabasePasswordFile: os.Getenv(passwordEnv), Now: time.Now, Log: log}
	if os.Getenv(insideEnv) == "" {
		o.Process = tokenProcess
	}
	if path := os.Getenv(pointsEnv); path != "" {
		o.Change = pointed(path, os.Getenv(reversedEnv))
	}
	return o
}

// rig is a gateway in a process of its own in front of the faulty module, and a supervisor that
// starts it again when it dies, as an installation has one.
type rig struct {
	*hsmtest.Faulty
	dir     string
	control bool
	env     []string // besides that of the module
	work    string   // where it runs; "" is where the test does
	points  string   // file of [points]; "" for none
	driver  string   // and address of its database, past any proxy; "" is a file in dir
	address string
	log     *os.File
	public  *ecdsa.PublicKey
	client  *http.Client

	mu      sync.Mutex
	child   *process
	deaths  int
	dev     sandbox.DevFile
	stopped bool
}

type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{} // closed when it is gone
}

func newRig(t *testing.T, control bool) *rig {
	t.Helper()
	return newRigWith(t, &rig{control: control})
}

// newRigWith fills in what r leaves open; pairs are edits of the configuration.
func newRigWith(t *testing.T, r *rig, pairs ...string) *rig {
	t.Helper()
	module := softHSM(t)
	r.dir, r.client = filepath.Join(t.TempDir(), "gateway"), &http.Client{Timeout: probeLimit}
	var err error
	r.log, err = os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	t.Cleanup(func() { r.log.Close() })
	r.Faulty = hsmtest.New(t, module)
	t.Cleanup(func() { r.stop(t) })
	// The first start makes everything, without faults; then the module is exchanged.
	r.start(t)
	r.stop(t)
	edit(t, r.dir, append(pairs, "\n  module: \"\"\n", "\n  module: \""+r.Module+"\"\n")...)
	r.start(t)
	r.findKey(t)
	return r
}

// softHSM is the real module's path.
func softHSM(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
		t.Fatal("SoftHSM is required and missing")
	}
	t.Skip("SoftHSM is missing")
	return ""
}

func (r *rig) start(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = false
	must(t, r.spawn())
}

// spawn starts the gateway and waits until it serves. Called with r.mu held.
func (r *rig) spawn() error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+r.dir)
	if *inside {
		cmd.Env = append(cmd.Env, insideEnv+"=1")
	}
	cmd.Env = append(append(cmd.Env, r.Env...), r.env...)
	if r.control {
		cmd.Env = append(cmd.Env, controlEnv+"=1")
	}
	if r.points != "" {
		cmd.Env = append(cmd.Env, pointsEnv+"="+r.points)
	}
	cmd.Stderr, cmd.Dir = r.log, r.work
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{cmd, stdin, make(chan struct{})}
	ready := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(stdout, ready); err != nil {
		return fmt.Errorf("the gateway did not start: %w", errors.Join(err, cmd.Wait()))
	}
	go func() {
		_ = cmd.Wait() // how it ended is in the log
		close(p.ended)
		r.died(p)
	}()
	if r.dev, err = sandbox.ReadDevFile(filepath.Join(r.dir, gateway.DevFile)); err != nil {
		return err
	}
	r.child = p
	return nil
}

// died is the supervisor. While the module is away a start may fail, and is tried again.
func (r *rig) died(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.child != p {
		return
	}
	r.deaths++
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		if r.stopped || r.spawn() == nil {
			return
		}
		r.mu.Unlock()
		<-tick.C
		r.mu.Lock()
	}
}

// stop ends the gateway in order, or by force when it does not.
func (r *rig) stop(t testing.TB) {
	r.mu.Lock()
	r.stopped = true
	p := r.child
	r.child = nil
	r.mu.Unlock()
	if p == nil {
		return
	}
	_ = p.stdin.Close()
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		t.Error("the gateway did not stop in 30 s")
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// kill ends the gateway at once and starts it again: what is done about one that does not recover.
func (r *rig) kill(t testing.TB) {
	r.mu.Lock()
	r.stopped = true
	p := r.child
	r.mu.Unlock()
	if p != nil {
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	r.start(t)
}

// findKey reads the officer's public key from the API.
func (r *rig) findKey(t *testing.T) {
	t.Helper()
	var got struct {
		Media []struct {
			Credential  string `json:"credential_id"`
			Certificate struct{ DER []byte }
		}
	}
	if status, err := r.do(t.Context(), "GET", "/v1/officers/"+r.dev.Officers[0].IC+"/medium", nil, &got); err != nil || status != 200 {
		t.Fatalf("medium: %d, %v", status, err)
	}
	for _, m := range got.Media {
		cert, err := x509.ParseCertificate(m.Certificate.DER)
		must(t, err)
		if pub, ok := cert.PublicKey.(*ecdsa.PublicKey); ok && m.Credential == r.credential() {
			r.public = pub
		}
	}
	if r.public == nil {
		t.Fatal("the officer has no P-256 key")
	}
}

// credential is the first officer's P-256 key.
func (r *rig) credential() string {
	for _, c := range r.dev.Officers[0].Credentials {
		if strings.HasPrefix(c.Key, "ECDSA") {
			return c.CredentialID
		}
	}
	return ""
}

// do sends a request: body is nil, []byte (NDJSON) or encoded as JSON; out may be nil. An error
// means that there was no answer.
func (r *rig) do(ctx context.Context, method, path string, body, out any) (status int, err error) {
	r.mu.Lock()
	dev := r.dev
	r.mu.Unlock()
	var rd io.Reader
	contentType := ""
	switch b := body.(type) {
	case nil:
	case []byte:
		rd, contentType = bytes.NewReader(b), "application/x-ndjson"
	default:
		p, err := json.Marshal(b)
		if err != nil {
			return 0, err
		}
		rd, contentType = bytes.NewReader(p), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, method, dev.BaseURL+path, rd)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-API-Key", string(dev.APIKey.Reveal()))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && out != nil && resp.StatusCode < 300 {
		err = json.Unmarshal(raw, out)
	}
	return resp.StatusCode, err
}

// job is a sealed batch of digests.
type job struct {
	id      string
	rows    map[string]string // of eCertificates: the name by the number
	digests [][]byte
	waiting string // a transaction that was not confirmed
	signing string // one that was
}

func (r *rig) newJob(t *testing.T, n int) *job {
	t.Helper()
	b := &job{}
	var lines bytes.Buffer
	for k := range n {
		d := make([]byte, 32)
		_, _ = rand.Read(d) // never fails
		b.digests = append(b.digests, d)
		fmt.Fprintf(&lines, `{"name":"dokumen %d","digest":{"alg":"SHA-256","value":%q}}`+"\n", k, base64.StdEncoding.EncodeToString(d))
	}
	var made struct {
		ID string `json:"batch_id"`
	}
	ctx := t.Context()
	if status, err := r.do(ctx, "POST", "/v1/batches", map[string]string{"name": "Kempen", "kind": "digest"}, &made); err != nil || status != 201 {
		t.Fatalf("opening a batch: %d, %v", status, err)
	}
	b.id = made.ID
	if status, err := r.do(ctx, "POST", "/v1/batches/"+b.id+"/items", lines.Bytes(), nil); err != nil || status != 200 {
		t.Fatalf("adding items: %d, %v", status, err)
	}
	if status, err := r.do(ctx, "POST", "/v1/batches/"+b.id+"/seal", nil, nil); err != nil || status != 200 {
		t.Fatalf("sealing: %d, %v", status, err)
	}
	return b
}

// status of a batch; "" when the gateway does not say.
func (r *rig) status(ctx context.Context, b *job) string {
	var got struct{ Status string }
	if code, err := r.do(ctx, "GET", "/v1/batches/"+b.id, nil, &got); err != nil || code != 200 {
		return ""
	}
	return got.Status
}

// confirmation is what the officer needs to confirm a transaction.
type confirmation struct {
	ID    string `json:"transaction_id"`
	Nonce string
}

// authorise is the officer: asks for a code, reads the mail, gives PIN and code. It says whether
// the gateway took them; what it answers otherwise is for the next try.
func (r *rig) authorise(ctx context.Context, b *job) error {
	// A transaction that was not confirmed would hold the batch until it expires.
	if b.waiting != "" {
		if status, err := r.do(ctx, "DELETE", "/v1/transactions/"+b.waiting, nil, nil); err != nil || status >= 500 {
			return refused("cancelling", status, err)
		}
		b.waiting = ""
	}
	o := r.dev.Officers[0]
	asked := time.Now()
	var tx confirmation
	format := "RAW"
	if b.rows != nil {
		format = "PADES"
	}
	ask := map[string]any{"ic": o.IC, "system": r.dev.System, "format": format, "batch_id": b.id, "credential_id": r.credential()}
	if status, err := r.do(ctx, "POST", "/v1/transactions", ask, &tx); err != nil || status != 201 {
		return refused("asking", status, err)
	}
	b.waiting = tx.ID
	code, err := r.code(ctx, o.Email, asked)
	if err != nil {
		return err
	}
	status, err := r.do(ctx, "POST", "/v1/transactions/"+tx.ID+"/sign", map[string]string{"nonce": tx.Nonce, "pin": string(o.PIN.Reveal()), "otp": code}, nil)
	if err != nil || status != 202 {
		return refused("confirming", status, err)
	}
	b.waiting, b.signing = "", tx.ID
	return nil
}

// refused is an error that names no address, so that equal ones can be counted.
func refused(what string, status int, err error) error {
	if err != nil {
		return errors.New(what + ": no answer")
	}
	return fmt.Errorf("%s: %d", what, status)
}

// code waits for a mail that was sent after a moment.
func (r *rig) code(ctx context.Context, to string, after time.Time) (string, error) {
	tick := time.NewTicker(25 * time.Millisecond) // there is a rate limit
	defer tick.Stop()
	for {
		var mails []struct {
			Code       string    `json:"code"`
			ReceivedAt time.Time `json:"received_at"`
		}
		if status, err := r.do(ctx, "GET", "/dev/mailbox.json?to="+to, nil, &mails); err != nil || status != 200 {
			return "", refused("reading the mailbox", status, err)
		}
		for _, m := range mails { // newest first; notices hold no code
			if m.Code != "" && m.ReceivedAt.After(after) {
				return m.Code, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}
