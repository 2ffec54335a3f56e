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
	"net/netip"
	"strconv"

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
	KindKubernetesNetworkPolicy   Kind = "KubernetesNetworkPolicy" // networking.k8s.io/v1 NetworkPolicy
	KindTier                      Kind = "Tier"
	KindNamespace                 Kind = "Namespace"
	KindPod                       Kind = "Pod"
	KindService                   Kind = "Service"
	KindDeployment                Kind = "Deployment"
	KindStatefulSet               Kind = "StatefulSet"
	KindDaemonSet                 Kind = "DaemonSet"
	KindReplicaSet                Kind = "ReplicaSet"
	KindJob                       Kind = "Job"
	KindCronJob                   Kind = "CronJob"
)

// Staged says whether k is a kind that is never enforced (S26).
func (k Kind) Staged() bool {
	return k == KindStagedNetworkPolicy || k == KindStagedGlobalNetworkPolicy
}

// Enforced is the kind that k becomes when it is enforced; k itself where it
// is not a staged kind.
func (k Kind) Enforced() Kind {
	switch k {
	case KindStagedNetworkPolicy:
		return KindNetworkPolicy
	case KindStagedGlobalNetworkPolicy:
		return KindGlobalNetworkPolicy
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

// Protocol is an IP protocol number. 0 means that none was given.
type Protocol uint8

// The protocols that v3 knows by name.
const (
	ICMP    Protocol = 1
	TCP     Protocol = 6
	UDP     Protocol = 17
	ICMPv6  Protocol = 58
	SCTP    Protocol = 132
	UDPLite Protocol = 136
)

var protocolNames = map[Protocol]string{ICMP: "ICMP", TCP: "TCP", UDP: "UDP", ICMPv6: "ICMPv6", SCTP: "SCTP", UDPLite: "UDPLite"}

// String is the protocol's v3 name, or its number.
func (p Protocol) String() string {
	if n, ok := protocolNames[p]; ok {
		return n
	}
	return strconv.Itoa(int(p))
}

// HasPorts says whether rules may give numeric ports for p (S22).
func (p Protocol) HasPorts() bool { return p == TCP || p == UDP || p == SCTP }

// PortRange is an inclusive range of ports, 0 to 65535, Min <= Max.
type PortRange struct{ Min, Max uint16 }

// Contains says whether port lies in r.
func (r PortRange) Contains(port uint16) bool { return r.Min <= port && port <= r.Max }

// String is the range as v3 writes it: 80 or 80:90.
func (r PortRange) String() string {
	if r.Min == r.Max {
		return strconv.Itoa(int(r.Min))
	}
	return fmt.Sprintf("%d:%d", r.Min, r.Max)
}

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
	// StagedAction is empty unless Kind.Staged().
	StagedAction StagedAction
	Origin       Origin
}

// Rule matches a connection when every criterion that it gives holds.
type Rule struct {
	Action      Action
	IPVersion   uint8 // 4, 6 or 0 for both
	Protocol    Protocol
	NotProtocol Protocol
	Source      Entity
	Destination Entity
}

// Entity is one side of a rule. The zero Entity matches anything (S16).
type Entity struct {
	Nets    []netip.Prefix
	NotNets []netip.Prefix
	// Selector, NotSelector and NamespaceSelector are nil where not given.
	Selector          *selector.Selector
	NotSelector       *selector.Selector
	NamespaceSelector *selector.Selector
	Ports             []PortRange
	NotPorts          []PortRange
}

// Namespace is a Kubernetes namespace; Labels hold S15's as well.
type Namespace struct {
	Name   string
	Labels selector.Labels
	Origin Origin
}

// Workload is what runs pods, for people: the top-most owner.
type Workload struct {
	Kind      Kind // Deployment, StatefulSet, …; Pod for a pod without an owner
	Namespace string
	Name      string
}

// String is namespace/name, as users type a workload.
func (w Workload) String() string { return w.Namespace + "/" + w.Name }

// Endpoint is a pod as policies see it. Host-network and finished pods are
// not endpoints (S12).
type Endpoint struct {
	Namespace string
	Name      string
	Workload  Workload
	// Labels are the pod's own and S15's (projectcalico.org/namespace,
	// /orchestrator, /serviceaccount).
	Labels selector.Labels
	Node   string
	// Addrs are the pod's addresses; empty for a pod that has not started or
	// that was made up from a workload's template.
	Addrs []netip.Addr
	// Ports are the ports that the containers declare.
	Ports []ContainerPort
	// Created orders pods that claim one address (S35), Unix nanoseconds.
	Created     int64
	Terminating bool
	Origin      Origin
}

// ID is namespace/name.
func (e *Endpoint) ID() string { return e.Namespace + "/" + e.Name }

// ContainerPort is a port that a container declares.
type ContainerPort struct {
	Name     string
	Protocol Protocol
	Port     uint16
}

// Service is a Kubernetes Service.
type Service struct {
	Namespace string
	Name      string
	// Addrs are the cluster addresses; empty for a headless one.
	Addrs []netip.Addr
	// Selector holds the pod labels that the Service's endpoints carry.
	Selector map[string]string
	Ports    []ServicePort
	Origin   Origin
}

// ServicePort is one port of a Service.
type ServicePort struct {
	Name     string
	Protocol Protocol
	Port     uint16
	// TargetPort is a number, or TargetName names a container port.
	TargetPort uint16
	TargetName string
	NodePort   uint16
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

	state *snapshotState // for the next one; nil in a literal
}
