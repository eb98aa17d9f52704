package cms_test

import (
	"bytes"
	"crypto"
	"errors"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

// TestBERBecomesTheSameDER: whatever way a time-stamped signature is written
// in BER, it comes back byte for byte, and is judged as before.
func TestBERBecomesTheSameDER(t *testing.T) {
	digest := bytes.Repeat([]byte{3}, 32)
	der := timestamped(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil), authority(t, cms.RSAPKCS1), digest)
	sd, err := cms.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	attrs := append([]byte{0xA0}, sd.SignedParts()[0]...)
	dice := mathrand.New(mathrand.NewPCG(1, 2))
	for range 100 {
		b := ber(dice, der, attrs)
		got, err := cms.ToDER(b)
		if err != nil || !bytes.Equal(got, der) {
			t.Fatalf("%v\n%x\n%x", err, b, got)
		}
		sd, err := cms.Parse(b)
		if err != nil || sd.Verify(digest) != nil || len(sd.Timestamps) != 1 {
			t.Fatalf("%v %+v", err, sd)
		}
		if n, err := cms.ElementSize(append(bytes.Clone(b), make([]byte, 100)...)); n != len(b) || err != nil {
			t.Fatalf("%d bytes of %d, %v", n, len(b), err)
		}
	}
}

func TestSignedAttributesInBERAreRefused(t *testing.T) {
	der := pdftest.New(t, cms.ECDSA, crypto.SHA256, nil).CMS(t, make([]byte, 32))
	sd, err := cms.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	attrs := append([]byte{0xA0}, sd.SignedParts()[0]...)
	at := bytes.Index(der, attrs)
	// The outer lengths become indefinite so that they need not be counted.
	n := len(attrs)
	odd := append([]byte{0xA0, 0x84, 0, 0, byte((n - 3) >> 8), byte(n - 3)}, attrs[3:]...)
	if attrs[1] != 0x81 && attrs[1] != 0x82 {
		t.Fatalf("attributes of %d bytes", n)
	}
	if attrs[1] == 0x82 {
		odd = append([]byte{0xA0, 0x84, 0, 0}, attrs[2:]...)
	}
	good := reopen(t, der, at, n, attrs)
	if _, err := cms.Parse(good); err != nil {
		t.Errorf("BER around: %v", err)
	}
	if _, err := cms.Parse(reopen(t, der, at, n, odd)); !errors.Is(err, cms.ErrMalformed) {
		t.Errorf("BER in the attributes: %v", err)
	}
}

// reopen gives what holds der[at:at+n] indefinite lengths and puts other in
// its place.
func reopen(t *testing.T, der []byte, at, n int, other []byte) []byte {
	t.Helper()
	var out []byte
	tail := 0
	in := der
	for pos := 0; pos < at; {
		size, err := cms.ElementSize(in)
		if err != nil {
			t.Fatal(err)
		}
		if end := pos + size; end <= at { // before it
			out, in, pos = append(out, in[:size]...), in[size:], end
			continue
		}
		head := 2
		if in[1] > 0x80 {
			head += int(in[1] & 0x7F)
		}
		out = append(out, in[0], 0x80)
		in, pos = in[head:], pos+head
		tail++
	}
	out = append(append(out, other...), der[at+n:]...)
	return append(out, make([]byte, 2*tail)...)
}

func TestBERBounds(t *testing.T) {
	deep := bytes.Repeat([]byte{0x30, 0x80}, 100)
	many := append([]byte{0x30, 0x80}, bytes.Repeat([]byte{5, 0}, 300_000)...)
	strings := append([]byte{0x24, 0x80}, bytes.Repeat([]byte{0x24, 0x80}, 63)...)
	strings = append(append(strings, bytes.Repeat([]byte{4, 1, 'x'}, 200_000)...), make([]byte, 128)...)
	for name, b := range map[string][]byte{
		"nothing": nil, "one byte": {0x30}, "deep": append(deep, make([]byte, 200)...), "many": append(many, 0, 0),
		"no end": {0x30, 0x80, 5, 0}, "primitive indefinite": {4, 0x80, 0, 0}, "high tag": {0x3F, 1, 0},
		"longer than all": {0x30, 5, 5, 0}, "length of nine": {0x30, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"huge": {0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF}, "reserved length": {0x30, 0xFF},
		"other parts": {0x24, 4, 0x0C, 2, 'a', 'b'}, "end inside": {0x30, 2, 0, 0},
		"too large": append([]byte{0x04, 0x83, 0x10, 0, 0}, make([]byte, cms.MaxSize)...),
	} {
		began := time.Now()
		if _, err := cms.ToDER(b); !errors.Is(err, cms.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
	got, err := cms.ToDER(strings)
	if err != nil || !bytes.Equal(got, octets(bytes.Repeat([]byte{'x'}, 200_000))) {
		t.Errorf("string in parts: %v, %d bytes", err, len(got))
	}
}

// FuzzBER: what comes out is DER, which comes out as it went in.
func FuzzBER(f *testing.F) {
	der := pdftest.New(f, cms.ECDSA, crypto.SHA256, nil).CMS(f, make([]byte, 32))
	dice := mathrand.New(mathrand.NewPCG(3, 4))
	f.Add(der)
	for range 8 {
		f.Add(ber(dice, der, nil))
	}
	f.Add([]byte{0x24, 0x80, 0x24, 0x80, 4, 1, 'x', 0, 0, 4, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		once, err := cms.ToDER(b)
		if err != nil {
			if !errors.Is(err, cms.ErrMalformed) {
				t.Errorf("untyped error: %v", err)
			}
			return
		}
		if n, err := cms.ElementSize(b); n != len(b) || err != nil {
			t.Errorf("size %d of %d: %v", n, len(b), err)
		}
		twice, err := cms.ToDER(once)
		if err != nil || !bytes.Equal(once, twice) || &once[0] != &twice[0] {
			t.Errorf("%v\n%x\n%x\n%x", err, b, once, twice)
		}
	})
}
