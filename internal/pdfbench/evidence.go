package pdfbench

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"time"

	"github.com/mohor-sign/mohor/pdf"
)

// TokenSize implements pdf.Timestamper.
func (p *pki) TokenSize() int { return 8 << 10 }

// Revocation implements pdf.Revocation with empty lists.
func (p *pki) Revocation(_ context.Context, _, issuer *x509.Certificate) (pdf.Answer, error) {
	key := p.issuerKey
	if bytes.Equal(issuer.Raw, p.root.Raw) {
		key = p.rootKey
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: p.now, NextUpdate: p.now.Add(24 * time.Hour)}, issuer, key)
	return pdf.Answer{CRL: der}, err
}

type attribute struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

// contentOID is id-ct-TSTInfo.
func contentOID() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
}

// Timestamp implements pdf.Timestamper: the least that is a token (RFC 3161,
// RFC 5816).
func (p *pki) Timestamp(_ context.Context, _ crypto.Hash, digest []byte) ([]byte, error) {
	sha := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}}
	tstInfo := contentOID()
	type imprint struct {
		Hash   pkix.AlgorithmIdentifier
		Digest []byte
	}
	info, err := asn1.Marshal(struct {
		Version int
		Policy  asn1.ObjectIdentifier
		Imprint imprint
		Serial  int64
		Time    time.Time `asn1:"generalized"`
	}{1, asn1.ObjectIdentifier{2, 999, 1}, imprint{sha, digest}, 1, p.now.UTC()})
	if err != nil {
		return nil, err
	}
	set, err := p.tokenAttributes(info)
	if err != nil {
		return nil, err
	}
	toSign := sha256.Sum256(set)
	signature, err := p.tsaKey.Sign(rand.Reader, toSign[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
	if _, ok := p.tsaKey.Public().(*rsa.PublicKey); ok {
		algorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}
	}
	type content struct {
		Type  asn1.ObjectIdentifier
		Value []byte `asn1:"explicit,tag:0"`
	}
	type issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	type signerInfo struct {
		Version   int
		ID        issuerAndSerial
		Digest    pkix.AlgorithmIdentifier
		Attrs     asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature []byte
	}
	certs := [][]byte{p.tsa.Raw, p.issuer.Raw}
	slices.SortFunc(certs, bytes.Compare)
	return asn1.Marshal(struct {
		Type    asn1.ObjectIdentifier
		Content any `asn1:"explicit,tag:0"`
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, struct {
		Version int
		Digests []pkix.AlgorithmIdentifier `asn1:"set"`
		Content content
		Certs   asn1.RawValue
		Signers []signerInfo `asn1:"set"`
	}{3, []pkix.AlgorithmIdentifier{sha}, content{tstInfo, info},
		asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: slices.Concat(certs...)},
		[]signerInfo{{1, issuerAndSerial{asn1.RawValue{FullBytes: p.tsa.RawIssuer}, p.tsa.SerialNumber}, sha,
			asn1.RawValue{FullBytes: append([]byte{0xA0}, set[1:]...)}, algorithm, signature}}}})
}

// tokenAttributes are the signed attributes of a token as SET.
func (p *pki) tokenAttributes(info []byte) ([]byte, error) {
	hash, certificate := sha256.Sum256(info), sha256.Sum256(p.tsa.Raw)
	type certID struct{ Hash []byte }
	var attrs []attribute
	for _, a := range []struct {
		oid   asn1.ObjectIdentifier
		value any
	}{
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}, contentOID()},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}, hash[:]},
		{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}, struct{ Certs []certID }{[]certID{{certificate[:]}}}},
	} {
		der, err := asn1.Marshal(a.value)
		if err != nil {
			return nil, err
		}
		attrs = append(attrs, attribute{a.oid, []asn1.RawValue{{FullBytes: der}}})
	}
	return asn1.MarshalWithParams(attrs, "set") // sorted, as DER wants
}
