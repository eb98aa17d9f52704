package notify

import (
	"errors"
	"sync"
	"time"
)

// lastMail is what became of the newest mails of this process.
type lastMail struct {
	mu               sync.Mutex
	accepted, failed time.Time
	why              error
}

// note takes the outcome of a delivery. A server that judged the message works.
func (l *lastMail) note(at time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var failure *DeliveryError
	switch {
	case err == nil:
		l.accepted, l.failed, l.why = at, time.Time{}, nil
	case errors.As(err, &failure) && failure.judged:
		l.failed, l.why = time.Time{}, nil
	default:
		l.failed, l.why = time.Now(), err
	}
}

// Last is when the mail server took a mail last (zero: none since the start), and if it has not since,
// when by the machine's clock it failed to judge one last, and why.
func (m *Mailer) Last() (accepted, failed time.Time, why error) {
	m.last.mu.Lock()
	defer m.last.mu.Unlock()
	return m.last.accepted, m.last.failed, m.last.why
}
