package cmd

import (
	"context"

	"github.com/netpol-project/netpol/internal/lab/probe"
	"github.com/netpol-project/netpol/pkg/policytest"
	"github.com/netpol-project/netpol/pkg/tier"
)

// probe tries the connections of a test in the lab or the cluster, and keeps what was seen
// with them.
func (s *testSession) probe(ctx context.Context, ran *testRan, scope tier.Scope) error {
	var checks []*policytest.Check
	for i := range ran.Results {
		for j := range ran.Results[i].Checks {
			checks = append(checks, &ran.Results[i].Checks[j])
		}
	}
	if scope != tier.Enforced() {
		for _, c := range checks {
			c.Live = &policytest.Live{Skipped: "staged policies are not in force"}
		}
		return nil
	}
	site, err := s.opts.Site.open(ctx, s.opts.Factory)
	if err != nil {
		return err
	}
	attempts := probe.NewChecks(site.pods, checks)
	if attempts.Len() == 0 {
		return nil
	}
	reply, err := site.run(ctx, attempts.Lab(s.opts.Timeout))
	if err != nil {
		return err
	}
	attempts.Collect(reply.Outcomes)
	return nil
}
