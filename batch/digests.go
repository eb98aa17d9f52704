package batch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/signer"
)

// maxLine bounds one NDJSON line, maxItems one upload.
const (
	maxLine  = 16 << 10
	maxItems = 1_000_000
)

// codeJSON: a line is not one JSON object with the members that it should have.
const codeJSON = "row_json_invalid"

// AddDigests takes in one {"name","digest":{"alg","value"},"reference"?} a
// line; a line that is not that is refused as a row. What does not begin as
// JSON is refused whole (ErrInput).
func (s *Service) AddDigests(ctx context.Context, app, id, requestID string, r io.Reader) (Intake, error) {
	return s.add(ctx, app, id, requestID, r, map[string]taker{Digest: takeDigests})
}

func takeDigests(ctx context.Context, u *upload, f *os.File, _ int64) error {
	lines := bufio.NewReaderSize(f, maxLine)
	rows := 0
	for row := 1; ; row++ {
		line, long, err := nextLine(lines)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		text := bytes.TrimSpace(line)
		if len(text) == 0 {
			continue
		}
		if rows++; rows == 1 && text[0] != '{' {
			return unreadable(`NDJSON tidak bermula dengan objek JSON: setiap baris mesti satu objek {"name": …, "digest": …}`, `the NDJSON does not begin with a JSON object: each line must be an object {"name": …, "digest": …}`)
		}
		if rows > maxItems {
			return tooMany("baris", "lines")
		}
		d, bad := signer.Document{}, &Refusal{Code: ecert.CodeFieldTooLong, Detail: fmt.Sprintf("baris melebihi %d bait / a line of more than %d bytes", maxLine, maxLine)}
		if !long {
			d, bad = judgeDigest(text)
		}
		if bad != nil {
			bad.Row = row
			err = u.refuse(ctx, *bad)
		} else {
			d.Index = u.next()
			err = u.accept(ctx, Item{Document: d, State: Pending})
		}
		if err != nil {
			return err
		}
	}
}

// nextLine reads a line, valid until the next call; of one that is too long it gives the beginning.
// Its error is io.EOF where no line begins any more.
func nextLine(r *bufio.Reader) (line []byte, long bool, err error) {
	line, err = r.ReadSlice('\n')
	if err == io.EOF && len(line) > 0 {
		return line, false, nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, false, err
	}
	head := bytes.Clone(line[:1])
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice('\n')
	}
	if err == io.EOF {
		err = nil
	}
	return head, true, err
}

// judgeDigest reads a line, or says what is wrong with it.
func judgeDigest(line []byte) (signer.Document, *Refusal) {
	var l struct {
		Name   string `json:"name"`
		Digest struct {
			Alg   string `json:"alg"`
			Value string `json:"value"`
		} `json:"digest"`
		Reference string `json:"reference"`
	}
	no := func(column, code, ms, en string) (signer.Document, *Refusal) {
		return signer.Document{}, &Refusal{Column: column, Name: shownName(l.Name), Code: code, Detail: ms + " / " + en}
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil || !utf8.Valid(line) {
		return no("", codeJSON, `bukan objek JSON dengan "name", "digest" dan "reference" sahaja`, `not a JSON object of "name", "digest" and "reference" alone`)
	}
	if _, err := dec.Token(); err != io.EOF {
		return no("", codeJSON, "satu objek JSON sebaris", "one JSON object a line")
	}
	switch {
	case l.Name == "":
		return no("name", ecert.CodeFieldMissing, "nama tiada", "there is no name")
	case !cleanText(l.Name, 200):
		return no("name", ecert.CodeFieldInvalid, "nama mesti 1 hingga 200 aksara yang boleh dicetak", "name must have 1 to 200 printable characters")
	case l.Reference != "" && !cleanText(l.Reference, 200):
		return no("reference", ecert.CodeFieldInvalid, "rujukan mesti 1 hingga 200 aksara yang boleh dicetak", "reference must have 1 to 200 printable characters")
	}
	h, ok := DigestHash(l.Digest.Alg)
	if !ok {
		return no("digest.alg", ecert.CodeFieldInvalid, `mesti "SHA-256", "SHA-384" atau "SHA-512"`, `it must be "SHA-256", "SHA-384" or "SHA-512"`)
	}
	// Base64url and no padding are taken, too, as everywhere in the API.
	text := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(l.Digest.Value, "="))
	v, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || len(v) != h.Size() || strings.ContainsAny(l.Digest.Value, "\r\n") {
		return no("digest.value", ecert.CodeFieldInvalid, fmt.Sprintf("mesti %d bait dalam base64 tanpa akhir baris", h.Size()), fmt.Sprintf("it must be %d bytes in base64 without line ends", h.Size()))
	}
	return signer.Document{Name: l.Name, Hash: h, Digest: v, Reference: l.Reference}, nil
}

// shownName is as much of a name as can be shown.
func shownName(s string) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() > 160 {
			break
		}
		if r != utf8.RuneError && !unprintable(r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}
