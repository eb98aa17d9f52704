package audit

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Head is a signed statement "at this time the chain had Seq records and the
// last one's hash was Hash". Heads are copied off the machine: whoever holds
// one can show that the chain was rewritten or cut since.
type Head struct {
	Seq       int64
	Hash      [32]byte
	At        time.Time // UTC, seconds
	Signature []byte    // ECDSA P-256 with SHA-256, ASN.1 DER, over message()
}

func (h *Head) digest() []byte {
	m := fmt.Sprintf("mohor audit head v1\n%d\n%s\n%s\n", h.Seq, base64.StdEncoding.EncodeToString(h.Hash[:]), h.At.UTC().Format(time.RFC3339))
	d := sha256.Sum256([]byte(m))
	return d[:]
}

// SignHead makes a head with the audit-seal key, an ECDSA P-256 key in the HSM.
func SignHead(seal crypto.Signer, seq int64, hash [32]byte, at time.Time) (Head, error) {
	h := Head{Seq: seq, Hash: hash, At: at.UTC().Truncate(time.Second)}
	sig, err := seal.Sign(rand.Reader, h.digest(), crypto.SHA256)
	if err != nil {
		return Head{}, fmt.Errorf("signing audit head: %w", err)
	}
	h.Signature = sig
	return h, nil
}

// Verify checks the head's signature with the audit-seal public key.
func (h *Head) Verify(pub *ecdsa.PublicKey) error {
	if !ecdsa.VerifyASN1(pub, h.digest(), h.Signature) {
		return &BrokenError{Seq: h.Seq, What: "the signature of the head is wrong"}
	}
	return nil
}

type headLine struct {
	Seq       int64     `json:"seq"`
	Hash      []byte    `json:"hash"`
	At        time.Time `json:"at"`
	Signature []byte    `json:"signature"`
}

// MarshalJSON writes the head as one line of the head file:
// {"seq":…,"hash":base64,"at":RFC 3339,"signature":base64}.
func (h Head) MarshalJSON() ([]byte, error) {
	return json.Marshal(headLine{h.Seq, h.Hash[:], h.At, h.Signature})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (h *Head) UnmarshalJSON(p []byte) error {
	var l headLine
	if err := json.Unmarshal(p, &l); err != nil {
		return err
	}
	if len(l.Hash) != 32 || l.Seq < 1 {
		return fmt.Errorf("reading audit head: want a hash of 32 bytes and a number from 1")
	}
	*h = Head{l.Seq, [32]byte(l.Hash), l.At, l.Signature}
	return nil
}

// ReadHeads reads a head file (one JSON object a line) and checks every
// signature and that numbers never fall. A last line without its newline was
// being written when the machine stopped and is passed over.
func ReadHeads(r io.Reader, pub *ecdsa.PublicKey) ([]Head, error) {
	var heads []Head
	br := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		if err == io.EOF {
			return heads, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading audit heads: %w", err)
		}
		var h Head
		if err := json.Unmarshal(line, &h); err != nil {
			return nil, fmt.Errorf("reading audit heads: line %d: %w", n, err)
		}
		if err := h.Verify(pub); err != nil {
			return nil, fmt.Errorf("reading audit heads: line %d: %w", n, err)
		}
		if len(heads) > 0 && h.Seq < heads[len(heads)-1].Seq {
			return nil, fmt.Errorf("reading audit heads: line %d: %w", n, &BrokenError{Seq: h.Seq, What: "the head is older than the one before it (rolled back)"})
		}
		heads = append(heads, h)
	}
}
