package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/sync/singleflight"
)

// certID names a certificate (RFC 6960, Section 4.1.1).
type certID struct {
	raw        []byte // the element
	hash       crypto.Hash
	name, key  []byte // hashes of the issuer's name and key
	serial     *big.Int
	status     Certificate // what the register says; Status "" when it says nothing
	thisUpdate time.Time
}

// newCertID names a certificate of issuer.
func newCertID(h crypto.Hash, serial *big.Int, issuer *x509.Certificate) (*certID, error) {
	key, err := keyHash(h, issuer)
	if err != nil {
		return nil, err
	}
	id := &certID{hash: h, name: digestOf(h, issuer.RawSubject), key: key, serial: serial}
	id.raw, err = build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addHash(b, h)
		b.AddASN1OctetString(id.name)
		b.AddASN1OctetString(id.key)
		b.AddASN1BigInt(serial)
	})
	return id, err
}

// of says whether issuer is meant.
func (id *certID) of(issuer *x509.Certificate) bool {
	key, err := keyHash(id.hash, issuer)
	return err == nil && bytes.Equal(id.key, key) && bytes.Equal(id.name, digestOf(id.hash, issuer.RawSubject))
}

// ocspStatus is an OCSPResponseStatus (RFC 6960, Section 4.2.1) that is an error.
type ocspStatus byte

const (
	ocspMalformed     ocspStatus = 1
	ocspInternalError ocspStatus = 2
	ocspTryLater      ocspStatus = 3
	ocspUnauthorized  ocspStatus = 6
)

// Error implements error.
func (s ocspStatus) Error() string {
	switch s {
	case ocspMalformed:
		return "malformed OCSP request"
	case ocspTryLater:
		return "OCSP responder asks to try later"
	case ocspUnauthorized:
		return "OCSP responder does not answer for this issuer"
	}
	return fmt.Sprintf("OCSP responder answers with status %d", byte(s))
}

func (s ocspStatus) response() []byte { return []byte{0x30, 3, 0x0a, 1, byte(s)} }

// Bounds of a request: bytes, certificates, and bytes of a nonce (RFC 9654, Section
// 2.1); ocspNonce is the length of ours, the least that it lets clients use.
const (
	MaxOCSPRequest = 8 << 10
	maxOCSPIDs     = 16
	maxOCSPNonce   = 128
	ocspNonce      = 32
)

