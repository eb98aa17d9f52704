package ceremony

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
	"golang.org/x/crypto/argon2"

	"github.com/mohor-sign/mohor/internal/secret"
)

// Share is one custodian's part of a master secret. With a passphrase its value
// is sealed until [Share.Open].
type Share struct {
	Custodian string
	Index     int // 1 to Shares
	Threshold int
	Shares    int

	commitments []byte // Threshold elements: Feldman, to the coefficients
	salt        []byte // of the passphrase; nil without one
	sealed      []byte // nonce, AES-256-GCM of value, tag; nil without a passphrase
	value       []byte // nil while sealed
}

// Argon2id (RFC 9106, Section 4: the second recommended option) for passphrases.
const (
	argonTime, argonMemory, argonLanes = 3, 64 << 10, 1
	argonText                          = "argon2id m=65536 t=3 p=1"
)

const maxShareText = 8 << 10

// Ceremony is 16 hexadecimal digits by which people tell ceremonies apart: the
// first 8 bytes of SHA-256 over the commitments.
func (s *Share) Ceremony() string {
	sum := sha256.Sum256(append([]byte("mohor ceremony v1\n"), s.commitments...))
	return hex.EncodeToString(sum[:8])
}

// Sealed reports that the share needs its passphrase.
func (s *Share) Sealed() bool { return s.value == nil }

// Protect seals the value under a passphrase: AES-256-GCM under Argon2id with
// 64 MiB and three passes; name, numbers and commitments are authenticated with
// it. An empty passphrase is [ErrInput].
func (s *Share) Protect(passphrase secret.Text) error {
	if passphrase.Len() == 0 {
		return fmt.Errorf("%w: empty passphrase", ErrInput)
	}
	s.salt = make([]byte, 16)
	if _, err := rand.Read(s.salt); err != nil {
		return fmt.Errorf("making salt: %w", err)
	}
	aead, err := s.aead(passphrase)
	if err != nil {
		return err
	}
	s.sealed = aead.Seal(nil, nil, s.value, []byte(s.head()))
	s.Wipe()
	return nil
}

