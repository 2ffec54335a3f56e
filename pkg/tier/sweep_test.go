package tier_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Many ports judged in one go get what each gets by itself, through tiers,
// Pass, Log and ranges that overlap (S5 to S9, S21).
func TestJudgePortsIsJudgeForEachPort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		port := rapid.Uint16Range(0, 12)
		ranges := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) policy.PortRange {
			a, b := port.Draw(t, "min"), port.Draw(t, "max")
			if rapid.IntRange(0, 9).Draw(t, "up to the end") == 0 {
				return policy.PortRange{Min: a, Max: 65535}
			}
			return policy.PortRange{Min: min(a, b), Max: max(a, b)}
		}), 0, 3)
		s := &policy.Snapshot{
			Namespaces: []*policy.Namespace{{Name: "ns"}},
			Tiers:      []*policy.Tier{{Name: "a", Order: 1, DefaultAction: policy.Pass}, {Name: "b", Order: 2, DefaultAction: policy.Deny}},
		}
		for i, name := range []string{"client", "server"} {
			s.Endpoints = append(s.Endpoints, &policy.Endpoint{
				Namespace: "ns", Name: name, Labels: selector.Labels{"app": name}, Node: "node", Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})},
			})
		}
		for i := range rapid.IntRange(0, 6).Draw(t, "policies") {
			p := &policy.Policy{
				Key:      policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: fmt.Sprintf("p%d", i)},
				Tier:     rapid.SampledFrom([]string{"a", "b", tier.DefaultTier}).Draw(t, "tier"),
				Order:    policy.Order(i),
				Types:    [2]bool{true, false},
				Selector: selector.MustParse("app == 'server'"),
			}
			for range rapid.IntRange(0, 4).Draw(t, "rules") {
				r := policy.Rule{Action: rapid.SampledFrom([]policy.Action{policy.Allow, policy.Deny, policy.Pass, policy.Log}).Draw(t, "action")}
				switch rapid.IntRange(0, 3).Draw(t, "criteria") {
				case 0: // none
				case 1:
					r.NotProtocol = policy.UDP
				default:
					r.Protocol = policy.TCP
					r.Destination.Ports, r.Destination.NotPorts = ranges.Draw(t, "ports"), ranges.Draw(t, "not ports")
				}
				if rapid.IntRange(0, 5).Draw(t, "another peer") == 0 {
					r.Source.Selector = selector.MustParse("app == 'nobody'")
				}
				p.Rules[policy.Ingress] = append(p.Rules[policy.Ingress], r)
			}
			s.Policies = append(s.Policies, p)
		}
		m := tier.New(s, nil)
		pair := m.Pair(tier.Enforced(), policy.Ingress, tier.Peer{Endpoint: s.Endpoints[1]}, tier.Peer{Endpoint: s.Endpoints[0]})
		ports := append(rapid.SliceOfN(port, 5, 20).Draw(t, "asked"), 65535)
		slices.Sort(ports)
		ports = slices.Compact(ports)
		for _, proto := range []policy.Protocol{policy.TCP, policy.UDP} {
			asked := 0
			pair.JudgePorts(proto, ports, func(i int, got tier.Verdict) {
				if i != asked {
					t.Fatalf("port number %d after %d", i, asked-1)
				}
				asked++
				if d := cmp.Diff(pair.Judge(proto, ports[i]), got); d != "" {
					t.Fatalf("%s port %d: -alone +together\n%s", proto, ports[i], d)
				}
			})
			if asked != len(ports) {
				t.Fatalf("%d of %d ports", asked, len(ports))
			}
		}
	})
}
