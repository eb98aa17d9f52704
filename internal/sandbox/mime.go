package sandbox

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"strings"
)

// Bounds of one message's MIME structure.
const (
	maxDepth = 4
	maxParts = 20
)

var (
	errMIME  = errors.New("malformed or too deep MIME structure")
	codeLine = regexp.MustCompile(`(?m)^Kod / Code: (\d{6})$`)
)

// readMail reads a message (RFC 5322, RFC 2045) and keeps its first text/plain
// and first text/html part. The caller bounds r.
func readMail(r io.Reader) (Mail, error) {
	msg, err := mail.ReadMessage(r)
	if err != nil {
		return Mail{}, fmt.Errorf("reading message header: %w", err)
	}
	m := Mail{Subject: decodeWords(msg.Header.Get("Subject"))}
	w := walker{mail: &m}
	if err := w.part(msg.Header, msg.Body, 0); err != nil {
		return Mail{}, err
	}
	if found := codeLine.FindAllStringSubmatch(m.Text, 2); len(found) == 1 {
		m.Code = found[0][1]
	}
	return m, nil
}

// header is the part of mail.Header and textproto.MIMEHeader we need.
type header interface{ Get(string) string }

type walker struct {
	mail  *Mail
	parts int
}

func (w *walker) part(h header, body io.Reader, depth int) error {
	if w.parts++; w.parts > maxParts || depth > maxDepth {
		return errMIME
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		kind = "text/plain" // RFC 2045, Section 5.2
	}
	if strings.HasPrefix(kind, "multipart/") {
		return w.multipart(multipart.NewReader(body, params["boundary"]), depth)
	}
	var into *string
	switch kind {
	case "text/plain":
		into = &w.mail.Text
	case "text/html":
		into = &w.mail.HTML
	}
	if into == nil || *into != "" || h.Get("Content-Disposition") != "" {
		return nil
	}
	p, err := io.ReadAll(io.LimitReader(decoded(h, body), maxMail))
	if err != nil {
		return fmt.Errorf("decoding message part: %w", err)
	}
	*into = lines(p, params["charset"])
	return nil
}

func (w *walker) multipart(r *multipart.Reader, depth int) error {
	for {
		p, err := r.NextRawPart()
		if err == io.EOF { // itself: a wrapped one means that the message ends too early
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading message part: %w", err)
		}
		if err := w.part(p.Header, p, depth+1); err != nil {
			return err
		}
	}
}

func decoded(h header, body io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(h.Get("Content-Transfer-Encoding"))) {
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	}
	return body
}

// lines turns bytes of a known charset into UTF-8 with LF line ends.
func lines(p []byte, charset string) string {
	s := string(p)
	if strings.EqualFold(charset, "iso-8859-1") {
		rs := make([]rune, len(p))
		for i, c := range p {
			rs[i] = rune(c)
		}
		s = string(rs)
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
}

func decodeWords(s string) string {
	if out, err := new(mime.WordDecoder).DecodeHeader(s); err == nil {
		return out
	}
	return s
}
