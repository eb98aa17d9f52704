package web_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web"
)

const sampleAPI = `{
 "openapi": "3.1.0",
 "info": {"title": "Mohor", "version": "1.0", "description": "Errors carry a stable ` + "`code`" + `.\n\nSecond paragraph."},
 "servers": [{"url": "https://sign.example"}],
 "tags": [{"name": "Transactions", "description": "One PIN + OTP"}, {"name": "Officers"}, {"name": "Unused"}],
 "x-error-codes": [{"code": "otp_wrong", "status": 403, "ms": "Kod OTP salah", "en": "The code is wrong"}],
 "security": [{"apiKey": []}],
 "paths": {
  "/v1/officers/{ic}/medium": {
   "parameters": [{"name": "ic", "in": "path", "required": true, "schema": {"type": "string", "pattern": "^[0-9]{12}$"}, "description": "MyKad number"}],
   "get": {"tags": ["Officers"], "operationId": "medium", "summary": "Which medium", "responses": {
     "200": {"description": "Media", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Officer"}}}},
     "404": {"description": "Not Found", "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}}}},
  "/v1/transactions": {"post": {"tags": ["Transactions"], "operationId": "createTransaction", "summary": "Ask for a signature", "security": [{"oauth2": []}, {"apiKey": []}],
   "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}}},
   "responses": {"201": {"description": "Created", "headers": {"Location": {"schema": {"type": "string"}}}, "content": {"application/json": {"schema": {"type": "object", "properties": {"nonce": {"type": "string"}}}}}},
    "409": {"$ref": "#/components/responses/Conflict"}}}},
  "/healthz": {"get": {"summary": "Alive", "deprecated": true, "responses": {"204": {"description": "No Content"}}}}
 },
 "components": {
  "responses": {"Conflict": {"description": "Conflict", "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}},
  "securitySchemes": {"apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}, "oauth2": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/oauth2/token", "scopes": {}}}}},
  "schemas": {
   "Problem": {"type": "object", "required": ["code"], "properties": {"code": {"type": "string", "description": "Stable code"}}},
   "Officer": {"type": "object", "properties": {"ic": {"type": "string"}, "$schema": {"type": "string"}, "media": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/Medium"}}}},
   "Medium": {"type": "object", "required": ["medium"], "properties": {"medium": {"type": "string", "enum": ["TOKEN", "ROAMING_OTP"], "description": "How the key is held"}, "der": {"type": "string", "contentEncoding": "base64"}, "parent": {"$ref": "#/components/schemas/Medium"}}},
   "New": {"type": "object", "required": ["ic", "documents"], "properties": {
     "ic": {"type": "string", "minLength": 12, "maxLength": 12, "examples": ["240405888916"]},
     "count": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 10, "default": 3},
     "documents": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "extra": true}}},
     "labels": {"type": "object", "additionalProperties": {"type": "object", "properties": {"colour": {"type": "string"}}}},
     "choice": {"oneOf": [{"type": "string"}, {"type": "object", "properties": {"deep": {"type": "boolean"}}}]}}}
  }
 }
}`

const sampleHostile = `{"openapi":"3.1.0","info":{"title":"@@","version":"@@","description":"@@ ` + "`@@`" + `"},"servers":[{"url":"@@"}],"tags":[{"name":"@@","description":"@@"}],
"x-error-codes":[{"code":"@@","status":1,"ms":"@@","en":"@@"}],
"paths":{"/@@":{"get":{"tags":["@@"],"operationId":"@@","summary":"@@","description":"@@","security":[{"@@":[]}],"parameters":[{"name":"@@","in":"@@","description":"@@","example":"@@","schema":{"type":"@@","pattern":"@@","enum":["@@"],"default":"@@"}}],
"requestBody":{"description":"@@","content":{"@@json":{"example":{"@@":"@@"},"schema":{"type":"object","properties":{"@@":{"type":"string","description":"@@"}}}}}},
"responses":{"@@":{"description":"@@","headers":{"@@":{}},"content":{"application/problem+json":{"schema":{"properties":{"@@":{}}}}}}}}}},
"components":{"securitySchemes":{"a":{"type":"@@"},"b":{"type":"apiKey","name":"@@","in":"@@"}}}}`

