//go:build !race

package gateway_test

import (
	"crypto"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/pdf/cms"
)

// opensslJudge is openssl over the files of one signature.
type opensslJudge struct {
	t    *testing.T
	path string
	dir  string
}

// file writes a file that openssl reads.
func (j *opensslJudge) file(name string, content []byte) string {
	j.t.Helper()
	path := filepath.Join(j.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		j.t.Fatal(err)
	}
	return path
}

// says runs openssl; what it prints must contain each of words.
func (j *opensslJudge) says(args string, words ...string) string {
	j.t.Helper()
	cmd := exec.Command(j.path, strings.Fields(args)...)
	cmd.Dir = j.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		j.t.Errorf("openssl %s: %v\n%s", args, err, out)
	}
	for _, w := range words {
		if !strings.Contains(string(out), w) {
			j.t.Errorf("openssl %s: %q is not in\n%s", args, w, out)
		}
	}
	return string(out)
}

// hashes of the API, and openssl's names for them.
var hashes = []struct {
	h         crypto.Hash
	alg, name string
}{{crypto.SHA256, "SHA-256", "sha256"}, {crypto.SHA384, "SHA-384", "sha384"}, {crypto.SHA512, "SHA-512", "sha512"}}

// content is what is signed: only its digests reach the gateway.
var content = []byte("110FGOM07022411247A29911.35800101149901")

// digests asks for one signature for each hash.
func digests() (out []map[string]any) {
	for _, x := range hashes {
		h := x.h.New()
		h.Write(content)
		out = append(out, map[string]any{"name": "Arahan " + x.alg, "digest": map[string]any{"alg": x.alg, "value": base64.StdEncoding.EncodeToString(h.Sum(nil))}})
	}
	return out
}

// Every key, every algorithm and every hash, over HTTP, as RAW, CAdES B-B and B-T;
// openssl is the judge.
func TestHashFormats(t *testing.T) {
	j := &opensslJudge{path: gatewaytest.Tool(t, "openssl"), dir: t.TempDir()}
	g := gatewaytest.New(t)
	keys := map[string]string{}
	for _, c := range g.Dev.Officers[0].Credentials {
		keys[c.Key] = c.CredentialID
	}
	o := g.Dev.Officers[0]
	for _, alg := range []string{"RSA-3072", "RSA-4096", "ECDSA-P384"} {
		c, _, err := g.Server.Registrar.IssueCredential(t.Context(), "test", enrol.Officer{IC: o.IC, Name: o.Name, Email: o.Email}, g.Dev.System, alg, g.PIN())
		if err != nil {
			t.Fatal(err)
		}
		keys[alg] = c.ID
	}
	j.t = t
	j.file("content", content)
	j.file("chain.pem", g.Do("GET", "/ca/chain.pem", "", nil).Raw)
	for key, credential := range keys {
		algorithms := []string{"ECDSA"}
		if strings.HasPrefix(key, "RSA") {
			algorithms = []string{"RSA-PKCS1", "RSA-PSS"}
		}
		for _, algorithm := range algorithms {
			for _, level := range []string{"RAW", "B-B", "B-T"} {
				t.Run(key+" "+algorithm+" "+level, func(t *testing.T) {
					j.t = t
					ask := map[string]any{"format": "RAW", "algorithm": algorithm, "credential_id": credential, "documents": digests()}
					if level != "RAW" {
						ask["format"], ask["pades"] = "CMS", map[string]any{"level": level}
					}
					tx, code := g.Ask(ask)
					want(t, tx, 201, "")
					done := g.Confirm(tx, code, nil)
					want(t, done, 200, "")
					signatures, _ := done.Body["signatures"].([]any)
					if len(signatures) != len(hashes) {
						t.Fatalf("%d signatures", len(signatures))
					}
					j.certificate(g, credential)
					for k, s := range signatures {
						text, _ := s.(map[string]any)["signature"].(string)
						der, err := base64.StdEncoding.DecodeString(text)
						if err != nil {
							t.Fatal(err)
						}
						j.signature(g, k, algorithm, level, der)
					}
				})
			}
		}
	}
}

// certificate writes the public key of a credential as the look-up shows it.
func (j *opensslJudge) certificate(g *gatewaytest.Gateway, credential string) {
	j.t.Helper()
	media, _ := g.Do("GET", "/v1/officers/"+g.Dev.Officers[0].IC+"/medium", "", nil).Body["media"].([]any)
	for _, m := range media {
		m := m.(map[string]any)
		if m["credential_id"] != credential {
			continue
		}
		der, err := base64.StdEncoding.DecodeString(m["certificate"].(map[string]any)["der"].(string))
		if err != nil {
			j.t.Fatal(err)
		}
		j.file("cert.der", der)
		j.file("pub.pem", []byte(j.says("x509 -inform DER -in cert.der -pubkey -noout", "PUBLIC KEY")))
		return
	}
	j.t.Fatalf("the look-up does not show %s", credential)
}

