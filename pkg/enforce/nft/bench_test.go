//go:build linux

package nft

import (
	"testing"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// A pod appears among 10 000 peers: one element more in one set.
func BenchmarkOneElementAmong10000(b *testing.B) {
	netnstest.Bench(b, func(b *testing.B) {
		for _, profiles := range []int{1, 50} {
			b.Run(map[int]string{1: "profiles=1", 50: "profiles=50"}[profiles], func(b *testing.B) {
				k := openBench(b)
				peers := 10_000
				small := sharedPeers(profiles, peers)
				large := sharedPeers(profiles, peers+1)
				large.Chains = small.Chains
				for i, s := range large.Sets {
					if s.Name != "peers" {
						large.Sets[i] = small.Sets[i]
					}
				}
				apply(b, k, small)
				b.ResetTimer()
				for i := range b.N {
					apply(b, k, []*ruleset.Ruleset{large, small}[i%2])
				}
				if s := k.Stats(); s.Resyncs != 1 {
					b.Fatalf("rebuilt: %+v", s)
				}
			})
		}
	})
}

// A policy changes for all of 50 profiles: every profile's chain and map is
// written anew.
func BenchmarkPolicyChange50Profiles(b *testing.B) {
	netnstest.Bench(b, func(b *testing.B) {
		k := openBench(b)
		one, other := sharedPeers(50, 10_000), sharedPeers(50, 10_000)
		for _, c := range other.Chains[1:] {
			c.Rules = append([]ruleset.Rule{rule(accept, isTCP, is(ruleset.DPort, []byte{0, 80}))}, c.Rules...)
		}
		apply(b, k, one)
		b.ResetTimer()
		for i := range b.N {
			apply(b, k, []*ruleset.Ruleset{other, one}[i%2])
		}
		if s := k.Stats(); s.Resyncs != 1 {
			b.Fatalf("rebuilt: %+v", s)
		}
	})
}

// Everything anew: 50 profiles that share 10 000 peers.
func BenchmarkResync50Profiles10000Peers(b *testing.B) {
	netnstest.Bench(b, func(b *testing.B) {
		k := openBench(b)
		rs := sharedPeers(50, 10_000)
		b.ResetTimer()
		for range b.N {
			if err := k.Resync(b.Context(), rs); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func openBench(b *testing.B) *Kernel {
	k, err := Open(Options{NetNS: netnstest.NewNS(b).FD()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = k.Close() })
	return k
}

// sharedPeers is the compiler's usual shape: pods are dispatched to profiles,
// whose chains look into one set of peers and a small map of their own.
func sharedPeers(profiles, peers int) *ruleset.Ruleset {
	all := &ruleset.Set{Name: "peers", Fields: peerFields}
	for i := range peers {
		all.Elements = append(all.Elements, ruleset.Element{Key: a4(addressNumber(i)) + b1(6) + p2(port)})
	}
	dispatch := &ruleset.Set{Name: "dispatch", Fields: []ruleset.Field{ruleset.SAddr4}, Map: true}
	rs := &ruleset.Ruleset{
		Chains: []*ruleset.Chain{forwardChain(ruleset.Rule{
			Matches: []ruleset.Match{isIPv4}, VMap: &ruleset.VMap{Fields: dispatch.Fields, Map: dispatch.Name},
		})},
		Sets: []*ruleset.Set{dispatch, all},
	}
	for i, p := range large(profiles, 20, false).Sets {
		dispatch.Elements = append(dispatch.Elements, ruleset.Element{
			Key: a4(addressNumber(i)), Verdict: ruleset.Verdict{Kind: ruleset.Goto, Chain: p.Name},
		})
		rs.Sets = append(rs.Sets, p)
		rs.Chains = append(rs.Chains, chain(p.Name,
			rule(accept, isIPv4, inSet("peers", peerFields...)),
			ruleset.Rule{Matches: []ruleset.Match{isIPv4}, VMap: &ruleset.VMap{Fields: peerFields, Map: p.Name}},
			ruleset.Rule{Log: &ruleset.Log{Group: 5, Prefix: "netpol:20"}, Verdict: drop}))
	}
	return rs
}
