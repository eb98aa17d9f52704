package page

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
)

// Upload is a form with a file, as it arrives. The file's field is the form's last: what stands
// behind it is not read.
type Upload struct {
	Values url.Values
	Name   string    // as the browser names the file; nobody has checked it
	Type   string    // as the browser says
	File   io.Reader // nil: none was chosen
}

// Upload is the middleware of POSTs with a file: a form of ours, for this browser, whose file goes
// on as it arrives and is never whole in memory.
func (s *Site) Upload(next func(http.ResponseWriter, *http.Request, *Upload)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m, err := r.MultipartReader()
		if err != nil {
			s.Stray(w, r)
			return
		}
		u, err := upload(m)
		if err != nil || !proven(r, u.Values.Get("form")) {
			s.Stray(w, r)
			return
		}
		next(w, r, u)
	}
}

// maxParts is how many fields stand before a form's file.
const maxParts = 160

// upload reads up to the file. Names count as values do, and so does each part: an endless form
// of empty ones has an end, too.
func upload(m *multipart.Reader) (*Upload, error) {
	u := &Upload{Values: url.Values{}}
	left := MaxForm
	for range maxParts {
		p, err := m.NextPart()
		if errors.Is(err, io.EOF) {
			return u, nil
		}
		if err != nil {
			return u, err
		}
		if name := p.FileName(); name != "" {
			u.Name, u.Type, u.File = name, p.Header.Get("Content-Type"), p
			return u, nil
		}
		b, err := io.ReadAll(io.LimitReader(p, int64(left)+1))
		if err != nil {
			return u, err
		}
		if left -= len(b) + len(p.FormName()); left < 0 {
			return u, errLong
		}
		u.Values.Add(p.FormName(), string(b))
	}
	return u, errLong
}
