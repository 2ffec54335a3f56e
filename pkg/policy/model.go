// Package policy is the model of everything that a verdict depends on: the
// policies themselves, the tiers that order them, and the endpoints,
// namespaces and services they speak of.
//
// It decodes and validates resources (with the line and column of each fault),
// fills in defaults, and turns every kind of policy into one form, Policy. A
// Snapshot holds all of it at one moment and never changes.
//
// It does not decide anything (package tier does) and reads no files (package
// cluster does).
package policy

import (
	"fmt"
	"math"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// Kind is the kind of a resource. Where two API groups use one kind, ours is
// the projectcalico.org one, and the Kubernetes one has the prefix that Calico
// gives it.
type Kind string

// The kinds of resources that a Snapshot is made of.
const (
	KindNetworkPolicy             Kind = "NetworkPolicy"       // projectcalico.org/v3
	KindGlobalNetworkPolicy       Kind = "GlobalNetworkPolicy" // projectcalico.org/v3
	KindStagedNetworkPolicy       Kind = "StagedNetworkPolicy"
	KindStagedGlobalNetworkPolicy Kind = "StagedGlobalNetworkPolicy"
	// KindStagedKubernetesNetworkPolicy is projectcalico.org/v3 with the spec
	// of networking.k8s.io/v1.
	KindStagedKubernetesNetworkPolicy Kind = "StagedKubernetesNetworkPolicy"
	KindKubernetesNetworkPolicy       Kind = "KubernetesNetworkPolicy" // networking.k8s.io/v1 NetworkPolicy
	KindClusterNetworkPolicy          Kind = "ClusterNetworkPolicy"    // policy.networking.k8s.io/v1alpha2
	KindTier                          Kind = "Tier"
	KindNetworkSet                    Kind = "NetworkSet"
	KindGlobalNetworkSet              Kind = "GlobalNetworkSet"
	KindHostEndpoint                  Kind = "HostEndpoint"
	KindNamespace                     Kind = "Namespace"
	KindNode                          Kind = "Node"
	KindServiceAccount                Kind = "ServiceAccount"
	KindPod                           Kind = "Pod"
	KindService                       Kind = "Service"
	KindEndpointSlice                 Kind = "EndpointSlice" // discovery.k8s.io/v1
	KindEndpoints                     Kind = "Endpoints"     // v1, what EndpointSlice has replaced
	KindDeployment                    Kind = "Deployment"
	KindStatefulSet                   Kind = "StatefulSet"
	KindDaemonSet                     Kind = "DaemonSet"
	KindReplicaSet                    Kind = "ReplicaSet"
	KindJob                           Kind = "Job"
	KindCronJob                       Kind = "CronJob"
)

// Staged says whether k is a kind that is never enforced (S26).
func (k Kind) Staged() bool {
	return k.Enforced() != k
}

// Enforced is the kind that k becomes when it is enforced; k itself where it
// is not a staged kind.
func (k Kind) Enforced() Kind {
	switch k {
	case KindStagedNetworkPolicy:
		return KindNetworkPolicy
	case KindStagedGlobalNetworkPolicy:
		return KindGlobalNetworkPolicy
	case KindStagedKubernetesNetworkPolicy:
		return KindKubernetesNetworkPolicy
	}
	return k
}

// Key names one resource. Namespace is empty for cluster-wide kinds.
type Key struct {
	Kind      Kind
	Namespace string
	Name      string
}

// String is the key as users type it: Kind namespace/name or Kind name.
func (k Key) String() string {
	if k.Namespace == "" {
		return string(k.Kind) + " " + k.Name
	}
	return string(k.Kind) + " " + k.Namespace + "/" + k.Name
}

// Compare orders by kind, namespace and name, part by part: the order in which
// snapshots hold what has a key.
func (k Key) Compare(other Key) int {
	if k.Kind != other.Kind {
		return strings.Compare(string(k.Kind), string(other.Kind))
	}
	return compareNames(k.Namespace, k.Name, other.Namespace, other.Name)
}

// Origin is the place in a file that a resource or a part of it was read from.
// Line and Column count from 1; zero means unknown (a resource from an API).
type Origin struct {
	File   string
	Line   int
	Column int
}

// String is file:line:column, as far as it is known.
func (o Origin) String() string {
	if o.Line == 0 {
		return o.File
	}
	return fmt.Sprintf("%s:%d:%d", o.File, o.Line, o.Column)
}

// Action is what a rule does with what it matches.
type Action uint8

// The actions. The zero value is none of them.
const (
	Allow Action = iota + 1
	Deny
	Pass // leave the tier (S6)
	Log  // log and go on with the next rule (S7)
)

var actionNames = [...]string{"", "Allow", "Deny", "Pass", "Log"}

// String is the action as v3 writes it.
func (a Action) String() string { return actionNames[a] }

// Direction is seen from the endpoint whose policies are asked.
type Direction uint8

// The two directions; they index Policy.Types and Policy.Rules.
const (
	Ingress Direction = iota
	Egress
)

// String is the direction as v3 writes it.
func (d Direction) String() string {
	if d == Ingress {
		return "Ingress"
	}
	return "Egress"
}

// StagedAction is what enforcing a staged policy would do (S27).
type StagedAction string

// The staged actions; Learn is judged like Set.
const (
	StagedSet    StagedAction = "Set"
	StagedDelete StagedAction = "Delete"
	StagedLearn  StagedAction = "Learn"
	StagedIgnore StagedAction = "Ignore"
)

// Order is a place in a sequence; Unordered is last (S1, S2).
type Order = float64

// Unordered is the order of a tier or policy that gives none.
var Unordered Order = math.Inf(1)

// Tier is a group of policies that are judged together (S1, S8).
type Tier struct {
	Name  string
	Order Order
	// DefaultAction decides at the end of the tier: Deny or Pass.
	DefaultAction Action
	Origin        Origin
}

// Policy is any kind of policy in one form, defaults filled in.
type Policy struct {
	Key
	Tier  string
	Order Order
	// Types says in which directions the policy acts (S3), by Direction.
	Types [2]bool
	// Rules are the rules of each direction, by Direction.
	Rules [2][]Rule
	// Selector picks endpoints; nil picks all.
	Selector *selector.Selector
	// NamespaceSelector (global policies only) picks namespaces; nil is not given.
	NamespaceSelector *selector.Selector
	// ServiceAccountSelector picks pods by the labels of their service account
	// (S14); nil is not given.
	ServiceAccountSelector *selector.Selector
	// ApplyOnForward, DoNotTrack and PreDNAT (global policies only) are about
	// host endpoints (S30). A policy with DoNotTrack or PreDNAT selects no pods.
	ApplyOnForward, DoNotTrack, PreDNAT bool
	// StagedAction is empty unless Kind.Staged().
	StagedAction StagedAction
	// Trial is nil unless the policy is enforced until somebody confirms it.
	Trial  *Trial
	Origin Origin
}

// Snapshot is every resource at one moment. It is never changed once it is
// made; two snapshots share what is the same in both by pointer, so a reader
// can tell what changed by comparing pointers. Every slice is sorted by key.
type Snapshot struct {
	// Revision grows with every snapshot of one source.
	Revision   uint64
	Tiers      []*Tier // without the built-in one unless it is written down
	Policies   []*Policy
	Namespaces []*Namespace
	Endpoints  []*Endpoint
	Services   []*Service
	// NetworkSets are of both kinds, the global ones first.
	NetworkSets     []*NetworkSet
	HostEndpoints   []*HostEndpoint
	ServiceAccounts []*ServiceAccount // those that are written down
	Nodes           []*Node           // those that are written down

	state *snapshotState // for the next one; nil in a literal
}
