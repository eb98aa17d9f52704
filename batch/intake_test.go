package batch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/store/storetest"
)

// watched is a queue of which each step of an upload can be seen, or can fail before it is done or after.
type watched struct {
	batch.Queue
	at func(step string, n int) (before, after error)
	n  int
}

func (w *watched) step(name string, do func() error) error {
	w.n++
	before, after := w.at(name, w.n)
	if before != nil {
		return before
	}
	return errors.Join(do(), after)
}

func (w *watched) ClaimIntake(ctx context.Context, id, upload string) error {
	return w.step("claim", func() error { return w.Queue.ClaimIntake(ctx, id, upload) })
}

func (w *watched) Stage(ctx context.Context, id, upload string, p batch.Page) error {
	return w.step("stage", func() error { return w.Queue.Stage(ctx, id, upload, p) })
}

func (w *watched) CommitIntake(ctx context.Context, id, upload string, first uint32, items, refused int, ev audit.Event) error {
	return w.step("commit", func() error { return w.Queue.CommitIntake(ctx, id, upload, first, items, refused, ev) })
}

func (w *watched) DropIntake(ctx context.Context, id, upload string) error {
	return w.step("drop", func() error { return w.Queue.DropIntake(ctx, id, upload) })
}

// While pages come in nobody sees them, and nobody else adds to the batch or seals it.
func TestUploadInPages(t *testing.T) {
	h := newHouse(t)
	id := h.create(t, batch.Digest)
	svc := h.svc
	var steps []string
	h.svc.Queue = &watched{Queue: h.DB, at: func(step string, n int) (error, error) {
		steps = append(steps, step)
		if n != 3 {
			return nil, nil
		}
		if b := h.batch(t, id); b.Next != 0 || b.Pending != 0 || len(h.items(t, id)) != 0 {
			t.Errorf("seen before the end: %+v", b)
		}
		second := &batch.Service{Queue: h.DB, Blobs: svc.Blobs, TempDir: svc.TempDir, MaxUpload: svc.MaxUpload, MaxPDF: svc.MaxPDF, Now: svc.Now}
		for what, call := range map[string]func() error{
			"a small upload": func() error { _, err := second.AddDigests(ctx, h.App.ID, id, "r", lines(0, 1)); return err },
			"a large upload": func() error { _, err := second.AddDigests(ctx, h.App.ID, id, "r", lines(0, 600)); return err },
			"sealing":        func() error { _, err := second.Seal(ctx, h.App.ID, id, true, "r"); return err },
		} {
			if err := call(); !errors.Is(err, batch.ErrIntake) {
				t.Errorf("%s meanwhile: %v", what, err)
			}
		}
		return nil, nil
	}}
	got, err := h.svc.AddDigests(ctx, h.App.ID, id, "r", io.MultiReader(lines(0, 1300), strings.NewReader("x\n")))
	must(t, err)
	if got.Accepted != 1300 || got.RefusedCount != 1 || strings.Join(steps, " ") != "claim stage stage stage commit" {
		t.Errorf("%d taken, %d refused, %v", got.Accepted, got.RefusedCount, steps)
	}
	b, err := h.svc.Seal(ctx, h.App.ID, id, true, "r")
	if err != nil || b.Count != 1300 {
		t.Errorf("%+v, %v", b, err)
	}
}

// Whatever fails, also after it was done, an upload is there whole or not at all, and the next one
// works when the first is known to be dead.
func TestUploadFaults(t *testing.T) {
	failed := errors.New("the database is away")
	for _, after := range []bool{false, true} {
		for at := 1; at <= 5; at++ { // claim, three pages, commit
			for _, drops := range []bool{true, false} {
				h := newHouse(t)
				h.svc.Blobs = h.packs
				id := h.create(t, batch.Digest)
				h.svc.Queue = &watched{Queue: h.DB, at: func(step string, n int) (error, error) {
					switch {
					case n == at && after:
						return nil, failed
					case n == at, step == "drop" && !drops: // as if the process had died
						return failed, nil
					}
					return nil, nil
				}}
				_, err := h.svc.AddDigests(ctx, h.App.ID, id, "r", lines(0, 1300))
				if !errors.Is(err, failed) {
					t.Fatalf("step %d: %v", at, err)
				}
				h.svc.Queue = h.DB
				want := uint32(0)
				if at == 5 && after {
					want = 1300
				}
				if b := h.batch(t, id); b.Next != want || b.Pending != want || len(h.items(t, id)) != int(want) {
					t.Errorf("step %d, after %v: %+v", at, after, b)
				}
				h.Clock.Advance(time.Hour)
				must(t, h.svc.Sweep(ctx))
				if b := h.batch(t, id); b.Intake != "" || b.Next != want {
					t.Errorf("step %d, after %v: swept %+v", at, after, b)
				}
				_, err = h.svc.AddDigests(ctx, h.App.ID, id, "r", lines(0, 700))
				must(t, err)
				if b, err := h.svc.Seal(ctx, h.App.ID, id, true, "r"); err != nil || b.Count != want+700 {
					t.Errorf("step %d, after %v: sealed %+v, %v", at, after, b, err)
				}
			}
		}
	}
}

