package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// ErrClock: there is no time to be relied on: the clock went back behind one that
// was already given, and no token is made until it has caught up, or
// Authorities.Time says so.
var ErrClock = errors.New("no time to be relied on")

// tokenClock never goes back.
type tokenClock struct {
	mu   sync.Mutex
	last time.Time
}

// at is the time for a token, cut to TimeUnit, not before the last one given. A clock
// that went back by no more than the accuracy is taken for one being corrected: the last
// time was right to the accuracy, and is nearer to it now.
func (c *tokenClock) at(now time.Time, accuracy time.Duration) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.Sub(now) > accuracy {
		return time.Time{}, fmt.Errorf("%w: the clock says %s, and said %s", ErrClock, now.UTC().Format(time.RFC3339), c.last.UTC().Format(time.RFC3339))
	}
	now = now.UTC().Truncate(TimeUnit)
	if floor := c.last.UTC().Truncate(TimeUnit); now.Before(floor) {
		now = floor
	}
	if now.After(c.last) {
		c.last = now
	}
	return now, nil
}

// Timestamp makes an RFC 3161 time-stamp token (a ContentInfo in DER) of a SHA-256,
// SHA-384 or SHA-512 digest, with the chain below the root inside. It costs one
// signature of the HSM and may be called from several goroutines. ErrNoUnit and
// ErrClock say why there is none.
func (a *Authorities) Timestamp(ctx context.Context, h crypto.Hash, digest []byte) (token []byte, err error) {
	imprint, err := messageImprint(h, digest)
	if err != nil {
		return nil, fmt.Errorf("encoding time-stamp: %w", err)
	}
	return a.timestamp(ctx, &tstQuery{hash: h, digest: digest, imprint: imprint, certs: true})
}

// TokenSize is a bound in bytes of what Timestamp returns, 0 without a unit.
func (a *Authorities) TokenSize() int {
	u := a.unit(TSA)
	if u == nil {
		return 0
	}
	if n := u.size.Load(); n > 0 {
		return int(n)
	}
	policy, err := oidContents(a.profile.TSAPolicy)
	if err != nil {
		return 0
	}
	imprint, err := messageImprint(crypto.SHA512, make([]byte, crypto.SHA512.Size()))
	if err != nil {
		return 0
	}
	info := &tstInfo{policy: policy, imprint: imprint, serial: maxSerial(), at: a.now().Truncate(time.Second).Add(time.Second - TimeUnit), accuracy: a.profile.Accuracy}
	content, err := info.encode()
	if err != nil {
		return 0
	}
	attributes, err := u.attributes(content)
	if err != nil {
		return 0
	}
	token, err := u.signedData(content, attributes, make([]byte, u.scheme.max), a.tokenChain(u))
	if err != nil {
		return 0
	}
	u.size.Store(int64(len(token)))
	return len(token)
}

// tokenChain goes into tokens: the unit and its CA, not the root, which a verifier
// must have from elsewhere.
func (a *Authorities) tokenChain(u *unit) []*x509.Certificate {
	return []*x509.Certificate{u.cert, a.Certificate(u.issuer)}
}

// maxSerial bounds serial numbers of tokens: 127 random bits, so that there is
// nothing to remember over a restart.
func maxSerial() *big.Int { return new(big.Int).Lsh(big.NewInt(1), 127) }

func oidContents(dotted string) ([]byte, error) {
	oid, err := x509.ParseOID(dotted)
	if err != nil {
		return nil, fmt.Errorf("reading policy OID %q: %w", dotted, err)
	}
	return oid.MarshalBinary()
}

// tstQuery is what is asked of the unit (TimeStampReq, RFC 3161, Section 2.4.1).
type tstQuery struct {
	hash    crypto.Hash
	digest  []byte
	imprint []byte // MessageImprint: the two above, as they came
	policy  []byte // contents of the OBJECT IDENTIFIER; nil for any
	nonce   []byte // contents of the INTEGER
	certs   bool
}

func (a *Authorities) timestamp(ctx context.Context, q *tstQuery) ([]byte, error) {
	switch q.hash {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512:
	default:
		return nil, fmt.Errorf("digest algorithm: %w", failBadAlg)
	}
	if len(q.digest) != q.hash.Size() {
		return nil, fmt.Errorf("digest of %d bytes: %w", len(q.digest), failBadDataFormat)
	}
	policy, err := oidContents(a.profile.TSAPolicy)
	if err != nil {
		return nil, err
	}
	if q.policy != nil && string(q.policy) != string(policy) {
		return nil, failUnacceptedPolicy
	}
	u, err := a.usable(ctx, TSA, a.now())
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, maxSerial())
	if err != nil {
		return nil, fmt.Errorf("making serial number: %w", err)
	}
	if a.Time != nil {
		if err := a.Time(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrClock, err)
		}
	}
	at, err := a.clock.at(a.now(), a.profile.Accuracy)
	if err != nil {
		return nil, err
	}
	info := &tstInfo{policy: policy, imprint: q.imprint, serial: serial, at: at, accuracy: a.profile.Accuracy, nonce: q.nonce}
	var chain []*x509.Certificate
	if q.certs {
		chain = a.tokenChain(u)
	}
	return u.token(info, chain)
}

