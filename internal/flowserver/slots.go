package flowserver

import "sync"

// slots bound how much goes on at once, for each caller and in total.
type slots struct {
	each, all int

	mu    sync.Mutex
	taken map[string]int
	sum   int
}

func newSlots(each, all int) *slots {
	return &slots{each: each, all: all, taken: map[string]int{}}
}

// take is false if there is none for a caller; one that was taken is to be freed.
func (s *slots) take(who string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[who] >= s.each || s.sum >= s.all {
		return false
	}
	s.taken[who]++
	s.sum++
	return true
}

func (s *slots) free(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum--
	if s.taken[who]--; s.taken[who] == 0 {
		delete(s.taken, who)
	}
}
