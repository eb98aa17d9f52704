// Package signer decides whether a signature may be made, and makes it. It is
// the only way to an officer's key:
//
//	Prepare    checks everything, stores the request, sends the code
//	Authorize  judges nonce, PIN lock, code and PIN, records the intent, opens the key
//	Sign       spends one authorised document and returns its signature
//	Complete   stores results in one transaction; only then is anything "signed"
//
// docs/signing-cycle.md tells the same with the crash points. A single
// signature is a batch of one. No exported function takes a digest and a key.
package signer

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/keylock"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/process"
)

// What callers decide on. The API maps each to a stable code.
var (
	ErrUnknown            = errors.New("no such transaction")
	ErrNoCredential       = errors.New("no active certificate")
	ErrUnknownOfficer     = errors.New("no such officer")
	ErrMedium             = errors.New("the officer's medium is not ROAMING_OTP")
	ErrCertificateExpired = errors.New("certificate expired")
	ErrCertificateRevoked = errors.New("certificate revoked")
	ErrCertificateOnHold  = errors.New("certificate suspended")
	ErrChannel            = errors.New("channel not available for this officer")
	ErrHeader             = errors.New("data header names another person")
	ErrPINLocked          = errors.New("PIN locked")
	ErrPINWrong           = errors.New("wrong PIN")
	ErrDocuments          = errors.New("documents are not those of the transaction")
	ErrTransactionExpired = errors.New("transaction expired")
	ErrCancelled          = errors.New("transaction cancelled")
	ErrFinished           = errors.New("transaction finished")
	ErrBatchBusy          = errors.New("batch has a live transaction")
	ErrBatchEmpty         = errors.New("nothing to sign")
	ErrSpent              = errors.New("document already signed under this authorisation")
	ErrDeadline           = errors.New("authorisation ran out")
	ErrFence              = errors.New("the claim was taken over")
	ErrLease              = errors.New("the run's lease is over")
	ErrPaused             = errors.New("batch is paused")
	ErrAlgorithm          = errors.New("algorithm does not fit the key")
	ErrKeysUnavailable    = errors.New("HSM unavailable")
	ErrTimestamp          = errors.New("no time-stamp or revocation data to be had")
	ErrBusy               = errors.New("too busy, try again")
	// ErrStoreUnavailable: the store of documents is full or cannot be reached.
	ErrStoreUnavailable = errors.New("document store unavailable")
	// ErrNotDurable: signed documents could not be made durable, and are to be signed again.
	ErrNotDurable = errors.New("signed documents are not on the disk")
	ErrPINPolicy  = errors.New("PIN refused")
	ErrPINSame    = errors.New("the new PIN is the old one")
	ErrPINChanged = errors.New("the PIN was changed meanwhile")
	// ErrPrepared: a level or option for a PDF that stays with the caller.
	ErrPrepared = errors.New("of a prepared PDF only B-B and B-T can be made")
	ErrReason   = errors.New("a reason of 1 to 200 characters is needed")
	// ErrKeyVersion: the stored key is not the one that the audit chain names last:
	// its row was rolled back, swapped or edited. Audited as an alarm.
	ErrKeyVersion = errors.New("the stored key is not the one last recorded")
)

// ErrDone is the ErrFence of an intent all of whose documents have their outcome.
var ErrDone = fmt.Errorf("%w: all is signed", ErrFence)

// AttemptsError wraps otp.ErrWrong or ErrPINWrong with the tries left.
type AttemptsError struct {
	Err  error
	Left int
}

func (e *AttemptsError) Error() string { return e.Err.Error() }
func (e *AttemptsError) Unwrap() error { return e.Err }

// lockingError is the wrong PIN after which the officer is locked or blocked.
type lockingError struct {
	error
	officer string
	state   PINState
}

func (e *lockingError) Unwrap() error { return e.error }

// LockedError wraps ErrPINLocked. Until is zero when only an administrator can
// unlock.
type LockedError struct{ Until time.Time }

