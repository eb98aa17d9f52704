package gateway

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
	"github.com/mohor-sign/mohor/web/public"
)

// sealKey is the label of the key that signs audit heads.
const sealKey = "audit-seal"

// hsmConfig prepares the way to the token. SOFTHSM2_CONF belongs to the
// process, so one process sees the tokens of one configuration.
func hsmConfig(c *Config) (hsm.Config, error) {
	module := c.Token.Module
	if module == "" {
		var err error
		if module, err = hsm.DefaultModule(); err != nil {
			return hsm.Config{}, err
		}
	}
	if c.Token.SoftHSMConf != "" {
		if err := os.Setenv("SOFTHSM2_CONF", c.Token.SoftHSMConf); err != nil {
			return hsm.Config{}, fmt.Errorf("setting SOFTHSM2_CONF: %w", err)
		}
	}
	pin, err := c.Token.pin()
	if err != nil {
		return hsm.Config{}, err
	}
	h := hsm.Config{Module: module, TokenLabel: c.Token.Label, PIN: pin, Sessions: c.Token.Sessions, Interactive: c.Token.Interactive}
	if c.Token.Services.Label != "" {
		h.Services.Label = c.Token.Services.Label
		if h.Services.PIN, err = readSecret(c.Token.Services.PINFile); err != nil {
			return hsm.Config{}, err
		}
	}
	return h, nil
}

func (c *Config) profile(sandbox bool) ca.Profile {
	p := ca.DefaultProfile()
	p.Organization, p.Sandbox, p.PublicURL, p.PolicyOID, p.Officer, p.CRLFor = c.CA.Organization, sandbox, c.PublicURL, c.CA.PolicyOID, c.CA.Officer, c.CA.CRL
	p.TSAPolicy, p.Accuracy = c.CA.TSAPolicy, c.CA.Time.Accuracy
	if len(c.CA.Issuers) > 0 {
		p.Issuers = c.CA.Issuers
	}
	p.EndEntities = make(map[string]ca.EndEntity)
	for name, e := range c.CA.Profiles {
		p.EndEntities[name] = ca.EndEntity(e)
	}
	return p
}

// caKeys gives the authorities their keys.
type caKeys struct{ m token }

func (k caKeys) Signer(_ context.Context, name string) (crypto.Signer, error) {
	s, err := k.m.Signer(name)
	if err != nil {
		return nil, fmt.Errorf("finding key %q: %w", name, keysError(err))
	}
	return s, nil
}

// macKey makes MACs with one key of the token.
type macKey struct {
	m   token
	key hsm.MACKey
}

func (k macKey) MAC(ctx context.Context, data []byte) ([]byte, error) {
	return k.m.MAC(ctx, k.key, data)
}

// officerKeys opens and makes officers' keys.
type officerKeys struct {
	m   token
	kek func(context.Context) (string, error) // asked for each new key: a rotation changes it
}

// Open implements signer.Keys.
func (k officerKeys) Open(ctx context.Context, c signer.Credential, pin secret.Text, u signer.KeyUse) (signer.Key, error) {
	var s hsm.SealedKey
	if err := s.UnmarshalText(c.Sealed); err != nil {
		return nil, fmt.Errorf("reading sealed key of %s: %w", c.ID, err)
	}
	key, err := k.m.Unseal(ctx, binding(c.Officer, c.ID, c.Algorithm, c.Version), s, c.Certificate.PublicKey, pin, hsm.Use{Bulk: u.Bulk, Until: sooner(u.Until, time.Now().Add(hsm.MaxUse))})
	if err != nil {
		return nil, keysError(err)
	}
	return openedKey{key}, nil
}

func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Reopen implements signer.Keys.
func (k officerKeys) Reopen(ctx context.Context, c signer.Credential, share secret.Text, sealed, context []byte, until time.Time) (signer.Key, error) {
	key, err := k.m.Reopen(ctx, share, sealed, context, c.Certificate.PublicKey, hsm.Use{Bulk: true, Until: until})
	if err != nil {
		return nil, keysError(err)
	}
	return openedKey{key}, nil
}

