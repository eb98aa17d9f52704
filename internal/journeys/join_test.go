//go:build !race

package journeys_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
)

// joining are what administrators and the clock do while officers join.
type joining struct {
	g  *gatewaytest.Gateway
	mu sync.Mutex
	n  int
}

// administrators of the registry's one agency: the machine lists, others decide.
var (
	clerk = enrol.Actor{Name: "cli:test"}
	ap    = enrol.Actor{Name: "account:ap", IC: "700101105554", Appointments: []enrol.Appointment{{Role: enrol.AP, Agency: "JANM"}}}
	jdn   = enrol.Actor{Name: "account:jdn", IC: "700101105551", Appointments: []enrol.Appointment{{Role: enrol.JDN}}}
)

// newcomer lists an officer, to whom the link is mailed.
func (j *joining) newcomer(json.RawMessage) (any, error) {
	j.mu.Lock()
	j.n++
	n := j.n
	j.mu.Unlock()
	o := enrol.Officer{IC: fmt.Sprintf("7903081099%02d", n), Name: "NORAINI BINTI OTHMAN", Email: fmt.Sprintf("noraini%d@janm.gov.my", n)}
	ctx := context.Background()
	if _, err := j.g.Server.Desk.Add(ctx, clerk, enrol.Row{Officer: o, Agency: "JANM", System: j.g.Dev.System, Medium: enrol.RoamingOTP}); err != nil {
		return nil, err
	}
	e, err := j.last(ctx, o.IC)
	if err == nil && e.State == enrol.Listed {
		err = j.g.Server.Desk.Admit(ctx, jdn, e.ID)
	}
	if err == nil {
		err = j.mail(ctx)
	}
	return map[string]string{"ic": o.IC, "email": o.Email, "name": o.Name}, err
}

func (j *joining) last(ctx context.Context, ic string) (enrol.Enrolment, error) {
	all, err := j.g.Server.Desk.Records.EnrolmentsOf(ctx, ic)
	if err != nil || len(all) == 0 {
		return enrol.Enrolment{}, fmt.Errorf("%d enrolments: %w", len(all), err)
	}
	return all[len(all)-1], nil
}

// mail sends what is due.
func (j *joining) mail(ctx context.Context) error {
	for {
		if did, err := j.g.Server.Desk.Once(ctx); err != nil || !did {
			return err
		}
	}
}

func (j *joining) post(json.RawMessage) (any, error) { return nil, j.mail(context.Background()) }

// decide takes a step about the officer with an IC: { ic, step, reason }.
func (j *joining) decide(argument json.RawMessage) (any, error) {
	var a struct{ IC, Step, Reason string }
	if err := json.Unmarshal(argument, &a); err != nil {
		return nil, err
	}
	ctx, desk := context.Background(), j.g.Server.Desk
	e, err := j.last(ctx, a.IC)
	if err != nil {
		return nil, err
	}
	switch a.Step {
	case "validate":
		err = desk.Validate(ctx, ap, e.ID)
	case "approve":
		_, err = desk.Approve(ctx, jdn, e.ID)
	case "return":
		err = desk.Return(ctx, ap, e.ID, a.Reason)
	case "reject":
		err = desk.Reject(ctx, ap, e.ID, a.Reason)
	default:
		err = fmt.Errorf("no step %q", a.Step)
	}
	if err == nil {
		err = j.mail(ctx)
	}
	return nil, err
}

// card is a picture as of a MyKad; with noise, as a photograph has it, it is as large as one of a telephone.
func card(t *testing.T, width, height int, noise bool) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	fill := func(x0, y0, x1, y1 int, c color.RGBA) {
		draw.Draw(img, image.Rect(x0*width/100, y0*height/100, x1*width/100, y1*height/100), image.NewUniform(c), image.Point{}, draw.Src)
	}
	fill(0, 0, 100, 100, color.RGBA{190, 214, 236, 255})
	fill(0, 0, 100, 16, color.RGBA{28, 74, 140, 255})
	fill(66, 28, 94, 84, color.RGBA{226, 201, 178, 255})
	for k := range 5 {
		fill(6, 30+k*12, 50-k*5, 34+k*12, color.RGBA{40, 48, 60, 255})
	}
	if noise {
		r := rand.New(rand.NewPCG(1, 2))
		for k := range img.Pix {
			if k%4 != 3 {
				img.Pix[k] = uint8(max(0, min(255, int(img.Pix[k])+r.IntN(80)-40)))
			}
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// From the mail with the link to an issued certificate, with what goes wrong on the way, in both
// languages and sizes.
func TestJourneyJoin(t *testing.T) {
	if r := join(t, "way"); r["issued"] != 4.0 {
		t.Errorf("%v certificates were issued", r["issued"])
	}
}

// The same without scripts and in the fewest clicks; how else it ends; the status for anybody; "this
// was not me".
func TestJourneyJoinOtherwise(t *testing.T) {
	r := join(t, "otherwise")
	if r["issued"] != 1.0 {
		t.Errorf("%v certificates were issued", r["issued"])
	}
	t.Logf("from the mail to the application that is sent: %v", r["clicks"])
}

// join plays a part of js/join.mjs.
func join(t *testing.T, part string) map[string]any {
	t.Helper()
	g := gatewaytest.New(t)
	desk := g.Server.Desk
	if err := desk.PutAgency(t.Context(), clerk, enrol.Agency{Code: "JANM", Name: "Jabatan Akauntan Negara Malaysia"}); err != nil {
		t.Fatal(err)
	}
	if err := desk.PutSystem(t.Context(), clerk, enrol.System{Code: g.Dev.System, Title: "iGFMAS", Agency: "JANM"}); err != nil {
		t.Fatal(err)
	}
	j := &joining{g: g}
	large := card(t, 3600, 2400, true)
	if n := base64.StdEncoding.DecodedLen(len(large)); n < 3<<20 {
		t.Fatalf("the large picture has %d bytes", n)
	}
	return run(t, g, "join", given{"part": part, "card": card(t, 900, 570, false), "large": large}, acts{"newcomer": j.newcomer, "post": j.post, "decide": j.decide})
}
