package api

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/batch"
)

// What examples speak of. It is the sandbox's made-up officer.
const (
	exampleIC     = "800101149999"
	exampleDigest = "WJG1vVwTF7X8xH0zf5b0KmgzhsUhmgSf+hQTz9G2NgM="
	exampleRoot   = "2u9FZpBz1uYhGm3d7v5oT0u7mXb7S9s0c6kqj3T2f0E="
	exampleNonce  = "q83vEjRWeJCrze8SNFZ4kA=="
	// What is cut short to its head.
	exampleDER       = "MIICzjCCAbagAwIBAgIB"
	exampleSignature = "MEUCIQDkbBpXc6jzwGm9"

	exampleTime     = "2026-04-30T04:09:54Z"
	exampleSerial   = "274877906944001"
	exampleTx       = "tx_6q2v7cpnlkz5dwyt4ahb3mse2e"
	exampleDocument = "do_m5b2h7q3xvwz4kc6tyn2ad3lre"
	exampleEvent    = "ev_t4wz6n2kq7hy3cx5vdlm2baoje"
	exampleBatch    = "ba_c3wz6n2kq7hy4tx5vdlm2baope"
)

// object is a JSON object of an example.
type object = map[string]any

func exampleSignedBy() object {
	return object{"ic": exampleIC, "subject": "CN=AISYAH BINTI OMAR, serialNumber=" + exampleIC + ", O=JANM, C=MY", "issuer": "CN=Mohor Issuing CA, O=Mohor, C=MY",
		"serial_number": exampleSerial, "not_before": "2026-01-02T00:00:00Z", "not_after": "2028-01-02T00:00:00Z", "signed_at": exampleTime}
}

func exampleWaiting() object {
	return object{"transaction_id": exampleTx, "system": "IGFMAS", "nonce": exampleNonce, "status": "WAITING", "expires_at": "2026-04-30T04:39:54Z", "count": 1,
		"root": exampleRoot, "fingerprint": "V8QM-B9KG", "documents": []any{object{"name": "Arahan Bayaran 1", "reference": "2026/AB/000123", "digest": object{"alg": "SHA-256", "value": exampleDigest}}},
		"otp": object{"channel": "email", "sent_to": "a•••@anm.gov.my", "expires_at": "2026-04-30T04:14:54Z", "resend_after": "2026-04-30T04:10:54Z", "attempts_left": 3}}
}

func without(o object, member string) object {
	delete(o, member)
	return o
}

func exampleSigned() object {
	return object{"transaction_id": exampleTx, "system": "IGFMAS", "status": "SIGNED", "expires_at": "2026-04-30T04:39:54Z", "count": 1, "root": exampleRoot, "fingerprint": "V8QM-B9KG", "signed": 1,
		"signatures":            []any{object{"name": "Arahan Bayaran 1", "reference": "2026/AB/000123", "format": "RAW", "algorithm": "RSA-PKCS1", "signature": exampleSignature}},
		"signature_information": exampleSignedBy()}
}

func exampleBatchIn(status string) object {
	b := object{"batch_id": exampleBatch, "name": "Sijil Kemahiran April 2026", "kind": "digest", "status": status, "count": 2, "signed": 0, "refused": 0, "pending": 2, "refused_rows": 0, "rate": 0}
	if n := needs(batch.Status(status), false); n != nil {
		b["needs"] = object{"action": n.Action, "message": n.Message}
	}
	if status == "OPEN" {
		b["count"], b["pending"] = 0, 0
		return b
	}
	b["root"], b["fingerprint"] = exampleRoot, "V8QM-B9KG"
	return b
}

// requestExamples are bodies that work as they stand, but for ids, nonce, PIN and code.
func requestExamples() map[string]any {
	return map[string]any{
		"createTransaction": object{"ic": exampleIC, "system": "IGFMAS", "channel": "auto", "format": "RAW",
			"documents": []any{object{"name": "Arahan Bayaran 1", "reference": "2026/AB/000123", "digest": object{"alg": "SHA-256", "value": exampleDigest}}}},
		"resend":      object{"channel": "auto"},
		"sign":        object{"nonce": exampleNonce, "pin": "Rusa-Sambar-7", "otp": "482913"},
		"createBatch": object{"name": "Sijil Kemahiran April 2026", "kind": "digest"},
		"sealBatch":   object{"accept_refused": false},
		"retryBatch":  object{"items": []any{7}},
		"verify": object{"format": "RAW", "digest": object{"alg": "SHA-256", "value": exampleDigest}, "signature": "c2lnbmF0dXJl",
			"certificate": exampleDER, "algorithm": "RSA-PKCS1"},
	}
}

