package enrol

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/myt"
)

// The actions of reading the audit chain.
const (
	SearchAudit Action = "audit.search"
	ReadAudit   Action = "audit.read" // one record, with its proof
	ExportAudit Action = "audit.export"
)

// Looks says whether an action reads what is kept about people and changes nothing.
func Looks(action string) bool {
	switch Action(action) {
	case Read, ReadCopy, SeeCodes, SeeAddress, SeePhone, SeeRequests, ReadKept, Administrators, ExportSubject, SearchAudit, ReadAudit, ExportAudit:
		return true
	}
	return action == "officer.lookup" || strings.HasSuffix(action, ".read")
}

// Limits of an answer and of an export, in records; and how many may stand between a record of
// an export and the signed head behind it.
const (
	MaxAuditPage   = 200
	MaxAuditExport = 50_000
	maxRun         = 2_000_000
)

// AuditQuery is what somebody wants of the chain; what is "" is any.
type AuditQuery struct {
	From, To time.Time // To is not part of it
	Actor    string    // as the chain names it, or an IC, or the id of an app or account
	Object   string    // as the chain names it, or an IC, or a code or serial number
	Action   string    // its beginning
	Verdict  string
	Request  string
	About    string // an IC: all that names the person, reads and deeds
	Looks    bool   // with About: only what others have looked at
	Before   int64  // records older than this one
	Limit    int    // 1 to MaxAuditPage; 0 means 50
	Seq      int64  // of an export: this record alone
}

// AuditRead is an AuditQuery as the chain is asked.
type AuditRead struct {
	From, To        time.Time
	Actors, Objects []string // any of them; none: whoever, whatever
	Action, Verdict string
	Request, About  string
	Looks           bool
	Before          int64
	Limit           int
}

// AuditRecords is what Auditors ask of the store.
type AuditRecords interface {
	Audit(ctx context.Context, ev audit.Event) error
	// SearchAudit gives the numbers of at most r.Limit records, the newest first, and before
	// which one to go on (0: there are no more). An answer may be short, even empty, where much
	// had to be gone through.
	SearchAudit(ctx context.Context, r AuditRead) (seqs []int64, next int64, err error)
	// AuditRecord gives ErrUnknown, or audit.ErrBroken for one that cannot be read.
	AuditRecord(ctx context.Context, seq int64) (audit.Record, error)
	// AuditRecords calls f for every record behind after, in order.
	AuditRecords(ctx context.Context, after int64, f func(audit.Record) error) error
	// ActorNames are the names of people among actors; ActorsOf what the chain calls a person.
	ActorNames(ctx context.Context, actors []string) (map[string]string, error)
	ActorsOf(ctx context.Context, ic string) ([]string, error)
}

// Heads are the signed heads of the chain.
type Heads interface {
	// Head is the first signed head at or behind a record, its signature verified; one is signed
	// where there is none yet.
	Head(ctx context.Context, seq int64) (audit.Head, error)
}

// Auditors search the audit chain for who may: each question is a record of it.
type Auditors struct {
	Records AuditRecords
	Heads   Heads
	Now     func() time.Time
}

// AuditPage is an answer.
type AuditPage struct {
	Records []audit.Record
	// Broken are those of Records that cannot be believed by themselves, by number: nothing else is
	// told of these.
	Broken map[int64]*audit.BrokenError
	Names  map[string]string // of actors who are people
	Next   int64             // what Before is for the rest; 0: there is none
}

// detail is what the chain tells of a question.
func (q *AuditQuery) detail() map[string]string {
	d := map[string]string{"from": day(q.From), "to": day(q.To), "actor": q.Actor, "object": q.Object, "action": q.Action, "verdict": q.Verdict, "request": q.Request}
	if q.Looks {
		d["looks"] = "true"
	}
	if q.About != "" {
		d["officer"] = q.About
	}
	for name, n := range map[string]int64{"before": q.Before, "record": q.Seq} {
		if n > 0 {
			d[name] = strconv.FormatInt(n, 10)
		}
	}
	maps.DeleteFunc(d, func(_, v string) bool { return v == "" })
	return d
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(myt.Zone).Format(time.RFC3339)
}

