package corpus_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/internal/corpus"
	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/verify"
)

// kind is a way to sign a document.
type kind struct {
	name  string
	level pdf.Level
	// signs are the signatures made one after the other; after the last one the
	// document is brought to level, and after each to between, if set.
	signs   []pdf.Options
	between pdf.Level
	renew   bool
}

func kinds() []kind {
	visible := &pdf.Visible{Page: 1, X: 300, Y: 40, Width: 200, Height: 60}
	none := []pdf.Options{{}}
	two := []pdf.Options{{Field: "Pengarah"}, {Field: "Ketua", Visible: visible}}
	return []kind{
		{name: "B-B", signs: none},
		{name: "B-B visible", signs: []pdf.Options{{Visible: visible, Reason: "Diluluskan"}}},
		{name: "B-T", signs: none, level: pdf.LevelT},
		{name: "B-LT", signs: none, level: pdf.LevelLT},
		{name: "B-LTA", signs: none, level: pdf.LevelLTA},
		{name: "B-LTA renewed", signs: none, level: pdf.LevelLTA, renew: true},
		{name: "certified 1", signs: []pdf.Options{{Certify: 1}}},
		{name: "certified 2", signs: []pdf.Options{{Certify: 2}}},
		{name: "certified 3", signs: []pdf.Options{{Certify: 3}}},
		{name: "certified 1 B-LTA", signs: []pdf.Options{{Certify: 1}}, level: pdf.LevelLTA},
		{name: "fields locked", signs: []pdf.Options{{Lock: &pdf.Lock{Action: pdf.LockAll}}}},
		{name: "certified 2, signed", signs: []pdf.Options{{Certify: 2}, {}}},
		{name: "two signatures", signs: two},
		{name: "three signatures", signs: append(two, pdf.Options{})},
		{name: "two signatures B-LTA", signs: two, level: pdf.LevelLTA},
		{name: "two signatures, each B-LT", signs: two, between: pdf.LevelLT, level: pdf.LevelLT},
	}
}

// stamped signs with a signature time-stamp.
func stamped(t *testing.T, a *pdftest.Authorities, document []byte, o pdf.Options) []byte {
	t.Helper()
	d, err := pdf.Open(bytes.NewReader(document), int64(len(document)))
	if err != nil {
		t.Fatal(err)
	}
	o.Time, o.Level, o.ContentsSize = pdftest.Now(), pdf.LevelT, a.Builder(t).Size()+a.TokenSize()
	prepared, err := d.Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	digest, _, err := prepared.Digest(a.Hash)
	if err != nil {
		t.Fatal(err)
	}
	der := a.CMS(t, digest)
	sd, err := cms.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	imprint := sha256.Sum256(sd.SignatureValue())
	token, err := a.Timestamp(context.Background(), crypto.SHA256, imprint[:])
	if err != nil {
		t.Fatal(err)
	}
	if der, err = cms.AddTimestamp(der, token); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := prepared.Complete(&out, der); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func extend(t *testing.T, a *pdftest.Authorities, b []byte, level pdf.Level, renew bool) []byte {
	t.Helper()
	s := a.Services()
	s.Renew = renew
	var out bytes.Buffer
	if _, err := pdf.Extend(context.Background(), bytes.NewReader(b), int64(len(b)), level, s, &out); err != nil {
		t.Fatal(err)
	}
	return append(bytes.Clone(b), out.Bytes()...)
}

// make signs a document in the way of the kind.
func (k kind) make(t *testing.T, a *pdftest.Authorities, b []byte) []byte {
	t.Helper()
	for i, o := range k.signs {
		if k.level == "" {
			b = a.Sign(t, b, o)
		} else {
			b = stamped(t, a, b, o)
		}
		if k.between != "" && i < len(k.signs)-1 {
			b = extend(t, a, b, k.between, false)
		}
	}
	if k.level == pdf.LevelLT || k.level == pdf.LevelLTA {
		b = extend(t, a, b, k.level, false)
	}
	if k.renew {
		b = extend(t, a, b, k.level, true)
	}
	return b
}

func report(t *testing.T, a *pdftest.Authorities, b []byte) *verify.Report {
	t.Helper()
	r, err := verify.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), verify.Options{Roots: a.Roots(), Now: pdftest.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// verdicts counts the verdicts on a class of mutations.
type verdicts map[verify.Verdict]int

// TestMutations tampers with files signed in every way: none may be VALID,
// and the files themselves must be.
func TestMutations(t *testing.T) {
	a := pdftest.NewAuthorities(t, pdftest.New(t, cms.ECDSA, crypto.SHA256, nil))
	classes, genuine := map[string]verdicts{}, verdicts{}
	count := func(class string, v verify.Verdict) {
		if classes[class] == nil {
			classes[class] = verdicts{}
		}
		classes[class][v]++
	}
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			signed, other := k.make(t, a, corpus.Base(1)), k.make(t, a, corpus.Base(2))
			for _, b := range [][]byte{signed, other} {
				r := report(t, a, b)
				if genuine[r.Verdict]++; r.Verdict != verify.Valid {
					t.Errorf("false alarm: %s", told(r))
				}
			}
			all, err := corpus.Mutations(signed, other)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range all {
				if bytes.Equal(m.Data, signed) {
					t.Errorf("%s: %s changes nothing", m.Class, m.Name)
				}
				r := report(t, a, m.Data)
				if count(m.Class, r.Verdict); r.Verdict == verify.Valid && !m.Unprotected {
					t.Errorf("VALID: %s: %s", m.Class, m.Name)
				}
			}
			t.Logf("%d mutations", len(all))
		})
	}
	shadows(t, a, count, genuine)
	document(t, "pdf-mutations.md", `# Signed documents somebody tampered with

Files signed in 16 ways (B-B to B-LTA, certified, locked, several signatures)
are tampered with in each published way and some more, and verified. Nothing
may be VALID. The one exception is bits of certificates that are there twice,
and of time-stamps: nothing protects those, and what is said without them can be
as good.
`, mutationTable(classes, genuine))
}

