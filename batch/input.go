package batch

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// InputError refuses an upload whole and says why to those who sent it, in words of the gateway; of
// the upload there is at most a file's name, shortened and without what cannot be printed.
type InputError struct {
	EN, MS string
	Field  string // of the request; "" when it is the upload itself
	Kind   error  // ErrInput or ErrTooLarge
}

// Error implements error.
func (e *InputError) Error() string { return e.Kind.Error() + ": " + e.EN }

// Unwrap is [ErrInput] or [ErrTooLarge].
func (e *InputError) Unwrap() error { return e.Kind }

func unreadable(ms, en string) error { return &InputError{EN: en, MS: ms, Kind: ErrInput} }

// damaged is a ZIP, or a file in it when name is not "", that err keeps from being read. What is not
// known to be the ZIP's fault is told to nobody.
func damaged(name string, err error) error {
	known := []error{zip.ErrFormat, zip.ErrAlgorithm, zip.ErrChecksum, zip.ErrInsecurePath, io.ErrUnexpectedEOF, io.EOF}
	k := slices.IndexFunc(known, func(k error) bool { return errors.Is(err, k) })
	if k < 0 {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	why := known[k].Error()
	if name == "" {
		return unreadable("muat naik ini bukan ZIP yang boleh dibaca ("+why+"); buat ZIP itu semula", "the upload is no ZIP that can be read ("+why+"); make the ZIP anew")
	}
	return unreadable(quoted(name)+" dalam ZIP tidak boleh dibaca ("+why+"); buat ZIP itu semula", quoted(name)+" in the ZIP cannot be read ("+why+"); make the ZIP anew")
}

// tooMany are things of which an upload has more than maxItems.
func tooMany(ms, en string) error {
	return &InputError{EN: fmt.Sprintf("more than %d %s; send them in several uploads", maxItems, en),
		MS: fmt.Sprintf("lebih daripada %d %s; hantar dalam beberapa muat naik", maxItems, ms), Kind: ErrTooLarge}
}

// quoted is a file's name as it can be shown.
func quoted(name string) string { return strconv.Quote(shownName(name)) }
