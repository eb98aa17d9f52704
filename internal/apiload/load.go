package apiload

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mohor-sign/mohor/internal/sandbox"
)

// load asks the gateway.
type load struct {
	box  *sandbox.Mailbox
	http *http.Client
	from string // where dev was read
	dev  sandbox.DevFile

	mu      sync.Mutex
	latency map[string][]float64

	batch prepared
}

// prepared is a batch that waits for PIN and code.
type prepared struct {
	id      string
	count   int
	confirm func(context.Context) error
}

// note keeps how long a request took that was due at that moment.
func (l *load) note(request string, due time.Time) {
	ms := float64(time.Since(due)) / float64(time.Millisecond)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency[request] = append(l.latency[request], ms)
}

// call sends body, JSON unless contentType says otherwise, and reads the answer into out.
func (l *load) call(ctx context.Context, method, path, contentType string, body []byte, want int, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, l.dev.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", string(l.dev.APIKey.Reveal()))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != want {
		return fmt.Errorf("%s %s was answered %s: %.300s", method, path, resp.Status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

func (l *load) post(ctx context.Context, path string, in any, want int, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return l.call(ctx, http.MethodPost, path, "application/json", body, want, out)
}

// closed has each of t.AtOnce do it over and over with an officer of her own.
func (l *load) closed(ctx context.Context, t *Task, do func(context.Context, *sandbox.DevOfficer) error) (int, error) {
	var n atomic.Int64
	until := time.Now().Add(time.Duration(t.Seconds * float64(time.Second)))
	group, ctx := errgroup.WithContext(ctx)
	for k := range t.AtOnce {
		group.Go(func() error {
			for {
				if err := do(ctx, &l.dev.Officers[k]); err != nil {
					return err
				}
				n.Add(1)
				if !time.Now().Before(until) {
					return nil
				}
			}
		})
	}
	err := group.Wait()
	return int(n.Load()), err
}

func (l *load) medium(ctx context.Context, o *sandbox.DevOfficer) error {
	due := time.Now()
	err := l.call(ctx, http.MethodGet, "/v1/officers/"+o.IC+"/medium", "", nil, http.StatusOK, nil)
	l.note(MediumRequest, due)
	return err
}

// asked is what is read of a transaction.
type asked struct {
	ID         string `json:"transaction_id"`
	Nonce      string `json:"nonce"`
	Status     string `json:"status"`
	Signatures []struct {
		Signature string `json:"signature"`
	} `json:"signatures"`
}

func digest() map[string]string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails (it ends the process)
	return map[string]string{"alg": "SHA-256", "value": base64.StdEncoding.EncodeToString(b[:])}
}

// ask makes a transaction of what in says and waits for its mail: what comes back confirms it.
func (l *load) ask(ctx context.Context, o *sandbox.DevOfficer, key string, in map[string]any, due time.Time) (func(context.Context, int, any) error, error) {
	k := slices.IndexFunc(o.Credentials, func(c sandbox.DevCredential) bool { return c.Key == key })
	if k < 0 {
		return nil, fmt.Errorf("officer %s has no key of %s", o.IC, key)
	}
	in["ic"], in["system"], in["format"], in["credential_id"] = o.IC, l.dev.System, "RAW", o.Credentials[k].CredentialID
	mark := l.box.Mark()
	var x asked
	err := l.post(ctx, "/v1/transactions", in, http.StatusCreated, &x)
	l.note(TransactionRequest, due)
	if err != nil {
		return nil, err
	}
	mail, err := l.box.WaitFor(ctx, o.Email, mark)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, want int, out any) error {
		body := map[string]string{"nonce": x.Nonce, "pin": string(o.PIN.Reveal()), "otp": mail.Code}
		return l.post(ctx, "/v1/transactions/"+x.ID+"/sign", body, want, out)
	}, nil
}

