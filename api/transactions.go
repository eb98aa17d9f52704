package api

import (
	"context"
	"crypto"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
)

// maxDocuments bounds a transaction without a batch.
const maxDocuments = 1000

type otpBody struct {
	Channel      string    `json:"channel"`
	SentTo       string    `json:"sent_to" example:"s•••@jpk.gov.my"`
	ExpiresAt    time.Time `json:"expires_at"`
	ResendAfter  time.Time `json:"resend_after"`
	AttemptsLeft int       `json:"attempts_left"`
}

type documentItem struct {
	ID        string     `json:"id,omitempty"`
	Name      string     `json:"name"`
	Digest    digestBody `json:"digest"`
	Reference string     `json:"reference,omitempty"`
}

type signatureBody struct {
	DocumentID string `json:"document_id,omitempty"`
	Name       string `json:"name"`
	Reference  string `json:"reference,omitempty"`
	Format     string `json:"format"`
	Algorithm  string `json:"algorithm"`
	Signature  string `json:"signature,omitempty" doc:"Base64. RAW: the value; CMS, and PADES of a digest: SignedData in DER"`
	ContentURL string `json:"content_url,omitempty" doc:"PADES: where the signed PDF is"`
	Code       string `json:"code,omitempty" doc:"Why this document was refused"`
	Detail     string `json:"detail,omitempty"`
}

type informationBody struct {
	IC           string     `json:"ic"`
	Subject      string     `json:"subject"`
	Issuer       string     `json:"issuer"`
	SerialNumber string     `json:"serial_number" doc:"Decimal"`
	NotBefore    time.Time  `json:"not_before"`
	NotAfter     time.Time  `json:"not_after"`
	SignedAt     time.Time  `json:"signed_at"`
	Timestamp    *time.Time `json:"timestamp,omitempty" doc:"Of the time-stamping authority, for a single document at B-T or above"`
}

type transactionBody struct {
	ID          string           `json:"transaction_id"`
	Nonce       string           `json:"nonce,omitempty" doc:"Base64, 16 bytes; the live one, while WAITING"`
	Status      string           `json:"status" enum:"WAITING,SIGNING,SIGNED,SIGNED_WITH_REFUSALS,FAILED,EXPIRED,CANCELLED,NEEDS_AUTHORISATION"`
	Code        string           `json:"code,omitempty" doc:"NEEDS_AUTHORISATION, CANCELLED: why, where it is one of the error codes, such as certificate_suspended"`
	ExpiresAt   time.Time        `json:"expires_at"`
	Count       uint32           `json:"count"`
	Root        string           `json:"root" doc:"Base64, 32 bytes"`
	Fingerprint string           `json:"fingerprint" example:"7K3M-Q0ZV"`
	Total       *totalBody       `json:"total,omitempty" doc:"As given at creation; of a batch whose documents have amounts their sum"`
	Payees      *payeesBody      `json:"payees,omitempty" doc:"To whom the documents of the batch pay, as given with them"`
	System      string           `json:"system"`
	DataHeader  string           `json:"data_header,omitempty"`
	Process     string           `json:"process,omitempty"`
	Role        string           `json:"role,omitempty"`
	Class       string           `json:"classification,omitempty" doc:"In a work process at least that of the roles before"`
	BatchID     string           `json:"batch_id,omitempty"`
	BatchRoot   string           `json:"batch_root,omitempty" doc:"Root of the sealed batch; differs from root when only the rest is authorised"`
	Documents   []documentItem   `json:"documents,omitempty"`
	OTP         *otpBody         `json:"otp,omitempty"`
	SigningURL  string           `json:"signing_url,omitempty" doc:"Only in the answer to the creation: send the officer's browser there. It opens once, in the first browser"`
	Image       string           `json:"security_image,omitempty" doc:"WAITING: name of the picture the officer chose; show it beside the fields for PIN and code"`
	Signed      uint32           `json:"signed,omitempty"`
	Refused     uint32           `json:"refused,omitempty"`
	Signatures  []signatureBody  `json:"signatures,omitempty"`
	Information *informationBody `json:"signature_information,omitempty"`
}

