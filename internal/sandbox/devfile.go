package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mohor-sign/mohor/internal/secret"
)

const maxDevFile = 1 << 20

// DevFile is what a developer's program needs to talk to the sandbox. Its
// secrets print as [redacted]; only [WriteDevFile] reveals them.
type DevFile struct {
	BaseURL      string // "https://localhost:8443", no slash at the end
	APIKey       secret.Text
	ClientID     string // OAuth 2.0 client credentials
	ClientSecret secret.Text
	System       string // registered system, "IGFMAS"
	MailboxURL   string // of /dev/mailbox
	RootCert     string // path of the sandbox's root certificate (PEM)
	Officers     []DevOfficer
	// Administrators are made where somebody may want to see the console.
	Administrators []DevAdministrator
}

// DevAdministrator is a made-up administrator who can log in to the sandbox's console.
type DevAdministrator struct {
	IC       string
	Name     string
	Role     string // "JDN", "SAP", "SA", "AP" or "AUDITOR"
	Of       string // agency or ICT system, "" for everything
	Password secret.Text
	TOTP     secret.Text // seed, base32
}

// DevOfficer is a made-up officer who can sign in the sandbox.
type DevOfficer struct {
	IC          string
	Name        string
	Email       string
	PIN         secret.Text
	Password    secret.Text // of the portal
	Credentials []DevCredential
}

// DevCredential names one of an officer's keys.
type DevCredential struct {
	CredentialID string `json:"credential_id"`
	Key          string `json:"key"` // "RSA-2048" … "ECDSA-P384"
}

// devJSON and devOfficerJSON are the file itself, secrets in clear.
type devJSON struct {
	BaseURL      string           `json:"base_url"`
	APIKey       string           `json:"api_key"`
	ClientID     string           `json:"client_id"`
	ClientSecret string           `json:"client_secret"`
	System       string           `json:"system"`
	MailboxURL   string           `json:"mailbox_url"`
	RootCert     string           `json:"root_cert"`
	Officers     []devOfficerJSON `json:"officers"`

	Administrators []devAdministratorJSON `json:"administrators,omitempty"`
}

type devAdministratorJSON struct {
	IC       string `json:"ic"`
	Name     string `json:"name"`
	Role     string `json:"role"`
	Of       string `json:"of,omitempty"`
	Password string `json:"password"`
	TOTP     string `json:"totp"`
}

type devOfficerJSON struct {
	IC          string          `json:"ic"`
	Name        string          `json:"name"`
	Email       string          `json:"email"`
	PIN         string          `json:"pin"`
	Password    string          `json:"password"`
	Credentials []DevCredential `json:"credentials"`
}

// WriteDevFile writes f as JSON, readable by the owner alone (0600), and puts
// it at path in one step: a reader sees the old file or the new one.
func WriteDevFile(path string, f DevFile) (err error) {
	out := devJSON{
		BaseURL: f.BaseURL, APIKey: string(f.APIKey.Reveal()), ClientID: f.ClientID, ClientSecret: string(f.ClientSecret.Reveal()),
		System: f.System, MailboxURL: f.MailboxURL, RootCert: f.RootCert, Officers: []devOfficerJSON{},
	}
	for _, o := range f.Officers {
		credentials := append([]DevCredential{}, o.Credentials...)
		out.Officers = append(out.Officers, devOfficerJSON{o.IC, o.Name, o.Email, string(o.PIN.Reveal()), string(o.Password.Reveal()), credentials})
	}
	for _, a := range f.Administrators {
		out.Administrators = append(out.Administrators, devAdministratorJSON{a.IC, a.Name, a.Role, a.Of, string(a.Password.Reveal()), string(a.TOTP.Reveal())})
	}
	var p bytes.Buffer
	enc := json.NewEncoder(&p)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("encoding sandbox file: %w", err)
	}
	if err := replaceFile(path, p.Bytes()); err != nil {
		return fmt.Errorf("writing sandbox file: %w", err)
	}
	return nil
}

// replaceFile makes a new file (os.CreateTemp: mode 0600) and renames it.
func replaceFile(path string, p []byte) (err error) {
	t, err := os.CreateTemp(filepath.Dir(path), ".dev-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(t.Name()))
		}
	}()
	_, err = t.Write(p)
	err = errors.Join(err, t.Sync(), t.Close())
	if err != nil {
		return err
	}
	return os.Rename(t.Name(), path)
}

// ReadDevFile reads what WriteDevFile wrote: at most 1 MiB, no unknown field.
func ReadDevFile(path string) (DevFile, error) {
	r, err := os.Open(path)
	if err != nil {
		return DevFile{}, fmt.Errorf("opening sandbox file: %w", err)
	}
	defer r.Close()
	dec := json.NewDecoder(io.LimitReader(r, maxDevFile))
	dec.DisallowUnknownFields()
	var in devJSON
	if err := dec.Decode(&in); err != nil {
		// The decoder's own message may quote a secret.
		return DevFile{}, errors.New("reading sandbox file: not the JSON expected")
	}
	f := DevFile{
		BaseURL: in.BaseURL, APIKey: secret.New(in.APIKey), ClientID: in.ClientID, ClientSecret: secret.New(in.ClientSecret),
		System: in.System, MailboxURL: in.MailboxURL, RootCert: in.RootCert,
	}
	for _, o := range in.Officers {
		f.Officers = append(f.Officers, DevOfficer{o.IC, o.Name, o.Email, secret.New(o.PIN), secret.New(o.Password), o.Credentials})
	}
	for _, a := range in.Administrators {
		f.Administrators = append(f.Administrators, DevAdministrator{a.IC, a.Name, a.Role, a.Of, secret.New(a.Password), secret.New(a.TOTP)})
	}
	return f, nil
}
