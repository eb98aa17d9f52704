package verify

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/pdf/cms"
)

// judge judges certificates by what the options give and the document embeds.
type judge struct {
	Options
	ctx     context.Context
	parsed  map[string]*x509.Certificate // by DER
	others  []*x509.Certificate          // that may help to build paths
	answers []*answer
	lists   []*list509
	asked   map[string]bool
	checked map[string]bool
	found   map[foundKey][][]*x509.Certificate
	anchors map[foundKey]bool
	proofs  []proof
	copies  [][]byte // of the certificates in the document and the options
	paired  int      // copies compared with those before
	damage  bool     // found among them
	place   int64    // in the file, of the signature that is being judged
}

// proof is a valid document time-stamp: the bytes before end existed at a time.
// embedded: what it takes to believe it is in the document.
type proof struct {
	end      int64
	at       time.Time
	embedded bool
}

func newJudge(ctx context.Context, o Options) *judge {
	j := &judge{Options: o, ctx: ctx, parsed: make(map[string]*x509.Certificate), asked: make(map[string]bool), checked: make(map[string]bool), found: make(map[foundKey][][]*x509.Certificate), anchors: make(map[foundKey]bool), place: nowhere}
	if j.Roots == nil {
		j.Roots = x509.NewCertPool() // nil would be the machine's roots
	}
	if j.TSARoots == nil {
		j.TSARoots = j.Roots
	}
	j.help(o.Intermediates)
	for _, crl := range o.CRLs {
		j.lists = append(j.lists, &list509{crl: crl, at: nowhere, origin: given})
	}
	return j
}

// parse parses a certificate once, nil when it cannot be read.
func (j *judge) parse(der []byte) *x509.Certificate {
	if c, ok := j.parsed[string(der)]; ok {
		return c
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		c = nil
	}
	j.parsed[string(der)] = c
	return c
}

// help adds certificates that may be needed for paths.
func (j *judge) help(certs []*x509.Certificate) {
	for _, c := range certs {
		j.copy(c.Raw)
		if len(j.others) < maxCertificates && !slices.ContainsFunc(j.others, c.Equal) {
			j.others = append(j.others, c)
		}
	}
}

// bring adds the certificates of a CMS.
func (j *judge) bring(own *x509.Certificate, others []*x509.Certificate, unread [][]byte) {
	j.copy(own.Raw)
	j.help(others)
	for _, der := range unread {
		j.copy(der)
	}
}

// maxCopy bounds the certificates compared byte by byte. Larger ones are those
// of somebody who wants it to take long.
const maxCopy = 8 << 10

// copy keeps the DER of a certificate, each once.
func (j *judge) copy(der []byte) {
	if len(der) <= maxCopy && !slices.ContainsFunc(j.copies, func(have []byte) bool { return bytes.Equal(have, der) }) && len(j.copies) < 2*maxCertificates {
		j.copies = append(j.copies, der)
	}
}

// embed adds the revocation data that a CMS at a place in the file brings.
func (j *judge) embed(r cms.Revocation, at int64) {
	for _, der := range r.OCSPs {
		j.answers = append(j.answers, &answer{der: der, at: at})
	}
	for _, der := range r.CRLs {
		j.lists = append(j.lists, &list509{der: der, at: at})
	}
}

// existed returns the earliest time at which what lies at a place in the file
// is proven to have existed: Now without a proof.
func (j *judge) existed(place int64) (at time.Time, proven bool) {
	at = j.Now
	for _, p := range j.proofs {
		if place < p.end && (!proven || p.at.Before(at)) {
			at, proven = p.at, true
		}
	}
	return at, proven
}

// path is the outcome for one certificate.
type path struct {
	chain      []*x509.Certificate
	revocation Revocation
	// embedded: status and path are known from the document alone; newest is
	// the place of the last piece of evidence used.
	embedded bool
	newest   int64
}

// purpose is what a certificate is judged for: its trust anchors, and who may by a path.
type purpose struct {
	roots *x509.CertPool
	admit func(context.Context, []*x509.Certificate) bool // nil: everybody
}

