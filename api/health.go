package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
)

// ErrDegraded: a part that Config.Ready tells of is in a state that somebody must see
// to, but requests are served.
var ErrDegraded = errors.New("degraded")

type healthOutput struct {
	Status     int
	RetryAfter string `header:"Retry-After"`
	Body       struct {
		Status string            `json:"status" enum:"ok,unavailable"`
		Parts  map[string]string `json:"parts,omitempty" doc:"ok, degraded or unavailable, for each part; what is degraded needs somebody's attention and keeps nobody from signing"`
	}
}

func (s *server) health(h huma.API) {
	huma.Register(h, op("Health", "healthz", http.MethodGet, "/healthz", "The process is alive"), func(context.Context, *struct{}) (*healthOutput, error) {
		o := &healthOutput{Status: http.StatusOK}
		o.Body.Status = "ok"
		return o, nil
	})
	ready := op("Health", "readyz", http.MethodGet, "/readyz", "The HSM signs (a canary key), the database answers")
	huma.Register(h, ready, s.readyz)
	alsoWith(h.OpenAPI().Paths["/readyz"].Get, http.StatusServiceUnavailable, "Not now: parts says what is missing")
}

func (s *server) readyz(ctx context.Context, _ *struct{}) (*healthOutput, error) {
	o := &healthOutput{Status: http.StatusOK}
	o.Body.Status, o.Body.Parts = "ok", map[string]string{}
	for part, err := range s.Ready(ctx) {
		o.Body.Parts[part] = "ok"
		switch {
		case errors.Is(err, ErrDegraded):
			o.Body.Parts[part] = "degraded"
		case err != nil:
			s.Log.Error("part not ready", "part", part, "error", err)
			o.Body.Parts[part], o.Body.Status, o.Status, o.RetryAfter = "unavailable", "unavailable", http.StatusServiceUnavailable, strconv.Itoa(retryAfter)
		}
	}
	return o, nil
}

// alsoWith says that an operation gives its answer of success with another status, too.
func alsoWith(o *huma.Operation, status int, what string) {
	o.Responses[strconv.Itoa(status)] = &huma.Response{Description: what, Headers: map[string]*huma.Header{}, Content: map[string]*huma.MediaType{typeJSON: {Schema: o.Responses["200"].Content[typeJSON].Schema}}}
}

// readCloser gives a reader the Close that http asks for.
type readCloser struct{ io.Reader }

func (readCloser) Close() error { return nil }

func isUnknown(err error) bool { return errors.Is(err, enrol.ErrUnknown) }
