package audit_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

func sealKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signed(t *testing.T, k crypto.Signer, seq int64) audit.Head {
	t.Helper()
	h, err := audit.SignHead(k, seq, [32]byte{byte(seq), 7}, start.Add(time.Duration(seq)*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHeadSignature(t *testing.T) {
	k := sealKey(t)
	h := signed(t, k, 12)
	if err := h.Verify(&k.PublicKey); err != nil {
		t.Fatal(err)
	}
	if h.At.Nanosecond() != 0 || h.At.Location() != time.UTC {
		t.Errorf("time %v", h.At)
	}
	for name, forge := range map[string]func(h *audit.Head){
		"number":              func(h *audit.Head) { h.Seq++ },
		"hash":                func(h *audit.Head) { h.Hash[31] ^= 1 },
		"time":                func(h *audit.Head) { h.At = h.At.Add(time.Second) },
		"signature":           func(h *audit.Head) { h.Signature[len(h.Signature)-1] ^= 1 },
		"no signature":        func(h *audit.Head) { h.Signature = nil },
		"another key":         func(h *audit.Head) { *h = signed(t, sealKey(t), 12) },
		"signature of others": func(h *audit.Head) { h.Signature = signed(t, k, 13).Signature },
	} {
		f := h
		f.Signature = bytes.Clone(h.Signature)
		forge(&f)
		if err := f.Verify(&k.PublicKey); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := audit.SignHead(deadKey{k}, 1, [32]byte{}, start); !errors.Is(err, errDead) {
		t.Errorf("a token that is gone: %v", err)
	}
}

var errDead = errors.New("token is gone")

type deadKey struct{ crypto.Signer }

func (deadKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errDead }

// file is a head file of the heads.
func file(t *testing.T, heads ...audit.Head) string {
	t.Helper()
	var b strings.Builder
	for _, h := range heads {
		line, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	return b.String()
}

func TestReadHeads(t *testing.T) {
	k := sealKey(t)
	a, b, c := signed(t, k, 5), signed(t, k, 9), signed(t, k, 9)
	whole := file(t, a, b, c)
	got, err := audit.ReadHeads(strings.NewReader(whole), &k.PublicKey)
	if err != nil || len(got) != 3 || got[0].Seq != 5 || got[0].Hash != a.Hash || !got[0].At.Equal(a.At) || !bytes.Equal(got[2].Signature, c.Signature) {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := audit.ReadHeads(strings.NewReader(""), &k.PublicKey); err != nil || len(got) != 0 {
		t.Errorf("an empty file: %+v, %v", got, err)
	}
	// Wherever the machine stopped within the last line, the others are read.
	last := strings.LastIndexByte(strings.TrimSuffix(whole, "\n"), '\n') + 1
	for cut := last; cut < len(whole); cut++ {
		if got, err := audit.ReadHeads(strings.NewReader(whole[:cut]), &k.PublicKey); err != nil || len(got) != 2 {
			t.Fatalf("cut at %d: %d heads, %v", cut, len(got), err)
		}
	}
	line := file(t, a)
	damaged := map[string]string{
		"a middle line cut":      line[:len(line)/2] + "\n" + file(t, b),
		"an empty line":          line + "\n" + file(t, b),
		"no JSON":                line + "x\n" + file(t, b),
		"a number of 0":          file(t, audit.Head{}) + line,
		"a short hash":           strings.Replace(line, `"hash":"`, `"hash":"AAAA`, 1),
		"a signature exchanged":  strings.Replace(line, `"signature":"`, `"signature":"AAAA`, 1),
		"an unfinished and more": line[:len(line)-1] + file(t, b),
	}
	for name, text := range damaged {
		if got, err := audit.ReadHeads(strings.NewReader(text), &k.PublicKey); err == nil {
			t.Errorf("%s: read %d heads", name, len(got))
		}
	}
	forged := b
	forged.Hash[0] ^= 1
	for name, text := range map[string]string{
		"older than the one before": file(t, b, a),
		"forged in the middle":      file(t, a, forged, b),
		"another key's":             file(t, a, signed(t, sealKey(t), 6)),
	} {
		if _, err := audit.ReadHeads(strings.NewReader(text), &k.PublicKey); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := io.MultiReader(strings.NewReader(line), iotest.ErrReader(errDead))
	if _, err := audit.ReadHeads(broken, &k.PublicKey); !errors.Is(err, errDead) {
		t.Errorf("a disk that fails: %v", err)
	}
}

func TestHeadJSON(t *testing.T) {
	h := signed(t, sealKey(t), 3)
	line, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil || len(fields) != 4 || fields["seq"] != 3.0 || fields["at"] != "2026-01-02T03:04:08Z" {
		t.Errorf("%s, %v", line, err)
	}
	for _, bad := range []string{`[]`, `{"seq":1}`, `{"seq":0,"hash":"` + strings.Repeat("A", 43) + `="}`, `{"seq":1,"hash":"AA=="}`, `{"seq":"1"}`} {
		if err := json.Unmarshal([]byte(bad), &h); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}
