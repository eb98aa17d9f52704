package archive_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/archive"
	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/signer"
)

type mac []byte

func (m mac) MAC(_ context.Context, data []byte) ([]byte, error) {
	h := hmac.New(sha256.New, m)
	h.Write(data)
	return h.Sum(nil), nil
}

// records is a register with one batch of one document.
type records struct {
	archive.Records
	archived bool
}

func (r *records) Archives(context.Context, string, int) ([]archive.Info, error) { return nil, nil }
func (r *records) Removals(context.Context, int) ([]archive.Removal, error)      { return nil, nil }
func (r *records) Begin(context.Context, string, audit.Event) error              { return nil }
func (r *records) Due(_ context.Context, _ time.Time, after string, _ int) ([]string, error) {
	if r.archived || after != "" {
		return nil, nil
	}
	return []string{"ba_1"}, nil
}

func (r *records) Case(context.Context, string, time.Time) (archive.Case, []archive.Proof, error) {
	return archive.Case{Batch: archive.Batch{ID: "ba_1"}, Items: 1}, []archive.Proof{{Name: "certificates/1.cer", DER: []byte("der")}}, nil
}

func (r *records) Items(_ context.Context, _ string, after int64, _ int) ([]archive.Item, error) {
	if after >= 0 {
		return nil, nil
	}
	return []archive.Item{{Name: "surat", Blob: "original/1"}}, nil
}

func (r *records) Commit(context.Context, archive.Info, []archive.Case, time.Time, audit.Event) error {
	r.archived = true
	return nil
}

type blobs []byte

type blob struct{ *bytes.Reader }

func (blob) Close() error { return nil }

func (b blobs) Open(_ context.Context, id string) (signer.Blob, error) {
	if id != "original/1" {
		return nil, os.ErrNotExist
	}
	return blob{bytes.NewReader(b)}, nil
}
func (b blobs) Remove(context.Context, string) error { return nil }

// made writes an archive of a document of n bytes.
func made(t *testing.T, n int) (file []byte, id string, key *ecdsa.PrivateKey, document []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	document = make([]byte, n)
	_, _ = rand.Read(document)
	dir := t.TempDir()
	a := &archive.Archiver{Records: &records{}, Blobs: blobs(document), MAC: mac("k"), Seal: key, Public: &key.PublicKey, Dir: dir, Now: time.Now, Before: time.Now(),
		Judge: func(context.Context, *archive.Archive, func(batch, why string)) error { return nil }}
	if err := a.Run(t.Context(), func(in archive.Info) error { id = in.ID; return nil }); err != nil {
		t.Fatal(err)
	}
	if file, err = os.ReadFile(archive.Path(dir, id)); err != nil {
		t.Fatal(err)
	}
	return file, id, key, document
}

// several is a register with batches, of which some were archived.
type several struct {
	records
	due []string
}

func (r *several) Abort(context.Context, string, audit.Event) error { return nil }
func (r *several) Due(_ context.Context, _ time.Time, after string, limit int) (out []string, err error) {
	for _, id := range r.due {
		if id > after && len(out) < limit {
			out = append(out, id)
		}
	}
	return out, nil
}

func (r *several) Case(_ context.Context, id string, _ time.Time) (archive.Case, []archive.Proof, error) {
	if id == "ba_2" {
		return archive.Case{}, nil, errors.New("its certificate is missing")
	}
	return archive.Case{Batch: archive.Batch{ID: id}, Items: 1}, nil, nil
}

func (r *several) Items(_ context.Context, id string, after int64, _ int) ([]archive.Item, error) {
	if after >= 0 {
		return nil, nil
	}
	return []archive.Item{{Name: "surat", Blob: map[bool]string{true: "original/gone", false: "original/1"}[id == "ba_3"]}}, nil
}

func (r *several) Commit(_ context.Context, _ archive.Info, cases []archive.Case, _ time.Time, _ audit.Event) error {
	for _, c := range cases {
		r.due = slices.DeleteFunc(r.due, func(id string) bool { return id == c.Batch.ID })
	}
	return nil
}

// What cannot be read, or does not verify in its archive, stays and holds up nothing.
func TestUnfitBatchesAreLeft(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := &several{due: []string{"ba_1", "ba_2", "ba_3", "ba_4", "ba_5"}}
	a := &archive.Archiver{Records: r, Blobs: blobs("x"), MAC: mac("k"), Seal: key, Public: &key.PublicKey, Dir: t.TempDir(), Now: time.Now, Before: time.Now()}
	a.Judge = func(_ context.Context, read *archive.Archive, left func(batch, why string)) error {
		return read.Cases(func(c *archive.Case) error {
			if c.Batch.ID == "ba_4" {
				left("ba_4", "INDETERMINATE")
			}
			return nil
		})
	}
	told := 0
	err = a.Run(t.Context(), func(archive.Info) error { told++; return nil })
	var left *archive.LeftError
	if !errors.As(err, &left) || told != 1 || len(left.Batches) != 3 || left.Batches["ba_4"] != "INDETERMINATE" || !slices.Equal(r.due, []string{"ba_2", "ba_3", "ba_4"}) {
		t.Errorf("%d archives, left %v, %v", told, r.due, err)
	}
}

