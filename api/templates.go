package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type templateBody struct {
	Name     string     `json:"name" example:"standard"`
	Style    string     `json:"style" enum:"standard,plain,name-left,stamp"`
	Language string     `json:"language" enum:"ms-en,ms,en" doc:"Of the words in it"`
	Lines    []lineBody `json:"lines" doc:"In their order; what the transaction does not say is left out"`
	Image    bool       `json:"image" doc:"A picture is at the left"`
	QR       bool       `json:"qr" doc:"A QR code is at the right"`
}

type lineBody struct {
	Kind string `json:"kind" enum:"name,title,time,reason,location,serial"`
	Text string `json:"text,omitempty" example:"Tujuan / Reason" doc:"title: the line; others: what stands before a colon and the value"`
}

type templatesOutput struct {
	Body struct {
		Templates []templateBody `json:"templates"`
	}
}

func (s *server) templates(h huma.API) {
	huma.Register(h, op("Transactions", "templates", http.MethodGet, "/v1/templates", "How a visible signature can look: what visible.template may be"), s.listTemplates)
}

func (s *server) listTemplates(context.Context, *struct{}) (*templatesOutput, error) {
	out := &templatesOutput{}
	for _, name := range s.Signer.Templates.Names() {
		t, _ := s.Signer.Templates.Of(name)
		b := templateBody{Name: name, Style: t.Style, Language: t.Language, Lines: []lineBody{}, Image: t.Image != nil, QR: t.QR != ""}
		for _, line := range t.Lines {
			b.Lines = append(b.Lines, lineBody{line, s.Signer.Templates.Label(name, line)})
		}
		out.Body.Templates = append(out.Body.Templates, b)
	}
	return out, nil
}
