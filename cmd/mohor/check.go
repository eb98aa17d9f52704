package main

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// judges are programs we did not write, asked about what we signed: pdfsig (on
// a throw-away NSS database that trusts our root alone), qpdf and openssl.
type judges struct {
	dir  string // scratch
	root string // PEM file
	sub  string // PEM file of the issuing CA
}

// verdicts counts what they said about PDFs.
type verdicts struct {
	Files, Valid, Trusted, Whole, Clean, CMS int
}

func newJudges(ctx context.Context, dir string, chain []*x509.Certificate) (*judges, error) {
	j := &judges{dir: dir, root: filepath.Join(dir, "root.pem"), sub: filepath.Join(dir, "issuing.pem")}
	for file, c := range map[string]*x509.Certificate{j.sub: chain[0], j.root: chain[1]} {
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600); err != nil {
			return nil, fmt.Errorf("writing certificates: %w", err)
		}
	}
	nss := filepath.Join(dir, "nss")
	if err := os.MkdirAll(nss, 0o700); err != nil {
		return nil, fmt.Errorf("making NSS database: %w", err)
	}
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-n", "mohor root", "-t", "CT,C,C", "-a", "-i", j.root}} {
		if out, err := exec.CommandContext(ctx, "certutil", append(args, "-d", "sql:"+nss)...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("running certutil: %w: %s", err, out)
		}
	}
	return j, nil
}

// pdf asks all judges about one signed file and adds their verdicts.
func (j *judges) pdf(ctx context.Context, file string, v *verdicts) error {
	v.Files++
	out, err := exec.CommandContext(ctx, "pdfsig", "-nssdir", "sql:"+filepath.Join(j.dir, "nss"), file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("running pdfsig on %s: %w: %s", file, err, out)
	}
	// This pdfsig lists document time-stamps without judging them; openssl does.
	all, stamps := bytes.Count(out, []byte("Signature #")), bytes.Count(out, []byte("Signature Type: unknown"))
	for text, n := range map[string]*int{"Signature is Valid.": &v.Valid, "Certificate is Trusted.": &v.Trusted, " Total document signed": &v.Whole} {
		if bytes.Count(out, []byte(text)) == 1 && all-stamps == 1 {
			*n++
		}
	}
	if err := exec.CommandContext(ctx, "qpdf", "--check", file).Run(); err == nil {
		v.Clean++
	}
	return j.cms(ctx, file, v)
}

// cms has openssl check each SignedData, document time-stamps among them, over
// the bytes the file says it covers.
func (j *judges) cms(ctx context.Context, file string, v *verdicts) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	good := true
	for at, end := 0, 0; end < len(raw); {
		next := bytes.Index(raw[at:], []byte("/ByteRange"))
		if next < 0 {
			return fmt.Errorf("reading %s: the last /ByteRange does not cover the file", file)
		}
		at += next
		content, der, err := split(raw, at)
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		data, sig := filepath.Join(j.dir, "content"), filepath.Join(j.dir, "signature.der")
		if err := errors.Join(os.WriteFile(data, content, 0o600), os.WriteFile(sig, der, 0o600)); err != nil {
			return fmt.Errorf("writing content: %w", err)
		}
		args := []string{"cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", sig, "-content", data, "-CAfile", j.root, "-purpose", "any", "-out", os.DevNull}
		if bytes.LastIndex(raw[:at], []byte("/ETSI.RFC3161")) > bytes.LastIndex(raw[:at], []byte(" obj")) {
			args = []string{"ts", "-verify", "-token_in", "-in", sig, "-data", data, "-CAfile", j.root}
		}
		good = good && exec.CommandContext(ctx, "openssl", args...).Run() == nil
		at, end = at+1, len(content)+2*len(der)+2
	}
	if good {
		v.CMS++
	}
	return nil
}

// split takes apart what the /ByteRange at an offset says: the bytes covered
// and what is in the gap. It searches, which only a check of our own output may.
func split(raw []byte, at int) (content, der []byte, err error) {
	open, end := bytes.IndexByte(raw[at:], '['), bytes.IndexByte(raw[at:], ']')
	if open < 0 || end < open {
		return nil, nil, errors.New("no array behind /ByteRange")
	}
	var n [4]int
	fields := strings.Fields(string(raw[at+open+1 : at+end]))
	if len(fields) != 4 {
		return nil, nil, errors.New("/ByteRange must have four numbers")
	}
	for k, f := range fields {
		if n[k], err = strconv.Atoi(f); err != nil || n[k] < 0 || n[k] > len(raw) {
			return nil, nil, errors.New("/ByteRange has a wrong number")
		}
	}
	if n[0] != 0 || n[1] > n[2] || n[2]+n[3] > len(raw) {
		return nil, nil, errors.New("/ByteRange leaves the file")
	}
	gap := bytes.Trim(raw[n[1]:n[2]], "<>")
	der = make([]byte, len(gap)/2)
	for k := range der {
		b, err := strconv.ParseUint(string(gap[2*k:2*k+2]), 16, 8)
		if err != nil {
			return nil, nil, errors.New("/Contents is not hexadecimal")
		}
		der[k] = byte(b)
	}
	return append(append([]byte{}, raw[:n[1]]...), raw[n[2]:n[2]+n[3]]...), der, nil
}

// raw has openssl check a bare signature over a SHA-256 digest, and the
// certificate's path.
func (j *judges) raw(ctx context.Context, cert *x509.Certificate, digest, sig []byte) error {
	path := func(name string) string { return filepath.Join(j.dir, name) }
	spki, err := x509.MarshalPKIXPublicKey(cert.PublicKey)
	if err != nil {
		return fmt.Errorf("encoding public key: %w", err)
	}
	err = errors.Join(os.WriteFile(path("pub.pem"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), 0o600),
		os.WriteFile(path("officer.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600),
		os.WriteFile(path("digest"), digest, 0o600), os.WriteFile(path("sig"), sig, 0o600))
	if err != nil {
		return fmt.Errorf("writing files for openssl: %w", err)
	}
	args := []string{"pkeyutl", "-verify", "-pubin", "-inkey", path("pub.pem"), "-in", path("digest"), "-sigfile", path("sig"), "-pkeyopt", "digest:sha256"}
	if _, ok := cert.PublicKey.(*rsa.PublicKey); ok {
		args = append(args, "-pkeyopt", "rsa_padding_mode:pkcs1")
	}
	if out, err := exec.CommandContext(ctx, "openssl", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("openssl pkeyutl: %w: %s", err, out)
	}
	if out, err := exec.CommandContext(ctx, "openssl", "verify", "-CAfile", j.root, "-untrusted", j.sub, path("officer.pem")).CombinedOutput(); err != nil {
		return fmt.Errorf("openssl verify: %w: %s", err, out)
	}
	return nil
}
