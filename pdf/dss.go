package pdf

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // names a signature in /VRI, protects nothing
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// Bounds of the document security store.
const (
	maxEvidence = 4096     // streams in one of its arrays
	maxStore    = 32 << 20 // bytes in all of them
	compressed  = 8 << 10  // bytes from which on a stream is compressed
)

// Update is an increment that is no signature.
type Update struct {
	r         io.ReaderAt
	size      int64
	increment []byte
}

// Append writes what goes behind the document: nothing when it had all of it.
func (u *Update) Append(w io.Writer) (int64, error) {
	n, err := w.Write(u.increment)
	if err != nil {
		return int64(n), fmt.Errorf("writing update: %w", err)
	}
	return int64(n), nil
}

// Updated returns the document with the update, and its size.
func (u *Update) Updated() (io.ReaderAt, int64) {
	return &joined{u.r, u.size, u.increment, nil}, u.size + int64(len(u.increment))
}

// kinds are the arrays of a document security store, and their names in the
// dictionaries of /VRI (ISO 32000-2, Tables 261 and 262).
func kinds() [3][2]string {
	return [3][2]string{{"Certs", "Cert"}, {"OCSPs", "OCSP"}, {"CRLs", "CRL"}}
}

func (e *Evidence) lists() [3]*[][]byte {
	return [3]*[][]byte{&e.Certificates, &e.OCSPs, &e.CRLs}
}

// store is the document security store as it is.
type store struct {
	object *syntax.Object // holds the dictionary: the catalog or an object of its own; nil without one
	dict   syntax.Value
	held   Evidence
	refs   [3]map[[32]byte]string // references by SHA-256 of the contents
}

// store reads the document security store.
func (d *Document) store() (*store, error) {
	s := &store{}
	for i := range s.refs {
		s.refs[i] = make(map[[32]byte]string)
	}
	catalog := d.tree.Catalog
	v := catalog.Value.Key("DSS")
	o, err := d.file.Resolve(v)
	if err != nil {
		return nil, fmt.Errorf("reading document security store: %w", err)
	}
	if o.Value.Kind == syntax.Null {
		return s, nil
	}
	if o.Value.Kind != syntax.Dictionary || o.Data != 0 {
		return nil, syntax.Errorf(ErrInvalid, v.Start, "malformed /DSS")
	}
	room := maxStore
	s.dict = o.Value
	if s.object = o; v.Kind != syntax.Reference {
		s.object = catalog
	}
	for i, kind := range kinds() {
		array, err := d.file.Resolve(s.dict.Key(kind[0]))
		if err != nil {
			return nil, fmt.Errorf("reading document security store: %w", err)
		}
		if len(array.Value.Array) > maxEvidence {
			return nil, syntax.Errorf(ErrTooLarge, v.Start, "more than %d entries in /DSS", maxEvidence)
		}
		for _, ref := range array.Value.Array {
			der, err := d.stream(ref)
			if err != nil {
				return nil, fmt.Errorf("reading document security store: %w", err)
			}
			if room -= len(der); room < 0 {
				return nil, syntax.Errorf(ErrTooLarge, v.Start, "more than %d bytes in /DSS", maxStore)
			}
			list := s.held.lists()[i]
			*list = append(*list, der)
			s.refs[i][sha256.Sum256(der)] = fmt.Sprintf("%d %d R", ref.Int, ref.Gen)
		}
	}
	return s, nil
}

func (d *Document) stream(ref syntax.Value) ([]byte, error) {
	o, err := d.file.Resolve(ref)
	if err != nil {
		return nil, err
	}
	if ref.Kind != syntax.Reference || o.Data == 0 {
		return nil, syntax.Errorf(ErrInvalid, ref.Start, "stream expected")
	}
	r, err := d.file.Stream(o)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxStore+1))
}

// AddEvidence puts certificates and revocation data into the document security
// store (ISO 32000-2, Section 12.8.4; ETSI EN 319 142-1, Section 5.4), besides
// what is there. The keys are names of signed fields; "" is evidence that
// belongs to no signature in particular. No signature forbids it (ISO 32000-2,
// Table 257). It refuses with ErrOptions when there is no such signature, or
// the document with ErrInvalid, ErrUnsupported or ErrTooLarge.
func (d *Document) AddEvidence(evidence map[string]Evidence) (*Update, error) {
	s, err := d.store()
	if err != nil {
		return nil, err
	}
	c := newIncrement(d.file)
	added := [3]string{}
	var vri bytes.Buffer
	former, err := d.vri(s)
	if err != nil {
		return nil, err
	}
	for _, field := range slices.Sorted(maps.Keys(evidence)) {
		e := evidence[field]
		var refs [3]string
		for i, list := range e.lists() {
			for _, der := range *list {
				ref, isNew, err := s.put(c, i, der)
				if err != nil {
					return nil, err
				}
				if refs[i] += " " + ref; isNew {
					added[i] += " " + ref
				}
			}
		}
		if field == "" || refs == [3]string{} {
			continue
		}
		key, err := d.vriKey(field)
		if err != nil {
			return nil, err
		}
		// Readers take a change of an entry that is there for an attack. It is a
		// hint only: what counts are the arrays of the store.
		if former.Value.Key(key).Kind == syntax.Null {
			num, err := c.reserve(1)
			if err != nil {
				return nil, err
			}
			c.add(num, []byte("<<"+arrays(refs, 1)+">>"))
			fmt.Fprintf(&vri, "/%s %d 0 R", key, num)
		}
	}
	u := &Update{r: d.r, size: d.file.Size()}
	if added == [3]string{} && vri.Len() == 0 {
		return u, nil
	}
	if err := d.writeStore(c, s, former, added, vri.String()); err != nil {
		return nil, err
	}
	for _, step := range []func() error{func() error { return c.begin(d.r) }, c.rewrite, c.finish} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	u.increment = c.buf.Bytes()
	return u, nil
}

