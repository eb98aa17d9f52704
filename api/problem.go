package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/signer"
)

// Problem is an error answer: RFC 9457 with a stable code.
type Problem struct {
	Type         string `json:"type" doc:"A URI that names the code" example:"urn:mohor:problem:otp_wrong"`
	Title        string `json:"title" doc:"What happened, in the language of Accept-Language"`
	Status       int    `json:"status" doc:"HTTP status"`
	Detail       string `json:"detail,omitempty" doc:"What is wrong, where, and what to do"`
	Instance     string `json:"instance" doc:"Request id, as in X-Request-Id"`
	Code         string `json:"code" doc:"Stable code" example:"otp_wrong"`
	AttemptsLeft *int   `json:"attempts_left,omitempty" doc:"Tries left for the PIN or code"`
	RetryAfter   int    `json:"retry_after,omitempty" doc:"Seconds to wait"`
	Field        string `json:"field,omitempty" doc:"The field that is wrong"`
	Row          int    `json:"row,omitempty" doc:"The row that is wrong, from 1"`
	Object       string `json:"object,omitempty" doc:"request_done: what the request was done to"`
	Medium       string `json:"medium,omitempty" doc:"The medium the officer holds"`

	// At most a thousand.
	Errors []Fault `json:"errors,omitempty" doc:"All that is wrong, when it is more than one thing"`

	language string // of title and detail
}

// Error implements error; GetStatus and ContentType make it huma's answer.
func (p *Problem) Error() string { return p.Code }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{"Content-Language": {p.language}}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	return h
}

// Errors of this package.
var (
	errInternal        = errors.New("internal error")
	errUnauthenticated = errors.New("app unknown or token expired")
	errForbidden       = errors.New("not granted")
	errHosted          = errors.New("pin_entry is hosted")
	errNotFound        = errors.New("not found")
	errMethod          = errors.New("method not allowed")
	errRateLimited     = errors.New("rate limited")
	errStreams         = errors.New("too many event streams")
	errConflict        = errors.New("idempotency key was used with another body")
	errInProgress      = errors.New("request in progress")
	errNoSession       = errors.New("not logged in")
	errNotAppointed    = errors.New("no appointment in force")
	errOtherSite       = errors.New("request came from another site's page")
)

// invalid is an invalid_request that names the field and what is wrong; the
// text is ours, never the client's.
type invalid struct{ field, en, ms string }

func (e *invalid) Error() string { return e.field + ": " + e.en }

// retry adds a waiting time to an error.
type retry struct {
	err   error
	after time.Duration
}

func (e *retry) Error() string { return e.err.Error() }
func (e *retry) Unwrap() error { return e.err }

type meaning struct {
	err    error
	code   string
	status int
	ms, en string
}

