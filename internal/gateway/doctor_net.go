package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"strconv"
	"syscall"
	"time"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/notify"
)

// netWait bounds each question to another machine.
const netWait = 3 * time.Second

// addresses: the gateway listens where it should, and people find it.
func (d *doctor) addresses(ctx context.Context) {
	if !d.readable {
		d.skipped("addresses", "the configuration cannot be read")
		return
	}
	c := &d.config
	d.listener(ctx, "listen", c.Listen, c.TLS.Cert != "")
	if c.ListenPublic != "" {
		d.listener(ctx, "listen_public", c.ListenPublic, false)
	}
	if d.pid == 0 {
		d.skipped("base_url and public_url", "no gateway serves this folder")
		return
	}
	if d.authority[ca.Root] == nil {
		d.skipped("base_url and public_url", "the root certificate by which ours would be known cannot be read")
		return
	}
	d.reached(ctx, "base_url", c.BaseURL, "people and QR codes go there", "let DNS, proxy and firewall lead it to "+c.Listen)
	to := c.Listen
	if c.ListenPublic != "" {
		to = c.ListenPublic
	}
	d.reached(ctx, "public_url", c.PublicURL, "it stands in every certificate: without it no signature can be verified", "let DNS, proxy and firewall lead http there to "+to)
}

func (d *doctor) listener(ctx context.Context, field, address string, secure bool) {
	_, port, err := net.SplitHostPort(address)
	if err != nil || port == "0" {
		d.skipped(field, "no port is fixed")
		return
	}
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	if d.pid != 0 {
		if err := d.ours(ctx, scheme+dialable(address), true); err != nil {
			d.fault(fmt.Sprintf("the gateway (process %d) does not answer on %s %s: %v", d.pid, field, address, err), "nobody can sign", "look into its log, and whether it was started with another --listen")
			return
		}
		d.ok("the gateway (process %d) answers on %s %s", d.pid, field, address)
		return
	}
	l, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		_ = l.Close()
		d.ok("no gateway serves this folder; %s %s is free for it", field, address)
	case errors.Is(err, syscall.EADDRINUSE):
		d.fault(field+" "+address+" is taken by another program", "the gateway cannot start", "ss -ltnp shows which; end it or choose another address")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		d.fault(field+" "+address+" is no address of this machine", "the gateway cannot start", "choose one that ip address shows")
	default:
		d.fault(field+" "+address+" cannot be listened on: "+err.Error(), "the gateway cannot start", "ports below 1024 need CAP_NET_BIND_SERVICE; else choose another address")
	}
}

// dialable gives a listening address that means every interface one to ask.
func dialable(address string) string {
	host, port, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

func (d *doctor) reached(ctx context.Context, field, base, why, fix string) {
	if err := d.ours(ctx, base, false); err != nil {
		d.fault(fmt.Sprintf("%s %s does not lead to this gateway (tried from this machine): %v", field, base, err), why, fix)
		return
	}
	d.ok("%s %s leads to this gateway (tried from this machine)", field, base)
}

// ours fetches the root certificate, by which this installation is known.
func (d *doctor) ours(ctx context.Context, base string, anyName bool) error {
	ctx, cancel := context.WithTimeout(ctx, netWait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/ca/root.cer", nil)
	if err != nil {
		return err
	}
	// A proxy of the environment would answer for us; a redirect is another place. At the
	// listening address the certificate's name cannot fit.
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: anyName}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	root := d.authority[ca.Root]
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("it answers %s", resp.Status)
	case root != nil && !bytes.Equal(body, root.Raw):
		return errors.New("another program or installation answers")
	}
	return nil
}

// mail goes as far as a mail would, and sends none.
func (d *doctor) mail(ctx context.Context) {
	m := d.config.Mail
	switch {
	case !d.readable:
		d.skipped("the mail server", "the configuration cannot be read")
		return
	case d.sandbox:
		d.skipped("the mail server", "a sandbox keeps its mails")
		return
	case m.Host == "":
		d.fault("mail.host is not set", "codes are sent by mail: without it nobody can sign, and the gateway refuses to start", "mail.host, port, tls and from in "+d.path(ConfigFile))
		return
	}
	if m.PasswordFile != "" {
		if pw, err := readSecret(m.PasswordFile); err != nil {
			d.fault("mail.password_file: "+cause(err), "the gateway refuses to start", "put the password there, mode 0600")
		} else {
			pw.Wipe()
		}
	}
	if _, err := m.DKIM.open(); err != nil {
		d.fault(fmt.Sprintf("mail.dkim: %v", err), "the gateway refuses to start", "a private key without password in PEM, RSA of 2048 bits or more or Ed25519, mode 0600; or leave all of mail.dkim empty")
	}
	address := net.JoinHostPort(m.Host, strconv.Itoa(m.Port))
	if err := greet(ctx, m, address); err != nil {
		d.fault(fmt.Sprintf("mail server %s (tried from this machine): %v", address, err), "codes do not arrive, so nobody can sign", "correct mail.host, port and tls, or the firewall; the server must offer what mail.tls asks for")
		return
	}
	d.ok("mail server %s answers, mail.tls %q holds", address, m.TLS)
}

// greet is EHLO and STARTTLS (RFC 3207).
func greet(ctx context.Context, m MailConfig, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*netWait)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	conf := &tls.Config{ServerName: m.Host, MinVersion: tls.VersionTLS12}
	if m.TLS == notify.TLSImplicit {
		conn = tls.Client(conn, conf)
	}
	c, err := smtp.NewClient(conn, m.Host)
	if err != nil {
		return fmt.Errorf("it does not greet: %w", err)
	}
	defer c.Close()
	if err := c.Hello("localhost"); err != nil {
		return fmt.Errorf("it refuses EHLO: %w", err)
	}
	if m.TLS == notify.TLSStartTLS || m.TLS == "" {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errors.New("it does not offer STARTTLS")
		}
		if err := c.StartTLS(conf); err != nil {
			return fmt.Errorf("STARTTLS: %w", err)
		}
	}
	return c.Quit()
}
