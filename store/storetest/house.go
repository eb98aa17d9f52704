package storetest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store"
)

// What every House has registered.
const (
	System = "IGFMAS"
	IC     = "900101145678"
	PIN    = "kuda-biru-77"
)

// Clock is a time that a test moves; it stands still between moves.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// MAC is HMAC-SHA-256 under a key in memory; it implements otp.MAC and
// signer.MAC.
type MAC []byte

// MAC implements otp.MAC and signer.MAC.
func (m MAC) MAC(_ context.Context, data []byte) ([]byte, error) {
	h := hmac.New(sha256.New, m)
	h.Write(data)
	return h.Sum(nil), nil
}

// Keys holds officers' and authorities' keys in memory, and counts their use.
// It implements signer.Keys, enrol.Keys and ca.Keys.
type Keys struct {
	// Opens counts checks of a PIN, Signs uses of an officer's key, Live keys
	// that were opened and not closed.
	Opens, Signs, Live atomic.Int64
	// OnOpen and OnSign, when set, are asked first; their error is the answer.
	OnOpen func(c signer.Credential) error
	OnSign func(c signer.Credential, digest []byte) error
	// OnAuthority, when set, is asked before an authority signs.
	OnAuthority func(name string) error

	mu sync.Mutex
	// Authorities are the keys by name; one that is not there is made, ECDSA P-256,
	// when it is first asked for.
	Authorities map[string]crypto.Signer
}

// seal is custody in software: the private key under AES-256-GCM by a key made
// of the PIN, bound to officer, credential, algorithm and version, as in hsm.
func seal(officer, credential, algorithm string, version uint32, pin secret.Text) (cipher.AEAD, []byte) {
	h := hmac.New(sha256.New, []byte("pepper"))
	h.Write(pin.Reveal())
	b, err := aes.NewCipher(h.Sum(nil))
	if err != nil {
		panic("storetest: impossible: " + err.Error()) // the key has 32 bytes
	}
	gcm, err := cipher.NewGCMWithRandomNonce(b)
	if err != nil {
		panic("storetest: impossible: " + err.Error())
	}
	return gcm, fmt.Appendf(nil, "%q %q %q %d", officer, credential, algorithm, version)
}

// Generate implements enrol.Keys for "ECDSA-P256", "ECDSA-P384" and
// "RSA-2048".
func (k *Keys) Generate(_ context.Context, officer, credential, algorithm string, version uint32, subject []byte, pin secret.Text) (sealed, request []byte, err error) {
	var key crypto.Signer
	switch algorithm {
	case "ECDSA-P256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ECDSA-P384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "RSA-2048":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("no such algorithm: %q", algorithm)
	}
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	if request, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: subject}, key); err != nil {
		return nil, nil, err
	}
	gcm, binding := seal(officer, credential, algorithm, version, pin)
	return gcm.Seal(nil, nil, der, binding), request, nil
}

// Open implements signer.Keys.
func (k *Keys) Open(_ context.Context, c signer.Credential, pin secret.Text, _ signer.KeyUse) (signer.Key, error) {
	k.Opens.Add(1)
	if k.OnOpen != nil {
		if err := k.OnOpen(c); err != nil {
			return nil, err
		}
	}
	der, err := unseal(c, pin)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	k.Live.Add(1)
	return &openKey{keys: k, credential: c, key: key.(crypto.Signer)}, nil
}

func unseal(c signer.Credential, pin secret.Text) ([]byte, error) {
	gcm, binding := seal(c.Officer, c.ID, c.Algorithm, c.Version, pin)
	der, err := gcm.Open(nil, nil, c.Sealed, binding)
	if err != nil {
		return nil, signer.ErrPINWrong
	}
	return der, nil
}

