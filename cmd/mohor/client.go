package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/internal/secret"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// place is where commands find a gateway.
type place struct {
	Server  string `help:"Gateway (default: base_url of dev.json)."`
	KeyFile string `help:"File with the API key (default: api_key of dev.json)." type:"path"`
	Data    string `default:"var/mohor" help:"Data folder whose dev.json is used." type:"path"`
	English bool   `help:"Messages of the gateway in English."`
}

// remote is where `sign` and `batch sign` find a gateway, and who is to sign.
type remote struct {
	place      `embed:""`
	IC         string `help:"Officer (default: the first of dev.json)."`
	System     string `help:"ICT system (default: that of dev.json)."`
	Credential string `help:"Credential (default: the officer's first)."`
	PINFile    string `help:"File with the PIN (default: ask)." type:"path"`
	Total      string `help:"What the documents amount to, for the officer to read: CURRENCY AMOUNT, such as 'MYR 29911.35'."`
}

// client speaks the API for one app.
type client struct {
	*mohor.Client
	pin secret.Text // from a file, else none
}

// newClient is a client with an API key. What the gateway could not do is said at once:
// somebody waits at the terminal, and may begin again.
func newClient(base string, key secret.Text, english bool) (*client, error) {
	c, err := mohor.New(base, mohor.APIKey(key))
	if err != nil {
		return nil, err
	}
	c.Patience = -1
	if english {
		c.Language = "en"
	}
	return &client{Client: c}, nil
}

// dial finds gateway and key; dev is the sandbox's own file, if there is one.
func (r *place) dial() (c *client, dev sandbox.DevFile, err error) {
	base, key := strings.TrimRight(r.Server, "/"), secret.Text{}
	dev, err = sandbox.ReadDevFile(filepath.Join(r.Data, gateway.DevFile))
	if err == nil {
		if base == "" {
			base = dev.BaseURL
		}
		if base == dev.BaseURL {
			key = dev.APIKey // a sandbox's key goes to its own gateway only
		}
	}
	if r.KeyFile != "" {
		var kerr error
		if key, kerr = secretFile(r.KeyFile); kerr != nil {
			return nil, dev, kerr
		}
	}
	if base == "" || key.Len() == 0 {
		return nil, dev, hinted{errors.Join(errors.New("no gateway and API key known"), err), "start `mohor serve --dev --data " + r.Data + "`, or give --server and --key-file"}
	}
	c, err = newClient(base, key, r.English)
	return c, dev, err
}

func (r *remote) connect() (*client, error) {
	c, dev, err := r.dial()
	if err != nil {
		return nil, err
	}
	if r.System == "" {
		r.System = dev.System
	}
	if r.IC == "" && len(dev.Officers) > 0 {
		r.IC = dev.Officers[0].IC
	}
	if r.IC == "" || r.System == "" {
		return nil, errors.New("give --ic and --system")
	}
	if r.PINFile != "" {
		c.pin, err = secretFile(r.PINFile)
	}
	return c, err
}

// openFile opens a document and gives its size.
func openFile(name string) (*os.File, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, opening(name, err)
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = errors.New("it is a folder")
	}
	if err != nil {
		return nil, 0, errors.Join(opening(name, err), f.Close())
	}
	return f, st.Size(), nil
}

// opening names a file once.
func opening(name string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("opening %s: %w", name, err)
}

// ready refuses, before anybody is asked for anything, a document that cannot
// be read and a result that cannot be written or would replace the document.
func ready(file, out string) error {
	f, _, err := openFile(file)
	if err != nil {
		return err
	}
	defer f.Close()
	from, err := f.Stat()
	if err != nil {
		return opening(file, err)
	}
	if to, err := os.Stat(out); err == nil && (to.IsDir() || os.SameFile(from, to)) {
		return hinted{fmt.Errorf("%s is a folder or the document itself", out), "give another file with --out"}
	}
	probe, err := os.CreateTemp(filepath.Dir(out), filepath.Base(out)+".part-*")
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return hinted{fmt.Errorf("writing %s: %w", out, err), "give another file with --out"}
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// download writes what open gives to a file, whole or not at all.
func download(open func() (io.ReadCloser, error), file string) error {
	body, err := open()
	if err != nil {
		return err
	}
	defer body.Close()
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".part-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	_, err = io.Copy(f, body)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", file, err), os.Remove(f.Name()))
	}
	return nil
}

// signedPDF writes a document as it was signed.
func (c *client) signedPDF(ctx context.Context, id, file string) error {
	return download(func() (io.ReadCloser, error) { return c.SignedPDF(ctx, id) }, file)
}

// archive writes the ZIP of a batch.
func (c *client) archive(ctx context.Context, id, file string) error {
	return download(func() (io.ReadCloser, error) { return c.Archive(ctx, id) }, file)
}
