package hsm_test

import (
	"crypto"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/hsm"
)

// TestModuleRecovers loses the module in the ways an outsider can cause, below a key that is open.
func TestModuleRecovers(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, a attacker) error{
		"finalized":  func(t *testing.T, a attacker) error { return a.p11.Finalize() },
		"logged out": func(t *testing.T, a attacker) error { return a.p11.Logout(a.s) },
		"sessions lost": func(t *testing.T, a attacker) error {
			if a.closeOthers(t) == 0 {
				return errors.New("no session was closed")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := open(t)
			if err := m.SelfTest(t.Context(), firstKEK); err != nil {
				t.Fatal(err)
			}
			signer, err := m.Signer(makeSigner(t))
			if err != nil {
				t.Fatal(err)
			}
			s, pub := generate(t, m, hsm.ECDSAP256)
			k := unseal(t, m, hsm.ECDSAP256, s, pub)
			if err := lose(t, newAttacker(t)); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error {
				_, err := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256)
				if err != nil && !errors.Is(err, hsm.ErrUnavailable) {
					t.Fatalf("Sign: %v", err)
				}
				return err
			})
			eventually(t, func() error {
				_, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256)
				if err != nil && !errors.Is(err, hsm.ErrUnavailable) {
					t.Fatalf("service key: %v", err)
				}
				return err
			})
			mustSign(t, k)
			if err := m.Canary(t.Context(), firstKEK); err != nil {
				t.Error(err)
			}
			if err := k.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRecyclingIsNotNoticed: a module that is initialised again after every tenth key.
