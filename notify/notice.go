package notify

import (
	"bytes"
	"fmt"
	htmltemplate "html/template"
	"regexp"
	"slices"
	"strconv"
	texttemplate "text/template"
	"time"

	"github.com/mohor-sign/mohor/internal/myt"
)

var (
	textNotice = texttemplate.Must(texttemplate.ParseFS(templates, "templates/notice.txt.tmpl"))
	htmlNotice = htmltemplate.Must(htmltemplate.ParseFS(templates, "templates/notice.html.tmpl"))
	// An id becomes the left part of a Message-ID.
	noticeID = regexp.MustCompile(`\A[a-z0-9_]{1,64}\z`)
)

// alarm is what administrators learn of a transaction: enough to find it in the
// audit and to know it when the officer telephones, and nothing of what is in it.
type alarm struct{ Transaction, Officer, Count, Fingerprint string }

// letter is what the templates of a notice show: every string from outside one
// clean line.
type letter struct {
	Name           string
	TitleMS        string
	TitleEN        string
	MS, EN         string
	System, Serial string
	Alarm          *alarm
	Batch          *ended
	Progress       []progress
	When           string
	WarnMS, WarnEN string
}

// notYou is what follows each notice of something only the officer should do.
const (
	notYouMS = "Jika bukan anda, maklumkan segera kepada pentadbir agensi anda dan minta sijil digital anda dibatalkan."
	notYouEN = "If it was not you, tell your agency administrator at once and ask for your certificate to be revoked."
)

// renderNotice makes the message; ErrMessage when the kind is unknown.
func renderNotice(n Notice) (*rendered, error) {
	if !noticeID.MatchString(n.ID) {
		return nil, fmt.Errorf("%w: malformed id of a notice", ErrMessage)
	}
	l := letter{Name: unlink(clean(n.Name, nameChars)), System: unlink(clean(n.Detail["system"], systemChars)), Serial: clean(n.Detail["serial"], 60),
		When: myt.Format(n.At), WarnMS: notYouMS, WarnEN: notYouEN}
	until := ""
	if at, err := time.Parse(time.RFC3339, n.Detail["until"]); err == nil {
		until = myt.Format(at)
	}
	switch n.Kind {
	case PINLocked:
		l.TitleMS, l.TitleEN = "PIN anda dikunci", "Your PIN was locked"
		l.MS = "PIN yang salah dimasukkan terlalu banyak kali. PIN anda dikunci sehingga " + until + "."
		l.EN = "A wrong PIN was entered too often. Your PIN is locked until " + until + "."
	case PINBlocked:
		l.TitleMS, l.TitleEN = "PIN anda disekat", "Your PIN was blocked"
		l.MS = "PIN yang salah dimasukkan terlalu banyak kali. Hanya pentadbir boleh membuka semula PIN anda, selepas mengesahkan identiti anda."
		l.EN = "A wrong PIN was entered too often. Only an administrator can unblock your PIN, after checking your identity."
	case PINChanged:
		l.TitleMS, l.TitleEN = "PIN anda telah ditukar", "Your PIN was changed"
		l.MS, l.EN = "PIN sijil digital anda telah ditukar.", "The PIN of your certificate was changed."
	case CertificateIssued:
		l.TitleMS, l.TitleEN = "Sijil digital anda telah dikeluarkan", "Your certificate was issued"
		l.MS, l.EN = "Sijil digital anda sedia digunakan, sah sehingga "+until+".", "Your certificate is ready, valid until "+until+"."
		l.WarnMS, l.WarnEN = "Jika anda tidak memohonnya, maklumkan segera kepada pentadbir agensi anda.", "If you did not apply for it, tell your agency administrator at once."
	case EnrolmentValidated:
		l.TitleMS, l.TitleEN = "Permohonan sijil anda telah disahkan", "Your application was validated"
		l.MS, l.EN = "Agensi anda telah mengesahkan permohonan anda; ia menunggu kelulusan.", "Your agency has validated your application; it awaits approval."
		l.WarnMS, l.WarnEN = "Jika anda tidak memohonnya, maklumkan segera kepada pentadbir agensi anda.", "If you did not apply for it, tell your agency administrator at once."
	case AddressChanged:
		l.TitleMS, l.TitleEN = "E-mel anda telah ditukar", "Your address was changed"
		l.MS, l.EN = "Kod tandatangan anda kini dihantar ke e-mel yang baharu.", "Your signing codes now go to the new address."
	case EnrolmentRejected:
		reason := unlink(clean(n.Detail["reason"], reasonChars))
		l.TitleMS, l.TitleEN = "Permohonan sijil anda ditolak", "Your application was rejected"
		l.MS, l.EN = "Sebab: “"+reason+"”", "Reason: “"+reason+"”"
		l.WarnMS, l.WarnEN = "Jika anda tidak bersetuju, hubungi pentadbir agensi anda.", "If you disagree, ask your agency administrator."
	case OfficerCertificate:
		if !l.officers(n, until) {
			return nil, fmt.Errorf("%w: unknown news of an officer", ErrMessage)
		}
	case StatusAsked:
		if err := l.status(n); err != nil {
			return nil, err
		}
	case BatchEnded:
		if err := l.batch(n); err != nil {
			return nil, err
		}
	case HealthAlarm:
		l.fault(n)
	case TransactionDisowned:
		if err := l.disowned(n); err != nil {
			return nil, err
		}
	case AccountChanged:
		if !l.appointment(n) {
			return nil, fmt.Errorf("%w: unknown change of an account", ErrMessage)
		}
	default:
		if !l.certificate(n, until) && !l.account(n.Kind) {
			return nil, fmt.Errorf("%w: unknown kind of notice", ErrMessage)
		}
	}
	if until == "" && slices.Contains([]string{PINLocked, CertificateIssued, CertificateRenewed, CertificateEnding, PINReplaced, RevocationScheduled}, n.Kind) {
		return nil, fmt.Errorf("%w: the notice lacks its time", ErrMessage)
	}
	var text, html bytes.Buffer
	if err := textNotice.Execute(&text, l); err != nil {
		return nil, fmt.Errorf("%w: text template", ErrMessage)
	}
	if err := htmlNotice.Execute(&html, l); err != nil {
		return nil, fmt.Errorf("%w: html template", ErrMessage)
	}
	return &rendered{subject: l.TitleMS + " / " + l.TitleEN, text: text.Bytes(), html: html.Bytes()}, nil
}

