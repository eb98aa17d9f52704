package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/mohor-sign/mohor/pdf/verify"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

type verifyArchiveCmd struct {
	trustFlags   `embed:""`
	knownRoot    `embed:""`
	File         string `arg:"" help:"ZIP with manifest.json, as a batch gives it." type:"existingfile"`
	NoSignatures bool   `help:"Check files and proofs, and no signature."`
	JSON         bool   `help:"Print JSON: what is wrong, one a line, and the counts."`
}

func (c *verifyArchiveCmd) Help() string {
	return "Exit status: 0 when everything is as it was sealed, and each document signed with a signature that is VALID; 1 when something is wrong; else 3: a signature is INDETERMINATE or was not checked, or a document is refused or not signed, of which the manifest alone speaks."
}

// packed is a line of the manifest, as far as it is checked.
type packed struct {
	Index     int      `json:"index"`
	Name      string   `json:"name"`
	State     string   `json:"state"`
	Format    string   `json:"format"`
	Alg       string   `json:"alg"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	Proof     [][]byte `json:"proof"`
	File      string   `json:"file"`
	SHA256    string   `json:"file_sha256"`
	Signature []byte   `json:"signature"`
}

// counted is what an archive has.
type counted struct {
	Batch         string `json:"batch_id"`
	Root          []byte `json:"root"`
	Fingerprint   string `json:"fingerprint"`
	Documents     int    `json:"documents"`
	Files         int    `json:"files"`
	Valid         int    `json:"valid"`
	Invalid       int    `json:"invalid"`
	Indeterminate int    `json:"indeterminate"`
	NotChecked    int    `json:"not_checked"` // signatures of which the archive has no certificate, or with --no-signatures
	Refused       int    `json:"refused"`
	NotSigned     int    `json:"not_signed"`
	Wrong         int    `json:"wrong"`
}

// open are the documents of which the archive does not show that they are signed.
func (n *counted) open() int { return n.NotChecked + n.Refused + n.NotSigned }

// archiveJudge goes through one archive.
type archiveJudge struct {
	c       *verifyArchiveCmd
	e       *env
	o       verify.Options
	files   map[string]*zip.File
	count   int // as the manifest says
	bar     *progress
	hint    bool
	counted counted
}

func (c *verifyArchiveCmd) Run(e *env) error {
	z, err := zip.OpenReader(c.File)
	if err != nil {
		return opening(c.File, err)
	}
	defer z.Close()
	j := &archiveJudge{c: c, e: e, files: map[string]*zip.File{}}
	if !c.NoSignatures {
		if j.o, err = c.options(e); err != nil {
			return err
		}
	}
	for _, f := range z.File {
		if j.files[f.Name] != nil {
			j.wrong(f.Name, errors.New("it is there twice"))
		}
		j.files[f.Name] = f
	}
	m := j.files["manifest.json"]
	if m == nil {
		return fmt.Errorf("%s has no manifest.json: it is no archive of a batch", c.File)
	}
	delete(j.files, "manifest.json")
	if err := j.manifest(m); err != nil {
		return fmt.Errorf("reading manifest.json: %w", err)
	}
	for name := range j.files {
		j.wrong(name, errors.New("the manifest does not name it"))
	}
	return j.end()
}

// wrong tells of something that is not as it was sealed.
func (j *archiveJudge) wrong(what string, err error) {
	j.counted.Wrong++
	j.say("WRONG", what, err.Error())
}

func (j *archiveJudge) say(verdict, what, why string) {
	if j.c.JSON {
		_ = json.NewEncoder(j.e.stdout).Encode(map[string]string{"verdict": verdict, "what": what, "why": why}) // the last line tells
		return
	}
	fmt.Fprintf(j.e.stdout, "%s  %s: %s\n", verdict, plainly(what), plainly(why))
}

// manifest reads the manifest line by line: it may be larger than memory. Of a key that is there twice
// others may read the other value, so there must be none.
func (j *archiveJudge) manifest(f *zip.File) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	d := json.NewDecoder(r)
	if err := begin(d, '{'); err != nil {
		return err
	}
	keys := onceKeys{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if err := keys.add(name); err != nil {
			return err
		}
		switch name {
		case "batch_id":
			err = once(d, &j.counted.Batch)
		case "root":
			err = once(d, &j.counted.Root)
		case "count":
			err = once(d, &j.count)
		case "items":
			if !keys["root"] || !keys["count"] {
				return errors.New("root and count must stand before items")
			}
			err = j.items(d)
		default:
			err = once(d, new(json.RawMessage))
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	if j.counted.Documents != j.count || j.count == 0 {
		j.wrong("manifest.json", fmt.Errorf("it has %d documents, and says %d", j.counted.Documents, j.count))
	}
	switch _, err = d.Token(); { // to its end, for the checksum
	case err == nil:
		return errors.New("something stands behind its end")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

func begin(d *json.Decoder, with json.Delim) error {
	if t, err := d.Token(); err != nil || t != with {
		return errors.Join(fmt.Errorf("%s is missing", with), err)
	}
	return nil
}

// onceKeys are the keys of one object, in one case: encoding/json knows no other.
type onceKeys map[string]bool

func (k onceKeys) add(key json.Token) error {
	name, _ := key.(string)
	folded := strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return unicode.ToLower(next)
			}
			r = next
		}
	}, name)
	if k[folded] {
		return fmt.Errorf("the key %q is there twice", plainly(name))
	}
	k[folded] = true
	return nil
}

// once decodes the next value, in which no object may have a key twice.
func once(d *json.Decoder, to any) error {
	var text json.RawMessage
	if err := d.Decode(&text); err != nil {
		return err
	}
	if err := noKeyTwice(json.NewDecoder(bytes.NewReader(text))); err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}

func noKeyTwice(d *json.Decoder) error {
	t, err := d.Token()
	if err != nil || t != json.Delim('{') && t != json.Delim('[') {
		return err
	}
	keys := onceKeys{}
	for d.More() {
		if t == json.Delim('{') {
			key, err := d.Token()
			if err != nil {
				return err
			}
			if err := keys.add(key); err != nil {
				return err
			}
		}
		if err := noKeyTwice(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

func (j *archiveJudge) items(d *json.Decoder) error {
	if err := j.c.check(j.counted.Root); err != nil {
		return err
	}
	j.counted.Fingerprint = mohor.FingerprintOf(j.counted.Root)
	j.bar = j.e.progress("verifying", j.count)
	if err := begin(d, '['); err != nil {
		return err
	}
	for d.More() {
		it := packed{}
		if err := once(d, &it); err != nil {
			return err
		}
		if err := j.item(&it); err != nil {
			if j.e.ctx.Err() != nil {
				return j.e.ctx.Err()
			}
			j.wrong(fmt.Sprintf("document %d, %s", it.Index+1, it.Name), err)
		}
		j.counted.Documents++
		j.bar.at(j.counted.Documents)
	}
	_, err := d.Token()
	return err
}

func (j *archiveJudge) item(it *packed) error {
	if it.Index != j.counted.Documents {
		return fmt.Errorf("it stands in the place of document %d", j.counted.Documents+1)
	}
	digest, err := hex.DecodeString(it.Digest)
	if err != nil {
		return fmt.Errorf("its digest: %w", err)
	}
	p := &mohor.Proof{Index: it.Index, Name: it.Name, Digest: mohor.Digest{Alg: it.Alg, Value: digest}, Size: it.Size, Count: j.count, Path: it.Proof}
	if err := p.Verify(j.counted.Root); err != nil {
		return err
	}
	switch it.State {
	case "signed":
	case "refused":
		j.counted.Refused++
		return nil
	default:
		j.counted.NotSigned++
		return nil
	}
	if it.File == "" {
		if it.Format != "RAW" || len(it.Signature) == 0 {
			return errors.New("it has no signature: it is said to be signed, and names no file")
		}
		j.counted.NotChecked++ // its certificate is not here
		return nil
	}
	f := j.files[it.File]
	if f == nil {
		return fmt.Errorf("%s is missing", it.File)
	}
	delete(j.files, it.File)
	j.counted.Files++
	return j.file(f, it, p)
}

// file checks a signed document: its bytes, that it begins with what was sealed, its signatures.
func (j *archiveJudge) file(f *zip.File, it *packed, p *mohor.Proof) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	t, err := os.CreateTemp("", "mohor-*")
	if err != nil {
		return err
	}
	defer t.Close()
	if err := os.Remove(t.Name()); err != nil {
		return err
	}
	h := sha256.New()
	size, err := io.Copy(io.MultiWriter(t, h), io.LimitReader(r, j.limit()))
	if err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != it.SHA256 {
		return fmt.Errorf("%s is not the file that was archived", it.File)
	}
	if strings.HasSuffix(it.File, ".p7s") {
		return j.detached(it, p)
	}
	// The size is not in the leaf, but no other one has this digest.
	if it.Size <= 0 || it.Size >= size {
		return fmt.Errorf("%s: nothing was added to the document that was sealed: it is not signed", it.File)
	}
	if err := begins(io.NewSectionReader(t, 0, it.Size), it.Size, p); err != nil {
		return fmt.Errorf("%s: %w", it.File, err)
	}
	if j.c.NoSignatures {
		j.counted.NotChecked++
		return nil
	}
	report, err := verify.Verify(j.e.ctx, t, size, j.o)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(report.Signatures, func(s verify.Signature) bool { return s.End > it.Size }) {
		return fmt.Errorf("%s: it has no signature over what was sealed", it.File)
	}
	// VALID is what has no signature that is not.
	var why []string
	for _, s := range report.Signatures {
		for _, r := range s.Reasons {
			why = append(why, r.Code)
		}
	}
	for _, r := range report.Reasons {
		why = append(why, r.Code)
	}
	j.verdict(it.File, report.Verdict, report.SubIndication, why)
	return nil
}

// limit is the most that is read of one file: a byte more than is allowed, which no digest fits.
func (j *archiveJudge) limit() int64 { return j.c.MaxSize + 1 }

func (j *archiveJudge) detached(it *packed, p *mohor.Proof) error {
	if sum := sha256.Sum256(it.Signature); hex.EncodeToString(sum[:]) != it.SHA256 {
		return fmt.Errorf("%s is not the signature in the manifest", it.File)
	}
	if j.c.NoSignatures {
		j.counted.NotChecked++
		return nil
	}
	s := verify.Detached(p.Digest.Value, it.Signature, j.o)
	var why []string
	for _, r := range s.Reasons {
		why = append(why, r.Code)
	}
	j.verdict(it.File, s.Verdict, s.SubIndication, why)
	return nil
}

func (j *archiveJudge) verdict(file string, v verify.Verdict, sub string, why []string) {
	switch v {
	case verify.Valid:
		j.counted.Valid++
		return
	case verify.Invalid:
		j.counted.Invalid++
	default:
		j.counted.Indeterminate++
		j.hint = j.hint || sub == "TRY_LATER"
	}
	j.say(string(v), file, strings.Join(why, ", "))
}

func (j *archiveJudge) end() error {
	n := &j.counted
	if j.c.JSON {
		if err := json.NewEncoder(j.e.stdout).Encode(n); err != nil {
			return err
		}
	} else {
		word := "VALID"
		switch {
		case n.Wrong+n.Invalid+n.Indeterminate > 0:
			word = "NOT VALID"
		case n.open() > 0:
			word = "INCOMPLETE"
		}
		fmt.Fprintf(j.e.stdout, "%s  %s: %d documents, %d files\n", word, j.c.File, n.Documents, n.Files)
		if n.Wrong > 0 {
			fmt.Fprintf(j.e.stdout, "  %d faults: it is not what was sealed and archived\n", n.Wrong)
		} else {
			fmt.Fprintln(j.e.stdout, "  each document is proven to be in the batch, each file is what was archived")
		}
		fmt.Fprintf(j.e.stdout, "  signatures: %d valid, %d invalid, %d indeterminate, %d not checked; documents: %d refused, %d not signed\n", n.Valid, n.Invalid, n.Indeterminate, n.NotChecked, n.Refused, n.NotSigned)
		if n.open() > 0 {
			fmt.Fprintf(j.e.stdout, "  not shown to be signed: %d documents; only the manifest, which nothing protects, says what became of them\n", n.open())
		}
		fmt.Fprintf(j.e.stdout, "  batch %s, fingerprint %s, root %s\n", plainly(n.Batch), n.Fingerprint, base64.StdEncoding.EncodeToString(n.Root))
	}
	if j.c.Root == "" && j.c.Fingerprint == "" {
		fmt.Fprintln(j.e.stderr, "mohor: hint: the root is the archive's own word; compare the fingerprint with what the officer was shown, or give --fingerprint or --root")
	}
	if j.hint {
		j.c.hint(j.e)
	}
	switch {
	case n.Wrong > 0 || n.Invalid > 0:
		return statusInvalid
	case n.Indeterminate+n.open() > 0:
		return statusIndeterminate
	}
	return nil
}
