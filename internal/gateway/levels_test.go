package gateway_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// trustedByPyHanko has pyHanko judge the signature in a file with our root and
// nothing but the evidence in the file. At B-LT it has no indication of its own: it
// wants a time-stamp over the evidence.
func trustedByPyHanko(t *testing.T, g *gatewaytest.Gateway, file []byte, level string) {
	t.Helper()
	python, err := filepath.Abs("../../bin/pyhanko/bin/python")
	if err == nil {
		_, err = os.Stat(python)
	}
	if err != nil {
		gatewaytest.Require(t, "pyHanko (make pyhanko)")
	}
	text, err := os.ReadFile(filepath.Join(g.Dir, "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	root, _ := pem.Decode(text)
	path := filepath.Join(t.TempDir(), "signed.pdf")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	ask, err := json.Marshal(map[string]any{"file": path, "roots": [][]byte{root.Bytes}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-P", "../../pdf/internal/pdftest/pyhanko.py")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(append(ask, '\n')), os.Stderr
	out, err := cmd.Output()
	var r struct {
		Signatures []struct {
			Valid, Intact, Trusted bool
			ADES                   string
		}
	}
	if err != nil || json.Unmarshal(out, &r) != nil || len(r.Signatures) == 0 {
		t.Fatalf("pyHanko: %v\n%s", err, out)
	}
	if s := r.Signatures[0]; !s.Valid || !s.Intact || !s.Trusted || level != "B-LT" && s.ADES != "OK" {
		t.Errorf("pyHanko: %s", out)
	}
}

// Documents signed together share what was learned about certificates; each is good
// by itself to everybody.
func TestLevelsOfDocumentsSignedTogether(t *testing.T) {
	g := gatewaytest.New(t)
	for _, level := range []string{"B-T", "B-LT", "B-LTA"} {
		ask := pades(upload(t, g, voucher(t)), upload(t, g, voucher(t)), upload(t, g, voucher(t)), upload(t, g, voucher(t)))
		ask["pades"] = map[string]any{"level": level, "reason": "Perakuan 1"}
		tx, code := g.Ask(ask)
		want(t, tx, 201, "")
		done := g.Confirm(tx, code, nil)
		want(t, done, 200, "")
		signatures := done.Body["signatures"].([]any)
		for k, s := range signatures {
			if got := s.(map[string]any)["level"]; got != level {
				t.Errorf("%s: document %d says %v", level, k, got)
			}
			signed := g.Do("GET", s.(map[string]any)["content_url"].(string), "", nil)
			want(t, signed, 200, "")
			if got := believed(t, g, signed.Raw); !strings.HasPrefix(got, "VALID ") || level != "B-T" && got != "VALID "+level {
				t.Errorf("%s: document %d is %s", level, k, got)
			}
			verdict := judge(t, g, signed.Raw)
			for _, line := range []string{"Signature is Valid.", "Certificate is Trusted."} {
				if !strings.Contains(verdict, line) {
					t.Errorf("%s: pdfsig does not say %q of document %d:\n%s", level, line, k, verdict)
				}
			}
			if k == len(signatures)-1 {
				trustedByPyHanko(t, g, signed.Raw, level)
			}
		}
	}
}

// A time-stamp server that is gone, and a gateway that is set to finish all the
// same: answer, item and manifest say the level.
func TestOutageFinishesAtB(t *testing.T) {
	g := gatewaytest.New(t)
	root := filepath.Join(g.Dir, "root.pem")
	replaceInConfig(t, g, "  servers: []\n", "  servers: [{url: \"http://127.0.0.1:1/\", roots: \""+root+"\"}]\n")
	replaceInConfig(t, g, "  from: own\n", "  from: external\n")
	replaceInConfig(t, g, "  outage: wait\n  # 0s to 24h, of a whole batch; a lone document waits 5s at most.\n  patience: 1m\n", "  outage: finish_at_b\n  patience: 0s\n")
	ask := pades(upload(t, g, voucher(t)), upload(t, g, voucher(t)))
	ask["pades"] = map[string]any{"level": "B-LTA"}
	tx, code := g.Ask(ask)
	want(t, tx, 201, "")
	done := g.Confirm(tx, code, nil)
	want(t, done, 200, "")
	for _, s := range done.Body["signatures"].([]any) {
		one := s.(map[string]any)
		signed := g.Do("GET", one["content_url"].(string), "", nil)
		want(t, signed, 200, "")
		if got := believed(t, g, signed.Raw); one["level"] != "B-B" || got != "VALID B-B" {
			t.Errorf("the answer says %v, the file is %s", one["level"], got)
		}
		trustedByPyHanko(t, g, signed.Raw, "B-B")
	}
	n := 0
	for _, e := range events(t, g, "signer.complete") {
		if strings.Contains(e.detail, `"below_level":"`) {
			n++
		}
	}
	if n == 0 {
		t.Error("nothing of it in the audit")
	}
}
