package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/process"
)

// Verdicts about a request's place in a work process.
var (
	ErrProcess   = errors.New("the system has no such work process")
	ErrRole      = errors.New("the work process has no such role")
	ErrReference = errors.New("each document of a work process needs a reference of its own")
	ErrContent   = errors.New("the first role needs the document")
	ErrLastWord  = errors.New("a certification that permits no change leaves nothing to the next role")
	ErrNotBulk   = errors.New("the work process is not one for many documents at once")
	// ErrSignatory and ErrTurn are judged when the request is created, before a try of
	// its code is reserved, and with the intent. They leave code and PIN as they were.
	ErrSignatory = errors.New("the officer has another role of this reference")
	ErrTurn      = errors.New("it is not this role's turn")
	// ErrOtherProcess is judged with them: the reference was begun in another process.
	ErrOtherProcess = errors.New("the reference is one of another work process")
)

// Work is a request's place in a work process.
type Work struct {
	Process string `json:"process"`
	Role    string `json:"role"`
	Step    int    `json:"step"`           // of Role in the process, from 1
	Next    string `json:"next,omitempty"` // the role behind it
	// References is the SHA-256, base64, over the index and reference of each document, so that
	// what the officer authorises is in the place that the code was asked for.
	References string `json:"references"`
}

// Signatory is who signed a reference in a role, or is about to.
type Signatory struct {
	Process     string
	Step        int
	Role        string
	Officer     string // IC
	OfficerName string
	SignedAt    time.Time // zero: is about to
	App         string    // that asked
	Class       string    // classification then
	// What the next role signs: the file that came of it, or for a bare digest that digest.
	Document
}

// WaitingReference is one that waits for a role.
type WaitingReference struct {
	Process, Reference string
	Role               string    // that is next
	Since              time.Time // when the role before it had signed
	Signed             []Signatory
	Cursor             Cursor
}

// Cursor is a place in the list of what waits; the zero value is its beginning.
type Cursor struct {
	At    time.Time
	Batch string
	Index uint32
}

// Inbox says what of a system's waiting references is asked for, oldest first.
type Inbox struct {
	System        string
	Process, Role string // "" for any
	After         Cursor // exclusive
	Limit         int
}

// maxReference bounds a reference in characters.
const maxReference = 200

// reference says whether a reference can be that of a process: printable ASCII without spaces
// at its ends, so that none looks like another.
func reference(r string) bool {
	return r != "" && len(r) <= maxReference && r[0] != ' ' && r[len(r)-1] != ' ' &&
		!bytes.ContainsFunc([]byte(r), func(c rune) bool { return c < ' ' || c > '~' })
}

// work finds the place that an app asks for; nil when it names no process.
func (s *Signer) work(a *Ask) (*Work, process.Process, error) {
	if a.Process == "" {
		return nil, process.Process{}, nil
	}
	p, ok := s.Processes.Find(a.System, a.Process)
	if !ok {
		return nil, p, ErrProcess
	}
	step := p.Step(a.Role)
	if step == 0 {
		return nil, p, ErrRole
	}
	if p.Bulk == process.BulkNo && len(a.Documents) > 1 {
		return nil, p, ErrNotBulk
	}
	w := &Work{Process: p.Code, Role: a.Role, Step: step, Next: p.After(step)}
	if w.Next == "" {
		return w, p, nil
	}
	for _, o := range append(slices.Collect(maps.Values(a.Options.Each)), a.Options.PAdES) {
		if o.Certify == 1 { // ISO 32000-2, Table 257: /P 1
			return nil, p, ErrLastWord
		}
	}
	return w, p, nil
}

// place is where signatures of roles stand, within a system.
type place struct{ process, reference string }

// chains reads who signed references of a system, by their place, in the order of the roles.
func (s *Signer) chains(ctx context.Context, system string, references []string) (map[place][]Signatory, error) {
	all, err := s.Records.Signatories(ctx, system, references)
	out := make(map[place][]Signatory, len(references))
	for _, x := range all {
		at := place{x.Process, x.Reference}
		out[at] = append(out[at], x)
	}
	return out, err
}

// follow gives the documents of a later role what the role before it left, and the request the
// classification of those before: what was classified stays so.
func (s *Signer) follow(ctx context.Context, a *Ask, w *Work, p *process.Process) error {
	seen := make(map[string]bool, len(a.Documents))
	for k := range a.Documents {
		d := &a.Documents[k]
		if !reference(d.Reference) || seen[d.Reference] {
			return &DocumentError{d.Index, d.Name, ErrReference}
		}
		seen[d.Reference] = true
	}
	chains, err := s.chains(ctx, a.System, slices.Collect(maps.Keys(seen)))
	if err != nil {
		return err
	}
	for k := range a.Documents {
		d := &a.Documents[k]
		chain := chains[place{w.Process, d.Reference}]
		if err := d.follow(chain, p.Roles[:w.Step], a.Officer, a.Options.Format); err != nil {
			return &DocumentError{d.Index, d.Name, err}
		}
		for _, before := range chain {
			a.Class = higher(a.Class, before.Class)
		}
	}
	if a.Batch == "" {
		return nil
	}
	classes, err := s.Records.ClassesBefore(ctx, a.System, w.Process, a.Batch)
	for _, c := range classes {
		a.Class = higher(a.Class, c)
	}
	return err
}

