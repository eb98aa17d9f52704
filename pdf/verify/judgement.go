package verify

import (
	"crypto"
	"errors"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/pdf/cms"
)

// parse reads the CMS or the time-stamp token of a signature.
func (s *signed) parse(j *judge) {
	if s.stamp {
		token, err := cms.ParseTimestamp(s.der, j.others...)
		if err != nil {
			s.fail(parseFault(err), err.Error())
			return
		}
		s.token, s.hash = token, token.Hash
		j.bring(token.Certificate, token.Others, token.Unread)
		j.embed(token.Revocation, s.gap)
		return
	}
	sd, err := cms.Parse(s.der, j.others...)
	if err != nil {
		s.fail(parseFault(err), err.Error())
		return
	}
	s.cms, s.hash = sd, sd.Hash
	if s.hash != crypto.SHA256 && s.hash != crypto.SHA384 && s.hash != crypto.SHA512 {
		s.fail("key_weak", "hash "+s.hash.String())
		return
	}
	j.bring(sd.Certificate, sd.Others, sd.Unread)
	j.embed(sd.Revocation, s.gap)
}

func parseFault(err error) string {
	switch {
	case errors.Is(err, cms.ErrAlgorithm):
		return "key_weak"
	case errors.Is(err, cms.ErrCertificateMissing):
		return "certificate_missing"
	}
	return "cms_malformed"
}

// judgement judges the document time-stamps, the newest first, each at the
// time the next one proves, and then the signatures (past signature
// validation: ETSI EN 319 102-1, Section 5.6).
func (v *verifier) judgement(*Report) error {
	j := v.judge
	if v.store != nil {
		for _, m := range v.store.ocsps {
			j.answers = append(j.answers, &answer{der: m.der, at: m.at})
		}
		for _, m := range v.store.crls {
			j.lists = append(j.lists, &list509{der: m.der, at: m.at})
		}
	}
	last := j.Now
	for i := len(v.signed) - 1; i >= 0; i-- {
		s := v.signed[i]
		if !s.stamp || s.broken {
			continue
		}
		t := newTimestamp("document", s.field.Name)
		p := j.timestamp(&t, s.out, s.token, s.digest, s.gap)
		if s.token.Time.After(last.Add(skew)) {
			s.out.find("timestamp_order", "")
		}
		if s.out.verdict == Valid {
			j.proofs = append(j.proofs, proof{s.end, s.token.Time, p.embedded})
			last = s.token.Time
		}
		s.stampReport = &t
	}
	for _, s := range v.signed {
		if s.stamp || s.broken {
			continue
		}
		if err := v.ctx.Err(); err != nil {
			return err
		}
		v.signature(s)
	}
	return nil
}

// signature judges one signature with its time-stamps.
func (v *verifier) signature(s *signed) {
	g := newSignature(s.field.Name)
	s.report = &g
	claimed := s.claimed(v.judge.Now)
	if !claimed.IsZero() {
		g.SignedAt, g.ClaimedAt = &claimed, &claimed
	}
	g.signed(s.out, s.cms, s.digest)
	if s.cms.HasSigningTime {
		s.out.find("not_pades", "signing-time attribute")
	}
	// The level is what is there, however it is judged otherwise.
	sound := s.out.verdict == Valid
	v.judge.place = s.gap
	p := v.judge.signature(&g, s.out, s.cms, s.cms.Timestamps, claimed)
	if !sound {
		return
	}
	g.Level = "B-B"
	if g.TimeSource != "timestamp" {
		return
	}
	g.Level = "B-T"
	if !p.embedded || len(p.chain) == 0 || v.store == nil {
		return
	}
	// Without a time-stamp of its own it needs the evidence of the document's.
	proven := slices.ContainsFunc(g.Timestamps, func(t Timestamp) bool { return t.Verdict == Valid })
	for _, proof := range v.judge.proofs {
		switch {
		case proof.end <= s.end:
		case proof.end > p.newest:
			g.Level = "B-LTA"
			return
		default:
			proven = proven || proof.embedded
		}
	}
	if proven {
		g.Level = "B-LT"
	}
}

// signature judges the signer's certificate at the best time known: that of
// the earliest valid time-stamp, else Now.
func (j *judge) signature(g *Signature, f *findings, sd *cms.SignedData, tokens [][]byte, claimed time.Time) path {
	if !meantForDocuments(sd.Certificate) {
		f.find("key_usage", "")
	}
	j.bring(sd.Certificate, sd.Others, sd.Unread)
	best, proven := j.existed(j.place)
	embedded, newest := true, int64(-1)
	for i, der := range tokens {
		t := newTimestamp("signature", "")
		own := &findings{verdict: Valid}
		if i == maxTokens {
			f.find("timestamp_malformed", "too many")
			break
		}
		token, err := cms.ParseTimestamp(der, j.others...)
		if err != nil {
			code := "timestamp_malformed"
			if fault := parseFault(err); fault != "cms_malformed" {
				code = fault
			}
			own.find(code, err.Error())
			t.tampered, t.unread = own.verdict == Invalid, true
		} else {
			h := token.Hash.New()
			h.Write(sd.SignatureValue())
			j.bring(token.Certificate, token.Others, token.Unread)
			j.embed(token.Revocation, j.place)
			p := j.timestamp(&t, own, token, h.Sum(nil), j.place)
			embedded, newest = embedded && p.embedded, max(newest, p.newest)
		}
		t.finish(own)
		g.Timestamps = append(g.Timestamps, t)
		switch {
		case t.tampered:
			f.find("timestamp_invalid", "")
		case t.unread:
			f.find("timestamp_unverified", "")
		case own.verdict == Valid && (!proven || token.Time.Before(best)):
			best, proven = token.Time, true
		}
	}
	if proven {
		at := best
		g.SignedAt, g.TimeSource = &at, "timestamp"
		if claimed.After(best.Add(skew)) {
			f.find("signing_time_after_timestamp", "")
		}
	}
	if !claimed.IsZero() && (claimed.Before(sd.Certificate.NotBefore) || claimed.After(sd.Certificate.NotAfter)) {
		f.find("signed_outside_validity", "")
	}
	p := j.certificate(f, sd.Certificate, purpose{j.Roots, j.Admit}, best, proven, claimed)
	j.damaged(f)
	g.Revocation = p.revocation
	p.embedded = p.embedded && embedded
	p.newest = max(p.newest, newest)
	return p
}

