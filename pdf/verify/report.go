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
	Signatures []Signature `json:"signatures"`
	// Reasons concern the document as a whole.
	Reasons []Reason `json:"reasons,omitempty"`
	// DocumentID is the first part of the trailer's /ID (ISO 32000-1, Section
	// 14.4), nil when there is none. Where the verdict is VALID it was signed.
	DocumentID []byte `json:"-"`
}

// Signature is the verdict on one signature.
type Signature struct {
	Field       string     `json:"field"`
	Verdict     Verdict    `json:"verdict"`
	Reasons     []Reason   `json:"reasons"`
	Signer      string     `json:"signer"`      // as Subject prints it
	Certificate []byte     `json:"certificate"` // DER, base64 in JSON
	SignedAt    *time.Time `json:"signed_at"`
	TimeSource  string     `json:"time_source"` // "claimed": /M
	Level       string     `json:"level"`       // "B-B" or empty
	Covers      bool       `json:"covers_whole_document"`
	// Changes names what later revisions changed. Not evaluated yet: empty.
	Changes    []string   `json:"changes_after"`
	Revocation Revocation `json:"revocation"`
}

// Revocation says what is known about the signer's certificate: status "good",
// "revoked", "unknown" (lists were given, none speaks of it) or "not_checked"
// (no list was given).
type Revocation struct {
	Source string     `json:"source"` // "CRL" or empty
	Status string     `json:"status"`
	At     *time.Time `json:"at"` // revocation time, or that of the list
}

// Reason is a finding: a stable code and a sentence in Malay and English.
type Reason struct {
	Code   string `json:"code"`
	MS     string `json:"ms"`
	EN     string `json:"en"`
	Detail string `json:"detail,omitempty"` // English, technical
}

type meaning struct {
	verdict Verdict
	ms, en  string
}

// meanings returns what a code says and the best verdict it leaves possible.
func meanings(code string) meaning {
	switch code {
	// The document.
	case "pdf_invalid":
		return meaning{Invalid, "Fail bukan PDF yang sah atau strukturnya rosak.", "The file is not a PDF or its structure is damaged."}
	case "pdf_encrypted":
		return meaning{Indeterminate, "Dokumen disulitkan dan tidak dapat disemak.", "The document is encrypted and cannot be checked."}
	case "pdf_too_large":
		return meaning{Indeterminate, "Dokumen melebihi had semakan.", "The document exceeds the limits of the check."}
	case "pdf_unsupported":
		return meaning{Indeterminate, "Dokumen mengandungi binaan yang belum disokong.", "The document has a construct that is not supported yet."}
	case "no_signature":
		return meaning{Indeterminate, "Dokumen tidak mempunyai tandatangan digital.", "The document has no digital signature."}
	case "several_signatures":
		return meaning{Indeterminate, "Dokumen mempunyai lebih daripada satu tandatangan, yang belum dapat dinilai.", "The document has more than one signature, which cannot be judged yet."}
	case "stray_signature":
		return meaning{Indeterminate, "Terdapat tandatangan di luar borang dokumen.", "There is a signature outside of the document's form."}
	// The place of the signature in the file.
	case "signature_malformed":
		return meaning{Invalid, "Kamus tandatangan tidak sah.", "The signature dictionary is malformed."}
	case "byte_range_malformed":
		return meaning{Invalid, "Julat bait tandatangan tidak sah.", "The byte range of the signature is malformed."}
	case "gap_not_contents":
		return meaning{Invalid, "Bahagian yang tidak ditandatangani bukan tepat nilai tandatangan itu sendiri.", "The part left unsigned is not exactly the signature value itself."}
	case "changed_after":
		return meaning{Indeterminate, "Dokumen diubah atau ditambah selepas ditandatangani.", "The document was changed or added to after signing."}
	case "not_pades":
		return meaning{Indeterminate, "Format tandatangan bukan PAdES.", "The signature format is not PAdES."}
	case "signing_time_missing":
		return meaning{Indeterminate, "Masa tandatangan tiada atau tidak sah.", "The signing time is missing or malformed."}
	case "signing_time_future":
		return meaning{Indeterminate, "Masa tandatangan adalah pada masa hadapan.", "The signing time is in the future."}
	// The signature itself.
	case "cms_malformed":
		return meaning{Invalid, "Data tandatangan rosak.", "The signature data is malformed."}
	case "digest_mismatch":
		return meaning{Invalid, "Kandungan yang ditandatangani telah diubah.", "The signed content has been changed."}
	case "signature_wrong":
		return meaning{Invalid, "Tandatangan tidak sepadan dengan kunci penandatangan.", "The signature does not match the signer's key."}
	case "signing_certificate_mismatch":
		return meaning{Invalid, "Sijil bukan sijil yang dinyatakan dalam tandatangan.", "The certificate is not the one the signature names."}
	case "signing_certificate_missing":
		return meaning{Indeterminate, "Tandatangan tidak menyatakan sijil penandatangan.", "The signature does not name the signer's certificate."}
	case "key_weak":
		return meaning{Indeterminate, "Kunci atau algoritma tidak memenuhi polisi.", "The key or algorithm does not meet the policy."}
	// The certificate.
	case "chain_unknown":
		return meaning{Indeterminate, "Sijil penandatangan bukan daripada pihak berkuasa yang dipercayai.", "The signer's certificate is not from a trusted authority."}
	case "key_usage":
		return meaning{Indeterminate, "Sijil tidak dibenarkan untuk menandatangani dokumen.", "The certificate is not meant for signing documents."}
	case "certificate_expired":
		return meaning{Indeterminate, "Sijil tidak lagi atau belum berkuat kuasa.", "The certificate is no longer or not yet valid."}
	case "signed_outside_validity":
		return meaning{Indeterminate, "Masa tandatangan di luar tempoh sah sijil.", "The signing time is outside of the certificate's validity."}
	case "certificate_revoked":
		return meaning{Invalid, "Sijil telah dibatalkan.", "The certificate has been revoked."}
	case "revocation_unknown":
		return meaning{Indeterminate, "Status pembatalan sijil tidak dapat dipastikan.", "The revocation status of the certificate cannot be determined."}
	}
	return meaning{Indeterminate, "Semakan tidak dapat diselesaikan.", "The check could not be completed."}
}

func reason(code, detail string) Reason {
	m := meanings(code)
	return Reason{Code: code, MS: m.ms, EN: m.en, Detail: detail}
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

// find adds a reason and lowers the verdict.
func (s *Signature) find(code, detail string) {
	s.Reasons = append(s.Reasons, reason(code, detail))
	s.Verdict = worse(s.Verdict, meanings(code).verdict)
}

func (r *Report) find(code, detail string) {
	r.Reasons = append(r.Reasons, reason(code, detail))
	r.Verdict = worse(r.Verdict, meanings(code).verdict)
}
