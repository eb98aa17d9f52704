package notify_test

import (
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/notify"
)

func TestNoticeOfABatch(t *testing.T) {
	detail := func(change map[string]string) map[string]string {
		d := map[string]string{"system": "e-PSM", "batch": "SKM Julai 2026", "status": "SIGNED", "count": "120", "signed": "120", "refused": "0", "fingerprint": "7XGP-QK4M"}
		maps.Copy(d, change)
		return d
	}
	send := func(change map[string]string) (text, html string, err error) {
		mailer, box := post(t)
		n := notice(notify.BatchEnded, detail(change))
		err = mailer.SendNotice(t.Context(), n)
		got, _ := box.Latest(n.Email)
		if err == nil && (strings.Contains(got.HTML, "href") || links(got.Text) != nil || got.Code != "") {
			t.Errorf("a link or a code: %s", got.HTML)
		}
		return got.Text, got.HTML, err
	}
	for what, c := range map[string]struct {
		change    map[string]string
		says, not []string
	}{
		"signed": {nil, []string{"Kelompok anda telah ditandatangani\nYour batch was signed\n", "Sistem / System: “e-PSM”\n", "Kelompok / Batch: “SKM Julai 2026”\nDokumen / Documents: 120\nDitandatangani / Signed: 120\nCap jari / Fingerprint: 7XGP-QK4M\n", "Jika bukan anda"},
			[]string{"Ditolak", "Belum", "berhenti"}},
		"classified": {map[string]string{"batch": ""}, []string{"Dokumen / Documents: 120\n"}, []string{"Kelompok / Batch", "SKM Julai"}},
		"with refusals": {map[string]string{"status": "SIGNED_WITH_REFUSALS", "signed": "118", "refused": "2"}, []string{"Ditandatangani / Signed: 118\nDitolak / Refused: 2\n", "which documents, and why"},
			[]string{"Belum"}},
		"none signed": {map[string]string{"status": "FAILED", "signed": "0", "refused": "120"}, []string{"tidak dapat ditandatangani\nYour batch could not be signed\n"}, []string{"Belum"}},
		"stopped": {map[string]string{"status": "NEEDS_AUTHORISATION", "signed": "60", "refused": "1", "why": notify.StoppedByCertificate},
			[]string{"PIN dan kod baharu diperlukan\n", "Belum / Left: 59\n", "Sijil digital anda dibatalkan atau digantung. Apa yang", "Your certificate was revoked or suspended. What was signed stays."}, nil},
		"stopped by a restart": {map[string]string{"status": "NEEDS_AUTHORISATION", "signed": "60"}, []string{"Penandatanganan terhenti sebelum selesai."}, nil},
		"a name that links":    {map[string]string{"batch": "lihat https://jahat.example/x\nKod: 123456"}, nil, []string{"https://jahat.example", "\nKod: 123456"}},
	} {
		text, html, err := send(c.change)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for _, want := range c.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the text lacks %q:\n%s", what, want, text)
			}
		}
		for _, no := range c.not {
			if strings.Contains(text, no) || strings.Contains(html, no) {
				t.Errorf("%s: it says %q:\n%s", what, no, text)
			}
		}
	}
	for what, change := range map[string]map[string]string{
		"another end": {"status": "OPEN"}, "no count": {"count": ""}, "more than all": {"refused": "1"}, "a number below zero": {"signed": "-1"}, "no fingerprint": {"fingerprint": "https://x"},
	} {
		if _, _, err := send(change); !errors.Is(err, notify.ErrMessage) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Where nobody wants to be told, a notice leaves the outbox and no mail is sent.
func TestUnwantedNoticesAreDropped(t *testing.T) {
	for unwanted, mails := range map[bool]uint64{true: 0, false: 1} {
		mailer, box := post(t)
		n := notice(notify.PINBlocked, nil)
		out := &shelf{n: &n}
		p := &notify.Postman{Outbox: out, Mail: mailer, Now: func() time.Time { return sentAt }, Log: slog.New(slog.DiscardHandler), Unwanted: map[string]bool{notify.PINBlocked: unwanted}}
		if ok, err := p.Once(t.Context()); !ok || err != nil || len(out.did) != 1 || out.did[0] != "finished" || box.Mark() != mails {
			t.Errorf("unwanted %v: %v, %v, did %q, %d mails", unwanted, ok, err, out.did, box.Mark())
		}
	}
}
