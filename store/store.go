// Package store keeps everything the gateway must remember: SQLite through
// queries that sqlc checked and generated (store/sqlc), migrations by goose,
// and documents' bytes in a directory ([Blobs]).
//
// One connection writes, in immediate transactions, with synchronous=FULL; a
// pool reads. Every change appends its audit event in its own transaction, so
// the hash chain has one order, also when several processes have the database
// open.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

//go:embed migrations/*.sql migrations/postgres/*.sql
var migrations embed.FS

// readers is how many connections to a SQLite database read.
const readers = 8

// pagers is how many read batches page by page.
const pagers = 4

// DB is an open database.
type DB struct {
	// Now replaces the clock that codes live by: PostgreSQL's own, which all
	// nodes share, or with SQLite the machine's.
	Now func() time.Time

	write, read *sql.DB
	long        *sql.DB       // PostgreSQL: for what may take as long as it takes
	pager       *sql.DB       // SQLite: reads page by page
	q           *sqlc.Queries // reads
	pages       *sqlc.Queries // reads over pager; see paged
	joined      *joined       // inside Together
	group       group         // of those who share a commit
	parsed      parsed
	fields      *personal.Lock
	postgres    bool
}

// Open opens or makes the SQLite database at path and brings its schema up to
// date. What it holds of people is there after [DB.Unlock].
func Open(ctx context.Context, path string) (*DB, error) {
	dsn := func(extra string) string {
		u := url.URL{Scheme: "file", Path: path}
		return u.String() + "?_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=secure_delete(1)" + extra
	}
	// SQLite gives its journal files the mode of the database.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	fields := &personal.Lock{}
	w := sql.OpenDB(personal.Connector{Connector: file(dsn("&_txlock=immediate")), Lock: fields})
	w.SetMaxOpenConns(1)
	if err := migrate(ctx, w); err != nil {
		return nil, errors.Join(fmt.Errorf("opening database %s: %w", path, err), w.Close())
	}
	// Readers map the file: looking up one key in 400,000 then costs what it costs in 1,000. A disk
	// that fails under a mapped page ends the process, which starts again (docs/operating.md).
	r := sql.OpenDB(personal.Connector{Connector: file(dsn("&_pragma=query_only(1)&_pragma=mmap_size(2147418112)")), Lock: fields})
	r.SetMaxOpenConns(readers)
	r.SetMaxIdleConns(readers) // opening one costs more than most of what is read
	// Not those of questions about a whole batch, for which the whole file would be in memory.
	p := sql.OpenDB(personal.Connector{Connector: file(dsn("&_pragma=query_only(1)&_pragma=cache_size(-512)")), Lock: fields})
	p.SetMaxOpenConns(pagers)
	p.SetMaxIdleConns(pagers)
	return &DB{write: w, read: r, pager: p, q: sqlc.New(brief{r}), pages: sqlc.New(brief{p}), fields: fields}, nil
}

// file is a connector of SQLite.
type file string

// Connect opens with the driver that is registered, whose hooks tests use.
func (f file) Connect(ctx context.Context) (driver.Conn, error) {
	to, err := sqlite.NewConnector(string(f))
	if err != nil {
		return nil, err
	}
	c, err := to.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return compile(c)
}
func (file) Driver() driver.Driver { return &sqlite.Driver{} }

func migrate(ctx context.Context, db *sql.DB) error {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, sub, goose.WithGoMigrations(keyVersions()))
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	return nil
}

// Close closes the database.
func (d *DB) Close() error {
	err := errors.Join(d.read.Close(), d.write.Close())
	for _, other := range []*sql.DB{d.long, d.pager} {
		if other != nil {
			err = errors.Join(err, other.Close())
		}
	}
	return err
}

// Ping asks the database for a sign of life.
func (d *DB) Ping(ctx context.Context) error { return d.read.PingContext(ctx) }

// tx runs f in one immediate transaction; f's error rolls it back.
func (d *DB) tx(ctx context.Context, f func(q *sqlc.Queries) error) error {
	if d.joined != nil {
		return d.joined.do(f)
	}
	return d.change(ctx, func(t sqlc.DBTX) error { return f(d.queries(t)) })
}

