package enrol_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/storetest"
)

// officersOfPhases are the iGFMAS users of the three phases; MOHOR_BENCH_OFFICERS has others.
const officersOfPhases = 41_875

// populate lists n officers of ten agencies.
func (o *office) populate(b *testing.B, n int) {
	b.Helper()
	given := []string{"NUR AISYAH", "MUHAMMAD HAFIZ", "SITI HAJAR", "AHMAD FAIZ", "TAN MEI LING", "KAVITHA", "WONG SIEW YEN", "NORAINI", "MOHD AZLAN", "ROSNAH"}
	father := []string{"RAHMAN", "OTHMAN", "ABU BAKAR", "ISMAIL", "HASSAN", "SULAIMAN", "YUSOF", "KRISHNAN", "ABDULLAH", "IBRAHIM", "ZAKARIA"}
	for k := range 10 {
		must(b, o.PutAgency(ctx, o.jdn, enrol.Agency{Code: fmt.Sprintf("AG%d", k), Name: fmt.Sprintf("Agensi %d", k)}))
	}
	var chunk []enrol.Entry
	for k := range n {
		ic := fmt.Sprintf("%02d%02d%02d14%04d", 60+k/10000%40, 1+k/400000, 1+k%28, k%10000)
		r := enrol.Row{Officer: enrol.Officer{IC: ic, Name: fmt.Sprintf("%s BINTI %s %d", given[k%len(given)], father[k%len(father)], k), Email: fmt.Sprintf("p%d@anm.gov.my", k)},
			Agency: fmt.Sprintf("AG%d", k%10), Office: fmt.Sprintf("PTJ %d", k%53), System: storetest.System, Phase: "1", Medium: enrol.RoamingOTP}
		chunk = append(chunk, enrol.Entry{Row: r, ID: fmt.Sprintf("en_%d", k), By: "cli:bench", State: enrol.Listed, At: o.House.Clock.Now()})
		if len(chunk) == 1000 || k == n-1 {
			must(b, o.House.DB.AddEntries(ctx, chunk))
			chunk = chunk[:0]
		}
	}
}

// BenchmarkSearchOfficers is a page of 50 and searches among all officers, with what each puts into
// the audit: mean, and the 99th of a hundred.
func BenchmarkSearchOfficers(b *testing.B) {
	n := officersOfPhases
	if s := os.Getenv("MOHOR_BENCH_OFFICERS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	o := newOffice(b)
	o.populate(b, n)
	ap := enrol.Actor{Name: "account:ap7", IC: "700101105577", Appointments: []enrol.Appointment{{Role: enrol.AP, Agency: "AG7"}}}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	first, _, err := o.SearchOfficers(ctx, o.jdn, enrol.OfficerQuery{})
	must(b, err)
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := float64(after.HeapAlloc) - float64(before.HeapAlloc)
	b.Logf("%d officers: the directory is made in %v and takes %.1f MB", n, took.Round(time.Millisecond), grown/(1<<20))
	for _, c := range []struct {
		name string
		a    enrol.Actor
		q    enrol.OfficerQuery
	}{
		{"page", o.jdn, enrol.OfficerQuery{After: first[len(first)-1].IC}},
		{"common name", o.jdn, enrol.OfficerQuery{Text: "siti hassan"}},
		{"rare name", o.jdn, enrol.OfficerQuery{Text: "rosnah 41869"}},
		{"nobody", o.jdn, enrol.OfficerQuery{Text: "zzzz"}},
		{"mail", o.jdn, enrol.OfficerQuery{Text: "p41000@anm"}},
		{"whole IC", o.jdn, enrol.OfficerQuery{Text: first[7].IC}},
		{"office and status", o.jdn, enrol.OfficerQuery{Office: "PTJ 52", Status: enrol.NoCertificate}},
		{"nobody of an AP", ap, enrol.OfficerQuery{Text: "zzzz"}},
		{"status of an AP that nobody has", ap, enrol.OfficerQuery{Status: "REVOKED"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var times []time.Duration
			for b.Loop() {
				at := time.Now()
				if _, _, err := o.SearchOfficers(ctx, c.a, c.q); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(at))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(grown/float64(n), "B/officer")
		})
	}
}
