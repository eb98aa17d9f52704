package gateway

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/hsm"
)

// token looks at what can be seen from outside, then lets a part try the rest:
// the module may hang or crash.
func (d *doctor) token(ctx context.Context) {
	if why := d.unreadable(); why != "" {
		d.skipped("the token", why)
		return
	}
	t := &d.config.Token
	library := t.Module
	if library == "" {
		var err error
		if library, err = hsm.DefaultModule(); err != nil {
			d.fault(cause(err), "no key can be used", "apt install softhsm2, or name another library in token.module")
			d.skipped("PIN, keys and module", "there is no PKCS#11 library")
			return
		}
	}
	st, err := os.Stat(library)
	if err != nil || !st.Mode().IsRegular() {
		d.fault("there is no PKCS#11 library "+library, "no key can be used", "install the module, or correct token.module")
		d.skipped("PIN, keys and module", "there is no PKCS#11 library")
		return
	}
	if !d.softHSM() {
		d.skipped("PIN, keys and module", "the token's files cannot be read")
		return
	}
	if !d.pinSource() {
		d.skipped("PIN, keys and module", "the gateway could not read the token PIN either")
		return
	}
	d.tryToken(ctx)
}

// pinSource looks whether there is a PIN, without reading it.
func (d *doctor) pinSource() bool {
	t := &d.config.Token
	if t.checkPIN() != nil {
		return false // said with the configuration
	}
	source, fix := t.pinSource()
	const why = "the token cannot be opened"
	path, err := t.PINFile, error(nil)
	switch {
	case t.PINEnv != "":
		if os.Getenv(t.PINEnv) == "" {
			d.fault(source+" is not set here", why, fix+"; the doctor needs it as well")
			return false
		}
		return true
	case t.PINCredential != "":
		path, err = t.credentialPath()
	}
	if err == nil {
		var f *os.File
		if f, err = os.Open(path); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		d.fault(source+" cannot be read: "+cause(err), why, fix)
		return false
	}
	return t.PINFile == "" || d.closed(path)
}

// closed: the gateway refuses a PIN file that others can read, as was said with
// the folder's files if it lies there.
func (d *doctor) closed(path string) bool {
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm()&0o077 == 0 {
		return err == nil
	}
	if d.relative(path) == path {
		d.private(path, "whoever reads the token PIN can issue certificates", false)
	}
	return false
}

// tokenTask is what the part is told: where, and what the signing keys must be.
type tokenTask struct {
	Dir  string            `json:"dir"`
	KEK  string            `json:"kek"`  // that wraps new keys
	Keys map[string][]byte `json:"keys"` // label -> PKIX public key; nil when unknown
}

// tokenLine is what the part says: what it begins, or what it found.
type tokenLine struct {
	Begin   string   `json:"begin,omitempty"`
	Finding *Finding `json:"finding,omitempty"`
	Sealer  []byte   `json:"sealer,omitempty"` // as unlock asks for it; the pipe is our own
}

func (d *doctor) tryToken(ctx context.Context) {
	kek := "mohor-kek-1" // where the database does not say
	if d.db != nil {
		if label, err := d.db.CurrentKEK(ctx); err == nil {
			kek = label
		}
	}
	task := tokenTask{Dir: d.Dir, KEK: kek, Keys: map[string][]byte{ca.Root: nil, ca.Issuing: nil, sealKey: nil}}
	for name, cert := range d.authority {
		task.Keys[name] = cert.RawSubjectPublicKeyInfo
	}
	if pub, err := readSeal(d.Dir); err == nil {
		task.Keys[sealKey], _ = x509.MarshalPKIXPublicKey(pub)
	}
	input, err := json.Marshal(task)
	if err != nil {
		d.skipped("PIN, keys and module", err.Error())
		return
	}
	doing := "starting"
	err = runPart(ctx, d.Part, input, d.Patience, func(b []byte) error {
		var l tokenLine
		if err := json.Unmarshal(b, &l); err != nil {
			return fmt.Errorf("reading the part's answer: %w", err)
		}
		if l.Sealer != nil {
			d.sealer = l.Sealer
		} else if l.Finding != nil {
			d.say(l.Finding.Level, l.Finding.What, l.Finding.Why, l.Finding.Fix)
		} else {
			doing = l.Begin
		}
		return nil
	})
	const fix = "look into the module's own log and at the HSM's network; mohor hsm check --module … finds the call that does it"
	switch {
	case errors.Is(err, errHung):
		d.fault(fmt.Sprintf("the module hangs when %s (%v)", doing, err), "no signature would ever come back", fix)
	case err != nil && ctx.Err() == nil:
		d.fault(fmt.Sprintf("the module crashes when %s: %v", doing, err), "the gateway would end with it", fix)
	}
}

// DoctorPart is the part of Diagnose in which the module runs.
func DoctorPart(ctx context.Context, stdin io.Reader) error {
	out, err := openPart()
	if err != nil {
		return err
	}
	defer out.Close()
	var task tokenTask
	if err := json.NewDecoder(stdin).Decode(&task); err != nil {
		return fmt.Errorf("reading the task: %w", err)
	}
	raw, err := os.ReadFile(task.Dir + "/" + ConfigFile)
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	c, err := decodeConfig(raw, false)
	if err != nil {
		return err
	}
	c.resolve(task.Dir)
	p := &tokenPart{doctor: doctor{DoctorOptions: DoctorOptions{Dir: task.Dir}, config: c}, task: task, to: json.NewEncoder(out)}
	p.Report = func(f Finding) { p.failed = errors.Join(p.failed, p.to.Encode(tokenLine{Finding: &f})) }
	p.run(ctx)
	return p.failed
}