func (e *LockedError) Error() string { return ErrPINLocked.Error() }
func (e *LockedError) Unwrap() error { return ErrPINLocked }

// ErrTokenEnded: the officer holds a token, which the system takes no more.
var ErrTokenEnded = errors.New("the system takes no more tokens")

// MediumError wraps ErrMedium with the medium the officer does have.
type MediumError struct{ Medium string }

func (e *MediumError) Error() string { return ErrMedium.Error() }
func (e *MediumError) Unwrap() error { return ErrMedium }

// Status of a transaction, as the API names it.
type Status string

// The states of a transaction. All but Waiting and Signing are final.
const (
	Waiting            Status = "WAITING"
	Signing            Status = "SIGNING"
	Signed             Status = "SIGNED"
	SignedWithRefusals Status = "SIGNED_WITH_REFUSALS"
	Failed             Status = "FAILED"
	Expired            Status = "EXPIRED"
	Cancelled          Status = "CANCELLED"
	NeedsAuthorisation Status = "NEEDS_AUTHORISATION"
)

// Credential is an officer's key and certificate as stored.
type Credential struct {
	ID          string
	Officer     string // IC
	OfficerName string
	Email       string
	Addresses   map[string]Address // by channel, where others than e-mail reach the officer
	System      string
	Algorithm   string // "RSA-2048", "ECDSA-P256" …
	Version     uint32 // of the sealed key, from 1
	Sealed      []byte // hsm.SealedKey in its text form; opens only in the HSM and with the PIN
	Image       string // the picture by which the officer knows a genuine page; may be empty
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // issuing CA first, root last
	Status      string              // "ACTIVE", "SUSPENDED", "REVOKED"
	History     []KeyVersion        // what the audit chain tells of the key, oldest first
	PIN         PINState            // the officer's counter
}

// usable is the certificate-status part of the order of judgement. It stands
// before every use of Sealed.
func (c *Credential) usable(now time.Time) error {
	switch {
	case c.Status == "REVOKED":
		return ErrCertificateRevoked
	case c.Status == "SUSPENDED":
		return ErrCertificateOnHold
	case c.Status != "ACTIVE":
		return ErrNoCredential
	case now.Before(c.Certificate.NotBefore) || now.After(c.Certificate.NotAfter):
		return ErrCertificateExpired
	}
	return c.current()
}

// Document is one thing to be signed, as it is authorised.
type Document struct {
	Index  uint32
	Name   string
	Hash   crypto.Hash // SHA-256, SHA-384 or SHA-512
	Digest []byte      // of the document's own bytes (PADES), or the digest given (RAW, CMS; PADES: of a prepared PDF's ByteRange)
	Blob   string      // where the document's bytes are; empty for a bare digest
	Size   int64
	// DocumentID and Reference are the caller's handles; they are not part of
	// what is authorised.
	DocumentID string
	Reference  string
}

// Request is one transaction: what one PIN and one code will authorise.
type Request struct {
	ID          string
	App         string
	SystemName  string // registered name, shown to the officer
	Officer     string // IC
	System      string
	DataHeader  string
	Process     string
	Role        string
	Step        int    // of Role in the process, from 1; 0: no process was named
	Class       string // classification; "" or "terbuka" lets titles and total travel
	Credential  string
	Image       string // of the credential
	Options     Options
	OptionsHash [32]byte
	Batch       string // batch that holds the documents
	Implicit    bool   // the batch was made for this transaction
	Count       uint32
	Root        [32]byte
	Status      Status
	CreatedAt   time.Time
	ExpiresAt   time.Time
	FinishedAt  time.Time
	Page        *Page  // on which alone it is confirmed; nil: the app has PIN and code
	Ended       string // NeedsAuthorisation, Cancelled: the message of the sentinel that says why; may be empty
}

