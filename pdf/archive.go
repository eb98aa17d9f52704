package pdf

// archive is what a document claims to be in its metadata.
type archive struct {
	part   int  // of PDF/A, 0 when none is claimed
	intent bool // has an output intent of PDF/A
}

func (d *Document) archive() archive { return archive{} }

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
