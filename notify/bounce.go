package notify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"net/textproto"
	"regexp"
	"strings"
)

// ErrNoReport: the message is no delivery report about a message of ours. What it
// wraps names the reason, and quotes nothing of the message.
var ErrNoReport = errors.New("no delivery report on a code")

// What a delivery report may take: the whole message in bytes, parts, and blocks of
// fields in the one that counts.
const (
	maxReport = 256 << 10
	maxParts  = 8
	maxBlocks = 64
	maxStatus = 16 << 10
)

var (
	// RFC 3461, Section 4.4: at most 100 characters. Ours need no xtext encoding,
	// and so none is undone.
	envelope = regexp.MustCompile(`\A[A-Za-z0-9._-]{1,100}\z`)
	status   = regexp.MustCompile(`\A[245]\.[0-9]{1,3}\.[0-9]{1,3}\z`) // RFC 3463, Section 2
)

// Report is what a delivery status notification (RFC 3464) says of one message, and
// all that is taken from it.
type Report struct {
	Envelope string // Original-Envelope-Id, [otp.Message].Envelope
	Failed   bool   // for good; false: it is only late, or arrived
	Status   string // "5.1.1" (RFC 3463) when Failed
}

// ReadReport reads a message (RFC 5322) of at most 256 KiB that claims to be a
// delivery report: multipart/report of delivery-status (RFC 6522) at its top, with
// one part of fields in it. Anybody can send one. Errors wrap ErrNoReport, or are r's.
func ReadReport(r io.Reader) (Report, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxReport+1))
	if err != nil {
		return Report{}, fmt.Errorf("reading message: %w", err)
	}
	if len(raw) > maxReport {
		return Report{}, noReport("larger than 256 KiB")
	}
	msg, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Report{}, noReport("not a message")
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || !strings.EqualFold(params["report-type"], "delivery-status") || params["boundary"] == "" {
		return Report{}, noReport("not multipart/report of delivery-status")
	}
	var found []byte
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for n := 0; ; n++ {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || n == maxParts {
			return Report{}, noReport("malformed parts, or too many")
		}
		// The second is RFC 6533's, when a hop on the way spoke SMTPUTF8.
		if kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type")); kind != "message/delivery-status" && kind != "message/global-delivery-status" {
			continue
		}
		if found != nil {
			return Report{}, noReport("two parts of fields")
		}
		if found, err = io.ReadAll(io.LimitReader(p, maxStatus+1)); err != nil || len(found) > maxStatus {
			return Report{}, noReport("malformed or oversized part of fields")
		}
	}
	if found == nil {
		return Report{}, noReport("no part of fields")
	}
	return fields(found)
}

// fields reads the blocks of a message/delivery-status (RFC 3464, Section 2.1): the
// first is about the message, the others about one recipient each. A code has one;
// where it was forwarded to several, one that failed is a failure.
func fields(p []byte) (Report, error) {
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(p)))
	var out Report
	recipients := 0
	for n := 0; ; n++ {
		h, err := r.ReadMIMEHeader()
		end := errors.Is(err, io.EOF)
		if err != nil && !end || n == maxBlocks {
			return Report{}, noReport("malformed fields, or too many")
		}
		switch {
		case len(h) == 0: // an empty line more
		case out.Envelope == "":
			if v := h["Original-Envelope-Id"]; len(v) != 1 || !envelope.MatchString(v[0]) {
				return Report{}, noReport("no envelope id of ours")
			}
			out.Envelope = h["Original-Envelope-Id"][0]
		default:
			recipients++
			if out.Failed || word(h, "Action") != "failed" {
				break
			}
			if out.Status = word(h, "Status"); !status.MatchString(out.Status) || out.Status[0] == '2' {
				return Report{}, noReport("failed without a status of failure")
			}
			out.Failed = true
		}
		if end {
			break
		}
	}
	if recipients == 0 {
		return Report{}, noReport("nothing about a recipient")
	}
	return out, nil
}

// word is the first word of the field, in lower case, without a comment; "" when
// the field is absent or there twice.
func word(h textproto.MIMEHeader, name string) string {
	if len(h[name]) != 1 {
		return ""
	}
	first, _, _ := strings.Cut(h[name][0], "(")
	first, _, _ = strings.Cut(strings.TrimSpace(first), " ")
	return strings.ToLower(first)
}

func noReport(why string) error { return fmt.Errorf("%w: %s", ErrNoReport, why) }
