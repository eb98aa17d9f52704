package mohor_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"time"

	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// What the examples speak of, and how they learn what the officer typed. In a program of
// its own the code comes from the officer's mail to the officer's eyes alone.
var (
	address   = os.Getenv("MOHOR_URL") // "https://mohor.example"
	appID     = os.Getenv("MOHOR_APP")
	appSecret = mohor.NewSecret(os.Getenv("MOHOR_SECRET"))
	ic        = "800101149901"

	askOfficer = func(t *mohor.Transaction) (pin, code mohor.Secret) { return }
)

// An order is signed as a hash, and the signature verified with the officer's certificate.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := mohor.New(address, mohor.ClientCredentials(appID, appSecret))
	if err != nil {
		log.Fatal(err)
	}
	officer, err := c.Officer(ctx, ic)
	if err != nil || !officer.CanSign {
		log.Fatal(err, officer)
	}
	medium := officer.Credential("IGFMAS", "")
	order := []byte("110FGOM07022411247A29911.35" + ic)
	t, err := c.CreateTransaction(ctx, mohor.Ask{IC: ic, System: "IGFMAS", CredentialID: medium.CredentialID, Format: mohor.RAW,
		Documents: []mohor.Document{{Name: "Arahan Bayaran 110FGOM07022411247", Digest: mohor.SHA256(order)}}})
	if err != nil {
		log.Fatal(err)
	}
	pin, code := askOfficer(t) // show t.Fingerprint beside the fields
	t, err = c.Sign(ctx, t.ID, mohor.Confirmation{Nonce: t.Nonce, PIN: pin, OTP: code})
	if err != nil {
		log.Fatal(err)
	}
	cert, err := x509.ParseCertificate(medium.Certificate.DER)
	if err != nil {
		log.Fatal(err)
	}
	alg := x509.SHA256WithRSA
	if t.Signatures[0].Algorithm == "ECDSA" {
		alg = x509.ECDSAWithSHA256
	}
	fmt.Println(t.Status, cert.CheckSignature(alg, order, t.Signatures[0].Signature))
	// Prints: SIGNED <nil>
}

// A wrong code costs one of three tries; a new one has a new nonce.
func ExampleProblem() {
	ctx := context.Background()
	c, err := mohor.New(address, mohor.ClientCredentials(appID, appSecret))
	if err != nil {
		log.Fatal(err)
	}
	c.Language = "en"
	t, err := c.CreateTransaction(ctx, mohor.Ask{IC: ic, System: "IGFMAS", Format: mohor.RAW, Documents: []mohor.Document{{Name: "Arahan 2", Data: []byte("x")}}})
	if err != nil {
		log.Fatal(err)
	}
	pin, _ := askOfficer(t)
	_, err = c.Sign(ctx, t.ID, mohor.Confirmation{Nonce: t.Nonce, PIN: pin, OTP: mohor.NewSecret("000000")})
	switch mohor.Code(err) {
	case "otp_wrong", "pin_wrong":
		fmt.Println(err) // ask again
	case "otp_expired", "otp_attempts_exhausted":
		t, err = c.Resend(ctx, t.ID, "")
	case "pin_locked":
		fmt.Println("an administrator must unlock it")
	}
	// Prints: The code is wrong (2 tries left) [otp_wrong]
	fmt.Println(c.CancelTransaction(ctx, t.ID))
	// Prints: <nil>
}

// A PDF that lies with the gateway, signed visibly with a time-stamp.
func ExampleClient_SignedPDF() {
	ctx := context.Background()
	c, err := mohor.New(address, mohor.ClientCredentials(appID, appSecret))
	if err != nil {
		log.Fatal(err)
	}
	voucher, err := os.Open("../../examples/voucher.pdf")
	if err != nil {
		log.Fatal(err)
	}
	defer voucher.Close()
	up, err := c.UploadPDF(ctx, "baucar.pdf", voucher, mohor.Secret{})
	if err != nil {
		log.Fatal(err)
	}
	t, err := c.CreateTransaction(ctx, mohor.Ask{IC: ic, System: "IGFMAS", Format: mohor.PADES,
		PAdES:     &mohor.PAdES{Level: "B-T", Reason: "Perakuan 1", Visible: &mohor.Visible{Page: mohor.LastPage, X: 51, Y: 119, Width: 241, Height: 97}},
		Documents: []mohor.Document{{DocumentID: up.ID}}})
	if err != nil {
		log.Fatal(err)
	}
	pin, code := askOfficer(t)
	if t, err = c.Sign(ctx, t.ID, mohor.Confirmation{Nonce: t.Nonce, PIN: pin, OTP: code}); err != nil {
		log.Fatal(err)
	}
	body, err := c.SignedPDF(ctx, t.Signatures[0].DocumentID)
	if err != nil {
		log.Fatal(err)
	}
	defer body.Close()
	signed, err := io.ReadAll(body) // or io.Copy into a file
	if err != nil {
		log.Fatal(err)
	}
	report, err := c.VerifyPDF(ctx, bytes.NewReader(signed), mohor.Secret{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Verdict, report.Signatures[0].Level)
	// Prints: VALID B-T
}

// Many hashes under one PIN and code.
func ExampleClient_Progress() {
	ctx := context.Background()
	c, err := mohor.New(address, mohor.ClientCredentials(appID, appSecret))
	if err != nil {
		log.Fatal(err)
	}
	b, err := c.CreateBatch(ctx, "Gaji Julai", mohor.BatchDigest)
	if err != nil {
		log.Fatal(err)
	}
	var payments []mohor.Document
	for k := range 250 {
		payments = append(payments, mohor.Document{Name: fmt.Sprintf("Bayaran %d", k), Digest: mohor.SHA256(fmt.Append(nil, k))})
	}
	if _, err := c.AddDigests(ctx, b.ID, slices.Values(payments)); err != nil {
		log.Fatal(err)
	}
	if b, err = c.Seal(ctx, b.ID, false); err != nil {
		log.Fatal(err)
	}
	t, err := c.CreateTransaction(ctx, mohor.Ask{IC: ic, System: "IGFMAS", Format: mohor.CMS, BatchID: b.ID})
	if err != nil {
		log.Fatal(err)
	}
	pin, code := askOfficer(t)
	if _, err = c.Sign(ctx, t.ID, mohor.Confirmation{Nonce: t.Nonce, PIN: pin, OTP: code}); err != nil {
		log.Fatal(err)
	}
	for b, err = range c.Progress(ctx, b.ID) {
		if err != nil {
			log.Fatal(err)
		}
	}
	signatures := 0
	for item, err := range c.Items(ctx, b.ID, "signed") {
		if err != nil {
			log.Fatal(err)
		}
		if len(item.Signature) > 0 {
			signatures++
		}
	}
	fmt.Println(b.Status, b.Signed, signatures)
	// Prints: SIGNED 250 250
}
