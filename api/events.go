package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
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
// atLeastEvery, how often it says something though nothing changes; maxStreams bounds those of an
// app at a gateway.
const (
	eventsEvery  = 500 * time.Millisecond
	atLeastEvery = 5 * time.Second
	maxStreams   = 50
)

// streams counts what is open, by app, and has what those of one batch have seen.
type streams struct {
	mu    sync.Mutex
	m     map[string]int
	looks map[string]*look
}

// look is how a batch stood a moment ago: however many follow it, it is read once.
type look struct {
	mu   sync.Mutex
	at   time.Time
	b    batch.Batch
	pace batch.Pace
	refs int // under streams.mu
}

// follow gives the look of a batch to one more stream; leave takes it back.
func (s *streams) follow(id string) (l *look, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looks == nil {
		s.looks = map[string]*look{}
	}
	if l = s.looks[id]; l == nil {
		l = &look{}
		s.looks[id] = l
	}
	l.refs++
	return l, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if l.refs--; l.refs == 0 {
			delete(s.looks, id)
		}
	}
}

// see reads how a batch stands, unless another stream has just done so.
func (l *look) see(ctx context.Context, of *batch.Service, app, id string) (batch.Batch, batch.Pace, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.at.IsZero() && time.Since(l.at) < eventsEvery/2 {
		return l.b, l.pace, nil
	}
	b, err := of.Batch(ctx, app, id)
	if err != nil {
		return b, batch.Pace{}, err
	}
	p, err := of.Pace(ctx, &b)
	if err == nil {
		l.b, l.pace, l.at = b, p, time.Now()
	}
	return b, p, err
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
	o.Description = "Events are `progress` (a batch, as under its own address: at once, then when it has changed, twice a second at most, and at least every 5 seconds), `refused` (a document that could not be signed: index, name, code, detail) and, once, `done` (the batch): the stream ends with it, when nothing changes any more until somebody does something. It also ends when the app is suspended or its credential does. Each `refused` has an `id`; who is cut off connects again with the last one as Last-Event-ID, as browsers do by themselves, and is told what was refused since. An app has at most 50 streams at once."
	o.Responses = map[string]*huma.Response{"200": {Description: "The stream (WHATWG HTML, Section 9.2)", Content: map[string]*huma.MediaType{"text/event-stream": {
		Schema:  &huma.Schema{Type: huma.TypeObject, Description: "One event: its name, and JSON in text", Required: []string{"event", "data"}, Properties: map[string]*huma.Schema{"event": {Type: "string", Enum: []any{"progress", "refused", "done"}}, "data": {Type: "string"}}},
		Example: "id: 1\nevent: refused\ndata: {\"index\":7,\"name\":\"baucar-7.pdf\",\"code\":\"pdf_invalid\"}\n\n"}}}}
	huma.Register(h, o, s.batchEvents)
}

type eventsInput struct {
	ID          string `path:"id" maxLength:"64"`
	LastEventID string `header:"Last-Event-ID" maxLength:"64" doc:"Of the last event that had one; what was told before is not told again. Anything that was never an id is as none"`
}

func (s *server) batchEvents(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	b, err := s.Batches.Batch(ctx, appOf(ctx).ID, in.ID)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	end, ok := s.streams.begin(b.App)
	if !ok {
		return nil, s.fail(ctx, &retry{errStreams, time.Minute})
	}
	told, err := strconv.ParseUint(in.LastEventID, 10, 63)
	if err != nil {
		told = 0
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer end()
		r, _ := humachi.Unwrap(hc)
		hc.SetHeader("Content-Type", "text/event-stream")
		w, ok := hc.BodyWriter().(http.ResponseWriter)
		if !ok {
			return
		}
		if err := s.follow(r, b, int64(told), eventSender{w, http.NewResponseController(w)}); err != nil {
			// The status line is gone; a cut stream is the honest answer, and the client connects again.
			s.Log.Warn("following batch", "request_id", requestIDOf(ctx), "error", err)
		}
	}}, nil
}

type eventSender struct {
	http.ResponseWriter
	c *http.ResponseController
}

// send writes an event, data in JSON; id 0 is none.
func (w eventSender) send(event string, id int64, data []byte) error {
	var err error
	if id > 0 {
		_, err = fmt.Fprintf(w, "id: %d\n", id)
	}
	if err == nil {
		_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data)
	}
	if err == nil {
		err = w.c.Flush()
	}
	return err
}

// follow sends events until the batch is at its end, nobody listens any more, or the app would
// not be let in again with the same request. told is the last refusal that was.
func (s *server) follow(r *http.Request, b batch.Batch, told int64, to eventSender) error {
	ctx := r.Context()
	tick := time.NewTicker(eventsEvery)
	defer tick.Stop()
	l, leave := s.streams.follow(b.ID)
	defer leave()
	var said []byte
	var at time.Time
	refused := uint32(0)
	for {
		b, pace, err := l.see(ctx, s.Batches, b.App, b.ID)
		if err != nil {
			return err
		}
		done := b.Status != batch.Signing && b.Status != batch.Sealed && b.Status != batch.Open && b.Status != batch.Paused
		if b.Refused != refused || done { // refused ones may be signed anew
			if told, err = s.tellRefused(ctx, b.ID, told, to); err != nil {
				return err
			}
			refused = b.Refused
		}
		text, err := json.Marshal(batchBodyOf(&b, &pace, english(ctx)))
		if err != nil {
			return err
		}
		if done {
			return to.send("done", 0, text)
		}
		if !bytes.Equal(text, said) || time.Since(at) >= atLeastEvery {
			if err := to.send("progress", 0, text); err != nil {
				return err
			}
			said, at = text, time.Now()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.Stopping:
			return nil
		case <-tick.C:
		}
		app, err := s.again(r)
		if errors.Is(err, enrol.ErrUnknown) || err == nil && !app.Granted(enrol.GrantSign) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// tellRefused sends what was refused behind told, in that order, and returns the last one.
func (s *server) tellRefused(ctx context.Context, id string, told int64, to eventSender) (int64, error) {
	const page = 500
	for {
		items, err := s.Batches.Queue.Refusals(ctx, id, told, page)
		if err != nil {
			return told, err
		}
		for k := range items {
			it := &items[k]
			text, err := json.Marshal(refusedEvent{it.Index, it.Name, it.Code, it.Detail})
			if err == nil {
				err = to.send("refused", it.Refusal, text)
			}
			if err != nil {
				return told, err
			}
			told = it.Refusal
		}
		if len(items) < page {
			return told, nil
		}
	}
}
