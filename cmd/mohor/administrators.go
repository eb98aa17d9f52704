package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"rsc.io/qr"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/secret"
)

type adminCmd struct {
	Create adminCreateCmd `cmd:"" help:"Make an administrator, also when nobody can log in; prints a set-up code for that person alone."`
	Setup  adminSetupCmd  `cmd:"" help:"Choose password and authenticator app with a set-up code; the administrator types."`
	List   adminListCmd   `cmd:"" help:"List administrators and their appointments."`
	Reset  adminResetCmd  `cmd:"" help:"Take an administrator's password, TOTP and passkeys; prints a new set-up code."`
	End    adminEndCmd    `cmd:"" help:"End an administrator's account, its appointments and sessions."`

	Appoint        adminAppointCmd        `cmd:"" help:"Appoint somebody on a document; who is no administrator yet becomes one, with a set-up code."`
	EndAppointment adminEndAppointmentCmd `cmd:"" help:"End an appointment, now or at a date, on a document."`
	Vacancies      adminVacanciesCmd      `cmd:"" help:"List the agencies without an AP in force; it stands in the audit."`
}

type adminCreateCmd struct {
	Data   string `default:"var/mohor" help:"Data folder." type:"path"`
	Role   string `help:"JDN, SAP, SA, AP or AUDITOR." enum:"JDN,SAP,SA,AP,AUDITOR" required:""`
	Agency string `help:"Agency, of SA and AP."`
	System string `help:"ICT system, of SAP."`
	IC     string `help:"No. Kad Pengenalan, 12 digits." required:""`
	Name   string `help:"Name." required:""`
	Email  string `help:"E-mail address." required:""`
}

func (c *adminCreateCmd) Run(e *env) error {
	err := gateway.Administrators(e.ctx, c.Data, e.now, func(a *enrol.Accounts) error {
		acct, code, err := a.CreateAdministrator(e.ctx, enrol.Actor{Name: operator()}, enrol.Officer{IC: c.IC, Name: c.Name, Email: c.Email},
			enrol.Appointment{Role: enrol.Role(c.Role), Agency: c.Agency, System: c.System, From: e.now()})
		if err != nil {
			return err
		}
		if code.Len() == 0 {
			return e.keeps(acct)
		}
		return e.handOver(acct.ID, code)
	})
	if errors.Is(err, enrol.ErrExists) {
		return hinted{err, "mohor admin list; mohor admin reset gives a new set-up code"}
	}
	return err
}

// handOver prints a set-up code.
func (e *env) handOver(account string, code secret.Text) error {
	defer code.Wipe()
	_, err := fmt.Fprintf(e.stdout, "account      %s\nset-up code  %s\nvalid until  %s\n", account, code.Reveal(), e.now().Add(enrol.SetupFor).Format(time.RFC3339))
	fmt.Fprintln(e.stderr, "mohor: hint: give the code to that person alone, by hand; with it they choose password and TOTP: mohor admin setup, or POST /v1/setup")
	return err
}

type adminSetupCmd struct {
	Data         string `default:"var/mohor" help:"Data folder." type:"path"`
	CodeFile     string `help:"File with the set-up code (default: ask)." type:"path"`
	PasswordFile string `help:"File with the new password (default: ask twice)." type:"path"`
}

func (c *adminSetupCmd) Run(e *env) error {
	i, err := gateway.Open(e.ctx, c.Data, e.now)
	if err != nil {
		return err
	}
	defer i.Close()
	code, err := e.secretFrom(c.CodeFile, "Kod persediaan / Set-up code")
	if err != nil {
		return err
	}
	defer code.Wipe()
	seed, err := i.Accounts.BeginSetup(e.ctx, code, "")
	if errors.Is(err, enrol.ErrUnknown) {
		return hinted{errors.New("the set-up code is wrong, was used, or has expired"), "mohor admin reset gives a new one"}
	}
	if err != nil {
		return err
	}
	if err := printSeed(e.stdout, &seed); err != nil {
		return err
	}
	password, err := e.twice(c.PasswordFile, "Kata laluan baharu / New password", "Kata laluan sekali lagi / Password again", "the two passwords differ")
	if err != nil {
		return err
	}
	defer password.Wipe()
	if err := enrol.CheckPassword(password, enrol.Officer{IC: seed.Account.IC, Name: seed.Account.Name, Email: seed.Account.Email}); err != nil {
		return err
	}
	totp, err := e.ask("Kod aplikasi pengesah / Code of the authenticator app")
	if err != nil {
		return err
	}
	acct, err := i.Accounts.CompleteSetup(e.ctx, code, password, totp, "")
	if errors.Is(err, enrol.ErrWrongCode) {
		return hinted{errors.New("the app's code is wrong"), "check the clock of telephone and gateway, and set up again with the same set-up code"}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "ready        %s (%s)\n", acct.Name, acct.ID)
	return err
}

