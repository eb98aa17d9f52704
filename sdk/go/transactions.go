package mohor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Formats of a signature.
const (
	RAW   = "RAW"   // the signature value over a digest; the application needs the grant
	CMS   = "CMS"   // detached SignedData over a digest: CAdES B-B or B-T (ETSI EN 319 122-1)
	PADES = "PADES" // in a PDF (ETSI EN 319 142-1), here or prepared by package pades
)

// Ask is what an officer is asked to sign. Only IC, System, Format and either Documents
// or BatchID are always needed.
type Ask struct {
	IC             string `json:"ic"`
	System         string `json:"system"`
	DataHeader     string `json:"data_header,omitempty"`
	Process        string `json:"process,omitempty"` // of Client.Processes: roles sign in order, each Document has a Reference
	Role           string `json:"role,omitempty"`
	Classification string `json:"classification,omitempty"` // "terbuka", "terhad", "sulit", "rahsia" or "rahsia besar"
	CredentialID   string `json:"credential_id,omitempty"`  // else the officer's first active one for the system
	Channel        string `json:"channel,omitempty"`        // of the code: "auto" as when empty, or its name
	Format         string `json:"format"`
	Algorithm      string `json:"algorithm,omitempty"` // "RSA-PKCS1", "RSA-PSS" or "ECDSA"; else as the key has it
	PAdES          *PAdES `json:"pades,omitempty"`     // of all documents; CMS: Level alone
	// Documents, at most 1,000, or the id of a sealed batch.
	Documents []Document `json:"documents,omitempty"`
	BatchID   string     `json:"batch_id,omitempty"`
	Total     *Total     `json:"total,omitempty"`
	// RedirectURI, one that is registered, has the officer give PIN and code on the
	// gateway's own page (Transaction.SigningURL), which returns to it with State.
	RedirectURI string `json:"redirect_uri,omitempty"`
	State       string `json:"state,omitempty"`
}

// Document is one thing to be signed: of Digest, Data and DocumentID exactly one, or, for a
// later role of a work process, nothing but the Reference.
type Document struct {
	Name       string `json:"name,omitempty"` // the officer reads it; of an upload its own unless given
	Digest     Digest `json:"digest,omitzero"`
	Data       []byte `json:"data,omitempty"` // at most 1 MiB, hashed by the gateway with SHA-256
	DocumentID string `json:"document_id,omitempty"`
	Reference  string `json:"reference,omitempty"` // the caller's name of it
	PAdES      *PAdES `json:"pades,omitempty"`     // in the place of the transaction's
}

// Payees is to whom the documents of a batch pay.
type Payees struct {
	Count int      `json:"count"`
	First []string `json:"first"` // three at most
}

// Total is what the documents amount to, for the officer to read.
type Total struct {
	Amount   string `json:"amount"`   // "29911.35"
	Currency string `json:"currency"` // ISO 4217
}

// PAdES says what a document's signature shall be like.
type PAdES struct {
	Level    string   `json:"level,omitempty"` // "B-B" as when empty, "B-T", "B-LT" or "B-LTA"
	Reason   string   `json:"reason,omitempty"`
	Location string   `json:"location,omitempty"`
	Contact  string   `json:"contact,omitempty"`
	Field    string   `json:"field,omitempty"`   // by its full name; made when absent
	Certify  int      `json:"certify,omitempty"` // 1 permits no change later, 2 forms and signatures, 3 notes too
	Visible  *Visible `json:"visible,omitempty"`
}

// Visible places an appearance, in points from the lower left of the page as displayed,
// or of the text Anchor.
type Visible struct {
	Page     Page    `json:"page,omitzero"` // 0: where Anchor or the field is
	X        float64 `json:"x,omitempty"`
	Y        float64 `json:"y,omitempty"`
	Width    float64 `json:"width,omitempty"`
	Height   float64 `json:"height,omitempty"`
	Anchor   string  `json:"anchor,omitempty"`
	Template string  `json:"template,omitempty"`
}

