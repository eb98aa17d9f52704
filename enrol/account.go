package enrol

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/internal/secret"
)

// Kinds of accounts. A person has one account: whoever is appointed logs in as an
// administrator, for an officer's pages too.
const (
	OfficerAccount       = "officer"       // password and a code by mail
	AdministratorAccount = "administrator" // password and TOTP, or WebAuthn
)

// States of an account.
const (
	AccountNew    = "NEW"    // nobody can log in yet: the set-up is awaited
	AccountActive = "ACTIVE" // has what its kind needs to log in
	AccountEnded  = "ENDED"  // for good, unless a new appointment opens it again
	// AccountDeleted: an officer's, by the officer or after leaving; who is enrolled anew opens
	// it with the verification code.
	AccountDeleted = "DELETED"
)

// Account is a person who logs in.
type Account struct {
	ID           string // "ac_…"
	Kind         string // OfficerAccount or AdministratorAccount
	IC           string // 12 digits; "" of an administrator made before accounts were
	Email        string
	Name         string
	State        string
	CreatedAt    time.Time
	Appointments []Appointment // all of them, ended ones too, the oldest first
}

// InForce are the appointments that hold at the time now.
func (a *Account) InForce(now time.Time) (out []Appointment) {
	for _, x := range a.Appointments {
		if x.holds(now) {
			out = append(out, x)
		}
	}
	return out
}

// Lasting says whether an appointment has not ended at the time now: it holds, is to come,
// or awaits a second person.
func (a *Account) Lasting(now time.Time) bool {
	return slices.ContainsFunc(a.Appointments, func(x Appointment) bool { return x.Until.IsZero() || x.Until.After(now) })
}

// Factorless says whether a confirmed appointment, in force or to come, has no effect because the
// account, an officer's, has no second factor.
func (a *Account) Factorless(now time.Time) bool {
	return a.Kind == OfficerAccount && slices.ContainsFunc(a.Appointments, func(x Appointment) bool { return !x.Awaits && (x.Until.IsZero() || now.Before(x.Until)) })
}

// Proofs is what an account logs in with, as it is stored: of no use to whoever has
// the database alone.
type Proofs struct {
	Password []byte // of hashPassword; empty: none
	TOTP     []byte // sealed seed (see Accounts.MAC); empty: none
	Step     int64  // last time step that a TOTP was accepted for (RFC 6238)
	Epoch    int64  // one more at each change of password; ends remembered devices
}

