package syntax

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Options says how to open a file.
type Options struct {
	// Password is the user's or the owner's password of an encrypted file, in
	// UTF-8. When it is empty or does not fit, the empty user password is
	// tried, with which most encrypted files open. It is used as it is, without
	// the SASLprep profile of ISO 32000-2, Algorithm 2.A.
	Password []byte
}

// handler is the encryption dictionary of the standard security handler (ISO
// 32000-2, Tables 20 and 21).
type handler struct {
	v, r          int
	length        int // of the file's key, in bytes
	o, u, oe, ue  []byte
	perms         []byte
	p             uint32
	metadata      bool
	id            []byte // first element of /ID
	strm, str, ef method
	filters       map[string]method
}

// unlock finds the key of an encrypted file.
func (f *File) unlock() error {
	v := f.trailer.Value.Key("Encrypt")
	if v.Kind == Null {
		return nil
	}
	o, err := f.Resolve(v)
	if err != nil {
		return fmt.Errorf("reading encryption dictionary: %w", err)
	}
	if o.Value.Kind != Dictionary || o.Data != 0 || o.Compressed {
		return invalid(v.Start, "malformed /Encrypt")
	}
	h, err := readHandler(o.Value)
	if err != nil {
		return err
	}
	if id := f.trailer.Value.Key("ID"); id.Kind == Array && len(id.Array) > 0 && id.Array[0].Kind == String {
		h.id = id.Array[0].Bytes
	} else if id.Kind != Null && h.r < 5 {
		return invalid(id.Start, "malformed /ID of an encrypted file")
	}
	s := &security{strings: h.str, streams: h.strm, files: h.ef, filters: h.filters, metadata: h.metadata,
		dict: o.Num, permissions: Permissions{flags: h.p, revision: h.r}}
	if s.key, s.permissions.Owner, err = h.authenticate(f.password); err != nil {
		return err
	}
	f.security = s
	return nil
}

func readHandler(d Value) (*handler, error) {
	refuse := func(what string) error {
		return Errorf(ErrEncrypted, d.Start, "document is encrypted with %s", what)
	}
	if !d.Key("Filter").IsName("Standard") {
		return nil, refuse("a security handler other than a password's")
	}
	number := func(key string) int {
		if n := d.Key(key); n.Kind == Integer && n.Int >= 0 && n.Int < 1000 {
			return int(n.Int)
		}
		return -1
	}
	h := &handler{v: number("V"), r: number("R"), metadata: true}
	size := 32
	switch {
	case h.v == 1 && (h.r == 2 || h.r == 3), h.v == 2 && h.r == 2:
		h.length = 5
	case h.v == 2 && h.r == 3:
		if h.length = 5; d.Key("Length").Kind != Null {
			h.length = number("Length") / 8
		}
		if h.length < 5 || h.length > 16 || d.Key("Length").Kind != Null && number("Length")%8 != 0 {
			return nil, invalid(d.Start, "malformed key length of the encryption")
		}
	case h.v == 4 && h.r == 4:
		h.length = 16
	case h.v == 5 && (h.r == 5 || h.r == 6):
		h.length, size = 32, 48
	default:
		return nil, refuse("an unknown version of the standard security handler")
	}
	for _, s := range []struct {
		key  string
		size int
		to   *[]byte
	}{{"O", size, &h.o}, {"U", size, &h.u}, {"OE", 32, &h.oe}, {"UE", 32, &h.ue}, {"Perms", 16, &h.perms}} {
		if v := d.Key(s.key); len(s.key) > 1 && h.r < 5 {
			continue
		} else if v.Kind != String || len(v.Bytes) < s.size {
			return nil, invalid(d.Start, "malformed /%s of the encryption", s.key)
		} else {
			*s.to = v.Bytes[:s.size] // some producers pad
		}
	}
	p := d.Key("P")
	if p.Kind != Integer || p.Int < -1<<31 || p.Int >= 1<<32 {
		return nil, invalid(d.Start, "malformed permissions of the encryption")
	}
	h.p = uint32(p.Int)
	if h.v < 4 {
		h.strm, h.str, h.ef = methodRC4, methodRC4, methodRC4
		return h, nil
	}
	if m := d.Key("EncryptMetadata"); m.Kind == Bool {
		h.metadata = m.Int == 1
	} else if m.Kind != Null {
		return nil, invalid(m.Start, "malformed /EncryptMetadata")
	}
	return h, h.readFilters(d)
}

