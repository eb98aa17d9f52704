package api

import (
	"context"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/internal/mykad"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
)

// Certificates are the eCertificates, as the public asks about them.
type Certificates interface {
	// ByNumber finds those with a number, the newest first; none of those that were given up
	// unsigned. Who asks has to be judged by the candidate's IC.
	ByNumber(ctx context.Context, number string) ([]batch.Numbered, error)
	// Signed gives the signed PDF of the record that secret opens, which is VALID, and its number.
	// batch.ErrUnknown for another secret and where there is no such record, taking as long;
	// batch.ErrNotSigned.
	Signed(ctx context.Context, id, secret string) (signer.Blob, string, error)
}

// What a network may ask.
const (
	checksAMinute  = 20 // PDFs
	recordsAMinute = 5  // certificates
	perICAnHour    = 20 // about one IC; of all networks together, one could keep the candidate out
)

// publicFloor is how long an answer about a candidate takes at least: longer than finding out
// that there is none.
const publicFloor = 100 * time.Millisecond

type officerSigned struct {
	Field string `json:"field" doc:"Of the signature in signatures"`
	Name  string `json:"name" doc:"Of the officer, as certified"`
}

type publicReport struct {
	Report
	Officers []officerSigned `json:"officers" doc:"Of the signatures those made with a certificate that was issued here, whatever is thought of them: verdict says that"`
}

// Report is verify.Report, to be embedded.
type Report = verify.Report

type publicVerifyInput struct {
	upload
	ContentType string `header:"Content-Type"`
	Password    string `header:"X-PDF-Password" maxLength:"127" doc:"Of an encrypted PDF that does not open without"`
}

type publicVerifyOutput struct{ Body publicReport }

type candidateInput struct {
	Body struct {
		IC     string `json:"ic" maxLength:"64" doc:"The candidate's No. Kad Pengenalan, 12 digits"`
		Number string `json:"certificate_number" maxLength:"64" example:"S102251979"`
	}
}

type candidateCertificate struct {
	RecordID  string     `json:"record_id" doc:"Of /s/{record_id}, which asks for the secret in the QR code"`
	Number    string     `json:"certificate_number" example:"S102251979"`
	Name      string     `json:"name" example:"A••••• B•••• O•••" doc:"Masked"`
	Kind      string     `json:"kind" example:"SKM 3"`
	Programme string     `json:"programme" example:"PENYELENGGARAAN"`
	Code      string     `json:"programme_code" example:"TP-021-3:2013"`
	Batch     string     `json:"batch" example:"2026/01"`
	MonthYear string     `json:"month_year" example:"JULAI 2026"`
	Language  string     `json:"language" enum:"ms,en"`
	Status    string     `json:"status" enum:"IN_BATCH,SIGNED,ISSUED" doc:"SIGNED: others of its batch are still being signed"`
	SignedAt  *time.Time `json:"signed_at,omitempty"`
}

type candidateOutput struct {
	Body struct {
		Certificates []candidateCertificate `json:"certificates" doc:"Those with this number and candidate, the newest first"`
	}
}

type certificateContentInput struct {
	ID   string `path:"id" maxLength:"64" doc:"record_id"`
	Body struct {
		Secret secret.Text `json:"secret" doc:"What the QR code's address has behind the #"`
	}
}

func (s *server) publicRoutes(h huma.API) {
	check := streamed(op("Public", "publicVerify", http.MethodPost, "/v1/public/verify", "Check a signed PDF, as anybody", http.StatusRequestEntityTooLarge), "application/pdf")
	check.Description = "As verify, and nothing of it is kept. 20 a minute and network."
	huma.Register(h, check, s.publicVerify)
	find := op("Public", "publicCandidate", http.MethodPost, "/v1/public/candidate", "How far a candidate's certificate is", http.StatusNotFound)
	find.MaxBodyBytes = maxPersonal
	find.Description = "Only who gives both numbers is told: for an IC that nobody has, a number that there is not and a pair that do not belong together the answer is `not_found`, and takes as long. A network asks 5 times a minute, and 20 times an hour about one IC."
	huma.Register(h, find, s.publicCandidate)
	get := binary(op("Public", "publicCertificate", http.MethodPost, "/v1/public/certificates/{id}/content", "The signed certificate, for who has its QR code", http.StatusNotFound, http.StatusConflict),
		"application/pdf", "The PDF")
	get.MaxBodyBytes = maxPersonal
	get.Description = "Only one whose signature is valid, and is over what the record says. 5 a minute and network."
	huma.Register(h, get, s.publicCertificate)
}

// visit takes one of what a network may ask in a minute.
func (s *server) visit(ctx context.Context, what string, aMinute int) error {
	return s.spare(what+" "+network(visitorOf(ctx).peer.Address), float64(aMinute)/60, aMinute)
}

func (s *server) spare(key string, perSecond float64, burst int) error {
	if wait, ok := s.public.takeOf(key, perSecond, burst); !ok {
		return &retry{errRateLimited, wait}
	}
	return nil
}

