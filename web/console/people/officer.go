package people

import (
	"context"
	"net/http"
	"time"

	"github.com/mohor-sign/mohor/web/page"
)

// held is one medium of an officer's, with its certificate where there is one.
type held struct {
	Medium    string     `json:"medium"`
	Status    string     `json:"status"`
	System    string     `json:"system"`
	Algorithm string     `json:"algorithm"`
	KeyStatus string     `json:"key_status"`
	Serial    string     `json:"serial_number"`
	NotBefore *time.Time `json:"not_before"`
	NotAfter  *time.Time `json:"not_after"`
	RevokedAt *time.Time `json:"revocation_at"`
}

// enrolment is one that is under way, or was.
type enrolment struct {
	ID     string    `json:"enrolment_id"`
	System string    `json:"system"`
	Agency string    `json:"agency"`
	Office string    `json:"office"`
	Kind   string    `json:"kind"`
	State  string    `json:"state"`
	Since  time.Time `json:"since"`
	Reply  string    `json:"mail_reply"`
	Reason string    `json:"reason"`
}

func (e *enrolment) open() bool {
	return !has([]string{"ISSUED", "REJECTED", "WITHDRAWN", "EXPIRED"}, e.State)
}

// code is one that was sent.
type code struct {
	Transaction string     `json:"transaction_id"`
	Channel     string     `json:"channel"`
	SentTo      string     `json:"sent_to"`
	IssuedAt    time.Time  `json:"issued_at"`
	ExpiresAt   *time.Time `json:"expires_at"`
	Used        bool       `json:"used"`
	State       string     `json:"state"`
	Reply       string     `json:"reply"`
}

// word is what became of it: used, or how far its mail got.
func (c *code) word() string {
	switch {
	case c.Used:
		return "used"
	case c.State == "":
		return "unknown"
	}
	return c.State
}

func (c *code) tone() string {
	switch c.word() {
	case "used":
		return page.Good
	case "sent":
		return page.Info
	case "bounced", "refused":
		return page.Bad
	}
	return page.Wait
}

// signature is a transaction of the officer's.
type signature struct {
	App        string     `json:"app"`
	System     string     `json:"system"`
	Process    string     `json:"process"`
	Count      int        `json:"count"`
	Status     string     `json:"status"`
	Code       string     `json:"code"`
	AskedAt    time.Time  `json:"asked_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

type change struct {
	ID    string     `json:"change_id"`
	Old   string     `json:"old_email"`
	New   string     `json:"new_email"`
	Until time.Time  `json:"until"`
	OldAt *time.Time `json:"old_confirmed_at"`
	NewAt *time.Time `json:"new_confirmed_at"`
}

type advice struct {
	Code   string `json:"code"`
	Text   string `json:"text"`
	Action string `json:"action"`
	System string `json:"system"`
	Object string `json:"object"`
}

// person is all that answers a call.
type person struct {
	Said       string      `json:"-"`
	IC         string      `json:"ic"`
	Name       string      `json:"name"`
	Email      string      `json:"email"`
	Withheld   bool        `json:"withheld"`
	Media      []held      `json:"media"`
	Enrolments []enrolment `json:"enrolments"`
	Status     string      `json:"status"`
	CanSign    bool        `json:"can_sign"`
	NextStep   string      `json:"next_step"`
	PIN        *struct {
		State       string     `json:"state"`
		Wrong       int        `json:"wrong"`
		LockedUntil *time.Time `json:"locked_until"`
	} `json:"pin"`
	Door *struct {
		Account  string     `json:"account"`
		Until    *time.Time `json:"refused_until"`
		Sessions int        `json:"sessions"`
	} `json:"log_in"`
	Signatures []signature `json:"signatures"`
	Codes      []code      `json:"codes"`
	Requests   []request   `json:"requests"`
	Changes    []change    `json:"address_changes"`
	Advice     []advice    `json:"advice"`
	May        []string    `json:"may"`
}

// agency is that of the newest enrolment.
func (p *person) place() (agency, office string) {
	for _, e := range p.Enrolments {
		if e.State == "ISSUED" || e.open() || agency == "" {
			agency, office = e.Agency, e.Office
		}
	}
	return agency, office
}

// living are the certificates that can be acted upon, by their status.
func (p *person) living(status ...string) (out []held) {
	for _, h := range p.Media {
		if h.Serial != "" && has(status, h.KeyStatus) {
			out = append(out, h)
		}
	}
	return out
}

// pending are the requests that wait.
func (p *person) pending() (out []request) {
	for _, q := range p.Requests {
		if q.State == "PENDING" {
			out = append(out, q)
		}
	}
	return out
}

// find asks the API for an officer; nil when the answer was given already.
func (d desk) find(w http.ResponseWriter, r *http.Request) *person {
	p := &person{}
	if err := d.Call(r, http.MethodGet, "/v1/admin/officers/"+page.Param(r, "ic"), nil, p); err != nil {
		if x := page.Of(err); x != nil && (x.Status == http.StatusNotFound || x.Status == http.StatusForbidden || x.Status == http.StatusUnprocessableEntity) {
			d.Show(w, r, http.StatusNotFound, nobody())
			return nil
		}
		d.Failed(w, r, err)
		return nil
	}
	return p
}

// officer is the page that answers a call.
func (d desk) officer(w http.ResponseWriter, r *http.Request) {
	if p := d.find(w, r); p != nil {
		p.Said = d.Said(w, r)
		d.Show(w, r, http.StatusOK, officer(p))
	}
}

// leads is where advice leads, "" for nowhere.
func (p *person) leads(ctx context.Context, a *advice) string {
	switch a.Action {
	case "enrolment":
		if page.May(ctx, "/admin/queue") {
			return "/admin/enrolments/" + a.Object
		}
	case "list":
		if page.May(ctx, "/admin/list") {
			return "/admin/list"
		}
	case "codes":
		return "#kod"
	case "revocations":
		return upcomingPath + "/" + a.Object
	case "confirm":
		for _, q := range p.Requests {
			if q.ID == a.Object && q.Own {
				return "" // somebody else does
			}
		}
		return at(p.IC, "request") + "?id=" + a.Object
	case "vouch":
		return at(p.IC, "vouch") + "?id=" + a.Object
	case "unlock", "unlock_login", "email", "release":
		return withQuery(at(p.IC, a.Action), "system", a.System)
	}
	return ""
}

// toneOf is the tone of an officer's status.
func toneOf(status string) string {
	switch status {
	case "ISSUED", "ACTIVE":
		return page.Good
	case "REVOKED", "EXPIRED", "SUSPENDED":
		return page.Bad
	case "NO_CERTIFICATE", "NOT_REGISTERED", "":
		return page.Info
	}
	return page.Wait
}
