package hsm

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"
)

// conformanceRows lists the questions. Each stands alone, but for the first three.
func conformanceRows() []conformanceRow {
	rows := []conformanceRow{
		{"module loads and initialises", true, (*conformance).rowModule},
		{"token found by its label", true, (*conformance).rowToken},
		{"log-in (tried once)", true, (*conformance).rowLogin},
		{"mechanisms listed", false, (*conformance).rowMechanisms},
		{"AES-256 key generation", true, (*conformance).rowAES},
		{"KEK made as Mohor makes it", true, (*conformance).rowKEK},
		{"KEK cannot be read or wrapped", true, kekAttack(func(a *attack, kek pkcs11.ObjectHandle) {
			a.unreadable(kek, probeKEK, pkcs11.CKA_VALUE)
			a.unwrappable(kek, probeKEK)
		})},
		{"KEK cannot be changed or copied", true, kekAttack(func(a *attack, kek pkcs11.ObjectHandle) { a.guarded(kekSpec(probeKEK), kek) })},
		{"KEK cannot decrypt, encrypt, sign or derive", true, kekAttack(func(a *attack, kek pkcs11.ObjectHandle) { a.unusable(probeKEK, kek) })},
		{"key wrap 0x210B (CKM_AES_KEY_WRAP_KWP)", false, wrapRow(ckmAESKeyWrapKWP)},
		{"key wrap 0x210A (CKM_AES_KEY_WRAP_PAD)", false, wrapRow(pkcs11.CKM_AES_KEY_WRAP_PAD)},
		{"HMAC-SHA-256 with a guarded token key", true, (*conformance).rowHMAC},
	}
	for _, a := range []Algorithm{RSA2048, RSA3072, RSA4096, ECDSAP256, ECDSAP384} {
		needed := a != RSA4096 && a != ECDSAP384
		rows = append(rows, conformanceRow{string(a) + " pair and signature", needed, signatureRow(a)})
	}
	rows = append(rows,
		conformanceRow{"RSASSA-PSS signature", true, (*conformance).rowPSS},
		conformanceRow{"RSA-2048 wrap, unwrap, sign, destroy", true, custodyRow(RSA2048)},
		conformanceRow{"ECDSA-P256 wrap, unwrap, sign, destroy", true, custodyRow(ECDSAP256)},
		conformanceRow{"CKA_UNWRAP_TEMPLATE honoured", true, wrappedAttack((*attack).template)},
		conformanceRow{"altered wrapped keys detected", true, wrappedAttack((*attack).altered)},
		conformanceRow{"unwrapped key stays inside", true, wrappedAttack((*attack).unwrapped)},
		conformanceRow{"session object used by other sessions, in parallel", true, (*conformance).rowParallel},
		conformanceRow{"session object ends with its session", true, (*conformance).rowSessionEnd},
		conformanceRow{"destroyed key is refused", true, (*conformance).rowDestroyed},
		conformanceRow{"guarded token pair, found by a new session", true, (*conformance).rowPair},
		conformanceRow{"Finalize, Initialize, log-in: token keys go on", true, (*conformance).rowAgain},
		conformanceRow{"own objects can be removed", true, (*conformance).rowClean},
	)
	return rows
}

func (c *conformance) rowModule(*session) (string, error) {
	if c.p11 = pkcs11.New(c.probe.Module); c.p11 == nil {
		return "", fmt.Errorf("%w at %q: not loadable as PKCS#11", ErrNoModule, c.probe.Module)
	}
	if err := c.initialize(); err != nil {
		return "", fmt.Errorf("initialising module: %w", err)
	}
	info, err := c.p11.GetInfo()
	if err != nil {
		return "", fmt.Errorf("asking for its information: %w", err)
	}
	return fmt.Sprintf("%s %s, library %d.%d, Cryptoki %d.%d", trimmed(info.ManufacturerID), trimmed(info.LibraryDescription),
		info.LibraryVersion.Major, info.LibraryVersion.Minor, info.CryptokiVersion.Major, info.CryptokiVersion.Minor), nil
}

