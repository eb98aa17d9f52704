package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// Exit statuses of batch sign and batch status, besides 0, 1 and 2.
const (
	statusRefused     exitStatus = 3   // done, and some documents were refused
	statusInterrupted exitStatus = 130 // by Ctrl-C; the batch goes on
)

const batchHelp = "Exit status: 0 when all is signed (status: or nothing is wrong so far), 1 when it failed or stopped, 3 when it is done and some documents were refused, 130 after Ctrl-C: the gateway goes on with the batch."

type batchCmd struct {
	Sign   batchSignCmd   `cmd:"" help:"Sign a batch of eCertificates from a CSV of candidates, with one PIN and one code."`
	Status batchStatusCmd `cmd:"" help:"How a batch stands: counts, rate, what was refused and why."`
	Pause  batchPauseCmd  `cmd:"" help:"Sign no more of a batch for now."`
	Resume batchResumeCmd `cmd:"" help:"Go on with a paused batch."`
	Retry  batchRetryCmd  `cmd:"" help:"Let refused documents of a batch be authorised again."`
}

type batchSignCmd struct {
	remote        `embed:""`
	File          string `arg:"" help:"List of candidates (CSV or XLSX), or a ZIP of one and the pictures it names." type:"path"`
	Name          string `help:"Name of the batch (default: the file's)."`
	Out           string `help:"ZIP of the signed certificates (default: FILE.zip)." type:"path"`
	AcceptRefused bool   `help:"Sign the good rows although others were refused."`
	Level         string `enum:"B-B,B-T,B-LT,B-LTA" default:"B-B" help:"Level of the signatures."`
	Batch         string `help:"Go on with this batch instead of making one from FILE."`
	JSON          bool   `help:"Print JSON."`
}

func (c *batchSignCmd) Help() string { return batchHelp }

func (c *batchSignCmd) Run(e *env) error {
	api, err := c.connect()
	if err != nil {
		return err
	}
	if c.Name == "" {
		c.Name = filepath.Base(c.File)
	}
	if c.Out == "" {
		c.Out = strings.TrimSuffix(c.File, filepath.Ext(c.File)) + ".zip"
		if c.Out == c.File {
			c.Out = strings.TrimSuffix(c.File, ".zip") + "-signed.zip"
		}
	}
	if err := ready(c.File, c.Out); err != nil {
		return err
	}
	b := new(mohor.Batch)
	if c.Batch == "" {
		c.Batch, err = c.take(e, api)
	} else {
		b, err = api.Batch(e.ctx, c.Batch)
	}
	if err != nil {
		return err
	}
	// A batch that was confirmed may have gone on without us.
	if b.Status != "SIGNING" && b.Status != "PAUSED" && !b.Done() {
		t, err := api.CreateTransaction(e.ctx, c.ask(mohor.Ask{Format: mohor.PADES, BatchID: c.Batch, PAdES: &mohor.PAdES{Level: c.Level}}))
		if err != nil {
			return err
		}
		if _, err := c.confirm(e, api, t); err != nil {
			return err
		}
	}
	again := "mohor batch sign --batch " + c.Batch + " " + c.File
	b, refused, err := api.follow(e, c.Batch)
	if err != nil && e.ctx.Err() != nil {
		return c.left(e, c.Batch, again)
	}
	if err != nil {
		return hinted{err, "when the gateway answers again: " + again}
	}
	refused.write(e.stderr)
	if !b.Done() {
		return hinted{stopped(b), again}
	}
	if b.Signed == 0 {
		return hinted{fmt.Errorf("%s: none of %d could be signed", b.Status, b.Count), "mohor batch status " + c.Batch}
	}
	if err := api.archive(e.ctx, c.Batch, c.Out); err != nil {
		return hinted{fmt.Errorf("the batch is signed, but: %w", err), "fetch it: " + again}
	}
	if c.JSON {
		err = json.NewEncoder(e.stdout).Encode(map[string]any{"file": c.Out, "batch": b})
	} else {
		_, err = fmt.Fprintf(e.stdout, "%s  %d signed, %d refused\n%s\n", b.Status, b.Signed, b.Refused, c.Out)
	}
	if err == nil && b.Refused > 0 {
		err = statusRefused
	}
	return err
}

