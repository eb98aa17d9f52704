package gateway_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

// approving is what a child process is told.
type approving struct {
	Dir, Database string
	Do            string // "prepare", "approve", "finish"
	At            string // where it is to be killed, at the Nth of its kind
	Nth           int64
	Officers      int
	Later         time.Duration // its clock is ahead by so much
}

const approvingVariable = "MOHOR_TEST_APPROVING"

// deadly counts what is done and dies at one of it. Signatures are on record in a file,
// which outlives it, before anything else learns of them.
type deadly struct {
	told  *approving
	count atomic.Int64
	mu    sync.Mutex
	log   *os.File
}

func (d *deadly) step(what string, f func() error) error {
	if d.told.At == "before "+what && d.count.Add(1) == d.told.Nth {
		dies()
	}
	err := f()
	if d.told.At == "after "+what && d.count.Add(1) == d.told.Nth {
		dies()
	}
	return err
}

func dies() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

type deadlyRecords struct {
	ca.Records
	d *deadly
}

func (r *deadlyRecords) ReserveSerial(ctx context.Context, c ca.Certificate, ev audit.Event) error {
	return r.d.step("reserve", func() error { return r.Records.ReserveSerial(ctx, c, ev) })
}

func (r *deadlyRecords) StoreCertificate(ctx context.Context, serial string, der []byte, ev audit.Event) error {
	return r.d.step("store", func() error { return r.Records.StoreCertificate(ctx, serial, der, ev) })
}

type enrolments = enrol.Enrolments

type deadlyEnrolments struct {
	enrolments
	d *deadly
}

func (r *deadlyEnrolments) Change(ctx context.Context, c enrol.Change) error {
	return r.d.step(strings.ToLower(string(c.To)), func() error { return r.enrolments.Change(ctx, c) })
}

type deadlyKeys struct {
	ca.Keys
	d *deadly
}

func (k *deadlyKeys) Signer(ctx context.Context, name string) (crypto.Signer, error) {
	s, err := k.Keys.Signer(ctx, name)
	return &deadlySigner{s, k.d}, err
}

type deadlySigner struct {
	crypto.Signer
	d *deadly
}

func (s *deadlySigner) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) (sig []byte, err error) {
	err = s.d.step("sign", func() error {
		if sig, err = s.Signer.Sign(r, digest, o); err != nil {
			return err
		}
		s.d.mu.Lock()
		defer s.d.mu.Unlock()
		_, err = fmt.Fprintf(s.d.log, "%x\n", digest)
		return err
	})
	return sig, err
}

