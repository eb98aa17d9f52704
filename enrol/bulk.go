package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MaxBulk is how many enrolments one Bulk decides about.
const MaxBulk = 1000

// Verdict is what a Bulk did about one enrolment.
type Verdict struct {
	ID    string
	State State // afterwards; "" when it is not known
	Err   error // nil: done; a *[Refusal] is about this one alone
}

// BulkFilter chooses what a Bulk is about, and says how many that are: whoever decides
// about a list has seen it as it was at Until.
type BulkFilter struct {
	System, Agency string    // "": any, for who may see all
	Office, Phase  string    // "": any
	Kind           string    // as in Filter
	Until          time.Time // in the state since then, or longer; not to come
	Count          int       // that match, from the first, which may be more than MaxBulk
	AfterSince     time.Time // go on behind this one
	AfterID        string
}

// stopAfter is how many refusals by the CA in a row end a Bulk: then it is the CA, and each
// would destroy another officer's key.
const stopAfter = 3

// atOnce is how many enrolments one process goes on with at once. A store may then write
// down several of them with each commit, and the HSM signs while it does.
const atOnce = 16

// Bulk takes the same step for many enrolments, each as if it was alone: Admit, Validate,
// Return, Reject or Approve. reason, of 5 to 500 characters, is each one's; Admit needs none.
// At most MaxBulk, no id twice; several at once. It goes on behind refusals, and stops at what
// is nobody's verdict (the CA cannot be reached, ctx ends) or after several refusals by the CA:
// what is behind that has no Verdict. The error is of the whole: nothing was done.
func (d *Desk) Bulk(ctx context.Context, a Actor, act Action, ids []string, reason string) ([]Verdict, error) {
	o := object{name: "enrolments", detail: map[string]string{"count": fmt.Sprint(len(ids))}}
	// On what ground each is taken is decided one by one; nobody without any comes so far.
	for _, p := range a.Appointments {
		if slices.Contains(rules()[act].roles, p.Role) {
			o.system, o.agency = p.System, p.Agency
		}
	}
	ev, err := d.decide(ctx, a, act, o)
	if err != nil {
		return nil, err
	}
	var no *Refusal
	if act != Admit {
		no = reasonGiven(&reason, decisionReason)
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			no = entered("id_twice", "ids", "satu pendaftaran disebut dua kali", "an enrolment is named twice")
		}
		seen[id] = true
	}
	switch {
	case !slices.Contains([]Action{Admit, Validate, Return, Reject, Approve}, act):
		return nil, fmt.Errorf("%w: %s is not for many at once", ErrInvalid, act)
	case len(ids) == 0 || len(ids) > MaxBulk:
		no = entered("bulk_size", "ids", fmt.Sprintf("1 hingga %d pendaftaran sekali", MaxBulk), fmt.Sprintf("1 to %d enrolments at once", MaxBulk))
	}
	if no != nil {
		return nil, d.refuse(ctx, ev, no)
	}
	if act != Admit {
		ev.Detail["reason"] = reason
	}
	if err := d.Records.Audit(ctx, ev); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	out := make([]Verdict, len(ids))
	step := context.WithoutCancel(ctx) // one that was begun is finished
	done, row := 0, 0
	for done < len(ids) && row < stopAfter && ctx.Err() == nil {
		n := 1 // the first ones tell whether the CA certifies anything
		if done >= stopAfter {
			n = min(atOnce, len(ids)-done)
		}
		var all sync.WaitGroup
		for k := done; k < done+n; k++ {
			all.Go(func() { out[k] = d.verdict(step, a, act, ids[k], reason) })
		}
		all.Wait()
		for _, v := range out[done : done+n] {
			var told *Refusal
			switch {
			case v.Err != nil && !errors.As(v.Err, &told):
				row = stopAfter // nobody's verdict
			case lasting(v.Err) != "":
				row++
			case row < stopAfter:
				row = 0
			}
		}
		done += n
	}
	return out[:done], nil
}

