package ceremony_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/ceremony"
	"github.com/mohor-sign/mohor/internal/secret"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 5649, Section 6.
func TestWrapVectors(t *testing.T) {
	kek := unhex(t, "5840df6e29b02af1 ab493b705bf16ea1 ae8338f4dcc176a8")
	for key, want := range map[string]string{
		"c37b7e6492584340 bed1220780894115 5068f738": "138bdeaa9b8fa7fc 61f97742e72248ee 5ae6ae5360d1ae6a 5f54f373fa543b6a",
		"466f7250617369": "afbeb0f07dfbf541 9200f2ccb50bb24f",
	} {
		if got, err := ceremony.Wrap(kek, unhex(t, key)); err != nil || !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("wrapping %s: %x, %v", key, got, err)
		}
	}
}

func mix(t *testing.T) *ceremony.Master {
	t.Helper()
	machine := make([]byte, 32)
	for k := range machine {
		machine[k] = byte(k)
	}
	m, err := ceremony.MixWith(machine, [][]byte{[]byte("custodian one component"), bytes.Repeat([]byte{0xff}, 16)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The vectors were made with another program: HKDF, expand_message_xmd and the reduction written
// from their RFCs in Python, the wrapping by openssl enc -id-aes256-wrap-pad.
func TestDerivationVectors(t *testing.T) {
	m := mix(t)
	if got := hex.EncodeToString(m.Scalar()); got != "deae6a67647be1b732594b00c07c1070d2529835aebcf206f0437d0c58ccfe08" {
		t.Errorf("master %s", got)
	}
	for _, v := range []struct{ label, key, check string }{
		{"mohor-kek-1", "86df8b9d6ec8fdf5eb27b92f16e6b3aca1e8652d0b6c8e54d0f558f075264c32", "5410c55b3bd8ad54"},
		{"mohor-pepper", "84fbc2c9670e007c2800e4c866254a6f5af2672d58ed6a9816a7e49fdf9677c1", "b228124e4663972a"},
		{"mohor-code", "6b25066bf5b38539bc8cc2081ac1016e0cfc60a3b7ad2b29484743314bd0f23d", "858965cf2572e79c"},
		{"mohor-intent", "ebdb4ed6f5617cf0c7169362a17a7858cc3e87d6f23a584692a9c5d17113947e", "e2b903793f87af62"},
		{"mohor-idempotency", "5bfa0d8b15d083c63bdadfc71354614c8a5a67a84f827358bc65f32bc8ed2f09", "38646804c6dd167b"},
	} {
		key, err := m.Key(v.label)
		if err != nil || hex.EncodeToString(key) != v.key {
			t.Errorf("%s: %x, %v", v.label, key, err)
		}
		if check, err := ceremony.CheckValue(v.label, key); err != nil || check != v.check {
			t.Errorf("%s: check value %s, %v", v.label, check, err)
		}
	}
}

// Every input changes the master secret, and moving bytes between components does too.
func TestMixUsesEveryInput(t *testing.T) {
	a, b, machine := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32), make([]byte, 32)
	seen := map[string]int{}
	for k, in := range [][][]byte{{machine, a, b}, {a, a, b}, {machine, b, a}, {machine, a, a}, {machine, a[:31], append([]byte{1}, b...)}, {machine, a}, {machine}} {
		m, err := ceremony.MixWith(in[0], in[1:])
		if err != nil {
			t.Fatal(err)
		}
		if before, is := seen[string(m.Scalar())]; is {
			t.Errorf("inputs %d and %d give one secret", before, k)
		}
		seen[string(m.Scalar())] = k
	}
	one, err := ceremony.Mix([][]byte{a})
	if err != nil {
		t.Fatal(err)
	}
	two, err := ceremony.Mix([][]byte{a})
	if err != nil || bytes.Equal(one.Scalar(), two.Scalar()) {
		t.Errorf("the machine's randomness changes nothing, %v", err)
	}
	for _, c := range [][]byte{nil, a[:15], make([]byte, 4097)} {
		if _, err := ceremony.Mix([][]byte{c}); !errors.Is(err, ceremony.ErrInput) {
			t.Errorf("component of %d bytes: %v", len(c), err)
		}
	}
	m := mix(t)
	m.Wipe()
	if !bytes.Equal(m.Scalar(), make([]byte, 32)) {
		t.Error("wiping left the secret")
	}
}

var five = []string{"Aminah binti Ali", "Rajesh a/l Muthu", "Lim Mei Ling", "Siti", "Ōé"}

func split(t *testing.T, m *ceremony.Master, threshold int, names []string) []*ceremony.Share {
	t.Helper()
	shares, err := m.Split(threshold, names)
	if err != nil {
		t.Fatal(err)
	}
	return shares
}

func text(t *testing.T, s *ceremony.Share) []byte {
	t.Helper()
	b, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestThreeOfFive(t *testing.T) {
	m := mix(t)
	var shares []*ceremony.Share
	for k, s := range split(t, m, 3, five) {
		read, err := ceremony.ParseShare(text(t, s))
		if err != nil {
			t.Fatal(err)
		}
		if read.Custodian != five[k] || read.Index != k+1 || read.Threshold != 3 || read.Shares != 5 || read.Ceremony() != s.Ceremony() {
			t.Errorf("read %+v", read)
		}
		shares = append(shares, read)
	}
	triples, pairs := 0, 0
	for a := range 5 {
		for b := a + 1; b < 5; b++ {
			if _, err := ceremony.Combine([]*ceremony.Share{shares[a], shares[b]}); errors.Is(err, ceremony.ErrTooFew) {
				pairs++
			}
			// The same share again does not count.
			if _, err := ceremony.Combine([]*ceremony.Share{shares[b], shares[a], shares[b]}); !errors.Is(err, ceremony.ErrTooFew) {
				t.Errorf("shares %d and %d, one of them twice: %v", a, b, err)
			}
			for c := b + 1; c < 5; c++ {
				got, err := ceremony.Combine([]*ceremony.Share{shares[c], shares[a], shares[b]})
				if err == nil && bytes.Equal(got.Scalar(), m.Scalar()) {
					triples++
				}
			}
		}
	}
	if triples != 10 || pairs != 10 {
		t.Errorf("%d of 10 triples restore, %d of 10 pairs are refused", triples, pairs)
	}
	if got, err := ceremony.Combine(append(shares, shares[1])); err != nil || !bytes.Equal(got.Scalar(), m.Scalar()) {
		t.Errorf("all five, one twice: %v", err)
	}
	if _, err := ceremony.Combine(nil); !errors.Is(err, ceremony.ErrTooFew) {
		t.Errorf("none: %v", err)
	}
}

func TestSplitRefuses(t *testing.T) {
	many := make([]string, 17)
	for k := range many {
		many[k] = fmt.Sprint(k)
	}
	for name, c := range map[string]struct {
		threshold int
		names     []string
	}{
		"threshold 1": {1, five}, "threshold 6": {6, five}, "threshold 0": {0, nil}, "17 custodians": {3, many}, "one name twice": {2, []string{"A", "A"}},
		"no name": {2, []string{"", "A"}}, "a line end": {2, []string{"A\nindex: 2", "B"}}, "a blank": {2, []string{"A ", "B"}}, "no UTF-8": {2, []string{"\xff", "B"}},
	} {
		if _, err := mix(t).Split(c.threshold, c.names); !errors.Is(err, ceremony.ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every bit of every byte.
func TestEditedShareIsRefused(t *testing.T) {
	s := split(t, mix(t), 3, five)[1]
	sealed := split(t, mix(t), 3, five)[2]
	if err := sealed.Protect(secret.New("correct horse")); err != nil {
		t.Fatal(err)
	}
	for name, good := range map[string][]byte{"plain": text(t, s), "sealed": text(t, sealed)} {
		accepted := 0
		for k := range good {
			for bit := range 8 {
				bad := bytes.Clone(good)
				bad[k] ^= 1 << bit
				if _, err := ceremony.ParseShare(bad); !errors.Is(err, ceremony.ErrShare) {
					accepted++
				}
			}
			for _, bad := range [][]byte{good[:k], append(bytes.Clone(good[:k]), good[k+1:]...), append(append(bytes.Clone(good[:k]), '\n'), good[k:]...)} {
				if _, err := ceremony.ParseShare(bad); !errors.Is(err, ceremony.ErrShare) {
					accepted++
				}
			}
		}
		if accepted != 0 {
			t.Errorf("%s: %d of %d edits were accepted", name, accepted, len(good)*11)
		}
	}
	if _, err := ceremony.ParseShare(bytes.Repeat([]byte("x"), 9000)); !errors.Is(err, ceremony.ErrShare) {
		t.Errorf("a long text: %v", err)
	}
}

// Whoever edits a share and makes its checksum anew does not get past the commitments, and past
// the other shares if the commitments are edited too.
func TestForgedShareIsRefused(t *testing.T) {
	shares := split(t, mix(t), 3, five)
	good := string(text(t, shares[0]))
	other := split(t, mix(t), 3, five)
	value := func(s string) string { return s[strings.Index(s, "\nshare: ")+8 : strings.Index(s, "\nchecksum")] }
	for name, edited := range map[string]string{
		"another's value": strings.Replace(good, value(good), value(string(text(t, shares[1]))), 1),
		"another index":   strings.Replace(good, "index: 1", "index: 2", 1),
		"lower threshold": strings.Replace(good, "threshold: 3", "threshold: 2", 1),
		"capitals":        strings.Replace(good, value(good), strings.ToUpper(value(good)), 1),
		"not reduced":     strings.Replace(good, value(good), plusOrder(t, value(good)), 1),
		"cut":             strings.Replace(good, value(good), value(good)[2:], 1),
	} {
		if _, err := ceremony.ParseShare(ceremony.Checksummed(edited)); !errors.Is(err, ceremony.ErrShare) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ceremony.Combine([]*ceremony.Share{shares[0], shares[1], other[2]}); !errors.Is(err, ceremony.ErrMixed) || !strings.Contains(err.Error(), five[2]) {
		t.Errorf("shares of two ceremonies: %v", err)
	}
}

// plusOrder adds the order of the group (RFC 9496, Section 4.4) to a scalar: the same share,
// written otherwise.
func plusOrder(t *testing.T, scalar string) string {
	t.Helper()
	order, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	order.Add(order, new(big.Int).Lsh(big.NewInt(1), 252))
	b := unhex(t, scalar)
	slices.Reverse(b)
	out := new(big.Int).Add(new(big.Int).SetBytes(b), order).FillBytes(make([]byte, 32))
	slices.Reverse(out)
	return hex.EncodeToString(out)
}

func TestPassphrase(t *testing.T) {
	m := mix(t)
	shares := split(t, m, 2, five[:2])
	plain := string(text(t, shares[0]))
	if err := shares[0].Protect(secret.Text{}); !errors.Is(err, ceremony.ErrInput) {
		t.Errorf("empty passphrase: %v", err)
	}
	if err := shares[0].Protect(secret.New("correct horse")); err != nil {
		t.Fatal(err)
	}
	sealed := text(t, shares[0])
	if value := plain[strings.Index(plain, "\nshare: ")+8:]; strings.Contains(string(sealed), value[:64]) {
		t.Error("the value stands in the sealed share")
	}
	read, err := ceremony.ParseShare(sealed)
	if err != nil || !read.Sealed() {
		t.Fatalf("sealed %t, %v", read.Sealed(), err)
	}
	if _, err := ceremony.Combine([]*ceremony.Share{read, shares[1]}); !errors.Is(err, ceremony.ErrShare) {
		t.Errorf("combined while sealed: %v", err)
	}
	if err := read.Open(secret.New("correct horsf")); !errors.Is(err, ceremony.ErrPassphrase) || !strings.Contains(err.Error(), five[0]) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if err := read.Open(secret.New("correct horse")); err != nil {
		t.Fatal(err)
	}
	if got, err := ceremony.Combine([]*ceremony.Share{read, shares[1]}); err != nil || !bytes.Equal(got.Scalar(), m.Scalar()) {
		t.Errorf("combined: %v", err)
	}
	// The name is under the seal, too.
	renamed := ceremony.Checksummed(strings.Replace(string(sealed), five[0], "Mallory", 1))
	read, err = ceremony.ParseShare(renamed)
	if err != nil {
		t.Fatal(err)
	}
	if err := read.Open(secret.New("correct horse")); !errors.Is(err, ceremony.ErrPassphrase) {
		t.Errorf("renamed: %v", err)
	}
}
