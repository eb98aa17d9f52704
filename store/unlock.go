package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// ErrPersonalKey: the key given is not the one under which this database keeps what it holds of
// people. Nothing was read or written with it.
var ErrPersonalKey = errors.New("the personal fields of this database are sealed under another key")

// Facts in meta.
const (
	metaPersonalKey    = "personal_key_id" // of the key that this database is sealed under
	metaPersonalSealed = "personal_sealed" // "yes": nothing is left from before there was one
)

// Unlock gives the key ([personal.KeySize] bytes) of what the database holds of people, which
// can be read and written from then on. The first key ever given is the database's:
// [ErrPersonalKey] for another. What an earlier release left in clear is encrypted now, however
// long that takes; interrupted, the next Unlock goes on.
func (d *DB) Unlock(ctx context.Context, key []byte) error {
	keys, err := personal.NewKeys(key)
	if err != nil {
		return err
	}
	if err := d.claim(ctx, keys.ID()); err != nil {
		return err
	}
	d.fields.Unlock(keys)
	if err := d.sealOld(ctx); err != nil {
		return fmt.Errorf("encrypting personal fields: %w", err)
	}
	if err := d.hashKeys(ctx); err != nil {
		return err
	}
	return d.indexOld(ctx)
}

// HasPersonalKey says whether a key was given to this database.
func (d *DB) HasPersonalKey(ctx context.Context) (bool, error) {
	have, err := d.Meta(ctx, metaPersonalKey)
	return have != "", err
}

// claim makes a key the database's, or compares it.
func (d *DB) claim(ctx context.Context, id string) error {
	have, err := d.Meta(ctx, metaPersonalKey)
	if err != nil {
		return fmt.Errorf("reading the id of the key of personal fields: %w", err)
	}
	if have == "" {
		// Somebody may have taken the fact away.
		var actor string
		err := d.read.QueryRowContext(ctx, "SELECT actor FROM audit_events WHERE actor <> '' AND action NOT LIKE '"+tokenActions+"%' ORDER BY seq LIMIT 1").Scan(&actor)
		if err == nil && personal.IsSealed(actor) {
			return fmt.Errorf("%w: the database does not say which", ErrPersonalKey)
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("reading the first audit event: %w", err)
		}
		if err := d.PutMeta(ctx, metaPersonalKey, id); err != nil {
			return fmt.Errorf("storing the id of the key of personal fields: %w", err)
		}
		if have, err = d.Meta(ctx, metaPersonalKey); err != nil { // another process may have been first
			return fmt.Errorf("reading the id of the key of personal fields: %w", err)
		}
	}
	if have != id {
		return ErrPersonalKey
	}
	return nil
}

// sealable are the columns that say something of people, by table, and what each is. They are
// those of sqlc.yaml. Officers come first, whom others refer to, and the audit last (sealOld).
func sealable() []sealed {
	return []sealed{
		{"officers", "ic:ic name:name email:address"},
		{"media", "ic:ic"},
		{"certificates", "subject:dn der:bytes intent:bytes"},
		{"credentials", "ic:ic"},
		{"documents", "name:name"},
		{"batches", "name:name"},
		{"items", "name:name reference:note reference_key:object record:note number:number detail:note signature:bytes"},
		{"refused_rows", "name:name detail:note"},
		{"payments", "amount:note payee:name"},
		{"transactions", "ic:ic data_header:note options:note"},
		{"signatories", "reference:object ic:ic"},
		{"challenges", "ic:ic sent_to:address"},
		{"signing_pages", "state:note"},
		{"code_sends", "ic:ic sent_to:address"},
		{"notices", "ic:ic name:name email:address detail:note"},
		{"idempotency", "headers:note body:bytes object:object"},
		{"scheduled_revocations", "actor:actor"},
		{"accounts", "ic:ic email:address name:name"},
		{"appointments", "document:note end_document:note appointed_by:actor appointed_ic:ic ended_by:actor"},
		{"passkeys", "label:note"},
		{"sessions", "address:address agent:address"},
		{"logins", "subject:subject data:note sent_to:address"},
		{"login_failures", "subject:subject"},
		{"enrolments", "ic:ic listed_by:actor reason:note reply:note validated_by:actor validated_ic:ic approved_by:actor approved_ic:ic"},
		{"applications", "request:bytes"},
		{"address_changes", "ic:ic old_email:address new_email:address asked_by:actor asked_ic:ic old_proof:actor old_reply:note new_reply:note"},
		{"archive_people", "ic:ic"},
		{"holds", "ic:ic reference:object reason:note placed_by:actor ended_by:actor"},
		{"archive_references", "reference:object"},
		{"disposals", "proposed_by:actor proposed_ic:ic decided_by:actor"},
		{"disposal_items", "ic:ic"},
		{"phones", "ic:ic mobile:address"},
		{"officer_requests", "ic:ic asked_by:actor asked_ic:ic reason:note"},
		{"certificate_orders", "why:note actor:actor"},
		{"account_resets", "asked_by:actor why:note"},
		{"setup_mails", "reply:note"},
		{"apps", "proposed_by:actor"},
		{"app_credentials", "created_by:actor"},
		{"audit_about", "ic:ic"},
		{"refusals", "ic:ic"},
		{"audit_events", "actor:actor object:object detail:detail prev:bytes hash:bytes"},
	}
}

