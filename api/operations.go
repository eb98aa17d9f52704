package api

import "strings"

// What several operations are refused with.
const (
	codesOfficer = " medium_not_roaming_otp token_ended no_active_certificate certificate_expired certificate_revoked certificate_suspended channel_unavailable pin_locked"
	codesCode    = " otp_wrong otp_expired otp_attempts_exhausted otp_already_used"
	codesResend  = " otp_resend_too_soon mail_unavailable"
	codesEnded   = " transaction_expired transaction_cancelled transaction_finished"
	codesPDF     = " pdf_invalid pdf_encrypted pdf_certified_no_changes pdf_too_large pdf_unsafe pdf_unsupported"
	codesPIN     = " pin_wrong pin_locked pin_missing"
	codesNewPIN  = " pin_refused pins_differ pin_too_short pin_too_long pin_sequence pin_repeated pin_date pin_common pin_character pin_holds_ic pin_holds_name"
	codesForm    = codesNewPIN + " field_invalid postcode_invalid state_invalid phone_invalid mobile_invalid mail_kind_invalid image_invalid declaration_missing mykad_missing mykad_format mykad_unreadable mykad_too_small mykad_too_large"
	codesEntry   = " ic_invalid field_missing field_invalid field_too_long email_invalid email_typo personal_mail agency_unknown system_unknown medium_invalid token_ended duplicate registered conflict"
	codesDecider = " own_case same_person session_not_fresh not_registered"
	codesDesk    = codesDecider + " enrolment_state enrolment_changed record_changed enrolment_kind reason_missing"
	codesCA      = " ca_unavailable request_refused key_weak key_duplicate credential_taken certificate_refused issued_revoked replaced_gone"
	codesOrder   = codesDecider + " reason_missing no_certificate being_issued enrolment_changed date_invalid"
	codesHeld    = " certificate_missing certificate_suspended certificate_expired certificate_leaving enrolment_open"
	codesAppoint = codesDecider + " reason_missing already_appointed already_registered person_conflict last_jdn setup_done enrolment_changed document_missing date_invalid ic_invalid field_missing field_invalid field_too_long email_invalid agency_unknown system_unknown not_appointed"
	codesChange  = codesDecider + " change_pending email_same enrolment_changed email_invalid email_typo personal_mail field_missing reason_missing"
	codesRequest = codesDecider + " request_pending enrolment_changed appointed certificate_coming reason_missing"
	codesSecond  = " rate_limited otp_wrong otp_expired otp_attempts_exhausted otp_already_used"
	codesApp     = codesDecider + " not_registered app_changed app_state app_ended"
	codesHold    = " ic_invalid hold_invalid not_found reason_missing"
	codesDispose = " nothing_to_dispose disposal_state same_person own_case not_found session_not_fresh"
)

