package flowserver

import (
	"context"
	"crypto/sha256"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/relay"
)

// How long answers of the API server are taken for true. A refusal is asked
// again sooner, so that a right that was just given works.
const (
	tokenFor   = time.Minute
	accessFor  = 30 * time.Second
	refusalFor = 5 * time.Second
	maxCached  = 8192
)

// What callers can make the API server do, a second and at once. Who has no good
// token must not take what others need, so tokens that are not known have bounds
// of their own, by the address that they come from and in total; rights are
// bounded by user and in total.
const (
	tokenRate, tokenBurst         = 20, 200
	allTokensRate, allTokensBurst = 100, 1000
	accessRate, accessBurst       = 50, 1000
	allAccessRate, allAccessBurst = 200, 4000
)

// users knows who calls and what they may do.
type users struct {
	reviewer Reviewer
	now      func() time.Time
	metrics  *metrics

	strangers    *rates[netip.Addr] // tokens that are not known, by address
	allStrangers *rate.Limiter
	asks         *rates[string] // by the user's name
	allAsks      *rate.Limiter

	mu      sync.Mutex
	tokens  map[[sha256.Size]byte]cachedUser // good ones; past their time they are asked about again
	refused map[[sha256.Size]byte]time.Time  // bad ones, until when
	answers map[question]cachedAnswer
}

type cachedUser struct {
	*caller
	until time.Time
}

// caller is a user whose token was found good.
type caller struct {
	User
	id [sha256.Size]byte // of the token
}

type question struct {
	id [sha256.Size]byte
	Access
}

type cachedAnswer struct {
	may   bool
	until time.Time
}

func newUsers(r Reviewer, now func() time.Time, m *metrics) *users {
	return &users{
		reviewer: r, now: now, metrics: m,
		strangers:    newRates[netip.Addr](tokenRate, tokenBurst),
		allStrangers: rate.NewLimiter(allTokensRate, allTokensBurst),
		asks:         newRates[string](accessRate, accessBurst),
		allAsks:      rate.NewLimiter(allAccessRate, allAccessBurst),
		tokens:       map[[sha256.Size]byte]cachedUser{},
		refused:      map[[sha256.Size]byte]time.Time{},
		answers:      map[question]cachedAnswer{},
	}
}

// caller is who calls, by the bearer token of the call.
func (u *users) caller(ctx context.Context) (*caller, error) {
	token := bearer(ctx)
	if token == "" || len(token) > maxToken {
		u.metrics.unauthenticated.Add(1)
		return nil, status.Error(codes.Unauthenticated, "no bearer token was sent")
	}
	id := sha256.Sum256([]byte(token))
	now := u.now()
	u.mu.Lock()
	known := u.tokens[id]
	refused := u.refused[id]
	u.mu.Unlock()
	switch {
	case known.caller != nil && !now.After(known.until):
		return known.caller, nil
	case now.Before(refused):
		return nil, u.unknown()
	case !u.mayReview(ctx, known.caller):
		return nil, errBusy
	}
	user, ok, err := u.review(ctx, token)
	if err != nil {
		return nil, err
	}
	who := &caller{User: user, id: id}
	u.keep(who, ok)
	if !ok {
		return nil, u.unknown()
	}
	return who, nil
}

func (u *users) unknown() error {
	u.metrics.unauthenticated.Add(1)
	return status.Error(codes.Unauthenticated, "the API server does not know the token, or it has expired")
}

// mayReview bounds what is asked about tokens. known is whose a token was a while
// ago, nil if that is not known. Users come through a forwarded port, from the
// pod's own loopback, and pods don't: what these send in total is not taken from
// those.
func (u *users) mayReview(ctx context.Context, known *caller) bool {
	if known != nil {
		return u.mayAsk(known.Name)
	}
	from := peerOf(ctx)
	return u.strangers.of(from).Allow() && (from.IsLoopback() || u.allStrangers.Allow())
}

func (u *users) mayAsk(name string) bool {
	return u.asks.of(name).Allow() && u.allAsks.Allow()
}

// keep remembers what was found of a token. Bad ones don't drive out good ones.
func (u *users) keep(who *caller, ok bool) {
	now := u.now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if !ok {
		delete(u.tokens, who.id)
		room(u.refused, func(until time.Time) bool { return now.After(until) })
		u.refused[who.id] = now.Add(refusalFor)
		return
	}
	delete(u.refused, who.id)
	room(u.tokens, func(c cachedUser) bool { return now.After(c.until) })
	u.tokens[who.id] = cachedUser{who, now.Add(tokenFor)}
}

// room makes room for another entry: what is past its time goes first.
func room[K comparable, V any](m map[K]V, past func(V) bool) {
	if len(m) < maxCached {
		return
	}
	maps.DeleteFunc(m, func(_ K, v V) bool { return past(v) })
	if len(m) >= maxCached {
		clear(m)
	}
}

func (u *users) review(ctx context.Context, token string) (User, bool, error) {
	audience := ""
	if slices.Contains(audiences(token), relay.Audience) {
		audience = relay.Audience
	}
	u.metrics.reviews.Add(1)
	user, ok, err := u.reviewer.Token(ctx, token, audience)
	if err != nil {
		u.metrics.reviewErrors.Add(1)
		return User{}, false, status.Error(codes.Unavailable, "the API server can't be asked about the token: "+err.Error())
	}
	return user, ok, nil
}

var errBusy = status.Error(codes.ResourceExhausted, "the flows server asks the API server too much at present; try again")