// meanings is the only place where an error gets its code. What is not here is
// an internal error: it may hold anything.
func meanings() []meaning {
	return []meaning{
		{errUnauthenticated, "unauthenticated", 401, "Aplikasi tidak dikenali atau token tamat tempoh", "The app is unknown or its token has expired"},
		{errForbidden, "forbidden", 403, "Aplikasi tidak dibenarkan melakukan operasi ini", "The app is not granted this operation"},
		{errHosted, "forbidden", 403, "PIN bagi aplikasi ini hanya boleh dimasukkan pada halaman gerbang", "The PIN for this app may be entered only on the gateway's own page"},
		{signer.ErrHosted, "forbidden", 403, "PIN bagi transaksi ini hanya boleh dimasukkan pada halaman gerbang", "The PIN for this transaction may be entered only on the gateway's own page"},
		{errNoSession, "unauthenticated", 401, "Log masuk dahulu; sesi tiada atau telah tamat", "Log in first; there is no session or it has ended"},
		{errNotAppointed, "forbidden", 403, "Anda tiada pelantikan yang berkuat kuasa", "You hold no appointment that is in force"},
		{errOtherSite, "forbidden", 403, "Permintaan ini datang dari halaman laman lain", "The request came from another site's page"},
		{enrol.ErrStale, "session_not_fresh", 403, "Log masuk semula dahulu: ini perlu sesi yang baru dibuka", "Log in again first: this needs a session that was just opened"},
		{enrol.ErrWrongCode, "otp_wrong", 403, "Kod salah", "The code is wrong"},
		{enrol.ErrUsed, "otp_already_used", 409, "Log masuk atau kod ini telah digunakan", "This log-in or code was already used"},
		{enrol.ErrPasskey, "passkey_refused", 403, "Kunci laluan ditolak", "The passkey was refused"},
		{enrol.ErrNoPasskey, "passkey_unavailable", 409, "Kunci laluan tidak ditawarkan di sini", "Passkeys are not offered here"},
		{enrol.ErrPassword, "password_refused", 400, "Kata laluan ini tidak boleh digunakan", "This password cannot be used"},
		{enrol.ErrWrongPassword, "password_wrong", 403, "Kata laluan lama salah", "The old password is wrong"},
		{enrol.ErrThrottled, "rate_limited", 429, "Terlalu banyak cubaan yang gagal; cuba sebentar lagi", "Too many failed tries; try again later"},
		{enrol.ErrBusy, "busy", 503, "Gerbang terlalu sibuk; cuba lagi", "The gateway is too busy; try again"},
		{enrol.ErrForbidden, "forbidden", 403, "Anda tidak dibenarkan berbuat demikian", "You are not allowed to do that"},
		{enrol.ErrState, "enrolment_state", 409, "Pendaftaran ini tidak berada pada tahap itu", "The enrolment is not in a state for that"},
		{enrol.ErrLink, "link_invalid", 410, "Pautan atau kod ini tidak sah", "The link or code is not valid"},
		{enrol.ErrInput, "not_accepted", 422, "Tidak diterima seperti yang diisi", "Not accepted as entered"},
		{enrol.ErrPINPolicy, "pin_refused", 422, "PIN ini tidak boleh digunakan", "This PIN cannot be used"},
		{enrol.ErrExists, "already_registered", 409, "Sudah didaftarkan", "Already registered"},
		{ca.ErrUnavailable, "ca_unavailable", 503, "CA tidak dapat dihubungi; cuba lagi", "The CA cannot be reached; try again"},
		{enrol.ErrLastJDN, "last_jdn", 409, "Pentadbir JDN terakhir tidak boleh ditamatkan", "The last JDN administrator cannot be ended"},
		{signer.ErrReason, "reason_missing", 422, "Beri sebab, 1 hingga 200 aksara", "Give a reason, 1 to 200 characters"},
		{enrol.ErrInvalid, "invalid_request", 400, "Permintaan tidak sah", "Invalid request"},
		{errNotFound, "not_found", 404, "Tidak dijumpai", "Not found"},
		{errMethod, "method_not_allowed", 405, "Kaedah tidak dibenarkan bagi laluan ini", "This path does not take that method"},
		{errStreams, "rate_limited", 429, "Aplikasi ini sudah mempunyai 50 strim peristiwa; tutup satu dahulu", "The app has 50 event streams already; close one first"},
		{errRateLimited, "rate_limited", 429, "Terlalu banyak permintaan; cuba sebentar lagi", "Too many requests; try again shortly"},
		{errConflict, "idempotency_conflict", 409, "Idempotency-Key ini telah digunakan dengan kandungan lain", "This Idempotency-Key was used with another body"},
		{errInProgress, "request_in_progress", 409, "Permintaan dengan Idempotency-Key ini sedang diproses", "A request with this Idempotency-Key is in progress"},
		{errDone, "request_done", 409, "Permintaan ini telah dilaksanakan, sekurang-kurangnya sebahagiannya, sebelum gerbang terhenti; jawapannya hilang", "This request was carried out, at least in part, before the gateway was stopped; its answer is lost"},
		{signer.ErrUnknown, "not_found", 404, "Transaksi tidak dijumpai", "No such transaction"},
		{signer.ErrUnknownOfficer, "not_found", 404, "Pegawai tidak dijumpai bagi sistem ini", "No such officer for this system"},
		{enrol.ErrUnknown, "not_found", 404, "Tidak dijumpai", "Not found"},
		{ca.ErrUnknown, "not_found", 404, "Sijil tidak dijumpai", "No such certificate"},
		{batch.ErrUnknown, "not_found", 404, "Tidak dijumpai", "Not found"},
		{signer.ErrTokenEnded, "token_ended", 409, "Sistem ini tidak lagi menerima token; mohon sijil roaming", "The system takes no more tokens; apply for a roaming certificate"},
		{signer.ErrMedium, "medium_not_roaming_otp", 409, "Medium pegawai bukan ROAMING_OTP", "The officer's medium is not ROAMING_OTP"},
		{signer.ErrNoCredential, "no_active_certificate", 409, "Pegawai tiada sijil aktif bagi sistem ini", "The officer has no active certificate for this system"},
		{signer.ErrKeyVersion, "no_active_certificate", 409, "Kunci pegawai yang disimpan bukan yang terakhir direkodkan; maklumkan pentadbir", "The officer's stored key is not the one last recorded; tell the administrator"},
		{signer.ErrCertificateExpired, "certificate_expired", 409, "Sijil pegawai telah tamat tempoh", "The officer's certificate has expired"},
		{signer.ErrCertificateRevoked, "certificate_revoked", 409, "Sijil pegawai telah dibatalkan", "The officer's certificate is revoked"},
		{signer.ErrCertificateOnHold, "certificate_suspended", 409, "Sijil pegawai digantung", "The officer's certificate is suspended"},
		{signer.ErrChannel, "channel_unavailable", 409, "Saluran kod itu tidak tersedia bagi pegawai ini", "That channel is not available for this officer"},
		{signer.ErrHeader, "header_mismatch", 409, "Data Header menamakan No. Kad Pengenalan orang lain, atau tidak seperti templat sistem atau jumlah yang diberi", "The data header names another person's IC, or is not as the system's template or the total given says"},
		{otp.ErrWrong, "otp_wrong", 403, "Kod OTP salah", "The code is wrong"},
		{otp.ErrExpired, "otp_expired", 410, "Kod OTP telah luput; minta kod baharu", "The code has expired; ask for a new one"},
		{otp.ErrAttempts, "otp_attempts_exhausted", 403, "Cubaan kod OTP telah habis; minta kod baharu", "No tries are left for this code; ask for a new one"},
		{otp.ErrUsed, "otp_already_used", 409, "Kod OTP telah digunakan", "The code was already used"},
		{otp.ErrUnknown, "otp_expired", 410, "Kod OTP telah luput; minta kod baharu", "The code has expired; ask for a new one"},
		{otp.ErrResendTooSoon, "otp_resend_too_soon", 429, "Kod baharu diminta terlalu awal atau terlalu kerap", "A new code was asked for too soon or too often"},
		{otp.ErrTooManyCodes, "otp_resend_too_soon", 429, "Terlalu banyak kod yang tidak digunakan bagi pegawai ini", "Too many unused codes for this officer"},
		{otp.ErrNonce, "nonce_mismatch", 403, "Nonce bukan milik transaksi ini atau sudah diganti", "The nonce is not this transaction's live one"},
		{otp.ErrNotSent, "mail_unavailable", 503, "Kod tidak dapat dihantar; cuba lagi", "The code could not be sent; try again"},
		{otp.ErrCodesUnavailable, "store_unavailable", 503, "Storan tidak dapat dihubungi; cuba lagi", "The store cannot be reached; try again"},
		{otp.ErrMACUnavailable, "hsm_unavailable", 503, "HSM tidak dapat dihubungi; cuba lagi", "The HSM cannot be reached; try again"},
		{signer.ErrDocuments, "documents_mismatch", 403, "Dokumen tidak sama dengan yang dipaparkan kepada pegawai", "The documents are not those shown to the officer"},
		{signer.ErrSignatory, "duplicate_signatory", 409, "Pegawai ini memegang peranan lain bagi rujukan yang sama", "The officer holds another role of the same reference"},
		{signer.ErrTurn, "role_out_of_order", 409, "Belum atau bukan lagi giliran peranan ini bagi rujukan itu", "It is not, or no longer, this role's turn for that reference"},
		{signer.ErrOtherProcess, "role_out_of_order", 409, "Rujukan ini telah bermula dalam proses kerja lain", "The reference was begun in another work process"},
		{signer.ErrTemplate, "template_changed", 409, "Templat tandatangan telah diubah selepas transaksi ini dibuat; buat transaksi baharu", "The template of the signature was changed after this transaction was made; make a new one"},
		{signer.ErrPINWrong, "pin_wrong", 403, "PIN salah", "The PIN is wrong"},
		{signer.ErrPINLocked, "pin_locked", 423, "PIN dikunci", "The PIN is locked"},
		{signer.ErrTransactionExpired, "transaction_expired", 410, "Transaksi telah tamat tempoh", "The transaction has expired"},
		{signer.ErrCancelled, "transaction_cancelled", 409, "Transaksi telah dibatalkan", "The transaction was cancelled"},
		{signer.ErrFinished, "transaction_finished", 409, "Transaksi telah selesai", "The transaction is finished"},
		{signer.ErrBatchBusy, "batch_busy", 409, "Kelompok ini mempunyai transaksi yang masih hidup", "The batch has a live transaction"},
		{signer.ErrBatchEmpty, "batch_empty", 409, "Tiada apa-apa untuk ditandatangani", "There is nothing to sign"},
		{signer.ErrKeysUnavailable, "hsm_unavailable", 503, "HSM tidak dapat dihubungi; cuba lagi", "The HSM cannot be reached; try again"},
		{signer.ErrTimestamp, "timestamp_unavailable", 503, "Cap masa atau status sijil tidak dapat diperoleh; cuba lagi", "No time-stamp or certificate status to be had; try again"},
		{signer.ErrBusy, "hsm_unavailable", 503, "Gerbang terlalu sibuk; cuba lagi", "The gateway is too busy; try again"},
		{batch.ErrShutdown, "hsm_unavailable", 503, "Gerbang sedang dihentikan; cuba lagi", "The gateway is stopping; try again"},
		{batch.ErrSealed, "batch_sealed", 409, "Kelompok telah dimeterai", "The batch is sealed"},
		{batch.ErrNotSealed, "batch_not_sealed", 409, "Kelompok belum dimeterai", "The batch is not sealed"},
		{batch.ErrEmpty, "batch_empty", 409, "Kelompok kosong", "The batch is empty"},
		{batch.ErrRefusedRows, "batch_has_refused_rows", 409, "Kelompok mempunyai baris yang ditolak; betulkan atau terima penolakan itu", "Rows were refused; mend them or accept the refusals"},
		{batch.ErrLive, "batch_busy", 409, "Kelompok ini mempunyai transaksi yang masih hidup", "The batch has a live transaction"},
		{batch.ErrNotSigned, "not_signed", 409, "Belum ditandatangani", "Not signed yet"},
		{batch.ErrInput, "invalid_request", 400, "Muat naik tidak dapat dibaca", "The upload cannot be read"},
		{batch.ErrKind, "invalid_request", 400, "Kelompok ini jenis lain", "The batch is of another kind"},
		{batch.ErrName, "invalid_request", 400, "Nama mesti 1 hingga 120 aksara", "The name must have 1 to 120 printable characters"},
		{signer.ErrAlgorithm, "invalid_request", 400, "Algoritma tidak sepadan dengan kunci pegawai", "The algorithm does not fit the officer's key"},
		{signer.ErrProcess, "invalid_request", 400, "Sistem ini tiada proses kerja sedemikian; lihat /v1/processes", "The system has no such work process; see /v1/processes"},
		{signer.ErrRole, "invalid_request", 400, "Proses kerja ini tiada peranan sedemikian; lihat /v1/processes", "The work process has no such role; see /v1/processes"},
		{signer.ErrReference, "invalid_request", 400, "Setiap dokumen bagi proses kerja memerlukan rujukannya sendiri, satu sahaja: 1 hingga 200 aksara ASCII, tanpa ruang di hujung", "Each document of a work process needs a reference of its own, and one alone: 1 to 200 ASCII characters, without spaces at the ends"},
		{signer.ErrContent, "invalid_request", 400, "Peranan pertama memerlukan dokumen: document_id, digest atau data", "The first role needs the document: document_id, digest or data"},
		{signer.ErrLastWord, "invalid_request", 400, "Pengesahan tanpa sebarang perubahan (1) tidak meninggalkan tempat bagi peranan seterusnya", "A certification without any change (1) leaves no place for the next role"},
		{signer.ErrNotBulk, "invalid_request", 400, "Proses kerja ini bukan proses pukal: satu rujukan bagi satu transaksi", "This work process is not one for bulk: one reference a transaction"},
		{signer.ErrPrepared, "invalid_request", 400, "Bagi PDF yang kekal pada anda, gerbang hanya membuat tandatangan: level B-B atau B-T, tanpa pilihan lain", "Of a PDF that stays with you the gateway makes the signature alone: level B-B or B-T, and no other option"},
		{batch.ErrTooLarge, "too_large", 413, "Muat naik terlalu besar", "The upload is too large"},
		{errList, "list_invalid", 422, "Senarai tidak dapat dibaca", "The list cannot be read"},
		{ecert.ErrCSV, "csv_invalid", 422, "Fail CSV tidak sah", "The CSV file is invalid"},
		{pdf.ErrInvalid, string(pdf.ErrInvalid), 422, "PDF tidak sah", "The PDF is invalid"},
		{pdf.ErrEncrypted, string(pdf.ErrEncrypted), 422, "PDF dikunci atau disulitkan", "The PDF is locked or encrypted"},
		{pdf.ErrCertified, string(pdf.ErrCertified), 422, "Tandatangan terdahulu pada PDF tidak membenarkan perubahan ini", "An earlier signature of the PDF does not permit this change"},
		{pdf.ErrAnchor, string(pdf.ErrAnchor), 422, "Teks penanda tempat tiada, atau ada lebih daripada sekali", "The text that marks the place is not there, or more than once"},
		{pdf.ErrTooLarge, string(pdf.ErrTooLarge), 413, "PDF terlalu besar", "The PDF is too large"},
		{pdf.ErrOptions, "invalid_request", 400, "Permintaan tidak sah", "Invalid request"},
		{pdf.ErrUnsafe, string(pdf.ErrUnsafe), 422, "PDF mengandungi sesuatu yang tidak boleh ditandatangani", "The PDF has something in it that must not be signed"},
		{pdf.ErrUnsupported, string(pdf.ErrUnsupported), 422, "PDF ini belum disokong", "This PDF is not supported yet"},
	}
}

