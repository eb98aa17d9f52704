package verify

import "strings"

type meaning struct {
	verdict Verdict
	sub     string // sub-indication of ETSI EN 319 102-1, Section 5.1.3
	ms, en  string
}

func reason(code, detail string) Reason {
	m := meanings(code)
	return Reason{Code: code, MS: m.ms, EN: m.en, Detail: plain(code, detail)}
}

// plain takes out of an error's text what the code says already and what speaks
// to programmers alone.
func plain(code, detail string) string {
	for _, prefix := range []string{code + ": ", "x509: ", "crypto/rsa: ", "crypto/ecdsa: "} {
		detail = strings.TrimPrefix(detail, prefix)
	}
	detail, _, _ = strings.Cut(detail, " (possibly because of ")
	return detail
}

// meanings returns what a code says and the best verdict it leaves possible.
func meanings(code string) meaning {
	for _, table := range []func(string) meaning{documentMeaning, placeMeaning, signatureMeaning, certificateMeaning, timestampMeaning} {
		if m := table(code); m.verdict != "" {
			return m
		}
	}
	return meaning{Indeterminate, "", "Semakan tidak dapat diselesaikan.", "The check could not be completed."}
}

func documentMeaning(code string) meaning {
	switch code {
	case "pdf_invalid":
		return meaning{Invalid, "FORMAT_FAILURE", "Fail bukan PDF yang sah atau strukturnya rosak.", "The file is not a PDF or its structure is damaged."}
	case "pdf_encrypted":
		return meaning{Indeterminate, "SIGNED_DATA_NOT_FOUND", "Dokumen dikunci dengan kata laluan dan tidak dapat disemak tanpa kata laluan yang betul.", "The document is locked with a password and cannot be checked without the right one."}
	case "pdf_too_large":
		return meaning{Indeterminate, "", "Dokumen terlalu besar atau terlalu rumit untuk disemak.", "The document is too large or too complex to be checked."}
	case "pdf_unsupported":
		return meaning{Indeterminate, "", "Dokumen mengandungi binaan yang belum disokong.", "The document has a construct that is not supported yet."}
	case "no_signature":
		return meaning{Indeterminate, "", "Dokumen ini tidak mempunyai tandatangan digital.", "The document has no digital signature."}
	case "stray_signature":
		return meaning{Indeterminate, "SIG_CONSTRAINTS_FAILURE", "Terdapat tandatangan yang tidak didaftarkan dalam borang dokumen.", "There is a signature outside of the document's form."}
	case "bytes_after":
		return meaning{Indeterminate, "SIG_CONSTRAINTS_FAILURE", "Terdapat ruang kosong yang ditambah selepas penghujung dokumen.", "Blanks were added behind the end of the document."}
	case "changed_after":
		return meaning{Invalid, "FORMAT_FAILURE", "Dokumen telah diubah selepas ditandatangani.", "The document was changed after signing."}
	case "bytes_unexplained":
		return meaning{Indeterminate, "SIG_CONSTRAINTS_FAILURE", "Fail mengandungi data tersembunyi yang ditambah selepas ditandatangani.", "The file holds data added after signing that belong to no part of the document."}
	case "filled_after":
		return meaning{Indeterminate, "SIG_CONSTRAINTS_FAILURE", "Borang diisi selepas ditandatangani, seperti yang dibenarkan, tetapi tiada tandatangan yang mengesahkan isinya.", "The form was filled in after signing, as permitted, but no signature vouches for what was filled in."}
	case "annotated_after":
		return meaning{Indeterminate, "SIG_CONSTRAINTS_FAILURE", "Catatan atau paparan telah ditambah selepas dokumen diperakui; kandungan asal mungkin terlindung.", "Annotations were added after the certification, as it permits; they may hide or imitate content."}
	case "later_signature_doubtful":
		return meaning{Indeterminate, "SIG_CONSTRAINTS_FAILURE", "Tandatangan lain yang dipaparkan kemudian pada dokumen ini tidak dapat dipercayai.", "A later signature that shows itself on a page is not valid."}
	}
	return meaning{}
}

