package enrol

import (
	"fmt"
	"slices"
	"strings"
)

// Declaration is what the officer accepts with an application; its version is kept.
const (
	DeclarationVersion = "2026-1"
	DeclarationMS      = "Saya mengaku maklumat ini benar, PIN ini hanya diketahui oleh saya, dan tandatangan digital saya mengikat saya seperti tandatangan bertulis (Akta Tandatangan Digital 1997)."
	DeclarationEN      = "I declare that this information is true, that only I know this PIN, and that my digital signature binds me like a written one (Digital Signature Act 1997)."
)

// Form is what the officer tells in an application.
type Form struct {
	Name        string `json:"name"` // as in the register when it was made: filled in by the desk
	Address     string `json:"address"`
	Postcode    string `json:"postcode"`
	State       string `json:"state"` // one of MalaysianStates
	Phone       string `json:"phone"`
	Fax         string `json:"fax,omitempty"`
	Mobile      string `json:"mobile"`
	MailKind    string `json:"mail_kind"`   // "official" or "personal"
	Image       string `json:"image"`       // one of SecurityImages
	Declaration string `json:"declaration"` // DeclarationVersion
}

// MalaysianStates are the states and federal territories as an address names them.
func MalaysianStates() []string {
	return []string{"Johor", "Kedah", "Kelantan", "Melaka", "Negeri Sembilan", "Pahang", "Perak", "Perlis", "Pulau Pinang", "Sabah", "Sarawak",
		"Selangor", "Terengganu", "W.P. Kuala Lumpur", "W.P. Labuan", "W.P. Putrajaya"}
}

// SecurityImages are the pictures of which the officer chooses one, to be shown it when
// signing.
func SecurityImages() []string {
	return []string{"bunga-raya", "harimau", "wau", "gasing", "rafflesia", "kancil", "penyu", "enggang", "durian", "manggis", "congkak", "keris", "songket", "sampan", "gunung", "pelita"}
}

// check gives every field that cannot be accepted. personal says whether the agency
// takes personal addresses.
func (f *Form) check(personal bool) (bad []*Refusal) {
	text := func(field, s string, limit int) {
		if !showable(strings.TrimSpace(s), limit) {
			bad = append(bad, entered("field_invalid", field, fmt.Sprintf("isi 1 hingga %d aksara", limit), fmt.Sprintf("fill in 1 to %d characters", limit)))
		}
	}
	text("address", f.Address, 300)
	if len(f.Postcode) != 5 || strings.Map(keepDigits, f.Postcode) != f.Postcode {
		bad = append(bad, entered("postcode_invalid", "postcode", "poskod mempunyai 5 digit", "a postcode has 5 digits"))
	}
	if !slices.Contains(MalaysianStates(), f.State) {
		bad = append(bad, entered("state_invalid", "state", "pilih sebuah negeri", "choose a state"))
	}
	number := func(field, s string) {
		digits := strings.Map(keepDigits, s)
		if len(digits) < 8 || len(digits) > 15 || strings.Trim(s, "0123456789+- ()") != "" {
			bad = append(bad, entered("phone_invalid", field, "nombor telefon mempunyai 8 hingga 15 digit", "a telephone number has 8 to 15 digits"))
		}
	}
	number("phone", f.Phone)
	if f.Fax != "" {
		number("fax", f.Fax)
	}
	if no := mobileNumber(f.Mobile); no != nil {
		bad = append(bad, no)
	}
	switch {
	case f.MailKind != "official" && f.MailKind != "personal":
		bad = append(bad, entered("mail_kind_invalid", "mail_kind", "pilih rasmi atau peribadi", `choose "official" or "personal"`))
	case f.MailKind == "personal" && !personal:
		bad = append(bad, entered("personal_mail", "mail_kind", "agensi anda tidak membenarkan e-mel peribadi", "your agency does not allow a personal address"))
	}
	if !slices.Contains(SecurityImages(), f.Image) {
		bad = append(bad, entered("image_invalid", "image", "pilih satu gambar keselamatan", "choose a security image"))
	}
	if f.Declaration != DeclarationVersion {
		bad = append(bad, entered("declaration_missing", "declaration", "terima perakuan yang ditunjukkan", "accept the declaration that is shown"))
	}
	return bad
}
