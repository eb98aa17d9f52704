package api_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/mohor-sign/mohor/api"
	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// state is an error as drivers of PostgreSQL give it.
type state string

func (s state) Error() string    { return "server: " + string(s) }
func (s state) SQLState() string { return string(s) }

// unsent is an error of a connection that was closed before the question.
type unsent bool

func (u unsent) Error() string     { return "conn closed" }
func (u unsent) SafeToRetry() bool { return bool(u) }

// A database that is away is 503 store_unavailable with Retry-After; one that
// refused what it was asked is an internal error.
func TestDatabaseAway(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
	}{
		{driver.ErrBadConn, "store_unavailable"},
		{sql.ErrConnDone, "store_unavailable"},
		{context.DeadlineExceeded, "store_unavailable"},
		{io.ErrUnexpectedEOF, "store_unavailable"},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "store_unavailable"},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "store_unavailable"},
		{unsent(true), "store_unavailable"},
		{state("08006"), "store_unavailable"},
		{state("53300"), "store_unavailable"},
		{state("57P01"), "store_unavailable"},
		{state("57014"), "store_unavailable"},
		{state("55P03"), "store_unavailable"},
		{state("40P01"), "store_unavailable"},
		{state("25P03"), "store_unavailable"},
		{state("25006"), "store_unavailable"},
		{otp.ErrCodesUnavailable, "store_unavailable"},
		// Documents: the store, not the upload, is to blame.
		{signer.ErrStoreUnavailable, "store_unavailable"},
		{fmt.Errorf("%w: %w", signer.ErrNotDurable, syscall.EIO), "store_unavailable"},
		{&os.PathError{Op: "write", Path: "tmp/upload", Err: syscall.ENOSPC}, "store_unavailable"},
		// No audit, no verdict.
		{errors.Join(fmt.Errorf("auditing refusal: %w: %w", audit.ErrNotRecorded, state("57P01")), &signer.AttemptsError{Err: otp.ErrWrong, Left: 2}), "store_unavailable"},
		// What a caller can decide on is not hidden.
		{errors.Join(otp.ErrUsed, driver.ErrBadConn), "otp_already_used"},
		{unsent(false), "internal_error"},
		{state("23505"), "internal_error"},
		{state("42P01"), "internal_error"},
		{sql.ErrTxDone, "internal_error"},
		{context.Canceled, "internal_error"},
		{errors.New("something else"), "internal_error"},
	} {
		code, status, after, left := api.ProblemOf(fmt.Errorf("beginning transaction: %w", c.err))
		if left != nil {
			t.Errorf("%v: %d tries left are told", c.err, *left)
		}
		if code != c.code || (code == "store_unavailable") != (status == 503 && after > 0) && code != "otp_already_used" {
			t.Errorf("%v: %d %s, Retry-After %d; want %s", c.err, status, code, after, c.code)
		}
	}
}
