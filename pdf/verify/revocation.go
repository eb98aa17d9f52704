package verify

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // names issuers in OCSP responses; nothing is signed with it
	"crypto/x509"
	"encoding/asn1"
	"math"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/pdf/revocation"
)

// Sources of revocation data, by where they come from.
const (
	embedded = iota // in the document
	given           // in the options
	fetched
)

// nowhere is the place of what is not in the file.
const nowhere = math.MaxInt64

// answer is an OCSP response, list a CRL. Both are parsed when needed.
type answer struct {
	der    []byte
	at     int64 // place in the file, for the proof of existence
	origin int
	ids    []certID
	// parsed is the response about the certificate named by a serial number,
	// nil when it is none; trusted the issuer that lets it answer.
	parsed  map[string]*ocsp.Response
	trusted *x509.Certificate
}

// parse parses the response and checks its signature, once for a certificate.
func (a *answer) parse(cert *x509.Certificate) *ocsp.Response {
	key := cert.SerialNumber.String()
	r, known := a.parsed[key]
	if !known {
		var err error
		if r, err = ocsp.ParseResponseForCert(a.der, cert, nil); err != nil {
			r = nil
		}
		if a.parsed == nil {
			a.parsed = make(map[string]*ocsp.Response)
		}
		a.parsed[key] = r
	}
	return r
}

type list509 struct {
	der    []byte
	at     int64
	origin int
	crl    *x509.RevocationList
	bad    bool
	issuer *x509.Certificate // that signed it, once known
}

// status is what is known about a certificate at a time.
type status struct {
	known   bool
	revoked bool // before that time, or the time is not proven
	held    bool
	later   bool // revoked, but after that time
	at      time.Time
	source  string // OCSP or CRL
	origin  int
	place   int64 // in the file
	// What the document says itself counts for its level, whatever else is known.
	inside      time.Time // thisUpdate of the newest good news in it
	insidePlace int64
}

// embedded says whether the document holds evidence, and where.
func (s *status) embedded() (bool, int64) {
	switch {
	case s.known && s.origin == embedded:
		return true, s.place
	case s.known && !s.revoked && !s.inside.IsZero():
		return true, s.insidePlace
	}
	return false, 0
}

const (
	certificateHold = 6 // CRLReason: RFC 5280, Section 5.3.1
	removeFromCRL   = 8
)

// note merges one statement. The earliest revocation counts; of good news the
// newest.
func (s *status) note(revokedAt time.Time, reason int, thisUpdate, at time.Time, source string, origin int, place int64) {
	isRevoked := !revokedAt.IsZero()
	if !isRevoked && origin == embedded && thisUpdate.After(s.inside) {
		s.inside, s.insidePlace = thisUpdate, place
	}
	switch {
	case isRevoked && (s.revoked || s.later) && !revokedAt.Before(s.at):
		return
	case isRevoked:
		*s = status{known: true, revoked: !revokedAt.After(at), later: revokedAt.After(at), held: reason == certificateHold, at: revokedAt, inside: s.inside, insidePlace: s.insidePlace}
	case s.revoked || s.later:
		return
	case s.known && !thisUpdate.After(s.at):
		return
	default:
		*s = status{known: true, at: thisUpdate, inside: s.inside, insidePlace: s.insidePlace}
	}
	s.source, s.origin, s.place = source, origin, place
}

// status looks for what is known about a certificate of the issuer at a time.
func (j *judge) status(cert, issuer *x509.Certificate, at time.Time, depth int) status {
	var s status
	for _, a := range j.answers {
		j.askAnswer(&s, a, cert, issuer, at, depth)
	}
	for _, l := range j.lists {
		if j.ctx.Err() != nil {
			return status{}
		}
		j.askList(&s, l, cert, issuer, at)
	}
	return s
}

// fresh says whether what was stated at thisUpdate still says something at the
// time for which the certificate is judged (ETSI EN 319 102-1, Section
// 5.2.5.4): stated later, or not older than the bound of the options, or
// before its own nextUpdate.
func (j *judge) fresh(thisUpdate, nextUpdate, at time.Time) bool {
	switch {
	case !thisUpdate.Before(at.Add(-skew)):
		return true
	case j.Freshness > 0:
		return at.Sub(thisUpdate) <= j.Freshness
	}
	return !nextUpdate.IsZero() && !at.After(nextUpdate)
}

