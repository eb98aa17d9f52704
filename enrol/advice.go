package enrol

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Help an administrator may give, as [Advice] and [Found] name it: what a page leads to.
const (
	DoUnlock    = "unlock" // the PIN counter
	DoOpenDoor  = "unlock_login"
	DoAddress   = "email" // ask for another address
	DoVouch     = "vouch" // in the place of the old address
	DoCodes     = "codes" // look again at what became of them
	DoRelease   = "release"
	DoRevoke    = "revoke"
	DoSuspend   = "suspend"
	DoReplace   = "replace"
	DoRetire    = "retire"
	DoTransfer  = "transfer"
	DoDelete    = "delete"
	DoConfirm   = "confirm"   // a request that waits for a second person
	DoEnrolment = "enrolment" // look at the one under way
	DoList      = "list"      // list the officer anew
	DoExport    = "export"
	DoRevision  = "revocations" // those to come
)

// Situation is what advice about an officer is made of.
type Situation struct {
	Lines      []OfficerLine
	Enrolments []Enrolment // within sight
	PIN        PINCount
	DoorUntil  time.Time // log-ins are refused until then
	Code       *CodeSent // the newest; nil: none, or not theirs to see
	Requests   []OfficerRequest
	Change     *AddressChange // pending
	Leaving    []ScheduledRevocation
}

// CodeSent is a code that was sent to an officer, and what became of the message.
type CodeSent struct {
	At, Until time.Time
	State     string // "sent", "deferred", "refused", "bounced"; "" when it is not known
	Reply     string
	Used      bool
}

// Advice is what to do for an officer who calls: a sentence, and what it leads to ("": nothing).
type Advice struct {
	Code   string
	MS, EN string
	Do     string
	System string // that it is about; "" for all
	Object string // id of the enrolment or request that it is about
}

// SituationOf reads, of what somebody found, the part that enrolments, requests and certificates are.
// The look is in the audit with [Desk.Lookup].
func (d *Desk) SituationOf(ctx context.Context, p *Found) (*Situation, error) {
	s, ic := &Situation{Enrolments: p.Enrolments}, p.Officer.IC
	e := DirectoryEntry{Officer: p.Officer}
	for _, w := range p.Enrolments {
		e.Ways = append(e.Ways, Way{System: w.System, Agency: w.Agency, Office: w.Office, State: w.State})
	}
	for _, m := range p.Media {
		h := Holding{System: m.System, Medium: m.Medium, Status: m.Status, Serial: m.Serial}
		if cert, err := x509.ParseCertificate(m.DER); err == nil {
			h.Status, h.NotAfter = m.KeyStatus, cert.NotAfter
		}
		e.Holdings = append(e.Holdings, h)
		if m.Serial == "" {
			continue
		}
		coming, err := d.Records.Upcoming(ctx, ScheduledFilter{Serial: m.Serial, Limit: 1})
		if err != nil {
			return nil, fmt.Errorf("reading revocations to come: %w", err)
		}
		s.Leaving = append(s.Leaving, coming...)
	}
	s.Lines = e.lines(d.Now())
	if p.Mays(DoConfirm) {
		list, err := d.Records.RequestsOf(ctx, ic)
		if err != nil {
			return nil, fmt.Errorf("reading requests: %w", err)
		}
		for _, r := range list {
			if r.Password = nil; r.State == RequestPending && !d.Now().Before(r.Until) {
				r.State = RequestExpired
			}
			if r.Kind == RequestRevoke && p.Sees(r.System) || r.Kind != RequestRevoke && p.Mays(DoDelete) {
				s.Requests = append(s.Requests, r)
			}
		}
	}
	if p.Mays(DoAddress) {
		list, err := d.Records.AddressChangesOf(ctx, ic)
		if err != nil {
			return nil, fmt.Errorf("reading changes of address: %w", err)
		}
		for k := range list {
			if list[k].State == ChangePending && d.Now().Before(list[k].Until) {
				s.Change = &list[k]
			}
		}
	}
	return s, nil
}

// Mays says whether one of the kinds of help is whoever looked's to give.
func (f *Found) Mays(do string) bool { return slices.Contains(f.May, do) }