// All refused rows can be had, in order, though the answer holds a thousand.
func TestManyRefusedRows(t *testing.T) {
	h := newHouse(t)
	id := h.create(t, batch.Digest)
	got, err := h.svc.AddDigests(ctx, h.App.ID, id, "r", io.MultiReader(lines(0, 1), strings.NewReader(strings.Repeat("{}\n", 1203))))
	must(t, err)
	if got.RefusedCount != 1203 || len(got.Refused) != batch.MaxRefused || h.batch(t, id).RefusedRows != 1203 {
		t.Errorf("%d refused, %d shown", got.RefusedCount, len(got.Refused))
	}
	_, err = h.svc.AddDigests(ctx, h.App.ID, id, "r", io.MultiReader(lines(1, 1), strings.NewReader("{}\n")))
	must(t, err)
	n := 0
	for after := int64(-1); ; after += 500 {
		rows, err := h.DB.RefusedRows(ctx, id, after, 500)
		must(t, err)
		for k, r := range rows {
			if want := n + k + 2; r.Row != want && n+k < 1203 || r.Code != ecert.CodeFieldMissing {
				t.Fatalf("%d: %+v", n+k, r)
			}
		}
		if n += len(rows); len(rows) < 500 {
			break
		}
	}
	if n != 1204 {
		t.Errorf("%d rows", n)
	}
}

func TestManifest(t *testing.T) {
	a, b := storetest.PDF("a"), storetest.PDF("b")
	type row struct{ manifest, refused, accepted string }
	const csv = "fail,rujukan,tajuk,jumlah,mata_wang,penerima\n"
	for what, x := range map[string]row{
		"none":             {"", "", "a.pdf//,b.pdf//"},
		"CSV":              {csv + "a.pdf,R1,Baucar 1,29911.35,MYR,SYARIKAT ALI\nb.pdf,,,1,,\"ABU, DAN ANAK\"\n", "", "Baucar 1/29911.35/SYARIKAT ALI,b.pdf/1.00/ABU, DAN ANAK"},
		"JSON":             {`[{"file":"a.pdf","title":"T","payee":"ALI"},{"file":"b.pdf"}]`, "", "T//ALI,b.pdf//"},
		"semicolons":       {"fail;jumlah\na.pdf;0.5\nb.pdf;0\n", "", "a.pdf/0.50/,b.pdf/0.00/"},
		"negative":         {csv + "a.pdf,,,-1.00,,\nb.pdf,,,1.00,,\n", "2 jumlah row_amount_invalid", "b.pdf/1.00/"},
		"three decimals":   {csv + "a.pdf,,,1.005,,\nb.pdf,,,1.00,,\n", "2 jumlah row_amount_invalid", "b.pdf/1.00/"},
		"a separator":      {csv + "a.pdf,,,\"1,000.00\",,\nb.pdf,,,1.00,,\n", "2 jumlah row_amount_invalid", "b.pdf/1.00/"},
		"an exponent":      {csv + "a.pdf,,,1e3,,\nb.pdf,,,1.00,,\n", "2 jumlah row_amount_invalid", "b.pdf/1.00/"},
		"Arabic digits":    {csv + "a.pdf,,,١٢,,\nb.pdf,,,1.00,,\n", "2 jumlah row_amount_invalid", "b.pdf/1.00/"},
		"another currency": {csv + "a.pdf,,,1.00,USD,\nb.pdf,,,1.00,MYR,\n", "2 mata_wang row_currency_invalid", "b.pdf/1.00/"},
		"no amount":        {csv + "a.pdf,,,,,\nb.pdf,,,1.00,MYR,\n", "2  row_field_missing", "b.pdf/1.00/"},
		"a file too many":  {csv + "a.pdf,,,1.00,,\n", "2  row_file_not_listed", "a.pdf/1.00/"},
		"a row too many":   {csv + "a.pdf,,,,,\nb.pdf,,,,,\nc.pdf,,,,,\n", "4  row_file_missing", "a.pdf//,b.pdf//"},
		"a row twice":      {csv + "a.pdf,,,1.00,,\na.pdf,,,2.00,,\nb.pdf,,,1.00,,\n", "2 fail row_file_duplicate;3 fail row_file_duplicate", "b.pdf/1.00/"},
		"a formula":        {csv + "a.pdf,=1+1,=HYPERLINK(\"\"\"\"),1.00,,=1\nb.pdf,,,1.00,,\n", "csv", ""},
		"controls":         {csv + "a.pdf,,T\u202eX,,,\nb.pdf,,,,,\n", "2 tajuk row_field_invalid", "b.pdf//"},
		"unknown column":   {"fail,amount,x\n", "csv", ""},
		"column twice":     {"fail,amount,jumlah\n", "csv", ""},
		"no file column":   {"amount\n1.00\n", "csv", ""},
		"JSON number":      {`[{"file":"a.pdf","amount":1.5}]`, "csv", ""},
		"JSON member":      {`[{"file":"a.pdf","x":""}]`, "csv", ""},
		"JSON object":      {`{"file":"a.pdf"}`, "csv", ""},
		"JSON without end": {`[{"file":"a.pdf"}`, "csv", ""},
		"JSON and more":    {`[] []`, "csv", ""},
	} {
		h := newHouse(t)
		id := h.create(t, batch.PDF)
		files := []any{"a.pdf", a, "b.pdf", b}
		if x.manifest != "" {
			name := "manifest.csv"
			if strings.HasPrefix(x.manifest, "[") || strings.HasPrefix(x.manifest, "{") {
				name = "manifest.json"
			}
			files = append(files, name, []byte(x.manifest))
		}
		if x.refused == "csv" {
			h.refuses(t, what, id, ecert.ErrCSV, func() error { _, err := h.addPDFs(id, archive(t, files...)); return err })
			if h.stored(t) != 0 {
				t.Errorf("%s: blobs are left", what)
			}
			continue
		}
		got, err := h.addPDFs(id, archive(t, files...))
		must(t, err)
		var refused, accepted []string
		for _, r := range got.Refused {
			refused = append(refused, fmt.Sprintf("%d %s %s", r.Row, r.Column, r.Code))
		}
		var payments []signer.Payment
		for p, err := range h.DB.Payments(ctx, id) {
			must(t, err)
			payments = append(payments, p)
		}
		for k, it := range h.items(t, id) {
			p := signer.Payment{}
			if len(payments) > 0 {
				p = payments[k]
			}
			accepted = append(accepted, it.Name+"/"+p.Amount+"/"+p.Payee)
		}
		if strings.Join(refused, ";") != x.refused || strings.Join(accepted, ",") != x.accepted || h.stored(t) != len(accepted) {
			t.Errorf("%s: accepted %v, refused %v", what, accepted, refused)
		}
	}
}

