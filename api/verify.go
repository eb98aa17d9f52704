package api

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/pdf/cms"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
)

type verifyInput struct {
	upload
	ContentType string `header:"Content-Type"`
	Password    string `header:"X-PDF-Password" maxLength:"127" doc:"Of an encrypted PDF that does not open without"`
}

// detachedBody is a signature apart from its content.
type detachedBody struct {
	Digest      *digestBody `json:"digest"`
	Data        string      `json:"data"`
	Signature   string      `json:"signature"`
	Certificate string      `json:"certificate"`
	Format      string      `json:"format"`
	Algorithm   string      `json:"algorithm"`
}

type verifyOutput struct{ Body verify.Report }

func (s *server) verification(h huma.API) {
	o := streamed(op("Verification", "verify", http.MethodPost, "/v1/verify", "Check a signed PDF, or a detached signature", http.StatusRequestEntityTooLarge), "application/pdf")
	huma.Register(h, granted(enrol.GrantVerify, o), s.verify)
	// The JSON form comes after: huma would otherwise want to read the body itself.
	text := func(doc string) *huma.Schema { return &huma.Schema{Type: "string", Description: doc} }
	o.RequestBody.Content["application/json"] = &huma.MediaType{Schema: &huma.Schema{Type: "object", Required: []string{"signature", "format"}, AdditionalProperties: false, Properties: map[string]*huma.Schema{
		"digest": {Type: "object", Properties: map[string]*huma.Schema{"alg": {Type: "string", Enum: []any{"SHA-256", "SHA-384", "SHA-512"}}, "value": text("Base64")}},
		"data":   text("Base64; RAW: hashed with SHA-256, CMS: as the signature says"), "signature": text("Base64"), "certificate": text("Base64 of the DER; required for RAW"),
		"format": {Type: "string", Enum: []any{signer.RAW, signer.CMS}}, "algorithm": {Type: "string", Enum: []any{signer.RSAPKCS1, signer.RSAPSS, signer.ECDSA}, Description: "RAW only; default by the key"}}}}
}

func (s *server) verify(ctx context.Context, in *verifyInput) (*verifyOutput, error) {
	o, err := s.Trust(ctx)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	password := secret.New(in.Password)
	defer password.Wipe()
	o.Password, o.MaxFile, o.Timeout = password.Reveal(), s.MaxPDF, verifyTimeout
	var report *verify.Report
	switch mediaType(in.ContentType) {
	case "application/pdf":
		report, err = s.verifyPDF(ctx, in.body, o)
	case "application/json":
		report, err = verifyDetached(ctx, in.body, o)
	default:
		err = fixed("Content-Type", "It must be application/pdf or application/json.", "Ia mesti application/pdf atau application/json.")
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &verifyOutput{*report}, nil
}

func (s *server) verifyPDF(ctx context.Context, body io.Reader, o verify.Options) (*verify.Report, error) {
	return s.verified(ctx, body, o, s.checks)
}

func (s *server) verified(ctx context.Context, body io.Reader, o verify.Options, places chan struct{}) (*verify.Report, error) {
	f, n, err := s.spool(body, o.MaxFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// Only now: whoever sends slowly holds no place.
	release, err := slot(ctx, places)
	if err != nil {
		return nil, err
	}
	defer release()
	return verify.Verify(ctx, f, n, o)
}

// verifyTimeout bounds the work for one document that anybody can send.
const verifyTimeout = 10 * time.Second

// maxDetached bounds the JSON form in bytes.
const maxDetached = 2 << 20

func verifyDetached(ctx context.Context, body io.Reader, o verify.Options) (*verify.Report, error) {
	var b detachedBody
	dec := json.NewDecoder(io.LimitReader(body, maxDetached))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&b); err != nil {
		return nil, fixed("body", "It must be the JSON that the API describes.", "Ia mesti JSON seperti huraian API.")
	}
	sig, err := decodeBase64(b.Signature)
	if err != nil || len(sig) == 0 {
		return nil, fixed("signature", "It must be base64.", "Ia mesti base64.")
	}
	if (b.Digest == nil) == (b.Data == "") {
		return nil, fixed("digest", "Give either digest or data.", "Berikan digest atau data.")
	}
	data, err := decodeBase64(b.Data)
	if err != nil {
		return nil, fixed("data", "It must be base64.", "Ia mesti base64.")
	}
	if b.Format == signer.CMS && b.Digest == nil {
		return verify.DetachedContent(ctx, bytes.NewReader(data), sig, o)
	}
	digest, h, err := digestOf(&b, data)
	if err != nil {
		return nil, err
	}
	var got verify.Signature
	switch b.Format {
	case signer.CMS:
		// Another digest than the signature's says nothing about the content.
		if sd, err := cms.Parse(sig, o.Intermediates...); err == nil && sd.Hash != h {
			return nil, fixed("digest.alg", "The signature is over another digest: "+hashName(sd.Hash)+".", "Tandatangan ini adalah ke atas ringkasan lain: "+hashName(sd.Hash)+".")
		}
		got = verify.Detached(digest, sig, o)
	case signer.RAW:
		if got, err = verifyRaw(&b, digest, sig, o); err != nil {
			return nil, err
		}
	default:
		return nil, fixed("format", "It must be RAW or CMS.", "Ia mesti RAW atau CMS.")
	}
	return verify.Single(got), nil
}

// digestOf is the digest given, or SHA-256 of the data.
func digestOf(b *detachedBody, data []byte) ([]byte, crypto.Hash, error) {
	if b.Digest == nil {
		sum := sha256.Sum256(data)
		return sum[:], crypto.SHA256, nil
	}
	h, ok := batch.DigestHash(b.Digest.Alg)
	digest, err := decodeBase64(b.Digest.Value)
	if !ok || err != nil || len(digest) != h.Size() {
		return nil, 0, fixed("digest", "It must be base64 of as many bytes as its algorithm makes.", "Ia mesti base64 sepanjang hasil algoritmanya.")
	}
	return digest, h, nil
}

func verifyRaw(b *detachedBody, digest, sig []byte, o verify.Options) (verify.Signature, error) {
	der, err := decodeBase64(b.Certificate)
	var cert *x509.Certificate
	if err == nil {
		cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		return verify.Signature{}, errors.Join(fixed("certificate", "It must be the base64 of a certificate's DER.", "Ia mesti base64 bagi DER sijil."), err)
	}
	alg := cms.Algorithm(b.Algorithm)
	if alg == "" {
		alg = cms.ECDSA
		if _, ok := cert.PublicKey.(*rsa.PublicKey); ok {
			alg = cms.RSAPKCS1
		}
	}
	return verify.Raw(cert, alg, digest, sig, o), nil
}
