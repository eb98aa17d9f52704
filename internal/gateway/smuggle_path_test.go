//go:build !race

package gateway_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/mohor-sign/mohor/internal/gateway"
)

// Paths: however it is written, a route is open to those for whom it is, or not there.
func TestSmuggledPaths(t *testing.T) {
	w := newWire(t)
	id := strings.TrimPrefix(w.batch, "/v1/batches/")
	public := w.serve(t, true)
	for _, control := range []struct {
		address, path, line string
		want                int
	}{
		{w.address, w.batch, "X-API-Key: " + w.own, 200}, {w.address, "/v1/admin/appointments", "", 401}, {w.address, "/v1/me", "", 401},
		{w.address, "/healthz", "", 200}, {public, "/crl/issuing.crl", "", 200}, {public, "/healthz", "", 404}, {public, w.batch, "X-API-Key: " + w.own, 404},
	} {
		if got := statuses(send(t, control.address, get(control.path, headers(control.line)...))); len(got) != 1 || got[0] != control.want {
			t.Errorf("control: %s: %v, want %d", control.path, got, control.want)
		}
	}
	for _, path := range []string{
		"/v1/./me", "//v1/me", "/v1//me", "/V1/me", "/v1/ME", "/v1/me/", "/v1/me/.", "/v1/me/..", "/v1/me;x", "/v1;x/me", "/v1/me%3bx", "/v1/me.", "/v1/me.json", "/v1/me%20", "/v1/me%00", "/v1/me%0a",
		"/v1%2fme", "/v1%2Fme", "/v1/%6de", "/%76%31/me", "/v1/%256de", "/v1\\me", "/v1%5cme", "/v1/x/../me", "/v1/x/%2e%2e/me", "/v1/x/..%2fme", "/v1/x/%2e%2e%2fme", "/v1/x/.%2e/me", "/healthz/../v1/me", "/healthz/%2e%2e/v1/me", "/healthz%2f..%2fv1/me",
		"/v1/\xc0\xaf/me", "/v1%c0%afme", "/v1/%e2%80%8bme", "/v1/\uff4d\uff45", "/v1/me%23", "/v1/me%3f", "*",
		"//v1/admin/appointments", "/v1//admin/appointments", "/v1/./admin/appointments", "/v1/admin/./appointments", "/v1/Admin/appointments", "/v1/%61dmin/appointments", "/v1/admin%2fappointments", "/v1%2fadmin%2fappointments",
		"/v1/admin;/appointments", "/v1/admin/appointments;a=b", "/v1/admin/appointments/", "/v1/admin/appointments%00", "/v1/batches/../admin/appointments", "/v1/batches/%2e%2e/admin/appointments", "/v1/batches/..%2fadmin%2fappointments",
		"/v1/batches/" + id + "/../../admin/appointments", "/ocsp/../v1/admin/appointments", "/ocsp/..%2fv1/admin/appointments", "/crl/..%2f..%2fv1/admin/appointments", "/s/..%2fv1/me", "http://mohor/v1/./me", "http://mohor//v1/admin/appointments",
		w.batch + "/", w.batch + "%00", w.batch + "/..", w.batch + ";x", "/v1/./batches/" + id, "//v1/batches/" + id, "/v1/batches//" + id, "/v1/batches/./" + id, "/v1/batches/x/../" + id, "/v1/batches/x%2f..%2f" + id, "/V1/batches/" + id, "/v1/batches/" + strings.ToUpper(id),
		"/v1/batches/" + id + "%20", "/ocsp/..%2f" + strings.TrimPrefix(w.batch, "/"), "/ca/..%2f" + strings.TrimPrefix(w.batch, "/"),
	} {
		// An app's key opens nothing of people; nobody's opens nothing; the other app's nothing of this one.
		for who, line := range map[string]string{"nobody": "", "its app": "X-API-Key: " + w.own, "another app": "X-API-Key: " + w.other} {
			if who == "its app" && strings.Contains(path, id) {
				continue // it may be written in ways that mean the same
			}
			for where, address := range map[string]string{"listen": w.address, "listen_public": public} {
				for _, a := range send(t, address, get(path, headers(line)...)) {
					if a.status < 400 || a.status >= 500 || strings.Contains(a.body, "Milik sendiri") {
						t.Errorf("%s: %s to %s: %d %s", where, path, who, a.status, a.body)
					}
				}
			}
		}
	}
}