// ChangePIN implements signer.Keys; it counts as an Open.
func (k *Keys) ChangePIN(_ context.Context, c signer.Credential, old, next secret.Text) (uint32, []byte, error) {
	k.Opens.Add(1)
	if k.OnOpen != nil {
		if err := k.OnOpen(c); err != nil {
			return 0, nil, err
		}
	}
	der, err := unseal(c, old)
	if err != nil {
		return 0, nil, err
	}
	gcm, binding := seal(c.Officer, c.ID, c.Algorithm, c.Version+1, next)
	return c.Version + 1, gcm.Seal(nil, nil, der, binding), nil
}

type openKey struct {
	keys       *Keys
	credential signer.Credential
	key        crypto.Signer
	closed     atomic.Bool
}

// SignAll implements signer.Key.
func (o *openKey) SignAll(_ context.Context, digests [][]byte, opts crypto.SignerOpts) ([][]byte, error) {
	var sigs [][]byte
	for _, digest := range digests {
		sig, err := o.sign(digest, opts)
		if err != nil {
			return sigs, err
		}
		sigs = append(sigs, sig)
	}
	return sigs, nil
}

func (o *openKey) sign(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if o.closed.Load() {
		return nil, errors.New("signing: the key is closed")
	}
	o.keys.Signs.Add(1)
	if o.keys.OnSign != nil {
		if err := o.keys.OnSign(o.credential, digest); err != nil {
			return nil, err
		}
	}
	return o.key.Sign(rand.Reader, digest, opts)
}

// Close implements signer.Key.
func (o *openKey) Close() error {
	if !o.closed.Swap(true) {
		o.keys.Live.Add(-1)
	}
	return nil
}

type authority struct {
	crypto.Signer
	ask func() error
}

func (a authority) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := a.ask(); err != nil {
		return nil, err
	}
	return a.Signer.Sign(r, digest, opts)
}

// Split implements signer.Key: the sealed half is the private key under
// AES-256-GCM.
func (o *openKey) Split(_ context.Context, context []byte, _ time.Time) (share secret.Text, sealed []byte, err error) {
	if o.closed.Load() {
		return share, nil, errors.New("splitting: the key is closed")
	}
	share = secret.NewBytes(make([]byte, 32))
	rand.Read(share.Reveal())
	aead, err := sealer(share)
	if err != nil {
		return share, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(o.key)
	if err != nil {
		return share, nil, err
	}
	return share, aead.Seal(nil, nil, der, context), nil
}

func sealer(share secret.Text) (cipher.AEAD, error) {
	b, err := aes.NewCipher(share.Reveal())
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(b)
}

// Reopen implements signer.Keys; it asks OnOpen and is not counted in Opens.
func (k *Keys) Reopen(_ context.Context, c signer.Credential, share secret.Text, sealed, context []byte, _ time.Time) (signer.Key, error) {
	if k.OnOpen != nil {
		if err := k.OnOpen(c); err != nil {
			return nil, err
		}
	}
	aead, err := sealer(share)
	if err != nil {
		return nil, signer.ErrActivation
	}
	der, err := aead.Open(nil, nil, sealed, context)
	if err != nil {
		return nil, signer.ErrActivation
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, signer.ErrActivation
	}
	k.Live.Add(1)
	return &openKey{keys: k, credential: c, key: key.(crypto.Signer)}, nil
}

// Signer implements ca.Keys; a key is made when it is first asked for.
func (k *Keys) Signer(_ context.Context, name string) (crypto.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.Authorities[name]
	if !ok {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, err
		}
		k.Authorities[name] = key
	}
	return authority{key, func() error {
		if k.OnAuthority == nil {
			return nil
		}
		return k.OnAuthority(name)
	}}, nil
}

// NewKeys makes an empty Keys.
func NewKeys() *Keys {
	return &Keys{Authorities: map[string]crypto.Signer{}}
}

// Mailbox is an otp.Sender that keeps the codes it is given.
type Mailbox struct {
	// Fail, when set, is the answer to every message.
	Fail error

	mu   sync.Mutex
	last otp.Message
	code string
	link string
	n    int
}

