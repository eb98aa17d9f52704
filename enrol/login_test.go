package enrol_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/store/storetest"
)

var mimi = enrol.Officer{IC: "820101145678", Name: "MIMI BINTI OMAR", Email: "mimi@jpk.example"}

const goodPassword = "kuda hijau membaca peta"

// codes is enrol.LoginCodes in memory: it remembers what was mailed, and has no tries.
type codes struct {
	mu   sync.Mutex
	made map[string]string
	sent int
	last string
}

func (c *codes) Send(_ context.Context, login string, _ enrol.Account, deliver bool) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made[login] = fmt.Sprintf("%06d", 100000+len(c.made))
	if c.last = ""; deliver {
		c.sent, c.last = c.sent+1, c.made[login]
	}
	return time.Now().Add(time.Minute), nil
}

func (c *codes) Check(_ context.Context, login string, _ enrol.Account, code secret.Text) (bool, int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made[login] == string(code.Reveal()), 2, nil
}

// people is a house with accounts.
type people struct {
	*storetest.House
	*enrol.Accounts
	codes *codes
}

func newPeople(t testing.TB, base string) *people {
	t.Helper()
	h, c := house(t), &codes{made: map[string]string{}}
	p := &people{h, enrol.NewAccounts(enrol.AccountConfig{Records: h.DB, MAC: storetest.MAC("a key"), Codes: c, Now: h.Clock.Now, BaseURL: base,
		OfficerIdle: 30 * time.Minute, AdministratorIdle: 15 * time.Minute, Absolute: 12 * time.Hour}), c}
	must(t, p.SetPassword(ctx, enrol.Actor{Name: "test"}, mimi, secret.New(goodPassword)))
	return p
}

