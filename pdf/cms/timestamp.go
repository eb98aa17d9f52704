package cms

import (
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidTSTInfo     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// maxSerial bounds the serial number of a token, in bits (RFC 3161, Section
// 2.4.2).
const maxSerial = 160

// Timestamp is a parsed time-stamp token. Nothing in it is checked but its
// form; see Verify. It may share memory with what was parsed.
type Timestamp struct {
	// Certificate is that of the time-stamping authority, Others are the rest
	// of the embedded certificates.
	Certificate *x509.Certificate
	Others      []*x509.Certificate
	// Unread are the DER of embedded certificates that cannot be read.
	Unread [][]byte
	// Time is in UTC, with the fraction given, down to nanoseconds. Accuracy is
	// how far off it may be to either side; 0 when the token does not say.
	Time     time.Time
	Accuracy time.Duration
	// Ordering says that tokens of this authority can be put in order by their
	// times whatever the accuracy.
	Ordering bool
	Policy   asn1.ObjectIdentifier
	Serial   *big.Int
	Nonce    *big.Int // nil without one
	// Hash and Imprint are what was time-stamped: SHA256, SHA384 or SHA512, and
	// a digest of it.
	Hash    crypto.Hash
	Imprint []byte
	// TSA is the GeneralName in DER which the authority goes by, nil without
	// one. A hint: it is the certificate that identifies the authority.
	TSA []byte
	// SigningCertificateV1 says that the certificate is named by a SHA-1 hash,
	// which RFC 5816 lets stand.
	SigningCertificateV1 bool
	// Revocation is what the token brings along.
	Revocation Revocation

	signed  *SignedData
	content []byte // TSTInfo, over which the message digest is
}

// ParseTimestamp reads a time-stamp token (RFC 3161, Section 2.4.2; RFC 5816):
// a ContentInfo with SignedData over TSTInfo, with one signer, without trailing
// bytes, in DER or BER. known are certificates among which the authority's is
// looked for when it is not embedded. Errors wrap ErrMalformed, or ErrAlgorithm
// when an algorithm is not known or the imprint is one of SHA-1 or MD5.
func ParseTimestamp(der []byte, known ...*x509.Certificate) (*Timestamp, error) {
	sd, content, err := parse(der, oidTSTInfo, known)
	if err != nil {
		return nil, err
	}
	t := &Timestamp{
		Certificate: sd.Certificate, Others: sd.Others, Unread: sd.Unread, Revocation: sd.Revocation,
		SigningCertificateV1: sd.certIDv2 == nil && sd.certID != nil,
		signed:               sd, content: content,
	}
	if err := t.readInfo(content); err != nil {
		return nil, err
	}
	return t, nil
}

// readInfo reads TSTInfo. An extension that is critical is refused, as none is
// known here.
func (t *Timestamp) readInfo(der cryptobyte.String) (err error) {
	var info, imprint, digest cryptobyte.String
	var version int
	t.Serial = new(big.Int)
	if !der.ReadASN1(&info, cbasn1.SEQUENCE) || len(der) != 0 ||
		!info.ReadASN1Integer(&version) || version != 1 ||
		!info.ReadASN1ObjectIdentifier(&t.Policy) ||
		!info.ReadASN1(&imprint, cbasn1.SEQUENCE) {
		return malformed("TSTInfo")
	}
	if t.Hash, err = readHash(&imprint); err != nil {
		return err
	}
	if weak(t.Hash) {
		return fmt.Errorf("time-stamp over a digest of %v: %w", t.Hash, ErrAlgorithm)
	}
	if !imprint.ReadASN1(&digest, cbasn1.OCTET_STRING) || len(imprint) != 0 || len(digest) != t.Hash.Size() {
		return malformed("message imprint")
	}
	t.Imprint = digest
	if !info.ReadASN1Integer(t.Serial) || t.Serial.BitLen() > maxSerial {
		return malformed("serial number of time-stamp")
	}
	var genTime cryptobyte.String
	var ok bool
	if !info.ReadASN1(&genTime, cbasn1.GeneralizedTime) {
		return malformed("time of time-stamp")
	}
	if t.Time, ok = parseTime(string(genTime)); !ok {
		return malformed("time of time-stamp")
	}
	return t.readOptional(info)
}

// readOptional reads what follows the time.
func (t *Timestamp) readOptional(info cryptobyte.String) error {
	var accuracy, tsa, extensions cryptobyte.String
	var hasAccuracy, hasTSA, hasExtensions bool
	if !info.ReadOptionalASN1(&accuracy, &hasAccuracy, cbasn1.SEQUENCE) || !t.readAccuracy(accuracy) {
		return malformed("accuracy of time-stamp")
	}
	if info.PeekASN1Tag(cbasn1.BOOLEAN) && !info.ReadASN1Boolean(&t.Ordering) {
		return malformed("ordering of time-stamp")
	}
	if info.PeekASN1Tag(cbasn1.INTEGER) {
		t.Nonce = new(big.Int)
		if !info.ReadASN1Integer(t.Nonce) {
			return malformed("nonce of time-stamp")
		}
	}
	if !info.ReadOptionalASN1(&tsa, &hasTSA, cbasn1.Tag(0).Constructed().ContextSpecific()) ||
		!info.ReadOptionalASN1(&extensions, &hasExtensions, cbasn1.Tag(1).Constructed().ContextSpecific()) || len(info) != 0 {
		return malformed("TSTInfo")
	}
	if hasTSA {
		t.TSA = tsa
	}
	for len(extensions) > 0 {
		var extension, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		var critical bool
		if !extensions.ReadASN1(&extension, cbasn1.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&oid) ||
			extension.PeekASN1Tag(cbasn1.BOOLEAN) && !extension.ReadASN1Boolean(&critical) ||
			!extension.ReadASN1(&value, cbasn1.OCTET_STRING) || len(extension) != 0 {
			return malformed("extensions of time-stamp")
		}
		if critical {
			return malformed("unknown critical extension of time-stamp")
		}
	}
	return nil
}

// readAccuracy reads the content of Accuracy: seconds, [0] milliseconds and
// [1] microseconds.
func (t *Timestamp) readAccuracy(in cryptobyte.String) bool {
	var seconds, millis, micros int64
	if in.PeekASN1Tag(cbasn1.INTEGER) && (!in.ReadASN1Integer(&seconds) || seconds < 0 || seconds > 1<<31) {
		return false
	}
	for i, n := range []*int64{&millis, &micros} {
		tag := cbasn1.Tag(i).ContextSpecific()
		if in.PeekASN1Tag(tag) && (!in.ReadASN1Int64WithTag(n, tag) || *n < 0 || *n > 999) {
			return false
		}
	}
	t.Accuracy = time.Duration(seconds)*time.Second + time.Duration(millis)*time.Millisecond + time.Duration(micros)*time.Microsecond
	return len(in) == 0
}

// parseTime reads a GeneralizedTime in UTC: YYYYMMDDhhmmss, a fraction or none
// of at most nine digits, Z.
func parseTime(s string) (time.Time, bool) {
	const layout = "20060102150405"
	whole, fraction, dotted := strings.Cut(strings.TrimSuffix(s, "Z"), ".")
	if !strings.HasSuffix(s, "Z") || len(whole) != len(layout) || dotted != (fraction != "") || len(fraction) > 9 {
		return time.Time{}, false
	}
	at, err := time.Parse(layout, whole)
	if err != nil {
		return time.Time{}, false
	}
	scale := time.Second
	for _, c := range []byte(fraction) {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
		scale /= 10
		at = at.Add(time.Duration(c-'0') * scale)
	}
	return at, true
}

// Verify checks the token: its imprint is the one given (ErrDigest), the
// authority's key signed it (ErrDigest, ErrSignature, ErrKey, ErrAlgorithm) and
// the certificate is the one it names (ErrSigningCertificate,
// ErrSigningCertificateMissing), in this order. It does not judge the
// certificate.
func (t *Timestamp) Verify(imprint []byte) error {
	if subtle.ConstantTimeCompare(t.Imprint, imprint) != 1 {
		return fmt.Errorf("imprint of time-stamp: %w", ErrDigest)
	}
	h := t.signed.Hash.New()
	h.Write(t.content)
	if err := t.signed.verify(h.Sum(nil)); err != nil {
		return err
	}
	if t.signed.certID == nil && t.signed.certIDv2 == nil {
		return ErrSigningCertificateMissing
	}
	return nil
}

// Embedded says whether the token has the authority's certificate inside: without
// it, it verifies for those alone who have it from elsewhere.
func (t *Timestamp) Embedded() bool { return t.signed.selfContained() }

// ForTimestamps says whether the authority's certificate has the extended key
// usage time-stamping, no other one, and the extension critical (RFC 3161,
// Section 2.3).
func (t *Timestamp) ForTimestamps() bool {
	c := t.Certificate
	if len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping || len(c.UnknownExtKeyUsage) != 0 {
		return false
	}
	for _, e := range c.Extensions {
		if e.Id.Equal(oidExtKeyUsage) {
			return e.Critical
		}
	}
	return false
}
