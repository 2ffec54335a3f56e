package connectivity

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Target is what a user typed as the far end of a connection.
type Target struct {
	Name     string // as Find takes it
	Port     uint16 // 0: not given
	Protocol policy.Protocol
}

// ParseTarget reads NAME[:PORT][/PROTOCOL], where NAME is what Find takes; an
// IPv6 address with a port stands in brackets. The protocol is TCP unless it
// is given by name or number.
func ParseTarget(s string) (Target, error) {
	t := Target{Name: s, Protocol: policy.TCP}
	head, tail, ok := cutProtocol(s)
	if ok {
		p, err := parseProtocol(tail)
		if err != nil {
			return Target{}, fmt.Errorf("%q: %w", s, err)
		}
		t.Name, t.Protocol = head, p
	}
	name, port, ok := cutPort(t.Name)
	if !ok {
		return t, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return Target{}, fmt.Errorf("%q: port %q: expected a number from 1 to 65535", s, port)
	}
	if !t.Protocol.HasPorts() {
		return Target{}, fmt.Errorf("%q: %s has no ports", s, t.Protocol)
	}
	t.Name, t.Port = name, uint16(n)
	return t, nil
}

// cutProtocol splits at the slash before a protocol: the second one, or the
// first where the name has none (an address) or a port stands before it.
func cutProtocol(s string) (head, tail string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return s, "", false
	}
	head, tail = s[:i], s[i+1:]
	if strings.ContainsRune(head, '/') || strings.ContainsRune(head, ':') {
		return head, tail, true
	}
	if _, err := netip.ParseAddr(head); err == nil {
		return head, tail, true
	}
	return s, "", false
}

func cutPort(s string) (name, port string, ok bool) {
	if strings.HasPrefix(s, "[") {
		if i := strings.LastIndex(s, "]:"); i > 0 {
			return s[1:i], s[i+2:], true
		}
		return strings.Trim(s, "[]"), "", false
	}
	if strings.Count(s, ":") != 1 { // none, or a bare IPv6 address
		return s, "", false
	}
	return strings.Cut(s, ":")
}

func parseProtocol(s string) (policy.Protocol, error) {
	for _, p := range []policy.Protocol{policy.TCP, policy.UDP, policy.SCTP, policy.ICMP, policy.ICMPv6, policy.UDPLite} {
		if strings.EqualFold(p.String(), s) {
			return p, nil
		}
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("protocol %q: expected TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite or a number from 1 to 255", s)
	}
	return policy.Protocol(n), nil
}

// Find is the end that a user named: namespace/workload, namespace/pod, or an
// address. Where a workload has several pods it is the first of them. ok is
// false for a name that does not exist; Names lists those that do.
func Find(m *tier.Model, name string) (peer tier.Peer, ok bool) {
	if addr, err := netip.ParseAddr(name); err == nil {
		return m.Peer(addr), true
	}
	for _, ep := range m.Snapshot().Endpoints {
		if ep.Workload.String() == name || ep.ID() == name {
			return tier.Peer{Endpoint: ep}, true
		}
	}
	return tier.Peer{}, false
}

// Names lists the workloads and pods that Find knows.
func Names(s *policy.Snapshot) []string {
	seen := map[string]bool{}
	var out []string
	for _, ep := range s.Endpoints {
		for _, n := range []string{ep.Workload.String(), ep.ID()} {
			if !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	return out
}