// Generate implements enrol.Keys.
func (k officerKeys) Generate(ctx context.Context, officer, credential, algorithm string, version uint32, subject []byte, pin secret.Text) (sealed, request []byte, err error) {
	kek, err := k.kek(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, r, err := k.m.Generate(ctx, kek, binding(officer, credential, algorithm, version), subject, pin)
	if err != nil {
		return nil, nil, keysError(err)
	}
	sealed, err = s.MarshalText()
	return sealed, r.Raw, err
}

func binding(officer, credential, algorithm string, version uint32) hsm.Binding {
	return hsm.Binding{Officer: officer, KeyID: credential, Algorithm: hsm.Algorithm(algorithm), Version: version}
}

type openedKey struct{ *hsm.Key }

// SignAll implements signer.Key.
func (k openedKey) SignAll(ctx context.Context, digests [][]byte, opts crypto.SignerOpts) ([][]byte, error) {
	sigs, err := k.Key.SignAll(ctx, digests, opts)
	return sigs, keysError(err)
}

// Split implements signer.Key.
func (k openedKey) Split(ctx context.Context, context []byte, until time.Time) (share secret.Text, sealed []byte, err error) {
	share, sealed, err = k.Activation(ctx, context, until)
	return share, sealed, keysError(err)
}

// keysError says what hsm said in the words of signer.
func keysError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, hsm.ErrWrongPIN):
		return signer.ErrPINWrong
	case errors.Is(err, hsm.ErrActivation):
		return signer.ErrActivation
	case errors.Is(err, hsm.ErrBusy):
		return fmt.Errorf("%w: %w", signer.ErrBusy, err)
	case errors.Is(err, hsm.ErrUnavailable), errors.Is(err, hsm.ErrClosed), errors.Is(err, hsm.ErrBadSignature):
		return fmt.Errorf("%w: %w", signer.ErrKeysUnavailable, err)
	}
	return err
}

// readSeal reads the audit-seal public key of a data folder.
func readSeal(dir string) (*ecdsa.PublicKey, error) {
	return readSealFile(filepath.Join(dir, SealFile))
}

func readSealFile(path string) (*ecdsa.PublicKey, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading audit-seal key: %w", err)
	}
	b, _ := pem.Decode(raw)
	if b == nil {
		return nil, fmt.Errorf("reading audit-seal key: %s is not PEM", path)
	}
	pub, err := x509.ParsePKIXPublicKey(b.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading audit-seal key: %w", err)
	}
	key, ok := pub.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("reading audit-seal key: it is not ECDSA")
	}
	return key, nil
}

// publicRecords answers the public page from the stored record: the signed
// file is verified anew each time, so a record never says more than its bytes.
type publicRecords struct {
	db     *store.DB
	blobs  signer.Blobs
	ca     *ca.Authorities
	others otherCA             // trusted beside ca
	tsas   []*x509.Certificate // trusted for time-stamps alone
	now    func() time.Time
	url    func(id string) string
}

// open finds a record and reads it with its secret; batch.ErrUnknown when there is none, or it is
// not that one's.
func (p *publicRecords) open(ctx context.Context, id, secret string) (batch.Item, error) {
	it, err := p.db.ItemByRecord(ctx, id)
	if errors.Is(err, batch.ErrUnknown) {
		_, _ = batch.OpenRecord(id, secret, nil) // takes as long as one that is there
	}
	if err != nil || it.Record.Sealed == nil {
		return it, err
	}
	it.Record.Candidate, err = batch.OpenRecord(id, secret, it.Record.Sealed)
	it.Record.Secret = secret
	return it, err
}

// ByNumber implements api.Certificates.
func (p *publicRecords) ByNumber(ctx context.Context, number string) ([]batch.Numbered, error) {
	return p.db.ByNumber(ctx, number)
}