func TestReferenceShowsTheDocument(t *testing.T) {
	c, _ := config()
	w := visit(c, "GET", "/docs", "")
	page := w.Body.String()
	for _, want := range []string{
		"Rujukan API", "API reference", "Mohor 1.0", "stable <code>code</code>.", "<p>Second paragraph.</p>", "<code>https://sign.example</code>",
		"API key: X-API-Key: … (header)", "OAuth 2.0 clientCredentials: POST /oauth2/token",
		`<h2 id="tag-Transactions">Transactions</h2>`, `id="op-createTransaction"`, `href="#op-medium"`, "Lain-lain / Other", "usang / deprecated",
		`<span class="m POST">POST</span> <code>/v1/transactions</code>`, "Pengesahan <span lang=\"en\">/ Authentication</span>: oauth2 | apiKey", ": apiKey</p>",
		"<code>ic</code><span class=\"required\">wajib", "path, string", "pattern ^[0-9]{12}$", "MyKad number",
		"<code>media[].medium</code>", "TOKEN · ROAMING_OTP", "How the key is held", "array of object | null", "string (base64)",
		"<code>documents[].name</code>", "<code>documents[].extra</code>", "<code>labels.*.colour</code>", "<code>choice.deep</code>", "string | object",
		"integer (int32)", "≥ 1", "≤ 10", "lalai / default 3", "12 aksara / characters", "≥ 1 item / items", "<code>Location</code>",
		"&#34;ic&#34;: &#34;240405888916&#34;", `<span class="status">404</span> Not Found`, `<span class="status">409</span> Conflict`,
		`<section id="ralat">`, "Stable code", "<code>otp_wrong</code></td><td>403</td><td>Kod OTP salah", "The code is wrong",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %q", want)
		}
	}
	if strings.Contains(page, "$schema") || strings.Contains(page, "Unused") {
		t.Error("the page shows what it should leave out")
	}
	if strings.Index(page, "tag-Transactions") > strings.Index(page, "tag-Officers") {
		t.Error("the groups are not in the document's order")
	}
	if n := strings.Count(page, "<code>media[].parent"); n != 1 {
		t.Errorf("a circle of references is shown %d times", n)
	}
}

func TestReferenceIsMadeOnceAndRevalidated(t *testing.T) {
	c, _ := config()
	asked := 0
	c.OpenAPI = func() []byte {
		if asked++; asked == 1 {
			return []byte(`{"info":`) // not there yet
		}
		return []byte(sampleAPI)
	}
	r := chi.NewRouter()
	web.Routes(r, c)
	get := func(match string) *httptest.ResponseRecorder {
		q := httptest.NewRequest("GET", "/docs", nil)
		q.Header.Set("If-None-Match", match)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, q)
		return w
	}
	if w := get(""); w.Code != 503 || w.Header().Get("ETag") != "" {
		t.Fatalf("a broken document: %d", w.Code)
	}
	first := get("")
	if w := get(first.Header().Get("ETag")); first.Code != 200 || w.Code != 304 || asked != 2 {
		t.Fatalf("got %d, then %d, asked %d times", first.Code, w.Code, asked)
	}
}

// Documents that are no documents, or turn in circles, end in a page or an
// apology, quickly.
func TestReferenceOfOddDocuments(t *testing.T) {
	var wide strings.Builder
	wide.WriteString(`{"paths":{"/x":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/A"}}}}}}},"components":{"schemas":{`)
	for _, from := range []string{"A", "B", "C", "D", "E", "F"} {
		wide.WriteString(`"` + from + `":{"type":"object","required":["pA","pB","pC","pD","pE","pF"],"properties":{`)
		for i, to := range []string{"A", "B", "C", "D", "E", "F"} {
			if i > 0 {
				wide.WriteString(",")
			}
			wide.WriteString(`"p` + to + `":{"$ref":"#/components/schemas/` + to + `"}`)
		}
		wide.WriteString(`}},`)
	}
	wide.WriteString(`"Z":{}}}}`)
	for name, doc := range map[string]string{
		"empty": ``, "null": `null`, "list": `[]`, "no paths": `{}`, "nulls": `{"paths":{"/x":{"get":{"parameters":[null],"responses":{"200":null},"requestBody":{"content":{"application/json":{"schema":null}}}}}}}`,
		"self":     `{"paths":{"/x":{"post":{"requestBody":{"$ref":"#/components/requestBodies/no"},"responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/A"}}}}}}}},"components":{"schemas":{"A":{"$ref":"#/components/schemas/A"}}}}`,
		"all":      `{"paths":{"/x":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/A"}}}}}}},"components":{"schemas":{"A":{"allOf":[{"$ref":"#/components/schemas/A"},{"$ref":"#/components/schemas/A"}]}}}}`,
		"deep":     `{"paths":{"/x":{"post":{"requestBody":{"content":{"application/json":{"schema":` + strings.Repeat(`{"type":"array","items":`, 2000) + `{}` + strings.Repeat(`}`, 2000) + `}}}}}}}`,
		"wide":     wide.String(),
		"too much": strings.Repeat(" ", 9<<20) + `{}`,
	} {
		c, _ := config()
		c.OpenAPI = func() []byte { return []byte(doc) }
		w := visit(c, "GET", "/docs", "")
		if w.Code != 200 && w.Code != 503 || w.Body.Len() > 1<<20 {
			t.Errorf("%s: %d, %d bytes", name, w.Code, w.Body.Len())
		}
	}
	c, _ := config()
	c.OpenAPI = nil
	if w := visit(c, "GET", "/docs", ""); w.Code != 503 {
		t.Errorf("no document: %d", w.Code)
	}
}
