package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mohor-sign/mohor/enrol"
)

type reportInput struct {
	Name   string `path:"name" enum:"users,officers,expiring,pending,signatures,no-ap,rollout,daily,calendar,channels,refusals"`
	Format string `query:"format" enum:"json,csv,xlsx" default:"json"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100000" doc:"Of json: at most so many rows; more says whether there are others. Without it, all"`
	System string `query:"system" maxLength:"32" doc:"Of one ICT system"`
	Agency string `query:"agency" maxLength:"32" doc:"Of one agency"`
	Days   int    `query:"days" minimum:"1" maximum:"400" default:"30" doc:"Of expiring: how many days ahead; of daily, and channels by day: how many days, today included"`
	Months int    `query:"months" minimum:"1" maximum:"120" default:"12" doc:"Of signatures, refusals and channels: how many months, this one included"`
	By     string `query:"by" enum:"day,week,month" doc:"Of channels: day or month; of calendar: week or month. Without it, month"`
}

func (s *server) reports(h huma.API) {
	o := op("Administration", "report", http.MethodGet, "/v1/admin/reports/{name}", "A report within one's scope, streamed; each reading is in the audit", http.StatusNotFound)
	o.Responses = map[string]*huma.Response{"200": {Description: "The report", Content: map[string]*huma.MediaType{
		"application/json":  {Schema: &huma.Schema{Type: "object", Description: "report, at, rows: one object a row, and more where limit left others out"}},
		"text/csv":          {Schema: &huma.Schema{Type: "string"}},
		reportTypes["xlsx"]: {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}}
	huma.Register(h, o, s.report)
}

// reportTypes are the media types of the formats.
var reportTypes = map[string]string{"json": "application/json", "csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}

func (s *server) report(ctx context.Context, in *reportInput) (*huma.StreamResponse, error) {
	r, err := s.Desk.Report(ctx, personOf(ctx).Actor, enrol.ReportQuery{Name: in.Name, System: in.System, Agency: in.Agency, Days: in.Days, Months: in.Months, By: in.By, Limit: in.Limit})
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", reportTypes[in.Format])
		hc.SetHeader("Cache-Control", "no-store")
		if in.Format != "json" {
			hc.SetHeader("Content-Disposition", attachment("mohor-"+in.Name, "."+in.Format))
		}
		if err := r.Write(ctx, hc.BodyWriter(), in.Format); err != nil {
			// The status line may be gone; a cut connection is the honest answer.
			s.Log.Error("sending report", "request_id", requestIDOf(ctx), "error", err)
			panic(http.ErrAbortHandler)
		}
	}}, nil
}
