package enrol

import (
	"context"
	"slices"
)

// part is some of those who are listed: its system, phase, agency and office.
type part [4]string

// progress counts the officers of a part as ReportRollout's columns do.
type progress struct{ listed, confirmed, applied, issued, ready, ended int64 }

// rollout reads ReportRollout from the directory: the database would look up six rows of each of
// 40,000 officers for a page that is opened many times a day.
func (d *Desk) rollout(ctx context.Context, r ReportRead, f func(row ...any) error) error {
	if err := d.directory.current(ctx, d.Records); err != nil {
		return err
	}
	list, err := d.Records.UnreachedOfficers(ctx)
	if err != nil {
		return err
	}
	unreached := make(map[string]bool, len(list))
	for _, ic := range list {
		unreached[ic] = true
	}
	all, _ := d.directory.behind("")
	parts := map[part]*progress{}
	for _, e := range all {
		for k := range e.Ways {
			w := &e.Ways[k]
			h := e.holding(w.System)
			if !w.First || h == nil || r.System != "" && r.System != w.System || r.Agency != "" && r.Agency != w.Agency || e.again(k) {
				continue
			}
			at := part{w.System, w.Phase, w.Agency, w.Office}
			p := parts[at]
			if p == nil {
				p = &progress{}
				parts[at] = p
			}
			p.add(w.State, h.Medium == RoamingOTP && h.Status == "ACTIVE" && h.NotAfter.After(r.Now) && !unreached[e.IC])
		}
	}
	order := make([]part, 0, len(parts))
	for at := range parts {
		order = append(order, at)
	}
	slices.SortFunc(order, func(a, b part) int { return slices.Compare(a[:], b[:]) })
	for _, at := range order {
		p := parts[at]
		if err := f(at[0], at[1], at[2], at[3], p.listed, p.confirmed, p.applied, p.issued, p.ready, p.ended); err != nil {
			return err
		}
	}
	return nil
}

// holding is the medium of a system, or nil.
func (e *DirectoryEntry) holding(system string) *Holding {
	k := slices.IndexFunc(e.Holdings, func(h Holding) bool { return h.System == system })
	if k < 0 {
		return nil
	}
	return &e.Holdings[k]
}

// again says that the officer was listed for the same system later than in a way.
func (e *DirectoryEntry) again(way int) bool {
	return slices.ContainsFunc(e.Ways[way+1:], func(w Way) bool { return w.First && w.System == e.Ways[way].System })
}

// add counts an officer; able: a code would reach the holder of a certificate in force.
func (p *progress) add(s State, able bool) {
	p.listed++
	switch s {
	case Confirmed, Returned:
		p.confirmed++
	case Applied, Validated, Approved:
		p.confirmed++
		p.applied++
	case Issued:
		p.confirmed++
		p.applied++
		p.issued++
		if able {
			p.ready++
		}
	case Rejected, Withdrawn, Expired:
		p.ended++
	}
}
