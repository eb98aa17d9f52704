package syntax

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"crypto/sha256"
	"encoding/binary"
	"io"
)

// method is how strings or streams are encrypted (ISO 32000-2, Table 25).
type method uint8

const (
	identity method = iota // not at all
	methodRC4
	methodAESV2 // AES-128 in CBC mode, a key for each object
	methodAESV3 // AES-256 in CBC mode, the file's key
)

// security is the standard security handler of an open file.
type security struct {
	key         []byte
	strings     method
	streams     method
	files       method // embedded files
	filters     map[string]method
	metadata    bool   // metadata streams are encrypted too
	dict        uint32 // object number of the encryption dictionary, 0 when direct
	permissions Permissions
}

// Encrypted says whether the file is encrypted.
func (f *File) Encrypted() bool { return f.security != nil }

// Permissions returns what the file permits.
func (f *File) Permissions() Permissions {
	if f.security == nil {
		return Permissions{Owner: true}
	}
	return f.security.permissions
}

// objectKey is the key for strings and streams of one object (ISO 32000-2,
// Algorithm 1 and 1.A).
func (s *security) objectKey(m method, num uint32, gen uint16) []byte {
	if m == methodAESV3 {
		return s.key
	}
	h := md5.New()
	h.Write(s.key)
	h.Write([]byte{byte(num), byte(num >> 8), byte(num >> 16), byte(gen), byte(gen >> 8)})
	if m == methodAESV2 {
		h.Write([]byte("sAlT"))
	}
	return h.Sum(nil)[:min(len(s.key)+5, 16)]
}

// open decrypts the strings of an object read from the file itself. Those of
// the encryption dictionary and of cross-reference streams are plain.
func (s *security) open(o *Object) error {
	if o.Num == s.dict || o.Data != 0 && o.Value.Key("Type").IsName("XRef") || s.strings == identity {
		return nil
	}
	var key []byte
	return eachString(&o.Value, func(v *Value) error {
		if key == nil {
			key = s.objectKey(s.strings, o.Num, o.Gen)
		}
		plain, err := decrypt(s.strings, key, v.Bytes)
		if err != nil {
			return invalid(v.Start, "damaged encrypted string")
		}
		v.Bytes = plain
		return nil
	})
}

// eachString calls fn for the strings in v that are subject to encryption: not
// for /Contents of a signature dictionary (ISO 32000-2, Section 7.6.2), which
// is one with /ByteRange, whose /Type is optional.
func eachString(v *Value, fn func(*Value) error) error {
	if v.Kind == String {
		return fn(v)
	}
	for i := range v.Array {
		if err := eachString(&v.Array[i], fn); err != nil {
			return err
		}
	}
	signature := false
	if v.Key("ByteRange").Kind != Null {
		t := v.Key("Type")
		signature = t.Kind == Null || t.IsName("Sig") || t.IsName("DocTimeStamp")
	}
	for i := range v.Dict {
		e := &v.Dict[i]
		if signature && e.Key == "Contents" && e.Value.Kind == String {
			continue
		}
		if err := eachString(&e.Value, fn); err != nil {
			return err
		}
	}
	return nil
}

// decrypt returns the plain bytes of a string. Producers leave empty strings
// empty, whatever the method.
func decrypt(m method, key, b []byte) ([]byte, error) {
	if len(b) == 0 || m == identity {
		return b, nil
	}
	if m == methodRC4 {
		c, err := rc4.NewCipher(key)
		if err != nil {
			return nil, err
		}
		out := make([]byte, len(b))
		c.XORKeyStream(out, b)
		return out, nil
	}
	return io.ReadAll(&cbcReader{r: bytes.NewReader(b), key: key})
}

// streamMethod says how the data of a stream are encrypted (ISO 32000-2,
// Section 7.6.6).
func (f *File) streamMethod(d Value, filters []filter) (method, error) {
	s := f.security
	if s == nil {
		return identity, nil
	}
	t, err := f.resolve(d.Key("Type"))
	if err != nil {
		return identity, err
	}
	if len(filters) > 0 && filters[0].name == "Crypt" {
		name := filters[0].parms.Key("Name")
		if name.Kind == Null {
			return identity, nil
		}
		m, ok := s.filters[string(name.Bytes)]
		if name.Kind != Name || !ok {
			return identity, Errorf(ErrEncrypted, d.Start, "unknown crypt filter of a stream")
		}
		return m, nil
	}
	switch {
	case t.IsName("XRef"), t.IsName("Metadata") && !s.metadata:
		return identity, nil
	case t.IsName("EmbeddedFile"):
		return s.files, nil
	}
	return s.streams, nil
}