// check refuses what no search takes.
func (q *AuditQuery) check() *Refusal {
	for field, v := range map[string]string{"actor": q.Actor, "object": q.Object, "action": q.Action, "request": q.Request} {
		if len(v) > 200 || strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c > 0x7e }) {
			return entered("audit_invalid", field, "hingga 200 aksara ASCII", "up to 200 ASCII characters")
		}
	}
	switch {
	case q.About != "" && !ic12(q.About):
		return entered("audit_invalid", "about", "No. Kad Pengenalan, 12 digit", "a No. Kad Pengenalan, 12 digits")
	case q.Verdict != "" && q.Verdict != audit.Accepted && q.Verdict != audit.Refused && q.Verdict != audit.Noted:
		return entered("audit_invalid", "verdict", "accepted, refused atau noted", "accepted, refused or noted")
	case !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To):
		return entered("audit_invalid", "to", "masa akhir mesti selepas masa mula", "the end must be after the beginning")
	case q.Limit < 0 || q.Limit > MaxAuditPage:
		return entered("audit_invalid", "limit", "1 hingga 200", "1 to 200")
	case q.Before < 0 || q.Seq < 0:
		return entered("audit_invalid", "before", "nombor rekod, dari 1", "the number of a record, from 1")
	}
	return nil
}

// narrow refuses to export what would be the whole chain.
func (q *AuditQuery) narrow() *Refusal {
	if q.Seq == 0 && q.From.IsZero() && q.About == "" && q.Actor == "" && q.Object == "" && q.Action == "" {
		return entered("audit_invalid", "from", "nyatakan masa mula, pegawai, pelaku, objek atau tindakan", "give a beginning, an officer, an actor, an object or an action")
	}
	return nil
}

// NotATime refuses what is neither a day nor an instant.
func NotATime(field string) error {
	return entered("audit_invalid", field, "tarikh seperti 2026-11-23", "a date such as 2026-11-23")
}

func ic12(s string) bool {
	return len(s) == 12 && !strings.ContainsFunc(s, func(c rune) bool { return c < '0' || c > '9' })
}

// read makes the question to the store.
func (s *Auditors) read(ctx context.Context, q *AuditQuery) (r AuditRead, err error) {
	r = AuditRead{From: q.From, To: q.To, Action: q.Action, Verdict: q.Verdict, Request: q.Request, About: q.About, Looks: q.Looks, Before: q.Before, Limit: q.Limit}
	if r.Limit == 0 {
		r.Limit = 50
	}
	switch {
	case ic12(q.Actor):
		if r.Actors, err = s.Records.ActorsOf(ctx, q.Actor); err != nil {
			return r, fmt.Errorf("reading accounts: %w", err)
		}
	case q.Actor != "" && !strings.Contains(q.Actor, ":"):
		r.Actors = []string{q.Actor, "app:" + q.Actor, "account:" + q.Actor, "cli:" + q.Actor}
	case q.Actor != "":
		r.Actors = []string{q.Actor}
	}
	if q.Object != "" {
		r.Objects = []string{q.Object}
		if !strings.Contains(q.Object, ":") {
			for _, kind := range []string{"officer:", "app:", "account:", "certificate:", "system:", "agency:"} {
				r.Objects = append(r.Objects, kind+q.Object)
			}
		}
	}
	return r, nil
}

// ask authorises a question and puts it into the chain.
func (s *Auditors) ask(ctx context.Context, a Actor, act Action, name string, q *AuditQuery) (audit.Event, error) {
	bad := q.check()
	if act == ExportAudit && bad == nil {
		bad = q.narrow()
	}
	o := object{name: name}
	if bad == nil {
		o.detail = q.detail()
	}
	ev, no := ground(s.Now(), a, act, o)
	if no == nil {
		no = bad
	}
	if no != nil {
		return ev, refuse(ctx, s.Records, ev, no)
	}
	if err := s.Records.Audit(ctx, ev); err != nil {
		return ev, fmt.Errorf("recording: %w", err)
	}
	return ev, nil
}

// Search answers a question. Errors: ErrForbidden, ErrInput.
func (s *Auditors) Search(ctx context.Context, a Actor, q AuditQuery) (AuditPage, error) {
	if _, err := s.ask(ctx, a, SearchAudit, "audit", &q); err != nil {
		return AuditPage{}, err
	}
	r, err := s.read(ctx, &q)
	if err != nil {
		return AuditPage{}, err
	}
	seqs, next, err := s.Records.SearchAudit(ctx, r)
	if err != nil {
		return AuditPage{}, err
	}
	p := AuditPage{Next: next, Records: make([]audit.Record, 0, len(seqs)), Broken: map[int64]*audit.BrokenError{}}
	var actors []string
	for _, seq := range seqs {
		rec, bad, err := s.one(ctx, seq)
		if err != nil {
			return AuditPage{}, err
		}
		if bad != nil {
			p.Records, p.Broken[seq] = append(p.Records, audit.Record{Seq: seq}), bad
			continue
		}
		p.Records, actors = append(p.Records, rec), append(actors, rec.Actor)
	}
	p.Names, err = s.Records.ActorNames(ctx, actors)
	return p, err
}

