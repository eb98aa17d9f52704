package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/myt"
)

type enrolCmd struct {
	Agency    enrolAgencyCmd   `cmd:"" help:"Register or change an agency."`
	System    enrolSystemCmd   `cmd:"" help:"Register or change an ICT system."`
	TokenEnds enrolTokenCmd    `cmd:"" help:"Set from when a system takes no more tokens."`
	ListCheck enrolCheckCmd    `cmd:"" name:"list-check" help:"Judge a list of officers (CSV UTF-8 or XLSX); nothing is changed."`
	AddList   enrolAddListCmd  `cmd:"" name:"add-list" help:"Add the officers of a list, and have the links sent; run again it goes on where it was cut off."`
	Add       enrolAddCmd      `cmd:"" help:"Add one officer, and have the link sent."`
	Show      enrolShowCmd     `cmd:"" help:"Look up a person; it stands in the audit."`
	Pending   enrolPendingCmd  `cmd:"" help:"List enrolments of a state by age; it stands in the audit."`
	Resend    enrolResendCmd   `cmd:"" help:"Have another link or verification code sent."`
	Confirm   enrolConfirmCmd  `cmd:"" help:"Confirm an address with the link that was mailed."`
	Apply     enrolApplyCmd    `cmd:"" help:"Apply for the certificate with the verification code; the officer types the PIN."`
	Validate  enrolValidateCmd `cmd:"" help:"Validate an application (sandbox only: else by session)."`
	Return    enrolReturnCmd   `cmd:"" help:"Return an application to the officer (sandbox only)."`
	Reject    enrolRejectCmd   `cmd:"" help:"Reject an application (sandbox only)."`
	Approve   enrolApproveCmd  `cmd:"" help:"Approve an application: the certificate is issued (sandbox only)."`
	Bulk      enrolBulkCmd     `cmd:"" help:"Decide about many applications with one reason, each judged alone (sandbox only)."`
}

// acting is who a command acts as.
type acting struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
	As   string `help:"Act as ROLE:IC[:AGENCY or SYSTEM], such as AP:700101105554:JANM (sandbox only)." placeholder:"ROLE:IC"`
}

var errActing = hinted{errors.New("--as is for a sandbox: whoever decides must log in"), "decisions are made in a session of the administrator's"}

// open opens the installation and says who acts: the operator of the machine, or in a
// sandbox whoever is named.
func (a *acting) open(e *env) (*gateway.Installation, enrol.Actor, error) {
	i, err := gateway.Open(e.ctx, a.Data, e.now)
	if err != nil {
		return nil, enrol.Actor{}, err
	}
	if a.As == "" {
		return i, enrol.Actor{Name: operator()}, nil
	}
	part := strings.Split(a.As, ":")
	switch {
	case !i.Sandbox:
		err = errActing
	case len(part) < 2 || len(part) > 3:
		err = errors.New("--as must be ROLE:IC or ROLE:IC:SCOPE")
	}
	if err != nil {
		return nil, enrol.Actor{}, errors.Join(err, i.Close())
	}
	p := enrol.Appointment{Role: enrol.Role(part[0])}
	if len(part) == 3 && p.Role == enrol.SAP {
		p.System = part[2]
	} else if len(part) == 3 {
		p.Agency = part[2]
	}
	return i, enrol.Actor{Name: "sandbox:" + part[1], IC: part[1], Appointments: []enrol.Appointment{p}}, nil
}

type enrolAgencyCmd struct {
	acting
	Code         string `arg:"" help:"Code, as lists name it."`
	Name         string `required:"" help:"Name."`
	PersonalMail bool   `help:"Officers may have personal addresses."`
}

func (c *enrolAgencyCmd) Run(e *env) error {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	return i.Desk.PutAgency(e.ctx, by, enrol.Agency{Code: c.Code, Name: c.Name, PersonalMail: c.PersonalMail})
}

type enrolSystemCmd struct {
	acting
	Code      string `arg:"" help:"Code, as lists name it."`
	Title     string `required:"" help:"Title, as mails name it."`
	Agency    string `required:"" help:"Code of the agency that owns it."`
	TokenEnds day    `help:"Day from which the system takes no tokens (2027-01-01)." placeholder:"DAY"`
}

func (c *enrolSystemCmd) Run(e *env) error {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	return i.Desk.PutSystem(e.ctx, by, enrol.System{Code: c.Code, Title: c.Title, Agency: c.Agency, TokenEnds: time.Time(c.TokenEnds)})
}

type enrolTokenCmd struct {
	acting
	Code string    `arg:"" help:"Code of the system."`
	From time.Time `required:"" xor:"when" help:"First day on which it takes none, in Malaysian time (2027-01-01)." format:"2006-01-02" placeholder:"DAY"`
	None bool      `required:"" xor:"when" name:"never" help:"It takes tokens until further notice."`
}

func (c *enrolTokenCmd) Run(e *env) error {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	if !c.None { // midnight there, not here
		c.From = time.Date(c.From.Year(), c.From.Month(), c.From.Day(), 0, 0, 0, 0, myt.Zone)
	}
	return i.Desk.EndTokens(e.ctx, by, c.Code, c.From)
}

