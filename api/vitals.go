package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/internal/health"
)

// AlarmsKept is where alarms are read.
type AlarmsKept interface {
	// RaisedAlarms lists those that last, those of parts before those of events, each the newest
	// first, behind the one raised at before with the id.
	RaisedAlarms(ctx context.Context, event bool, before time.Time, id string, limit int) ([]health.Alarm, error)
	// ClearedAlarms lists those that are over, the latest first, behind the one cleared at before
	// with the id.
	ClearedAlarms(ctx context.Context, before time.Time, id string, limit int) ([]health.Alarm, error)
}

type fixBody struct {
	Text    string `json:"text" doc:"What to do"`
	Command string `json:"command,omitempty" doc:"A command, or a setting of mohor.yaml, to copy"`
}

type valueBody struct {
	Name   string     `json:"name" doc:"What was measured"`
	Of     string     `json:"of,omitempty" doc:"Of which of several: a folder, an authority"`
	Number *float64   `json:"number,omitempty"`
	Unit   string     `json:"unit,omitempty" enum:"ms,s,h,d,B" doc:"Of number; none for a count"`
	Text   string     `json:"text,omitempty"`
	Time   *time.Time `json:"time,omitempty"`
}

type checkBody struct {
	ID     string      `json:"id"`
	Group  string      `json:"group" enum:"token,data,mail,trust,machine,service"`
	State  string      `json:"state" enum:"ok,warn,fail,unknown" doc:"unknown is what could not be asked; the text says why"`
	Since  time.Time   `json:"since" doc:"Since when it is in this state, as far as this gateway has seen"`
	At     *time.Time  `json:"at,omitempty" doc:"When it was looked at last"`
	Code   string      `json:"code" doc:"Stable name of what was found"`
	Text   string      `json:"text" doc:"What was found, in the language of Accept-Language"`
	Fix    *fixBody    `json:"fix,omitempty"`
	Values []valueBody `json:"values,omitempty"`
}

type vitalsOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		State    string      `json:"state" enum:"ok,warn,fail,unknown" doc:"The worst of all"`
		Brief    bool        `json:"brief" doc:"Whether only service and mail are told"`
		Node     string      `json:"node,omitempty" doc:"Which gateway answers"`
		At       time.Time   `json:"at"`
		Faults   int         `json:"faults" doc:"Checks that fail"`
		Warnings int         `json:"warnings"`
		Unknown  int         `json:"unknown"`
		Alarms   int         `json:"alarms" doc:"That last and nobody has acknowledged"`
		Checks   []checkBody `json:"checks"`
	}
}

type acknowledgedBody struct {
	By   string    `json:"by"`
	At   time.Time `json:"at"`
	Note string    `json:"note"`
}

type alarmBody struct {
	ID           string            `json:"id"`
	Check        string            `json:"check" doc:"Of which check, or signing and disowned: events, which last until they are acknowledged"`
	Node         string            `json:"node,omitempty" doc:"The gateway it is about; none for what all share"`
	State        string            `json:"state" enum:"raised,cleared"`
	RaisedAt     time.Time         `json:"raised_at"`
	ClearedAt    *time.Time        `json:"cleared_at,omitempty"`
	Text         string            `json:"text" doc:"In the language of Accept-Language"`
	Fix          *fixBody          `json:"fix,omitempty"`
	Acknowledged *acknowledgedBody `json:"acknowledged,omitempty"`
}

type alarmsInput struct {
	State string `query:"state" enum:"raised,cleared" default:"raised" doc:"Those that last, of parts and then of events, the newest first, or those that are over, the latest first"`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"20"`
	After string `query:"after" maxLength:"120" doc:"next of the page before"`
}

type alarmsOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		Alarms []alarmBody `json:"alarms"`
		Next   string      `json:"next,omitempty" doc:"For the next page: give it as after"`
	}
}

type acknowledgeInput struct {
	ID   string `path:"id" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$"`
	Body struct {
		Note string `json:"note" maxLength:"2000" doc:"What is done about it, 5 to 200 characters; it stands in the audit"`
	}
}

func (s *server) vitals(h huma.API) {
	huma.Register(h, op("Administration", "health", http.MethodGet, "/v1/admin/health", "How the gateway's parts are, with what to do (JDN, AUDITOR); whether the service works and mail goes out (SAP, SA, AP)"), s.healthNow)
	huma.Register(h, op("Administration", "alarms", http.MethodGet, "/v1/admin/alarms", "Alarms that last, or are over (JDN, AUDITOR)"), s.alarms)
	ack := op("Administration", "acknowledgeAlarm", http.MethodPost, "/v1/admin/alarms/{id}/acknowledge", "Say that one sees to an alarm, and how (JDN)", http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity)
	ack.MaxBodyBytes, ack.DefaultStatus = maxPersonal, http.StatusNoContent
	huma.Register(h, ack, s.acknowledge)
}

