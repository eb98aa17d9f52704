package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/ceremony"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store"
)

// ErrTranscript: the shares, the transcript and the token do not belong together.
var ErrTranscript = errors.New("not what the transcript of the ceremony says")

// pepper is the key that every installation has once and for all.
const pepper = "mohor-pepper"

// ceremonyLabels are the keys that a ceremony makes. CA and audit-seal keys are not among them:
// they are made in the token, cannot leave it, and are rolled over when they are lost.
func ceremonyLabels(kek string) []string {
	return []string{kek, pepper, string(hsm.CodeKey), string(hsm.IntentKey), string(hsm.IdempotencyKey)}
}

// Custodian takes part in a ceremony.
type Custodian struct {
	Name       string      // 1 to 64 printable characters
	Share      string      // file to be written, which must not exist
	Component  secret.Text // 16 to 4,096 bytes of the custodian's own randomness
	Passphrase secret.Text // for the share; empty for none
}

// Transcript says what happened in a ceremony; it holds no secret. Its SHA-256 is in the audit
// chain.
type Transcript struct {
	Format       string             `json:"format"` // "mohor ceremony transcript 1"
	Ceremony     string             `json:"ceremony"`
	Installation string             `json:"installation"` // label of the token
	At           time.Time          `json:"at"`
	By           string             `json:"by"`
	Software     string             `json:"software"`
	Threshold    int                `json:"threshold"`
	Custodians   []TranscriptPerson `json:"custodians"`
	Keys         []TranscriptOfAKey `json:"keys"`
}

// TranscriptPerson is a custodian in a Transcript.
type TranscriptPerson struct {
	Index      int    `json:"index"`
	Name       string `json:"name"`
	Passphrase bool   `json:"passphrase"`
}

// TranscriptOfAKey is a key in a Transcript.
type TranscriptOfAKey struct {
	Label string `json:"label"`
	Check string `json:"check_value"`
	Local bool   `json:"cka_local"` // false: it was imported
}

const transcriptFormat = "mohor ceremony transcript 1"

func (r *Keyring) transcriptPath(id string) string {
	return filepath.Join(r.Dir, "ceremony-"+id+".json")
}

// Ceremony makes the secret keys of a new installation from the machine's randomness and every
// custodian's component, writes each custodian's share, and imports the keys into the token. The
// shares are read back and proved, and the transcript is on disk and in the audit chain, before
// the first key is in the token; from then on Restore completes what an interruption left. It
// gives the transcript and its file.
func (r *Keyring) Ceremony(ctx context.Context, by string, threshold int, people []Custodian) (Transcript, string, error) {
	var t Transcript
	unlock, err := r.lock()
	if err != nil {
		return t, "", err
	}
	defer unlock()
	kek, err := r.unkeyed(ctx)
	if err != nil {
		return t, "", err
	}
	id, err := writeShares(threshold, people)
	if err != nil {
		return t, "", err
	}
	shares, err := proveShares(threshold, people)
	if err != nil {
		return t, "", errors.Join(fmt.Errorf("reading the shares back: %w", err), removeShares(people))
	}
	defer shares.Wipe()
	t = Transcript{Format: transcriptFormat, Ceremony: id, Installation: r.config.Token.Label, At: r.now().UTC().Truncate(time.Second), By: by,
		Software: "mohor " + Version, Threshold: threshold}
	for k, p := range people {
		t.Custodians = append(t.Custodians, TranscriptPerson{k + 1, p.Name, p.Passphrase.Len() > 0})
	}
	for _, label := range ceremonyLabels(kek) {
		check, err := shares.check(label)
		if err != nil {
			return t, "", err
		}
		t.Keys = append(t.Keys, TranscriptOfAKey{Label: label, Check: check})
	}
	path := r.transcriptPath(id)
	sum, err := writeTranscript(path, t)
	if err != nil {
		return t, "", errors.Join(err, removeShares(people))
	}
	ev := audit.Event{At: r.now(), Actor: "cli", Action: ceremonyAction, Object: ceremonyObject + id, Verdict: audit.Accepted,
		Detail: map[string]string{"transcript_sha256": sum, "shares": fmt.Sprintf("%d of %d", threshold, len(people)), "by": by}}
	if err := r.db.Audit(ctx, ev); err != nil {
		return t, path, fmt.Errorf("recording the ceremony: %w", err)
	}
	return t, path, r.install(ctx, shares, t.Keys)
}

const (
	ceremonyAction = "hsm.ceremony"
	ceremonyObject = "ceremony:"
)

