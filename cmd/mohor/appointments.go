package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
)

type adminAppointCmd struct {
	Data     string `default:"var/mohor" help:"Data folder." type:"path"`
	Role     string `help:"JDN, SAP, SA, AP or AUDITOR." enum:"JDN,SAP,SA,AP,AUDITOR" required:""`
	Agency   string `help:"Registered agency, of SA and AP."`
	System   string `help:"Registered ICT system, of SAP."`
	IC       string `help:"No. Kad Pengenalan, 12 digits." required:""`
	Name     string `help:"Name." required:""`
	Email    string `help:"E-mail address." required:""`
	From     day    `help:"First day (default: now)." placeholder:"DAY"`
	Until    day    `help:"Day on which it ends (default: when it is ended)." placeholder:"DAY"`
	Document string `help:"Reference of the letter or form that appoints." required:""`
}

func (c *adminAppointCmd) Run(e *env) error {
	x := enrol.Appointment{Role: enrol.Role(c.Role), Agency: c.Agency, System: c.System, From: time.Time(c.From), Until: time.Time(c.Until), Document: c.Document}
	if x.From.IsZero() {
		x.From = e.now()
	}
	return gateway.Administrators(e.ctx, c.Data, e.now, func(a *enrol.Accounts) error {
		made, code, err := a.Appoint(e.ctx, enrol.Actor{Name: operator()}, enrol.Officer{IC: c.IC, Name: c.Name, Email: c.Email}, x)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "appointment  %s\n", made.Appointment.ID)
		if len(code.Reveal()) == 0 {
			return e.keeps(made.Account)
		}
		return e.handOver(made.Account.ID, code)
	})
}

// keeps says what somebody does who is appointed and has an account.
func (e *env) keeps(a enrol.Account) error {
	_, err := fmt.Fprintf(e.stdout, "account      %s\n", a.ID)
	if a.Kind == enrol.OfficerAccount {
		fmt.Fprintln(e.stderr, "mohor: hint: they log in as before and set up a second factor: POST /v1/me/second-factor")
	}
	return err
}

type adminEndAppointmentCmd struct {
	Data        string `default:"var/mohor" help:"Data folder." type:"path"`
	Appointment string `help:"The appointment, of mohor admin list --json." required:""`
	On          day    `help:"Day from which it holds no more (default: now)." placeholder:"DAY"`
	Document    string `help:"Reference of the letter or form that ends it." required:""`
}

func (c *adminEndAppointmentCmd) Run(e *env) error {
	on := time.Time(c.On)
	if ago := e.now().Sub(on); ago > 0 && ago < 24*time.Hour { // today
		on = time.Time{}
	}
	return gateway.Administrators(e.ctx, c.Data, e.now, func(a *enrol.Accounts) error {
		if err := a.EndAppointment(e.ctx, enrol.Actor{Name: operator()}, c.Appointment, on, c.Document); err != nil {
			return err
		}
		if on.IsZero() {
			on = e.now()
		}
		_, err := fmt.Fprintf(e.stdout, "ends         %s at %s\n", c.Appointment, on.Format(time.RFC3339))
		return err
	})
}

type adminVacanciesCmd struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
	JSON bool   `help:"Print JSON, one agency a line."`
}

func (c *adminVacanciesCmd) Run(e *env) error {
	return gateway.Administrators(e.ctx, c.Data, e.now, func(a *enrol.Accounts) error {
		list, err := a.WithoutAP(e.ctx, enrol.Actor{Name: operator()})
		if err != nil {
			return err
		}
		for _, g := range list {
			if c.JSON {
				err = json.NewEncoder(e.stdout).Encode(map[string]string{"agency": g.Code, "name": g.Name})
			} else {
				_, err = fmt.Fprintf(e.stdout, "%s  %s\n", g.Code, g.Name)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
