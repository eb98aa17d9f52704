package gateway_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/internal/secret"
)

// deviceAfter logs an officer in and gives the cookie that remembers the browser.
func deviceAfter(t *testing.T, g *gatewaytest.Gateway, k int) string {
	t.Helper()
	o := g.Dev.Officers[k]
	mark := g.Server.Mailbox.Mark()
	r := g.Do("POST", "/v1/sessions", "", map[string]string{"ic": o.IC, "password": officerPassword}, "X-API-Key", "")
	want(t, r, 202, "")
	r = g.Do("POST", "/v1/sessions/"+r.Text("session_id")+"/code", "", map[string]string{"code": g.Code(o.Email, mark)}, "X-API-Key", "")
	want(t, r, 200, "")
	for _, c := range (&http.Response{Header: r.Header}).Cookies() {
		if c.Name == "mohor-device" {
			return c.Value
		}
	}
	t.Fatal("no device")
	return ""
}

// The picture of an officer is shown where that officer has completed a log-in, and nowhere else.
func TestSecurityImageIsForTheOfficersBrowser(t *testing.T) {
	g := gatewaytest.New(t)
	one, two := g.Dev.Officers[0], g.Dev.Officers[1]
	for _, o := range []int{0, 1} {
		x := g.Dev.Officers[o]
		check(t, g.Server.Accounts.SetPassword(t.Context(), enrol.Actor{Name: "test"}, enrol.Officer{IC: x.IC, Name: x.Name, Email: x.Email}, secret.New(officerPassword)))
	}
	a := deviceAfter(t, g, 0)
	image := func(device string) (string, string) {
		ic, image, err := g.Server.Accounts.ImageFor(t.Context(), device)
		if err != nil && !errors.Is(err, enrol.ErrUnknown) {
			t.Fatal(err)
		}
		if err != nil {
			return "", ""
		}
		return ic, image
	}
	if _, err := opened(t, g).Exec("UPDATE credentials SET image = ''"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := g.Server.Accounts.ImageFor(t.Context(), a); !errors.Is(err, enrol.ErrUnknown) {
		t.Errorf("without a picture: %v", err)
	}
	if _, err := opened(t, g).Exec("UPDATE credentials SET image = 'wau'"); err != nil {
		t.Fatal(err)
	}
	if ic, name := image(a); ic != one.IC || name != "wau" {
		t.Errorf("%q %q", ic, name)
	}
	accounts := g.Server.Accounts
	b := deviceAfter(t, g, 1)
	if ic, _ := image(b); ic != two.IC {
		t.Errorf("the other officer's device is of %q", ic)
	}
	rawA, err := base64.RawURLEncoding.DecodeString(a)
	check(t, err)
	rawB, err := base64.RawURLEncoding.DecodeString(b)
	check(t, err)
	forged := func(p []byte) string { return base64.RawURLEncoding.EncodeToString(p) }
	mixed := append(append([]byte{}, rawA[:48]...), rawB[48:]...)
	flipped := append([]byte{}, rawA...)
	flipped[40] ^= 1
	for name, device := range map[string]string{"none": "", "no base64": "§", "short": a[:40], "a stranger's": forged(make([]byte, 80)), "another's MAC": forged(mixed), "another account": forged(flipped),
		"cut to an earlier form": forged(append(append([]byte{}, rawA[:32]...), rawA[48:]...))} {
		if ic, _ := image(device); ic != "" {
			t.Errorf("%s is a device of %q", name, ic)
		}
	}
	// It ends with the password, and with its time.
	check(t, accounts.SetPassword(t.Context(), enrol.Actor{Name: "test"}, enrol.Officer{IC: one.IC, Name: one.Name, Email: one.Email}, secret.New("payung biru di stesen lama")))
	if ic, _ := image(a); ic != "" {
		t.Error("a device outlives the password")
	}
	g.Clock.Advance(enrol.DeviceFor)
	if ic, _ := image(b); ic != "" {
		t.Error("a device outlives its time")
	}
}
