package enrol_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Callers decide by codes: each that has a sentence is in the tables of docs/enrolment.md
// or docs/api.md.
func TestEveryRefusalIsDocumented(t *testing.T) {
	source := string(read(t, "refusal.go"))
	docs := string(read(t, "../docs/enrolment.md")) + string(read(t, "../docs/api.md"))
	cases := regexp.MustCompile(`(?m)^\tcase "([a-z_]+)":`).FindAllStringSubmatch(source, -1)
	if len(cases) < 40 {
		t.Fatalf("%d codes found", len(cases))
	}
	told := map[string]bool{"not_registered": true, "not_scheduled": true} // the API says not_found
	for _, c := range cases {
		if !told[c[1]] && !strings.Contains(docs, "`"+c[1]+"`") {
			t.Errorf("%s is in no table", c[1])
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
