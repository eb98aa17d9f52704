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
	equal bool // looked up by equality: AES-SIV
}

type kinded interface{ kind() kind }

type (
	icKind      struct{}
	actorKind   struct{}
	objectKind  struct{}
	subjectKind struct{}
	numberKind  struct{}
	nameKind    struct{}
	addressKind struct{}
	noteKind    struct{}
)

func (icKind) kind() kind      { return kind{"ic", true} }
func (actorKind) kind() kind   { return kind{"actor", true} }
func (objectKind) kind() kind  { return kind{"object", true} }
func (subjectKind) kind() kind { return kind{"subject", true} }
func (numberKind) kind() kind  { return kind{"number", true} }
func (nameKind) kind() kind    { return kind{"name", false} }
func (addressKind) kind() kind { return kind{"address", false} }
func (noteKind) kind() kind    { return kind{"note", false} }

// Columns of text. The first five are found by equality.
type (
	IC      = text[icKind]      // number of the identity card
	Actor   = text[actorKind]   // who did it: "officer:<ic>", "account:<id>" …
	Object  = text[objectKind]  // what an audit event is about
	Subject = text[subjectKind] // whom failed log-ins are counted for
	Number  = text[numberKind]  // of a certificate of a person's skills
	Name    = text[nameKind]    // of a person, or of a document that may say one
	Address = text[addressKind] // where messages go or requests come from
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
	var of K
	return k.sealText(string(t), of.kind()), nil
}

// Scan implements sql.Scanner: [ErrLocked], [ErrSealed], [ErrClear].
func (t *text[K]) Scan(src any) error {
	var of K
	switch v := src.(type) {
	case sealed:
		k, err := v.lock.Keys()
		if err != nil {
			return err
		}
		plain, err := k.open(v.value, of.kind())
		*t = text[K](plain)
		return err
	case string:
		if v == "" {
			*t = ""
			return nil
		}
		return fmt.Errorf("%w (%s)", ErrClear, of.kind().name)
	}
	return fmt.Errorf("reading a personal field (%s): it is a %T", of.kind().name, src)
}

// DN is a column of distinguished names; see [Bytes] for Public.
type DN struct {
	V      string
	Public bool
}

type dnKind struct{}

func (dnKind) kind() kind { return kind{"dn", false} }

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

var bytesKind = kind{"bytes", false}

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
	return k.sealBytes(b.V, bytesKind), nil
}

// Scan implements sql.Scanner. What was stored in clear comes back as Public, what is NULL
// empty.
func (b *Bytes) Scan(src any) (err error) {
	switch v := src.(type) {
	case nil:
		*b = Bytes{}
	case sealed:
		var k *Keys
		if k, err = v.lock.Keys(); err == nil {
			b.Public = false
			b.V, err = k.open(v.value, bytesKind)
		}
	case []byte:
		*b = Bytes{bytes.Clone(v), len(v) > 0}
	default:
		err = fmt.Errorf("reading a personal field (bytes): it is a %T", src)
	}
	return err
}
