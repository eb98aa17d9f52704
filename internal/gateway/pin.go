package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
)

var (
	envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// systemd's names of credentials, and no way out of their folder.
	credentialName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$`)
)

// checkPIN: the token PIN comes from one place.
func (t *TokenConfig) checkPIN() error {
	set := 0
	for _, s := range []string{t.PINFile, t.PINEnv, t.PINCredential} {
		if s != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return fmt.Errorf("%w: exactly one of token.pin_file, token.pin_env and token.pin_credential must be set", ErrConfig)
	case t.PINEnv != "" && !envName.MatchString(t.PINEnv):
		return fmt.Errorf("%w: token.pin_env must be the name of an environment variable", ErrConfig)
	case t.PINCredential != "" && !credentialName.MatchString(t.PINCredential):
		return fmt.Errorf("%w: token.pin_credential must be the name of a systemd credential", ErrConfig)
	}
	return nil
}

// pinSource says where the token PIN comes from and where an operator puts it right.
func (t *TokenConfig) pinSource() (source, fix string) {
	switch {
	case t.PINEnv != "":
		return "token.pin_env " + t.PINEnv, "set " + t.PINEnv + " in the environment of mohor"
	case t.PINCredential != "":
		return "token.pin_credential " + t.PINCredential, "LoadCredentialEncrypted=" + t.PINCredential + ":/etc/credstore.encrypted/" + t.PINCredential + " in the service's unit"
	}
	return "token.pin_file " + t.PINFile, "put it into " + t.PINFile + ", mode 0600"
}

// pin reads the token PIN. A variable is taken out of the environment, so that
// no child inherits it: it can be read once.
func (t *TokenConfig) pin() (secret.Text, error) {
	pin, err := t.readPIN()
	if err != nil && t.PINFile != "" {
		return secret.Text{}, err // names the file and its fix
	}
	source, fix := t.pinSource()
	if err == nil && pin.Len() == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading the token PIN from %s: %w; %s", source, err, fix)
	}
	return pin, nil
}

func (t *TokenConfig) readPIN() (secret.Text, error) {
	switch {
	case t.PINEnv != "":
		v, ok := os.LookupEnv(t.PINEnv)
		if !ok {
			return secret.Text{}, errors.New("it is not set")
		}
		return secret.New(v), os.Unsetenv(t.PINEnv)
	case t.PINCredential != "":
		path, err := t.credentialPath()
		if err != nil {
			return secret.Text{}, err
		}
		b, err := os.ReadFile(path) // systemd guards it; its mode is 0400 or 0440
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("the service has no such credential")
		}
		if err != nil {
			return secret.Text{}, err
		}
		return secret.NewBytes(bytes.TrimRight(b, "\r\n")), nil
	}
	return readSecret(t.PINFile)
}

// credentialPath is where systemd puts a credential (systemd.exec(5), CREDENTIALS).
func (t *TokenConfig) credentialPath() (string, error) {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return "", errors.New("CREDENTIALS_DIRECTORY is not set, so no credentials were given to this process")
	}
	return filepath.Join(dir, t.PINCredential), nil
}

// openError names the source of a PIN that the token refused.
func (t *TokenConfig) openError(err error) error {
	if errors.Is(err, hsm.ErrTokenPIN) {
		source, fix := t.pinSource()
		return fmt.Errorf("opening token %q: %w; the PIN of %s was tried once: %s before the next start, since tokens lock after a few wrong ones", t.Label, err, source, fix)
	}
	return fmt.Errorf("opening token %q: %w", t.Label, err)
}
