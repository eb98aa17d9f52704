package mohor_test

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// printed runs f and returns what it printed.
func printed(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	f()
	os.Stdout = stdout
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// officer reads codes in the sandbox's mailbox.
func officer(t *testing.T, g *gatewaytest.Gateway) {
	mark := g.Server.Mailbox.Mark()
	askOfficer = func(*mohor.Transaction) (pin, code mohor.Secret) {
		code = mohor.NewSecret(g.Code(g.Dev.Officers[0].Email, mark))
		mark = g.Server.Mailbox.Mark()
		return g.PIN(), code
	}
	address, appID, appSecret, ic = g.URL, g.Dev.ClientID, g.Dev.ClientSecret, g.Dev.Officers[0].IC
}

// The examples do what they say they print, against a whole gateway.
func TestExamples(t *testing.T) {
	g := gatewaytest.New(t)
	officer(t, g)
	for name, x := range map[string]struct {
		run  func()
		want string
	}{
		"Example":   {Example, "SIGNED <nil>"},
		"Problem":   {ExampleProblem, "The code is wrong (2 tries left) [otp_wrong]\n<nil>"},
		"SignedPDF": {ExampleClient_SignedPDF, "VALID B-T"},
		"Progress":  {ExampleClient_Progress, "SIGNED 250 250"},
	} {
		g.Clock.Advance(time.Minute)
		if got := strings.TrimSpace(printed(t, x.run)); got != x.want {
			t.Errorf("%s printed\n%s\nwant\n%s", name, got, x.want)
		}
	}
}
