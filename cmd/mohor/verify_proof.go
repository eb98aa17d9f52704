package main

import (
	"bytes"
	"crypto"
	_ "crypto/sha512" // for digests of documents
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// knownRoot is what a proof is held against, from elsewhere than the proof.
type knownRoot struct {
	Root        string `help:"Root of the batch, base64, as the application has it." xor:"known"`
	Fingerprint string `help:"Fingerprint of the batch, XXXX-XXXX, as the officer was shown it." xor:"known"`
}

// check compares a root that a file says with what is known.
func (k *knownRoot) check(root []byte) error {
	if k.Root != "" {
		if want, err := base64.StdEncoding.DecodeString(k.Root); err != nil || len(want) != 32 {
			return errors.New("--root must be 32 bytes in base64")
		} else if !bytes.Equal(want, root) {
			return errors.New("it is of another batch: the root differs")
		}
	}
	if k.Fingerprint != "" && !strings.EqualFold(k.Fingerprint, mohor.FingerprintOf(root)) {
		return fmt.Errorf("it is of another batch: its fingerprint is %s", mohor.FingerprintOf(root))
	}
	return nil
}

type verifyProofCmd struct {
	knownRoot `embed:""`
	Proof     string `arg:"" help:"The proof: the answer of /v1/batches/ID/items/INDEX/proof." type:"existingfile"`
	File      string `arg:"" optional:"" help:"The document, signed or as it was before." type:"existingfile"`
	JSON      bool   `help:"Print JSON."`
}

func (c *verifyProofCmd) Help() string {
	return "Exit status: 0 when the document is in the batch, 1 when that is not shown, 2 for a wrong command line."
}

func (c *verifyProofCmd) Run(e *env) error {
	if c.Root == "" && c.Fingerprint == "" {
		return hinted{errors.New("a proof shows nothing but to who knows the batch's root"), "give --root, or --fingerprint as the officer was shown it"}
	}
	text, err := os.ReadFile(c.Proof)
	if err != nil {
		return opening(c.Proof, err)
	}
	var p mohor.Proof
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("reading %s: %w", c.Proof, err)
	}
	if err := c.check(p.Root); err != nil {
		return err
	}
	if err := p.Verify(p.Root); err != nil {
		return err
	}
	if c.File != "" {
		f, size, err := openFile(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := begins(f, size, &p); err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(map[string]any{"verdict": "INCLUDED", "batch_id": p.Batch, "index": p.Index, "count": p.Count, "name": p.Name, "fingerprint": mohor.FingerprintOf(p.Root), "document_checked": c.File != ""})
	}
	fmt.Fprintf(e.stdout, "INCLUDED  document %d of %d: %s\n  batch %s, fingerprint %s\n", p.Index+1, p.Count, plainly(p.Name), plainly(p.Batch), mohor.FingerprintOf(p.Root))
	if c.File == "" {
		fmt.Fprintf(e.stdout, "  its digest (%s) is %x\n", p.Digest.Alg, p.Digest.Value)
	}
	return nil
}

// begins returns nil when a file is the document of a proof, or a signed one that begins with it.
func begins(r io.ReaderAt, size int64, p *mohor.Proof) error {
	hash := map[string]crypto.Hash{"SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}[p.Digest.Alg]
	if hash == 0 {
		return fmt.Errorf("unknown hash %q", plainly(p.Digest.Alg))
	}
	for _, n := range []int64{size, p.Size} {
		if n <= 0 || n > size {
			continue
		}
		h := hash.New()
		if _, err := io.Copy(h, io.NewSectionReader(r, 0, n)); err != nil {
			return err
		}
		if bytes.Equal(h.Sum(nil), p.Digest.Value) {
			return nil
		}
	}
	return errors.New("it is another document: its digest differs")
}

// plainly is a text from outside, for a terminal: control characters and the like have no place on it.
func plainly(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