// AccountRecords keeps accounts. Each call is durable, with its event, when it
// returns nil. What ends a way to log in ends the account's sessions and
// remembered devices in the same transaction.
type AccountRecords interface {
	LoginRecords
	SessionRecords
	PasskeyRecords

	// Account and AccountByIC return an account with all appointments, or ErrUnknown.
	Account(ctx context.Context, id string) (Account, Proofs, error)
	AccountByIC(ctx context.Context, ic string) (Account, Proofs, error)
	// SecurityImage is the name of the picture that an officer chose for the newest key that
	// works, or ErrUnknown.
	SecurityImage(ctx context.Context, ic string) (string, error)
	// AppointmentsBy lists at most f.Limit, the newest first, without SetupMail; ENDED is judged
	// at the time given.
	AppointmentsBy(ctx context.Context, f AppointmentFilter, now time.Time) ([]Appointed, error)
	// SetupMail is what became of the mail with an account's set-up code; zero where none was due.
	SetupMail(ctx context.Context, account string) (SetupMail, error)
	// Administrators lists the accounts of that kind, the oldest first.
	Administrators(ctx context.Context) ([]Account, error)
	// PutPassword makes the password of a.IC's account hash, and its state ACTIVE,
	// inserting a if the person has none. Sessions end and passkeys go: somebody else may
	// have left one. ErrUnknown when the account
	// was ended or awaits an administrator's set-up.
	PutPassword(ctx context.Context, a Account, hash []byte, ev audit.Event) error
	// Officer is the register's, or ErrUnknown.
	Officer(ctx context.Context, ic string) (Officer, []Medium, error)
	// Hand is that of [Enrolments].
	Hand(ctx context.Context, ic string) ([]string, error)
	// PutAdministrator inserts a with its appointments; an account of the IC that has ended,
	// or that nobody has set up, becomes it and keeps its id. setup is SHA-256 of the set-up
	// code. ErrExists when the IC has a living account.
	PutAdministrator(ctx context.Context, a Account, setup [32]byte, until time.Time, ev audit.Event) error
	// ResetAdministrator takes an administrator's proofs, passkeys included, sets a new
	// set-up code and the state NEW; ic, unless "", becomes the account's if it has none.
	// ErrUnknown when there is no such administrator or it has ended.
	ResetAdministrator(ctx context.Context, id, ic string, setup [32]byte, until time.Time, ev audit.Event) error
	// BySetup finds the account whose set-up code this is and has not expired, or
	// ErrUnknown.
	BySetup(ctx context.Context, setup [32]byte, now time.Time) (Account, Proofs, error)
	// PutTOTP keeps a sealed seed that is being set up.
	PutTOTP(ctx context.Context, setup [32]byte, sealed []byte, now time.Time, ev audit.Event) error
	// CompleteSetup spends the set-up code: password, step, ACTIVE. ErrUnknown when it
	// was spent or expired.
	CompleteSetup(ctx context.Context, setup [32]byte, password []byte, step int64, now time.Time, ev audit.Event) error
	// PutProposed inserts a, which nobody can log in to before its one appointment is
	// confirmed; an account of the IC that has ended becomes it. An officer of the register
	// is told. ErrExists when the IC has a living account.
	PutProposed(ctx context.Context, a Account, ev audit.Event) error
	// PutAppointment adds x to the account of, touches nothing that it logs in with, and
	// tells its person; name and address are of's where nobody has set the account up.
	// ErrUnknown when it has ended, ErrExists when it is appointed to that already, or has
	// an appointment to come.
	PutAppointment(ctx context.Context, of Account, x Appointment, ev audit.Event) error
	// PutOwnTOTP keeps a sealed seed that an ACTIVE officer sets up; ErrUnknown for others.
	PutOwnTOTP(ctx context.Context, id string, sealed []byte, ev audit.Event) error
	// PutSecondFactor makes such an officer, whose seed is still sealed, an administrator,
	// with step accepted; the sessions end, passkeys go, which a mailed code was enough for,
	// and the person is told. ErrUnknown.
	PutSecondFactor(ctx context.Context, id string, sealed []byte, step int64, ev audit.Event) error
	// AskSetup makes another set-up code due at a time; ErrState unless the account awaits
	// its set-up, ErrThrottled when one was mailed after notAfter.
	AskSetup(ctx context.Context, id string, at, notAfter time.Time, ev audit.Event) error
	// AskReset keeps that ev.Actor wants an administrator's proofs taken, and why; ErrUnknown.
	AskReset(ctx context.Context, id, why string, ev audit.Event) error
	// Resets are those asked for after a time, the newest 500; CancelReset drops that of askedBy,
	// ErrUnknown when it is gone.
	Resets(ctx context.Context, after time.Time) ([]ResetWish, error)
	CancelReset(ctx context.Context, id, askedBy string, ev audit.Event) error
	// ResetAsked says by whom and when, or ErrUnknown.
	ResetAsked(ctx context.Context, id string) (by string, at time.Time, err error)
	// ConfirmReset takes them, as askedBy wants, tells the person, and makes a set-up code
	// due; ErrUnknown when nobody of that name wants it (any more).
	ConfirmReset(ctx context.Context, id, askedBy string, ev audit.Event) error
	// Appointment finds one by its id, with its account; ErrUnknown.
	Appointment(ctx context.Context, id string) (Account, Appointment, error)
	// ConfirmAppointment puts one that awaits that into force; the person is told, or, of an
	// account that nobody has set up, a set-up code becomes due. ErrUnknown when none
	// awaits it, or it has ended.
	ConfirmAppointment(ctx context.Context, id string, ev audit.Event) error
	// EndAppointment ends one at x.Until, with x.EndDocument and x.EndedBy. All sessions of
	// the account end. ErrUnknown when it has ended by then; ErrLastJDN when no other
	// central administrator who can log in would hold office after that, without an end.
	EndAppointment(ctx context.Context, x Appointment, ev audit.Event) error
	// Agencies and Systems are those of the registry.
	Agencies(ctx context.Context) ([]Agency, error)
	Systems(ctx context.Context) ([]System, error)
	// EndAccount ends the account, its appointments and its passkeys; ErrUnknown when
	// there is none or it has ended, ErrLastJDN as for EndAppointment.
	EndAccount(ctx context.Context, id string, ev audit.Event) error
	// Audit appends a lone event.
	Audit(ctx context.Context, ev audit.Event) error
	// AskStatus puts down that somebody asks how far ic is: NoticeStatus, to whoever that
	// is when it is mailed, with an event; of nobody it is dropped.
	AskStatus(ctx context.Context, ic string, at time.Time) error
}

