package works

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/a-h/templ"

	"github.com/mohor-sign/mohor/web/page"
)

// letter is one as the API tells it.
type letter struct {
	ID       string     `json:"letter_id"`
	IC       string     `json:"ic"`
	Name     string     `json:"name"`
	SentTo   string     `json:"sent_to"`
	Kind     string     `json:"kind"`
	State    string     `json:"state"`
	Reply    string     `json:"reply"`
	Attempts int        `json:"attempts"`
	At       time.Time  `json:"written_at"`
	DueAt    *time.Time `json:"due_at"`
	FailedAt *time.Time `json:"failed_at"`
	Actions  []string   `json:"actions"`
}

// letters is a page of the outbox.
type letters struct {
	Letters []letter `json:"letters"`
	Kinds   []struct {
		Kind     string    `json:"kind"`
		Waiting  int       `json:"waiting"`
		Deferred int       `json:"deferred"`
		Failed   int       `json:"failed"`
		Oldest   time.Time `json:"oldest"`
	} `json:"kinds"`
	Codes []struct {
		IC     string    `json:"ic"`
		SentTo string    `json:"sent_to"`
		State  string    `json:"state"`
		Reply  string    `json:"reply"`
		At     time.Time `json:"issued_at"`
	} `json:"codes"`
	Next string `json:"next"`

	state, kind string
	first       bool
	said        string
}

func (l *letters) at(after string) string {
	return address(outboxPath, "state", l.state, "kind", l.kind, "after", after)
}

// failed is how many letters were given up.
func (l *letters) failed() (n int) {
	for _, k := range l.Kinds {
		n += k.Failed
	}
	return n
}

// letterStates are those of letters, the worst first.
func letterStates() []string { return []string{"failed", "deferred", "waiting"} }

func letterTone(state string) string {
	switch state {
	case "failed", "refused", "bounced":
		return page.Bad
	case "deferred":
		return page.Wait
	}
	return page.Info
}

// kindName is what a letter is about, in words.
func kindName(ctx context.Context, kind string) string {
	if page.Has(ctx, "works.letter."+kind) {
		return page.T(ctx, "works.letter."+kind)
	}
	return kind
}

// replyMeans says what a mail server's digits mean; "" where there is nothing to add.
func replyMeans(ctx context.Context, reply string) string {
	if reply == "" {
		return ""
	}
	for _, known := range []string{reply, reply[:1]} {
		if id := "works.reply." + known; page.Has(ctx, id) {
			return page.T(ctx, id)
		}
	}
	return ""
}

func (d *desk) outbox(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	l := letters{state: q.Get("state"), kind: q.Get("kind"), first: q.Get("after") == ""}
	if !slices.Contains(letterStates(), l.state) {
		l.state = ""
	}
	if err := d.Call(r, http.MethodGet, address("/v1/admin/outbox", "state", l.state, "kind", l.kind, "after", q.Get("after")), nil, &l); err != nil {
		d.Failed(w, r, err)
		return
	}
	l.said = d.Said(w, r)
	d.Show(w, r, http.StatusOK, outboxPage(&l))
}

func letterAPI(r *http.Request) string {
	return "/v1/admin/outbox/" + url.PathEscape(page.Param(r, "id"))
}

func (d *desk) askLetter(w http.ResponseWriter, r *http.Request) {
	var l letter
	if err := d.Call(r, http.MethodGet, letterAPI(r), nil, &l); err != nil {
		d.Failed(w, r, err)
		return
	}
	d.Show(w, r, http.StatusOK, letterDeed(&l, page.Param(r, "what"), "", nil))
}

func (d *desk) turnLetter(w http.ResponseWriter, r *http.Request) {
	what, reason := page.Param(r, "what"), r.PostForm.Get("reason")
	err := d.Call(r, http.MethodPost, letterAPI(r)+"/"+what, map[string]string{"reason": reason}, nil)
	if err == nil {
		d.Say(w, "works.said.letter."+what)
		page.See(w, r, outboxPath)
		return
	}
	var l letter
	if rerr := d.Call(r, http.MethodGet, letterAPI(r), nil, &l); rerr != nil {
		d.Failed(w, r, err)
		return
	}
	d.Refused(w, r, err, map[string]string{"reason": "reason", "reason_missing": "reason"}, func(f page.Faults) templ.Component { return letterDeed(&l, what, reason, f) })
}
