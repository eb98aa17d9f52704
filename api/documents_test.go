package api_test

import (
	"mime"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/api"
)

// Whatever a document is called, it is saved under a plain name in the folder of downloads.
func TestAttachmentsHaveSafeNames(t *testing.T) {
	for name, want := range map[string]string{
		"surat.pdf":                       "surat.pdf",
		"Surat Pekeliling 1/2026":         "Surat Pekeliling 1_2026.pdf",
		`../../etc/passwd`:                "_.._etc_passwd.pdf",
		`C:\Windows\x.exe`:                "C__Windows_x.exe.pdf",
		".htaccess":                       "htaccess.pdf",
		"a\"; filename=\"b.exe":           "a__ filename=_b.exe.pdf",
		"a\r\nSet-Cookie: x=y":            "a__Set-Cookie_ x=y.pdf",
		"a%2f..%2fb":                      "a_2f.._2fb.pdf",
		"surat\u202efdp.exe":              "surat_fdp.exe.pdf",
		"\u9ad8\u7ea7 perakuan.PDF":       "\u9ad8\u7ea7 perakuan.PDF",
		"`rm -rf`; $(x)":                  "_rm -rf__ _(x).pdf",
		"a\xff":                           "a_.pdf",
		"":                                ".pdf",
		"na\u00efve ~ ! # & + = @ ^ {}[]": "na\u00efve ~ ! # & + = @ ^ {}[].pdf",
	} {
		text := api.Attachment(name, ".pdf")
		kind, with, err := mime.ParseMediaType(text)
		if err != nil || kind != "attachment" || with["filename"] != want || strings.ContainsAny(text, "\r\n") || len(with) != 1 {
			t.Errorf("%q: %s: %q, want %q, %v", name, text, with, want, err)
		}
	}
}

// A plain name is said once, and any kind of file keeps its suffix.
func TestAttachmentsOfOtherKinds(t *testing.T) {
	for got, want := range map[string]string{
		api.Attachment("ba_5x", ".zip"):              `attachment; filename="ba_5x.zip"`,
		api.Attachment("mohor-officers.csv", ".csv"): `attachment; filename="mohor-officers.csv"`,
		api.Attachment("na\u00efve.pdf", ".zip"):     `attachment; filename="na_ve.pdf.zip"; filename*=UTF-8''na%C3%AFve.pdf.zip`,
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
