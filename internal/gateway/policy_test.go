package gateway_test

import (
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
)

func TestEnrolmentConfig(t *testing.T) {
	c := gateway.DefaultEnrolment()
	if field, _ := gateway.CheckEnrolment(&c); field != "" {
		t.Errorf("the default: %s", field)
	}
	for want, edit := range map[string]func(*gateway.EnrolmentConfig){
		"enrolment.link":           func(c *gateway.EnrolmentConfig) { c.Link = time.Minute },
		"enrolment.code":           func(c *gateway.EnrolmentConfig) { c.Code = 0 },
		"enrolment.resend_after":   func(c *gateway.EnrolmentConfig) { c.ResendAfter = 2 * time.Hour },
		"enrolment.open":           func(c *gateway.EnrolmentConfig) { c.Open, c.Code = 8*24*time.Hour, 9*24*time.Hour },
		"enrolment.rekeys_per_day": func(c *gateway.EnrolmentConfig) { c.RekeysPerDay = 0 },
	} {
		c := gateway.DefaultEnrolment()
		edit(&c)
		if field, says := gateway.CheckEnrolment(&c); field != want || says == "" {
			t.Errorf("%s: %q %q", want, field, says)
		}
	}
}
