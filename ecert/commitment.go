package ecert

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
)

// Commitment ties a stored record to its certificate: the first 16 bytes of
// SHA-256 over the candidate's fields and the address in the QR code. [Renderer.Render]
// writes it as the first part of the trailer's /ID, which the signature
// covers; whoever shows a record compares. The candidate's Row is not part of
// it.
func Commitment(c Candidate, address string) ([16]byte, error) {
	c.Row = 0
	// A struct of strings and numbers: one form, fields in order.
	b, err := json.Marshal(struct {
		Candidate Candidate
		Address   string
	}{c, address})
	if err != nil {
		return [16]byte{}, fmt.Errorf("encoding record: %w", err)
	}
	sum := sha256.Sum256(append([]byte("mohor ecert record v1\n"), b...))
	return [16]byte(sum[:16]), nil
}
