package portal

import "github.com/go-chi/chi/v5"

const historyPath = "/portal/history"

func (d *desk) historyRoutes(chi.Router) {}