// errorCode is a row of the table of codes in the OpenAPI document.
type errorCode struct {
	Code   string `json:"code"`
	Status int    `json:"status"`
	MS     string `json:"ms"`
	EN     string `json:"en"`
}

// codes lists each code once, with its first meaning.
func codes() []errorCode {
	seen := map[string]bool{}
	out := []errorCode{{"invalid_request", 400, "Permintaan tidak sah", "Invalid request"}}
	seen["invalid_request"] = true
	for _, m := range meanings() {
		if !seen[m.code] {
			seen[m.code] = true
			out = append(out, errorCode{m.code, m.status, m.ms, m.en})
		}
	}
	return append(out, errorCode{"internal_error", 500, "Ralat dalaman", "Internal error"})
}

// What is said of an error that is not in the map.
const (
	internalMS = "Sila maklumkan pentadbir dengan nombor permintaan ini."
	internalEN = "Please tell the administrator this request id."
)

// retryAfter is how many seconds to wait when nothing says better.
const retryAfter = 5

// newProblem builds the answer for err.
func newProblem(ctx context.Context, err error) *Problem {
	p := &Problem{Code: "internal_error", Status: 500, Title: "Ralat dalaman", Instance: requestIDOf(ctx),
		Detail: internalMS}
	err = sayable(err)
	en := english(ctx)
	if en {
		p.Title, p.Detail = "Internal error", internalEN
	}
	if m, ok := meaningOf(err); ok {
		p.Code, p.Status, p.Title, p.Detail = m.code, m.status, pick(en, m.en, m.ms), ""
	}
	p.explain(err, en)
	p.Type, p.language = "urn:mohor:problem:"+p.Code, pick(en, "en", "ms")
	if (p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests) && p.RetryAfter == 0 {
		p.RetryAfter = retryAfter
	}
	return p
}

