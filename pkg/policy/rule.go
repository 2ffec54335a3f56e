package policy

import (
	"net/netip"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// Rule matches a connection when every criterion that it gives holds.
type Rule struct {
	Action      Action
	IPVersion   uint8 // 4, 6 or 0 for both
	Protocol    Protocol
	NotProtocol Protocol
	// ICMP and NotICMP are nil where not given; Protocol is ICMP or ICMPv6 then.
	ICMP, NotICMP *ICMPMatch
	// HTTP is judged by an application-layer hook. Where that is not in the
	// path, a rule with it matches nothing (S24).
	HTTP        *HTTPMatch
	Source      Entity
	Destination Entity
	// Faulty: it stands in for a rule that could not be understood, and matches
	// nothing.
	Faulty bool
}

// Entity is one side of a rule. The zero Entity matches anything (S16).
type Entity struct {
	Nets    []netip.Prefix
	NotNets []netip.Prefix
	// Selector, NotSelector and NamespaceSelector are nil where not given.
	Selector          *selector.Selector
	NotSelector       *selector.Selector
	NamespaceSelector *selector.Selector
	// ServiceAccounts is nil where not given (S19).
	ServiceAccounts *ServiceAccountMatch
	// Service is nil where not given (S20). With it there is no other criterion
	// on who that side is, nor on the destination's ports.
	Service *ServiceRef
	// Ports and NamedPorts are alternatives to each other, and so are NotPorts
	// and NotNamedPorts, which negate the whole (S21).
	Ports         []PortRange
	NotPorts      []PortRange
	NamedPorts    []string
	NotNamedPorts []string
}

// ServiceAccountMatch picks pods by their service account: its name is one of
// Names (none: any name) and Selector, if not nil, matches its labels (S19).
type ServiceAccountMatch struct {
	Names    []string
	Selector *selector.Selector
}

// ServiceRef names a Service; Namespace is never empty.
type ServiceRef struct{ Namespace, Name string }

// ICMPMatch is a type, 0 to 254, and a code, 0 to 255, or AnyCode.
type ICMPMatch struct {
	Type uint8
	Code int
}

// AnyCode is the code of an ICMPMatch that gives none.
const AnyCode = -1

// HTTPMatch holds if one of Methods (none: any) and one of Paths (none: any)
// match.
type HTTPMatch struct {
	Methods []string
	Paths   []HTTPPath
}

// HTTPPath is an exact path or a prefix of one; the other is empty.
type HTTPPath struct{ Exact, Prefix string }
