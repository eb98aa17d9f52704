package store

import (
	"context"
	"database/sql"
	"sync"

	"github.com/mohor-sign/mohor/store/sqlc"
)

// prepared has SQLite compile each of the queries, which are constant, once for a
// connection and not each time: that takes longer than most of them run. Statements of a
// transaction end with it.
type prepared struct {
	sqlc.DBTX
	kept sync.Map // *sql.Stmt by query
}

func (p *prepared) statement(query string) (*sql.Stmt, error) {
	if s, ok := p.kept.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := p.DBTX.PrepareContext(context.Background(), query) // it outlives the caller
	if err != nil {
		return nil, err
	}
	if other, ok := p.kept.LoadOrStore(query, s); ok {
		return other.(*sql.Stmt), s.Close()
	}
	return s, nil
}

func (p *prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := p.statement(query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := p.statement(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

func (p *prepared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := p.statement(query)
	if err != nil {
		return p.DBTX.QueryRowContext(ctx, query, args...) // a row holds its error
	}
	return s.QueryRowContext(ctx, args...)
}
