package gateway_test

import (
	"testing"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// What was signed is told as it was, when the authority above it is revoked and nobody may sign any more.
func TestSignedIsToldAfterItsCAWasRevoked(t *testing.T) {
	g := gatewaytest.New(t)
	tx, code := g.Ask(map[string]any{"format": "CMS", "documents": []map[string]any{{"name": "Baucar", "digest": map[string]string{"alg": "SHA-256", "value": "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="}}}})
	signed := g.Confirm(tx, code, nil)
	want(t, signed, 200, "")
	var issuing string
	all, err := g.Server.Authorities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Parent != "" {
			chain, err := g.Server.Chain(t.Context(), a.Name, "")
			if err != nil {
				t.Fatal(err)
			}
			issuing = chain[0].SerialNumber.String()
			if err := g.Server.Revoke(t.Context(), "test", issuing, 2); err != nil {
				t.Fatal(err)
			}
		}
	}
	if issuing == "" {
		t.Fatal("no issuing CA")
	}
	again := g.Do("GET", "/v1/transactions/"+tx.Text("transaction_id"), "", nil)
	want(t, again, 200, "")
	if string(again.Raw) != string(signed.Raw) {
		t.Errorf("then  %s\nlater %s", signed.Raw, again.Raw)
	}
	if r, _ := g.Ask(map[string]any{"format": "CMS", "documents": []map[string]any{{"name": "Baucar", "digest": map[string]string{"alg": "SHA-256", "value": "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="}}}}); r.Code() != "certificate_revoked" {
		t.Errorf("the control: %d %s", r.Status, r.Code())
	}
}