// decryptStream returns the plain data of a stream, before its filters.
func (s *security) decryptStream(r io.Reader, m method, num uint32, gen uint16) (io.Reader, error) {
	switch m {
	case identity:
		return r, nil
	case methodRC4:
		c, err := rc4.NewCipher(s.objectKey(m, num, gen))
		if err != nil {
			return nil, err
		}
		return cipher.StreamReader{S: c, R: r}, nil
	}
	return &cbcReader{r: r, key: s.objectKey(m, num, gen)}, nil
}

// cbcReader decrypts AES in CBC mode: the initialization vector first, padding
// of 1 to 16 bytes last (ISO 32000-2, Section 7.6.3.1). No data at all are none.
type cbcReader struct {
	r    io.Reader
	key  []byte
	mode cipher.BlockMode
	buf  [4096]byte
	held [aes.BlockSize]byte // the last block, until it is known whether it has the padding
	full bool                // held is set
	rest []byte
	err  error
}

func (c *cbcReader) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.fill()
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// fill decrypts what fits the buffer. One block stays behind.
func (c *cbcReader) fill() {
	if c.mode == nil {
		var iv [aes.BlockSize]byte
		if _, c.err = io.ReadFull(c.r, iv[:]); c.err != nil {
			return // io.EOF when there is nothing
		}
		block, err := aes.NewCipher(c.key)
		if err != nil {
			c.err = err
			return
		}
		c.mode = cipher.NewCBCDecrypter(block, iv[:])
	}
	at := copy(c.buf[:], c.held[:])
	if !c.full {
		at = 0
	}
	n, err := io.ReadFull(c.r, c.buf[at:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		c.err = err
		return
	}
	if n%aes.BlockSize != 0 {
		c.err = io.ErrUnexpectedEOF
		return
	}
	c.mode.CryptBlocks(c.buf[at:at+n], c.buf[at:at+n])
	out := c.buf[:at+n]
	if err == nil {
		copy(c.held[:], out[len(out)-aes.BlockSize:])
		c.full = true
		c.rest = out[:len(out)-aes.BlockSize]
		return
	}
	c.err = io.EOF
	if len(out) == 0 {
		c.err = io.ErrUnexpectedEOF // a vector alone: not even padding
		return
	}
	pad := int(out[len(out)-1])
	if pad < 1 || pad > aes.BlockSize {
		c.err = io.ErrUnexpectedEOF
		return
	}
	for _, p := range out[len(out)-pad:] {
		if int(p) != pad {
			c.err = io.ErrUnexpectedEOF
			return
		}
	}
	c.rest = out[:len(out)-pad]
}

// encrypt is the reverse of decrypt. The initialization vector is a MAC of the
// text and of where it goes, so that the same increment always has the same
// bytes, and no two texts share a vector.
func (f *File) encrypt(m method, num uint32, gen uint16, nth int, text []byte) ([]byte, error) {
	key := f.security.objectKey(m, num, gen)
	switch m {
	case identity:
		return text, nil
	case methodRC4:
		return decrypt(m, key, text)
	}
	mac := hmac.New(sha256.New, f.security.key)
	var place [24]byte
	binary.BigEndian.PutUint64(place[:], uint64(f.size))
	binary.BigEndian.PutUint32(place[8:], num)
	binary.BigEndian.PutUint16(place[12:], gen)
	binary.BigEndian.PutUint64(place[16:], uint64(nth))
	mac.Write(place[:])
	mac.Write(text)
	out := append(make([]byte, 0, len(text)+2*aes.BlockSize), mac.Sum(nil)[:aes.BlockSize]...)
	out = append(out, text...)
	pad := aes.BlockSize - len(text)%aes.BlockSize
	out = append(out, bytes.Repeat([]byte{byte(pad)}, pad)...)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	cipher.NewCBCEncrypter(block, out[:aes.BlockSize]).CryptBlocks(out[aes.BlockSize:], out[aes.BlockSize:])
	return out, nil
}
