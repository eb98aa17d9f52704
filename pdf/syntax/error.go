package syntax

import "fmt"

// Sentinel is a reason for refusing a document. The text is the stable code
// of the wire contract. Test with errors.Is.
type Sentinel string

// Error returns the stable code.
func (s Sentinel) Error() string { return string(s) }

// Reasons for refusing a document.
const (
	// ErrInvalid: not a PDF, or damaged. Nothing is ever repaired.
	ErrInvalid Sentinel = "pdf_invalid"
	// ErrEncrypted: the trailer has an /Encrypt entry.
	ErrEncrypted Sentinel = "pdf_encrypted"
	// ErrCertified: a certification signature permits no change (DocMDP, P 1).
	ErrCertified Sentinel = "pdf_certified_no_changes"
	// ErrTooLarge: a bound of this package is exceeded.
	ErrTooLarge Sentinel = "pdf_too_large"
	// ErrUnsupported: a legal construct which is not handled yet.
	ErrUnsupported Sentinel = "pdf_unsupported"
)

// Error says what is wrong with a document and where. It matches the
// Sentinel with the same text: errors.Is(err, ErrInvalid). Errors of the
// underlying reader are not of this type; they are wrapped as they are.
type Error struct {
	Code   string // one of the Sentinel texts
	Offset int64  // bytes from the start of the file, -1 when no place can be named
	Detail string // what, in English, without bytes of the document
	// DetailMS is Detail in Malay where people who are no programmers can do
	// something about it, else "".
	DetailMS string
}

// Error gives code, detail and offset in one line.
func (e *Error) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%s: %s", e.Code, e.Detail)
	}
	return fmt.Sprintf("%s: %s at byte %d", e.Code, e.Detail, e.Offset)
}

// Unwrap returns the Sentinel.
func (e *Error) Unwrap() error { return Sentinel(e.Code) }

// Errorf makes an *Error. A negative offset means that no place can be named.
func Errorf(code Sentinel, offset int64, format string, args ...any) error {
	return &Error{Code: string(code), Offset: offset, Detail: fmt.Sprintf(format, args...)}
}

// Refusal makes an *Error about no place in particular, in English and Malay.
func Refusal(code Sentinel, en, ms string) error {
	return &Error{Code: string(code), Offset: -1, Detail: en, DetailMS: ms}
}

func invalid(offset int64, format string, args ...any) error {
	return Errorf(ErrInvalid, offset, format, args...)
}

func tooLarge(offset int64, format string, args ...any) error {
	return Errorf(ErrTooLarge, offset, format, args...)
}
