package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/store"
)

// ErrKeys: keys in the token are not those on record. The gateway does not start.
var ErrKeys = errors.New("the keys in the token are not those on record")

// Records of keys in the audit chain: the action, and the prefix of the object. The store finds
// them by the action.
const (
	keyAction = "hsm.key"
	keyObject = "key:"
)

// Keyring is the keys of an installation: in the token, on record in the audit chain, and what
// hangs on them. It opens where an Installation does not: before there are keys, and when
// something is wrong with them.
type Keyring struct {
	Dir    string
	config Config
	db     *store.DB
	hsm    token
	module *hsm.Module // the same, to change keys; nil in a gateway that serves
	now    func() time.Time
}

// OpenKeyring opens database and token of dir. The token PIN is tried once.
func OpenKeyring(ctx context.Context, dir string, now func() time.Time) (*Keyring, error) {
	c, err := LoadConfig(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (run `mohor init --data %s` first)", err, dir)
	}
	if err != nil {
		return nil, err
	}
	if err := shield(); err != nil {
		return nil, err
	}
	r := &Keyring{Dir: dir, config: c, now: now}
	if r.db, err = c.openDatabase(ctx); err != nil {
		return nil, err
	}
	h, err := hsmConfig(&c)
	if err == nil {
		defer h.PIN.Wipe()
		defer h.Services.PIN.Wipe()
		if r.module, err = hsm.Open(ctx, h); err != nil {
			err = c.Token.openError(err)
		}
	}
	if err != nil {
		return nil, errors.Join(err, r.db.Close())
	}
	r.hsm = r.module
	// A token that lost its keys is what one comes to look at; whoever needs more gets store's error.
	if err := unlock(ctx, r.db, r.hsm); err != nil && !errors.Is(err, hsm.ErrNoKey) && !errors.Is(err, ErrPersonal) {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// keyring is the keyring of an open installation, which closes it.
func (i *Installation) keyring() *Keyring {
	return &Keyring{Dir: i.Dir, config: i.Config, db: i.db, hsm: i.hsm, now: i.now}
}

// Close closes database and token.
func (r *Keyring) Close() error { return errors.Join(r.hsm.Close(), r.db.Close()) }

// lock keeps two commands from changing keys at once.
func (r *Keyring) lock() (unlock func(), err error) {
	return lockFile(filepath.Join(r.Dir, "keys.lock"))
}

// Key is what is known about a key. One that is on record and not in the token has Lost set, and
// the check value of the record.
type Key struct {
	Label    string    `json:"label"`
	Kind     string    `json:"kind"`            // "KEK", "HMAC", or an algorithm
	State    string    `json:"state,omitempty"` // of a KEK; see store
	Local    bool      `json:"local"`           // made in the token, not imported
	Check    string    `json:"check_value"`     // 16 hexadecimal digits
	Recorded time.Time `json:"recorded"`        // zero when it is not on record
	By       string    `json:"by,omitempty"`    // what made it, or found it
	Live     int64     `json:"live_credentials"`
	Lost     bool      `json:"lost,omitempty"`
	// Problem says what is wrong with the key and what to do; Grave, that the gateway does not
	// start because of it.
	Problem string `json:"problem,omitempty"`
	Grave   bool   `json:"grave,omitempty"`
}

// Keys lists the keys in the token, and those on record that should be there, in order of label.
func (r *Keyring) Keys(ctx context.Context) ([]Key, error) {
	keys, err := r.keys(ctx)
	if err != nil {
		return nil, err
	}
	live, err := r.db.LiveByKEK(ctx)
	if err != nil {
		return nil, err
	}
	for k := range keys {
		keys[k].Live = live[keys[k].Label]
	}
	return keys, nil
}

// keys is Keys without the number of credentials, which a start has no time to count.
func (r *Keyring) keys(ctx context.Context) ([]Key, error) {
	records, err := r.records(ctx)
	if err != nil {
		return nil, err
	}
	infos, err := r.hsm.Keys(ctx)
	if err != nil {
		return nil, err
	}
	keks, err := r.db.KEKs(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]store.KEK)
	for _, k := range keks {
		known[k.Label] = k
	}
	var keys []Key
	signers := serviceSigners(&r.config)
	authorities, err := r.db.Authorities(ctx)
	if err != nil {
		return nil, err
	}
	for _, x := range authorities {
		signers[x.Name] = hsm.Algorithm(x.Algorithm)
	}
	for _, info := range infos {
		if _, ours := signers[info.Label]; !ours && info.Kind != "KEK" && info.Kind != "HMAC" {
			continue // another application's
		}
		kek, record := known[info.Label], records[info.Label]
		k := Key{Label: info.Label, Kind: info.Kind, State: kek.State, Local: info.Local, Check: info.Check, Recorded: record.At, By: record.Detail["by"]}
		k.judge(info, record, len(records) > 0)
		keys = append(keys, k)
		delete(records, info.Label)
	}
	for label, record := range records {
		kek := known[label]
		if kek.State == store.KEKRetired || kek.State == store.KEKRetiring {
			continue
		}
		restore := restorable(record)
		if kek.State == store.KEKOld {
			restore += "; `mohor hsm retire-kek " + label + "` gives it up when no live credential names it"
		}
		keys = append(keys, Key{Label: label, Kind: record.Detail["kind"], State: kek.State, Local: record.Detail["local"] == "yes", Check: record.Detail["check"],
			Recorded: record.At, By: record.Detail["by"], Lost: true, Grave: kek.State != store.KEKOld, // which takes away no more than what it wrapped
			Problem: "is on record and not in the token: put the token of that time back" + restore})
	}
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Compare(a.Label, b.Label) })
	return keys, nil
}

