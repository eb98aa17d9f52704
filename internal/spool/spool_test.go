package spool_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mohor-sign/mohor/internal/spool"
)

func TestCopy(t *testing.T) {
	dir := t.TempDir()
	f, n, err := spool.Copy(dir, strings.NewReader("kandungan"), 9)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(f); err != nil || string(text) != "kandungan" || n != 9 {
		t.Errorf("%q, %d, %v", text, n, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("it has a name: %v, %v", left, err)
	}
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// Whose doing it is that a copy failed is told apart: a full disk is not the sender's.
func TestCopyTellsWhoFailed(t *testing.T) {
	dir := t.TempDir()
	broken := io.MultiReader(strings.NewReader("kan"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, _, err := spool.Copy(dir, broken, 9); !errors.Is(err, spool.ErrInput) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a reader that broke: %v", err)
	}
	if _, _, err := spool.Copy(dir, strings.NewReader("kandungan "), 9); !errors.Is(err, spool.ErrTooLarge) {
		t.Errorf("a byte too many: %v", err)
	}
	if _, _, err := spool.Copy(filepath.Join(dir, "none"), strings.NewReader("x"), 9); err == nil || errors.Is(err, spool.ErrInput) || errors.Is(err, spool.ErrTooLarge) {
		t.Errorf("no folder: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