type enrolCheckCmd struct {
	acting
	File string `arg:"" help:"The list." type:"existingfile"`
	JSON bool   `help:"Print JSON."`
}

func (c *enrolCheckCmd) Run(e *env) error {
	return c.list(e, c.File, c.JSON, false, func(i *gateway.Installation, by enrol.Actor, f *os.File, size int64) (enrol.ListReport, error) {
		return i.Desk.CheckList(e.ctx, by, f, size)
	})
}

type enrolAddListCmd struct {
	acting
	File     string `arg:"" help:"The list." type:"existingfile"`
	GoodOnly bool   `help:"Leave out the rows that are refused."`
	Rows     []int  `help:"Add these rows alone (numbers as the list has them)." placeholder:"ROW,…"`
	JSON     bool   `help:"Print JSON."`
}

func (c *enrolAddListCmd) Run(e *env) error {
	choice := enrol.ListChoice{GoodOnly: c.GoodOnly}
	for _, n := range c.Rows {
		if choice.Rows == nil {
			choice.Rows = map[int]bool{}
		}
		choice.Rows[n] = true
	}
	return c.list(e, c.File, c.JSON, c.GoodOnly || c.Rows != nil, func(i *gateway.Installation, by enrol.Actor, f *os.File, size int64) (enrol.ListReport, error) {
		return i.Desk.AddList(e.ctx, by, f, size, choice)
	})
}

// list opens a list, does something with it and prints the report. Refused rows end it
// with status 1, unless they were to be left out.
func (a *acting) list(e *env, path string, asJSON, leaveOut bool, do func(*gateway.Installation, enrol.Actor, *os.File, int64) (enrol.ListReport, error)) error {
	i, by, err := a.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading list: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading list: %w", err)
	}
	rep, err := do(i, by, f, info.Size())
	if rep.Rows == 0 && err != nil {
		return err
	}
	if asJSON {
		if jerr := json.NewEncoder(e.stdout).Encode(rep); jerr != nil {
			return jerr
		}
	} else {
		for _, no := range rep.Told {
			fmt.Fprintf(e.stdout, "row %d  %s  %s  %s\n", no.Row, no.Field, no.Code, no)
		}
		fmt.Fprintf(e.stdout, "rows %d  good %d  already there %d  refused %d  added %d\n", rep.Rows, rep.Good, rep.Already, rep.Refused, rep.Added)
	}
	if err == nil && rep.Refused > 0 && !leaveOut {
		return errSilent
	}
	return err
}

type enrolAddCmd struct {
	acting
	IC     string `help:"No. Kad Pengenalan, 12 digits." required:""`
	Name   string `help:"Name, as on the certificate." required:""`
	Email  string `help:"Address for link and codes." required:""`
	Agency string `help:"Code of the agency." required:""`
	System string `default:"IGFMAS" help:"Code of the ICT system."`
	Office string `help:"Accounting office."`
	Phase  string `help:"Rollout phase."`
	Ticket string `help:"Help-desk ticket."`
	Medium string `default:"ROAMING_OTP" help:"TOKEN, SOFTCERT, ROAMING or ROAMING_OTP."`
}

func (c *enrolAddCmd) Run(e *env) error {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	got, err := i.Desk.Add(e.ctx, by, enrol.Row{Officer: enrol.Officer{IC: c.IC, Name: c.Name, Email: c.Email}, Agency: c.Agency, Office: c.Office,
		System: c.System, Phase: c.Phase, Ticket: c.Ticket, Medium: c.Medium})
	if err != nil {
		return err
	}
	if got.ID == "" {
		fmt.Fprintf(e.stdout, "medium      %s for %s\n", c.Medium, c.System)
		return nil
	}
	fmt.Fprintf(e.stdout, "enrolment   %s\nstate       %s\n", got.ID, got.State)
	return nil
}

type enrolShowCmd struct {
	acting
	IC string `help:"No. Kad Pengenalan, 12 digits." required:""`
}

func (c *enrolShowCmd) Run(e *env) error {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	p, err := i.Desk.Lookup(e.ctx, by, c.IC)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "officer     %s %s\n", p.Officer.IC, p.Officer.Name)
	for _, m := range p.Media {
		fmt.Fprintf(e.stdout, "medium      %s %s %s %s\n", m.System, m.Medium, m.Status, m.KeyStatus)
	}
	printEnrolments(e, p.Enrolments)
	return nil
}

func printEnrolments(e *env, list []enrol.Enrolment) {
	t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	for _, x := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.ID, x.State, x.Since.Format(time.RFC3339), x.IC, x.System, x.Agency, x.Reply)
	}
	_ = t.Flush()
}

type enrolPendingCmd struct {
	acting
	State  string `default:"APPLIED" help:"LISTED, CONFIRMING, CONFIRMED, APPLIED, VALIDATED …"`
	System string `help:"Of one ICT system."`
	Agency string `help:"Of one agency."`
	Limit  int    `default:"100" help:"At most so many."`
	JSON   bool   `help:"Print JSON, one enrolment a line."`
}