// uploadExamples are bodies that are text, by operation and media type.
func uploadExamples() map[string]string {
	return map[string]string{
		"addItems text/csv": "no_kp,nama,no_sijil,kod_program,nama_program,tahap,kod_pusat,nama_pusat,kelompok,tahun,bahasa\n" +
			"800101149999,AISYAH BINTI OMAR,S102200001,TP-021-3:2013,PENYELENGGARAAN,SKM 3,L01234,PUSAT LATIHAN,2026/01,072026,ms\n",
		"addItems application/x-ndjson": `{"name":"Arahan Bayaran 1","reference":"2026/AB/000123","digest":{"alg":"SHA-256","value":"` + exampleDigest + `"}}` + "\n" +
			`{"name":"Arahan Bayaran 2","digest":{"alg":"SHA-256","value":"` + exampleDigest + `"}}` + "\n",
		"addList text/csv":                        "no_kp,nama,emel,agensi,sistem\n790308109903,NORAINI BINTI OTHMAN,noraini@janm.gov.my,JANM,IGFMAS\n",
		"token application/x-www-form-urlencoded": "grant_type=client_credentials&client_id=igfmas&client_secret=mcs_…",
	}
}

var exampleRefusal = object{"row": 3, "column": "no_kp", "name": "ALI BIN ABU", "code": "row_ic_invalid", "detail": "bukan 12 digit yang bermula dengan tarikh lahir / not 12 digits that begin with a date of birth"}

// answerExamples are answers of success.
// exampleRecord is one of the audit, exampleProved the same with its place in the chain.
func exampleRecord() object {
	return object{"seq": 48212, "at": exampleTime, "actor": "account:ac_h6t2vq7nkz3wdy5bxcml4ajpre", "actor_name": "NORAINI BINTI OTHMAN", "action": "enrol.read", "object": "officer:" + exampleIC,
		"verdict": "accepted", "request_id": "7f3a-42", "detail": object{"by": "AP", "address": "10.20.30.40"}}
}

func exampleProved() object {
	o := exampleRecord()
	o["proof"] = object{"in_chain": true, "hash": exampleDigest, "prev": exampleDigest, "links": 17,
		"head": object{"seq": 48229, "hash": exampleDigest, "at": exampleTime, "signature": exampleSignature}}
	return o
}

func answerExamples() map[string]any {
	return map[string]any{
		"medium": object{"ic": exampleIC, "can_sign": true, "next_step": "Minta kod dan tandatangan.", "status": "ISSUED", "media": []any{
			object{"medium": "ROAMING_OTP", "status": "ACTIVE", "system": "IGFMAS", "credential_id": "cr_w5t3yq7kzn2hd6vbc4xml2ajoe", "channels": []any{"email"}, "key": object{"alg": "RSA-2048"},
				"certificate": object{"serial_number": exampleSerial, "subject": "CN=AISYAH BINTI OMAR, serialNumber=" + exampleIC + ", O=JANM, C=MY", "issuer": "CN=Mohor Issuing CA, O=Mohor, C=MY", "not_before": "2026-01-02T00:00:00Z",
					"not_after": "2028-01-02T00:00:00Z", "status": "ACTIVE", "der": exampleDER, "chain": []any{exampleDER}}}}},
		"createTransaction": exampleWaiting(),
		"resend":            without(exampleWaiting(), "documents"),
		"transaction":       exampleSigned(),
		"sign":              exampleSigned(),
		"sign.202": object{"transaction_id": exampleTx, "system": "IGFMAS", "status": "SIGNING", "expires_at": "2026-04-30T04:39:54Z", "count": 2, "root": exampleRoot, "fingerprint": "V8QM-B9KG",
			"batch_id": exampleBatch},
		"uploadDocument": object{"document_id": exampleDocument, "name": "baucar.pdf", "size": 48213, "pages": 2, "digest": object{"alg": "SHA-256", "value": exampleDigest},
			"signatures": []any{}, "warnings": []any{"uri"}, "findings": []any{object{"code": "uri", "severity": "info", "text": "Pautan ke laman web"}}},
		"createBatch": exampleBatchIn("OPEN"),
		"sealBatch":   exampleBatchIn("SEALED"),
		"pauseBatch":  exampleBatchIn("PAUSED"),
		"resumeBatch": exampleBatchIn("SIGNING"),
		"retryBatch":  exampleBatchIn("NEEDS_AUTHORISATION"),
		"batch":       exampleBatchIn("SEALED"),
		"addItems":    object{"accepted": 1, "refused": []any{exampleRefusal}, "refused_count": 1},
		"refusedRows": object{"refused": []any{exampleRefusal}},
		"batchItems": object{"next": 0, "items": []any{object{"index": 0, "name": "Arahan Bayaran 1", "reference": "2026/AB/000123", "state": "pending",
			"digest": object{"alg": "SHA-256", "value": exampleDigest}}}},
		"itemProof": object{"batch_id": exampleBatch, "index": 0, "name": "Arahan Bayaran 1", "digest": object{"alg": "SHA-256", "value": exampleDigest}, "count": 2, "root": exampleRoot, "fingerprint": "V8QM-B9KG",
			"path": []any{exampleDigest}},
		"verify": object{"verdict": "VALID", "indication": "TOTAL-PASSED", "timestamps": []any{}, "signatures": []any{object{"field": "Signature1", "verdict": "VALID", "indication": "TOTAL-PASSED",
			"reasons": []any{}, "signer": "CN=AISYAH BINTI OMAR, serialNumber=" + exampleIC + ", O=JANM, C=MY", "certificate": exampleDER, "signed_at": exampleTime, "time_source": "timestamp", "level": "B-LTA",
			"covers_whole_document": true, "changes_after": []any{}, "timestamps": []any{}, "revocation": object{"source": "CRL", "status": "good", "at": exampleTime}}}},
		"searchAudit": object{"records": []any{exampleRecord()}, "next": 48211},
		"auditRecord": exampleProved(),
		"token":       object{"access_token": "mat_…", "token_type": "Bearer", "expires_in": 3600},
		"healthz":     object{"status": "ok"},
		"readyz":      object{"status": "ok", "parts": object{"hsm": "ok", "database": "ok"}},
	}
}