type transactionOutput struct {
	Status int
	Body   transactionBody
}

type transactionInput struct {
	ID string `path:"id" maxLength:"64"`
}

type resendInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body *struct {
		Channel string `json:"channel,omitempty" enum:"auto,push,email"`
	}
}

type signBody struct {
	Nonce     string      `json:"nonce" maxLength:"64" doc:"Base64, as given with the code"`
	PIN       secret.Text `json:"pin" doc:"The certificate's PIN"`
	OTP       secret.Text `json:"otp" doc:"Six digits"`
	Root      string      `json:"root,omitempty" maxLength:"64" doc:"Compared when given"`
	Documents []struct {
		Digest digestBody `json:"digest"`
	} `json:"documents,omitempty" maxItems:"1000" doc:"Compared when given"`
}

type signInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body signBody
}

func (s *server) transactions(h huma.API) {
	create := op("Transactions", "createTransaction", http.MethodPost, "/v1/transactions", "Ask an officer to sign; sends the code",
		http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusLocked)
	create.DefaultStatus, create.MaxBodyBytes = http.StatusCreated, 16<<20
	huma.Register(h, create, s.createTransaction)
	huma.Register(h, op("Transactions", "transaction", http.MethodGet, "/v1/transactions/{id}", "Status; while WAITING all that a screen needs to go on, the live nonce too; the signatures once signed", http.StatusNotFound), s.transaction)
	huma.Register(h, op("Transactions", "resend", http.MethodPost, "/v1/transactions/{id}/otp", "Send a new code and nonce",
		http.StatusNotFound, http.StatusConflict, http.StatusGone), s.resend)
	sign := op("Transactions", "sign", http.MethodPost, "/v1/transactions/{id}/sign", "Confirm with PIN and code", http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusLocked)
	sign.Description = "For apps with `pin_entry` `app`. In this order: transaction live, nonce and documents; PIN lock and certificate; one of three tries; the code; the PIN."
	huma.Register(h, sign, s.sign)
	alsoWith(h.OpenAPI().Paths[sign.Path].Post, http.StatusAccepted, "A batch: signing has begun")
	huma.Register(h, op("Transactions", "cancelTransaction", http.MethodDelete, "/v1/transactions/{id}", "Cancel; a batch in signing stops and needs a new authorisation", http.StatusNotFound, http.StatusConflict, http.StatusGone), s.cancelTransaction)
}

// fixed prints a field's rule in both languages.
func fixed(field, en, ms string) error { return &invalid{field, en, ms} }

func (s *server) createTransaction(ctx context.Context, in *createInput) (*transactionOutput, error) {
	a, err := s.ask(ctx, &in.Body)
	if err != nil {
		return nil, s.refused(ctx, "transaction.create", "officer:"+in.Body.IC, err)
	}
	r, ch, err := s.Signer.Prepare(ctx, *a)
	if err != nil {
		return nil, s.fail(ctx, named(&in.Body, err))
	}
	b := waiting(r, ch)
	if r.Page != nil {
		b.SigningURL = s.SigningURL(string(r.Page.Link.Reveal()))
	}
	if !r.Implicit {
		ba, err := s.Batches.Queue.Batch(ctx, r.Batch)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		b.BatchRoot = base64.StdEncoding.EncodeToString(ba.Root[:])
	}
	for _, d := range a.Documents {
		b.Documents = append(b.Documents, documentOut(&d))
	}
	return &transactionOutput{http.StatusCreated, b}, nil
}

func documentOut(d *signer.Document) documentItem {
	return documentItem{d.DocumentID, d.Name, digestBody{hashName(d.Hash), base64.StdEncoding.EncodeToString(d.Digest)}, d.Reference}
}

