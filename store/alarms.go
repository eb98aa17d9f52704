package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/health"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// confirmEvery is how often a gateway says that it still sees its alarms.
const confirmEvery = time.Minute

func alarm(r sqlc.OpenAlarmsRow) health.Alarm {
	a := health.Alarm{ID: r.ID, Check: r.Kind, Node: r.Node, Object: string(r.Object), Code: r.Code, RaisedAt: instant(r.RaisedAt), HeldAt: instant(r.SeenAt), ClearedAt: instant(r.ClearedAt),
		By: string(r.AckedBy), SeenAt: instant(r.AckedAt), Note: string(r.Note)}
	_ = json.Unmarshal([]byte(r.Args), &a.Args) // words without them are better than no alarm
	return a
}

// OpenAlarms implements health.Records.
func (d *DB) OpenAlarms(ctx context.Context) ([]health.Alarm, error) {
	rows, err := d.q.OpenAlarms(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading alarms: %w", err)
	}
	out := make([]health.Alarm, len(rows))
	for k, r := range rows {
		out[k] = alarm(r)
	}
	return out, nil
}

// RaisedAlarms lists those that last in the order of OpenAlarms, behind the one that was raised at
// before with the id (the zero time and "": from the start); event: that one is about an event.
func (d *DB) RaisedAlarms(ctx context.Context, event bool, before time.Time, id string, limit int) ([]health.Alarm, error) {
	from := micros(before)
	if before.IsZero() {
		from = 1 << 62
	}
	rows, err := d.q.RaisedAlarms(ctx, sqlc.RaisedAlarmsParams{Event: flag(event), Before: from, BeforeID: id, Lim: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("reading alarms: %w", err)
	}
	out := make([]health.Alarm, len(rows))
	for k, r := range rows {
		out[k] = alarm(sqlc.OpenAlarmsRow(r))
	}
	return out, nil
}

// ClearedAlarms lists those that are over, the latest first, behind the one that was cleared at
// before with the id (the zero time and "": from the start).
func (d *DB) ClearedAlarms(ctx context.Context, before time.Time, id string, limit int) ([]health.Alarm, error) {
	from := micros(before)
	if before.IsZero() {
		from = 1 << 62
	}
	rows, err := d.q.ClearedAlarms(ctx, sqlc.ClearedAlarmsParams{Before: from, BeforeID: id, Lim: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("reading alarms: %w", err)
	}
	out := make([]health.Alarm, len(rows))
	for k, r := range rows {
		out[k] = alarm(sqlc.OpenAlarmsRow(r))
	}
	return out, nil
}

// RaiseAlarm implements health.Records.
func (d *DB) RaiseAlarm(ctx context.Context, a health.Alarm, ev audit.Event) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		added, err := addAlarmRow(ctx, q, a, ev.At, false)
		if err != nil || !added {
			return err // another gateway was faster
		}
		return appendEvent(ctx, q, ev)
	})
}

func addAlarmRow(ctx context.Context, q *sqlc.Queries, a health.Alarm, at time.Time, told bool) (bool, error) {
	args, err := json.Marshal(a.Args)
	if err != nil {
		return false, fmt.Errorf("encoding alarm: %w", err)
	}
	row := sqlc.AddAlarmRowParams{ID: a.ID, Kind: a.Check, Node: a.Node, Object: personal.Object(a.Object), Code: a.Code, Args: string(args), RaisedAt: micros(a.RaisedAt), SeenAt: micros(at)}
	if told {
		row.Told = 1
	}
	n, err := q.AddAlarmRow(ctx, row)
	if err != nil {
		return false, fmt.Errorf("storing alarm: %w", err)
	}
	return n == 1, nil
}

