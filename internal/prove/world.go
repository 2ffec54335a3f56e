// Package prove holds what netpol is proved with: random small worlds of
// namespaces, pods, tiers and policies, and an oracle that judges connections
// in them.
//
// The oracle is written from the text of the policy semantics (S1 to S28)
// alone: nested loops over plain structs, no index, no cache, and a selector
// evaluation of its own. It shares no code with the packages that it checks,
// only the words for an answer (policy.Hit). Whoever reads it next to the
// semantics should find the same sentences.
//
// It is test support: nothing in the product imports it.
package prove

import (
	"fmt"
	"net/netip"

	"github.com/netpol-project/netpol/pkg/policy"
)

// World is everything that a verdict depends on, as a user would say it.
type World struct {
	Namespaces []*Namespace
	Pods       []*Pod
	Tiers      []*Tier
	Policies   []*Policy
}

// GoString keeps failure reports short: they print the manifests.
func (w *World) GoString() string {
	return fmt.Sprintf("a world of %d namespaces, %d pods, %d tiers and %d policies",
		len(w.Namespaces), len(w.Pods), len(w.Tiers), len(w.Policies))
}

// Namespace has the labels that its manifest gives; S15's come on top.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// Pod is a pod. A pod on the host network or one that has finished is no
// endpoint (S12): its address is nobody's.
type Pod struct {
	Namespace      string
	Name           string
	Labels         map[string]string
	ServiceAccount string
	Node           string
	Addrs          []netip.Addr
	HostNetwork    bool
	Finished       bool
}

// ID is namespace/name.
func (p *Pod) ID() string { return p.Namespace + "/" + p.Name }

// Endpoint says whether policies see the pod (S12).
func (p *Pod) Endpoint() bool { return !p.HostNetwork && !p.Finished }

// Tier is a tier as written down. DefaultAction may be empty.
type Tier struct {
	Name          string
	Order         *float64
	DefaultAction string
}

// Policy is any kind of policy as written down.
type Policy struct {
	Kind      policy.Kind
	Namespace string // empty for global kinds
	Name      string
	Tier      string // empty: not given
	Order     *float64
	// Types is nil where the manifest has none (S3).
	Types             []policy.Direction
	Selector          *Expr
	NamespaceSelector *Expr
	StagedAction      string // empty: not given, which is Set
	Ingress, Egress   []Rule
	// Kube is set for KindKubernetesNetworkPolicy only, and then Selector,
	// Order, Tier and the rules above are not used.
	Kube *KubePolicy
}

// Key names the policy.
func (p *Policy) Key() policy.Key {
	return policy.Key{Kind: p.Kind, Namespace: p.Namespace, Name: p.Name}
}

// Rules are the rules of a direction.
func (p *Policy) Rules(dir policy.Direction) []Rule {
	if dir == policy.Ingress {
		return p.Ingress
	}
	return p.Egress
}

// Rule is one rule. Criteria that are not given are zero.
type Rule struct {
	Action      policy.Action
	IPVersion   int
	Protocol    *Protocol
	NotProtocol *Protocol
	Source      Entity
	Destination Entity
}

// Protocol is a protocol by name or, where Name is empty, by number.
type Protocol struct {
	Name   string
	Number int
}

// Entity is one side of a rule.
type Entity struct {
	Nets, NotNets     []netip.Prefix
	Selector          *Expr
	NotSelector       *Expr
	NamespaceSelector *Expr
	Ports, NotPorts   []PortRange
}

// PortRange is a port, or a range from Min to Max, both included.
type PortRange struct{ Min, Max int }

// KubePolicy is the spec of a networking.k8s.io/v1 NetworkPolicy.
type KubePolicy struct {
	PodSelector LabelSelector
	// Types is nil where the manifest has none (S4).
	Types           []policy.Direction
	Ingress, Egress []KubeRule
}

// KubeRule allows Peers on Ports; none given means any.
type KubeRule struct {
	Peers []KubePeer
	Ports []KubePort
}

// KubePeer is one peer: an IPBlock, or one or both selectors.
type KubePeer struct {
	PodSelector, NamespaceSelector *LabelSelector
	Block                          netip.Prefix // invalid: not given
	Except                         []netip.Prefix
}

// KubePort is a port. Protocol "" is TCP, Port 0 any port, EndPort 0 none.
type KubePort struct {
	Protocol      string
	Port, EndPort int
}

// LabelSelector is Kubernetes' own kind of selector.
type LabelSelector struct {
	MatchLabels map[string]string
	Expressions []LabelExpression
}

// LabelExpression has the operator In, NotIn, Exists or DoesNotExist.
type LabelExpression struct {
	Key, Operator string
	Values        []string
}

// namespace finds a namespace of the world.
func (w *World) namespace(name string) *Namespace {
	for _, ns := range w.Namespaces {
		if ns.Name == name {
			return ns
		}
	}
	return nil
}

// Endpoints are the pods that policies see.
func (w *World) Endpoints() []*Pod {
	var out []*Pod
	for _, p := range w.Pods {
		if p.Endpoint() {
			out = append(out, p)
		}
	}
	return out
}
