package font

import (
	_ "embed"
	"sync"
)

// The faces are read-only data.
var (
	//go:embed assets/OpenSans-Regular.ttf
	sansRegular []byte
	//go:embed assets/OpenSans-Bold.ttf
	sansBold []byte
	//go:embed assets/MohorSerif-Regular.ttf
	serifRegular []byte
	//go:embed assets/MohorSerif-Bold.ttf
	serifBold []byte
	//go:embed assets/MohorSerif-Italic.ttf
	serifItalic []byte
)

// Each is parsed once: collecting the kerning of Open Sans takes a millisecond.
var (
	parseSans        = once(&sansRegular)
	parseSansBold    = once(&sansBold)
	parseSerif       = once(&serifRegular)
	parseSerifBold   = once(&serifBold)
	parseSerifItalic = once(&serifItalic)
)

func once(ttf *[]byte) func() (*Face, error) {
	return sync.OnceValues(func() (*Face, error) { return Parse(*ttf) })
}

// Sans returns Open Sans Regular, for forms and signature appearances. Like the
// other faces below it is one face for all callers.
func Sans() (*Face, error) { return parseSans() }

// SansBold returns Open Sans Bold.
func SansBold() (*Face, error) { return parseSansBold() }

// Serif returns Mohor Serif Regular, for certificates.
func Serif() (*Face, error) { return parseSerif() }

// SerifBold returns Mohor Serif Bold.
func SerifBold() (*Face, error) { return parseSerifBold() }

// SerifItalic returns Mohor Serif Italic.
func SerifItalic() (*Face, error) { return parseSerifItalic() }
