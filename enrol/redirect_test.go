package enrol_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
)

func TestRedirectURIs(t *testing.T) {
	for uri, good := range map[string]struct{ always, sandbox bool }{
		"https://igfmas.anm.gov.my/balik":                         {true, true},
		"https://igfmas.anm.gov.my/":                              {true, true},
		"https://igfmas.anm.gov.my:8443/a/b?x=1&y=%20z":           {true, true},
		"https://intranet/balik":                                  {true, true},
		"https://xn--90ae.example/x":                              {true, true},
		"https://a.example/a..b/c.d/~e":                           {true, true},
		"http://127.0.0.1:3000/balik":                             {false, true},
		"http://localhost:3000/balik":                             {false, true},
		"http://[::1]:3000/balik":                                 {false, true},
		"https://localhost/balik":                                 {false, true},
		"http://igfmas.anm.gov.my/balik":                          {},
		"http://127.0.0.1.example.com/balik":                      {},
		"http://localhost.example.com/balik":                      {},
		"http://127.0.0.1@evil.example/balik":                     {},
		"https://igfmas.anm.gov.my":                               {},
		"https://igfmas.anm.gov.my/balik#x":                       {},
		"https://igfmas.anm.gov.my/balik#":                        {},
		"https://igfmas.anm.gov.my/balik?":                        {},
		"https://*.anm.gov.my/balik":                              {},
		"https://igfmas.anm.gov.my/*":                             {},
		"https://igfmas.anm.gov.my/%2A":                           {},
		"https://u@igfmas.anm.gov.my/balik":                       {},
		"https://u:p@igfmas.anm.gov.my/balik":                     {},
		"https://@igfmas.anm.gov.my/balik":                        {},
		"https://igfmas.anm.gov.my%40evil.example/":               {},
		"https://evil.example\\@igfmas.anm.gov.my/":               {},
		"https://igfmas.anm.gov.my/a/../b":                        {},
		"https://igfmas.anm.gov.my/a/./b":                         {},
		"https://igfmas.anm.gov.my/..":                            {},
		"https://igfmas.anm.gov.my/a/%2e%2e/b":                    {},
		"https://igfmas.anm.gov.my/a/%2E%2E/b":                    {},
		"https://igfmas.anm.gov.my/a%2Fb":                         {},
		"https://igfmas.anm.gov.my/a%5Cb":                         {},
		"https://igfmas.anm.gov.my/a\\b":                          {},
		"https://igfmas.anm.gov.my/a%00b":                         {},
		"https://igfmas.anm.gov.my/a%0D%0ASet-Cookie:x":           {},
		"https://igfmas.anm.gov.my/a\r\nb":                        {},
		"https://igfmas.anm.gov.my/a\tb":                          {},
		"https://igfmas.anm.gov.my/a b":                           {},
		" https://igfmas.anm.gov.my/a":                            {},
		"https://igfmas.anm.gov.my/%61":                           {},
		"https://igfmas.anm.gov.my/%c3%a9":                        {},
		"https://igfmas.anm.gov.my/%":                             {},
		"https://igfmas.anm.gov.my/%zz":                           {},
		"https://igfmas.anm.gov.my/é":                             {},
		"https://ｉgfmas.anm.gov.my/":                              {},
		"https://IGFMAS.anm.gov.my/balik":                         {},
		"HTTPS://igfmas.anm.gov.my/balik":                         {},
		"https://igfmas.anm.gov.my./balik":                        {},
		"https://igfmas..gov.my/balik":                            {},
		"https://-a.example/balik":                                {},
		"https://igfmas.anm.gov.my:/balik":                        {},
		"https://igfmas.anm.gov.my:0/balik":                       {},
		"https://igfmas.anm.gov.my:99999/balik":                   {},
		"https://igfmas.anm.gov.my:08443/balik":                   {},
		"https://10.0.0.1/balik":                                  {},
		"https://2130706433/balik":                                {},
		"https://0x7f000001/balik":                                {},
		"https://[::ffff:127.0.0.1]/balik":                        {false, true},
		"https://[2001:db8::1]/balik":                             {},
		"https://igfmas.anm.gov.my/balik?state=1":                 {},
		"https://igfmas.anm.gov.my/balik?x=1&transaction_id=tx_1": {},
		"https://igfmas.anm.gov.my/balik?status=SIGNED":           {},
		"https://igfmas.anm.gov.my/balik?x=1;state=evil":          {},
		"https://igfmas.anm.gov.my/balik?x=1;y=2":                 {},
		"https://igfmas.anm.gov.my/balik?%73tatus=SIGNED":         {},
		"https://igfmas.anm.gov.my/balik;v=1?x=1":                 {true, true},
		"https:igfmas.anm.gov.my/balik":                           {},
		"https:///balik":                                          {},
		"//igfmas.anm.gov.my/balik":                               {},
		"/balik":                                                  {},
		"igfmas://balik":                                          {},
		"my.gov.anm.igfmas:/balik":                                {},
		"javascript:alert(1)//":                                   {},
		"data:text/html,x":                                        {},
		"urn:ietf:wg:oauth:2.0:oob":                               {},
		"file:///etc/passwd":                                      {},
		"":                                                        {},
		"https://a.example/" + strings.Repeat("a", 500):           {},
	} {
		for sandbox, want := range map[bool]bool{false: good.always, true: good.sandbox} {
			if err := enrol.CheckRedirect(uri, sandbox); (err == nil) != want || err != nil && !errors.Is(err, enrol.ErrInvalid) {
				t.Errorf("%q in a sandbox %v: %v", uri, sandbox, err)
			}
		}
	}
	if err := enrol.CheckWebhook("https://a.example/hook?state=1", false); err != nil {
		t.Errorf("nothing is added to a webhook: %v", err)
	}
	if err := enrol.CheckWebhook("http://a.example/hook", false); !errors.Is(err, enrol.ErrInvalid) {
		t.Errorf("a webhook without TLS: %v", err)
	}
}