// Signed implements api.Certificates: what is given out is VALID, and what the record says.
func (p *publicRecords) Signed(ctx context.Context, id, secret string) (signer.Blob, string, error) {
	it, err := p.open(ctx, id, secret)
	switch {
	case err != nil:
		return nil, "", err
	case it.Record.Sealed == nil: // whose address anybody may have
		return nil, "", batch.ErrUnknown
	case it.State != batch.ItemSigned:
		return nil, "", batch.ErrNotSigned
	}
	report, err := p.verify(ctx, it.SignedBlob)
	if err != nil {
		return nil, "", err
	}
	want, err := ecert.Commitment(it.Record.Candidate, p.url(id)+it.Record.Fragment())
	if err != nil {
		return nil, "", err
	}
	if report.Verdict != verify.Valid || !bytes.Equal(report.DocumentID, want[:]) {
		return nil, "", batch.ErrNotSigned
	}
	f, err := p.blobs.Open(ctx, it.SignedBlob)
	return f, it.Record.Candidate.Number, err
}

// CertificateRecord implements public.Records.
func (p *publicRecords) CertificateRecord(ctx context.Context, id, secret string) (public.Record, error) {
	it, err := p.open(ctx, id, secret)
	if errors.Is(err, batch.ErrUnknown) {
		return public.Record{}, public.ErrUnknown
	} else if err != nil {
		return public.Record{}, err
	}
	address := p.url(id)
	if it.Record.Sealed != nil {
		address += it.Record.Fragment()
	}
	c := it.Record.Candidate
	r := public.Record{ID: id, Number: c.Number, Status: "BELUM DITANDATANGANI", Programme: c.ProgrammeCode, Centre: c.CentreName, Batch: c.Batch,
		MonthYear: c.MonthYear(), NameMasked: notify.MaskName(c.Name)}
	if it.State != batch.ItemSigned {
		return r, nil
	}
	report, err := p.verify(ctx, it.SignedBlob)
	if err != nil {
		return public.Record{}, err
	}
	r.SignedAt, r.Verdict, r.Status = it.SignedAt, string(report.Verdict), "TIDAK SAH"
	if len(report.Signatures) == 1 {
		if cert, err := x509.ParseCertificate(report.Signatures[0].Certificate); err == nil {
			r.Signer = cert.Subject.CommonName
		}
	}
	// What is shown must be what was signed: the record's fields and this very
	// address, secret included, are committed to in the signed bytes.
	want, err := ecert.Commitment(c, address)
	if err != nil {
		return public.Record{}, err
	}
	switch {
	case report.Verdict == verify.Valid && !bytes.Equal(report.DocumentID, want[:]):
		r.Verdict = string(verify.Invalid)
	case report.Verdict == verify.Valid:
		r.Status = "SAH"
	case report.Verdict == verify.Indeterminate:
		r.Status = "TIDAK DAPAT DISAHKAN"
	}
	return r, nil
}

func (p *publicRecords) verify(ctx context.Context, blob string) (*verify.Report, error) {
	f, err := p.blobs.Open(ctx, blob)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	o, err := trust(ctx, p.ca, p.others, p.tsas, p.now())
	if err != nil {
		return nil, err
	}
	return verify.Verify(ctx, f, f.Size(), o)
}

// trust is our own roots, issuing CAs and current CRLs, the roots of another CA, and for
// time-stamps those of others' units.
func trust(ctx context.Context, a *ca.Authorities, others otherCA, tsas []*x509.Certificate, now time.Time) (verify.Options, error) {
	o := verify.Options{Roots: x509.NewCertPool(), Now: now, RequireRevocation: true, Fetch: a.Revocation}
	others.join(&o)
	for _, x := range a.Trusted() {
		o.Intermediates = append(o.Intermediates, a.Certificate(x.Name))
		if x.Parent == "" {
			o.Roots.AddCert(a.Certificate(x.Name))
		}
		c, err := a.PublishedCRL(ctx, x.Name)
		if err != nil {
			return o, err
		}
		list, err := x509.ParseRevocationList(c.DER)
		if err != nil {
			return o, fmt.Errorf("parsing the %s CRL: %w", x.Name, err)
		}
		o.CRLs = append(o.CRLs, list)
	}
	o.TSARoots = tsaRoots(o.Roots, tsas)
	return o, nil
}