// timestamp judges a token over an imprint. What lies at the place in the file
// is proven to have existed at a time, at which the authority's certificate
// must have been good.
func (j *judge) timestamp(t *Timestamp, f *findings, token *cms.Timestamp, imprint []byte, place int64) path {
	at := token.Time
	t.Time, t.Authority, t.Certificate = &at, Subject(token.Certificate), token.Certificate.Raw
	cryptographic(f, token.Verify(imprint))
	if t.tampered, t.unread = f.verdict == Invalid, f.verdict != Valid; t.unread {
		return path{}
	}
	if !token.ForTimestamps() {
		f.find("timestamp_key_usage", "")
	}
	existed, proven := j.existed(place)
	if token.Time.After(existed.Add(skew)) {
		f.find("timestamp_order", "")
	}
	if c := token.Certificate; token.Time.Before(c.NotBefore) || token.Time.After(c.NotAfter) {
		f.find("signed_outside_validity", "")
	}
	return j.certificate(f, token.Certificate, purpose{roots: j.TSARoots}, existed, proven, time.Time{})
}

// cryptographic makes a finding of what pdf/cms says.
func cryptographic(f *findings, err error) {
	switch {
	case err == nil:
	case errors.Is(err, cms.ErrDigest):
		f.find("digest_mismatch", "")
	case errors.Is(err, cms.ErrSignature):
		f.find("signature_wrong", "")
	case errors.Is(err, cms.ErrSigningCertificateMissing):
		f.find("signing_certificate_missing", "")
	case errors.Is(err, cms.ErrSigningCertificate):
		f.find("signing_certificate_mismatch", "")
	case errors.Is(err, cms.ErrKey), errors.Is(err, cms.ErrAlgorithm):
		f.find("key_weak", "")
	default:
		f.find("signature_wrong", err.Error())
	}
}

// signed checks the cryptography of a signature.
func (s *Signature) signed(f *findings, sd *cms.SignedData, digest []byte) {
	s.Signer = Subject(sd.Certificate)
	s.Certificate = sd.Certificate.Raw
	cryptographic(f, sd.Verify(digest))
}

// write puts the outcome into the report.
func (v *verifier) write(report *Report) {
	for _, s := range v.signed {
		if !s.broken && s.report == nil && s.stampReport == nil { // the check ended before
			s.out.find("unfinished", "")
		}
		if s.stamp {
			t := newTimestamp("document", s.field.Name)
			if s.stampReport != nil {
				t = *s.stampReport
			}
			t.Covers = s.end == v.size
			t.finish(s.out)
			report.Timestamps = append(report.Timestamps, t)
			// One of an authority nobody trusts proves nothing and harms nothing;
			// one that was tampered with does.
			switch {
			case s.broken && s.out.verdict == Invalid || t.tampered:
				report.find("timestamp_invalid", s.field.Name)
			case s.broken || t.unread:
				report.find("timestamp_unverified", s.field.Name)
			}
			continue
		}
		g := newSignature(s.field.Name)
		if s.report != nil {
			g = *s.report
		}
		g.Covers, g.End = s.end == v.size, s.end
		if len(s.faults) > 0 {
			s.out.find("changed_after", short(s.faults))
		}
		g.Changes = append(append(g.Changes, s.faults...), s.changes...)
		g.changed = slices.ContainsFunc(g.Changes, func(path string) bool { return !slices.Contains(s.proofs, path) })
		if s.rules.certifies {
			g.Certification = &Certification{Permission: int(s.rules.mdp)}
		}
		for _, l := range s.rules.locks {
			g.Locks = append(g.Locks, Lock{Action: l.action, Fields: l.fields})
		}
		v.doubt(s)
		report.Signatures = append(report.Signatures, g.finish(s.out))
		report.Verdict = worse(report.Verdict, s.out.verdict)
	}
	if len(report.Signatures) == 0 { // whatever happened above
		report.Verdict = worse(report.Verdict, Indeterminate)
	}
	report.finish()
}

// doubt lowers a signature over which a later one shows itself that is not
// valid: nobody vouches for what it shows; and one after which a form was
// filled in, for which no later valid signature vouches.
func (v *verifier) doubt(s *signed) {
	vouched := false
	for _, later := range v.signed {
		vouched = vouched || !later.stamp && later.report != nil && later.out.verdict == Valid && later.end > s.filledAfter
	}
	if s.filledAfter > 0 && !vouched {
		s.out.find("filled_after", "")
	}
	for _, later := range v.signed {
		if later.end > s.end && later.shown && !later.stamp && later.out.verdict != Valid {
			s.out.find("later_signature_doubtful", later.field.Name)
		}
	}
}
