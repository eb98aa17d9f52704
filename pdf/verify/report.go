package verify

import "time"

// Verdict is the outcome, in the sense of ETSI EN 319 102-1, Section 5.1.3.
type Verdict string

// The verdicts. Valid is given only when every check was made and passed.
const (
	Valid         Verdict = "VALID"
	Invalid       Verdict = "INVALID"
	Indeterminate Verdict = "INDETERMINATE"
)

// Report is the verdict on a document, with the JSON names of the wire
// contract.
type Report struct {
	Verdict    Verdict     `json:"verdict"`
	Signatures []Signature `json:"signatures"` // in the order in which they were made
	// Timestamps are the document time-stamps, in the same order.
	Timestamps []Timestamp `json:"timestamps"`
	// Reasons concern the document as a whole.
	Reasons []Reason `json:"reasons,omitempty"`
	// Indication and SubIndication are those of ETSI EN 319 102-1.
	Indication    string `json:"indication"`
	SubIndication string `json:"sub_indication,omitempty"`
	// DocumentID is the first part of the trailer's /ID (ISO 32000-1, Section
	// 14.4), nil when there is none. Where the verdict is VALID it was signed.
	DocumentID []byte `json:"-"`
}

// Signature is the verdict on one signature.
type Signature struct {
	Field         string   `json:"field"`
	Verdict       Verdict  `json:"verdict"`
	Indication    string   `json:"indication"`
	SubIndication string   `json:"sub_indication,omitempty"`
	Reasons       []Reason `json:"reasons"`
	Signer        string   `json:"signer"`      // as Subject prints it
	Certificate   []byte   `json:"certificate"` // DER, base64 in JSON
	// SignedAt is the time at which the signature is proven to have existed,
	// when TimeSource is "timestamp", or /M or signing-time, when it is "claimed".
	SignedAt   *time.Time `json:"signed_at"`
	TimeSource string     `json:"time_source"`
	ClaimedAt  *time.Time `json:"claimed_at,omitempty"` // /M, or signing-time
	// Level is the PAdES baseline level of what is there and good: "B-B",
	// "B-T", "B-LT", "B-LTA" or empty.
	Level  string `json:"level"`
	Covers bool   `json:"covers_whole_document"`
	// End is the size in bytes of the revision that it signs, 0 when that cannot be said.
	End int64 `json:"-"`
	// Changes names what later revisions changed, permitted or not: paths from
	// the catalog, as pages[0].Annots[2]. Those not permitted come first, and
	// again in the reason changed_after.
	Changes       []string       `json:"changes_after"`
	changed       bool           // by something else than evidence
	Revocation    Revocation     `json:"revocation"`
	Timestamps    []Timestamp    `json:"timestamps"` // of this signature
	Certification *Certification `json:"certification,omitempty"`
	// Locks are the form fields which the signature locks.
	Locks []Lock `json:"locks,omitempty"`
}

// Timestamp is the verdict on a time-stamp token. One that is not valid proves
// nothing; the signature is then judged as if it were not there.
type Timestamp struct {
	Kind          string     `json:"kind"` // "signature" or "document"
	Field         string     `json:"field,omitempty"`
	Verdict       Verdict    `json:"verdict"`
	Indication    string     `json:"indication"`
	SubIndication string     `json:"sub_indication,omitempty"`
	Reasons       []Reason   `json:"reasons"`
	Authority     string     `json:"authority"`   // as Subject prints it
	Certificate   []byte     `json:"certificate"` // DER, base64 in JSON
	Time          *time.Time `json:"time"`
	// Covers says that a document time-stamp covers the whole document.
	Covers bool `json:"covers_whole_document"`

	tampered bool // not what the authority signed, or not for this
	unread   bool // whether it is cannot be found out
}

// Certification says what a certification signature permits (DocMDP): 1
// nothing, 2 filling in forms and signing, 3 annotations besides.
type Certification struct {
	Permission int `json:"permission"`
}

// Lock names form fields (FieldMDP): "All", "Include" those given or "Exclude"
// those given.
type Lock struct {
	Action string   `json:"action"`
	Fields []string `json:"fields,omitempty"`
}

// Revocation says what is known about the signer's certificate at the time for
// which it is judged: status "good", "revoked", "revoked_later" (after that
// time), "unknown" (nothing that was looked at speaks of it) or "not_checked"
// (there was nothing to look at).
type Revocation struct {
	Source string     `json:"source"` // "OCSP", "CRL" or empty
	Status string     `json:"status"`
	At     *time.Time `json:"at"` // revocation time, or that of the answer or list
}

// Reason is a finding: a stable code and a sentence in Malay and English.
type Reason struct {
	Code   string `json:"code"`
	MS     string `json:"ms"`
	EN     string `json:"en"`
	Detail string `json:"detail,omitempty"` // English, technical
}

// Single is the report on a signature that is in no document.
func Single(s Signature) *Report {
	r := newReport()
	r.Signatures, r.Verdict = append(r.Signatures, s), s.Verdict
	r.finish()
	return r
}

func newReport() *Report {
	return &Report{Verdict: Valid, Signatures: []Signature{}, Timestamps: []Timestamp{}}
}

func newSignature(field string) Signature {
	return Signature{Field: field, Changes: []string{}, Timestamps: []Timestamp{}, TimeSource: "claimed", Revocation: Revocation{Status: "not_checked"}}
}

func newTimestamp(kind, field string) Timestamp { return Timestamp{Kind: kind, Field: field} }

// finish takes over what was found.
func (s *Signature) finish(f *findings) Signature {
	s.Verdict, s.Reasons = f.verdict, f.all()
	s.Indication, s.SubIndication = f.indication()
	return *s
}

func (t *Timestamp) finish(f *findings) {
	t.Verdict, t.Reasons = f.verdict, f.all()
	t.Indication, t.SubIndication = f.indication()
}

func (r *Report) find(code, detail string) {
	r.Reasons = append(r.Reasons, reason(code, detail))
	r.Verdict = worse(r.Verdict, meanings(code).verdict)
}

// finish sets the indication: that of the document's own reasons, else of the
// first signature with the verdict of the whole.
func (r *Report) finish() {
	f := findings{verdict: r.Verdict, reasons: r.Reasons}
	r.Indication, r.SubIndication = f.indication()
	for _, s := range r.Signatures {
		if r.SubIndication == "" && s.Verdict == r.Verdict {
			r.SubIndication = s.SubIndication
		}
	}
}

// worse returns the lower of two verdicts.
func worse(a, b Verdict) Verdict {
	if a == Invalid || b == Invalid {
		return Invalid
	}
	if a == Indeterminate || b == Indeterminate {
		return Indeterminate
	}
	return Valid
}
