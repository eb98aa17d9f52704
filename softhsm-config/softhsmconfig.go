// Package softhsmconfig keeps the configuration of a development token: the template of
// softhsm2.conf, the script init-token.sh that makes a token by hand, and [Write], which does
// the first half of that script for tests and for "mohor init".
//
// SoftHSM keeps keys in files. It is for development and for tests; an installation that signs
// for the public uses a certified module.
package softhsmconfig

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed softhsm2.conf
var template string

// ErrBadDir is returned by [Write] for a directory name that the configuration file cannot
// hold: SoftHSM reads it line by line and has no quoting.
var ErrBadDir = errors.New("softhsmconfig: directory name has a character that softhsm2.conf cannot hold")

// Write makes dir/tokens (mode 0700) and dir/softhsm2.conf (mode 0600) that points at it, and
// gives the absolute path of the latter. A file that already says the same is left alone; one
// that says something else is replaced as a whole.
//
// The path goes into the environment variable SOFTHSM2_CONF before the module is loaded. The
// variable belongs to the process, so one process sees the tokens of one configuration.
func Write(dir string) (conf string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the directory of the token: %w", err)
	}
	if strings.ContainsFunc(dir, func(r rune) bool { return r < ' ' || r == '#' || r == '=' || r == 0x7f }) {
		return "", ErrBadDir
	}
	tokens := filepath.Join(dir, "tokens")
	if err := os.MkdirAll(tokens, 0o700); err != nil {
		return "", fmt.Errorf("making the token directory: %w", err)
	}
	// MkdirAll leaves the mode of a directory that was there.
	if err := os.Chmod(tokens, 0o700); err != nil {
		return "", fmt.Errorf("closing the token directory to others: %w", err)
	}
	conf = filepath.Join(dir, "softhsm2.conf")
	want := strings.ReplaceAll(template, "@TOKENDIR@", tokens)
	if have, err := os.ReadFile(conf); err == nil && string(have) == want {
		return conf, nil
	}
	// By way of a second file, so that a process that starts meanwhile reads one or the other.
	fresh, err := os.CreateTemp(dir, "softhsm2.conf.*")
	if err != nil {
		return "", fmt.Errorf("writing softhsm2.conf: %w", err)
	}
	_, err = fresh.WriteString(want)
	err = errors.Join(err, fresh.Close())
	if err == nil {
		err = os.Rename(fresh.Name(), conf)
	}
	if err != nil {
		return "", fmt.Errorf("writing softhsm2.conf: %w", errors.Join(err, os.Remove(fresh.Name())))
	}
	return conf, nil
}
