package api

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// storeAway tells a database, or a disk, that cannot be had now from one that refused what
// it was asked: a broken connection, no answer in time, or a state in which the
// server takes no work (SQLSTATE, PostgreSQL's Appendix A). What was asked may
// be asked again; whether it had been done says the next answer.
func storeAway(err error) bool {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return stateAway(state.SQLState())
	}
	for _, known := range []error{driver.ErrBadConn, sql.ErrConnDone, context.DeadlineExceeded, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ENOSPC, syscall.EDQUOT, syscall.EIO} {
		if errors.Is(err, known) {
			return true
		}
	}
	// The driver's own errors of a connection say that nothing was sent.
	var unsent interface{ SafeToRetry() bool }
	if errors.As(err, &unsent) && unsent.SafeToRetry() {
		return true
	}
	var network net.Error
	return errors.As(err, &network)
}

// stateAway: connection exceptions, insufficient resources, operator
// intervention; a lock that was not had in time; a transaction that the server
// ended or rolled back; a server that has become a standby.
func stateAway(state string) bool {
	for _, class := range []string{"08", "53", "57", "40"} {
		if strings.HasPrefix(state, class) {
			return true
		}
	}
	return state == "55P03" || state == "25P03" || state == "25006"
}
