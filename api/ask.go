package api

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// What an appearance measures unless told, in points.
const (
	defaultWidth  = 200
	defaultHeight = 60
)

type visibleBody struct {
	Page     any     `json:"page,omitempty" doc:"Page number from 1, or \"last\"; absent: with anchor wherever it is, without where the field is"`
	X        float64 `json:"x,omitempty" minimum:"-14400" maximum:"14400" doc:"Points from the left of the CropBox as displayed"`
	Y        float64 `json:"y,omitempty" minimum:"-14400" maximum:"14400" doc:"Points from its bottom"`
	Width    float64 `json:"width,omitempty" minimum:"0" maximum:"14400" doc:"200 unless given"`
	Height   float64 `json:"height,omitempty" minimum:"0" maximum:"14400" doc:"60 unless given"`
	Anchor   string  `json:"anchor,omitempty" maxLength:"200" doc:"Text from whose lower left corner x and y count; without them the box stands just above it"`
	Template string  `json:"template,omitempty" maxLength:"32" doc:"How it looks: standard, plain, name-left, stamp, or a template of this gateway's administrator"`
}

type padesBody struct {
	Level    string       `json:"level,omitempty" enum:"B-B,B-T,B-LT,B-LTA" default:"B-B" doc:"CMS: B-B and B-T"`
	Reason   string       `json:"reason,omitempty" maxLength:"200"`
	Location string       `json:"location,omitempty" maxLength:"200"`
	Contact  string       `json:"contact,omitempty" maxLength:"200"`
	Field    string       `json:"field,omitempty" maxLength:"120" doc:"Signature field by its full name; made when absent"`
	Certify  int          `json:"certify,omitempty" minimum:"0" maximum:"3" doc:"Certify the document: 1 no change later, 2 forms and signatures, 3 notes too"`
	Visible  *visibleBody `json:"visible,omitempty"`
}

type documentRef struct {
	Name       string      `json:"name,omitempty" maxLength:"200"`
	Digest     *digestBody `json:"digest,omitempty" doc:"Never hashed again. PADES: of the ByteRange of a PDF that was prepared and stays with you; a grant of its own, pades_digest"`
	Data       string      `json:"data,omitempty" maxLength:"1398104" doc:"Base64; hashed by the gateway with SHA-256; at most 1 MiB"`
	DocumentID string      `json:"document_id,omitempty" maxLength:"64"`
	Reference  string      `json:"reference,omitempty" maxLength:"200" doc:"Your name of the document. For a later role of a work process it is enough: what is signed is what the role before left"`
	PAdES      *padesBody  `json:"pades,omitempty" doc:"In the place of the transaction's"`
}

type totalBody struct {
	Amount   string `json:"amount" maxLength:"20" example:"29911.35" doc:"Decimal text: at most 15 digits, a point and 2 to 4 digits (MYR: 2); no sign, separator, exponent or leading zero"`
	Currency string `json:"currency" maxLength:"3" example:"MYR" doc:"ISO 4217, three capital letters"`
}

type payeesBody struct {
	Count int      `json:"count" doc:"Of different names"`
	First []string `json:"first" doc:"The first three, in the order of the documents"`
}

type createBody struct {
	IC             string        `json:"ic,omitempty" doc:"The officer who is to sign; with a session the own one, as when absent"`
	System         string        `json:"system" maxLength:"32"`
	DataHeader     string        `json:"data_header,omitempty" maxLength:"200"`
	Process        string        `json:"process,omitempty" maxLength:"64" doc:"Code of a work process of the system: then role and the reference of each document are needed, roles sign in order, and nobody signs a reference in two"`
	Role           string        `json:"role,omitempty" maxLength:"64" doc:"One of the process"`
	Classification string        `json:"classification,omitempty" enum:"terbuka,terhad,sulit,rahsia,rahsia besar"`
	CredentialID   string        `json:"credential_id,omitempty" maxLength:"64" doc:"Default: the officer's first active one for the system"`
	Channel        string        `json:"channel,omitempty" enum:"auto,push,email" doc:"How the code travels. auto, as when absent: the first that the agency's policy allows and that reaches the officer, with fallback to the next. Push is not offered yet"`
	Format         string        `json:"format" enum:"RAW,CMS,PADES"`
	Algorithm      string        `json:"algorithm,omitempty" enum:"RSA-PKCS1,RSA-PSS,ECDSA"`
	PAdES          *padesBody    `json:"pades,omitempty"`
	Documents      []documentRef `json:"documents,omitempty" maxItems:"1000"`
	BatchID        string        `json:"batch_id,omitempty" maxLength:"64"`
	Total          *totalBody    `json:"total,omitempty" doc:"What the documents amount to, in your words: the officer reads it in the mail as the system's, unless the documents are classified. The code is bound to it"`
	RedirectURI    string        `json:"redirect_uri,omitempty" maxLength:"500" doc:"Have the officer confirm on the gateway's own page (signing_url), which leads back here: one of the app's registered addresses, character by character"`
	State          string        `json:"state,omitempty" maxLength:"500" doc:"Comes back unchanged with the officer's browser"`
}