// readFilters reads the crypt filters (ISO 32000-2, Section 7.6.6).
func (h *handler) readFilters(d Value) error {
	h.filters = map[string]method{"Identity": identity}
	for _, e := range d.Key("CF").Dict {
		m := e.Value.Key("CFM")
		switch {
		case e.Key == "Identity": // cannot be defined anew
		case h.v == 4 && m.IsName("V2"):
			h.filters[e.Key] = methodRC4
		case h.v == 4 && m.IsName("AESV2"):
			h.filters[e.Key] = methodAESV2
		case h.v == 5 && m.IsName("AESV3"):
			h.filters[e.Key] = methodAESV3
		}
	}
	pick := func(key string, otherwise method) (method, error) {
		name := d.Key(key)
		if name.Kind == Null {
			return otherwise, nil
		}
		m, ok := h.filters[string(name.Bytes)]
		if name.Kind != Name || !ok {
			return 0, Errorf(ErrEncrypted, name.Start, "document is encrypted with an unknown crypt filter")
		}
		return m, nil
	}
	var err error
	if h.strm, err = pick("StmF", identity); err != nil {
		return err
	}
	if h.str, err = pick("StrF", identity); err != nil {
		return err
	}
	h.ef, err = pick("EFF", h.strm)
	return err
}

// authenticate returns the file's key and whether the password is the owner's.
func (h *handler) authenticate(password []byte) (key []byte, owner bool, err error) {
	if len(password) > 0 {
		for _, p := range h.spellings(password) {
			if key := h.ownerKey(p); key != nil {
				return key, true, h.checkPerms(key)
			}
			if key := h.userKey(p); key != nil {
				return key, false, h.checkPerms(key)
			}
		}
	}
	if key := h.userKey(nil); key != nil {
		return key, false, h.checkPerms(key)
	}
	if len(password) > 0 {
		return nil, false, Refusal(ErrEncrypted, "wrong password", "kata laluan salah")
	}
	return nil, false, Refusal(ErrEncrypted, "password needed", "kata laluan diperlukan")
}

// spellings gives the bytes a password may have been set with: up to revision
// 4 a character is one byte.
func (h *handler) spellings(password []byte) [][]byte {
	if h.r >= 5 {
		return [][]byte{password[:min(len(password), 127)]}
	}
	var latin []byte
	for _, r := range string(password) {
		if r > 0xFF || r == utf8.RuneError {
			return [][]byte{password}
		}
		latin = append(latin, byte(r))
	}
	if bytes.Equal(latin, password) {
		return [][]byte{password}
	}
	return [][]byte{latin, password}
}

// filling pads passwords to 32 bytes (ISO 32000-2, Algorithm 2, step a).
const filling = "\x28\xBF\x4E\x5E\x4E\x75\x8A\x41\x64\x00\x4E\x56\xFF\xFA\x01\x08\x2E\x2E\x00\xB6\xD0\x68\x3E\x80\x2F\x0C\xA9\xFE\x64\x53\x69\x7A"

func fill(password []byte) []byte {
	return append(append([]byte{}, password...), filling...)[:32]
}

// userKey returns the file's key when the password is the user's, else nil.
func (h *handler) userKey(password []byte) []byte {
	if h.r >= 5 {
		if !same32(h.hash(password, h.u[32:40], nil), h.u) {
			return nil
		}
		return unwrap(h.hash(password, h.u[40:48], nil), h.ue)
	}
	return h.legacyKey(fill(password))
}