// shadows signs the prepared documents and shows what they hide.
func shadows(t *testing.T, a *pdftest.Authorities, count func(string, verify.Verdict), genuine verdicts) {
	for _, k := range kinds() {
		if len(k.signs) > 1 || k.renew {
			continue
		}
		for _, s := range corpus.Shadows() {
			t.Run("shadow/"+k.name+"/"+s.Name, func(t *testing.T) {
				signed := k.make(t, a, s.Document)
				r := report(t, a, signed)
				if genuine[r.Verdict]++; r.Verdict != verify.Valid {
					t.Errorf("false alarm: %s", told(r))
				}
				b, err := s.Tamper(signed)
				if err != nil {
					t.Fatal(err)
				}
				r = report(t, a, b)
				if count(corpus.ShadowAttack, r.Verdict); r.Verdict == verify.Valid {
					t.Error("VALID")
				}
			})
		}
	}
}

// told is what a report says, in short.
func told(r *verify.Report) string {
	var b strings.Builder
	fmt.Fprint(&b, r.Verdict)
	for _, reason := range r.Reasons {
		fmt.Fprintf(&b, " %s (%s)", reason.Code, reason.Detail)
	}
	for _, s := range r.Signatures {
		fmt.Fprintf(&b, "; %s %s", s.Field, s.Verdict)
		for _, reason := range s.Reasons {
			fmt.Fprintf(&b, " %s (%s)", reason.Code, reason.Detail)
		}
	}
	return b.String()
}

func mutationTable(classes map[string]verdicts, genuine verdicts) string {
	var b strings.Builder
	b.WriteString("| class | files | INVALID | INDETERMINATE | VALID |\n|---|---:|---:|---:|---:|\n")
	line := func(name string, v verdicts) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", name, v[verify.Invalid]+v[verify.Indeterminate]+v[verify.Valid], v[verify.Invalid], v[verify.Indeterminate], v[verify.Valid])
	}
	sum := verdicts{}
	for _, c := range corpus.Classes() {
		if line(c, classes[c]); c == corpus.Spare {
			continue
		}
		for v, n := range classes[c] {
			sum[v] += n
		}
	}
	line("**tampered with**, but for spare certificates and time-stamps", sum)
	line("**genuine**", genuine)
	return b.String()
}
