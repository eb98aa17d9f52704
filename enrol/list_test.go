package enrol_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/table"
	"github.com/mohor-sign/mohor/store/storetest"
)

const header = "no_kp,nama,emel,agensi,sistem,pejabat_perakaunan,fasa,tiket,medium\n"

func (o *office) check(t testing.TB, list string) enrol.ListReport {
	t.Helper()
	rep, err := o.CheckList(ctx, o.jdn, strings.NewReader(list), int64(len(list)))
	must(t, err)
	return rep
}

func TestListRows(t *testing.T) {
	o := newOffice(t)
	_, err := o.Add(ctx, o.jdn, o.row(newIC))
	must(t, err)
	row := func(fields string) string { return header + fields + "\n" }
	for fields, want := range map[string]string{
		"900101145601,ALI,ali@janm.gov.my,JANM,IGFMAS,,,,":                                                        "",
		"900101-14-5601, ALI  BIN ABU ,ali@janm.gov.my,JANM,IGFMAS,,,,roaming_otp":                                "",
		"900101145601,ALI,ali@janm.gov.my,JANM,IGFMAS,,,,TOKEN":                                                   "",
		"900101145601,ALI,ali@gmail.com,JPK,IGFMAS,,,,":                                                           "",
		"101145601,ALI,ali@janm.gov.my,JANM,IGFMAS,,,,":                                                           "row_ic_invalid",
		"901301145601,ALI,ali@janm.gov.my,JANM,IGFMAS,,,,":                                                        "row_ic_invalid",
		"900101145601,,ali@janm.gov.my,JANM,IGFMAS,,,,":                                                           "row_field_missing",
		"900101145601," + strings.Repeat("A", 65) + ",a@janm.gov.my,JANM,IGFMAS,,,,":                              "row_field_too_long",
		"900101145601,JOS\ufffd,ali@janm.gov.my,JANM,IGFMAS,,,,":                                                  "row_field_invalid",
		"900101145601,AL\u202eI,ali@janm.gov.my,JANM,IGFMAS,,,,":                                                  "row_field_invalid",
		`900101145601,"=cmd|' /C calc'!A0",ali@janm.gov.my,JANM,IGFMAS,,,,`:                                       "row_field_invalid",
		"900101145601,ALI,ali@janm,JANM,IGFMAS,,,,":                                                               "row_email_invalid",
		"900101145601,ALI,ali.janm.gov.my,JANM,IGFMAS,,,,":                                                        "row_email_invalid",
		"900101145601,ALI,ali@janm..gov.my,JANM,IGFMAS,,,,":                                                       "row_email_invalid",
		"900101145601,ALI,ali@janm.gov.ym,JANM,IGFMAS,,,,":                                                        "row_email_typo",
		"900101145601,ALI,ali@janm.go.my,JANM,IGFMAS,,,,":                                                         "row_email_typo",
		"900101145601,ALI,ali@gmial.com,JPK,IGFMAS,,,,":                                                           "row_email_typo",
		"900101145601,ALI,ali@gmail.com,JANM,IGFMAS,,,,":                                                          "row_personal_mail",
		"900101145601,ALI,ali@janm.gov.my,XXX,IGFMAS,,,,":                                                         "row_agency_unknown",
		"900101145601,ALI,ali@janm.gov.my,JANM,XXX,,,,":                                                           "row_system_unknown",
		"900101145601,ALI,ali@janm.gov.my,JANM,IGFMAS,,,,USB":                                                     "row_medium_invalid",
		newIC + ",NORAINI BINTI OTHMAN,noraini@janm.gov.my,JANM,IGFMAS,,,,":                                       "row_registered",
		newIC + ",NORAINI BINTI OTHMAN,noraini@janm.gov.my,JANM,EP,,,,":                                           "",
		newIC + ",NORAINI BINTI OTHMAN,pencuri@janm.gov.my,JANM,EP,,,,":                                           "row_conflict",
		newIC + ",ORANG LAIN,noraini@janm.gov.my,JANM,EP,,,,":                                                     "row_conflict",
		storetest.IC + ",NOR'AINI BINTI ALI,noraini@jpk.example,JANM,IGFMAS,,,,":                                  "row_registered",
		"900101145601,ALI,ali@janm.gov.my,JANM,IGFMAS,,,," + "\n900101145601,ALI,ali@janm.gov.my,JANM,IGFMAS,,,,": "row_duplicate",
	} {
		rep := o.check(t, row(fields))
		got := ""
		if len(rep.Told) > 0 {
			got = rep.Told[0].Code
			if rep.Told[0].Row < 2 || rep.Told[0].Field == "" || rep.Told[0].MS == "" || rep.Told[0].EN == "" {
				t.Errorf("%s: %+v", fields, rep.Told[0])
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", fields, got, want)
		}
	}
	for what, list := range map[string]string{"an unknown column": "x," + header, "a column missing": "no_kp,nama\n", "semicolons": strings.ReplaceAll(header, ",", ";"), "nothing": "", "Latin 1": header + "900101145601,JOS\xC9,a@janm.gov.my,JANM,IGFMAS,,,,\n", "a column twice": "ic," + header} {
		if _, err := o.CheckList(ctx, o.jdn, strings.NewReader(list), int64(len(list))); !errors.Is(err, table.ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
