package prove

import (
	"net/netip"

	"github.com/netpol-project/netpol/pkg/policy"
)

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
	Types                  []policy.Direction
	Selector               *Expr
	NamespaceSelector      *Expr
	ServiceAccountSelector *Expr
	StagedAction           string // empty: not given, which is Set
	Ingress, Egress        []Rule
	// ApplyOnForward, DoNotTrack and PreDNAT are about host endpoints (S30).
	ApplyOnForward, DoNotTrack, PreDNAT bool
	// Kube is set for KindKubernetesNetworkPolicy and its staged kind, Cluster
	// for KindClusterNetworkPolicy; then of the fields above only the names and
	// StagedAction are used.
	Kube    *KubePolicy
	Cluster *ClusterPolicy
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
	Action        policy.Action
	IPVersion     int
	Protocol      *Protocol
	NotProtocol   *Protocol
	ICMP, NotICMP *ICMP
	HTTP          bool // some HTTP criterion
	Source        Entity
	Destination   Entity
}

// Protocol is a protocol by name or, where Name is empty, by number.
type Protocol struct {
	Name   string
	Number int
}

// ICMP is a type and, where it is not negative, a code.
type ICMP struct{ Type, Code int }

// Entity is one side of a rule.
type Entity struct {
	Nets, NotNets     []netip.Prefix
	Selector          *Expr
	NotSelector       *Expr
	NamespaceSelector *Expr
	ServiceAccounts   *AccountMatch
	Service           *ServiceRef
	Ports, NotPorts   []Port
}

// AccountMatch is names, any if there are none, and a selector (S19).
type AccountMatch struct {
	Names    []string
	Selector *Expr
}

// ServiceRef names a Service; without a namespace in the policy's own (S20).
type ServiceRef struct{ Namespace, Name string }

// Port is a port by name, or those from Min to Max, both included.
type Port struct {
	Name     string
	Min, Max int
}

// KubePolicy is the spec of a networking.k8s.io/v1 NetworkPolicy.
type KubePolicy struct {
	PodSelector LabelSelector
	// Types is nil where the manifest has none (S4).
	Types           []policy.Direction
	Ingress, Egress []KubeRule
}

// Rules are the rules of a direction.
func (k *KubePolicy) Rules(dir policy.Direction) []KubeRule {
	if dir == policy.Ingress {
		return k.Ingress
	}
	return k.Egress
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

// KubePort is a port. Protocol "" is TCP; with neither Name nor Port it is any
// port; EndPort 0 is not given.
type KubePort struct {
	Protocol      string
	Name          string
	Port, EndPort int
}

// ClusterPolicy is the spec of a ClusterNetworkPolicy.
type ClusterPolicy struct {
	Tier            string // Admin or Baseline
	Priority        int
	Subject         ClusterPods
	Ingress, Egress []ClusterRule
}

// Rules are the rules of a direction.
func (c *ClusterPolicy) Rules(dir policy.Direction) []ClusterRule {
	if dir == policy.Ingress {
		return c.Ingress
	}
	return c.Egress
}

// ClusterPods are the pods of some namespaces, or some of them.
type ClusterPods struct {
	Namespaces LabelSelector
	Pods       *LabelSelector // nil: written as namespaces, all their pods
}

// ClusterRule does Action (Accept, Deny or Pass) with any of Peers on any of
// Protocols; no Protocols is any.
type ClusterRule struct {
	Action    string
	Peers     []ClusterPeer
	Protocols []ClusterProtocol
}

// ClusterPeer is pods, or networks where there are some.
type ClusterPeer struct {
	Pods     ClusterPods
	Networks []netip.Prefix
}

// ClusterProtocol is a named port, or the ports from Min to Max of a protocol
// (TCP, UDP, SCTP).
type ClusterProtocol struct {
	NamedPort string
	Protocol  string
	Min, Max  int
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