func placeMeaning(code string) meaning {
	switch code {
	case "signature_malformed":
		return meaning{Invalid, "FORMAT_FAILURE", "Rekod tandatangan dalam dokumen rosak.", "The signature dictionary is malformed."}
	case "byte_range_malformed":
		return meaning{Invalid, "FORMAT_FAILURE", "Bahagian dokumen yang dilindungi tandatangan tidak ditentukan dengan sah.", "The byte range of the signature is malformed."}
	case "gap_not_contents":
		return meaning{Invalid, "FORMAT_FAILURE", "Tandatangan meninggalkan sebahagian dokumen tanpa perlindungan.", "The part left unsigned is not exactly the signature value itself."}
	case "revision_incomplete":
		return meaning{Invalid, "FORMAT_FAILURE", "Tandatangan tidak meliputi satu versi dokumen yang lengkap.", "The signature does not cover a complete revision of the document."}
	case "signature_moved":
		return meaning{Invalid, "FORMAT_FAILURE", "Tandatangan telah dialihkan daripada tempat asalnya.", "The signature is not in the field in which it was made."}
	case "not_pades":
		return meaning{Indeterminate, "FORMAT_FAILURE", "Format tandatangan bukan PAdES.", "The signature format is not PAdES."}
	case "signing_time_missing":
		return meaning{Indeterminate, "SIG_CONSTRAINTS_FAILURE", "Masa tandatangan tiada atau tidak sah.", "The signing time is missing or malformed."}
	case "signing_time_future":
		return meaning{Indeterminate, "SIG_CONSTRAINTS_FAILURE", "Masa tandatangan adalah pada masa hadapan.", "The signing time is in the future."}
	case "signing_time_after_timestamp":
		return meaning{Indeterminate, "TIMESTAMP_ORDER_FAILURE", "Masa yang dinyatakan penandatangan lewat daripada cap masa.", "The claimed signing time is later than the time-stamp."}
	}
	return meaning{}
}

func signatureMeaning(code string) meaning {
	switch code {
	case "cms_malformed":
		return meaning{Invalid, "FORMAT_FAILURE", "Data tandatangan rosak.", "The signature data is malformed."}
	case "digest_mismatch":
		return meaning{Invalid, "HASH_FAILURE", "Kandungan yang ditandatangani telah diubah.", "The signed content has been changed."}
	case "signature_wrong":
		return meaning{Invalid, "SIG_CRYPTO_FAILURE", "Tandatangan tidak sepadan dengan kunci penandatangan.", "The signature does not match the signer's key."}
	case "signing_certificate_mismatch":
		return meaning{Invalid, "FORMAT_FAILURE", "Sijil bukan sijil yang dinyatakan dalam tandatangan.", "The certificate is not the one the signature names."}
	case "signing_certificate_missing":
		return meaning{Indeterminate, "SIG_CONSTRAINTS_FAILURE", "Tandatangan tidak menyatakan sijil penandatangan.", "The signature does not name the signer's certificate."}
	case "certificate_missing":
		return meaning{Indeterminate, "NO_SIGNING_CERTIFICATE_FOUND", "Sijil penandatangan tiada dalam dokumen.", "The signer's certificate is not in the document."}
	case "key_weak":
		return meaning{Indeterminate, "CRYPTO_CONSTRAINTS_FAILURE_NO_POE", "Kunci atau algoritma tidak cukup kuat atau tidak disokong.", "The key or algorithm does not meet the policy."}
	}
	return meaning{}
}

