package kube

import (
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Every kind has a watch of its own, so a resource may arrive before another
// one that was made for it earlier. What would be judged wrongly without that
// other one is left out, or kept back for a moment.

// housed is the cache's resources without the pods whose namespace has not
// arrived. There is none without a Namespace object, and made up without its
// labels no namespaceSelector would select them: they would be open where they
// are to be closed. What is not known is closed (S31).
func (c *cache) housed() []policy.Resource {
	known := c.kind(policy.KindNamespace).at
	homeless := map[string]bool{}
	for _, kind := range [...]policy.Kind{policy.KindPod, policy.KindJob} {
		for ns := range c.kind(kind).in {
			if i, ok := known[name{name: ns}]; !ok || c.flat[i].Value == nil {
				homeless[ns] = true
			}
		}
	}
	if len(homeless) == 0 {
		return c.flat
	}
	out := slices.Clone(c.flat)
	for i := range out {
		switch out[i].Value.(type) {
		case *policy.Endpoint, *policy.Template: // a Job without its pods would stand in for them
			if homeless[out[i].Key.Namespace] {
				out[i] = policy.Resource{}
			}
		}
	}
	return out
}

// longestHold is how long a policy may be ahead of its tier, and a pod of its
// service account.
const longestHold = 200 * time.Millisecond

// hold is how long the newest snapshot is to be kept back. A policy without the
// tier that was made for it would deny what it does not decide (S13), for a
// moment, and a pod would not be selected by its service account's labels. Both
// may live on without the other, so they are not kept back for longer.
func (f *following) hold() time.Duration {
	if f.state.Snapshot == nil || f.state.Snapshot == f.latest || // as after every watch that ends
		!orphans(f.faults, f.state.Faults) && !strangers(f.latest, f.state.Snapshot) {
		f.held = time.Time{}
		return 0
	}
	if f.held.IsZero() {
		f.held = time.Now()
	}
	if wait := f.opts.hold - time.Since(f.held); wait > 0 {
		return wait
	}
	f.held = time.Time{}
	return 0
}

// orphans says whether there are policies in tiers that there are not, that
// were none before.
func orphans(now, before policy.Faults) bool {
	missing := func(f policy.Fault) bool { return f.Code == policy.CodeMissingTier }
	for _, f := range now {
		if missing(f) && !slices.ContainsFunc(before, func(b policy.Fault) bool { return missing(b) && b.Key == f.Key }) {
			return true
		}
	}
	return false
}

// strangers says whether there are pods of service accounts that there are not,
// that were none before.
func strangers(now, before *policy.Snapshot) bool {
	old := before.Endpoints
	for _, ep := range now.Endpoints {
		for len(old) > 0 && (old[0].Namespace < ep.Namespace || old[0].Namespace == ep.Namespace && old[0].Name < ep.Name) {
			old = old[1:]
		}
		if len(old) > 0 && old[0] == ep {
			continue
		}
		account := ep.Labels[policy.LabelServiceAccount]
		if account == "" || now.ServiceAccount(ep.Namespace, account) != nil {
			continue
		}
		same := len(old) > 0 && old[0].ID() == ep.ID() && old[0].Labels[policy.LabelServiceAccount] == account
		if !same || before.ServiceAccount(ep.Namespace, account) != nil {
			return true
		}
	}
	return false
}