// askList searches a CRL (RFC 5280, Section 6.3). A partial list can say
// "revoked", never "good".
func (j *judge) askList(s *status, l *list509, cert, issuer *x509.Certificate, at time.Time) {
	if l.crl == nil && !l.bad {
		var err error
		l.crl, err = x509.ParseRevocationList(l.der)
		l.bad = err != nil
	}
	if l.bad || !bytes.Equal(l.crl.RawIssuer, cert.RawIssuer) {
		return
	}
	if l.issuer == nil || !l.issuer.Equal(issuer) {
		if l.crl.CheckSignatureFrom(issuer) != nil {
			return
		}
		l.issuer = issuer
	}
	crl, hindsight := l.crl, j.Hindsight && l.origin == given
	if existed, _ := j.existed(l.at); !hindsight && crl.ThisUpdate.After(existed.Add(skew)) {
		return // stated after it is known to have existed
	}
	for i := range crl.RevokedCertificateEntries {
		e := &crl.RevokedCertificateEntries[i]
		if e.SerialNumber.Cmp(cert.SerialNumber) == 0 && e.ReasonCode != removeFromCRL {
			s.note(e.RevocationTime, e.ReasonCode, crl.ThisUpdate, at, "CRL", l.origin, l.at)
			return
		}
	}
	// Expired certificates leave the lists.
	if revocation.Covers(crl, cert) == nil && j.fresh(crl.ThisUpdate, crl.NextUpdate, at) && (hindsight || !crl.ThisUpdate.After(cert.NotAfter)) {
		s.note(time.Time{}, 0, crl.ThisUpdate, at, "CRL", l.origin, l.at)
	}
}

// askAnswer looks into an OCSP response (RFC 6960, Section 3.2).
func (j *judge) askAnswer(s *status, a *answer, cert, issuer *x509.Certificate, at time.Time, depth int) {
	if a.ids == nil {
		a.ids = readIDs(a.der)
	}
	named := false
	for _, id := range a.ids {
		if id.serial.Cmp(cert.SerialNumber) != 0 {
			continue
		}
		// All statements under this serial number must be about this issuer:
		// the parser below takes the first.
		if !id.names(issuer) {
			return
		}
		named = true
	}
	if !named {
		return
	}
	r := a.parse(cert)
	if r == nil || r.Status != ocsp.Good && r.Status != ocsp.Revoked {
		return
	}
	existed, _ := j.existed(a.at)
	if r.ThisUpdate.After(existed.Add(skew)) || r.ProducedAt.After(existed.Add(skew)) || r.ThisUpdate.After(r.ProducedAt.Add(skew)) {
		return
	}
	if !a.trusted.Equal(issuer) {
		if !j.authorised(r, issuer, depth) {
			return
		}
		a.trusted = issuer
	}
	if r.Status == ocsp.Revoked {
		s.note(r.RevokedAt, r.RevocationReason, r.ThisUpdate, at, "OCSP", a.origin, a.at)
		return
	}
	if j.fresh(r.ThisUpdate, r.NextUpdate, at) && !r.ThisUpdate.After(cert.NotAfter) {
		s.note(time.Time{}, 0, r.ThisUpdate, at, "OCSP", a.origin, a.at)
	}
}

// authorised says whether the response is signed by the issuer or by somebody
// the issuer itself lets answer, whose certificate was valid and not revoked
// (RFC 6960, Section 4.2.2.2).
func (j *judge) authorised(r *ocsp.Response, issuer *x509.Certificate, depth int) bool {
	c := r.Certificate // which signed the response, as the parser has checked
	if c == nil || c.Equal(issuer) {
		return r.CheckSignatureFrom(issuer) == nil
	}
	if !revocation.MayAnswer(c, issuer, r.ProducedAt) || weakKey(c.PublicKey, r.ProducedAt) || !j.issued(c, issuer) {
		return false
	}
	if revocation.NoCheck(c) {
		return true
	}
	if depth > 0 {
		return false
	}
	st := j.status(c, issuer, r.ProducedAt, depth+1)
	return st.known && !st.revoked
}

