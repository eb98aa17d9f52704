package main

import (
	"archive/zip"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/internal/secret"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

type demoCmd struct {
	Data       string `default:"var/demo" help:"Data folder; a sandbox that is there is replaced." type:"path"`
	Candidates string `default:"examples/candidates.csv" help:"CSV of candidates." type:"existingfile"`
	Voucher    string `default:"examples/voucher.pdf" help:"PDF to sign visibly." type:"existingfile"`
	Place      string `default:"last,51,119,241,97" help:"Place of the visible signature on the voucher."`
	Once       bool   `help:"End after the table."`
	Listen     string `default:"127.0.0.1:0" help:"Loopback address."`
}

// row is a line of the demo's table.
type row struct {
	what     string
	count    int
	verdicts string
	ok       bool
	took     time.Duration
}

// demo is the run: an officer at a terminal and an app, played over HTTP.
type demo struct {
	*env
	api     *client
	remote  remote
	server  *gateway.Server
	out     string
	judges  *judges
	officer *x509.Certificate
}

func (c *demoCmd) Run(e *env) error {
	if err := gateway.RemoveSandbox(e.ctx, c.Data); err != nil {
		return err
	}
	logFile, err := os.OpenFile(c.Data+".log", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(c.Data), 0o755); err == nil {
			logFile, err = os.OpenFile(c.Data+".log", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("opening log: %w", err)
	}
	defer logFile.Close()
	start := time.Now()
	fmt.Fprintln(e.stderr, "mohor: making a sandbox: token, keys, authorities, two officers, an application")
	s, l, dev, err := gateway.Dev(e.ctx, gateway.DevOptions{Dir: c.Data, Listen: c.Listen, Process: tokenProcess, Administrators: !c.Once, Now: e.now, Log: slog.New(slog.NewTextHandler(logFile, nil))})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(e.ctx)
	served := make(chan error, 1)
	go func() { served <- s.Run(ctx, l) }()
	var rows []row
	d := &demo{env: e, server: s, out: filepath.Join(c.Data, "out")}
	if d.api, err = newClient(dev.BaseURL, dev.APIKey, false); err == nil {
		rows, err = d.play(c, dev)
	}
	if err == nil {
		err = d.table(c, dev, rows, time.Since(start))
	}
	if err == nil && !c.Once {
		fmt.Fprintln(e.stderr, "mohor: serving until Ctrl-C")
		<-e.ctx.Done()
	}
	stop()
	return errors.Join(err, <-served, s.CloseAll())
}

// play enrols an officer and signs everything.
func (d *demo) play(c *demoCmd, dev sandbox.DevFile) ([]row, error) {
	if err := os.MkdirAll(d.out, 0o755); err != nil {
		return nil, fmt.Errorf("making output folder: %w", err)
	}
	pin, err := d.enrol(dev.System)
	if err != nil {
		return nil, err
	}
	defer pin.Wipe()
	scratch, err := os.MkdirTemp("", "mohor-demo-")
	if err != nil {
		return nil, fmt.Errorf("making scratch folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	chain, err := d.api.Chain(d.ctx)
	if err == nil && len(chain) != 2 {
		err = errors.New("the chain must be the issuing CA and the root")
	}
	if err != nil {
		return nil, err
	}
	if d.judges, err = newJudges(d.ctx, scratch, chain); err != nil {
		return nil, err
	}
	var rows []row
	for _, step := range []func(*demoCmd, secret.Text) (row, error){d.certificates, d.voucher, d.hash} {
		r, err := step(c, pin)
		if err != nil {
			return rows, err
		}
		rows = append(rows, r)
	}
	if rep, err := gateway.VerifyAudit(d.ctx, c.Data, ""); err != nil {
		return rows, err
	} else {
		rows = append(rows, row{what: "audit records", count: int(rep.Records), verdicts: "hash chain intact", ok: true})
	}
	return rows, nil
}

// demoOfficer signs the demo's batch.
var demoOfficer = enrol.Officer{IC: "790308109903", Name: "NORAINI BINTI OTHMAN", Email: "noraini@jpk.mohor.example"}

func (d *demo) enrol(system string) (secret.Text, error) {
	fmt.Fprintln(d.stderr, "mohor: enrolling an officer: key made in the HSM, wrapped by the KEK, sealed by the PIN; certificate issued")
	pin := secret.New("Rusa-Sambar-7")
	if err := d.server.Registrar.AddOfficer(d.ctx, "demo", demoOfficer, system); err != nil {
		return pin, err
	}
	_, cert, err := d.server.Registrar.IssueCredential(d.ctx, "demo", demoOfficer, system, "RSA-2048", pin)
	d.officer = cert
	d.remote = remote{IC: demoOfficer.IC, System: system}
	return pin, err
}

// sign opens a transaction, reads the code from the mailbox as the officer
// would, and confirms.
func (d *demo) sign(pin secret.Text, ask mohor.Ask) (*mohor.Transaction, error) {
	mark := d.server.Mailbox.Mark()
	t, err := d.api.CreateTransaction(d.ctx, d.remote.ask(ask))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(d.ctx, 10*time.Second)
	defer cancel()
	mail, err := d.server.Mailbox.WaitFor(ctx, demoOfficer.Email, mark)
	if err != nil {
		return nil, fmt.Errorf("waiting for the code: %w", err)
	}
	return d.api.Sign(d.ctx, t.ID, mohor.Confirmation{Nonce: t.Nonce, PIN: pin, OTP: secret.New(mail.Code)})
}

func (d *demo) certificates(c *demoCmd, pin secret.Text) (row, error) {
	fmt.Fprintln(d.stderr, "mohor: drawing, sealing and signing the certificates of", c.Candidates)
	up := batchSignCmd{remote: d.remote, File: c.Candidates, Name: "SKM Julai 2026"}
	start := time.Now()
	id, err := up.take(d.env, d.api)
	if err != nil {
		return row{}, err
	}
	if _, err := d.sign(pin, mohor.Ask{Format: mohor.PADES, BatchID: id}); err != nil {
		return row{}, err
	}
	b, _, err := d.api.follow(d.env, id)
	if err != nil {
		return row{}, err
	}
	took := time.Since(start)
	archive := filepath.Join(d.out, "certificates.zip")
	if err := d.api.archive(d.ctx, id, archive); err != nil {
		return row{}, err
	}
	files, err := unzip(archive, filepath.Join(d.out, "certificates"))
	if err != nil {
		return row{}, err
	}
	fmt.Fprintln(d.stderr, "mohor: asking pdfsig, qpdf and openssl about each of", len(files))
	r, err := d.judge("eCertificates, one PIN + code", files, took)
	r.ok = r.ok && b.Status == "SIGNED" && len(files) == b.Count
	return r, err
}

func (d *demo) judge(what string, files []string, took time.Duration) (row, error) {
	var v verdicts
	for _, f := range files {
		if err := d.judges.pdf(d.ctx, f, &v); err != nil {
			return row{}, err
		}
	}
	n := len(files)
	return row{what: what, count: n, took: took, ok: n > 0 && v == verdicts{n, n, n, n, n, n},
		verdicts: fmt.Sprintf("pdfsig: %d valid, %d trusted, %d total document; qpdf: %d clean; openssl: %d good", v.Valid, v.Trusted, v.Whole, v.Clean, v.CMS)}, nil
}

func (d *demo) voucher(c *demoCmd, pin secret.Text) (row, error) {
	fmt.Fprintln(d.stderr, "mohor: signing", c.Voucher, "visibly")
	place, err := parseVisible(c.Place, false)
	if err != nil {
		return row{}, err
	}
	start := time.Now()
	doc, err := d.api.uploadPDF(d.ctx, c.Voucher, secret.Text{})
	if err != nil {
		return row{}, err
	}
	_, err = d.sign(pin, mohor.Ask{Format: mohor.PADES, Process: "AP-22", Role: "Perakuan 1",
		PAdES: &mohor.PAdES{Level: "B-LTA", Reason: "Perakuan 1", Visible: place}, Documents: []mohor.Document{{DocumentID: doc, Reference: doc}}})
	if err != nil {
		return row{}, err
	}
	took := time.Since(start)
	file := filepath.Join(d.out, "voucher-signed.pdf")
	if err := d.api.signedPDF(d.ctx, doc, file); err != nil {
		return row{}, err
	}
	return d.judge("voucher, visible, B-LTA", []string{file}, took)
}

func (d *demo) hash(_ *demoCmd, pin secret.Text) (row, error) {
	fmt.Fprintln(d.stderr, "mohor: signing a hash as iGFMAS sends it")
	header := "110FGOM07022411247A29911.35" + demoOfficer.IC
	digest := mohor.SHA256([]byte(header))
	start := time.Now()
	t, err := d.sign(pin, mohor.Ask{Format: mohor.RAW, DataHeader: header,
		Documents: []mohor.Document{{Name: "Arahan Bayaran 110FGOM07022411247", Digest: digest}}})
	if err != nil {
		return row{}, err
	}
	took := time.Since(start)
	info, err := json.MarshalIndent(t, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(d.out, "hash-signed.json"), info, 0o644)
	}
	if err != nil {
		return row{}, fmt.Errorf("writing result: %w", err)
	}
	if err := d.judges.raw(d.ctx, d.officer, digest.Value, t.Signatures[0].Signature); err != nil {
		return row{}, err
	}
	return row{what: "iGFMAS hash, RSA PKCS#1", count: 1, verdicts: "openssl: signature verified, certificate path OK", ok: true, took: took}, nil
}

// unzip writes the PDFs of an archive into dir.
func unzip(archive, dir string) ([]string, error) {
	zr, err := zip.OpenReader(archive)
	if err != nil {
		return nil, fmt.Errorf("opening archive: %w", err)
	}
	defer zr.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("unpacking archive: %w", err)
	}
	var files []string
	for _, zf := range zr.File {
		r, err := zf.Open()
		if err != nil {
			return nil, fmt.Errorf("unpacking archive: %w", err)
		}
		b, err := io.ReadAll(r)
		name := filepath.Join(dir, filepath.Base(zf.Name))
		if err = errors.Join(err, r.Close()); err == nil {
			err = os.WriteFile(name, b, 0o644)
		}
		if err != nil {
			return nil, fmt.Errorf("unpacking archive: %w", err)
		}
		if strings.HasSuffix(name, ".pdf") {
			files = append(files, name)
		}
	}
	return files, nil
}

// table prints what was signed and what the judges said; one "no" fails the
// demo.
func (d *demo) table(c *demoCmd, dev sandbox.DevFile, rows []row, took time.Duration) error {
	w := d.stdout
	fmt.Fprintf(w, "\n%-30s %5s  %-6s  %8s  %7s  %s\n", "what", "count", "result", "time", "docs/s", "verdicts of other tools")
	failed := 0
	for _, r := range rows {
		result, rate, at := "ok", "", ""
		if !r.ok {
			result = "FAILED"
			failed++
		}
		if r.took > 0 {
			at, rate = r.took.Round(time.Millisecond).String(), fmt.Sprintf("%.1f", float64(r.count)/r.took.Seconds())
		}
		fmt.Fprintf(w, "%-30s %5d  %-6s  %8s  %7s  %s\n", r.what, r.count, result, at, rate, r.verdicts)
	}
	fmt.Fprintf(w, "\nall of it in %s\n\ngateway   %s\nmailbox   %s/dev/mailbox\nconsole   %s/dev/administrators\nAPI       %s/docs\nsigned    %s\nuse it    %s\nlog       %s.log\n",
		took.Round(100*time.Millisecond), dev.BaseURL, dev.BaseURL, dev.BaseURL, dev.BaseURL, d.out, filepath.Join(c.Data, gateway.DevFile), c.Data)
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(rows))
	}
	return nil
}
