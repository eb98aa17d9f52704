package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/secret"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

type signCmd struct {
	remote `embed:""`
	File   string `arg:"" help:"PDF to sign." type:"path"`
	Out    string `help:"Signed file (default: FILE-signed.pdf)." type:"path"`
	JSON   bool   `help:"Print JSON."`

	Level        string `enum:"B-B,B-T,B-LT,B-LTA" default:"B-B" help:"Level of the signature: B-B, B-T with a time-stamp, B-LT with revocation data, B-LTA with both for the archive."`
	Reason       string `help:"Reason shown in the signature."`
	Field        string `help:"Signature field to sign, by its full name; made when absent."`
	Certify      int    `help:"Certify the document: 1 permits no change later, 2 forms and signatures, 3 notes too."`
	Visible      string `help:"Place of a visible signature: PAGE,X,Y,WIDTH,HEIGHT in points; PAGE may be last, with --anchor also any."`
	Anchor       string `help:"Place a visible signature just above this text; with --visible X and Y count from the text's lower left."`
	Template     string `help:"How a visible signature looks: standard (the default), plain, name-left, stamp, or a template of the gateway's mohor.yaml. With --field alone it is drawn in that field."`
	PasswordFile string `help:"File with the password of an encrypted PDF." type:"existingfile"`
}

func (c *signCmd) Run(e *env) error {
	api, err := c.connect()
	if err != nil {
		return err
	}
	pades, err := c.pades()
	if err != nil {
		return err
	}
	var password secret.Text
	if c.PasswordFile != "" {
		if password, err = secretFile(c.PasswordFile); err != nil {
			return err
		}
		defer password.Wipe()
	}
	if c.Out == "" {
		c.Out = strings.TrimSuffix(c.File, filepath.Ext(c.File)) + "-signed.pdf"
	}
	if err := ready(c.File, c.Out); err != nil {
		return err
	}
	doc, err := api.uploadPDF(e.ctx, c.File, password)
	if err != nil {
		return err
	}
	t, err := api.CreateTransaction(e.ctx, c.ask(mohor.Ask{Format: mohor.PADES, PAdES: pades, Documents: []mohor.Document{{DocumentID: doc}}}))
	if err != nil {
		return err
	}
	if t, err = c.confirm(e, api, t); err != nil {
		return err
	}
	if len(t.Signatures) != 1 || t.Signatures[0].ContentURL == "" || t.Information == nil {
		return fmt.Errorf("the document was not signed: %s", t.Status)
	}
	if err := api.signedPDF(e.ctx, t.Signatures[0].DocumentID, c.Out); err != nil {
		return hinted{fmt.Errorf("the document is signed (transaction %s), but: %w", t.ID, err),
			`fetch it, with the app's key: curl -H "X-API-Key: $KEY" -o signed.pdf ` + api.Base() + t.Signatures[0].ContentURL}
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(map[string]any{"file": c.Out, "transaction_id": t.ID, "signature_information": signedBy{t.Information.Subject, t.Information.SerialNumber, t.Information.SignedAt, t.Information.Timestamp}})
	}
	fmt.Fprintf(e.stdout, "signed  %s\nby      %s\nserial  %s\nat      %s\n", c.Out, t.Information.Subject, t.Information.SerialNumber, t.Information.SignedAt.Format(time.RFC3339))
	if at := t.Information.Timestamp; at != nil {
		fmt.Fprintf(e.stdout, "stamped %s\n", at.Format(time.RFC3339))
	}
	return nil
}

// signedBy is what --json tells of the signatory: no IC, beyond what is in the subject.
type signedBy struct {
	Subject      string     `json:"subject"`
	SerialNumber string     `json:"serial_number"`
	SignedAt     time.Time  `json:"signed_at"`
	Timestamp    *time.Time `json:"timestamp,omitempty"`
}

// pades is what the flags ask for, in the words of the API.
func (c *signCmd) pades() (*mohor.PAdES, error) {
	p := &mohor.PAdES{Level: c.Level, Reason: c.Reason, Field: c.Field, Certify: c.Certify}
	var v mohor.Visible
	if c.Visible != "" {
		place, err := parseVisible(c.Visible, c.Anchor != "")
		if err != nil {
			return nil, err
		}
		v = *place
	}
	v.Anchor = c.Anchor
	if c.Template != "" && v == (mohor.Visible{}) && c.Field == "" {
		return nil, hinted{errors.New("--template is of a visible signature, and no place is given"), "give --visible, --anchor or --field"}
	}
	if v.Template = c.Template; v != (mohor.Visible{}) {
		p.Visible = &v
	}
	return p, nil
}

