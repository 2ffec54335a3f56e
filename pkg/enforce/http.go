//go:build linux

package enforce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// listenHTTP takes the address for health and metrics, from a former agent
// that ends, too. It is nil if there is none.
func (a *Agent) listenHTTP(ctx context.Context) (l net.Listener, err error) {
	if a.opts.HTTP == "" {
		return nil, nil
	}
	err = takeOver(ctx, a.opts.Log, func() error {
		l, err = net.Listen("tcp", a.opts.HTTP)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("health and metrics: %w", err)
	}
	return l, nil
}

// serveHTTP answers /healthz, /readyz and /metrics until ctx ends.
func (a *Agent) serveHTTP(ctx context.Context, l net.Listener) error {
	if l == nil {
		return nil
	}
	own := prometheus.NewRegistry()
	own.MustRegister(&exporter{a: a}, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", answer(a.alive))
	mux.HandleFunc("GET /readyz", answer(a.isReady))
	mux.Handle("GET /metrics", promhttp.HandlerFor(own, promhttp.HandlerOpts{MaxRequestsInFlight: 2}))
	s := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
		return fmt.Errorf("health and metrics: %w", err)
	}
	return nil
}

// answer says ok, or why not.
func answer(judge func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		text := "ok"
		if err := judge(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			text = err.Error()
		}
		_, _ = io.WriteString(w, text+"\n")
	}
}
