package signer

import (
	"errors"
	"time"
)

// Outage says what becomes of documents while no time-stamp or no revocation data
// can be had. The zero value has them wait until their deadline.
type Outage struct {
	// FinishAtB finishes documents at the level they have reached, B-B or B-T, once
	// an outage lasts for Patience. They say so: Outcome.Level.
	FinishAtB bool
	// Patience is how long documents of a batch wait. A lone one, for which somebody
	// waits, does so for at most lonePatience.
	Patience time.Duration
}

const lonePatience = 5 * time.Second

// settle notes how an attempt to reach a document's level, begun at began, ended, and
// says whether the document is to be finished without. The outage is that of all documents of
// the authorisation: each of thousands does not wait anew.
func (s *Signer) settle(a *Authorization, began time.Time, err error) (finish bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.outage = time.Time{}
		return false
	}
	if !errors.Is(err, ErrTimestamp) { // the HSM's own words, the document's fault, the end of the run
		return false
	}
	if a.outage.IsZero() {
		a.outage = began
	}
	patience := s.Outage.Patience
	if a.Request.Count == 1 {
		patience = min(patience, lonePatience)
	}
	return s.Outage.FinishAtB && s.Now().Sub(a.outage) >= patience
}

// below says whether a document was finished below the level it was asked for.
func (o *Outcome) below(asked *Options) bool {
	return o.Refused == nil && o.Level != "" && o.Level != reached(asked, o.Index)
}

// reached is the level of a document for which nothing was wanting; "" where there
// are no levels.
func reached(o *Options, index uint32) string {
	level := o.of(index).Level
	if level == "" && o.Format != RAW {
		return "B-B"
	}
	return level
}