// pair is a transaction and its signature.
func (l *load) pair(ctx context.Context, o *sandbox.DevOfficer, t *Task, due time.Time) error {
	docs := make([]map[string]any, t.Documents)
	for k := range docs {
		docs[k] = map[string]any{"name": fmt.Sprintf("Baucar %d", k+1), "digest": digest()}
	}
	confirm, err := l.ask(ctx, o, t.Key, map[string]any{"documents": docs}, due)
	if err != nil {
		return err
	}
	due = time.Now()
	var x asked
	err = confirm(ctx, http.StatusOK, &x)
	l.note(SignatureRequest, due)
	if err == nil && (x.Status != "SIGNED" || len(x.Signatures) != t.Documents || x.Signatures[0].Signature == "") {
		err = fmt.Errorf("transaction %s ended as %s with %d signatures", x.ID, x.Status, len(x.Signatures))
	}
	return err
}

// prepare makes a batch that waits for PIN and code.
func (l *load) prepare(ctx context.Context, t *Task) error {
	var b struct {
		ID string `json:"batch_id"`
	}
	if err := l.post(ctx, "/v1/batches", map[string]string{"name": "bench", "kind": "digest"}, http.StatusCreated, &b); err != nil {
		return err
	}
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for k := range t.Documents {
		if err := enc.Encode(map[string]any{"name": fmt.Sprintf("Baucar %d", k+1), "digest": digest()}); err != nil {
			return err
		}
	}
	path := "/v1/batches/" + b.ID
	if err := l.call(ctx, http.MethodPost, path+"/items", "application/x-ndjson", lines.Bytes(), http.StatusOK, nil); err != nil {
		return err
	}
	if err := l.call(ctx, http.MethodPost, path+"/seal", "", nil, http.StatusOK, nil); err != nil {
		return err
	}
	confirm, err := l.ask(ctx, &l.dev.Officers[len(l.dev.Officers)-1], t.Key, map[string]any{"batch_id": b.ID}, time.Now())
	l.batch = prepared{b.ID, t.Documents, func(ctx context.Context) error { return confirm(ctx, http.StatusAccepted, nil) }}
	return err
}

// follow waits until the batch is signed.
func (l *load) follow(ctx context.Context) error {
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		var b struct {
			Status string `json:"status"`
			Signed int    `json:"signed"`
		}
		if err := l.call(ctx, http.MethodGet, "/v1/batches/"+l.batch.id, "", nil, http.StatusOK, &b); err != nil {
			return err
		}
		switch {
		case b.Status == "SIGNED" && b.Signed == l.batch.count:
			return nil
		case b.Status != "SIGNING":
			return fmt.Errorf("batch ended as %s with %d of %d signed", b.Status, b.Signed, l.batch.count)
		}
	}
}

// steady begins transactions at even intervals, whatever became of those before. One that
// finds no officer at leisure waits, and its latency says so.
func (l *load) steady(ctx context.Context, t *Task, s *Slice) error {
	if t.Rate <= 0 || t.AtOnce < 1 {
		return errors.New("reading task: no rate")
	}
	officers := make(chan *sandbox.DevOfficer, t.AtOnce)
	for k := range t.AtOnce {
		officers <- &l.dev.Officers[k]
	}
	group, ctx := errgroup.WithContext(ctx)
	over := make(chan struct{}) // closed when no more are to begin
	if t.Batch {
		if l.batch.confirm == nil {
			return errors.New("reading task: no batch is prepared")
		}
		began := time.Now()
		confirm := l.batch.confirm
		l.batch.confirm = nil
		if err := confirm(ctx); err != nil {
			return err
		}
		group.Go(func() error {
			defer close(over)
			err := l.follow(ctx)
			s.BatchSeconds = time.Since(began).Seconds()
			return err
		})
	} else {
		timer := time.AfterFunc(time.Duration(t.Seconds*float64(time.Second)), func() { close(over) })
		defer timer.Stop()
	}
	interval := time.Duration(2 * float64(time.Second) / t.Rate)
	due := time.NewTimer(0)
	defer due.Stop()
	start := time.Now()
	for n := 0; ; n++ {
		at := start.Add(time.Duration(n) * interval)
		due.Reset(time.Until(at))
		select {
		case <-due.C:
		case <-over:
			s.Ops = n
			return group.Wait()
		case <-ctx.Done():
			return group.Wait()
		}
		group.Go(func() error {
			select {
			case o := <-officers:
				defer func() { officers <- o }()
				return l.pair(ctx, o, t, at)
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}
}
