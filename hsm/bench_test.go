package hsm_test

import (
	"crypto"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/hsm"
)

var benchmarked = []hsm.Algorithm{hsm.RSA2048, hsm.RSA3072, hsm.RSA4096, hsm.ECDSAP256, hsm.ECDSAP384}

// BenchmarkRawSign is the module alone: C_SignInit and C_Sign in two sessions.
func BenchmarkRawSign(b *testing.B) {
	m := open(b)
	for _, a := range benchmarked {
		b.Run(string(a), func(b *testing.B) {
			rate, err := m.RawSignRate(b.Context(), firstKEK, a, 2, time.Second)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(rate, "sig/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkSign is Key.Sign: with the wait for a session and the verification.
func BenchmarkSign(b *testing.B) {
	m := open(b)
	for _, a := range benchmarked {
		b.Run(string(a), func(b *testing.B) {
			s, pub := generate(b, m, a)
			k := unseal(b, m, a, s, pub)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				digest := make([]byte, 32)
				for pb.Next() {
					if _, err := k.Sign(b.Context(), digest, crypto.SHA256); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sig/s")
		})
	}
}

// BenchmarkUnwrapSignClose is the module's part of one officer's signature, without the PIN.
func BenchmarkUnwrapSignClose(b *testing.B) {
	m := open(b)
	for _, a := range []hsm.Algorithm{hsm.RSA2048, hsm.ECDSAP256} {
		b.Run(string(a), func(b *testing.B) {
			s, pub := generate(b, m, a)
			unwrap, err := m.Opener(b.Context(), binding(a), s, pub, pin(officerPIN))
			if err != nil {
				b.Fatal(err)
			}
			signOnce(b, unwrap)
		})
	}
}

// BenchmarkUnsealSignClose is all of one officer's signature, with the key derivation of DefaultKDF.
func BenchmarkUnsealSignClose(b *testing.B) {
	m := open(b, func(c *hsm.Config) { c.KDF = hsm.DefaultKDF })
	for _, a := range []hsm.Algorithm{hsm.RSA2048, hsm.ECDSAP256} {
		b.Run(string(a), func(b *testing.B) {
			s, pub := generate(b, m, a)
			signOnce(b, func() (*hsm.Key, error) {
				return m.Unseal(b.Context(), binding(a), s, pub, pin(officerPIN), soon())
			})
		})
	}
}

func signOnce(b *testing.B, open func() (*hsm.Key, error)) {
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		digest := make([]byte, 32)
		for pb.Next() {
			k, err := open()
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := k.Sign(b.Context(), digest, crypto.SHA256); err != nil {
				b.Error(err)
			}
			if err := k.Close(); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sig/s")
}

// BenchmarkCanary is unwrap, sign, verify, destroy and one HMAC, with no PIN in it.
func BenchmarkCanary(b *testing.B) {
	m := open(b)
	for b.Loop() {
		if err := m.Canary(b.Context(), firstKEK); err != nil {
			b.Fatal(err)
		}
	}
}
