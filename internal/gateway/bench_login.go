package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
)

// LoginTiming says whether the time of a log-in tells who has an account, or a right
// password: Begin of its first step, Finish of a wrong code in the second. Forgotten is
// the first step of a forgotten password, of who is known and who is not.
type LoginTiming struct {
	Begin     Timing `json:"begin"`
	Finish    Timing `json:"finish"`
	Forgotten Timing `json:"forgotten"`
}

// loginClasses are who tries, in the order of the rows.
var loginClasses = []string{"known, right password", "known, wrong password", "unknown"}

// loginLeak is what the control adds for those who are known: less than half of a hash. A
// smaller one needs more samples and a quiet machine.
const loginLeak = 10 * time.Millisecond

// loginTiming times log-ins of each class in turn, in the database and module of the
// bench, mails left to a goroutine as when serving.
func (b *bench) loginTiming(ctx context.Context, samples int) (*LoginTiming, error) {
	known := enrol.Officer{IC: benchIC(1), Name: "KNOWN", Email: "known@mohor.example"}
	password := secret.New("kuda hijau membaca peta")
	a := b.loginAccounts(0)
	if err := a.SetPassword(ctx, enrol.Actor{Name: "bench"}, known, password); err != nil {
		return nil, err
	}
	out := &LoginTiming{}
	begin, finish, err := b.logins(ctx, "log-ins timed", a, known.IC, password, samples)
	if err != nil {
		return nil, err
	}
	leaks, _, err := b.logins(ctx, "log-ins timed, with a leak", b.loginAccounts(loginLeak), known.IC, password, samples)
	if err != nil {
		return nil, err
	}
	for t, took := range map[*Timing][][]float64{&out.Begin: begin, &out.Finish: finish} {
		t.Samples, t.Target = samples, timingTarget
		t.Rows, t.Worst = compareTimes(took)
		t.Met = t.Worst < t.Target
	}
	_, out.Begin.Control = compareTimes(leaks)
	out.Begin.ControlSeen = out.Begin.Control > timingTarget
	return out, b.forgottenTiming(ctx, &out.Forgotten, a, known.IC, samples)
}

// forgottenTiming times forgotten passwords as loginTiming does log-ins.
func (b *bench) forgottenTiming(ctx context.Context, t *Timing, a *enrol.Accounts, known string, samples int) error {
	took, err := b.forgotten(ctx, "forgotten passwords timed", a, known, samples)
	if err != nil {
		return err
	}
	leaks, err := b.forgotten(ctx, "forgotten passwords timed, with a leak", b.loginAccounts(loginLeak), known, samples)
	if err != nil {
		return err
	}
	t.Samples, t.Target = samples, timingTarget
	t.Rows, t.Worst = compareTimes(took)
	_, t.Control = compareTimes(leaks)
	t.Met, t.ControlSeen = t.Worst < t.Target, t.Control > t.Target
	return nil
}

func (b *bench) forgotten(ctx context.Context, what string, a *enrol.Accounts, known string, samples int) ([][]float64, error) {
	took, ics := make([][]float64, 2), []string{known, benchIC(2)}
	classes := []int{0, 1}
	for round := range samples {
		if round%timingRounds == 0 {
			b.Report(what, min(round+timingRounds, samples), samples)
		}
		rand.Shuffle(len(classes), func(x, y int) { classes[x], classes[y] = classes[y], classes[x] })
		for _, class := range classes {
			peer := enrol.Peer{Address: fmt.Sprintf("203.%d.%d.%d", round/62500%250, round/250%250, round%250)}
			start := time.Now()
			_, err := a.ForgotPassword(ctx, ics[class], peer)
			d := time.Since(start)
			if err != nil {
				return nil, fmt.Errorf("timing forgotten passwords: %w", err)
			}
			took[class] = append(took[class], micro(d))
			if err := a.Records.ForgetFailures(ctx, enrol.ForPassword+":"+ics[class]); err != nil {
				return nil, err
			}
		}
	}
	return took, nil
}

func (b *bench) loginAccounts(leak time.Duration) *enrol.Accounts {
	mail := &mailLater{courier: dropped{}, log: slog.New(slog.DiscardHandler)}
	issuer := &otp.Issuer{Codes: b.codes(), MAC: b.accounts(nil).MAC, Policy: otp.DefaultPolicy()}
	a := b.accounts(newLoginCodes(issuer, b.db.LoginCodes(), mail))
	if leak > 0 {
		a.Records = leakyAccounts{a.Records, leak}
	}
	return a
}

// leakyAccounts takes longer to find somebody who is there: what the measurement must see.
type leakyAccounts struct {
	enrol.AccountRecords
	leak time.Duration
}

// AccountByIC implements enrol.AccountRecords.
func (l leakyAccounts) AccountByIC(ctx context.Context, ic string) (enrol.Account, enrol.Proofs, error) {
	a, p, err := l.AccountRecords.AccountByIC(ctx, ic)
	for start := time.Now(); err == nil && time.Since(start) < l.leak; {
		sha256.Sum256([]byte(ic))
	}
	return a, p, err
}

func (b *bench) logins(ctx context.Context, what string, a *enrol.Accounts, known string, password secret.Text, samples int) (begin, finish [][]float64, err error) {
	begin, finish = make([][]float64, len(loginClasses)), make([][]float64, len(loginClasses))
	classes := []int{0, 1, 2}
	for round := range samples {
		if round%timingRounds == 0 {
			b.Report(what, min(round+timingRounds, samples), samples)
		}
		rand.Shuffle(len(classes), func(x, y int) { classes[x], classes[y] = classes[y], classes[x] })
		for _, class := range classes {
			at := enrol.Attempt{IC: known, Password: password, Peer: enrol.Peer{Address: fmt.Sprintf("198.51.%d.%d", round/250%250, round%250)}}
			switch class {
			case 1:
				at.Password = secret.New("kuda hijau membaca batu")
			case 2:
				at.IC = benchIC(2)
			}
			start := time.Now()
			l, err := a.Begin(ctx, at)
			d := time.Since(start)
			if err != nil {
				return nil, nil, fmt.Errorf("timing log-ins: %w", err)
			}
			begin[class] = append(begin[class], micro(d))
			start = time.Now()
			_, err = a.Finish(ctx, l.ID, secret.New("000000"), false, at.Peer, "")
			d = time.Since(start)
			if err != nil && !errors.Is(err, enrol.ErrWrongCode) {
				return nil, nil, fmt.Errorf("timing wrong codes of log-ins: %w", err)
			}
			finish[class] = append(finish[class], micro(d))
			if err := a.Records.ForgetFailures(ctx, "ic:"+at.IC); err != nil {
				return nil, nil, err
			}
		}
	}
	return begin, finish, nil
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
