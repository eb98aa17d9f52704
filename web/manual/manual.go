// Package manual serves the officer's manual: what to do, step by step, with pictures of the
// pages that the journeys of the tests have taken. It is made to be printed.
package manual

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"

	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

// Path is the manual's address.
const Path = "/help/manual"

// Routes adds GET and HEAD of [Path].
func Routes(r chi.Router, s *page.Site) {
	r = r.With(s.Pages)
	show := func(w http.ResponseWriter, r *http.Request) { s.Show(w, r, http.StatusOK, manual(chapters())) }
	r.Get(Path, show)
	r.Head(Path, show)
}

// chapter is a part of the manual: its words are in the catalogue under its name, steps numbered
// from 1.
type chapter struct {
	Name     string    `json:"name"`
	Steps    int       `json:"steps"`
	Pictures []picture `json:"pictures"`
}

// picture is a part of a picture that a journey takes: [page.Asset] manual/<language>/<name>.webp.
type picture struct {
	Name   string `json:"name"`
	Shot   string `json:"shot"`   // the journey's, without its ending
	Top    int    `json:"top"`    // CSS pixels left out above
	Height int    `json:"height"` // CSS pixels shown; 0: all
}

//go:embed chapters.json
var contents []byte

// chapters are read once; a test reads them before anybody else does.
var chapters = sync.OnceValue(func() (all []chapter) {
	if err := json.Unmarshal(contents, &all); err != nil {
		panic(err)
	}
	return all
})

func (c *chapter) step(n int) string { return "manual." + c.Name + "." + strconv.Itoa(n) }