func (c *conformance) rowToken(*session) (detail string, err error) {
	if c.slot, c.token, err = findToken(c.p11, c.probe.TokenLabel); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s, serial %q, slot %d", trimmed(c.token.ManufacturerID), trimmed(c.token.Model), trimmed(c.token.SerialNumber), c.slot), nil
}

// trimmed drops the padding (PKCS#11 v2.40, Section 3.1: blanks; some modules: zeros) and whatever
// a terminal might obey.
func trimmed(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s))
}

func (c *conformance) rowLogin(*session) (string, error) {
	return "", c.enter()
}

// rowMechanisms compares with C_GetMechanismList, which says less than the rows that try them.
func (c *conformance) rowMechanisms(*session) (string, error) {
	list, err := c.p11.GetMechanismList(c.slot)
	if err != nil {
		return "", fmt.Errorf("listing mechanisms: %w", err)
	}
	has := map[uint]bool{}
	for _, m := range list {
		has[m.Mechanism] = true
	}
	var absent []string
	for _, m := range []struct {
		id   uint
		name string
	}{
		{pkcs11.CKM_AES_KEY_GEN, "AES_KEY_GEN"}, {pkcs11.CKM_GENERIC_SECRET_KEY_GEN, "GENERIC_SECRET_KEY_GEN"}, {pkcs11.CKM_SHA256_HMAC, "SHA256_HMAC"},
		{pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, "RSA_PKCS_KEY_PAIR_GEN"}, {pkcs11.CKM_RSA_PKCS, "RSA_PKCS"}, {pkcs11.CKM_RSA_PKCS_PSS, "RSA_PKCS_PSS"},
		{pkcs11.CKM_EC_KEY_PAIR_GEN, "EC_KEY_PAIR_GEN"}, {pkcs11.CKM_ECDSA, "ECDSA"},
		{ckmAESKeyWrapKWP, "AES_KEY_WRAP_KWP (0x210B)"}, {pkcs11.CKM_AES_KEY_WRAP_PAD, "AES_KEY_WRAP_PAD (0x210A)"},
	} {
		if !has[m.id] {
			absent = append(absent, m.name)
		}
	}
	detail := fmt.Sprintf("%d mechanisms", len(list))
	if len(absent) > 0 {
		detail += ", not among them " + strings.Join(absent, ", ")
	}
	return detail, nil
}

func (c *conformance) rowAES(s *session) (string, error) {
	h, err := c.p11.GenerateKey(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32), no(pkcs11.CKA_TOKEN), yes(pkcs11.CKA_WRAP), yes(pkcs11.CKA_UNWRAP),
		yes(pkcs11.CKA_SENSITIVE), no(pkcs11.CKA_EXTRACTABLE),
	})
	if err != nil {
		return "", fmt.Errorf("generating key: %w", err)
	}
	return "", c.p11.DestroyObject(s.handle, h)
}

func (c *conformance) rowKEK(s *session) (string, error) {
	spec := kekSpec(probeKEK)
	if err := s.makeSecret(spec); err != nil {
		var names []string
		for _, a := range c.without {
			names = append(names, attributeName(a))
		}
		if len(names) > 0 {
			return "", fmt.Errorf("generating key: %w; what follows was tried without %s", err, strings.Join(names, " and "))
		}
		return "", fmt.Errorf("generating key: %w", err)
	}
	_, err := s.findSecret(spec)
	if errors.Is(err, ErrKeyPolicy) {
		return "", fmt.Errorf("%w: %w", ErrUnsafeModule, err)
	}
	return "", err
}

// fit finds out which attributes the module refuses in a KEK, so that all rows have something to
// say about a module that cannot make one as Mohor does.
func (c *conformance) fit() {
	c.fitted = true
	template, copyable, modifiable := uint(pkcs11.CKA_UNWRAP_TEMPLATE), uint(pkcs11.CKA_COPYABLE), uint(pkcs11.CKA_MODIFIABLE)
	for _, c.without = range [][]uint{
		nil, {template}, {copyable}, {modifiable}, {template, copyable}, {template, modifiable}, {copyable, modifiable}, {template, copyable, modifiable},
	} {
		s, err := c.session()
		if err != nil {
			return
		}
		_, err = c.kek(s)
		_ = c.p11.CloseSession(s.handle)
		c.clean()
		if err == nil {
			return
		}
	}
}