// one reads a record; bad is why it cannot be believed by itself.
func (s *Auditors) one(ctx context.Context, seq int64) (rec audit.Record, bad *audit.BrokenError, err error) {
	rec, err = s.Records.AuditRecord(ctx, seq)
	switch {
	case errors.Is(err, ErrUnknown): // somebody took it away since it was found
		return rec, &audit.BrokenError{Seq: seq, What: "there is none of this number (deleted)", Kind: audit.Missing}, nil
	case errors.As(err, &bad):
		return rec, bad, nil
	case err != nil:
		return rec, nil, fmt.Errorf("reading record %d: %w", seq, err)
	case !rec.Intact():
		return rec, &audit.BrokenError{Seq: seq, What: "its content does not match its hash (edited)", Kind: audit.Edited}, nil
	}
	return rec, nil, nil
}

// AuditProof tells of a record's place in the chain.
type AuditProof struct {
	Record audit.Record
	Name   string // of the actor, where that is a person
	// Head was signed at or behind the record; Links records stand between, each of which was
	// checked to follow from the one before.
	Head  audit.Head
	Links int64
	// Broken says what does not fit; nil: the record is in the chain whose head was signed.
	Broken *audit.BrokenError
}

// Prove reads a record and recomputes the chain from it to the first signed head behind it.
// Errors: ErrForbidden, ErrUnknown.
func (s *Auditors) Prove(ctx context.Context, a Actor, seq int64) (AuditProof, error) {
	ev, no := ground(s.Now(), a, ReadAudit, object{name: "record:" + strconv.FormatInt(seq, 10)})
	if no != nil {
		return AuditProof{}, refuse(ctx, s.Records, ev, no)
	}
	rec, err := s.Records.AuditRecord(ctx, seq)
	if errors.Is(err, ErrUnknown) {
		return AuditProof{}, refuse(ctx, s.Records, ev, refusal("not_found", ErrUnknown))
	}
	p := AuditProof{Record: rec}
	if err != nil && !errors.As(err, &p.Broken) {
		return AuditProof{}, err
	}
	if aerr := s.Records.Audit(ctx, ev); aerr != nil {
		return AuditProof{}, fmt.Errorf("recording: %w", aerr)
	}
	if p.Broken != nil {
		p.Record.Seq = seq
		return p, nil
	}
	names, err := s.Records.ActorNames(ctx, []string{rec.Actor})
	if err != nil {
		return AuditProof{}, err
	}
	p.Name = names[rec.Actor]
	p.Head, err = s.run(ctx, seq, func(r *audit.Record) error {
		p.Links = r.Seq - seq
		return nil
	})
	if err != nil && !errors.As(err, &p.Broken) {
		return AuditProof{}, err
	}
	return p, nil
}

// run calls f for the records from one on, each verified, to the first signed head behind it, which
// must fit.
func (s *Auditors) run(ctx context.Context, from int64, f func(*audit.Record) error) (audit.Head, error) {
	h, err := s.Heads.Head(ctx, from)
	if err != nil {
		return h, fmt.Errorf("finding a signed head: %w", err)
	}
	if h.Seq-from > maxRun {
		return h, &audit.BrokenError{Seq: from, What: fmt.Sprintf("the first signed head behind it is that of record %d", h.Seq)}
	}
	var v *audit.Verifier
	end := errors.New("head reached")
	err = s.Records.AuditRecords(ctx, from-1, func(r audit.Record) error {
		if v == nil { // what is before it is not looked at
			v = audit.NewVerifierFrom(audit.Head{Seq: from - 1, Hash: r.Prev})
		}
		if err := v.Add(r); err != nil {
			return err
		}
		if r.Seq == h.Seq && r.Hash != h.Hash {
			return &audit.BrokenError{Seq: r.Seq, What: "it is not the record whose hash was signed at " + h.At.UTC().Format(time.RFC3339) + " (chain rewritten)"}
		}
		if err := f(&r); err != nil {
			return err
		}
		if r.Seq == h.Seq {
			return end
		}
		return nil
	})
	switch {
	case errors.Is(err, end):
		return h, nil
	case err == nil:
		return h, &audit.BrokenError{Seq: h.Seq, What: "missing, though a signed head covers it (truncated)"}
	}
	return h, err
}