type sealed struct{ table, columns string }

// fields are the names of the columns, and their kinds.
func (s sealed) fields() (names, kinds []string) {
	for _, f := range strings.Fields(s.columns) {
		name, kind, _ := strings.Cut(f, ":")
		names, kinds = append(names, name), append(kinds, kind)
	}
	return names, kinds
}

// sealOld encrypts what an earlier release wrote, a few hundred rows to a transaction. The audit
// comes last and is written sealed from then on: once an event of it is sealed, all else was, and
// what stands in clear there somebody put there ([personal.ErrClear]), whatever meta says.
func (d *DB) sealOld(ctx context.Context) error {
	if done, err := d.Meta(ctx, metaPersonalSealed); err != nil || done == "yes" {
		return err
	}
	tables := sealable()
	begun, err := d.q.HasSealedEvent(ctx)
	if err != nil {
		return fmt.Errorf("reading audit: %w", err)
	}
	if begun != 0 {
		tables = tables[len(tables)-1:]
	}
	rows := 0
	for _, s := range tables {
		n, err := d.sealTable(ctx, s)
		if err != nil {
			return fmt.Errorf("table %s: %w", s.table, err)
		}
		rows += n
	}
	if rows > 0 {
		// Nobody refers to the rows of before any more.
		err := d.change(ctx, func(t sqlc.DBTX) error {
			_, err := t.ExecContext(ctx, "DELETE FROM officers WHERE ic NOT LIKE '~ic:%'")
			return err
		})
		if err != nil {
			return fmt.Errorf("table officers: %w", err)
		}
		if err := d.rewrite(ctx); err != nil {
			return err
		}
	}
	return d.PutMeta(ctx, metaPersonalSealed, "yes")
}

// rewrite leaves nothing of what rows were on free pages, in the write-ahead log or in the
// planner's statistics. PostgreSQL's own log is the operator's (docs/operating.md).
func (d *DB) rewrite(ctx context.Context) error {
	if d.postgres {
		for _, s := range sealable() {
			if _, err := d.long.ExecContext(ctx, "VACUUM (FULL, ANALYZE) "+s.table); err != nil {
				return fmt.Errorf("rewriting table %s: %w", s.table, err)
			}
		}
		return nil
	}
	if _, err := d.write.ExecContext(ctx, "VACUUM"); err != nil {
		return fmt.Errorf("rewriting the database: %w", err)
	}
	var busy, log, done int
	if err := d.write.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done); err != nil {
		return fmt.Errorf("emptying the write-ahead log: %w", err)
	}
	if busy != 0 {
		return errors.New("emptying the write-ahead log: another process is reading; stop it and start again")
	}
	return nil
}

// Rows, or pages of a PostgreSQL table, that are encrypted in one transaction.
const (
	sealRows  = 500
	sealPages = 32
)

