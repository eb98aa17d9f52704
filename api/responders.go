package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/signer"
)

// Strangers' requests to the time-stamp unit and the OCSP responder cost
// signatures of the HSM, and documents to be verified cost memory: so many are
// answered at once, the next wait so long.
const (
	unitWidth = 4
	unitWait  = 2 * time.Second
)

// Content types of RFC 3161, Section 3.4, and RFC 6960, Appendix A.
const (
	typeTSQuery      = "application/timestamp-query"
	typeTSReply      = "application/timestamp-reply"
	typeOCSPRequest  = "application/ocsp-request"
	typeOCSPResponse = "application/ocsp-response"
)

// responders registers POST /tsa, and POST and GET /ocsp. Their errors are those
// of their protocols, except for what is wrong with the HTTP request.
func (s *server) responders(r chi.Router, h huma.API) {
	tsa := binary(streamed(op("PKI", "timestamp", http.MethodPost, "/tsa", "Time-stamp a digest (RFC 3161): SHA-256, SHA-384 or SHA-512", http.StatusBadRequest, http.StatusServiceUnavailable), typeTSQuery), typeTSReply, "A TimeStampResp, granted or rejected")
	huma.Register(h, tsa, s.timestamp)
	ocsp := binary(streamed(op("PKI", "ocsp", http.MethodPost, "/ocsp", "Was a certificate of the issuing CA revoked? (RFC 6960)", http.StatusBadRequest, http.StatusServiceUnavailable), typeOCSPRequest), typeOCSPResponse, "An OCSPResponse")
	huma.Register(h, ocsp, s.ocspPost)
	// Base64 has slashes: what is after /ocsp/ is not one segment of the path.
	r.Get("/ocsp/*", s.ocspGet)
	get := binary(op("PKI", "ocspGet", http.MethodGet, "/ocsp/{request}", "The same, with the request in the address (RFC 6960, Appendix A.1)", http.StatusBadRequest, http.StatusServiceUnavailable), typeOCSPResponse, "An OCSPResponse")
	get.Parameters = []*huma.Param{{Name: "request", In: "path", Required: true, Description: "URL-encoded base64 of the DER of the OCSPRequest", Schema: &huma.Schema{Type: "string"}}}
	h.OpenAPI().AddOperation(&get)
}

type unitInput struct {
	upload
	ContentType string `header:"Content-Type"`
}

// slot waits for one of the places, unitWait at most: ErrBusy then.
func slot(ctx context.Context, places chan struct{}) (release func(), err error) {
	t := time.NewTimer(unitWait)
	defer t.Stop()
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.C:
		return nil, &retry{signer.ErrBusy, unitWait}
	}
}

// read takes a request body of one content type and at most max bytes.
func (in *unitInput) read(contentType string, max int64) ([]byte, error) {
	if mediaType(in.ContentType) != contentType {
		return nil, fixed("Content-Type", "It must be "+contentType+".", "Ia mesti "+contentType+".")
	}
	// One byte more than allowed: the protocol's own answer says that it is too long.
	b, err := io.ReadAll(io.LimitReader(in.body, max+1))
	if err != nil {
		return nil, fixed("body", "It cannot be read.", "Ia tidak dapat dibaca.")
	}
	return b, nil
}

func (s *server) timestamp(ctx context.Context, in *unitInput) (*fileOutput, error) {
	query, err := in.read(typeTSQuery, ca.MaxTimestampQuery)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	release, err := slot(ctx, s.units)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	defer release()
	reply, err := s.CA.TimestampReply(ctx, query)
	if err != nil {
		s.Log.Error("making time-stamp", "request_id", requestIDOf(ctx), "error", err)
	}
	if reply == nil {
		return nil, s.fail(ctx, err)
	}
	return &fileOutput{ContentType: typeTSReply, CacheControl: "no-store", Body: reply}, nil
}

func (s *server) ocspPost(ctx context.Context, in *unitInput) (*fileOutput, error) {
	request, err := in.read(typeOCSPRequest, ca.MaxOCSPRequest)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	der, _, err := s.ocspAnswer(ctx, request)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &fileOutput{ContentType: typeOCSPResponse, CacheControl: "no-store", Body: der}, nil
}

func (s *server) ocspAnswer(ctx context.Context, request []byte) ([]byte, ca.Freshness, error) {
	release, err := slot(ctx, s.units)
	if err != nil {
		return nil, ca.Freshness{}, err
	}
	defer release()
	der, fresh, err := s.CA.OCSPReply(ctx, request)
	if err != nil {
		s.Log.Error("answering OCSP request", "request_id", requestIDOf(ctx), "error", err)
	}
	return der, fresh, nil
}

// ocspMaxAge is how long a copy of an answer may be handed on: a revocation is to
// be seen soon behind a proxy, too.
const ocspMaxAge = time.Minute

// ocspGet implements RFC 6960, Appendix A.1.1, and the caching of RFC 5019, Section
// 6.2 (RFC 9111).
func (s *server) ocspGet(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	request, err := ocspOfPath(r.URL.EscapedPath())
	if err != nil {
		writeProblem(w, ctx, fixed("request", "It must be URL-encoded base64 of an OCSPRequest.", "Ia mesti base64 berkod URL bagi OCSPRequest."))
		return
	}
	der, fresh, err := s.ocspAnswer(ctx, request)
	if err != nil {
		writeProblem(w, ctx, s.logged(ctx, err))
		return
	}
	w.Header().Set("Content-Type", typeOCSPResponse)
	left := min(ocspMaxAge, fresh.Until.Sub(s.Now()))
	if left < time.Second {
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(der) // the client is gone if this fails
		return
	}
	w.Header().Set("Cache-Control", fmt.Sprintf("public, no-transform, must-revalidate, max-age=%d", int(left/time.Second)))
	w.Header().Set("Expires", s.Now().Add(left).UTC().Format(http.TimeFormat))
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(der)))
	http.ServeContent(w, r, "", fresh.ThisUpdate, bytes.NewReader(der)) // with Last-Modified, and 304 where it fits
}

// ocspOfPath decodes what is after /ocsp/. Some clients leave
// the padding out.
func ocspOfPath(escaped string) ([]byte, error) {
	text := strings.TrimPrefix(escaped, "/ocsp/")
	if len(text) > 3*base64.StdEncoding.EncodedLen(ca.MaxOCSPRequest) {
		return nil, errors.New("decoding OCSP request: too long")
	}
	text, err := url.PathUnescape(text)
	if err != nil {
		return nil, err
	}
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
}
