package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdMailed waits for a mail to an address whose text fits a pattern and keeps the
// pattern's group in a file, which no output may show: mailed DIR ADDRESS PATTERN FILE.
func cmdMailed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: mailed DIR ADDRESS PATTERN FILE")
	}
	pattern, dev := regexp.MustCompile(args[2]), readDev(ts, args[0])
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n := 0
	ts.Check(until(ctx, func() (bool, error) {
		if n++; n%20 != 1 { // strangers may not ask so often
			return false, nil
		}
		status, body, err := ask(dev, http.MethodGet, "/dev/mailbox.json?to="+url.QueryEscape(args[1]))
		if err != nil || status == http.StatusTooManyRequests {
			return false, err
		}
		var mails []struct{ Text string }
		if err := json.Unmarshal(body, &mails); err != nil {
			return false, err
		}
		for _, m := range mails {
			if found := pattern.FindStringSubmatch(m.Text); len(found) == 2 {
				of(ts).hide(found[1])
				return true, os.WriteFile(ts.MkAbs(args[3]), []byte(found[1]), 0o600)
			}
		}
		return false, nil
	}))
}
