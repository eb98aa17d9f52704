package enrol

// Next says what the officer does next, and whom to ask, in English or Malay.
func (e *Enrolment) Next(en bool) (next, ask string) {
	pick := func(en bool, english, malay string) string {
		if en {
			return english
		}
		return malay
	}
	agency := pick(en, "the agency administrator (SA or AP) of ", "pentadbir agensi (SA atau AP) ") + e.Agency
	system := pick(en, "the administrator (SAP) of ", "pentadbir sistem (SAP) ") + e.System
	switch {
	case e.Kind == Rekey && e.State == Confirmed:
		return pick(en, "Make a new key under a new PIN with the code in the mail to you.", "Buat kunci baharu dengan PIN baharu, menggunakan kod dalam e-mel anda."), agency
	case e.Kind == Rekey && e.State == Applied:
		return pick(en, "Wait: your agency confirms that it was you who asked.", "Tunggu: agensi anda mengesahkan bahawa anda yang meminta."), agency + pick(en, ", or ", ", atau ") + system
	}
	switch e.State {
	case Listed:
		return pick(en, "Wait: JDN adds the medium.", "Tunggu: JDN menambah medium."), system
	case Confirming:
		return pick(en, "Open the link in the mail to you; it is good for 24 hours.", "Buka pautan dalam e-mel anda; ia sah selama 24 jam."), agency
	case Confirmed:
		return pick(en, "Apply with the verification code in the mail to you.", "Mohon dengan kod pengesahan dalam e-mel anda."), agency
	case Returned:
		return pick(en, "Mend what the reason says and apply again with the new code.", "Betulkan mengikut sebabnya dan mohon semula dengan kod baharu."), agency
	case Applied:
		return pick(en, "Wait: your agency validates the application.", "Tunggu: agensi anda mengesahkan permohonan."), agency
	case Validated, Approved:
		return pick(en, "Wait: JDN approves the application.", "Tunggu: JDN meluluskan permohonan."), pick(en, "JDN's GPKI administrator", "Pentadbir GPKI JDN")
	case Issued:
		return pick(en, "Ask for a code and sign.", "Minta kod dan tandatangan."), agency
	}
	return pick(en, "Ask to be listed again, if you need the certificate.", "Minta disenaraikan semula jika anda memerlukan sijil."), system
}

// Words are what a state is called, in both languages.
func (s State) Words() (ms, en string) {
	switch s {
	case Listed:
		return "Disenaraikan", "Listed"
	case Confirming:
		return "Menunggu pengesahan e-mel", "Waits for the e-mail address to be confirmed"
	case Confirmed:
		return "Menunggu permohonan anda", "Waits for your application"
	case Applied:
		return "Menunggu agensi", "Waits for your agency"
	case Validated:
		return "Menunggu kelulusan JDN", "Waits for JDN's approval"
	case Approved:
		return "Sijil sedang dibuat", "Certificate being made"
	case Issued:
		return "Sijil dikeluarkan", "Certificate issued"
	case Returned:
		return "Permohonan dikembalikan", "Application returned"
	case Rejected:
		return "Permohonan ditolak", "Application rejected"
	case Withdrawn:
		return "Permohonan ditarik balik", "Application withdrawn"
	}
	return "Permohonan tamat tempoh", "Application expired"
}
