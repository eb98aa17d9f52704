package mykad_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/mykad"
)

func TestParse(t *testing.T) {
	for _, s := range []string{"240405888916", "000229991234", "040229010001", "991231999999", "960229140000"} {
		if n, err := mykad.Parse(s); err != nil || string(n) != s {
			t.Errorf("%s: %q, %v", s, n, err)
		}
	}
	for _, s := range []string{
		"", "1", "24040588891", "2404058889161", "240405-88-8916", "240405 88 8916", " 240405888916",
		"241305888916", "240005888916", "240400888916", "240431888916", "230229888916", "010229888916",
		"24040588891a", "+40405888916", "２４０４０５８８", "240405888916\n", "24040588891\x00", "٢٤٠٤٠٥",
	} {
		if n, err := mykad.Parse(s); !errors.Is(err, mykad.ErrInvalid) || n != "" {
			t.Errorf("%q: %q, %v", s, n, err)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"900101-14-5678": "900101145678", " 900101-14-5678\t": "900101145678", "900101 14 5678": "900101145678",
		"900101145678": "900101145678", "900101-14 5678": "900101-14 5678", "9001-01145678": "9001-01145678",
		"9001011-4-5678": "9001011-4-5678", "": "", "-": "-",
	} {
		if got := mykad.Clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPrinting(t *testing.T) {
	n, err := mykad.Parse("900101145678")
	if err != nil {
		t.Fatal(err)
	}
	if n.Masked() != "••••••••5678" || n.Dashed() != "900101-14-5678" {
		t.Errorf("%s, %s", n.Masked(), n.Dashed())
	}
	if m := mykad.Number("12").Masked(); strings.ContainsAny(m, "12") {
		t.Errorf("a short number is shown: %s", m)
	}
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "ic", n)
	if strings.Contains(b.String(), "900101") || !strings.Contains(b.String(), "5678") {
		t.Errorf("logged %s", b.String())
	}
}

func FuzzParse(f *testing.F) {
	f.Add("240405888916")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := mykad.Parse(mykad.Clean(s))
		if (err == nil) != (len(n) == mykad.Size) {
			t.Fatalf("%q, %v", n, err)
		}
		if err == nil && mykad.Clean(n.Dashed()) != string(n) {
			t.Fatalf("%q does not survive dashes", n)
		}
	})
}
