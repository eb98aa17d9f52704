package batch

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/mohor-sign/mohor/ecert"
	"github.com/mohor-sign/mohor/internal/spool"
)

// takeListAndPhotos takes a ZIP of one list, CSV or XLSX, and the pictures that its column foto
// names, in folders or not.
func takeListAndPhotos(ctx context.Context, u *upload, f *os.File, size int64) error {
	zr, err := u.s.openZIP(f, size)
	if err != nil {
		return err
	}
	photos := &photoFiles{files: map[string]*zip.File{}, hashes: map[string]string{}, byHash: map[string]*zip.File{}, bad: map[string]error{}}
	var list *zip.File
	for _, zf := range zr.File {
		name := path.Base(zf.Name)
		if aside(zf.Name) {
			continue
		}
		switch strings.ToLower(path.Ext(name)) {
		case ".csv", ".xlsx":
			if list != nil {
				return unreadable("ZIP mengandungi dua senarai, "+quoted(list.Name)+" dan "+quoted(zf.Name)+"; masukkan satu sahaja", "the ZIP holds two lists, "+quoted(list.Name)+" and "+quoted(zf.Name)+"; put in one alone")
			}
			list = zf
		case ".jpg", ".jpeg":
			if photos.files[name] != nil {
				return unreadable("dua gambar dalam ZIP bernama "+quoted(name)+"; namakan semula satu daripadanya", "two pictures in the ZIP are named "+quoted(name)+"; rename one of them")
			}
			photos.files[name] = zf
		default:
			return unreadable(quoted(zf.Name)+" dalam ZIP bukan senarai (CSV atau XLSX) atau gambar JPEG; keluarkannya", quoted(zf.Name)+" in the ZIP is neither a list (CSV or XLSX) nor a JPEG picture; take it out")
		}
	}
	if list == nil {
		return unreadable("ZIP tiada senarai (CSV atau XLSX)", "the ZIP holds no list (CSV or XLSX)")
	}
	r, err := list.Open()
	if err != nil {
		return damaged(list.Name, err)
	}
	defer r.Close()
	in, n, err := spool.Copy(u.s.TempDir, r, u.s.MaxUpload)
	if err != nil {
		return err
	}
	defer in.Close()
	return takeCandidates(ctx, u, in, n, photos)
}

// aside are folders, and what programs of macOS and Windows add to a ZIP.
func aside(name string) bool {
	return strings.HasSuffix(name, "/") || strings.HasPrefix(name, "__MACOSX/") || strings.HasPrefix(path.Base(name), ".") || strings.EqualFold(path.Base(name), "thumbs.db")
}

// photoFiles are the pictures of a ZIP. Nil: there is none.
type photoFiles struct {
	files  map[string]*zip.File // by name
	hashes map[string]string    // by name, of those that a row names
	byHash map[string]*zip.File
	bad    map[string]error // by name, of those that were refused
	again  bool             // the second reading of the list
}

// find implements ecert.Reader.Photo: no picture is of two people. However many rows name a picture,
// it is decoded once.
func (p *photoFiles) find(name string) (hash, en, ms string) {
	if p.again {
		return p.hashes[name], "", ""
	}
	f := p.files[name]
	if f == nil {
		return "", "there is no such picture in the ZIP", "tiada gambar sedemikian dalam ZIP"
	}
	hash, err := p.judge(name, f)
	if errors.Is(err, errPhotoTwice) {
		return "", "another row has this picture", "baris lain mempunyai gambar ini"
	}
	if errors.Is(err, ErrInput) {
		return "", "the picture cannot be unpacked", "gambar tidak dapat dinyahmampat"
	}
	if err != nil {
		return "", err.Error(), ecert.PhotoMS(err)
	}
	return hash, "", ""
}

// errPhotoTwice: a row has the picture already, perhaps under another name.
var errPhotoTwice = errors.New("another row has this picture")

// judge is the hash of a picture that no row has yet.
func (p *photoFiles) judge(name string, f *zip.File) (hash string, err error) {
	if p.hashes[name] != "" {
		return "", errPhotoTwice
	}
	if err := p.bad[name]; err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			p.bad[name] = err
		}
	}()
	clean, err := readPhoto(f)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(clean)
	hash = hex.EncodeToString(sum[:])
	if p.byHash[hash] != nil {
		return "", errPhotoTwice
	}
	if err := ecert.CheckPhoto(clean); err != nil {
		return "", err
	}
	p.hashes[name], p.byHash[hash] = hash, f
	return hash, nil
}

// content is the picture that a candidate of the second reading names; nil for none.
func (p *photoFiles) content(c *ecert.Candidate) ([]byte, error) {
	if c.Photo == "" {
		return nil, nil
	}
	clean, err := readPhoto(p.byHash[c.Photo])
	if err != nil {
		return nil, fmt.Errorf("reading a picture once more: %w", err)
	}
	return clean, nil
}

// readPhoto unpacks a picture and takes off what does not belong to it; it is not decoded.
func readPhoto(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, damaged(f.Name, err)
	}
	defer r.Close()
	var raw bytes.Buffer
	if _, err := io.Copy(&raw, io.LimitReader(r, ecert.MaxPhoto+1)); err != nil {
		return nil, damaged(f.Name, err)
	}
	return ecert.StripPhoto(raw.Bytes())
}
