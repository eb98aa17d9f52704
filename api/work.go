package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/process"
	"github.com/mohor-sign/mohor/signer"
)

type processBody struct {
	Code    string   `json:"code" example:"AA-11" doc:"What a transaction gives as process"`
	System  string   `json:"system" example:"IGFMAS"`
	Module  string   `json:"module,omitempty" example:"AA"`
	Client  string   `json:"client,omitempty" example:"Portal" doc:"With what the system's users do it"`
	Name    string   `json:"name" example:"Pindahan Aset" doc:"Malay"`
	English string   `json:"name_en,omitempty" example:"Asset transfer"`
	Roles   []string `json:"roles" example:"[\"Perakuan 1\",\"Perakuan 2\",\"Akuan Terima\"]" doc:"In the order in which they sign; none: nobody signs it by role"`
	Bulk    string   `json:"bulk" enum:"yes,no,unknown" doc:"Whether one transaction may carry many references; unknown: it may"`
	Check   bool     `json:"to_be_checked,omitempty" doc:"Its source was hard to read"`
}

type processesOutput struct {
	Body struct {
		Processes []processBody `json:"processes"`
	}
}

type processesInput struct {
	System string `query:"system" maxLength:"32" doc:"One of the app's; all of them unless given"`
}

type inboxInput struct {
	System  string `query:"system" required:"true" maxLength:"32" doc:"One of the app's"`
	Process string `query:"process" maxLength:"64"`
	Role    string `query:"role" maxLength:"64" doc:"That is next"`
	After   string `query:"after" maxLength:"200" doc:"What next was in the page before"`
	Limit   int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

type signatoryBody struct {
	Role     string    `json:"role" example:"Perakuan 1"`
	Name     string    `json:"name" example:"N••• A•••" doc:"Of the officer, masked"`
	SignedAt time.Time `json:"signed_at"`
}

type waitingBody struct {
	Reference      string          `json:"reference"`
	Process        string          `json:"process"`
	Role           string          `json:"role" doc:"That is next"`
	Since          time.Time       `json:"since" doc:"When the role before it had signed"`
	Name           string          `json:"name" doc:"Of the document"`
	Classification string          `json:"classification,omitempty"`
	DocumentID     string          `json:"document_id,omitempty" doc:"PDF: to be shown from its content, and named in the transaction"`
	Digest         digestBody      `json:"digest" doc:"What the next role signs: of the PDF as the role before left it, or the digest that all roles sign"`
	Signed         []signatoryBody `json:"signed"`
}

type inboxOutput struct {
	Body struct {
		Waiting []waitingBody `json:"waiting"`
		Next    string        `json:"next,omitempty" doc:"For after, when there may be more"`
	}
}

func (s *server) work(h huma.API) {
	huma.Register(h, op("Work", "processes", http.MethodGet, "/v1/processes", "Work processes of the app's systems, with their roles in order"), s.processes)
	huma.Register(h, op("Work", "inbox", http.MethodGet, "/v1/inbox", "References that wait for a role, longest first; with a session those that are not classified"), s.inbox)
}

func (s *server) processes(ctx context.Context, in *processesInput) (*processesOutput, error) {
	app := appOf(ctx)
	systems := app.Systems
	if in.System != "" {
		if !app.Serves(in.System) {
			return nil, s.fail(ctx, errForbidden)
		}
		systems = []string{in.System}
	}
	out := &processesOutput{}
	out.Body.Processes = []processBody{}
	for _, system := range systems {
		for _, p := range s.Signer.Processes.Of(system) {
			b := processBody{p.Code, p.System, p.Module, p.Client, p.Name, p.English, append([]string{}, p.Roles...), string(p.Bulk), p.Check}
			if p.Bulk == process.BulkUnknown {
				b.Bulk = "unknown"
			}
			out.Body.Processes = append(out.Body.Processes, b)
		}
	}
	return out, nil
}

func (s *server) inbox(ctx context.Context, in *inboxInput) (*inboxOutput, error) {
	const action = "inbox.read"
	if !appOf(ctx).Serves(in.System) {
		return nil, s.refused(ctx, action, "system:"+in.System, errForbidden)
	}
	q := signer.Inbox{System: in.System, Process: in.Process, Role: in.Role, Limit: in.Limit}
	if in.After != "" {
		after, ok := cursorOf(in.After)
		if !ok {
			return nil, s.fail(ctx, fixed("after", "It must be what next was.", "Ia mesti nilai next yang diberi."))
		}
		q.After = after
	}
	list, err := s.Signer.Inbox(ctx, q)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	if err := s.audit(ctx, action, "system:"+in.System, audit.Accepted, ""); err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &inboxOutput{}
	out.Body.Waiting = make([]waitingBody, 0, len(list))
	for k := range list {
		if b := waitingOut(&list[k]); personOf(ctx) == nil || !signer.Classified(b.Classification) {
			out.Body.Waiting = append(out.Body.Waiting, b)
		}
	}
	if len(list) == in.Limit {
		out.Body.Next = cursorText(list[len(list)-1].Cursor)
	}
	return out, nil
}

func waitingOut(w *signer.WaitingReference) waitingBody {
	b := waitingBody{Reference: w.Reference, Process: w.Process, Role: w.Role, Since: w.Since, Signed: []signatoryBody{}}
	for _, x := range w.Signed {
		if x.SignedAt.IsZero() {
			continue // somebody is at it now
		}
		b.Signed = append(b.Signed, signatoryBody{x.Role, maskName(x.OfficerName), x.SignedAt})
		b.Name, b.Classification, b.DocumentID = x.Name, x.Class, x.DocumentID
		b.Digest = digestBody{hashName(x.Hash), base64.StdEncoding.EncodeToString(x.Digest)}
	}
	return b
}

// maskName keeps the first letter of each word.
func maskName(name string) string {
	words := strings.Fields(name)
	for k, w := range words {
		first, _ := utf8.DecodeRuneInString(w)
		words[k] = string(first) + "•••"
	}
	return strings.Join(words, " ")
}

// cursorText and cursorOf are a place in a list as a client carries it: opaque, and no secret.
func cursorText(c signer.Cursor) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s %d", c.At.UnixMicro(), c.Batch, c.Index))
}

func cursorOf(text string) (c signer.Cursor, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	parts := strings.Split(string(raw), " ")
	if err != nil || len(parts) != 3 {
		return c, false
	}
	at, err := strconv.ParseInt(parts[0], 10, 64)
	index, ierr := strconv.ParseUint(parts[2], 10, 32)
	return signer.Cursor{At: time.UnixMicro(at).UTC(), Batch: parts[1], Index: uint32(index)}, err == nil && ierr == nil
}
