package cmd

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// endFlags say what one end of a flow must be; all that are given.
type endFlags struct {
	prefix                              string // "from-", "to-" or, for either end, ""
	pod, workload, namespace, label, ip string
}

func (e *endFlags) addTo(cmd *cobra.Command, f *cli.Factory) {
	flags := cmd.Flags()
	what := map[string]string{"from-": "only from ", "to-": "only to ", "": "only from or to "}[e.prefix]
	flags.StringVar(&e.pod, e.prefix+"pod", "", what+"the workload of this pod (NAME or NAMESPACE/NAME)")
	flags.StringVar(&e.label, e.prefix+"label", "", what+"what has these labels (app=web,tier!=x or a policy's selector)")
	flags.StringVar(&e.ip, e.prefix+"ip", "", what+"this address or network (192.0.2.0/24)")
	flags.StringVar(&e.workload, e.prefix+"workload", "", what+"this workload (NAME or NAMESPACE/NAME)")
	completeFlag(cmd, f, e.prefix+"workload", allWorkloads, workloadKinds...)
	if e.prefix != "" { // -n is of either end
		flags.StringVar(&e.namespace, e.prefix+"namespace", "", what+"this namespace")
		completeFlag(cmd, f, e.prefix+"namespace", namespaceNames, policy.KindNamespace)
	}
}

// end is what one end of a flow must be.
type end struct {
	workloads []string // any of them; namespace/name or a name
	selector  *selector.Selector
	net       netip.Prefix
}

// read reads the flags; pods are looked up in the snapshot.
func (e *endFlags) read(w *world) (end, error) {
	var out end
	var err error
	if e.workload != "" {
		out.workloads = []string{e.workload}
	}
	if e.pod != "" {
		ep, err := w.podNamed(e.pod)
		if err != nil {
			return out, err
		}
		if e.workload != "" && !(flow.Peer{Kind: flow.PeerWorkload, Workload: ep.Workload}).Is(e.workload) {
			return out, cli.Usage("netpol flows --help", "--%spod %s is of workload %s, not of --%sworkload %s", e.prefix, e.pod, ep.Workload, e.prefix, e.workload)
		}
		out.workloads = []string{ep.Workload.String()}
	}
	if e.label != "" {
		if out.selector, err = parseLabels(e.label); err != nil {
			return out, cli.Usage("--"+e.prefix+"label app=web", "--%slabel %q: %v", e.prefix, e.label, err)
		}
	}
	if e.ip != "" {
		if out.net, err = parseNet(e.ip); err != nil {
			return out, cli.Usage("--"+e.prefix+"ip 192.0.2.0/24", "--%sip %q: expected an address or a network", e.prefix, e.ip)
		}
	}
	return out, nil
}

// podNamed is the pod that a user names: NAME, where it is the only one, or
// NAMESPACE/NAME.
func (w *world) podNamed(name string) (*policy.Endpoint, error) {
	var found []*policy.Endpoint
	var known []string
	for _, ep := range w.snap.Endpoints {
		known = append(known, ep.ID())
		if ep.ID() == name || ep.Name == name {
			found = append(found, ep)
		}
	}
	switch len(found) {
	case 0:
		return nil, cli.Unknown("pod", name, known, listPods(w.own != nil))
	case 1:
		return found[0], nil
	}
	return nil, cli.Usage(listPods(w.own != nil), "pod %q is in several namespaces: say NAMESPACE/NAME", name)
}

// parseLabels reads labels as kubectl's -l has them where they are equalities,
// or else a policy's selector.
func parseLabels(text string) (*selector.Selector, error) {
	var parts []*selector.Selector
	for item := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(item, "=")
		not := strings.HasSuffix(key, "!")
		key, value = strings.TrimSpace(strings.TrimSuffix(key, "!")), strings.TrimSpace(strings.TrimPrefix(value, "="))
		if !ok || key == "" || strings.ContainsAny(key+value, "'\"(){}&|!= ") {
			return selector.Parse(text)
		}
		part := selector.Eq(key, value)
		if not {
			part = selector.Not(part)
		}
		parts = append(parts, part)
	}
	return selector.And(parts...), nil
}

