package signer

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/pdf"
)

// maxSealed bounds a sealed password: nonce, tag and at most 127 bytes (ISO
// 32000-2, Section 7.6.4.3.3), with room to spare.
const maxSealed = 1024

// SealPassword keeps the password of an encrypted PDF beside its blob, so that
// the document can be read again when it is signed. It is sealed with
// AES-256-GCM under a key that the HSM makes for this blob alone: a copy of the
// disk does not open the document.
func (s *Signer) SealPassword(ctx context.Context, blob string, password secret.Text) error {
	aead, err := s.passwordCipher(ctx, blob)
	if err != nil {
		return err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return fmt.Errorf("sealing PDF password: %w", err)
	}
	_, err = s.Blobs.Create(ctx, passwordBlob(blob), func(w io.Writer) error {
		_, err := w.Write(aead.Seal(nonce, nonce, password.Reveal(), []byte(blob)))
		return err
	})
	if err != nil {
		return fmt.Errorf("storing PDF password: %w", err)
	}
	return nil
}

func passwordBlob(blob string) string { return blob + ".password" }

func (s *Signer) passwordCipher(ctx context.Context, blob string) (cipher.AEAD, error) {
	key, err := s.MAC.MAC(ctx, []byte("mohor PDF password v1\n"+blob))
	if err != nil {
		return nil, fmt.Errorf("sealing PDF password: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealing PDF password: %w", err)
	}
	return cipher.NewGCM(block)
}

// openPDF reads the structure of a stored document, with its password if it
// came with one. r holds the bytes of the blob. The password is to be cleared.
func (s *Signer) openPDF(ctx context.Context, blob string, r io.ReaderAt, size int64) (doc *pdf.Document, password []byte, err error) {
	doc, err = pdf.Open(r, size)
	if !errors.Is(err, pdf.ErrEncrypted) {
		return doc, nil, err
	}
	password, rerr := s.storedPassword(ctx, blob)
	if errors.Is(rerr, fs.ErrNotExist) {
		return nil, nil, err // it came without
	}
	if rerr != nil {
		return nil, nil, rerr
	}
	if doc, err = pdf.OpenWith(r, size, pdf.OpenOptions{Password: password}); err != nil {
		clear(password)
		return nil, nil, err
	}
	return doc, password, nil
}

// StoredPassword is the password that an encrypted PDF came with, for its owner; empty when it came
// without.
func (s *Signer) StoredPassword(ctx context.Context, blob string) (secret.Text, error) {
	password, err := s.storedPassword(ctx, blob)
	if errors.Is(err, fs.ErrNotExist) {
		return secret.Text{}, nil
	}
	defer clear(password)
	return secret.New(string(password)), err
}

// storedPassword opens what SealPassword sealed, [fs.ErrNotExist] for nothing. It is to be cleared.
func (s *Signer) storedPassword(ctx context.Context, blob string) ([]byte, error) {
	sealed, err := s.sealedPassword(ctx, blob)
	if err != nil {
		return nil, fmt.Errorf("reading PDF password: %w", err)
	}
	aead, err := s.passwordCipher(ctx, blob)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, ErrDocuments
	}
	nonce, sealed := sealed[:aead.NonceSize()], sealed[aead.NonceSize():]
	password, err := aead.Open(nil, nonce, sealed, []byte(blob))
	if err != nil {
		return nil, ErrDocuments // not what was sealed
	}
	return password, nil
}

func (s *Signer) sealedPassword(ctx context.Context, blob string) ([]byte, error) {
	f, err := s.Blobs.Open(ctx, passwordBlob(blob))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, min(f.Size(), maxSealed))
	_, err = io.ReadFull(io.NewSectionReader(f, 0, int64(len(b))), b)
	return b, err
}
