package enrol

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/audit"
)

// What callers decide on, beside the codes of a [Refusal].
var (
	ErrForbidden = errors.New("not allowed")
	ErrState     = errors.New("the enrolment is not in a state for that")
	ErrLink      = errors.New("link or code is not valid")
	ErrInput     = errors.New("not accepted as entered")
	ErrReplaced  = errors.New("what was to be replaced is not active any more")
)

// State is where one officer is on the way to a certificate for one system.
type State string

// States of an enrolment.
const (
	Listed     State = "LISTED"     // submitted by the SAP; JDN has not added the medium
	Confirming State = "CONFIRMING" // the link that proves the address is to be sent, or was
	Confirmed  State = "CONFIRMED"  // the address is proved; the verification code is to be sent, or was
	Applied    State = "APPLIED"    // the key is made and waits for its certificate
	Validated  State = "VALIDATED"  // by the agency
	Approved   State = "APPROVED"   // by JDN; the certificate is being issued
	Issued     State = "ISSUED"     // certificate and credential are there
	Returned   State = "RETURNED"   // to the officer, who may apply again with a new code
	Rejected   State = "REJECTED"
	Withdrawn  State = "WITHDRAWN"
	Expired    State = "EXPIRED"
)

// Open says whether the enrolment can still lead to a certificate.
func (s State) Open() bool {
	return slices.Contains([]State{Listed, Confirming, Confirmed, Applied, Validated, Approved, Returned}, s)
}

// Kind says what an enrolment is for.
type Kind string

// Kinds of enrolments.
const (
	First   Kind = ""        // a certificate, by confirmation, code and application
	Renewal Kind = "RENEWAL" // another key and certificate before or after the end of one
	Rekey   Kind = "REKEY"   // another key and certificate with the same end: the PIN is forgotten
)

// step is a transition: where it may begin and where it ends. With to "" the state
// stays.
type step struct {
	from []State
	to   State
}

// steps is the table of allowed transitions. The database lets each happen once, from
// the state that was judged.
func steps() map[Action]step {
	return map[Action]step{
		Admit:    {[]State{Listed}, Confirming},
		Resend:   {[]State{Confirming, Confirmed, Returned}, ""},
		Correct:  {[]State{Listed, Confirming}, ""},
		Confirm:  {[]State{Confirming}, Confirmed},
		Password: {[]State{Confirmed, Returned}, ""},
		Apply:    {[]State{Confirmed, Returned}, Applied},
		Validate: {[]State{Applied}, Validated},
		Approve:  {[]State{Validated}, Approved},
		NewKey:   {[]State{Confirmed}, Applied},
		Vouch:    {[]State{Applied}, Approved},
		Issue:    {[]State{Approved}, Issued},
		GiveBack: {[]State{Approved}, Returned},
		Return:   {[]State{Applied, Validated}, Returned},
		Reject:   {[]State{Applied, Validated}, Rejected},
		Withdraw: {[]State{Listed, Confirming, Confirmed, Applied, Validated, Returned}, Withdrawn},
		Expire:   {[]State{Listed, Confirming, Confirmed, Returned}, Expired},
	}
}

// takes says whether an enrolment of this kind knows the step. A renewal and a new key
// are not returned for another try, but ended: the officer asks again.
func (k Kind) takes(act Action) bool {
	switch act {
	case NewKey, Vouch:
		return k == Rekey
	case Apply, Return, Confirm, Admit, Correct:
		return k == First
	case Validate, Approve:
		return k != Rekey
	}
	return true
}

// Agency is a body whose officers sign.
type Agency struct {
	Code         string // 1 to 32 letters, digits, - or _
	Name         string
	PersonalMail bool // officers may be enrolled with a personal address
}

// Office is an accounting office of an agency (pejabat perakaunan). Lists name offices as they
// like: the register is what people choose from, and says what was spelled otherwise.
type Office struct {
	Agency, Code string // each 1 to 32 letters, digits, - or _
	Name         string // at most 64 characters, as a list's column
	Phase        string // of the rollout, at most 32 characters; ""
}

// StrayOffice is what enrolments call an office that is registered neither by that code nor by
// that name.
type StrayOffice struct {
	Name     string
	Officers int64 // enrolments that name it so
}

// System is an ICT system that asks for signatures.
type System struct {
	Code   string // as in media and certificates' use, "IGFMAS"
	Title  string
	Agency string // that owns it
	// TokenEnds is when the system takes no more certificates on tokens; zero: it does.
	TokenEnds time.Time
	// What the signing page shows, beside Title. PutSystem leaves all of it as it is.
	Logo     []byte // PNG or JPEG, at most MaxLogo bytes; nil for none, and in a list
	LogoType string // "image/png" or "image/jpeg"
	Notice   string // NoticeCertificate or NoticeToken; "" as the first
	// HeaderTemplate is what a data header is made of, see [ParseHeader]; "" checks only
	// that no other IC ends the header.
	HeaderTemplate string
}

