package apiload_test

import (
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/apiload"
)

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for k := range hundred {
		hundred[k] = float64(100 - k)
	}
	for _, c := range []struct {
		values []float64
		p      float64
		want   float64
	}{
		{nil, 0.99, 0}, {[]float64{7}, 0.5, 7}, {[]float64{7}, 0, 7}, {[]float64{3, 1, 2}, 0.5, 2}, {[]float64{4, 1, 3, 2}, 0.5, 2},
		{hundred, 0.5, 50}, {hundred, 0.95, 95}, {hundred, 0.99, 99}, {hundred, 1, 100}, {hundred[:50], 0.99, 100},
	} {
		if got := apiload.Percentile(c.values, c.p); got != c.want {
			t.Errorf("percentile %g of %v is %g, want %g", c.p, c.values, got, c.want)
		}
	}
	if hundred[0] != 100 {
		t.Error("the values were sorted in place")
	}
}

func TestLoadRefusesTasks(t *testing.T) {
	c, err := apiload.Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.Sink, "127.0.0.1:") {
		t.Errorf("mails go to %q", c.Sink)
	}
	if _, err := c.Do(apiload.Task{Kind: apiload.Medium, DevFile: t.TempDir() + "/none"}); err == nil {
		t.Error("a gateway nobody named was asked")
	}
	if _, err := c.Do(apiload.Task{Kind: "storm"}); err == nil {
		t.Error("an unknown task was done")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