// appointment fills in what was done with the account of somebody who is appointed.
func (l *letter) appointment(n Notice) bool {
	role := unlink(clean(n.Detail["role"]+" "+n.Detail["scope"], systemChars))
	l.WarnMS, l.WarnEN = "Jika anda tidak mengetahuinya, maklumkan segera kepada JDN.", "If you know nothing of it, tell JDN at once."
	switch n.Detail["what"] {
	case "appointed":
		l.TitleMS, l.TitleEN = "Anda dicadangkan sebagai pentadbir", "You are proposed as an administrator"
		l.MS, l.EN = "Pelantikan: "+role+". Ia berkuat kuasa apabila disahkan dan anda menyediakan faktor kedua.", "Appointment: "+role+". It has effect once it is confirmed and you have set up a second factor."
	case "confirmed":
		l.TitleMS, l.TitleEN = "Pelantikan anda disahkan", "Your appointment was confirmed"
		l.MS, l.EN = "Pelantikan: "+role+". Log masuk dan sediakan faktor kedua, jika belum ada.", "Appointment: "+role+". Log in, and set up a second factor if you have none."
	case "ready":
		l.TitleMS, l.TitleEN = "Faktor kedua anda telah disediakan", "Your second factor is set up"
		l.MS, l.EN = "Akaun anda kini log masuk dengan aplikasi pengesah.", "Your account now logs in with an authenticator app."
	case "reset":
		l.TitleMS, l.TitleEN = "Akaun pentadbir anda ditetapkan semula", "Your administrator's account was reset"
		l.MS, l.EN = "Kata laluan dan faktor kedua dihapuskan atas permintaan dua pentadbir; kod persediaan dihantar ke e-mel ini.", "Password and second factor were taken, as two administrators asked; a set-up code is mailed to this address."
	default:
		return false
	}
	return true
}

