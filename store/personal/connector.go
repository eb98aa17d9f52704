package personal

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"reflect"
)

// Connector makes connections that seal and open personal values under a [Lock].
type Connector struct {
	driver.Connector
	Lock *Lock
}

// Connect implements driver.Connector.
func (c Connector) Connect(ctx context.Context) (driver.Conn, error) {
	under, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := under.(wanted)
	if !ok {
		_ = under.Close()
		return nil, fmt.Errorf("connecting: a %T lacks what is needed to seal personal values", under)
	}
	return &conn{full, c.Lock}, nil
}

// wanted is what both engines' connections can do.
type wanted interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
}

// conn seals arguments and wraps results, those of statements prepared on it, too: package
// sql asks the connection how their arguments are to be sent.
type conn struct {
	wanted
	lock *Lock
}

// CheckNamedValue implements driver.NamedValueChecker.
func (c *conn) CheckNamedValue(v *driver.NamedValue) (err error) {
	if s, ok := v.Value.(sealer); ok {
		if p := reflect.ValueOf(s); p.Kind() == reflect.Pointer && p.IsNil() {
			v.Value = nil
			return nil
		}
		v.Value, err = s.seal(c.lock)
		return err
	}
	if n, ok := c.wanted.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// IsValid implements driver.Validator.
func (c *conn) IsValid() bool {
	v, ok := c.wanted.(driver.Validator)
	return !ok || v.IsValid()
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	r, err := c.wanted.QueryContext(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return &rows{r, c.lock}, nil
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	under, err := c.wanted.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	full, ok := under.(wantedStmt)
	if !ok {
		_ = under.Close()
		return nil, fmt.Errorf("preparing: a %T lacks what is needed to open personal values", under)
	}
	return &stmt{full, c.lock}, nil
}

// wantedStmt is what both engines' statements can do.
type wantedStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type stmt struct {
	wantedStmt
	lock *Lock
}

// QueryContext implements driver.StmtQueryContext.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	r, err := s.wantedStmt.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	return &rows{r, s.lock}, nil
}

type rows struct {
	driver.Rows
	lock *Lock
}

// Next implements driver.Rows.
func (r *rows) Next(dest []driver.Value) error {
	if err := r.Rows.Next(dest); err != nil {
		return err
	}
	for k := range dest {
		switch v := dest[k].(type) {
		case string:
			dest[k] = r.lock.text(v)
		case []byte:
			dest[k] = r.lock.bytes(v)
		}
	}
	return nil
}

// What a connection gives for a sealed value is a text of its kind, an opened, or one of these.
// All are strings or slices of bytes, which package sql takes for such where a column is no
// personal one and only looks sealed.
type (
	opened []byte // bytes
	locked string // while there is no key
	other  string // what does not open
)

func (l *Lock) text(stored string) driver.Value {
	as, body, ok := parse(stored)
	if !ok {
		return stored
	}
	k, err := l.Keys()
	if err != nil {
		return locked(stored)
	}
	plain, ok := k.openText(body, as)
	if !ok {
		return other(stored)
	}
	return as.text(plain)
}

func (l *Lock) bytes(stored []byte) driver.Value {
	body, ok := bytes.CutPrefix(stored, []byte(byteMark))
	if !ok {
		return stored
	}
	k, err := l.Keys()
	if err != nil {
		return locked(stored)
	}
	plain, ok := k.openBytes(body)
	if !ok {
		return other(stored)
	}
	return opened(plain)
}
