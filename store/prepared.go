package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/mohor-sign/mohor/store/sqlc"
)

// compiled is a connection to SQLite that compiles each of sqlc's queries, which are
// constant, once and not each time: that takes longer than most of them run. PostgreSQL's
// driver does it by itself. A connection has one user at a time.
type compiled struct {
	compiling
	kept map[string]*keptStmt
}

// compiling is what the driver's connections can do.
type compiling interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type keptStmt struct {
	running
	busy bool // its rows are being read: it cannot run once more
}

// running is what the driver's statements can do.
type running interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func compile(c driver.Conn) (driver.Conn, error) {
	full, ok := c.(compiling)
	if !ok {
		return nil, errors.Join(fmt.Errorf("connecting: a %T lacks what is needed to keep statements", c), c.Close())
	}
	return &compiled{full, make(map[string]*keptStmt)}, nil
}

// Statements of SQLite's own, named as the queries are.
const (
	begin    = "-- name: begin\nBEGIN IMMEDIATE"
	look     = "-- name: look\nBEGIN"
	commit   = "-- name: commit\nCOMMIT"
	rollback = "-- name: rollback\nROLLBACK"
)

// uncut runs what is begun to its end: on SQLite that is soon.
type uncut struct{ sqlc.DBTX }

func (u uncut) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return u.DBTX.ExecContext(context.WithoutCancel(ctx), query, args...)
}

func (u uncut) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return u.DBTX.QueryContext(context.WithoutCancel(ctx), query, args...)
}

func (u uncut) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return u.DBTX.QueryRowContext(context.WithoutCancel(ctx), query, args...)
}

// brief does so for single rows, unless nobody waits any more.
type brief struct{ sqlc.DBTX }

func (b brief) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if ctx.Err() == nil {
		ctx = context.WithoutCancel(ctx)
	}
	return b.DBTX.QueryRowContext(ctx, query, args...)
}

// statement gives the compiled query, or nil for what is not sqlc's or is running.
func (c *compiled) statement(ctx context.Context, query string) (*keptStmt, error) {
	if !strings.HasPrefix(query, "-- name: ") {
		return nil, nil
	}
	s := c.kept[query]
	if s == nil {
		under, err := c.compiling.PrepareContext(ctx, query)
		if err != nil {
			return nil, err
		}
		full, ok := under.(running)
		if !ok {
			return nil, under.Close()
		}
		s = &keptStmt{running: full}
		c.kept[query] = s
	}
	if s.busy {
		return nil, nil
	}
	return s, nil
}

// ExecContext implements driver.ExecerContext.
func (c *compiled) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.compiling.ExecContext(ctx, query, args)
	}
	return s.ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *compiled) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.compiling.QueryContext(ctx, query, args)
	}
	r, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &keptRows{r, s}, nil
}

// Close implements driver.Conn.
func (c *compiled) Close() error {
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	clear(c.kept)
	return errors.Join(append(errs, c.compiling.Close())...)
}

type keptRows struct {
	driver.Rows
	of *keptStmt
}

// Close implements driver.Rows.
func (r *keptRows) Close() error {
	r.of.busy = false
	return r.Rows.Close()
}