// ofField is an error about a field that this request calls otherwise.
type ofField struct {
	field string
	error
}

func (e *ofField) Unwrap() error { return e.error }

// sayable is what a client may be told: no audit, no verdict.
func sayable(err error) error {
	if errors.Is(err, audit.ErrNotRecorded) {
		return otp.ErrCodesUnavailable
	}
	return err
}

func meaningOf(err error) (meaning, bool) {
	err = sayable(err)
	var bad *invalid
	if errors.As(err, &bad) {
		return meaning{code: "invalid_request", status: 400, ms: "Permintaan tidak sah", en: "Invalid request"}, true
	}
	for _, m := range meanings() {
		if errors.Is(err, m.err) {
			return m, true
		}
	}
	if storeAway(err) {
		return meaningOf(otp.ErrCodesUnavailable)
	}
	return meaning{}, false
}

// codeOf is the code of a sentinel by its message; "" for what is none.
func codeOf(message string) string {
	for _, m := range meanings() {
		if message != "" && m.err.Error() == message {
			return m.code
		}
	}
	return ""
}

// explain adds what the typed errors know. Only our own words and numbers are
// copied, never input.
func (p *Problem) explain(err error, en bool) {
	var (
		bad    *invalid
		left   *signer.AttemptsError
		locked *signer.LockedError
		medium *signer.MediumError
		way    *signer.ChannelError
		again  *otp.RetryError
		wait   *retry
		doc    *signer.DocumentError
		broken *pdf.Error
		csv    *ecert.CSVError
		code   *enrol.CodeError
		later  *enrol.ThrottledError
		secret *enrol.PasswordError
		done   *doneError
	)
	if errors.As(err, &done) {
		p.Object = done.object
		p.Detail = pick(en, "Look at what became of it before you ask again with another key.", "Lihat keadaannya sebelum meminta lagi dengan kunci lain.")
	}
	if errors.As(err, &code) {
		p.AttemptsLeft = &code.Left
	}
	if errors.As(err, &later) {
		p.RetryAfter = seconds(later.After)
	}
	if errors.As(err, &secret) {
		p.Field, p.Detail = "password", pick(en, secret.EN, secret.MS)
	}
	if errors.As(err, &bad) {
		p.Field, p.Detail = bad.field, pick(en, bad.en, bad.ms)
	}
	if errors.As(err, &left) {
		p.AttemptsLeft = &left.Left
	}
	if errors.As(err, &locked) {
		p.Detail = pick(en, "An administrator must unlock it.", "Pentadbir perlu membukanya.")
		if !locked.Until.IsZero() {
			until := locked.Until.UTC().Format(time.RFC3339)
			p.Detail = pick(en, "Locked until "+until+".", "Dikunci sehingga "+until+".")
		}
	}
	if errors.As(err, &medium) {
		p.Medium = medium.Medium
	}
	if errors.As(err, &way) {
		p.Field, p.Detail = "channel", channelDetail(way, en)
	}
	if errors.As(err, &again) {
		p.RetryAfter = seconds(again.After)
	}
	if errors.As(err, &wait) {
		p.RetryAfter = seconds(wait.after)
	}
	if errors.As(err, &broken) {
		p.Detail = pick(en || broken.DetailMS == "", broken.Detail, broken.DetailMS)
		if broken.Offset >= 0 {
			p.Detail += fmt.Sprintf(" (offset %d)", broken.Offset)
		}
	}
	if errors.As(err, &doc) {
		p.Field = fmt.Sprintf("documents[%d]", doc.Index)
	}
	if name := fieldOf(err); strings.HasPrefix(name, ".") && p.Field != "" {
		p.Field += name
	} else if name != "" {
		p.Field = strings.TrimPrefix(name, ".")
	}
	p.explainEnrolment(err, en)
	var of *ofField
	if errors.As(err, &of) {
		p.Field = of.field
	}
	if errors.As(err, &csv) {
		p.Row, p.Detail = csv.Line, pick(en, csv.Detail, csv.DetailMS)
	}
}