// signature judges the signature over the k-th digest.
func (j *opensslJudge) signature(g *gatewaytest.Gateway, k int, algorithm, level string, sig []byte) {
	j.t.Helper()
	x := hashes[k]
	j.file("sig", sig)
	if level == "RAW" {
		padding := ""
		if algorithm == "RSA-PSS" { // the salt is as long as the hash: any other fails
			padding = fmt.Sprintf(" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:%d -sigopt rsa_mgf1_md:%s", x.h.Size(), x.name)
			h := x.h.New()
			h.Write(content)
			j.file("digest", h.Sum(nil))
			j.says("pkeyutl -verify -pubin -inkey pub.pem -in digest -sigfile sig -pkeyopt digest:"+x.name+
				fmt.Sprintf(" -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:%d", x.h.Size()), "Signature Verified Successfully")
		}
		j.says("dgst -"+x.name+" -verify pub.pem"+padding+" -signature sig content", "Verified OK")
		return
	}
	// -cades: signing-certificate-v2 must be there and fit.
	j.says("cms -verify -cades -inform DER -in sig -content content -binary -CAfile chain.pem -purpose any -out verified", "Verification successful")
	sd, err := cms.Parse(sig)
	if err != nil {
		j.t.Fatal(err)
	}
	// ETSI EN 319 122-1, Table 1.
	if !sd.HasSigningTime || sd.SigningTime.IsZero() || g.Clock.Now().Sub(sd.SigningTime).Abs() > 0 {
		j.t.Errorf("signing-time %v, it is %v", sd.SigningTime, g.Clock.Now())
	}
	if got := len(sd.Timestamps); got != map[string]int{"B-B": 0, "B-T": 1}[level] {
		j.t.Errorf("%d time-stamps", got)
	}
	r := g.Do("POST", "/v1/verify", "", map[string]any{"data": content, "signature": sig, "format": "CMS"})
	want(j.t, r, 200, "")
	report, _ := r.Body["signatures"].([]any)
	if len(report) != 1 || r.Text("verdict") != "VALID" {
		j.t.Fatalf("%s", r.Raw)
	}
	if s := report[0].(map[string]any); s["claimed_at"] != g.Clock.Now().UTC().Format(time.RFC3339) || (s["time_source"] == "timestamp") != (level == "B-T") || s["signed_at"] == nil {
		j.t.Errorf("%s", r.Raw)
	}
	for _, token := range sd.Timestamps {
		j.file("token", token)
		j.file("value", sd.SignatureValue())
		j.says("ts -verify -data value -in token -token_in -CAfile chain.pem", "Verification: OK")
	}
}

// What does not fit is refused before a code is sent, and the field is named.
func TestHashFormatsThatDoNotFit(t *testing.T) {
	g := gatewaytest.New(t)
	keys := map[string]string{}
	for _, c := range g.Dev.Officers[0].Credentials {
		keys[c.Key] = c.CredentialID
	}
	sha1 := map[string]any{"alg": "SHA-1", "value": base64.StdEncoding.EncodeToString(make([]byte, 20))}
	short := map[string]any{"alg": "SHA-384", "value": base64.StdEncoding.EncodeToString(make([]byte, 32))}
	good := digests()
	document := func(members ...any) []map[string]any {
		d := map[string]any{"name": "x"}
		for k := 0; k < len(members); k += 2 {
			d[members[k].(string)] = members[k+1]
		}
		return []map[string]any{good[0], d}
	}
	pades := func(k string, v any) map[string]any { return map[string]any{k: v} }
	for name, c := range map[string]struct {
		field string
		ask   map[string]any
	}{
		"PSS with an EC key":          {"algorithm", map[string]any{"format": "RAW", "algorithm": "RSA-PSS", "credential_id": keys["ECDSA-P256"], "documents": good}},
		"PKCS #1 with an EC key":      {"algorithm", map[string]any{"format": "CMS", "algorithm": "RSA-PKCS1", "credential_id": keys["ECDSA-P256"], "documents": good}},
		"ECDSA with an RSA key":       {"algorithm", map[string]any{"format": "CMS", "algorithm": "ECDSA", "credential_id": keys["RSA-2048"], "documents": good}},
		"unknown algorithm":           {"algorithm", map[string]any{"format": "RAW", "algorithm": "DSA", "documents": good}},
		"SHA-1":                       {"documents[1].digest.alg", map[string]any{"format": "RAW", "documents": document("digest", sha1)}},
		"digest of another length":    {"documents[1].digest", map[string]any{"format": "RAW", "documents": document("digest", short)}},
		"digest and data":             {"documents[1]", map[string]any{"format": "RAW", "documents": document("digest", good[0]["digest"], "data", "eA==")}},
		"PADES of data":               {"documents[1]", map[string]any{"format": "PADES", "documents": document("data", "eA==")}},
		"CMS at B-LT":                 {"pades", map[string]any{"format": "CMS", "pades": pades("level", "B-LT"), "documents": good}},
		"prepared PDF at B-LTA":       {"pades", map[string]any{"format": "PADES", "pades": pades("level", "B-LTA"), "documents": good}},
		"prepared PDF with a reason":  {"pades", map[string]any{"format": "PADES", "pades": pades("reason", "Lulus"), "documents": good}},
		"one prepared PDF at B-LT":    {"documents[1].pades", map[string]any{"format": "PADES", "documents": document("digest", good[0]["digest"], "pades", pades("level", "B-LT"))}},
		"prepared PDF, certification": {"documents[1].pades", map[string]any{"format": "PADES", "documents": document("digest", good[0]["digest"], "pades", pades("certify", 2))}},
	} {
		r, _ := g.Ask(c.ask)
		if r.Status != 400 || r.Code() != "invalid_request" || r.Text("field") != c.field {
			t.Errorf("%s: %d %s, field %q, want %q", name, r.Status, r.Code(), r.Text("field"), c.field)
		}
	}
	if _, sent := g.Server.Mailbox.Latest(g.Dev.Officers[0].Email); sent {
		t.Error("a code was sent")
	}
}