// SendCode implements otp.Sender.
func (m *Mailbox) SendCode(_ context.Context, msg otp.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last, m.code, m.link = msg, string(msg.Code.Reveal()), string(msg.Link.Reveal())
	if m.Fail != nil {
		return m.Fail
	}
	m.n++
	return nil
}

// Link returns the token of the newest message's link.
func (m *Mailbox) Link() secret.Text {
	m.mu.Lock()
	defer m.mu.Unlock()
	return secret.New(m.link)
}

// Code returns the newest code, Message the message around it, Sent how many
// were delivered.
func (m *Mailbox) Code() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.code
}

// Message returns the newest message.
func (m *Mailbox) Message() otp.Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// Sent returns how many messages were delivered.
func (m *Mailbox) Sent() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n
}

// House is an installation with software keys: two authorities, one app, one
// officer with an ECDSA P-256 credential for System under PIN.
type House struct {
	DB         *store.DB
	Clock      *Clock
	Keys       *Keys
	Mail       *Mailbox
	Codes      *otp.MemoryCodes
	CA         *ca.Authorities
	Registrar  *enrol.Registrar
	Apps       *enrol.Apps
	App        enrol.App
	Officer    enrol.Officer
	Credential enrol.Credential

	logins int // made by the suite
}

// Profile is the certificate profile of a House.
func Profile() ca.Profile {
	p := ca.DefaultProfile()
	p.PublicURL = "http://ca.example"
	return p
}

// NewHouse registers all of a House in db, which must be empty.
func NewHouse(t testing.TB, db *store.DB) *House {
	t.Helper()
	ctx := context.Background()
	h := &House{DB: db, Keys: NewKeys(), Mail: &Mailbox{}, Clock: &Clock{t: time.Date(2026, 7, 1, 1, 0, 0, 0, time.UTC)}}
	if _, err := ca.Bootstrap(ctx, Profile(), h.Keys, db, h.Clock.Now); err != nil {
		t.Fatal(err)
	}
	h.attach(t, db)
	var err error
	h.App, _, _, err = h.Apps.Register(ctx, "test", enrol.App{ID: "igfmas", Name: "iGFMAS", Systems: []string{System}, Grants: []string{enrol.GrantRAW}, PINEntry: enrol.PINInApp})
	if err != nil {
		t.Fatal(err)
	}
	h.Officer = enrol.Officer{IC: IC, Name: "NOR'AINI BINTI ALI", Email: "noraini@jpk.example"}
	if err := h.Registrar.AddOfficer(ctx, "test", h.Officer, System); err != nil {
		t.Fatal(err)
	}
	h.Credential = h.Issue(t, "ECDSA-P256")
	return h
}

func (h *House) attach(t testing.TB, db *store.DB) {
	t.Helper()
	db.Now = h.Clock.Now
	h.DB, h.Codes = db, otp.NewMemoryCodes(h.Clock.Now)
	var err error
	if h.CA, err = ca.Load(context.Background(), Profile(), h.Keys, db, h.Clock.Now); err != nil {
		t.Fatal(err)
	}
	h.Registrar = &enrol.Registrar{Records: db, Keys: h.Keys, CA: h.CA, PIN: enrol.DefaultPINPolicy(), Now: h.Clock.Now}
	h.Apps = &enrol.Apps{Records: db, Now: h.Clock.Now, TokenFor: time.Hour}
}

// Restart is the house after a crash, on db, which holds the same data: keys
// stay in their module, live codes are lost.
func (h *House) Restart(t testing.TB, db *store.DB) *House {
	t.Helper()
	n := *h
	n.attach(t, db)
	return &n
}

