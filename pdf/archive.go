package pdf

import (
	"bytes"
	"encoding/xml"
	"io"
	"strconv"
	"strings"

	"github.com/mohor-sign/mohor/pdf/syntax"
)

// archive is what a document claims to be in its metadata.
type archive struct {
	part   int  // of PDF/A, 0 when none is claimed
	intent bool // has an output intent
}

// maxMetadata bounds the XMP packet looked into, in bytes.
const maxMetadata = 1 << 20

// archive reads the claim of PDF/A (ISO 19005-2, 6.6.4). Damaged metadata
// claim nothing.
func (d *Document) archive() archive {
	catalog := d.tree.Catalog.Value
	o, err := d.file.Resolve(catalog.Key("Metadata"))
	if err != nil || o.Data == 0 {
		return archive{}
	}
	r, err := d.file.Stream(o)
	if err != nil {
		return archive{}
	}
	packet, err := io.ReadAll(io.LimitReader(r, maxMetadata))
	if err != nil {
		return archive{}
	}
	a := archive{part: archivePart(packet)}
	intents, err := d.file.Resolve(catalog.Key("OutputIntents"))
	a.intent = err == nil && intents.Value.Kind == syntax.Array && len(intents.Value.Array) > 0
	return a
}

// archivePart finds pdfaid:part, as an element or as an attribute.
func archivePart(packet []byte) int {
	const space = "http://www.aiim.org/pdfa/ns/id/"
	if !bytes.Contains(packet, []byte(space)) {
		return 0
	}
	is := func(n xml.Name) bool { return n.Local == "part" && n.Space == space }
	d := xml.NewDecoder(bytes.NewReader(packet))
	within := false
	for {
		token, err := d.Token()
		if err != nil {
			return 0
		}
		value := ""
		switch t := token.(type) {
		case xml.StartElement:
			within = is(t.Name)
			for _, a := range t.Attr {
				if is(a.Name) {
					value = a.Value
				}
			}
		case xml.CharData:
			if within {
				value = string(t)
			}
		}
		if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && n > 0 {
			return n
		}
	}
}

// opaque says that nothing may be transparent: PDF/A-1 has no transparency,
// the later parts want to know the colours it is computed in.
func (a archive) opaque() bool { return a.part == 1 || a.part != 0 && !a.intent }

// colours returns the resources that make device colours mean the same
// everywhere, sRGB, whatever the output intent (ISO 19005-1, 6.2.3; ISO
// 32000-1, 8.6.5.6).
func (a archive) colours() string {
	if a.part == 0 {
		return ""
	}
	return "/ColorSpace<</DefaultGray[/CalGray<</WhitePoint[0.9505 1 1.089]/Gamma 2.2>>]" +
		"/DefaultRGB[/CalRGB<</WhitePoint[0.9505 1 1.089]/Gamma[2.2 2.2 2.2]" +
		"/Matrix[0.4124 0.2126 0.0193 0.3576 0.7152 0.1192 0.1805 0.0722 0.9505]>>]>>"
}
