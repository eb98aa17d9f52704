// Package manual serves the manuals of officers and of administrators: what to do, step by step, with pictures of the
// pages that the journeys of the tests have taken. It is made to be printed.
package manual

import (
	"embed"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

// Path is the officer's manual's address, AdminPath that of the administrator's.
const (
	Path      = "/help/manual"
	AdminPath = Path + "/admin"
)

// Routes adds GET and HEAD of [Path] and [AdminPath].
func Routes(r chi.Router, s *page.Site) {
	r = r.With(s.Pages)
	for path, book := range map[string]book{Path: {"manual", chapters}, AdminPath: {"manual.admin", adminChapters}} {
		show := func(w http.ResponseWriter, r *http.Request) { s.Show(w, r, http.StatusOK, manual(book)) }
		r.Get(path, show)
		r.Head(path, show)
	}
}

// book is a manual: its title and lead are in the catalogue under its name.
type book struct {
	name     string
	chapters func() []chapter
}

// chapter is a part of the manual: its words are in the catalogue under its name, steps numbered
// from 1.
type chapter struct {
	Name     string    `json:"name"`
	Steps    int       `json:"steps"`
	Pictures []picture `json:"pictures"`
}

// picture is a part of a picture that a journey takes: [page.Asset] manual/<language>/<name>.webp.
// One that was not taken yet is left out.
type picture struct {
	Name   string `json:"name"`
	Shot   string `json:"shot"`   // the journey's, without its ending
	Top    int    `json:"top"`    // CSS pixels left out above
	Height int    `json:"height"` // CSS pixels shown; 0: all
}

//go:embed chapters.json admin.json
var contents embed.FS

// Both are read once; a test reads them before anybody else does.
var (
	chapters      = sync.OnceValue(func() []chapter { return read("chapters.json") })
	adminChapters = sync.OnceValue(func() []chapter { return read("admin.json") })
)

func read(file string) (all []chapter) {
	raw, err := contents.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(raw, &all)
	}
	if err != nil {
		panic(err)
	}
	return all
}

func (c *chapter) step(n int) string { return "manual." + c.Name + "." + strconv.Itoa(n) }