func parseNet(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// any says whether the end may be anything.
func (e *end) any() bool { return len(e.workloads) == 0 && e.selector == nil && !e.net.IsValid() }

// fits says whether a peer is such an end; labels are what the flow tells of it.
func (e *end) fits(w *world, p flow.Peer, labels map[string]string) bool {
	if len(e.workloads) > 0 && !slices.ContainsFunc(e.workloads, p.Is) {
		return false
	}
	var pods []*policy.Endpoint
	if p.Kind == flow.PeerWorkload && (e.selector != nil || e.net.IsValid()) {
		pods = w.snap.WorkloadEndpoints(p.Workload)
	}
	if e.net.IsValid() && !(p.Addr.IsValid() && e.net.Contains(p.Addr)) &&
		!slices.ContainsFunc(pods, func(ep *policy.Endpoint) bool { return slices.ContainsFunc(ep.Addrs, e.net.Contains) }) {
		return false
	}
	return e.selector == nil || e.labelled(w, p, pods, labels)
}

// labelled says whether the selector selects one of the pods, the network set,
// or, where they are gone, what the flow tells of them.
func (e *end) labelled(w *world, p flow.Peer, pods []*policy.Endpoint, labels map[string]string) bool {
	if p.Kind == flow.PeerNetworkSet {
		kind := policy.KindNetworkSet
		if p.Workload.Namespace == "" {
			kind = policy.KindGlobalNetworkSet
		}
		set := w.snap.NetworkSet(policy.Key{Kind: kind, Namespace: p.Workload.Namespace, Name: p.Workload.Name})
		return set != nil && e.selector.Matches(set.Labels)
	}
	if p.Kind != flow.PeerWorkload {
		return false
	}
	if len(pods) == 0 {
		return len(labels) > 0 && e.selector.Matches(labels)
	}
	return slices.ContainsFunc(pods, func(ep *policy.Endpoint) bool { return e.selector.Matches(ep.Labels) })
}

// ends are the flags of both ends.
type ends struct{ from, to, either endFlags }

func (e *ends) addTo(cmd *cobra.Command, f *cli.Factory) {
	e.from.prefix, e.to.prefix = "from-", "to-"
	for _, one := range []*endFlags{&e.from, &e.to, &e.either} {
		one.addTo(cmd, f)
	}
}

// read is what says whether a flow has these ends.
func (e *ends) read(w *world) (func(*flow.Flow) bool, error) {
	var namespaces []string
	for _, ns := range []string{e.from.namespace, e.to.namespace} {
		if ns != "" {
			namespaces = append(namespaces, ns)
		}
	}
	if err := w.namespaces(namespaces); err != nil {
		return nil, err
	}
	from, err := e.from.read(w)
	if err != nil {
		return nil, err
	}
	to, err := e.to.read(w)
	if err != nil {
		return nil, err
	}
	either, err := e.either.read(w)
	if err != nil {
		return nil, err
	}
	return func(f *flow.Flow) bool {
		return from.fits(w, f.Source, f.SourceLabels) && to.fits(w, f.Destination, f.DestinationLabels) &&
			(either.any() || either.fits(w, f.Source, f.SourceLabels) || either.fits(w, f.Destination, f.DestinationLabels))
	}, nil
}

// lastOf are the n flows that were seen last, in their order.
func lastOf(flows []flow.Flow, n int) []flow.Flow {
	if n <= 0 || len(flows) <= n {
		return flows
	}
	at := make([]int, len(flows))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(a, b int) int { return flows[b].LastSeen.Compare(flows[a].LastSeen) })
	at = at[:n]
	slices.Sort(at)
	out := make([]flow.Flow, n)
	for i, j := range at {
		out[i] = flows[j]
	}
	return out
}

// parseUntil reads --until as parseSince reads --since.
func parseUntil(s string, now time.Time) (time.Time, error) {
	at, err := parseSince(s, now)
	if err != nil {
		return at, cli.Usage("--until 10m", "--until %q: expected how long ago (90s, 10m, 2h, 7d) or a past time such as %s", s, now.UTC().Format(time.RFC3339))
	}
	return at, nil
}
