package enrol

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// NoCertificate is the status of a roaming medium without a certificate, Ended that of a
// certificate that has ended by itself; Renewing chooses those that can be renewed.
const (
	NoCertificate = "NO_CERTIFICATE"
	Ended         = "EXPIRED"
	Renewing      = "RENEW"
)

// OfficerQuery chooses officers. What is "" does not matter; system, agency, office, medium and
// status are those of one and the same certificate or enrolment.
type OfficerQuery struct {
	// Text is a whole IC or its leading digits, a certificate's serial number in decimal or
	// hexadecimal, a part of the e-mail address, or words that are all in the name.
	Text                                   string
	System, Agency, Office, Medium, Status string
	After                                  string // IC of the last officer of the page before
	Limit                                  int    // 0 means 50, at most 200
}

// OfficerLine is what an officer is with one ICT system.
type OfficerLine struct {
	System, Agency, Office string
	Medium                 string // "" before there is one, or when it is not theirs to see
	Status                 string // "ACTIVE", "SUSPENDED", "REVOKED", Ended, NoCertificate …; "" with no medium
	Serial                 string // decimal
	NotAfter               time.Time
	Open                   State // of the enrolment under way; "" for none
}

// OfficerFound is an officer as far as whoever asks may see.
type OfficerFound struct {
	Officer       // Email is "" when it is not theirs to see
	Withheld bool // it is somebody else's officer: name and own enrolments alone
	Lines    []OfficerLine
}

// reach is what somebody's appointments cover for reading about people.
type reach struct {
	ic                string // the own
	all               bool
	systems, agencies []string
}

func (d *Desk) reach(a *Actor) (r reach, at object) {
	r.ic = a.IC
	now, who := d.Now(), rules()[Read].roles
	if a.machine() {
		r.all = true
	}
	for k := range a.Appointments {
		switch p := &a.Appointments[k]; {
		case !p.holds(now) || !slices.Contains(who, p.Role):
		case p.Role == JDN || p.Role == Auditor:
			r.all = true
		case p.Role == SAP && p.System != "":
			r.systems, at.system = append(r.systems, p.System), p.System
		case (p.Role == SA || p.Role == AP) && p.Agency != "":
			r.agencies, at.agency = append(r.agencies, p.Agency), p.Agency
		}
	}
	return r, at
}

func (r *reach) covers(system, agency string) bool {
	return r.all || slices.Contains(r.systems, system) || slices.Contains(r.agencies, agency)
}

// sight is what [Desk.Lookup] would show of an officer, by the same rules.
func (r *reach) sight(e *DirectoryEntry) (seen DirectoryEntry, withheld, ok bool) {
	if r.all || r.ic != "" && r.ic == e.IC {
		return *e, false, true
	}
	if !slices.ContainsFunc(e.Ways, func(w Way) bool { return r.covers(w.System, w.Agency) }) {
		return seen, false, false
	}
	all, media := make([]Enrolment, len(e.Ways)), make([]Medium, len(e.Holdings))
	for k, w := range e.Ways {
		all[k] = Enrolment{System: w.System, Agency: w.Agency, State: w.State}
	}
	for k, h := range e.Holdings {
		media[k] = Medium{System: h.System, Medium: h.Medium, Credential: h.Serial}
		if h.Serial != "" {
			media[k].KeyStatus = h.Status
		}
	}
	within := func(x *Enrolment) bool { return r.covers(x.System, x.Agency) }
	var theirs []Enrolment
	seen = DirectoryEntry{Officer: e.Officer, key: e.key, mail: e.mail}
	for k := range all {
		if within(&all[k]) {
			theirs, seen.Ways = append(theirs, all[k]), append(seen.Ways, e.Ways[k])
		}
	}
	if helps(all, media, within) == nil && !nobodyElses(len(all), theirs, media) {
		seen.Email, seen.mail = "", ""
		return seen, true, true
	}
	for _, h := range e.Holdings {
		if slices.ContainsFunc(seen.Ways, func(w Way) bool { return w.System == h.System }) {
			seen.Holdings = append(seen.Holdings, h)
		}
	}
	return seen, false, true
}

// wanted is an OfficerQuery's text, understood.
type wanted struct {
	kind    string // "", "ic", "digits", "serial", "mail" or "name"
	text    string
	words   []string
	holder  string // of the certificate, for "serial"
	system  string
	serials []string
}

