package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// stallAfter is how long a peer may send, or take, nothing before it is cut off: a
// slow upload goes on, a stopped one does not hold its connection.
const stallAfter = 30 * time.Second

// deadlines moves the connection's read deadline with each read of the body,
// until its end, and its write deadline with each write.
func deadlines(stall time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if c.SetWriteDeadline(time.Time{}) != nil {
			next.ServeHTTP(w, r) // not a network connection: a test's recorder
			return
		}
		if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
			// Who names a length beside the chunks may mean that another reader shall find
			// another end (RFC 9112, Section 6.1); package net/http does not say that it was named.
			w.Header().Set("Connection", "close")
		}
		if r.Body != http.NoBody {
			b := &steadyBody{ReadCloser: r.Body, c: c, stall: stall}
			b.until(time.Now().Add(stall))
			r.Body = b
		}
		next.ServeHTTP(&steadyWriter{w, c, stall}, r)
	})
}

type steadyBody struct {
	io.ReadCloser
	c     *http.ResponseController
	stall time.Duration
}

// until sets the read deadline; an error would have shown when the write
// deadline was set.
func (b *steadyBody) until(t time.Time) { _ = b.c.SetReadDeadline(t) }

// Read implements io.Reader. At the end of the body the deadline goes: the
// server goes on reading, to see whether the client is still there.
func (b *steadyBody) Read(p []byte) (int, error) {
	b.until(time.Now().Add(b.stall))
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.until(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("%w: %w", errStalled(), err)
	}
	return n, err
}

// errStalled is the answer to an upload that stops.
func errStalled() error {
	return fixed("body", "Nothing more of the request came for half a minute.", "Tiada lagi isi permintaan diterima selama setengah minit.")
}

type steadyWriter struct {
	http.ResponseWriter
	c     *http.ResponseController
	stall time.Duration
}

// Write implements io.Writer.
func (w *steadyWriter) Write(p []byte) (int, error) {
	_ = w.c.SetWriteDeadline(time.Now().Add(w.stall)) // it worked once for this connection
	return w.ResponseWriter.Write(p)
}

// Unwrap implements the interface of http.ResponseController.
func (w *steadyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// cutStalled is deadlines with the time of production.
func cutStalled(next http.Handler) http.Handler { return deadlines(stallAfter, next) }