// dated is tx for what depends on the time by which codes live: that of the moment
// in which nobody else can change anything, and asked on the same connection, so that
// no change waits for readers.
func (d *DB) dated(ctx context.Context, f func(q *sqlc.Queries, now time.Time) error) error {
	if d.joined != nil || d.Now != nil || !d.postgres {
		return d.tx(ctx, func(q *sqlc.Queries) error {
			now, err := d.now(ctx)
			if err != nil {
				return err
			}
			return f(q, now)
		})
	}
	return d.change(ctx, func(t sqlc.DBTX) error {
		now, err := serverTime(ctx, t)
		if err != nil {
			return err
		}
		return f(d.queries(t), now)
	})
}

// change runs f in a transaction with others'; on PostgreSQL in one of its own where ctx can be
// cancelled, for there a statement may take as long as the network is away.
func (d *DB) change(ctx context.Context, f func(t sqlc.DBTX) error) error {
	if ctx.Done() == nil || !d.postgres {
		return d.share(ctx, f)
	}
	return d.once(ctx, f)
}

func (d *DB) once(ctx context.Context, f func(t sqlc.DBTX) error) error {
	if !d.postgres {
		return d.immediate(ctx, f)
	}
	t, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer t.Rollback() //nolint:errcheck // for a panic; else it is done
	if err := f(t); err != nil {
		if rerr := t.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
			err = errors.Join(err, rerr)
		}
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// immediate is once on SQLite, without package sql's transactions: each of their statements starts a
// goroutine that watches for the end of a context, which takes as long as many statements run.
func (d *DB) immediate(ctx context.Context, f func(t sqlc.DBTX) error) (err error) {
	c, err := d.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("beginning transaction: %w", err)
	}
	defer c.Close() //nolint:errcheck // it goes back to the pool
	whole := context.WithoutCancel(ctx)
	if _, err := c.ExecContext(whole, begin); err != nil {
		return fmt.Errorf("beginning transaction: %w", err)
	}
	done := false
	defer func() { // also when f panics
		if done {
			return
		}
		if _, rerr := c.ExecContext(whole, rollback); rerr != nil {
			// It may have ended already. If it has not, the connection must go, and it with it.
			_ = c.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	if err := f(uncut{c}); err != nil {
		return err
	}
	if _, err := c.ExecContext(whole, commit); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	done = true
	return nil
}

// snapshot runs f on one state of the database, for reading.
func (d *DB) snapshot(ctx context.Context, f func(q *sqlc.Queries) error) error {
	if !d.postgres {
		return d.glance(ctx, f)
	}
	t, err := again(func() (*sql.Tx, error) {
		return d.read.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	})
	if err != nil {
		return fmt.Errorf("beginning to read: %w", err)
	}
	defer t.Rollback() //nolint:errcheck // nothing was written
	return f(d.queries(t))
}

// glance is snapshot on SQLite, whose reading transactions are snapshots; as immediate is once.
func (d *DB) glance(ctx context.Context, f func(q *sqlc.Queries) error) error {
	c, err := d.read.Conn(ctx)
	if err != nil {
		return fmt.Errorf("beginning to read: %w", err)
	}
	defer c.Close() //nolint:errcheck // it goes back to the pool
	whole := context.WithoutCancel(ctx)
	if _, err := c.ExecContext(whole, look); err != nil {
		return fmt.Errorf("beginning to read: %w", err)
	}
	defer func() {
		if _, rerr := c.ExecContext(whole, rollback); rerr != nil {
			_ = c.Raw(func(any) error { return driver.ErrBadConn }) // the connection goes, and what was begun with it
		}
	}()
	return f(sqlc.New(c))
}

// paged is for questions about whole batches.
func (d *DB) paged() *sqlc.Queries {
	if d.pages == nil { // PostgreSQL, or within a transaction
		return d.q
	}
	return d.pages
}

// short is ctx for a question that SQLite answers sooner than a goroutine could begin to watch for
// the end of ctx.
func (d *DB) short(ctx context.Context) context.Context {
	if d.postgres || ctx.Err() != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// do runs f and appends ev in one transaction.
func (d *DB) do(ctx context.Context, ev audit.Event, f func(q *sqlc.Queries) error) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		if err := f(q); err != nil {
			return err
		}
		return appendEvent(ctx, q, ev)
	})
}

