package api

import (
	"cmp"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/enrol"
)

// What an operation's metadata says besides: the statuses that op was given, the grant that an
// app needs, and whether the answer must be kept nowhere. It stands where the route is registered.
const (
	declared = "declared"
	grant    = "grant"
	secretly = "secretly"
)

// granted is an operation of apps that needs this grant in the place of sign.
func granted(name string, o huma.Operation) huma.Operation {
	o.Metadata[grant] = name
	return o
}

// unkept is an operation that stores nothing, or whose answer holds a seed, the secret of an app or all that is known of
// a person: it is kept for no Idempotency-Key.
func unkept(o huma.Operation) huma.Operation {
	o.Metadata[secretly] = true
	return o
}

// grantOf is the grant that an operation of apps needs; that of what there is not is sign.
func grantOf(o *huma.Operation) string {
	if o != nil {
		if name, ok := o.Metadata[grant].(string); ok {
			return name
		}
	}
	return enrol.GrantSign
}

// repeatable says whether an operation takes an Idempotency-Key.
func repeatable(o *huma.Operation) bool {
	kind := kindOf(o.Path)
	return o.Method == http.MethodPost && o.Metadata[secretly] == nil && (kind == "app" || kind == "person" || kind == "administrator")
}

// operationsByRoute are all operations, by method and pattern.
func operationsByRoute(doc *huma.OpenAPI) map[string]*huma.Operation {
	out := map[string]*huma.Operation{}
	for path, item := range doc.Paths {
		for _, o := range operationsOf(item) {
			out[o.Method+" "+path] = o
		}
	}
	return out
}

// operation is what the router will have answer r; nil when there is nothing, or it is no
// operation of the API.
func (s *server) operation(r *http.Request) *huma.Operation {
	c := chi.RouteContext(r.Context())
	if c == nil {
		return nil
	}
	return s.operations[r.Method+" "+c.Routes.Find(chi.NewRouteContext(), r.Method, cmp.Or(r.URL.RawPath, r.URL.Path))]
}