func certificateMeaning(code string) meaning {
	switch code {
	case "chain_unknown":
		return meaning{Indeterminate, "NO_CERTIFICATE_CHAIN_FOUND", "Sijil penandatangan bukan daripada pihak berkuasa yang dipercayai.", "The signer's certificate is not from a trusted authority."}
	case "chain_invalid":
		return meaning{Indeterminate, "CHAIN_CONSTRAINTS_FAILURE", "Rantaian sijil penandatangan melanggar syarat pengeluarnya.", "The signer's certificate chain breaks a constraint."}
	case "certificate_damaged":
		return meaning{Indeterminate, "CERTIFICATE_CHAIN_GENERAL_FAILURE", "Sijil yang disertakan dalam dokumen rosak.", "A certificate in the document is damaged."}
	case "key_usage":
		return meaning{Indeterminate, "CHAIN_CONSTRAINTS_FAILURE", "Sijil ini bukan untuk menandatangani dokumen.", "The certificate is not meant for signing documents."}
	case "signer_not_admitted":
		return meaning{Indeterminate, "CHAIN_CONSTRAINTS_FAILURE", "Sijil ini dikeluarkan oleh pihak berkuasa yang dipercayai, tetapi bukan untuk pegawai sistem ini.", "The certificate is of a trusted authority, but not one that was issued to an officer here."}
	case "certificate_expired":
		return meaning{Indeterminate, "OUT_OF_BOUNDS_NO_POE", "Sijil telah tamat tempoh atau belum berkuat kuasa, dan tiada cap masa yang membuktikan tandatangan dibuat dalam tempohnya.", "The certificate is no longer or not yet valid, and no time-stamp proves that the signature was made while it was."}
	case "certificate_not_yet_valid":
		return meaning{Invalid, "NOT_YET_VALID", "Tandatangan dibuat sebelum sijil berkuat kuasa.", "The signature was made before the certificate became valid."}
	case "signed_outside_validity":
		return meaning{Indeterminate, "OUT_OF_BOUNDS_NO_POE", "Masa tandatangan di luar tempoh sah sijil.", "The signing time is outside of the certificate's validity."}
	case "certificate_revoked":
		return meaning{Invalid, "REVOKED", "Sijil telah dibatalkan semasa tandatangan dibuat.", "The certificate was revoked when the signature was made."}
	case "revoked_no_proof":
		return meaning{Indeterminate, "REVOKED_NO_POE", "Sijil telah dibatalkan, dan tiada cap masa yang membuktikan tandatangan dibuat sebelum itu.", "The certificate has been revoked, and no time-stamp proves that the signature was made before."}
	case "certificate_suspended":
		return meaning{Indeterminate, "TRY_LATER", "Sijil digantung buat sementara waktu.", "The certificate is suspended."}
	case "revocation_unknown":
		return meaning{Indeterminate, "TRY_LATER", "Tidak dapat dipastikan sama ada sijil telah dibatalkan.", "The revocation status of the certificate cannot be determined."}
	}
	return meaning{}
}

func timestampMeaning(code string) meaning {
	switch code {
	case "timestamp_malformed":
		return meaning{Invalid, "FORMAT_FAILURE", "Cap masa rosak.", "The time-stamp is malformed."}
	case "timestamp_invalid":
		return meaning{Invalid, "SIG_CONSTRAINTS_FAILURE", "Dokumen mempunyai cap masa yang palsu atau rosak.", "The document has a time-stamp that is forged or damaged."}
	case "timestamp_unverified":
		return meaning{Indeterminate, "SIG_CONSTRAINTS_FAILURE", "Dokumen mempunyai cap masa yang tidak dapat disemak.", "The document has a time-stamp that cannot be checked."}
	case "timestamp_key_usage":
		return meaning{Indeterminate, "CHAIN_CONSTRAINTS_FAILURE", "Sijil ini bukan untuk mengeluarkan cap masa.", "The certificate is not meant for time-stamping."}
	case "timestamp_order":
		return meaning{Indeterminate, "TIMESTAMP_ORDER_FAILURE", "Urutan cap masa tidak munasabah.", "The times of the time-stamps are not in order."}
	}
	return meaning{}
}
