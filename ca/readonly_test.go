package ca_test

import (
	"crypto"
	"crypto/x509"
	"database/sql"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

// readOnly opens a database and gives what makes it read-only, and writable again,
// for those who have it open already.
func readOnly(t *testing.T, engine string) (db *store.DB, lock, unlock []string, exec func(string)) {
	t.Helper()
	driver, address := "sqlite", ""
	if engine == "SQLite" {
		db, address = storetest.SQLite(t)
		lock = []string{"CREATE TRIGGER read_only BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'attempt to write a readonly database'); END"}
		unlock = []string{"DROP TRIGGER read_only"}
	} else {
		db, address = storetest.Postgres(t)
		driver = "pgx"
		name := address[strings.LastIndex(address, "/")+1:]
		name, _, _ = strings.Cut(name, "?")
		others := "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
		lock = []string{`ALTER DATABASE "` + name + `" SET default_transaction_read_only = on`, others}
		unlock = []string{"SET default_transaction_read_only = off", `ALTER DATABASE "` + name + `" SET default_transaction_read_only = off`, others}
	}
	admin, err := sql.Open(driver, address)
	must(t, err)
	admin.SetMaxOpenConns(1)
	t.Cleanup(func() { admin.Close() })
	return db, lock, unlock, func(statement string) {
		t.Helper()
		if _, err := admin.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
}

// While the database can only be read, OCSP answers as before and the last CRL is
// handed out until its end; nothing is revoked.
func TestReadOnlyDatabase(t *testing.T) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			db, lock, unlock, exec := readOnly(t, engine)
			a := bootstrappedOn(t, db, nil)
			issuing := a.Certificate(ca.Issuing)
			good, bad, held := a.officer(t), a.officer(t), a.officer(t)
			must(t, a.Revoke(ctx, "test", bad.SerialNumber.String(), 1))
			must(t, a.Suspend(ctx, "test", held.SerialNumber.String(), "x"))
			last := a.crl(t, ca.Issuing)
			for _, s := range lock {
				exec(s)
			}
			for range 16 { // a connection that the server has ended is noticed by its next use
				_ = db.Ping(ctx)
			}
			if err := a.Revoke(ctx, "test", good.SerialNumber.String(), 1); err == nil {
				t.Fatal("revoked in a database that cannot be written")
			}
			for a.now = a.now.Add(13 * time.Hour); a.now.Before(last.NextUpdate); a.now = a.now.Add(5 * time.Hour) {
				if _, err := a.CRL(ctx, ca.Issuing); err == nil {
					t.Error("a CRL was published")
				}
				if c, err := a.PublishedCRL(ctx, ca.Issuing); err != nil || c.Number != last.Number.Int64() {
					t.Errorf("CRL %d, %v", c.Number, err)
				}
				for _, nonce := range [][]byte{nil, octets(1, 2, 3)} {
					reply, _, err := a.OCSPReply(ctx, ocspQuery(t, nonce, about(t, crypto.SHA1, good.SerialNumber, issuing), about(t, crypto.SHA1, bad.SerialNumber, issuing), about(t, crypto.SHA256, held.SerialNumber, issuing)))
					must(t, err)
					for c, reason := range map[*x509.Certificate]int{good: -1, bad: 1, held: 6} {
						r, err := ocsp.ParseResponseForCert(reply, c, issuing)
						if err != nil || (r.Status == ocsp.Good) != (reason < 0) || reason > 0 && r.RevocationReason != reason {
							t.Errorf("reason %d: %+v, %v", reason, r, err)
						}
					}
				}
			}
			a.now = last.NextUpdate
			if c, err := a.PublishedCRL(ctx, ca.Issuing); err == nil {
				t.Errorf("at its end CRL %d is handed out", c.Number)
			}
			for _, s := range unlock {
				exec(s)
			}
			for range 16 { // at most: one for each connection that the server has ended
				if _, err := a.CRL(ctx, ca.Issuing); err == nil {
					break
				}
			}
			if l := a.crl(t, ca.Issuing); l.Number.Int64() != last.Number.Int64()+1 || len(l.RevokedCertificateEntries) != 2 {
				t.Errorf("afterwards: CRL %v of %d", l.Number, len(l.RevokedCertificateEntries))
			}
		})
	}
}
