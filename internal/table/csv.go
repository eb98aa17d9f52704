// Package table reads lists that people make in spreadsheets, and writes them, CSV (RFC 4180, UTF-8) and
// XLSX (ECMA-376), row by row, in bounded memory. What is not clearly one of them is
// refused whole; text that looks like a formula is text.
package table

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Limits of a list. A file that exceeds one is refused whole.
const (
	MaxFile  = 1 << 30 // bytes of a CSV file
	MaxField = 10_000  // bytes of one field
)

// ErrRefused is what errors.Is finds in every *Error.
var ErrRefused = errors.New("list refused")

// Error refuses a list whole.
type Error struct {
	Line     int    // physical line, from 1
	Column   int    // field within the row, from 1; 0 where none is to blame
	Detail   string // what is wrong, in English
	DetailMS string // the same in Malay
}

// Refuse makes an *Error.
func Refuse(line, column int, en, ms string) *Error {
	return &Error{Line: line, Column: column, Detail: en, DetailMS: ms}
}

// Error implements error.
func (e *Error) Error() string {
	if e.Column > 0 {
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Detail)
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Detail)
}

// Is makes errors.Is(err, ErrRefused) true.
func (e *Error) Is(target error) bool { return target == ErrRefused }

// CSV splits a stream into records. It holds one record, whose size is
// bounded by the limits on fields, never the file.
type CSV struct {
	r      *bufio.Reader
	line   int // physical line of the next byte
	read   int64
	buf    []byte
	ends   []int
	fields [][]byte

	separator byte
}

// NewCSV looks at the beginning of r; an *Error when it is not CSV in UTF-8.
func NewCSV(r io.Reader) (*CSV, error) {
	s := &CSV{r: bufio.NewReaderSize(r, 64<<10), line: 1, separator: ','}
	head, err := s.r.Peek(3)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading list: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}), bytes.HasPrefix(head, []byte{0xFE, 0xFF}):
		return nil, &Error{1, 0, "the file is UTF-16; save it as CSV UTF-8", "fail ini UTF-16; simpan sebagai CSV UTF-8"}
	case bytes.HasPrefix(head, []byte("PK\x03")):
		return nil, &Error{1, 0, "the file is a spreadsheet or ZIP; save it as CSV UTF-8", "fail ini hamparan atau ZIP; simpan sebagai CSV UTF-8"}
	case bytes.Equal(head, []byte{0xEF, 0xBB, 0xBF}):
		if _, err := s.r.Discard(3); err != nil {
			return nil, fmt.Errorf("reading list: %w", err)
		}
		s.read = 3
	}
	return s, nil
}

// Next returns the fields of the next record, valid until the next call, and
// the line it begins on; io.EOF after the last. limit is the greatest number
// of fields.
func (s *CSV) Next(limit int) (fields [][]byte, line int, err error) {
	s.buf, s.ends = s.buf[:0], s.ends[:0]
	line = s.line
	more := true
	for more {
		if len(s.ends) == limit {
			return nil, 0, &Error{line, limit + 1, fmt.Sprintf("more than %d fields in the row", limit),
				fmt.Sprintf("lebih daripada %d medan dalam baris", limit)}
		}
		if more, err = s.field(); err != nil {
			return nil, 0, err
		}
		s.ends = append(s.ends, len(s.buf))
	}
	s.fields = s.fields[:0]
	from := 0
	for i, to := range s.ends {
		f := s.buf[from:to]
		if !utf8.Valid(f) {
			return nil, 0, &Error{line, i + 1, "not UTF-8; save the file as CSV UTF-8", "bukan UTF-8; simpan fail sebagai CSV UTF-8"}
		}
		s.fields = append(s.fields, f)
		from = to
	}
	return s.fields, line, nil
}

// field reads one field and what ends it. It returns true after a separator, false
// at the end of the record, and io.EOF where no record begins any more.
func (s *CSV) field() (more bool, err error) {
	start := len(s.buf)
	c, err := s.byte()
	if err == io.EOF && len(s.ends) > 0 {
		return false, nil // the last line ends in a separator
	}
	if err != nil {
		return false, err
	}
	if c == '"' {
		return s.quoted(start)
	}
	for {
		switch {
		case c == s.separator:
			return true, nil
		case c == '\n':
			return false, nil
		case c == '\r' && s.lineFeedFollows():
		case c == '"':
			return false, s.fault("a quote inside a field that does not begin with one", "tanda petik di dalam medan yang tidak bermula dengannya")
		default:
			if s.buf = append(s.buf, c); len(s.buf)-start > MaxField {
				return false, s.tooLong()
			}
		}
		if c, err = s.byte(); err == io.EOF {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
}

// quoted reads the rest of a field whose opening quote was read.
func (s *CSV) quoted(start int) (more bool, err error) {
	opened := s.line
	for {
		c, err := s.byte()
		if err == io.EOF {
			return false, &Error{opened, len(s.ends) + 1, "a quote is opened and never closed", "tanda petik dibuka dan tidak ditutup"}
		}
		if err != nil {
			return false, err
		}
		if c == '"' {
			c, err = s.byte()
			if err == io.EOF {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			switch {
			case c == s.separator:
				return true, nil
			case c == '\n':
				return false, nil
			case c == '\r' && s.lineFeedFollows():
				_, err = s.byte()
				return false, err
			case c != '"':
				return false, s.fault("text after a closing quote", "teks selepas tanda petik penutup")
			}
		}
		if s.buf = append(s.buf, c); len(s.buf)-start > MaxField {
			return false, s.tooLong()
		}
	}
}

func (s *CSV) lineFeedFollows() bool {
	b, err := s.r.Peek(1)
	return err == nil && b[0] == '\n'
}

func (s *CSV) byte() (byte, error) {
	c, err := s.r.ReadByte()
	if err == io.EOF {
		return 0, io.EOF
	}
	if err != nil {
		return 0, fmt.Errorf("reading list: %w", err)
	}
	s.read++
	switch {
	case s.read > MaxFile:
		return 0, s.fault(fmt.Sprintf("the file is larger than %d bytes", MaxFile), fmt.Sprintf("fail melebihi %d bait", MaxFile))
	case c == 0:
		return 0, s.fault("a NUL byte; save the file as CSV UTF-8", "bait NUL; simpan fail sebagai CSV UTF-8")
	case c == '\n':
		s.line++
	}
	return c, nil
}

func (s *CSV) fault(en, ms string) error {
	return &Error{s.line, len(s.ends) + 1, en, ms}
}

func (s *CSV) tooLong() error {
	return s.fault(fmt.Sprintf("a field of more than %d bytes", MaxField), fmt.Sprintf("medan melebihi %d bait", MaxField))
}