// parameterExample is a value for a parameter in the path or query.
func parameterExample(path string, p *huma.Param) any {
	if len(p.Schema.Enum) > 0 {
		return p.Schema.Enum[0]
	}
	if p.Name == "id" {
		for part, id := range map[string]string{"/transactions/": exampleTx, "/documents/": exampleDocument, "/batches/": exampleBatch, "/enrolments/": "en_v3dq6m2hbk7yz5ntwxac4pljse",
			"/sessions/": "se_k7bn3q5wy2hz6vdctmxl4ajpoe", "/appointments/": "ap_2xq6vn7hkz3wdy5btcml4ajsre", "/accounts/": "ac_h6t2vq7nkz3wdy5bxcml4ajpre",
			"/address-changes/": "ad_q3xw6vn7hkz2dy5btcml4ajsre", "/email/": "ad_q3xw6vn7hkz2dy5btcml4ajsre", "/officer-requests/": "or_7hkz3xq6vn2wdy5btcml4ajsre", "/holds/": "ho_z3xq6vn7hk2wdy5btcml4ajsre",
			"/disposals/": "di_n7hkz3xq6v2wdy5btcml4ajsre", "/passkeys/": "3q2-7wABAgMEBQYH"} {
			if strings.Contains(path, part) {
				return id
			}
		}
		return "lg_k7bn3q5wy2hz6vdctmxl4ajpoe" // what begins with a log-in and ends with its code
	}
	if p.Name == "index" {
		return 0
	}
	if strings.Contains(path, "/audit") {
		return map[string]any{"seq": 48212, "from": "2026-04-01", "to": "2026-04-30", "actor": "account:ac_h6t2vq7nkz3wdy5bxcml4ajpre", "object": exampleTx, "action": "enrol.", "verdict": "accepted",
			"request_id": "7f3a-42", "about": exampleIC, "looks": true, "before": 48211, "limit": 50}[p.Name]
	}
	if p.Name == "name" {
		return map[bool]string{true: "issuing.crl", false: "issuing.cer"}[strings.HasPrefix(path, "/crl")]
	}
	if p.Name == "code" {
		return map[bool]string{true: "IGFMAS", false: "JANM"}[strings.Contains(path, "/systems/")]
	}
	if v, ok := vocabulary()[p.Name]; ok && fits(v, p.Schema) {
		return v
	}
	if p.Schema.Type == huma.TypeBoolean {
		return false
	}
	if p.Schema.Type == huma.TypeString && p.Schema.Format == "date-time" {
		return exampleTime
	}
	return nil
}
