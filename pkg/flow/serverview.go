package flow

import (
	"context"
	"time"
)

// Views tells what callers may see.
type Views interface {
	// View is what the caller of ctx may see of flows with an end in one of
	// these namespaces; none is all. The error is the call's answer.
	View(ctx context.Context, namespaces []string) (View, error)
}

// View is what one caller may see, at the time that it was made.
type View interface {
	// Sees says whether a flow is the caller's to see.
	Sees(k Key) (bool, error)
	// Blind is the answer to a caller who may see flows of none of these
	// namespaces, which are all that there are flows of; nil if there are none.
	Blind(namespaces []string) error
	// Turn waits until it is the caller's turn to have all flows looked at, which
	// ends by done.
	Turn(ctx context.Context) (done func(), err error)
	// Cover completes what the answer is evidence of.
	Cover(c *Coverage)
}

// everything is for a socket that its file mode guards.
type everything struct{}

func (everything) View(context.Context, []string) (View, error) { return everything{}, nil }
func (everything) Sees(Key) (bool, error)                       { return true, nil }
func (everything) Blind([]string) error                         { return nil }
func (everything) Turn(context.Context) (func(), error)         { return func() {}, nil }
func (everything) Cover(*Coverage)                              {}

// seen are those of the records that the caller may see.
func seen(records []record, v View) ([]record, error) {
	if v == View(everything{}) {
		return records, nil
	}
	out := make([]record, 0, len(records))
	for i := range records {
		sees, err := v.Sees(records[i].Key)
		if err != nil {
			return nil, err
		}
		if sees {
			out = append(out, records[i])
		}
	}
	return out, nil
}

// sighted is an error if the caller may see none of the flows that are kept,
// whenever they were: what passes a filter must not decide that, or filters would
// tell of others' flows. It is asked first, so that who may see nothing costs little.
func (s *server) sighted(v View) error {
	if v == View(everything{}) {
		return nil
	}
	return v.Blind(s.agg.namespaces())
}

// visible is what the caller sees of all that passes the filter. It is an error
// if that is nothing for want of rights.
func (s *server) visible(f Filter, now time.Time, v View) ([]record, Coverage, error) {
	if err := s.sighted(v); err != nil {
		return nil, Coverage{}, err
	}
	all, coverage := s.agg.records(f, now)
	records, err := seen(all, v)
	v.Cover(&coverage)
	return records, coverage, err
}
