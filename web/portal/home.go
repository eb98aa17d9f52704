package portal

import "net/http"

func (d *desk) home(w http.ResponseWriter, r *http.Request) {
	d.Show(w, r, http.StatusOK, home())
}
