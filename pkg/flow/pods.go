package flow

import (
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Names finds what the names that Calico gives in flows mean: pods are told as
// the prefix that a set of them shares ("vote-6d8b9c7f5-*"), and up to Calico
// 3.31 the names of policies begin with their tier's. It does not change once it
// is made.
type Names struct {
	snap *policy.Snapshot
	pods map[string]policy.Workload // by namespace/pod
	// prefixes of pods, by namespace/prefix; the zero Workload if several share it.
	prefixes map[string]policy.Workload
	// named are the workloads by namespace/name, without a kind where several
	// have it.
	named map[string]policy.Workload
}

// NewNames makes the names of what there is now.
func NewNames(snap *policy.Snapshot) *Names {
	n := &Names{snap: snap, pods: map[string]policy.Workload{}, prefixes: map[string]policy.Workload{}, named: map[string]policy.Workload{}}
	for _, ep := range snap.Endpoints {
		w := ep.Workload
		n.pods[ep.ID()] = w
		if other, ok := n.named[w.String()]; ok && other != w {
			w.Kind = ""
		}
		n.named[w.String()] = w
		i := strings.LastIndexByte(ep.Name, '-')
		if i < 0 || ep.Workload.Name == ep.Name {
			continue // its own workload: nothing made its name up
		}
		key := ep.Namespace + "/" + ep.Name[:i+1]
		if other, ok := n.prefixes[key]; ok && other != ep.Workload {
			n.prefixes[key] = policy.Workload{}
			continue
		}
		n.prefixes[key] = ep.Workload
	}
	return n
}

// Flow puts the names of what there is now into a flow. What has a workload's
// kind was named by netpol and stays.
func (n *Names) Flow(f Flow) Flow {
	f.Source = n.peer(f.Source, f.SourceLabels)
	f.Destination = n.peer(f.Destination, f.DestinationLabels)
	f.Enforced, f.Pending = n.hit(f.Enforced), n.hit(f.Pending)
	f.EnforcedTrace, f.PendingTrace = n.steps(f.EnforcedTrace), n.steps(f.PendingTrace)
	return f
}

func (n *Names) peer(p Peer, labels map[string]string) Peer {
	if p.Kind == PeerWorkload && p.Workload.Kind == "" {
		p.Workload = n.workload(p.Workload.Namespace, p.Workload.Name, labels)
	}
	return p
}

// workload finds the workload of a pod or of a prefix of pods. Where none of
// the pods is there any more, its labels and then its form tell.
func (n *Names) workload(namespace, name string, labels map[string]string) policy.Workload {
	if w, ok := n.pods[namespace+"/"+name]; ok {
		return w
	}
	prefix, many := strings.CutSuffix(name, "*")
	if w := n.prefixes[namespace+"/"+prefix]; many && w.Name != "" {
		return w
	}
	base := strings.TrimSuffix(prefix, "-")
	hash := labels["pod-template-hash"]
	if short, ok := strings.CutSuffix(base, "-"+hash); ok && hash != "" {
		return n.byName(namespace, short)
	}
	if _, ok := n.named[namespace+"/"+base]; ok || !many {
		return n.byName(namespace, base)
	}
	if i := strings.LastIndexByte(base, '-'); i > 0 {
		if _, ok := n.named[namespace+"/"+base[:i]]; ok || isTemplateHash(base[i+1:]) {
			return n.byName(namespace, base[:i])
		}
	}
	return n.byName(namespace, base)
}

func (n *Names) byName(namespace, name string) policy.Workload {
	if w, ok := n.named[namespace+"/"+name]; ok {
		return w
	}
	return policy.Workload{Namespace: namespace, Name: name}
}

// isTemplateHash says whether s looks like the hash of a pod template that
// Kubernetes puts into the names of ReplicaSets: of letters and digits from
// which no words can be made.
func isTemplateHash(s string) bool {
	return len(s) >= 8 && len(s) <= 10 && strings.Trim(s, "bcdfghjklmnpqrstvwxz2456789") == "" && strings.ContainsAny(s, "2456789")
}

func (n *Names) steps(in []Step) []Step {
	if in == nil {
		return nil
	}
	out := make([]Step, len(in))
	for i, s := range in {
		out[i] = Step{Hit: n.hit(s.Hit), Index: s.Index}
	}
	return out
}

// hit names the policy of a hit as it is named now, if it is there.
func (n *Names) hit(h policy.Hit) policy.Hit {
	if h.Policy.Name == "" || n.snap.Policy(h.Policy) != nil {
		return h
	}
	short := h.Policy
	var ok bool
	if short.Name, ok = strings.CutPrefix(h.Policy.Name, h.Tier+"."); ok && n.snap.Policy(short) != nil {
		h.Policy = short
	}
	return h
}