// take makes, fills and seals the batch; refused rows are shown.
func (c *batchSignCmd) take(e *env, api *client) (id string, err error) {
	b, err := api.CreateBatch(e.ctx, c.Name, mohor.BatchECert)
	if err != nil {
		return "", err
	}
	f, _, err := openFile(c.File)
	if err != nil {
		return "", err
	}
	defer f.Close()
	add := api.AddCandidates
	if strings.EqualFold(filepath.Ext(c.File), ".zip") {
		add = api.AddCandidatesWithPhotos
	}
	got, err := add(e.ctx, b.ID, f)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(e.stderr, "mohor: batch %s: %d rows taken, %d refused\n", b.ID, got.Accepted, got.RefusedCount)
	for _, n := range got.Notes {
		fmt.Fprintf(e.stderr, "mohor: %s\n", n.Detail)
	}
	for _, r := range got.Refused {
		fmt.Fprintf(e.stderr, "mohor: row %d, %s: %s [%s]\n", r.Row, r.Column, r.Detail, r.Code)
	}
	if more := got.RefusedCount - len(got.Refused); more > 0 {
		fmt.Fprintf(e.stderr, "mohor: and %d more\n", more)
	}
	if got.RefusedCount > 0 && !c.AcceptRefused {
		refusal := fmt.Errorf("%d rows were refused, nothing was signed", got.RefusedCount)
		// Nobody will come back for this batch.
		return "", hinted{errors.Join(refusal, api.CancelBatch(e.ctx, b.ID)), "mend the rows, or sign the others with --accept-refused"}
	}
	_, err = api.Seal(e.ctx, b.ID, c.AcceptRefused)
	return b.ID, err
}

// stopped is a batch that is not done and does not go on by itself.
func stopped(b *mohor.Batch) error {
	err := fmt.Errorf("the batch stopped: %s, %d of %d signed", b.Status, b.Signed, b.Count)
	if b.Needs != nil {
		err = fmt.Errorf("%w: %s", err, plainly(b.Needs.Message))
	}
	return err
}

// left says, after Ctrl-C, that nothing ended but this command.
func (r *place) left(e *env, id, again string) error {
	fmt.Fprintf(e.stderr, "mohor: the gateway goes on with batch %s\nmohor: hint: look again: mohor batch status --follow %s\n", id, id)
	if again != "" {
		fmt.Fprintf(e.stderr, "mohor: hint: fetch what is signed: %s\n", again)
	}
	return statusInterrupted
}

// follow watches a batch until it is done or stops, and gathers what is refused.
func (c *client) follow(e *env, id string) (*mohor.Batch, *refusals, error) {
	var bar *progress
	var b *mohor.Batch
	refused := &refusals{}
	for event, err := range c.Events(e.ctx, id) {
		if err != nil {
			return b, refused, err
		}
		if event.Refused != nil {
			refused.add(event.Refused)
			continue
		}
		over := b == nil && event.Batch.Done() // before we looked
		b = event.Batch
		if over {
			continue
		}
		if bar == nil {
			bar = e.told("signing", b.Count)
		}
		bar.say(pace(b, e.now()))
		bar.at(b.Signed + b.Refused)
	}
	if b == nil || e.ctx.Err() != nil {
		return b, refused, errors.Join(errors.New("the gateway told nothing of the batch"), e.ctx.Err())
	}
	return b, refused, nil
}

