package verify

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"time"
)

// weakKey judges a public key at a time at which a signature of it is known to
// exist. In the spirit of ETSI TS 119 312, with the dates of NIST SP 800-57
// and IR 8547, as Malaysian certificates are still of RSA-2048:
//
//	RSA below 2048 bits                never
//	RSA from 2048, below 3072 bits     until the end of 2030
//	RSA from 3072 to 8192 bits         yes
//	ECDSA on P-256, P-384, P-521       yes
//	anything else                      never
//
// Hashes need no dates: SHA-256, SHA-384 and SHA-512 are taken, SHA-1 and MD5
// never, neither by pdf/cms nor by crypto/x509.
func weakKey(key any, at time.Time) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		return bits < 2048 || bits > 8192 || bits < 3072 && at.Year() > 2030
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 256, 384, 521:
			return false
		}
	}
	return true
}
