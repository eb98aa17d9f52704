package api

// vocabulary says by the name of a member what an example has there.
func vocabulary() map[string]any {
	return map[string]any{
		"event": exampleEvent, "event_id": exampleEvent, "url": "https://igfmas.example.my/mohor", "object": exampleTx, "type": "transaction.signed",
		"sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "jwks": object{"keys": []any{}}, "app_id": "igfmas", "proposal_id": "pr_x6vn7hkz3q2wdy5btcml4ajsre", "redirect_uri": "https://igfmas.example.my/selesai", "redirect_uris": []any{"https://igfmas.example.my/selesai"},
		"webhook": "https://igfmas.example.my/mohor", "logo": "iVBORw0KGgoAAAANSUhE", "grants": []any{"RAW"}, "classification": "terbuka", "credential": "ck_x6vn7hkz3q2wdy5btcml4ajsre",
		"account_id": "ac_h6t2vq7nkz3wdy5bxcml4ajpre", "action": "enrol.approve", "address": "Aras 1, Kompleks Kementerian Kewangan", "after": "", "agency": "JANM", "agency_name": "Jabatan Akauntan Negara Malaysia", "agent": "Mozilla/5.0",
		"algorithm": "RSA-PKCS1", "anchor": "PERAKUAN 1", "appointment_id": "ap_2xq6vn7hkz3wdy5btcml4ajsre", "approved_by": "NORAINI BINTI OTHMAN", "archive_id": "ar_6vn7hkz3xq2wdy5btcml4ajsre",
		"ask": "pentadbir agensi", "asked_by": "NORAINI BINTI OTHMAN", "asked_by_name": "NORAINI BINTI OTHMAN", "ended_by": "account:ac_h6t2vq7nkz3wdy5bxcml4ajpre", "ended_by_name": "NORAINI BINTI OTHMAN", "authority": "CN=Mohor TSA, O=Mohor, C=MY", "batch_id": exampleBatch, "batch_root": exampleRoot, "batch_name": "Sijil Kemahiran April 2026", "message": "Buat transaksi dengan batch_id ini: pegawai memberi PIN dan kod.", "old_pin": "Rusa-Sambar-7", "others": []any{},
		"can": []any{"validate", "return", "reject"}, "by": "NORAINI BINTI OTHMAN", "by_name": "NORAINI BINTI OTHMAN", "certificate": exampleDER, "certificates_sha256": []any{"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
		"chain": []any{exampleDER}, "change_id": "ad_q3xw6vn7hkz2dy5btcml4ajsre", "changes_after": []any{}, "channel": "email", "channels": []any{"email"}, "code": "482913",
		"column": "no_kp", "confirmation_id": "lg_k7bn3q5wy2hz6vdctmxl4ajpoe", "contact": "aisyah@anm.gov.my", "content_url": "/v1/documents/" + exampleDocument + "/content",
		"credential_id": "cr_w5t3yq7kzn2hd6vbc4xml2ajoe", "credentials": []any{"cr_w5t3yq7kzn2hd6vbc4xml2ajoe"},
		"data": "aGVsbG8K", "data_header": "JANM 800101149999", "decided_by": "NORAINI BINTI OTHMAN", "declaration": "2026-1", "der": exampleDER, "detail": "Jika No. Kad Pengenalan dan kata laluan betul, kod telah dihantar.",
		"digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "disposal_id": "di_n7hkz3xq6v2wdy5btcml4ajsre", "document": "JANM.100-1/1 (12)", "document_id": exampleDocument,
		"email": "aisyah@anm.gov.my", "en": "I declare that what is entered is true.", "end_document": "JANM.100-1/1 (13)", "enrolment_id": "en_v3dq6m2hbk7yz5ntwxac4pljse", "enrolment_ids": []any{"en_v3dq6m2hbk7yz5ntwxac4pljse"},
		"enrolments": []any{"en_v3dq6m2hbk7yz5ntwxac4pljse"}, "error_description": "client_id or client_secret is wrong", "expires_in": 3600, "fax": "03-8882 1001", "field": "Signature1", "fields": []any{"ic"},
		"fingerprint": "V8QM-B9KG", "format": "RAW", "from": exampleTime, "hold_id": "ho_z3xq6vn7hk2wdy5btcml4ajsre", "how": "session", "ic": exampleIC, "id": "3q2-7wABAgMEBQYH", "image": "wau", "images": []any{"wau", "hibiscus"},
		"indication": "TOTAL-PASSED", "instance": "7f3a-42", "issuer": "CN=Mohor Issuing CA, O=Mohor, C=MY", "key_status": "ACTIVE", "kind": "FIRST", "label": "Kunci pejabat", "level": "B-LTA", "listed_by": "NORAINI BINTI OTHMAN",
		"location": "Putrajaya", "mail_kind": "official", "mail_reply": "250", "manifest_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "medium": "ROAMING_OTP", "mobile": "+60123456789",
		"ms": "Saya mengaku maklumat yang diberi adalah benar.", "mykad": "iVBORw0KGgoAAAANSUhE", "name": "AISYAH BINTI OMAR", "new": "payung biru di stesen", "new_email": "aisyah@jpk.gov.my", "new_pin": "Rusa-Sambar-7",
		"new_pin_again": "Rusa-Sambar-7", "new_reply": "250", "next": "1777522194000000.en_v3dq6m2hbk7yz5ntwxac4pljse", "next_step": "Minta kod dan tandatangan.", "nonce": exampleNonce, "office": "Pejabat Perakaunan Negeri Selangor",
		"old": "kuda hijau membaca peta", "old_email": "aisyah@anm.gov.my", "old_reply": "250", "options": object{"challenge": "q83vEjRWeJCrze8SNFZ4kA", "rpId": "mohor.example.my"}, "otp": "482913",
		"otpauth": "otpauth://totp/Mohor:AISYAH?secret=JBSWY3DPEHPK3PXP&issuer=Mohor", "page": 1, "password": "payung biru di stesen", "phase": "Fasa 1", "phone": "03-8882 1000", "pin": "Rusa-Sambar-7", "pin_again": "Rusa-Sambar-7",
		"placed_by": "NORAINI BINTI OTHMAN", "placed_by_name": "NORAINI BINTI OTHMAN", "decided_by_name": "NORAINI BINTI OTHMAN", "postcode": "62594", "process": "AP58", "proposed_by": "NORAINI BINTI OTHMAN", "proposed_by_name": "NORAINI BINTI OTHMAN", "reason": "pegawai hadir dengan MyKad", "record_id": "mV7yq3xW6vn7hkz2dy5btA",
		"reference": "2026/AB/000123", "replaces": "cr_w5t3yq7kzn2hd6vbc4xml2ajoe", "replaces_serial_number": exampleSerial, "reply": "250", "request": "MEIwQDA%2BMDwwOjAJBgUrDgMCGgUABBQ", "request_id": "or_7hkz3xq6vn2wdy5btcml4ajsre",
		"reset_id": "pw_k7bn3q5wy2hz6vdctmxl4ajpoe", "role": "AP", "root": exampleRoot, "rows": "2,5-9", "secret": "JBSWY3DPEHPK3PXP", "security_image": "wau", "sent_to": "a•••@anm.gov.my", "serial": exampleSerial, "serial_number": exampleSerial,
		"serial_numbers": []any{exampleSerial}, "session_id": "lg_k7bn3q5wy2hz6vdctmxl4ajpoe", "signature": exampleSignature, "signatures": []any{"Signature1"}, "signer": "AISYAH BINTI OMAR", "source": "CRL", "state": "Selangor", "states": []any{"Selangor"},
		"status": "ACTIVE", "sub_indication": "", "subject": "CN=AISYAH BINTI OMAR, serialNumber=" + exampleIC + ", O=JANM, C=MY", "system": "IGFMAS", "system_title": "iGFMAS", "template": "standard", "text": "Saya mengaku maklumat yang diberi adalah benar.",
		"ticket": "HD-2026-0412", "time_source": "timestamp", "title": "iGFMAS", "token": "mss_…", "totp": "482913", "transaction_id": exampleTx, "until": exampleTime, "validated_by": "NORAINI BINTI OTHMAN", "value": exampleDigest,
		"verdict": "VALID", "version": "2026-1", "warnings": []any{}, "why": "PIN diketahui orang lain", "withdrawn": []any{"en_v3dq6m2hbk7yz5ntwxac4pljse"},
	}
}
