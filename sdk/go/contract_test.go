package mohor_test

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	mohor "github.com/mohor-sign/mohor/sdk/go"
)

// Each schema that an application meets has its type here, with all its members and no others.
func TestTypesAreThoseOfTheContract(t *testing.T) {
	types := map[string]any{
		"BatchBody": mohor.Batch{}, "Certification": mohor.Certification{}, "CertificateBody": mohor.Certificate{}, "CreateBody": mohor.Ask{}, "DigestBody": mohor.Digest{}, "DocumentBody": mohor.Upload{},
		"DocumentItem": mohor.Asked{}, "DocumentRef": mohor.Document{}, "InformationBody": mohor.Information{}, "IntakeOutputBody": mohor.Intake{}, "ItemBody": mohor.Item{}, "ItemProofBody": mohor.Proof{}, "NeedsBody": mohor.Needs{},
		"FindingBody": mohor.Finding{}, "RefusalBody": mohor.UploadRefusal{}, "Lock": mohor.Lock{}, "MediumBody": mohor.Medium{}, "OfficerBody": mohor.Officer{}, "NoteBody": mohor.Note{}, "OtpBody": mohor.OTP{}, "PayeesBody": mohor.Payees{}, "PadesBody": mohor.PAdES{}, "Problem": mohor.Problem{}, "ProcessBody": mohor.Process{},
		"Reason": mohor.Reason{}, "Refusal": mohor.RefusedRow{}, "Report": mohor.Report{}, "SignatoryBody": mohor.Signatory{}, "Signature": mohor.VerifiedSignature{},
		"SignatureBody": mohor.Signature{}, "Timestamp": mohor.Timestamp{}, "TotalBody": mohor.Total{}, "TransactionBody": mohor.Transaction{}, "VisibleBody": mohor.Visible{}, "WaitingBody": mohor.Waiting{},
	}
	// What methods take apart, or put together.
	inside := []string{"BatchCreateInputBody", "Fault", "InboxOutputBody", "Item", "ItemsOutputBody", "KeyBody", "ProcessesOutputBody", "RefusedPage", "ResendInputBody", "RetryInputBody", "Revocation", "SealInputBody", "SignBody"}
	doc := contract(t)
	met := doc.met()
	for _, name := range slices.Sorted(maps.Keys(met)) {
		if types[name] == nil && !slices.Contains(inside, name) {
			t.Errorf("%s has no type", name)
		}
	}
	for name, v := range types {
		want, got := slices.Sorted(maps.Keys(doc.Components.Schemas[name].Properties)), members(reflect.TypeOf(v))
		switch name {
		case "Problem": // errors is for forms of people, retry_after a duration
			want = slices.DeleteFunc(want, func(s string) bool { return s == "errors" || s == "retry_after" })
		}
		if !met[name] || !slices.Equal(got, want) {
			t.Errorf("%s: %T has %v, the contract %v", name, v, got, want)
		}
	}
}

func members(t reflect.Type) (out []string) {
	for k := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(k).Tag.Get("json"), ","); name != "" && name != "-" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// document is as much of the OpenAPI document as the test needs.
type document struct {
	Paths map[string]map[string]struct {
		Security []map[string]any
		Body     json.RawMessage `json:"requestBody"`
		Answers  json.RawMessage `json:"responses"`
	}
	Components struct {
		Schemas map[string]struct {
			Properties map[string]json.RawMessage
		}
	}
}

func contract(t *testing.T) *document {
	t.Helper()
	text, err := os.ReadFile("../../api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	d := new(document)
	if err := json.Unmarshal(text, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// met are the schemas of applications' operations, and those inside them. Certificates by number
// and templates of appearances are not among the client's calls.
func (d *document) met() map[string]bool {
	met := map[string]bool{}
	var walk func(text []byte)
	walk = func(text []byte) {
		const ref = `"#/components/schemas/`
		for _, part := range strings.Split(string(text), ref)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			if met[name] {
				continue
			}
			met[name] = true
			for _, p := range d.Components.Schemas[name].Properties {
				walk(p)
			}
		}
	}
	for path, item := range d.Paths {
		for _, o := range item {
			if len(o.Security) > 0 && o.Security[0]["oauth2"] != nil && !strings.HasPrefix(path, "/v1/certificates/") && path != "/v1/templates" {
				walk(o.Body)
				walk(o.Answers)
			}
		}
	}
	met["Problem"] = true // by reference to answers
	return met
}
