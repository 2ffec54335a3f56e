package recommend

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Exclude picks flows: every criterion that it gives must hold. The zero Exclude
// is not valid.
type Exclude struct {
	from, to excludeEnd
	protocol policy.Protocol  // 0: any
	ports    policy.PortRange // of ICMP as policy.ICMPPort has them
	anyPort  bool
}

// excludeEnd is one end: a net, or a name.
type excludeEnd struct {
	net  netip.Prefix
	name string // "": any, unless net is valid
}

// ParseExclude reads an expression of criteria, with commas between them:
// from=END, to=END and port=PORT. END is NAMESPACE/NAME of a workload, its NAME,
// NAMESPACE/ for all of one, the name of a node or network set, an address or a
// net; PORT is [PROTOCOL/]NUMBER, [PROTOCOL/]MIN:MAX, a protocol, or of ICMP
// icmp/TYPE[:CODE].
func ParseExclude(text string) (Exclude, error) {
	e := Exclude{anyPort: true}
	given := map[string]bool{}
	for _, part := range strings.Split(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || value == "" {
			return e, fmt.Errorf("%q: expected from=, to= or port= with a value", part)
		}
		if given[key] {
			return e, fmt.Errorf("%s= is given twice", key)
		}
		given[key] = true
		var err error
		switch key {
		case "from":
			e.from, err = parseExcludeEnd(value)
		case "to":
			e.to, err = parseExcludeEnd(value)
		case "port":
			err = e.parsePort(value)
		default:
			err = fmt.Errorf("%q: expected from, to or port", key)
		}
		if err != nil {
			return e, err
		}
	}
	return e, nil
}

func parseExcludeEnd(value string) (excludeEnd, error) {
	if addr, err := netip.ParseAddr(value); err == nil {
		addr = addr.Unmap()
		return excludeEnd{net: netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	net, err := netip.ParsePrefix(value)
	if err != nil {
		if strings.Count(value, "/") > 1 || strings.HasPrefix(value, "/") {
			return excludeEnd{}, fmt.Errorf("%q: expected NAMESPACE/NAME, NAME, NAMESPACE/, an address or a net", value)
		}
		return excludeEnd{name: value}, nil
	}
	if net != net.Masked() {
		return excludeEnd{}, fmt.Errorf("%s is not masked: %s is", net, net.Masked())
	}
	return excludeEnd{net: net}, nil
}

func (e *Exclude) parsePort(value string) error {
	proto, number, both := strings.Cut(value, "/")
	if !both {
		if _, err := strconv.Atoi(strings.Split(value, ":")[0]); err == nil {
			proto, number = "", value
		}
	}
	if proto != "" {
		var ok bool
		if e.protocol, ok = protocolNamed(proto); !ok {
			return fmt.Errorf("port=%s: expected NUMBER, MIN:MAX, tcp/NUMBER or a protocol", value)
		}
	}
	if number == "" {
		if both {
			return fmt.Errorf("port=%s: the number is missing", value)
		}
		return nil
	}
	if e.protocol.HasTypes() {
		return e.parseType(value, number)
	}
	low, high, isRange := strings.Cut(number, ":")
	if !isRange {
		high = low
	}
	from, err1 := strconv.ParseUint(low, 10, 16)
	to, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil || to < from {
		return fmt.Errorf("port=%s: expected numbers from 0 to 65535, the smaller one first", value)
	}
	e.anyPort, e.ports = false, policy.PortRange{Min: uint16(from), Max: uint16(to)}
	return nil
}

// parseType reads the type, and maybe the code, of ICMP, as flows are written.
func (e *Exclude) parseType(value, number string) error {
	typ, code, both := strings.Cut(number, ":")
	match := policy.ICMPMatch{Code: policy.AnyCode}
	t, err := strconv.ParseUint(typ, 10, 8)
	if err == nil && both {
		var c uint64
		c, err = strconv.ParseUint(code, 10, 8)
		match.Code = int(c)
	}
	if err != nil {
		return fmt.Errorf("port=%s: expected %s/TYPE or %s/TYPE:CODE, numbers from 0 to 255", value, strings.ToLower(e.protocol.String()), strings.ToLower(e.protocol.String()))
	}
	match.Type = uint8(t)
	e.anyPort, e.ports = false, match.Ports()
	return nil
}

// protocolNamed is the protocol of a name, in any case.
func protocolNamed(name string) (policy.Protocol, bool) {
	for _, p := range []policy.Protocol{policy.TCP, policy.UDP, policy.SCTP, policy.UDPLite, policy.ICMP, policy.ICMPv6} {
		if strings.EqualFold(p.String(), name) {
			return p, true
		}
	}
	return 0, false
}

// Match says whether o is one of the flows.
func (e *Exclude) Match(o *flow.Observed) bool {
	if !e.from.match(o.Source) || !e.to.match(o.Destination) || e.protocol != 0 && e.protocol != o.Protocol {
		return false
	}
	if e.anyPort {
		return true
	}
	if o.Protocol.HasTypes() {
		return e.protocol == o.Protocol && e.ports.Contains(replay.Port(o))
	}
	return (o.Protocol.HasPorts() || o.Protocol == policy.UDPLite) && e.ports.Contains(o.Port)
}

func (e excludeEnd) match(p flow.Peer) bool {
	switch {
	case e.net.IsValid():
		return p.Addr.IsValid() && e.net.Contains(p.Addr.Unmap().WithZone(""))
	case e.name == "":
		return true
	}
	if namespace, ok := strings.CutSuffix(e.name, "/"); ok {
		return p.Workload.Namespace == namespace && p.Kind == flow.PeerWorkload
	}
	return p.Workload.Name == e.name || p.Workload.Namespace != "" && p.Workload.String() == e.name
}
