package cms

import (
	"crypto"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"unicode"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// TimestampRequest returns the DER of a TimeStampReq (RFC 3161, Section 2.4.1)
// for a digest made with h: SHA256, SHA384 or SHA512. nonce and policy are
// left out when nil. certificate asks for the authority's certificate in the
// token, without which a signature cannot be judged later.
func TimestampRequest(h crypto.Hash, digest []byte, nonce *big.Int, policy asn1.ObjectIdentifier, certificate bool) ([]byte, error) {
	id, err := byHash(h)
	if err != nil {
		return nil, err
	}
	if len(digest) != h.Size() {
		return nil, fmt.Errorf("digest of %d bytes, %d expected", len(digest), h.Size())
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addAlgorithm(b, id.oid, true)
			b.AddASN1OctetString(digest)
		})
		if policy != nil {
			b.AddASN1ObjectIdentifier(policy)
		}
		if nonce != nil {
			b.AddASN1BigInt(nonce)
		}
		if certificate {
			b.AddASN1Boolean(true)
		}
	})
	return b.Bytes()
}

// TimestampRefusal is the error of an authority that answers without a token.
type TimestampRefusal struct {
	Status  int    // PKIStatus: 2 rejection, 3 waiting, 4 and 5 revocation
	Failure string // name of PKIFailureInfo as in RFC 3161, or empty
	Text    string // what the authority says, at most 200 printable characters
}

func (e *TimestampRefusal) Error() string {
	s := fmt.Sprintf("time-stamp refused with status %d", e.Status)
	for _, more := range []string{e.Failure, e.Text} {
		if more != "" {
			s += ": " + more
		}
	}
	return s
}

// ParseTimestampResponse returns the DER of the token in a TimeStampResp (RFC
// 3161, Section 2.4.2), which ParseTimestamp reads. The error is a
// *TimestampRefusal when the authority gave none, or wraps ErrMalformed.
func ParseTimestampResponse(der []byte) ([]byte, error) {
	der, err := toDER(der)
	if err != nil {
		return nil, err
	}
	in := cryptobyte.String(der)
	var response, info, text, failure, token cryptobyte.String
	var hasText, hasFailure bool
	refusal := &TimestampRefusal{}
	if !in.ReadASN1(&response, cbasn1.SEQUENCE) || !response.ReadASN1(&info, cbasn1.SEQUENCE) ||
		!info.ReadASN1Integer(&refusal.Status) ||
		!info.ReadOptionalASN1(&text, &hasText, cbasn1.SEQUENCE) ||
		!info.ReadOptionalASN1(&failure, &hasFailure, cbasn1.BIT_STRING) || len(info) != 0 {
		return nil, malformed("time-stamp response")
	}
	const granted, grantedWithMods = 0, 1
	if refusal.Status != granted && refusal.Status != grantedWithMods {
		refusal.Text, refusal.Failure = cleanText(text), failureName(failure)
		return nil, refusal
	}
	if !response.ReadASN1Element(&token, cbasn1.SEQUENCE) || len(response) != 0 {
		return nil, malformed("time-stamp response without token")
	}
	return token, nil
}

// maxText bounds what is kept of an authority's words, in characters.
const maxText = 200

// cleanText joins the UTF8Strings of PKIFreeText and keeps what is printable.
func cleanText(in cryptobyte.String) string {
	var parts []string
	var one cryptobyte.String
	for in.ReadASN1(&one, cbasn1.UTF8String) {
		parts = append(parts, string(one))
	}
	all := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return ' '
	}, strings.Join(parts, " "))
	runes := []rune(strings.Join(strings.Fields(all), " "))
	return string(runes[:min(len(runes), maxText)])
}

// failureName names the first bit of PKIFailureInfo that is set.
func failureName(bits cryptobyte.String) string {
	if len(bits) == 0 {
		return ""
	}
	bits = bits[1:] // the number of unused bits
	names := map[int]string{
		0: "badAlg", 2: "badRequest", 5: "badDataFormat", 14: "timeNotAvailable", 15: "unacceptedPolicy",
		16: "unacceptedExtension", 17: "addInfoNotAvailable", 25: "systemFailure",
	}
	for i := range min(8*len(bits), 32) {
		if bits[i/8]&(0x80>>(i%8)) != 0 {
			if name := names[i]; name != "" {
				return name
			}
			return fmt.Sprintf("failure %d", i)
		}
	}
	return ""
}