// AuditExport is an export that its reader may have; the chain tells of it already.
type AuditExport struct {
	s    *Auditors
	seqs []int64 // ascending
	head audit.ExportHeader
}

// Export authorises an export and finds what it holds. Errors: ErrForbidden, ErrInput for a filter
// that narrows nothing or finds more than MaxAuditExport records.
func (s *Auditors) Export(ctx context.Context, a Actor, q AuditQuery) (*AuditExport, error) {
	q.Limit, q.Before = 0, 0
	ev, err := s.ask(ctx, a, ExportAudit, "audit", &q)
	if err != nil {
		return nil, err
	}
	x := &AuditExport{s: s, head: audit.ExportHeader{At: s.Now().UTC(), By: a.Name, Filter: q.detail()}}
	if q.Seq > 0 {
		x.seqs = []int64{q.Seq}
		_, err := s.Records.AuditRecord(ctx, q.Seq)
		switch {
		case errors.Is(err, ErrUnknown):
			return nil, refuse(ctx, s.Records, ev, refusal("not_found", ErrUnknown))
		case err != nil && !errors.Is(err, audit.ErrBroken): // a broken one the export tells of
			return nil, err
		}
		return x, nil
	}
	r, err := s.read(ctx, &q)
	if err != nil {
		return nil, err
	}
	for r.Limit = 5000; ; {
		seqs, next, err := s.Records.SearchAudit(ctx, r)
		if err != nil {
			return nil, err
		}
		x.seqs = append(x.seqs, seqs...)
		if len(x.seqs) > MaxAuditExport {
			return nil, refuse(ctx, s.Records, ev, entered("audit_too_many", "to", "lebih daripada 50,000 rekod; kecilkan julat masa", "more than 50,000 records; narrow the time"))
		}
		if r.Before = next; next == 0 {
			break
		}
	}
	slices.Reverse(x.seqs)
	return x, nil
}

// Proof streams the records with what proves them (audit.Exporter). Where the chain is broken the
// export says so, and goes on with the next record that was asked for.
func (x *AuditExport) Proof(ctx context.Context, w *audit.Exporter) error {
	for k := 0; k < len(x.seqs); {
		from := k
		head, err := x.s.run(ctx, x.seqs[k], func(r *audit.Record) error {
			shown := k < len(x.seqs) && x.seqs[k] == r.Seq
			if shown {
				k++
			}
			return w.Record(r, shown)
		})
		var at *audit.BrokenError
		switch {
		case err == nil:
			err = w.Head(head)
		case !errors.As(err, &at):
		case k == from:
			err = x.alone(ctx, w, x.seqs[k], at)
			k++
		case k < len(x.seqs) && x.seqs[k] == at.Seq && at.Kind != "":
			err = w.Broken(at, true)
			k++
		default:
			err = w.Broken(at, false)
		}
		if err != nil {
			return err
		}
	}
	return w.Close()
}

// alone writes a record that nothing shows to be in the chain, or that it cannot be read.
func (x *AuditExport) alone(ctx context.Context, w *audit.Exporter, seq int64, why *audit.BrokenError) error {
	rec, bad, err := x.s.one(ctx, seq)
	switch {
	case err != nil:
		return err
	case bad != nil:
		return w.Broken(bad, true)
	}
	if err := w.Record(&rec, true); err != nil {
		return err
	}
	return w.Broken(why, false)
}

// Header is what a proof begins with.
func (x *AuditExport) Header() audit.ExportHeader { return x.head }

// Each hands over the records, the oldest first; bad is why one cannot be believed by itself: of
// that there is nothing but the number.
func (x *AuditExport) Each(ctx context.Context, f func(r audit.Record, name string, bad *audit.BrokenError) error) error {
	names := map[string]string{}
	for _, seq := range x.seqs {
		r, bad, err := x.s.one(ctx, seq)
		if err == nil && bad != nil {
			if err = f(audit.Record{Seq: seq}, "", bad); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		if _, ok := names[r.Actor]; !ok {
			found, err := x.s.Records.ActorNames(ctx, []string{r.Actor})
			if err != nil {
				return err
			}
			names[r.Actor] = found[r.Actor]
		}
		if err := f(r, names[r.Actor], nil); err != nil {
			return err
		}
	}
	return nil
}