// fieldOf is the field of a request that a sentinel is about; one with a point is the document's.
func fieldOf(err error) string {
	for _, r := range []struct {
		err   error
		field string
	}{{signer.ErrProcess, "process"}, {signer.ErrRole, "role"}, {signer.ErrReference, ".reference"}, {signer.ErrLastWord, "pades.certify"}, {signer.ErrNotBulk, "documents"}, {signer.ErrAlgorithm, "algorithm"}} {
		if errors.Is(err, r.err) {
			return r.field
		}
	}
	return ""
}

// channelDetail says why a channel is not available, and what is.
func channelDetail(e *signer.ChannelError, en bool) string {
	name := map[string]string{signer.Email: pick(en, "e-mail", "e-mel")}[e.Asked]
	if name == "" {
		name = e.Asked
	}
	var s string
	switch {
	case e.Denied:
		s = pick(en, "The agency's policy does not allow codes by "+name+" for this system.", "Polisi agensi tidak membenarkan kod melalui "+name+" bagi sistem ini.")
	case e.Asked == "auto":
		s = pick(en, "Of the channels that the agency's policy allows for this system, none reaches the officer.", "Tiada saluran yang dibenarkan oleh polisi agensi bagi sistem ini sampai kepada pegawai.")
	default:
		s = pick(en, "The officer has nothing registered for "+name+".", "Pegawai tidak mendaftarkan apa-apa bagi "+name+".")
	}
	if len(e.Offered) > 0 {
		return s + pick(en, " Available: ", " Yang tersedia: ") + strings.Join(e.Offered, ", ") + "."
	}
	return s + pick(en, " Ask the agency administrator.", " Hubungi pentadbir agensi.")
}

