package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/mykad"
)

// register is the registry of agencies and systems as it was at one time.
type register struct {
	agencies map[string]Agency
	systems  map[string]System
	now      time.Time
}

func (d *Desk) register(ctx context.Context) (*register, error) {
	r, err := readRegister(ctx, d.Records, d.Now())
	if err == nil && d.Policy.OfficialOnly {
		for code, g := range r.agencies {
			g.PersonalMail = false
			r.agencies[code] = g
		}
	}
	return r, err
}

func readRegister(ctx context.Context, from interface {
	Agencies(ctx context.Context) ([]Agency, error)
	Systems(ctx context.Context) ([]System, error)
}, now time.Time) (*register, error) {
	agencies, err := from.Agencies(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading agencies: %w", err)
	}
	systems, err := from.Systems(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading systems: %w", err)
	}
	r := &register{agencies: map[string]Agency{}, systems: map[string]System{}, now: now}
	for _, g := range agencies {
		r.agencies[g.Code] = g
	}
	for _, s := range systems {
		r.systems[s.Code] = s
	}
	return r, nil
}

// judge gives the column of the first thing about a row that the registry does not
// allow.
func (r *register) judge(row *Row) (col int, no *Refusal) {
	if begins := row.Officer.Name[0]; strings.IndexByte("=+-@", begins) >= 0 {
		return colName, entered("field_invalid", "name", "nama tidak bermula dengan tanda", "a name does not begin with a sign")
	}
	if _, ok := r.agencies[row.Agency]; !ok {
		return colAgency, entered("agency_unknown", "agency", "agensi tidak berdaftar", "the agency is not registered")
	}
	if no := r.address(row.Officer.Email, row.Agency); no != nil {
		return colEmail, no
	}
	s, ok := r.systems[row.System]
	if !ok {
		return colSystem, entered("system_unknown", "system", "sistem tidak berdaftar", "the system is not registered")
	}
	switch row.Medium {
	case "", RoamingOTP, Roaming, SoftCert:
	case Token:
		if s.EndedTokens(r.now) {
			return colMedium, entered("token_ended", "medium", "sistem ini tidak lagi menerima token", "this system takes no more tokens")
		}
	default:
		return colMedium, entered("medium_invalid", "medium", "bukan TOKEN, SOFTCERT, ROAMING atau ROAMING_OTP", "not TOKEN, SOFTCERT, ROAMING or ROAMING_OTP")
	}
	return 0, nil
}

// address judges an e-mail address, with what people mistype.
func (r *register) address(s, agency string) *Refusal {
	local, domain, _ := strings.Cut(strings.ToLower(s), "@")
	labels := strings.Split(domain, ".")
	if !plainAddress(s) || local == "" || len(labels) < 2 || slices.Contains(labels, "") || len(labels[len(labels)-1]) < 2 || strings.ContainsFunc(s, func(c rune) bool { return c > '~' || c == '"' }) {
		return entered("email_invalid", "email", "bukan alamat e-mel", "not an e-mail address")
	}
	for _, usual := range []string{"gov.my", "gmail.com", "yahoo.com", "hotmail.com", "outlook.com"} {
		n := strings.Count(usual, ".") + 1
		tail := strings.Join(labels[max(len(labels)-n, 0):], ".")
		if tail != usual && slip(tail, usual) {
			return entered("email_typo", "email", fmt.Sprintf("e-mel mungkin tersilap taip: %s?", usual), fmt.Sprintf("the address looks mistyped: %s?", usual))
		}
	}
	if personal := []string{"gmail.com", "googlemail.com", "yahoo.com", "yahoo.com.my", "ymail.com", "hotmail.com", "outlook.com", "live.com", "icloud.com", "proton.me", "protonmail.com"}; slices.Contains(personal, domain) && !r.agencies[agency].PersonalMail {
		return entered("personal_mail", "email", "agensi ini tidak membenarkan e-mel peribadi", "this agency does not allow personal addresses")
	}
	return nil
}

// slip says whether a and b differ by one slip of a finger: a letter too many, too few
// or wrong, or two exchanged.
func slip(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	k := 0
	for k < len(a) && a[k] == b[k] {
		k++
	}
	switch {
	case len(b)-len(a) > 1:
		return false
	case len(b) > len(a):
		return a[k:] == b[k+1:]
	case k == len(a):
		return false
	}
	return a[k+1:] == b[k+1:] || k+1 < len(a) && a[k] == b[k+1] && a[k+1] == b[k] && a[k+2:] == b[k+2:]
}

// standing compares a row with the register: already says that an earlier run of the
// same list has added it.
func (d *Desk) standing(ctx context.Context, row *Row, list string) (already bool, no *Refusal, err error) {
	s, err := d.Records.Standing(ctx, row.Officer.IC, row.System, d.Now())
	if errors.Is(err, ErrUnknown) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, fmt.Errorf("reading register: %w", err)
	}
	otp := row.Medium == "" || row.Medium == RoamingOTP
	switch {
	case s.Name != row.Officer.Name:
		return false, entered("conflict", "name", "IC ini berdaftar dengan nama lain", "this IC is registered with another name"), nil
	// Codes go there: a list must not move them to another mailbox.
	case s.Email != row.Officer.Email:
		return false, entered("conflict", "email", "pegawai ini berdaftar dengan e-mel lain", "this officer is registered with another address"), nil
	case otp && s.Enrolment != "" && list != "" && s.List == list, !otp && s.Medium == row.Medium && list != "":
		return true, nil, nil
	case s.Enrolment != "", s.Live, !otp && s.Medium != "":
		return false, entered("registered", "ic", "pegawai sudah didaftarkan untuk sistem ini", "the officer is registered for this system already"), nil
	}
	return false, nil, nil
}

// sound judges what one officer's row holds that a list's reader judges by its columns.
func (row *Row) sound() *Refusal {
	if _, err := mykad.Parse(row.Officer.IC); err != nil {
		return entered("ic_invalid", "ic", "bukan 12 digit yang bermula dengan tarikh lahir", "not 12 digits that begin with a date of birth")
	}
	for _, x := range [][2]string{{"office", row.Office}, {"phase", row.Phase}, {"ticket", row.Ticket}} {
		if x[1] != "" && !showable(x[1], 64) {
			return entered("field_invalid", x[0], "paling banyak 64 aksara", "at most 64 characters")
		}
	}
	if !showable(row.Officer.Name, 64) {
		return entered("field_invalid", "name", "nama mempunyai 1 hingga 64 aksara", "a name has 1 to 64 characters")
	}
	return nil
}
