package queue_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/table"
	"github.com/mohor-sign/mohor/web/console/queue"
)

func opened(t *testing.T, text string) *queue.Sheet {
	t.Helper()
	s, err := queue.Open(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A list goes to the browser and comes back as it was, whatever its cells hold.
func TestSheetTravels(t *testing.T) {
	s := opened(t, "\ufeffno_kp;nama\r\n0101;\"A \"\"B\"\"; C\"\r\n=1+1;\"two\nlines\"\r\n;\r\nx")
	want := [][]string{{"0101", `A "B"; C`}, {"=1+1", "two\nlines"}, {"", ""}, {"x", ""}}
	for range 2 {
		if !slices.Equal(s.Head, []string{"no_kp", "nama"}) || fmt.Sprintf("%q", s.Rows) != fmt.Sprintf("%q", want) {
			t.Fatalf("%q", s)
		}
		var err error
		if s, err = queue.Unpack(s.Pack()); err != nil {
			t.Fatal(err)
		}
	}
	long := &queue.Sheet{Head: []string{"a"}, Rows: slices.Repeat([][]string{{"b"}}, 100_001)}
	wide := &queue.Sheet{Head: slices.Repeat([]string{"a"}, 65)}
	for _, bad := range []string{"", "x", "AAAA", (&queue.Sheet{}).Pack(), long.Pack(), wide.Pack(), strings.TrimRight(s.Pack(), "A")[:9]} {
		if _, err := queue.Unpack(bad); !errors.Is(err, queue.ErrUnreadable) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSheetRefused(t *testing.T) {
	for what, text := range map[string]string{"more fields than the header": "a,b\n1,2,3\n", "a quote that is not closed": "a,b\n\"1,2\n"} {
		var refused *table.Error
		if _, err := queue.Open(strings.NewReader(text)); !errors.As(err, &refused) || refused.Line != 2 {
			t.Errorf("%s: %v", what, err)
		}
	}
	if s := opened(t, "a,b\n1,2,,\n"); len(s.Rows[0]) != 2 {
		t.Errorf("empty fields behind the last: %q", s.Rows)
	}
}

// A row of a workbook keeps the number that people see, behind empty ones too.
func TestSheetNumbersRowsOfAWorkbook(t *testing.T) {
	var b bytes.Buffer
	w, err := table.NewXLSXWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range [][]any{{"no_kp", "nama"}, {"1", "A"}, {"", ""}, {"3", "C"}} {
		if err := w.Row(row...); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s := opened(t, b.String())
	if len(s.Rows) != 3 || s.Rows[2][1] != "C" || strings.Join(s.Rows[1], "") != "" {
		t.Errorf("%q", s.Rows)
	}
	if s.Mend(url.Values{"c-3-0": {"2"}}); s.Rows[1][0] != "2" || s.Rows[0][0] != "1" {
		t.Errorf("%q", s.Rows)
	}
}

// What was typed is taken, ticked rows are left out, and names that are none of ours do nothing.
func TestSheetMend(t *testing.T) {
	s := opened(t, "no_kp,nama\n1,A\n2,B\n3,C\n")
	s.Mend(url.Values{"c-2-0": {" 11 "}, "c-3-1": {"BB"}, "c-4-1": {"CC"}, "leave-4": {"1"}, "c-5-0": {"x"}, "c-1-0": {"x"}, "c-2-9": {"x"}, "c--1-0": {"x"}, "c-2": {"x"}, "leave-9": {"1"}, "do": {"all"}})
	if got := fmt.Sprintf("%q %q", s.Head, s.Rows); got != `["no_kp" "nama"] [["11" "A"] ["2" "BB"] ["" ""]]` {
		t.Error(got)
	}
	if got := fmt.Sprintf("%q", s.Only(map[int]bool{3: true}).Rows); got != `[["" ""] ["2" "BB"] ["" ""]]` {
		t.Error(got)
	}
	if s.Rows[0][0] != "11" {
		t.Error("the list itself was cut")
	}
}

// Refused rows go out with why, once each, and nothing in them computes.
func TestSheetWrite(t *testing.T) {
	s := opened(t, "no_kp,sebab_ditolak,nama\n1,lama,A\n2,,=B\n")
	var b bytes.Buffer
	err := s.Write(&b, []queue.Fault{{Row: 3, Column: "no_kp", Detail: "salah"}, {Row: 3, Detail: "dua kali"}, {Row: 9, Detail: "tiada"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != "\ufeffno_kp,nama,sebab_ditolak\r\n2,'=B,\"no_kp: salah; dua kali\"\r\n" && got != "\ufeffno_kp,nama,sebab_ditolak\r\n2,\"'=B\",\"no_kp: salah; dua kali\"\r\n" {
		t.Errorf("%q", got)
	}
}

// Refused rows are shown with the good ones around them, each once and in order.
func TestMendingPlaces(t *testing.T) {
	var text strings.Builder
	text.WriteString("no_kp\n")
	for k := range 200 {
		fmt.Fprintf(&text, "%d\n", k)
	}
	places, _ := queue.Places(opened(t, text.String()), 3, []queue.Fault{{Row: 9}, {Row: 2}, {Row: 10}})
	var got []string
	for _, p := range places {
		got = append(got, fmt.Sprint(p.Row, p.Faults, p.Gap))
	}
	if want := []string{"2 1 false", "3 0 false", "8 0 true", "9 1 false", "10 1 false", "11 0 false"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	var all []queue.Fault
	for k := range 180 {
		all = append(all, queue.Fault{Row: k + 2})
	}
	places, left := queue.Places(opened(t, text.String()), 180, all)
	if left != 180-queue.Shown || len(places) != queue.Shown+1 {
		t.Errorf("%d left, %d shown", left, len(places))
	}
}

func TestBarIsWhole(t *testing.T) {
	p := queue.Progress{Listed: 700, Confirmed: 400, Applied: 300, Issued: 200, Ready: 150, Ended: 7}
	bar := p.Bar()
	end := bar[len(bar)-1]
	if len(bar) != 6 || bar[0].At != 0 || end.At+end.Long != 1000 {
		t.Errorf("%+v", bar)
	}
	if p.Share() != 21 {
		t.Error(p.Share())
	}
	for _, p := range []queue.Progress{{}, {Listed: 5, Ended: 5}} {
		if p.Share() != 0 {
			t.Errorf("%+v", p)
		}
	}
}

// The pages of a rollout follow each other to its end, with what was chosen.
func TestRolloutPages(t *testing.T) {
	for _, count := range []int{0, 1, 100, 101, 250} {
		at, seen := "/admin/rollout?phase=2", 0
		for at != "" && seen <= count {
			u, err := url.Parse(at)
			if err != nil {
				t.Fatal(err)
			}
			if u.Path != "/admin/rollout" || u.Query().Get("phase") != "2" {
				t.Fatalf("%d rows: %s", count, at)
			}
			shown, first, next, ok := queue.Turn(count, u.Query())
			if !ok || shown > 100 || (first == "") != (seen == 0) {
				t.Fatalf("%d rows, %s: %d, %q, %v", count, at, shown, first, ok)
			}
			seen, at = seen+shown, next
		}
		if seen != count {
			t.Errorf("%d of %d rows", seen, count)
		}
	}
	for _, after := range []string{"250", "-1", "x", "99999999999999999999"} {
		if _, _, _, ok := queue.Turn(250, url.Values{"after": {after}}); ok {
			t.Errorf("a page after %s", after)
		}
	}
}