// unkeyed gives the label of the KEK to make; hsm.ErrKeyExists when there are keys, in the token
// or on record.
func (r *Keyring) unkeyed(ctx context.Context) (kek string, err error) {
	if kek, err = r.db.CurrentKEK(ctx); err != nil {
		return "", err
	}
	keys, err := r.keys(ctx)
	if err != nil {
		return "", err
	}
	for _, k := range keys {
		if k.Kind == "KEK" || k.Kind == "HMAC" {
			return "", fmt.Errorf("%w: %q: a ceremony is for an installation without keys (`mohor init --ceremony`); `--restore` completes one that was interrupted", hsm.ErrKeyExists, k.Label)
		}
	}
	return kek, nil
}

// writeShares makes the master secret and its shares, and keeps neither.
func writeShares(threshold int, people []Custodian) (id string, err error) {
	var names []string
	var components [][]byte
	paths := make(map[string]bool)
	for _, p := range people {
		names, components = append(names, p.Name), append(components, p.Component.Reveal())
		path, err := filepath.Abs(p.Share)
		if err != nil {
			return "", fmt.Errorf("finding share of %q: %w", p.Name, err)
		}
		if _, err := os.Lstat(path); err == nil || paths[path] {
			return "", fmt.Errorf("writing share of %q: %s exists, and a share is never overwritten", p.Name, p.Share)
		}
		paths[path] = true
	}
	master, err := ceremony.Mix(components)
	if err != nil {
		return "", err
	}
	defer master.Wipe()
	shares, err := master.Split(threshold, names)
	if err != nil {
		return "", err
	}
	defer func() {
		for _, s := range shares {
			s.Wipe()
		}
	}()
	for k, s := range shares {
		if people[k].Passphrase.Len() > 0 {
			if err := s.Protect(people[k].Passphrase); err != nil {
				return "", err
			}
		}
		if err := writeShare(people[k].Share, s); err != nil {
			return "", errors.Join(fmt.Errorf("writing share of %q: %w", s.Custodian, err), removeShares(people[:k]))
		}
	}
	return shares[0].Ceremony(), nil
}

func writeShare(path string, s *ceremony.Share) error {
	text, err := s.MarshalText()
	if err != nil {
		return err
	}
	defer clear(text)
	return writeNew(path, 0o600, text)
}

// writeNew writes a file that must not exist, durably; what was begun and not ended is removed.
func writeNew(path string, mode fs.FileMode, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// removeShares takes back shares of a ceremony that did not take place.
func removeShares(people []Custodian) (err error) {
	for _, p := range people {
		err = errors.Join(err, os.Remove(p.Share))
	}
	return err
}

// proveShares reads every share back and recovers the secret from the first and from the last of
// them.
func proveShares(threshold int, people []Custodian) (*Shares, error) {
	passphrases := make(map[string]secret.Text)
	var paths []string
	for _, p := range people {
		passphrases[p.Name] = p.Passphrase
		paths = append(paths, p.Share)
	}
	ask := func(name string) (secret.Text, error) { return passphrases[name].Copy(), nil }
	first, err := OpenShares(paths[:threshold], ask)
	if err != nil {
		return nil, err
	}
	last, err := OpenShares(paths[len(paths)-threshold:], ask)
	if err != nil {
		first.Wipe()
		return nil, err
	}
	defer last.Wipe()
	a, errA := first.check(pepper)
	b, errB := last.check(pepper)
	if err := errors.Join(errA, errB); err != nil || a != b {
		first.Wipe()
		return nil, errors.Join(err, errors.New("they do not give one secret"))
	}
	return first, nil
}

func writeTranscript(path string, t Transcript) (sum string, err error) {
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encoding transcript: %w", err)
	}
	text = append(text, '\n')
	if err := writeNew(path, 0o644, text); err != nil {
		return "", fmt.Errorf("writing transcript: %w", err)
	}
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:]), nil
}

// agree compares the keys that the shares give, and those of them that the token has, with the
// check values they must have.
func (r *Keyring) agree(ctx context.Context, shares *Shares, want []TranscriptOfAKey) error {
	infos, err := r.hsm.Keys(ctx)
	if err != nil {
		return err
	}
	for _, w := range want {
		check, err := shares.check(w.Label)
		if err != nil {
			return err
		}
		if check != w.Check {
			return fmt.Errorf("%w: the shares give a key %s with check value %s, not %s", ErrTranscript, w.Label, check, w.Check)
		}
		k := slices.IndexFunc(infos, func(i hsm.KeyInfo) bool { return i.Label == w.Label })
		if k >= 0 && infos[k].Check != w.Check {
			return fmt.Errorf("%w: the token has another key %s (%s%s): nothing was imported", ErrTranscript, w.Label, infos[k].Check, infos[k].Fault)
		}
	}
	return nil
}