// What the documents amount to, and to whom they pay, is what the officer is told, and what the code
// is bound to.
func TestOfficerIsToldWhatABatchPays(t *testing.T) {
	h := newHouse(t)
	id := h.create(t, batch.PDF)
	add := func(id, name, amount, payee string) {
		t.Helper()
		_, err := h.svc.AddPDF(ctx, h.App.ID, id, "r", batch.File{Name: name, Payment: signer.Payment{Amount: amount, Payee: payee}}, bytes.NewReader(storetest.PDF(name)))
		must(t, err)
	}
	for k, payee := range []string{"ALI", "ABU", "ALI", "CHONG", "DEVI"} {
		add(id, fmt.Sprint("baucar ", k), "0.1", payee) // five times 0.1 is 0.50, and no float's sum
	}
	_, err := h.svc.Seal(ctx, h.App.ID, id, false, "r")
	must(t, err)
	ask := h.ask(id)
	ask.Options.Format, ask.Options.Level = signer.PADES, "B-B"
	wrong := ask
	wrong.Options.Total = &otp.Total{Amount: "0.51", Currency: "MYR"}
	if _, _, err := h.s.Prepare(ctx, wrong); !errors.Is(err, signer.ErrTotal) {
		t.Errorf("another total: %v", err)
	}
	r, _, err := h.s.Prepare(ctx, ask)
	must(t, err)
	if o := r.Options; o.Total == nil || *o.Total != (otp.Total{Amount: "0.50", Currency: "MYR"}) || o.Payees == nil || o.Payees.Count != 4 || strings.Join(o.Payees.First, " ") != "ALI ABU CHONG" {
		t.Errorf("total %+v, payees %+v", r.Options.Total, r.Options.Payees)
	}
	if _, hash, err := r.Options.Canonical(); err != nil || hash != r.OptionsHash {
		t.Errorf("they are not in what the code is bound to: %v", err)
	}
	// Some with an amount and some without: their sum would say too little.
	mixed := h.create(t, batch.PDF)
	add(mixed, "a", "1.00", "ALI")
	add(mixed, "b", "", "")
	h.refuses(t, "amounts of some", mixed, signer.ErrAmounts, func() error { _, err := h.svc.Seal(ctx, h.App.ID, mixed, false, "r"); return err })
	// A sum of more digits than a total has.
	huge := h.create(t, batch.PDF)
	add(huge, "a", strings.Repeat("9", 15)+".99", "")
	add(huge, "b", "0.01", "")
	h.refuses(t, "too much", huge, signer.ErrAmounts, func() error { _, err := h.svc.Seal(ctx, h.App.ID, huge, false, "r"); return err })
	for what, f := range map[string]batch.File{"no name": {}, "an amount": {Name: "a", Payment: signer.Payment{Amount: "-1"}}, "a payee": {Name: "a", Payment: signer.Payment{Payee: "A\x00"}}, "a reference": {Name: "a", Reference: "\u202e"}} {
		h.refuses(t, what, huge, batch.ErrInput, func() error {
			_, err := h.svc.AddPDF(ctx, h.App.ID, huge, "r", f, bytes.NewReader(storetest.PDF("a")))
			return err
		})
	}
}

