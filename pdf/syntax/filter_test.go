package syntax_test

import (
	"bytes"
	"encoding/ascii85"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/mohor-sign/mohor/pdf/internal/pdftest"
	"github.com/mohor-sign/mohor/pdf/syntax"
)

// decoded reads the stream of object 1000.
func decoded(t *testing.T, dict, data string) (string, error) {
	t.Helper()
	f, _, err := open(pdftest.Document(pdftest.Shape{Extra: map[int]string{
		1000: stream(dict, data), 1001: "/FlateDecode", 1002: "<</Predictor 1003 0 R/Columns 2>>", 1003: "12"}}))
	if err != nil {
		t.Fatal(err)
	}
	o, err := f.Load(1000, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Stream(o)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

func base85(s string) string {
	b := make([]byte, ascii85.MaxEncodedLen(len(s)))
	return string(b[:ascii85.Encode(b, []byte(s))]) + "~>"
}

// lzw encodes as TIFF and PDF do.
func lzw(text string, early int) string {
	var out []byte
	var bits, count uint
	width := uint(9)
	put := func(code int) {
		bits = bits<<width | uint(code)
		for count += width; count >= 8; count -= 8 {
			out = append(out, byte(bits>>(count-8)))
		}
	}
	table := map[string]int{}
	clear := func() {
		put(256)
		width = 9
		table = map[string]int{}
		for i := range 256 {
			table[string([]byte{byte(i)})] = i
		}
	}
	clear()
	next, now := 258, ""
	for i := range len(text) {
		if _, ok := table[now+text[i:i+1]]; ok {
			now += text[i : i+1]
			continue
		}
		put(table[now])
		table[now+text[i:i+1]] = next
		if next++; next+early > 1<<width {
			width++
		}
		if next == 4095 {
			clear()
			next = 258
		}
		now = text[i : i+1]
	}
	put(table[now])
	if next+1+early > 1<<width {
		width++
	}
	put(257)
	put(0)
	return string(out)
}

func TestFilters(t *testing.T) {
	long := strings.Repeat("Halaman satu. Page one! ", 3000) + string(bytes.Repeat([]byte{0, 1, 2, 255}, 500))
	rows := "\x02ab\x02\x01\x01"
	for name, c := range map[string]struct{ dict, data, want string }{
		"none":              {"", "plain", "plain"},
		"empty list":        {"/Filter[]", "plain", "plain"},
		"null":              {"/Filter null/DecodeParms null", "plain", "plain"},
		"flate":             {"/Filter/FlateDecode", deflate(t, []byte(long)), long},
		"flate in a list":   {"/Filter[/FlateDecode]/DecodeParms[null]", deflate(t, []byte(long)), long},
		"indirect":          {"/Filter[1001 0 R]/DecodeParms[1002 0 R]", deflate(t, []byte(rows)), "abbc"},
		"indirect name":     {"/Filter 1001 0 R/DecodeParms 1002 0 R", deflate(t, []byte(rows)), "abbc"},
		"hexadecimal":       {"/Filter/ASCIIHexDecode", "48 65\r\n6C6c6F7>junk", "Hellop"},
		"hexadecimal empty": {"/Filter/ASCIIHexDecode", ">", ""},
		"base 85":           {"/Filter/ASCII85Decode", base85(long + "a"), long + "a"},
		"base 85 zeros":     {"/Filter/ASCII85Decode", "z z\n!!~>", "\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		"run length":        {"/Filter/RunLengthDecode", "\x02abc\xfed\x00e\x80junk", "abcddde"},
		"LZW of the book":   {"/Filter/LZWDecode", "\x80\x0B\x60\x50\x22\x0C\x0C\x85\x01", "-----A---B"},
		"LZW":               {"/Filter/LZWDecode", lzw(long, 1), long},
		"LZW late":          {"/Filter/LZWDecode/DecodeParms<</EarlyChange 0>>", lzw(long, 0), long},
		"LZW predicted":     {"/Filter/LZWDecode/DecodeParms<</Predictor 12/Columns 2>>", lzw(rows, 1), "abbc"},
		"two":               {"/Filter[/ASCII85Decode/FlateDecode]", base85(deflate(t, []byte(long))), long},
		"three":             {"/Filter[/ASCIIHexDecode/FlateDecode/RunLengthDecode]", fmt.Sprintf("%x>", deflate(t, []byte("\x00a\xff\x62\x80"))), "abb"},
		"identity":          {"/Filter[/Crypt/FlateDecode]", deflate(t, []byte("x")), "x"},
		"TIFF of 8 bits":    {"/Filter/FlateDecode/DecodeParms<</Predictor 2/Columns 2/Colors 2>>", deflate(t, []byte("\x01\x02\x03\x04")), "\x01\x02\x04\x06"},
		"TIFF of 16 bits":   {"/Filter/FlateDecode/DecodeParms<</Predictor 2/Columns 2/BitsPerComponent 16>>", deflate(t, []byte("\x01\xff\x00\x02")), "\x01\xff\x02\x01"},
	} {
		if got, err := decoded(t, c.dict, c.data); err != nil || got != c.want {
			t.Errorf("%s: %.40q (%d bytes) %v", name, got, len(got), err)
		}
	}
	z := deflate(t, []byte(long))
	for name, c := range map[string]struct {
		dict, data string
		want       error
	}{
		"cut flate":         {"/Filter/FlateDecode", z[:len(z)/2], syntax.ErrInvalid},
		"flate checksum":    {"/Filter/FlateDecode", z[:len(z)-1] + "\x00", syntax.ErrInvalid},
		"cut hexadecimal":   {"/Filter/ASCIIHexDecode", "4865", syntax.ErrInvalid},
		"no hexadecimal":    {"/Filter/ASCIIHexDecode", "48g5>", syntax.ErrInvalid},
		"cut base 85":       {"/Filter/ASCII85Decode", "zz", syntax.ErrInvalid},
		"one of base 85":    {"/Filter/ASCII85Decode", "zz!~>", syntax.ErrInvalid},
		"large base 85":     {"/Filter/ASCII85Decode", "uuuuu~>", syntax.ErrInvalid},
		"no base 85":        {"/Filter/ASCII85Decode", "v~>", syntax.ErrInvalid},
		"cut run":           {"/Filter/RunLengthDecode", "\x05abc", syntax.ErrInvalid},
		"LZW code to come":  {"/Filter/LZWDecode", "\x80\x7f\xff\xff", syntax.ErrInvalid},
		"short row":         {"/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 5>>", deflate(t, []byte("\x02ab")), syntax.ErrInvalid},
		"predictor 3":       {"/Filter/FlateDecode/DecodeParms<</Predictor 3>>", z, syntax.ErrInvalid},
		"TIFF of 1 bit":     {"/Filter/FlateDecode/DecodeParms<</Predictor 2/BitsPerComponent 1>>", z, syntax.ErrUnsupported},
		"negative columns":  {"/Filter/FlateDecode/DecodeParms<</Predictor 2/Columns -1>>", z, syntax.ErrInvalid},
		"image":             {"/Filter/DCTDecode", z, syntax.ErrUnsupported},
		"abbreviation":      {"/Filter/Fl", z, syntax.ErrUnsupported},
		"nine":              {"/Filter[" + strings.Repeat("/ASCIIHexDecode ", 9) + "]", ">", syntax.ErrTooLarge},
		"number":            {"/Filter 7", z, syntax.ErrInvalid},
		"parms of two":      {"/Filter[/FlateDecode/FlateDecode]/DecodeParms<<>>", z, syntax.ErrInvalid},
		"late identity":     {"/Filter[/FlateDecode/Crypt]", z, syntax.ErrInvalid},
		"another file":      {"/F(other)", "x", syntax.ErrUnsupported},
		"no such EarlyCode": {"/Filter/LZWDecode/DecodeParms<</EarlyChange 2>>", z, syntax.ErrInvalid},
	} {
		if got, err := decoded(t, c.dict, c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: %.40q %v, want %v", name, got, err, c.want)
		}
	}
}
