package mohor_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// A document moves from role to role through the client: uploaded once although the answer of the
// first try was lost, found in the inbox, and signed by its reference.
func TestWorkThroughTheClient(t *testing.T) {
	g := gatewaytest.New(t)
	c, err := mohor.New(g.URL, mohor.APIKey(g.Dev.APIKey))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	pdf, err := os.ReadFile("../../examples/voucher.pdf")
	if err != nil {
		t.Fatal(err)
	}
	keyed := mohor.WithIdempotencyKey(ctx, "muat-naik-1")
	up, err := c.UploadPDF(keyed, "baucar.pdf", bytes.NewReader(pdf), mohor.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.UploadPDF(keyed, "baucar.pdf", bytes.NewReader(pdf), mohor.Secret{}); err != nil || again.ID != up.ID {
		t.Errorf("the same upload again: %+v, %v", again, err)
	}
	processes, err := c.Processes(ctx, "IGFMAS")
	if err != nil || len(processes) == 0 || len(processes[0].Roles) != 2 {
		t.Fatalf("%+v, %v", processes, err)
	}
	p := processes[0]
	const reference = "110FGOM07022411247"
	sign := func(officer int, role string, d mohor.Document) {
		t.Helper()
		o, mark := g.Dev.Officers[officer], g.Server.Mailbox.Mark()
		tx, err := c.CreateTransaction(ctx, mohor.Ask{IC: o.IC, System: p.System, Process: p.Code, Role: role, Classification: "terhad", Format: mohor.PADES, Documents: []mohor.Document{d}})
		if err != nil {
			t.Fatal(err)
		}
		if tx.Process != p.Code || tx.Role != role || tx.Classification != "terhad" || tx.System != p.System || len(tx.Documents) != 1 || tx.Documents[0].Reference != reference || tx.Documents[0].ID != up.ID {
			t.Errorf("%s: %+v", role, tx)
		}
		tx, err = c.Sign(ctx, tx.ID, mohor.Confirmation{Nonce: tx.Nonce, PIN: o.PIN, OTP: mohor.NewSecret(g.Code(o.Email, mark)), Root: tx.Root})
		if err != nil || tx.Status != "SIGNED" || tx.Signed != 1 {
			t.Fatalf("%s: %+v, %v", role, tx, err)
		}
	}
	sign(0, p.Roles[0], mohor.Document{DocumentID: up.ID, Reference: reference})
	waits := 0
	for w, err := range c.Inbox(ctx, p.System, p.Code, p.Roles[1]) {
		if waits++; err != nil || w.Reference != reference || w.DocumentID != up.ID || w.Name != "baucar.pdf" || w.Classification != "terhad" || len(w.Signed) != 1 || w.Signed[0].Role != p.Roles[0] {
			t.Fatalf("%+v, %v", w, err)
		}
	}
	sign(1, p.Roles[1], mohor.Document{Reference: reference})
	if waits != 1 {
		t.Errorf("%d waited", waits)
	}
	for w, err := range c.Inbox(ctx, p.System, p.Code, "") {
		t.Errorf("still waits: %+v, %v", w, err)
	}
}