// Which word the legal notice of the signing page uses.
const (
	NoticeCertificate = "sijil" // SIJIL DIGITAL
	NoticeToken       = "token" // TOKEN
)

// MaxLogo bounds a system's logo in bytes.
const MaxLogo = 64 << 10

// EndedTokens says whether the system takes no more tokens at a time.
func (s *System) EndedTokens(now time.Time) bool {
	return !s.TokenEnds.IsZero() && !now.Before(s.TokenEnds)
}

// Enrolment is one officer's way to a certificate for one system.
type Enrolment struct {
	ID          string
	IC          string
	Name, Email string // as in the register
	System      string
	Agency      string
	Office      string // accounting office (pejabat perakaunan)
	Phase       string // of the rollout
	Ticket      string // of the help desk
	List        string // hexadecimal SHA-256 of the list it came with; "" when it came alone
	Kind        Kind
	Replaces    string // id of the credential, but for First
	Origin      string // "REPLACEMENT" or "TRANSFER": what a First one came of; ""
	Follows     string // decimal serial number of the certificate there was; ""
	State       State
	Since       time.Time // of the state
	ListedBy    string
	ListedAt    time.Time
	DueAt       time.Time // when the gateway has to do something; zero: nothing
	Attempts    int       // at what it has to do: the fence of a claim
	MailedAt    time.Time // the newest link or code
	Reply       string    // of the mail server, when it did not take that: digits, or words of ours
	LinkUntil   time.Time
	CodeUntil   time.Time
	Reason      string // of a return, rejection or withdrawal
	ValidatedBy string
	ValidatedIC string
	ValidatedAt time.Time
	ApprovedBy  string
	ApprovedIC  string
	ApprovedAt  time.Time
}

// Filed is an application as it is kept.
type Filed struct {
	Credential string // id of the credential it becomes
	Algorithm  string
	Version    uint32
	Sealed     []byte // as of Keys.Generate; empty once it became a credential or was destroyed
	Request    []byte // what the certificate is issued from: PKCS #10 (RFC 2986), DER
	Form       []byte // a Form, encrypted
	Image      string // the picture chosen there
	Copy       []byte // the MyKad copy, encrypted; empty when there is none (any more)
	At         time.Time
}

// Standing is what the register knows of an officer with respect to a system.
type Standing struct {
	Name, Email string
	Medium      string // "" when there is none for the system
	Enrolment   string // the open one, or ""
	State       State  // of that
	List        string // of that
	Live        bool   // there is a credential whose certificate has not ended
}

// Row is one medium to be added, with what the list says of it.
type Row struct {
	Row                           int // of the list, the header being row 1; 0 when it came alone
	Officer                       Officer
	Agency, Office, System, Phase string
	Ticket, Medium                string
}

// Entry is a row as it enters the register; with ID "" it is a medium without an
// application (TOKEN, SOFTCERT, ROAMING).
type Entry struct {
	Row
	ID, List, By    string
	Origin, Follows string // as of Enrolment
	State           State
	At, Due         time.Time
	Event           audit.Event
}

// Change is one step of an enrolment.
type Change struct {
	ID       string
	From, To State
	At       time.Time
	Due      time.Time // when the gateway has to go on by itself; zero: nothing to do
	ActorIC  string    // kept with the event's actor by Validated and Approved
	Reason   string
	Notice   string // kind of the notice to the officer; "" for none
	// Filed is the application, for Applied: its key is on record with it.
	Filed *Filed
	// Credential is what the application becomes, for Issued.
	Credential *Credential
	// Supersede, for Issued, is the credential that ends with it.
	Supersede *Supersede
	Event     audit.Event
}

// Supersede ends a credential in the transaction that stores the one in its place: its
// key is destroyed, and a revocation to come is the new certificate's.
type Supersede struct {
	Credential string
	// Revoke: its certificate is revoked (superseded), and the officer's PIN counter,
	// lock and block are cleared; else it is left to its end.
	Revoke bool
}

// Decisions is what the audit chain tells of an enrolment.
type Decisions struct {
	Kind                Kind
	Replaces            string // for that kind
	Validated, Approved string // names of actors; "" for what was not done
	Alone               bool   // a renewal that needs neither: Approved is the officer
	// Mailbox are those who chose where the officer's mail goes: listed or replaced her,
	// corrected the address, or asked or vouched for a change of it since her last
	// certificate was issued.
	Mailbox []string
}