func headers(line string) []string {
	if line == "" {
		return nil
	}
	return []string{line}
}

// Who is not a proxy says nothing about whose request it is.
func TestPeersSpeakForThemselves(t *testing.T) {
	w := newWire(t)
	for _, line := range []string{"X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 203.0.113.7, 127.0.0.1", "Forwarded: for=203.0.113.7", "X-Real-IP: 203.0.113.7", "True-Client-IP: 203.0.113.7",
		"CF-Connecting-IP: 203.0.113.7", "X-Client-IP: 203.0.113.7", "X-Forwarded-Host: 203.0.113.7", "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 127.0.0.1"} {
		if got := statuses(send(t, w.address, get(w.batch, "X-API-Key: "+w.own, line))); len(got) != 1 || got[0] != 200 {
			t.Errorf("%s: %v", line, got)
		}
	}
	if log := w.Log.String(); strings.Contains(log, "203.0.113.7") || !strings.Contains(log, "peer=127.0.0.1") {
		t.Error("a peer's word about its address was believed")
	}
}

// HTTP/2, frame by frame.
func TestSmuggledFrames(t *testing.T) {
	w := newWire(t)
	address := serveTLS(t, w)
	field := func(pairs ...string) (out [][2]string) {
		for k := 0; k+1 < len(pairs); k += 2 {
			out = append(out, [2]string{pairs[k], pairs[k+1]})
		}
		return out
	}
	request := func(pairs ...string) [][2]string {
		return append(field(":method", "GET", ":scheme", "https", ":authority", "mohor", ":path", w.batch), field(pairs...)...)
	}
	for what, c := range map[string]struct {
		fields [][2]string
		data   string
		want   int // 0: the stream or the connection is reset
	}{
		"control: own key":                {request("x-api-key", w.own), "", 200},
		"control: another app":            {request("x-api-key", w.other), "", 404},
		"control: nobody":                 {request(), "", 401},
		"two keys":                        {request("x-api-key", w.other, "x-api-key", w.own), "", 401},
		"key and Authorization":           {request("x-api-key", w.own, "authorization", "Bearer x"), "", 401},
		"CRLF in a value":                 {request("x-api-key", w.other, "x-other", "a\r\nx-api-key: "+w.own), "", 0},
		"LF in a value":                   {request("x-api-key", w.other, "x-other", "a\nx-api-key: "+w.own), "", 0},
		"NUL in a value":                  {request("x-api-key", w.other, "x-other", "a\x00"), "", 0},
		"CRLF in a name":                  {request("x-other: a\r\nx-api-key", w.own), "", 0},
		"a colon in a name":               {request("x-api-key:", w.own), "", 0},
		"capitals in a name":              {request("X-API-Key", w.own), "", 0},
		"a blank in a name":               {request("x-api-key ", w.own), "", 0},
		"an empty name":                   {request("", w.own), "", 0},
		"transfer-encoding":               {request("x-api-key", w.own, "transfer-encoding", "chunked"), "0\r\n\r\n", 0},
		"connection":                      {request("x-api-key", w.own, "connection", "x-api-key"), "", 0},
		"upgrade":                         {request("x-api-key", w.own, "upgrade", "h2c"), "", 0},
		"te":                              {request("x-api-key", w.own, "te", "chunked"), "", 0},
		"two paths":                       {append(field(":path", "/healthz"), request("x-api-key", w.other)...), "", 0},
		"two methods":                     {append(field(":method", "DELETE"), request("x-api-key", w.own)...), "", 0},
		"no path":                         {field(":method", "GET", ":scheme", "https", ":authority", "mohor", "x-api-key", w.own), "", 0},
		"a pseudo-header behind others":   {append(request("x-api-key", w.other), field(":path", "/healthz")...), "", 0},
		"an unknown pseudo-header":        {append(field(":x-api-key", w.own), request()...), "", 0},
		"a path without a slash":          {append(field(":method", "GET", ":scheme", "https", ":authority", "mohor", ":path", w.batch[1:]), field("x-api-key", w.other)...), "", 0},
		"a request line in the method":    {field(":method", "GET "+w.batch+" HTTP/1.1\r\nx: ", ":scheme", "https", ":authority", "mohor", ":path", "/healthz", "x-api-key", w.other), "", 0},
		"a request line in the path":      {field(":method", "GET", ":scheme", "https", ":authority", "mohor", ":path", w.batch+" HTTP/1.1\r\nX-API-Key: "+w.own, "x-api-key", w.other), "", 0},
		"a length beside no data":         {request("x-api-key", w.other, "content-length", "5"), "", 0},
		"a length below the data":         {request("x-api-key", w.other, "content-length", "1"), "GET /", 0},
		"another's word on who it is":     {request("x-api-key", w.other, "x-forwarded-client-cert", "CN="+w.Dev.ClientID, "uxp-client", w.Dev.ClientID), "", 404},
		"admin, with an app's key":        {field(":method", "GET", ":scheme", "https", ":authority", "mohor", ":path", "/v1/%61dmin/appointments", "x-api-key", w.own), "", 401},
		"CONNECT with a protocol":         {append(field(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "mohor", ":path", w.batch), field("x-api-key", w.other)...), "", 0},
		"an authority and another's host": {request("x-api-key", w.other, "host", "evil"), "", 404},
	} {
		got, err := frames(t, address, c.fields, c.data)
		switch {
		case c.want == 0 && (got < 400 && got != 0 || got >= 500), c.want != 0 && got != c.want:
			t.Errorf("%s: %d, want %d: %v", what, got, c.want, err)
		}
	}
	if r := w.Do("GET", w.batch, "", nil); r.Text("status") != "OPEN" {
		t.Errorf("the batch after it all: %s", r.Raw)
	}
}