func understand(text string) wanted {
	text = strings.TrimSpace(text)
	bare := strings.NewReplacer("-", "", " ", "", ":", "").Replace(text)
	hexadecimal := bare != "" && !strings.ContainsFunc(bare, func(c rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", c) })
	digits := hexadecimal && !strings.ContainsFunc(bare, func(c rune) bool { return c < '0' || c > '9' })
	w := wanted{text: text}
	switch {
	case text == "":
	case digits && len(bare) == 12:
		w.kind, w.text = "ic", bare
	case digits && len(bare) < 12:
		w.kind, w.text = "digits", bare
	case digits || hexadecimal && len(bare) >= 16:
		w.kind = "serial"
		if digits {
			w.serials = append(w.serials, strings.TrimLeft(bare, "0"))
		}
		if n, ok := new(big.Int).SetString(bare, 16); ok {
			w.serials = append(w.serials, n.String())
		}
	case strings.Contains(text, "@"):
		w.kind, w.text = "mail", strings.ToLower(text)
	default:
		w.kind, w.text, w.words = "name", strings.ToLower(text), strings.Fields(folded(text))
	}
	return w
}

// fits says whether e is what is asked for, as far as the text goes.
func (w *wanted) fits(e *DirectoryEntry) bool {
	switch w.kind {
	case "ic":
		return e.IC == w.text
	case "digits":
		return strings.HasPrefix(e.IC, w.text)
	case "serial":
		return e.IC == w.holder
	case "mail":
		return strings.Contains(e.mail, w.text)
	case "name":
		for _, word := range w.words {
			if !strings.Contains(e.key, word) {
				return len(w.words) == 1 && strings.Contains(e.mail, w.text)
			}
		}
	}
	return true
}

// lines are an officer's systems as d shows them at now.
func (e *DirectoryEntry) lines(now time.Time) []OfficerLine {
	var out []OfficerLine
	of := func(system string) *OfficerLine {
		for k := range out {
			if out[k].System == system {
				return &out[k]
			}
		}
		out = append(out, OfficerLine{System: system})
		return &out[len(out)-1]
	}
	for _, h := range e.Holdings {
		l := of(h.System)
		l.Medium, l.Status, l.Serial, l.NotAfter = h.Medium, h.Status, h.Serial, h.NotAfter
		if h.Serial != "" && h.Status == "ACTIVE" && !now.Before(h.NotAfter) {
			l.Status = Ended
		}
	}
	for _, w := range e.Ways { // the newest is the last
		l := of(w.System)
		if w.State.Open() {
			l.Open = w.State
		}
		if l.Agency == "" || w.State == Issued || w.State.Open() {
			l.Agency, l.Office = w.Agency, w.Office
		}
	}
	slices.SortFunc(out, func(a, b OfficerLine) int { return strings.Compare(a.System, b.System) })
	return out
}

// could says of most entries that none of their lines can be chosen, without making these.
func (q *OfficerQuery) could(e *DirectoryEntry) bool {
	status := q.Status
	if status == Ended || status == Renewing {
		status = "ACTIVE" // as it stands
	}
	return (q.Status == "" || slices.ContainsFunc(e.Holdings, func(h Holding) bool { return h.Status == status })) &&
		(q.Medium == "" || slices.ContainsFunc(e.Holdings, func(h Holding) bool { return h.Medium == q.Medium })) &&
		(q.Agency == "" || slices.ContainsFunc(e.Ways, func(w Way) bool { return w.Agency == q.Agency })) &&
		(q.Office == "" || slices.ContainsFunc(e.Ways, func(w Way) bool { return w.Office == q.Office }))
}

// chosen says whether one of the lines is what the filters want.
func (q *OfficerQuery) chosen(lines []OfficerLine, p Policy, now time.Time) bool {
	if q.System == "" && q.Agency == "" && q.Office == "" && q.Medium == "" && q.Status == "" {
		return true
	}
	return slices.ContainsFunc(lines, func(l OfficerLine) bool {
		status := l.Status == q.Status
		if q.Status == Renewing {
			status = l.Status == "ACTIVE" && l.Serial != "" && p.Renewable(l.NotAfter, now)
		}
		return (q.System == "" || l.System == q.System) && (q.Agency == "" || l.Agency == q.Agency) && (q.Office == "" || l.Office == q.Office) &&
			(q.Medium == "" || l.Medium == q.Medium) && (q.Status == "" || status)
	})
}

// SearchOfficers lists officers in the order of their names, as far as they are somebody's to see,
// and says whether there are more. Who is another agency's is not found, whatever is asked. The
// audit keeps what was asked, and whom the answer named. ErrInput for a page behind nobody.
func (d *Desk) SearchOfficers(ctx context.Context, a Actor, q OfficerQuery) (out []OfficerFound, more bool, err error) {
	w := understand(q.Text)
	r, o := d.reach(&a)
	o.name = "officers"
	if w.kind == "ic" {
		o.name, o.officer = "officer:"+w.text, w.text
	}
	o.detail = map[string]string{"asked": w.kind, "text": w.text, "system": q.System, "agency": q.Agency, "office": q.Office, "medium": q.Medium, "status": q.Status}
	ev, err := d.decide(ctx, a, Read, o)
	if err != nil {
		return nil, false, err
	}
	if err := d.directory.current(ctx, d.Records); err != nil {
		return nil, false, err
	}
	if w.kind == "serial" {
		if err := d.holder(ctx, &w); err != nil {
			return nil, false, err
		}
	}
	list, ok := d.directory.behind(q.After)
	if q.After != "" && ok { // of whom one may not see, one does not learn that there is somebody
		_, _, ok = r.sight(d.directory.entry(q.After))
	}
	if !ok {
		return nil, false, d.refuse(ctx, ev, entered("field_invalid", "after", "halaman ini sudah tiada: mula semula", "that page is gone: begin again"))
	}
	if w.kind == "ic" || w.kind == "serial" { // one at most
		list = nil
		if e := d.directory.entry(w.text); w.kind == "ic" && e != nil && q.After == "" {
			list = []*DirectoryEntry{e}
		}
		if e := d.directory.entry(w.holder); w.kind == "serial" && e != nil && q.After == "" {
			list = []*DirectoryEntry{e}
		}
	}
	if q.Limit <= 0 {
		q.Limit = 50
	}
	q.Limit = min(q.Limit, 200)
	if out, more, err = d.pick(ctx, &r, &w, &q, list); err != nil {
		return nil, false, err
	}
	shown := make([]string, len(out))
	for k := range out {
		shown[k] = out[k].IC
	}
	ev.Detail["found"] = fmt.Sprint(len(out))
	name(ev.Detail, shown)
	return out, more, d.Records.Audit(ctx, ev)
}

// namedAtOnce is how many ICs one text of an event has room for.
const namedAtOnce = 15

// name has an event's detail name all who were shown, in as many texts as that takes: each of them
// finds it under the own name.
func name(detail map[string]string, ics []string) {
	for n := range slices.Chunk(ics, namedAtOnce) {
		key := "shown"
		if detail[key] != "" {
			key += "." + fmt.Sprint(len(detail))
		}
		detail[key] = strings.Join(n, " ")
	}
}

// pick goes through the directory until a page is full.
func (d *Desk) pick(ctx context.Context, r *reach, w *wanted, q *OfficerQuery, list []*DirectoryEntry) (out []OfficerFound, more bool, err error) {
	now := d.Now()
	for k, e := range list {
		if k%4096 == 0 && ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		if !w.fits(e) || !q.could(e) {
			continue
		}
		seen, withheld, ok := r.sight(e)
		if !ok || withheld && !w.fits(&seen) || w.kind == "serial" && !r.all && (withheld || !slices.ContainsFunc(seen.Ways, func(x Way) bool { return x.System == w.system })) {
			continue
		}
		lines := seen.lines(now)
		if !q.chosen(lines, d.Policy, now) {
			continue
		}
		if len(out) == q.Limit {
			return out, true, nil
		}
		out = append(out, OfficerFound{Officer: seen.Officer, Withheld: withheld, Lines: lines})
	}
	return out, false, nil
}

// holder finds whose certificate a serial number names.
func (d *Desk) holder(ctx context.Context, w *wanted) error {
	for _, serial := range w.serials {
		ic, system, err := d.Records.CertificateHolder(ctx, serial)
		if err == nil {
			w.holder, w.system = ic, system
			return nil
		}
		if !errors.Is(err, ErrUnknown) {
			return fmt.Errorf("reading whose certificate it is: %w", err)
		}
	}
	return nil
}