// Held is a credential of an officer for a system that was not renewed.
type Held struct {
	Credential, Algorithm, Serial string
	System                        string
	Issuer                        string // as ca has it; see ca.IsExternal
	Status                        string // "ACTIVE", "SUSPENDED", "REVOKED"
	Subject                       string // common name
	NotAfter                      time.Time
	EndsAt                        time.Time // a revocation to come; zero: none
	RevocationDate                time.Time // since when it is suspended or revoked, to the second (RFC 5280, 5.1.2.6); zero: it is not
}

// Reminder is a credential whose officer is to be told that it ends.
type Reminder struct {
	Credential, IC, System, Status, Serial string
	Due, NotAfter                          time.Time
}

// Reminders are the days before the end of a certificate on which its officer is told.
func Reminders() []int { return []int{30, 15, 7, 1} }

// NextReminder is when an officer is told next, after a time, that a certificate ends;
// zero: never.
func NextReminder(notAfter, after time.Time) time.Time {
	for _, days := range Reminders() {
		if at := notAfter.Add(-time.Duration(days) * 24 * time.Hour); at.After(after) {
			return at
		}
	}
	return time.Time{}
}

// Filter chooses enrolments of one state, those first that have been in it longest.
type Filter struct {
	State          State
	System, Agency string    // "": any
	Office, Phase  string    // "": any
	Kind           string    // as the API names it, or [NotRekey]; "": any
	Until          time.Time // in the state since then, or longer
	AfterSince     time.Time // go on behind this one
	AfterID        string
	Limit          int // 0 means 100, at most 1000
}

