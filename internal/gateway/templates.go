package gateway

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/process"
	"github.com/mohor-sign/mohor/signer"
)

// templates reads the looks of visible signatures with their images. Errors
// wrap ErrConfig and name the template, the image and what is wrong.
func (c *Config) templates() (*signer.Templates, error) {
	out := &signer.Templates{}
	for _, name := range slices.Sorted(maps.Keys(c.Templates)) {
		t := c.Templates[name]
		own := signer.Template{Style: t.Style, Language: t.Language, Lines: t.Lines, QR: t.QR}
		if t.Image != "" {
			var err error
			if own.Image, err = readImage(t.Image); err != nil {
				return nil, fmt.Errorf("%w: templates.%s.image: %w", ErrConfig, name, err)
			}
		}
		if err := out.Add(name, own); err != nil {
			return nil, fmt.Errorf("%w: templates.%s: %w", ErrConfig, name, err)
		}
	}
	return out, nil
}

// processes reads the work processes of ICT systems. Errors wrap ErrConfig and name row and column.
func (c *Config) processes() (*process.List, error) {
	if c.Processes == "" {
		return process.Builtin()
	}
	f, err := os.Open(c.Processes)
	if err != nil {
		return nil, fmt.Errorf("%w: processes: %w", ErrConfig, err)
	}
	defer f.Close()
	l, err := process.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%w: processes: %s: %w", ErrConfig, c.Processes, err)
	}
	return l, nil
}

// certificates makes what draws eCertificates.
func (c *Config) certificates(sandbox bool) (*ecert.Renderer, error) {
	t, err := ecert.LoadTemplates(c.Ecert.Templates)
	if err == nil {
		var r *ecert.Renderer
		if r, err = ecert.NewRenderer(ecert.Options{Sandbox: sandbox, Templates: t}); err == nil {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%w: ecert.templates: %w", ErrConfig, err)
}

func readImage(path string) (*pdf.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // names the file
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, pdf.MaxImage+1))
	if err != nil {
		return nil, err
	}
	m, err := pdf.NewImage(raw)
	var bad *pdf.Error
	if errors.As(err, &bad) {
		return nil, fmt.Errorf("%s: %s", path, bad.Detail)
	}
	return m, err
}
