package api

import (
	"errors"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/raster"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/signer"
)

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
		{signer.ErrStoreUnavailable, "store_unavailable", 503, "Storan dokumen penuh atau tidak dapat dihubungi; cuba lagi", "The store of documents is full or cannot be reached; try again"},
		{signer.ErrNotDurable, "store_unavailable", 503, "Storan dokumen penuh atau tidak dapat dihubungi; cuba lagi", "The store of documents is full or cannot be reached; try again"},
		{signer.ErrDocuments, "documents_mismatch", 403, "Dokumen tidak sama dengan yang dipaparkan kepada pegawai", "The documents are not those shown to the officer"},
		{signer.ErrSignatory, "duplicate_signatory", 409, "Pegawai ini memegang peranan lain bagi rujukan yang sama", "The officer holds another role of the same reference"},
		{signer.ErrTurn, "role_out_of_order", 409, "Belum atau bukan lagi giliran peranan ini bagi rujukan itu", "It is not, or no longer, this role's turn for that reference"},
		{signer.ErrOtherProcess, "role_out_of_order", 409, "Rujukan ini telah bermula dalam proses kerja lain", "The reference was begun in another work process"},
		{signer.ErrTemplate, "template_changed", 409, "Templat tandatangan telah diubah selepas transaksi ini dibuat; buat transaksi baharu", "The template of the signature was changed after this transaction was made; make a new one"},
		{signer.ErrPINWrong, "pin_wrong", 403, "PIN salah", "The PIN is wrong"},
		{signer.ErrPINSame, "pin_same", 422, "PIN baharu ini sama dengan yang lama", "The new PIN is the old one"},
		{signer.ErrPINChanged, "pin_changed", 409, "PIN ini telah ditukar oleh permintaan lain", "Another request has changed this PIN"},
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
		{raster.ErrAbsent, "preview_unavailable", 501, "Gambar pratonton tidak tersedia: pdftoppm (poppler-utils) tidak dipasang pada gerbang; minta format=pdf", "No picture to be had: pdftoppm (poppler-utils) is not installed at the gateway; ask for format=pdf"},
		{batch.ErrIntake, "batch_busy", 409, "Satu lagi muat naik sedang berjalan; cuba lagi", "Another upload is under way; try again"},
		{signer.ErrAmounts, "batch_amounts_partial", 409, "Sesetengah dokumen ada amaun dan yang lain tiada, atau jumlahnya terlalu besar: hantar semula dalam kelompok baharu", "Some documents have an amount and others have none, or the sum is too large: send them again in a new batch"},
		{signer.ErrTotal, "total_mismatch", 409, "Jumlah yang diberi bukan jumlah amaun dokumen kelompok", "The total given is not the sum of the amounts of the batch's documents"},
		{batch.ErrNotSigning, "batch_not_signing", 409, "Kelompok tidak sedang ditandatangani", "The batch is not being signed"},
		{batch.ErrNotPaused, "batch_not_paused", 409, "Kelompok tidak dijeda", "The batch is not paused"},
		{batch.ErrLook, "template_changed", 409, "Templat e-sijil dalam konfigurasi telah diubah selepas kelompok ini dibuka; buka kelompok baharu", "The configured templates were changed after this batch was opened; open another one"},
		{batch.ErrNotRefused, "batch_not_refused", 409, "Kelompok tidak berakhir dengan penolakan", "The batch did not end with refusals"},
		{batch.ErrItem, "not_refused", 409, "Tiada dokumen ditolak dengan indeks itu", "No refused document has that index"},
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
		{ecert.ErrLook, "template_invalid", 422, "Templat ini tidak dapat digunakan", "The template cannot be used like this"},
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
