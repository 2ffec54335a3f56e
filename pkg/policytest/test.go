// Package policytest runs tests of policies: files that say which connections
// are to be allowed or denied, and by what.
//
// It is pure: it reads what it is handed, and a tier.Model gives the verdicts.
// Whether packets really pass is for the prober to find out; package policytest
// compares what it saw.
package policytest

import (
	"github.com/netpol-project/netpol/pkg/policy"
)

// What a document must say to be a test.
const (
	APIVersion = "netpol.dev/v1"
	Kind       = "PolicyTest"
)

// Test is one PolicyTest document.
type Test struct {
	Name   string
	Origin policy.Origin
	// Resources are files and directories of manifests, as they are written:
	// relative to the test's file. None: what the user works on is tested.
	Resources []Path
	// Scope says which policies count.
	Scope Scope
	// Default is what is expected of every pair of workloads on every port that
	// the destination declares, where no case speaks of it; 0: nothing.
	Default       policy.Action
	DefaultOrigin policy.Origin
	// Namespaces narrow Default to pairs of which one end is in one of them. The
	// cluster's own workloads are left out unless their namespace is named.
	Namespaces []string
	Cases      []Case
}

// Path is a path and where it was written.
type Path struct {
	Text   string
	Origin policy.Origin
}

// Scope says which policies count: what is enforced, that with all that is
// staged, or that with one staged policy.
type Scope struct {
	Pending bool
	Only    string // name of a staged policy
	Origin  policy.Origin
}

// Case is what is expected of all connections from one of From to one of To.
type Case struct {
	Name   string // never empty; unique in its Test
	Origin policy.Origin
	From   []End
	To     []End
	// Only, if Exclusive is set, stands in for the side that is empty (From or
	// To): what is in it is allowed, anything else denied.
	Only      []End
	Exclusive bool
	// Ports of the destinations; none: those that they declare, and of an
	// address all.
	Ports []Port
	// Protocol is 0 where it is not given: the one that a port is declared with,
	// or TCP.
	Protocol policy.Protocol
	Expect   policy.Action // Allow or Deny; 0 if Exclusive
	By       *By           // nil: by whatever
}

// End is an end of connections as it was written: what connectivity.Find
// takes, or a pattern (vote/*, */*). At the destination a port and a protocol
// may follow.
type End struct {
	Text   string
	Origin policy.Origin
}

// Port is a range of ports, of ICMP messages as policy.ICMPPort has them, or
// the name of a port that the destination declares.
type Port struct {
	Name  string
	Range policy.PortRange
}

// By is what must have decided, at one end at least. What is empty (Rule: nil)
// is not compared.
type By struct {
	Tier      string
	Kind      string
	Namespace string
	Policy    string
	Rule      *int // policy.EndOfTier for the end of a tier
	Direction string
	Origin    policy.Origin
}
