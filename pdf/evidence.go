package pdf

import (
	"context"
	"crypto"
	"crypto/x509"
)

// Level is a level of PAdES baseline signatures (ETSI EN 319 142-1, Section
// 6). Levels are steps: each keeps what the one before has made.
type Level string

// The levels in ascending order.
const (
	LevelB   Level = "B-B"   // a signature
	LevelT   Level = "B-T"   // and a time-stamp of it
	LevelLT  Level = "B-LT"  // and certificates and revocation data in the /DSS
	LevelLTA Level = "B-LTA" // and a document time-stamp over all of it
)

// rank orders the levels, 0 for an unknown one.
func (l Level) rank() int {
	for i, known := range []Level{LevelB, LevelT, LevelLT, LevelLTA} {
		if l == known {
			return i + 1
		}
	}
	return 0
}

// Timestamper is a time-stamping authority (RFC 3161). It bounds time, size
// and addresses by itself and may be called concurrently.
type Timestamper interface {
	// Timestamp returns the token, a ContentInfo in DER, for a digest made with
	// h. Any error means that there is no token; nobody retries here.
	Timestamp(ctx context.Context, h crypto.Hash, digest []byte) (token []byte, err error)
	// TokenSize is the number of bytes to reserve for a token. Be generous: one
	// that does not fit is not used, and another asked for.
	TokenSize() int
}

// Revocation answers for the status of certificates. It bounds time, size and
// addresses by itself and may be called concurrently.
type Revocation interface {
	// Revocation returns an answer about cert, which issuer signed. Its error is
	// final: a certificate of which nothing can be learned has no evidence.
	Revocation(ctx context.Context, cert, issuer *x509.Certificate) (Answer, error)
}

// Answer is what a Revocation says, in DER. At least one is set.
type Answer struct {
	OCSP []byte // OCSPResponse (RFC 6960)
	CRL  []byte // CertificateList (RFC 5280)
}

// Evidence is what a validator needs besides a signature: the contents of
// /Certs, /OCSPs and /CRLs, each in DER (ISO 32000-2, Section 12.8.4.3).
type Evidence struct {
	Certificates, OCSPs, CRLs [][]byte
}

// Values of Options.SubFilter.
const (
	SubFilterPAdES = "ETSI.CAdES.detached" // the default
	SubFilterPKCS7 = "adbe.pkcs7.detached" // not PAdES; for readers that know nothing else
)

// Lock names the form fields that must not change after a signature (FieldMDP:
// ISO 32000-2, Section 12.8.2.4).
type Lock struct {
	Action LockAction
	// Fields are fully qualified names; empty with LockAll, else not.
	Fields []string
}

// LockAction says which fields a Lock means.
type LockAction string

// The actions (ISO 32000-2, Table 236).
const (
	LockAll     LockAction = "All"     // every field
	LockInclude LockAction = "Include" // the fields named
	LockExclude LockAction = "Exclude" // every field but those named
)
