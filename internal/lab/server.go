package lab

import (
	"encoding/json"
	"net"
	"net/http"
)

// Serve answers a node's control socket until l is closed.
func Serve(l net.Listener, b Backend) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathStatus, func(w http.ResponseWriter, _ *http.Request) { reply(w, b.Status()) })
	mux.HandleFunc("POST "+pathReset, func(http.ResponseWriter, *http.Request) { b.Reset() })
	mux.HandleFunc("POST "+pathDown, func(http.ResponseWriter, *http.Request) { b.Down() })
	mux.HandleFunc("POST "+pathProbe, func(w http.ResponseWriter, r *http.Request) {
		var req ProbeRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, err := b.Probe(r.Context(), req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply(w, out)
	})
	return http.Serve(l, mux)
}

// reply writes a value; a client that is gone does not get it.
func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
