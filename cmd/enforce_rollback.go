package cmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

const (
	// rollbackPods is how many pods must miss something: what one alone does decides
	// nothing.
	rollbackPods = 2
	// rollbackEvery is every how many looks of the guard flows are looked at.
	rollbackEvery = 4
)

// rollback ends a trial before its time when traffic is missing.
type rollback struct {
	// Denied is how many refused connections are enough; 0: it was not asked for.
	Denied int
	// Open opens the flows that are looked at.
	Open func(context.Context) (flow.Source, error)
	// Failed is an error of these flows as users see it; nil: they are an agent's.
	Failed func(flow.Source, error) error

	source flow.Source
	scope  []string
	usual  []flow.Flow
}

// check refuses what can't be.
func (r *rollback) check(o *EnforceOptions) error {
	const try = "netpol enforce POLICY --confirm-within 5m --rollback-on-deny --wait"
	switch {
	case r.Denied == 0:
		return nil
	case r.Denied < 0:
		return cli.Usage(try, "--rollback-on-deny=%d: expected how many connections are enough, 1 or more", r.Denied)
	case !o.onTrial():
		return cli.Usage(try, "--rollback-on-deny goes with --confirm-within: it ends a trial")
	case !o.guards() && !o.DryRun.on():
		return cli.Refuse("--rollback-on-deny: no agent ends a trial for what it sees, a command on guard does", nil, "the same with --wait")
	case o.Source.IsPrometheus():
		return cli.Usage("the same without --flows", "--rollback-on-deny looks at flows as they come, and Prometheus has counters that it scrapes now and then, of workloads and not of pods")
	case o.Source.Given() && !strings.HasPrefix(o.Source.From, "goldmane://"):
		return cli.Usage("the same without --flows", "--rollback-on-deny looks at flows as they come, and a file has those that were")
	}
	return nil
}

// remember notes what was usual before a policy was staged, so that nothing of
// what comes after that counts.
func (r *rollback) remember(ctx context.Context, key policy.Key, staged *unstructured.Unstructured) (err error) {
	if r.Denied == 0 {
		return nil
	}
	if key.Namespace != "" {
		r.scope = []string{key.Namespace}
	}
	if r.source, err = r.Open(ctx); err != nil {
		return err
	}
	since := staged.GetCreationTimestamp().Time
	if since.IsZero() {
		_, coverage, err := r.source.List(ctx, flow.Filter{Namespaces: r.scope, Since: time.Now()})
		if err != nil {
			return r.failed(err)
		}
		for _, p := range coverage.Policies {
			if p.Key == key {
				since = p.Since
			}
		}
	}
	if since.IsZero() {
		return &cli.Error{What: "--rollback-on-deny: since when " + key.String() + " is staged is not known here, and only traffic from before that counts",
			Try: "the same without --rollback-on-deny"}
	}
	r.usual, _, err = r.source.List(ctx, flow.Filter{Namespaces: r.scope, Until: since})
	if err != nil {
		return r.failed(err)
	}
	return nil
}

func (r *rollback) failed(err error) error {
	if r.Failed == nil {
		return flowsError(err)
	}
	return r.Failed(r.source, err)
}

// missing is what of the usual is refused, if that is enough; nil if it is not.
func (r *rollback) missing(ctx context.Context, refusing *policy.Policy, began time.Time) (*stage.RevertDenials, error) {
	since, _, err := r.source.List(ctx, flow.Filter{Namespaces: r.scope, Since: began})
	if err != nil {
		return nil, err
	}
	m := stage.MissingTraffic(refusing, r.usual, since)
	if m.Connections < int64(r.Denied) || len(m.Pods) < rollbackPods {
		return nil, nil
	}
	return m.Denials(), nil
}

// missed is the answer where a policy was taken back for what it refused.
func missed(key policy.Key, d *stage.RevertDenials) error {
	var where []string
	if key.Namespace != "" {
		where = []string{key.Namespace}
	}
	return &cli.Error{
		No: true, Where: denialLines(d), Try: "netpol recommend" + flagsOf(where) + ", and enforce " + key.Name + " again then",
		What: fmt.Sprintf("%s of %s that were usual before it was staged are refused: what was enforced before %s is enforced again",
			plural(int(d.Connections), "connection"), plural(d.Pods, "pod"), key),
	}
}

// denialLines are the refused connections in words.
func denialLines(d *stage.RevertDenials) []string {
	var out []string
	for _, f := range d.Flows {
		port := f.Protocol
		if f.Port != 0 {
			port = fmt.Sprintf("%s/%d", f.Protocol, f.Port)
		}
		out = append(out, fmt.Sprintf("%s → %s %s, %s", f.From, f.To, port, plural(int(f.Connections), "connection")))
	}
	if d.More > 0 {
		out = append(out, fmt.Sprintf("and %d more", d.More))
	}
	return out
}

// early goes back before the time is over if traffic is missing. That flows can't be
// read changes nothing in when the time is over. u is the policy as it is stored.
func (g *trialGuard) early(ctx context.Context, u *unstructured.Unstructured, refusing *policy.Policy) (done bool, err error) {
	r := &g.opts.Confirm.Rollback
	if g.looks++; r.Denied == 0 || g.looks%rollbackEvery != 0 {
		return false, nil
	}
	denied, err := r.missing(ctx, refusing, g.start)
	if err != nil {
		if !g.blind && ctx.Err() == nil {
			g.opts.IO.ErrPrinter().Printf("warning: %s; it is tried again\n", firstLine(r.failed(err).Error()))
		}
		g.blind = true
		return false, nil
	}
	if g.blind = false; denied == nil {
		return false, nil
	}
	why := g.because(stage.RevertDenied)
	why.Denied = denied
	taken, err := g.takeBack(ctx, why)
	if err != nil || !taken {
		return false, err // the next look says what it is now
	}
	g.audit(ctx, u, &why)
	return true, missed(g.id.Key, denied)
}