// vri is the dictionary of evidence by signature, or null.
func (d *Document) vri(s *store) (*syntax.Object, error) {
	v := s.dict.Key("VRI")
	o, err := d.file.Resolve(v)
	if err != nil {
		return nil, fmt.Errorf("reading document security store: %w", err)
	}
	if kind := o.Value.Kind; kind != syntax.Null && kind != syntax.Dictionary || o.Data != 0 {
		return nil, syntax.Errorf(ErrInvalid, v.Start, "malformed /VRI")
	}
	return o, nil
}

// arrays writes dictionary entries with the names of kinds.
func arrays(refs [3]string, name int) string {
	var b bytes.Buffer
	for i, kind := range kinds() {
		if refs[i] != "" {
			fmt.Fprintf(&b, "/%s[%s]", kind[name], refs[i][1:])
		}
	}
	return b.String()
}

// writeStore extends the store, or makes one.
func (d *Document) writeStore(c *increment, s *store, former *syntax.Object, added [3]string, vri string) error {
	if s.object == nil {
		num, err := c.reserve(1)
		if err != nil {
			return err
		}
		body := "<</Type/DSS" + arrays(added, 0)
		if vri != "" {
			body += "/VRI<<" + vri + ">>"
		}
		c.add(num, []byte(body+">>"))
		return c.set(d.tree.Catalog, d.tree.Catalog.Value, "DSS", fmt.Sprintf("%d 0 R", num))
	}
	for i, kind := range kinds() {
		if added[i] != "" {
			if err := d.append(c, s.object, s.dict, kind[0], added[i][1:]); err != nil {
				return err
			}
		}
	}
	switch v := s.dict.Key("VRI"); {
	case vri == "":
	case former.Value.Kind == syntax.Null:
		return c.set(s.object, s.dict, "VRI", "<<"+vri+">>")
	case v.Kind == syntax.Reference:
		c.entry(former, former.Value, vri)
	default:
		c.entry(s.object, v, vri)
	}
	return nil
}

// put returns the reference of a stream with the contents given, new or not.
func (s *store) put(c *increment, kind int, der []byte) (ref string, isNew bool, err error) {
	if len(der) == 0 || der[0] != 0x30 {
		return "", false, refuse("evidence is no DER sequence")
	}
	sum := sha256.Sum256(der)
	if ref, ok := s.refs[kind][sum]; ok {
		return ref, false, nil
	}
	num, err := c.reserve(1)
	if err != nil {
		return "", false, err
	}
	data, filter := der, ""
	if len(der) >= compressed { // lists of revoked certificates
		var b bytes.Buffer
		z := zlib.NewWriter(&b)
		if _, err := z.Write(der); err != nil {
			return "", false, fmt.Errorf("compressing evidence: %w", err)
		}
		if err := z.Close(); err != nil {
			return "", false, fmt.Errorf("compressing evidence: %w", err)
		}
		data, filter = b.Bytes(), "/Filter/FlateDecode"
	}
	body := fmt.Appendf(nil, "<<%s/Length %d>>\nstream\n", filter, len(data))
	c.add(num, append(append(body, data...), "\nendstream"...))
	ref = fmt.Sprintf("%d 0 R", num)
	s.refs[kind][sum] = ref
	return ref, true, nil
}

// vriKey names a signature: the SHA-1 of the bytes of /Contents, padding
// included, in upper-case hexadecimal (ISO 32000-2, Table 261).
func (d *Document) vriKey(field string) (string, error) {
	for _, f := range d.form.Fields {
		if f.Name != field || f.V.Kind == syntax.Null {
			continue
		}
		sig, err := d.file.Resolve(f.V)
		if err != nil {
			return "", fmt.Errorf("reading signature: %w", err)
		}
		contents, err := d.file.Resolve(sig.Value.Key("Contents"))
		if err != nil {
			return "", fmt.Errorf("reading signature: %w", err)
		}
		if contents.Value.Kind == syntax.String {
			return fmt.Sprintf("%X", sha1.Sum(contents.Value.Bytes)), nil
		}
	}
	return "", refuse("no signature in the field named")
}
