package font

import _ "embed"

// The faces are read-only data; parsing one reads its table directory and
// character map and takes some microseconds.
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

// Sans returns Open Sans Regular, for forms and signature appearances.
func Sans() (*Face, error) { return Parse(sansRegular) }

// SansBold returns Open Sans Bold.
func SansBold() (*Face, error) { return Parse(sansBold) }

// Serif returns Mohor Serif Regular, for certificates.
func Serif() (*Face, error) { return Parse(serifRegular) }

// SerifBold returns Mohor Serif Bold.
func SerifBold() (*Face, error) { return Parse(serifBold) }

// SerifItalic returns Mohor Serif Italic.
func SerifItalic() (*Face, error) { return Parse(serifItalic) }