// Enrolments is the register of enrolments. Each call is durable, with its event, when
// it returns nil; [ErrUnknown] says that there is no such thing. Refusals and reads,
// which change nothing, leave their event with Audit.
type Enrolments interface {
	AddressRecords
	LeavingRecords
	DirectoryRecords
	Audit(ctx context.Context, ev audit.Event) error
	// PutAgency and PutSystem insert or replace.
	PutAgency(ctx context.Context, a Agency, ev audit.Event) error
	PutSystem(ctx context.Context, s System, ev audit.Event) error
	// PutOffice inserts or replaces; DropOffice is ErrUnknown for one that is not there.
	PutOffice(ctx context.Context, o Office, ev audit.Event) error
	DropOffice(ctx context.Context, agency, code string, ev audit.Event) error
	// Offices are those of an agency, by code.
	Offices(ctx context.Context, agency string) ([]Office, error)
	// StrayOffices are at most 200.
	StrayOffices(ctx context.Context, agency string) ([]StrayOffice, error)
	// EndTokens sets when a system takes no more tokens (zero: it does), or ErrUnknown.
	EndTokens(ctx context.Context, system string, at time.Time, ev audit.Event) error
	Agencies(ctx context.Context) ([]Agency, error)
	Systems(ctx context.Context) ([]System, error)
	// System gives ErrUnknown for one that is not registered.
	System(ctx context.Context, code string) (System, error)
	// ShowSystem sets Title, Notice and HeaderTemplate, SetLogo the picture (nil: none);
	// ErrUnknown.
	ShowSystem(ctx context.Context, s System, ev audit.Event) error
	SetLogo(ctx context.Context, code string, logo []byte, kind string, ev audit.Event) error
	// CountTokens says how many officers hold a token for a system.
	CountTokens(ctx context.Context, system string) (int, error)
	// Standing gives ErrUnknown for an officer who is not registered.
	Standing(ctx context.Context, ic, system string, now time.Time) (Standing, error)
	// AddEntries adds all or nothing. An officer or medium that is there stays as it
	// is. ErrExists when one has an open enrolment for that system, or another medium
	// where one without an application was to be added.
	AddEntries(ctx context.Context, entries []Entry) error
	Enrolment(ctx context.Context, id string) (Enrolment, error)
	EnrolmentByLink(ctx context.Context, hash [32]byte) (Enrolment, error)
	EnrolmentByCode(ctx context.Context, hash [32]byte) (Enrolment, error)
	EnrolmentsOf(ctx context.Context, ic string) ([]Enrolment, error)
	Enrolments(ctx context.Context, f Filter) ([]Enrolment, error)
	// Report hands over the rows of a report: strings, int64s and times in the order of
	// its columns. f's error ends it. It never holds more than some thousand rows.
	Report(ctx context.Context, r ReportRead, f func(row ...any) error) error
	// Application returns the newest one with what the audit chain tells of its key:
	// the SHA-256 of Sealed and of Request, zero when it tells of none or of several.
	Application(ctx context.Context, id string) (f Filed, sealed, request [32]byte, err error)
	// Decisions tells from the audit chain what was decided about the newest application.
	Decisions(ctx context.Context, id string) (Decisions, error)
	// Mailbox names, from the audit chain and as actors, who chose an officer's address since
	// the last certificate: listed, corrected, replaced, asked or vouched for another.
	Mailbox(ctx context.Context, ic string) ([]string, error)
	// Hand names, as actors, those who appointed the person of that IC and those whom that
	// person appointed, by appointments that came into force.
	Hand(ctx context.Context, ic string) ([]string, error)
	// Change takes a step, once: ErrState when the enrolment is not in From (any more).
	// A key that is given up is overwritten, and one that becomes a credential moves,
	// in the same transaction; so does the MyKad copy go. With Credential its errors
	// are those of PutCredential, too; ErrReplaced when what it supersedes is not active.
	// A certificate that was issued and is given up with its key is revoked.
	Change(ctx context.Context, c Change) error
	// Begin adds an enrolment that replaces a credential and takes its first steps, all
	// under one event or nothing; ErrExists when the officer has an open one for that system.
	Begin(ctx context.Context, e Enrolment, ev audit.Event, steps ...Change) error
	// Held lists an officer's credentials for a system, revoked ones last, the newest first.
	Held(ctx context.Context, ic, system string) ([]Held, error)
	// PutOrder keeps what was ordered of certificates, and why, before it is done; ErrState when
	// o.Request is not pending.
	PutOrder(ctx context.Context, o Order, ev audit.Event) error
	// Central says, from the audit chain, whether what undo (Releasing or Unscheduling) would
	// take back of an officer's certificate was ordered by JDN or the operator of the machine.
	Central(ctx context.Context, ic, serial string, undo Action) (bool, error)
	// Upcoming lists revocations to come, the next ones first.
	Upcoming(ctx context.Context, f ScheduledFilter) ([]ScheduledRevocation, error)
	// CountEnrolments says how many f chooses, from the first: neither where to go on nor the
	// limit matters.
	CountEnrolments(ctx context.Context, f Filter) (int, error)
	// Waiting says how many of a scope are in a state, looking at no more than most; kind is
	// "", [NotRekey] or [Rekey].
	Waiting(ctx context.Context, s Scope, state State, kind string, most int) (int, error)
	// Steps gives the accepted steps of an enrolment from the audit chain, the oldest first.
	Steps(ctx context.Context, id string) ([]audit.Event, error)
	// DueReminder returns one that is due at now, or ErrUnknown.
	DueReminder(ctx context.Context, now time.Time) (Reminder, error)
	// Remind sets when the next one is due (zero: never) and puts the notice to the
	// officer into the outbox, unless silent; ErrState when somebody else has.
	Remind(ctx context.Context, r Reminder, next time.Time, silent bool, ev audit.Event) error
	// Correct sets the officer's address while no credential depends on it, and makes a
	// new link due; ErrState when one does.
	Correct(ctx context.Context, e Enrolment, email string, due time.Time, ev audit.Event) error
	// ClaimSetup, PutSetup and SettleSetup are what ClaimEnrolment, PutSecret and Settle are,
	// for the set-up code of an administrator's account; ErrState when it awaits none.
	ClaimSetup(ctx context.Context, now, leaseUntil time.Time) (a Account, attempts int, ok bool, err error)
	PutSetup(ctx context.Context, id string, attempts int, hash [32]byte, at, until time.Time, ev audit.Event) error
	SettleSetup(ctx context.Context, id string, attempts int, due time.Time, reply string) error
	// ClaimEnrolment returns the enrolment that has been due longest at now, which
	// nobody else gets until leaseUntil; false when none is due.
	ClaimEnrolment(ctx context.Context, now, leaseUntil time.Time) (Enrolment, bool, error)
	// PutSecret keeps the hash of the link (Confirming) or the code (else) that is about
	// to be sent, in the place of the one before; ErrState when e was claimed again or
	// has gone on.
	PutSecret(ctx context.Context, e Enrolment, hash [32]byte, at, until time.Time, ev audit.Event) error
	// Settle ends a claim: due again at due, or never (zero). Nothing changes when e
	// was claimed again or has gone on.
	Settle(ctx context.Context, e Enrolment, due time.Time, reply string) error
	// Stale returns one enrolment that has been in the state since before a time, with no
	// mail that left since and nothing left to do for the gateway; ErrUnknown when there
	// is none.
	Stale(ctx context.Context, s State, before time.Time) (Enrolment, error)
}
