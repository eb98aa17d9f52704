package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/store/storetest"
	"github.com/mohor-sign/mohor/store/storetest/pgtest"
)

// listIndexes are those that the console's lists and searches brought (migrations 49 to 58), as far
// as what is measured writes into them.
var listIndexes = []string{"enrolments_agency", "enrolments_system", "enrolments_rekeys", "enrolments_office", "media_tokens", "batches_newest", "audit_events_actor", "audit_events_action"}

// directoryTriggers note whose entry in the directory of officers changed, as each engine calls them.
var directoryTriggers = map[string][]string{"SQLite": {"added", "listed", "medium"}, "PostgreSQL": {"added ON officers", "listed ON enrolments", "medium ON media"}}

// writer is a database that is written to, with or without what lists are quick by.
type writer struct {
	h     *storetest.House
	rows  int
	spent time.Duration
}

func (w *writer) event(object string) audit.Event {
	return audit.Event{At: w.h.Clock.Now(), Actor: "account:bench", Action: "enrol.list", Object: object, Verdict: audit.Accepted, Detail: map[string]string{"reason": "senarai"}}
}

// enrol lists n officers.
func (w *writer) enrol(n int) error {
	chunk := make([]enrol.Entry, n)
	for k := range chunk {
		w.rows++
		id := fmt.Sprintf("en_%d", w.rows)
		chunk[k] = enrol.Entry{Row: enrol.Row{Officer: enrol.Officer{IC: fmt.Sprintf("%012d", 600101140000+w.rows), Name: "SITI HAJAR BINTI OTHMAN", Email: "p@anm.gov.my"}, Agency: "JANM",
			Office: fmt.Sprintf("Pejabat %d", w.rows%53), System: storetest.System, Phase: "1", Medium: enrol.RoamingOTP}, ID: id, By: "account:bench", State: enrol.Listed, At: w.h.Clock.Now(), Event: w.event("enrolment:" + id)}
	}
	return w.h.DB.AddEntries(context.Background(), chunk)
}

// audit appends n events.
func (w *writer) audit(n int) error {
	all := make([]audit.Event, n)
	for k := range all {
		w.rows++
		all[k] = w.event(fmt.Sprintf("batch:ba_%d", w.rows))
	}
	return w.h.DB.AuditAll(context.Background(), all...)
}

// batches opens n batches.
func (w *writer) batches(n int) error {
	ctx := context.Background()
	return w.h.DB.Together(ctx, func(db *store.DB) error {
		for range n {
			w.rows++
			id := fmt.Sprintf("ba_%d", w.rows)
			if err := db.CreateBatch(ctx, batch.Batch{ID: id, App: w.h.App.ID, Name: "Julai", Kind: "digest", Status: batch.Open, CreatedAt: w.h.Clock.Now()}, w.event("batch:"+id)); err != nil {
				return err
			}
		}
		return nil
	})
}

// BenchmarkIndexes writes the same into three databases by turns: one as it is, one without the
// indexes that lists brought, and one without these and without what keeps the directory current.
// indexed and whole are how many times as long the first takes as the second and the third.
func BenchmarkIndexes(b *testing.B) {
	engines := map[string]func() (*store.DB, *sql.DB){
		"SQLite": func() (*store.DB, *sql.DB) {
			db, path := storetest.SQLite(b)
			return db, opened(b, "sqlite", "file:"+path+"?_pragma=busy_timeout(15000)")
		},
		"PostgreSQL": func() (*store.DB, *sql.DB) {
			pgtest.Need(b)
			db, address := storetest.Postgres(b)
			return db, opened(b, "pgx", address)
		},
	}
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		var all []*writer
		for k := range 3 {
			db, bare := engines[engine]()
			w := &writer{h: storetest.NewHouse(b, db)}
			must(b, db.PutAgency(context.Background(), enrol.Agency{Code: "JANM", Name: "JANM"}, w.event("agency:JANM")))
			must(b, db.PutSystem(context.Background(), enrol.System{Code: storetest.System, Title: "iGFMAS", Agency: "JANM"}, w.event("system:IGFMAS")))
			var drop []string
			for _, name := range listIndexes[:min(k, 1)*len(listIndexes)] {
				drop = append(drop, "DROP INDEX "+name)
			}
			for _, name := range directoryTriggers[engine][:max(0, k-1)*3] {
				drop = append(drop, "DROP TRIGGER officer_changes_"+name)
			}
			for _, s := range drop {
				if _, err := bare.Exec(s); err != nil {
					b.Fatalf("%s: %v", s, err)
				}
			}
			for range 10 {
				must(b, w.enrol(1000))
			}
			all = append(all, w)
		}
		for _, c := range []struct {
			name string
			n    int
			do   func(*writer, int) error
		}{{"officers", 100, (*writer).enrol}, {"officer", 1, (*writer).enrol}, {"events", 100, (*writer).audit}, {"event", 1, (*writer).audit}, {"batches", 100, (*writer).batches}} {
			b.Run(engine+"/"+c.name, func(b *testing.B) { byTurns(b, all, c.n, c.do) })
		}
	}
}

// byTurns has each of the writers write n rows in a commit, the first another one each time.
func byTurns(b *testing.B, all []*writer, n int, do func(*writer, int) error) {
	for _, w := range all {
		w.spent = 0
	}
	rounds := 0
	for b.Loop() {
		for k := range all {
			w := all[(k+rounds)%len(all)]
			began := time.Now()
			must(b, do(w, n))
			w.spent += time.Since(began)
		}
		rounds++
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(all[0].spent.Microseconds())/float64(rounds*n), "µs/row")
	b.ReportMetric(all[0].spent.Seconds()/all[1].spent.Seconds(), "indexed")
	b.ReportMetric(all[0].spent.Seconds()/all[2].spent.Seconds(), "whole")
}

func opened(b *testing.B, engine, address string) *sql.DB {
	b.Helper()
	db, err := sql.Open(engine, address)
	must(b, err)
	b.Cleanup(func() { db.Close() })
	return db
}
