package portal

import "github.com/go-chi/chi/v5"

func (d *desk) profileRoutes(chi.Router) {}