// Intent is the record that a key is about to sign exactly Root.
type Intent struct {
	ID          string
	Transaction string
	Credential  string
	Batch       string
	Root        [32]byte
	Count       uint32
	OptionsHash [32]byte
	CreatedAt   time.Time
	Deadline    time.Time
	// Seal is HMAC-SHA-256 under the intent key in the HSM over all of the
	// above, so that a row written by someone else is not an intent.
	Seal []byte
	// Activation is the sealed half of the opened key while the intent is open
	// and may be resumed, else empty. Its own seal covers the intent.
	Activation []byte

	// Run is the id of the run that begins with the intent; "" is a lone signature, whose
	// documents have a lease of their own. Lease is how long either counts as alive.
	Run   string
	Lease time.Duration
	// Held says that somebody is at work on it, Stopped that its app wants it used no
	// further; both as they were when it was read.
	Held, Stopped bool
}

// Run is a process at work on an intent's documents: what it claims is its own until it has given
// no sign of life for Lease, by the database's clock. Its ID is never used again.
type Run struct {
	Intent, ID string
	Lease      time.Duration
}

// RunState is how it stands with an open intent.
type RunState struct{ Paused, Stopped bool }

// Claimed is a document handed to one worker; Attempt is the fence that its
// completion must carry.
type Claimed struct {
	Document
	Attempt int64
}

// Outcome is what became of one claimed document.
type Outcome struct {
	Index     uint32
	Attempt   int64
	Signature []byte // RAW: the signature value; CMS, and PADES of a bare digest: the DER
	Blob      string // PADES: the signed file
	Size      int64
	Result    []byte    // in a work process: the digest that the next role signs
	Timestamp time.Time // levels above B-B: when the time-stamping authority saw the signature
	Level     string    // the one reached, see Outage; RAW has none
	Refused   error     // the document could not be signed; the others go on

	document Document // that was signed
	durable  bool     // its file is, and may be named by a row: it is neither synced again nor removed for that
}

// Claimed is what was signed, to be signed again after ErrNotDurable.
func (o *Outcome) Claimed() Claimed { return Claimed{Document: o.document, Attempt: o.Attempt} }

// PINState is the officer's PIN counter.
type PINState struct {
	InARow      int // failures since the last right PIN or the last lock
	Total       int // failures since the last right PIN
	LockedUntil time.Time
	Blocked     bool // only an administrator unlocks
}

// PINPolicy: 5 failures in a row lock for 15 minutes, 10 since the last right
// PIN block (NIST SP 800-63B, Section 3.2.2 asks for at most 100).
type PINPolicy struct {
	LockAfter  int
	LockFor    time.Duration
	BlockAfter int
}

// DefaultPINPolicy is the one of docs/operating.md.
func DefaultPINPolicy() PINPolicy {
	return PINPolicy{LockAfter: 5, LockFor: 15 * time.Minute, BlockAfter: 10}
}

// FirstCode is the code with which a request begins, as otp.Records.StoreChallenge takes it.
type FirstCode struct {
	Challenge *otp.Challenge
	Policy    otp.Policy
	Event     audit.Event
}

