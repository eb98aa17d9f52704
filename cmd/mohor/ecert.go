package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/internal/raster"
)

type ecertCmd struct {
	Preview   ecertPreviewCmd   `cmd:"" help:"Draw the certificate of one row of a candidate list; no gateway is asked."`
	Templates ecertTemplatesCmd `cmd:"" help:"List the templates of certificates, and check a folder of one's own."`
}

type ecertPreviewCmd struct {
	CSV       string `name:"csv" required:"" help:"Candidate list, CSV or XLSX." type:"existingfile"`
	Row       int    `default:"2" help:"Row of the list; the header is row 1."`
	Out       string `required:"" help:"File to write: .pdf, or .png for a picture (needs pdftoppm of poppler-utils)." type:"path"`
	Page      int    `default:"1" help:"Page of a picture."`
	Photo     string `help:"JPEG of the candidate." type:"existingfile"`
	Templates string `help:"Folder of templates of one's own." type:"existingdir"`
	URL       string `name:"url" default:"https://example.invalid/s/AAAAAAAAAAAAAAAAAAAAAA#AAAAAAAAAAAAAAAAAAAAAA" help:"Address in the QR code."`
	Official  bool   `help:"Without the marking SANDBOX – TIDAK SAH."`
}

func (c *ecertPreviewCmd) Run(e *env) error {
	kind := strings.ToLower(filepath.Ext(c.Out))
	if kind != ".pdf" && kind != ".png" {
		return hinted{errors.New("--out must end in .pdf or .png"), "--out preview.pdf"}
	}
	t, err := ecert.LoadTemplates(c.Templates)
	if err != nil {
		return err
	}
	r, err := ecert.NewRenderer(ecert.Options{Sandbox: !c.Official, Templates: t})
	if err != nil {
		return err
	}
	candidate, err := candidateOf(c.CSV, c.Row)
	if err != nil {
		return err
	}
	var photo []byte
	if c.Photo != "" {
		if photo, err = os.ReadFile(c.Photo); err != nil {
			return fmt.Errorf("reading photo: %w", err)
		}
		sum := sha256.Sum256(photo)
		candidate.Photo = hex.EncodeToString(sum[:])
	} else {
		candidate.Photo = "" // it lies beside the list, in a ZIP
	}
	out, err := r.Render(candidate, c.URL, photo)
	if err != nil {
		return err
	}
	if kind == ".png" {
		if out, err = raster.PNG(e.ctx, bytes.NewReader(out), c.Page, 150); errors.Is(err, raster.ErrAbsent) {
			return hinted{err, "apt install poppler-utils, or --out FILE.pdf"}
		} else if err != nil {
			return err
		}
	}
	if err := os.WriteFile(c.Out, out, 0o600); err != nil {
		return fmt.Errorf("writing preview: %w", err)
	}
	_, err = fmt.Fprintf(e.stdout, "%s  %s  %s\n", candidate.Number, candidate.Name, c.Out)
	return err
}

// candidateOf reads one row of a list.
func candidateOf(file string, row int) (ecert.Candidate, error) {
	f, err := os.Open(file)
	if err != nil {
		return ecert.Candidate{}, fmt.Errorf("opening list: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return ecert.Candidate{}, fmt.Errorf("opening list: %w", err)
	}
	rd, err := ecert.OpenReader(f, st.Size())
	if err != nil {
		return ecert.Candidate{}, err
	}
	for {
		candidate, refusal, err := rd.Next()
		switch {
		case err == io.EOF:
			return candidate, fmt.Errorf("the list has no row %d with something in it", row)
		case err != nil:
			return candidate, err
		case refusal != nil && refusal.Row == row:
			return candidate, fmt.Errorf("row %d is refused: %s: %s", row, refusal.Code, refusal.Detail)
		case refusal == nil && candidate.Row == row:
			return candidate, nil
		}
	}
}

type ecertTemplatesCmd struct {
	Dir string `arg:"" optional:"" help:"Folder of one's own, as ecert.templates in mohor.yaml names it." type:"existingdir"`
}

func (c *ecertTemplatesCmd) Run(e *env) error {
	t, err := ecert.LoadTemplates(c.Dir)
	if err != nil {
		return err
	}
	if _, err := ecert.NewRenderer(ecert.Options{Templates: t}); err != nil {
		return err
	}
	var out strings.Builder
	for _, s := range t.Sources() {
		from := "built in"
		if s.Own {
			from = "own"
		}
		fmt.Fprintf(&out, "%-9s %s\n", from, s.File)
	}
	for _, l := range []ecert.Level{ecert.SKM1, ecert.SKM2, ecert.SKM3, ecert.DKM, ecert.DLKM, ecert.PC, ecert.VTO, ecert.VTE, ecert.VTM} {
		for _, in := range []ecert.Language{ecert.Malay, ecert.English} {
			fmt.Fprintf(&out, "%-6s %s  %s, with units %s\n", l, in, t.Layout(l, in, false), t.Layout(l, in, true))
		}
	}
	_, err = io.WriteString(e.stdout, out.String())
	return err
}