// MAC is HMAC-SHA-256 under a key in the HSM: 32 bytes. It stands behind every
// stored proof, so that the database alone lets nobody try passwords.
type MAC interface {
	MAC(ctx context.Context, data []byte) ([]byte, error)
}

// Accounts are the people who log in, and their sessions. Use [NewAccounts].
type Accounts struct {
	AccountConfig
	hashing   chan struct{} // one for each hash being computed
	addresses *leaky
	refusals  refusals
}

// AccountConfig is what Accounts needs. All fields are required but where it is said.
type AccountConfig struct {
	Records AccountRecords
	// MAC binds passwords, TOTP seeds and remembered devices to the HSM; the
	// commands that neither set nor check them do without.
	MAC   MAC
	Codes LoginCodes // log-ins of officers
	// Deeds are the codes of what is no log-in, by purpose: ForPassword, ForDeletion,
	// ForPhone.
	Deeds map[string]LoginCodes
	Now   func() time.Time
	// Limits of sessions.
	OfficerIdle, AdministratorIdle, Absolute time.Duration
	// BaseURL is how browsers reach the gateway: WebAuthn is bound to it. There are no
	// passkeys where it is empty or names an address instead of a host.
	BaseURL string
}

// What callers of Accounts decide on.
var (
	ErrPassword = errors.New("password refused")
	ErrBusy     = errors.New("too many log-ins at once")
)

// checkPerson judges IC, name and e-mail address as AddOfficer does; ErrInvalid.
func checkPerson(o Officer) error {
	if _, err := mykad.Parse(o.IC); err != nil {
		return fmt.Errorf("%w: IC must be 12 digits with a valid date", ErrInvalid)
	}
	if n := utf8.RuneCountInString(o.Name); n == 0 || n > 64 || strings.TrimSpace(o.Name) != o.Name || !utf8.ValidString(o.Name) || strings.ContainsFunc(o.Name, unprintable) {
		return fmt.Errorf("%w: name must have 1 to 64 printable characters", ErrInvalid)
	}
	if a, err := mail.ParseAddress(o.Email); err != nil || a.Address != o.Email || len(o.Email) > 254 {
		return fmt.Errorf("%w: e-mail address", ErrInvalid)
	}
	return nil
}

// NewAccount is an officer's account that is not stored yet.
func NewAccount(o Officer, now time.Time) Account {
	return Account{ID: ident.New("ac", 16), Kind: OfficerAccount, IC: o.IC, Email: o.Email, Name: o.Name, State: AccountActive, CreatedAt: now.UTC()}
}

// SetPassword gives o an account with this password, or the account of o.IC the new
// password. Who calls it has checked that it is this person's wish: by a verification
// code. A *PasswordError when the policy refuses the password; ErrUnknown when the
// account was ended or an administrator's is to be set up.
func (a *Accounts) SetPassword(ctx context.Context, by Actor, o Officer, password secret.Text) error {
	if err := checkPerson(o); err != nil {
		return err
	}
	switch have, _, err := a.Records.AccountByIC(ctx, o.IC); {
	case err == nil && have.Kind == AdministratorAccount:
		return ErrExists
	case err != nil && !errors.Is(err, ErrUnknown):
		return err
	}
	hash, err := a.hashPassword(ctx, o, password)
	if err != nil {
		return err
	}
	ev := audit.Event{At: a.Now(), Actor: by.Name, Action: "account.password", Object: "officer:" + o.IC, Verdict: audit.Accepted, RequestID: by.Request}
	return a.Records.PutPassword(ctx, NewAccount(o, a.Now()), hash, ev)
}

// NewAccounts makes Accounts.
func NewAccounts(c AccountConfig) *Accounts {
	return &Accounts{AccountConfig: c, hashing: make(chan struct{}, hashWidth()), addresses: &leaky{m: map[string]leak{}}}
}
