package cms

// ToDER is the transcoder.
var ToDER = toDER

// SignedParts are the bytes of a signature the key answers for.
func (d *SignedData) SignedParts() [][]byte {
	return [][]byte{d.signedAttrs[1:], d.signature, d.Certificate.Raw}
}

// SignedParts are the bytes of a token the authority answers for.
func (t *Timestamp) SignedParts() [][]byte { return append(t.signed.SignedParts(), t.content) }
