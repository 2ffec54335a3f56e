// Package tier decides: it orders tiers and policies, and walks them for one
// connection to a verdict and its trace. Everything that netpol says about a
// connection (the agent's rules, reports, recommendations, explanations) comes
// from here.
//
// It is pure. It knows nothing of the kernel, files or time.
package tier

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Scope says which policies count.
type Scope struct {
	mode scopeMode
	only policy.Key
	// some are the names of several, each between two newlines: a Scope is
	// compared, so it can hold no slice.
	some string
}

type scopeMode uint8

const (
	scopeEnforced scopeMode = iota
	scopePending
	scopeOnly
	scopeSome
)

// Enforced counts what is enforced now; staged policies are absent (S26).
func Enforced() Scope { return Scope{} }

// Pending counts every staged policy as if it were enforced (S27).
func Pending() Scope { return Scope{mode: scopePending} }

// Only counts what is enforced and, as if it were enforced too, the one staged
// policy named (S28).
func Only(staged policy.Key) Scope { return Scope{mode: scopeOnly, only: staged} }

// Some counts what is enforced and, as if they were enforced too, the staged
// policies named, all together. With none it is Enforced, with one Only.
func Some(staged ...policy.Key) Scope {
	switch len(staged) {
	case 0:
		return Enforced()
	case 1:
		return Only(staged[0])
	}
	names := make([]string, len(staged))
	for i, k := range staged {
		names[i] = scopeName(k)
	}
	slices.Sort(names)
	return Scope{mode: scopeSome, some: "\n" + strings.Join(slices.Compact(names), "\n") + "\n"}
}

// scopeName is a key on one line; no part of a key has a space or an end of line.
func scopeName(k policy.Key) string { return string(k.Kind) + " " + k.Namespace + " " + k.Name }

// Peer is one end of a connection: a known endpoint (then Addr may be invalid,
// and rules with nets look at the endpoint's addresses), or an address alone.
type Peer struct {
	Endpoint *policy.Endpoint
	Addr     netip.Addr
	// Port is the source's port. 0: not known, then it is judged as
	// AssumedSourcePort. At the destination it is not looked at.
	Port uint16
}

// AssumedSourcePort stands for the source port of a connection that is asked
// about and not observed: programs get an ephemeral one. It is the first of
// the dynamic ports (RFC 6335), and in the range that Linux gives out.
const AssumedSourcePort = 49152

// Conn is a new connection, addresses and port as after translation (S22).
type Conn struct {
	Source, Destination Peer
	Protocol            policy.Protocol
	// Port is the destination port; of ICMP and ICMPv6 the policy.ICMPPort.
	Port uint16
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
