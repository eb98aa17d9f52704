package ceremony

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// For vectors: what is random elsewhere, given.
var (
	MixWith = mix
	Wrap    = wrap
)

// Scalar gives the bytes keys are derived from.
func (m *Master) Scalar() []byte { b, _ := m.scalar.MarshalBinary(); return b }

// Checksummed makes the checksum of an edited share right again.
func Checksummed(text string) []byte {
	body := text[:strings.Index(text, "checksum: ")]
	return fmt.Appendf(nil, "%schecksum: %x\n", body, sha256.Sum256([]byte(body)))
}
