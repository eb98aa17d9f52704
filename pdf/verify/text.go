package verify

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// WriteText writes the report for people, in Malay with English beside. name
// is what the document is called.
func (r *Report) WriteText(w io.Writer, name string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-13s %s\n", r.Verdict, name)
	fmt.Fprintf(&b, "  %s\n", r.summary())
	reasons(&b, "  ", r.Reasons)
	for i := range r.Signatures {
		r.Signatures[i].text(&b)
	}
	for i := range r.Timestamps {
		r.Timestamps[i].text(&b, "  ")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) summary() string {
	switch r.Verdict {
	case Valid:
		if slices.ContainsFunc(r.Signatures, func(s Signature) bool { return s.changed }) {
			return "SAH: dokumen ini tulen; yang ditambah kemudian dinamakan di bawah / the document is genuine; what was added later is named below"
		}
		return "SAH: dokumen ini tulen dan tidak diubah / the document is genuine and unchanged"
	case Invalid:
		return "TIDAK SAH: jangan percaya dokumen ini / do not trust this document"
	}
	return "TIDAK DAPAT DISAHKAN: tidak dapat dipastikan sama ada dokumen ini tulen / it cannot be told whether the document is genuine"
}

func (s *Signature) text(b *strings.Builder) {
	name := s.Field
	if name == "" { // detached
		name = "Tandatangan / signature"
	}
	fmt.Fprintf(b, "  %s: %s\n", printable(name), known(string(s.Verdict), printable(s.Signer)))
	line := func(ms, en, value string) {
		if value != "" {
			fmt.Fprintf(b, "    %-34s %s\n", ms+" / "+en+":", value)
		}
	}
	if s.SignedAt != nil {
		source := "menurut penandatangan sahaja / claimed only"
		if s.TimeSource == "timestamp" {
			source = "dibuktikan cap masa / proven by a time-stamp"
		}
		line("Masa", "time", clock(*s.SignedAt)+", "+source)
	}
	if s.Level != "" {
		line("Tahap", "level", "PAdES "+s.Level)
	}
	line("Status sijil", "certificate", s.Revocation.text())
	if c := s.Certification; c != nil {
		line("Perakuan", "certification", "perubahan dibenarkan / permitted changes: "+permitted(c.Permission))
	}
	if s.Covers {
		line("Meliputi", "covers", "seluruh dokumen / the whole document")
	} else if len(s.Changes) > 0 {
		line("Ditambah kemudian", "added later", printable(short(s.Changes)))
	}
	reasons(b, "    ", s.Reasons)
	for i := range s.Timestamps {
		s.Timestamps[i].text(b, "    ")
	}
}

func (t *Timestamp) text(b *strings.Builder, indent string) {
	when := ""
	if t.Time != nil {
		when = clock(*t.Time)
	}
	fmt.Fprintf(b, "%sCap masa / time-stamp: %s\n", indent, known(string(t.Verdict), when, printable(t.Authority)))
	reasons(b, indent+"  ", t.Reasons)
}

// known joins what is known.
func known(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(s string) bool { return s == "" }), ", ")
}

// permitted says what /P of a certification permits (ISO 32000-2, Table 257).
func permitted(p int) string {
	switch p {
	case 1:
		return "tiada / none (P 1)"
	case 2:
		return "borang dan tandatangan / forms and signatures (P 2)"
	case 3:
		return "borang, tandatangan dan catatan / forms, signatures and annotations (P 3)"
	}
	return fmt.Sprintf("P %d", p)
}

func (r Revocation) text() string {
	said := ""
	if r.At != nil {
		said = fmt.Sprintf(" (%s, %s)", r.Source, clock(*r.At))
	}
	switch r.Status {
	case "good":
		return "tidak dibatalkan / not revoked" + said
	case "revoked":
		return "dibatalkan / revoked" + said
	case "revoked_later":
		return "dibatalkan selepas ditandatangani / revoked after signing" + said
	case "unknown":
		return "tidak diketahui / unknown"
	}
	return "pembatalan tidak disemak / revocation not checked"
}

func reasons(b *strings.Builder, indent string, list []Reason) {
	for _, r := range list {
		fmt.Fprintf(b, "%s- %s / %s\n", indent, r.MS, r.EN)
		if r.Detail != "" {
			fmt.Fprintf(b, "%s  [%s: %s]\n", indent, r.Code, printable(r.Detail))
		} else {
			fmt.Fprintf(b, "%s  [%s]\n", indent, r.Code)
		}
	}
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// printable keeps texts of the document from giving orders to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7F && r < 0xA0 || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
}
