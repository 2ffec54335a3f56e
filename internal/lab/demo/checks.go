package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// eventually tries a check again until it holds: for what takes its time, such
// as the next connection of an actor. The last error is returned.
func eventually(atMost time.Duration, check func(context.Context, *run) error) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		deadline := time.After(atMost)
		for {
			err := check(ctx, r)
			if err == nil {
				return nil
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-deadline:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// all carries out several checks.
func all(checks ...func(context.Context, *run) error) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		for _, c := range checks {
			if err := c(ctx, r); err != nil {
				return err
			}
		}
		return nil
	}
}

// working: each actor has reached each of its targets at least times times
// since the counters were reset, and never failed.
func working(times int) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		var s status
		if err := r.json(ctx, &s, "lab", "status"); err != nil {
			return err
		}
		if !s.Agent.Ready || len(s.Agent.Problems) > 0 {
			return fmt.Errorf("the agent is not well: %s", strings.Join(s.Agent.Problems, "; "))
		}
		for _, p := range append(s.Pods, s.Outside) {
			for _, t := range p.Targets {
				if t.Failed > 0 {
					return fmt.Errorf("%s failed to reach %s %d times: %s", p.Name, t.Target, t.Failed, t.LastError)
				}
				if t.OK < times {
					return fmt.Errorf("%s has reached %s %d times only", p.Name, t.Target, t.OK)
				}
			}
		}
		return nil
	}
}

// stillWorking counts anew, and waits until every actor has made more
// connections without a failure.
func stillWorking(ctx context.Context, r *run) error {
	if _, stderr, code := r.Ask(ctx, "lab", "status", "--reset"); code != 0 {
		return fmt.Errorf("the counters can't be reset: %s", strings.TrimSpace(stderr))
	}
	return eventually(flowTime, working(2))(ctx, r)
}

// connects: every pair of a probe connects.
func connects(args ...string) func(context.Context, *run) error {
	return probed(func(d *probeDocument) error {
		if d.Summary.Connected != d.Summary.Pairs {
			return fmt.Errorf("of %d pairs %d connect", d.Summary.Pairs, d.Summary.Connected)
		}
		return nil
	}, args...)
}

// blocked: every pair of a probe is blocked, by the policy named.
func blocked(policy string, args ...string) func(context.Context, *run) error {
	return probed(func(d *probeDocument) error {
		for _, i := range d.Items {
			if i.Result != "blocked" || i.DeniedBy == nil || i.DeniedBy.Name != policy {
				return fmt.Errorf("%s is %s by %+v", i, i.Result, i.DeniedBy)
			}
		}
		return nil
	}, args...)
}

// onlyNeeded: exactly the pairs named connect, and all others of the namespace
// are blocked.
func onlyNeeded(namespace string, needed ...string) func(context.Context, *run) error {
	needed = slices.Sorted(slices.Values(needed))
	return probed(func(d *probeDocument) error {
		var connected []string
		for _, i := range d.Items {
			switch i.Result {
			case "connected":
				connected = append(connected, i.String())
			case "blocked":
			default:
				return fmt.Errorf("%s: %s", i, i.Result)
			}
		}
		slices.Sort(connected)
		connected = slices.Compact(connected) // TCP and UDP
		if !slices.Equal(connected, needed) {
			return fmt.Errorf("these connect: %s", strings.Join(connected, ", "))
		}
		return nil
	}, "--ns", namespace)
}

// agrees: what connects, over IPv4 and IPv6 and with the cluster's own
// workloads, is what the model says.
func agrees(ctx context.Context, r *run) error {
	stdout, stderr, code := r.Ask(ctx, "connectivity", "-A", "-o", "json")
	if code != 0 {
		return fmt.Errorf("connectivity: %s", strings.TrimSpace(stderr))
	}
	file := filepath.Join(r.Dir, "all.json")
	if err := os.WriteFile(file, []byte(stdout), 0o600); err != nil {
		return err
	}
	families := "both"
	if !hasIPv6(ctx, r) {
		families = "4"
	}
	stdout, _, code = r.Ask(ctx, "probe", "-A", "--family", families, "--expect", file)
	if code != 0 {
		return fmt.Errorf("the network and the model differ:\n%s", stdout)
	}
	return nil
}

// hasIPv6 says whether the lab's pods have IPv6 addresses.
func hasIPv6(ctx context.Context, r *run) bool {
	var s struct {
		Pods []struct{ Addresses []string }
	}
	err := r.json(ctx, &s, "lab", "status")
	return err == nil && len(s.Pods) > 0 && len(s.Pods[0].Addresses) > 1
}

func probed(check func(*probeDocument) error, args ...string) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		var d probeDocument
		if err := r.json(ctx, &d, append([]string{"probe"}, args...)...); err != nil {
			return err
		}
		if len(d.Items) == 0 {
			return fmt.Errorf("nothing was probed")
		}
		return check(&d)
	}
}