// The child: it does what it is told, if it lives.
func TestApprovingChild(t *testing.T) {
	text := os.Getenv(approvingVariable)
	if text == "" {
		return
	}
	var told approving
	check(t, json.Unmarshal([]byte(text), &told))
	ctx := t.Context()
	office, err := gateway.OpenOffice(ctx, told.Dir, told.Database, func() time.Time { return time.Now().Add(told.Later) }, told.Officers)
	check(t, err)
	defer func() { check(t, office.Close()) }()
	if told.Do == "prepare" {
		check(t, office.Prepare(ctx))
		return
	}
	log, err := os.OpenFile(filepath.Join(told.Dir, "signed"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	check(t, err)
	d := &deadly{told: &told, log: log}
	desk, err := office.Desk(ctx, func(k ca.Keys, r ca.Records, e enrol.Enrolments) (ca.Keys, ca.Records, enrol.Enrolments) {
		return &deadlyKeys{k, d}, &deadlyRecords{r, d}, &deadlyEnrolments{e, d}
	})
	check(t, err)
	jdn := enrol.Actor{Name: "bench:jdn", IC: "700101105551", Appointments: []enrol.Appointment{{Role: enrol.JDN}}}
	in := func(s enrol.State) (ids []string) {
		list, err := desk.Records.Enrolments(ctx, enrol.Filter{State: s, Until: time.Now().Add(told.Later + time.Hour), Limit: 1000})
		check(t, err)
		for _, e := range list {
			ids = append(ids, e.ID)
		}
		return ids
	}
	if told.Do == "finish" { // what was approved is completed by itself
		for ok := true; ok; {
			ok, err = desk.Once(ctx)
			check(t, err)
		}
		if left := in(enrol.Approved); len(left) > 0 {
			t.Errorf("approved, and never issued: %q", left)
		}
	}
	if ids := in(enrol.Validated); len(ids) > 0 {
		verdicts, err := desk.Bulk(ctx, jdn, enrol.Approve, ids, "Disemak dengan senarai")
		check(t, err)
		for _, v := range verdicts {
			check(t, v.Err)
		}
	}
	if n := len(in(enrol.Issued)); told.Do == "finish" && n != told.Officers {
		t.Errorf("%d of %d are issued", n, told.Officers)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Killed when the CA has signed and nothing is on record yet.
func TestKilledAfterASignature(t *testing.T) { killedAt(t, "after sign") }

func killedAt(t *testing.T, steps ...string) {
	for engine, database := range map[string]func(t *testing.T) (driver, address string){
		"SQLite": func(*testing.T) (string, string) { return "sqlite", "" },
		"PostgreSQL": func(t *testing.T) (string, string) {
			address, err := pgtest.Shared(t).Database(t.Context())
			check(t, err)
			return "pgx", address
		},
	} {
		t.Run(engine, func(t *testing.T) {
			for _, at := range steps {
				t.Run(strings.ReplaceAll(at, " ", "_"), func(t *testing.T) {
					driver, address := database(t)
					killedWhileApproving(t, driver, approving{Dir: t.TempDir(), Database: address, At: at, Nth: 7, Officers: 20})
				})
			}
		})
	}
}

// unsealed is a database to one who has the key of what it holds of people.
func unsealed(t *testing.T, name, address string, key []byte) *sql.DB {
	plain, err := sql.Open(name, address)
	check(t, err)
	check(t, plain.Close())
	keys, err := personal.NewKeys(key)
	check(t, err)
	lock := &personal.Lock{}
	lock.Unlock(keys)
	db := sql.OpenDB(personal.Connector{Connector: connector{plain.Driver(), address}, Lock: lock})
	t.Cleanup(func() { check(t, db.Close()) })
	return db
}

type connector struct {
	driver  driver.Driver
	address string
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.address) }
func (c connector) Driver() driver.Driver                        { return c.driver }

// killedWhileApproving demands that every signature is of a certificate on record, that no
// number is there twice, and that each officer has one certificate.
func killedWhileApproving(t *testing.T, engine string, told approving) {
	gatewaytest.Tool(t, "softhsm2-util")
	at := told.At
	for _, do := range []string{"prepare", "approve", "finish"} {
		told.Do, told.At = do, ""
		if do == "approve" {
			told.At = at
		}
		if do == "finish" {
			told.Later = time.Hour // all leases are over
		}
		text, err := json.Marshal(told)
		check(t, err)
		cmd := exec.Command(os.Args[0], "-test.run=^TestApprovingChild$")
		cmd.Env = append(os.Environ(), approvingVariable+"="+string(text))
		out, err := cmd.CombinedOutput()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if killed := status.Signaled() && status.Signal() == syscall.SIGKILL; killed != (do == "approve") || err != nil && !killed {
			t.Fatalf("%s: %v\n%s", do, err, out)
		}
	}
	office, err := gateway.OpenOffice(t.Context(), told.Dir, told.Database, time.Now, told.Officers)
	check(t, err)
	defer func() { check(t, office.Close()) }()
	key, err := office.PersonalKey(t.Context())
	check(t, err)
	if engine == "sqlite" {
		told.Database = filepath.Join(told.Dir, "many", "mohor.db")
	}
	db := unsealed(t, engine, told.Database, key)
	rows, err := db.QueryContext(t.Context(), "SELECT serial, credential_id, status, der, intent FROM certificates WHERE credential_id LIKE 'cr!_%' ESCAPE '!'")
	check(t, err)
	defer rows.Close()
	recorded, serials, holders, left := map[string]string{}, map[string]bool{}, map[string]bool{}, 0
	for rows.Next() {
		var serial, credential, status string
		var der, intent personal.Bytes
		check(t, rows.Scan(&serial, &credential, &status, &der, &intent))
		tbs := intent.V
		if status == ca.Active {
			c, err := x509.ParseCertificate(der.V)
			check(t, err)
			tbs = c.RawTBSCertificate
			if holders[credential] || c.SerialNumber.String() != serial {
				t.Errorf("a second certificate of %s, or another number than %s", credential, serial)
			}
			holders[credential] = true
		} else {
			left++
		}
		if serials[serial] || len(tbs) == 0 {
			t.Errorf("%s is there twice, or says nothing of what was to be signed", serial)
		}
		sum := sha256.Sum256(tbs)
		serials[serial], recorded[hex.EncodeToString(sum[:])] = true, serial
	}
	check(t, rows.Err())
	signed, err := os.ReadFile(filepath.Join(told.Dir, "signed"))
	check(t, err)
	once := map[string]bool{}
	for _, digest := range strings.Fields(string(signed)) {
		if recorded[digest] == "" || once[digest] {
			t.Errorf("%s was signed twice or is on no record", digest)
		}
		once[digest] = true
	}
	if len(holders) != told.Officers || len(once) < told.Officers || left > told.Officers {
		t.Errorf("%d certificates for %d officers, %d signatures, %d numbers left", len(holders), told.Officers, len(once), left)
	}
	t.Logf("%d certificates, %d signatures, %d numbers reserved for what nobody has seen", len(holders), len(once), left)
}
