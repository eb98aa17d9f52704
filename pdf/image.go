package pdf

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
)

// Bounds of an Image.
const (
	MaxImage  = 1 << 20 // bytes of the file
	MaxPixels = 4 << 20
)

// Image is a picture for appearances, such as a scanned signature or a crest.
// It is read and encoded once, and may be drawn in any number of documents at
// the same time.
type Image struct {
	width, height int
	head          string // entries of the image dictionary, without /Length and /SMask
	data          []byte
	mask          []byte // alpha, nil when opaque; compressed
	flat          []byte // data over white, set when mask is
	sum           [32]byte
}

// Sum is the SHA-256 of the file it was read from.
func (m *Image) Sum() [32]byte { return m.sum }

// NewImage reads a PNG or JPEG file of at most MaxImage bytes and MaxPixels
// pixels. A JPEG file is embedded as it is, colours grey or YCbCr; one in CMYK
// is refused, as its colours depend on the viewer. Errors match ErrOptions.
func NewImage(b []byte) (*Image, error) {
	if len(b) > MaxImage {
		return nil, refuse("image of more than %d bytes", MaxImage)
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return nil, refuse("image is neither PNG nor JPEG")
	}
	if config.Width < 1 || config.Height < 1 || config.Width > MaxPixels/config.Height {
		return nil, refuse("image of more than %d pixels", MaxPixels)
	}
	m := &Image{width: config.Width, height: config.Height, sum: sha256.Sum256(b)}
	switch format {
	case "jpeg":
		err = m.jpeg(b, config.ColorModel)
	case "png":
		err = m.png(b)
	default:
		err = refuse("image is neither PNG nor JPEG")
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Image) entries(space, filter string) {
	m.head = fmt.Sprintf("/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/%s/BitsPerComponent 8/Filter/%s",
		m.width, m.height, space, filter)
}

func (m *Image) jpeg(b []byte, model color.Model) error {
	space := "DeviceRGB"
	switch model {
	case color.GrayModel:
		space = "DeviceGray"
	case color.YCbCrModel:
	default:
		return refuse("JPEG image is neither grey nor YCbCr")
	}
	if _, err := jpeg.Decode(bytes.NewReader(b)); err != nil {
		return refuse("damaged JPEG image")
	}
	m.entries(space, "DCTDecode")
	m.data = bytes.Clone(b)
	return nil
}

func (m *Image) png(b []byte) error {
	picture, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return refuse("damaged PNG image")
	}
	n := m.width * m.height
	colours, flat, alpha := make([]byte, 0, 3*n), make([]byte, 0, 3*n), make([]byte, 0, n)
	grey, opaque := true, true
	at := picture.Bounds().Min
	for y := range m.height {
		for x := range m.width {
			p := color.NRGBAModel.Convert(picture.At(at.X+x, at.Y+y)).(color.NRGBA)
			grey = grey && p.R == p.G && p.G == p.B
			opaque = opaque && p.A == 255
			colours = append(colours, p.R, p.G, p.B)
			alpha = append(alpha, p.A)
			for _, c := range []byte{p.R, p.G, p.B} {
				flat = append(flat, byte((int(c)*int(p.A)+255*(255-int(p.A))+127)/255))
			}
		}
	}
	space := "DeviceRGB"
	if grey {
		space = "DeviceGray"
		colours, flat = everyThird(colours), everyThird(flat)
	}
	m.entries(space, "FlateDecode")
	if m.data, err = deflate(colours); err != nil || opaque {
		return err
	}
	if m.flat, err = deflate(flat); err != nil {
		return err
	}
	m.mask, err = deflate(alpha)
	return err
}

func everyThird(b []byte) []byte {
	out := b[:0]
	for i := 0; i < len(b); i += 3 {
		out = append(out, b[i])
	}
	return out
}

// embed adds the image to the increment and returns its number. Where flat, it
// is put on white and has no transparency.
func (m *Image) embed(c *increment, flat bool) (uint32, error) {
	data, mask := m.data, ""
	switch {
	case m.mask == nil:
	case flat:
		data = m.flat
	default:
		num, err := c.reserve(1)
		if err != nil {
			return 0, err
		}
		c.add(num, streamObject(fmt.Sprintf("/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/FlateDecode", m.width, m.height), m.mask))
		mask = fmt.Sprintf("/SMask %d 0 R", num)
	}
	num, err := c.reserve(1)
	if err != nil {
		return 0, err
	}
	c.add(num, streamObject(m.head+mask, data))
	return num, nil
}

func streamObject(entries string, data []byte) []byte {
	b := fmt.Appendf(nil, "<<%s/Length %d>>\nstream\n", entries, len(data))
	b = append(b, data...)
	return append(b, "\nendstream"...)
}

func deflate(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := zlib.NewWriterLevel(&out, zlib.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compressing image: %w", err)
	}
	if _, err := w.Write(b); err != nil {
		return nil, fmt.Errorf("compressing image: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing image: %w", err)
	}
	return out.Bytes(), nil
}
