package raster_test

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/raster"
)

const page = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj " +
	"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 144]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"

func TestPNG(t *testing.T) {
	if _, err := exec.LookPath("pdftoppm"); err != nil {
		if os.Getenv("MOHOR_TEST_REQUIRE") == "all" {
			t.Fatal(err)
		}
		t.Skip("pdftoppm is not installed")
	}
	ctx := context.Background()
	b, err := raster.PNG(ctx, strings.NewReader(page), 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := png.DecodeConfig(bytes.NewReader(b)); err != nil || c.Width != 100 || c.Height != 200 {
		t.Errorf("%+v, %v", c, err)
	}
	for what, in := range map[string]string{"nothing": "", "no PDF": "abc", "a page too many": page} {
		if _, err := raster.PNG(ctx, strings.NewReader(in), 2, 100); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := raster.PNG(stopped, strings.NewReader(page), 1, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

func TestWithoutPdftoppm(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := raster.PNG(context.Background(), strings.NewReader(page), 1, 100); !errors.Is(err, raster.ErrAbsent) {
		t.Error(err)
	}
}
