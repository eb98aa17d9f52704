package cms_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
)

var (
	oidTSTInfo  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidData     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSHA256   = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA1     = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidMD5      = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}
	oidRSA      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidSHA1RSA  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}
	oidPSS      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidEd25519  = asn1.ObjectIdentifier{1, 3, 101, 112}
	oidECSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

func seq(parts ...[]byte) []byte { return wrap(0x30, parts...) }
func set(parts ...[]byte) []byte { return wrap(0x31, parts...) }
func octets(b []byte) []byte     { return wrap(0x04, b) }
func oid(o asn1.ObjectIdentifier) []byte {
	return encode(func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(o) })
}
func integer(n int64) []byte   { return encode(func(b *cryptobyte.Builder) { b.AddASN1Int64(n) }) }
func bigInt(n *big.Int) []byte { return encode(func(b *cryptobyte.Builder) { b.AddASN1BigInt(n) }) }

func wrap(tag byte, parts ...[]byte) []byte {
	return encode(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(tag), func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(parts, nil)) })
	})
}

func encode(f cryptobyte.BuilderContinuation) []byte {
	var b cryptobyte.Builder
	f(&b)
	return b.BytesOrPanic()
}

func sum(h crypto.Hash, b []byte) []byte {
	s := h.New()
	s.Write(b)
	return s.Sum(nil)
}

func attr(n []int, values ...[]byte) []byte { return seq(oid(n), set(values...)) }

// smime is an attribute type of S/MIME: id-aa n.
func smime(n int) []int { return []int{1, 2, 840, 113549, 1, 9, 16, 2, n} }

// certV1 and certV2 are the attributes that name a certificate.
func certV1(c *x509.Certificate) []byte {
	return attr(smime(12), seq(seq(seq(octets(sum(crypto.SHA1, c.Raw))))))
}

func certV2(c *x509.Certificate) []byte {
	return attr(smime(47), seq(seq(seq(octets(sum(crypto.SHA256, c.Raw))))))
}

// foreign is a SignedData as others make it.
type foreign struct {
	content   []byte      // TSTInfo, or nil for a detached signature
	digest    []byte      // of the detached content
	hash      crypto.Hash // SHA-256 when 0
	digestAlg []byte      // AlgorithmIdentifier, SHA-256 when nil
	sigAlg    []byte      // AlgorithmIdentifier, that of the key when nil
	pss       *rsa.PSSOptions
	signed    [][]byte // more signed attributes
	unsorted  bool
	unsigned  [][]byte
	certs     [][]byte // the signer's when nil
	crls      []byte
	bySKI     bool
}

func (f foreign) der(t testing.TB, p *pdftest.PKI) []byte {
	t.Helper()
	contentType, encap := oidData, seq(oid(oidData))
	if f.hash == 0 {
		f.hash, f.digestAlg = crypto.SHA256, seq(oid(oidSHA256))
	}
	if f.content != nil {
		contentType, f.digest = oidTSTInfo, sum(f.hash, f.content)
		encap = seq(oid(oidTSTInfo), wrap(0xA0, octets(f.content)))
	}
	attrs := append([][]byte{attr([]int{1, 2, 840, 113549, 1, 9, 3}, oid(contentType)), attr([]int{1, 2, 840, 113549, 1, 9, 4}, octets(f.digest))}, f.signed...)
	if slices.SortFunc(attrs, bytes.Compare); f.unsorted {
		slices.Reverse(attrs)
	}
	var opts crypto.SignerOpts = f.hash
	if f.pss != nil {
		opts = f.pss
	}
	sig, err := p.Key.Sign(rand.Reader, sum(f.hash, set(attrs...)), opts)
	if err != nil {
		t.Fatal(err)
	}
	if f.sigAlg == nil {
		f.sigAlg = seq(oid(oidRSA), []byte{5, 0})
		if p.Algorithm == cms.ECDSA {
			f.sigAlg = seq(oid(oidECSHA256))
		}
	}
	if f.certs == nil {
		f.certs = [][]byte{p.Signer.Raw}
	}
	si := [][]byte{integer(1), seq(p.Signer.RawIssuer, bigInt(p.Signer.SerialNumber))}
	if f.bySKI {
		si = [][]byte{integer(3), wrap(0x80, p.Signer.SubjectKeyId)}
	}
	si = append(si, f.digestAlg, wrap(0xA0, attrs...), f.sigAlg, octets(sig))
	if f.unsigned != nil {
		si = append(si, wrap(0xA1, f.unsigned...))
	}
	sd := [][]byte{integer(3), set(f.digestAlg), encap, wrap(0xA0, f.certs...)}
	if f.crls != nil {
		sd = append(sd, wrap(0xA1, f.crls))
	}
	sd = append(sd, set(seq(si...)))
	return seq(oid(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}), wrap(0xA0, seq(sd...)))
}

