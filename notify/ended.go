package notify

import (
	"fmt"
	"strconv"
)

// ended is what an officer learns of a batch that ended: enough to know it by, and nothing of what is
// in it.
type ended struct {
	Name                         string // "" when it is classified
	Count, Signed, Refused, Left int
	Fingerprint                  string
}

// batch fills in what became of a batch.
func (l *letter) batch(n Notice) error {
	b := &ended{Name: unlink(clean(n.Detail["batch"], systemChars)), Fingerprint: n.Detail["fingerprint"]}
	for _, f := range []struct {
		name string
		to   *int
	}{{"count", &b.Count}, {"signed", &b.Signed}, {"refused", &b.Refused}} {
		v, err := strconv.Atoi(n.Detail[f.name])
		if err != nil || v < 0 {
			return fmt.Errorf("%w: the notice lacks its %s", ErrMessage, f.name)
		}
		*f.to = v
	}
	if b.Left = b.Count - b.Signed - b.Refused; b.Left < 0 || !fingerprint.MatchString(b.Fingerprint) {
		return fmt.Errorf("%w: the counts of a batch do not fit", ErrMessage)
	}
	l.Batch = b
	switch n.Detail["status"] {
	case "SIGNED":
		l.TitleMS, l.TitleEN = "Kelompok anda telah ditandatangani", "Your batch was signed"
		l.MS = "Semua dokumen dalam kelompok ini telah ditandatangani dengan sijil digital anda. Dokumennya ada dalam sistem di atas."
		l.EN = "Every document of this batch was signed with your certificate. Find them in the system named above."
	case "SIGNED_WITH_REFUSALS":
		l.TitleMS, l.TitleEN = "Kelompok anda selesai, ada dokumen ditolak", "Your batch is done, with documents refused"
		l.MS = "Dokumen yang ditolak tidak ditandatangani. Sistem di atas menunjukkan yang mana dan sebabnya; yang lain telah ditandatangani."
		l.EN = "What was refused is not signed. The system named above shows which documents, and why; the others were signed."
	case "FAILED":
		l.TitleMS, l.TitleEN = "Kelompok anda tidak dapat ditandatangani", "Your batch could not be signed"
		l.MS = "Tiada dokumen ditandatangani. Sistem di atas menunjukkan sebab bagi setiap satu."
		l.EN = "No document was signed. The system named above shows why, for each."
	case "NEEDS_AUTHORISATION":
		l.TitleMS, l.TitleEN = "Kelompok anda terhenti: PIN dan kod baharu diperlukan", "Your batch stopped: it needs your PIN and a new code"
		whyMS, whyEN := stopped(n.Detail["why"])
		l.MS = whyMS + " Apa yang telah ditandatangani kekal. Untuk menandatangani yang selebihnya, mulakan semula dalam sistem di atas; kod baharu akan dihantar."
		l.EN = whyEN + " What was signed stays. To sign the rest, begin again in the system named above; a new code will be sent."
	default:
		return fmt.Errorf("%w: unknown end of a batch", ErrMessage)
	}
	return nil
}

// stopped is why a batch stopped before its end, as a sentence.
func stopped(why string) (ms, en string) {
	switch why {
	case StoppedByApp:
		return "Sistem itu menghentikannya.", "The system stopped it."
	case StoppedByCertificate:
		return "Sijil digital anda dibatalkan atau digantung.", "Your certificate was revoked or suspended."
	case StoppedByTime:
		return "Masa yang diberi oleh PIN dan kod anda telah tamat.", "The time that your PIN and code gave was over."
	}
	return "Penandatanganan terhenti sebelum selesai.", "Signing stopped before its end."
}
