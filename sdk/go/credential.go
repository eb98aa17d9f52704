package mohor

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Credential is how an application shows who it is: [APIKey], [Basic], [ClientCredentials]
// or [PrivateKeyJWT]. One may serve several clients of the same gateway.
type Credential interface {
	// authorize adds what the gateway asks for. refused is told when it was not
	// enough, and says whether another try could be.
	authorize(ctx context.Context, c *Client, req *http.Request) (refused func() bool, err error)
}

type headerCredential func(req *http.Request)

func (h headerCredential) authorize(_ context.Context, _ *Client, req *http.Request) (func() bool, error) {
	h(req)
	return func() bool { return false }, nil
}

// APIKey sends key as X-API-Key.
func APIKey(key Secret) Credential {
	return headerCredential(func(req *http.Request) { req.Header.Set("X-API-Key", string(key.Reveal())) })
}

// Basic sends id and password with each request (RFC 7617).
func Basic(id string, password Secret) Credential {
	return headerCredential(func(req *http.Request) { req.SetBasicAuth(id, string(password.Reveal())) })
}

// ClientCredentials exchanges id and client secret for a bearer token (RFC 6749, Section
// 4.4), keeps it until shortly before its end, and gets another when it is refused.
func ClientCredentials(id string, secret Secret) Credential {
	return newTokens(func(string) (url.Values, error) {
		return url.Values{"client_id": {id}, "client_secret": {string(secret.Reveal())}}, nil
	})
}

// PrivateKeyJWT is ClientCredentials for an application that proves itself with a key
// (RFC 7523, Section 2.2) of which the gateway has the public half under keyID, which
// may be empty when it is the only one: RSA of 2048 bits and more (PS256), P-256 (ES256)
// or P-384 (ES384). Its assertions are made out to the address that New was given, which
// must be the one the gateway knows as its own (base_url).
func PrivateKeyJWT(id, keyID string, key crypto.Signer) Credential {
	return newTokens(func(audience string) (url.Values, error) {
		jwt, err := assertion(id, keyID, audience, key, time.Now())
		return url.Values{"client_id": {id}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {jwt}}, err
	})
}

// tokens keeps a bearer token.
type tokens struct {
	proof func(audience string) (url.Values, error)
	// turn holds the token while nobody has it in hand: whoever takes it out and finds
	// it old gets a new one, and the others wait for that.
	turn chan token
}

type token struct {
	value Secret
	until time.Time // when to get another
}

func newTokens(proof func(string) (url.Values, error)) *tokens {
	t := &tokens{proof: proof, turn: make(chan token, 1)}
	t.turn <- token{}
	return t
}

func (t *tokens) authorize(ctx context.Context, c *Client, req *http.Request) (func() bool, error) {
	var now token
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case now = <-t.turn:
	}
	if !time.Now().Before(now.until) {
		next, err := t.fetch(ctx, c)
		if err != nil {
			t.turn <- now
			return nil, err
		}
		now = next
	}
	t.turn <- now
	req.Header.Set("Authorization", "Bearer "+string(now.value.Reveal()))
	return func() bool {
		held := <-t.turn
		if string(held.value.Reveal()) == string(now.value.Reveal()) {
			held = token{}
		}
		t.turn <- held
		return true
	}, nil
}

// fetch asks the gateway for a token. It is kept for nine tenths of its life.
func (t *tokens) fetch(ctx context.Context, c *Client) (token, error) {
	address := c.base + "/oauth2/token"
	form, err := t.proof(address)
	if err != nil {
		return token{}, fmt.Errorf("asking for a token: %w", err)
	}
	form.Set("grant_type", "client_credentials")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return token{}, fmt.Errorf("asking for a token: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	asked := time.Now()
	resp, err := c.do(req)
	if err != nil {
		return token{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return token{}, c.tokenProblem(resp)
	}
	var b struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
		Life  int    `json:"expires_in"` // seconds
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(&b)
	if err != nil || b.Token == "" || !strings.EqualFold(b.Type, "Bearer") {
		return token{}, errors.New("asking for a token: the answer has none")
	}
	life := time.Duration(min(max(b.Life, 0), 1<<20)) * time.Second
	return token{NewSecret(b.Token), asked.Add(life * 9 / 10)}, nil
}

// tokenProblem reads a refusal, which may be one of RFC 6749, Section 5.2.
func (c *Client) tokenProblem(resp *http.Response) *Problem {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem)) // what came of it is enough
	resp.Body = io.NopCloser(strings.NewReader(string(text)))
	p := c.problem(resp)
	var b struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if p.Code == "" && json.Unmarshal(text, &b) == nil {
		p.Code, p.Detail = b.Error, b.Description
	}
	return p
}

// assertionLife is how long an assertion can be used.
const assertionLife = time.Minute

// assertion makes a client assertion (RFC 7523, Section 3) as JWS (RFC 7515).
func assertion(id, keyID, audience string, key crypto.Signer, now time.Time) (string, error) {
	alg, h := "PS256", crypto.SHA256
	var opts crypto.SignerOpts = h
	size := 0 // of an ECDSA number in bytes
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}
	case *ecdsa.PublicKey:
		switch size = (k.Curve.Params().BitSize + 7) / 8; size {
		case 32:
			alg = "ES256"
		case 48:
			alg, h = "ES384", crypto.SHA384
			opts = h
		default:
			return "", errors.New("the application's key is on a curve other than P-256 and P-384")
		}
	default:
		return "", errors.New("the application's key is neither RSA nor ECDSA")
	}
	header := map[string]string{"alg": alg, "typ": "JWT"}
	if keyID != "" {
		header["kid"] = keyID
	}
	head, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{"iss": id, "sub": id, "aud": audience, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(assertionLife).Unix()})
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString(head) + "." + b64.EncodeToString(claims)
	sum := h.New()
	sum.Write([]byte(text))
	sig, err := key.Sign(rand.Reader, sum.Sum(nil), opts)
	if err == nil && size > 0 {
		sig, err = fixedWidth(sig, size)
	}
	return text + "." + b64.EncodeToString(sig), err
}

// fixedWidth turns ECDSA-Sig-Value into the two numbers side by side (RFC 7518, Section
// 3.4).
func fixedWidth(der []byte, size int) ([]byte, error) {
	var v struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &v)
	if err != nil || len(rest) > 0 || v.R.BitLen() > 8*size || v.S.BitLen() > 8*size || v.R.Sign() < 0 || v.S.Sign() < 0 {
		return nil, errors.New("the application's key made no ECDSA signature")
	}
	out := make([]byte, 2*size)
	v.R.FillBytes(out[:size])
	v.S.FillBytes(out[size:])
	return out, nil
}
