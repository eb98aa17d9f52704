package ca

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/internal/ident"
)

// StepCA is a server of smallstep's step-ca, asked over its HTTP API as a JWK
// provisioner. All fields are required.
type StepCA struct {
	URL         string            // https://host:port, without a slash at the end
	Provisioner string            // name of the JWK provisioner
	Key         *ecdsa.PrivateKey // the provisioner's, on P-256
	// HTTP has a time limit and trusts the CA's root alone.
	HTTP *http.Client
	Now  func() time.Time
}

// Format prints where the CA is, and no key.
func (s *StepCA) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "step-ca at "+s.URL) }

// errNotIssued: the CA has not issued, and will not for this token.
var errNotIssued = errors.New("nothing was issued")

// Bounds of what the CA answers, in bytes.
const (
	maxCAAnswer  = 64 << 10
	maxCAMessage = 200
)

// tokenFor is how long a token lives: a request that is held up longer gets nothing.
const tokenFor = 2 * time.Minute

// order is what a certificate is to be.
type order struct {
	serial              *big.Int
	subject             []byte // DER
	name                string // its CN
	request             []byte // PKCS #10, DER
	notBefore, notAfter time.Time
}

// JWK is the public half of a provisioner's key (RFC 7517).
type JWK struct {
	Use string `json:"use"`
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	Kid string `json:"kid"` // thumbprint, RFC 7638
	Alg string `json:"alg"`
	X   string `json:"x"`
	Y   string `json:"y"`
}

