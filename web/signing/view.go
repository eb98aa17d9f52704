package signing

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/web/page"
)

// view is the page as its template sees it.
type view struct {
	Page
	Path, Form string
	Refusal    *Refusal
	First      bool // of the pages of documents
	Now        time.Time
}

// live says whether PIN and code can be given.
func (v *view) live() bool { return v.Status == "WAITING" && !v.Locked }

// codeDead says that no confirmation can succeed before another code is sent.
func (v *view) codeDead() bool { return v.Tries == 0 || v.Now.After(v.CodeUntil) }

// last is the index of the last document listed.
func (v *view) last() int { return v.Documents[len(v.Documents)-1].Index }

// single is the only document, or nil.
func (v *view) single() *Document {
	if v.Count == 1 && len(v.Documents) == 1 {
		return &v.Documents[0]
	}
	return nil
}

// viewable says whether a document of the list can be looked at.
func (v *view) viewable() bool {
	for _, d := range v.Documents {
		if d.View {
			return true
		}
	}
	return false
}

// wrong is what is said at a field.
func (v *view) wrong(ctx context.Context, field string) string {
	if v.Refusal == nil || v.Refusal.Field != field || !v.live() {
		return ""
	}
	return v.said(ctx)
}

// said is what went wrong, and what to do next where something can be done on this page.
func (v *view) said(ctx context.Context) string {
	text, next := said(ctx, v.Refusal), "sign.next."+v.Refusal.Code
	if v.live() && v.Refusal.Code != "" && page.Has(ctx, next) {
		text += " " + page.T(ctx, next)
	}
	return text
}

// said is a refusal in the language of the page, with the tries left.
func said(ctx context.Context, no *Refusal) string {
	text := page.Pick(ctx, no.MS, no.EN)
	if no.Left >= 0 {
		text += " " + page.T(ctx, "page.left", "Count", no.Left)
	}
	return text
}

// document is the address of one's bytes.
func (v *view) document(d *Document) string { return v.Path + "/documents/" + strconv.Itoa(d.Index) }

// end is what became of the transaction, with its tone.
func (v *view) end() (tone, what string) {
	switch v.Status {
	case "SIGNED":
		return page.Good, "signed"
	case "SIGNED_WITH_REFUSALS":
		return page.Wait, "partly"
	case "SIGNING":
		return page.Wait, "signing"
	case "CANCELLED":
		return page.Wait, "cancelled"
	case "EXPIRED":
		return page.Wait, "expired"
	case "NEEDS_AUTHORISATION":
		return page.Bad, "stopped"
	case "WAITING":
		if v.LockedUntil.IsZero() {
			return page.Bad, "blocked"
		}
		return page.Bad, "locked"
	}
	return page.Bad, "failed"
}

// frame is the page's.
func (v *view) frame(ctx context.Context) page.Frame {
	f := page.Frame{Title: page.T(ctx, "sign.title"), Failed: v.Refusal != nil, Owner: page.Owner{Title: v.Owner}}
	if v.Logo {
		f.Owner.Logo = v.Path + "/logo"
	}
	switch {
	case v.live():
		f.Scripts = []string{"preview.js", "sign.js"}
	case v.Status == "SIGNING":
		f.Scripts, f.Reload = []string{"sign.js"}, 3
	}
	return f
}

// point is one of the legal notice.
type point struct{ MS, EN string }

// legal are the four points. Their Malay words are the law's notice as the agencies word it, and
// stand on the page whatever its language is.
func legal(n Notice) []point {
	holdMS, holdEN, ofMS, ofEN := "SIJIL DIGITAL", "digital certificate", n.System, "documents of "+n.System
	if n.Token {
		holdMS, holdEN = "TOKEN", "token"
	}
	if n.System == "IGFMAS" {
		ofMS, ofEN = "KEWANGAN iGFMAS", "financial documents of iGFMAS"
	}
	return []point{
		{"DILARANG MEMBERI PINJAM, BERKONGSI ATAU ONE MAN SHOW KETIKA MEMPERAKUKAN DOKUMEN " + ofMS + " MENGGUNAKAN " + holdMS + " DAN NOMBOR PIN.",
			"It is forbidden to lend or share your " + holdEN + " and PIN, or to let one person play every role, when certifying " + ofEN + "."},
		{"SATU KESALAHAN DI BAWAH AKTA TANDATANGAN DIGITAL 1997 (AKTA 562) SEKSYEN 43 DAN 83.",
			"It is an offence under the Digital Signature Act 1997 (Act 562), sections 43 and 83."},
		{"DENGAN MENEKAN BUTANG TANDATANGAN, ANDA BERHASRAT UNTUK MENANDATANGANI MESEJ, REKOD ATAU DOKUMEN INI SECARA DIGITAL.",
			"By pressing the button “Confirm Signature” you intend to sign this message, record or document digitally."},
		{"PENAMBAHAN TANDATANGAN DIGITAL SEDEMIKIAN HENDAKLAH DIANGGAP SEBAGAI TANDATANGAN YANG MENGIKAT SECARA SAH.",
			"The digital signature so added shall be taken as a legally binding signature."},
	}
}

// payees names the first of those whom a batch pays.
func payees(p *Page) string {
	text := strconv.Itoa(p.Payees) + ": “" + strings.Join(p.FirstPayees, "”, “") + "”"
	if p.Payees > len(p.FirstPayees) {
		text += " …"
	}
	return text
}

// firstNumber is that of the first document listed.
func firstNumber(d []Document) int {
	if len(d) == 0 {
		return 1
	}
	return d[0].Index + 1
}

// leaves says whether the page may be left while a batch is signed: for the portal. An app would be
// told of an end that there is not.
func (v *view) leaves() bool { return v.Portal && v.Back != "" }

// backTo are the words of the way back.
func backTo(ctx context.Context, p *Page) string {
	if p.Portal {
		return page.T(ctx, "sign.back.portal")
	}
	return page.T(ctx, "sign.back", "System", p.System)
}

// rfc is an instant as scripts read it.
func rfc(t time.Time) string { return t.UTC().Format(time.RFC3339) }
