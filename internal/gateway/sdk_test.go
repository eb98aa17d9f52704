package gateway_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/enrol"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// at carries requests to another address, as a name service would.
type at struct {
	*url.URL
	carrier http.RoundTripper
}

func (a at) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = a.Scheme, a.Host
	return a.carrier.RoundTrip(r)
}

// Each credential that the Go client has is one that the gateway takes.
func TestCredentialsOfTheClient(t *testing.T) {
	b := newBound(t, newAuthority(t, time.Now()))
	const app = "tiga"
	known := func(kind string) mohor.Secret { return mohor.NewSecret(b.secrets[app+"/"+kind]) }
	here, err := url.Parse(b.URL)
	must(t, err)
	for name, c := range map[string]struct {
		credential mohor.Credential
		code       string
	}{
		"API key":                {mohor.APIKey(known(enrol.KindKey)), ""},
		"Basic":                  {mohor.Basic(app, known(enrol.KindBasic)), ""},
		"client credentials":     {mohor.ClientCredentials(app, known(enrol.KindSecret)), ""},
		"private_key_jwt":        {mohor.PrivateKeyJWT(app, "k1", b.keys[app]), ""},
		"private_key_jwt, no id": {mohor.PrivateKeyJWT(app, "", b.keys[app]), ""},
		"another app's key":      {mohor.PrivateKeyJWT(app, "k1", b.keys["satu"]), "invalid_client"},
		"another secret":         {mohor.ClientCredentials(app, known(enrol.KindKey)), "invalid_client"},
		"another API key":        {mohor.APIKey(known(enrol.KindSecret)), "unauthenticated"},
	} {
		client, err := mohor.New(b.Server.Config.BaseURL, c.credential)
		must(t, err)
		client.Transport = at{here, http.DefaultTransport}
		if _, err := client.Officer(t.Context(), b.Dev.Officers[0].IC); mohor.Code(err) != c.code || (err == nil) != (c.code == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
