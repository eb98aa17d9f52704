package signer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/process"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// office is a house with the processes of iGFMAS and three officers.
type office struct {
	*house
	people []string
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{house: newHouse(t), people: []string{storetest.IC}}
	var err error
	if o.s.Processes, err = process.Builtin(); err != nil {
		t.Fatal(err)
	}
	for k := range 2 {
		p := enrol.Officer{IC: fmt.Sprintf("80010114%04d", k), Name: fmt.Sprintf("PEGAWAI %c", 'A'+k), Email: fmt.Sprintf("p%d@janm.example", k)}
		must(t, o.Registrar.AddOfficer(ctx, "test", p, storetest.System))
		_, _, err := o.Registrar.IssueCredential(ctx, "test", p, storetest.System, "ECDSA-P256", secret.New(storetest.PIN))
		must(t, err)
		o.people = append(o.people, p.IC)
	}
	return o
}

// ask is a request for a role of references, by one of the people.
func (o *office) ask(who int, process, role string, refs ...string) signer.Ask {
	a := o.Ask(len(refs))
	a.Officer, a.Process, a.Role = o.people[who], process, role
	for k, ref := range refs {
		a.Documents[k].Reference = ref
	}
	return a
}

// sign takes a request to its end.
func (o *office) sign(t testing.TB, f signer.Confirmation) {
	t.Helper()
	a, err := o.s.Authorize(ctx, f)
	must(t, err)
	defer a.Close()
	claimed, err := o.s.Claim(ctx, a, 100)
	must(t, err)
	var out []signer.Outcome
	for _, c := range claimed {
		x, err := signOne(o.s, a, c)
		must(t, err)
		out = append(out, x)
	}
	if done, err := o.s.Complete(ctx, a, out); err != nil || !done {
		t.Fatalf("done %v, %v", done, err)
	}
}