// certificate fills in what became of a certificate; false for another kind.
func (l *letter) certificate(n Notice, until string) bool {
	ask := func() {
		l.WarnMS, l.WarnEN = "Jika ada pertanyaan, hubungi pentadbir agensi anda.", "If you have questions, ask your agency administrator."
	}
	switch n.Kind {
	case CertificateRenewed:
		l.TitleMS, l.TitleEN = "Sijil digital anda telah diperbaharui", "Your certificate was renewed"
		l.MS = "Sijil baharu sah sehingga " + until + ". Kunci lama telah dimusnahkan; dokumen yang sudah ditandatangani kekal sah."
		l.EN = "The new certificate is valid until " + until + ". The old key was destroyed; what was signed stays valid."
	case CertificateEnding:
		days, err := strconv.Atoi(n.Detail["days"])
		if err != nil || days < 1 {
			return false
		}
		l.TitleMS, l.TitleEN = fmt.Sprintf("Sijil digital anda tamat dalam %d hari", days), fmt.Sprintf("Your certificate ends in %d days", days)
		if days == 1 {
			l.TitleEN = "Your certificate ends in 1 day"
		}
		l.MS = "Sijil anda sah sehingga " + until + ". Log masuk ke gerbang dan perbaharuinya dengan PIN anda."
		l.EN = "Your certificate is valid until " + until + ". Log in to the gateway and renew it with your PIN."
		ask()
	case PINReplaced:
		l.TitleMS, l.TitleEN = "PIN baharu anda telah berkuat kuasa", "Your new PIN is in force"
		l.MS = "Agensi anda mengesahkan permintaan anda: kunci lama dimusnahkan dan sijil lama dibatalkan. Sijil baharu sah sehingga " + until + "."
		l.EN = "Your agency confirmed your request: the old key was destroyed and the old certificate revoked. The new one is valid until " + until + "."
	case RekeyAsked:
		l.TitleMS, l.TitleEN = "PIN baharu diminta", "A new PIN was asked for"
		l.MS, l.EN = "Kunci baharu di bawah PIN baharu menunggu pengesahan agensi anda.", "A new key under a new PIN awaits your agency's confirmation."
	case CertificateRevoked:
		ms, en := revokedBecause(n.Detail["reason"])
		l.TitleMS, l.TitleEN = "Sijil digital anda telah dibatalkan", "Your certificate was revoked"
		l.MS = "Sijil ini tidak boleh menandatangani lagi dan kuncinya telah dimusnahkan" + ms + "."
		l.EN = "It cannot sign any more, and its key was destroyed" + en + "."
		ask()
	case CertificateSuspended:
		l.TitleMS, l.TitleEN = "Sijil digital anda digantung", "Your certificate was suspended"
		l.MS, l.EN = "Sijil ini tidak boleh menandatangani sehingga dilepaskan.", "It cannot sign until it is released."
		ask()
	case CertificateReleased:
		l.TitleMS, l.TitleEN = "Penggantungan sijil anda tamat", "Your certificate is released"
		l.MS, l.EN = "Sijil anda boleh menandatangani semula.", "Your certificate can sign again."
		ask()
	case RevocationScheduled:
		ms, en := revokedBecause(n.Detail["reason"])
		l.TitleMS, l.TitleEN = "Sijil digital anda akan dibatalkan", "Your certificate is going to be revoked"
		l.MS, l.EN = "Sijil ini akan dibatalkan pada "+until+ms+".", "It will be revoked on "+until+en+"."
		ask()
	case RevocationCancelled:
		l.TitleMS, l.TitleEN = "Pembatalan sijil anda tidak diteruskan", "Your certificate stays valid"
		l.MS, l.EN = "Pembatalan yang telah dijadualkan ditarik balik.", "The revocation that was scheduled is withdrawn."
		ask()
	default:
		return false
	}
	return true
}