func (s *Share) aead(passphrase secret.Text) (cipher.AEAD, error) {
	key := argon2.IDKey(passphrase.Reveal(), s.salt, argonTime, argonMemory, argonLanes, 32)
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("preparing seal of share: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Open opens the seal ([ErrPassphrase]) and checks the value against the
// commitments ([ErrShare]). A share without a passphrase is only checked.
func (s *Share) Open(passphrase secret.Text) error {
	if s.Sealed() {
		aead, err := s.aead(passphrase)
		if err != nil {
			return err
		}
		value, err := aead.Open(nil, nil, s.sealed, []byte(s.head()))
		if err != nil {
			return fmt.Errorf("%w of %q", ErrPassphrase, s.Custodian)
		}
		s.value = value
	}
	p, err := s.point()
	if err != nil {
		return err
	}
	p.Value.SetUint64(0)
	return nil
}

// Wipe overwrites the value.
func (s *Share) Wipe() {
	clear(s.value)
	s.value = nil
}

// committed decodes the commitments.
func (s *Share) committed() ([]group.Element, error) {
	if len(s.commitments) != s.Threshold*ristLen {
		return nil, fmt.Errorf("%w: commitments of %q", ErrShare, s.Custodian)
	}
	out := make([]group.Element, s.Threshold)
	for k := range out {
		out[k] = curve.NewElement()
		if err := out[k].UnmarshalBinary(s.commitments[k*ristLen : (k+1)*ristLen]); err != nil {
			return nil, fmt.Errorf("%w: commitment %d of %q", ErrShare, k, s.Custodian)
		}
	}
	return out, nil
}

// point decodes the value and checks it against the commitments.
func (s *Share) point() (secretsharing.Share, error) {
	bad := fmt.Errorf("%w: the share of %q does not fit its commitments", ErrShare, s.Custodian)
	p := secretsharing.Share{ID: curve.NewScalar().SetUint64(uint64(s.Index)), Value: curve.NewScalar()}
	if len(s.value) != ristLen {
		return p, fmt.Errorf("%w: the share of %q is not open", ErrShare, s.Custodian)
	}
	if err := p.Value.UnmarshalBinary(s.value); err != nil { // not the least residue, for example
		return p, bad
	}
	commitments, err := s.committed()
	if err != nil {
		return p, err
	}
	if !secretsharing.Verify(uint(s.Threshold-1), p, commitments) {
		return p, bad
	}
	return p, nil
}

// head is the text in front of the value, which a seal authenticates.
func (s *Share) head() string {
	protected := "no"
	if s.salt != nil {
		protected = argonText + " salt=" + hex.EncodeToString(s.salt)
	}
	return fmt.Sprintf("mohor share 1\nceremony: %s\ncustodian: %s\nindex: %d\nthreshold: %d\nshares: %d\ncommitments: %x\nprotected: %s\n",
		s.Ceremony(), s.Custodian, s.Index, s.Threshold, s.Shares, s.commitments, protected)
}

// MarshalText gives the share file: nine lines of text and the SHA-256 of what
// stands above it.
func (s *Share) MarshalText() ([]byte, error) {
	value := s.value
	if s.sealed != nil {
		value = s.sealed
	}
	text := s.head()
	text += fmt.Sprintf("share: %x\n", value)
	return fmt.Appendf(nil, "%schecksum: %x\n", text, sha256.Sum256([]byte(text))), nil
}

// ParseShare reads a share file; [ErrShare] unless every byte is as
// [Share.MarshalText] wrote it.
func ParseShare(text []byte) (*Share, error) {
	bad := func(what string) (*Share, error) { return nil, fmt.Errorf("%w: %s", ErrShare, what) }
	if len(text) > maxShareText {
		return bad("it is too long")
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 11 || lines[0] != "mohor share 1" || lines[10] != "" {
		return bad("it is not of ten lines that begin with \"mohor share 1\"")
	}
	sum := sha256.Sum256(text[:len(text)-len(lines[9])-1])
	if lines[9] != "checksum: "+hex.EncodeToString(sum[:]) {
		return bad("its checksum is wrong")
	}
	var f [9]string
	for k, name := range []string{"", "ceremony", "custodian", "index", "threshold", "shares", "commitments", "protected", "share"} {
		value, ok := strings.CutPrefix(lines[k], name+": ")
		if !ok && k > 0 {
			return bad("line " + strconv.Itoa(k+1) + " must be " + name)
		}
		f[k] = value
	}
	s := &Share{Custodian: f[2]}
	for k, n := range map[int]*int{3: &s.Index, 4: &s.Threshold, 5: &s.Shares} {
		v, err := strconv.ParseUint(f[k], 10, 8)
		if err != nil {
			return bad("line " + strconv.Itoa(k+1) + " must be a number")
		}
		*n = int(v)
	}
	if !goodName(s.Custodian) || s.Threshold < 2 || s.Threshold > s.Shares || s.Shares > MaxCustodians || s.Index < 1 || s.Index > s.Shares {
		return bad("its name or numbers cannot be right")
	}
	var err, err2, err3 error
	s.commitments, err = hex.DecodeString(f[6])
	value, err2 := hex.DecodeString(f[8])
	if salt, ok := strings.CutPrefix(f[7], argonText+" salt="); ok {
		s.salt, err3 = hex.DecodeString(salt)
		s.sealed = value
	} else {
		s.value = value
	}
	if err != nil || err2 != nil || err3 != nil || len(s.salt) != 0 && len(s.salt) != 16 {
		return bad("it is not hexadecimal")
	}
	if again, _ := s.MarshalText(); !bytes.Equal(again, text) { // it never fails
		return bad("it is not written as it was")
	}
	if s.Sealed() {
		if len(s.sealed) != 12+ristLen+16 {
			return bad("its value is cut")
		}
		_, err := s.committed()
		return s, err
	}
	return s, s.Open(secret.Text{})
}

func goodName(name string) bool {
	n := utf8.RuneCountInString(name)
	return n > 0 && n <= 64 && utf8.ValidString(name) && strings.TrimSpace(name) == name &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}