// Advise says what to do for an officer, the most pressing first.
func (d *Desk) Advise(s *Situation) (out []Advice) {
	now := d.Now()
	add := func(code, do, system, object, ms, en string) {
		out = append(out, Advice{Code: code, Do: do, System: system, Object: object, MS: ms, EN: en})
	}
	for _, r := range s.Requests {
		if r.State != RequestPending {
			continue
		}
		switch r.Kind {
		case RequestReset:
			add("request_reset", DoConfirm, "", r.ID, "Pegawai meminta kata laluan baharu: pastikan beliau yang meminta, kemudian sahkan.", "The officer has asked for a new password: make sure that it was the officer, then confirm.")
		case RequestDelete:
			add("request_delete", DoConfirm, "", r.ID, "Pemadaman akaun ini menunggu pengesahan pentadbir kedua.", "The deletion of this account waits for a second administrator.")
		case RequestRevoke:
			add("request_revoke", DoConfirm, r.System, r.ID, "Pembatalan sijil "+r.System+" menunggu pengesahan pentadbir kedua; sijil digantung sementara itu.", "The revocation of the certificate for "+r.System+" waits for a second administrator; it is suspended meanwhile.")
		}
	}
	switch {
	case s.PIN.Blocked:
		add("pin_blocked", DoUnlock, "", "", "PIN disekat kerana terlalu banyak cubaan. Buktikan identiti pegawai, kemudian buka sekatan. Jika PIN terlupa, minta pegawai memilih Lupa PIN di portal.",
			"The PIN is blocked after too many tries. Prove the officer's identity, then unblock it. Who has forgotten the PIN chooses Forgotten PIN in the portal.")
	case now.Before(s.PIN.LockedUntil):
		add("pin_locked", DoUnlock, "", "", "PIN dikunci dan terbuka sendiri sebentar lagi. Jika mendesak, buktikan identiti pegawai dan buka sekarang.",
			"The PIN is locked and opens by itself soon. If it is urgent, prove the officer's identity and open it now.")
	}
	if now.Before(s.DoorUntil) {
		add("login_locked", DoOpenDoor, "", "", "Log masuk ditahan kerana cubaan yang gagal. Buktikan identiti pegawai, kemudian lepaskan.", "Log-ins are held up after failed tries. Prove the officer's identity, then let them in.")
	}
	d.adviseCodes(s, add)
	for k := range s.Lines {
		d.adviseCertificate(s, &s.Lines[k], add)
	}
	for k := range s.Enrolments {
		adviseEnrolment(&s.Enrolments[k], add)
	}
	if len(out) == 0 {
		add("fine", "", "", "", "Tiada masalah ditemui. Minta pegawai memohon kod baharu dan menandatangani semula.", "Nothing is wrong here. Have the officer ask for another code and sign again.")
	}
	return out
}

type advise func(code, do, system, object, ms, en string)

// adviseCodes is about the mail that codes go to.
func (d *Desk) adviseCodes(s *Situation, add advise) {
	now := d.Now()
	if c := s.Change; c != nil {
		switch {
		case !c.NewAt.IsZero() && c.OldAt.IsZero():
			add("address_old", DoVouch, "", c.ID, "Alamat e-mel baharu telah disahkan, yang lama belum. Jika peti lama sudah mati, sahkan bagi pihaknya setelah identiti pegawai dibuktikan.",
				"The new address is confirmed, the old one is not. If the old mailbox is dead, vouch for it once the officer's identity is proved.")
		case c.NewAt.IsZero() && c.NewReply != "":
			add("address_wrong", DoAddress, "", c.ID, "Pautan ke alamat baharu tidak sampai: batalkan pertukaran dan minta alamat yang betul.", "The link to the new address did not arrive: cancel the change and ask for the right address.")
		default:
			add("address_pending", "", "", c.ID, "Pertukaran e-mel sedang berjalan: minta pegawai membuka pautan di kedua-dua peti mel.", "A change of address is under way: have the officer open the links in both mailboxes.")
		}
	}
	c := s.Code
	if c == nil || c.Used {
		return
	}
	switch {
	case (c.State == "bounced" || c.State == "refused") && s.Change == nil:
		add("code_bounced", DoAddress, "", "", "E-mel dengan kod tidak dapat dihantar ("+orDash(c.Reply)+"). Betulkan alamat e-mel pegawai.", "The mail with the code could not be delivered ("+orDash(c.Reply)+"). Correct the officer's address.")
	case c.State == "deferred":
		add("code_deferred", DoCodes, "", "", "Pelayan mel pegawai menangguhkan penerimaan. Tunggu beberapa minit; jika berterusan, hubungi pentadbir mel agensi.", "The officer's mail server puts the mail off. Wait some minutes; if it goes on, ask the agency's mail administrator.")
	case c.State == "sent" && now.Before(c.Until):
		add("code_sent", DoCodes, "", "", "Kod telah diterima oleh pelayan mel pegawai dan masih sah. Minta pegawai memeriksa folder spam dan alamat yang betul.", "The officer's mail server has taken the code, and it is still good. Have the officer look into the spam folder, and at the right mailbox.")
	case c.State == "sent" && now.Before(c.Until.Add(time.Hour)):
		add("code_expired", "", "", "", "Kod terakhir telah tamat tempoh tanpa digunakan. Minta pegawai memohon kod baharu.", "The last code has expired unused. Have the officer ask for another one.")
	}
}

func orDash(s string) string {
	if s == "" {
		return "—"
	}
	return s
}