// tokenPart is the doctor in the other process.
type tokenPart struct {
	doctor
	task   tokenTask
	to     *json.Encoder
	failed error
}

func (p *tokenPart) begin(what string) {
	p.failed = errors.Join(p.failed, p.to.Encode(tokenLine{Begin: what}))
}

func (p *tokenPart) run(ctx context.Context) {
	m := p.open(ctx)
	if m == nil {
		p.skipped("keys and module", "the token cannot be opened")
		return
	}
	defer m.Close()
	secrets := p.secretKeys(ctx, m)
	if secrets {
		sealer, err := m.MAC(ctx, hsm.IntentKey, []byte(personalUse))
		if err == nil {
			err = p.to.Encode(tokenLine{Sealer: sealer})
		}
		p.failed = errors.Join(p.failed, err)
	}
	p.signingKeys(m)
	if !secrets {
		p.skipped("how the module guards keys", "there are no keys to try it on")
		return
	}
	p.begin("being attacked")
	err := m.SelfTest(ctx, p.task.KEK)
	switch {
	case errors.Is(err, hsm.ErrUnsafeModule):
		p.fault(err.Error(), "whoever is logged in could take officers' keys out", "do not use this module; mohor hsm check says what it lacks")
		return
	case err != nil:
		p.fault("the self-test cannot be run: "+err.Error(), "the gateway refuses to start", "look into the module's own log")
		return
	}
	p.ok("the module guards its keys (self-test)")
	p.begin("making a trial signature")
	if err := m.Canary(ctx, p.task.KEK); err != nil {
		p.fault("a trial signature fails: "+err.Error(), "so would every other", "look into the module's own log")
		return
	}
	p.ok("a trial key is opened, signs and verifies")
}

// open logs in: the one time that the PIN is tried.
func (p *tokenPart) open(ctx context.Context) *hsm.Module {
	t := &p.config.Token
	p.begin("loading the module and logging in")
	h, err := hsmConfig(&p.config)
	if err != nil {
		_, fix := t.pinSource()
		p.fault(cause(err), "the token cannot be opened", fix)
		return nil
	}
	defer h.PIN.Wipe()
	defer h.Services.PIN.Wipe()
	h.Sessions = 4 // beside those of a gateway
	m, err := hsm.Open(ctx, h)
	source, fix := t.pinSource()
	switch {
	case err == nil:
		p.ok("the module loads, token %q is there once and takes its PIN", t.Label)
		return m
	case errors.Is(err, hsm.ErrTokenPIN):
		p.fault("the token refuses the PIN of "+source+" (tried once)", "the gateway cannot start, and tokens lock after a few wrong ones", "put the right PIN there before anything tries again: "+fix)
	case errors.Is(err, hsm.ErrNoToken):
		p.fault(err.Error(), "the gateway does not know where the keys are", "correct token.label; softhsm2-util --show-slots or pkcs11-tool -L lists the tokens, two of one label are one too many; if it is lost, put it back from the backup")
	case errors.Is(err, hsm.ErrNoModule):
		p.fault(err.Error(), "no key can be used", "token.module must name a PKCS#11 library of this machine's architecture: ldd "+h.Module)
	default:
		p.fault("the token cannot be opened: "+err.Error(), "no key can be used", "look into the module's own log")
	}
	return nil
}

func (p *tokenPart) secretKeys(ctx context.Context, m *hsm.Module) (whole bool) {
	p.begin("looking for the gateway's keys")
	states, err := m.CheckKeys(ctx, p.task.KEK)
	if err != nil {
		p.fault("keys cannot be looked for: "+err.Error(), "the module does not answer", "look into the module's own log")
		return false
	}
	whole = true
	for _, k := range states {
		switch {
		case errors.Is(k.Err, hsm.ErrNoKey):
			p.fault(fmt.Sprintf("there is no key %q in the token", k.Label), "officers' keys cannot be opened without KEK and pepper, codes and intents not be made without the others",
				"is it the right token? put it back from its backup; only on a new installation: mohor init --data "+p.Dir)
		case k.Err != nil:
			p.fault(k.Err.Error(), "the key could be changed, copied or used otherwise", "find out who made or changed it; put the token back from its backup")
		}
		whole = whole && k.Err == nil
	}
	if whole {
		p.ok("%d secret keys are there, guarded as they must be", len(states))
	}
	return whole
}

func (p *tokenPart) signingKeys(m *hsm.Module) {
	p.begin("looking for signing keys")
	fits := 0
	labels := slices.Sorted(maps.Keys(p.task.Keys))
	for _, label := range labels {
		s, err := m.Signer(label)
		if err != nil {
			p.fault(fmt.Sprintf("signing key %q cannot be used: %v", label, err), "certificates, CRLs or audit heads cannot be signed", "is it the right token? put it back from its backup")
			continue
		}
		want := p.task.Keys[label]
		if want == nil {
			p.skipped(fmt.Sprintf("whether key %q fits its certificate", label), "the certificate cannot be read")
			continue
		}
		pub, err := x509.ParsePKIXPublicKey(want)
		if k, ok := s.Public().(interface{ Equal(crypto.PublicKey) bool }); err != nil || !ok || !k.Equal(pub) {
			p.fault(fmt.Sprintf("signing key %q is not the one of its certificate", label), "what it signs verifies nowhere; token and database are not of one installation", "put token and database back from the same backup")
			continue
		}
		fits++
	}
	if fits == len(labels) {
		p.ok("signing keys of CAs, their units and audit seal fit what was published")
	}
}