// What an app may not ask for is refused before anybody gets a code.
func TestPrepareRefusesWhatIsNoPlace(t *testing.T) {
	o := newOffice(t)
	long := string(bytes.Repeat([]byte("r"), 201))
	for what, c := range map[string]struct {
		ask  signer.Ask
		want error
	}{
		"an unknown process":               {o.ask(0, "AA-99", "Perakuan 1", "R"), signer.ErrProcess},
		"no role":                          {o.ask(0, "AA-11", "", "R"), signer.ErrRole},
		"a role of another process":        {o.ask(0, "AA-01", "Akuan Terima", "R"), signer.ErrRole},
		"a process nobody signs by role":   {o.ask(0, "AP-30", "Perakuan 1", "R"), signer.ErrRole},
		"no reference":                     {o.ask(0, "AA-11", "Perakuan 1", ""), signer.ErrReference},
		"a reference that looks like one":  {o.ask(0, "AA-11", "Perakuan 1", "R "), signer.ErrReference},
		"one with letters like others":     {o.ask(0, "AA-11", "Perakuan 1", "А1"), signer.ErrReference},
		"a long reference":                 {o.ask(0, "AA-11", "Perakuan 1", long), signer.ErrReference},
		"one reference twice":              {o.ask(0, "AA-13", "Perakuan 1", "R", "R"), signer.ErrReference},
		"two in a process that is no bulk": {o.ask(0, "AA-11", "Perakuan 1", "R", "S"), signer.ErrNotBulk},
		"the second role first":            {o.ask(0, "AA-11", "Perakuan 2", "R"), signer.ErrTurn},
	} {
		sent := o.Mail.Sent()
		o.refuses(t, what, c.want, func() error { _, _, err := o.s.Prepare(ctx, c.ask); return err })
		if o.Mail.Sent() != sent {
			t.Errorf("%s: a code was sent", what)
		}
	}
	final := o.ask(0, "AA-11", "Perakuan 1", "R")
	final.Options.Certify = 1
	o.refuses(t, "a first role that is the last word", signer.ErrLastWord, func() error { _, _, err := o.s.Prepare(ctx, final); return err })
	bare := o.ask(0, "AA-11", "Perakuan 1", "R")
	bare.Documents[0].Digest = nil
	o.refuses(t, "the first role without a document", signer.ErrContent, func() error { _, _, err := o.s.Prepare(ctx, bare); return err })
	for what, a := range map[string]signer.Ask{
		"bulk":                             o.ask(0, "AA-13", "Perakuan 1", "A", "B"),
		"bulk or not, nobody knows":        o.ask(0, "AR-21", "Perakuan 1", "A", "B"),
		"Penyemak alone":                   o.ask(0, "HCM-44", "Penyemak", "A"),
		"the same reference, another work": o.ask(0, "GL-34", "Perakuan 1", "A"),
	} {
		if _, _, err := o.s.Prepare(ctx, a); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Three people sign one digest in order; whoever had a role has no other, and whose turn it is
// not loses neither a try of the code nor one of the PIN.
func TestRolesOfOneReference(t *testing.T) {
	o := newOffice(t)
	first := o.ask(0, "AA-11", "Perakuan 1", "R")
	first.Class = "sulit"
	_, f := o.prepare(t, first)
	late, g := o.prepare(t, o.ask(1, "AA-11", "Perakuan 1", "R"))
	o.sign(t, f)
	o.refuses(t, "a role that was taken meanwhile", signer.ErrTurn, func() error { _, err := o.s.Authorize(ctx, g); return err })
	if st, err := o.DB.PINState(ctx, o.people[1]); err != nil || st.Total != 0 || o.tries(t, late) != 3 {
		t.Errorf("the late one has %+v and %d tries, %v", st, o.tries(t, late), err)
	}
	same := o.ask(0, "AA-11", "Perakuan 2", "R")
	sent := o.Mail.Sent()
	o.refuses(t, "one man show", signer.ErrSignatory, func() error { _, _, err := o.s.Prepare(ctx, same); return err })
	if o.Mail.Sent() != sent {
		t.Error("a code was sent for it")
	}
	other := o.ask(1, "AA-11", "Perakuan 2", "R")
	other.Documents[0].Digest = bytes.Repeat([]byte{1}, 32)
	o.refuses(t, "another digest", signer.ErrDocuments, func() error { _, _, err := o.s.Prepare(ctx, other); return err })
	foreign := o.ask(1, "AA-11", "Perakuan 2", "R")
	foreign.Documents[0].Digest, foreign.Documents[0].DocumentID = nil, "do_other"
	o.refuses(t, "another document", signer.ErrUnknown, func() error { _, _, err := o.s.Prepare(ctx, foreign); return err })
	// The reference is enough: name, digest and classification are those of the first role.
	second := o.ask(1, "AA-11", "Perakuan 2", "R")
	second.Documents[0].Digest, second.Documents[0].Name, second.Class = nil, "", "terbuka"
	r, f := o.prepare(t, second)
	sum := sha256.Sum256([]byte("document 0"))
	if d := second.Documents[0]; !bytes.Equal(d.Digest, sum[:]) || d.Name != "baucar-0" || r.Class != "sulit" || !o.Mail.Message().Classified {
		t.Errorf("the second signs %+v, %q", d, r.Class)
	}
	o.sign(t, f)
	_, f = o.prepare(t, o.ask(2, "AA-11", "Akuan Terima", "R"))
	o.sign(t, f)
	o.refuses(t, "a role behind the last", signer.ErrTurn, func() error { _, _, err := o.s.Prepare(ctx, o.ask(2, "AA-11", "Akuan Terima", "R")); return err })
	c, err := o.DB.Signatories(ctx, storetest.System, []string{"R"})
	if err != nil || len(c) != 3 {
		t.Fatalf("signed %+v, %v", c, err)
	}
	for k := range c {
		if c[k].Officer != o.people[k] {
			t.Errorf("role %d was signed by %s", k+1, c[k].Officer)
		}
	}
}

// A crash between intent and completion leaves the role to whoever comes next.
func TestRoleAfterACrash(t *testing.T) {
	o := newOffice(t)
	_, f := o.prepare(t, o.ask(0, "AA-11", "Perakuan 1", "R"))
	_, g := o.prepare(t, o.ask(1, "AA-11", "Perakuan 1", "R"))
	code := secret.New(o.Mail.Code())
	g.Code = code
	// The codes of both are different ones: the second was the newest.
	f.Code = secret.New(o.Mail.Code())
	if _, err := o.s.Authorize(ctx, f); !errors.Is(err, otp.ErrWrong) {
		t.Fatalf("somebody else's code: %v", err)
	}
	a, err := o.s.Authorize(ctx, g)
	must(t, err)
	must(t, a.Close()) // the process is gone
	o.refuses(t, "while the intent is open", signer.ErrTurn, func() error { _, _, err := o.s.Prepare(ctx, o.ask(2, "AA-11", "Perakuan 1", "R")); return err })
	if _, n, err := o.s.Recover(ctx); err != nil || n != 1 {
		t.Fatalf("recovered %d, %v", n, err)
	}
	_, f = o.prepare(t, o.ask(2, "AA-11", "Perakuan 1", "R"))
	o.sign(t, f)
}

// Whoever writes to the database moves nobody's signature to another reference, process or role.
func TestPlaceChangedBeforeAuthorize(t *testing.T) {
	for _, statement := range []string{
		swapped("items", "reference"),
		swapped("items", "reference_key"),
		"UPDATE items SET reference = sealed('note', 'X'), reference_key = sealed('object', 'X') WHERE idx = 1",
		"UPDATE items SET reference_key = sealed('object', 'X') WHERE idx = 1",
		"UPDATE transactions SET process = 'AA-14'",
		"UPDATE transactions SET role = 'Perakuan 2'",
		"UPDATE transactions SET step = 2",
		"UPDATE transactions SET step = 0",
	} {
		o := newOffice(t)
		_, f := o.prepare(t, o.ask(0, "AA-13", "Perakuan 1", "A", "B", "C"))
		o.edit(t, statement)
		o.refuses(t, statement, signer.ErrDocuments, func() error { _, err := o.s.Authorize(ctx, f); return err })
	}
}

// asking counts the questions about signatories.
type asking struct {
	storetest.Records
	n int
}

func (a *asking) Signatories(ctx context.Context, system string, references []string) ([]signer.Signatory, error) {
	a.n++
	return a.Records.Signatories(ctx, system, references)
}

// However many references there are, who signed them is one question.
func TestManyReferencesAreOneQuestion(t *testing.T) {
	o := newOffice(t)
	asked := &asking{Records: o.DB}
	o.s.Records = asked
	refs := []string{"A", "B", "C", "D", "E"}
	_, f := o.prepare(t, o.ask(0, "AA-13", "Perakuan 1", refs...))
	o.sign(t, f)
	second := o.ask(1, "AA-13", "Perakuan 2", refs...)
	if _, _, err := o.s.Prepare(ctx, second); err != nil || asked.n != 2 {
		t.Errorf("two roles of %d references took %d questions, %v", len(refs), asked.n, err)
	}
	list, err := o.s.Inbox(ctx, signer.Inbox{System: storetest.System, Limit: 10})
	if err != nil || asked.n != 3 || len(list) != len(refs) {
		t.Errorf("an inbox of %d took %d questions, %v", len(list), asked.n-2, err)
	}
	for _, w := range list {
		if len(w.Signed) != 1 || w.Signed[0].Reference != w.Reference || w.Signed[0].Officer != o.people[0] {
			t.Errorf("%s was signed by %+v", w.Reference, w.Signed)
		}
	}
}

// One document has one reference, in one transaction, too: the next roles could not go on otherwise.
func TestOneDocumentUnderTwoReferences(t *testing.T) {
	o := newOffice(t)
	twice := o.ask(0, "AA-13", "Perakuan 1", "A", "B")
	twice.Documents[1].Digest = twice.Documents[0].Digest
	o.refuses(t, "one document under two references", signer.ErrReference, func() error { _, _, err := o.s.Prepare(ctx, twice); return err })
	_, f := o.prepare(t, o.ask(0, "AA-13", "Perakuan 1", "A", "B"))
	o.sign(t, f)
	o.refuses(t, "a reference of another process", signer.ErrOtherProcess, func() error {
		other := o.ask(1, "AA-11", "Perakuan 1", "A")
		other.Documents[0].Digest = bytes.Repeat([]byte{7}, 32)
		_, _, err := o.s.Prepare(ctx, other)
		return err
	})
}

// A list of processes that was edited lets nobody take a role that has another place now.
func TestRolesOfAnEditedProcess(t *testing.T) {
	o := newOffice(t)
	list := func(roles string) {
		t.Helper()
		var err error
		o.s.Processes, err = process.Read(strings.NewReader("code,system,module,client,name_ms,name_en,roles,bulk,check\nP-1,IGFMAS,,,Ujian,Test," + roles + ",no,\n"))
		must(t, err)
	}
	list("Perakuan 1>Perakuan 2")
	_, f := o.prepare(t, o.ask(0, "P-1", "Perakuan 1", "R"))
	o.sign(t, f)
	list("Penyemak>Perakuan 1>Perakuan 2")
	for _, role := range []string{"Penyemak", "Perakuan 1", "Perakuan 2"} {
		o.refuses(t, role+" of a process edited meanwhile", signer.ErrTurn, func() error { _, _, err := o.s.Prepare(ctx, o.ask(1, "P-1", role, "R")); return err })
	}
	list("Perakuan 1>Perakuan 2>Akuan Terima")
	_, f = o.prepare(t, o.ask(1, "P-1", "Perakuan 2", "R"))
	o.sign(t, f)
	_, f = o.prepare(t, o.ask(2, "P-1", "Akuan Terima", "R"))
	o.sign(t, f)
}
