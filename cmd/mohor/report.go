package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/mohor-sign/mohor/enrol"
)

type reportCmd struct {
	acting
	Name   string `arg:"" enum:"users,officers,expiring,pending,signatures,no-ap,rollout,daily,calendar,channels,refusals" help:"users, officers, expiring, pending, signatures, no-ap, rollout, daily, calendar, channels or refusals."`
	System string `help:"Of one ICT system."`
	Agency string `help:"Of one agency."`
	Days   int    `default:"30" help:"Of expiring: how many days ahead; of daily, and channels by day: how many days, today included."`
	Months int    `default:"12" help:"Of signatures, channels and refusals: how many months, this one included."`
	By     string `enum:"day,week,month," default:"" help:"Of channels: day or month; of calendar: week or month."`
	CSV    bool   `name:"csv" xor:"format" help:"Write CSV (UTF-8)."`
	XLSX   bool   `name:"xlsx" xor:"format" help:"Write an XLSX workbook."`
	JSON   bool   `name:"json" xor:"format" help:"Write JSON."`
}

func (c *reportCmd) Run(e *env) error {
	i, by, err := c.open(e)
	if err != nil {
		return err
	}
	defer i.Close()
	r, err := i.Desk.Report(e.ctx, by, enrol.ReportQuery{Name: c.Name, System: c.System, Agency: c.Agency, Days: c.Days, Months: c.Months, By: c.By})
	if err != nil {
		return err
	}
	for format, wanted := range map[string]bool{"csv": c.CSV, "xlsx": c.XLSX, "json": c.JSON} {
		if wanted {
			return r.Write(e.ctx, e.stdout, format)
		}
	}
	t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	row, rows := make([]string, len(r.Columns)), 0
	for k, col := range r.Columns {
		row[k] = col.Name
	}
	fmt.Fprintln(t, strings.Join(row, "\t"))
	err = r.Each(e.ctx, func(cells ...any) error {
		for k, cell := range cells {
			row[k] = fmt.Sprint(cell)
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
		if rows++; rows%1000 != 0 { // aligned by the thousand: a long list is not held
			return nil
		}
		return t.Flush()
	})
	if err != nil {
		return err
	}
	return t.Flush()
}
