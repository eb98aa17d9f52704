// Package health serves the console's pages of its area.
package health

import (
	"github.com/go-chi/chi/v5"

	"github.com/mohor-sign/mohor/web/page"
)

// Routes adds its pages to r, whose visitors are administrators in a role that the menu lets in.
func Routes(r chi.Router, s *page.Site) {
	_, _ = r, s
}