func TestRecyclingIsNotNoticed(t *testing.T) {
	m := open(t, func(c *hsm.Config) { c.RecycleAfter = 10 })
	s, pub := generate(t, m, hsm.ECDSAP256)
	held := unseal(t, m, hsm.ECDSAP256, s, pub)
	for range 45 {
		k := unseal(t, m, hsm.ECDSAP256, s, pub)
		mustSign(t, k)
		mustSign(t, held)
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if g := m.Generation(); g < 4 {
		t.Errorf("generation %d after 45 keys", g)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
}

// TestCanariesAreRecycledToo: trial signatures are made for as long as a gateway idles.
func TestCanariesAreRecycledToo(t *testing.T) {
	m := open(t, func(c *hsm.Config) { c.RecycleAfter = 5 })
	for range 30 {
		if err := m.Canary(t.Context(), firstKEK); err != nil {
			t.Fatal(err)
		}
	}
	if g := m.Generation(); g < 4 {
		t.Errorf("generation %d after 30 canaries", g)
	}
}

// TestInteractiveSessionsAreReserved: bulk work that takes all it can get leaves a session to
// others, and waits for its own in vain no longer than it may.
func TestInteractiveSessionsAreReserved(t *testing.T) {
	m := open(t, func(c *hsm.Config) { c.Sessions, c.Interactive, c.AcquireTimeout = 2, 1, 50*time.Millisecond })
	s, pub := generate(t, m, hsm.ECDSAP256)
	bulk := soon()
	bulk.Bulk = true
	k, err := m.Unseal(t.Context(), binding(hsm.ECDSAP256), s, pub, pin(officerPIN), bulk)
	if err != nil {
		t.Fatal(err)
	}
	release := hsm.HoldBulk(t, m)
	if _, err := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256); !errors.Is(err, hsm.ErrBusy) {
		t.Errorf("bulk work beside bulk work: %v", err)
	}
	if _, err := m.MAC(t.Context(), hsm.CodeKey, nil); err != nil {
		t.Errorf("interactive work beside bulk work: %v", err)
	}
	release()
	mustSign(t, k)
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

func TestKeysCloseThemselves(t *testing.T) {
	m := open(t)
	s, pub := generate(t, m, hsm.ECDSAP256)
	for _, until := range []time.Time{{}, time.Now().Add(-time.Second), time.Now().Add(25 * time.Hour)} {
		if _, err := m.Unseal(t.Context(), binding(hsm.ECDSAP256), s, pub, pin(officerPIN), hsm.Use{Until: until}); !errors.Is(err, hsm.ErrInput) {
			t.Errorf("until %v: %v", until, err)
		}
	}
	a := newAttacker(t)
	k, err := m.Unseal(t.Context(), binding(hsm.ECDSAP256), s, pub, pin(officerPIN), hsm.Use{Until: time.Now().Add(200 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if _, err := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256); !errors.Is(err, hsm.ErrClosed) {
			return errors.New("still open")
		}
		return nil
	})
	if n := a.sessionKeys(t); n != 0 {
		t.Errorf("%d keys left in the module", n)
	}
}

func TestActivation(t *testing.T) {
	m := open(t)
	s, pub := generate(t, m, hsm.ECDSAP256)
	_, otherPub := generate(t, m, hsm.ECDSAP256)
	_, p384 := generate(t, m, hsm.ECDSAP384)
	k := unseal(t, m, hsm.ECDSAP256, s, pub)
	until := time.Now().Add(time.Minute)
	u := hsm.Use{Until: until}
	ctx := []byte("intent 1")
	share, sealed, err := k.Activation(t.Context(), ctx, until)
	if err != nil {
		t.Fatal(err)
	}
	share2, sealed2, err := k.Activation(t.Context(), ctx, until)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Activation(t.Context(), ctx, until); !errors.Is(err, hsm.ErrClosed) {
		t.Errorf("of a closed key: %v", err)
	}
	again, err := m.Reopen(t.Context(), share, sealed, ctx, pub, u)
	if err != nil {
		t.Fatal(err)
	}
	mustSign(t, again)
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if _, err := m.Reopen(t.Context(), share2, sealed2, ctx, pub, u); err != nil {
		t.Errorf("second pair: %v", err)
	}
	later := hsm.Use{Until: until.Add(time.Second)}
	brief, err := m.Reopen(t.Context(), share, sealed, ctx, pub, u)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := brief.Activation(t.Context(), ctx, later.Until); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("an activation that outlasts its key: %v", err)
	}
	if err := brief.Close(); err != nil {
		t.Error(err)
	}
	for name, try := range map[string]func() (*hsm.Key, error){
		"other share":  func() (*hsm.Key, error) { return m.Reopen(t.Context(), share2, sealed, ctx, pub, u) },
		"other sealed": func() (*hsm.Key, error) { return m.Reopen(t.Context(), share, sealed2, ctx, pub, u) },
		"context":      func() (*hsm.Key, error) { return m.Reopen(t.Context(), share, sealed, []byte("intent 2"), pub, u) },
		"longer":       func() (*hsm.Key, error) { return m.Reopen(t.Context(), share, sealed, ctx, pub, later) },
		"cut":          func() (*hsm.Key, error) { return m.Reopen(t.Context(), share, sealed[:20], ctx, pub, u) },
	} {
		if _, err := try(); !errors.Is(err, hsm.ErrActivation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range sealed {
		sealed[i] ^= 1
		if _, err := m.Reopen(t.Context(), share, sealed, ctx, pub, u); !errors.Is(err, hsm.ErrActivation) {
			t.Fatalf("byte %d altered: %v", i, err)
		}
		sealed[i] ^= 1
	}
	if _, err := m.Reopen(t.Context(), share, sealed, ctx, p384, u); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("public key of another kind: %v", err)
	}
	wrong, err := m.Reopen(t.Context(), share, sealed, ctx, otherPub, u)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Sign(t.Context(), make([]byte, 32), crypto.SHA256); !errors.Is(err, hsm.ErrBadSignature) {
		t.Errorf("another's public key: %v", err)
	}
	if err := wrong.Close(); err != nil {
		t.Error(err)
	}
}

// TestServiceKeysDoNotNoticeRecycling: a signature with a service key that comes while the module is
// initialised again waits for that and no longer.
func TestServiceKeysDoNotNoticeRecycling(t *testing.T) {
	m := open(t, func(c *hsm.Config) { c.RecycleAfter = 3 })
	signer, err := m.Signer(makeSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	s, pub := generate(t, m, hsm.ECDSAP256)
	var signing sync.WaitGroup
	done := make(chan struct{})
	for range 8 {
		signing.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 60 {
		k := unseal(t, m, hsm.ECDSAP256, s, pub)
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}
	close(done)
	signing.Wait()
	if g := m.Generation(); g < 10 {
		t.Errorf("generation %d", g)
	}
}