// account fills in what became of an account; false for another kind.
func (l *letter) account(kind string) bool {
	switch kind {
	case PhoneChanged:
		l.TitleMS, l.TitleEN = "Nombor telefon bimbit anda telah ditukar", "Your mobile number was changed"
		l.MS, l.EN = "Nombor telefon bimbit dalam akaun anda telah ditukar.", "The mobile number in your account was changed."
	case PasswordReset:
		l.TitleMS, l.TitleEN = "Kata laluan anda telah diganti", "You have a new password"
		l.MS, l.EN = "Kata laluan log masuk anda telah diganti; semua sesi telah ditutup.", "Your log-in password was replaced; every session was closed."
	case PasswordAsked:
		l.TitleMS, l.TitleEN = "Kata laluan baharu menunggu pengesahan", "A new password awaits confirmation"
		l.MS, l.EN = "Kata laluan baharu telah diminta tanpa PIN. Ia berkuat kuasa apabila agensi anda mengesahkannya.", "A new password was asked for without the PIN. It holds when your agency has confirmed it."
	case DeletionAsked:
		l.TitleMS, l.TitleEN = "Pemadaman akaun anda diminta", "Your account is going to be deleted"
		l.MS = "Seorang pentadbir meminta akaun anda dipadam kerana anda tidak lagi di sana. Pentadbir kedua perlu mengesahkannya; sijil anda kemudian dibatalkan."
		l.EN = "An administrator asked for your account to be deleted because you have left. A second one has to confirm; your certificates are revoked then."
		l.WarnMS, l.WarnEN = "Jika anda masih bertugas, maklumkan segera kepada pentadbir agensi anda.", "If you have not left, tell your agency administrator at once."
	case Deleted:
		l.TitleMS, l.TitleEN = "Akaun anda telah dipadam", "Your account was deleted"
		l.MS = "Sijil anda telah dibatalkan dan kuncinya dimusnahkan; log masuk ditutup. Apa yang telah ditandatangani dengan cap masa kekal sah, dan rekodnya disimpan."
		l.EN = "Your certificates were revoked and their keys destroyed; the log-in is closed. What was signed with a time-stamp stays valid, and its records are kept."
		l.WarnMS, l.WarnEN = "Jika anda tidak memintanya, maklumkan segera kepada pentadbir agensi anda.", "If you did not ask for it, tell your agency administrator at once."
	default:
		return false
	}
	return true
}

// officers fills in what an AP is told of an officer's certificate; false for what is
// none of an AP's business.
func (l *letter) officers(n Notice, until string) bool {
	name := unlink(clean(n.Detail["officer"], nameChars))
	switch n.Detail["what"] {
	case CertificateRevoked:
		l.TitleMS, l.TitleEN = "Sijil pegawai dibatalkan", "An officer's certificate was revoked"
	case CertificateSuspended:
		l.TitleMS, l.TitleEN = "Sijil pegawai digantung", "An officer's certificate was suspended"
	case CertificateReleased:
		l.TitleMS, l.TitleEN = "Penggantungan sijil pegawai tamat", "An officer's certificate was released"
	case RevocationScheduled:
		l.TitleMS, l.TitleEN = "Sijil pegawai akan dibatalkan pada "+until, "An officer's certificate will be revoked on "+until
	case RevocationCancelled:
		l.TitleMS, l.TitleEN = "Pembatalan sijil pegawai ditarik balik", "The revocation of an officer's certificate is withdrawn"
	default:
		return false
	}
	ms, en := revokedBecause(n.Detail["reason"])
	l.MS, l.EN = "Pegawai: "+name+ms+".", "Officer: "+name+en+"."
	l.WarnMS, l.WarnEN = "Jika anda tidak menjangkanya, hubungi pentadbir JDN.", "If you did not expect that, ask the JDN administrators."
	return true
}

