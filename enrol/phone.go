package enrol

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mohor-sign/mohor/internal/secret"
)

// The officer's mobile number. No code goes there.
const (
	ChangePhone Action = "officer.phone"
	SeePhone    Action = "officer.phone.read"
)

// NoticePhoneChanged goes to the mailbox: the channel there is.
const NoticePhoneChanged = "officer.phone.changed"

// Phone is p's mobile number: as it was changed last, or as the newest application has it;
// "" when there is none.
func (d *Desk) Phone(ctx context.Context, p Person) (string, error) {
	ev, err := d.decide(ctx, person(&p), SeePhone, officer(p.Account.IC, ""))
	if err != nil {
		return "", err
	}
	number, at, err := d.Records.Phone(ctx, p.Account.IC)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return "", fmt.Errorf("reading telephone: %w", err)
	}
	all, err := d.Records.EnrolmentsOf(ctx, p.Account.IC)
	if err != nil {
		return "", fmt.Errorf("reading enrolments: %w", err)
	}
	for _, e := range slices.Backward(all) {
		f, _, _, err := d.Records.Application(ctx, e.ID)
		if errors.Is(err, ErrUnknown) || err == nil && (len(f.Form) == 0 || !f.At.After(at)) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("reading application: %w", err)
		}
		form, err := d.form(ctx, &f)
		if err != nil {
			return "", err
		}
		if e.Kind == First && form.Mobile != "" { // other kinds repeat an older form
			number = form.Mobile
			break
		}
	}
	return number, d.Records.Audit(ctx, ev)
}

// AskPhone asks for another mobile number, in a session just opened: the code that confirms
// it is mailed, and is good for this number alone. *[Refusal], ErrStale.
func (d *Desk) AskPhone(ctx context.Context, acc *Accounts, p Person, mobile string) (Login, error) {
	ev, err := d.decide(ctx, person(&p), ChangePhone, officer(p.Account.IC, ""))
	if err != nil {
		return Login{}, err
	}
	if no := mobileNumber(mobile); no != nil {
		return Login{}, d.refuse(ctx, ev, no)
	}
	if _, _, err := d.Registrar.Records.Officer(ctx, p.Account.IC); errors.Is(err, ErrUnknown) {
		return Login{}, d.refuse(ctx, ev, refusal("not_registered", ErrUnknown))
	} else if err != nil {
		return Login{}, fmt.Errorf("reading officer: %w", err)
	}
	if err := acc.Fresh(&p); err != nil {
		return Login{}, err
	}
	mark, err := d.phoneMark(ctx, p.Account.IC, mobile)
	if err != nil {
		return Login{}, err
	}
	return acc.askCode(ctx, &p, ForPhone, mark)
}

// ConfirmPhone changes the number with the code that was mailed for it; the officer is
// told. A *CodeError, ErrUnknown, ErrUsed, a *[Refusal] when it is another number.
func (d *Desk) ConfirmPhone(ctx context.Context, acc *Accounts, p Person, id string, code secret.Text, mobile string) error {
	ev, err := d.decide(ctx, person(&p), ChangePhone, officer(p.Account.IC, ""))
	if err != nil {
		return err
	}
	l, mark, err := acc.ownCode(ctx, &p, id, ForPhone, code)
	if err != nil {
		return err
	}
	now, err := d.phoneMark(ctx, p.Account.IC, mobile)
	if err != nil {
		return err
	}
	if now != mark {
		return d.refuse(ctx, ev, entered("phone_other", "mobile", "kod ini untuk nombor lain", "this code is for another number"))
	}
	return d.Records.PutPhone(ctx, p.Account.IC, strings.TrimSpace(mobile), l, ev)
}

// phoneMark is what is kept of a number until it is confirmed: nothing to read there.
func (d *Desk) phoneMark(ctx context.Context, ic, mobile string) (string, error) {
	mac, err := d.MAC.MAC(ctx, []byte("mohor phone v1\n"+ic+"\n"+strings.TrimSpace(mobile)))
	return hex.EncodeToString(mac), err
}

// mobileNumber refuses what is no Malaysian mobile number.
func mobileNumber(s string) *Refusal {
	digits := strings.Map(keepDigits, s)
	switch {
	case len(digits) < 8 || len(digits) > 15 || strings.Trim(s, "0123456789+- ()") != "":
		return entered("phone_invalid", "mobile", "nombor telefon mempunyai 8 hingga 15 digit", "a telephone number has 8 to 15 digits")
	case !strings.HasPrefix(strings.TrimPrefix(digits, "6"), "01"):
		return entered("mobile_invalid", "mobile", "nombor telefon bimbit bermula dengan 01", "a mobile number begins with 01")
	}
	return nil
}
