package web

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// The parts of an OpenAPI 3.1 document that the reference shows. Unknown
// members are ignored; references are followed only inside the document.

type document struct {
	Info struct {
		Title, Version, Description string
	}
	Servers    []struct{ URL, Description string }
	Tags       []struct{ Name, Description string }
	Paths      map[string]pathItem
	Security   []map[string][]string
	Components struct {
		Schemas         map[string]*schema
		Parameters      map[string]*parameter
		Headers         map[string]*parameter
		RequestBodies   map[string]*requestBody
		Responses       map[string]*response
		SecuritySchemes map[string]securityScheme
	}
	// Codes is our extension: the stable codes of problem documents.
	Codes []errorCode `json:"x-error-codes"`

	steps int // schemas looked at for the table or sample being made
}

type pathItem struct {
	Parameters                                   []*parameter
	Get, Post, Put, Patch, Delete, Head, Options *apiOperation
}

type apiOperation struct {
	Tags                              []string
	Summary, Description, OperationID string
	Deprecated                        bool
	Parameters                        []*parameter
	RequestBody                       *requestBody
	Responses                         map[string]*response
	Security                          []map[string][]string
	Codes                             []errorCode `json:"x-error-codes"`
}

type parameter struct {
	Ref                   string `json:"$ref"`
	Name, In, Description string
	Required, Deprecated  bool
	Schema                *schema
	Example               json.RawMessage
}

type requestBody struct {
	Ref         string `json:"$ref"`
	Description string
	Required    bool
	Content     map[string]mediaType
}

type response struct {
	Ref         string `json:"$ref"`
	Description string
	Headers     map[string]*parameter
	Content     map[string]mediaType
}

type mediaType struct {
	Schema   *schema
	Example  json.RawMessage
	Examples map[string]struct{ Value json.RawMessage }
}

type securityScheme struct {
	Type, Description, Name, In, Scheme string
	Flows                               map[string]struct{ TokenURL string }
}

type schema struct {
	Ref                                      string `json:"$ref"`
	Type                                     words
	Format, Title, Description, Pattern      string
	ContentEncoding                          string
	Properties                               map[string]*schema
	Required                                 []string
	Items                                    *schema
	AdditionalProperties                     *schema
	OneOf, AnyOf, AllOf                      []*schema
	Enum, Examples                           []json.RawMessage
	Const, Default, Example                  json.RawMessage
	Minimum, Maximum                         json.Number
	ExclusiveMinimum, ExclusiveMaximum       json.Number
	MinLength, MaxLength, MinItems, MaxItems *int
	ReadOnly, WriteOnly, Deprecated          bool

	boolean bool // it was true or false: no members to show
}

// UnmarshalJSON accepts the schemas true and false too (JSON Schema 2020-12,
// Section 4.3.2).
func (s *schema) UnmarshalJSON(p []byte) error {
	if p = bytes.TrimSpace(p); bytes.Equal(p, []byte("true")) || bytes.Equal(p, []byte("false")) {
		s.boolean = true
		return nil
	}
	type plain schema
	return json.Unmarshal(p, (*plain)(s))
}

// words is one string or a list of them.
type words []string

// UnmarshalJSON implements json.Unmarshaler.
func (w *words) UnmarshalJSON(p []byte) error {
	var one string
	if json.Unmarshal(p, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(p, (*[]string)(w))
}

// errorCode is a stable code of a problem document: a string, or an object.
type errorCode struct {
	Code   string
	Status int
	MS, EN string
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *errorCode) UnmarshalJSON(p []byte) error {
	if json.Unmarshal(p, &c.Code) == nil {
		return nil
	}
	type plain errorCode
	return json.Unmarshal(p, (*plain)(c))
}

// Bounds of a document.
const (
	maxDocument = 8 << 20
	maxFollow   = 8 // references behind one another
)

func parseDocument(p []byte) (*document, error) {
	if len(p) > maxDocument {
		return nil, fmt.Errorf("reading OpenAPI document: %d bytes are too many", len(p))
	}
	var d document
	if err := json.Unmarshal(p, &d); err != nil {
		return nil, fmt.Errorf("reading OpenAPI document: %w", err)
	}
	return &d, nil
}
