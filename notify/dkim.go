package notify

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/wneessen/go-mail"
)

// DKIM signs each message for a domain, so that receivers who know the domain's
// record in the DNS take it for genuine (RFC 6376).
type DKIM struct {
	Domain   string // d=, the one of Config.From or one above it
	Selector string // s=: the record is at SELECTOR._domainkey.DOMAIN
	// Key is RSA of 2048 bits or more (RFC 8301, Section 3.2) or Ed25519 (RFC
	// 8463), which not all receivers know.
	Key crypto.Signer
}

// signedFields is h=. A name that stands twice keeps others from adding such a
// field (RFC 6376, Section 8.15).
var signedFields = []string{"From", "From", "To", "To", "Subject", "Subject", "Date", "Date", "Message-ID", "MIME-Version", "MIME-Version",
	"Content-Type", "Content-Type", "Content-Language", "Auto-Submitted"}

var hostName = regexp.MustCompile(`\A[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\z`)

// check says what is wrong for messages from a domain.
func (d *DKIM) check(from string) error {
	from, domain := strings.ToLower(from), strings.ToLower(d.Domain)
	switch {
	case len(d.Domain) > 253 || !hostName.MatchString(d.Domain):
		return errors.New("reading DKIM settings: domain is no domain name")
	case len(d.Selector) > 63 || !hostName.MatchString(d.Selector):
		return errors.New("reading DKIM settings: selector is no name of the DNS")
	case from != domain && !strings.HasSuffix(from, "."+domain):
		return fmt.Errorf("reading DKIM settings: mail is sent from %s, so the domain must be that or one above it (RFC 7489, Section 3.1.1)", from)
	}
	return fitKey(d.Key)
}

func fitKey(key crypto.Signer) error {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return fmt.Errorf("reading DKIM key: RSA of %d bits is too weak, at least 2048 are needed", k.N.BitLen())
		}
	case ed25519.PrivateKey:
	default:
		return errors.New("reading DKIM key: it is neither RSA nor Ed25519")
	}
	return nil
}

// ParseDKIMKey reads a private key for DKIM in PEM, PKCS #8 or PKCS #1.
func ParseDKIMKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("reading DKIM key: it is not PEM")
	}
	defer clear(block.Bytes)
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("reading DKIM key: a private key without password is needed, not %q", block.Type)
	}
	if err != nil {
		return nil, errors.New("reading DKIM key: its PEM holds no key that can be read")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("reading DKIM key: it is neither RSA nor Ed25519")
	}
	return signer, fitKey(signer)
}

// sign adds the DKIM-Signature. The MIME writer gives the same bytes each time
// a message is written, so that what is signed is what is sent.
func (d *DKIM) sign(msg *mail.Msg) error {
	s, err := dkim.NewSigner(&dkim.SignOptions{Domain: d.Domain, Selector: d.Selector, Signer: d.Key, Hash: crypto.SHA256, HeaderKeys: signedFields,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed})
	if err != nil {
		return fmt.Errorf("signing message: %w", err)
	}
	if _, err := msg.WriteTo(s); err != nil {
		return errors.Join(fmt.Errorf("signing message: %w", err), s.Close())
	}
	if err := s.Close(); err != nil {
		return fmt.Errorf("signing message: %w", err)
	}
	_, value, _ := strings.Cut(s.Signature(), ":")
	msg.SetGenHeaderPreformatted("DKIM-Signature", strings.TrimSpace(value))
	return nil
}