type createInput struct{ Body createBody }

// named says which field of a request the signer refused.
func named(b *createBody, err error) error {
	var doc *signer.DocumentError
	switch {
	case errors.Is(err, signer.ErrPrepared) && errors.As(err, &doc) && int(doc.Index) < len(b.Documents) && b.Documents[doc.Index].PAdES != nil:
		return &ofField{fmt.Sprintf("documents[%d].pades", doc.Index), err}
	case errors.Is(err, signer.ErrPrepared):
		return &ofField{"pades", err}
	}
	return err
}

// ask turns the request into the signer's words, checking what only the API
// knows: grants, systems, and parts that are not offered yet.
func (s *server) ask(ctx context.Context, b *createBody) (*signer.Ask, error) {
	app, person := appOf(ctx), personOf(ctx)
	if person != nil && b.IC == "" {
		b.IC = person.Account.IC
	}
	if _, err := mykad.Parse(b.IC); err != nil {
		return nil, badIC("ic")
	}
	if err := onlyOwn(ctx, b.IC); err != nil {
		return nil, err
	}
	// At the portal PDFs are signed, which can be looked at; roles of work processes are the ICT
	// system's to give out, and what they leave may be classified.
	if !app.Serves(b.System) || b.Format == signer.RAW && !app.Granted(enrol.GrantRAW) || person != nil && (b.Format != signer.PADES || b.Process != "" || b.Role != "") {
		return nil, errForbidden
	}
	page, err := pageOf(app, b)
	if err != nil {
		return nil, err
	}
	if err := noControl([][2]string{{"data_header", b.DataHeader}, {"process", b.Process}, {"role", b.Role}}); err != nil {
		return nil, err
	}
	a := &signer.Ask{App: app.ID, SystemName: app.Name, Officer: b.IC, System: b.System, DataHeader: b.DataHeader, Process: b.Process, Role: b.Role,
		Class: b.Classification, Credential: b.CredentialID, Channel: b.Channel, Batch: b.BatchID, Page: page, RequestID: requestIDOf(ctx),
		Options: signer.Options{Format: b.Format, Algorithm: b.Algorithm}}
	if a.Options.PAdES, err = s.padesOptions("pades", b.Format, b.PAdES); err != nil {
		return nil, err
	}
	if a.Options.Total, err = totalOf(b.Total); err != nil {
		return nil, err
	}
	if (b.BatchID == "") == (len(b.Documents) == 0) {
		return nil, fixed("documents", "Give either documents or batch_id.", "Berikan documents atau batch_id.")
	}
	if b.BatchID != "" {
		return a, s.checkBatch(ctx, b)
	}
	for k := range b.Documents {
		if b.Documents[k].Digest != nil && b.Process == "" && !mayPrepare(app, b.Format) {
			return nil, errForbidden
		}
		d, err := s.documentOf(ctx, &b.Documents[k], k, b.Format, b.Process)
		if err != nil {
			return nil, err
		}
		a.Documents = append(a.Documents, d)
		if err := s.eachOptions(&a.Options, k, b.Documents[k].PAdES); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// mayPrepare says whether an app may have a digest signed in a format. That of a prepared PDF wants a
// grant: no work process recognises what stands behind it.
func mayPrepare(app *enrol.App, format string) bool {
	return format != signer.PADES || app.Granted(enrol.GrantPrepared)
}

// pageOf is the page on which the officer confirms; nil: in the app.
func pageOf(app *enrol.App, b *createBody) (*signer.Page, error) {
	switch hosted := b.RedirectURI != "" || app.PINEntry != enrol.PINInApp; {
	case b.RedirectURI != "" && !slices.Contains(app.RedirectURIs, b.RedirectURI): // RFC 9700, Section 2.1
		return nil, fixed("redirect_uri", "It must be one of the addresses registered for this app, character by character.", "Ia mesti salah satu alamat yang didaftarkan bagi aplikasi ini, aksara demi aksara.")
	case b.RedirectURI == "" && b.State != "":
		return nil, fixed("state", "It goes back with redirect_uri, which is missing.", "Ia dihantar balik bersama redirect_uri, yang tiada.")
	case hosted:
		return &signer.Page{RedirectURI: b.RedirectURI, State: b.State}, nil
	}
	return nil, nil
}

// totalOf reads what the documents are said to amount to.
func totalOf(b *totalBody) (*otp.Total, error) {
	if b == nil {
		return nil, nil
	}
	t := otp.Total(*b)
	switch err := t.Check(); {
	case errors.Is(err, otp.ErrCurrency):
		return nil, fixed("total.currency", "It must be a currency's code of three capital letters (ISO 4217), such as MYR.", "Ia mesti kod mata wang tiga huruf besar (ISO 4217), seperti MYR.")
	case err != nil:
		return nil, fixed("total.amount", "It must be decimal text such as 29911.35: at most 15 digits, a point and 2 to 4 digits (MYR: 2), without sign, separator, exponent or leading zero.",
			"Ia mesti teks perpuluhan seperti 29911.35: paling banyak 15 digit, titik dan 2 hingga 4 digit (MYR: 2), tanpa tanda, pemisah, eksponen atau sifar di depan.")
	}
	return &t, nil
}

// eachOptions notes what one document has for itself.
func (s *server) eachOptions(o *signer.Options, k int, p *padesBody) error {
	if p == nil {
		return nil
	}
	own, err := s.padesOptions(fmt.Sprintf("documents[%d].pades", k), o.Format, p)
	if err != nil {
		return err
	}
	if o.Each == nil {
		o.Each = map[uint32]signer.PAdES{}
	}
	o.Each[uint32(k)] = own
	return nil
}

// padesOptions reads what a signature shall be like; field is where it stands.
func (s *server) padesOptions(field, format string, b *padesBody) (signer.PAdES, error) {
	var p signer.PAdES
	if format == signer.RAW {
		if b != nil {
			return p, fixed(field, "RAW signatures have no PAdES options.", "Tandatangan RAW tiada pilihan PAdES.")
		}
		return p, nil
	}
	p.Level = "B-B"
	if b == nil {
		return p, nil
	}
	if b.Level != "" {
		p.Level = b.Level
	}
	if format == signer.CMS && (*b != padesBody{Level: b.Level} || p.Level != "B-B" && p.Level != "B-T") {
		return p, fixed(field, "CMS has a level alone: B-B or B-T.", "CMS hanya mempunyai level: B-B atau B-T.")
	}
	if err := noControl([][2]string{{field + ".reason", b.Reason}, {field + ".location", b.Location}, {field + ".contact", b.Contact}, {field + ".field", b.Field}}); err != nil {
		return p, err
	}
	p.Reason, p.Location, p.Contact, p.Field, p.Certify = b.Reason, b.Location, b.Contact, b.Field, b.Certify
	var err error
	if b.Visible != nil {
		p.Visible, err = s.visibleOptions(field+".visible", b.Field, b.Visible)
	}
	return p, err
}

// visibleOptions reads an appearance; signatureField is the field asked for.
func (s *server) visibleOptions(field, signatureField string, v *visibleBody) (*signer.Visible, error) {
	out := &signer.Visible{X: v.X, Y: v.Y, Width: v.Width, Height: v.Height, Anchor: v.Anchor, Template: v.Template}
	if known := s.Signer.Templates.Names(); v.Template != "" && !slices.Contains(known, v.Template) {
		names := strings.Join(known, ", ")
		return nil, fixed(field+".template", "There is no such template. There are: "+names+".", "Tiada templat sedemikian. Yang ada: "+names+".")
	}
	switch n := v.Page.(type) {
	case float64:
		if n == float64(int(n)) && n >= 1 && n <= 1_000_000 {
			out.Page = int(n)
		}
	case string:
		if n == "last" {
			out.Page = -1
		}
	}
	if out.Page == 0 && v.Page != nil {
		return nil, fixed(field+".page", `It must be a page number from 1 to 1000000, or "last".`, `Ia mesti nombor halaman dari 1 hingga 1000000, atau "last".`)
	}
	if out.Page == 0 && v.Anchor == "" {
		// The place of an existing field is its own.
		if v.X != 0 || v.Y != 0 || v.Width != 0 || v.Height != 0 || signatureField == "" {
			return nil, fixed(field+".page", "Give page, anchor or the field to sign.", "Berikan page, anchor atau medan untuk ditandatangani.")
		}
		return out, nil
	}
	if err := noControl([][2]string{{field + ".anchor", v.Anchor}}); err != nil {
		return nil, err
	}
	if out.Width == 0 {
		out.Width = defaultWidth
	}
	if out.Height == 0 {
		out.Height = defaultHeight
	}
	return out, nil
}

func (s *server) checkBatch(ctx context.Context, b *createBody) error {
	ba, err := s.Batches.Batch(ctx, appOf(ctx).ID, b.BatchID)
	switch {
	case err != nil:
		return err
	case ba.Status == batch.Open:
		return batch.ErrNotSealed
	case ba.Status == batch.Signing:
		return signer.ErrBatchBusy
	case ba.Status != batch.Sealed && ba.Status != batch.NeedsAuthorisation:
		return signer.ErrFinished
	case ba.Kind == batch.Digest && !mayPrepare(appOf(ctx), b.Format):
		return errForbidden
	case ba.Kind != batch.Digest && b.Format != signer.PADES:
		return fixed("format", "The batch's kind needs another format.", "Jenis kelompok ini memerlukan format lain.")
	case b.Process != "" && ba.Kind != batch.Digest:
		// The next role would have no document to go on with.
		return fixed("process", "A batch in a work process is one of digests; PDFs are documents of the transaction.", "Kelompok dalam proses kerja ialah kelompok digest; PDF ialah dokumen transaksi.")
	}
	return nil
}

// documentOf reads what is to be signed. In a work process it may be left to the reference.
func (s *server) documentOf(ctx context.Context, ref *documentRef, k int, format, process string) (signer.Document, error) {
	field := fmt.Sprintf("documents[%d]", k)
	d := signer.Document{Index: uint32(k), Name: ref.Name, DocumentID: ref.DocumentID, Reference: ref.Reference}
	given, worked := 0, process != ""
	for _, has := range []bool{ref.Digest != nil, ref.Data != "", ref.DocumentID != ""} {
		if has {
			given++
		}
	}
	if left := worked && given == 0; !left && (given != 1 || ref.DocumentID != "" && format != signer.PADES || ref.Data != "" && format == signer.PADES) {
		return d, fixed(field, "PADES takes exactly one of document_id and digest; RAW and CMS exactly one of digest and data.", "PADES memerlukan tepat satu daripada document_id dan digest; RAW dan CMS tepat satu daripada digest dan data.")
	}
	switch {
	case ref.DocumentID != "":
		up, err := s.document(ctx, ref.DocumentID)
		if worked && errors.Is(err, batch.ErrUnknown) {
			break // the signer knows whether it is the reference's
		}
		if err != nil {
			return d, err
		}
		if d.Name == "" {
			d.Name = up.Name
		}
		d.Hash, d.Digest, d.Blob, d.Size = crypto.SHA256, up.Digest, up.Blob, up.Size
	case ref.Digest != nil:
		h, ok := batch.DigestHash(ref.Digest.Alg)
		v, err := decodeBase64(ref.Digest.Value)
		if !ok || err != nil || len(v) != h.Size() {
			return d, fixed(field+".digest", "It must be base64 of as many bytes as its algorithm makes.", "Ia mesti base64 sepanjang hasil algoritmanya.")
		}
		d.Hash, d.Digest = h, v
	case ref.Data != "":
		v, err := decodeBase64(ref.Data)
		if err != nil {
			return d, fixed(field+".data", "It must be base64.", "Ia mesti base64.")
		}
		h := crypto.SHA256.New()
		h.Write(v)
		d.Hash, d.Digest, d.Size = crypto.SHA256, h.Sum(nil), int64(len(v))
	}
	if d.Digest == nil && d.Name == "" {
		return d, nil // both are those of the role before
	}
	name, err := batch.CleanName(d.Name)
	if err != nil {
		return d, fixed(field+".name", "It must have 1 to 200 printable characters.", "Ia mesti 1 hingga 200 aksara yang boleh dicetak.")
	}
	d.Name = name
	return d, nil
}

// noControl refuses the first of fields and their texts that has a control character.
func noControl(fields [][2]string) error {
	for _, x := range fields {
		if x[1] != "" {
			if _, err := batch.CleanName(x[1]); err != nil {
				return fixed(x[0], "Control characters are not allowed.", "Aksara kawalan tidak dibenarkan.")
			}
		}
	}
	return nil
}
