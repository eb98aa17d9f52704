package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type templateBody struct {
	Name     string   `json:"name" example:"standard"`
	Style    string   `json:"style" enum:"standard,plain,name-left,stamp"`
	Language string   `json:"language" enum:"ms-en,ms,en" doc:"Of the words in it"`
	Lines    []string `json:"lines" enum:"name,title,time,reason,location,serial" doc:"In their order; what the transaction does not say is left out"`
	Image    bool     `json:"image" doc:"A picture is at the left"`
	QR       bool     `json:"qr" doc:"A QR code is at the right"`
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
		out.Body.Templates = append(out.Body.Templates, templateBody{name, t.Style, t.Language, t.Lines, t.Image != nil, t.QR != ""})
	}
	return out, nil
}