// install puts the keys that are not there into the token, has each answer with the check value it
// must have, and records those that are not on record.
func (r *Keyring) install(ctx context.Context, shares *Shares, want []TranscriptOfAKey) error {
	for _, w := range want {
		if err := shares.put(ctx, r.module, w.Label); err != nil && !errors.Is(err, hsm.ErrKeyExists) {
			return err
		}
	}
	keys, err := r.keys(ctx)
	if err != nil {
		return err
	}
	var evs []audit.Event
	for _, w := range want {
		k := slices.IndexFunc(keys, func(k Key) bool { return k.Label == w.Label })
		if k < 0 || keys[k].Check != w.Check || keys[k].Local {
			return fmt.Errorf("%w: the module does not answer for %s as it must", ErrTranscript, w.Label)
		}
		if keys[k].Recorded.IsZero() {
			evs = append(evs, r.keyEvent("cli", "ceremony "+shares.Ceremony, keys[k]))
		}
	}
	return r.db.AuditAll(ctx, evs...)
}

// Restore puts the keys of a ceremony into a token that lacks them, from enough shares, and
// compares them with the transcript (its file, or "" for the one in the data folder), the
// transcript with the audit chain, and KEKs that rotations derived from the shares with their
// records. It gives the labels of the keys that are in the token now. known is false when the
// chain of this database does not tell of the ceremony: then the transcript is believed.
func (r *Keyring) Restore(ctx context.Context, shares *Shares, transcript string) (labels []string, known bool, err error) {
	unlock, err := r.lock()
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if transcript == "" {
		transcript = r.transcriptPath(shares.Ceremony)
	}
	t, sum, err := readTranscript(transcript)
	if err != nil {
		return nil, false, err
	}
	if t.Ceremony != shares.Ceremony {
		return nil, false, fmt.Errorf("%w: it is of ceremony %s, the shares of %s", ErrTranscript, t.Ceremony, shares.Ceremony)
	}
	if known, err = r.recordedTranscript(ctx, t.Ceremony, sum); err != nil {
		return nil, known, err
	}
	want, err := r.wanted(ctx, t)
	if err != nil {
		return nil, known, err
	}
	for _, w := range want {
		labels = append(labels, w.Label)
	}
	if err := r.agree(ctx, shares, want); err != nil {
		return nil, known, err
	}
	ev := audit.Event{At: r.now(), Actor: "cli", Action: "hsm.restore", Object: ceremonyObject + t.Ceremony, Verdict: audit.Accepted,
		Detail: map[string]string{"transcript_sha256": sum, "token": r.config.Token.Label}}
	if err := r.db.Audit(ctx, ev); err != nil {
		return nil, known, fmt.Errorf("recording the restoration: %w", err)
	}
	return labels, known, r.install(ctx, shares, want)
}

func readTranscript(path string) (t Transcript, sum string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return t, "", fmt.Errorf("reading transcript: %w", err)
	}
	if err := json.Unmarshal(text, &t); err != nil || t.Format != transcriptFormat {
		return t, "", fmt.Errorf("%w: %s is no transcript", ErrTranscript, path)
	}
	h := sha256.Sum256(text)
	return t, hex.EncodeToString(h[:]), nil
}

// recordedTranscript compares a transcript's hash with the one in the audit chain.
func (r *Keyring) recordedTranscript(ctx context.Context, id, sum string) (known bool, err error) {
	err = r.db.TokenRecords(ctx, ceremonyAction, func(rec audit.Record) error {
		if rec.Object != ceremonyObject+id {
			return nil
		}
		known = true
		if rec.Detail["transcript_sha256"] != sum {
			return fmt.Errorf("%w: its SHA-256 is not the one in record %d of the audit chain (edited)", ErrTranscript, rec.Seq)
		}
		return nil
	})
	return known, err
}

// wanted is the transcript's keys and the KEKs that rotations derived since, but for retired ones.
func (r *Keyring) wanted(ctx context.Context, t Transcript) (want []TranscriptOfAKey, err error) {
	keks, err := r.db.KEKs(ctx)
	if err != nil {
		return nil, err
	}
	records, err := r.records(ctx)
	if err != nil {
		return nil, err
	}
	gone := make(map[string]bool)
	for _, k := range keks {
		gone[k.Label] = k.State == store.KEKRetiring || k.State == store.KEKRetired
	}
	for _, k := range t.Keys {
		if !gone[k.Label] {
			want = append(want, k)
		}
		delete(records, k.Label)
	}
	for _, k := range keks {
		if rec, ok := records[k.Label]; ok && rec.Detail["local"] == "no" && !gone[k.Label] {
			want = append(want, TranscriptOfAKey{Label: k.Label, Check: rec.Detail["check"]})
		}
	}
	return want, nil
}