// noteAlarm raises the alarm of an event that should not have been, with the event itself. What
// an officer disowned is mailed with the deed.
func noteAlarm(ctx context.Context, q *sqlc.Queries, ev *audit.Event) error {
	kind, ok := health.Events()[ev.Action]
	if !ok || ev.Object == "" {
		return nil
	}
	_, err := addAlarmRow(ctx, q, health.Alarm{ID: ident.New("al", 16), Check: kind, Object: ev.Object, Code: kind, RaisedAt: ev.At}, ev.At, kind == "disowned")
	return err
}

// ClearAlarm implements health.Records.
func (d *DB) ClearAlarm(ctx context.Context, id string, ev audit.Event) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		n, err := q.EndAlarm(ctx, sqlc.EndAlarmParams{At: micros(ev.At), ID: id})
		if err != nil || n == 0 {
			return err
		}
		return appendEvent(ctx, q, ev)
	})
}

// AcknowledgeAlarm implements enrol.AlarmRecords.
func (d *DB) AcknowledgeAlarm(ctx context.Context, id, note string, ev audit.Event) error {
	return d.do(ctx, ev, func(q *sqlc.Queries) error {
		n, err := q.AcknowledgeAlarm(ctx, sqlc.AcknowledgeAlarmParams{AckedBy: personal.Actor(ev.Actor), At: micros(ev.At), Note: personal.Note(note), ID: id})
		if err != nil || n == 1 {
			return err
		}
		if _, err := q.AlarmAcknowledged(ctx, id); err != nil {
			return absent(err, enrol.ErrUnknown)
		}
		return enrol.ErrState
	})
}

// ConfirmAlarms implements health.Records.
func (d *DB) ConfirmAlarms(ctx context.Context, node string, at time.Time) error {
	before := micros(at.Add(-confirmEvery))
	n, err := d.q.UnconfirmedAlarms(ctx, sqlc.UnconfirmedAlarmsParams{Node: node, Before: before})
	if err != nil || n == 0 {
		return err
	}
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.ConfirmAlarms(ctx, sqlc.ConfirmAlarmsParams{At: micros(at), Node: node, Before: before})
	})
}

// HoldAlarm implements health.Records.
func (d *DB) HoldAlarm(ctx context.Context, id string, at time.Time) error {
	return d.tx(ctx, func(q *sqlc.Queries) error {
		return q.HoldAlarm(ctx, sqlc.HoldAlarmParams{At: micros(at), ID: id})
	})
}

// DesertedAlarms implements health.Records.
func (d *DB) DesertedAlarms(ctx context.Context, before time.Time) (out []health.Alarm, err error) {
	rows, err := d.q.DesertedAlarms(ctx, micros(before))
	for _, r := range rows {
		out = append(out, health.Alarm{ID: r.ID, Check: r.Kind, Node: r.Node})
	}
	return out, err
}

// TellAlarms implements health.Records. Of two gateways one tells.
func (d *DB) TellAlarms(ctx context.Context, to []string, at time.Time) error {
	rows, err := d.q.UntoldAlarms(ctx)
	if err != nil {
		return fmt.Errorf("reading alarms: %w", err)
	}
	for _, r := range rows {
		a := alarm(sqlc.OpenAlarmsRow{ID: r.ID, Kind: r.Kind, Node: r.Node, Object: r.Object, Code: r.Code, Args: r.Args, RaisedAt: r.RaisedAt})
		if err := d.tx(ctx, func(q *sqlc.Queries) error { return tellAlarm(ctx, q, &a, to, at) }); err != nil {
			return fmt.Errorf("telling an alarm: %w", err)
		}
	}
	return nil
}

