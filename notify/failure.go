package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/textproto"
	"strconv"

	"github.com/wneessen/go-mail"

	"github.com/mohor-sign/mohor/otp"
)

// errAnswer stands for what go-mail tells in the server's words.
var errAnswer = errors.New("server does not offer the TLS or authentication asked for, or does not speak SMTP")

// DeliveryError says where a delivery stopped. It never holds the server's
// words, the recipient, the code or the text of the message.
type DeliveryError struct {
	Step     string // what was being done
	Status   int    // the server's reply code (RFC 5321, Section 4.2), 0 if none
	Enhanced string // its enhanced status code, "5.1.1" (RFC 3463), "" if none
	Err      error  // cause on our side or in the network; may be nil

	judged bool // the server judged recipient or content, not us
}

// Error implements error.
func (e *DeliveryError) Error() string {
	s := e.Step
	if e.Status != 0 {
		s += ": server answered " + e.Reply()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Reply is the server's answer in digits, "550 5.1.1"; "" when it gave none.
func (e *DeliveryError) Reply() string {
	switch {
	case e.Status == 0:
		return ""
	case e.Enhanced == "":
		return strconv.Itoa(e.Status)
	}
	return strconv.Itoa(e.Status) + " " + e.Enhanced
}

// Unwrap gives the cause.
func (e *DeliveryError) Unwrap() error { return e.Err }

// Permanent says that the server refused for good (5xx): trying the same
// address again is of no use.
func (e *DeliveryError) Permanent() bool { return e.Status >= 500 && e.Status <= 599 }

// Is makes it otp.ErrRefused when the server refused the recipient or the message
// for good. One that refuses us (greeting, authentication, sender) does not.
func (e *DeliveryError) Is(target error) bool {
	return target == otp.ErrRefused && e.judged && e.Permanent()
}

// failed turns an error of the SMTP client into a *DeliveryError and drops
// everything in it that a server wrote or that was sent to it.
func failed(ctx context.Context, step string, err error) error {
	out := &DeliveryError{Step: step}
	var (
		send        *mail.SendError
		reply       *textproto.Error
		network     net.Error
		certificate *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &send):
		out.Step, out.Status, out.Enhanced = send.Reason.String(), send.ErrorCode(), send.EnhancedStatusCode()
		out.judged = send.Reason == mail.ErrSMTPRcptTo || send.Reason == mail.ErrSMTPDataClose
	case errors.As(err, &reply):
		out.Status = reply.Code
	case errors.As(err, &certificate):
		out.Err = certificate
	case errors.As(err, &network):
		out.Err = network
	case errors.Is(err, io.EOF):
		out.Err = io.EOF
	default:
		out.Err = errAnswer
	}
	// The connection is closed when ctx ends; name that cause, not its effect.
	if cause := ctx.Err(); cause != nil && out.Status == 0 {
		out.Err = cause
	}
	return out
}
