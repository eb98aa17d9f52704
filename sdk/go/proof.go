package mohor

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
)

// ErrProof: an inclusion proof does not lead to the root.
var ErrProof = errors.New("mohor: the inclusion proof does not lead to the root")

// Proof shows that an item is in a sealed batch, to whoever knows the batch's root.
type Proof struct {
	Batch       string   `json:"batch_id"`
	Index       int      `json:"index"`
	Name        string   `json:"name"`
	Digest      Digest   `json:"digest"` // of the document as authorised
	Size        int64    `json:"size"`   // of that document, bytes, when it came in with the batch: the signed PDF begins with it
	Count       int      `json:"count"`
	Root        []byte   `json:"root"`
	Fingerprint string   `json:"fingerprint"`
	Path        [][]byte `json:"path"` // RFC 9162, Section 2.1.3, from the leaf's sibling up
}

// Verify returns nil when index, name and digest lead to root, 32 bytes that are known from
// elsewhere, else [ErrProof]. It asks nobody. Root and Fingerprint of the proof do not count: they are
// its maker's.
func (p *Proof) Verify(root []byte) error {
	alg := map[string]byte{"SHA-256": 1, "SHA-384": 2, "SHA-512": 3}[p.Digest.Alg]
	const most = 1<<32 - 1
	if alg == 0 || len(p.Name) > 0xFFFF || p.Index < 0 || p.Index >= p.Count || p.Count > most || len(p.Path) > 32 {
		return ErrProof
	}
	leaf := binary.BigEndian.AppendUint32([]byte{0}, uint32(p.Index))
	leaf = binary.BigEndian.AppendUint16(leaf, uint16(len(p.Name)))
	leaf = append(append(leaf, p.Name...), alg)
	node := sha256.Sum256(append(leaf, p.Digest.Value...))
	// RFC 9162, Section 2.1.3.2.
	fn, sn := p.Index, p.Count-1
	for _, h := range p.Path {
		if len(h) != sha256.Size || sn == 0 {
			return ErrProof
		}
		if fn&1 == 1 || fn == sn {
			node = sha256.Sum256(append(append([]byte{1}, h...), node[:]...))
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			node = sha256.Sum256(append(append([]byte{1}, node[:]...), h...))
		}
		fn, sn = fn>>1, sn>>1
	}
	if sn != 0 || !bytes.Equal(node[:], root) {
		return ErrProof
	}
	return nil
}

// FingerprintOf is how people compare roots: the first 40 bits in Crockford's base 32, XXXX-XXXX; ""
// of less. It tells two batches apart, and stops nobody who can hash a trillion times: where it
// matters, compare roots.
func FingerprintOf(root []byte) string {
	if len(root) < 5 {
		return ""
	}
	s := base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").EncodeToString(root[:5])
	return s[:4] + "-" + s[4:]
}