// operationCodes are the codes that each operation answers with besides those of all
// operations of its kind (see codesOf). An operation that is not here has no others.
func operationCodes() map[string]string {
	return map[string]string{
		// Apps.
		"createTransaction": "not_found batch_amounts_partial total_mismatch role_out_of_order duplicate_signatory header_mismatch batch_not_sealed batch_busy batch_empty transaction_finished template_changed documents_mismatch anchor_not_found" + codesOfficer + codesResend + codesPDF,
		"resend":            "not_found template_changed" + codesOfficer + codesResend + codesEnded + " otp_already_used",
		"sign": "not_found role_out_of_order duplicate_signatory nonce_mismatch documents_mismatch template_changed batch_busy batch_empty no_active_certificate certificate_expired certificate_revoked certificate_suspended token_ended medium_not_roaming_otp timestamp_unavailable anchor_not_found pin_wrong pin_locked" +
			codesCode + codesEnded + codesPDF,
		"cancelTransaction": "not_found otp_already_used" + codesEnded,
		"uploadDocument":    codesPDF,
		"document":          "pdf_encrypted",
		"documentContent":   "not_found not_signed",
		"documentHead":      "not_found not_signed",
		"addItems":          "template_changed not_found batch_sealed batch_busy csv_invalid" + codesPDF,
		"refusedRows":       "not_found",
		"sealBatch":         "not_found batch_sealed batch_busy batch_empty batch_has_refused_rows batch_amounts_partial documents_mismatch",
		"batchArchive":      "not_found not_signed documents_mismatch",
		"itemProof":         "not_found batch_not_sealed documents_mismatch",
		"itemContent":       "not_found not_signed",
		"itemHead":          "not_found not_signed",
		"pauseBatch":        "not_found batch_not_signing",
		"resumeBatch":       "not_found batch_not_paused",
		"retryBatch":        "not_found batch_busy batch_not_refused not_refused",
		"previewItem":       "not_found documents_mismatch preview_unavailable",
		"cancelBatch":       "not_found batch_sealed batch_busy",
		// Strangers.
		"publicVerify": "busy", "publicCandidate": "not_found", "publicCertificate": "not_found not_signed busy",
		"crl": "not_found", "token": "store_unavailable", "timestamp": "invalid_request hsm_unavailable", "ocsp": "invalid_request hsm_unavailable", "ocspGet": "invalid_request hsm_unavailable",
		// People who log in.
		"logIn": "", "logInCode": codesSecond, "logInPasskey": "passkey_unavailable", "finishPasskey": "passkey_refused passkey_unavailable otp_already_used not_found",
		"setup": "not_found", "completeSetup": "not_found password_refused otp_wrong",
		"openAccount": "link_invalid account_exists account_ended enrolment_state password_refused", "forgotPassword": "", "askStatus": "",
		"resetPassword": "password_refused request_pending certificate_missing_pin no_active_certificate certificate_expired certificate_revoked certificate_suspended" + codesSecond + codesPIN,
		// Officers.
		"changePIN": "pin_wrong pin_locked pin_same pin_changed no_active_certificate certificate_expired certificate_revoked certificate_suspended medium_not_roaming_otp token_ended" + codesNewPIN, "myTransaction": "not_found",
		"changePassword": "password_wrong password_refused", "secondFactor": "session_not_fresh setup_done not_appointed", "completeSecondFactor": "otp_wrong session_not_fresh setup_done not_appointed",
		"beginPasskey": "session_not_fresh passkey_unavailable", "addPasskey": "session_not_fresh passkey_refused passkey_unavailable otp_already_used already_registered otp_expired",
		"apply":            "link_invalid enrolment_state enrolment_changed already_applied enrolment_open" + codesForm,
		"withdraw":         "enrolment_state enrolment_changed not_registered reason_missing",
		"renewCertificate": "no_active_certificate certificate_revoked ca_unavailable" + codesDesk + codesHeld + codesCA + codesPIN + codesNewPIN,
		"replaceMine":      codesDesk + codesHeld, "forgotPIN": codesDesk + codesHeld + " rekey_too_often", "rekey": "link_invalid rekey_too_often" + codesDesk + codesHeld + codesForm,
		"revokeMine": "revocation_reason" + codesOrder, "suspendMine": "already_suspended" + codesOrder,
		"changeMyAddress": "own_case session_not_fresh" + codesChange, "cancelMyAddress": codesChange, "myAddress": "not_registered",
		"deleteMe": "session_not_fresh password_wrong no_active_certificate" + codesRequest + codesPIN + codesSecond, "confirmDeletion": codesRequest + codesPIN + codesSecond,
		"changeMyPhone": "session_not_fresh mobile_invalid phone_other not_registered" + codesPIN + codesSecond, "confirmMyPhone": "phone_other not_registered session_not_fresh" + codesPIN + codesSecond, "myPhone": "not_registered",
		"addMySystem": "session_not_fresh system_unknown" + codesDesk + codesHeld + codesEntry + codesPIN + codesForm, "removeMySystem": "session_not_fresh certificate_coming password_wrong no_active_certificate" + codesDesk + codesPIN, "mySystems": "not_registered",
		"exportMe": "session_not_fresh",
		// Administrators: enrolment.
		"putAgency": "registry_invalid", "offices": "not_registered", "putOffice": "registry_invalid not_registered", "dropOffice": "not_registered", "putSystem": "registry_invalid agency_unknown",
		"endTokens": "registry_invalid date_invalid not_registered", "findEnrolments": "not_accepted report_scope", "adminWork": "", "enrolment": "not_registered", "enrolmentMyKad": "not_registered own_case",
		"lookUpOfficer": "not_registered", "searchOfficers": "field_invalid", "openRequests": "",
		"addEnrolment": "already_registered enrolment_open" + codesEntry, "addList": "list_invalid list_has_refused_rows already_registered",
		"bulk":           "count_differs id_twice bulk_size date_invalid" + codesDesk,
		"admitEnrolment": codesDesk, "resendEnrolment": "resend_too_soon mail_unavailable" + codesDesk, "correctEnrolment": codesDesk + codesEntry, "validateEnrolment": codesDesk, "returnEnrolment": codesDesk, "rejectEnrolment": codesDesk, "withdrawEnrolment": codesDesk,
		"approveEnrolment": codesDesk + codesCA, "confirmRekey": "otp_expired link_invalid" + codesDesk + codesCA,
		"revokeCertificate": "revocation_reason request_pending" + codesOrder, "suspendCertificate": "already_suspended" + codesOrder, "releaseCertificate": "not_suspended" + codesOrder,
		"retireOfficer": "application_open certificate_coming" + codesOrder, "transferOfficer": "agency_unknown agency_same application_open enrolment_open" + codesOrder, "replaceCertificate": codesDesk + codesHeld,
		"scheduledRevocations": "not_registered", "cancelRevocation": "not_scheduled reason_missing own_case",
		// Administrators: people and reports.
		"report": "report_invalid report_scope not_found", "searchAudit": "audit_invalid", "auditRecord": "not_found", "exportAudit": "audit_invalid audit_too_many not_found",
		"appointments": "not_registered", "appointment": "not_registered", "resets": "not_registered", "cancelReset": codesAppoint, "appoint": codesAppoint, "confirmAppointment": codesAppoint, "endAppointment": codesAppoint, "resendSetup": "resend_too_soon" + codesAppoint,
		"askReset": codesAppoint, "confirmReset": codesAppoint, "codesSent": "not_registered", "unlockPIN": "own_case not_registered reason_missing same_person", "unlockLogin": "own_case not_registered reason_missing same_person",
		"changeAddress": codesChange, "addresses": "not_registered", "cancelAddress": codesChange, "vouchAddress": "own_case same_person" + codesChange,
		"askDeletion": codesRequest, "officerRequests": "not_registered", "cancelOfficerRequest": codesRequest, "confirmOfficerRequest": "no_certificate certificates_elsewhere" + codesRequest + codesNewPIN,
		"exportOfficer": "session_not_fresh reason_missing not_registered", "placeHold": codesHold, "liftHold": "own_case" + codesHold,
		// Administrators: apps and systems.
		"registerApp": "app_invalid app_exists" + codesApp, "app": "not_registered", "changeApp": "app_invalid session_not_fresh" + codesApp, "confirmApp": codesApp, "suspendApp": "reason_missing" + codesApp, "resumeApp": "session_not_fresh reason_missing" + codesApp, "endApp": "session_not_fresh reason_missing" + codesApp,
		"addAppCredential": "credential_invalid session_not_fresh" + codesApp, "confirmAppCredential": codesApp, "revokeAppCredential": codesApp,
		"webhook": "not_registered", "setWebhook": "webhook_invalid webhook_registered session_not_fresh" + codesApp, "dropWebhook": "session_not_fresh webhook_registered" + codesApp, "testWebhook": codesApp, "deliveries": "not_registered", "redeliver": codesApp,
		"system": "not_registered", "showSystem": "registry_invalid not_registered", "tryHeader": "registry_invalid not_registered", "setLogo": "registry_invalid not_registered", "dropLogo": "not_registered",
		"acknowledgeAlarm": "alarm_acknowledged not_found reason_missing", "proposeDisposal": codesDispose, "confirmDisposal": codesDispose, "cancelDisposal": codesDispose, "disposal": "not_found", "disposalCSV": "not_found",
		"worksBatches": "", "worksBatch": "not_registered", "worksRefusals": "not_registered", "worksProgress": "not_registered", "letter": "not_registered", "pauseAnyBatch": "not_registered reason_missing batch_not_signing",
		"resumeAnyBatch": "not_registered reason_missing batch_not_paused", "cancelAnyBatch": "not_registered reason_missing batch_sealed batch_busy",
		"retryAnyBatch": "not_registered reason_missing batch_busy batch_not_refused not_refused", "retryLetter": "not_registered reason_missing letter_state", "dropLetter": "not_registered reason_missing letter_state",
		"ecertTemplates": "template_invalid", "ecertTemplate": "not_found template_invalid", "previewEcertTemplate": "not_found template_invalid preview_unavailable", "ecertVersion": "not_found",
		"proposeEcertTemplate": "not_found template_invalid session_not_fresh reason_missing look_awaits look_changed", "confirmEcertVersion": "not_registered template_invalid session_not_fresh same_person look_changed",
		"rejectEcertVersion": "not_registered reason_missing look_changed",
	}
}

