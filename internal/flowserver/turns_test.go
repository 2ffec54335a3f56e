package flowserver

import (
	"context"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestTurnsAreOfOneCaller: a caller's calls wait for each other, too many are
// refused, and nobody waits for another's.
func TestTurnsAreOfOneCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(2, 4)
		take := func(who string) func() {
			t.Helper()
			done, err := turns.take(t.Context(), who)
			if err != nil {
				t.Fatal(err)
			}
			return done
		}
		first, second := take("eva"), take("eva")
		late := make(chan func())
		go func() { late <- take("eva") }()
		ctx, cancel := context.WithCancel(t.Context())
		given := make(chan error)
		go func() { _, err := turns.take(ctx, "eva"); given <- err }()
		synctest.Wait()
		if _, err := turns.take(t.Context(), "eva"); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("the fifth at once: %v", err)
		}
		take("bob")()
		cancel()
		if err := <-given; status.Code(err) != codes.Canceled {
			t.Error(err)
		}
		select {
		case <-late:
			t.Error("three at once")
		default:
		}
		first()
		(<-late)()
		second()
		if len(turns.of) != 0 {
			t.Errorf("remembered: %v", turns.of)
		}
	})
}
