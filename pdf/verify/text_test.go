package verify_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/pdf/verify"
)

func written(t *testing.T, r *verify.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b, "surat.pdf"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReportSaysACodeOnce(t *testing.T) {
	raw := []byte("MZ this is a program")
	r, err := verify.Verify(t.Context(), bytes.NewReader(raw), int64(len(raw)), verify.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if s := written(t, r); strings.Count(s, "pdf_invalid") != 1 || !strings.Contains(s, "[pdf_invalid: no PDF header") {
		t.Error(s)
	}
}

func TestReportLeavesOutWhatIsNotKnown(t *testing.T) {
	s := written(t, &verify.Report{Verdict: verify.Invalid,
		Signatures: []verify.Signature{{Verdict: verify.Invalid, Certification: &verify.Certification{Permission: 1}}},
		Timestamps: []verify.Timestamp{{Verdict: verify.Invalid}}})
	for _, line := range []string{
		"\n  Tandatangan / signature: INVALID\n",
		"\n  Cap masa / time-stamp: INVALID\n",
		" perubahan dibenarkan / permitted changes: tiada / none (P 1)\n",
	} {
		if !strings.Contains(s, line) {
			t.Errorf("%q is not in\n%s", line, s)
		}
	}
}