// Records is the database. Every call that changes something also appends its
// audit event in the same transaction, and is durable when it returns nil: no
// audit, no action. A call that returns an error changed nothing, or did and
// the answer was lost; callers treat both as "not done" and the crash rules of
// docs/signing-cycle.md make that safe.
type Records interface {
	// Credential finds the officer's credential for system: the one named, or
	// the first active one when id is "". ErrUnknownOfficer when the officer has
	// no medium for system, *MediumError when it is another medium,
	// ErrNoCredential when there is none. Row and History are of one moment.
	Credential(ctx context.Context, ic, system, id string) (Credential, error)
	// Certificate is that of a credential, whatever became since of it, of the authorities
	// above it and of the officer's medium; ErrNoCredential when the row is gone.
	Certificate(ctx context.Context, credential string) (*x509.Certificate, error)
	// PINState reads the officer's counter.
	PINState(ctx context.Context, ic string) (PINState, error)
	// CreateRequest stores r as WAITING with its page and, when r.Implicit, its batch and
	// docs. ErrBatchBusy when another live transaction holds the batch; errors as of
	// Place. With code it does what otp.Records.StoreChallenge does, in the same transaction: a
	// request about which nobody may be asked is not made.
	CreateRequest(ctx context.Context, r *Request, docs []Document, ev audit.Event, code *FirstCode) error
	// Request returns a transaction or ErrUnknown.
	Request(ctx context.Context, id string) (Request, error)
	// Paged returns the transaction whose page has the token with this SHA-256, or
	// ErrUnknown.
	Paged(ctx context.Context, token [32]byte) (Request, error)
	// OpenPage gives the transaction's page to the session with this SHA-256, and keeps
	// fromApp of [Opened]. Of many callers exactly one gets nil, the others ErrElsewhere.
	OpenPage(ctx context.Context, transaction string, session [32]byte, fromApp bool, ev audit.Event) error
	// Pending streams the batch's documents that are not signed or refused, in
	// ascending index.
	Pending(ctx context.Context, batch string) iter.Seq2[Document, error]
	// Payments yields what each pending item of a batch is about, as far as it says so; nothing at
	// all where no item of the batch does.
	Payments(ctx context.Context, batch string) iter.Seq2[Payment, error]
	// CancelRequest ends a WAITING transaction as status (Cancelled, Expired or
	// Failed), with ev's detail "reason", and kills its code; ErrFinished when it is not
	// waiting.
	CancelRequest(ctx context.Context, id string, status Status, ev audit.Event) error
	// AuditLock is Audit for the refusal of a PIN that locked or blocked the
	// officer, as st says; with it goes a notice to the officer.
	AuditLock(ctx context.Context, officer string, st PINState, ev audit.Event) error
	// Linked returns the transaction whose newest message carries the link with
	// this token (its SHA-256), and when that message's code was issued;
	// ErrUnknown when there is none, the link was used, or the transaction was to
	// end at since or before. These three cost the same: one reading query.
	Linked(ctx context.Context, token [32]byte, since time.Time) (Request, time.Time, error)
	// Disown uses up the link with this token and, when the transaction is
	// WAITING, ends it as Cancelled. ErrUnknown when there is no such link (any
	// more), ErrFinished, changing nothing, when the status is not was. With it
	// goes a notice to each address of tell.
	Disown(ctx context.Context, token [32]byte, was Status, tell []string, ev audit.Event) error
	// CountPIN adds one to the counter before the PIN is tried and returns the
	// state after it; *LockedError, without counting, when locked or blocked.
	// n parallel calls are granted at most p.LockAfter tries.
	CountPIN(ctx context.Context, ic string, p PINPolicy, now time.Time) (PINState, error)
	// UncountPIN takes back one count whose PIN was not judged wrong, and the
	// lock or block that this count alone had set.
	UncountPIN(ctx context.Context, ic string, p PINPolicy) error
	// UnlockPIN clears counter, lock and block, and returns what they were;
	// ErrUnknownOfficer.
	UnlockPIN(ctx context.Context, ic string, ev audit.Event) (PINState, error)
	// Reseal replaces the sealed key of an ACTIVE credential, at version from, by
	// sealed at the next version, and clears the officer's PIN counter. Of many
	// callers with the same from one gets nil, the others ErrPINChanged.
	// ErrCertificateRevoked, ErrCertificateOnHold, ErrNoCredential.
	Reseal(ctx context.Context, credential string, from uint32, sealed []byte, ev audit.Event) error
	// RecordIntent spends the code and records the intent, in one transaction:
	// the challenge with this nonce is marked redeemed (otp.ErrUsed when it was
	// already, otp.ErrNonce when another code took its place), the PIN counter is
	// cleared, the request and its batch become SIGNING, the intent is inserted. Of
	// many callers exactly one gets nil. In a work process the officer becomes the
	// signatory of each document's reference in the request's role, until the intent ends
	// without that signature; errors as of Place. The run in.Run begins, and up to n
	// documents are handed out to it, in the same transaction.
	RecordIntent(ctx context.Context, in Intent, nonce [otp.NonceSize]byte, officer string, n int, ev audit.Event) ([]Claimed, error)
	// Claim hands out up to n pending documents of the intent's batch, each to one caller, and
	// takes those of runs whose lease is over. Nodes do not wait for one another. ErrFence when
	// the intent is closed, ErrDone when that is because all is signed; ErrLease when the run is
	// not one of its any more; ErrPaused, ErrCancelled.
	Claim(ctx context.Context, run Run, n int) ([]Claimed, error)
	// Beat is a sign of life of a run: its lease begins again, also where it was over and nobody has
	// taken what it had. Errors as of Claim, but for ErrPaused and ErrCancelled, which the state says.
	Beat(ctx context.Context, run Run) (RunState, error)
	// State is Beat without the sign of life: it only reads.
	State(ctx context.Context, run Run) (RunState, error)
	// Requeue makes what a run has claimed and not completed pending again, and what runs whose
	// lease is over had claimed.
	Requeue(ctx context.Context, run Run) error
	// EndRun ends a run, if it is one: what it had claimed is pending again. When no other run of
	// the intent is alive, and alone is not nil, the intent is abandoned in the same transaction with
	// alone as its event. Otherwise ev is appended, unless its Action is "". others says that
	// another run is alive.
	EndRun(ctx context.Context, run Run, ev audit.Event, alone *audit.Event) (others bool, err error)
	// EndRuns ends the leases of all runs, for a gateway that has just started, where no other can
	// have the database; elsewhere it does nothing.
	EndRuns(ctx context.Context) error
	// Runs lists the runs of an intent that are alive.
	Runs(ctx context.Context, intent string) ([]string, error)
	// Stop asks the runs of a transaction's open intent to stop, wherever they are; ErrFinished
	// when none is open. Asking twice is no error.
	Stop(ctx context.Context, transaction string, ev audit.Event) error
	// Unclaimed counts the pending documents of a batch, to most.
	Unclaimed(ctx context.Context, batch string, most int) (int, error)
	// Moment gives f records of which all reading is of one moment.
	Moment(ctx context.Context, f func(Records) error) error
	// Complete stores the outcomes of claimed documents in one transaction that
	// locks and re-reads the credential's status: ErrCertificateRevoked or
	// ErrCertificateOnHold discard the signatures. ErrFence when a claim was
	// taken over. When nothing is left it closes the intent and finishes the
	// request and the batch; done says so. Outcomes of claims that were completed before, with
	// the answer lost, are not stored or audited again.
	Complete(ctx context.Context, intent string, out []Outcome, now time.Time, ev audit.Event) (done bool, err error)
	// Abandon closes an open intent that will not be used further: claimed
	// documents are pending again, the request and its batch end as
	// NEEDS_AUTHORISATION, the request with ev's detail "reason". Doing it twice is
	// no error.
	Abandon(ctx context.Context, intent string, ev audit.Event) error
	// Authorised streams the documents that the intent was recorded for, as they
	// are now, in ascending index: what its batch had pending then.
	Authorised(ctx context.Context, in Intent) iter.Seq2[Authorised, error]
	// Accepted lists the audit's accepted events of one action about an object,
	// in their order.
	Accepted(ctx context.Context, object, action string) ([]audit.Event, error)
	// Resume begins a run of an open intent in another process: what runs had claimed
	// whose lease is over is pending again, so that they cannot complete it. The credential's
	// status is re-read as in Complete; ErrFence when the intent is closed, ErrCancelled when it
	// was stopped.
	Resume(ctx context.Context, run Run, ev audit.Event) error
	// OpenIntents lists intents neither finished nor abandoned: those at work, and those
	// a crash left behind.
	OpenIntents(ctx context.Context) ([]Intent, error)
	// Place says what is against the documents of a request being signed in its role now, as
	// CreateRequest and RecordIntent do, which change nothing then: a *DocumentError with
	// ErrSignatory, ErrTurn, ErrReference, ErrOtherProcess or ErrDocuments; the last, too, when a
	// document, or what has the digest of one before or after a signature, is of another reference
	// of the system. With ErrSignatory the officer has a role there.
	Place(ctx context.Context, transaction string) error
	// Signatories lists who signed references of a system, whatever their process, and who is
	// about to; of each in the order of the roles.
	Signatories(ctx context.Context, system string, references []string) ([]Signatory, error)
	// ClassesBefore lists the classifications under which references of the pending documents of
	// a batch were signed.
	ClassesBefore(ctx context.Context, system, process, batch string) ([]string, error)
	// WaitingReferences lists what waits for a role, longest first, without Signed.
	WaitingReferences(ctx context.Context, q Inbox) ([]WaitingReference, error)
	// OnTheMove gives the system of the reference that a document is of, whether that waits for a
	// role, whether app asked for one of its signatures, and whether it is classified; ErrUnknown when
	// nothing of it is signed.
	OnTheMove(ctx context.Context, document, app string) (system string, waits, part, classified bool, err error)
	// OwnTransactions lists what an officer was asked to sign, the newest first.
	OwnTransactions(ctx context.Context, q Mine) ([]OwnTransaction, error)
	// Intended is when a transaction's intent was recorded; zero before.
	Intended(ctx context.Context, transaction string) (time.Time, error)
	// Traces lists at most limit audit events about an object, the oldest first.
	Traces(ctx context.Context, object string, limit int) ([]Trace, error)
	// Audit appends a lone event: a refusal, an alarm.
	Audit(ctx context.Context, ev audit.Event) error
}

