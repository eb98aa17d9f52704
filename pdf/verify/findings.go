package verify

// findings are what was found about one thing, and the best verdict it leaves.
type findings struct {
	verdict Verdict
	reasons []Reason
}

// find adds a reason and lowers the verdict. A code is noted once for each
// detail.
func (f *findings) find(code, detail string) {
	for _, r := range f.reasons {
		if r.Code == code && r.Detail == detail {
			return
		}
	}
	f.reasons = append(f.reasons, reason(code, detail))
	f.verdict = worse(f.verdict, meanings(code).verdict)
}

// indication puts a verdict in the terms of ETSI EN 319 102-1, Section 5.1.3:
// the sub-indication is that of the first reason of the weight of the verdict.
func (f *findings) indication() (main, sub string) {
	switch f.verdict {
	case Valid:
		return "TOTAL-PASSED", ""
	case Invalid:
		main = "TOTAL-FAILED"
	default:
		main = "INDETERMINATE"
	}
	for _, r := range f.reasons {
		if m := meanings(r.Code); m.verdict == f.verdict && m.sub != "" {
			return main, m.sub
		}
	}
	return main, ""
}

func (f *findings) all() []Reason {
	if f.reasons == nil {
		return []Reason{}
	}
	return f.reasons
}
