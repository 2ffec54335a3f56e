package prometheus_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/prometheus"
)

// What is told while following adds up to what there was, counted once.
func TestFollowAddsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, err := prometheus.NewAPI("http://prometheus.example", full{agents: 2, series: 3}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		source := prometheus.New(prometheus.Options{API: api, Now: time.Now})
		since := time.Now().Add(-20 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		var sum int64
		calls := 0
		err = source.Follow(ctx, flow.Filter{Since: since}, func(f flow.Flow) error {
			sum += f.Connections
			calls++
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		flows, _, err := source.List(t.Context(), flow.Filter{Since: since, Until: time.Now().Add(-10 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		var want int64
		for _, f := range flows {
			want += f.Connections
		}
		if sum != want || want == 0 || calls <= len(flows) {
			t.Errorf("%d connections in %d calls, want %d", sum, calls, want)
		}
		stop := errors.New("enough")
		if err := source.Follow(t.Context(), flow.Filter{Since: since}, func(flow.Flow) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%v, want what the caller said", err)
		}
	})
}