// certificate checks path, validity and revocation of a certificate whose
// signature is proven to have existed at a time, or not proven, when at is Now.
func (j *judge) certificate(f *findings, cert *x509.Certificate, to purpose, at time.Time, proven bool, claimed time.Time) path {
	p := path{revocation: Revocation{Status: "not_checked"}}
	switch {
	case at.After(cert.NotAfter):
		f.find("certificate_expired", "")
	case at.Before(cert.NotBefore) && proven:
		f.find("certificate_not_yet_valid", "")
	case at.Before(cert.NotBefore):
		f.find("certificate_expired", "")
	}
	// Such a certificate has its reason above; the path is looked for at the
	// last moment it was valid, for the sake of revocation.
	when := at
	if when.After(cert.NotAfter) {
		when = cert.NotAfter
	} else if when.Before(cert.NotBefore) {
		when = cert.NotBefore
	}
	chains, err := j.chains(cert, to.roots, when)
	if err != nil {
		var invalid x509.CertificateInvalidError
		var critical x509.UnhandledCriticalExtension
		if errors.As(err, &invalid) || errors.As(err, &critical) {
			f.find("chain_invalid", err.Error())
		} else {
			f.find("chain_unknown", err.Error())
		}
		return p
	}
	// Of several paths one that holds is enough.
	const most = 4
	var reasons []Reason
	for i, chain := range chains[:min(len(chains), most)] {
		own := &findings{verdict: Valid}
		got := j.chain(own, chain, at, proven, claimed)
		if to.admit != nil && !to.admit(j.ctx, chain) {
			own.find("signer_not_admitted", Subject(cert))
		}
		if own.verdict == Valid {
			return got
		}
		if i == 0 {
			p, reasons = got, own.reasons
		}
	}
	for _, r := range reasons {
		f.find(r.Code, r.Detail)
	}
	return p
}

// chains finds the paths of a certificate at a time. Paths found for another
// time are taken again as far as all in them were valid: nothing else in a path
// depends on the time.
func (j *judge) chains(cert *x509.Certificate, roots *x509.CertPool, at time.Time) ([][]*x509.Certificate, error) {
	var again [][]*x509.Certificate
	for _, chain := range j.found[foundKey{string(cert.Raw), roots}] {
		if !slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return at.Before(c.NotBefore) || at.After(c.NotAfter) }) {
			again = append(again, chain)
		}
	}
	if len(again) > 0 {
		return again, nil
	}
	others := x509.NewCertPool()
	for _, c := range j.others {
		if !j.anchor(c, roots) {
			others.AddCert(c)
		}
	}
	chains, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err == nil {
		j.found[foundKey{string(cert.Raw), roots}] = chains
	}
	return chains, err
}

// anchor says whether a certificate is one of the roots. A path that goes on
// behind one is that which ends there and more to check, in vain: the signature
// of each certificate below would be verified a second time.
func (j *judge) anchor(c *x509.Certificate, roots *x509.CertPool) bool {
	if !bytes.Equal(c.RawSubject, c.RawIssuer) {
		return false
	}
	key := foundKey{string(c.Raw), roots}
	is, known := j.anchors[key]
	if !known {
		with := roots.Clone()
		with.AddCert(c)
		is = with.Equal(roots)
		j.anchors[key] = is
	}
	return is
}

// foundKey names a certificate and those to which paths lead.
type foundKey struct {
	cert  string
	roots *x509.CertPool
}

// chain checks keys and revocation along a path.
func (j *judge) chain(f *findings, chain []*x509.Certificate, at time.Time, proven bool, claimed time.Time) path {
	p := path{chain: chain, revocation: Revocation{Status: "not_checked"}, embedded: true, newest: -1}
	for _, c := range chain {
		if weakKey(c.PublicKey, at) {
			f.find("key_weak", Subject(c))
		}
	}
	for i := 0; i+1 < len(chain); i++ {
		j.checked[string(chain[i].Raw)+string(chain[i+1].Raw)] = true
		st := j.status(chain[i], chain[i+1], at, 0)
		if !st.known && j.fetch(chain[i], chain[i+1]) {
			st = j.status(chain[i], chain[i+1], at, 0)
		}
		r := Revocation{Source: st.source, Status: "good"}
		if when := st.at; st.known {
			r.At = &when
		}
		switch {
		case !st.known:
			r = Revocation{Status: j.unknown(f, chain[i], i)}
		case st.revoked:
			r.Status = "revoked"
			j.revoked(f, chain[i], st, proven, claimed)
		case st.later:
			r.Status = "revoked_later"
		}
		if i == 0 || r.Status == "revoked" && p.revocation.Status != "revoked" {
			p.revocation = r
		}
		inside, place := st.embedded()
		p.embedded = p.embedded && inside
		p.newest = max(p.newest, place)
	}
	return p
}

