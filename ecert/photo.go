package ecert

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image/jpeg"
)

// Bounds of a candidate's picture.
const (
	MaxPhoto     = 300_000 // bytes, as uploaded
	MinPhotoSide = 100     // pixels
	MaxPhotoSide = 2000

	// maxScans: programs write some ten; each is a pass over the whole picture, and 20,000 fit in MaxPhoto.
	maxScans = 64
)

// What is wrong with a picture. The texts are for those who sent it; PhotoMS has them in Malay.
var (
	ErrPhotoSize   = errors.New("the picture is larger than 300,000 bytes")
	ErrPhotoFormat = errors.New("not a JPEG picture, baseline or progressive, grey or in colour (YCbCr)")
	ErrPhotoSides  = errors.New("the picture is not 100 to 2000 pixels wide and high")
	ErrPhotoTurned = errors.New("the picture is stored lying; turn it in a program and save it upright")
)

// PhotoMS is one of these errors in Malay.
func PhotoMS(err error) string {
	switch {
	case errors.Is(err, ErrPhotoSize):
		return "gambar melebihi 300,000 bait"
	case errors.Is(err, ErrPhotoSides):
		return "lebar dan tinggi gambar bukan 100 hingga 2000 piksel"
	case errors.Is(err, ErrPhotoTurned):
		return "gambar disimpan dalam keadaan berpusing; tegakkan dan simpan semula"
	}
	return "bukan gambar JPEG, baseline atau progresif, kelabu atau berwarna (YCbCr)"
}

// CleanPhoto checks a picture (ITU-T T.81) and returns it without what does not belong to the
// image: EXIF with place and device, comments, thumbnails, profiles, what follows its end.
func CleanPhoto(raw []byte) ([]byte, error) {
	clean, err := StripPhoto(raw)
	if err == nil {
		err = CheckPhoto(clean)
	}
	if err != nil {
		return nil, err
	}
	return clean, nil
}

// StripPhoto is the cheap part of CleanPhoto: what it returns has segments as they should be, and may
// be no picture yet.
func StripPhoto(raw []byte) ([]byte, error) {
	if len(raw) > MaxPhoto {
		return nil, ErrPhotoSize
	}
	clean, turned, ok := stripJPEG(raw)
	if !ok {
		return nil, ErrPhotoFormat
	}
	if turned {
		return nil, ErrPhotoTurned
	}
	return clean, nil
}

// CheckPhoto decodes what StripPhoto returned: up to 64 passes over four million pixels.
func CheckPhoto(clean []byte) error {
	// Bounds first: an image of 65,535 squared takes 12 GB.
	c, err := jpeg.DecodeConfig(bytes.NewReader(clean))
	if err != nil {
		return ErrPhotoFormat
	}
	if min(c.Width, c.Height) < MinPhotoSide || max(c.Width, c.Height) > MaxPhotoSide {
		return ErrPhotoSides
	}
	if _, err := jpeg.Decode(bytes.NewReader(clean)); err != nil {
		return ErrPhotoFormat
	}
	return nil
}

// Markers (ITU-T T.81, Table B.1).
const (
	markSOF0, markSOF1, markSOF2 = 0xC0, 0xC1, 0xC2
	markDHT, markDQT, markDRI    = 0xC4, 0xDB, 0xDD
	markSOI, markEOI, markSOS    = 0xD8, 0xD9, 0xDA
	markAPP0, markAPP1           = 0xE0, 0xE1
	markAPP14, markAPP15         = 0xEE, 0xEF
	markCOM                      = 0xFE
)

// stripJPEG copies the segments that make the image; turned says that EXIF wants it shown turned.
func stripJPEG(raw []byte) (clean []byte, turned, ok bool) {
	if len(raw) < 4 || raw[0] != 0xFF || raw[1] != markSOI {
		return nil, false, false
	}
	clean = append(make([]byte, 0, len(raw)), raw[:2]...)
	frames, scans := 0, 0
	for at := 2; ; {
		for at < len(raw)-1 && raw[at] == 0xFF && raw[at+1] == 0xFF {
			at++ // fill bytes (B.1.1.2)
		}
		if at+2 > len(raw) || raw[at] != 0xFF {
			return nil, false, false
		}
		mark := raw[at+1]
		if mark == markEOI {
			return append(clean, 0xFF, markEOI), turned, frames == 1
		}
		if at+4 > len(raw) {
			return nil, false, false
		}
		end := at + 2 + int(binary.BigEndian.Uint16(raw[at+2:]))
		if end < at+4 || end > len(raw) {
			return nil, false, false
		}
		body := raw[at+4 : end]
		switch mark {
		case markSOF0, markSOF1, markSOF2:
			// Eight bits, one component or three: no CMYK.
			if frames++; len(body) < 6 || body[0] != 8 || body[5] != 1 && body[5] != 3 {
				return nil, false, false
			}
			clean = append(clean, raw[at:end]...)
		case markDHT, markDQT, markDRI, markSOS:
			clean = append(clean, raw[at:end]...)
		case markAPP14:
			// Adobe's note can say that the colours are RGB, which nothing else here would.
			if len(body) >= 12 && bytes.HasPrefix(body, []byte("Adobe")) && body[11] != 1 {
				return nil, false, false
			}
		default:
			if mark != markCOM && (mark < markAPP0 || mark > markAPP15) {
				return nil, false, false // arithmetic coding, hierarchical …
			}
			turned = turned || mark == markAPP1 && exifTurned(body)
		}
		at = end
		if mark == markSOS {
			if scans++; scans > maxScans {
				return nil, false, false
			}
			// The scan's data: FF is followed by 00, or by the number of a restart.
			for at < len(raw)-1 && (raw[at] != 0xFF || raw[at+1] == 0 || raw[at+1] >= 0xD0 && raw[at+1] <= 0xD7) {
				at++
			}
			clean = append(clean, raw[end:at]...)
		}
	}
}

// exifTurned looks for the tag Orientation (CIPA DC-008, 4.6.4): 1 is upright.
func exifTurned(body []byte) bool {
	tiff, ok := bytes.CutPrefix(body, []byte("Exif\x00\x00"))
	if !ok || len(tiff) < 8 {
		return false
	}
	var order binary.ByteOrder = binary.BigEndian
	if tiff[0] == 'I' {
		order = binary.LittleEndian
	}
	at := int(order.Uint32(tiff[4:]))
	if at < 8 || at > len(tiff)-2 {
		return false
	}
	n := int(order.Uint16(tiff[at:]))
	for at += 2; n > 0 && at+12 <= len(tiff); at, n = at+12, n-1 {
		if order.Uint16(tiff[at:]) == 0x0112 {
			return order.Uint16(tiff[at+8:]) > 1
		}
	}
	return false
}