// serveTLS listens with HTTP/2, as with tls.cert in the configuration.
func serveTLS(t *testing.T, w *wire) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mohor"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	check(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	stop := gateway.ServeOn(w.Server, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2", "http/1.1"}}), false)
	t.Cleanup(func() { check(t, stop()) })
	return l.Addr().String()
}

// frames sends one request and gives the status of its answer; 0 when it is reset.
func frames(t *testing.T, address string, fields [][2]string, data string) (status int, err error) {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) // the certificate was made for this test
	check(t, err)
	defer c.Close()
	check(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	if p := c.ConnectionState().NegotiatedProtocol; p != "h2" {
		t.Fatalf("protocol %q", p)
	}
	_, err = io.WriteString(c, http2.ClientPreface)
	check(t, err)
	f := http2.NewFramer(c, c)
	check(t, f.WriteSettings())
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, x := range fields {
		check(t, e.WriteField(hpack.HeaderField{Name: x[0], Value: x[1]}))
	}
	check(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: data == ""}))
	if data != "" {
		_ = f.WriteData(1, true, []byte(data)) // the stream may be gone
	}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("no end of %q", fields)
			}
			return 0, err
		}
		switch x := frame.(type) {
		case *http2.MetaHeadersFrame:
			return strconv.Atoi(x.PseudoValue("status"))
		case *http2.RSTStreamFrame:
			return 0, fmt.Errorf("stream reset: %v", x.ErrCode)
		case *http2.GoAwayFrame:
			return 0, fmt.Errorf("connection ended: %v", x.ErrCode)
		}
	}
}
