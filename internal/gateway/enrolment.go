package gateway

import (
	"time"

	"github.com/mohor-sign/mohor/enrol"
)

// EnrolmentConfig says how long what enrolment waits for is good, and what it wants.
type EnrolmentConfig struct {
	Link         time.Duration `yaml:"link"`
	Code         time.Duration `yaml:"code"`
	ResendAfter  time.Duration `yaml:"resend_after"`
	Open         time.Duration `yaml:"open"`
	RekeysPerDay int           `yaml:"rekeys_per_day"`
	// RevokeByTwo: an administrator's revocation at once, but of a compromised key, suspends until a
	// second administrator confirms it.
	RevokeByTwo  bool `yaml:"revoke_by_two"`
	MyKad        bool `yaml:"mykad"`
	PersonalMail bool `yaml:"personal_mail"`
}

func defaultEnrolment() EnrolmentConfig {
	return EnrolmentConfig{Link: 24 * time.Hour, Code: 14 * 24 * time.Hour, ResendAfter: 5 * time.Minute, Open: 90 * 24 * time.Hour, RekeysPerDay: 3, PersonalMail: true, RevokeByTwo: true}
}

// check returns the field that cannot be right and what it must be.
func (c *EnrolmentConfig) check() (field, want string) {
	const day = 24 * time.Hour
	for _, x := range []struct {
		field    string
		is       time.Duration
		from, to time.Duration
		want     string
	}{
		{"link", c.Link, time.Hour, 7 * day, "1h to 168h"},
		{"code", c.Code, day, 90 * day, "24h to 2160h"},
		{"resend_after", c.ResendAfter, time.Minute, time.Hour, "1m to 1h"},
		{"open", c.Open, 7 * day, 366 * day, "168h to 8784h"},
	} {
		if x.is < x.from || x.is > x.to {
			return "enrolment." + x.field, x.want
		}
	}
	switch {
	case c.Open < c.Code:
		return "enrolment.open", "not below code"
	case c.RekeysPerDay < 1 || c.RekeysPerDay > 20:
		return "enrolment.rekeys_per_day", "1 to 20"
	}
	return "", ""
}

// deskPolicy is that of the desk.
func (c *Config) deskPolicy() enrol.Policy {
	e, r := &c.Enrolment, &c.Renewal
	return enrol.Policy{LinkFor: e.Link, CodeFor: e.Code, ResendAfter: e.ResendAfter, OpenFor: e.Open, RekeysADay: e.RekeysPerDay, RevokeByTwo: e.RevokeByTwo, MyKad: e.MyKad, OfficialOnly: !e.PersonalMail,
		RenewAsked: !r.WithoutApproval, RenewWithin: r.Within}
}
