package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
)

// accounts are the people who log in. codes is nil where nobody does: at the command line.
func (i *Installation) accounts(codes *loginCodes) *enrol.Accounts {
	c := enrol.AccountConfig{Records: i.db, Now: i.now, BaseURL: i.Config.BaseURL,
		OfficerIdle: i.Config.Sessions.OfficerIdle, AdministratorIdle: i.Config.Sessions.AdministratorIdle, Absolute: i.Config.Sessions.Absolute}
	if codes != nil {
		c.Codes, c.Deeds = *codes, map[string]enrol.LoginCodes{}
		for purpose, as := range map[string]string{enrol.ForPassword: otp.Reset, enrol.ForDeletion: otp.Deletion, enrol.ForPhone: otp.Phone} {
			c.Deeds[purpose] = loginCodes{codes.issuer, as}
		}
	}
	if i.hsm != nil {
		c.MAC = macKey{i.hsm, hsm.CodeKey}
	}
	return enrol.NewAccounts(c)
}

// loginCodes is enrol.LoginCodes on otp: same key, tries and life as the codes for
// signing, other purposes, and records of their own.
type loginCodes struct {
	issuer  *otp.Issuer
	purpose string // otp.Login, or that of a deed
}

// nowhere is the channel of codes that nobody gets.
const nowhere = "none"

func newLoginCodes(like *otp.Issuer, records otp.Records, mail *mailLater) *loginCodes {
	return &loginCodes{&otp.Issuer{Records: records, Codes: like.Codes, MAC: like.MAC, Policy: like.Policy,
		Senders: map[string]otp.Sender{signer.Email: mail, nowhere: dropped{}}}, otp.Login}
}

// Send implements enrol.LoginCodes.
func (l loginCodes) Send(ctx context.Context, login string, to enrol.Account, deliver bool) (time.Time, error) {
	channel, m := nowhere, otp.Message{To: to.Email, Name: to.Name}
	if deliver {
		channel = signer.Email
	}
	c, err := l.issuer.Issue(ctx, l.binding(login, to), channel, "", m, audit.Event{})
	return c.ExpiresAt, err
}

// Check implements enrol.LoginCodes.
func (l loginCodes) Check(ctx context.Context, login string, of enrol.Account, code secret.Text) (ok bool, left int, err error) {
	c, err := l.issuer.Records.Challenge(ctx, login)
	if err != nil {
		return false, 0, err
	}
	left, err = l.issuer.Check(ctx, l.binding(login, of), c.Nonce, code)
	if errors.Is(err, otp.ErrWrong) {
		return false, left, nil
	}
	return err == nil, left, err
}

func (l loginCodes) binding(login string, a enrol.Account) otp.Binding {
	return otp.Binding{Transaction: login, Officer: a.IC, Key: a.ID, Purpose: l.purpose}
}

// dropped is the sender of codes that nobody gets.
type dropped struct{}

// SendCode implements otp.Sender.
func (dropped) SendCode(context.Context, otp.Message) error { return nil }

// mailLater hands messages to the courier and does not wait to hear of them: who asks
// for a log-in must not learn from the time it takes that there is somebody to write to.
type mailLater struct {
	courier otp.Sender
	log     *slog.Logger
	sending sync.WaitGroup
}

// SendCode implements otp.Sender.
func (l *mailLater) SendCode(ctx context.Context, m otp.Message) error {
	m = m.Copy(0)
	l.sending.Go(func() {
		defer m.Wipe()
		if err := l.courier.SendCode(context.WithoutCancel(ctx), m); err != nil {
			l.log.Error("the code of a log-in was not sent", "login", m.Transaction, "error", err)
		}
	})
	return nil
}

// close waits for messages on their way to the courier.
func (l *mailLater) close() { l.sending.Wait() }
