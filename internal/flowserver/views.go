package flowserver

import (
	"context"
	"maps"
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
)

// listFlows is the right to see the flows of a namespace's workloads; of all,
// if it is empty.
func listFlows(namespace string) Access {
	return Access{Verb: "list", Group: "netpol.dev", Resource: "flows", Namespace: namespace}
}

// views shows a flow to who may list flows in the namespace of its source or of
// its destination.
type views struct {
	users *users
	hub   *hub
	turns *turns // of who lists flows
}

// maxListsEach is how often a user may have all flows looked at at once, and
// maxListsWaiting how many calls may wait for that.
const maxListsEach, maxListsWaiting = 4, 64

// View implements flow.Views.
func (v *views) View(ctx context.Context, namespaces []string) (flow.View, error) {
	c, err := v.users.caller(ctx)
	if err != nil {
		return nil, err
	}
	all, err := v.users.may(ctx, c, listFlows(""))
	if err != nil {
		return nil, err
	}
	out := &view{ctx: ctx, views: v, caller: c, all: all, known: map[string]bool{}}
	if all {
		return out, nil
	}
	// Who asks for a namespace is told if it is not theirs to see, not shown
	// less.
	for _, ns := range namespaces {
		if may, err := out.sees(ns); err != nil {
			return nil, err
		} else if !may {
			return nil, v.users.denied(c, "list flows.netpol.dev in namespace "+ns)
		}
	}
	out.asked = slices.Clone(namespaces)
	return out, nil
}

type view struct {
	ctx    context.Context
	views  *views
	caller *caller
	all    bool
	asked  []string // all of them are the caller's to see
	known  map[string]bool
}

// sees asks once for each namespace.
func (v *view) sees(namespace string) (bool, error) {
	may, ok := v.known[namespace]
	if !ok {
		var err error
		if may, err = v.views.users.may(v.ctx, v.caller, listFlows(namespace)); err != nil {
			return false, err
		}
		v.known[namespace] = may
	}
	return may, nil
}

// Sees implements flow.View. A network set is no end of its own: that an address
// is in somebody's set makes the traffic not theirs.
func (v *view) Sees(k flow.Key) (bool, error) {
	if v.all {
		return true, nil
	}
	for _, end := range []flow.Peer{k.Source, k.Destination} {
		if end.Kind == flow.PeerWorkload && slices.Contains(v.asked, end.Workload.Namespace) {
			return true, nil
		}
	}
	for _, end := range []flow.Peer{k.Source, k.Destination} {
		if end.Kind != flow.PeerWorkload {
			continue
		}
		if may, err := v.sees(end.Workload.Namespace); may || err != nil {
			return may, err
		}
	}
	return false, nil
}

// Blind implements flow.View.
func (v *view) Blind(namespaces []string) error {
	if v.sighted() || len(namespaces) == 0 {
		return nil
	}
	for _, ns := range namespaces {
		if may, err := v.sees(ns); may || err != nil {
			return err
		}
	}
	return v.views.users.denied(v.caller, "list flows.netpol.dev in any namespace of the flows that there are")
}

// sighted says whether there is some namespace whose flows the caller may see, as
// far as was asked.
func (v *view) sighted() bool {
	return v.all || len(v.asked) > 0 || slices.Contains(slices.Collect(maps.Values(v.known)), true)
}

// Turn implements flow.View.
func (v *view) Turn(ctx context.Context) (func(), error) {
	return v.views.turns.take(ctx, v.caller.Name)
}

// Cover implements flow.View.
func (v *view) Cover(c *flow.Coverage) {
	c.Restricted = c.Restricted || !v.all && len(v.asked) == 0
	c.LostUnknown = c.LostUnknown || v.views.hub.incomplete()
	v.views.hub.cover(c)
	if !v.all {
		c.Policies = slices.DeleteFunc(c.Policies, func(p flow.PolicySince) bool { return !v.mayKnow(p.Key.Namespace) })
	}
	if !v.sighted() { // nodes and what is lost there are for who sees some flows
		*c = flow.Coverage{From: c.From, To: c.To, Restricted: true, LostUnknown: true}
	}
}

// mayKnow says whether a policy's namespace is one whose flows the caller may
// see; policies of the whole cluster are for who may see all.
func (v *view) mayKnow(namespace string) bool {
	if namespace == "" {
		return false
	}
	if slices.Contains(v.asked, namespace) {
		return true
	}
	may, err := v.sees(namespace)
	return err == nil && may
}