// kek makes a KEK as Mohor does, or as near to it as the module allows.
func (c *conformance) kek(s *session) (kek pkcs11.ObjectHandle, err error) {
	if err := s.makeSecret(c.fitting(kekSpec(probeKEK))); err != nil {
		return 0, fmt.Errorf("generating a KEK: %w", err)
	}
	found, err := s.find(pkcs11.CKO_SECRET_KEY, probeKEK)
	if err != nil {
		return 0, err
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("finding the key just made: there are %d", len(found))
	}
	return found[0], nil
}

func (c *conformance) fitting(spec keySpec) keySpec {
	for _, a := range c.without {
		delete(spec.flags, a)
	}
	spec.unwrap = spec.unwrap && !slices.Contains(c.without, pkcs11.CKA_UNWRAP_TEMPLATE)
	return spec
}

// kekAttack attacks a KEK.
func kekAttack(f func(*attack, pkcs11.ObjectHandle)) func(*conformance, *session) (string, error) {
	return func(c *conformance, s *session) (string, error) {
		kek, err := c.kek(s)
		if err != nil {
			return "", err
		}
		a := &attack{s: s}
		f(a, kek)
		return "", a.verdict()
	}
}

// wrappedAttack attacks what a KEK wraps: a P-256 and an RSA key, as far as the module has them.
func wrappedAttack(f func(*attack, pkcs11.ObjectHandle, wrapped)) func(*conformance, *session) (string, error) {
	return func(c *conformance, s *session) (detail string, err error) {
		kek, err := c.kek(s)
		if err != nil {
			return "", err
		}
		var errs []error
		proved := false
		for _, alg := range []Algorithm{ECDSAP256, RSA2048} {
			w, _, how, err := c.wrapped(s, kek, alg)
			if err == nil {
				a := &attack{s: s}
				f(a, kek, w)
				err = a.verdict()
				proved = proved || err == nil
			}
			if errors.Is(err, ErrUnsafeModule) {
				return sentence(how, string(alg)), err
			}
			errs = append(errs, err)
		}
		if proved { // the other kind of key is missing, as a row of its own says
			return "", nil
		}
		return "", errors.Join(errs...)
	}
}

// extractablePair makes a pair as officers' are made, to be wrapped.
func (c *conformance) extractablePair(s *session, alg Algorithm) (pub, key pkcs11.ObjectHandle, err error) {
	mechanism, public, private := officerPair(alg)
	pub, key, err = c.p11.GenerateKeyPair(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, public, known(private, c.without))
	if err != nil {
		return 0, 0, fmt.Errorf("generating %s pair: %w", alg, err)
	}
	return pub, key, nil
}

// wrapped makes a pair and wraps it: by RFC 5649, or by CBC where the module knows nothing better.
func (c *conformance) wrapped(s *session, kek pkcs11.ObjectHandle, alg Algorithm) (w wrapped, pub crypto.PublicKey, detail string, err error) {
	pubHandle, key, err := c.extractablePair(s, alg)
	if err != nil {
		return w, nil, "", err
	}
	defer s.destroy(pubHandle)
	defer s.destroy(key)
	if pub, err = s.publicKey(alg, pubHandle); err != nil {
		return w, nil, "", err
	}
	w = wrapped{kek: probeKEK, algorithm: alg, without: c.without}
	w.blob, w.mechanism, err = s.wrap(kek, key)
	if err == nil {
		return w, pub, "", nil
	}
	w.mechanism, w.parameter = pkcs11.CKM_AES_CBC_PAD, make([]byte, 16)
	blob, cbcErr := c.p11.WrapKey(s.handle, []*pkcs11.Mechanism{w.by()}, kek, key)
	if cbcErr != nil {
		return w, nil, "", err
	}
	w.blob = blob
	return w, pub, "tried with CKM_AES_CBC_PAD", nil
}

// The key wrap of 20 octets in RFC 5649, Section 6.
const (
	vectorKEK     = "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"
	vectorKey     = "c37b7e6492584340bed12207808941155068f738"
	vectorWrapped = "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"
)