func TestHeaderTemplates(t *testing.T) {
	const ic = "240405888916"
	for _, c := range []struct {
		template, header, amount string
		fits                     bool
	}{
		{"110FGOM{digits:11}A{amount}{ic}", "110FGOM07022411247A29911.35240405888916", "29911.35", true},
		{"110FGOM{digits:11}A{amount}{ic}", "110FGOM07022411247A0029911.35240405888916", "29911.35", true},
		{"110FGOM{digits:11}A{amount}{ic}", "110FGOM07022411247A000.35240405888916", "0.35", true},
		{"110FGOM{digits:11}A{amount}{ic}", "110FGOM07022411247A29911.35800101149901", "", false}, // another officer
		{"110FGOM{digits:11}A{amount}{ic}", "110FGOM07022411247A29911.3524040588891", "", false},
		{"110FGOM{digits:11}A{amount}{ic}", "110FGOM07022411247A29911.352404058889160", "", false},
		{"110FGOM{digits:11}A{amount}{ic}", "110FGOM0702241124A29911.35240405888916", "", false},
		{"110FGOM{digits:11}A{amount}{ic}", "110FGOM07022411247B29911.35240405888916", "", false},
		{"110FGOM{digits:11}A{amount}{ic}", "110FGOM07022411247A-29911.35240405888916", "", false},
		{"110FGOM{digits:11}A{amount}{ic}", "110FGOM07022411247A29911.35240405888916\n", "", false},
		{"110FGOM{digits:11}A{amount}{ic}", "", "", false},
		{"110{letters:4}{digits:11}A{amount}{ic}", "110FGOM07022411247A29911.35240405888916", "29911.35", true},
		{"110{letters:4}{digits:11}A{amount}{ic}", "110fgom07022411247A29911.35240405888916", "", false},
		{"{ic}/{ic}", ic + "/" + ic, "", true},
		{"{ic}/{ic}", ic + "/800101149901", "", false},
		{"A.B+(x)", "A.B+(x)", "", true},
		{"A.B+(x)", "AxB+(x)", "", false},
		{"{digits:2}", "٤٢", "", false},
	} {
		h, err := enrol.ParseHeader(c.template)
		if err != nil {
			t.Fatalf("%q: %v", c.template, err)
		}
		if amount, ok := h.Fits(c.header, ic); ok != c.fits || amount != c.amount {
			t.Errorf("%q in %q: %q, %v", c.header, c.template, amount, ok)
		}
	}
	for _, bad := range []string{"", "{", "}", "a}b", "{ic", "ic}", "{IC}", "{}", "{ic:12}", "{digits}", "{digits:}", "{digits:0}", "{digits:41}", "{digits:-1}", "{digits:+1}", "{digits:01}",
		"{letters:1e1}", "{amount}{amount}", "{{ic}}", "{.*}", "a\nb", "é", strings.Repeat("a", 201)} {
		if h, err := enrol.ParseHeader(bad); !errors.Is(err, enrol.ErrInvalid) {
			t.Errorf("%q: %+v, %v", bad, h, err)
		}
	}
}
