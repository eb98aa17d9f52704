package process_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/process"
)

// What the list of iGFMAS says as a whole: 50 processes, one person for Penyemak, nobody for
// three, and the four that somebody receives.
func TestBuiltin(t *testing.T) {
	l, err := process.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	all := l.Of("IGFMAS")
	by := map[string][]string{}
	bulk := map[process.Bulk][]string{}
	for _, p := range all {
		roles := strings.Join(p.Roles, ">")
		by[roles] = append(by[roles], p.Code)
		bulk[p.Bulk] = append(bulk[p.Bulk], p.Code)
	}
	if len(all) != 50 || len(by) != 4 || len(by["Perakuan 1>Perakuan 2"]) != 40 {
		t.Errorf("%d processes of %d kinds, %d with two roles", len(all), len(by), len(by["Perakuan 1>Perakuan 2"]))
	}
	for roles, want := range map[string]string{"": "AP-29 AP-30 AP-31", "Penyemak": "HCM-44 HCM-45 HCM-46", "Perakuan 1>Perakuan 2>Akuan Terima": "AA-05 AA-11 AA-18 GL-34"} {
		if got := strings.Join(by[roles], " "); got != want {
			t.Errorf("roles %q: %s; want %s", roles, got, want)
		}
	}
	if got := strings.Join(bulk[process.BulkYes], " "); got != "AA-13 AA-14 AA-15 AA-16 AA-17 AA-18 AP-29" {
		t.Errorf("bulk: %s", got)
	}
	if len(bulk[process.BulkNo]) != 12 {
		t.Errorf("not bulk: %v", bulk[process.BulkNo])
	}
	p, ok := l.Find("IGFMAS", "AA-11")
	if !ok || p.Name != "Pindahan Aset" || p.Step("Perakuan 1") != 1 || p.Step("Akuan Terima") != 3 || p.Step("Penyemak") != 0 || p.After(2) != "Akuan Terima" || p.After(3) != "" || p.Check {
		t.Errorf("AA-11 is %+v", p)
	}
	for _, at := range [][2]string{{"MYSPIKE", "AA-11"}, {"IGFMAS", "AA-51"}, {"IGFMAS", ""}} {
		if p, ok := l.Find(at[0], at[1]); ok {
			t.Errorf("found %+v", p)
		}
	}
	if slices.ContainsFunc(l.Of("MYSPIKE"), func(process.Process) bool { return true }) {
		t.Error("another system has processes")
	}
}

func TestReadSaysWhere(t *testing.T) {
	const head = "code,system,module,client,name_ms,name_en,roles,bulk,check\n"
	for _, c := range []struct {
		in     string
		row    int
		column string
	}{
		{"", 1, ""},
		{head, 1, ""},
		{"code,system\nA,B\n", 1, ""},
		{head + "A,S,,,N,,R\n", 2, ""},
		{head + "A,S,,,\"N,,R,,\n", 2, ""},
		{head + "A,S,,,N,,R,,\nA,S,,,N,,R,,\n", 3, "code"},
		{head + ",S,,,N,,R,,\n", 2, "code"},
		{head + "A B,S,,,N,,R,,\n", 2, "code"},
		{head + "A,,,,N,,R,,\n", 2, "system"},
		{head + "A,S,,,,,R,,\n", 2, "name_ms"},
		{head + "A,S,,,N\x01,,R,,\n", 2, "name_ms"},
		{head + "A,S,,,N\xff,,R,,\n", 2, "name_ms"},
		{head + "A,S,,, N,,R,,\n", 2, "name_ms"},
		{head + "A,S,,,N," + strings.Repeat("n", 201) + ",R,,\n", 2, "name_en"},
		{head + "A,S,,,N,,R>,,\n", 2, "roles"},
		{head + "A,S,,,N,,R > Q,,\n", 2, "roles"},
		{head + "A,S,,,N,,R>Q>R,,\n", 2, "roles"},
		{head + "A,S,,,N,,R,maybe,\n", 2, "bulk"},
		{head + "A,S,,,N,,R,,no\n", 2, "check"},
	} {
		_, err := process.Read(strings.NewReader(c.in))
		var at *process.Error
		if !errors.As(err, &at) || at.Row != c.row || at.Column != c.column {
			t.Errorf("%q: %v; want row %d, column %q", c.in, err, c.row, c.column)
		}
	}
	// A byte-order mark, as a spreadsheet writes it, and the same code in two systems.
	l, err := process.Read(strings.NewReader("\ufeff" + head + "A,S,,,Nama,,R>Q,yes,yes\nA,T,,,Nama,,,,\n"))
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := l.Find("S", "A"); p.After(1) != "Q" || p.Bulk != process.BulkYes || !p.Check {
		t.Errorf("%+v", p)
	}
	if p, ok := l.Find("T", "A"); !ok || len(p.Roles) != 0 {
		t.Errorf("%+v", p)
	}
}