// wrapRow wraps a private key, and the key of the standard's example if the module lets keys in.
func wrapRow(mechanism uint) func(*conformance, *session) (string, error) {
	return func(c *conformance, s *session) (string, error) {
		by := []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}
		kek, err := c.kek(s)
		if err != nil {
			return "", err
		}
		pub, key, err := c.extractablePair(s, ECDSAP256)
		if err != nil {
			pub, key, err = c.extractablePair(s, RSA2048)
		}
		if err != nil {
			return "", err
		}
		defer s.destroy(pub)
		defer s.destroy(key)
		if _, err := c.p11.WrapKey(s.handle, by, kek, key); err != nil {
			return "", fmt.Errorf("wrapping: %w", err)
		}
		blob, err := c.vector(s, by)
		switch want, _ := hex.DecodeString(vectorWrapped); {
		case err != nil:
			return "the example of RFC 5649 could not be tried: " + explain(err), nil
		case !bytes.Equal(blob, want):
			return "wraps the example of RFC 5649 otherwise: wrapped keys are for modules of this kind alone", nil
		}
		return "as in the example of RFC 5649", nil
	}
}

func (c *conformance) vector(s *session, by []*pkcs11.Mechanism) ([]byte, error) {
	object := func(keyType uint, value string, more ...*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
		raw, err := hex.DecodeString(value)
		if err != nil {
			return 0, err
		}
		return c.p11.CreateObject(s.handle, append(more, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
			pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, keyType), pkcs11.NewAttribute(pkcs11.CKA_VALUE, raw), no(pkcs11.CKA_TOKEN)))
	}
	kek, err := object(pkcs11.CKK_AES, vectorKEK, yes(pkcs11.CKA_WRAP))
	if err != nil {
		return nil, fmt.Errorf("importing its KEK: %w", err)
	}
	defer s.destroy(kek)
	key, err := object(pkcs11.CKK_GENERIC_SECRET, vectorKey, yes(pkcs11.CKA_EXTRACTABLE))
	if err != nil {
		return nil, fmt.Errorf("importing its key: %w", err)
	}
	defer s.destroy(key)
	return c.p11.WrapKey(s.handle, by, kek, key)
}

func (c *conformance) rowHMAC(s *session) (string, error) {
	spec := macSpec(checkHMAC)
	if err := s.makeSecret(spec); err != nil {
		return "", fmt.Errorf("generating key: %w", err)
	}
	h, err := s.findSecret(spec)
	if errors.Is(err, ErrKeyPolicy) {
		return "", fmt.Errorf("%w: %w", ErrUnsafeModule, err)
	}
	if err != nil {
		return "", err
	}
	var sums [3][]byte
	for i, data := range []string{"one", "one", "other"} {
		if sums[i], err = s.raw(h, signing{mechanism: pkcs11.NewMechanism(pkcs11.CKM_SHA256_HMAC, nil), input: []byte(data)}); err != nil {
			return "", err
		}
	}
	if len(sums[0]) != 32 || !bytes.Equal(sums[0], sums[1]) || bytes.Equal(sums[0], sums[2]) {
		return "", errors.New("what it makes is no HMAC-SHA-256")
	}
	a := &attack{s: s}
	a.key(spec, h)
	return "", a.verdict()
}

func (c *conformance) rowPair(s *session) (string, error) {
	made := 0
	var err error
	for _, alg := range []Algorithm{ECDSAP256, RSA2048} {
		if err = c.pair(s, alg); err == nil {
			made++
		}
		if errors.Is(err, ErrUnsafeModule) {
			return string(alg), err
		}
		c.clean()
	}
	if made == 0 {
		return "", err
	}
	return "", nil
}

