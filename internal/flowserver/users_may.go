package flowserver

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// may tells whether a caller may do something.
func (u *users) may(ctx context.Context, c *caller, a Access) (bool, error) {
	q := question{c.id, a}
	u.mu.Lock()
	known, ok := u.answers[q]
	u.mu.Unlock()
	if ok && u.now().Before(known.until) {
		return known.may, nil
	}
	if !u.mayAsk(c.Name) {
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
	now := u.now()
	room(u.answers, func(a cachedAnswer) bool { return now.After(a.until) })
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
