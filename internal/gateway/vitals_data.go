package gateway

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/mohor-sign/mohor/internal/health"
)

// Bounds beyond which the database is spoken of.
const (
	slowAnswer = 500 * time.Millisecond
	largeWAL   = 1 << 30
	longLag    = time.Minute
)

// database: it answers, how fast, and whether its schema is ours.
func (v *vitals) database(ctx context.Context) health.Finding {
	began := time.Now()
	err := v.db.Ping(ctx)
	took := time.Since(began)
	if err == nil {
		var vital health.Finding
		if vital, err = v.databaseVital(ctx); err == nil && vital.State == health.OK && took > slowAnswer {
			vital.State, vital.Code, vital.Args = health.Warn, "database.slow", args{"ms": fmt.Sprintf("%.0f", millis(took))}
		}
		vital.Values = append([]health.Value{health.Number("latency", millis(took), "ms")}, vital.Values...)
		if err == nil {
			return vital
		}
	}
	v.log.Error("the database cannot be used", "error", err)
	return health.Finding{State: health.Fail, Code: "database.fails", Args: args{"reason": reason(err), "data": v.Dir}}
}

func (v *vitals) databaseVital(ctx context.Context) (f health.Finding, err error) {
	d, err := v.db.Vital(ctx)
	if err != nil {
		return f, err
	}
	f = health.Finding{State: health.OK, Code: "database.ok", Values: []health.Value{health.Text("kind", d.Kind), health.Text("version", d.Version), health.Number("size", d.Bytes, "B"), health.Number("schema", d.Schema, "")}}
	if v.Config.postgres() {
		f.Values = append(f.Values, health.Number("replicas", d.Replicas, ""))
		if d.Lag > 0 {
			f.Values = append(f.Values, health.Number("lag", d.Lag.Seconds(), "s"))
		}
	} else {
		f.Values = append(f.Values, health.Number("wal", d.WAL, "B"))
	}
	switch {
	case d.Schema != d.Current:
		f.State, f.Code, f.Args = health.Fail, "database.schema", args{"schema": fmt.Sprint(d.Schema), "current": fmt.Sprint(d.Current)}
	case d.WAL > largeWAL:
		f.State, f.Code, f.Args = health.Warn, "database.wal", args{"size": size(uint64(d.WAL)), "database": v.Config.Database}
	case d.Lag > longLag:
		f.State, f.Code, f.Args = health.Warn, "database.lag", args{"seconds": fmt.Sprintf("%.0f", d.Lag.Seconds())}
	}
	return f, nil
}

// redisAnswers: what may be lost is in Redis, if it is used.
func (v *vitals) redisAnswers(ctx context.Context) health.Finding {
	if v.redis == nil {
		return health.Finding{State: health.OK, Code: "redis.none"}
	}
	began := time.Now()
	if err := v.PingRedis(ctx); err != nil {
		v.log.Warn("Redis cannot be used", "error", err)
		return health.Finding{State: health.Fail, Code: "redis.fails", Args: args{"reason": reason(err)}}
	}
	f := health.Finding{State: health.OK, Code: "redis.ok", Values: []health.Value{health.Number("latency", millis(time.Since(began)), "ms")}}
	if version := v.redis.Version(ctx); version != "" {
		f.Values = append(f.Values, health.Text("version", version))
	}
	return f
}

// documents can be stored: in the folder, or the bucket.
func (v *vitals) documents(ctx context.Context) health.Finding {
	kind, err := "S3", error(nil)
	if v.Config.S3.configured() {
		err = proveDocuments(ctx, v.blobs)
	} else {
		kind, err = "folder", writable(v.Config.Blobs)
	}
	if err != nil {
		v.log.Error("documents cannot be stored", "error", err)
		return health.Finding{State: health.Fail, Code: "documents.fails", Args: args{"reason": reason(err), "data": v.Dir}}
	}
	return health.Finding{State: health.OK, Code: "documents.ok", Values: []health.Value{health.Text("store", kind)}}
}

// Room that a disk should have: for a day's work, and for an hour's.
const (
	lowBytes, lowInodes   = 2 << 30, 100_000
	fullBytes, fullInodes = 100 << 20, 1000
)

// disk: the folders' room, the least first to be spoken of.
func (v *vitals) disk(context.Context) health.Finding {
	f := health.Finding{State: health.OK, Code: "disk.ok"}
	places := []struct{ name, path string }{{"data", v.Dir}, {"heads", filepath.Dir(v.Config.Audit.Heads)}, {"temporary", v.DataPath("tmp")}}
	if !v.Config.S3.configured() {
		places = append(places, struct{ name, path string }{"documents", v.Config.Blobs})
	}
	if !v.Config.postgres() {
		places = append(places, struct{ name, path string }{"database", filepath.Dir(v.Config.Database)})
	}
	unknown, least := 0, uint64(1<<63)
	for _, p := range places {
		bytes, inodes, err := v.room(p.path)
		if err != nil {
			unknown++
			continue
		}
		f.Values = append(f.Values, health.Number("free", bytes, "B").About(p.name))
		state, code := health.OK, ""
		switch {
		case bytes < fullBytes || inodes < fullInodes:
			state, code = health.Fail, "disk.full"
		case bytes < lowBytes || inodes < lowInodes:
			state, code = health.Warn, "disk.low"
		}
		if worse := health.Worst(state, f.State); state != health.OK && (worse != f.State || worse == state && bytes < least) {
			f.State, f.Code, f.Args, least = state, code, args{"path": p.path, "free": size(bytes)}, bytes
		}
	}
	if unknown == len(places) {
		return v.unasked("disk", errors.New("no folder says how much room it has"))
	}
	return f
}

// audit: heads are signed behind the newest records, and the chain is whole.
func (v *vitals) audit(ctx context.Context) health.Finding {
	seq, _, err := v.db.AuditHead(ctx)
	if err != nil {
		return v.unasked("audit", err)
	}
	w := v.heads
	w.mu.Lock()
	last, broken, verified, records := w.last, w.broken, w.verified, w.records
	w.mu.Unlock()
	f := health.Finding{State: health.OK, Code: "audit.ok", Values: []health.Value{health.Number("records", seq, ""), health.Number("records_behind", seq-last.Seq, "")}}
	since := v.headless(last.At)
	if !last.At.IsZero() {
		f.Values = append(f.Values, health.At("head_at", last.At))
	}
	if !verified.IsZero() {
		f.Values = append(f.Values, health.At("verified_at", verified), health.Number("verified_records", records, ""))
	}
	late := max(5*time.Minute, 2*v.Config.Audit.Every)
	switch {
	case broken:
		f.State, f.Code, f.Args = health.Fail, "audit.broken", args{"data": v.Dir}
	case seq > last.Seq && v.now().Sub(since) > late:
		f.State, f.Code, f.Args = health.Fail, "audit.late", args{"since": at(since), "records": fmt.Sprint(seq - last.Seq)}
	}
	return f
}

// headless is since when a head may be due: the last one, but not before this start, for a gateway
// that did not run has signed none.
func (v *vitals) headless(last time.Time) time.Time {
	if last.Before(v.began) {
		return v.began
	}
	return last
}
