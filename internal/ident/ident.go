// Package ident makes identifiers nobody can guess.
package ident

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
)

// New makes an identifier of n random bytes in base 32, lower case and without
// padding, behind a readable prefix: "tx_2qo3zzjn…". 16 bytes are enough for a
// name, 32 for a secret.
func New(prefix string, n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // crypto/rand never fails (it ends the process)
	return prefix + "_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}
