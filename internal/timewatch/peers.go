package timewatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/beevik/ntp"
)

// Ask asks a peer for the time.
type Ask func(ctx context.Context, peer string) (Answer, error)

// Answer is what a peer said.
type Answer struct {
	Offset   time.Duration // what is to be added to the wall clock to have the peer's
	Distance time.Duration // Offset may be wrong by so much: half the way to the peer, and all that it says of its own time
}

// KissError is a kiss-o'-death: the peer does not want to be asked (RFC 5905,
// Section 7.4).
type KissError struct{ Code string }

func (e *KissError) Error() string { return fmt.Sprintf("it sends a kiss-o'-death, code %q", e.Code) }

// maxAsk bounds a question, from the look-up of the name to the answer; maxDistance
// the distance of a peer from its source of time (MAXDIST, RFC 5905, Section 7.2).
const (
	maxAsk      = 5 * time.Second
	maxDistance = 1500 * time.Millisecond
)

// port is where NTP servers are asked unless another is given.
const port = "123"

// CheckPeer says whether a peer is written as host, host:port or [IPv6]:port.
func CheckPeer(peer string) error {
	_, err := address(peer)
	return err
}

func address(peer string) (string, error) {
	host, p, err := net.SplitHostPort(peer)
	if err != nil {
		host, p = strings.TrimSuffix(strings.TrimPrefix(peer, "["), "]"), port
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", err
		}
	}
	if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %q of peer %q", p, peer)
	}
	if host == "" || strings.ContainsAny(host, "/@ []") {
		return "", fmt.Errorf("host of peer %q", peer)
	}
	return net.JoinHostPort(host, p), nil
}

// AskNTP asks an NTP server once, as a client of version 4 (RFC 5905, Section 14).
// The answer is one to this question, by a synchronised server of stratum 1 to 15.
func AskNTP(ctx context.Context, peer string) (Answer, error) {
	to, err := address(peer)
	if err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxAsk)
	defer cancel()
	var stop func() bool
	r, err := ntp.QueryWithOptions(to, ntp.QueryOptions{Timeout: maxAsk, Dialer: func(_, to string) (net.Conn, error) {
		// A connected socket: nobody else's datagrams are read.
		conn, err := new(net.Dialer).DialContext(ctx, "udp", to)
		if err == nil {
			stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		}
		return conn, err
	}})
	if stop != nil {
		stop()
	}
	if err != nil {
		return Answer{}, err
	}
	switch err := r.Validate(); {
	case errors.Is(err, ntp.ErrKissOfDeath):
		return Answer{}, &KissError{r.KissCode}
	case err != nil:
		return Answer{}, err
	case r.RootDistance > maxDistance:
		return Answer{}, fmt.Errorf("it is %s apart from its source of time", r.RootDistance)
	}
	return Answer{r.ClockOffset, r.RootDistance}, nil // RFC 5905, Section 11.2
}

// PeerAnswer is the answer of one peer, or why there is none that can be used.
type PeerAnswer struct {
	Peer string
	Answer
	Agrees bool
	Err    error
}

// Survey asks peers at the same time, in their order. One agrees when the clock is right to
// maxOffset whatever the error of its answer, and has given none when that could be so or not.
func Survey(ctx context.Context, ask Ask, peers []string, maxOffset time.Duration) []PeerAnswer {
	round := make([]PeerAnswer, len(peers))
	var wg sync.WaitGroup
	for k, p := range peers {
		wg.Go(func() {
			a, err := ask(ctx, p)
			agrees := err == nil && a.Offset.Abs()+a.Distance <= maxOffset
			if err == nil && !agrees && a.Offset.Abs()-a.Distance <= maxOffset {
				err = fmt.Errorf("its answer, %s, may be wrong by %s", a.Offset.Round(time.Millisecond), a.Distance.Round(time.Millisecond))
			}
			round[k] = PeerAnswer{p, a, agrees, err}
		})
	}
	wg.Wait()
	return round
}

// count counts answers, and gives the median offset of the larger part.
func count(round []PeerAnswer) (agree, disagree int, median time.Duration) {
	var yes, no []PeerAnswer
	for _, a := range round {
		switch {
		case a.Agrees:
			yes = append(yes, a)
		case a.Err == nil:
			no = append(no, a)
		}
	}
	part := yes
	if len(no) > len(yes) {
		part = no
	}
	if len(part) > 0 {
		slices.SortFunc(part, func(a, b PeerAnswer) int { return cmp.Compare(a.Offset, b.Offset) })
		median = part[(len(part)-1)/2].Offset
	}
	return len(yes), len(no), median
}

// silence is kept towards a peer that sent a kiss-o'-death.
type silence struct {
	until time.Duration // on the Boot clock
	next  time.Duration // how long the next one will be
}

// The least and the most that is kept; RFC 4330, Section 8, wants the interval to
// grow at RATE and no question more at DENY and RSTR, which one who forges the
// answer could send, too.
const (
	leastSilence = 2 * time.Minute
	mostSilence  = time.Hour
)

func (s silence) after(a PeerAnswer, now time.Duration) silence {
	var kiss *KissError
	if !errors.As(a.Err, &kiss) {
		return silence{}
	}
	wait := min(max(s.next, leastSilence), mostSilence)
	if kiss.Code != "RATE" {
		wait = mostSilence
	}
	return silence{until: now + wait, next: 2 * wait}
}