// pace is how a batch goes on, for the end of a line; "" when nobody can say.
func pace(b *mohor.Batch, now time.Time) string {
	if b.Status != "SIGNING" || b.Rate <= 0 {
		return ""
	}
	s := fmt.Sprintf("%.3g a second", b.Rate)
	if b.ETA != nil && b.ETA.After(now) {
		s += ", done in " + max(time.Second, b.ETA.Sub(now).Round(time.Second)).String()
	}
	return s
}

// refusals are the first items that were refused, and how many there are.
type refusals struct {
	first []*mohor.Refused
	n     int
}

// shown is how many refused items a table has.
const shown = 50

func (r *refusals) add(x *mohor.Refused) {
	if r.n++; r.n <= shown {
		r.first = append(r.first, x)
	}
}

// write prints a table in the order of the documents.
func (r *refusals) write(w io.Writer) {
	if r.n == 0 {
		return
	}
	slices.SortFunc(r.first, func(a, b *mohor.Refused) int { return a.Index - b.Index })
	fmt.Fprintf(w, "refused: %d\n", r.n)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, x := range r.first {
		fmt.Fprintf(t, "%7d\t%s\t[%s]\t%s\n", x.Index+1, plainly(x.Name), plainly(x.Code), plainly(x.Detail))
	}
	_ = t.Flush() // as any write to a terminal
	if r.n > len(r.first) {
		fmt.Fprintf(w, "        and %d more\n", r.n-len(r.first))
	}
}

type batchStatusCmd struct {
	place  `embed:""`
	Batch  string `arg:"" help:"Id of the batch."`
	Follow bool   `help:"Go on until it is done or stops."`
	JSON   bool   `help:"Print JSON."`
}

func (c *batchStatusCmd) Help() string { return batchHelp }

func (c *batchStatusCmd) Run(e *env) error {
	api, _, err := c.dial()
	if err != nil {
		return err
	}
	b, err := api.Batch(e.ctx, c.Batch)
	if err != nil {
		return err
	}
	refused := &refusals{}
	if c.Follow {
		if b, refused, err = api.follow(e, c.Batch); err != nil && e.ctx.Err() != nil {
			return c.left(e, c.Batch, "")
		}
	} else if b.Refused > 0 && !c.JSON {
		for it, ierr := range api.Items(e.ctx, c.Batch, "refused") {
			if err = ierr; err != nil {
				break
			}
			refused.add(&mohor.Refused{Index: it.Index, Name: it.Name, Code: it.Code, Detail: it.Detail})
			if refused.n == shown {
				refused.n = b.Refused
				break
			}
		}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(e.stdout).Encode(b)
	} else {
		describe(e, b)
		refused.write(e.stdout)
	}
	switch {
	case err != nil:
		return err
	case b.Done() && b.Refused > 0:
		return statusRefused
	case !b.Done() && b.Status != "SIGNING" && b.Status != "PAUSED" && b.Status != "SEALED" && b.Status != "OPEN":
		return errSilent
	}
	return nil
}

// describe prints how a batch stands.
func describe(e *env, b *mohor.Batch) {
	t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) { fmt.Fprintf(t, what+"\t"+format+"\n", args...) }
	line("batch", "%s  %s", plainly(b.ID), plainly(b.Name))
	line("status", "%s", b.Status)
	line("documents", "%d: %d signed, %d refused, %d left", b.Count, b.Signed, b.Refused, b.Pending)
	if p := pace(b, e.now()); p != "" {
		line("rate", "%s", p)
	}
	if b.FinishedAt != nil {
		line("finished", "%s", b.FinishedAt.Format(time.RFC3339))
	}
	if b.Fingerprint != "" {
		line("fingerprint", "%s", b.Fingerprint)
	}
	for _, code := range slices.Sorted(maps.Keys(b.RefusedByCode)) {
		line("refused", "%d [%s]", b.RefusedByCode[code], plainly(code))
	}
	if b.Needs != nil {
		line("needs", "%s", plainly(b.Needs.Message))
	}
	_ = t.Flush() // as any write to a terminal
}
