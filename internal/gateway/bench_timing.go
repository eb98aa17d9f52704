package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

const (
	maxSamples = 1_000_000
	// timingTarget is what |t| stays below where there is nothing to see: chance passes it once in
	// 150,000 comparisons.
	timingTarget = 4.5
	// A code is made anew after so many rounds, so that it is not one code that is measured.
	timingRounds = 100
)

// Timing says whether the time of a refusal tells where the first wrong digit is.
type Timing struct {
	Samples int         `json:"samples"` // for each place
	Rows    []TimingRow `json:"rows"`
	Worst   float64     `json:"worst_t"` // the largest |t| of the rows
	Target  float64     `json:"target"`
	Met     bool        `json:"met"`
	// Control is the largest |t| of the same measurement where each right digit before the first
	// wrong one costs a SHA-256 of 64 bytes; ControlSeen says that it passed the target.
	Control     float64 `json:"control_t"`
	ControlSeen bool    `json:"control_seen"`
}

// TimingRow is one place: refusals there against those at all other places.
type TimingRow struct {
	Place  int     `json:"first_wrong_digit"` // from 1; of log-ins: who tried
	Median float64 `json:"median_us"`
	T      float64 `json:"t"` // Welch's
	// Cropped is Welch's t without the slowest tenth of all samples, which is what the machine's
	// other work is in.
	Cropped float64 `json:"t_cropped"`
}

// codeTiming times wrong codes of each place in turn, by the code that judges officers', with the
// module's MAC; the database is left out, because all it is told of a code is that it was tried.
func (b *bench) codeTiming(ctx context.Context, samples int) (*Timing, error) {
	mac := macKey{b.hsm, hsm.CodeKey}
	t := &Timing{Samples: samples, Target: timingTarget}
	var err error
	if t.Rows, t.Worst, err = b.refusals(ctx, "refusals timed", &onlyCode{}, mac, samples); err != nil {
		return nil, err
	}
	leaks := &onlyCode{}
	_, t.Control, err = b.refusals(ctx, "refusals timed, with a leak", leaks, leaky{mac, leaks}, samples)
	t.Met, t.ControlSeen = t.Worst < t.Target, t.Control > t.Target
	return t, err
}

func (b *bench) refusals(ctx context.Context, what string, only *onlyCode, mac otp.MAC, samples int) ([]TimingRow, float64, error) {
	i := &otp.Issuer{Records: only, Codes: only, MAC: mac, Senders: map[string]otp.Sender{signer.Email: only}, Policy: otp.DefaultPolicy()}
	binding := otp.Binding{Transaction: "tx_bench", Officer: benchIC(0), Key: "cr_bench", App: benchApp, Purpose: "sign", Count: 1}
	took := make([][]float64, otp.Digits)
	places := []int{0, 1, 2, 3, 4, 5}
	for round := range samples {
		if round%timingRounds == 0 {
			only.code.Wipe()
			if _, err := i.Issue(ctx, binding, signer.Email, "", otp.Message{}, audit.Event{}); err != nil {
				return nil, 0, err
			}
			b.Report(what, round+timingRounds, samples)
		}
		rand.Shuffle(len(places), func(x, y int) { places[x], places[y] = places[y], places[x] })
		for _, place := range places {
			code := wrongFrom(only.code.Reveal(), place)
			start := time.Now()
			_, err := i.Check(ctx, binding, only.challenge.Nonce, code)
			d := time.Since(start)
			if !errors.Is(err, otp.ErrWrong) {
				return nil, 0, fmt.Errorf("timing wrong codes: %w", err)
			}
			took[place] = append(took[place], float64(d.Nanoseconds())/1000)
		}
	}
	rows, worst := compareTimes(took)
	return rows, worst, nil
}

// wrongFrom is right up to a place, wrong there, and anything behind it.
func wrongFrom(right []byte, place int) secret.Text {
	code := slices.Clone(right)
	code[place] = '0' + (code[place]-'0'+byte(1+rand.IntN(9)))%10
	for k := place + 1; k < len(code); k++ {
		code[k] = '0' + byte(rand.IntN(10))
	}
	return secret.NewBytes(code)
}

// compareTimes compares each class of samples with all others.
func compareTimes(took [][]float64) (rows []TimingRow, worst float64) {
	slowest := quantile(slices.Concat(took...), 0.9)
	fast := make([][]float64, len(took))
	for k, v := range took {
		fast[k] = slices.DeleteFunc(slices.Clone(v), func(x float64) bool { return x > slowest })
	}
	others := func(all [][]float64, k int) []float64 {
		return slices.Concat(slices.Concat(all[:k]...), slices.Concat(all[k+1:]...))
	}
	for k := range took {
		r := TimingRow{Place: k + 1, Median: quantile(took[k], 0.5), T: welch(took[k], others(took, k)), Cropped: welch(fast[k], others(fast, k))}
		worst = max(worst, math.Abs(r.T), math.Abs(r.Cropped))
		rows = append(rows, r)
	}
	return rows, worst
}

func quantile(v []float64, p float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[int(p*float64(len(v)-1))]
}

// welch is Welch's t of two samples, 0 where they do not vary.
func welch(a, b []float64) float64 {
	moments := func(v []float64) (mean, of float64) {
		for _, x := range v {
			mean += x / float64(len(v))
		}
		for _, x := range v {
			of += (x - mean) * (x - mean)
		}
		return mean, of / float64(max(1, len(v)-1)) / float64(len(v))
	}
	m, v := moments(a)
	n, w := moments(b)
	if v+w == 0 {
		return 0
	}
	return (m - n) / math.Sqrt(v+w)
}

// onlyCode is one code that may be tried for ever, and the stores and mail it is in.
type onlyCode struct {
	challenge otp.Challenge
	mac       []byte
	code      secret.Text
}

func (o *onlyCode) StoreChallenge(_ context.Context, c *otp.Challenge, _ otp.Policy, _ audit.Event) error {
	o.challenge = *c
	return nil
}
func (o *onlyCode) Withdraw(context.Context, otp.Challenge, bool, audit.Event) error { return nil }
func (*onlyCode) StoreDelivery(context.Context, string, [otp.NonceSize]byte, otp.Delivery, audit.Event) (bool, error) {
	return true, nil
}

func (o *onlyCode) Challenge(context.Context, string) (otp.Challenge, error) { return o.challenge, nil }
func (o *onlyCode) ReserveTry(context.Context, string, [otp.NonceSize]byte) (int, error) {
	return 1, nil
}
func (o *onlyCode) Put(_ context.Context, _ string, mac []byte, _ time.Duration) error {
	o.mac = mac
	return nil
}
func (o *onlyCode) Find(context.Context, string) error               { return nil }
func (o *onlyCode) Try(context.Context, string, int) ([]byte, error) { return o.mac, nil }
func (o *onlyCode) Drop(context.Context, string) error               { return nil }
func (o *onlyCode) SendCode(_ context.Context, m otp.Message) error {
	o.code = secret.New(string(m.Code.Reveal()))
	return nil
}

// leaky takes longer with each right digit: what the measurement must see.
type leaky struct {
	mac  otp.MAC
	only *onlyCode
}

func (l leaky) MAC(ctx context.Context, data []byte) ([]byte, error) {
	// The digits are the end of what the MAC is made of.
	given, right := data[len(data)-otp.Digits:], l.only.code.Reveal()
	var block [64]byte
	for k := 0; k < len(right) && given[k] == right[k]; k++ {
		sum := sha256.Sum256(block[:])
		copy(block[:], sum[:])
	}
	return l.mac.MAC(ctx, data)
}
