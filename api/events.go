package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/enrol"
)

// refusedEvent is a document that could not be signed.
type refusedEvent struct {
	Index  uint32 `json:"index"`
	Name   string `json:"name"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
}

// eventsEvery is how often a stream looks at the counts, and whether its app may still see them;
// maxStreams bounds those of an app at a gateway.
const (
	eventsEvery = 500 * time.Millisecond
	maxStreams  = 50
)

// streams counts what is open, by app.
type streams struct {
	mu sync.Mutex
	m  map[string]int
}

// begin counts one more of app, unless these are too many; end ends it.
func (s *streams) begin(app string) (end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[app] >= maxStreams {
		return nil, false
	}
	if s.m == nil {
		s.m = map[string]int{}
	}
	s.m[app]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.m[app]--; s.m[app] == 0 {
			delete(s.m, app)
		}
	}, true
}

func (s *server) events(h huma.API) {
	o := op("Batches", "batchEvents", http.MethodGet, "/v1/batches/{id}/events", "Progress as server-sent events", http.StatusNotFound)
	o.Description = "Events are `progress` (a batch, as under its own address, twice a second while anything can happen), `refused` (a document that could not be signed: index, name, code, detail) and, once, `done` (the batch): the stream ends with it. It also ends when the app is suspended or its credential does. Who is cut off connects again; what was refused is told again. An app has at most 50 streams at once."
	o.Responses = map[string]*huma.Response{"200": {Description: "The stream (WHATWG HTML, Section 9.2)", Content: map[string]*huma.MediaType{"text/event-stream": {
		Schema:  &huma.Schema{Type: huma.TypeObject, Description: "One event: its name, and JSON in text", Required: []string{"event", "data"}, Properties: map[string]*huma.Schema{"event": {Type: "string", Enum: []any{"progress", "refused", "done"}}, "data": {Type: "string"}}},
		Example: "event: refused\ndata: {\"index\":7,\"name\":\"baucar-7.pdf\",\"code\":\"pdf_invalid\"}\n\n"}}}}
	huma.Register(h, o, s.batchEvents)
}

func (s *server) batchEvents(ctx context.Context, in *batchInput) (*huma.StreamResponse, error) {
	b, err := s.Batches.Batch(ctx, appOf(ctx).ID, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	end, ok := s.streams.begin(b.App)
	if !ok {
		return nil, s.fail(ctx, &retry{errStreams, time.Minute})
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer end()
		r, _ := humachi.Unwrap(hc)
		hc.SetHeader("Content-Type", "text/event-stream")
		w, ok := hc.BodyWriter().(http.ResponseWriter)
		if !ok {
			return
		}
		if err := s.follow(r, b, eventSender{w, http.NewResponseController(w)}); err != nil {
			// The status line is gone; a cut stream is the honest answer, and the client connects again.
			s.Log.Warn("following batch", "request_id", requestIDOf(ctx), "error", err)
		}
	}}, nil
}

type eventSender struct {
	http.ResponseWriter
	c *http.ResponseController
}

func (w eventSender) send(event string, data any) error {
	p, err := json.Marshal(data)
	if err == nil {
		_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, p)
	}
	if err == nil {
		err = w.c.Flush()
	}
	return err
}

// follow sends events until the batch is at its end, nobody listens any more, or the app would
// not be let in again with the same request.
func (s *server) follow(r *http.Request, b batch.Batch, to eventSender) error {
	ctx := r.Context()
	tick := time.NewTicker(eventsEvery)
	defer tick.Stop()
	told := map[uint32]bool{}
	for {
		if err := s.tellRefused(ctx, &b, told, to); err != nil {
			return err
		}
		event := "done"
		if b.Status == batch.Signing || b.Status == batch.Paused || b.Status == batch.Sealed || b.Status == batch.Open {
			event = "progress"
		}
		if err := to.send(event, batchView(b, s.Now())); err != nil || event == "done" {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.Stopping:
			return nil
		case <-tick.C:
		}
		app, err := s.app(r)
		if errors.Is(err, enrol.ErrUnknown) || err == nil && !app.Granted(enrol.GrantSign) {
			return nil
		}
		if err != nil {
			return err
		}
		if b, err = s.Batches.Batch(ctx, b.App, b.ID); err != nil {
			return err
		}
	}
}

// tellRefused sends what was refused and not told yet. Documents are not finished in their
// order.
func (s *server) tellRefused(ctx context.Context, b *batch.Batch, told map[uint32]bool, to eventSender) error {
	const page = 500
	for after := int64(-1); int(b.Refused) > len(told); {
		items, err := s.Batches.Queue.Items(ctx, b.ID, batch.ItemRefused, after, page)
		if err != nil {
			return err
		}
		for k := range items {
			it := &items[k]
			if after = int64(it.Index); told[it.Index] {
				continue
			}
			told[it.Index] = true
			if err := to.send("refused", refusedEvent{it.Index, it.Name, it.Code, it.Detail}); err != nil {
				return err
			}
		}
		if len(items) < page {
			return nil
		}
	}
	return nil
}
