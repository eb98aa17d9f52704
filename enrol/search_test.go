package enrol_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/storetest"
)

// register lists officers of two agencies and systems, none of whom has applied.
func (o *office) register(t testing.TB) {
	t.Helper()
	for _, r := range []struct{ ic, name, mail, agency, system string }{
		{"800101145001", "NUR AISYAH BINTI RAHMAN", "aisyah@anm.gov.my", "JANM", storetest.System},
		{"810202145002", "MUHAMMAD ALI BIN ABU", "m.ali@anm.gov.my", "JANM", "EP"},
		{"820303145003", "NUR HIDAYAH BINTI ALI", "hidayah@jpk.gov.my", "JPK", "EP"},
		{"830404145004", "TAN MEI LING", "meiling@jpk.gov.my", "JPK", storetest.System},
	} {
		row := o.row(r.ic)
		row.Officer.Name, row.Officer.Email, row.Agency, row.System, row.Office = r.name, r.mail, r.agency, r.system, "PTJ "+r.agency
		_, err := o.Add(ctx, enrol.Actor{Name: "cli:test"}, row)
		must(t, err)
	}
}

func found(t *testing.T, o *office, a enrol.Actor, q enrol.OfficerQuery) (out []string) {
	t.Helper()
	list, _, err := o.SearchOfficers(ctx, a, q)
	must(t, err)
	for _, x := range list {
		out = append(out, x.IC[:2])
	}
	return out
}

