package gatewaytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/api"
)

// document is the API's description.
var document = sync.OnceValue(func() *huma.OpenAPI {
	_, doc := api.New(api.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	return doc
})

// maxChecked bounds an answer that is held against the document, in bytes.
const maxChecked = 1 << 20

// Contract holds each answer of next against the OpenAPI document: its status, media type,
// required headers, members, and the code of a problem. broken hears of what the document
// does not say. Pages and what has no description are let through.
func Contract(next http.Handler, broken func(string)) http.Handler {
	routes, ok := next.(chi.Routes)
	if !ok {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := operation(routes, r)
		if o == nil {
			next.ServeHTTP(w, r)
			return
		}
		seen := &witness{ResponseWriter: w}
		defer func() {
			if v := recover(); v != nil {
				panic(v) // a connection that was cut: there is no answer to judge
			}
			if err := judge(o, seen); err != nil {
				broken(fmt.Sprintf("%s (%s %s) answered %d, which the OpenAPI document does not say: %v: %.300s", o.OperationID, r.Method, r.URL.Path, seen.status, err, seen.body.Bytes()))
			}
		}()
		next.ServeHTTP(seen, r)
	})
}

func operation(routes chi.Routes, r *http.Request) *huma.Operation {
	item := document().Paths[routes.Find(chi.NewRouteContext(), r.Method, r.URL.Path)]
	if item == nil {
		return nil
	}
	return map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodHead: item.Head, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete}[r.Method]
}

func judge(o *huma.Operation, seen *witness) error {
	if seen.status == 0 {
		return nil // the client went away
	}
	components := document().Components
	said := o.Responses[strconv.Itoa(seen.status)]
	if said != nil && said.Ref != "" {
		said = components.Responses[strings.TrimPrefix(said.Ref, "#/components/responses/")]
	}
	if said == nil {
		return fmt.Errorf("status")
	}
	for name, h := range said.Headers {
		if h.Ref != "" {
			h = components.Headers[strings.TrimPrefix(h.Ref, "#/components/headers/")]
		}
		// Words have a language; an answer in the form of another protocol has none.
		if h.Required && seen.header.Get(name) == "" {
			return fmt.Errorf("no %s", name)
		}
	}
	kind, _, _ := mime.ParseMediaType(seen.header.Get("Content-Type"))
	if len(said.Content) == 0 && (seen.body.Len() == 0 || o.Method == http.MethodHead) { // nothing of it is sent
		return nil
	}
	m := said.Content[kind]
	if m == nil {
		return fmt.Errorf("media type %q", kind)
	}
	if !strings.HasSuffix(kind, "json") || seen.cut {
		return nil
	}
	var v any
	if err := json.Unmarshal(seen.body.Bytes(), &v); err != nil {
		return err
	}
	if m.Schema != nil {
		res := huma.ValidateResult{}
		if huma.Validate(components.Schemas, m.Schema, huma.NewPathBuffer([]byte{}, 0), huma.ModeReadFromServer, v, &res); len(res.Errors) > 0 {
			return res.Errors[0]
		}
	}
	if kind == "application/problem+json" {
		p, _ := v.(map[string]any)
		code, _ := p["code"].(string)
		if codes, _ := o.Extensions["x-error-codes"].([]string); !slices.Contains(codes, code) {
			return fmt.Errorf("code %s", code)
		}
	}
	return nil
}

// witness keeps what is answered.
type witness struct {
	http.ResponseWriter
	status int
	header http.Header
	body   bytes.Buffer
	cut    bool
}

func (w *witness) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.header = status, w.Header().Clone()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *witness) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status, w.header = http.StatusOK, w.Header().Clone()
	}
	if w.cut = w.cut || w.body.Len()+len(p) > maxChecked; !w.cut {
		w.body.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap implements the interface of http.ResponseController.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }
