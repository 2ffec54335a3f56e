package shorthand

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

var protocols = map[string]policy.Protocol{
	"tcp": policy.TCP, "udp": policy.UDP, "sctp": policy.SCTP,
	"icmp": policy.ICMP, "icmpv6": policy.ICMPv6, "udplite": policy.UDPLite,
}

// traffic reads PROTOCOL[:PORTS].
func (p *parser) traffic(word string, at int, rule, destination map[string]any) error {
	name, ports, hasPorts := strings.Cut(word, ":")
	proto, known := protocols[strings.ToLower(name)]
	if !known {
		n, err := strconv.Atoi(name)
		if err != nil || n < 1 || n > 255 {
			return p.fail(at, "expected a protocol (tcp, udp, sctp, icmp, icmpv6, udplite or 1 to 255), from or to, found %s", quoted(name))
		}
		proto = policy.Protocol(n)
	}
	rule["protocol"] = proto.String()
	if n, err := strconv.Atoi(proto.String()); err == nil {
		rule["protocol"] = int64(n)
	}
	if !hasPorts {
		return nil
	}
	if !proto.HasPorts() {
		return p.fail(at+len(name), "%s has no ports", name)
	}
	list, err := p.ports(ports, at+len(name)+1)
	if err != nil {
		return err
	}
	destination["ports"] = list
	return nil
}

// ports reads 80,443,8000:8080; ranges may be written with - too.
func (p *parser) ports(text string, at int) ([]any, error) {
	var out []any
	for _, part := range strings.Split(text, ",") {
		lo, hi, isRange := strings.Cut(part, ":")
		if !isRange {
			lo, hi, isRange = strings.Cut(part, "-")
		}
		first, err := p.port(lo, at)
		if err != nil {
			return nil, err
		}
		switch {
		case !isRange:
			out = append(out, int64(first))
		default:
			last, err := p.port(hi, at+len(lo)+1)
			if err != nil {
				return nil, err
			}
			if last < first {
				return nil, p.fail(at, "a range goes from the lower to the higher port, found %s", quoted(part))
			}
			out = append(out, fmt.Sprintf("%d:%d", first, last))
		}
		at += len(part) + 1
	}
	return out, nil
}

func (p *parser) port(text string, at int) (int, error) {
	n, err := strconv.Atoi(text)
	switch {
	case err == nil && n >= 1 && n <= 65535:
		return n, nil
	case err == nil || errors.Is(err, strconv.ErrRange):
		return 0, p.fail(at, "port %s is out of range, expected 1 to 65535", text)
	}
	return 0, p.fail(at, "expected a port or a range of ports like 8000:8080, found %s", quoted(text))
}
