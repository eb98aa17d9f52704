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

// conn seals arguments and wraps results. Statements prepared on it seal, too (package sql
// asks the connection), and do not open: what they give does not scan.
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
			if IsSealed(v) {
				dest[k] = sealed{v, r.lock}
			}
		case []byte:
			if bytes.HasPrefix(v, []byte(byteGCM)) {
				dest[k] = sealed{string(v), r.lock}
			}
		}
	}
	return nil
}

// sealed is a value on its way to a Scan that knows its kind.
type sealed struct {
	value string
	lock  *Lock
}

// String is what is stored: package sql asks for it when a column of plain text happens to
// look like a sealed one.
func (s sealed) String() string { return s.value }
