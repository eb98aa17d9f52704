package gateway_test

import (
	"testing"

	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// One person does not take two roles of one document by giving it, or its reference, another name.
func TestCopiesOfWhatWasSigned(t *testing.T) {
	g := gatewaytest.New(t)
	mine := string(g.Dev.APIKey.Reveal())
	one, two := &role{g, g.Dev.Officers[0], mine}, &role{g, g.Dev.Officers[1], mine}
	refused := func(what string, r *role, ask map[string]any, status int, code string) {
		t.Helper()
		before := g.Server.Mailbox.Mark()
		got, _ := r.ask(ask)
		if want(t, got, status, code); g.Server.Mailbox.Mark() != before {
			t.Errorf("%s: a code was sent", what)
		}
	}
	cms := func(process, role, reference, content string) map[string]any {
		d := digestRef(content)
		d["reference"] = reference
		return map[string]any{"format": "CMS", "process": process, "role": role, "documents": []any{d}}
	}
	tx, code := one.ask(cms("AA-11", "Perakuan 1", "V-1", "baucar"))
	want(t, tx, 201, "")
	want(t, one.sign(tx, code), 200, "")
	refused("another spelling", two, cms("AA-11", "Perakuan 1", "V-01", "baucar"), 403, "documents_mismatch")
	refused("another process", two, cms("AA-01", "Perakuan 1", "V-1", "lain"), 409, "role_out_of_order")
	refused("another process by the same person", one, cms("AA-01", "Perakuan 1", "V-1", "lain"), 409, "duplicate_signatory")
	refused("without a process", two, cms("", "", "", "baucar"), 403, "documents_mismatch")

	id := upload(t, g, voucher(t))
	tx, code = one.ask(map[string]any{"role": "Perakuan 1", "documents": []any{map[string]string{"document_id": id, "reference": "P-1"}}})
	want(t, tx, 201, "")
	want(t, one.sign(tx, code), 200, "")
	signed := g.Do("GET", "/v1/documents/"+id+"/content", "", nil, "X-API-Key", mine)
	want(t, signed, 200, "")
	for what, file := range map[string][]byte{"the original": voucher(t), "the signed file": signed.Raw} {
		again := []any{map[string]string{"document_id": upload(t, g, file), "reference": "P-2"}}
		refused(what+", uploaded again", one, map[string]any{"role": "Perakuan 1", "documents": again}, 409, "duplicate_signatory")
		refused(what+", by somebody else", two, map[string]any{"role": "Perakuan 1", "documents": again}, 403, "documents_mismatch")
		refused(what+", without a process", one, map[string]any{"process": "", "documents": again}, 403, "documents_mismatch")
	}
}

// What stands behind the digest of a prepared PDF nobody here recognises: it wants a grant.
func TestPreparedPDFsWantAGrant(t *testing.T) {
	g := gatewaytest.New(t)
	gui, _ := twoApps(t, g)
	mine := string(g.Dev.APIKey.Reveal())
	digests := func(format string) map[string]any {
		return map[string]any{"process": "", "format": format, "documents": []any{digestRef("ByteRange")}}
	}
	bulk := func(key string) map[string]any {
		b := g.Do("POST", "/v1/batches", "", map[string]string{"name": "Baucar", "kind": "digest"}, "X-API-Key", key)
		want(t, b, 201, "")
		id := b.Text("batch_id")
		want(t, g.Do("POST", "/v1/batches/"+id+"/items", "application/x-ndjson", []byte(`{"name":"x","digest":{"alg":"SHA-256","value":"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="}}`), "X-API-Key", key), 200, "")
		want(t, g.Do("POST", "/v1/batches/"+id+"/seal", "", nil, "X-API-Key", key), 200, "")
		return map[string]any{"process": "", "format": "PADES", "batch_id": id}
	}
	without, with := &role{g, g.Dev.Officers[0], gui}, &role{g, g.Dev.Officers[0], mine}
	got, _ := without.ask(digests("PADES"))
	want(t, got, 403, "forbidden")
	got, _ = without.ask(bulk(gui))
	want(t, got, 403, "forbidden")
	got, _ = without.ask(digests("CMS"))
	want(t, got, 201, "")
	got, _ = with.ask(digests("PADES"))
	want(t, got, 201, "")
	got, _ = with.ask(bulk(mine))
	want(t, got, 201, "")
}