func (p *people) begin(t testing.TB, ic, password, device string) enrol.Login {
	t.Helper()
	l, err := p.Begin(ctx, enrol.Attempt{IC: ic, Password: secret.New(password), Device: device, Peer: enrol.Peer{Address: "10.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (p *people) finish(id, code string) (enrol.Opened, error) {
	return p.Finish(ctx, id, secret.New(code), false, enrol.Peer{Address: "10.0.0.1", Agent: "test\x1b[31m"}, "r")
}

// enter logs an officer in.
func (p *people) enter(t testing.TB, device string) enrol.Opened {
	t.Helper()
	l := p.begin(t, mimi.IC, goodPassword, device)
	o, err := p.finish(l.ID, p.codes.last)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (p *people) holds(t testing.TB, o enrol.Opened, want error) enrol.Person {
	t.Helper()
	who, err := p.Authenticate(ctx, o.Token, "r")
	if !errors.Is(err, want) {
		t.Fatalf("authenticated: %v, want %v", err, want)
	}
	return who
}

func TestLogInNeedsPasswordAndCode(t *testing.T) {
	p := newPeople(t, "")
	for what, c := range map[string]struct{ ic, password string }{
		"a wrong password": {mimi.IC, goodPassword + "x"}, "no password": {mimi.IC, ""}, "nobody": {"820101145679", goodPassword},
		"a password cut": {mimi.IC, goodPassword[:20]}, "too long a password": {mimi.IC, strings.Repeat(goodPassword, 100)},
	} {
		l := p.begin(t, c.ic, c.password, "")
		if p.codes.last != "" || p.codes.sent != 0 {
			t.Errorf("%s: a code was mailed", what)
		}
		// Not even the code that was made and not mailed opens it.
		if _, err := p.finish(l.ID, p.codes.made[l.ID]); !errors.Is(err, enrol.ErrWrongCode) {
			t.Errorf("%s: %v", what, err)
		}
		must(t, p.DB.ForgetFailures(ctx, "ic:"+c.ic))
	}
	l := p.begin(t, mimi.IC, goodPassword, "")
	if _, err := p.finish(l.ID, "000000"); !errors.Is(err, enrol.ErrWrongCode) {
		t.Errorf("a wrong code: %v", err)
	}
	o, err := p.finish(l.ID, p.codes.last)
	must(t, err)
	who := p.holds(t, o, nil)
	if who.Actor.Name != "account:"+who.Account.ID || who.Actor.IC != mimi.IC || who.Session.Method != enrol.ByCode || who.Session.Agent != "test[31m" || len(who.Actor.Appointments) != 0 {
		t.Errorf("%+v", who)
	}
	if _, err := p.finish(l.ID, p.codes.last); !errors.Is(err, enrol.ErrUsed) {
		t.Errorf("the code again: %v", err)
	}
	if _, err := p.finish("lg_other", p.codes.last); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("another's log-in: %v", err)
	}
	// The same character from another keyboard is the same password.
	must(t, p.SetPassword(ctx, enrol.Actor{Name: "test"}, mimi, secret.New("caf\u00e9 di tepi sungai")))
	p.begin(t, mimi.IC, "cafe\u0301 di tepi sungai", "")
	if p.codes.last == "" {
		t.Error("a decomposed password was refused")
	}
}

// A log-in that began with the old password does not end behind a change of it.
func TestChangedPasswordEndsLogIns(t *testing.T) {
	p := newPeople(t, "")
	l := p.begin(t, mimi.IC, goodPassword, "")
	code := p.codes.last
	must(t, p.SetPassword(ctx, enrol.Actor{Name: "test"}, mimi, secret.New("another "+goodPassword)))
	if o, err := p.finish(l.ID, code); !errors.Is(err, enrol.ErrWrongCode) {
		t.Errorf("the old password opened %+v, %v", o.Session, err)
	}
}

func TestParallelFinishOpensOneSession(t *testing.T) {
	p := newPeople(t, "")
	l := p.begin(t, mimi.IC, goodPassword, "")
	code := p.codes.last
	var wg sync.WaitGroup
	var mu sync.Mutex
	opened := 0
	for range 20 {
		wg.Go(func() {
			if _, err := p.finish(l.ID, code); err == nil {
				mu.Lock()
				opened++
				mu.Unlock()
			} else if !errors.Is(err, enrol.ErrUsed) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if opened != 1 {
		t.Errorf("one code opened %d sessions", opened)
	}
}

func TestSessionsEnd(t *testing.T) {
	p := newPeople(t, "")
	o := p.enter(t, "")
	p.Clock.Advance(30*time.Minute - time.Second)
	p.holds(t, o, nil) // and is used, so half an hour begins anew
	p.Clock.Advance(30 * time.Minute)
	p.holds(t, o, enrol.ErrUnknown)

	o = p.enter(t, "")
	for range 24*2 - 1 {
		p.Clock.Advance(15 * time.Minute)
		p.holds(t, o, nil)
	}
	p.Clock.Advance(15 * time.Minute)
	p.holds(t, o, enrol.ErrUnknown) // twelve hours, though it was used

	p.Clock.Advance(time.Second)
	must(t, p.Sweep(ctx)) // what has ended is forgotten
	a, b, c := p.enter(t, ""), p.enter(t, ""), p.enter(t, "")
	who := p.holds(t, a, nil)
	if list, err := p.Sessions(ctx, who); err != nil || len(list) != 3 {
		t.Errorf("%d sessions, %v", len(list), err)
	}
	must(t, p.Close(ctx, who, b.Session.ID))
	p.holds(t, b, enrol.ErrUnknown)
	if err := p.Close(ctx, who, b.Session.ID); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("closed twice: %v", err)
	}
	other := enrol.Person{Account: enrol.Account{ID: "ac_other"}}
	if err := p.Close(ctx, other, a.Session.ID); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("another's session was closed: %v", err)
	}
	if n, err := p.CloseOthers(ctx, who); n != 1 || err != nil {
		t.Errorf("%d others, %v", n, err)
	}
	p.holds(t, c, enrol.ErrUnknown)

	if err := p.ChangePassword(ctx, who, secret.New("wrong"), secret.New("sungai panjang tujuh batu")); !errors.Is(err, enrol.ErrWrongPassword) {
		t.Errorf("changed with a wrong one: %v", err)
	}
	if err := p.ChangePassword(ctx, who, secret.New(goodPassword), secret.New("password12")); !errors.Is(err, enrol.ErrPassword) {
		t.Errorf("a common one: %v", err)
	}
	must(t, p.ChangePassword(ctx, who, secret.New(goodPassword), secret.New("sungai panjang tujuh batu")))
	p.holds(t, a, enrol.ErrUnknown)
	if p.begin(t, mimi.IC, goodPassword, ""); p.codes.last != "" {
		t.Error("the old password goes on")
	}
}

// Strangers close the strangers' door, longer and longer, and never the one of a
// device on which the officer has logged in.
func TestFailuresHoldUpStrangersAlone(t *testing.T) {
	p := newPeople(t, "")
	device := string(p.enter(t, "").Device.Reveal())
	right := func(device string) bool {
		t.Helper()
		p.begin(t, mimi.IC, goodPassword, device)
		return p.codes.last != ""
	}
	for range 5 {
		p.begin(t, mimi.IC, "a stranger guesses", "")
	}
	if right("") {
		t.Error("after five failures a stranger went on at once")
	}
	if !right(device) {
		t.Error("a stranger locked the officer out")
	}
	for _, forged := range []string{device[:len(device)-4] + "AAAA", "AAAA", device + "A", strings.Repeat("A", len(device))} {
		if right(forged) {
			t.Errorf("a forged device opened the door: %q", forged)
		}
	}
	p.Clock.Advance(time.Minute)
	if !right("") {
		t.Error("the door stays closed after its minute")
	}
	if p.Clock.Advance(time.Minute); right("") {
		t.Error("the second delay is not longer")
	}
	// 90 more, each after its delay: at 100 it stays closed.
	for range 120 {
		p.Clock.Advance(25 * time.Hour)
		p.begin(t, mimi.IC, "a stranger guesses", "")
	}
	if p.Clock.Advance(30 * 24 * time.Hour); right("") {
		t.Error("after 100 failures the door opened by itself")
	}
	must(t, p.SetPassword(ctx, enrol.Actor{Name: "test"}, mimi, secret.New(goodPassword)))
	if !right("") {
		t.Error("a new password does not open the door")
	}
	if p.begin(t, mimi.IC, "wrong", device); p.codes.last != "" {
		t.Error("a device lets in")
	}
}

// What closes a device's own door is opened by whoever opens the officer's.
func TestClearFailuresOpensEveryDoor(t *testing.T) {
	p := newPeople(t, "")
	device := string(p.enter(t, "").Device.Reveal())
	for range 8 {
		p.begin(t, mimi.IC, "mistyped", device)
	}
	p.begin(t, mimi.IC, goodPassword, device)
	if p.codes.last != "" {
		t.Fatal("the device was not held up")
	}
	d := &enrol.Desk{Registrar: p.Registrar, Records: p.DB}
	if cleared, err := d.ClearFailures(ctx, p.DB, enrol.Actor{Name: "cli:t"}, mimi.IC, "MyKad seen"); err != nil || !cleared {
		t.Fatalf("cleared: %v, %v", cleared, err)
	}
	p.begin(t, mimi.IC, goodPassword, device)
	if p.codes.last == "" {
		t.Error("the right password on that device is still held up")
	}
}

// countingMAC counts what is asked of the HSM for devices.
type countingMAC struct {
	of storetest.MAC
	n  *int
}

func (m countingMAC) MAC(ctx context.Context, data []byte) ([]byte, error) {
	if strings.HasPrefix(string(data), "mohor device") {
		*m.n++
	}
	return m.of.MAC(ctx, data)
}

// A stranger's invented devices cost the HSM no more than failures are allowed.
func TestForgedDevicesAreBounded(t *testing.T) {
	p := newPeople(t, "")
	device, err := base64.RawURLEncoding.DecodeString(string(p.enter(t, "").Device.Reveal()))
	must(t, err)
	n := 0
	c := p.AccountConfig
	c.MAC = countingMAC{storetest.MAC("a key"), &n}
	a := enrol.NewAccounts(c)
	device[len(device)-1] ^= 1
	for range 200 {
		_, err := a.Begin(ctx, enrol.Attempt{IC: mimi.IC, Password: secret.New("a guess"), Device: base64.RawURLEncoding.EncodeToString(device), Peer: enrol.Peer{Address: "10.9.9.9"}})
		if err != nil && !errors.Is(err, enrol.ErrThrottled) {
			t.Fatal(err)
		}
	}
	if n == 0 || n > 60 {
		t.Errorf("200 invented devices cost the HSM %d MACs", n)
	}
	expired := bytes.Clone(device)
	clear(expired[8:16])
	before := n
	_, err = a.Begin(ctx, enrol.Attempt{IC: mimi.IC, Password: secret.New("a guess"), Device: base64.RawURLEncoding.EncodeToString(expired), Peer: enrol.Peer{Address: "10.9.9.8"}})
	if must(t, err); n != before {
		t.Error("an expired device cost a MAC")
	}
}

func TestAddressesAreHeldUp(t *testing.T) {
	p := newPeople(t, "")
	device := string(p.enter(t, "").Device.Reveal())
	refused := 0
	at := func(n int, device string) error {
		_, err := p.Begin(ctx, enrol.Attempt{IC: fmt.Sprintf("8201011%05d", n), Password: secret.New("a guess"), Device: device, Peer: enrol.Peer{Address: "10.9.9.9"}})
		return err
	}
	for n := range 70 {
		if err := at(n, ""); errors.Is(err, enrol.ErrThrottled) {
			refused++
		} else {
			must(t, err)
		}
	}
	if refused != 10 {
		t.Errorf("%d of 70 guesses were held up, want 10", refused)
	}
	if _, err := p.Begin(ctx, enrol.Attempt{IC: mimi.IC, Password: secret.New(goodPassword), Device: device, Peer: enrol.Peer{Address: "10.9.9.9"}}); err != nil {
		t.Errorf("a remembered device behind that address: %v", err)
	}
	if p.Clock.Advance(10 * time.Second); at(71, "") != nil {
		t.Error("the count does not leak")
	}
	// Strangers do not fill the chain: one event tells of them all.
	before := refusals(t, p)
	must(t, p.Sweep(ctx))
	if n := refusals(t, p); n > before+1 || n == 0 || n > 4 {
		t.Errorf("%d events for 61 refusals", n)
	}
}

func refusals(t testing.TB, p *people) (n int) {
	for _, r := range storetest.Chain(t, p.DB) {
		if r.Action == "session.open" && r.Verdict == "refused" {
			n++
		}
	}
	return n
}

func TestPasswordPolicy(t *testing.T) {
	for password, reason := range map[string]string{
		"kuda hijau": "", "sembilan1": "password_too_short", strings.Repeat("ab cd efg ", 7): "password_too_long", "password123": "password_common",
		"8201011456": "password_holds_ic", "01011982xx!": "password_holds_ic", "mimi binti omar": "password_holds_name", "qwertyuiop": "password_sequence", "aaaaaaaaaaaa": "password_repeated", "kuda\x00hijau besar": "password_character",
	} {
		err := enrol.CheckPassword(secret.New(password), mimi)
		var bad *enrol.PasswordError
		if errors.As(err, &bad); reason == "" && err != nil || reason != "" && (bad == nil || bad.Reason != reason) {
			t.Errorf("%q: %v, want %q", password, err, reason)
		}
		if bad != nil && (strings.Contains(bad.Error(), "PIN") || strings.Contains(bad.Error(), password)) {
			t.Errorf("%q: said %q", password, bad.Error())
		}
	}
}

// totp is what the app shows.
func (p *people) totp(t testing.TB, seed enrol.Seed, steps int64) string {
	t.Helper()
	code, err := hotp.GenerateCodeCustom(string(seed.Base32.Reveal()), uint64(p.Clock.Now().Unix()/30+steps), hotp.ValidateOpts{Digits: otp.DigitsSix})
	must(t, err)
	return code
}

var (
	boss         = enrol.Officer{IC: "700202105432", Name: "LIM AH KOW", Email: "lim@jdn.example"}
	bossPassword = "tujuh belas kerusi rotan"
)

var machine = enrol.Actor{Name: "cli:test"}

// successor is another central administrator who can log in.
func (p *people) successor(t testing.TB) enrol.Actor {
	t.Helper()
	a, code, err := p.CreateAdministrator(ctx, machine, enrol.Officer{IC: "700202105433", Name: "OOI", Email: "ooi@jdn.example"}, enrol.Appointment{Role: enrol.JDN, From: p.Clock.Now()})
	must(t, err)
	seed, err := p.BeginSetup(ctx, code, "r")
	must(t, err)
	_, err = p.CompleteSetup(ctx, code, secret.New(bossPassword), secret.New(p.totp(t, seed, 0)), "r")
	must(t, err)
	return enrol.Actor{Name: "account:" + a.ID, IC: a.IC, LoggedIn: p.Clock.Now(), Appointments: a.Appointments}
}

// administrator makes and sets up boss.
func (p *people) administrator(t testing.TB) (enrol.Account, enrol.Seed) {
	t.Helper()
	a, code, err := p.CreateAdministrator(ctx, enrol.Actor{Name: "cli:test"}, boss, enrol.Appointment{Role: enrol.JDN, From: p.Clock.Now()})
	must(t, err)
	seed, err := p.BeginSetup(ctx, code, "r")
	must(t, err)
	if _, err := p.CompleteSetup(ctx, code, secret.New(bossPassword), secret.New("000000"), "r"); !errors.Is(err, enrol.ErrWrongCode) {
		t.Fatalf("set up without the app: %v", err)
	}
	_, err = p.CompleteSetup(ctx, code, secret.New(bossPassword), secret.New(p.totp(t, seed, 0)), "r")
	must(t, err)
	if _, err := p.BeginSetup(ctx, code, "r"); !errors.Is(err, enrol.ErrUnknown) {
		t.Fatalf("a set-up code was used twice: %v", err)
	}
	return a, seed
}

func TestAdministratorNeedsTOTP(t *testing.T) {
	p := newPeople(t, "")
	a, seed := p.administrator(t)
	l := p.begin(t, boss.IC, bossPassword, "")
	if p.codes.sent != 0 {
		t.Error("an administrator was sent a code")
	}
	for what, code := range map[string]string{"the code that was made": p.codes.made[l.ID], "the step of the set-up": p.totp(t, seed, 0), "two steps on": p.totp(t, seed, 2), "nothing": ""} {
		if _, err := p.finish(l.ID, code); !errors.Is(err, enrol.ErrWrongCode) {
			t.Errorf("%s: %v", what, err)
		}
	}
	p.Clock.Advance(30 * time.Second)
	now := p.totp(t, seed, 0)
	o, err := p.finish(l.ID, now)
	must(t, err)
	who := p.holds(t, o, nil)
	if who.Session.Method != enrol.ByTOTP || len(who.Actor.Appointments) != 1 || who.Actor.Appointments[0].Role != enrol.JDN {
		t.Errorf("%+v", who)
	}
	l = p.begin(t, boss.IC, bossPassword, "")
	if _, err := p.finish(l.ID, now); !errors.Is(err, enrol.ErrWrongCode) {
		t.Errorf("a TOTP within its step again: %v", err)
	}
	if _, err := p.finish(l.ID, p.totp(t, seed, 1)); err != nil {
		t.Errorf("the next step: %v", err)
	}
	p.Clock.Advance(15 * time.Minute)
	p.holds(t, o, enrol.ErrUnknown)

	// The confirmation of an officer's enrolment does not touch an administrator.
	if err := p.SetPassword(ctx, enrol.Actor{Name: "test"}, boss, secret.New(goodPassword)); !errors.Is(err, enrol.ErrExists) {
		t.Errorf("an enrolment set an administrator's password: %v", err)
	}
	if _, _, err := p.CreateAdministrator(ctx, enrol.Actor{Name: "cli:test"}, boss, enrol.Appointment{Role: enrol.Auditor, From: p.Clock.Now()}); !errors.Is(err, enrol.ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	enter := func(pass string) enrol.Opened {
		t.Helper()
		p.Clock.Advance(time.Minute)
		l := p.begin(t, boss.IC, pass, "")
		o, err := p.finish(l.ID, p.totp(t, seed, 0))
		must(t, err)
		return o
	}
	o = enter(bossPassword)
	appointed, none, err := p.Appoint(ctx, machine, boss, enrol.Appointment{Role: enrol.Auditor, From: p.Clock.Now(), Document: "JDN.100-1/2"})
	if err != nil || len(none.Reveal()) != 0 || appointed.Appointment.Awaits || appointed.Account.ID != a.ID {
		t.Fatalf("%+v, %v", appointed, err)
	}
	if who := p.holds(t, o, nil); len(who.Actor.Appointments) != 2 {
		t.Errorf("%+v", who.Actor.Appointments)
	}
	must(t, p.EndAppointment(ctx, machine, appointed.Appointment.ID, p.Clock.Now(), "JDN.100-1/3"))
	p.holds(t, o, enrol.ErrUnknown)
	o = enter(bossPassword)
	if who := p.holds(t, o, nil); len(who.Actor.Appointments) != 1 || who.Actor.Appointments[0].Role != enrol.JDN {
		t.Errorf("%+v", who.Actor.Appointments)
	}

	code, err := p.ResetAdministrator(ctx, machine, a.ID, "")
	must(t, err)
	p.holds(t, o, enrol.ErrUnknown)
	l = p.begin(t, boss.IC, bossPassword, "")
	p.Clock.Advance(time.Minute)
	if _, err := p.finish(l.ID, p.totp(t, seed, 0)); !errors.Is(err, enrol.ErrWrongCode) {
		t.Errorf("after a reset: %v", err)
	}
	p.Clock.Advance(enrol.SetupFor)
	if _, err := p.BeginSetup(ctx, code, "r"); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("an expired set-up code: %v", err)
	}
	if err := p.EndAccount(ctx, machine, a.ID); !errors.Is(err, enrol.ErrLastJDN) {
		t.Errorf("the last JDN's account was ended: %v", err)
	}
	p.successor(t)
	must(t, p.EndAccount(ctx, machine, a.ID))
	if _, err := p.ResetAdministrator(ctx, machine, a.ID, ""); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("an ended account was reset: %v", err)
	}
	for _, x := range []enrol.Appointment{{Role: "KING", From: p.Clock.Now()}, {Role: enrol.AP, From: p.Clock.Now()}, {Role: enrol.JDN, Agency: "X", From: p.Clock.Now()}, {Role: enrol.SAP, Agency: "X", From: p.Clock.Now()}, {Role: enrol.JDN}} {
		if _, _, err := p.CreateAdministrator(ctx, machine, boss, x); !errors.Is(err, enrol.ErrInvalid) {
			t.Errorf("%+v: %v", x, err)
		}
	}
}

// Rows moved from one account to another prove nothing there.
func TestProofsAreBoundToTheirOwner(t *testing.T) {
	p := newPeople(t, "")
	_, proofs, err := p.Accounts.Records.AccountByIC(ctx, mimi.IC)
	must(t, err)
	other := enrol.Officer{IC: "820101145680", Name: "X", Email: "x@y.example"}
	must(t, p.DB.PutPassword(ctx, enrol.NewAccount(other, p.Clock.Now()), proofs.Password, p.event("test")))
	if p.begin(t, other.IC, goodPassword, ""); p.codes.last != "" {
		t.Error("a stored password was good for another IC")
	}
	foreign := enrol.NewAccounts(enrol.AccountConfig{Records: p.DB, MAC: storetest.MAC("another HSM"), Codes: p.codes, Now: p.Clock.Now})
	if _, err := foreign.Begin(ctx, enrol.Attempt{IC: mimi.IC, Password: secret.New(goodPassword)}); err != nil || p.codes.last != "" {
		t.Error("a stored password was judged without its HSM")
	}
}

func (p *people) event(action string) audit.Event {
	return audit.Event{At: p.Clock.Now(), Actor: "test", Action: action, Verdict: audit.Accepted}
}
