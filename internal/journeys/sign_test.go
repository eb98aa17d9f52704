//go:build !race

package journeys_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/gatewaytest"
	"github.com/mohor-sign/mohor/store/storetest"
)

// A system's officer signs on the gateway's page: a hash, a PDF, a list of sixty, a batch, with
// what goes wrong on the way, and comes back to the system.
func TestJourneySign(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "<!DOCTYPE html><html lang=ms><link rel=icon href='data:,'><title>iGFMAS</title><h1>iGFMAS</h1>")
	}))
	defer app.Close()
	g := gatewaytest.New(t)
	crested(t, g)
	_, _, key, err := g.Server.Apps.Register(t.Context(), "test", enrol.App{ID: "laman", Name: "iGFMAS", Systems: []string{g.Dev.System}, Grants: []string{enrol.GrantRAW},
		PINEntry: enrol.PINHosted, RedirectURIs: []string{app.URL + "/kembali"}, Rate: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	var pdfs []string
	for k := range 3 {
		up := g.Do("POST", fmt.Sprintf("/v1/documents?name=Baucar%%20Bayaran%%202026-04-%03d.pdf", k+1), "application/pdf",
			storetest.PDF(fmt.Sprintf("Baucar Bayaran %d", k+1), "Lampiran A", "Lampiran B"), "X-API-Key", string(key.Reveal()))
		if up.Status != http.StatusCreated {
			t.Fatalf("%s", up.Raw)
		}
		pdfs = append(pdfs, up.Text("document_id"))
	}
	r := run(t, g, "sign", given{"key": string(key.Reveal()), "back": app.URL, "pdfs": pdfs}, nil)
	for _, where := range []string{"ms-phone", "en-desktop"} {
		// To open, two fields, to sign, back.
		if c, _ := r["hash-"+where].(map[string]any); c["clicks"] != 3.0 || c["typed"] != 2.0 {
			t.Errorf("%s: a signature took %v", where, c)
		}
	}
}

// crested gives the sandbox's system a title and a crest.
func crested(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	by := enrol.Actor{Name: "cli:ujian"}
	err := g.Server.Desk.PutAgency(t.Context(), by, enrol.Agency{Code: "JANM", Name: "Jabatan Akauntan Negara Malaysia"})
	if err == nil {
		err = g.Server.Desk.PutSystem(t.Context(), by, enrol.System{Code: g.Dev.System, Agency: "JANM", Title: "iGFMAS", Notice: enrol.NoticeToken})
	}
	if err == nil {
		_, err = g.Server.Desk.ShowSystem(t.Context(), by, g.Dev.System, func(s *enrol.System) {
			s.Title, s.Notice = "KEMENTERIAN KEWANGAN – JABATAN AKAUNTAN NEGARA MALAYSIA", enrol.NoticeToken
		})
	}
	if err == nil {
		err = g.Server.Desk.SetLogo(t.Context(), by, g.Dev.System, crest(t))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// crest is a picture of rings.
func crest(t *testing.T) []byte {
	const side = 144
	m := image.NewNRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			dx, dy := x-side/2, y-side/2
			switch d := dx*dx + dy*dy; {
			case d < 30*30:
				m.Set(x, y, color.NRGBA{18, 51, 95, 255})
			case d < 50*50, d > 60*60 && d < 70*70:
				m.Set(x, y, color.NRGBA{203, 153, 39, 255})
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