// Issue makes another credential for the officer.
func (h *House) Issue(t testing.TB, algorithm string) enrol.Credential {
	t.Helper()
	c, _, err := h.Registrar.IssueCredential(context.Background(), "test", h.Officer, System, algorithm, secret.New(PIN))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Records is what a signer needs of a database.
type Records interface {
	signer.Records
	otp.Records
}

// Signer makes a signer over records, the House's own database when nil. Limits
// on sending are lifted and the lifetimes are those of production.
func (h *House) Signer(records Records, blobs signer.Blobs) *signer.Signer {
	if records == nil {
		records = h.DB
	}
	p := otp.DefaultPolicy()
	p.PerHour, p.PerDay = 1<<20, 1<<20
	return &signer.Signer{
		Records: records, Keys: h.Keys, MAC: MAC("intent key"), Blobs: blobs, PIN: signer.DefaultPINPolicy(), Now: h.Clock.Now,
		Channels: func(string) []string { return []string{signer.Email} },
		CheckPIN: func(pin secret.Text, c *signer.Credential) error {
			return enrol.DefaultPINPolicy().Check(pin, enrol.Officer{IC: c.Officer, Name: c.OfficerName, Email: c.Email})
		},
		Codes:    &otp.Issuer{Records: records, Codes: h.Codes, MAC: MAC("code key"), Senders: map[string]otp.Sender{"email": h.Mail}, Policy: p},
		Lifetime: 30 * time.Minute, IntentBase: 10 * time.Minute, IntentPerDocument: 2 * time.Second,
	}
}

// Ask asks for the officer's signature on n bare digests.
func (h *House) Ask(n int) signer.Ask {
	a := signer.Ask{App: h.App.ID, SystemName: h.App.Name, Officer: IC, System: System, Options: signer.Options{Format: signer.RAW}, RequestID: "req-1"}
	for k := range n {
		sum := sha256.Sum256(fmt.Appendf(nil, "document %d", k))
		a.Documents = append(a.Documents, signer.Document{Index: uint32(k), Name: fmt.Sprintf("baucar-%d", k), Hash: crypto.SHA256, Digest: sum[:]})
	}
	return a
}

// Confirm is what the officer answers: PIN and the newest code.
func (h *House) Confirm(r *signer.Request, c *otp.Challenge) signer.Confirmation {
	return signer.Confirmation{App: r.App, Transaction: r.ID, Nonce: c.Nonce, PIN: secret.New(PIN), Code: secret.New(h.Mail.Code()), RequestID: "req-2"}
}

// Chain reads every audit record and verifies the chain.
func Chain(t testing.TB, db *store.DB) []audit.Record {
	t.Helper()
	var out []audit.Record
	v := audit.NewVerifier(nil)
	err := db.AuditRecords(context.Background(), 0, func(r audit.Record) error {
		out = append(out, r)
		return v.Add(r)
	})
	if err != nil {
		t.Fatalf("audit chain: %v", err)
	}
	seq, hash, err := v.Finish()
	if err != nil {
		t.Fatalf("audit chain: %v", err)
	}
	if n, head, err := db.AuditHead(context.Background()); err != nil || n != seq || head != hash {
		t.Fatalf("audit head is %d, the chain ends at %d: %v", n, seq, err)
	}
	return out
}

// PDF makes a small document with a page for each text.
func PDF(pages ...string) []byte {
	var b bytes.Buffer
	var at []int
	object := func(body string) {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(at), body)
	}
	b.WriteString("%PDF-1.7\n%\xE2\xE3\xCF\xD3\n")
	var kids strings.Builder
	for k := range pages {
		fmt.Fprintf(&kids, " %d 0 R", 4+2*k)
	}
	object("<</Type/Catalog/Pages 2 0 R>>")
	object(fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]>>", len(pages), kids.String()))
	object("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
	for k, text := range pages {
		content := fmt.Sprintf("BT /F0 24 Tf 72 720 Td (%s) Tj ET", text)
		object(fmt.Sprintf("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F0 3 0 R>>>>/Contents %d 0 R>>", 5+2*k))
		object(fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(content), content))
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, off := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", off)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, xref)
	return b.Bytes()
}
