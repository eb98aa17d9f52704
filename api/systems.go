package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
)

type shownSystemBody struct {
	Code           string     `json:"system"`
	Title          string     `json:"title"`
	Agency         string     `json:"agency" doc:"That owns it"`
	TokenEnds      *time.Time `json:"token_ends,omitempty" doc:"When the system takes no more tokens"`
	Notice         string     `json:"notice" enum:"sijil,token" doc:"Which word the legal notice of the signing page uses"`
	HeaderTemplate string     `json:"header_template,omitempty" doc:"What a data header is made of: fixed text, {digits:N}, {letters:N}, {amount}, {ic}" example:"110FGOM{digits:11}A{amount}{ic}"`
	LogoType       string     `json:"logo_type,omitempty" enum:"image/png,image/jpeg"`
	Logo           []byte     `json:"logo,omitempty" doc:"Base64"`
}

// SystemPath names a system in a path.
type SystemPath struct {
	Code string `path:"code" maxLength:"32"`
}

type showSystemInput struct {
	SystemPath
	Body struct {
		Title          *string `json:"title,omitempty" maxLength:"120"`
		Notice         *string `json:"notice,omitempty" enum:"sijil,token"`
		HeaderTemplate *string `json:"header_template,omitempty" maxLength:"200" doc:"Empty: any header that does not end in another officer's number"`
	}
}

type logoInput struct {
	SystemPath
	upload
}

type tryHeaderInput struct {
	SystemPath
	Body struct {
		HeaderTemplate *string `json:"header_template,omitempty" maxLength:"200" doc:"The system's own when it is not given" example:"110FGOM{digits:11}A{amount}{ic}"`
		Header         string  `json:"data_header" maxLength:"200" doc:"An example" example:"110FGOM07022411247A29911.35240405888916"`
	}
}

type headerPartBody struct {
	Field string `json:"field" enum:"text,digits,letters,amount,ic"`
	Want  string `json:"want" doc:"As the template writes it" example:"{digits:11}"`
	Got   string `json:"got,omitempty" doc:"What it reads; absent from the first part that differs" example:"07022411247"`
}

type triedHeaderOutput struct {
	Body struct {
		HeaderTemplate string           `json:"header_template,omitempty" example:"110FGOM{digits:11}A{amount}{ic}"`
		Fits           bool             `json:"fits" doc:"A transaction with this header is taken, for the officer whom it names"`
		Amount         string           `json:"amount,omitempty" example:"29911.35"`
		Parts          []headerPartBody `json:"parts"`
		Rest           string           `json:"rest,omitempty" example:"X" doc:"What no part has read"`
	}
}

type systemTokensOutput struct {
	Body struct {
		Officers int `json:"officers" doc:"Who hold a token for this system"`
	}
}

type shownSystemOutput struct{ Body shownSystemBody }

func (s *server) systemDesk(h huma.API) {
	const tag, at = "Administration", "/v1/admin/systems/{code}"
	huma.Register(h, administer(tag, "system", http.MethodGet, at, "An ICT system with what its signing page shows"), s.system)
	huma.Register(h, administer(tag, "showSystem", http.MethodPatch, at, "Change title, notice and header template of a system (JDN, its SAP)"), s.showSystem)
	logo := streamed(administer(tag, "setLogo", http.MethodPut, at+"/logo", "Set the logo of a system, at most 64 KiB (JDN, its SAP)"), "image/png", "image/jpeg")
	logo.DefaultStatus = http.StatusNoContent
	huma.Register(h, logo, s.setLogo)
	none := administer(tag, "dropLogo", http.MethodDelete, at+"/logo", "Take the logo of a system away (JDN, its SAP)")
	none.DefaultStatus = http.StatusNoContent
	huma.Register(h, none, s.dropLogo)
	huma.Register(h, administer(tag, "tryHeader", http.MethodPost, at+"/header", "Read an example of a data header by a template, before it is saved (JDN, its SAP)"), s.tryHeader)
	huma.Register(h, administer(tag, "systemTokens", http.MethodGet, at+"/tokens", "How many officers hold a token for a system (JDN, its SAP, AUDITOR)"), s.systemTokens)
}

func shownSystem(x *enrol.System) *shownSystemOutput {
	return &shownSystemOutput{shownSystemBody{x.Code, x.Title, x.Agency, when(x.TokenEnds), x.Notice, x.HeaderTemplate, x.LogoType, x.Logo}}
}

func (s *server) system(ctx context.Context, in *SystemPath) (*shownSystemOutput, error) {
	x, err := s.Desk.Records.System(ctx, in.Code)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return shownSystem(&x), nil
}

func (s *server) showSystem(ctx context.Context, in *showSystemInput) (*shownSystemOutput, error) {
	x, err := s.Desk.ShowSystem(ctx, personOf(ctx).Actor, in.Code, func(x *enrol.System) {
		put(&x.Title, in.Body.Title)
		put(&x.Notice, in.Body.Notice)
		put(&x.HeaderTemplate, in.Body.HeaderTemplate)
	})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return shownSystem(&x), nil
}

func (s *server) setLogo(ctx context.Context, in *logoInput) (*struct{}, error) {
	// One byte more tells that there is too much.
	logo, err := io.ReadAll(io.LimitReader(in.body, enrol.MaxLogo+1))
	if err != nil {
		return nil, s.fail(ctx, fmt.Errorf("reading logo: %w", err))
	}
	if len(logo) == 0 {
		return nil, s.fail(ctx, fixed("body", "It must be a PNG or JPEG.", "Ia mesti PNG atau JPEG."))
	}
	if err := s.Desk.SetLogo(ctx, personOf(ctx).Actor, in.Code, logo); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) dropLogo(ctx context.Context, in *SystemPath) (*struct{}, error) {
	if err := s.Desk.SetLogo(ctx, personOf(ctx).Actor, in.Code, nil); err != nil {
		return nil, s.fail(ctx, err)
	}
	return nil, nil
}

func (s *server) tryHeader(ctx context.Context, in *tryHeaderInput) (*triedHeaderOutput, error) {
	t, err := s.Desk.TryHeader(ctx, personOf(ctx).Actor, in.Code, in.Body.HeaderTemplate, in.Body.Header)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &triedHeaderOutput{}
	out.Body.HeaderTemplate, out.Body.Fits, out.Body.Amount, out.Body.Rest, out.Body.Parts = t.Template, t.Fits, t.Amount, t.Rest, []headerPartBody{}
	for _, p := range t.Parts {
		out.Body.Parts = append(out.Body.Parts, headerPartBody(p))
	}
	return out, nil
}

func (s *server) systemTokens(ctx context.Context, in *SystemPath) (*systemTokensOutput, error) {
	n, err := s.Desk.Tokens(ctx, personOf(ctx).Actor, in.Code)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	out := &systemTokensOutput{}
	out.Body.Officers = n
	return out, nil
}