// tstInfo makes a TSTInfo over a SHA-256 imprint. more follows the time.
func tstInfo(imprint []byte, at string, more ...[]byte) []byte {
	return seq(append([][]byte{
		integer(1), oid(asn1.ObjectIdentifier{1, 2, 3, 4}), seq(seq(oid(oidSHA256), []byte{5, 0}), octets(imprint)),
		integer(77), wrap(0x18, []byte(at)),
	}, more...)...)
}

// authority makes a PKI whose signer is a time-stamping authority.
func authority(t testing.TB, alg cms.Algorithm) *pdftest.PKI {
	t.Helper()
	return pdftest.New(t, alg, crypto.SHA256, func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
		c.Subject.CommonName = "Test TSA"
		c.SubjectKeyId = []byte{1, 2, 3, 4}
		c.ExtraExtensions = []pkix.Extension{{
			Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true,
			Value: seq(oid(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8})),
		}}
	})
}

// token makes a plain token over a SHA-256 imprint.
func token(t testing.TB, tsa *pdftest.PKI, imprint []byte) []byte {
	t.Helper()
	at := pdftest.Now().Add(-time.Minute).Format("20060102150405") + ".25Z"
	return foreign{content: tstInfo(imprint, at), signed: [][]byte{certV2(tsa.Signer)}, certs: [][]byte{tsa.Signer.Raw, tsa.Issuer.Raw}}.der(t, tsa)
}

// timestamped makes a B-T SignedData.
func timestamped(t testing.TB, p, tsa *pdftest.PKI, digest []byte) []byte {
	t.Helper()
	der := p.CMS(t, digest)
	sd, err := cms.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cms.AddTimestamp(der, token(t, tsa, sum(crypto.SHA256, sd.SignatureValue())))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ber rewrites DER with indefinite and long lengths and OCTET STRINGs in
// parts, as dice fall. keep is left as it is.
func ber(dice *mathrand.Rand, der, keep []byte) []byte {
	if len(keep) > 0 && bytes.HasPrefix(der, keep) {
		return append(bytes.Clone(keep), ber(dice, der[len(keep):], keep)...)
	}
	if len(der) == 0 {
		return nil
	}
	in := cryptobyte.String(der)
	var content cryptobyte.String
	var tag cbasn1.Tag
	if !in.ReadAnyASN1(&content, &tag) {
		panic("not DER")
	}
	body, mark := []byte(content), byte(tag)
	switch {
	case mark&0x20 != 0:
		body = ber(dice, body, keep)
	case mark == 4 && dice.IntN(3) == 0:
		cut := dice.IntN(len(body) + 1)
		parts := append(octets(body[:cut]), octets(body[cut:])...)
		if dice.IntN(2) == 0 {
			parts = append([]byte{0x24, 0x80}, append(parts, 0, 0)...)
		}
		body, mark = parts, 0x24
	}
	var out []byte
	switch choice := dice.IntN(3); {
	case choice == 0 && mark&0x20 != 0:
		out = append(append([]byte{mark, 0x80}, body...), 0, 0)
	case choice == 1:
		n := len(body)
		out = append([]byte{mark, 0x84, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)
	default:
		out = wrap(mark, body)
	}
	return append(out, ber(dice, in, keep)...)
}
