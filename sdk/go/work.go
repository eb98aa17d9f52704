package mohor

import (
	"context"
	"iter"
	"net/url"
	"time"
)

// Process is a work process of a system: documents go from role to role, each officer's
// signature added to the one before.
type Process struct {
	Code    string   `json:"code"` // for Ask.Process
	System  string   `json:"system"`
	Module  string   `json:"module"`
	Client  string   `json:"client"` // with what the system's users do it
	Name    string   `json:"name"`   // Malay
	English string   `json:"name_en"`
	Roles   []string `json:"roles"`         // in the order in which they sign
	Bulk    string   `json:"bulk"`          // whether one transaction may carry many references: "yes", "no" or "unknown" (it may)
	Check   bool     `json:"to_be_checked"` // its source was hard to read
}

// Processes lists the work processes of a system, or with "" of all the application's.
func (c *Client) Processes(ctx context.Context, system string) ([]Process, error) {
	var b struct {
		Processes []Process `json:"processes"`
	}
	path := "/v1/processes"
	if system != "" {
		path += "?system=" + url.QueryEscape(system)
	}
	if err := c.get(ctx, path, &b); err != nil {
		return nil, err
	}
	return b.Processes, nil
}

// Waiting is a reference that waits for a role.
type Waiting struct {
	Reference      string    `json:"reference"`
	Process        string    `json:"process"`
	Role           string    `json:"role"`  // that is next
	Since          time.Time `json:"since"` // when the role before it had signed
	Name           string    `json:"name"`  // of the document
	Classification string    `json:"classification"`
	// DocumentID is of a PDF: SignedPDF has it as the role before left it.
	DocumentID string      `json:"document_id"`
	Digest     Digest      `json:"digest"` // what the next role signs
	Signed     []Signatory `json:"signed"`
}

// Signatory is who signed in an earlier role.
type Signatory struct {
	Role     string    `json:"role"`
	Name     string    `json:"name"` // masked
	SignedAt time.Time `json:"signed_at"`
}

// Inbox lists what waits for a role in a system, page by page, longest first; process and
// role narrow it down unless empty. An error ends it.
func (c *Client) Inbox(ctx context.Context, system, process, role string) iter.Seq2[*Waiting, error] {
	return func(yield func(*Waiting, error) bool) {
		q := url.Values{"system": {system}}
		for name, v := range map[string]string{"process": process, "role": role} {
			if v != "" {
				q.Set(name, v)
			}
		}
		for {
			var page struct {
				Waiting []Waiting `json:"waiting"`
				Next    string    `json:"next"`
			}
			if err := c.get(ctx, "/v1/inbox?"+q.Encode(), &page); err != nil {
				yield(nil, err)
				return
			}
			for k := range page.Waiting {
				if !yield(&page.Waiting[k], nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			q.Set("after", page.Next)
		}
	}
}
