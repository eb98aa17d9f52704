package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"testing"

	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
)

// Certificates of an earlier release get the hash of their key when the database is
// opened; what is no certificate is passed over.
func TestKeysOfEarlierCertificatesAreHashed(t *testing.T) {
	ctx := context.Background()
	for name, start := range map[string]func(t *testing.T) (db *store.DB, driver, address string, again func() *store.DB){
		"SQLite": func(t *testing.T) (*store.DB, string, string, func() *store.DB) {
			db, path := storetest.SQLite(t)
			return db, "sqlite", path, func() *store.DB {
				return storetest.OpenSQLite(t, path)
			}
		},
		"PostgreSQL": func(t *testing.T) (*store.DB, string, string, func() *store.DB) {
			db, address := storetest.Postgres(t)
			return db, "pgx", address, func() *store.DB { return storetest.OpenPostgres(t, address) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, driver, address, again := start(t)
			h := storetest.NewHouse(t, db)
			want, err := db.CertificateBySerial(ctx, h.Credential.Serial)
			if err != nil || len(want.Key) != 32 {
				t.Fatalf("hash of %d bytes, %v", len(want.Key), err)
			}
			c, err := sql.Open(driver, address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if driver == "sqlite" {
				_, err = c.Exec("UPDATE certificates SET key_hash = x''; UPDATE certificates SET der = x'01' WHERE credential_id = 'authority:tsa'")
			} else {
				_, err = c.Exec("UPDATE certificates SET key_hash = ''; UPDATE certificates SET der = '\\x01' WHERE credential_id = 'authority:tsa'")
			}
			if err != nil {
				t.Fatal(err)
			}
			next := again()
			if got, err := next.CertificateBySerial(ctx, h.Credential.Serial); err != nil || !bytes.Equal(got.Key, want.Key) {
				t.Errorf("%x, want %x, %v", got.Key, want.Key, err)
			}
			if got, err := next.CertificatesByKey(ctx, want.Key); err != nil || len(got) != 1 {
				t.Errorf("%d certificates of the key, %v", len(got), err)
			}
		})
	}
}
