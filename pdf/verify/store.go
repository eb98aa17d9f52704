package verify

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// store is the newest document security store (ISO 32000-2, Section 12.8.4.3).
type store struct {
	// fault names the place of something that has no business in a store.
	fault string
	certs []*x509.Certificate
	// ocsps and crls are in DER, with the place in the file: what a document
	// time-stamp covers existed then.
	ocsps, crls []material
	seen        map[uint32]bool
	bytes       int64
}

// material is a piece of evidence and where in the file it lies.
type material struct {
	der []byte
	at  int64
}

// readStore reads /DSS, nil when there is none.
func (v *verifier) readStore() (*store, error) {
	dss, err := v.file.Resolve(v.tree.Catalog.Value.Key("DSS"))
	if err != nil || dss.Value.Kind == syntax.Null {
		return nil, err
	}
	st := &store{seen: make(map[uint32]bool)}
	if dss.Value.Kind != syntax.Dictionary || dss.Data != 0 {
		st.fault = " is no dictionary"
		return st, nil
	}
	for _, e := range dss.Value.Dict {
		switch e.Key {
		case "Type":
		case "Certs", "OCSPs", "CRLs":
			err = v.readStreams(st, e.Key, "."+e.Key, e.Value)
		case "VRI":
			err = v.readVRI(st, e.Value)
		default:
			st.wrong("." + e.Key)
		}
		if err != nil {
			return nil, err
		}
	}
	return st, nil
}

func (st *store) wrong(path string) {
	if st.fault == "" {
		st.fault = path
	}
}

// readVRI reads what the store says about single signatures. It holds for all
// of them.
func (v *verifier) readVRI(st *store, value syntax.Value) error {
	vri, err := v.file.Resolve(value)
	if err != nil {
		return err
	}
	if vri.Data != 0 || vri.Value.Kind != syntax.Dictionary {
		st.wrong(".VRI")
	}
	for _, one := range vri.Value.Dict {
		if one.Key == "Type" {
			continue
		}
		o, err := v.file.Resolve(one.Value)
		if err != nil {
			return err
		}
		if o.Data != 0 || o.Value.Kind != syntax.Dictionary {
			st.wrong(".VRI." + one.Key)
		}
		for _, e := range o.Value.Dict {
			path := ".VRI." + one.Key + "." + e.Key
			switch e.Key {
			case "Type", "TU":
			case "TS":
				err = v.readStreams(st, e.Key, path, syntax.Value{Kind: syntax.Array, Array: []syntax.Value{e.Value}})
			case "Cert", "OCSP", "CRL":
				err = v.readStreams(st, e.Key+"s", path, e.Value)
			default:
				st.wrong(path)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// readStreams reads an array of streams, each once.
func (v *verifier) readStreams(st *store, kind, path string, value syntax.Value) error {
	refs, _, err := list(v.file, value)
	if err != nil {
		return err
	}
	for i, ref := range refs {
		if ref.Kind != syntax.Reference {
			st.wrong(fmt.Sprintf("%s[%d]", path, i))
			continue
		}
		if st.seen[uint32(ref.Int)] {
			continue
		}
		st.seen[uint32(ref.Int)] = true
		if len(st.seen) > maxCertificates+maxAnswers {
			return syntax.Errorf(syntax.ErrTooLarge, ref.Start, "more than %d entries of the security store", maxCertificates+maxAnswers)
		}
		o, err := v.file.Load(uint32(ref.Int), ref.Gen)
		if err != nil {
			return err
		}
		if !evidenceStream(o) {
			st.wrong(fmt.Sprintf("%s[%d]", path, i))
			continue
		}
		der, err := v.readStream(st, o)
		if damaged(err) {
			st.wrong(fmt.Sprintf("%s[%d]", path, i))
			continue
		}
		if err != nil {
			return err
		}
		switch kind {
		case "Certs":
			if c := v.judge.parse(der); c != nil && len(st.certs) < maxCertificates {
				st.certs = append(st.certs, c)
			}
		case "OCSPs":
			st.ocsps = append(st.ocsps, material{der, o.Data})
		case "CRLs":
			st.crls = append(st.crls, material{der, o.Data})
		}
	}
	return v.ctx.Err()
}

// evidenceStream says whether an object is a stream and nothing but data: a
// form, an image or a script is not.
func evidenceStream(o *syntax.Object) bool {
	for _, e := range o.Value.Dict {
		switch e.Key {
		case "Length", "Filter", "DecodeParms":
		default:
			return false
		}
	}
	return o.Data != 0
}

func (v *verifier) readStream(st *store, o *syntax.Object) ([]byte, error) {
	r, err := v.file.Stream(o)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(r, maxEvidence-st.bytes+1))
	if err != nil {
		return nil, err
	}
	if st.bytes += n; st.bytes > maxEvidence {
		return nil, syntax.Errorf(syntax.ErrTooLarge, o.Data, "more than %d bytes of evidence", maxEvidence)
	}
	return b.Bytes(), nil
}

// damaged tells damage of compressed data from other errors.
func damaged(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.As(err, &corrupt) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, zlib.ErrHeader) ||
		errors.Is(err, zlib.ErrDictionary) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syntax.ErrInvalid)
}
