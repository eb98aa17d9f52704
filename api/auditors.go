package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/myt"
	"github.com/mohor-sign/mohor/internal/table"
)

// AuditFilter is what a search and an export have in common.
type AuditFilter struct {
	From    string `query:"from" maxLength:"40" doc:"A day in Malaysia (2026-11-23), or an instant (RFC 3339)"`
	To      string `query:"to" maxLength:"40" doc:"A day, which is part of it, or an instant, which is not"`
	Actor   string `query:"actor" maxLength:"200" doc:"Who did it: an IC, the id of an app or account, or as the audit writes it (app:portal)"`
	Object  string `query:"object" maxLength:"200" doc:"What it was done to: an IC, a transaction, an enrolment, a serial number, a code, or as the audit writes it"`
	Action  string `query:"action" maxLength:"200" doc:"What was done, or how that begins: enrol. for all about enrolment"`
	Verdict string `query:"verdict" maxLength:"20" doc:"accepted, refused or noted"`
	Request string `query:"request_id" maxLength:"200" doc:"X-Request-Id of an answer"`
	About   string `query:"about" maxLength:"12" doc:"An officer's IC: all that names the officer, reads and deeds, in whatever form"`
	Looks   bool   `query:"looks" doc:"With about: only what others have looked at"`
}