// waiting is the answer of a request that waits for its PIN and code.
func waiting(r *signer.Request, ch *otp.Challenge) transactionBody {
	b := transactionBody{ID: r.ID, Status: string(r.Status), ExpiresAt: r.ExpiresAt, Count: r.Count, Root: base64.StdEncoding.EncodeToString(r.Root[:]),
		Fingerprint: signer.Fingerprint(r.Root), System: r.System, DataHeader: r.DataHeader, Process: r.Process, Role: r.Role, Class: r.Class}
	b.Code = codeOf(r.Ended)
	if t := r.Options.Total; t != nil {
		b.Total = &totalBody{t.Amount, t.Currency}
	}
	if p := r.Options.Payees; p != nil {
		b.Payees = &payeesBody{p.Count, p.First}
	}
	if !r.Implicit {
		b.BatchID = r.Batch
	}
	if ch != nil && r.Status == signer.Waiting {
		b.Nonce = base64.StdEncoding.EncodeToString(ch.Nonce[:])
		if r.Page == nil { // where the officer gives PIN and code in the app
			b.Image = r.Image
		}
		b.OTP = &otpBody{ch.Channel, ch.SentTo, ch.ExpiresAt, ch.ResendAfter, ch.TriesLeft}
	}
	return b
}

func (s *server) transaction(ctx context.Context, in *transactionInput) (*transactionOutput, error) {
	r, err := s.Signer.Request(ctx, appOf(ctx).ID, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	b, err := s.view(ctx, r, nil)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &transactionOutput{http.StatusOK, b}, nil
}

// view is the whole answer about a transaction in any state; c is its credential, nil to read it.
func (s *server) view(ctx context.Context, r *signer.Request, c *signer.Credential) (transactionBody, error) {
	var ch *otp.Challenge
	if r.Status == signer.Waiting {
		c, err := s.Signer.Codes.Records.Challenge(ctx, r.ID)
		if err != nil {
			return transactionBody{}, err
		}
		ch = &c
	}
	b := waiting(r, ch)
	finished := r.Status == signer.Signed || r.Status == signer.SignedWithRefusals || r.Status == signer.Failed
	if !r.Implicit || !finished { // else its documents are listed, and counted there
		ba, err := s.Batches.Queue.Batch(ctx, r.Batch)
		if err != nil {
			return b, err
		}
		if b.Signed, b.Refused = ba.Signed, ba.Refused; !r.Implicit {
			b.BatchRoot = base64.StdEncoding.EncodeToString(ba.Root[:])
		}
	}
	if r.Status == signer.Waiting && r.Implicit {
		// What a screen that was refreshed shows again.
		for d, err := range s.Signer.Records.Pending(ctx, r.Batch) {
			if err != nil {
				return b, err
			}
			b.Documents = append(b.Documents, documentOut(&d))
		}
	}
	if !finished {
		return b, nil
	}
	if c == nil {
		read, err := s.Signer.Records.Credential(ctx, r.Officer, r.System, r.Credential)
		if err != nil {
			return b, err
		}
		c = &read
	}
	x := c.Certificate
	b.Information = &informationBody{IC: r.Officer, Subject: verify.Subject(x), Issuer: verify.Subject(c.Chain[0]), SerialNumber: x.SerialNumber.String(),
		NotBefore: x.NotBefore.UTC(), NotAfter: x.NotAfter.UTC(), SignedAt: r.FinishedAt}
	if !r.Implicit {
		return b, nil // a batch is counted here, listed under its own route
	}
	items, err := s.Batches.Queue.Items(ctx, r.Batch, "", -1, maxDocuments)
	if err != nil {
		return b, err
	}
	for k := range items {
		b.Signatures = append(b.Signatures, signatureOf(r, &items[k]))
		switch items[k].State {
		case batch.ItemSigned:
			b.Signed++
		case batch.ItemRefused:
			b.Refused++
		}
	}
	if len(items) == 1 && !items[0].Timestamp.IsZero() {
		b.Information.Timestamp = &items[0].Timestamp
	}
	return b, nil
}

func signatureOf(r *signer.Request, it *batch.Item) signatureBody {
	sig := signatureBody{DocumentID: it.DocumentID, Name: it.Name, Reference: it.Reference, Format: r.Options.Format, Algorithm: r.Options.Algorithm,
		Code: it.Code, Detail: it.Detail}
	if len(it.Signature) > 0 {
		sig.Signature = base64.StdEncoding.EncodeToString(it.Signature)
	}
	if it.SignedBlob != "" {
		sig.ContentURL = "/v1/documents/" + it.DocumentID + "/content"
	}
	return sig
}

func (s *server) resend(ctx context.Context, in *resendInput) (*transactionOutput, error) {
	channel := ""
	if in.Body != nil {
		channel = in.Body.Channel
	}
	r, ch, err := s.Signer.Resend(ctx, appOf(ctx).ID, in.ID, channel, requestIDOf(ctx))
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &transactionOutput{http.StatusOK, waiting(r, ch)}, nil
}

func (s *server) sign(ctx context.Context, in *signInput) (*transactionOutput, error) {
	defer in.Body.PIN.Wipe()
	defer in.Body.OTP.Wipe()
	app := appOf(ctx)
	if app.PINEntry != enrol.PINInApp {
		return nil, s.refused(ctx, "signer.authorize", in.ID, errHosted)
	}
	f, err := confirmation(app.ID, in, requestIDOf(ctx))
	if err != nil {
		return nil, s.refused(ctx, "signer.authorize", in.ID, err)
	}
	a, err := s.Signer.Authorize(ctx, f)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if !a.Request.Implicit {
		s.Runner.Start(a)
		b := waiting(a.Request, nil)
		b.Status = string(signer.Signing)
		return &transactionOutput{http.StatusAccepted, b}, nil
	}
	// From here on the code is spent: neither a client that goes away must stop it, nor who takes
	// its claim, and reads in the intent what became of it.
	ctx = s.Replies.ClaimedReply(context.WithoutCancel(ctx), "", "", time.Time{})
	if err := s.Runner.Run(ctx, a); err != nil {
		return nil, s.fail(ctx, err)
	}
	r, err := s.Signer.Request(ctx, app.ID, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	b, err := s.view(ctx, r, a.Credential)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &transactionOutput{http.StatusOK, b}, nil
}

func confirmation(app string, in *signInput, requestID string) (signer.Confirmation, error) {
	f := signer.Confirmation{App: app, Transaction: in.ID, PIN: in.Body.PIN, Code: in.Body.OTP, RequestID: requestID}
	nonce, err := decodeBase64(in.Body.Nonce)
	if err != nil || len(nonce) != otp.NonceSize {
		return f, fixed("nonce", "It must be base64 of 16 bytes.", "Ia mesti base64 bagi 16 bait.")
	}
	f.Nonce = [otp.NonceSize]byte(nonce)
	if n := in.Body.OTP.Len(); n != otp.Digits || strings.Trim(string(in.Body.OTP.Reveal()), "0123456789") != "" {
		return f, fixed("otp", "It must be six digits.", "Ia mesti enam digit.")
	}
	if n := in.Body.PIN.Len(); n == 0 || n > 256 {
		return f, fixed("pin", "It must have 1 to 64 characters.", "Ia mesti 1 hingga 64 aksara.")
	}
	if in.Body.Root != "" {
		if f.Root, err = decodeBase64(in.Body.Root); err != nil || len(f.Root) != 32 {
			return f, fixed("root", "It must be base64 of 32 bytes.", "Ia mesti base64 bagi 32 bait.")
		}
	}
	for k, d := range in.Body.Documents {
		v, err := decodeBase64(d.Digest.Value)
		if err != nil || len(v) == 0 {
			return f, fixed(fmt.Sprintf("documents[%d].digest", k), "It must be base64.", "Ia mesti base64.")
		}
		f.Digests = append(f.Digests, v)
	}
	return f, nil
}

func (s *server) cancelTransaction(ctx context.Context, in *transactionInput) (*struct{}, error) {
	if err := s.Runner.Cancel(ctx, appOf(ctx).ID, in.ID, requestIDOf(ctx)); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

// decodeBase64 takes padded standard base64, and base64url with or without
// padding.
func decodeBase64(v string) ([]byte, error) {
	v = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(v, "="))
	return base64.RawStdEncoding.Strict().DecodeString(v)
}

func hashName(h crypto.Hash) string {
	return map[crypto.Hash]string{crypto.SHA256: "SHA-256", crypto.SHA384: "SHA-384", crypto.SHA512: "SHA-512"}[h]
}
