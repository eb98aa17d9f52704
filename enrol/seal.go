package enrol

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"image/color"
	"image/jpeg"
	"image/png"
)

// seal encrypts what is kept about an applicant with AES-256-GCM under a key that the
// HSM makes for this use and this credential alone: a copy of the database does not show
// it. The nonce stands in front.
func (d *Desk) seal(ctx context.Context, use, credential string, plain []byte) ([]byte, error) {
	aead, err := d.cipher(ctx, use, credential)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // crypto/rand never fails (it ends the process)
	return aead.Seal(nonce, nonce, plain, []byte(use+"\n"+credential)), nil
}

func (d *Desk) unseal(ctx context.Context, use, credential string, sealed []byte) ([]byte, error) {
	aead, err := d.cipher(ctx, use, credential)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("decrypting: it is too short")
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(use+"\n"+credential))
	if err != nil {
		return nil, errors.New("decrypting: it is not what was encrypted")
	}
	return plain, nil
}

func (d *Desk) cipher(ctx context.Context, use, credential string) (cipher.AEAD, error) {
	key, err := d.MAC.MAC(ctx, []byte("mohor enrolment "+use+" v1\n"+credential))
	if err != nil {
		return nil, fmt.Errorf("making a key of the HSM's: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("making a key of the HSM's: %w", err)
	}
	return cipher.NewGCM(block)
}

// Bounds of a MyKad copy. A picture of that many pixels takes 64 MB while it is read; a
// progressive JPEG, whose coefficients are all kept, up to 320 MB.
const (
	MaxCopy       = 2 << 20    // bytes
	maxCopyPixels = 16_000_000 // 16 megapixels, as telephones make them
	minCopySide   = 100        // pixels; less shows no card
	maxCopyScans  = 40         // of a JPEG: each costs a pass over all pixels
	copyQuality   = 85
)

// width is 2 for pixels with 16 bits to a channel, which take twice the memory.
func width(m color.Model) int64 {
	if m == color.RGBA64Model || m == color.NRGBA64Model || m == color.Gray16Model {
		return 2
	}
	return 1
}

// cleanCopy makes a JPEG of the pixels alone: no place, no camera, no thumbnail, and
// nothing behind the picture, comes along. Size and dimensions are judged before
// anything is decoded.
func cleanCopy(raw []byte) ([]byte, *Refusal) {
	bad := func(code, ms, en string) ([]byte, *Refusal) { return nil, entered(code, "mykad", ms, en) }
	if len(raw) > MaxCopy {
		return bad("mykad_too_large", "salinan MyKad melebihi 2 MB", "the MyKad copy is larger than 2 MB")
	}
	decode, config := jpeg.Decode, jpeg.DecodeConfig
	switch {
	case bytes.HasPrefix(raw, []byte("\xFF\xD8\xFF")):
	case bytes.HasPrefix(raw, []byte("\x89PNG\r\n\x1A\n")):
		decode, config = png.Decode, png.DecodeConfig
	default:
		return bad("mykad_format", "salinan MyKad mesti fail JPEG atau PNG", "the MyKad copy must be a JPEG or PNG file")
	}
	c, err := config(bytes.NewReader(raw))
	switch {
	case err != nil:
		return bad("mykad_unreadable", "salinan MyKad tidak dapat dibaca", "the MyKad copy cannot be read")
	case c.Width < minCopySide || c.Height < minCopySide:
		return bad("mykad_too_small", "gambar MyKad terlalu kecil", "the picture of the MyKad is too small")
	case int64(c.Width)*int64(c.Height)*width(c.ColorModel) > maxCopyPixels:
		return bad("mykad_too_large", "gambar MyKad melebihi 16 megapiksel", "the picture of the MyKad has more than 16 megapixels")
	case bytes.Count(raw, []byte("\xFF\xDA")) > maxCopyScans:
		return bad("mykad_unreadable", "salinan MyKad terlalu rumit", "the MyKad copy is made of too many scans")
	}
	picture, err := decode(bytes.NewReader(raw))
	if err != nil || picture.Bounds().Dx() != c.Width || picture.Bounds().Dy() != c.Height {
		return bad("mykad_unreadable", "salinan MyKad tidak dapat dibaca", "the MyKad copy cannot be read")
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, &jpeg.Options{Quality: copyQuality}); err != nil {
		return bad("mykad_unreadable", "salinan MyKad tidak dapat dibaca", "the MyKad copy cannot be read")
	}
	return out.Bytes(), nil
}
