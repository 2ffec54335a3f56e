package flowserver

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/peer"
)

// maxCallers bounds the callers that are told apart.
const maxCallers = 8192

// rates bound how often each of many callers may do something, so that none
// takes what is the others'.
type rates[K comparable] struct {
	limit rate.Limit
	burst int

	mu    sync.Mutex
	known map[K]*rate.Limiter
	swept time.Time
	rest  *rate.Limiter // of those that there is no room for
}

func newRates[K comparable](limit rate.Limit, burst int) *rates[K] {
	return &rates[K]{limit: limit, burst: burst, known: map[K]*rate.Limiter{}, rest: rate.NewLimiter(limit, burst)}
}

// of is a caller's own.
func (r *rates[K]) of(who K) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.known[who]
	if l == nil {
		if len(r.known) >= maxCallers {
			r.forget()
		}
		if len(r.known) >= maxCallers {
			return r.rest
		}
		l = rate.NewLimiter(r.limit, r.burst)
		r.known[who] = l
	}
	return l
}

// forget drops who has all of their burst again, as a new caller has. It looks
// at all of them, so not often.
func (r *rates[K]) forget() {
	now := time.Now()
	if now.Sub(r.swept) < time.Second {
		return
	}
	r.swept = now
	for who, l := range r.known {
		if l.TokensAt(now) >= float64(r.burst) {
			delete(r.known, who)
		}
	}
}

// peerOf is the address that a call comes from. Users whose port is forwarded
// come from the pod's own loopback, and share it.
func peerOf(ctx context.Context) netip.Addr {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return netip.Addr{}
	}
	if tcp, ok := p.Addr.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