// Page is a page's number, from 1.
type Page int

// LastPage is the last one, however many there are.
const LastPage Page = -1

// MarshalJSON writes the number, or "last".
func (p Page) MarshalJSON() ([]byte, error) {
	if p == LastPage {
		return []byte(`"last"`), nil
	}
	return json.Marshal(int(p))
}

// Transaction is one thing to be confirmed with PIN and code.
type Transaction struct {
	ID string `json:"transaction_id"`
	// Nonce goes with PIN and code; there while Status is WAITING. A new code has a new one.
	Nonce string `json:"nonce"`
	// Status is WAITING, SIGNING, SIGNED, SIGNED_WITH_REFUSALS, FAILED, EXPIRED, CANCELLED
	// or NEEDS_AUTHORISATION. All but the first two are final.
	Status      string    `json:"status"`
	Code        string    `json:"code"` // why it ended, where that is a problem's code
	ExpiresAt   time.Time `json:"expires_at"`
	Count       int       `json:"count"`
	Root        []byte    `json:"root"`        // of the documents' digests
	Fingerprint string    `json:"fingerprint"` // its first 40 bits, which the officer compares
	Total       *Total    `json:"total"`
	Payees      *Payees   `json:"payees"` // of a batch whose documents name them
	System      string    `json:"system"`
	DataHeader  string    `json:"data_header"`
	Process     string    `json:"process"`
	Role        string    `json:"role"`
	// Classification is in a work process at least that of the roles before.
	Classification string `json:"classification"`
	BatchID        string `json:"batch_id"`
	BatchRoot      []byte `json:"batch_root"` // of the sealed batch; Root is that of what is left of it
	// Documents are what is to be signed, while WAITING; never those of a batch.
	Documents  []Asked `json:"documents"`
	SigningURL string  `json:"signing_url"` // where the officer's browser goes; said once
	OTP        *OTP    `json:"otp"`         // while WAITING
	// SecurityImage names the picture that the officer chose: show it beside the fields for
	// PIN and code.
	SecurityImage string `json:"security_image"`
	Signed        int    `json:"signed"`
	Refused       int    `json:"refused"`
	// Signatures, in the order of the documents; never those of a batch.
	Signatures  []Signature  `json:"signatures"`
	Information *Information `json:"signature_information"`
}

// Ended says whether nothing will change any more.
func (t *Transaction) Ended() bool { return t.Status != "WAITING" && t.Status != "SIGNING" }

// Asked is a document that waits to be signed.
type Asked struct {
	ID        string `json:"id"` // of an upload
	Name      string `json:"name"`
	Digest    Digest `json:"digest"`
	Reference string `json:"reference"`
}

// OTP is what is known of the code that was sent.
type OTP struct {
	Channel      string    `json:"channel"`
	SentTo       string    `json:"sent_to"` // masked
	ExpiresAt    time.Time `json:"expires_at"`
	ResendAfter  time.Time `json:"resend_after"`
	AttemptsLeft int       `json:"attempts_left"`
}