func restorable(record audit.Record) string {
	if record.Detail["local"] == "no" {
		return ", or `mohor hsm ceremony --restore` from the custodians' shares"
	}
	return ""
}

// judge compares a key in the token with its record. Before anything is on record, any is none
// and only what cannot be used is a problem.
func (k *Key) judge(info hsm.KeyInfo, record audit.Record, any bool) {
	recorded := record.Seq > 0
	switch {
	case info.Fault != "":
		k.Grave = recorded || k.Kind != "KEK" || k.State == store.KEKCurrent
		k.Problem = "cannot be used (" + info.Fault + "): put the token of before back"
		if !k.Grave {
			k.Problem = "is none of ours (" + info.Fault + "): find out who put it into the token; `mohor hsm retire-kek " + k.Label + "` destroys it"
		}
	case recorded && (record.Detail["check"] != info.Check || (record.Detail["local"] == "yes") != info.Local):
		k.Grave = true
		k.Problem = fmt.Sprintf("was REPLACED: its check value was %s on %s: find out who did it, and put the token of that time back%s",
			record.Detail["check"], record.At.Format(time.RFC3339), restorable(record))
	case k.State == store.KEKRetired:
		k.Problem = "was retired and is in the token again: `mohor hsm retire-kek " + k.Label + "` destroys it"
	case k.State == store.KEKRetiring:
		k.Problem = "is half retired: run `mohor hsm retire-kek " + k.Label + "` again"
	case k.State == store.KEKMaking:
		k.Problem = "is left from an interrupted rotation: run `mohor hsm rotate-kek` again, which makes another in its place"
	case !recorded && k.Kind == "KEK" && k.State == "":
		k.Problem = "is not on record: no rotation made it. Find out who did; `mohor hsm retire-kek " + k.Label + "` destroys it"
	case !recorded && any:
		k.Grave = k.Kind == "KEK" || k.Kind == "HMAC"
		k.Problem = "is in use and not on record: if an init was interrupted, `mohor init` completes it; else find out who made the key"
	}
}

// records gives the last record of each key. The chain is believed as far as it was verified.
func (r *Keyring) records(ctx context.Context) (map[string]audit.Record, error) {
	last := make(map[string]audit.Record)
	err := r.db.KeyRecords(ctx, func(rec audit.Record) error {
		last[strings.TrimPrefix(rec.Object, keyObject)] = rec
		return nil
	})
	return last, err
}

// compare gives warnings, and ErrKeys with all that is grave. With adopt, keys that never were on
// record are passed over.
func (r *Keyring) compare(ctx context.Context, adopt bool) (warnings []string, err error) {
	keys, err := r.keys(ctx)
	if err != nil {
		return nil, err
	}
	var grave []error
	for _, k := range keys {
		switch {
		case adopt && k.Recorded.IsZero():
		case k.Grave:
			grave = append(grave, fmt.Errorf("%w: %s %s", ErrKeys, k.Label, k.Problem))
		case k.Problem != "":
			warnings = append(warnings, k.Label+" "+k.Problem)
		}
	}
	return warnings, errors.Join(grave...)
}

// record puts the keys of the token on record that are not, but for KEKs nobody knows.
func (r *Keyring) record(ctx context.Context, actor, by string) (n int, err error) {
	keys, err := r.keys(ctx)
	if err != nil {
		return 0, err
	}
	var evs []audit.Event
	for _, k := range keys {
		if !k.Recorded.IsZero() || k.Check == "" || k.Kind == "KEK" && k.State != store.KEKCurrent && k.State != store.KEKOld {
			continue
		}
		evs = append(evs, r.keyEvent(actor, by, k))
	}
	if err := r.db.AuditAll(ctx, evs...); err != nil {
		return 0, fmt.Errorf("recording keys: %w", err)
	}
	return len(evs), nil
}

func (r *Keyring) keyEvent(actor, by string, k Key) audit.Event {
	return audit.Event{At: r.now(), Actor: actor, Action: keyAction, Object: keyObject + k.Label, Verdict: audit.Noted,
		Detail: map[string]string{"check": k.Check, "kind": k.Kind, "local": yesNo(k.Local), "by": by}}
}

// prove compares the keys before a start. An installation made before keys were recorded has them
// recorded as they are found.
func (r *Keyring) prove(ctx context.Context, log *slog.Logger) error {
	records, err := r.records(ctx)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		n, err := r.record(ctx, "gateway", "found at start")
		if err != nil {
			return err
		}
		log.Warn("no check values of keys were on record: those of the keys found now are", "keys", n)
	}
	warnings, err := r.compare(ctx, false)
	for _, w := range warnings {
		log.Warn("a key in the token needs a look", "key", w)
	}
	return err
}
