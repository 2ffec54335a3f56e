package ruleset

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// cluster is 10 000 pods in 100 namespaces with 1 000 labellings, 110 of them
// on this node, and n policies, ten for each labelling's app, each allowing a
// port from another app.
func cluster(pods, policies int) *world {
	w := newWorld()
	for ns := range 100 {
		w.namespace(fmt.Sprintf("ns%02d", ns))
	}
	for i := range pods {
		id := fmt.Sprintf("ns%02d/pod-%05d", i%100, i)
		addr := fmt.Sprintf("10.%d.%d.%d fd00::%x", i>>14+1, i>>6&0xff, i&63, i+1)
		labels := []string{fmt.Sprintf("app=a%d", i/100%10)}
		if i%90 == 0 {
			w.pod(id, addr, labels...)
		} else {
			w.remote(id, addr, labels...)
		}
	}
	for i := range policies {
		ns, app := fmt.Sprintf("ns%02d", i%100), i/100%10
		w.policy(ns, fmt.Sprintf("p%d", i), fmt.Sprintf("app == 'a%d'", app), policy.Ingress,
			from(policy.Allow, fmt.Sprintf("app == 'a%d'", (app+3)%10), policy.TCP, single(uint16(1000+i))))
	}
	return w
}

// crowd is one pod that n policies select, each allowing one peer one port.
func crowd(n int) *world {
	w := newWorld()
	w.namespace("a")
	w.pod("a/x", "10.0.0.2 fd00::2", "app=x")
	for i := range n {
		w.remote(fmt.Sprintf("a/peer-%05d", i), fmt.Sprintf("10.1.%d.%d fd00::1:%x", i/250, i%250+1, i), fmt.Sprintf("peer=p%d", i))
		p := w.policy("a", fmt.Sprintf("p%05d", i), "app == 'x'", policy.Ingress, from(policy.Allow, fmt.Sprintf("peer == 'p%d'", i), policy.TCP, single(uint16(i+1))))
		p.Order = float64(i)
	}
	return w
}

func mustCompile(tb testing.TB, in Input, prev *Compiled) *Compiled {
	c, err := Compile(in, prev)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func BenchmarkCompile(b *testing.B) {
	for _, c := range []struct {
		name string
		w    *world
	}{{"10000pods-1000policies", cluster(10000, 1000)}, {"1pod-5000policies", crowd(5000)}} {
		b.Run(c.name, func(b *testing.B) {
			in := c.w.input(nil)
			b.ReportAllocs()
			for b.Loop() {
				mustCompile(b, in, nil)
			}
		})
	}
}

// follow measures what one change costs, the model apart.
func follow(b *testing.B, w *world, change func(i int)) {
	in := w.input(nil)
	c := mustCompile(b, in, nil)
	var spent time.Duration
	n := 0
	for b.Loop() {
		change(n)
		snap := w.snapshot()
		in.Model = tier.New(snap, in.Model)
		in.Model.Profile(in.Scope, policy.Ingress, snap.Endpoints[0]) // the view is the model's cost
		start := time.Now()                                           // the timer's own stop reads all memory statistics
		c = mustCompile(b, in, c)
		spent += time.Since(start)
		n++
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(n), "ns/op")
}

func BenchmarkFollow(b *testing.B) {
	b.Run("pod-10000pods-1000policies", func(b *testing.B) {
		w := cluster(10000, 1000)
		n := len(w.snap.Endpoints)
		follow(b, w, func(i int) {
			w.snap.Endpoints = w.snap.Endpoints[:n]
			if i%2 == 0 {
				w.remote(fmt.Sprintf("ns%02d/new%d", i%100, i), "10.200.0.1 fd00:1::1", fmt.Sprintf("app=a%d", i%10))
			}
		})
	})
	b.Run("policy-10000pods-1000policies", func(b *testing.B) {
		w := cluster(10000, 1000)
		follow(b, w, func(i int) { w.editPolicy(0, i) })
	})
	b.Run("policy-1pod-5000policies", func(b *testing.B) {
		w := crowd(5000)
		follow(b, w, func(i int) { w.editPolicy(2500, i) })
	})
}

// editPolicy changes the port of a policy's rule.
func (w *world) editPolicy(n, i int) {
	p := *w.snap.Policies[n]
	r := p.Rules[policy.Ingress][0]
	r.Destination.Ports = []policy.PortRange{single(uint16(20000 + i%20000))}
	p.Rules[policy.Ingress] = []policy.Rule{r}
	w.snap.Policies[n] = &p
}

// withSet gives a cluster of 10 000 pods a global network set of n networks,
// which one policy for every pod allows and one for each labelling denies.
func withSet(n int) *world {
	w := cluster(10000, 1000)
	w.snap.NetworkSets = []*policy.NetworkSet{bigSet(n, 0)}
	for _, dir := range []policy.Direction{policy.Ingress, policy.Egress} {
		r := policy.Rule{Action: policy.Allow, Protocol: policy.TCP}
		side := policy.Entity{Selector: parse("feed == 'big'"), NamespaceSelector: selector.MustParse("global()")}
		if r.Source = side; dir == policy.Egress {
			r.Source, r.Destination = policy.Entity{}, side
		}
		w.policy("", "feed-"+dir.String(), "", dir, r)
	}
	return w
}

// bigSet has n networks that lie apart.
func bigSet(n, skip int) *policy.NetworkSet {
	s := &policy.NetworkSet{Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Name: "big"}, Labels: labelMap([]string{"feed=big"})}
	for i := range n {
		if i != skip {
			s.Nets = append(s.Nets, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(100 + i>>14), byte(i >> 6), byte(i << 2), 0}), 24))
		}
	}
	return s
}

func BenchmarkNetworkSet(b *testing.B) {
	b.Run("compile-10000nets-110pods", func(b *testing.B) {
		in := withSet(10000).input(nil)
		b.ReportAllocs()
		for b.Loop() {
			mustCompile(b, in, nil)
		}
	})
	b.Run("net-of-10000", func(b *testing.B) {
		w := withSet(10000)
		follow(b, w, func(i int) { w.snap.NetworkSets = []*policy.NetworkSet{bigSet(10000, i%10000)} })
	})
	b.Run("pod-beside-10000nets", func(b *testing.B) {
		w := withSet(10000)
		n := len(w.snap.Endpoints)
		follow(b, w, func(i int) {
			w.snap.Endpoints = w.snap.Endpoints[:n]
			if i%2 == 0 {
				w.remote(fmt.Sprintf("ns%02d/new%d", i%100, i), "10.200.0.1 fd00:1::1", fmt.Sprintf("app=a%d", i%10))
			}
		})
	})
}