// Signature is what became of one document.
type Signature struct {
	DocumentID string `json:"document_id"`
	Name       string `json:"name"`
	Reference  string `json:"reference"`
	Format     string `json:"format"`
	Algorithm  string `json:"algorithm"`
	// Signature is the value (RAW), or SignedData in DER (CMS, and PADES of a digest).
	Signature []byte `json:"signature"`
	// ContentURL is the path of the signed PDF, see Client.SignedPDF.
	ContentURL string `json:"content_url"`
	// Code and Detail say why the document was refused.
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Information is who signed, as it is shown to the officer.
type Information struct {
	IC           string     `json:"ic"`
	Subject      string     `json:"subject"`
	Issuer       string     `json:"issuer"`
	SerialNumber string     `json:"serial_number"` // decimal
	NotBefore    time.Time  `json:"not_before"`
	NotAfter     time.Time  `json:"not_after"`
	SignedAt     time.Time  `json:"signed_at"`
	Timestamp    *time.Time `json:"timestamp,omitempty"` // of a single document at B-T or above
}

// CreateTransaction asks an officer to sign: it checks that every document can be signed
// and sends the code. Executed once however often it is tried.
func (c *Client) CreateTransaction(ctx context.Context, a Ask) (*Transaction, error) {
	t := new(Transaction)
	return answer(t, c.post(ctx, "/v1/transactions", a, t))
}

// Transaction tells how one stands. While it waits the answer has all that a screen needs
// to go on, the live nonce too.
func (c *Client) Transaction(ctx context.Context, id string) (*Transaction, error) {
	t := new(Transaction)
	return answer(t, c.get(ctx, transactionPath(id), t))
}

// Resend has a new code sent, with a new nonce; the old ones are dead. channel may be empty.
func (c *Client) Resend(ctx context.Context, id, channel string) (*Transaction, error) {
	var in any
	if channel != "" {
		in = map[string]string{"channel": channel}
	}
	t := new(Transaction)
	return answer(t, c.post(ctx, transactionPath(id)+"/otp", in, t))
}

// Confirmation is what the officer gives.
type Confirmation struct {
	Nonce string // as it came with the code
	PIN   Secret
	OTP   Secret // six digits
	Root  []byte // compared with the transaction's, unless nil
}

// Sign submits PIN and code. It returns the signatures, or of a batch that signing has
// begun (Status SIGNING, see Progress). Of a wrong PIN or code ("pin_wrong", "otp_wrong")
// the problem has AttemptsLeft, and Sign may be called again. An answer that was lost is
// asked for again under the same Idempotency-Key and costs no other try; what the
// gateway could not finish (503) is left to the caller. The request's body is overwritten
// after use; PIN and OTP are the caller's to wipe.
func (c *Client) Sign(ctx context.Context, id string, with Confirmation) (*Transaction, error) {
	body, err := with.body()
	if err != nil {
		return nil, err
	}
	defer body.release()
	t := new(Transaction)
	return answer(t, c.call(ctx, &request{method: http.MethodPost, path: transactionPath(id) + "/sign", contentType: "application/json", wiped: body, once: true, confirms: true}, nil, t))
}

// body is the JSON of a confirmation. Package encoding/json would keep PIN and code in
// buffers of its own.
func (f *Confirmation) body() (*wiped, error) {
	rest, err := json.Marshal(struct {
		Nonce string `json:"nonce"`
		Root  []byte `json:"root,omitempty"`
	}{f.Nonce, f.Root})
	if err != nil {
		return nil, fmt.Errorf("encoding request: %w", err)
	}
	b := make([]byte, 0, len(rest)+6*(f.PIN.Len()+f.OTP.Len())+len(`,"pin":"","otp":""`)) // never grows, which would leave a copy
	b = append(b, rest[:len(rest)-1]...)
	b = appendQuoted(append(b, `,"pin":`...), f.PIN)
	b = appendQuoted(append(b, `,"otp":`...), f.OTP)
	return newWiped(append(b, '}')), nil
}

// CancelTransaction ends one that waits, and stops one of a batch after the documents in
// work.
func (c *Client) CancelTransaction(ctx context.Context, id string) error {
	return c.cancel(ctx, transactionPath(id))
}

// Wait asks for a transaction until it ended or ctx did: for those that the officer
// confirms on the gateway's page, and for batches.
func (c *Client) Wait(ctx context.Context, id string) (*Transaction, error) {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		t, err := c.Transaction(ctx, id)
		if err != nil || t.Ended() {
			return t, err
		}
		select {
		case <-ctx.Done():
			return t, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func transactionPath(id string) string { return "/v1/transactions/" + url.PathEscape(id) }