// finerCodes are the codes about people that stand in the place of a coarser one of the
// same status, each with a sentence of its own (docs/enrolment.md).
func finerCodes() map[string]int {
	out := map[string]int{}
	for status, list := range map[int]string{
		403: "own_case certificates_elsewhere same_person not_appointed webhook_registered",
		404: "not_registered not_scheduled",
		409: "app_exists app_changed app_state app_ended enrolment_changed already_applied record_changed account_exists account_ended person_conflict already_appointed setup_done " +
			"enrolment_open enrolment_kind change_pending request_pending certificate_missing certificate_missing_pin certificate_leaving rekey_too_often " +
			"no_certificate already_suspended not_suspended being_issued application_open count_differs appointed certificate_coming disposal_state alarm_acknowledged letter_state look_awaits look_changed " +
			"request_refused key_weak key_duplicate credential_taken certificate_refused issued_revoked replaced_gone",
		422: "field_invalid postcode_invalid state_invalid phone_invalid mobile_invalid mail_kind_invalid image_invalid declaration_missing pins_differ " +
			"pin_missing pin_too_short pin_too_long pin_sequence pin_repeated pin_date pin_common pin_character pin_holds_ic pin_holds_name " +
			"mykad_missing mykad_format mykad_unreadable mykad_too_small mykad_too_large " +
			"ic_invalid field_missing field_too_long email_invalid email_typo personal_mail agency_unknown system_unknown medium_invalid duplicate registered conflict " +
			"document_missing email_same registry_invalid list_has_refused_rows revocation_reason date_invalid agency_same id_twice bulk_size " +
			"app_invalid credential_invalid webhook_invalid hold_invalid nothing_to_dispose report_invalid report_scope audit_invalid audit_too_many phone_other",
		429: "resend_too_soon",
	} {
		for _, code := range strings.Fields(list) {
			out[code] = status
		}
	}
	return out
}
