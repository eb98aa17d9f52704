package ecert

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
)

// maxPixels bounds a picture.
const maxPixels = 4 << 20

// picture is a raster image as a PDF image, opaque and without interpolation (ISO
// 19005-2, 6.2.8).
type picture struct {
	width, height int
	dict          string // entries but /Length
	data          []byte
}

// newPicture reads PNG, which is laid on white, or JPEG.
func newPicture(b []byte) (*picture, error) {
	config, format, err := image.DecodeConfig(bytes.NewReader(b))
	switch {
	case err != nil:
		return nil, errors.New("neither PNG nor JPEG")
	case config.Width < 1 || config.Height < 1 || config.Width > maxPixels/config.Height:
		return nil, fmt.Errorf("%d by %d pixels; at most %d in all", config.Width, config.Height, maxPixels)
	case format == "jpeg":
		return newJPEG(b)
	}
	m, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, errors.New("damaged PNG")
	}
	size := m.Bounds().Size()
	flat := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(flat, flat.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(flat, flat.Bounds(), m, m.Bounds().Min, draw.Over)
	rows := make([]byte, 0, 3*size.X*size.Y)
	for i := 0; i < len(flat.Pix); i += 4 {
		rows = append(rows, flat.Pix[i:i+3]...)
	}
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	if _, err := w.Write(rows); err != nil {
		return nil, fmt.Errorf("compressing picture: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing picture: %w", err)
	}
	return &picture{size.X, size.Y, "/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/FlateDecode", packed.Bytes()}, nil
}

// newJPEG takes a JPEG file as it is: readers decode it themselves. It is decoded
// here once, so that no certificate shows half a face.
func newJPEG(b []byte) (*picture, error) {
	config, err := jpeg.DecodeConfig(bytes.NewReader(b))
	if err != nil || config.Width < 1 || config.Height < 1 || config.Width > maxPixels/config.Height {
		return nil, fmt.Errorf("not a JPEG picture of at most %d pixels", maxPixels)
	}
	if _, err := jpeg.Decode(bytes.NewReader(b)); err != nil {
		return nil, errors.New("damaged JPEG")
	}
	space := "/DeviceRGB"
	switch config.ColorModel {
	case color.YCbCrModel, color.RGBAModel:
	case color.GrayModel:
		space = "/DeviceGray"
	default:
		return nil, errors.New("a JPEG in CMYK, whose colours depend on the viewer; save it as RGB")
	}
	return &picture{config.Width, config.Height, "/ColorSpace" + space + "/BitsPerComponent 8/Filter/DCTDecode", b}, nil
}

// append writes the picture as the body of an image XObject.
func (p *picture) append(dst []byte) []byte {
	dst = fmt.Appendf(dst, "<</Type/XObject/Subtype/Image/Width %d/Height %d%s/Length %d>>\nstream\n", p.width, p.height, p.dict, len(p.data))
	dst = append(dst, p.data...)
	return append(dst, "\nendstream"...)
}

// inside returns the largest rectangle of the picture's shape within a box, in its
// middle.
func (p *picture) inside(x, y, w, h float64) (px, py, pw, ph float64) {
	scale := min(w/float64(p.width), h/float64(p.height))
	pw, ph = scale*float64(p.width), scale*float64(p.height)
	return x + (w-pw)/2, y + (h-ph)/2, pw, ph
}