// pair makes a pair as service keys are, looks at it with a new session, signs and attacks.
func (c *conformance) pair(s *session, alg Algorithm) error {
	var id [16]byte
	_, _ = rand.Read(id[:]) // crypto/rand never fails (it ends the process)
	mechanism, public := alg.pairGen()
	private := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, checkPair), pkcs11.NewAttribute(pkcs11.CKA_ID, id[:])}
	public = append(public, private...)
	for flag, on := range publicFlags() {
		public = append(public, pkcs11.NewAttribute(flag, on))
	}
	for flag, on := range privateFlags() {
		private = append(private, pkcs11.NewAttribute(flag, on))
	}
	if _, _, err := c.p11.GenerateKeyPair(s.handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, public, private); err != nil {
		return fmt.Errorf("generating pair: %w", err)
	}
	if err := c.p11.CloseSession(s.handle); err != nil {
		return fmt.Errorf("closing session: %w", err)
	}
	fresh, err := c.session()
	if err != nil {
		return err
	}
	*s = *fresh
	keys, err := s.find(pkcs11.CKO_PRIVATE_KEY, checkPair)
	if err != nil {
		return err
	}
	pubs, err := s.find(pkcs11.CKO_PUBLIC_KEY, checkPair)
	if err != nil {
		return err
	}
	if len(keys) != 1 || len(pubs) != 1 {
		return fmt.Errorf("finding the pair: %d private and %d public keys", len(keys), len(pubs))
	}
	if err := s.checkFlags(keys[0], checkPair, privateFlags()); errors.Is(err, ErrKeyPolicy) {
		return unsafely("%w", err)
	} else if err != nil {
		return err
	}
	pub, err := s.publicKey(alg, pubs[0])
	if err != nil {
		return err
	}
	if err := signOnce(s, keys[0], pub, crypto.SHA256); err != nil {
		return err
	}
	a := &attack{s: s}
	for _, part := range alg.privateParts() {
		a.unreadable(keys[0], checkPair, part)
	}
	a.unwrappable(keys[0], checkPair)
	a.unchangeable(keys[0], checkPair, []*pkcs11.Attribute{
		yes(pkcs11.CKA_EXTRACTABLE), no(pkcs11.CKA_SENSITIVE), yes(pkcs11.CKA_DECRYPT), yes(pkcs11.CKA_MODIFIABLE), yes(pkcs11.CKA_COPYABLE),
	})
	return a.verdict()
}

func signOnce(s *session, key pkcs11.ObjectHandle, pub crypto.PublicKey, opts crypto.SignerOpts) error {
	digest := make([]byte, opts.HashFunc().Size())
	_, _ = rand.Read(digest)
	job, err := newSigning(pub, digest, opts)
	if err != nil {
		return err
	}
	_, err = s.sign(key, job)
	if errors.Is(err, ErrBadSignature) {
		return unsafely("%w", err)
	}
	return err
}

func (c *conformance) rowAgain(s *session) (string, error) {
	kek, err := c.kek(s)
	if err != nil {
		return "", err
	}
	w, pub, _, err := c.wrapped(s, kek, ECDSAP256)
	if err != nil {
		w, pub, _, err = c.wrapped(s, kek, RSA2048)
	}
	if err != nil {
		return "", err
	}
	c.login = 0
	if err := c.p11.Finalize(); err != nil {
		return "", fmt.Errorf("finalizing: %w", err)
	}
	if err := c.initialize(); err != nil {
		return "", fmt.Errorf("initialising again: %w", err)
	}
	if c.slot, _, err = findToken(c.p11, c.probe.TokenLabel); err != nil {
		return "", err
	}
	if err := c.enter(); err != nil {
		return "", err
	}
	fresh, err := c.session()
	if err != nil {
		return "", err
	}
	*s = *fresh
	found, err := s.find(pkcs11.CKO_SECRET_KEY, probeKEK)
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("finding the KEK again: there are %d", len(found))
	}
	key, err := s.unwrap(found[0], w)
	if err != nil {
		return "", err
	}
	defer s.destroy(key)
	return "", signOnce(s, key, pub, crypto.SHA256)
}

// rowClean makes one of each and counts what is left.
func (c *conformance) rowClean(s *session) (string, error) {
	if _, err := c.kek(s); err != nil {
		return "", err
	}
	c.clean()
	left, err := s.find(pkcs11.CKO_SECRET_KEY, probeKEK)
	if err != nil {
		return "", err
	}
	if len(left) > 0 {
		return "", fmt.Errorf("%d keys labelled %q cannot be destroyed", len(left), probeKEK)
	}
	return "", nil
}

func sessionsAtOnce() int { return max(8, 2*runtime.NumCPU()) }