// failure is a PKIFailureInfo: the number of its bit (RFC 3161, Section 2.4.2).
type failure int

// The failures a time-stamp unit may name.
const (
	failBadAlg              failure = 0
	failBadRequest          failure = 2
	failBadDataFormat       failure = 5
	failTimeNotAvailable    failure = 14
	failUnacceptedPolicy    failure = 15
	failUnacceptedExtension failure = 16
	failSystem              failure = 25
)

// Error implements error, in words for whoever sent the request.
func (f failure) Error() string {
	switch f {
	case failBadAlg:
		return "only SHA-256, SHA-384 and SHA-512 digests are time-stamped"
	case failBadRequest:
		return "only requests of version 1 are answered"
	case failBadDataFormat:
		return "this is not a TimeStampReq"
	case failTimeNotAvailable:
		return "there is no trustworthy time now"
	case failUnacceptedPolicy:
		return "this policy is not offered"
	case failUnacceptedExtension:
		return "no extension is known here"
	}
	return "no token can be made now"
}

// MaxTimestampQuery bounds a request in bytes.
const MaxTimestampQuery = 4 << 10

// TimestampReply answers a TimeStampReq with a TimeStampResp (RFC 3161, Section
// 2.4), both in DER; a bad request is answered, too. err is for the log: that the
// unit could not do its work, which the reply calls timeNotAvailable or
// systemFailure.
func (a *Authorities) TimestampReply(ctx context.Context, query []byte) (reply []byte, err error) {
	q, err := parseQuery(query)
	if err == nil {
		var token []byte
		if token, err = a.timestamp(ctx, q); err == nil {
			reply, err := build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Int64(0) }) // granted
				b.AddBytes(token)
			})
			return reply, err
		}
	}
	var f failure
	switch {
	case errors.As(err, &f):
		err = nil
	case errors.Is(err, ErrClock):
		f = failTimeNotAvailable
	default:
		f = failSystem
	}
	reply, encodeErr := rejection(f)
	return reply, errors.Join(err, encodeErr)
}

func rejection(f failure) ([]byte, error) {
	return build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(2) // rejection
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addRaw(b, cbasn1.UTF8String, []byte(f.Error())) })
			// A named bit list ends with its last one bit (X.690, Section 11.2.2).
			bits := make([]byte, f/8+1)
			bits[f/8] = 0x80 >> (f % 8)
			addRaw(b, cbasn1.BIT_STRING, append([]byte{byte(7 - f%8)}, bits...))
		})
	})
}

// maxNonce bounds a nonce in bytes; 64 bits are common.
const maxNonce = 64

// parseQuery reads a TimeStampReq; its errors are failures.
func parseQuery(der []byte) (*tstQuery, error) {
	s := cryptobyte.String(der)
	var body, element, imprint, digest cryptobyte.String
	var version int64
	if len(der) > MaxTimestampQuery || !s.ReadASN1(&body, cbasn1.SEQUENCE) || !s.Empty() || !body.ReadASN1Integer(&version) {
		return nil, failBadDataFormat
	}
	if version != 1 {
		return nil, failBadRequest
	}
	q := &tstQuery{}
	var alg asn1.ObjectIdentifier
	if !body.ReadASN1Element(&element, cbasn1.SEQUENCE) {
		return nil, failBadDataFormat
	}
	q.imprint = element
	element.ReadASN1(&imprint, cbasn1.SEQUENCE) // it is one
	known := readAlgorithm(&imprint, &alg)
	if !known || hashOf(alg) == 0 {
		return nil, failBadAlg
	}
	if !imprint.ReadASN1(&digest, cbasn1.OCTET_STRING) || !imprint.Empty() {
		return nil, failBadDataFormat
	}
	q.hash, q.digest = hashOf(alg), digest
	var has bool
	if !body.ReadOptionalASN1((*cryptobyte.String)(&q.policy), &has, cbasn1.OBJECT_IDENTIFIER) || has && len(q.policy) == 0 {
		return nil, failBadDataFormat
	}
	if !has {
		q.policy = nil
	}
	var nonce cryptobyte.String
	if !body.ReadOptionalASN1(&nonce, &has, cbasn1.INTEGER) || has && (len(nonce) == 0 || len(nonce) > maxNonce || !minimal(nonce)) {
		return nil, failBadDataFormat
	}
	if has {
		q.nonce = nonce
	}
	if body.PeekASN1Tag(cbasn1.BOOLEAN) && !body.ReadASN1Boolean(&q.certs) {
		return nil, failBadDataFormat
	}
	if body.PeekASN1Tag(constructed(0)) {
		return nil, failUnacceptedExtension // Section 2.4.1: also when it is not critical
	}
	if !body.Empty() {
		return nil, failBadDataFormat
	}
	return q, nil
}

// minimal says whether an INTEGER's contents are as short as DER wants.
func minimal(n []byte) bool {
	return len(n) < 2 || !(n[0] == 0 && n[1] < 0x80 || n[0] == 0xff && n[1] >= 0x80)
}
