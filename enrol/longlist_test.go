//go:build !race

package enrol_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/storetest"
)

// 50,000 rows with 3 bad ones: exactly those are named; nothing is added but by choice,
// and a run that was cut off is repeated without doubles.
func TestLongList(t *testing.T) {
	o := newOffice(t)
	var b bytes.Buffer
	b.WriteString(header)
	for n := range 50_000 {
		day := fmt.Sprintf("%02d%02d%02d", 60+n/10000, 1+n/2500%4, 1+n%28)
		l := fmt.Sprintf("%s14%04d,PEGAWAI %d,p%d@janm.gov.my,JANM,%s,PTJ,1,HD,\n", day, n%10000, n, n, storetest.System)
		switch n {
		case 7:
			l = "991332" + l[6:]
		case 30_000:
			l = strings.Replace(l, "@janm", "", 1)
		case 49_999:
			l = strings.Replace(l, ",JANM,", ",JANN,", 1)
		}
		b.WriteString(l)
	}
	list := b.Bytes()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	rep, err := o.CheckList(ctx, o.sap, bytes.NewReader(list), int64(len(list)))
	must(t, err)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if rep.Rows != 50_000 || rep.Refused != 3 || rep.Good != 49_997 || len(rep.Told) != 3 {
		t.Fatalf("%+v", rep)
	}
	for k, want := range []string{"9 no_kp row_ic_invalid", "30002 emel row_email_invalid", "50001 agensi row_agency_unknown"} {
		if got := fmt.Sprint(rep.Told[k].Row, " ", rep.Told[k].Field, " ", rep.Told[k].Code); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("%d bytes are kept", grown)
	}
	list = []byte(strings.Join(strings.SplitAfter(b.String(), "\n")[:2001], ""))
	if _, err := o.AddList(ctx, o.sap, bytes.NewReader(list), int64(len(list)), enrol.ListChoice{}); !errors.Is(err, enrol.ErrInput) {
		t.Errorf("with refused rows: %v", err)
	}
	none, err := o.House.DB.Enrolments(ctx, enrol.Filter{State: enrol.Listed, Until: o.House.Clock.Now(), Limit: 10})
	if err != nil || len(none) != 0 {
		t.Fatalf("%d were added, %v", len(none), err)
	}
	// Cut off after two chunks, then some rows alone.
	choice := enrol.ListChoice{Rows: map[int]bool{}}
	for n := range 1200 {
		choice.Rows[n+2] = true
	}
	d := *o.Desk.Registrar
	broken := &enrol.Desk{Registrar: &d, MAC: o.Desk.MAC, Records: &cutOff{records: o.House.DB, after: 2}}
	if rep, err = broken.AddList(ctx, o.sap, bytes.NewReader(list), int64(len(list)), choice); !errors.Is(err, errDead) || rep.Added != 1000 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if rep, err = o.AddList(ctx, o.sap, bytes.NewReader(list), int64(len(list)), choice); err != nil || rep.Already != 1000 || rep.Added != 199 { // row 9 is bad
		t.Fatalf("again: already %d, added %d, %v", rep.Already, rep.Added, err)
	}
	if rep, err = o.AddList(ctx, o.sap, bytes.NewReader(list), int64(len(list)), choice); err != nil || rep.Already != 1199 || rep.Added != 0 {
		t.Fatalf("a third time: already %d, added %d, %v", rep.Already, rep.Added, err)
	}
	n := 0
	for _, r := range storetest.Chain(t, o.House.DB) {
		if r.Action == "enrol.list" && r.Verdict == audit.Accepted && r.Detail["list"] == rep.Digest {
			n++
		}
	}
	if n != 1199 {
		t.Errorf("%d events for 1199 officers", n)
	}
}

// cutOff dies after some transactions.
type cutOff struct {
	records
	after int
}

func (c *cutOff) AddEntries(ctx context.Context, entries []enrol.Entry) error {
	if c.after--; c.after < 0 {
		return errDead
	}
	return c.records.AddEntries(ctx, entries)
}