// parseOCSPRequest reads an OCSPRequest (RFC 6960, Section 4.1.1); a signature on
// it is not looked at. Its error is ocspMalformed.
func parseOCSPRequest(der []byte) (ids []*certID, nonce []byte, err error) {
	s := cryptobyte.String(der)
	var outer, tbs, list, exts cryptobyte.String
	var has bool
	version := 0
	if len(der) > MaxOCSPRequest || !s.ReadASN1(&outer, cbasn1.SEQUENCE) || !s.Empty() || !outer.ReadASN1(&tbs, cbasn1.SEQUENCE) ||
		!outer.SkipOptionalASN1(constructed(0)) || !outer.Empty() ||
		!tbs.ReadOptionalASN1Integer(&version, constructed(0), 0) || version != 0 ||
		!tbs.SkipOptionalASN1(constructed(1)) || !tbs.ReadASN1(&list, cbasn1.SEQUENCE) ||
		!tbs.ReadOptionalASN1(&exts, &has, constructed(2)) || !tbs.Empty() {
		return nil, nil, ocspMalformed
	}
	if has {
		if nonce, err = readNonce(exts); err != nil {
			return nil, nil, err
		}
	}
	for !list.Empty() {
		var request cryptobyte.String
		if len(ids) == maxOCSPIDs || !list.ReadASN1(&request, cbasn1.SEQUENCE) {
			return nil, nil, ocspMalformed
		}
		id, ok := readCertID(&request)
		if !ok {
			return nil, nil, ocspMalformed
		}
		if request.ReadOptionalASN1(&exts, &has, constructed(0)); has {
			if _, err := readNonce(exts); err != nil { // what is critical is not known here
				return nil, nil, err
			}
		}
		if !request.Empty() {
			return nil, nil, ocspMalformed
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, nil, ocspMalformed
	}
	return ids, nonce, nil
}

func readCertID(s *cryptobyte.String) (*certID, bool) {
	var element, body, name, key cryptobyte.String
	var alg asn1.ObjectIdentifier
	id := &certID{serial: new(big.Int)}
	if !s.ReadASN1Element(&element, cbasn1.SEQUENCE) {
		return nil, false
	}
	id.raw = element
	if !element.ReadASN1(&body, cbasn1.SEQUENCE) || !readAlgorithm(&body, &alg) || !body.ReadASN1(&name, cbasn1.OCTET_STRING) ||
		!body.ReadASN1(&key, cbasn1.OCTET_STRING) || !body.ReadASN1Integer(id.serial) || !body.Empty() {
		return nil, false
	}
	id.hash, id.name, id.key = hashOf(alg), name, key
	return id, true
}

// readNonce reads Extensions for a nonce; nil when there is none.
func readNonce(s cryptobyte.String) (nonce []byte, err error) {
	var exts cryptobyte.String
	if !s.ReadASN1(&exts, cbasn1.SEQUENCE) || !s.Empty() {
		return nil, ocspMalformed
	}
	for !exts.Empty() {
		var ext, value, inner cryptobyte.String
		var oid asn1.ObjectIdentifier
		critical := false
		if !exts.ReadASN1(&ext, cbasn1.SEQUENCE) || !ext.ReadASN1ObjectIdentifier(&oid) ||
			ext.PeekASN1Tag(cbasn1.BOOLEAN) && !ext.ReadASN1Boolean(&critical) ||
			!ext.ReadASN1(&value, cbasn1.OCTET_STRING) || !ext.Empty() {
			return nil, ocspMalformed
		}
		switch {
		case oid.Equal(oidOCSPNonce):
			if nonce != nil || !value.ReadASN1(&inner, cbasn1.OCTET_STRING) || !value.Empty() || len(inner) == 0 || len(inner) > maxOCSPNonce {
				return nil, ocspMalformed
			}
			nonce = inner
		case critical:
			return nil, ocspMalformed
		}
	}
	return nonce, nil
}

// ocspCache keeps answers that are asked for again: one certificate, no nonce.
type ocspCache struct {
	flight singleflight.Group
	mu     sync.Mutex
	kept   map[string]keptAnswer
}

// keptAnswer is good as long as the register says the same, the same unit is on,
// and it is not stale.
type keptAnswer struct {
	der        []byte
	row        string
	unit       *unit
	thisUpdate time.Time
	until      time.Time
}

// maxKept bounds the memory of the cache: beyond it, it starts afresh. 10,000
// answers are about 10 MB.
const maxKept = 10_000

func (c *ocspCache) get(key, row string, u *unit, now, since time.Time) (k keptAnswer, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok = c.kept[key]
	return k, ok && k.row == row && k.unit == u && now.Before(k.until) && !k.thisUpdate.Before(since)
}

func (c *ocspCache) put(key string, k keptAnswer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil || len(c.kept) >= maxKept {
		c.kept = make(map[string]keptAnswer)
	}
	c.kept[key] = k
}

// OCSP answers for a certificate of an issuing CA with an OCSPResponse in DER: the
// answer says whether it was revoked. It is kept for half its time, unless the
// certificate's status changes. ErrUnknown when cert is not in the register or
// issuer is none of our issuing CAs.
func (a *Authorities) OCSP(ctx context.Context, cert, issuer *x509.Certificate) (der []byte, err error) {
	return a.ocspSince(ctx, cert, issuer, time.Time{})
}

// ocspSince is OCSP with an answer whose thisUpdate is since or later.
func (a *Authorities) ocspSince(ctx context.Context, cert, issuer *x509.Certificate, since time.Time) (der []byte, err error) {
	by, ours := a.set.Load().by(issuer)
	if !ours {
		by, ours = a.fresh().by(issuer)
	}
	if !ours || by.Parent == "" {
		return nil, fmt.Errorf("answering for %q: %w", issuer.Subject.CommonName, ErrUnknown)
	}
	// SHA-1, as RFC 5019, Section 2.1.1 wants it: nothing rests on its strength.
	id, err := newCertID(crypto.SHA1, cert.SerialNumber, issuer)
	if err != nil {
		return nil, err
	}
	if err := a.look(ctx, by.Name, id); err != nil {
		return nil, err
	}
	if id.status.Status == "" || !bytes.Equal(id.status.DER, cert.Raw) {
		return nil, ErrUnknown
	}
	k, err := a.answer(ctx, by.Name, []*certID{id}, nil, since)
	return k.der, err
}

// Freshness is from when and until when a copy of an answer may be handed on; zero
// when it must not be kept.
type Freshness struct{ ThisUpdate, Until time.Time }

// OCSPReply answers an OCSPRequest with an OCSPResponse (RFC 6960), both in DER.
// Several certificates of one issuing CA are answered together; one of another
// issuer makes the whole request unauthorized. fresh is zero for all but an answer
// about one certificate without a nonce. err is for the log.
func (a *Authorities) OCSPReply(ctx context.Context, request []byte) (response []byte, fresh Freshness, err error) {
	ids, nonce, err := parseOCSPRequest(request)
	var by string
	if err == nil {
		if by = a.set.Load().issuing(ids[0]); by == "" {
			by = a.fresh().issuing(ids[0])
		}
		for _, id := range ids {
			if by == "" || a.set.Load().issuing(id) != by {
				return ocspUnauthorized.response(), fresh, nil
			}
			if err = a.look(ctx, by, id); err != nil {
				break
			}
		}
	}
	var k keptAnswer
	if err == nil {
		k, err = a.answer(ctx, by, ids, nonce, time.Time{})
	}
	var s ocspStatus
	switch {
	case errors.As(err, &s):
		return s.response(), fresh, nil
	case errors.Is(err, ErrNoUnit):
		return ocspTryLater.response(), fresh, err
	case err != nil:
		return ocspInternalError.response(), fresh, err
	}
	if nonce == nil && len(ids) == 1 {
		fresh = Freshness{k.thisUpdate, k.until}
	}
	return k.der, fresh, nil
}

// issuing is the name of the issuing CA that is meant; "" when it is none of ours.
func (s *set) issuing(id *certID) string {
	for _, x := range s.list {
		if c := s.certs[x.Name]; c != nil && x.Parent != "" && id.hash != 0 && id.of(c) {
			return x.Name
		}
	}
	return ""
}

// look reads the register, at the time that the answer will be of.
func (a *Authorities) look(ctx context.Context, issuer string, id *certID) error {
	id.thisUpdate = a.now().UTC().Truncate(time.Second)
	row, err := a.records.CertificateBySerial(ctx, id.serial.String())
	switch {
	case errors.Is(err, ErrUnknown):
	case err != nil:
		return fmt.Errorf("reading certificate %s: %w", id.serial, err)
	case row.Issuer == issuer && row.Status != Reserved:
		id.status = row
	}
	return nil
}

// answer signs, or finds what was signed of since or later.
func (a *Authorities) answer(ctx context.Context, issuer string, ids []*certID, nonce []byte, since time.Time) (k keptAnswer, err error) {
	first := ids[0]
	u, err := a.usable(ctx, responder(issuer), first.thisUpdate)
	if err != nil {
		return k, err
	}
	row := fmt.Sprint(first.status.Status, first.status.RevokedAt.Unix(), first.status.Reason)
	sign := func() (keptAnswer, error) {
		der, err := a.respond(u, ids, nonce)
		return keptAnswer{der, row, u, first.thisUpdate, first.thisUpdate.Add(a.profile.OCSPFor / 2)}, err
	}
	if nonce != nil || len(ids) > 1 || first.status.Status == "" {
		return sign()
	}
	key := string(first.raw)
	if k, ok := a.answers.get(key, row, u, first.thisUpdate, since); ok {
		return k, nil
	}
	// Those who ask with the same since have read the register after it.
	v, err, _ := a.answers.flight.Do(fmt.Sprint(key, row, since.UnixNano()), func() (any, error) {
		if k, ok := a.answers.get(key, row, u, first.thisUpdate, since); ok { // of a flight that has just ended
			return k, nil
		}
		k, err := sign()
		if err == nil {
			a.answers.put(key, k)
		}
		return k, err
	})
	if err != nil {
		return keptAnswer{}, err
	}
	return v.(keptAnswer), nil
}

// respond signs a BasicOCSPResponse (RFC 6960, Section 4.2.1) with the responder's
// certificate inside.
func (a *Authorities) respond(u *unit, ids []*certID, nonce []byte) ([]byte, error) {
	responder, err := keyHash(crypto.SHA1, u.cert)
	if err != nil {
		return nil, err
	}
	data, err := build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(constructed(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(responder) })
		addTime(b, ids[len(ids)-1].thisUpdate)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, id := range ids {
				next := id.thisUpdate.Add(a.profile.OCSPFor)
				if next.After(u.cert.NotAfter) {
					next = u.cert.NotAfter
				}
				id.single(b, next)
			}
		})
		if nonce != nil {
			b.AddASN1(constructed(1), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addNonce(b, nonce) })
			})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("encoding OCSP answer: %w", err)
	}
	signature, err := u.sign(data)
	if err != nil {
		return nil, err
	}
	basic, err := build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(data)
		u.scheme.add(b)
		b.AddASN1BitString(signature)
		b.AddASN1(constructed(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(u.cert.Raw) })
		})
	})
	if err != nil {
		return nil, fmt.Errorf("encoding OCSP answer: %w", err)
	}
	return build(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(0) // successful
		b.AddASN1(constructed(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidOCSPBasic)
				b.AddASN1OctetString(basic)
			})
		})
	})
}

// single is a SingleResponse. A serial number nobody issued is unknown, and so is
// one that is only reserved.
func (id *certID) single(b *cryptobyte.Builder, next time.Time) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(id.raw)
		switch id.status.Status {
		case Active:
			b.AddASN1(primitive(0), func(*cryptobyte.Builder) {})
		case Revoked, Suspended:
			b.AddASN1(constructed(1), func(b *cryptobyte.Builder) {
				addTime(b, id.status.RevokedAt)
				if id.status.Reason != 0 { // RFC 5280, Section 5.3.1: unspecified is left out
					b.AddASN1(constructed(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(id.status.Reason)) })
				}
			})
		default:
			b.AddASN1(primitive(2), func(*cryptobyte.Builder) {})
		}
		addTime(b, id.thisUpdate)
		b.AddASN1(constructed(0), func(b *cryptobyte.Builder) { addTime(b, next) })
	})
}

func addNonce(b *cryptobyte.Builder, nonce []byte) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidOCSPNonce)
		b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nonce) })
	})
}
