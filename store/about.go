package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/store/personal"
	"github.com/mohor-sign/mohor/store/sqlc"
)

// metaUnindexed is the last record that was in the chain before audit_about was and, behind a space,
// the last of these that is entered; absent: all are.
const metaUnindexed = "audit_unindexed"

// enter notes whom a record is about, and a refusal to sign. What is about the token's keys names
// nobody.
func enter(ctx context.Context, q *sqlc.Queries, r *audit.Record) error {
	if aboutToken(r.Action) {
		return nil
	}
	people := named(r)
	ic, system, err := meant(ctx, q, r, people)
	if err != nil {
		return err
	}
	if ic != "" {
		people[ic] = true
	}
	looks := enrol.Looks(r.Action)
	for ic := range people {
		looked := flag(looks && r.Actor != "officer:"+ic)
		if err := q.PutAbout(ctx, sqlc.PutAboutParams{Ic: personal.IC(ic), Seq: r.Seq, Looked: looked}); err != nil {
			return fmt.Errorf("entering whom an event is about: %w", err)
		}
	}
	if r.Verdict != audit.Refused || r.Action != "signer.authorize" && r.Action != "transaction.create" {
		return nil
	}
	if ic == "" { // it is the object of a transaction that did not come to be
		ic = strings.TrimPrefix(r.Object, "officer:")
		if !people[ic] {
			ic = ""
		}
	}
	err = q.PutRefusal(ctx, sqlc.PutRefusalParams{Seq: r.Seq, At: micros(r.At), Ic: personal.IC(ic), System: system, Code: slug(r.Detail["reason"])})
	if err != nil {
		return fmt.Errorf("entering a refusal: %w", err)
	}
	return nil
}

// named are the ICs that stand in a record.
func named(r *audit.Record) map[string]bool {
	out := map[string]bool{}
	find := func(s string) {
		digits := 0
		for k := 0; k <= len(s); k++ {
			if k < len(s) && s[k] >= '0' && s[k] <= '9' {
				digits++
				continue
			}
			if digits == 12 && (k == 12 || !word(s[k-13])) && (k == len(s) || !word(s[k])) {
				out[s[k-12:k]] = true
			}
			digits = 0
		}
	}
	find(r.Actor)
	find(r.Object)
	for _, v := range r.Detail {
		find(v)
	}
	return out
}

// word says whether c beside digits makes them part of something else: an id, a hash.
func word(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// meant is the officer, and the system, of what a record's object is; "" for what has none. Only
// of a refusal the system is wanted where the officer is named.
func meant(ctx context.Context, q *sqlc.Queries, r *audit.Record, people map[string]bool) (ic, system string, err error) {
	kind, _, _ := strings.Cut(r.Object, "_")
	if len(people) > 0 && !(kind == "tx" && r.Verdict == audit.Refused) {
		return "", "", nil
	}
	var found personal.IC
	switch {
	case kind == "tx":
		x, e := q.OfficerOfTransaction(ctx, r.Object)
		found, system, err = x.Ic, x.System, e
	case kind == "cr":
		x, e := q.OfficerOfCredential(ctx, r.Object)
		found, system, err = x.Ic, x.System, e
	case kind == "en":
		x, e := q.OfficerOfEnrolment(ctx, r.Object)
		found, system, err = x.Ic, x.System, e
	case strings.HasPrefix(r.Action, "ca."), strings.HasPrefix(r.Object, "certificate:"):
		x, e := q.OfficerOfCertificate(ctx, strings.TrimPrefix(r.Object, "certificate:"))
		found, system, err = x.Ic, x.System, e
	}
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("finding whom an event is about: %w", err)
	}
	return string(found), system, nil
}

// slug makes a code of a reason, which is a sentinel's text.
func slug(reason string) string {
	return strings.Trim(strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		case c == ' ', c == '-':
			return '_'
		}
		return -1
	}, reason), "_")
}

// indexOld enters what was in the chain before there was a place for it, however long that takes; the
// next Unlock goes on where one was interrupted. It is a part of Unlock, not beside it: until the end
// "who looked at this officer" would leave out what it does not say it leaves out. A chain that
// cannot be read is for whoever verifies it to tell of.
func (d *DB) indexOld(ctx context.Context) error {
	left, err := d.Meta(ctx, metaUnindexed)
	if err != nil || left == "" {
		return err
	}
	after, end, err := unindexed(left)
	if err != nil {
		return err
	}
	const page = 500
	for after < end {
		var list []audit.Record
		stop := errors.New("page")
		err := d.AuditRecords(ctx, after, func(r audit.Record) error {
			if list = append(list, r); len(list) == page || r.Seq >= end {
				return stop
			}
			return nil
		})
		broken := errors.Is(err, audit.ErrBroken)
		if err != nil && !broken && !errors.Is(err, stop) {
			return err
		}
		if len(list) > 0 {
			after = list[len(list)-1].Seq
			if err := d.indexPage(ctx, list, end); err != nil {
				return err
			}
		}
		if broken {
			return nil
		}
		if len(list) == 0 {
			break
		}
	}
	return d.change(ctx, func(t sqlc.DBTX) error {
		_, err := t.ExecContext(ctx, "DELETE FROM meta WHERE name = '"+metaUnindexed+"'")
		return err
	})
}

// unindexed reads metaUnindexed: up to where, and, once some are entered, behind which.
func unindexed(left string) (after, end int64, err error) {
	last, done, begun := strings.Cut(left, " ")
	end, err = strconv.ParseInt(last, 10, 64)
	if err == nil && begun {
		after, err = strconv.ParseInt(done, 10, 64)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("reading %s: %w", metaUnindexed, err)
	}
	return after, end, nil
}

// indexPage enters some records, and that they are. Of two that do so at once the slower may set the
// place back: entering again changes nothing.
func (d *DB) indexPage(ctx context.Context, list []audit.Record, end int64) error {
	return d.change(ctx, func(t sqlc.DBTX) error {
		q := d.queries(t)
		for k := range list {
			if err := enter(ctx, q, &list[k]); err != nil {
				return err
			}
		}
		_, err := t.ExecContext(ctx, fmt.Sprintf("UPDATE meta SET value = '%d %d' WHERE name = '%s'", end, list[len(list)-1].Seq, metaUnindexed))
		return err
	})
}