// printSeed shows the seed for the authenticator app, as text and as a QR code.
func printSeed(w io.Writer, s *enrol.Seed) error {
	code, err := qr.Encode(string(s.URL.Reveal()), qr.M)
	if err != nil {
		return fmt.Errorf("making QR code: %w", err)
	}
	var b strings.Builder
	// Two rows to a line; the quiet zone is four modules (ISO/IEC 18004, Section 6.3.8).
	for y := -4; y < code.Size+4; y += 2 {
		for x := -4; x < code.Size+4; x++ {
			b.WriteString([]string{"█", "▄", "▀", " "}[dark(code, x, y)*2+dark(code, x, y+1)])
		}
		b.WriteByte('\n')
	}
	_, err = fmt.Fprintf(w, "%s%s\nseed         %s\n", b.String(), s.URL.Reveal(), s.Base32.Reveal())
	return err
}

func dark(c *qr.Code, x, y int) int {
	if c.Black(x, y) {
		return 1
	}
	return 0
}

type adminListCmd struct {
	Data string `default:"var/mohor" help:"Data folder." type:"path"`
	JSON bool   `help:"Print JSON, one account a line."`
}

// adminLine is an administrator as printed.
type adminLine struct {
	Account      string            `json:"account"`
	IC           string            `json:"ic,omitempty"`
	Name         string            `json:"name"`
	Email        string            `json:"email"`
	State        string            `json:"state"`
	Appointments []appointmentLine `json:"appointments"` // ended ones too
}

type appointmentLine struct {
	Role   string     `json:"role"`
	Agency string     `json:"agency,omitempty"`
	System string     `json:"system,omitempty"`
	From   time.Time  `json:"from"`
	Until  *time.Time `json:"until,omitempty"`

	ID       string `json:"appointment_id"`
	Document string `json:"document,omitempty"`
	Awaits   bool   `json:"awaits_confirmation,omitempty"`
}

func (c *adminListCmd) Run(e *env) error {
	var list []enrol.Account
	err := gateway.Administrators(e.ctx, c.Data, e.now, func(a *enrol.Accounts) error {
		all, err := a.Appointments(e.ctx, enrol.Actor{Name: operator()}, enrol.AppointmentFilter{State: enrol.AppointmentsAny})
		at := map[string]int{}
		for _, x := range slices.Backward(all) { // the oldest first, each person once
			k, known := at[x.Account.ID]
			if !known {
				k = len(list)
				at[x.Account.ID], list = k, append(list, x.Account)
			}
			list[k].Appointments = append(list[k].Appointments, x.Appointment)
		}
		return err
	})
	if err != nil {
		return err
	}
	enc, t := json.NewEncoder(e.stdout), tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(t, "ACCOUNT\tSTATE\tIC\tNAME\tE-MAIL\tAPPOINTMENTS")
	}
	for _, a := range list {
		line := adminLine{Account: a.ID, IC: a.IC, Name: a.Name, Email: a.Email, State: a.State, Appointments: []appointmentLine{}}
		var roles []string
		for _, x := range a.Appointments {
			line.Appointments = append(line.Appointments, appointmentLine{string(x.Role), x.Agency, x.System, x.From, ended(x.Until), x.ID, x.Document, x.Awaits})
		}
		for _, x := range a.InForce(e.now()) {
			roles = append(roles, strings.TrimSpace(string(x.Role)+" "+x.Agency+x.System))
		}
		if !c.JSON {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", a.ID, a.State, dash(a.IC), a.Name, a.Email, dash(strings.Join(roles, ", ")))
		} else if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return t.Flush()
}

func ended(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

type adminResetCmd struct {
	Data    string `default:"var/mohor" help:"Data folder." type:"path"`
	Account string `help:"The account, of mohor admin list." required:""`
	IC      string `help:"No. Kad Pengenalan, for an account that has none yet (the first administrator of mohor init)."`
}

func (c *adminResetCmd) Run(e *env) error {
	err := gateway.Administrators(e.ctx, c.Data, e.now, func(a *enrol.Accounts) error {
		acct, _, err := a.Records.Account(e.ctx, c.Account)
		if err != nil {
			return err
		}
		if acct.IC == "" && c.IC == "" {
			return hinted{errors.New("the account has no IC to log in with"), "name it with --ic"}
		}
		code, err := a.ResetAdministrator(e.ctx, enrol.Actor{Name: operator()}, c.Account, c.IC)
		if err != nil {
			return err
		}
		return e.handOver(c.Account, code)
	})
	return unknownAccount(err)
}

type adminEndCmd struct {
	Data    string `default:"var/mohor" help:"Data folder." type:"path"`
	Account string `help:"The account, of mohor admin list." required:""`
}

func (c *adminEndCmd) Run(e *env) error {
	err := gateway.Administrators(e.ctx, c.Data, e.now, func(a *enrol.Accounts) error {
		if err := a.EndAccount(e.ctx, enrol.Actor{Name: operator()}, c.Account); err != nil {
			return err
		}
		_, err := fmt.Fprintln(e.stdout, "ended       ", c.Account)
		return err
	})
	return unknownAccount(err)
}

func unknownAccount(err error) error {
	if errors.Is(err, enrol.ErrUnknown) {
		return hinted{errors.New("no such account that has not ended"), "mohor admin list"}
	}
	return err
}
