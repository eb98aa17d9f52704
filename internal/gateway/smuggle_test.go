//go:build !race

package gateway_test

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/internal/gateway"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// wire is a gateway that is spoken to byte by byte, with two apps, of which the first has a batch.
type wire struct {
	*gatewaytest.Gateway
	address, own, other, batch string
}

func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{Gateway: gatewaytest.New(t)}
	w.own = string(w.Dev.APIKey.Reveal())
	_, _, key, err := w.Server.Apps.Register(t.Context(), "test", otherApp())
	check(t, err)
	w.other = string(key.Reveal())
	made := w.Do("POST", "/v1/batches", "", map[string]string{"name": "Milik sendiri", "kind": "digest"})
	want(t, made, 201, "")
	w.batch = "/v1/batches/" + made.Text("batch_id")
	w.address = w.serve(t, false)
	return w
}

// serve listens as production does: the test server of the gateway has limits of its own.
func (w *wire) serve(t *testing.T, public bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	stop := gateway.ServeOn(w.Server, l, public)
	t.Cleanup(func() { check(t, stop()) })
	return l.Addr().String()
}

// rawAnswer is one answer.
type rawAnswer struct {
	status int
	id     string // X-Request-Id
	body   string
}

// send writes bytes to a connection and reads all answers until the gateway closes it, or has
// answered the last request of all.
func send(t *testing.T, address, text string) (out []rawAnswer) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	check(t, err)
	defer c.Close()
	check(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, _ = io.WriteString(c, text+get("/crl/issuing.crl", "X-Request-Id: the-end", "Connection: close")) // it may be cut off meanwhile
	r := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: "GET"})
		if err != nil {
			var e net.Error
			if errors.As(err, &e) && e.Timeout() {
				t.Errorf("no end after %q", text)
			}
			return out
		}
		id := resp.Header.Get("X-Request-Id")
		if id == "the-end" {
			return out
		}
		body, err := io.ReadAll(resp.Body)
		out = append(out, rawAnswer{resp.StatusCode, id, string(body)})
		if err != nil {
			return out
		}
	}
}

func statuses(answers []rawAnswer) (out []int) {
	for _, a := range answers {
		out = append(out, a.status)
	}
	return out
}

// get is a request for a path with header lines.
func get(path string, lines ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: mohor\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
}

