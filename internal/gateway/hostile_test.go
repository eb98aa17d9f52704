//go:build !race

package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// hostileBodies are what no client should send.
func hostileBodies() map[string]string {
	deep := strings.Repeat(`{"documents":[`, 5000)
	return map[string]string{
		"nothing": "", "space": " \n\t", "no JSON": "ic=1&x=2", "cut": `{"ic":"8001`, "two": `{} {}`, "null": "null", "number": "1e400", "list": "[]", "text": `"x"`, "true": "true",
		"types":     `{"ic":1,"system":[],"name":{},"reason":false,"why":null,"code":1.5,"password":["a"],"documents":"x","nonce":0,"pin":7,"otp":{}}`,
		"NUL":       `{"ic":"\u0000","system":"A\u0000","name":"x\u0000y","reason":"aaaaaa\u0000","code":"\u0000","why":"\u0000\u0000\u0000\u0000\u0000"}`,
		"raw NUL":   "{\"ic\":\"\x00\"}",
		"huge":      `{"count":1e309,"page":99999999999999999999999999,"ic":123456789012345678901234567890,"days":-1}`,
		"deep":      deep + strings.Repeat("]}", 5000),
		"deep open": strings.Repeat("[", 200_000),
		"twice":     `{"ic":"800101149999","ic":"790308109903","system":"A","system":"B","name":"a","name":"b"}`,
		"UTF-8":     "{\"ic\":\"\xff\xfe\",\"system\":\"\xc3\x28\",\"name\":\"\xed\xa0\x80\",\"reason\":\"\xf0\x28\x8c\xbc aaaa\"}",
		"surrogate": `{"ic":"\ud800","name":"\udfff","reason":"\ud83d aaaaaa"}`,
		"long":      `{"ic":"` + strings.Repeat("9", 100_000) + `"}`,
		"prototype": `{"__proto__":{"admin":true},"constructor":{"prototype":{}}}`,
		"BOM":       "\xef\xbb\xbf{}",
	}
}

// Whatever is sent, to whichever operation, as whatever media type: no error of the server,
// and an answer that the document says ([gatewaytest.Contract] looks).
func TestHostileBodies(t *testing.T) {
	g := gatewaytest.New(t)
	s, officer, jdn := specOf(t, g), loggedIn(t, g), appointed(t, g, "700101105551", enrol.JDN, "", "")
	cookie := func(b *browser) string {
		var all []string
		for _, c := range b.cookies {
			all = append(all, c.Name+"="+c.Value)
		}
		return strings.Join(all, "; ")
	}
	types := []string{"application/json", "application/json; charset=utf-16", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/cbor", "", "///"}
	asked, statuses := 0, map[int]int{}
	s.each(func(method, path string, o *specOperation) {
		if method != http.MethodPost && method != http.MethodPut {
			return
		}
		header := []string{"X-API-Key", ""}
		switch {
		case strings.HasPrefix(path, "/v1/me"):
			header = append(header, "Cookie", cookie(officer))
		case strings.HasPrefix(path, "/v1/admin"):
			header = append(header, "Cookie", cookie(jdn))
		case o.ofApps():
			header = nil
		}
		address, _, _ := requestFor(t, g, method, path, o, "", "")
		send := func(name, contentType, body string) {
			g.Clock.Advance(25e6)
			asked++
			r := g.Do(method, address, contentType, []byte(body), header...)
			if statuses[r.Status]++; r.Status >= 500 {
				t.Errorf("%s %s, %s as %q: %d %s", method, address, name, contentType, r.Status, r.Raw)
			}
		}
		for name, body := range hostileBodies() {
			send(name, "application/json", body)
		}
		if o.RequestBody == nil {
			return
		}
		for kind := range o.RequestBody.Content {
			if kind != "application/json" {
				for name, body := range hostileBodies() {
					send(name, kind, body)
				}
			}
		}
		for _, contentType := range types {
			send("an object", contentType, `{"ic":"800101149999"}`)
		}
	})
	t.Logf("%d requests: %s", asked, fmt.Sprint(statuses))
	if asked < 1500 {
		t.Errorf("%d requests", asked)
	}
}
