package enrol

import "time"

// Refusal says why something was not done and what to do, to the person who asked. It
// holds no secret. [errors.Is] finds the sentinel in it.
type Refusal struct {
	Code   string // stable, "own_case"
	Field  string // of the form, or the column as the list spells it; "" when none is to blame
	Row    int    // of the list, the header being row 1; 0 when none is to blame
	MS, EN string
	After  time.Duration // to wait before it is tried again; 0 when waiting does not help
	is     error
}

func (r *Refusal) Error() string { return r.MS + " / " + r.EN }

// Unwrap gives the sentinel.
func (r *Refusal) Unwrap() error { return r.is }

// sentences are what a code says, in Malay and English.
func sentences(code string) (ms, en string) {
	switch code {
	case "forbidden":
		return "anda tidak dibenarkan berbuat demikian", "you are not allowed to do that"
	case "own_case":
		return "permohonan anda sendiri diputuskan oleh orang lain", "somebody else decides about your own case"
	case "same_person":
		return "langkah ini perlu orang kedua: minta pentadbir lain", "this step needs a second person: ask another administrator"
	case "certificates_elsewhere":
		return "pegawai ini mempunyai sijil agensi lain: agensi itu menamatkannya dahulu, atau JDN mengesahkan penghapusan ini", "the officer has another agency's certificate: that agency ends it first, or JDN confirms this deletion"
	case "enrolment_changed":
		return "pendaftaran ini baru sahaja diubah: muat semula dan cuba lagi", "the enrolment has just been changed: look again"
	case "link_invalid":
		return "pautan atau kod ini tidak sah: sudah digunakan, tamat tempoh atau tidak dikenali; minta yang baharu daripada pentadbir agensi anda",
			"this link or code is not valid: it was used, has expired or is not known; ask your agency administrator for a new one"
	case "already_applied":
		return "permohonan anda sudah diterima", "your application has been received already"
	case "account_exists":
		return "anda sudah mempunyai akaun: log masuk dengan kata laluannya", "you have an account: log in with its password"
	case "account_ended":
		return "akaun ini telah ditamatkan: hubungi pentadbir agensi anda", "this account was ended: ask your agency administrator"
	case "resend_too_soon":
		return "e-mel baru sahaja dihantar: tunggu beberapa minit", "a mail was sent just now: wait some minutes"
	case "change_pending":
		return "pertukaran alamat sedang berjalan: sahkan atau batalkan dahulu", "a change of address is under way: confirm or cancel it first"
	case "app_changed":
		return "aplikasi ini baru sahaja diubah: muat semula dan cuba lagi", "the app has just been changed: look again"
	case "app_ended":
		return "aplikasi ini telah ditamatkan", "the app has ended"
	case "app_exists":
		return "id aplikasi ini sudah digunakan", "the app's id is taken"
	case "app_state":
		return "aplikasi ini tidak berada pada keadaan itu", "the app is not in a state for that"
	case "last_jdn":
		return "pentadbir JDN terakhir tidak boleh ditamatkan: lantik pengganti yang telah log masuk dahulu", "the last JDN administrator cannot be ended: appoint a successor, who has set up the account, first"
	case "session_not_fresh":
		return "log masuk semula dahulu: ini perlu sesi yang baru dibuka", "log in again first: this needs a session that was just opened"
	case "person_conflict":
		return "No. KP ini didaftarkan dengan nama atau e-mel lain: gunakan yang dalam daftar", "this IC is registered with another name or address: use those of the register"
	case "not_appointed":
		return "anda tiada pelantikan yang telah disahkan", "you hold no appointment that was confirmed"
	case "setup_done":
		return "akaun ini tidak menunggu persediaan", "this account does not await its set-up"
	case "already_appointed":
		return "orang ini sudah dilantik untuk itu", "this person is appointed to that already"
	case "document_missing":
		return "beri rujukan surat atau borang, 3 hingga 120 aksara", "give the reference of the letter or form, 3 to 120 characters"
	case "record_changed":
		return "rekod pegawai atau kuncinya berubah selepas permohonan: kembalikan permohonan ini", "the officer's record or key has changed since the application: return it"
	case "enrolment_kind":
		return "langkah itu bukan untuk permohonan jenis ini: tolak, dan pegawai memohon semula", "that step is not for this kind of application: reject it, and the officer asks again"
	case "enrolment_open":
		return "satu permohonan anda untuk sistem ini sedang diproses: tunggu, atau tarik balik dahulu", "an application of yours for this system is under way: wait, or withdraw it first"
	case "certificate_missing":
		return "tiada sijil untuk diganti: minta agensi anda mendaftarkan anda", "there is no certificate to replace: ask your agency to enrol you"
	case "certificate_suspended":
		return "sijil anda digantung: hubungi pentadbir agensi anda", "your certificate is suspended: ask your agency administrator"
	case "certificate_expired":
		return "sijil anda telah tamat tempoh: mohon pembaharuan", "your certificate has expired: ask for a renewal"
	case "certificate_leaving":
		return "sijil anda akan dibatalkan pada tarikh yang ditetapkan, dan tidak diperbaharui selepas itu", "your certificate is going to be revoked on a day that was set, and is not renewed beyond it"
	case "rekey_too_often":
		return "terlalu banyak permintaan PIN baharu hari ini: cuba esok", "a new PIN was asked for too often today: try tomorrow"
	case "alarm_acknowledged":
		return "amaran ini sudah diperakui oleh orang lain", "somebody else has acknowledged this alarm already"
	case "disposal_state":
		return "cadangan pelupusan ini sudah diputuskan atau tamat tempoh", "this proposal was decided on already, or has lapsed"
	case "webhook_registered":
		return "alamat webhook didaftarkan bersama aplikasi dan disahkan oleh orang kedua: di sini rahsia baharu dijana untuk alamat itu sahaja", "a webhook's address is registered with the app and confirmed by a second person: here another secret is made for that address alone"
	case "not_found":
		return "tidak ditemui", "not found"
	case "appointed":
		return "akaun pentadbir tidak dipadam di sini: tamatkan pelantikannya dahulu", "an administrator's account is not deleted here: have its appointments ended first"
	case "certificate_coming":
		return "satu sijil sedang dikeluarkan: cuba lagi beberapa minit lagi", "a certificate is just being issued: try again in some minutes"
	case "certificate_missing_pin":
		return "tiada sijil aktif yang PIN-nya boleh disahkan: hantar tanpa PIN, dan agensi anda mengesahkannya", "there is no active certificate whose PIN could be proved: send it without a PIN, and your agency confirms it"
	case "request_pending":
		return "permintaan yang sama sedang menunggu pengesahan orang kedua", "such a request is waiting for its second person"
	case "replaced_gone":
		return "sijil yang hendak diganti tidak aktif lagi; sila mohon sekali lagi", "the certificate that was to be replaced is not active any more; please apply again"
	case "issued_revoked":
		return "sijil daripada permohonan ini telah dibatalkan; sila mohon sekali lagi", "the certificate of this application was revoked; please apply again"
	case "request_refused":
		return "CA menolak permintaan sijil ini: ia bukan bagi nama dalam rekod; sila mohon sekali lagi", "the CA refuses this request: it is not for the name on record; please apply again"
	case "key_weak":
		return "CA menolak kunci ini kerana lemah; sila mohon sekali lagi, kunci lain akan dijana", "the CA refuses this key as weak; please apply again, for another key"
	case "key_duplicate":
		return "CA menolak kunci ini kerana orang lain mempunyainya; sila mohon sekali lagi, kunci lain akan dijana", "the CA refuses this key, which has another holder's certificate; please apply again, for another key"
	case "credential_taken":
		return "permohonan ini sudah mempunyai sijil bagi kunci lain; sila mohon sekali lagi", "this application has a certificate of another key; please apply again"
	case "certificate_refused":
		return "CA menolak sijil ini kerana tidak mematuhi piawaian; pentadbir JDN perlu memeriksa nama dan profil sebelum permohonan baharu",
			"the CA refuses this certificate, which is not as the standards want it; JDN must check name and profile before another application"
	case "no_certificate":
		return "pegawai ini tiada sijil yang sah untuk sistem itu", "the officer has no valid certificate for that system"
	case "already_suspended":
		return "sijil ini sudah digantung", "the certificate is suspended"
	case "not_suspended":
		return "sijil ini tidak digantung", "the certificate is not suspended"
	case "being_issued":
		return "satu sijil sedang dikeluarkan: cuba lagi dalam beberapa minit", "a certificate is being issued: try again in some minutes"
	case "application_open":
		return "satu permohonan pegawai ini sedang diproses: putuskan atau tarik balik dahulu", "an application of the officer is under way: decide it or withdraw it first"
	case "not_scheduled":
		return "tiada pembatalan dijadualkan bagi sijil itu", "no revocation is scheduled for that certificate"
	case "letter_state":
		return "surat ini baru sahaja dicuba, sudah sampai atau belum pernah dicuba: muat semula", "the letter was just tried, has arrived or was never tried: look again"
	case "look_awaits":
		return "satu perubahan templat sedang menunggu pengesahan: sahkan atau tolak dahulu", "a change of the templates awaits confirmation: confirm or reject it first"
	case "look_changed":
		return "templat baru sahaja diubah atau cadangan sudah diputuskan: muat semula dan cuba lagi", "the templates have just been changed, or the proposal was decided: look again"
	case "not_registered":
		return "tiada dalam daftar", "not registered"
	}
	return "tidak diterima", "not accepted"
}

func refusal(code string, is error) *Refusal {
	ms, en := sentences(code)
	return &Refusal{Code: code, MS: ms, EN: en, is: is}
}

func wrongState(s State) *Refusal {
	words := map[State]string{Listed: "telah disenaraikan", Confirming: "menunggu pengesahan e-mel", Confirmed: "menunggu permohonan pegawai", Applied: "menunggu pengesahan agensi",
		Validated: "menunggu kelulusan JDN", Approved: "telah diluluskan", Issued: "telah selesai dengan sijil", Returned: "telah dikembalikan", Rejected: "telah ditolak",
		Withdrawn: "telah ditarik balik", Expired: "telah tamat tempoh"}
	return &Refusal{Code: "enrolment_state", MS: "pendaftaran ini " + words[s], EN: "the enrolment is " + string(s), is: ErrState}
}

// entered refuses a field as it was entered.
func entered(code, field, ms, en string) *Refusal {
	return &Refusal{Code: code, Field: field, MS: ms, EN: en, is: ErrInput}
}