// healthNow asks nobody: it tells what the monitor has seen.
func (s *server) healthNow(ctx context.Context, _ *struct{}) (*vitalsOutput, error) {
	all, err := s.Alarms.See(ctx, personOf(ctx).Actor)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &vitalsOutput{CacheControl: "no-store"}
	b := &out.Body
	b.At, b.Brief = s.Now().UTC(), !all
	reports := s.Health.Reports()
	if all {
		b.Node, b.Alarms = s.Health.Node, s.Health.Open()
	} else {
		reports = brief(reports)
	}
	worst := health.OK
	b.Checks = make([]checkBody, len(reports))
	for k, r := range reports {
		b.Checks[k] = s.check(ctx, &r, all)
		worst = health.Worst(worst, r.State)
		switch r.State {
		case health.Fail:
			b.Faults++
		case health.Warn:
			b.Warnings++
		case health.Unknown:
			b.Unknown++
		}
	}
	b.State = string(worst)
	return out, nil
}

// brief is what those learn who answer the telephone.
func brief(reports []health.Report) []health.Report {
	find := func(id string) (r health.Report) {
		r.State = health.Unknown
		for _, x := range reports {
			if x.ID == id {
				r = x
			}
		}
		return r
	}
	token, db, mail := find("hsm"), find("database"), find("mail")
	service := token
	if health.Worst(token.State, db.State) != token.State {
		service = db
	}
	told := func(r health.Report, id string) health.Report {
		state := r.State
		if state == health.Warn { // slow is well enough
			state = health.OK
		}
		r.ID, r.Group, r.Finding = id, "service", health.Finding{State: state, Code: id + "." + string(state)}
		return r
	}
	return []health.Report{told(service, "service"), told(mail, "letters")}
}

func (s *server) check(ctx context.Context, r *health.Report, all bool) checkBody {
	c := checkBody{ID: r.ID, Group: r.Group, State: string(r.State), Since: r.Since.UTC(), Code: r.Code}
	if !r.At.IsZero() {
		at := r.At.UTC()
		c.At = &at
	}
	c.Text, c.Fix = said(ctx, r.Code, r.Args)
	if !all {
		c.Fix = nil
	}
	for _, v := range r.Values {
		x := valueBody{Name: v.Name, Of: v.Of, Unit: v.Unit, Text: v.Text, Time: when(v.Time)}
		if v.Text == "" && v.Time.IsZero() {
			n := v.Number
			x.Number = &n
		}
		c.Values = append(c.Values, x)
	}
	return c
}

func said(ctx context.Context, code string, args map[string]string) (string, *fixBody) {
	text, fix, command := health.Say(code, args, english(ctx))
	if fix == "" {
		return text, nil
	}
	return text, &fixBody{fix, command}
}

func (s *server) alarms(ctx context.Context, in *alarmsInput) (*alarmsOutput, error) {
	if err := s.Alarms.SeeAlarms(ctx, personOf(ctx).Actor); err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &alarmsOutput{CacheControl: "no-store"}
	out.Body.Alarms = []alarmBody{}
	at, ok := alarmAfter(in.After)
	if !ok {
		return nil, s.fail(ctx, &invalid{"after", "it is next of a page before", "ia ialah next halaman sebelumnya"})
	}
	var list []health.Alarm
	var err error
	if in.State == "cleared" {
		list, err = s.AlarmsKept.ClearedAlarms(ctx, at.before, at.id, in.Limit+1)
	} else {
		list, err = s.AlarmsKept.RaisedAlarms(ctx, at.event, at.before, at.id, in.Limit+1)
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		last := &list[in.Limit-1]
		at = alarmPlace{last.Object != "", last.RaisedAt, last.ID}
		if in.State == "cleared" {
			at.before = last.ClearedAt
		}
		out.Body.Next = at.String()
	}
	for k := range list {
		a := &list[k]
		x := alarmBody{ID: a.ID, Check: a.Check, Node: a.Node, State: "raised", RaisedAt: a.RaisedAt.UTC(), ClearedAt: when(a.ClearedAt)}
		if x.ClearedAt != nil {
			x.State = "cleared"
		}
		x.Text, x.Fix = said(ctx, a.Code, a.Words())
		if a.By != "" {
			x.Acknowledged = &acknowledgedBody{a.By, a.SeenAt.UTC(), a.Note}
		}
		out.Body.Alarms = append(out.Body.Alarms, x)
	}
	return out, nil
}

// alarmPlace is a place in a list of alarms.
type alarmPlace struct {
	event  bool // the alarm is about one
	before time.Time
	id     string
}

// String is what next says.
func (p alarmPlace) String() string {
	kind := "part"
	if p.event {
		kind = "event"
	}
	return base64.RawURLEncoding.EncodeToString([]byte(kind + " " + strconv.FormatInt(p.before.UnixMicro(), 10) + " " + p.id))
}

// alarmAfter reads it.
func alarmAfter(next string) (p alarmPlace, ok bool) {
	if next == "" {
		return p, true
	}
	raw, err := base64.RawURLEncoding.DecodeString(next)
	parts := strings.SplitN(string(raw), " ", 3)
	if err != nil || len(parts) != 3 || parts[0] != "part" && parts[0] != "event" {
		return p, false
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	return alarmPlace{parts[0] == "event", time.UnixMicro(n), parts[2]}, err == nil && n > 0
}

func (s *server) acknowledge(ctx context.Context, in *acknowledgeInput) (*struct{}, error) {
	if err := s.Alarms.Acknowledge(ctx, personOf(ctx).Actor, in.ID, in.Body.Note); err != nil {
		return nil, s.fail(ctx, err)
	}
	s.Health.Acknowledged()
	return nil, nil
}
