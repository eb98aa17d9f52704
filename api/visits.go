package api

import (
	"io"
	"sync"
	"time"
)

// How many PDFs of the public are taken in at once, in all and from one network, and how long one may
// take to arrive: whoever sends slowly keeps others away no longer than that.
const (
	maxVisits    = 16
	visitsOfOne  = 4
	visitArrives = 3 * time.Minute
)

// visits are the uploads of the public that are under way.
type visits struct {
	mu   sync.Mutex
	all  int
	from map[string]int
}

// enter takes a place; false when there is none for this network now.
func (v *visits) enter(from string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.all >= maxVisits || v.from[from] >= visitsOfOne {
		return false
	}
	if v.from == nil {
		v.from = make(map[string]int)
	}
	v.all++
	v.from[from]++
	return true
}

func (v *visits) leave(from string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all--
	if v.from[from]--; v.from[from] == 0 {
		delete(v.from, from)
	}
}

// hurried is a body that has to arrive by a time.
type hurried struct {
	io.Reader
	until time.Time
}

// Read implements io.Reader. What comes at all comes within stallAfter.
func (h hurried) Read(p []byte) (int, error) {
	if !time.Now().Before(h.until) {
		return 0, fixed("body", "It did not arrive within three minutes.", "Ia tidak sampai dalam tiga minit.")
	}
	return h.Reader.Read(p)
}
