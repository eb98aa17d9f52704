// Package sandbox holds what exists only under `mohor serve --dev`: a mail
// server in memory that catches the one-time codes ([Mailbox]), pages that
// show them to this machine alone ([LoopbackOnly]), and the file that tells a
// developer's program where everything is ([DevFile]).
//
// Nothing here may be reachable from another machine: whoever reads the
// mailbox holds every officer's second factor.
package sandbox

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// forwarded are the headers a proxy or tunnel adds; with one of them the
// loopback peer is not the real one.
var forwarded = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"}

// LoopbackOnly answers 403 unless the peer's address is loopback, the request
// names this machine by a loopback name (localhost, 127.0.0.0/8, [::1], any
// port) and no proxy stands between. The name is checked because a page from
// elsewhere can point its own host name at 127.0.0.1 (DNS rebinding). Place it
// before any middleware that rewrites RemoteAddr.
func LoopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackPeer(r.RemoteAddr) || !loopbackName(r.Host) || relayed(r.Header) {
			http.Error(w, "hanya dari mesin ini / from this machine only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopbackPeer(addr string) bool {
	ap, err := netip.ParseAddrPort(addr)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// loopbackName accepts host or host:port as in the Host header.
func loopbackName(host string) bool {
	name := host
	if h, port, err := net.SplitHostPort(host); err == nil {
		if port == "" || strings.Trim(port, "0123456789") != "" {
			return false
		}
		name = h
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		name = host[1 : len(host)-1]
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}

func relayed(h http.Header) bool {
	for _, name := range forwarded {
		if _, ok := h[name]; ok {
			return true
		}
	}
	return false
}