// sealTable encrypts a table and says how many rows it has.
func (d *DB) sealTable(ctx context.Context, s sealed) (rows int, err error) {
	var pages int64
	if d.postgres { // what is updated goes behind them
		if err := d.read.QueryRowContext(ctx, "SELECT pg_relation_size($1::text::regclass) / current_setting('block_size')::bigint", s.table).Scan(&pages); err != nil {
			return 0, fmt.Errorf("measuring: %w", err)
		}
	}
	for at := int64(0); at >= 0; {
		if d.postgres && at >= pages {
			break
		}
		err := d.change(ctx, func(t sqlc.DBTX) error {
			list, next, err := d.old(ctx, t, s, at)
			if err != nil {
				return fmt.Errorf("reading: %w", err)
			}
			for _, row := range list {
				if err := d.sealRow(ctx, t, s, row); err != nil {
					return err
				}
			}
			at, rows = next, rows+len(list)
			return nil
		})
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// row is where a row is, and its personal columns; one that is sealed is of no type of package sql.
type row struct {
	place  any
	values []any
}

// old reads the rows from a place on, and says where the next are; -1 when there are none.
func (d *DB) old(ctx context.Context, t sqlc.DBTX, s sealed, at int64) (out []row, next int64, err error) {
	names, _ := s.fields()
	query := "SELECT rowid, " + strings.Join(names, ", ") + " FROM " + s.table + " WHERE rowid > ?1"
	args, where := []any{at}, " ORDER BY rowid LIMIT ?2"
	if d.postgres {
		query = "SELECT ctid::text, " + strings.Join(names, ", ") + " FROM " + s.table + " WHERE ctid >= $1::text::tid AND ctid < $2::text::tid"
		args, where = []any{fmt.Sprintf("(%d,0)", at), fmt.Sprintf("(%d,0)", at+sealPages)}, ""
	} else {
		args = append(args, sealRows)
	}
	switch s.table {
	case "certificates": // see ofAuthority
		query += " AND credential_id NOT LIKE 'authority:%'"
	case "audit_events":
		query += " AND action NOT LIKE '" + tokenActions + "%'"
	}
	found, err := t.QueryContext(ctx, query+where, args...)
	if err != nil {
		return nil, 0, err
	}
	defer found.Close()
	next = at + sealPages
	if !d.postgres {
		next = -1
	}
	for found.Next() {
		r := row{values: make([]any, len(names))}
		into := []any{&r.place}
		for k := range r.values {
			into = append(into, &r.values[k])
		}
		if err := found.Scan(into...); err != nil {
			return nil, 0, err
		}
		if id, ok := r.place.(int64); ok {
			next = id
		}
		out = append(out, r)
	}
	return out, next, found.Err()
}

// sealRow encrypts what is in clear in one row.
func (d *DB) sealRow(ctx context.Context, t sqlc.DBTX, s sealed, r row) error {
	names, kinds := s.fields()
	set := make(map[string]any)
	for k, v := range r.values {
		switch v := v.(type) {
		case string:
			if v != "" {
				set[names[k]] = personal.As(kinds[k], v)
			}
		case []byte:
			if len(v) > 0 {
				set[names[k]] = personal.Bytes{V: v}
			}
		}
	}
	if len(set) == 0 {
		return nil
	}
	mark, where := "?", "rowid = ?1"
	if d.postgres {
		mark, where = "$", "ctid = $1::text::tid"
	}
	args := []any{r.place}
	for k, name := range names {
		if v, ok := set[name]; ok {
			args = append(args, v)
			names[k] = fmt.Sprintf("%s = %s%d", name, mark, len(args))
			set[name] = fmt.Sprintf("%s%d", mark, len(args))
		} else {
			names[k] = name + " = " + name
		}
	}
	if _, ok := set["ic"]; ok && s.table == "officers" {
		return copyOfficer(ctx, t, set, where, args)
	}
	if _, err := t.ExecContext(ctx, "UPDATE "+s.table+" SET "+strings.Join(names, ", ")+" WHERE "+where, args...); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// copyOfficer puts an officer's row beside the old one, which others still refer to; set is which
// argument takes the place of a column.
func copyOfficer(ctx context.Context, t sqlc.DBTX, set map[string]any, where string, args []any) error {
	found, err := t.QueryContext(ctx, "SELECT * FROM officers LIMIT 0")
	if err != nil {
		return fmt.Errorf("reading columns: %w", err)
	}
	names, err := found.Columns()
	if err := errors.Join(err, found.Close()); err != nil {
		return fmt.Errorf("reading columns: %w", err)
	}
	values := make([]string, len(names))
	for k, name := range names {
		values[k] = name
		if v, ok := set[name].(string); ok {
			values[k] = "CAST(" + v + " AS TEXT)"
		}
	}
	_, err = t.ExecContext(ctx, "INSERT INTO officers ("+strings.Join(names, ", ")+") SELECT "+strings.Join(values, ", ")+" FROM officers WHERE "+where+" ON CONFLICT (ic) DO NOTHING", args...)
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}