// ownerKey is userKey for the owner's password.
func (h *handler) ownerKey(password []byte) []byte {
	if h.r >= 5 {
		if !same32(h.hash(password, h.o[32:40], h.u), h.o) {
			return nil
		}
		return unwrap(h.hash(password, h.o[40:48], h.u), h.oe)
	}
	// Algorithm 7: the user's password is in /O.
	sum := md5.Sum(fill(password))
	rounds := 1
	if h.r >= 3 {
		for range 50 {
			sum = md5.Sum(sum[:])
		}
		rounds = 20
	}
	user := h.o
	for i := rounds - 1; i >= 0; i-- {
		user = rc4With(sum[:h.length], byte(i), user)
	}
	return h.legacyKey(user)
}

// legacyKey is Algorithm 2 with the check of Algorithm 6: revisions 2 to 4.
func (h *handler) legacyKey(padded []byte) []byte {
	m := md5.New()
	m.Write(padded)
	m.Write(h.o)
	m.Write(binary.LittleEndian.AppendUint32(nil, h.p))
	m.Write(h.id)
	if h.r >= 4 && !h.metadata {
		m.Write([]byte{255, 255, 255, 255})
	}
	key := m.Sum(nil)[:h.length]
	if h.r == 2 {
		if subtle.ConstantTimeCompare(rc4With(key, 0, []byte(filling)), h.u) != 1 {
			return nil
		}
		return key
	}
	for range 50 {
		sum := md5.Sum(key)
		copy(key, sum[:])
	}
	first := md5.Sum(append([]byte(filling), h.id...))
	check := first[:]
	for i := range 20 {
		check = rc4With(key, byte(i), check)
	}
	if subtle.ConstantTimeCompare(check, h.u[:16]) != 1 {
		return nil
	}
	return key
}

// rc4With applies RC4 with each byte of the key XORed.
func rc4With(key []byte, x byte, b []byte) []byte {
	k := bytes.Clone(key)
	for i := range k {
		k[i] ^= x
	}
	out, err := decrypt(methodRC4, k, b)
	if err != nil { // the key's length is checked
		return nil
	}
	return out
}

func same32(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b[:32]) == 1 }

// unwrap decrypts the file's key: AES-256 in CBC mode without padding.
func unwrap(key, wrapped []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	out := make([]byte, len(wrapped))
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(out, wrapped)
	return out
}

// hash is Algorithm 2.B; revision 5 has only its first step. u is the 48 bytes
// of /U for an owner's password.
func (h *handler) hash(password, salt, u []byte) []byte {
	first := sha256.New()
	first.Write(password)
	first.Write(salt)
	first.Write(u)
	k := first.Sum(nil)
	if h.r == 5 {
		return k
	}
	for round := 0; ; round++ {
		unit := append(append(append([]byte{}, password...), k...), u...)
		e := bytes.Repeat(unit, 64)
		block, err := aes.NewCipher(k[:16])
		if err != nil {
			return nil
		}
		cipher.NewCBCEncrypter(block, k[16:32]).CryptBlocks(e, e)
		mod := 0
		for _, c := range e[:16] { // 256 is 1 modulo 3
			mod += int(c)
		}
		switch mod % 3 {
		case 0:
			s := sha256.Sum256(e)
			k = s[:]
		case 1:
			s := sha512.Sum384(e)
			k = s[:]
		case 2:
			s := sha512.Sum512(e)
			k = s[:]
		}
		if round >= 63 && int(e[len(e)-1]) <= round-31 {
			return k[:32]
		}
	}
}

// checkPerms compares the permissions with their encrypted copy (ISO 32000-2,
// Algorithm 13). Whoever changed one of them alone is found.
func (h *handler) checkPerms(key []byte) error {
	if h.r < 5 {
		return nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	plain := make([]byte, aes.BlockSize)
	block.Decrypt(plain, h.perms)
	metadata := byte('F')
	if h.metadata {
		metadata = 'T'
	}
	if string(plain[9:12]) != "adb" || binary.LittleEndian.Uint32(plain) != h.p || plain[8] != metadata {
		return invalid(-1, "permissions of the encryption were changed")
	}
	return nil
}
