package personal

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"fmt"
)

// kind is what a value is authenticated as.
type kind struct {
	name  string
	equal bool                      // looked up by equality: AES-SIV
	clear bool                      // may be stored in clear: something else vouches for it
	text  func(string) driver.Value // as the column's type
}

type kinded interface{ name() string }

type (
	icKind      struct{}
	actorKind   struct{}
	objectKind  struct{}
	subjectKind struct{}
	numberKind  struct{}
	nameKind    struct{}
	addressKind struct{}
	noteKind    struct{}
	detailKind  struct{}
	dnKind      struct{}
)

func (icKind) name() string      { return "ic" }
func (actorKind) name() string   { return "actor" }
func (objectKind) name() string  { return "object" }
func (subjectKind) name() string { return "subject" }
func (numberKind) name() string  { return "number" }
func (nameKind) name() string    { return "name" }
func (addressKind) name() string { return "address" }
func (noteKind) name() string    { return "note" }
func (detailKind) name() string  { return "detail" }
func (dnKind) name() string      { return "dn" }

const bytesKind = "bytes"

func kindOf(name string) (k kind, ok bool) {
	switch name {
	case "ic":
		return kind{name, true, false, as[icKind]}, true
	case "actor":
		return kind{name, true, true, as[actorKind]}, true
	case "object":
		return kind{name, true, true, as[objectKind]}, true
	case "subject":
		return kind{name, true, false, as[subjectKind]}, true
	case "number":
		return kind{name, true, false, as[numberKind]}, true
	case "name":
		return kind{name, false, false, as[nameKind]}, true
	case "address":
		return kind{name, false, false, as[addressKind]}, true
	case "note":
		return kind{name, false, false, as[noteKind]}, true
	case "detail":
		return kind{name, false, true, as[detailKind]}, true
	case "dn":
		return kind{name, false, false, as[dnKind]}, true
	}
	return kind{}, false
}

func as[K kinded](plain string) driver.Value { return text[K](plain) }

// As gives a value the type of a column of a kind ("ic", "name" …), to be stored there; nil for a
// kind that there is not.
func As(name, plain string) any {
	if k, ok := kindOf(name); ok {
		return k.text(plain)
	}
	return nil
}

// Columns of text. The first five are found by equality. An Actor, an Object and a Detail may
// stand in clear: those of events about keys do, which are read before there is a key, and the
// hash of their record vouches for them.
type (
	IC      = text[icKind]      // number of the identity card
	Actor   = text[actorKind]   // who did it: "officer:<ic>", "account:<id>" …
	Object  = text[objectKind]  // what an audit event is about
	Subject = text[subjectKind] // whom failed log-ins are counted for
	Number  = text[numberKind]  // of a certificate of a person's skills
	Name    = text[nameKind]    // of a person, or of a document that may say one
	Address = text[addressKind] // where messages go or requests come from
	Detail  = text[detailKind]  // of an audit event
	Note    = text[noteKind]    // what was written about people, and JSON that holds such
)

// text is a column of text of one kind.
type text[K kinded] string

// sealer is what a connection seals.
type sealer interface {
	seal(l *Lock) (driver.Value, error)
}

// errNoConnector: a personal value on its way to a database that would keep it in clear.
var errNoConnector = errors.New("storing a personal value: the connection does not seal")

// Value implements driver.Valuer for connections that are not of a [Connector]: they get none.
func (text[K]) Value() (driver.Value, error) { return nil, errNoConnector }

func (t text[K]) seal(l *Lock) (driver.Value, error) {
	if t == "" {
		return "", nil
	}
	k, err := l.Keys()
	if err != nil {
		return nil, err
	}
	return k.sealText(string(t), t.kind()), nil
}

func (text[K]) kind() kind {
	var of K
	k, _ := kindOf(of.name())
	return k
}

// Scan implements sql.Scanner: [ErrLocked], [ErrSealed], [ErrClear].
func (t *text[K]) Scan(src any) error {
	as := t.kind()
	switch v := src.(type) {
	case text[K]:
		*t = v
		return nil
	case locked:
		return ErrLocked
	case string:
		if v == "" || as.clear {
			*t = text[K](v)
			return nil
		}
		return fmt.Errorf("%w (%s)", ErrClear, as.name)
	case nil:
		return fmt.Errorf("reading a personal field (%s): it is NULL", as.name)
	}
	return fmt.Errorf("%w (%s)", ErrSealed, as.name)
}

// DN is a column of distinguished names; see [Bytes] for Public.
type DN struct {
	V      string
	Public bool
}

// Value is as that of text.
func (DN) Value() (driver.Value, error) { return nil, errNoConnector }

func (n DN) seal(l *Lock) (driver.Value, error) {
	if n.Public {
		return n.V, nil
	}
	return text[dnKind](n.V).seal(l)
}

// Scan is as that of Bytes.
func (n *DN) Scan(src any) error {
	if v, ok := src.(string); ok {
		*n = DN{v, v != ""}
		return nil
	}
	var v text[dnKind]
	err := v.Scan(src)
	*n = DN{V: string(v)}
	return err
}

// Bytes is a column of bytes. Public is for the rows of such a column that are not about a
// person (certificates of authorities): they are stored as they are, and so read back.
type Bytes struct {
	V      []byte
	Public bool
}

// Value is as that of text.
func (Bytes) Value() (driver.Value, error) { return nil, errNoConnector }

func (b Bytes) seal(l *Lock) (driver.Value, error) {
	if b.Public || len(b.V) == 0 {
		return append([]byte{}, b.V...), nil
	}
	k, err := l.Keys()
	if err != nil {
		return nil, err
	}
	return k.sealBytes(b.V), nil
}

// Scan implements sql.Scanner. What was stored in clear comes back as Public, what is NULL
// empty.
func (b *Bytes) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*b = Bytes{}
	case opened:
		*b = Bytes{V: v}
	case locked:
		return ErrLocked
	case []byte:
		*b = Bytes{bytes.Clone(v), len(v) > 0}
	default:
		return fmt.Errorf("%w (%s)", ErrSealed, bytesKind)
	}
	return nil
}
