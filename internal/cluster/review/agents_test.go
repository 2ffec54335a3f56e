package review_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	"github.com/netpol-project/netpol/internal/cluster/review"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Watches that end as soon as they begin, as behind a proxy that cuts them off,
// must not become requests without a pause; others go on at once.
func TestAgentsPauseAfterAShortWatch(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lasts time.Duration
		want  int // watches in a minute
	}{
		{"at once", 0, 30},
		{"just too short", 999 * time.Millisecond, 21},
		{"long enough", 10 * time.Second, 6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute-time.Millisecond)
				defer cancel()
				lists, watches := 0, 0
				client, err := review.New(&rest.Config{Host: "http://api.invalid", Transport: transport(func(r *http.Request) (*http.Response, error) {
					body := `{"metadata":{"resourceVersion":"7"},"items":[]}`
					if r.URL.Query().Get("watch") == "true" {
						if watches++; watches > 100 {
							cancel() // no time passes here between requests without a pause
						}
						body = ""
						time.Sleep(tc.lasts)
					} else {
						lists++
					}
					return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
				})}, "netpol-system")
				if err != nil {
					t.Fatal(err)
				}
				agents := review.NewAgents(client, slog.New(slog.DiscardHandler))
				done := make(chan struct{})
				go func() {
					defer close(done)
					agents.Run(ctx)
				}()
				<-done
				if _, known := agents.Nodes(); !known || lists != 1 || watches > tc.want || watches < tc.want-1 {
					t.Errorf("%d lists and %d watches in a minute, want 1 and %d", lists, watches, tc.want)
				}
			})
		})
	}
}