// adviseCertificate is about one certificate.
func (d *Desk) adviseCertificate(s *Situation, l *OfficerLine, add advise) {
	waits := func(kind string) bool {
		for _, r := range s.Requests {
			if r.State == RequestPending && r.Kind == kind && r.System == l.System {
				return true
			}
		}
		return false
	}
	for _, x := range s.Leaving {
		if x.Serial == l.Serial {
			add("leaving", DoRevision, l.System, x.Serial, "Sijil "+l.System+" akan dibatalkan pada tarikh yang ditetapkan.", "The certificate for "+l.System+" will be revoked at a set time.")
		}
	}
	switch {
	case l.Serial == "":
	case l.Status == "SUSPENDED" && !waits(RequestRevoke):
		add("suspended", DoRelease, l.System, "", "Sijil "+l.System+" digantung: tiada tandatangan boleh dibuat. Semak sebabnya, kemudian lepaskan atau batalkan.", "The certificate for "+l.System+" is suspended: nothing can be signed. Look at the reason, then release or revoke it.")
	case l.Status == "REVOKED" && l.Open == "":
		add("revoked", DoList, l.System, "", "Sijil "+l.System+" telah dibatalkan. Jika pegawai masih memerlukannya, senaraikan semula.", "The certificate for "+l.System+" is revoked. If the officer still needs one, list the officer anew.")
	case l.Status == Ended && l.Open == "":
		add("expired", DoList, l.System, "", "Sijil "+l.System+" telah tamat tempoh. Senaraikan semula pegawai ini.", "The certificate for "+l.System+" has expired. List the officer anew.")
	case l.Status == "ACTIVE" && l.Open == "" && d.Policy.Renewable(l.NotAfter, d.Now()):
		add("renew", "", l.System, "", "Sijil "+l.System+" hampir tamat tempoh. Minta pegawai memperbaharuinya di portal.", "The certificate for "+l.System+" is about to expire. Have the officer renew it in the portal.")
	}
}

// adviseEnrolment is about one that is under way.
func adviseEnrolment(e *Enrolment, add advise) {
	if !e.State.Open() {
		return
	}
	if e.Reply != "" && (e.State == Confirming || e.State == Confirmed || e.State == Returned) {
		add("mail_undelivered", DoEnrolment, e.System, e.ID, "E-mel pendaftaran "+e.System+" tidak sampai. Betulkan alamat dan hantar semula.", "The mail of the enrolment for "+e.System+" did not arrive. Correct the address and send it again.")
		return
	}
	code := "waits_" + strings.ToLower(string(e.State))
	ms, ask := e.Next(false)
	en, askEN := e.Next(true)
	switch e.State {
	case Confirming, Confirmed, Returned: // it is the officer who goes on
		add(code, DoEnrolment, e.System, e.ID, "Pendaftaran "+e.System+" menunggu pegawai: "+lower(ms)+" Jika e-mel hilang, hantar semula.", "The enrolment for "+e.System+" waits for the officer: "+lower(en)+" If the mail is lost, send it again.")
	default:
		add(code, DoEnrolment, e.System, e.ID, "Pendaftaran "+e.System+" menunggu "+ask+".", "The enrolment for "+e.System+" waits for "+askEN+".")
	}
}

// lower begins with a small letter, within a sentence.
func lower(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// mays are the kinds of help that somebody may give an officer, without asking: whether each is
// possible now its own decision says.
func (d *Desk) mays(a *Actor, ic string, all []Enrolment, media []Medium) (out []string) {
	table := rules()
	for _, x := range []struct {
		do  string
		act Action
	}{
		{DoUnlock, UnlockPIN}, {DoOpenDoor, OpenDoor}, {DoAddress, AskAddress}, {DoVouch, VouchAddress}, {DoCodes, SeeCodes}, {DoSuspend, Suspension}, {DoRelease, Releasing}, {DoRevoke, Revocation}, {DoReplace, Replace},
		{DoRetire, Retirement}, {DoTransfer, Transferring}, {DoDelete, AskDeletion}, {DoConfirm, SeeRequests}, {DoList, List}, {DoExport, ExportSubject},
	} {
		r, o := table[x.act], object{officer: ic}
		could := func(e *Enrolment) bool {
			o := object{officer: ic, system: e.System, agency: e.Agency}
			_, no := d.judge(a, r, &o)
			return no == nil
		}
		_, no := d.judge(a, r, &o)
		if no == nil || helps(all, media, could) != nil || d.ownsBare(a, r, ic, all, media) {
			out = append(out, x.do)
		}
	}
	return out
}

// ownsBare says whether r holds for the ICT system of a certificate that came without an enrolment.
func (d *Desk) ownsBare(a *Actor, r rule, ic string, all []Enrolment, media []Medium) bool {
	for k := range media {
		m := &media[k]
		if m.Credential == "" {
			continue
		}
		enrolled := false
		for _, e := range all {
			enrolled = enrolled || e.System == m.System && e.State == Issued
		}
		o := object{officer: ic, system: m.System}
		if _, no := d.judge(a, r, &o); !enrolled && no == nil {
			return true
		}
	}
	return false
}