// Keys opens officers' keys in the HSM.
type Keys interface {
	// Open unwraps the credential's key under its PIN. ErrPINWrong when the PIN
	// does not open the seal; ErrBusy when the bounded wait ran out;
	// ErrKeysUnavailable when the HSM cannot be reached. It never counts tries.
	Open(ctx context.Context, c Credential, pin secret.Text, u KeyUse) (Key, error)
	// Reopen opens a key from both halves of what Key.Split gave, for the same
	// context and until the same time. ErrActivation when they do not belong
	// together, or the time is over.
	Reopen(ctx context.Context, c Credential, share secret.Text, sealed, context []byte, until time.Time) (Key, error)
	// ChangePIN seals the same key under another PIN, for the next version. Errors
	// as of Open, about old.
	ChangePIN(ctx context.Context, c Credential, old, next secret.Text) (version uint32, sealed []byte, err error)
}

// KeyUse says what a key is opened for.
type KeyUse struct {
	Bulk  bool      // nobody waits for each signature: leave sessions to those who do
	Until time.Time // the key destroys itself then, should nobody close it
}

// Key is an opened key; it may be used by several goroutines.
type Key interface {
	// SignAll signs 1 to 64 digests (PKCS #1 v1.5, PSS or ECDSA as opts says; ECDSA as ASN.1
	// DER), one after another, and has verified the results with the credential's public key.
	// With an error it returns those made before that.
	SignAll(ctx context.Context, digests [][]byte, opts crypto.SignerOpts) ([][]byte, error)
	// Split makes two halves with which, and with the HSM's log-in, the key can
	// be opened again without its PIN; one alone is worth nothing. context is
	// authenticated.
	Split(ctx context.Context, context []byte, until time.Time) (share secret.Text, sealed []byte, err error)
	// Close destroys the key's session object. Closing twice is no error.
	Close() error
}