// parseVisible reads the flag --visible into what the API calls visible.
func parseVisible(s string, anchored bool) (*mohor.Visible, error) {
	parts := strings.Split(s, ",")
	if len(parts) != 5 {
		return nil, errors.New("--visible must be PAGE,X,Y,WIDTH,HEIGHT")
	}
	v := &mohor.Visible{}
	switch page := strings.TrimSpace(parts[0]); {
	case page == "last":
		v.Page = mohor.LastPage
	case page == "any" && anchored: // wherever the text is
	default:
		n, err := strconv.Atoi(page)
		if err != nil || n < 1 {
			return nil, errors.New("--visible: PAGE must be a number from 1, or last; with --anchor also any")
		}
		v.Page = mohor.Page(n)
	}
	for k, to := range []*float64{&v.X, &v.Y, &v.Width, &v.Height} {
		f, err := strconv.ParseFloat(strings.TrimSpace(parts[k+1]), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("--visible: %s must be a number of points", []string{"X", "Y", "WIDTH", "HEIGHT"}[k])
		}
		*to = f
	}
	return v, nil
}

// uploadPDF sends a document; password is for one that does not open without.
func (c *client) uploadPDF(ctx context.Context, file string, password secret.Text) (id string, err error) {
	f, _, err := openFile(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	doc, err := c.UploadPDF(ctx, filepath.Base(file), f, password)
	if err != nil {
		return "", err
	}
	return doc.ID, nil
}

// ask adds who is to sign to the rest of a transaction.
func (r *remote) ask(a mohor.Ask) mohor.Ask {
	a.IC, a.System, a.CredentialID = r.IC, r.System, r.Credential
	if r.Total != "" {
		currency, amount, _ := strings.Cut(r.Total, " ")
		a.Total = &mohor.Total{Amount: amount, Currency: currency}
	}
	return a
}

// confirm asks for PIN and code and submits them; a wrong one may be given
// again while tries are left.
func (r *remote) confirm(e *env, api *client, t *mohor.Transaction) (*mohor.Transaction, error) {
	sum := ""
	if t.Total != nil {
		sum = "total " + t.Total.Currency + " " + t.Total.Amount + ", "
	}
	to := ""
	if t.OTP != nil {
		to = t.OTP.SentTo
	}
	fmt.Fprintf(e.stderr, "mohor: %d document(s), %sfingerprint %s; the code was sent to %s\n", t.Count, sum, t.Fingerprint, to)
	for {
		pin := api.pin
		if r.PINFile == "" {
			var err error
			if pin, err = e.ask("PIN"); err != nil {
				return nil, err
			}
		}
		code, err := e.ask("Kod / Code")
		if err != nil {
			return nil, err
		}
		done, err := api.Sign(e.ctx, t.ID, mohor.Confirmation{Nonce: t.Nonce, PIN: pin, OTP: secret.NewBytes(bytes.TrimSpace(code.Reveal()))})
		pin.Wipe()
		code.Wipe()
		var p *mohor.Problem
		if errors.As(err, &p) && p.AttemptsLeft != nil && *p.AttemptsLeft > 0 && r.PINFile == "" {
			fmt.Fprintf(e.stderr, "mohor: %v\n", err)
			continue
		}
		return done, err
	}
}

type batchCmd struct {
	Sign batchSignCmd `cmd:"" help:"Sign a batch of eCertificates from a CSV of candidates, with one PIN and one code."`
}

type batchSignCmd struct {
	remote        `embed:""`
	File          string `arg:"" help:"List of candidates (CSV or XLSX), or a ZIP of one and the pictures it names." type:"path"`
	Name          string `help:"Name of the batch (default: the file's)."`
	Out           string `help:"ZIP of the signed certificates (default: FILE.zip)." type:"path"`
	AcceptRefused bool   `help:"Sign the good rows although others were refused."`
	Level         string `enum:"B-B,B-T,B-LT,B-LTA" default:"B-B" help:"Level of the signatures."`
	Batch         string `help:"Go on with this batch instead of making one from FILE."`
	JSON          bool   `help:"Print JSON."`
}

func (c *batchSignCmd) Run(e *env) error {
	api, err := c.connect()
	if err != nil {
		return err
	}
	if c.Name == "" {
		c.Name = filepath.Base(c.File)
	}
	if c.Out == "" {
		c.Out = strings.TrimSuffix(c.File, filepath.Ext(c.File)) + ".zip"
		if c.Out == c.File {
			c.Out = strings.TrimSuffix(c.File, ".zip") + "-signed.zip"
		}
	}
	if err := ready(c.File, c.Out); err != nil {
		return err
	}
	b := new(mohor.Batch)
	if c.Batch == "" {
		c.Batch, err = c.take(e, api)
	} else {
		b, err = api.Batch(e.ctx, c.Batch)
	}
	if err != nil {
		return err
	}
	// A batch that was confirmed may have gone on without us.
	if b.Status != "SIGNING" && !b.Done() {
		t, err := api.CreateTransaction(e.ctx, c.ask(mohor.Ask{Format: mohor.PADES, BatchID: c.Batch, PAdES: &mohor.PAdES{Level: c.Level}}))
		if err != nil {
			return err
		}
		if _, err := c.confirm(e, api, t); err != nil {
			return err
		}
	}
	again := "mohor batch sign --batch " + c.Batch + " " + c.File
	if b, err = api.follow(e, c.Batch); err != nil {
		return hinted{err, "when the gateway answers again: " + again}
	}
	if !b.Done() {
		return hinted{fmt.Errorf("the batch stopped: %s, %d of %d signed", b.Status, b.Signed, b.Count), again}
	}
	if err := api.archive(e.ctx, c.Batch, c.Out); err != nil {
		return hinted{fmt.Errorf("the batch is signed, but: %w", err), "fetch it: " + again}
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(map[string]any{"file": c.Out, "batch": b})
	}
	fmt.Fprintf(e.stdout, "%s  %d signed, %d refused\n%s\n", b.Status, b.Signed, b.Refused, c.Out)
	return nil
}

// take makes, fills and seals the batch; refused rows are shown.
func (c *batchSignCmd) take(e *env, api *client) (id string, err error) {
	b, err := api.CreateBatch(e.ctx, c.Name, mohor.BatchECert)
	if err != nil {
		return "", err
	}
	f, _, err := openFile(c.File)
	if err != nil {
		return "", err
	}
	defer f.Close()
	add := api.AddCandidates
	if strings.EqualFold(filepath.Ext(c.File), ".zip") {
		add = api.AddCandidatesWithPhotos
	}
	got, err := add(e.ctx, b.ID, f)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(e.stderr, "mohor: batch %s: %d rows taken, %d refused\n", b.ID, got.Accepted, got.RefusedCount)
	for _, n := range got.Notes {
		fmt.Fprintf(e.stderr, "mohor: %s\n", n.Detail)
	}
	for _, r := range got.Refused {
		fmt.Fprintf(e.stderr, "mohor: row %d, %s: %s [%s]\n", r.Row, r.Column, r.Detail, r.Code)
	}
	if more := got.RefusedCount - len(got.Refused); more > 0 {
		fmt.Fprintf(e.stderr, "mohor: and %d more\n", more)
	}
	if got.RefusedCount > 0 && !c.AcceptRefused {
		refusal := fmt.Errorf("%d rows were refused, nothing was signed", got.RefusedCount)
		// Nobody will come back for this batch.
		return "", hinted{errors.Join(refusal, api.CancelBatch(e.ctx, b.ID)), "mend the rows, or sign the others with --accept-refused"}
	}
	_, err = api.Seal(e.ctx, b.ID, c.AcceptRefused)
	return b.ID, err
}

// follow watches a batch until it is done or stops.
func (c *client) follow(e *env, id string) (*mohor.Batch, error) {
	var bar *progress
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := c.Batch(e.ctx, id)
		if err != nil {
			return nil, err
		}
		if bar == nil {
			bar = e.progress("signing", b.Count)
		}
		bar.at(b.Signed + b.Refused)
		if b.Status != "SIGNING" && b.Status != "SEALED" {
			return b, nil
		}
		select {
		case <-e.ctx.Done():
			return b, e.ctx.Err()
		case <-tick.C:
		}
	}
}