func (c *enrolPendingCmd) Run(e *env) error {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	list, _, err := i.Desk.Find(e.ctx, by, enrol.Filter{State: enrol.State(c.State), System: c.System, Agency: c.Agency, Limit: c.Limit}, false)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(e.stdout)
		for _, x := range list {
			if err := enc.Encode(x); err != nil {
				return err
			}
		}
		return nil
	}
	printEnrolments(e, list)
	return nil
}

type enrolResendCmd struct {
	acting
	ID string `arg:"" help:"The enrolment."`
}

func (c *enrolResendCmd) Run(e *env) error {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	return i.Desk.Resend(e.ctx, by, c.ID)
}

type enrolConfirmCmd struct {
	Data     string `default:"var/mohor" help:"Data folder." type:"path"`
	LinkFile string `help:"File with the link's token (default: ask)." type:"path"`
}

func (c *enrolConfirmCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	link, err := e.secretFrom(c.LinkFile, "Pautan / Link")
	if err != nil {
		return err
	}
	defer link.Wipe()
	x, err := i.Desk.Confirm(e.ctx, link, "")
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "enrolment   %s\nstate       %s\n", x.ID, x.State)
	return nil
}

type enrolApplyCmd struct {
	Data      string `default:"var/mohor" help:"Data folder." type:"path"`
	CodeFile  string `help:"File with the verification code (default: ask)." type:"path"`
	PINFile   string `name:"pin-file" help:"File with the PIN (default: ask twice)." type:"path"`
	Form      string `required:"" help:"File with the form, JSON." type:"existingfile"`
	MyKad     string `name:"mykad" help:"Copy of the MyKad, JPEG or PNG." type:"existingfile" placeholder:"FILE"`
	Algorithm string `name:"key" default:"RSA-2048" enum:"RSA-2048,RSA-3072,RSA-4096,ECDSA-P256,ECDSA-P384" help:"Kind of key."`
}

func (c *enrolApplyCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	a := enrol.Application{Algorithm: c.Algorithm}
	raw, err := os.ReadFile(c.Form)
	if err == nil {
		err = json.Unmarshal(raw, &a.Form)
	}
	if err != nil {
		return fmt.Errorf("reading the form: %w", err)
	}
	if c.MyKad != "" {
		info, err := os.Stat(c.MyKad)
		if err == nil && info.Size() > enrol.MaxCopy {
			err = fmt.Errorf("it is larger than %d bytes", enrol.MaxCopy)
		}
		if err == nil {
			a.MyKad, err = os.ReadFile(c.MyKad)
		}
		if err != nil {
			return fmt.Errorf("reading the MyKad copy: %w", err)
		}
	}
	if a.Code, err = e.secretFrom(c.CodeFile, "Kod pengesahan / Verification code"); err != nil {
		return err
	}
	defer a.Code.Wipe()
	if a.PIN, err = e.newPIN(c.PINFile, "PIN baharu / New PIN", "PIN baharu sekali lagi / New PIN again"); err != nil {
		return err
	}
	defer a.PIN.Wipe()
	a.PINAgain = a.PIN // newPIN has compared them
	x, err := i.Desk.Apply(e.ctx, a)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "enrolment   %s\nstate       %s\n", x.ID, x.State)
	return nil
}

// deciding is what the decisions share.
type deciding struct {
	acting
	ID string `arg:"" help:"The enrolment."`
}

func (c *deciding) run(e *env, decide func(*gateway.Installation, enrol.Actor) error) error {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	return decide(i, by)
}

type enrolValidateCmd struct{ deciding }

func (c *enrolValidateCmd) Run(e *env) error {
	return c.run(e, func(i *gateway.Installation, by enrol.Actor) error { return i.Desk.Validate(e.ctx, by, c.ID) })
}

type enrolReturnCmd struct {
	deciding
	Reason string `required:"" help:"Why; the officer reads it."`
}

func (c *enrolReturnCmd) Run(e *env) error {
	return c.run(e, func(i *gateway.Installation, by enrol.Actor) error { return i.Desk.Return(e.ctx, by, c.ID, c.Reason) })
}

type enrolRejectCmd struct {
	deciding
	Reason string `required:"" help:"Why; the officer reads it."`
}

func (c *enrolRejectCmd) Run(e *env) error {
	return c.run(e, func(i *gateway.Installation, by enrol.Actor) error { return i.Desk.Reject(e.ctx, by, c.ID, c.Reason) })
}

type enrolApproveCmd struct{ deciding }

func (c *enrolApproveCmd) Run(e *env) error {
	return c.run(e, func(i *gateway.Installation, by enrol.Actor) error {
		cert, err := i.Desk.Approve(e.ctx, by, c.ID)
		if err == nil {
			fmt.Fprintf(e.stdout, "certificate %s, valid until %s\n", cert.SerialNumber, cert.NotAfter.Format("2006-01-02"))
		}
		return err
	})
}