// Explain is what people are told of err, in both languages, outside a request.
func Explain(err error) (ms, en *Problem) {
	ctx := context.Background()
	return newProblem(ctx, err), newProblem(context.WithValue(ctx, keyLanguage, true), err)
}

func seconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }

func pick(en bool, english, malay string) string {
	if en {
		return english
	}
	return malay
}

// fail logs what a client must not see and returns the problem.
func (s *server) fail(ctx context.Context, err error) error {
	return newProblem(ctx, s.logged(ctx, err))
}

// logged writes unmapped and 503 errors and alarms to the log, with the request id.
func (s *server) logged(ctx context.Context, err error) error {
	m, ok := meaningOf(err)
	if !ok || m.status == http.StatusServiceUnavailable || errors.Is(err, signer.ErrKeyVersion) {
		s.Log.Error("request failed", "request_id", requestIDOf(ctx), "error", err)
	}
	return err
}

func writeProblem(w http.ResponseWriter, ctx context.Context, err error) {
	p := newProblem(ctx, err)
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if this fails
}

// unread is what huma says of a body that it could not read to its end.
const unread = "cannot read request body"

// problemsOnce: huma keeps its error constructor in a package variable.
var problemsOnce sync.Once

// useProblems makes huma's own errors (decoding, validation) problems, too.
func useProblems() {
	problemsOnce.Do(func() {
		huma.NewErrorWithContext = func(c huma.Context, status int, msg string, errs ...error) huma.StatusError {
			ctx := context.Background()
			if c != nil {
				ctx = c.Context()
			}
			if msg == unread {
				status = http.StatusBadRequest // it was cut off, or its chunks are none
			}
			p := validationProblem(ctx, status, errs)
			if c != nil { // huma sends the status and the body alone
				for k, v := range p.GetHeaders() {
					c.SetHeader(k, v[0])
				}
			}
			return p
		}
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
			return validationProblem(context.Background(), status, errs)
		}
	})
}