func judge(file []byte, m archive.MAC, key *ecdsa.PublicKey) error {
	a, err := archive.Open(context.Background(), bytes.NewReader(file), int64(len(file)), m, key)
	if err != nil {
		return err
	}
	return a.Check(context.Background())
}

func TestArchiveIsWhatWasWritten(t *testing.T) {
	for _, n := range []int{0, 1, 64<<10 - 700, 64 << 10, 200_000} {
		file, id, key, document := made(t, n)
		a, err := archive.Open(t.Context(), bytes.NewReader(file), int64(len(file)), mac("k"), &key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Check(t.Context()); err != nil {
			t.Error(err)
		}
		got, err := a.Read("blobs/original/1", 1<<20)
		if err != nil || !bytes.Equal(got, document) || a.Manifest.ID != id {
			t.Errorf("%d bytes: read %d, %v", n, len(got), err)
		}
		if n > 100 && bytes.Contains(file, document[:32]) {
			t.Error("the document lies there in the clear")
		}
	}
}

// Every byte counts: changed, cut off, appended, moved, or under another key.
func TestArchiveFindsChanges(t *testing.T) {
	file, _, key, _ := made(t, 150_000)
	if err := judge(file, mac("k"), &key.PublicKey); err != nil {
		t.Fatalf("control: %v", err)
	}
	for at := 0; at < len(file); at += 977 {
		changed := bytes.Clone(file)
		changed[at] ^= 1
		if err := judge(changed, mac("k"), &key.PublicKey); !errors.Is(err, archive.ErrBroken) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	const whole = 64<<10 + 16
	head := bytes.IndexByte(file, '\n') + 1
	swapped := bytes.Clone(file)
	copy(swapped[head:], file[head+whole:head+2*whole])
	copy(swapped[head+whole:], file[head:head+whole])
	for name, x := range map[string][]byte{"empty": {}, "header alone": file[:head], "one byte less": file[:len(file)-1], "a piece less": file[:head+whole], "two pieces": file[:head+2*whole],
		"more": append(bytes.Clone(file), 0), "swapped": swapped} {
		if err := judge(x, mac("k"), &key.PublicKey); !errors.Is(err, archive.ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := judge(file, mac("other"), &key.PublicKey); !errors.Is(err, archive.ErrBroken) {
		t.Errorf("another installation's: %v", err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := judge(file, mac("k"), &other.PublicKey); !errors.Is(err, archive.ErrBroken) {
		t.Errorf("another seal: %v", err)
	}
}

// Who can seal cannot sign: a ZIP of another content, sealed rightly, is refused.
func TestArchiveNeedsTheSignature(t *testing.T) {
	file, id, key, _ := made(t, 100)
	head := file[:bytes.IndexByte(file, '\n')+1]
	secret, err := mac("k").MAC(t.Context(), []byte("mohor archive v1\n"+id))
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	last := append(make([]byte, 11), 1)
	plain, err := gcm.Open(nil, last, file[len(head):], head)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(plain), int64(len(plain)))
	if err != nil {
		t.Fatal(err)
	}
	again := func(edit func(name string, content []byte) []byte) []byte {
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if content = edit(f.Name, content); content == nil {
				continue
			}
			e, err := w.Create(f.Name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.Write(content); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return append(bytes.Clone(head), gcm.Seal(nil, last, out.Bytes(), head)...)
	}
	if err := judge(again(func(_ string, c []byte) []byte { return c }), mac("k"), &key.PublicKey); err != nil {
		t.Fatalf("control: %v", err)
	}
	for _, victim := range []string{"manifest.json", "manifest.sig", "cases/ba_1.json", "items/ba_1.jsonl", "certificates/1.cer", "blobs/original/1"} {
		for what, edit := range map[string]func([]byte) []byte{"changed": func(c []byte) []byte { c[0] ^= 1; return c }, "longer": func(c []byte) []byte { return append(c, ' ') },
			"missing": func([]byte) []byte { return nil }} {
			err := judge(again(func(name string, c []byte) []byte {
				if name == victim {
					return edit(bytes.Clone(c))
				}
				return c
			}), mac("k"), &key.PublicKey)
			if !errors.Is(err, archive.ErrBroken) {
				t.Errorf("%s %s: %v", victim, what, err)
			}
		}
	}
}
