package mohor

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Officer is what an application may know of a signatory.
type Officer struct {
	IC       string `json:"ic"`
	CanSign  bool   `json:"can_sign"`
	NextStep string `json:"next_step"` // what the officer does next, to be shown
	// Status is ISSUED, NEW, WAITING_FOR_VERIFICATION, RENEW, EXPIRED, SUSPENDED, REVOKED,
	// NO_CERTIFICATE or NOT_REGISTERED.
	Status string   `json:"status"`
	Media  []Medium `json:"media"`
}

// Medium is one key of an officer, or what is to become one.
type Medium struct {
	Medium       string   `json:"medium"` // "ROAMING_OTP", "ROAMING", "SOFTCERT" or "TOKEN"
	Status       string   `json:"status"`
	System       string   `json:"system"`
	CredentialID string   `json:"credential_id"`
	Channels     []string `json:"channels"` // by which a code would come, preferred first
	Key          struct {
		Alg string `json:"alg"` // "RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-P256" or "ECDSA-P384"
	} `json:"key"`
	Certificate *Certificate `json:"certificate"` // nil where there is none yet
}

// Certificate is an officer's.
type Certificate struct {
	SerialNumber string    `json:"serial_number"` // decimal
	Subject      string    `json:"subject"`
	Issuer       string    `json:"issuer"`
	NotBefore    time.Time `json:"not_before"`
	NotAfter     time.Time `json:"not_after"`
	Status       string    `json:"status"` // "ACTIVE", "SUSPENDED", "REVOKED" or "EXPIRED"
	DER          []byte    `json:"der"`
	Chain        [][]byte  `json:"chain"` // DER, the issuing CA first, the root last
}

// Credential returns the medium with this credential id, or with "" the first that can
// sign for system as a transaction without credential_id would choose it; nil when there
// is none.
func (o *Officer) Credential(system, id string) *Medium {
	for k := range o.Media {
		m := &o.Media[k]
		if m.System == system && m.Certificate != nil && (m.CredentialID == id || id == "" && m.Medium == "ROAMING_OTP" && m.Certificate.Status == "ACTIVE") {
			return m
		}
	}
	return nil
}

// Officer looks an officer up by IC, 12 digits: "not_found" when the officer has nothing
// to do with the application's systems.
func (c *Client) Officer(ctx context.Context, ic string) (*Officer, error) {
	o := new(Officer)
	return answer(o, c.get(ctx, "/v1/officers/"+url.PathEscape(ic)+"/medium", o))
}

// Chain returns the certificates of the gateway's CAs: issuing CAs, then roots. Trust in
// them is the caller's to decide.
func (c *Client) Chain(ctx context.Context) ([]*x509.Certificate, error) {
	resp, err := c.send(ctx, &request{method: http.MethodGet, path: "/ca/chain.pem"})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	rest, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil {
		return nil, fmt.Errorf("reading chain: %w", err)
	}
	var out []*x509.Certificate
	for b, rest := pem.Decode(rest); b != nil; b, rest = pem.Decode(rest) {
		x, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading chain: %w", err)
		}
		out = append(out, x)
	}
	return out, nil
}
