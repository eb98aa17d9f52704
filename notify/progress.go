package notify

import (
	"encoding/json"
	"fmt"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/myt"
)

// maxProgress bounds a mail.
const maxProgress = 20

// progress is enrol.Progress as it is shown.
type progress struct{ System, MS, EN, Until, NextMS, NextEN, AskMS, AskEN string }

// status fills in how far an officer is.
func (l *letter) status(n Notice) error {
	var all []enrol.Progress
	if err := json.Unmarshal([]byte(n.Detail["progress"]), &all); err != nil {
		return fmt.Errorf("%w: the answer lacks its progress", ErrMessage)
	}
	l.TitleMS, l.TitleEN = "Status permohonan dan sijil anda", "Your applications and certificates"
	l.MS, l.EN = "Seseorang, mungkin anda, bertanya tentang status anda. Inilah yang ada dalam daftar:", "Somebody, perhaps you, asked how far you are. This is what the register has:"
	l.WarnMS = "Jika bukan anda yang bertanya, abaikan e-mel ini; penanya tidak diberitahu apa-apa."
	l.WarnEN = "If it was not you who asked, ignore this e-mail; whoever asked was told nothing."
	if len(all) == 0 {
		l.MS, l.EN = "Seseorang, mungkin anda, bertanya tentang status anda. Tiada permohonan atau sijil. Untuk disenaraikan, tanya pentadbir sistem ICT anda (SAP).",
			"Somebody, perhaps you, asked how far you are. There is no application and no certificate. To be listed, ask the administrator of your ICT system (SAP)."
	}
	for _, s := range all[:min(len(all), maxProgress)] {
		x := progress{System: unlink(clean(s.System, systemChars)), MS: s.MS, EN: s.EN, NextMS: s.NextMS, NextEN: s.NextEN, AskMS: unlink(clean(s.AskMS, reasonChars)), AskEN: unlink(clean(s.AskEN, reasonChars))}
		if !s.Until.IsZero() {
			x.Until = myt.Format(s.Until)
		}
		l.Progress = append(l.Progress, x)
	}
	return nil
}