// damaged looks for certificates in the document that are almost those of
// others: they serve for nothing, but somebody has touched them. Different
// certificates differ in their keys and signatures. Each pair is compared once,
// for all signatures.
func (j *judge) damaged(f *findings) {
	for ; j.paired < len(j.copies) && !j.damage; j.paired++ {
		if j.ctx.Err() != nil {
			return // nothing is judged
		}
		a := j.copies[j.paired]
		j.damage = slices.ContainsFunc(j.copies[:j.paired], func(b []byte) bool { return almost(a, b) })
	}
	if j.damage {
		f.find("certificate_damaged", "")
	}
}

// almost says whether two certificates differ, but in a few bytes only.
func almost(a, b []byte) bool {
	const most = 16 // bytes
	if len(a) != len(b) {
		return false
	}
	n := 0
	for k := range a {
		if a[k] != b[k] {
			n++
		}
		if n == most {
			return false
		}
	}
	return n > 0
}

// unknown notes that nothing is known about the i-th certificate of a path.
func (j *judge) unknown(f *findings, cert *x509.Certificate, i int) string {
	looked := len(j.lists)+len(j.answers) > 0 || j.Fetch != nil
	if j.RequireRevocation || i == 0 && (len(j.CRLs) > 0 || j.Fetch != nil) {
		f.find("revocation_unknown", Subject(cert))
	}
	if looked || j.RequireRevocation {
		return "unknown"
	}
	return "not_checked"
}

// revoked notes a revocation. Without a proof that the signature is older it
// counts when the signatory's own claim is not older either; otherwise nobody
// can tell (ETSI EN 319 102-1, Section 5.3.4).
func (j *judge) revoked(f *findings, cert *x509.Certificate, st status, proven bool, claimed time.Time) {
	switch {
	case st.held:
		f.find("certificate_suspended", Subject(cert))
	case !proven && !claimed.IsZero() && claimed.Before(st.at):
		f.find("revoked_no_proof", Subject(cert))
	default:
		f.find("certificate_revoked", Subject(cert))
	}
}

// fetch asks for the status of a certificate, once.
func (j *judge) fetch(cert, issuer *x509.Certificate) bool {
	key := string(cert.Raw)
	if j.Fetch == nil || j.asked[key] || j.ctx.Err() != nil {
		return false
	}
	j.asked[key] = true
	response, crl, err := j.Fetch(j.ctx, cert, issuer)
	if err != nil {
		return false
	}
	if response != nil {
		j.answers = append(j.answers, &answer{der: response, at: nowhere, origin: fetched})
	}
	if crl != nil {
		j.lists = append(j.lists, &list509{der: crl, at: nowhere, origin: fetched})
	}
	return response != nil || crl != nil
}

// meantForDocuments asks for digitalSignature or nonRepudiation (RFC 5280,
// Section 4.2.1.3), no CA, and, where extended usages are given, one that is
// about documents or people rather than machines alone.
func meantForDocuments(c *x509.Certificate) bool {
	if c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 || c.IsCA {
		return false
	}
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	for _, u := range c.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageAny, x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageClientAuth:
			return true
		}
	}
	for _, oid := range c.UnknownExtKeyUsage {
		for _, known := range []asn1.ObjectIdentifier{
			{1, 3, 6, 1, 5, 5, 7, 3, 36},       // id-kp-documentSigning, RFC 9336
			{1, 3, 6, 1, 4, 1, 311, 10, 3, 12}, // Microsoft document signing
			{1, 2, 840, 113583, 1, 1, 5},       // Adobe authentic documents trust
		} {
			if oid.Equal(known) {
				return true
			}
		}
	}
	return false
}
