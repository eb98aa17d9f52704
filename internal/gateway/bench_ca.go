package gateway

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/ident"
)

// BenchCA measures certificates end to end (drafted, recorded, linted, signed,
// compared, stored: two commits) by an issuing key of RSA-2048 and one of P-256, OCSP
// answers and time-stamps, against raw C_Sign of a key of the same kind in the same
// round. It makes a token and a database of its own. o.Algorithms is not used.
func BenchCA(ctx context.Context, o BenchOptions) (BenchReport, error) {
	return o.within(ctx, func(b *bench, r *BenchReport) error {
		d, err := b.issuer(ctx)
		if err != nil {
			return err
		}
		for _, x := range []struct {
			alg    hsm.Algorithm
			issuer string
			more   func() ([]*entrant, error)
		}{{hsm.RSA2048, benchIssuer, nil}, {hsm.ECDSAP256, ca.Issuing, d.answers}} {
			rows, err := d.measure(ctx, x.alg, x.issuer, x.more)
			if err != nil {
				return err
			}
			r.Rows = append(r.Rows, rows...)
		}
		return nil
	})
}

// benchIssuer is the issuing CA with an RSA key; the installation's own has P-256.
const benchIssuer = "issuing-rsa"

// caDesk issues and answers.
type caDesk struct {
	*bench
	ca *ca.Authorities
}

// issuer makes the second issuing CA, and a profile for each.
func (b *bench) issuer(ctx context.Context) (*caDesk, error) {
	if _, err := b.CreateAuthority(ctx, "bench", ca.Authority{Name: benchIssuer, Parent: ca.Root, Algorithm: string(hsm.RSA2048)}); err != nil {
		return nil, fmt.Errorf("making the CA %s: %w", benchIssuer, err)
	}
	p := b.Config.profile(true)
	p.EndEntities = map[string]ca.EndEntity{benchIssuer: {Issuers: []string{benchIssuer}}, ca.Issuing: {Issuers: []string{ca.Issuing}}}
	a, err := ca.Load(ctx, p, caKeys{b.hsm}, b.db, b.now)
	return &caDesk{b, a}, err
}

func (d *caDesk) measure(ctx context.Context, alg hsm.Algorithm, issuer string, more func() ([]*entrant, error)) (rows []BenchRow, err error) {
	n := d.Sessions[0]
	s, err := d.fast.NewSignBench(ctx, d.kek, alg, n)
	if err != nil {
		return nil, fmt.Errorf("making a key of %s: %w", alg, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	key, err := d.hsm.Signer(issuer)
	if err != nil {
		return nil, err
	}
	raw := &entrant{row: BenchRow{What: "raw C_Sign"}, do: s.Raw}
	all := []*entrant{raw,
		(&entrant{row: BenchRow{What: "issuing key, verified"}, do: func(context.Context, int) error {
			_, err := key.Sign(rand.Reader, make([]byte, crypto.SHA256.Size()), crypto.SHA256)
			return err
		}}).against(raw, ofRates, 0),
		(&entrant{row: BenchRow{What: "certificate"}, do: func(ctx context.Context, _ int) error { return d.certificate(ctx, issuer) }}).against(raw, ofRates, 0)}
	if more != nil {
		others, err := more()
		if err != nil {
			return nil, err
		}
		for _, e := range others {
			all = append(all, e.against(raw, ofRates, 0))
		}
	}
	for _, e := range all {
		e.row.Algorithm, e.row.Sessions = string(alg), n
	}
	return d.contest(ctx, "certificates by "+string(alg), all...)
}

// certificate is one for a new key of P-256, which is made in software.
func (d *caDesk) certificate(ctx context.Context, profile string) error {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	// As the desk does it: what has begun is not cut off.
	_, err = d.ca.IssueOfficer(context.WithoutCancel(ctx), "bench", ca.Officer{IC: "800101149901", Name: "PEGAWAI UKURAN", Credential: ident.New("cr", 16), Profile: profile}, k.Public())
	return err
}

// answers are those of OCSP responder and time-stamp unit; both keys are of P-256.
func (d *caDesk) answers() ([]*entrant, error) {
	request, err := ocsp.CreateRequest(d.ca.Certificate(ca.TSA), d.ca.Certificate(ca.Issuing), nil)
	if err != nil {
		return nil, fmt.Errorf("making an OCSP request: %w", err)
	}
	nonce, err := withNonce(request)
	if err != nil {
		return nil, err
	}
	asks := func(der []byte) func(context.Context, int) error {
		return func(ctx context.Context, _ int) error {
			reply, _, err := d.ca.OCSPReply(ctx, der)
			if err == nil {
				_, err = ocsp.ParseResponse(reply, d.ca.Certificate(ca.Issuing))
			}
			return err
		}
	}
	return []*entrant{{row: BenchRow{What: "OCSP answer, kept"}, do: asks(request)}, {row: BenchRow{What: "OCSP answer, with nonce"}, do: asks(nonce)},
		{row: BenchRow{What: "time-stamp"}, do: func(ctx context.Context, _ int) error {
			_, err := d.ca.Timestamp(ctx, crypto.SHA256, make([]byte, crypto.SHA256.Size()))
			return err
		}}}, nil
}

// withNonce adds a nonce (RFC 8954) to an OCSPRequest.
func withNonce(request []byte) ([]byte, error) {
	var outer, tbs cryptobyte.String
	if s := cryptobyte.String(request); !s.ReadASN1(&outer, cbasn1.SEQUENCE) || !outer.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		return nil, errors.New("reading an OCSP request: not one")
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(tbs)
			b.AddASN1(cbasn1.Tag(2).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2})
						b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
							b.AddASN1OctetString(make([]byte, 32))
						})
					})
				})
			})
		})
	})
	return b.Bytes()
}
