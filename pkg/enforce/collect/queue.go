//go:build linux

package collect

import (
	"context"
	"sync"
	"time"
)

const (
	chunkSize = 256 << 10
	// maxQueue bounds what waits to be told, in bytes.
	maxQueue = 64 << 20
	// together is how long after another a message may come to be of its chunk.
	together = 5 * time.Millisecond
)

// chunk is messages that were read together.
type chunk struct {
	messages []byte
	at       time.Time
	after    time.Time // none of them is older
	overrun  bool      // something did not fit before these
}

// queue is what was read and waits to be told. One goroutine puts, another
// takes; the taker is woken only when it waits.
type queue struct {
	mu    sync.Mutex
	list  []chunk
	bytes int
	ended bool
	spare [][]byte // memory of chunks that were told
	// there tells the taker, and room the putter, that it may look again.
	there, room chan struct{}
}

func newQueue() *queue {
	return &queue{there: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// put copies a chunk in, and waits while the queue is full, unless ctx ends.
func (q *queue) put(ctx context.Context, ch *chunk) {
	for !q.tryPut(ch) {
		select {
		case <-q.room:
		case <-ctx.Done():
			return
		}
	}
	signal(q.there)
}

func (q *queue) tryPut(ch *chunk) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes > 0 && q.bytes+len(ch.messages) > maxQueue {
		return false
	}
	q.bytes += len(ch.messages)
	if n := len(q.list); n > 0 && !ch.overrun {
		last := &q.list[n-1]
		if ch.at.Sub(last.at) < together && len(last.messages)+len(ch.messages) <= chunkSize {
			last.messages = append(last.messages, ch.messages...)
			return true
		}
	}
	var own []byte
	if n := len(q.spare); n > 0 {
		own, q.spare = q.spare[n-1], q.spare[:n-1]
	}
	q.list = append(q.list, chunk{messages: append(own, ch.messages...), at: ch.at, after: ch.after, overrun: ch.overrun})
	return true
}

// maxSpare bounds the chunks whose memory is kept to be used again.
const maxSpare = 4

// told takes the memory of a chunk back.
func (q *queue) told(ch *chunk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.spare) < maxSpare {
		q.spare = append(q.spare, ch.messages[:0])
	}
	ch.messages = nil
}

// end tells that nothing more will come.
func (q *queue) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	signal(q.there)
}

// take is all that waits, in order, empty if nothing does, and whether that
// was the last.
func (q *queue) take() (list []chunk, last bool) {
	q.mu.Lock()
	list, last = q.list, q.ended
	q.list, q.bytes = nil, 0
	q.mu.Unlock()
	signal(q.room)
	return list, last
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has not looked yet since the last one
	}
}
