package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// A PostgreSQL server that hangs takes connections' questions and answers none. A
// wait ends when it has said nothing for so long: however long a whole answer
// takes, each part of it comes earlier.
const (
	pgReadSilence  = 10 * time.Second
	pgWriteSilence = 20 * time.Second // longer than pgLock, which the server ends itself
	pgRest         = time.Second      // no new connection after one that was not made in time
)

// errSilent: the server did not answer a moment ago.
var errSilent = errors.New("it did not answer a moment ago")

// openPool opens connections whose server may be silent for so long; 0 is for
// ever.
func openPool(cfg *pgx.ConnConfig, fields *personal.Lock, silence time.Duration) *sql.DB {
	cfg = cfg.Copy()
	if dial := cfg.DialFunc; silence > 0 {
		cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &bounded{Conn: c, silence: silence}, nil
		}
	}
	d := &door{host: cfg.Host}
	d.Connector = stdlib.GetConnector(*cfg, stdlib.OptionShouldPing(d.unwell))
	db := sql.OpenDB(personal.Connector{Connector: d, Lock: fields})
	db.SetMaxOpenConns(pgConnections)
	return db
}

// bounded is a connection on which each read and write has a deadline, unless
// the driver has set one.
type bounded struct {
	net.Conn
	silence time.Duration

	mu  sync.Mutex
	set bool // by the driver, which so interrupts what is under way
}

func (c *bounded) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = !t.IsZero()
	return c.Conn.SetDeadline(t)
}

func (c *bounded) arm() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set {
		return nil
	}
	return c.Conn.SetDeadline(time.Now().Add(c.silence))
}

func (c *bounded) Read(b []byte) (int, error) {
	if err := c.arm(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *bounded) Write(b []byte) (int, error) {
	if err := c.arm(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// door makes connections. While the server does not even greet, those who wait
// for a connection are many: one in a while knocks, the others are told at once.
type door struct {
	driver.Connector
	host string
	shut atomic.Int64 // Unix nanoseconds until which nobody knocks
}

func (d *door) isShut() bool { return time.Now().UnixNano() < d.shut.Load() }

// shutFor judges an error that ctx, the caller's, has not caused.
func (d *door) shutFor(ctx context.Context, err error) {
	var network net.Error
	if ctx.Err() == nil && errors.As(err, &network) && network.Timeout() {
		d.shut.Store(time.Now().Add(pgRest).UnixNano())
	}
}

func (d *door) Connect(ctx context.Context) (driver.Conn, error) {
	if d.isShut() {
		return nil, &net.OpError{Op: "dial", Net: d.host, Err: errSilent}
	}
	c, err := d.Connector.Connect(ctx)
	d.shutFor(ctx, err)
	return c, err
}

// unwell asks a connection that was idle for a second for a sign of life, which
// needs less time than a question; one that gives none is closed.
func (d *door) unwell(ctx context.Context, p stdlib.ShouldPingParams) bool {
	if p.IdleDuration < time.Second {
		return false
	}
	patience := pgDial
	if d.isShut() {
		patience /= 20
	}
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := p.Conn.Ping(asking)
	d.shutFor(ctx, err)
	return err != nil
}

// broken tells a connection that the server had ended from one that is silent:
// the first are as many as are idle when the server starts again.
func broken(err error) bool {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		// admin_shutdown, crash_shutdown: said before the connection is closed.
		return state.SQLState() == "57P01" || state.SQLState() == "57P02"
	}
	for _, known := range []error{driver.ErrBadConn, io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// again does what has no effect once more, when the connection it was done on is
// found broken. No more than 2 are idle, so the third is a new one.
func again[T any](do func() (T, error)) (T, error) {
	for range 2 {
		if v, err := do(); !broken(err) {
			return v, err
		}
	}
	return do()
}

// asker asks the pool of those who can only read.
type asker struct{ sqlc.DBTX }

func (a asker) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return again(func() (*sql.Rows, error) { return a.DBTX.QueryContext(ctx, query, args...) }) //nolint:sqlclosecheck // the caller's
}

func (a asker) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	row, _ := again(func() (*sql.Row, error) {
		r := a.DBTX.QueryRowContext(ctx, query, args...)
		return r, r.Err()
	})
	return row
}
