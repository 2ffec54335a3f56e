// Package tier decides: it orders tiers and policies, and walks them for one
// connection to a verdict and its trace. Everything that netpol says about a
// connection (the agent's rules, reports, recommendations, explanations) comes
// from here.
//
// It is pure. It knows nothing of the kernel, files or time.
package tier

import (
	"net/netip"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Scope says which policies count.
type Scope struct {
	mode scopeMode
	only policy.Key
}

type scopeMode uint8

const (
	scopeEnforced scopeMode = iota
	scopePending
	scopeOnly
)

// Enforced counts what is enforced now; staged policies are absent (S26).
func Enforced() Scope { return Scope{} }

// Pending counts every staged policy as if it were enforced (S27).
func Pending() Scope { return Scope{mode: scopePending} }

// Only counts what is enforced and, as if it were enforced too, the one staged
// policy named (S28).
func Only(staged policy.Key) Scope { return Scope{mode: scopeOnly, only: staged} }

// Peer is one end of a connection: a known endpoint (then Addr may be invalid,
// and rules with nets look at the endpoint's addresses), or an address alone.
type Peer struct {
	Endpoint *policy.Endpoint
	Addr     netip.Addr
}

// Conn is a new connection, addresses and port as after translation (S22).
type Conn struct {
	Source, Destination Peer
	Protocol            policy.Protocol
	Port                uint16 // destination port
}

// Verdict is the decision for one direction at one endpoint.
type Verdict struct {
	Action policy.Action // Allow or Deny
	By     policy.Hit    // what decided
	Logs   []policy.Hit  // Log rules passed on the way, in order (S7)
}

// Result is the decision for a connection (S10). Egress and Ingress are nil
// where that end is not an endpoint.
type Result struct {
	Egress, Ingress *Verdict
}

// Allowed says whether every end that has a verdict allows.
func (r Result) Allowed() bool {
	return (r.Egress == nil || r.Egress.Action == policy.Allow) &&
		(r.Ingress == nil || r.Ingress.Action == policy.Allow)
}

// Model is a snapshot prepared for judging. It is immutable and safe for use
// by several goroutines.
type Model struct{ snap *policy.Snapshot }

// New prepares a snapshot. prev, if not nil, is the model of an earlier
// snapshot of the same source: whatever did not change is taken over from it.
func New(s *policy.Snapshot, prev *Model) *Model { panic("contract") }

// Snapshot is what the model was made from.
func (m *Model) Snapshot() *policy.Snapshot { return m.snap }

// Judge gives the verdict of local's policies in direction dir on a connection
// with peer. local must be an endpoint.
func (m *Model) Judge(scope Scope, dir policy.Direction, local, peer Peer, proto policy.Protocol, port uint16) Verdict {
	panic("contract")
}

// Evaluate judges both ends.
func (m *Model) Evaluate(scope Scope, c Conn) Result { panic("contract") }

// Owner is the endpoint that has the address (S35), or nil.
func (m *Model) Owner(addr netip.Addr) *policy.Endpoint { panic("contract") }

// Identity numbers endpoints: those with one number are alike to every
// selector there is (same labels, same namespace), as subject and as peer.
// Numbers stay the same from one model to the next made from it.
func (m *Model) Identity(ep *policy.Endpoint) int { panic("contract") }

// Profile is a comparable key of the policies (in their present content and
// order) that judge local in a direction; endpoints of one profile get the same
// verdict for the same peer. The empty string: no policy at all. Keys stay
// comparable from one model to the next made from it.
func (m *Model) Profile(scope Scope, dir policy.Direction, local *policy.Endpoint) string {
	panic("contract")
}

// Cuts are the places where a verdict may change for one local endpoint, one
// direction and one peer: between two neighbouring cuts it is the same.
type Cuts struct {
	// Protocols that some rule singles out, sorted.
	Protocols []policy.Protocol
	// Ports: for a protocol, the sorted first ports of the intervals in which
	// the verdict is constant; always starts with 0. Missing: one interval.
	Ports map[policy.Protocol][]uint16
}

// Cuts asks the rules that can match the peer only, so the list is short.
func (m *Model) Cuts(scope Scope, dir policy.Direction, local, peer Peer) Cuts { panic("contract") }

// Nets are all prefixes in rules of local's policies in a direction (nets and
// notNets of the peer's side), sorted, without duplicates.
func (m *Model) Nets(scope Scope, dir policy.Direction, local *policy.Endpoint) []netip.Prefix {
	panic("contract")
}