// Headers: nobody is authenticated by what was not said once and plainly, and by nobody else's word.
func TestSmuggledHeaders(t *testing.T) {
	w := newWire(t)
	own, other := "X-API-Key: "+w.own, "X-API-Key: "+w.other
	bearer := "Authorization: Bearer " + w.own
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(w.Dev.ClientID+":"+string(w.Dev.ClientSecret.Reveal())))
	token := func(lines ...string) string {
		const form = "grant_type=client_credentials"
		return "POST /oauth2/token HTTP/1.1\r\nHost: mohor\r\n" + strings.Join(lines, "\r\n") + fmt.Sprintf("\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(form), form)
	}
	for what, c := range map[string]struct {
		text string
		want []int
	}{
		"control: own key":                  {get(w.batch, own), []int{200}},
		"control: small letters":            {get(w.batch, "x-api-key: "+w.own), []int{200}},
		"control: odd case":                 {get(w.batch, "x-ApI-kEY: "+w.own), []int{200}},
		"control: Basic":                    {get(w.batch, basic), []int{200}},
		"control: another app":              {get(w.batch, other), []int{404}},
		"control: nobody":                   {get(w.batch), []int{401}},
		"two keys, the same":                {get(w.batch, own, own), []int{401}},
		"two keys, ours last":               {get(w.batch, other, own), []int{401}},
		"two keys, ours first":              {get(w.batch, own, other), []int{401}},
		"two keys, one empty":               {get(w.batch, "X-API-Key:", own), []int{401}},
		"two keys in one line":              {get(w.batch, "X-API-Key: "+w.other+", "+w.own), []int{401}},
		"key and Basic":                     {get(w.batch, other, basic), []int{401}},
		"key and empty Authorization":       {get(w.batch, own, "Authorization:"), []int{401}},
		"two Authorizations":                {get(w.batch, basic, basic), []int{401}},
		"Basic and a bearer":                {get(w.batch, "Authorization: Bearer x", basic), []int{401}},
		"a key as bearer":                   {get(w.batch, bearer), []int{401}},
		"folded over two lines":             {get(w.batch, "X-API-Key:\r\n "+w.other, "X-Other: a\r\n\tX-API-Key: "+w.own), []int{404}},
		"a key in a folded line":            {get(w.batch, "X-Other: a\r\n "+own), []int{401}},
		"folded before its key":             {get(w.batch, "X-API-Key: "+w.other+"\r\n "+w.own), []int{401}},
		"a blank before the colon":          {get(w.batch, "X-API-Key : "+w.own), []int{400}},
		"a blank before the name":           {get(w.batch, " X-API-Key: "+w.own), []int{400}},
		"an underscore":                     {get(w.batch, "X_API_Key: "+w.own), []int{401}},
		"a NUL in the name":                 {get(w.batch, "X-API-Key\x00: "+w.own), []int{400}},
		"a NUL in a value":                  {get(w.batch, other, "X-Other: a\x00X-API-Key: "+w.own), []int{400}},
		"CR alone in a value":               {get(w.batch, other, "X-Other: a\rX-API-Key: "+w.own), []int{400}},
		"LF alone between two keys":         {get(w.batch, other+"\n"+own), []int{401}},
		"no colon":                          {get(w.batch, "X-API-Key "+w.own), []int{400}},
		"a name in another script":          {get(w.batch, "X-\u0410PI-Key: "+w.own), []int{400}},
		"CRLF written in the path":          {get(w.batch+"%0d%0aX-API-Key:%20"+w.own, other), []int{400}},
		"CRLF written in a value":           {get(w.batch, other, "X-Other: a%0d%0aX-API-Key: "+w.own), []int{404}},
		"a key in the query":                {get(w.batch + "?X-API-Key=" + w.own + "&access_token=" + w.own), []int{401}},
		"a key in a cookie":                 {get(w.batch, "Cookie: X-API-Key="+w.own+"; mohor-session="+w.own), []int{401}},
		"a secret in the target":            {get("http://" + w.Dev.ClientID + ":" + string(w.Dev.ClientSecret.Reveal()) + "@mohor" + w.batch), []int{401}},
		"a proxy's Authorization":           {get(w.batch, "Proxy-"+basic), []int{401}},
		"a proxy's word on who it is":       {get(w.batch, "X-Forwarded-User: "+w.Dev.ClientID, "X-Remote-User: "+w.Dev.ClientID, "Remote-User: "+w.Dev.ClientID, "X-App-Id: "+w.Dev.ClientID), []int{401}},
		"a proxy's word on a certificate":   {get(w.batch, "X-Forwarded-Client-Cert: Subject=\"CN="+w.Dev.ClientID+"\"", "X-SSL-Client-Verify: SUCCESS", "SSL-Client-Cert: x", "Client-Cert: :AAAA:"), []int{401}},
		"a security server's word":          {get(w.batch, "Uxp-Client: MY/GOV/JANM/"+w.Dev.ClientID, "UXP-Service: x", "X-Road-Client: MY/GOV/JANM/"+w.Dev.ClientID, "Uxp-UserId: x"), []int{401}},
		"that word beside another's key":    {get(w.batch, other, "Uxp-Client: MY/GOV/JANM/"+w.Dev.ClientID, "X-Road-Client: x", "X-Forwarded-Client-Cert: x"), []int{404}},
		"another method by header":          {get(w.batch, own, "X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE"), []int{200}},
		"another method by query":           {get(w.batch+"?_method=DELETE", own), []int{200}},
		"another path by header":            {get("/healthz", "X-Original-URL: "+w.batch, "X-Rewrite-URL: "+w.batch, own), []int{200}},
		"own key, another's path by header": {get(w.batch, other, "X-Original-URL: /healthz", "X-Rewrite-URL: /healthz"), []int{404}},
		"two keys of idempotency":           {"POST /v1/batches HTTP/1.1\r\nHost: mohor\r\n" + own + "\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Type: application/json\r\nContent-Length: 32\r\n\r\n{\"name\":\"Dua\",\"kind\":\"digest\"}  ", []int{400}},
		"control: a token":                  {token(basic), []int{200}},
		"a token, two Authorizations":       {token(basic, basic), []int{401}},
		"a token, ours last":                {token("Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("lain:x")), basic), []int{401}},
		"a token, ours first":               {token(basic, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("lain:x"))), []int{401}},
		"a token, one empty":                {token("Authorization:", basic), []int{401}},
		"500 headers":                       {get(w.batch, append(slices.Repeat([]string{"X-Other: a"}, 500), own)...), []int{200}},
		"10,000 headers":                    {get(w.batch, append(slices.Repeat([]string{"X-Other: a"}, 10000), own)...), []int{431}},
		"a long header":                     {get(w.batch, own, "X-Other: "+strings.Repeat("a", 80<<10)), []int{431}},
		"a long path":                       {get(w.batch+"/"+strings.Repeat("a", 80<<10), own), []int{431}},
		"no Host":                           {"GET " + w.batch + " HTTP/1.1\r\n" + own + "\r\n\r\n", []int{400}},
		"two Hosts":                         {get(w.batch, own, "Host: evil"), []int{400}},
		"a Host with a path":                {"GET " + w.batch + " HTTP/1.1\r\nHost: mohor/v1/admin\r\n" + own + "\r\n\r\n", []int{400}},
		"a Host that is none":               {"GET " + w.batch + " HTTP/1.1\r\nHost: a b\r\n" + own + "\r\n\r\n", []int{400}},
		"absolute form, another's key":      {get("http://evil"+w.batch, other), []int{404}},
		"absolute form of another scheme":   {get("gopher://evil"+w.batch, other), []int{404}},
		"CONNECT":                           {"CONNECT " + w.batch + " HTTP/1.1\r\nHost: mohor\r\n" + own + "\r\n\r\n", []int{405}},
		"TRACE":                             {"TRACE " + w.batch + " HTTP/1.1\r\nHost: mohor\r\n" + own + "\r\n\r\n", []int{405}},
		"a method in small letters":         {"get " + w.batch + " HTTP/1.1\r\nHost: mohor\r\n" + own + "\r\n\r\n", []int{405}},
		"Upgrade: h2c":                      {get(w.batch, other, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"), []int{404}},
		"Upgrade: websocket":                {get(w.batch, other, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), []int{404}},
		"Connection drops the key's header": {get(w.batch, other, "Connection: X-API-Key, close"), []int{404}},
		"HTTP/2 without asking":             {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{405}},
		"HTTP/3.0":                          {"GET " + w.batch + " HTTP/3.0\r\nHost: mohor\r\n" + own + "\r\n\r\n", []int{505}},
		"HTTP/0.9":                          {"GET " + w.batch + "\r\n", []int{400}},
		"HTTP/1.0 with a key":               {"GET " + w.batch + " HTTP/1.0\r\n" + own + "\r\n\r\n", []int{200}},
		"Expect something":                  {get(w.batch, own, "Expect: 200-ok"), []int{417}},
	} {
		answers := send(t, w.address, c.text)
		if !slices.Equal(statuses(answers), c.want) {
			t.Errorf("%s: %v, want %v", what, statuses(answers), c.want)
		}
	}
	if r := w.Do("GET", w.batch, "", nil); r.Text("status") != "OPEN" {
		t.Errorf("the batch after it all: %s", r.Raw)
	}
}

// Where one request ends and the next begins is never in doubt: no answer belongs to bytes that
// another reader would have taken for a body.
func TestSmuggledRequests(t *testing.T) {
	w := newWire(t)
	own, other := "X-API-Key: "+w.own+"\r\n", "X-API-Key: "+w.other+"\r\n"
	hidden := "GET " + w.batch + " HTTP/1.1\r\nHost: mohor\r\n" + own + "\r\n"
	post := func(lines, body string) string {
		return "POST /v1/batches HTTP/1.1\r\nHost: mohor\r\nContent-Type: application/json\r\n" + other + lines + "\r\n" + body
	}
	good := `{"name":"Lain","kind":"digest"}`
	length := fmt.Sprintf("Content-Length: %d\r\n", len(good))
	chunked := "Transfer-Encoding: chunked\r\n"
	chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(good), good)
	for what, c := range map[string]struct {
		text string
		want []int
	}{
		"control: length":                      {post(length, good), []int{201}},
		"control: chunks":                      {post(chunked, chunks), []int{201}},
		"control: two, one after the other":    {post(length, good) + hidden, []int{201, 200}},
		"length and chunks, hidden behind":     {post(fmt.Sprintf("Content-Length: %d\r\n", len(chunks)+len(hidden))+chunked, chunks+hidden), []int{201}},
		"chunks and length, hidden behind":     {post(chunked+"Content-Length: 4\r\n", chunks+hidden), []int{201}},
		"length and chunks, the end of chunks": {post("Content-Length: 5\r\n"+chunked, "0\r\n\r\n"+hidden), []int{400}},
		"a blank before the colon":             {post(length+"Transfer-Encoding : chunked\r\n", good+hidden), []int{400}},
		"xchunked":                             {post(length+"Transfer-Encoding: xchunked\r\n", good+hidden), []int{501}},
		"chunked, identity":                    {post("Transfer-Encoding: chunked, identity\r\n", chunks+hidden), []int{501}},
		"identity, chunked":                    {post("Transfer-Encoding: identity, chunked\r\n", chunks+hidden), []int{501}},
		"gzip, chunked":                        {post("Transfer-Encoding: gzip, chunked\r\n", chunks+hidden), []int{501}},
		"chunked twice":                        {post(chunked+chunked, chunks+hidden), []int{501}},
		"chunked and identity":                 {post(chunked+"Transfer-Encoding: identity\r\n", chunks+hidden), []int{501}},
		"chunked behind a vertical tab":        {post("Transfer-Encoding: \x0bchunked\r\n", chunks+hidden), []int{400}},
		"chunked in quotation marks":           {post("Transfer-Encoding: \"chunked\"\r\n", chunks+hidden), []int{501}},
		"an empty Transfer-Encoding":           {post(length+"Transfer-Encoding:\r\n", good+hidden), []int{501}},
		"chunks in HTTP/1.0":                   {strings.Replace(post(chunked, chunks+hidden), "HTTP/1.1", "HTTP/1.0", 1), []int{400}},
		"two lengths":                          {post(length+"Content-Length: 0\r\n", good+hidden), []int{400}},
		"two lengths in a line":                {post(fmt.Sprintf("Content-Length: %d, 0\r\n", len(good)), good+hidden), []int{400}},
		"length with a sign":                   {post(fmt.Sprintf("Content-Length: +%d\r\n", len(good)), good+hidden), []int{400}},
		"length below nothing":                 {post("Content-Length: -1\r\n", good+hidden), []int{400}},
		"length in hex":                        {post("Content-Length: 0x1f\r\n", good+hidden), []int{400}},
		"length with a point":                  {post("Content-Length: 31.0\r\n", good+hidden), []int{400}},
		"empty length":                         {post("Content-Length:\r\n", good+hidden), []int{400}},
		"length of more than there is":         {post("Content-Length: 18446744073709551616\r\n", good+hidden), []int{400}},
		"length over the next request":         {post(fmt.Sprintf("Content-Length: %d\r\n", len(good)+len(hidden)), good+hidden), []int{400}},
		"a chunk with a sign":                  {post(chunked, "+1f\r\n"+good+"\r\n0\r\n\r\n"+hidden), []int{400}},
		"a chunk in 0x":                        {post(chunked, "0x1f\r\n"+good+"\r\n0\r\n\r\n"+hidden), []int{400}},
		"a chunk too large for a number":       {post(chunked, "1000000000000001f\r\n"+good+"\r\n0\r\n\r\n"+hidden), []int{400}},
		"a chunk longer than it says":          {post(chunked, "1f\r\n"+good+"XX\r\n0\r\n\r\n"+hidden), []int{400}},
		"a chunk without an end":               {post(chunked, "1f\r\n"+good+"0\r\n\r\n"+hidden), []int{400}},
		"LF alone in a chunk's extension":      {post(chunked, "1f;a\n"+good+"\r\n0\r\n\r\n"+hidden), []int{400}},
		"a chunk's extension without an end":   {post(chunked, "1f;"+strings.Repeat("a", 8<<10)+"\r\n"+good+"\r\n0\r\n\r\n"+hidden), []int{400}},
		"a chunk's extension":                  {post(chunked, "1f;a=b\r\n"+good+"\r\n0\r\n\r\n"+hidden), []int{201}},
		"a key in the trailer":                 {strings.Replace(post(chunked+"Trailer: X-API-Key\r\n", strings.TrimSuffix(chunks, "\r\n")+own+"\r\n"), other, "", 1), []int{401}},
		"another's key, ours in the trailer":   {"GET " + w.batch + " HTTP/1.1\r\nHost: mohor\r\n" + other + chunked + "Trailer: X-API-Key\r\n\r\n0\r\n" + own + "\r\n", []int{404}},
		"a body of GET":                        {"GET " + w.batch + " HTTP/1.1\r\nHost: mohor\r\n" + other + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(hidden)) + hidden, []int{404}},
		"a body nobody reads":                  {strings.Replace(post(fmt.Sprintf("Content-Length: %d\r\n", len(hidden)), hidden), other, "", 1), []int{401}},
		"a body of DELETE elsewhere":           {"DELETE /nowhere HTTP/1.1\r\nHost: mohor\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(hidden)) + hidden, []int{404}},
		"refused, and the next one":            {strings.Replace(post(length, good), other, "", 1) + hidden, []int{401, 200}},
		"another's after ours":                 {hidden + strings.Replace(hidden, own, other, 1), []int{200, 404}},
		"ours, then nobody's":                  {hidden + strings.Replace(hidden, own, "", 1) + hidden, []int{200, 401, 200}},
		"Expect, and a body":                   {post(length+"Expect: 100-continue\r\n", good), []int{201}},
	} {
		answers := send(t, w.address, c.text)
		answers = slices.DeleteFunc(answers, func(a rawAnswer) bool { return a.status == http.StatusContinue })
		if !slices.Equal(statuses(answers), c.want) {
			t.Errorf("%s: %v, want %v", what, statuses(answers), c.want)
		}
		ids := map[string]bool{}
		for _, a := range answers {
			if a.id != "" && ids[a.id] {
				t.Errorf("%s: two answers to one request", what)
			}
			ids[a.id] = true
			if a.status == 200 != strings.Contains(a.body, "Milik sendiri") {
				t.Errorf("%s: %d has the body of another: %s", what, a.status, a.body)
			}
		}
	}
}
