package public

import "net/http"

func (h *hall) scan(w http.ResponseWriter, r *http.Request) {
	h.Show(w, r, http.StatusOK, scan())
}