// follow makes d what the role before the last of roles left, if there is one.
func (d *Document) follow(chain []Signatory, roles []string, officer, format string) error {
	step := len(roles)
	if slices.ContainsFunc(chain, func(s Signatory) bool { return s.Officer == officer && s.Step != step }) {
		return ErrSignatory
	}
	if step == 1 {
		switch {
		case len(chain) > 0:
			return ErrTurn
		case d.Digest == nil && d.DocumentID != "":
			return ErrUnknown // another app's
		case d.Digest == nil:
			return ErrContent
		}
		return nil
	}
	// The names count, too: a process may have been edited since.
	if !slices.EqualFunc(chain, roles[:step-1], func(s Signatory, role string) bool { return s.Role == role && !s.SignedAt.IsZero() }) {
		return ErrTurn
	}
	left := &chain[step-2].Document
	switch {
	case (left.Blob != "") != (format == PADES):
		return ErrDocuments
	case d.DocumentID != "" && d.DocumentID != left.DocumentID && d.Digest == nil:
		return ErrUnknown
	case d.DocumentID != "" && d.DocumentID != left.DocumentID:
		return ErrDocuments
	case d.DocumentID == "" && d.Digest != nil && (d.Hash != left.Hash || !bytes.Equal(d.Digest, left.Digest)):
		return ErrDocuments
	}
	d.DocumentID, d.Hash, d.Digest, d.Blob, d.Size = left.DocumentID, left.Hash, left.Digest, left.Blob, left.Size
	if d.Name == "" {
		d.Name = left.Name
	}
	return nil
}

// higher is the stricter of two classifications.
func higher(a, b string) string {
	order := []string{"", "terbuka", "terhad", "sulit", "rahsia", "rahsia besar"}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// references hashes which document has which reference.
type references struct{ sum hash.Hash }

func newReferences() references {
	r := references{sha256.New()}
	r.sum.Write([]byte("mohor references v1\n"))
	return r
}

func (r references) add(d *Document) {
	var head [8]byte
	binary.BigEndian.PutUint32(head[:4], d.Index)
	binary.BigEndian.PutUint32(head[4:], uint32(len(d.Reference)))
	r.sum.Write(head[:])
	r.sum.Write([]byte(d.Reference))
}

func (r references) text() string { return base64.StdEncoding.EncodeToString(r.sum.Sum(nil)) }

// same is ErrDocuments when a request's place is not the one that was fixed at creation.
func (r references) same(q *Request) error {
	w := q.Options.Work
	switch {
	case w == nil && q.Step == 0:
		return nil
	case w == nil || w.Process != q.Process || w.Role != q.Role || w.Step != q.Step || w.References != r.text():
		return ErrDocuments
	}
	return nil
}

// misplaced says whether the request may not be signed in its role now.
func misplaced(err error) bool {
	var d *DocumentError
	return errors.As(err, &d) && (errors.Is(err, ErrSignatory) || errors.Is(err, ErrTurn) || errors.Is(err, ErrReference) || errors.Is(err, ErrOtherProcess) || errors.Is(err, ErrDocuments))
}

// Inbox lists what waits for a role in a system, and who signed it before.
func (s *Signer) Inbox(ctx context.Context, q Inbox) ([]WaitingReference, error) {
	list, err := s.Records.WaitingReferences(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("reading what waits: %w", err)
	}
	references := make([]string, len(list))
	for k := range list {
		references[k] = list[k].Reference
	}
	chains, err := s.chains(ctx, q.System, references)
	if err != nil {
		return nil, fmt.Errorf("reading who signed: %w", err)
	}
	for k := range list {
		list[k].Signed = chains[place{list[k].Process, list[k].Reference}]
	}
	return list, nil
}

// Readable says whether an app may read the signed version of a document that another uploaded:
// it is one of a work process of a system that the app serves, and waits for a role there or was
// signed for the app. With open a classified one has to be signed for it.
func (s *Signer) Readable(ctx context.Context, app string, serves func(system string) bool, open bool, document string) error {
	system, waits, part, classified, err := s.Records.OnTheMove(ctx, document, app)
	if err == nil && (!serves(system) || !part && (!waits || open && classified)) {
		err = ErrUnknown
	}
	return err
}
