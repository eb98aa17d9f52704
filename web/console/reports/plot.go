package reports

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/web/page"
)

// colours is how many series a plot has at most; what is behind them is one of its own.
const colours = 6

// columns are a report's, in the order of its table.
func (k *kind) columns() []string {
	return map[string][]string{
		"daily":      {"day", "system", "officers", "authorisations", "signatures", "refused"},
		"signatures": {"month", "agency", "system", "officers", "authorisations", "signatures", "refused"},
		"refusals":   {"period", "system", "reason", "refusals"},
		"channels":   {"period", "system", "channel", "codes", "delivered", "failed", "unknown", "used"},
		"calendar":   {"period", "system", "certificates"},
		"expiring":   {"not_after", "name", "ic", "agency", "office", "system", "status", "serial_number"},
		"pending":    {"agency", "system", "state", "pending", "up_to_1_day", "up_to_7_days", "up_to_30_days", "older", "oldest"},
		"rollout":    {"system", "phase", "agency", "office", "listed", "confirmed", "applied", "issued", "ready", "ended"},
		"users":      {"agency", "system", "medium", "status", "users"},
		"officers":   {"name", "ic", "agency", "office", "system", "medium", "status", "not_after"},
		"no-ap":      {"agency", "name", "officers", "waiting", "ended"},
	}[k.name]
}

// numeric says whether a column holds numbers.
func (k *kind) numeric(column string) bool {
	switch column {
	case "ended":
		return k.name == "rollout"
	case "officers", "authorisations", "signatures", "refused", "refusals", "codes", "delivered", "failed", "unknown", "used", "certificates", "pending",
		"up_to_1_day", "up_to_7_days", "up_to_30_days", "older", "listed", "confirmed", "applied", "issued", "ready", "users", "waiting":
		return true
	}
	return false
}

// head is what a column is called; of vacancies "ended" is a day, of the rollout a number.
func head(ctx context.Context, report, column string) string {
	if column == "ended" && report == "no-ap" {
		return page.T(ctx, "reports.column.ended_at")
	}
	return page.T(ctx, "reports.column."+column)
}

// word says what a value means, where it is one of a few.
func word(ctx context.Context, column, value string) string {
	if column == "office" || column == "name" || column == "ic" || column == "serial_number" {
		return value
	}
	if value == "" {
		return page.T(ctx, "reports.none")
	}
	switch column {
	case "status", "state", "medium", "channel", "reason":
		if id := "reports.word." + value; page.Has(ctx, id) {
			return page.T(ctx, id)
		}
	case "not_after", "oldest", "ended":
		if at, err := time.Parse(time.RFC3339, value); err == nil {
			return page.Day(ctx, at)
		}
	case "day", "period", "month":
		return when(ctx, value, true)
	}
	return value
}

// when writes a day or a month: whole in tables, short below bars.
func when(ctx context.Context, value string, whole bool) string {
	if at, err := time.ParseInLocation("2006-01-02", value, myt.Zone); err == nil {
		if whole {
			return page.Day(ctx, at)
		}
		return at.Format("02/01")
	}
	if at, err := time.ParseInLocation("2006-01", value, myt.Zone); err == nil {
		if whole {
			return at.Format("01/2006")
		}
		return at.Format("01/06")
	}
	return value
}

// text is a cell.
func (v *view) text(ctx context.Context, row map[string]any, column string) string {
	switch x := row[column].(type) {
	case float64:
		return page.Number(int64(x))
	case json.Number:
		return x.String()
	case string:
		return word(ctx, column, x)
	}
	return ""
}

func number(x any) int64 {
	f, _ := x.(float64)
	return int64(f)
}

// times are the labels of a plot over time, also those of which there is nothing to tell.
func (v *view) times(now time.Time) (out []string) {
	now = now.In(myt.Zone)
	count := func(name string, none int) int {
		n, err := strconv.Atoi(v.query.Get(name))
		if err != nil {
			n = none
		}
		return n
	}
	by := v.query.Get("by")
	switch {
	case v.name == "daily" || by == "day":
		for n := count("days", 30) - 1; n >= 0; n-- {
			out = append(out, now.AddDate(0, 0, -n).Format("2006-01-02"))
		}
	case v.ahead && by == "week":
		monday := now.AddDate(0, 0, -(int(now.Weekday())+6)%7)
		for n := range 57 {
			out = append(out, monday.AddDate(0, 0, 7*n).Format("2006-01-02"))
		}
	case v.ahead:
		for n := range 13 {
			out = append(out, time.Date(now.Year(), now.Month()+time.Month(n), 1, 0, 0, 0, 0, myt.Zone).Format("2006-01"))
		}
	default:
		for n := count("months", 12) - 1; n >= 0; n-- {
			out = append(out, time.Date(now.Year(), now.Month()-time.Month(n), 1, 0, 0, 0, 0, myt.Zone).Format("2006-01"))
		}
	}
	return out
}

// plot draws the rows; false where there is nothing to draw.
func (v *view) plot(ctx context.Context) (p page.Plot, ok bool) {
	if v.labels == "" || len(v.Rows) == 0 {
		return p, false
	}
	var labels []string
	timed := v.labels == "day" || v.labels == "month" || v.labels == "period"
	if timed {
		labels = v.times(page.Now(ctx))
	}
	sums := map[string]map[string]int64{} // by series and label
	totals := map[string]int64{}
	for _, row := range v.Rows {
		label, _ := row[v.labels].(string)
		if !slices.Contains(labels, label) {
			if timed {
				continue
			}
			labels = append(labels, label)
		}
		for _, value := range v.values {
			s := value
			if v.series != "" {
				s, _ = row[v.series].(string)
			}
			if sums[s] == nil {
				sums[s] = map[string]int64{}
			}
			sums[s][label] += number(row[value])
			totals[s] += number(row[value])
		}
	}
	names := slices.Clone(v.values)
	if v.series != "" {
		names = names[:0]
		for s := range sums {
			names = append(names, s)
		}
		slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(totals[b], totals[a]), cmp.Compare(a, b)) })
	}
	others := map[string]int64{}
	for len(names) > colours || len(names) == colours && len(others) > 0 {
		for label, n := range sums[names[len(names)-1]] {
			others[label] += n
		}
		names = names[:len(names)-1]
	}
	return v.drawn(ctx, labels, names, sums, others), true
}

func (v *view) drawn(ctx context.Context, labels, names []string, sums map[string]map[string]int64, others map[string]int64) page.Plot {
	p := page.Plot{Title: page.T(ctx, "reports.plot."+v.name), Of: head(ctx, v.name, v.labels)}
	add := func(name string, counts map[string]int64) {
		s := page.Series{Name: name}
		for _, l := range labels {
			s.Values = append(s.Values, counts[l])
		}
		p.Series = append(p.Series, s)
	}
	for _, l := range labels {
		if v.labels == "day" || v.labels == "month" || v.labels == "period" {
			p.Labels = append(p.Labels, when(ctx, l, false))
		} else {
			p.Labels = append(p.Labels, word(ctx, v.labels, l))
		}
	}
	for _, n := range names {
		if v.series != "" {
			add(word(ctx, v.series, n), sums[n])
		} else {
			add(head(ctx, v.name, n), sums[n])
		}
	}
	if len(others) > 0 {
		add(page.T(ctx, "reports.others"), others)
	}
	return p
}