// picture is a JPEG of a size in one colour.
func picture(t *testing.T, w, h int, c color.Color) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	must(t, jpeg.Encode(&b, m, nil))
	return b.Bytes()
}

func TestListWithPhotos(t *testing.T) {
	h := newHouse(t)
	var err error
	h.svc.Renderer, err = ecert.NewRenderer(ecert.Options{Sandbox: true})
	must(t, err)
	id := h.create(t, batch.Ecert)
	withPhoto := func(number, photo string) string {
		return strings.Replace(row("ALI", ic, number), "\n", ","+photo+"\n", 1)
	}
	list := []byte(strings.Replace(header, "\n", ",foto\n", 1) + withPhoto("S1000001", "a.jpg") + withPhoto("S1000002", "") + withPhoto("S1000003", "none.jpg") +
		withPhoto("S1000004", "a.jpg") + withPhoto("S1000005", "small.jpg") + withPhoto("S1000006", "text.jpg") + withPhoto("S1000007", "b.jpeg"))
	red, blue := picture(t, 300, 400, color.RGBA{200, 0, 0, 255}), picture(t, 120, 160, color.RGBA{0, 0, 200, 255})
	zipped := archive(t, "senarai.csv", list, "foto/a.jpg", red, "b.jpeg", blue, "small.jpg", picture(t, 99, 99, color.White), "text.jpg", []byte("text"), "__MACOSX/._a.jpg", []byte("x"), "unused.jpg", []byte("x"))
	got, err := h.svc.AddZIP(ctx, h.App.ID, id, "r", bytes.NewReader(zipped))
	must(t, err)
	if got.Accepted != 3 || got.RefusedCount != 4 {
		t.Fatalf("%+v", got)
	}
	for k, row := range []int{4, 5, 6, 7} {
		if r := got.Refused[k]; r.Row != row || r.Code != ecert.CodePhotoInvalid || r.Column != "foto" {
			t.Errorf("refused %+v", r)
		}
	}
	photos := 0
	for _, it := range h.items(t, id) {
		if it.Record.Candidate.Photo == "" {
			continue
		}
		photos++
		blob, err := h.packs.Open(ctx, it.Blob)
		must(t, err)
		page, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
		must(t, err)
		at := bytes.Index(page, []byte("\xFF\xD8\xFF"))
		if at < 0 {
			t.Fatal("there is no picture in the certificate")
		}
		if _, err := jpeg.Decode(bytes.NewReader(page[at:])); err != nil {
			t.Errorf("what is in the certificate is no picture: %v", err)
		}
		must(t, blob.Close())
	}
	if photos != 2 {
		t.Errorf("%d pictures", photos)
	}
	before := h.stored(t)
	for what, bad := range map[string][]byte{
		"no list": archive(t, "a.jpg", red), "two lists": archive(t, "a.csv", list, "b.csv", list), "two of one name": archive(t, "a.csv", list, "x/a.jpg", red, "y/a.jpg", red),
		"a program": archive(t, "a.csv", list, "a.exe", red), "no ZIP": []byte("PK"),
	} {
		h.refuses(t, what, id, batch.ErrInput, func() error {
			_, err := h.svc.AddZIP(ctx, h.App.ID, id, "r", bytes.NewReader(bad))
			return err
		})
	}
	if h.stored(t) != before {
		t.Error("a refused upload has left blobs")
	}
}
