package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/spool"
	"github.com/mohor-sign/mohor/internal/table"
)

// errList: a list of officers that cannot be read, which a list of candidates is told
// apart from.
var errList = errors.New("list refused")

// maxList bounds an uploaded list of officers in bytes; its rows have a bound of
// their own ([enrol.MaxListRows]).
const maxList = 64 << 20

const sheetType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

type listInput struct {
	upload
	ContentType string `header:"Content-Type"`
	Check       bool   `query:"check" doc:"Judge the list, change nothing"`
	GoodOnly    bool   `query:"good_only" doc:"Leave out the rows that are refused; else one refusal refuses all"`
	Rows        string `query:"rows" maxLength:"8192" doc:"Add these rows alone, numbered as in the list" example:"2,5-9"`
}

type listOutput struct {
	Body struct {
		Digest   string  `json:"digest" doc:"Hexadecimal SHA-256 of the file"`
		Rows     int     `json:"rows" doc:"That are not empty"`
		Good     int     `json:"good" doc:"That can be added"`
		Already  int     `json:"already" doc:"That an earlier, interrupted upload of the same file has added"`
		Accepted int     `json:"accepted" doc:"Added by this request"`
		Count    int     `json:"refused_count"`
		Refused  []Fault `json:"refused" doc:"The first thousand of them"`
	}
}

func (s *server) addList(ctx context.Context, in *listInput) (*listOutput, error) {
	if t := mediaType(in.ContentType); t != "text/csv" && t != sheetType {
		return nil, s.fail(ctx, fixed("Content-Type", "It must be text/csv or "+sheetType+".", "Ia mesti text/csv atau "+sheetType+"."))
	}
	choice := enrol.ListChoice{GoodOnly: in.GoodOnly}
	var err error
	if choice.Rows, err = rowsOf(in.Rows); err != nil {
		return nil, s.fail(ctx, err)
	}
	f, size, err := s.spool(in.body, maxList)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	defer f.Close()
	var rep enrol.ListReport
	if in.Check {
		rep, err = s.Desk.CheckList(ctx, personOf(ctx).Actor, f, size)
	} else {
		rep, err = s.Desk.AddList(ctx, personOf(ctx).Actor, f, size, choice)
	}
	if errors.Is(err, table.ErrRefused) {
		err = fmt.Errorf("%w: %w", errList, err)
	}
	if err != nil {
		p := newProblem(ctx, s.logged(ctx, err))
		if errors.Is(err, enrol.ErrInput) { // the rows say why
			p.Errors = rowFaults(rep.Told, english(ctx))
		}
		return nil, p
	}
	out := &listOutput{}
	b := &out.Body
	b.Digest, b.Rows, b.Good, b.Already, b.Accepted, b.Count, b.Refused = rep.Digest, rep.Rows, rep.Good, rep.Already, rep.Added, rep.Refused, rowFaults(rep.Told, english(ctx))
	return out, nil
}

// spool keeps an upload in a file that has no name.
func (s *server) spool(body io.Reader, limit int64) (*os.File, int64, error) {
	return spool.Copy(s.TempDir, body, limit)
}

// rowsOf reads "2,5-9"; nil for "".
func rowsOf(text string) (map[int]bool, error) {
	if text == "" {
		return nil, nil
	}
	bad := fixed("rows", "It must be row numbers and ranges, such as 2,5-9.", "Ia mesti nombor baris dan julat, misalnya 2,5-9.")
	rows, named := map[int]bool{}, uint64(0)
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 31)
		to, terr := strconv.ParseUint(last, 10, 31)
		if err != nil || terr != nil || from > to || to-from >= enrol.MaxListRows {
			return nil, bad
		}
		if named += to - from + 1; named > enrol.MaxListRows {
			return nil, bad
		}
		for n := from; n <= to; n++ {
			rows[int(n)] = true
		}
	}
	return rows, nil
}
