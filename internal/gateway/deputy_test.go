//go:build !race

package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// spec is what tests read of the OpenAPI document that a gateway serves.
type spec struct {
	Paths      map[string]map[string]*specOperation
	Components struct {
		Schemas map[string]*specSchema
	}
}

type specOperation struct {
	OperationID string
	Security    []map[string][]string
	Parameters  []struct {
		Name, In string
		Example  any
	}
	RequestBody *struct {
		Content map[string]*struct {
			Schema  *specSchema
			Example any
		}
	}
	Responses map[string]*struct {
		Content map[string]*struct{ Example any }
	}
}

type specSchema struct {
	Ref        string `json:"$ref"`
	Properties map[string]*specSchema
	Items      *specSchema
}

func specOf(t *testing.T, g *gatewaytest.Gateway) *spec {
	t.Helper()
	var s spec
	if err := json.Unmarshal(g.Do(http.MethodGet, "/openapi.json", "", nil).Raw, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// each calls f for every operation, in order.
func (s *spec) each(f func(method, path string, o *specOperation)) {
	for _, path := range slices.Sorted(maps.Keys(s.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(s.Paths[path])) {
			f(strings.ToUpper(method), path, s.Paths[path][method])
		}
	}
}

// ofApps says whether an operation is for apps.
func (o *specOperation) ofApps() bool {
	return slices.ContainsFunc(o.Security, func(r map[string][]string) bool { _, is := r["apiKey"]; return is })
}

// places are where an operation of apps takes an id: "path.id", "body.documents[].document_id".
func (s *spec) places(o *specOperation) (out []string) {
	for _, p := range o.Parameters {
		if isID(p.Name) {
			out = append(out, p.In+"."+p.Name)
		}
	}
	if o.RequestBody != nil {
		for _, m := range o.RequestBody.Content {
			out = append(out, s.members("body", m.Schema, 0)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (s *spec) members(at string, x *specSchema, depth int) (out []string) {
	if x != nil && x.Ref != "" {
		x = s.Components.Schemas[strings.TrimPrefix(x.Ref, "#/components/schemas/")]
	}
	if x == nil || depth > 6 {
		return nil
	}
	for name, m := range x.Properties {
		if isID(name) {
			out = append(out, at+"."+name)
		}
		out = append(out, s.members(at+"."+name, m, depth+1)...)
	}
	return append(out, s.members(at+"[]", x.Items, depth+1)...)
}

func isID(name string) bool {
	return name == "id" || name == "ic" || name == "serial" || strings.HasSuffix(name, "_id") || strings.HasSuffix(name, "_ids") || strings.HasSuffix(name, "serial_number") || name == "code"
}

// thing is somebody else's, one that never was, and who asks for them.
type thing struct {
	foreign, absent string
	as              func(credential int) []string // headers of the app that asks
}

// credentials is how many ways an app has to say who it is.
const credentials = 3

// credentialsOf are the ways of an app: API key, Basic, bearer token.
func credentialsOf(t *testing.T, g *gatewaytest.Gateway, id, secretText, key string) func(int) []string {
	t.Helper()
	form := []byte("grant_type=client_credentials&client_id=" + id + "&client_secret=" + secretText)
	token := g.Do("POST", "/oauth2/token", "application/x-www-form-urlencoded", form, "X-API-Key", "")
	want(t, token, 200, "")
	return func(k int) []string {
		return [][]string{{"X-API-Key", key}, {"X-API-Key", "", "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secretText))},
			{"X-API-Key", "", "Authorization", "Bearer " + token.Text("access_token")}}[k]
	}
}

// deputies makes an app of the same system as the sandbox's, with things of its own, and one
// of another system.
func deputies(t *testing.T, g *gatewaytest.Gateway) map[string]thing {
	t.Helper()
	register := func(a enrol.App) (headers func(int) []string) {
		_, secretText, key, err := g.Server.Apps.Register(t.Context(), "test", a)
		if err != nil {
			t.Fatal(err)
		}
		return credentialsOf(t, g, a.ID, string(secretText.Reveal()), string(key.Reveal()))
	}
	twin := register(enrol.App{ID: "kembar", Name: "Kembar", Systems: []string{g.Dev.System}, Grants: []string{enrol.GrantRAW}, PINEntry: enrol.PINInApp, Rate: 1e6})
	stranger := register(enrol.App{ID: "lain", Name: "Lain", Systems: []string{"LAIN"}, Grants: []string{enrol.GrantRAW}, PINEntry: enrol.PINInApp, Rate: 1e6})
	own := credentialsOf(t, g, g.Dev.ClientID, string(g.Dev.ClientSecret.Reveal()), string(g.Dev.APIKey.Reveal()))
	made := func(path, contentType string, body any, member string) string {
		r := g.Do("POST", path, contentType, body, twin(0)...)
		want(t, r, 201, "")
		return r.Text(member)
	}
	o := g.Dev.Officers[0]
	tx := made("/v1/transactions", "", map[string]any{"ic": o.IC, "system": g.Dev.System, "format": "RAW", "documents": []any{digestRef("satu")}}, "transaction_id")
	doc := made("/v1/documents?name=x.pdf", "application/pdf", voucher(t), "document_id")
	batch := made("/v1/batches", "", map[string]any{"name": "Kembar", "kind": "digest"}, "batch_id")
	want(t, g.Do("POST", "/v1/batches/"+batch+"/items", "application/x-ndjson", []byte(`{"name":"a","digest":{"alg":"SHA-256","value":"WJG1vVwTF7X8xH0zf5b0KmgzhsUhmgSf+hQTz9G2NgM="}}`), twin(0)...), 200, "")
	want(t, g.Do("POST", "/v1/batches/"+batch+"/seal", "", nil, twin(0)...), 200, "")
	another := g.Dev.Officers[1]
	return map[string]thing{
		"transaction": {tx, "tx_6q2v7cpnlkz5dwyt4ahb3mse2e", own},
		"document":    {doc, "do_m5b2h7q3xvwz4kc6tyn2ad3lre", own},
		"batch":       {batch, "ba_c3wz6n2kq7hy4tx5vdlm2baope", own},
		"officer":     {o.IC, "790308109903", stranger},
		"certificate": {certificate(t, g, o.Credentials[0].CredentialID).SerialNumber.String(), "274877906944001", stranger},
		"credential":  {another.Credentials[0].CredentialID, "cr_w5t3yq7kzn2hd6vbc4xml2ajoe", own},
	}
}

// kindOfPlace says whose id stands in a place of an operation; "" for one that is none of a
// thing that apps own.
func kindOfPlace(path, place string) (kind string, known bool) {
	name := place[strings.LastIndex(place, ".")+1:]
	if place == "path.id" {
		for part, kind := range map[string]string{"/v1/transactions/": "transaction", "/v1/documents/": "document", "/v1/batches/": "batch"} {
			if strings.HasPrefix(path, part) {
				return kind, true
			}
		}
		return "", false
	}
	kind, known = map[string]string{"ic": "officer", "serial": "certificate", "document_id": "document", "batch_id": "batch", "credential_id": "credential", "transaction_id": "transaction"}[name]
	return kind, known
}

// requestFor makes the request of an operation with value in a place; the rest is the document's
// example.
func requestFor(t *testing.T, g *gatewaytest.Gateway, method, path string, o *specOperation, place, value string) (address, contentType string, body []byte) {
	t.Helper()
	address = path
	for _, p := range o.Parameters {
		v := fmt.Sprint(p.Example)
		if place == p.In+"."+p.Name {
			v = value
		}
		if p.In == "path" {
			address = strings.ReplaceAll(address, "{"+p.Name+"}", v)
		}
	}
	if o.RequestBody == nil {
		return address, "", nil
	}
	for _, contentType = range slices.Sorted(maps.Keys(o.RequestBody.Content)) {
		example := o.RequestBody.Content[contentType].Example
		if text, is := example.(string); is {
			return address, contentType, []byte(text)
		}
		if b, is := example.(map[string]any); is {
			b = maps.Clone(b)
			if b["ic"] != nil {
				b["ic"] = g.Dev.Officers[0].IC
			}
			put(b, place, value)
			p, err := json.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			return address, contentType, p
		}
	}
	return address, contentType, []byte("x")
}

// put sets a member of a body, and what goes with it.
func put(b map[string]any, place, value string) {
	switch place {
	case "body.batch_id":
		delete(b, "documents")
		b["batch_id"] = value
	case "body.documents[].document_id":
		b["format"], b["documents"] = "PADES", []any{map[string]any{"document_id": value}}
	case "body.ic":
		b["ic"], b["system"] = value, "LAIN"
	default:
		if name, is := strings.CutPrefix(place, "body."); is {
			b[name] = value
		}
	}
}

// Whatever belongs to another app, or to an officer without a medium for one's systems, is
// answered as what never was: status, code and words. The table is made of the OpenAPI
// document: a new place for an id fails until it is known whose it is.
func TestOthersThingsAreAsIfTheyWereNot(t *testing.T) {
	g := gatewaytest.New(t)
	s, things := specOf(t, g), deputies(t, g)
	rows := 0
	s.each(func(method, path string, o *specOperation) {
		if !o.ofApps() {
			return
		}
		for _, place := range s.places(o) {
			kind, known := kindOfPlace(path, place)
			if !known {
				t.Errorf("%s %s takes an id in %s: say in kindOfPlace whose it is", method, path, place)
				continue
			}
			x := things[kind]
			for k := range credentials {
				rows++
				var got [2]map[string]any
				var status [2]int
				for n, value := range []string{x.foreign, x.absent} {
					address, contentType, body := requestFor(t, g, method, path, o, place, value)
					var b any
					if body != nil {
						b = body
					}
					g.Clock.Advance(1e9)
					r := g.Do(method, address, contentType, b, x.as(k)...)
					got[n], status[n] = r.Body, r.Status
					delete(got[n], "instance")
					if r.Status != 404 && (kind != "credential" || r.Code() != "no_active_certificate") {
						t.Errorf("%s %s with %s of another (%v) is %d: %s", method, path, place, n == 0, r.Status, r.Raw)
					}
				}
				if status[0] != status[1] || !reflect.DeepEqual(got[0], got[1]) {
					t.Errorf("%s %s, %s: another's is %d %v, none %d %v", method, path, place, status[0], got[0], status[1], got[1])
				}
			}
		}
	})
	t.Logf("%d rows, 0 accepted", rows)
	if rows < 40 {
		t.Errorf("%d rows", rows)
	}
	// Nothing happened to what was asked for.
	twin := things["transaction"].foreign
	if n := count(t, g, "SELECT COUNT(*) FROM transactions WHERE id = '"+twin+"' AND status = 'WAITING'"); n != 1 {
		t.Errorf("the other app's transaction was touched")
	}
}

// Who may enter where: each operation against each kind of caller, as the document says.
func TestRoutesByCaller(t *testing.T) {
	g := gatewaytest.New(t)
	s, nobody := specOf(t, g), newBrowser(t, g)
	officer, auditor := loggedIn(t, g), appointed(t, g, "700101105551", enrol.Auditor, "", "")
	key := func() *browser {
		b := newBrowser(t, g)
		b.header["X-API-Key"] = string(g.Dev.APIKey.Reveal())
		return b
	}
	both := key() // an app that has got hold of a session
	maps.Copy(both.cookies, auditor.cookies)
	refused := func(r *gatewaytest.Reply) bool { return r.Status == 401 || r.Status == 403 && r.Code() == "forbidden" }
	rows := 0
	s.each(func(method, path string, o *specOperation) {
		if !strings.HasPrefix(path, "/v1/") || len(o.Security[0]) == 0 {
			return
		}
		admin := strings.HasPrefix(path, "/v1/admin")
		session := slices.ContainsFunc(o.Security, func(x map[string][]string) bool { return x["cookie"] != nil })
		for name, c := range map[string]struct {
			b  *browser
			in bool
		}{"nobody": {nobody, false}, "app": {key(), o.ofApps()}, "officer": {officer, session && !admin}, "administrator": {auditor, session}, "app with a session": {both, false}} {
			if c.in && name != "app" {
				continue // whoever is let in is the matter of other tests; here it would do things
			}
			rows++
			address, _, _ := requestFor(t, g, method, path, o, "", "")
			g.Clock.Advance(1e9)
			if r := c.b.do(method, address, nil); refused(r) == c.in {
				t.Errorf("%s %s by %s: %d %s", method, path, name, r.Status, r.Raw)
			}
		}
	})
	t.Logf("%d rows", rows)
	if rows < 400 {
		t.Errorf("%d rows", rows)
	}
}