func tellAlarm(ctx context.Context, q *sqlc.Queries, a *health.Alarm, to []string, at time.Time) error {
	if n, err := q.AlarmTold(ctx, a.ID); err != nil || n == 0 {
		return err
	}
	words := func(english bool) string { text, _, _ := health.Say(a.Code, a.Words(), english); return text }
	raw, err := json.Marshal(map[string]string{"alarm": a.ID, "node": a.Node, "ms": words(false), "en": words(true), "raised": a.RaisedAt.UTC().Format(time.RFC3339)})
	if err != nil {
		return fmt.Errorf("encoding notice: %w", err)
	}
	for _, email := range to {
		err := q.AddAlarm(ctx, sqlc.AddAlarmParams{ID: ident.New("no", 16), Email: personal.Address(email), Kind: notify.HealthAlarm, Detail: personal.Note(string(raw)), CreatedAt: micros(at), DueAt: 0})
		if err != nil {
			return fmt.Errorf("storing notice: %w", err)
		}
	}
	return nil
}

// Outbox is what waits for the mail server, and what of the last day's codes did not arrive.
type Outbox struct {
	Waiting     int64 // 10,000 is that many or more
	Oldest      time.Time
	Undelivered int64
}

// Outbox counts.
func (d *DB) Outbox(ctx context.Context, since time.Time) (Outbox, error) {
	w, err := d.q.OutboxWaits(ctx)
	if err != nil {
		return Outbox{}, fmt.Errorf("counting notices: %w", err)
	}
	n, err := d.q.CodesUndelivered(ctx, micros(since))
	if err != nil {
		return Outbox{}, fmt.Errorf("counting codes: %w", err)
	}
	return Outbox{Waiting: w.N, Oldest: instant(w.Oldest), Undelivered: n}, nil
}

// BatchesStopped counts the batches that need another authorisation, and says since when the
// oldest does.
func (d *DB) BatchesStopped(ctx context.Context) (int64, time.Time, error) {
	r, err := d.q.BatchesStopped(ctx)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("counting batches: %w", err)
	}
	return r.N, instant(r.Oldest), nil
}

// Vital is how the database is.
type Vital struct {
	Kind, Version   string
	Bytes, WAL      int64 // WAL of SQLite alone
	Schema, Current int64
	Replicas        int64
	Lag             time.Duration // of the slowest replica, as far as the server tells us
}

// Vital asks the database how it is. It is a few small questions.
func (d *DB) Vital(ctx context.Context) (v Vital, err error) {
	folder := "migrations"
	if d.postgres {
		folder = "migrations/postgres"
	}
	if v.Current, err = newest(folder); err != nil {
		return v, err
	}
	if err := d.read.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version").Scan(&v.Schema); err != nil {
		return v, fmt.Errorf("reading schema version: %w", err)
	}
	if d.postgres {
		return v, d.vitalPostgres(ctx, &v)
	}
	v.Kind = "SQLite"
	var file string
	row := d.read.QueryRowContext(ctx, "SELECT sqlite_version(), (SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size()), (SELECT file FROM pragma_database_list() WHERE name = 'main')")
	if err := row.Scan(&v.Version, &v.Bytes, &file); err != nil {
		return v, fmt.Errorf("reading the database's size: %w", err)
	}
	if st, err := os.Stat(file + "-wal"); err == nil {
		v.WAL = st.Size()
	}
	return v, nil
}

func (d *DB) vitalPostgres(ctx context.Context, v *Vital) error {
	v.Kind = "PostgreSQL"
	row := d.read.QueryRowContext(ctx, "SELECT current_setting('server_version'), pg_database_size(current_database())")
	if err := row.Scan(&v.Version, &v.Bytes); err != nil {
		return fmt.Errorf("reading the database's size: %w", err)
	}
	v.Version, _, _ = strings.Cut(v.Version, " ")
	// Whoever has not pg_monitor sees that there are replicas, and not how far behind.
	var lag sql.NullFloat64
	row = d.read.QueryRowContext(ctx, "SELECT COUNT(*), MAX(EXTRACT(EPOCH FROM replay_lag))::float8 FROM pg_stat_replication")
	if err := row.Scan(&v.Replicas, &lag); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("reading replication: %w", err)
	}
	v.Lag = time.Duration(lag.Float64 * float64(time.Second))
	return nil
}
