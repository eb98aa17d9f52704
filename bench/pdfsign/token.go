package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/miekg/pkcs11"
)

// token is where the key is.
type token struct {
	Module  string `json:"module"`
	Label   string `json:"label"`
	PINFile string `json:"pin_file"`
	Key     string `json:"key"` // its label
}

// tokenKey signs in one session.
type tokenKey struct {
	public    crypto.PublicKey
	module    *pkcs11.Ctx
	session   pkcs11.SessionHandle
	handle    pkcs11.ObjectHandle
	mechanism []*pkcs11.Mechanism
}

func (t *token) open(cert *x509.Certificate) (crypto.Signer, error) {
	pin, err := os.ReadFile(t.PINFile)
	if err != nil {
		return nil, err
	}
	m := pkcs11.New(t.Module)
	if m == nil {
		return nil, fmt.Errorf("no module %s", t.Module)
	}
	if err := m.Initialize(); err != nil {
		return nil, err
	}
	slot, err := t.slot(m)
	if err != nil {
		return nil, err
	}
	session, err := m.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return nil, err
	}
	if err := m.Login(session, pkcs11.CKU_USER, strings.TrimSpace(string(pin))); err != nil {
		return nil, err
	}
	err = m.FindObjectsInit(session, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, t.Key), pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY)})
	if err != nil {
		return nil, err
	}
	found, _, err := m.FindObjects(session, 1)
	if err = errors.Join(err, m.FindObjectsFinal(session)); err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("no key %q in the token", t.Key)
	}
	k := &tokenKey{cert.PublicKey, m, session, found[0], []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil)}}
	if _, ok := cert.PublicKey.(*ecdsa.PublicKey); ok {
		k.mechanism[0] = pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)
	}
	return k, nil
}

// slot finds the token. SoftHSM does not see one in whose folder another process is just writing.
func (t *token) slot(m *pkcs11.Ctx) (uint, error) {
	for try := range 20 {
		slots, err := m.GetSlotList(true)
		if err != nil {
			return 0, err
		}
		for _, slot := range slots {
			info, err := m.GetTokenInfo(slot)
			if err != nil {
				return 0, err
			}
			if info.Label == t.Label {
				return slot, nil
			}
		}
		time.Sleep(time.Duration(try) * 10 * time.Millisecond)
		if err := errors.Join(m.Finalize(), m.Initialize()); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("no token %q", t.Label)
}

func (k *tokenKey) Public() crypto.PublicKey { return k.public }

// sha256Prefix is the beginning of a DigestInfo (RFC 8017, Section 9.2).
var sha256Prefix = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

func (k *tokenKey) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	if o.HashFunc() != crypto.SHA256 {
		return nil, errors.New("SHA-256 alone")
	}
	if err := k.module.SignInit(k.session, k.mechanism, k.handle); err != nil {
		return nil, err
	}
	if k.mechanism[0].Mechanism == pkcs11.CKM_RSA_PKCS {
		return k.module.Sign(k.session, append(append([]byte{}, sha256Prefix...), digest...))
	}
	raw, err := k.module.Sign(k.session, digest)
	if err != nil {
		return nil, err
	}
	n := len(raw) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:n]), new(big.Int).SetBytes(raw[n:])})
}
