package enrol

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"time"
)

// NoticeStatus is mailed to an officer about whom somebody has asked how far the certificate is.
const NoticeStatus = "status.asked"

// statusEvery is how often that is for one IC, whoever asks.
const statusEvery = 15 * time.Minute

// AskStatus has an officer mailed how far applications and certificates are. Nothing of ic is looked
// up here: the question is put down as it is, for known and unknown people alike, and the postman
// finds out whether there is anybody to write to. A *ThrottledError counts for the address,
// whoever it asked about; log-ins have a count of their own.
func (a *Accounts) AskStatus(ctx context.Context, ic string, peer Peer) error {
	from := "status " + network(peer.Address)
	if err := a.addresses.allow(from, a.Now()); err != nil {
		return err
	}
	a.addresses.add(from, 1, a.Now())
	var late *ThrottledError
	err := a.Records.CountFailure(ctx, "status:"+ic, a.Now(), func(int) time.Duration { return statusEvery })
	if errors.As(err, &late) { // a mail is on its way, or there is none
		return nil
	}
	if err != nil {
		return err
	}
	return a.Records.AskStatus(ctx, ic, a.Now())
}

// Progress is how far an officer is with one ICT system, in words.
type Progress struct {
	System string    `json:"system"`
	MS     string    `json:"ms"`
	EN     string    `json:"en"`
	Until  time.Time `json:"until,omitzero"` // of a certificate that can sign
	NextMS string    `json:"next_ms"`
	NextEN string    `json:"next_en"`
	AskMS  string    `json:"ask_ms"`
	AskEN  string    `json:"ask_en"`
}

// ProgressOf is how far an officer is with each system: what is under way, else the certificate,
// else how the last enrolment ended. Both lists have the oldest first.
func ProgressOf(enrolments []Enrolment, media []Medium, now time.Time) (out []Progress) {
	var systems []string
	last, held := map[string]*Enrolment{}, map[string]Progress{}
	see := func(system string) {
		if !slices.Contains(systems, system) {
			systems = append(systems, system)
		}
	}
	for k := range media {
		see(media[k].System)
		if p, ok := certified(&media[k], now); ok {
			held[p.System] = p
		}
	}
	for k := range enrolments {
		see(enrolments[k].System)
		last[enrolments[k].System] = &enrolments[k]
	}
	for _, system := range systems {
		p, ok := held[system]
		if e := last[system]; e != nil {
			under := Progress{System: system}
			under.MS, under.EN = e.State.Words()
			under.NextMS, under.AskMS = e.Next(false)
			under.NextEN, under.AskEN = e.Next(true)
			if !ok || e.State.Open() {
				p = under
			}
			p.AskMS, p.AskEN = under.AskMS, under.AskEN
		} else if !ok {
			p = Progress{System: system, MS: "Tiada sijil", EN: "No certificate"}
		}
		out = append(out, p)
	}
	return out
}

// certified is that of a certificate; false where there is none.
func certified(m *Medium, now time.Time) (Progress, bool) {
	cert, err := x509.ParseCertificate(m.DER)
	if m.Credential == "" || err != nil {
		return Progress{}, false
	}
	s := Progress{System: m.System}
	switch {
	case m.KeyStatus == "REVOKED":
		s.MS, s.EN = "Sijil dibatalkan", "Certificate revoked"
		s.NextMS, s.NextEN = "Minta disenaraikan semula jika anda memerlukan sijil.", "Ask to be listed again, if you need the certificate."
	case m.KeyStatus == "SUSPENDED":
		s.MS, s.EN = "Sijil digantung", "Certificate suspended"
		s.NextMS, s.NextEN = "Tanya mengapa ia digantung, dan siapa yang boleh melepaskannya.", "Ask why it is suspended, and who can release it."
	case now.After(cert.NotAfter):
		s.MS, s.EN = "Sijil tamat tempoh", "Certificate expired"
		s.NextMS, s.NextEN = "Minta disenaraikan semula jika anda memerlukan sijil.", "Ask to be listed again, if you need the certificate."
	default:
		s.MS, s.EN, s.Until = "Sijil dikeluarkan", "Certificate issued", cert.NotAfter
		s.NextMS, s.NextEN = "Log masuk dan tandatangan.", "Log in and sign."
	}
	return s, true
}
