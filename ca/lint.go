package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3/lint"
	_ "github.com/zmap/zlint/v3/lints/community" // the rules register themselves
	_ "github.com/zmap/zlint/v3/lints/etsi"
	_ "github.com/zmap/zlint/v3/lints/rfc"
)

// ErrLint: a certificate that was to be signed breaks a rule of RFC 5280 or its
// like. Nothing was signed.
var ErrLint = errors.New("certificate refused by lint")

// linter drafts certificates and judges the drafts. The rules are those of RFC 3279,
// 5280, 5480, 5891 and 8813, of ETSI EN 319 412-5 for QC statements, and zlint's own
// against what went wrong elsewhere. Left out are the requirements of the CA/Browser
// Forum, which are for servers, mailboxes and code, and of browsers' root programmes.
type linter struct {
	mu    sync.Mutex
	keys  map[string]crypto.Signer // throwaway, by the kind of the issuer's key
	once  sync.Once
	rules []*lint.CertificateLint
}

// chosen are the rules that apply here.
func (l *linter) chosen() []*lint.CertificateLint {
	l.once.Do(func() {
		for _, rule := range lint.GlobalRegistry().CertificateLints().Lints() {
			// One looks for the signature of a certain CA by verifying the draft's, which is
			// nobody's, and takes four times as long as all others together.
			if slices.Contains(sources(), rule.Source) && rule.Name != "e_cert_issued_by_compromised_emudhra_ca" {
				l.rules = append(l.rules, rule)
			}
		}
	})
	return l.rules
}

// draft is the certificate to be, signed by a throwaway key in the place of the
// issuer's, whose public half is by. Its TBSCertificate is what the issuer signs.
func (l *linter) draft(template, parent *x509.Certificate, pub, by crypto.PublicKey) (*x509.Certificate, error) {
	key, err := l.throwaway(by)
	if err != nil {
		return nil, err
	}
	return drafted(template, parent, pub, key)
}

func drafted(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	issuer := *parent
	issuer.PublicKey = nil // or CreateCertificate would miss its private half
	der, err := x509.CreateCertificate(rand.Reader, template, &issuer, pub, key)
	if err != nil {
		return nil, fmt.Errorf("drafting certificate: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parsing the drafted certificate: %w", err)
	}
	return c, nil
}

// throwaway gives a key that signs with the algorithm that a key of by's kind does.
func (l *linter) throwaway(by crypto.PublicKey) (crypto.Signer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := keyKind(by)
	if k := l.keys[kind]; k != nil {
		return k, nil
	}
	var k crypto.Signer
	var err error
	switch pub := by.(type) {
	case *rsa.PublicKey:
		// The smallest there is: what it signs is never released.
		k, err = rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // throwaway
	case *ecdsa.PublicKey:
		k, err = ecdsa.GenerateKey(pub.Curve, rand.Reader)
	default:
		err = fmt.Errorf("%w: of an issuer", ErrWeakKey)
	}
	if err != nil {
		return nil, fmt.Errorf("making a key for drafts: %w", err)
	}
	if l.keys == nil {
		l.keys = make(map[string]crypto.Signer)
	}
	l.keys[kind] = k
	return k, nil
}

// readable is the draft as zlint can read it. It does not know policies with a number of
// more than 31 bits, as those of UUIDs have: another identifier of the same length stands
// in the place of such a one, and nothing else differs.
func readable(draft *x509.Certificate) []byte {
	raw := draft.Raw
	for k, oid := range draft.Policies {
		if !slices.ContainsFunc(strings.Split(oid.String(), "."), func(n string) bool { _, err := strconv.ParseInt(n, 10, 32); return err != nil }) {
			continue
		}
		was, err := oid.MarshalBinary()
		if err != nil || len(was) > 127 {
			continue // lint says what is wrong
		}
		now := append([]byte{0x88, 0x37}, bytes.Repeat([]byte{byte(k % 128)}, len(was)-2)...) // 2.999.k.k…
		head := []byte{asn1.TagOID, byte(len(was))}
		raw = bytes.Replace(raw, append(slices.Clone(head), was...), append(head, now...), 1)
	}
	return raw
}

// lint is ErrLint with every rule that the draft breaks; what is only advised against
// passes.
func (l *linter) lint(draft *x509.Certificate) error {
	c, err := zx509.ParseCertificate(readable(draft))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLint, err)
	}
	// A root's draft is not signed by the root, as the parser found out.
	c.SelfSigned = draft.IsCA && bytes.Equal(draft.RawSubject, draft.RawIssuer)
	var broken []string
	config := lint.NewEmptyConfig()
	for _, rule := range l.chosen() {
		if r := rule.Execute(c, config); r.Status >= lint.Error {
			broken = append(broken, strings.TrimSpace(rule.Name+" "+r.Details))
		}
	}
	if broken != nil {
		slices.Sort(broken)
		return fmt.Errorf("%w: %s", ErrLint, strings.Join(broken, "; "))
	}
	return nil
}

func sources() []lint.LintSource {
	return []lint.LintSource{lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC6960, lint.RFC8813, lint.EtsiEsi, lint.Community}
}
