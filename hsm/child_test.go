package hsm_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/mohor-sign/mohor/hsm"
)

// childEnv makes the test binary a second process on the same token.
const childEnv = "MOHOR_HSM_TEST_CHILD"

type childTask struct {
	Sealed hsm.SealedKey
	Public []byte
}

// child opens the parent's token and signs with the parent's keys, then gives a signature of the
// service key on standard output.
func child(ctx context.Context) (err error) {
	var task childTask
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &task); err != nil {
		return err
	}
	cfg, err := baseConfig()
	if err != nil {
		return err
	}
	m, err := hsm.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if made, err := m.EnsureKeys(ctx, firstKEK); err != nil || len(made) != 0 {
		return fmt.Errorf("EnsureKeys = %v, %w", made, err)
	}
	pub, err := x509.ParsePKIXPublicKey(task.Public)
	if err != nil {
		return err
	}
	for range 20 {
		k, err := m.Unseal(ctx, binding(hsm.ECDSAP256), task.Sealed, pub, pin(officerPIN), soon())
		if err != nil {
			return err
		}
		if _, err := k.Sign(ctx, make([]byte, 32), crypto.SHA256); err != nil {
			return err
		}
		if err := k.Close(); err != nil {
			return err
		}
	}
	signer, err := m.Signer("two-processes")
	if err != nil {
		return err
	}
	sig, err := signer.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(sig)
	return err
}

func TestTwoProcessesOnOneToken(t *testing.T) {
	m := open(t)
	if _, err := m.EnsureSigner(t.Context(), "two-processes", hsm.ECDSAP256); err != nil {
		t.Fatal(err)
	}
	signer, err := m.Signer("two-processes")
	if err != nil {
		t.Fatal(err)
	}
	s, pub := generate(t, m, hsm.ECDSAP256)
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	task, err := json.Marshal(childTask{s, der})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(task))
	done := make(chan error, 1)
	var out []byte
	go func() {
		var err error
		out, err = cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		done <- err
	}()
	k := unseal(t, m, hsm.ECDSAP256, s, pub)
	for running := true; running; {
		if _, err := k.Sign(t.Context(), make([]byte, 32), crypto.SHA256); err != nil {
			t.Fatal(err)
		}
		select {
		case err = <-done:
			running = false
		default:
		}
	}
	if err != nil {
		t.Fatalf("second process: %v", err)
	}
	if !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), make([]byte, 32), out) {
		t.Error("the second process's signature does not verify")
	}
}
