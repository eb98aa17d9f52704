package ca

import (
	"context"
	"crypto/x509"
)

type Client struct{}

func (c *Client) Revocation(ctx context.Context, cert, issuer *x509.Certificate) (ocsp, crl []byte, err error) {
	return
}