// verdict takes the step for one, as if it was alone.
func (d *Desk) verdict(ctx context.Context, a Actor, act Action, id, reason string) Verdict {
	v := Verdict{ID: id, Err: d.one(ctx, a, act, id, reason)}
	if e, err := d.Records.Enrolment(ctx, id); err == nil {
		if _, no := d.judge(&a, rules()[Read], new(about(&e))); no == nil {
			v.State = e.State
		}
	}
	return v
}

func (d *Desk) one(ctx context.Context, a Actor, act Action, id, reason string) error {
	switch act {
	case Admit:
		return d.Admit(ctx, a, id)
	case Validate:
		return d.step(ctx, a, Validate, id, "", func(c *Change) { c.Notice, c.Event.Detail["reason"] = NoticeValidated, reason })
	case Return:
		return d.Return(ctx, a, id, reason)
	case Reject:
		return d.Reject(ctx, a, id, reason)
	}
	_, err := d.approve(ctx, a, act, id, reason)
	return err
}

// Bulked is what BulkAll did.
type Bulked struct {
	Verdicts  []Verdict
	Remaining int // that match still: what was refused, and what was not tried
	// Next is the last one that was tried, to go on behind; nil when there is none behind.
	Next *Enrolment
}

// BulkAll is Bulk for what a filter chooses, those first that have waited longest, at most
// MaxBulk of them. A *[Refusal] "count_differs" when f.Count is not how many match.
func (d *Desk) BulkAll(ctx context.Context, a Actor, act Action, f BulkFilter, reason string) (Bulked, error) {
	from := steps()[act].from
	if act == Return || act == Reject {
		from = []State{Applied} // what is validated is returned by name
	}
	o := object{name: "enrolments", system: f.System, agency: f.Agency, detail: map[string]string{"system": f.System, "agency": f.Agency, "count": fmt.Sprint(f.Count)}}
	ev, err := d.decide(ctx, a, act, o)
	if err != nil {
		return Bulked{}, err
	}
	if len(from) != 1 {
		return Bulked{}, fmt.Errorf("%w: %s is not for many at once", ErrInvalid, act)
	}
	if f.Until.IsZero() || f.Until.After(d.Now()) {
		return Bulked{}, d.refuse(ctx, ev, entered("date_invalid", "until", "beri masa senarai itu dilihat", "give the time at which the list was seen"))
	}
	choice := Filter{State: from[0], System: f.System, Agency: f.Agency, Office: f.Office, Phase: f.Phase, Kind: f.Kind, Until: f.Until, AfterSince: f.AfterSince, AfterID: f.AfterID, Limit: MaxBulk}
	n, err := d.Records.CountEnrolments(ctx, choice)
	if err != nil {
		return Bulked{}, fmt.Errorf("counting enrolments: %w", err)
	}
	if n != f.Count {
		no := entered("count_differs", "count", fmt.Sprintf("%d pendaftaran sepadan: lihat senarai semula", n), fmt.Sprintf("%d enrolments match: look at the list again", n))
		no.is = ErrState
		return Bulked{}, d.refuse(ctx, ev, no)
	}
	list, err := d.Records.Enrolments(ctx, choice)
	if err != nil {
		return Bulked{}, fmt.Errorf("reading enrolments: %w", err)
	}
	ids := make([]string, len(list))
	for k := range list {
		ids[k] = list[k].ID
	}
	out := Bulked{Remaining: n}
	if out.Verdicts, err = d.Bulk(ctx, a, act, ids, reason); err != nil {
		return Bulked{}, err
	}
	for _, v := range out.Verdicts {
		if v.Err == nil {
			out.Remaining--
		}
	}
	if tried := len(out.Verdicts); tried > 0 && (tried < len(list) || tried == MaxBulk) {
		out.Next = &list[tried-1]
	}
	return out, nil
}

// rounds does what is due until nothing is left, several things at once. The error is the
// first; after one a round ends.
func (d *Desk) rounds(ctx context.Context) error {
	if ok, err := d.Once(ctx); !ok || err != nil {
		return err // most of the time there is nothing
	}
	errs := make(chan error, atOnce)
	for range atOnce {
		go func() {
			for {
				if ok, err := d.Once(ctx); !ok || err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	var first error
	for range atOnce {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}
