package hsm

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"
)

// What check values are made from. hmacCheck has another length than anything the HMAC keys are
// asked for in earnest: the pepper sees 32 bytes, the others longer texts with a purpose in front.
const (
	hmacCheck = "mohor key check value v1"
	kekCheck  = "mohor KEK check value, version 1" // 32 bytes: an AES key everybody knows
)

// NoCheck stands for the check value of a KEK in a module that imports no keys.
const NoCheck = "none"

// KeyInfo tells of a key in the token without telling the key.
type KeyInfo struct {
	Label string
	Kind  string // "KEK", "HMAC", or the [Algorithm] of a signing key
	Local bool   // CKA_LOCAL: made in the token, not imported
	// Check is the check value, 16 hexadecimal digits (8 bytes). It changes with the key, does
	// not reveal it, and can be computed from it in software:
	//
	//   - HMAC key: HMAC-SHA-256 of "mohor key check value v1", its first 8 bytes;
	//   - KEK, which can only wrap: SHA-256 of the RFC 5649 wrapping of the 32 bytes "mohor KEK
	//     check value, version 1", its first 8 bytes;
	//   - signing key: SHA-256 of the public key (SubjectPublicKeyInfo, DER), its first 8 bytes.
	//
	// A module that imports no keys, not even one that everybody knows, leaves a KEK with [NoCheck].
	Check string
	Fault string // why there is no check value; the key cannot be used then
}

// Keys gives every key of the token that has a label of ours (KEKs, HMAC keys, signing keys), in
// order of label, with its check value computed now. Another application's keys are passed over.
func (m *Module) Keys(ctx context.Context) ([]KeyInfo, error) {
	l, err := m.use()
	if err != nil {
		return nil, err
	}
	var keys []KeyInfo
	list := func(class uint, ours func(string) string) func(*session) error {
		return func(s *session) error {
			found, err := s.list(class, ours)
			keys = append(keys, found...)
			return err
		}
	}
	if err = l.pool.do(ctx, list(pkcs11.CKO_SECRET_KEY, secretKind)); err == nil {
		err = l.onServices(ctx, list(pkcs11.CKO_PRIVATE_KEY, signerKind))
	}
	if err != nil {
		return nil, fmt.Errorf("listing keys: %w", err)
	}
	slices.SortFunc(keys, func(a, b KeyInfo) int { return strings.Compare(a.Label, b.Label) })
	keys = slices.CompactFunc(keys, func(a, b KeyInfo) bool { return a.Label == b.Label }) // two of a label have a Fault
	for k := range keys {
		switch err := m.check(ctx, l, &keys[k]); {
		case err == nil:
		case ctx.Err() != nil, errors.Is(err, ErrBusy), errors.Is(err, ErrUnavailable), errors.Is(err, ErrClosed):
			return nil, fmt.Errorf("computing check value of %q: %w", keys[k].Label, err) // says nothing about the key
		default:
			keys[k].Fault = err.Error()
		}
	}
	return keys, nil
}

func secretKind(label string) string {
	switch {
	case kekLabel.MatchString(label):
		return "KEK"
	case slices.Contains([]MACKey{pepperKey, CodeKey, IntentKey, IdempotencyKey}, MACKey(label)):
		return "HMAC"
	}
	return ""
}

func signerKind(label string) string {
	if checkSignerLabel(label) != nil {
		return ""
	}
	return "signing"
}

// list gives the token's objects of a class that have a label of ours.
func (s *session) list(class uint, ours func(string) string) (keys []KeyInfo, err error) {
	if err := s.p11.FindObjectsInit(s.handle, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class), yes(pkcs11.CKA_TOKEN)}); err != nil {
		return nil, err
	}
	s.active = true
	var all []pkcs11.ObjectHandle
	for {
		found, _, err := s.p11.FindObjects(s.handle, 64)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			break
		}
		all = append(all, found...)
	}
	if err := s.p11.FindObjectsFinal(s.handle); err != nil {
		return nil, err
	}
	s.active = false
	for _, h := range all {
		label, err := s.p11.GetAttributeValue(s.handle, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, nil)})
		if err != nil {
			return nil, err
		}
		kind := ours(string(label[0].Value))
		if kind == "" {
			continue
		}
		local, err := s.p11.GetAttributeValue(s.handle, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LOCAL, nil)})
		if err != nil {
			return nil, err
		}
		keys = append(keys, KeyInfo{Label: string(label[0].Value), Kind: kind, Local: len(local[0].Value) == 1 && local[0].Value[0] != 0})
	}
	return keys, nil
}

// check computes a key's check value.
func (m *Module) check(ctx context.Context, l *link, k *KeyInfo) (err error) {
	var sum []byte
	switch k.Kind {
	case "KEK":
		sum, err = l.checkKEK(ctx, k.Label)
	case "HMAC":
		sum, err = m.mac(ctx, MACKey(k.Label), []byte(hmacCheck))
	default:
		sum, err = m.checkSigner(k)
	}
	if err == nil && sum == nil {
		k.Check = NoCheck
	} else if err == nil {
		k.Check = hex.EncodeToString(sum[:8])
	}
	return err
}

func (m *Module) checkSigner(k *KeyInfo) ([]byte, error) {
	signer, err := m.Signer(k.Label)
	if err != nil {
		return nil, err
	}
	pub := signer.Public()
	for _, a := range []Algorithm{RSA2048, RSA3072, RSA4096, ECDSAP256, ECDSAP384} {
		if a.matches(pub) {
			k.Kind = string(a)
		}
	}
	return publicSum(pub)
}

func publicSum(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("encoding public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

// checkKEK wraps the key that everybody knows, as a session object that may be read; nil when the
// module refuses to import it.
func (l *link) checkKEK(ctx context.Context, label string) (sum []byte, err error) {
	err = l.pool.do(ctx, func(s *session) error {
		return l.withSecret(s, kekSpec(label), func(kek pkcs11.ObjectHandle) error {
			known, err := s.p11.CreateObject(s.handle, []*pkcs11.Attribute{
				pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
				no(pkcs11.CKA_TOKEN), no(pkcs11.CKA_SENSITIVE), yes(pkcs11.CKA_EXTRACTABLE),
				pkcs11.NewAttribute(pkcs11.CKA_VALUE, []byte(kekCheck)),
			})
			switch classify(err) {
			case faultNone:
			case faultSession, faultModule, faultObject:
				return fmt.Errorf("importing the known key: %w", err)
			default:
				return nil
			}
			defer s.destroy(known)
			blob, _, err := s.wrap(kek, known)
			if err != nil {
				return err
			}
			digest := sha256.Sum256(blob)
			sum = digest[:]
			return nil
		})
	})
	return sum, err
}
