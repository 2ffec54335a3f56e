package lint

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// dnsNamespace is where clusters have their DNS.
const dnsNamespace = "kube-system"

func newRun(s *policy.Snapshot, broken func(policy.Key) bool) *run {
	r := &run{selected: map[*policy.Policy]*[2][]*policy.Endpoint{}}
	r.snap = s
	if !slices.ContainsFunc(s.EndpointsIn(dnsNamespace), servesDNS) {
		r.addStranger()
	}
	r.model = tier.New(r.snap, nil)
	for _, p := range s.Policies {
		if broken(p.Key) {
			continue
		}
		r.sound = append(r.sound, p)
		if p.StagedAction != policy.StagedIgnore && p.StagedAction != policy.StagedDelete {
			r.policies = append(r.policies, p)
			r.selected[p] = &[2][]*policy.Endpoint{}
		}
	}
	slices.SortStableFunc(r.policies, func(a, b *policy.Policy) int {
		return cmp.Or(strings.Compare(a.Tier, b.Tier), tier.ComparePolicies(a, b))
	})
	r.sortEndpoints()
	return r
}

// servesDNS says whether a pod looks like a cluster's DNS.
func servesDNS(ep *policy.Endpoint) bool {
	return ep.Labels["k8s-app"] == "kube-dns" ||
		slices.ContainsFunc(ep.Ports, func(c policy.ContainerPort) bool { return c.Port == dnsPort })
}

// addStranger puts a pod like a cluster's DNS into the snapshot: rules that
// allow DNS must not be said to match nothing because the cluster's own
// resources are elsewhere.
func (r *run) addStranger() {
	r.stranger = &policy.Endpoint{
		Namespace: dnsNamespace, Name: "kube-dns",
		Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: dnsNamespace, Name: "kube-dns"},
		Labels: selector.Labels{
			"k8s-app": "kube-dns", "app.kubernetes.io/name": "coredns",
			policy.LabelNamespace: dnsNamespace, policy.LabelOrchestrator: "k8s", policy.LabelServiceAccount: "coredns",
		},
		Ports: []policy.ContainerPort{
			{Name: "dns", Protocol: policy.UDP, Port: 53}, {Name: "dns-tcp", Protocol: policy.TCP, Port: 53},
		},
	}
	snap := *r.snap
	at, _ := slices.BinarySearchFunc(snap.Endpoints, dnsNamespace, func(e *policy.Endpoint, ns string) int { return strings.Compare(e.Namespace, ns) })
	snap.Endpoints = slices.Insert(slices.Clone(snap.Endpoints), at, r.stranger)
	if snap.Namespace(dnsNamespace) == nil {
		ns := &policy.Namespace{Name: dnsNamespace, Labels: selector.Labels{policy.LabelName: dnsNamespace, policy.LabelMetadataName: dnsNamespace}}
		at, _ := slices.BinarySearchFunc(snap.Namespaces, dnsNamespace, func(n *policy.Namespace, name string) int { return strings.Compare(n.Name, name) })
		snap.Namespaces = slices.Insert(slices.Clone(snap.Namespaces), at, ns)
	}
	r.snap = &snap
}

// scopeOf is the scope in which a policy counts.
func scopeOf(p *policy.Policy) tier.Scope {
	if p.Kind.Staged() {
		return tier.Pending()
	}
	return tier.Enforced()
}

// sortEndpoints finds out whom each policy selects, and who is judged alike.
func (r *run) sortEndpoints() {
	number := make(map[*policy.Policy]uint64, len(r.snap.Policies))
	staged := false
	for i, p := range r.snap.Policies {
		number[p] = uint64(i)
		staged = staged || p.Kind.Staged()
	}
	scopes := []tier.Scope{tier.Enforced()}
	if staged {
		scopes = append(scopes, tier.Pending())
	}
	known := map[string]*profile{}
	seen := map[int]bool{}
	for _, ep := range r.snap.Endpoints {
		id := r.model.Identity(ep)
		if seen[id] {
			continue
		}
		seen[id] = true
		for i, scope := range scopes {
			for d := range 2 {
				dir := policy.Direction(d)
				list := r.model.Selecting(scope, dir, ep)
				key := []byte{byte(i), byte(d)}
				for _, p := range list {
					key = binary.AppendUvarint(key, number[p])
				}
				pr := known[string(key)]
				if pr == nil {
					pr = &profile{scope: scope, dir: dir, policies: list}
					known[string(key)] = pr
					r.profiles = append(r.profiles, pr)
				}
				pr.endpoints = append(pr.endpoints, ep)
			}
		}
	}
	for _, pr := range r.profiles {
		for _, p := range pr.policies {
			if s := r.selected[p]; s != nil && scopeOf(p) == pr.scope {
				s[pr.dir] = append(s[pr.dir], pr.endpoints...)
			}
		}
	}
}

// selects says whether a policy selects anything in a direction in which it
// acts.
func (r *run) selects(p *policy.Policy) bool {
	s := r.selected[p]
	return len(s[policy.Ingress])+len(s[policy.Egress]) > 0
}

// acts are the directions in which a policy acts.
func acts(p *policy.Policy) []policy.Direction {
	var out []policy.Direction
	for _, d := range []policy.Direction{policy.Ingress, policy.Egress} {
		if p.Types[d] {
			out = append(out, d)
		}
	}
	return out
}

// tierOf is the tier of a policy; one that does not exist ends in deny (S13).
func (r *run) tierOf(p *policy.Policy) *policy.Tier {
	if t := r.snap.Tier(p.Tier); t != nil {
		return t
	}
	return &policy.Tier{Name: p.Tier, Order: policy.Unordered, DefaultAction: policy.Deny}
}

// nameOf is a policy as a sentence names it from another one's place: without
// the namespace where that is the same.
func nameOf(p, from *policy.Policy) string {
	if p.Namespace == from.Namespace {
		return string(p.Kind) + " " + p.Name
	}
	return p.Key.String()
}

// workloads names the workloads of endpoints: the first few, and how many more.
func workloads(list []*policy.Endpoint) string {
	var names []string
	for _, ep := range list {
		names = append(names, ep.Workload.String())
	}
	slices.Sort(names)
	names = slices.Compact(names)
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