// MAC makes HMAC-SHA-256 with the intent key inside the HSM: 32 bytes.
type MAC interface {
	MAC(ctx context.Context, data []byte) ([]byte, error)
}

// Blobs keeps documents' bytes. Ids are names with slashes between them, as fs.ValidPath has
// them; others are refused. An error of a store that is full or away wraps ErrStoreUnavailable:
// nothing is wrong with the document, and the same may be tried again.
type Blobs interface {
	// Open opens a blob for reading at any offset until ctx ends; the caller closes it. What it
	// reads is of one version. The error wraps fs.ErrNotExist when there is none.
	Open(ctx context.Context, id string) (Blob, error)
	// Create writes a blob under id, whole or not at all: write, called once, fills it, and
	// it is durable when Create returns nil. An existing blob of that id is replaced.
	Create(ctx context.Context, id string, write func(io.Writer) error) (size int64, err error)
	// Stage is Create of a blob that others may read from then on, and that a crash of the
	// machine may lose or leave broken until Sync returns nil: nothing durable may name it
	// before. It is for many at once.
	Stage(ctx context.Context, id string, write func(io.Writer) error) (size int64, err error)
	// Sync makes staged blobs durable, at little more cost for many than for one. After an
	// error none of them is, nor becomes so by another Sync: they are to be written again.
	Sync(ctx context.Context, ids ...string) error
	// Remove deletes a blob, or all blobs under a folder. What is not there is
	// no error.
	Remove(ctx context.Context, id string) error
}

