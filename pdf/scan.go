package pdf

import "context"

// Severity is how much a finding matters to who is about to sign.
type Severity string

// The severities.
const (
	Info    Severity = "info"    // worth knowing
	Warning Severity = "warning" // may show different things to different people, or at different times
	Danger  Severity = "danger"  // has no place in a document to be signed
)

// Finding is one thing a signatory should know before signing.
type Finding struct {
	Code     string // stable, such as javascript
	Severity Severity
	Object   uint32 // number of the object it is in, 0 when none can be named
	Page     int    // from 1, 0 when it is not of one page
}

// Findings are in the order of pages, then of objects.
type Findings []Finding

// Scan reads the document for what may make it show something else later, or
// do something when it is opened.
func (d *Document) Scan(ctx context.Context) (Findings, error) { return nil, ctx.Err() }