// What each may find, by every way of asking: those of the own system or agency, and nobody else's.
func TestSearchStaysWithinScope(t *testing.T) {
	o := newOffice(t)
	o.register(t)
	jpk := enrol.Actor{Name: "account:jpk", IC: "700101105556", Appointments: []enrol.Appointment{{Role: enrol.AP, Agency: "JPK"}}}
	auditor := enrol.Actor{Name: "account:aud", IC: "700101105557", Appointments: []enrol.Appointment{{Role: enrol.Auditor}}}
	for _, c := range []struct {
		name string
		a    enrol.Actor
		q    enrol.OfficerQuery
		want string
	}{
		{"JDN all", o.jdn, enrol.OfficerQuery{}, "81 90 80 82 83"},
		{"auditor all", auditor, enrol.OfficerQuery{}, "81 90 80 82 83"},
		{"SAP all", o.sap, enrol.OfficerQuery{}, "80 83"},
		{"AP all", o.ap, enrol.OfficerQuery{}, "81 80"},
		{"AP of JPK all", jpk, enrol.OfficerQuery{}, "82 83"},
		{"name", o.jdn, enrol.OfficerQuery{Text: "ali"}, "81 90 82"},
		{"words in any order", o.jdn, enrol.OfficerQuery{Text: "binti  nur"}, "80 82"},
		{"name, AP", o.ap, enrol.OfficerQuery{Text: "ali"}, "81"},
		{"mail", o.jdn, enrol.OfficerQuery{Text: "@JPK.gov"}, "82 83"},
		{"mail of others", o.ap, enrol.OfficerQuery{Text: "hidayah@jpk.gov.my"}, ""},
		{"whole IC", o.jdn, enrol.OfficerQuery{Text: "820303-14-5003"}, "82"},
		{"whole IC of others", o.ap, enrol.OfficerQuery{Text: "820303145003"}, ""},
		{"digits", o.jdn, enrol.OfficerQuery{Text: "8202"}, ""},
		{"leading digits", o.jdn, enrol.OfficerQuery{Text: "8203"}, "82"},
		{"leading digits of others", o.ap, enrol.OfficerQuery{Text: "82"}, ""},
		{"agency", o.jdn, enrol.OfficerQuery{Agency: "JPK"}, "82 83"},
		{"another's agency", o.ap, enrol.OfficerQuery{Agency: "JPK"}, ""},
		{"system and office", o.jdn, enrol.OfficerQuery{System: "EP", Office: "PTJ JPK"}, "82"},
		{"no certificate", o.jdn, enrol.OfficerQuery{Status: enrol.NoCertificate, System: "EP"}, "81 82"},
		{"nobody", o.jdn, enrol.OfficerQuery{Text: "zzz"}, ""},
		{"a serial number of nobody", o.jdn, enrol.OfficerQuery{Text: "0123456789abcdef0123"}, ""},
	} {
		if got := strings.Join(found(t, o, c.a, c.q), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	_, _, err := o.SearchOfficers(ctx, enrol.Actor{Name: "account:x", IC: "700101105558"}, enrol.OfficerQuery{})
	refused(t, "nobody's search", err, "forbidden")
	// A page behind somebody whom one may not see is as one behind nobody.
	for _, ic := range []string{"820303145003", "990101145009"} {
		_, _, err = o.SearchOfficers(ctx, o.ap, enrol.OfficerQuery{After: ic})
		refused(t, "a page behind "+ic, err, "field_invalid")
	}
	first, more, err := o.SearchOfficers(ctx, o.jdn, enrol.OfficerQuery{Limit: 3})
	must(t, err)
	second, last, err := o.SearchOfficers(ctx, o.jdn, enrol.OfficerQuery{Limit: 3, After: first[2].IC})
	must(t, err)
	if len(first) != 3 || !more || len(second) != 2 || last || second[1].IC != "830404145004" {
		t.Errorf("pages: %v %v, %v %v", first, more, second, last)
	}
	told := 0
	for _, r := range storetest.Chain(t, o.House.DB) {
		if r.Action == "enrol.read" && r.Object == "officers" && r.Actor == o.ap.Name && r.Detail["asked"] == "name" {
			told++
			if r.Detail["text"] != "ali" || r.Detail["found"] != "1" || r.Detail["shown"] != "810202145002" {
				t.Errorf("the audit: %v", r.Detail)
			}
		}
	}
	if told != 1 {
		t.Errorf("%d events of the AP's search", told)
	}
	o.sound(t)
}

// An agency that has listed another's officer finds name and own listing, and neither address nor
// certificate, by no question.
func TestSearchWithholdsOthersOfficers(t *testing.T) {
	o := newOffice(t)
	id := o.applied(t, newIC)
	must(t, o.Validate(ctx, o.ap, id))
	must(t, second(o.Approve(ctx, o.jdn, id)))
	row := o.row(newIC)
	row.Agency, row.System = "JPK", "EP"
	_, err := o.Add(ctx, o.jd2, row)
	must(t, err)
	jpk := enrol.Actor{Name: "account:jpk", IC: "700101105556", Appointments: []enrol.Appointment{{Role: enrol.AP, Agency: "JPK"}}}
	list, _, err := o.SearchOfficers(ctx, jpk, enrol.OfficerQuery{Text: "noraini"})
	must(t, err)
	if len(list) != 1 || !list[0].Withheld || list[0].Email != "" || len(list[0].Lines) != 1 || list[0].Lines[0].System != "EP" || list[0].Lines[0].Serial != "" {
		t.Fatalf("%+v", list)
	}
	whole, _, err := o.SearchOfficers(ctx, o.jdn, enrol.OfficerQuery{Text: newIC})
	must(t, err)
	at := slices.IndexFunc(whole[0].Lines, func(l enrol.OfficerLine) bool { return l.Serial != "" })
	serial := whole[0].Lines[at].Serial
	if whole[0].Lines[at].Status != "ACTIVE" {
		t.Errorf("%+v", whole[0].Lines[at])
	}
	for text, want := range map[string]string{"noraini@janm": "", serial: "", "noraini": "79"} {
		if got := strings.Join(found(t, o, jpk, enrol.OfficerQuery{Text: text}), " "); got != want {
			t.Errorf("JPK, %s: %q", text, got)
		}
	}
	if got := found(t, o, jpk, enrol.OfficerQuery{Status: "ACTIVE"}); got != nil {
		t.Errorf("by status: %v", got)
	}
	for _, a := range []enrol.Actor{o.jdn, o.ap, o.sap} {
		if got := found(t, o, a, enrol.OfficerQuery{Text: serial}); len(got) != 1 {
			t.Errorf("%s does not find the certificate", a.Name)
		}
	}
}

// What changes is found changed at once: by this gateway and by another on the same database.
func TestSearchIsCurrent(t *testing.T) {
	o := newOffice(t)
	other := desk(o.House)
	look := func(d *enrol.Desk) string {
		list, _, err := d.SearchOfficers(ctx, o.jdn, enrol.OfficerQuery{Text: newIC})
		must(t, err)
		if len(list) == 0 {
			return "nobody"
		}
		l := list[0].Lines[0]
		return fmt.Sprint(list[0].Name, " ", l.Status, " ", l.Open)
	}
	same := func(want string) {
		t.Helper()
		for k, d := range []*enrol.Desk{o.Desk, other} {
			if got := look(d); got != want {
				t.Errorf("gateway %d: %q, want %q", k, got, want)
			}
		}
	}
	same("nobody")
	id := o.applied(t, newIC)
	same("NORAINI BINTI OTHMAN NO_CERTIFICATE APPLIED")
	must(t, o.Validate(ctx, o.ap, id))
	must(t, second(o.Approve(ctx, o.jdn, id)))
	same("NORAINI BINTI OTHMAN ACTIVE ")
	_, err := o.Suspend(ctx, o.ap, enrol.StatusOrder{IC: newIC, System: storetest.System, Why: "siasatan dalaman"})
	must(t, err)
	same("NORAINI BINTI OTHMAN SUSPENDED ")
	_, err = o.Revoke(ctx, o.ap, enrol.StatusOrder{IC: newIC, System: storetest.System, Reason: "keyCompromise", Why: "kunci bocor"})
	must(t, err)
	same("NORAINI BINTI OTHMAN REVOKED ")
}