// NewJWK describes a key on P-256, ErrInvalid for another.
func NewJWK(pub *ecdsa.PublicKey) (JWK, error) {
	if pub == nil || pub.Curve != elliptic.P256() {
		return JWK{}, fmt.Errorf("%w: the provisioner's key must be ECDSA on P-256", ErrInvalid)
	}
	point, err := pub.Bytes()
	if err != nil {
		return JWK{}, fmt.Errorf("%w: the provisioner's key: %w", ErrInvalid, err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	k := JWK{Use: "sig", Kty: "EC", Crv: "P-256", Alg: "ES256", X: b64(point[1:33]), Y: b64(point[33:])}
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":%q,"kty":%q,"x":%q,"y":%q}`, k.Crv, k.Kty, k.X, k.Y))
	k.Kid = b64(sum[:])
	return k, nil
}

// claims are those of a one-time token (RFC 7519), and what the template of the
// certificate takes from it.
type claims struct {
	Issuer   string        `json:"iss"`
	Audience string        `json:"aud"`
	Subject  string        `json:"sub"`
	ID       string        `json:"jti"`
	Expires  int64         `json:"exp"`
	Confirm  *confirmation `json:"cnf,omitempty"`
	Order    *tokenOrder   `json:"mohor,omitempty"`
}

// confirmation binds a token to one certificate request.
type confirmation struct {
	Request string `json:"x5rt#S256"`
}

type tokenOrder struct {
	Serial  string `json:"serial"`  // decimal
	Subject []byte `json:"subject"` // DER
}

// token signs claims as a JWS in compact form (RFC 7515), ES256.
func (s *StepCA) token(c claims) (string, error) {
	k, err := NewJWK(&s.Key.PublicKey)
	if err != nil {
		return "", err
	}
	c.Issuer, c.Audience, c.ID, c.Expires = s.Provisioner, s.URL+c.Audience, ident.New("ott", 16), s.Now().Add(tokenFor).Unix()
	header, err := json.Marshal(map[string]string{"alg": k.Alg, "kid": k.Kid, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64(header) + "." + b64(body)
	sum := sha256.Sum256([]byte(input))
	r, v, err := ecdsa.Sign(rand.Reader, s.Key, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing token: %w", err)
	}
	sig := make([]byte, 64) // RFC 7518, Section 3.4
	r.FillBytes(sig[:32])
	v.FillBytes(sig[32:])
	return input + "." + b64(sig), nil
}

// provisioner is an entry of authority.provisioners in step-ca's ca.json.
type provisioner struct {
	Type   string `json:"type"`
	Name   string `json:"name"`
	Key    JWK    `json:"key"`
	Claims struct {
		Max     string `json:"maxTLSCertDuration"`
		Default string `json:"defaultTLSCertDuration"`
		Plain   bool   `json:"disableSmallstepExtensions"`
		NoRenew bool   `json:"disableRenewal"`
	} `json:"claims"`
	Options struct {
		X509 struct {
			Template string `json:"template"`
		} `json:"x509"`
	} `json:"options"`
}

// template takes serial number and subject from the token, and nothing from the request but
// its key.
const template = `{
  "serialNumber": {{ toJson .Token.mohor.serial }},
  "rawSubject": {{ toJson .Token.mohor.subject }},
  "keyUsage": ["digitalSignature", "contentCommitment"],
  "extKeyUsage": ["emailProtection"],
  "unknownExtKeyUsage": ["1.3.6.1.5.5.7.3.36"],
  "crlDistributionPoints": [%s],
  "policyIdentifiers": [%s],
  "basicConstraints": {"isCA": false}
}`

// ProvisionerJSON is the entry of authority.provisioners in the CA's ca.json with
// which it issues what is asked for: for at most that long, with the address of its
// CRL and the certificate policy (dotted; "" for none).
func (s *StepCA) ProvisionerJSON(validity time.Duration, crl, policy string) ([]byte, error) {
	k, err := NewJWK(&s.Key.PublicKey)
	if err != nil {
		return nil, err
	}
	quoted := func(text string) string {
		if text == "" {
			return ""
		}
		return fmt.Sprintf("%q", text)
	}
	p := provisioner{Type: "JWK", Name: s.Provisioner, Key: k}
	p.Claims.Max, p.Claims.Default, p.Claims.Plain, p.Claims.NoRenew = (validity + time.Hour).String(), validity.String(), true, true
	p.Options.X509.Template = fmt.Sprintf(template, quoted(crl), quoted(policy))
	return json.MarshalIndent(p, "", "  ")
}

// sign has a certificate issued: it first, then those above it as far as the CA sends
// them. errNotIssued when there is none and will be none; ErrUnavailable, too, when it
// is not known. What it says of the certificate is for the caller to check.
func (s *StepCA) sign(ctx context.Context, w order) ([]*x509.Certificate, error) {
	sum := sha256.Sum256(w.request)
	ott, err := s.token(claims{Audience: "/1.0/sign", Subject: w.name, Confirm: &confirmation{base64.RawURLEncoding.EncodeToString(sum[:])},
		Order: &tokenOrder{w.serial.String(), w.subject}})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotIssued, err)
	}
	body, err := s.post(ctx, "/1.0/sign", map[string]string{
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: w.request})), "ott": ott,
		"notBefore": w.notBefore.UTC().Format(time.RFC3339), "notAfter": w.notAfter.UTC().Format(time.RFC3339)})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Chain []string `json:"certChain"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Chain) == 0 || len(answer.Chain) > 8 {
		return nil, fmt.Errorf("%w: it holds no certificates", ErrAnswer)
	}
	var out []*x509.Certificate
	for _, text := range answer.Chain {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, fmt.Errorf("%w: a certificate in it is not PEM", ErrAnswer)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: a certificate in it: %w", ErrAnswer, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// revoke has a serial number revoked, whether the CA has issued it or not.
func (s *StepCA) revoke(ctx context.Context, serial string, reason int) error {
	ott, err := s.token(claims{Audience: "/1.0/revoke", Subject: serial})
	if err != nil {
		return err
	}
	_, err = s.post(ctx, "/1.0/revoke", map[string]any{"serial": serial, "ott": ott, "reasonCode": reason, "passive": true})
	// A number that is revoked is a bad request, and said in no other way.
	var said *refusal
	if errors.As(err, &said) && said.status == http.StatusBadRequest && strings.Contains(said.message, "is already revoked") {
		return nil
	}
	return err
}

// Health asks whether the CA serves; ErrUnavailable.
func (s *StepCA) Health(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/health", nil)
	if err != nil {
		return err
	}
	_, err = s.do(r)
	return err
}

// refusal is an answer that says no.
type refusal struct {
	status  int
	message string // of the CA, printable, at most maxCAMessage bytes
}

func (e *refusal) Error() string {
	return fmt.Sprintf("the CA refused (status %d): %s", e.status, e.message)
}

func (s *StepCA) post(ctx context.Context, path string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	return s.do(r)
}

// do gives the body of an answer that says yes. What was surely not done is
// errNotIssued.
func (s *StepCA) do(r *http.Request) ([]byte, error) {
	resp, err := s.HTTP.Do(r)
	var op *net.OpError
	var cert *tls.CertificateVerificationError
	switch {
	case err != nil && (errors.As(err, &op) && op.Op == "dial" || errors.As(err, &cert)):
		return nil, fmt.Errorf("%w: %w: %w", ErrUnavailable, errNotIssued, err) // it was not asked
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxCAAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: reading its answer: %w", ErrUnavailable, err)
	case len(body) > maxCAAnswer:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrAnswer, maxCAAnswer)
	case resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated:
		return body, nil
	}
	said := &refusal{resp.StatusCode, message(body)}
	if resp.StatusCode >= 400 && resp.StatusCode < 500 {
		return nil, fmt.Errorf("%w: %w: %w", ErrUnavailable, errNotIssued, said)
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, said)
}

// message is what a refusal says, for an administrator's eyes.
func message(body []byte) string {
	var said struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &said) // "" says as much
	out := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, said.Message)
	return out[:min(len(out), maxCAMessage)]
}
