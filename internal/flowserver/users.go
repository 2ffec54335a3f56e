package flowserver

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
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
	// reviewRate and reviewBurst bound what callers can make the API server do.
	reviewRate, reviewBurst = 100, 1000
)

// users knows who calls and what they may do.
type users struct {
	reviewer Reviewer
	now      func() time.Time
	limit    *rate.Limiter
	metrics  *metrics

	mu      sync.Mutex
	tokens  map[[sha256.Size]byte]cachedUser
	answers map[question]cachedAnswer
}

type cachedUser struct {
	*caller
	until time.Time
}

// caller is a user whose token was found good (or not: ok).
type caller struct {
	User
	ok bool
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
		reviewer: r, now: now, metrics: m, limit: rate.NewLimiter(reviewRate, reviewBurst),
		tokens: map[[sha256.Size]byte]cachedUser{}, answers: map[question]cachedAnswer{},
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
	u.mu.Lock()
	known, ok := u.tokens[id]
	u.mu.Unlock()
	if !ok || u.now().After(known.until) {
		who, err := u.review(ctx, token)
		if err != nil {
			return nil, err
		}
		who.id = id
		known = cachedUser{who, u.now().Add(refusalFor)}
		if who.ok {
			known.until = u.now().Add(tokenFor)
		}
		u.mu.Lock()
		if len(u.tokens) >= maxCached {
			clear(u.tokens)
		}
		u.tokens[id] = known
		u.mu.Unlock()
	}
	if !known.ok {
		u.metrics.unauthenticated.Add(1)
		return nil, status.Error(codes.Unauthenticated, "the API server does not know the token, or it has expired")
	}
	return known.caller, nil
}

func (u *users) review(ctx context.Context, token string) (*caller, error) {
	if !u.limit.Allow() {
		return nil, errBusy
	}
	audience := ""
	if slices.Contains(audiences(token), relay.Audience) {
		audience = relay.Audience
	}
	u.metrics.reviews.Add(1)
	user, ok, err := u.reviewer.Token(ctx, token, audience)
	if err != nil {
		u.metrics.reviewErrors.Add(1)
		return nil, status.Error(codes.Unavailable, "the API server can't be asked about the token: "+err.Error())
	}
	return &caller{User: user, ok: ok}, nil
}

var errBusy = status.Error(codes.ResourceExhausted, "the flows server asks the API server too much at present; try again")

// may tells whether a caller may do something.
func (u *users) may(ctx context.Context, c *caller, a Access) (bool, error) {
	q := question{c.id, a}
	u.mu.Lock()
	known, ok := u.answers[q]
	u.mu.Unlock()
	if ok && u.now().Before(known.until) {
		return known.may, nil
	}
	if !u.limit.Allow() {
		return false, errBusy
	}
	u.metrics.reviews.Add(1)
	may, err := u.reviewer.Access(ctx, c.User, a)
	if err != nil {
		u.metrics.reviewErrors.Add(1)
		return false, status.Error(codes.Unavailable, "the API server can't be asked about rights: "+err.Error())
	}
	known = cachedAnswer{may, u.now().Add(refusalFor)}
	if may {
		known.until = u.now().Add(accessFor)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.answers) >= maxCached {
		clear(u.answers)
	}
	u.answers[q] = known
	return may, nil
}

// any tells whether a caller may do one of some things.
func (u *users) any(ctx context.Context, c *caller, list ...Access) (bool, error) {
	for _, a := range list {
		if may, err := u.may(ctx, c, a); may || err != nil {
			return may, err
		}
	}
	return false, nil
}

// denied is the answer to a caller who lacks a right.
func (u *users) denied(c *caller, rights string) error {
	u.metrics.notAllowed.Add(1)
	return status.Errorf(codes.PermissionDenied, "%s may not %s", c.Name, rights)
}

func bearer(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// audiences are whom a token says that it is for. Nothing is believed of it: it
// only tells how to ask the API server.
func audiences(token string) []string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var claims struct {
		Audience json.RawMessage `json:"aud"`
	}
	if json.Unmarshal(raw, &claims) != nil {
		return nil
	}
	var list []string
	if json.Unmarshal(claims.Audience, &list) == nil {
		return list
	}
	var one string
	if json.Unmarshal(claims.Audience, &one) == nil {
		return []string{one}
	}
	return nil
}
