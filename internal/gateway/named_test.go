package gateway_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// Items are found by a part of their name or reference, in pages, in capitals or not; a name that
// nobody has gives none.
func TestItemsByName(t *testing.T) {
	g := gatewaytest.New(t)
	list := header
	for n, name := range []string{"ALI BIN ABU", "Siti Zubaidah", "ALIAS BIN AHMAD", "JOSÉ ALI", "KAMAL"} {
		list += line(n+1, name)
	}
	id, r := newBatch(t, g, list)
	want(t, r, 200, "")
	for query, names := range map[string]string{
		"named=ali":                        "0 2 3", // in the middle, too
		"named=ali&limit=2":                "0 2 next 2",
		"named=ali&limit=2&after=2":        "3",
		"named=zubaidah":                   "1",
		"named=" + url.QueryEscape("josé"): "3",
		"named=s102200005":                 "4",
		"named=ali&state=signed":           "",
		"named=" + url.QueryEscape("%"):    "",
		"named=":                           "0 1 2 3 4",
	} {
		r := g.Do("GET", "/v1/batches/"+id+"/items?"+query, "", nil)
		want(t, r, 200, "")
		var got []string
		for _, x := range r.Body["items"].([]any) {
			got = append(got, fmt.Sprint(x.(map[string]any)["index"]))
		}
		if next, ok := r.Body["next"]; ok {
			got = append(got, fmt.Sprint("next ", next))
		}
		if s := strings.Join(got, " "); s != names {
			t.Errorf("%s: %q, not %q", query, s, names)
		}
	}
}
