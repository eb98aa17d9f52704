package enrol

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Limits of assertions: how far away their end may be, how much clocks may differ, and the
// length of their id in bytes.
const (
	AssertionFor  = 5 * time.Minute
	assertionSkew = 30 * time.Second
	maxAssertion  = 8 << 10
	maxJTI        = 256
)

// ByAssertion authenticates an app by a JWT that a key of its own has signed (RFC 7523, Section
// 3; OpenID Connect Core 1.0, Section 9): RS, PS or ES with SHA-256 or SHA-384, iss and sub its
// id, aud one of Audiences and nothing else, exp at most AssertionFor away, and a jti that comes
// once. id, if not "", must be iss. ErrUnknown for anything else; see ByKey.
func (s *Apps) ByAssertion(ctx context.Context, id, assertion string, certs []*x509.Certificate) (App, error) {
	if len(assertion) > maxAssertion {
		return App{}, ErrUnknown
	}
	// Whoever it says it is from is who must have signed it.
	var says jwt.RegisteredClaims
	head, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(assertion, &says)
	if err != nil || says.Issuer == "" || id != "" && says.Issuer != id || head.Header["crit"] != nil {
		return App{}, ErrUnknown
	}
	app, err := s.Records.AppByID(ctx, says.Issuer)
	if err != nil {
		return App{}, err
	}
	all, err := s.Records.AppCredentials(ctx, app.ID)
	if err != nil {
		return App{}, fmt.Errorf("reading keys of the app: %w", err)
	}
	for _, c := range all {
		if c.Kind != KindJWT || !c.live(s.Now()) {
			continue
		}
		claims, ok := s.verify(assertion, app.ID, &c)
		if !ok {
			continue
		}
		until := claims.ExpiresAt.Add(assertionSkew)
		err := s.Records.UseAssertion(ctx, app.ID, sha256.Sum256([]byte(claims.ID)), s.Now(), until)
		if errors.Is(err, ErrExists) {
			return App{}, ErrUnknown
		}
		if err != nil {
			return App{}, fmt.Errorf("keeping the assertion: %w", err)
		}
		return s.admit(ctx, app, &c, certs)
	}
	return App{}, ErrUnknown
}

// verify says whether a key of c has signed an assertion that holds now.
func (s *Apps) verify(assertion, app string, c *AppCredential) (*jwt.RegisteredClaims, bool) {
	keys, err := parseKeys([]byte(c.Public))
	if err != nil {
		return nil, false
	}
	var claims jwt.RegisteredClaims
	_, err = jwt.NewParser(jwt.WithValidMethods([]string{"RS256", "RS384", "PS256", "PS384", "ES256", "ES384"}), jwt.WithStrictDecoding(), jwt.WithTimeFunc(s.Now),
		jwt.WithLeeway(assertionSkew), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithIssuer(app), jwt.WithSubject(app)).
		ParseWithClaims(assertion, &claims, func(t *jwt.Token) (any, error) {
			var set jwt.VerificationKeySet
			kid, named := t.Header["kid"]
			for _, k := range keys {
				if (!named || kid == k.id) && k.signs(t.Method.Alg()) {
					set.Keys = append(set.Keys, k.key)
				}
			}
			return set, nil
		})
	// One audience alone: whoever else it is made out to could use it here.
	if err != nil || len(claims.Audience) != 1 || !slices.Contains(s.Audiences, claims.Audience[0]) || claims.ExpiresAt.Sub(s.Now()) > AssertionFor ||
		claims.ID == "" || len(claims.ID) > maxJTI {
		return nil, false
	}
	return &claims, true
}

// publicKey is a key of a JWK set.
type publicKey struct {
	id, alg string // alg: the only one it signs with; "" for all of its type
	key     crypto.PublicKey
}

// signs says whether the key may have made a signature of an algorithm (RFC 7518, Section 3).
func (k *publicKey) signs(alg string) bool {
	if k.alg != "" && k.alg != alg {
		return false
	}
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		return alg[0] != 'E'
	case *ecdsa.PublicKey:
		return alg == map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384"}[key.Curve]
	}
	return false
}

// maxKeys bounds a JWK set.
const maxKeys = 8

// CheckKeys refuses, with [ErrInvalid], what is no JWK set (RFC 7517, Section 5) of 1 to 8 public
// keys that can sign: RSA with 2048 to 4096 bits, P-256 or P-384, each with a kid of its own when
// there are several. A set with a private key is refused, too: it is known now.
func CheckKeys(set []byte) error {
	_, err := parseKeys(set)
	return err
}

func parseKeys(set []byte) ([]publicKey, error) {
	var doc struct {
		Keys []map[string]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(set, &doc); err != nil || len(doc.Keys) == 0 || len(doc.Keys) > maxKeys {
		return nil, fmt.Errorf("%w: keys must be a JWK set of 1 to %d keys", ErrInvalid, maxKeys)
	}
	var out []publicKey
	for _, members := range doc.Keys {
		k, err := parseKey(members)
		if err != nil {
			return nil, err
		}
		if len(doc.Keys) > 1 && (k.id == "" || slices.ContainsFunc(out, func(o publicKey) bool { return o.id == k.id })) {
			return nil, fmt.Errorf("%w: of several keys each needs a kid of its own", ErrInvalid)
		}
		out = append(out, k)
	}
	return out, nil
}

// parseKey reads a public key (RFC 7518, Section 6).
func parseKey(members map[string]json.RawMessage) (publicKey, error) {
	no := func(why string) (publicKey, error) { return publicKey{}, fmt.Errorf("%w: a key %s", ErrInvalid, why) }
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := members[private]; ok {
			return no("is private: make another, and register its public half")
		}
	}
	word := func(name string) (v string) {
		_ = json.Unmarshal(members[name], &v) // what is no string is as good as missing
		return v
	}
	number := func(name string) []byte {
		b, err := base64.RawURLEncoding.Strict().DecodeString(word(name))
		if err != nil {
			return nil
		}
		return b
	}
	k := publicKey{id: word("kid"), alg: word("alg")}
	if use := word("use"); use != "" && use != "sig" || len(k.id) > maxJTI {
		return no("is not for signatures")
	}
	switch word("kty") {
	case "RSA":
		n, e := new(big.Int).SetBytes(number("n")), new(big.Int).SetBytes(number("e"))
		if n.BitLen() < 2048 || n.BitLen() > 4096 || n.Bit(0) == 0 || e.BitLen() < 2 || e.BitLen() > 31 || e.Bit(0) == 0 {
			return no("of RSA has 2048 to 4096 bits")
		}
		k.key = &rsa.PublicKey{N: n, E: int(e.Int64())}
	case "EC":
		curve, size := elliptic.P256(), 32
		switch word("crv") {
		case "P-256":
		case "P-384":
			curve, size = elliptic.P384(), 48
		default:
			return no("of EC is on P-256 or P-384")
		}
		x, y := number("x"), number("y")
		if len(x) != size || len(y) != size {
			return no("of EC has two coordinates")
		}
		key, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
		if err != nil {
			return no("of EC is a point of its curve")
		}
		k.key = key
	default:
		return no("is of RSA or EC")
	}
	if k.alg != "" && !slices.ContainsFunc([]string{"RS256", "RS384", "PS256", "PS384", "ES256", "ES384"}, k.signs) {
		return no("signs with RS, PS or ES and SHA-256 or SHA-384, as fits its type")
	}
	return k, nil
}

// canonical is a JWK set without what is not needed of it.
func canonical(set []byte) (string, error) {
	var b bytes.Buffer
	err := json.Compact(&b, set)
	return b.String(), err
}