// issued says whether the issuer's key signed the certificate.
func (j *judge) issued(c, issuer *x509.Certificate) bool {
	key := string(c.Raw) + string(issuer.Raw)
	if ok, known := j.checked[key]; known {
		return ok
	}
	ok := c.CheckSignatureFrom(issuer) == nil
	j.checked[key] = ok
	return ok
}

// certID is a CertID (RFC 6960, Section 4.1.1).
type certID struct {
	hash      crypto.Hash
	name, key []byte
	serial    *big.Int
}

// names says whether the issuer is the one named, by name and key.
func (id *certID) names(issuer *x509.Certificate) bool {
	var info, bits cryptobyte.String
	spki := cryptobyte.String(issuer.RawSubjectPublicKeyInfo)
	if id.hash == 0 || !spki.ReadASN1(&info, cbasn1.SEQUENCE) || !info.SkipASN1(cbasn1.SEQUENCE) ||
		!info.ReadASN1(&bits, cbasn1.BIT_STRING) || len(bits) == 0 {
		return false
	}
	sum := func(b []byte) []byte {
		h := id.hash.New()
		h.Write(b)
		return h.Sum(nil)
	}
	return bytes.Equal(id.name, sum(issuer.RawSubject)) && bytes.Equal(id.key, sum(bits[1:]))
}

// readIDs reads the CertIDs of a response, none when it is malformed.
func readIDs(der cryptobyte.String) []certID {
	explicit := cbasn1.Tag(0).Constructed().ContextSpecific()
	var outer, wrapped, bytes, octets, basic, data, responses cryptobyte.String
	if !der.ReadASN1(&outer, cbasn1.SEQUENCE) || !outer.SkipASN1(cbasn1.ENUM) || !outer.ReadASN1(&wrapped, explicit) ||
		!wrapped.ReadASN1(&bytes, cbasn1.SEQUENCE) || !bytes.SkipASN1(cbasn1.OBJECT_IDENTIFIER) || !bytes.ReadASN1(&octets, cbasn1.OCTET_STRING) ||
		!octets.ReadASN1(&basic, cbasn1.SEQUENCE) || !basic.ReadASN1(&data, cbasn1.SEQUENCE) ||
		!data.SkipOptionalASN1(explicit) { // version
		return []certID{}
	}
	var responder cryptobyte.String
	var tag cbasn1.Tag
	if !data.ReadAnyASN1(&responder, &tag) || !data.SkipASN1(cbasn1.GeneralizedTime) || !data.ReadASN1(&responses, cbasn1.SEQUENCE) {
		return []certID{}
	}
	out := []certID{}
	for len(responses) > 0 {
		var single, id, alg, name, key cryptobyte.String
		var oid asn1.ObjectIdentifier
		c := certID{serial: new(big.Int)}
		if !responses.ReadASN1(&single, cbasn1.SEQUENCE) || !single.ReadASN1(&id, cbasn1.SEQUENCE) ||
			!id.ReadASN1(&alg, cbasn1.SEQUENCE) || !alg.ReadASN1ObjectIdentifier(&oid) ||
			!id.ReadASN1(&name, cbasn1.OCTET_STRING) || !id.ReadASN1(&key, cbasn1.OCTET_STRING) || !id.ReadASN1Integer(c.serial) {
			return []certID{}
		}
		switch oid.String() {
		case "1.3.14.3.2.26":
			c.hash = crypto.SHA1
		case "2.16.840.1.101.3.4.2.1":
			c.hash = crypto.SHA256
		case "2.16.840.1.101.3.4.2.2":
			c.hash = crypto.SHA384
		case "2.16.840.1.101.3.4.2.3":
			c.hash = crypto.SHA512
		}
		c.name, c.key = name, key
		out = append(out, c)
	}
	return out
}