// Blob is an open document.
type Blob interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// HeaderFits says whether a data header is made as a system's are and names no other officer
// than ic, and which amount it names ("29911.35"); "" for none.
type HeaderFits func(header, ic string) (amount string, ok bool)

// Signer is the orchestrator; all fields but AlarmTo, Headers, Proxies, Shares, Templates, Processes,
// TSARoots, Lease and Node are required.
type Signer struct {
	Records Records
	Keys    Keys
	MAC     MAC
	Blobs   Blobs
	Codes   *otp.Issuer
	// Channels lists the channels that codes for an ICT system may take, preferred
	// first.
	Channels func(system string) []string
	// AlarmTo are the e-mail addresses of administrators that are told of each
	// "this was not me"; none: the audit and the log alone tell it.
	AlarmTo []string
	// Proxies are addresses that say nothing of who is behind them.
	Proxies []netip.Prefix
	PIN     PINPolicy
	// CheckPIN says whether the credential's holder may choose a PIN.
	CheckPIN func(pin secret.Text, c *Credential) error
	// Shares lets batches go on after a stop without the officer; nil when there
	// is no place for them, and every stop needs PIN and code.
	Shares Shares
	// Timestamps and Revocation serve the levels above B-B. TSARoots gives what
	// certificates in time-stamps may lead to; nil: the root of the officer's.
	Timestamps pdf.Timestamper
	Revocation Revocation
	TSARoots   func() *x509.CertPool
	// Outage says what becomes of documents while these cannot be had; the zero
	// value waits.
	Outage Outage
	// Headers says what the data headers of a system are made of; nil for one where any will do
	// that does not end in another officer's number.
	Headers func(ctx context.Context, system string) (HeaderFits, error)
	// Templates are what visible signatures look like; nil has what is built in.
	Templates *Templates
	// Processes are the work processes that requests may name; nil: none.
	Processes *process.List
	// Lifetime is how long a transaction waits for its PIN and code;
	// SigningTime how long an intent may sign: Base plus PerDocument each.
	Lifetime          time.Duration
	IntentBase        time.Duration
	IntentPerDocument time.Duration
	// Lease is how long a run counts as alive without a sign of life; 0 is DefaultLease. Node
	// begins the ids of this process's runs; no two processes have the same.
	Lease time.Duration
	Node  string
	// TempDir is where private copies of large documents lie, unlinked.
	TempDir string
	Now     func() time.Time

	confirming keylock.Locks // officers whose confirmation is being judged
}