type auditSearchInput struct {
	AuditFilter
	Before int64 `query:"before" minimum:"0" doc:"next of the page before"`
	Limit  int   `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

// AuditRow is a record as an auditor reads it.
type AuditRow struct {
	Seq        int64             `json:"seq" doc:"Its number in the chain"`
	At         *time.Time        `json:"at,omitempty"`
	Actor      string            `json:"actor"`
	Name       string            `json:"actor_name,omitempty" doc:"Of a person who logged in as an administrator or officer"`
	Action     string            `json:"action"`
	Object     string            `json:"object"`
	Verdict    string            `json:"verdict"`
	RequestID  string            `json:"request_id"`
	Detail     map[string]string `json:"detail" doc:"by: the role it was done in; address: where from; reason, code: why it was refused"`
	Unreadable *auditFault       `json:"unreadable,omitempty" doc:"The record cannot be believed: nothing but its number is told of it here"`
}

// auditFault is why a record cannot be believed by itself.
type auditFault struct {
	Code string `json:"code" enum:"sealed,clear,columns,edited,missing" doc:"sealed: a part of it does not open; clear: a part is not encrypted; columns: it is no record; edited: its content does not match its hash; missing: there is none of its number"`
	Text string `json:"text" doc:"In the language of Accept-Language"`
}

func auditRowOf(ctx context.Context, r *audit.Record, name string, bad *audit.BrokenError) AuditRow {
	d := r.Detail
	if d == nil {
		d = map[string]string{}
	}
	row := AuditRow{r.Seq, when(r.At), r.Actor, name, r.Action, r.Object, r.Verdict, r.RequestID, d, nil}
	if bad != nil && bad.Kind != "" && bad.Seq == r.Seq {
		row.Unreadable = &auditFault{bad.Kind, auditFaultText(bad.Kind, english(ctx))}
	}
	return row
}

// auditFaultText says why a record cannot be believed, and what to do.
func auditFaultText(kind string, en bool) string {
	words := map[string][2]string{
		audit.Sealed:  {"Bahagian rekod yang disulitkan tidak dapat dibuka: ia diubah, dipindahkan, atau disulitkan dengan kunci lain.", "The encrypted part of the record does not open: it was edited, moved, or encrypted under another key."},
		audit.Clear:   {"Rekod ini tidak disulitkan: seseorang menulisnya terus ke pangkalan data.", "The record is not encrypted: somebody wrote it straight into the database."},
		audit.Columns: {"Isi rekod ini rosak dan bukan lagi rekod audit.", "What stands in this record's place is damaged, and no record of the audit any more."},
		audit.Edited:  {"Kandungan rekod tidak sepadan dengan cincangnya: ia telah diubah.", "The record's content does not match its hash: it was edited."},
		audit.Missing: {"Rekod dengan nombor ini tiada: ia telah dibuang.", "There is no record of this number: it was taken away."},
	}
	if en {
		return words[kind][1]
	}
	return words[kind][0]
}

type auditSearchOutput struct {
	Body struct {
		Records []AuditRow `json:"records" doc:"The newest first"`
		Next    int64      `json:"next,omitempty" doc:"before of the next page; absent: there is none. A page may be short where much had to be gone through"`
	}
}

type auditRecordInput struct {
	Seq int64 `path:"seq" minimum:"1"`
}

type auditHead struct {
	Seq       int64     `json:"seq"`
	Hash      []byte    `json:"hash"`
	At        time.Time `json:"at"`
	Signature []byte    `json:"signature" doc:"ECDSA P-256 with SHA-256, by the audit seal"`
}

type auditRecordOutput struct {
	Body struct {
		AuditRow
		Proof struct {
			InChain bool       `json:"in_chain" doc:"The content gives the hash, each record behind it links to the one before, and a signed head stands at the end"`
			Broken  string     `json:"broken,omitempty" doc:"What does not fit"`
			At      int64      `json:"broken_at,omitempty" doc:"At which record"`
			Hash    []byte     `json:"hash"`
			Prev    []byte     `json:"prev" doc:"The hash of the record before"`
			Links   int64      `json:"links" doc:"How many records stand between it and the head"`
			Head    *auditHead `json:"head,omitempty"`
		} `json:"proof"`
	}
}

type auditExportInput struct {
	AuditFilter
	Seq    int64  `query:"seq" minimum:"0" doc:"This record alone"`
	Format string `query:"format" enum:"proof,csv,xlsx" default:"proof" doc:"proof: with what shows that each stands in the chain (mohor audit verify FILE); csv and xlsx to read"`
}

func (s *server) auditors(h huma.API) {
	huma.Register(h, op("Administration", "searchAudit", http.MethodGet, "/v1/admin/audit", "Search the audit (JDN, AUDITOR); that is in it, too"), s.searchAudit)
	huma.Register(h, op("Administration", "auditRecord", http.MethodGet, "/v1/admin/audit/{seq}", "A record of the audit, and its place in the chain, recomputed (JDN, AUDITOR)", http.StatusNotFound), s.auditRecord)
	o := op("Administration", "exportAudit", http.MethodGet, "/v1/admin/audit/export", "Records of the audit as a file that can be checked without the gateway (JDN, AUDITOR)", http.StatusNotFound)
	o.Responses = map[string]*huma.Response{"200": {Description: "The records, the oldest first", Content: map[string]*huma.MediaType{
		proofType:           {Schema: &huma.Schema{Type: "string", Description: "JSON, an object a line: docs/api.md"}},
		"text/csv":          {Schema: &huma.Schema{Type: "string"}},
		reportTypes["xlsx"]: {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}}
	huma.Register(h, o, s.exportAudit)
}

// proofType is JSON, an object a line.
const proofType = "application/jsonl"

// query reads a filter. What is no time the search refuses.
func (f *AuditFilter) query() (q enrol.AuditQuery, err error) {
	q = enrol.AuditQuery{Actor: f.Actor, Object: f.Object, Action: f.Action, Verdict: f.Verdict, Request: f.Request, About: f.About, Looks: f.Looks}
	if q.From, err = auditTime(f.From, 0); err != nil {
		return q, enrol.NotATime("from")
	}
	if q.To, err = auditTime(f.To, 1); err != nil {
		return q, enrol.NotATime("to")
	}
	return q, nil
}

// auditTime reads an instant, or the beginning of the day that is some days behind one.
func auditTime(s string, days int) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if at, err := time.ParseInLocation(time.DateOnly, s, myt.Zone); err == nil {
		return at.AddDate(0, 0, days), nil
	}
	return time.Parse(time.RFC3339, s)
}

func (s *server) searchAudit(ctx context.Context, in *auditSearchInput) (*auditSearchOutput, error) {
	q, bad := in.query()
	if bad != nil {
		return nil, s.fail(ctx, bad)
	}
	q.Before, q.Limit = in.Before, in.Limit
	page, err := s.Auditors.Search(ctx, personOf(ctx).Actor, q)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &auditSearchOutput{}
	out.Body.Next, out.Body.Records = page.Next, []AuditRow{}
	for k := range page.Records {
		r := &page.Records[k]
		out.Body.Records = append(out.Body.Records, auditRowOf(ctx, r, page.Names[r.Actor], page.Broken[r.Seq]))
	}
	return out, nil
}

func (s *server) auditRecord(ctx context.Context, in *auditRecordInput) (*auditRecordOutput, error) {
	p, err := s.Auditors.Prove(ctx, personOf(ctx).Actor, in.Seq)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &auditRecordOutput{}
	out.Body.AuditRow = auditRowOf(ctx, &p.Record, p.Name, p.Broken)
	proof := &out.Body.Proof
	proof.InChain, proof.Hash, proof.Prev, proof.Links = p.Broken == nil, p.Record.Hash[:], p.Record.Prev[:], p.Links
	if p.Broken != nil {
		proof.Broken, proof.At = p.Broken.What, p.Broken.Seq
	}
	if p.Head.Seq > 0 {
		proof.Head = &auditHead{p.Head.Seq, p.Head.Hash[:], p.Head.At, p.Head.Signature}
	}
	return out, nil
}

func (s *server) exportAudit(ctx context.Context, in *auditExportInput) (*huma.StreamResponse, error) {
	q, bad := in.query()
	if bad != nil {
		return nil, s.fail(ctx, bad)
	}
	q.Seq = in.Seq
	x, err := s.Auditors.Export(ctx, personOf(ctx).Actor, q)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	kind, suffix := proofType, ".jsonl"
	if in.Format != "proof" {
		kind, suffix = reportTypes[in.Format], "."+in.Format
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", kind)
		hc.SetHeader("Cache-Control", "no-store")
		hc.SetHeader("Content-Disposition", attachment("mohor-audit-"+s.Now().In(myt.Zone).Format("20060102-150405"), suffix))
		if err := writeAudit(ctx, x, hc.BodyWriter(), in.Format); err != nil {
			// The status line may be gone; a cut connection is the honest answer.
			s.Log.Error("sending an export of the audit", "request_id", requestIDOf(ctx), "error", err)
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

func writeAudit(ctx context.Context, x *enrol.AuditExport, w io.Writer, format string) error {
	if format == "proof" {
		out, err := audit.NewExporter(w, x.Header())
		if err != nil {
			return err
		}
		return x.Proof(ctx, out)
	}
	begin := table.NewCSVWriter
	if format == "xlsx" {
		begin = table.NewXLSXWriter
	}
	t, err := begin(w)
	if err != nil {
		return err
	}
	if err := t.Row("no", "masa", "pelaku", "nama_pelaku", "peranan", "tindakan", "objek", "keputusan", "sebab", "dari", "id_permintaan", "butiran"); err != nil {
		return err
	}
	err = x.Each(ctx, func(r audit.Record, name string, bad *audit.BrokenError) error {
		if bad != nil {
			return t.Row(strconv.FormatInt(r.Seq, 10), "", "", "", "", "", "", "tidak dapat dibaca", auditFaultText(bad.Kind, false), "", "", "")
		}
		detail, err := json.Marshal(r.Detail)
		if err != nil {
			return err
		}
		why := cmp.Or(r.Detail["why"], r.Detail["reason"], r.Detail["code"])
		return t.Row(strconv.FormatInt(r.Seq, 10), r.At.In(myt.Zone).Format(time.RFC3339), r.Actor, name, r.Detail["by"], r.Action, r.Object, r.Verdict, why, r.Detail["address"], r.RequestID, string(detail))
	})
	return errors.Join(err, t.Close())
}
