package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/api"
)

// A body that stops is cut off; one that is complete is answered, and its
// connection serves the next.
func TestStalledBodyIsCutOff(t *testing.T) {
	seen := make(chan error, 4)
	s := httptest.NewServer(api.Deadlines(100*time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		seen <- err
		fmt.Fprint(w, "read")
	})))
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for range 2 {
		fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close(), <-seen); err != nil || !strings.Contains(string(b), "read") {
			t.Fatalf("%q, %v", b, err)
		}
	}
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\na") // and no more
	if err := <-seen; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a stalled body ended with %v", err)
	}
}
