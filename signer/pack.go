package signer

import (
	"fmt"
	"strings"
)

// PackOf names the blob that a document's bytes are in: itself, or one that it shares.
func PackOf(blob string) string {
	name, _, _ := strings.Cut(blob, "#")
	return name
}

// SignedPart names size bytes from at of a blob that signed documents share:
//
//	signed/ba_…/48-1#107520+107520
//
// Who moves these numbers in the database gives a document another's bytes, or none that
// verify; what was signed for it is in the tree of its batch.
func SignedPart(pack string, at, size int64) string {
	return fmt.Sprintf("%s#%d+%d", pack, at, size)
}
