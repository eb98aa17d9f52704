package layers_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/internal/layers"
)

// listed reads what go list says about every package of the module, tests
// apart.
func listed(t *testing.T) []layers.Package {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,GoFiles,CgoFiles", "./...")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var pkgs []layers.Package
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p layers.Package
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestImportsFollowTheTable(t *testing.T) {
	for _, v := range layers.Check(listed(t)) {
		t.Error(v)
	}
}

// The test must be able to fail: forbidden edges and an empty tree are found.
func TestCheckFindsForbiddenImports(t *testing.T) {
	base := listed(t)
	for from, to := range map[string]string{"web": "hsm", "api": "hsm", "signer": "batch", "otp": "enrol", "hsm": "signer", "store": "api", "pdf/syntax": "pdf"} {
		pkgs := append([]layers.Package{}, base...)
		found := false
		for k := range pkgs {
			if pkgs[k].ImportPath == layers.Module+"/"+from {
				pkgs[k].Imports = append(append([]string{}, pkgs[k].Imports...), layers.Module+"/"+to)
				found = true
			}
		}
		if !found {
			t.Fatalf("package %s is not in the tree", from)
		}
		got := layers.Check(pkgs)
		if len(got) != 1 || !strings.Contains(got[0], from) || !strings.Contains(got[0], to) {
			t.Errorf("%s importing %s: found %q", from, to, got)
		}
	}
	if got := layers.Check(nil); len(got) == 0 {
		t.Error("an empty tree passed")
	}
	if got := layers.Check([]layers.Package{{ImportPath: layers.Module + "/utils", GoFiles: []string{"x.go"}}}); len(got) == 0 {
		t.Error("an unknown package passed")
	}
}

func TestFilesAreShortEnough(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "sqlc" || d.Name() == "var") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_templ.go") { // these are written by templ
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen++
		if n := strings.Count(string(b), "\n"); n > layers.MaxLines {
			t.Errorf("%s has %d lines, %d are allowed", path, n, layers.MaxLines)
		}
		return nil
	})
	if err != nil || seen < 50 {
		t.Fatalf("%d files seen, %v", seen, err)
	}
}