// revokedBecause is the reason of a revocation (CRLReason, RFC 5280, Section 5.3.1) as a
// half sentence, "" for those that tell an officer nothing.
func revokedBecause(code string) (ms, en string) {
	switch code {
	case "1":
		return ": kuncinya mungkin diketahui orang lain", ": somebody else may know the key"
	case "3":
		return ": anda bertukar jawatan atau agensi", ": your post or agency changed"
	case "4":
		return ": sijil lain menggantikannya", ": another certificate takes its place"
	case "5":
		return ": ia tidak diperlukan lagi", ": it is not needed any more"
	case "9":
		return ": hak untuk menandatangani ditarik balik", ": the right to sign was withdrawn"
	}
	return "", ""
}

// fault fills in what is wrong with the gateway. What to do, with commands and paths, stands on the
// health page alone.
func (l *letter) fault(n Notice) {
	l.TitleMS, l.TitleEN = "Amaran: get laluan memerlukan tindakan", "Alarm: the gateway needs attention"
	l.MS, l.EN = unlink(clean(n.Detail["ms"], reasonChars)), unlink(clean(n.Detail["en"], reasonChars))
	if node := unlink(clean(n.Detail["node"], systemChars)); node != "" {
		l.MS, l.EN = l.MS+" ("+node+")", l.EN+" ("+node+")"
	}
	l.WarnMS, l.WarnEN = "Log masuk dan buka Kesihatan: langkah pembaikan ada di situ.", "Log in and open Health: what to do stands there."
}

// disowned fills in the alarm "this was not me". Who pressed the button is not
// known: somebody with the officer's mail.
func (l *letter) disowned(n Notice) error {
	l.Alarm = &alarm{n.Detail["transaction"], unlink(clean(n.Detail["officer"], nameChars)), n.Detail["count"], n.Detail["fingerprint"]}
	if count, err := strconv.Atoi(l.Alarm.Count); err != nil || count < 1 || !noticeID.MatchString(l.Alarm.Transaction) || !fingerprint.MatchString(l.Alarm.Fingerprint) {
		return fmt.Errorf("%w: the alarm lacks its transaction", ErrMessage)
	}
	l.TitleMS, l.TitleEN = "Amaran: “Ini bukan saya”", "Alarm: “This was not me”"
	l.MS = "Butang “Ini bukan saya” dalam e-mel kod pegawai ini telah ditekan. "
	l.EN = "The button “This was not me” of the mail with this officer's code was pressed. "
	l.WarnMS = "Log audit menamakan pegawai itu di bawah transaksi ini. Telefon pegawai itu, dan tanya pemilik sistem siapa yang membuat permintaan ini."
	l.WarnEN = "The audit names the officer under this transaction. Call the officer, and ask the system's owner who made this request."
	switch n.Detail["outcome"] {
	case DisownedCancelled:
		l.MS += "Permintaan ini dibatalkan; tiada apa-apa ditandatangani."
		l.EN += "The request was cancelled; nothing was signed."
	case DisownedEnded:
		l.MS += "Permintaan ini sudah berakhir; tiada apa-apa ditandatangani."
		l.EN += "The request had ended before; nothing was signed."
	case DisownedConfirmed:
		l.TitleMS, l.TitleEN = "Amaran segera: tandatangan dinafikan", "Urgent alarm: signature disowned"
		l.MS += "PIN dan kod yang betul sudah diberi: dokumen sedang atau telah ditandatangani dengan sijil pegawai itu."
		l.EN += "The right PIN and code had been given: the documents are being signed, or were, with the officer's certificate."
		l.WarnMS = "Log audit menamakan pegawai dan sijil itu di bawah transaksi ini. Telefon pegawai itu sekarang. Jika benar bukan pegawai itu, batalkan sijilnya dan minta pemilik sistem supaya dokumen ini tidak diproses."
		l.WarnEN = "The audit names officer and certificate under this transaction. Call the officer now. If it truly was not the officer, revoke the certificate and have the system's owner stop these documents."
	default:
		return fmt.Errorf("%w: the alarm lacks its outcome", ErrMessage)
	}
	return nil
}
