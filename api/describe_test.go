package api_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/api"
)

func described() *huma.OpenAPI {
	_, doc := api.New(api.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	return doc
}

type operation struct {
	*huma.Operation
	method, path string
}

func operations(doc *huma.OpenAPI) (out []operation) {
	for path, item := range doc.Paths {
		for method, o := range map[string]*huma.Operation{"GET": item.Get, "HEAD": item.Head, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if o != nil {
				out = append(out, operation{o, method, path})
			}
		}
	}
	return out
}

// Each operation has what a developer needs: a summary, who may ask, examples that fit their
// schemas, and with each status of refusal its codes.
func TestEachOperationIsDescribed(t *testing.T) {
	doc := described()
	all := operations(doc)
	if len(all) < 100 {
		t.Fatalf("%d operations", len(all))
	}
	tags, names := map[string]bool{}, map[string]bool{}
	for _, x := range doc.Tags {
		tags[x.Name] = true
	}
	known := knownCodes(doc)
	for _, o := range all {
		t.Run(o.method+o.path, func(t *testing.T) {
			if o.Summary == "" || o.OperationID == "" || names[o.OperationID] || len(o.Tags) != 1 || !tags[o.Tags[0]] {
				t.Errorf("summary %q, id %q, tags %q", o.Summary, o.OperationID, o.Tags)
			}
			names[o.OperationID] = true
			checkSecurity(t, o)
			codes, _ := o.Extensions["x-error-codes"].([]string)
			for _, c := range codes {
				if known[c] == 0 {
					t.Errorf("code %q is in no table", c)
				}
			}
			checkAnswers(t, doc, o, codes, known)
			if o.RequestBody != nil {
				checkExamples(t, doc, o.RequestBody.Content, huma.ModeWriteToServer)
			}
			for _, p := range o.Parameters {
				if p.In == "path" && p.Example == nil {
					t.Errorf("parameter %s has no example", p.Name)
				}
			}
		})
	}
}

func knownCodes(doc *huma.OpenAPI) map[string]int {
	known := map[string]int{}
	var list []struct {
		Code   string
		Status int
	}
	p, _ := json.Marshal(doc.Extensions["x-error-codes"])
	_ = json.Unmarshal(p, &list)
	for _, c := range list {
		known[c.Code] = c.Status
	}
	finer, _ := doc.Extensions["x-finer-codes"].(map[string]int)
	for c, status := range finer {
		known[c] = status
	}
	return known
}

func checkSecurity(t *testing.T, o operation) {
	t.Helper()
	open := []string{"/v1/sessions", "/v1/setup", "/v1/account", "/v1/password", "/v1/public"}
	public := !strings.HasPrefix(o.path, "/v1/") || slices.ContainsFunc(open, func(p string) bool { return o.path == p || strings.HasPrefix(o.path, p+"/") })
	if len(o.Security) == 0 {
		t.Error("no security")
	}
	for _, s := range o.Security {
		if public != (len(s) == 0) {
			t.Errorf("security %v", o.Security)
		}
	}
}

func checkAnswers(t *testing.T, doc *huma.OpenAPI, o operation, codes []string, known map[string]int) {
	t.Helper()
	succeeds, told := false, 0
	for status, r := range o.Responses {
		if r.Ref != "" {
			r = doc.Components.Responses[strings.TrimPrefix(r.Ref, "#/components/responses/")]
		}
		if r == nil || r.Description == "" || r.Headers["X-Request-Id"] == nil {
			t.Errorf("%s: no description or X-Request-Id", status)
			continue
		}
		if succeeds = succeeds || status[0] == '2'; status[0] == '2' || status[0] == '3' {
			checkExamples(t, doc, r.Content, huma.ModeReadFromServer)
			continue
		}
		if (status == "429" || status == "503") && r.Headers["Retry-After"] == nil {
			t.Errorf("%s without Retry-After", status)
		}
		m, here := r.Content["application/problem+json"], 0
		for _, c := range codes {
			if fmt.Sprint(known[c]) == status {
				here++
				if main := doc.Components.Examples[c] != nil; o.method == "HEAD" {
					continue // has no body
				} else if m == nil || main && (m.Examples[c] == nil || m.Examples[c+".en"] == nil) {
					t.Errorf("%s: %s has no example", status, c)
				}
			}
		}
		// An answer in the form of another protocol has none.
		if told += here; here == 0 && (m != nil || len(r.Content) == 0) && o.method != "HEAD" {
			t.Errorf("%s has no code", status)
		}
	}
	if !succeeds || told != len(codes) {
		t.Errorf("answers %d of its codes, success: %v", told, succeeds)
	}
}

// unmade is what stands in an example for a member that has no word in the vocabulary.
var unmade = regexp.MustCompile(`^<\w*>$`)

// checkExamples wants an example of each body that is text, and one that its schema allows.
func checkExamples(t *testing.T, doc *huma.OpenAPI, content map[string]*huma.MediaType, mode huma.ValidateMode) {
	t.Helper()
	for kind, m := range content {
		if m.Example == nil {
			if kind == "application/json" || kind == "text/csv" && mode == huma.ModeWriteToServer || kind == "application/x-ndjson" || kind == "application/x-www-form-urlencoded" {
				t.Errorf("%s has no example", kind)
			}
			continue
		}
		if kind != "application/json" {
			continue
		}
		p, err := json.Marshal(m.Example)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(p, &v); err != nil {
			t.Fatal(err)
		}
		if name := find(v, ""); name != "" {
			t.Errorf("%s: vocabulary() has no word for %s", kind, name)
		}
		var res huma.ValidateResult
		if huma.Validate(doc.Components.Schemas, m.Schema, huma.NewPathBuffer([]byte{}, 0), mode, v, &res); len(res.Errors) > 0 {
			t.Errorf("%s: the example breaks its schema: %v: %s", kind, res.Errors, p)
		}
	}
}

func find(v any, name string) string {
	switch v := v.(type) {
	case string:
		if unmade.MatchString(v) {
			return v
		}
	case map[string]any:
		for k, x := range v {
			if n := find(x, k); n != "" {
				return n
			}
		}
	case []any:
		for _, x := range v {
			if n := find(x, name); n != "" {
				return n
			}
		}
	}
	return ""
}

// Each code is one that some operation answers with, or said of all in the description; its
// words are there in both languages, and differ.
func TestEachCodeIsNamedInBothLanguages(t *testing.T) {
	doc := described()
	named := map[string]bool{"method_not_allowed": true} // of any path
	if !strings.Contains(doc.Info.Description, "method_not_allowed") {
		t.Error("the description does not say when method_not_allowed is answered")
	}
	for _, o := range operations(doc) {
		codes, _ := o.Extensions["x-error-codes"].([]string)
		for _, c := range codes {
			named[c] = true
		}
	}
	for code := range knownCodes(doc) {
		if !named[code] {
			t.Errorf("no operation names %s", code)
		}
	}
	for _, m := range api.Meanings() {
		if m.MS == "" || m.EN == "" || m.MS == m.EN || m.Status < 400 || m.Status > 599 || !regexp.MustCompile(`^[a-z][a-z0-9_]+$`).MatchString(m.Code) {
			t.Errorf("%+v", m)
		}
	}
}

// docs/api.md has a row for each code, with its status, and for no other.
func TestEachCodeIsOnThePage(t *testing.T) {
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Codes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	told := map[string]int{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d{3}) \| ([^|]*) \|`).FindAllStringSubmatch(section, -1) {
		for _, code := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(row[2], -1) {
			if told[code[1]] != 0 {
				t.Errorf("%s is there twice", code[1])
			}
			told[code[1]], _ = strconv.Atoi(row[1])
		}
	}
	known := knownCodes(described())
	for _, code := range slices.Sorted(maps.Keys(known)) {
		if told[code] != known[code] {
			t.Errorf("%s (%d) is told as %d in docs/api.md", code, known[code], told[code])
		}
	}
	for code := range told {
		if known[code] == 0 {
			t.Errorf("docs/api.md has %s, which nobody answers", code)
		}
	}
	if !found || len(told) < 100 {
		t.Errorf("%d codes on the page", len(told))
	}
}

// Details of the rules that huma checks are in both languages: no rule of the schemas is
// told in English alone.
func TestEachRuleIsToldInBothLanguages(t *testing.T) {
	for _, said := range []string{"expected string", "expected object", "expected array", "expected boolean", "expected number", "expected integer", "expected length <= 3", "expected length >= 3", "expected number <= 3", "expected number >= 3", "expected number > 3", "expected number < 3",
		"expected array length <= 3", "expected array length >= 3", "expected array items to be unique", "expected value to be one of \"a, b\"", "expected required property x to be present", "unexpected property", "expected string to be RFC 3339 date-time",
		"expected string to match pattern ^[0-9]+$", "required query parameter is missing", "required header parameter is missing", "invalid integer", "invalid boolean", "invalid date/time", "invalid float", "expected at most 1 item"} {
		if ms, en := api.Rule(said); ms == "" || ms == en {
			t.Errorf("%q: %q, %q", said, ms, en)
		}
	}
}

// An Idempotency-Key is offered where it is taken: for what is asked by POST of somebody who is
// known, and never where the answer is a secret or all that is known of a person.
func TestKeysAreOfferedWhereTheyAreTaken(t *testing.T) {
	doc := described()
	var refused []string
	for _, o := range operations(doc) {
		offered := slices.ContainsFunc(o.Parameters, func(p *huma.Param) bool { return p.Ref == "#/components/parameters/Idempotency-Key" })
		secret := ""
		for status, r := range o.Responses {
			if m := r.Content["application/json"]; status[0] == '2' && m != nil && m.Schema != nil && m.Schema.Ref != "" {
				for _, name := range []string{"secret", "otpauth", "token"} {
					if doc.Components.Schemas.SchemaFromRef(m.Schema.Ref).Properties[name] != nil {
						secret = name
					}
				}
			}
			if status[0] == '2' && r.Content["application/zip"] != nil {
				secret = "the whole file"
			}
		}
		known := len(o.Security) > 0 && len(o.Security[0]) > 0
		switch {
		case offered && (secret != "" || o.method != "POST" || !known):
			t.Errorf("%s %s takes a key and answers %s", o.method, o.path, secret)
		case !offered && o.method == "POST" && known:
			refused = append(refused, o.OperationID)
		}
	}
	slices.Sort(refused)
	if want := []string{"addAppCredential", "exportOfficer", "previewEcertTemplate", "secondFactor", "setWebhook"}; !slices.Equal(refused, want) {
		t.Errorf("no key is offered for %v, want %v", refused, want)
	}
}

// The grants that operations of apps need in the place of sign stand where they are registered.
func TestGrantsOfOperations(t *testing.T) {
	got := map[string]string{}
	for _, o := range operations(described()) {
		if g := api.GrantOf(o.Operation); g != "sign" {
			got[o.OperationID] = g
		}
	}
	if want := map[string]string{"medium": "lookup", "certificate": "lookup", "verify": "verify"}; !maps.Equal(got, want) || api.GrantOf(nil) != "sign" {
		t.Errorf("%v, want %v", got, want)
	}
}