// appendEvent links ev to the chain; the write lock is held, so nobody else can.
func appendEvent(ctx context.Context, q *sqlc.Queries, ev audit.Event) error {
	var seq int64
	var hash [32]byte
	last, err := q.LastEvent(ctx)
	switch {
	case err == nil && len(last.Hash.V) != len(hash):
		return &audit.BrokenError{Seq: last.Seq, What: "its hash has the wrong length"}
	case err == nil:
		seq, hash = last.Seq, [32]byte(last.Hash.V)
	case !errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("reading audit head: %w", err)
	}
	salt := make([]byte, audit.SaltSize)
	_, _ = rand.Read(salt) // crypto/rand never fails (it ends the process)
	if ev = ev.From(ctx); aboutToken(ev.Action) {
		delete(ev.Detail, "address") // stands in clear
		delete(ev.Detail, "app_credential")
	}
	r := audit.Next(seq, hash, salt, ev)
	detail, err := detailOf(&r)
	if err != nil {
		return err
	}
	prev, own := personal.Bytes{V: r.Prev[:], Public: true}, personal.Bytes{V: r.Hash[:], Public: true}
	if aboutToken(r.Action) {
		err = q.AddTokenEvent(ctx, sqlc.AddTokenEventParams{Seq: r.Seq, At: micros(r.At), Actor: r.Actor, Action: r.Action, Object: r.Object, Verdict: r.Verdict, RequestID: r.RequestID,
			Detail: detail, Prev: prev, Hash: own})
	} else {
		// With its salt in the sealed part, the hash tells nobody who guesses.
		err = q.AddEvent(ctx, sqlc.AddEventParams{Seq: r.Seq, At: micros(r.At), Actor: personal.Actor(r.Actor), Action: r.Action, Object: personal.Object(r.Object), Verdict: r.Verdict,
			RequestID: r.RequestID, Detail: personal.Detail(detail), Prev: prev, Hash: own})
	}
	if err != nil {
		return fmt.Errorf("appending audit event: %w", err)
	}
	if err := noteAlarm(ctx, q, &ev); err != nil {
		return err
	}
	if err := enter(ctx, q, &r); err != nil {
		return err
	}
	return noteReply(ctx, q, &ev)
}

// detailOf is the detail column of a record: its detail, behind its salt when it has one.
func detailOf(r *audit.Record) (string, error) {
	var v any = r.Detail
	if r.Salt != nil {
		v = []any{hex.EncodeToString(r.Salt), r.Detail}
	}
	detail, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encoding audit detail: %w", err)
	}
	return string(detail), nil
}

// readDetail is the reverse.
func readDetail(detail string, r *audit.Record) error {
	if !strings.HasPrefix(detail, "[") {
		return json.Unmarshal([]byte(detail), &r.Detail)
	}
	var parts [2]json.RawMessage
	var salt string
	err := json.Unmarshal([]byte(detail), &parts)
	if err == nil {
		err = errors.Join(json.Unmarshal(parts[0], &salt), json.Unmarshal(parts[1], &r.Detail))
	}
	if err == nil {
		r.Salt, err = hex.DecodeString(salt)
	}
	return err
}

// Audit implements signer.Records: a lone event.
func (d *DB) Audit(ctx context.Context, ev audit.Event) error {
	return d.do(ctx, ev, func(*sqlc.Queries) error { return nil })
}

// AuditHead returns the number and hash of the last record; 0 when there is
// none.
func (d *DB) AuditHead(ctx context.Context) (seq int64, hash [32]byte, err error) {
	last, err := d.q.LastEvent(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, hash, nil
	}
	if err != nil {
		return 0, hash, fmt.Errorf("reading audit head: %w", err)
	}
	if len(last.Hash.V) != len(hash) {
		return 0, hash, &audit.BrokenError{Seq: last.Seq, What: "its hash has the wrong length"}
	}
	return last.Seq, [32]byte(last.Hash.V), nil
}

// AuditRecords calls f for every record behind after, in order.
func (d *DB) AuditRecords(ctx context.Context, after int64, f func(audit.Record) error) error {
	page := 1000
	for {
		rows, err := d.q.EventsAfter(ctx, sqlc.EventsAfterParams{After: after, Lim: int64(page)})
		if misread(err) && page > 1 {
			page = 1 // which of them it is
			continue
		}
		if misread(err) {
			return unread(after+1, err)
		}
		if err != nil {
			return fmt.Errorf("reading audit: %w", err)
		}
		clear, err := d.firstClear(ctx, rows)
		if err != nil {
			return err
		}
		for _, e := range rows { // those before one that cannot be believed are handed over
			if e.Seq == clear {
				return inClear(clear)
			}
			r, err := record(e)
			if err != nil {
				return err
			}
			if err := f(r); err != nil {
				return err
			}
			after = e.Seq
		}
		if len(rows) < page {
			return nil
		}
	}
}

