package flowserver

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// turns bound how much each of many callers has the server do at once: more of one
// wait for each other, and no other caller for them.
type turns struct {
	each, waiting int // at once, and those that wait or are at it

	mu sync.Mutex
	of map[string]*queue
}

// queue is what one caller has under way.
type queue struct {
	n    int
	busy chan struct{}
}

func newTurns(each, waiting int) *turns {
	return &turns{each: each, waiting: waiting, of: map[string]*queue{}}
}

// take waits for a caller's turn. It ends by done.
func (t *turns) take(ctx context.Context, who string) (done func(), err error) {
	t.mu.Lock()
	q := t.of[who]
	if q == nil {
		q = &queue{busy: make(chan struct{}, t.each)}
		t.of[who] = q
	}
	if q.n >= t.waiting {
		t.mu.Unlock()
		return nil, status.Errorf(codes.ResourceExhausted, "%s asks for flows %d times at once; try again", who, q.n)
	}
	q.n++
	t.mu.Unlock()
	select {
	case q.busy <- struct{}{}:
		return func() { <-q.busy; t.leave(who, q) }, nil
	case <-ctx.Done():
		t.leave(who, q)
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

func (t *turns) leave(who string, q *queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.n--; q.n == 0 {
		delete(t.of, who)
	}
}
