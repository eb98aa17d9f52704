package mohor

import (
	"context"
	"io"
	"time"
)

// Report is the gateway's verdict on a signed document.
type Report struct {
	Verdict    string              `json:"verdict"` // "VALID", "INVALID" or "INDETERMINATE"
	Signatures []VerifiedSignature `json:"signatures"`
	Timestamps []Timestamp         `json:"timestamps"` // of the document (B-LTA)
	Reasons    []Reason            `json:"reasons"`    // about the document as a whole
	// Indication and SubIndication are those of ETSI EN 319 102-1.
	Indication    string `json:"indication"`
	SubIndication string `json:"sub_indication"`
}

// VerifiedSignature is the verdict on one signature.
type VerifiedSignature struct {
	Field       string   `json:"field"`
	Verdict     string   `json:"verdict"`
	Reasons     []Reason `json:"reasons"`
	Signer      string   `json:"signer"`
	Certificate []byte   `json:"certificate"` // DER
	// SignedAt is proven where TimeSource is "timestamp", else what the signature claims.
	SignedAt   *time.Time `json:"signed_at"`
	TimeSource string     `json:"time_source"`
	ClaimedAt  *time.Time `json:"claimed_at"` // what it claims in any case
	Level      string     `json:"level"`      // what is there and good: "B-B" to "B-LTA", or empty
	Covers     bool       `json:"covers_whole_document"`
	Changes    []string   `json:"changes_after"` // what later revisions changed
	// Certification says what a certification signature permits, else it is nil; Locks what
	// form fields the signature locks.
	Certification *Certification `json:"certification"`
	Locks         []Lock         `json:"locks"`
	Timestamps    []Timestamp    `json:"timestamps"`
	Indication    string         `json:"indication"` // as of a Report
	SubIndication string         `json:"sub_indication"`
	Revocation    struct {
		Source string     `json:"source"` // "OCSP", "CRL" or empty
		Status string     `json:"status"` // "good", "revoked", "revoked_later", "unknown" or "not_checked"
		At     *time.Time `json:"at"`
	} `json:"revocation"`
}

// Certification is what may still be changed: 1 nothing, 2 forms and signatures, 3 notes too.
type Certification struct {
	Permission int `json:"permission"`
}

// Lock names form fields: Action is "All", "Include" those given, or "Exclude" them.
type Lock struct {
	Action string   `json:"action"`
	Fields []string `json:"fields"`
}

// Timestamp is the verdict on a time-stamp. One that is not VALID proves nothing.
type Timestamp struct {
	Kind          string     `json:"kind"` // "signature" or "document"
	Field         string     `json:"field"`
	Verdict       string     `json:"verdict"`
	Indication    string     `json:"indication"`
	SubIndication string     `json:"sub_indication"`
	Reasons       []Reason   `json:"reasons"`
	Authority     string     `json:"authority"`
	Certificate   []byte     `json:"certificate"` // DER
	Time          *time.Time `json:"time"`
	Covers        bool       `json:"covers_whole_document"` // of a document's
}

// Reason is a finding.
type Reason struct {
	Code   string `json:"code"` // stable
	MS     string `json:"ms"`
	EN     string `json:"en"`
	Detail string `json:"detail"`
}

// VerifyPDF has the gateway judge a signed PDF; password is for one that does not open
// without. A file that is no PDF is INVALID, and no error. The body is streamed, and sent
// once.
func (c *Client) VerifyPDF(ctx context.Context, body io.Reader, password Secret) (*Report, error) {
	r := new(Report)
	return answer(r, c.upload(ctx, "/v1/verify", "application/pdf", body, password, r))
}

// Detached is a signature apart from its content: of Digest and Data exactly one.
type Detached struct {
	Digest      Digest `json:"digest,omitzero"`
	Data        []byte `json:"data,omitempty"`
	Signature   []byte `json:"signature"`
	Certificate []byte `json:"certificate,omitempty"` // DER; needed for RAW
	Format      string `json:"format"`                // RAW or CMS
	Algorithm   string `json:"algorithm,omitempty"`   // RAW; else by the key
}

// VerifyDetached has the gateway judge a signature apart from its content.
func (c *Client) VerifyDetached(ctx context.Context, d Detached) (*Report, error) {
	r := new(Report)
	return answer(r, c.call(ctx, &request{method: "POST", path: "/v1/verify"}, d, r))
}
