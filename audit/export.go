package audit

import (
	"bufio"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// ExportFormat is what an export says it is.
const ExportFormat = "mohor audit export v1"

// Exporter writes some records of a chain so that whoever has the audit seal's public key can
// check, with nothing else, that each stands in the chain. It is JSON, an object a line:
//
//	{"export": {…}}                             what it is, and what was asked for
//	{"record": {…}}                             a record that was asked for
//	{"record": {…}, "beside": true}             one of version 1 or 2 between, which cannot be hidden
//	{"hidden": {"seq": 9, "commitment": "…"}}   one between: see Link
//	{"head": {…}}                               a signed head, and the end of a run
//	{"broken": {"seq": 9, "what": "…"}}         where the chain is broken: the end of a run without a head
//	{"end": {"records": 2}}
//
// A run goes from a record that was asked for to the first signed head at or behind it, without
// gaps; whatever was asked for meanwhile is part of it. Of a run that ends where the chain is broken
// nothing shows that its records stand in the chain; "asked" says that the broken one was asked for.
type Exporter struct {
	enc   *json.Encoder
	w     *bufio.Writer
	shown int
}

// ExportHeader says what was exported, and when.
type ExportHeader struct {
	Format string            `json:"format"`
	At     time.Time         `json:"at"`
	By     string            `json:"by"`
	Filter map[string]string `json:"filter"`
}

type exportLine struct {
	Export *ExportHeader `json:"export,omitempty"`
	Record *exportRecord `json:"record,omitempty"`
	Beside bool          `json:"beside,omitempty"`
	Hidden *exportHidden `json:"hidden,omitempty"`
	Head   *Head         `json:"head,omitempty"`
	Broken *exportBroken `json:"broken,omitempty"`
	End    *exportEnd    `json:"end,omitempty"`
}

type exportRecord struct {
	body
	Salt []byte `json:"salt"`
	Prev []byte `json:"prev"`
	Hash []byte `json:"hash"`
}

type exportHidden struct {
	Seq        int64  `json:"seq"`
	Commitment []byte `json:"commitment"`
}

type exportBroken struct {
	Seq   int64  `json:"seq"`
	What  string `json:"what"`
	Asked bool   `json:"asked,omitempty"`
}

type exportEnd struct {
	Records int `json:"records"`
}

// NewExporter begins an export.
func NewExporter(w io.Writer, h ExportHeader) (*Exporter, error) {
	b := bufio.NewWriter(w)
	x := &Exporter{enc: json.NewEncoder(b), w: b}
	h.Format = ExportFormat
	return x, x.enc.Encode(exportLine{Export: &h})
}

// Record writes the next record of a run; not shown, it is reduced to what links the others.
func (x *Exporter) Record(r *Record, shown bool) error {
	if !shown && r.Hideable() {
		c := r.Commitment()
		return x.enc.Encode(exportLine{Hidden: &exportHidden{r.Seq, c[:]}})
	}
	if shown {
		x.shown++
	}
	detail := r.Detail
	if detail == nil {
		detail = map[string]string{}
	}
	return x.enc.Encode(exportLine{Beside: !shown, Record: &exportRecord{
		body{r.Seq, r.At.UTC().Format(timeLayout), r.Actor, r.Action, r.Object, r.Verdict, r.RequestID, detail}, r.Salt, r.Prev[:], r.Hash[:]}})
}

// Head ends a run.
func (x *Exporter) Head(h Head) error { return x.enc.Encode(exportLine{Head: &h}) }

// Broken ends a run, or what would be one, where the chain is broken. asked: the record itself was to
// be shown, and cannot be.
func (x *Exporter) Broken(at *BrokenError, asked bool) error {
	return x.enc.Encode(exportLine{Broken: &exportBroken{at.Seq, at.What, asked}})
}

// Close ends the export; it does not close what it is written to.
func (x *Exporter) Close() error {
	if err := x.enc.Encode(exportLine{End: &exportEnd{x.shown}}); err != nil {
		return err
	}
	return x.w.Flush()
}

// ExportReport is what CheckExport found.
type ExportReport struct {
	ExportHeader
	Records  int       // that were asked for, each proved to be in the chain
	Runs     int       // signed heads they stand under
	Others   int       // records between, of which only the link was checked
	Newest   time.Time // when the last head was signed
	Compared int       // heads of the copy that were compared
	// Unproved are the numbers of those that were asked for whose content is what their hash was made
	// of, and that no signed head vouches for: the chain behind them is broken.
	Unproved []int64 `json:",omitempty"`
	Breaks   []Break `json:",omitempty"` // where the chain is broken, in order
}

// Break is where whoever made an export found the chain broken.
type Break struct {
	Seq   int64
	What  string
	Asked bool // the record was asked for, and is not in the export
}

// ErrExport is matched by what is not a whole export.
var ErrExport = errors.New("not a whole export of the audit")

// exportCheck is the state of a check.
type exportCheck struct {
	pub     *ecdsa.PublicKey
	copies  []Head
	rep     ExportReport
	run     []int64 // what was asked for in this run
	shown   int     // of all that was asked for
	cut     bool    // the run before was ended by a break
	seq     int64   // of the last record
	hash    [32]byte
	running bool // behind it a head is still to come
	ended   bool
}

// CheckExport checks an export with the seal's public key: each record's content gives its hash,
// each hash the next, and each run ends in a head whose signature is right. copies are heads of
// an off-box copy, in order (ReadHeads), against which the hashes are compared as well. f, when not
// nil, is called for each record that was asked for, before it is known that its run is whole.
// Errors: ErrBroken (*BrokenError), ErrExport.
func CheckExport(r io.Reader, pub *ecdsa.PublicKey, copies []Head, f func(Record) error) (ExportReport, error) {
	c := &exportCheck{pub: pub, copies: copies}
	dec := json.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	dec.DisallowUnknownFields()
	for n := 0; ; n++ {
		var l exportLine
		err := dec.Decode(&l)
		if err == io.EOF {
			break
		}
		if err != nil {
			return c.rep, fmt.Errorf("%w: object %d: %w", ErrExport, n+1, err)
		}
		if c.ended || (n == 0) != (l.Export != nil) {
			return c.rep, fmt.Errorf("%w: object %d is out of place", ErrExport, n+1)
		}
		if err := c.line(&l, f); err != nil {
			return c.rep, err
		}
	}
	if !c.ended {
		return c.rep, fmt.Errorf("%w: its end is missing", ErrExport)
	}
	if n := len(c.rep.Breaks); n > 0 {
		return c.rep, &BrokenError{Seq: c.rep.Breaks[0].Seq, What: c.rep.Breaks[0].What}
	}
	return c.rep, nil
}

func (c *exportCheck) line(l *exportLine, f func(Record) error) error {
	switch {
	case l.Export != nil:
		if c.rep.ExportHeader = *l.Export; l.Export.Format != ExportFormat {
			return fmt.Errorf("%w: it is %q", ErrExport, l.Export.Format)
		}
	case l.Record != nil:
		return c.record(l, f)
	case l.Hidden != nil:
		if !c.running || l.Hidden.Seq != c.seq+1 || len(l.Hidden.Commitment) != 32 {
			return &BrokenError{Seq: l.Hidden.Seq, What: "it is not the next record of a run"}
		}
		c.rep.Others++
		return c.linked(l.Hidden.Seq, Link(c.hash, [32]byte(l.Hidden.Commitment)))
	case l.Head != nil:
		switch err := l.Head.Verify(c.pub); {
		case err != nil:
			return err
		case !c.running || l.Head.Seq != c.seq || l.Head.Hash != c.hash:
			return &BrokenError{Seq: l.Head.Seq, What: "the head signed at " + l.Head.At.UTC().Format(time.RFC3339) + " is of another chain"}
		}
		c.running, c.rep.Newest = false, l.Head.At
		c.rep.Records, c.run = c.rep.Records+len(c.run), nil
		c.rep.Runs++
	case l.Broken != nil:
		if l.Broken.Seq < c.seq {
			return &BrokenError{Seq: l.Broken.Seq, What: fmt.Sprintf("it stands behind record %d", c.seq)}
		}
		c.running, c.cut = false, true
		c.rep.Unproved, c.run = append(c.rep.Unproved, c.run...), nil
		c.rep.Breaks = append(c.rep.Breaks, Break{l.Broken.Seq, tidy(l.Broken.What), l.Broken.Asked}) // it is going to be printed
	case l.End != nil:
		switch {
		case c.running:
			return &BrokenError{Seq: c.seq, What: "no signed head stands behind it"}
		case l.End.Records != c.shown:
			return fmt.Errorf("%w: %d records of %d", ErrExport, c.shown, l.End.Records)
		}
		c.ended = true
	default:
		return fmt.Errorf("%w: an empty object", ErrExport)
	}
	return nil
}

func (c *exportCheck) record(l *exportLine, f func(Record) error) error {
	at, err := time.Parse(timeLayout, l.Record.At)
	if err != nil || len(l.Record.Prev) != 32 || len(l.Record.Hash) != 32 {
		return fmt.Errorf("%w: record %d cannot be read", ErrExport, l.Record.Seq)
	}
	b := &l.Record.body
	r := Record{Event: Event{At: at, Actor: b.Actor, Action: b.Action, Object: b.Object, Verdict: b.Verdict, RequestID: b.Request, Detail: b.Detail},
		Salt: l.Record.Salt, Seq: b.Seq, Prev: [32]byte(l.Record.Prev), Hash: [32]byte(l.Record.Hash)}
	switch {
	case c.running && r.Seq != c.seq+1, r.Seq <= c.seq:
		return &BrokenError{Seq: r.Seq, What: fmt.Sprintf("it stands behind record %d", c.seq)}
	case r.Seq == c.seq+1 && c.seq > 0 && !c.cut && r.Prev != c.hash:
		return &BrokenError{Seq: r.Seq, What: "it does not link to the record before it"}
	case !r.Intact():
		return &BrokenError{Seq: r.Seq, What: "its content does not match its hash (edited)", Kind: Edited}
	}
	c.running, c.cut = true, false
	if l.Beside {
		c.rep.Others++
	} else {
		c.shown++
		c.run = append(c.run, r.Seq)
	}
	if err := c.linked(r.Seq, r.Hash); err != nil || l.Beside || f == nil {
		return err
	}
	return f(r)
}

// linked goes on to a record, and compares it with the copies of heads.
func (c *exportCheck) linked(seq int64, hash [32]byte) error {
	c.seq, c.hash = seq, hash
	for len(c.copies) > 0 && c.copies[0].Seq <= seq {
		h := c.copies[0]
		c.copies = c.copies[1:]
		if h.Seq != seq {
			continue
		}
		if c.rep.Compared++; h.Hash != hash {
			return &BrokenError{Seq: seq, What: "it is not the record whose hash was signed at " + h.At.UTC().Format(time.RFC3339) + " (chain rewritten)"}
		}
	}
	return nil
}