// NextRecord gives the first audit record behind after; one without a number when there is none.
func (d *DB) NextRecord(ctx context.Context, after int64) (audit.Record, error) {
	rows, err := d.q.EventsAfter(ctx, sqlc.EventsAfterParams{After: after, Lim: 1})
	if err != nil || len(rows) == 0 {
		if err != nil {
			err = fmt.Errorf("reading audit: %w", err)
		}
		return audit.Record{}, err
	}
	return record(rows[0])
}

// firstClear is the number of the first of some records that is in clear and not about the token;
// 0 when there is none.
func (d *DB) firstClear(ctx context.Context, rows []sqlc.AuditEvent) (int64, error) {
	if len(rows) == 0 {
		return 0, nil
	}
	seq, err := d.q.ClearEvent(ctx, sqlc.ClearEventParams{After: rows[0].Seq - 1, Last: rows[len(rows)-1].Seq})
	if err != nil {
		return 0, fmt.Errorf("reading audit: %w", err)
	}
	return seq, nil
}

func inClear(seq int64) error {
	return &audit.BrokenError{Seq: seq, What: "it is not encrypted (edited)", Kind: audit.Clear}
}

// edited says whether a read failed because a column is not what was sealed.
func edited(err error) bool {
	return errors.Is(err, personal.ErrSealed) || errors.Is(err, personal.ErrClear)
}

// misread says whether a record was not read because of what stands in its columns: that is not what
// was sealed, or not of their type, for which package sql has no error of its own.
func misread(err error) bool {
	return edited(err) || err != nil && !errors.Is(err, personal.ErrLocked) && strings.HasPrefix(err.Error(), "sql: Scan error on column")
}

// unread is the fault of a record that was misread.
func unread(seq int64, err error) error {
	b := &audit.BrokenError{Seq: seq, What: "its columns cannot be read (edited)", Kind: audit.Columns}
	switch {
	case errors.Is(err, personal.ErrSealed):
		b.What, b.Kind = personal.ErrSealed.Error()+" (edited)", audit.Sealed
	case errors.Is(err, personal.ErrClear):
		b.What, b.Kind = personal.ErrClear.Error()+" (edited)", audit.Clear
	}
	return b
}

// record reads a row; *audit.BrokenError when it cannot be one of the chain.
func record(e sqlc.AuditEvent) (audit.Record, error) {
	r := audit.Record{Seq: e.Seq, Event: audit.Event{At: instant(e.At), Actor: string(e.Actor), Action: e.Action, Object: string(e.Object), Verdict: e.Verdict, RequestID: e.RequestID}}
	if len(e.Prev.V) != 32 || len(e.Hash.V) != 32 || readDetail(string(e.Detail), &r) != nil {
		return r, &audit.BrokenError{Seq: e.Seq, What: "its columns cannot be read (edited)", Kind: audit.Columns}
	}
	r.Prev, r.Hash = [32]byte(e.Prev.V), [32]byte(e.Hash.V)
	return r, nil
}

// Meta reads a fact about the installation; "" when it is not set.
func (d *DB) Meta(ctx context.Context, name string) (string, error) {
	v, err := d.q.Meta(ctx, name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return v, err
}

// PutMeta sets a fact that was not set; an existing one stays as it is.
func (d *DB) PutMeta(ctx context.Context, name, value string) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.PutMeta(ctx, sqlc.PutMetaParams{Name: name, Value: value})
	})
}

// now is the time by which codes live, to the microsecond.
func (d *DB) now(ctx context.Context) (time.Time, error) {
	switch {
	case d.Now != nil:
		return d.Now().UTC().Truncate(time.Microsecond), nil
	case !d.postgres:
		return time.Now().UTC().Truncate(time.Microsecond), nil
	}
	return serverTime(ctx, asker{d.read})
}

// serverTime is the time of PostgreSQL's server.
func serverTime(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (time.Time, error) {
	var us int64
	if err := db.QueryRowContext(ctx, "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT").Scan(&us); err != nil {
		return time.Time{}, fmt.Errorf("reading the database's clock: %w", err)
	}
	return instant(us), nil
}

// micros and instant keep times as microseconds since 1970 UTC; the zero time
// is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// orNull and plain are a column of text that may be NULL, which is ”.
func orNull(ic string) *personal.IC {
	if ic == "" {
		return nil
	}
	v := personal.IC(ic)
	return &v
}

func plain[T ~string](v *T) string {
	if v == nil {
		return ""
	}
	return string(*v)
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// absent turns sql.ErrNoRows into the package's own word for it.
func absent(err, is error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return is
	}
	return err
}