// validationProblem names the first bad field and the rule it broke. The value
// is dropped: it may be a PIN.
func validationProblem(ctx context.Context, status int, errs []error) *Problem {
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return newProblem(ctx, batch.ErrTooLarge)
	case status >= 500 || status == http.StatusNotFound:
		return newProblem(ctx, errInternal)
	}
	bad := &invalid{field: "body", en: "The request cannot be read: it must be the JSON that the API describes.", ms: "Permintaan tidak dapat dibaca: ia mesti JSON seperti huraian API."}
	var p *Problem
	for _, err := range errs {
		if errors.As(err, &p) {
			return p
		}
		var d *huma.ErrorDetail
		if errors.As(err, &d) && d.Location != "" && d.Location != "body" {
			_, name, _ := strings.Cut(d.Location, ".") // after body, path, query or header
			bad = rule(name, d.Message)
			break
		}
	}
	return newProblem(ctx, bad)
}

// rule says in people's words what huma says of a field.
func rule(field, said string) *invalid {
	for _, r := range [][3]string{
		{"expected string to be RFC 3339 date-time", "it must be a time such as 2026-04-30T04:09:54Z (RFC 3339)%s", "ia mesti masa seperti 2026-04-30T04:09:54Z (RFC 3339)%s"},
		{"expected string to match pattern ", "it must match %s", "ia mesti sepadan dengan %s"},
		{"expected string to be base64 encoded", "it must be base64%s", "ia mesti base64%s"},
		{"expected string", "it must be text, in quotation marks%s", "ia mesti teks dalam tanda petik%s"},
		{"expected object", "it must be an object%s", "ia mesti objek%s"},
		{"expected array length <= ", "at most %s entries are allowed", "paling banyak %s entri dibenarkan"},
		{"expected array length >= ", "at least %s entries are needed", "sekurang-kurangnya %s entri diperlukan"},
		{"expected array items to be unique", "no entry may be there twice%s", "tiada entri boleh berulang%s"},
		{"expected array", "it must be a list%s", "ia mesti senarai%s"},
		{"expected boolean", "it must be true or false%s", "ia mesti true atau false%s"},
		{"expected integer", "it must be a whole number%s", "ia mesti nombor bulat%s"},
		{"expected length <= ", "at most %s characters are allowed", "paling banyak %s aksara dibenarkan"},
		{"expected length >= ", "at least %s characters are needed", "sekurang-kurangnya %s aksara diperlukan"},
		{"expected number <= ", "it must be at most %s", "ia mesti paling banyak %s"},
		{"expected number >= ", "it must be at least %s", "ia mesti sekurang-kurangnya %s"},
		{"expected number < ", "it must be less than %s", "ia mesti kurang daripada %s"},
		{"expected number > ", "it must be more than %s", "ia mesti lebih daripada %s"},
		{"expected number", "it must be a number%s", "ia mesti nombor%s"},
		{"expected value to be one of ", "it must be one of %s", "ia mesti salah satu daripada %s"},
		{"expected required property ", "missing: %s", "tiada: %s"},
		{"unexpected property", "there is no such field%s", "tiada medan sedemikian%s"},
		{"required ", "it must be given%s", "ia mesti diberi%s"},
		{"invalid integer", "it must be a whole number%s", "ia mesti nombor bulat%s"},
		{"invalid float", "it must be a number%s", "ia mesti nombor%s"},
		{"invalid boolean", "it must be true or false%s", "ia mesti true atau false%s"},
		{"invalid date/time", "it must be a time such as 2026-04-30T04:09:54Z (RFC 3339)%s", "ia mesti masa seperti 2026-04-30T04:09:54Z (RFC 3339)%s"},
	} {
		if rest, is := strings.CutPrefix(said, r[0]); is {
			if !strings.HasSuffix(r[0], " ") || r[0] == "required " {
				rest = "" // huma's own words
			}
			rest = strings.TrimSuffix(rest, " to be present")
			return &invalid{field: field, en: fmt.Sprintf(r[1], rest), ms: fmt.Sprintf(r[2], rest)}
		}
	}
	return &invalid{field: field, en: "it is not as the API describes it", ms: "ia tidak seperti huraian API"}
}