func (s *server) publicVerify(ctx context.Context, in *publicVerifyInput) (*publicVerifyOutput, error) {
	report, err := s.publicReport(ctx, in)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &publicVerifyOutput{publicReport{Report: *report, Officers: []officerSigned{}}}
	for k := range report.Signatures {
		sig := &report.Signatures[k]
		name, err := s.issuedTo(ctx, sig.Certificate)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		if name != "" {
			out.Body.Officers = append(out.Body.Officers, officerSigned{sig.Field, name})
		}
	}
	return out, nil
}

func (s *server) publicReport(ctx context.Context, in *publicVerifyInput) (*verify.Report, error) {
	if err := s.visit(ctx, "verify", checksAMinute); err != nil {
		return nil, err
	}
	if mediaType(in.ContentType) != "application/pdf" {
		return nil, &invalid{"Content-Type", "It must be application/pdf.", "Ia mesti application/pdf."}
	}
	from := network(visitorOf(ctx).peer.Address)
	if !s.visits.enter(from) {
		return nil, &retry{signer.ErrBusy, unitWait}
	}
	defer s.visits.leave(from)
	o, err := s.Trust(ctx)
	if err != nil {
		return nil, err
	}
	password := secret.New(in.Password)
	defer password.Wipe()
	o.Password, o.MaxFile, o.Timeout = password.Reveal(), s.MaxPublic, verifyTimeout
	return s.verified(ctx, hurried{in.body, time.Now().Add(visitArrives)}, o, s.glances)
}

// issuedTo is the name in an officer's certificate that was issued here; "" for any other.
func (s *server) issuedTo(ctx context.Context, der []byte) (string, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return "", nil // it is in the report as what it is
	}
	row, err := s.CA.BySerial(ctx, cert.SerialNumber.String())
	switch {
	case errors.Is(err, ca.ErrUnknown):
		return "", nil
	case err != nil:
		return "", err
	case row.Status == ca.Reserved || strings.HasPrefix(row.Credential, "authority:") || subtle.ConstantTimeCompare(row.DER, der) != 1:
		return "", nil
	}
	return cert.Subject.CommonName, nil
}

func (s *server) publicCandidate(ctx context.Context, in *candidateInput) (*candidateOutput, error) {
	floor := time.NewTimer(publicFloor)
	defer floor.Stop()
	out, err := s.candidate(ctx, in)
	select { // before the answer, whatever it is
	case <-floor.C:
	case <-ctx.Done():
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return out, nil
}

func (s *server) candidate(ctx context.Context, in *candidateInput) (*candidateOutput, error) {
	ic, err := mykad.Parse(in.Body.IC)
	if err != nil {
		return nil, badIC("ic")
	}
	number := strings.ToUpper(strings.TrimSpace(in.Body.Number))
	if n := len(number); n < 4 || n > 20 || strings.Trim(number, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		return nil, fixed("certificate_number", "It must have 4 to 20 letters, digits and hyphens.", "Ia mesti 4 hingga 20 huruf, digit dan sengkang.")
	}
	if err := s.visit(ctx, "record", recordsAMinute); err != nil {
		return nil, err
	}
	if err := s.spare("ic "+string(ic)+" "+network(visitorOf(ctx).peer.Address), perICAnHour/3600.0, perICAnHour); err != nil {
		return nil, err
	}
	found, err := s.Certificates.ByNumber(ctx, number)
	if err != nil {
		return nil, err
	}
	out := &candidateOutput{}
	for k := range found {
		if f := &found[k]; f.Candidate.IC == ic {
			out.Body.Certificates = append(out.Body.Certificates, candidateOf(f))
		}
	}
	if len(out.Body.Certificates) == 0 {
		return nil, batch.ErrUnknown
	}
	return out, nil
}

func candidateOf(f *batch.Numbered) candidateCertificate {
	c := &f.Candidate
	b := candidateCertificate{RecordID: f.RecordID, Number: c.Number, Name: maskName(c.Name), Kind: string(c.Level), Programme: c.ProgrammeName, Code: c.ProgrammeCode, Batch: c.Batch,
		MonthYear: c.MonthYear(), Language: string(c.Language), Status: "IN_BATCH"}
	if f.State == batch.ItemSigned {
		b.Status, b.SignedAt = "ISSUED", when(f.SignedAt)
		if f.Batch == batch.Signing || f.Batch == batch.Paused || f.Batch == batch.NeedsAuthorisation {
			b.Status = "SIGNED"
		}
	}
	return b
}

func (s *server) publicCertificate(ctx context.Context, in *certificateContentInput) (*huma.StreamResponse, error) {
	defer in.Body.Secret.Wipe()
	if err := s.visit(ctx, "record", recordsAMinute); err != nil {
		return nil, s.fail(ctx, err)
	}
	release, err := slot(ctx, s.glances)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	pdf, number, err := s.Certificates.Signed(ctx, in.ID, string(in.Body.Secret.Reveal()))
	release()
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer pdf.Close()
		hc.SetHeader("Content-Type", "application/pdf")
		hc.SetHeader("Content-Disposition", attachment(number, ".pdf"))
		_, _ = io.Copy(hc.BodyWriter(), io.NewSectionReader(pdf, 0, pdf.Size())) // a client that has gone is no error
	}}, nil
}
