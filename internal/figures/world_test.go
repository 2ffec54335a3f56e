package figures

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// The cluster: 1 000 workloads of ten pods each.
const (
	namespaces = 50
	each       = 20 // workloads of a namespace
	replicas   = 10
	nodes      = 100
	gateways   = 20 // workloads that the internet reaches
	span       = 14 * 24 * time.Hour
)

// start is when flows begin to be seen.
var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// workload is a Deployment of the cluster.
type workload struct {
	policy.Workload
	labels map[string]string
	pods   []*policy.Endpoint
}

// world is a cluster and what is seen in it.
type world struct {
	workloads []*workload // the last is the cluster's DNS
	keys      []link
	snap      policy.Snapshot
	rng       *rand.Rand
	zipf      *rand.Zipf
}

// link is who connects to whom. An end outside has an address and no workload.
type link struct {
	source, destination *workload
	outside             netip.Addr
	protocol            policy.Protocol
	port                uint16
	direction           policy.Direction
}

// newWorld is a cluster in which so many different flows are seen, at least
// those between its workloads: about 38 000. The others are with addresses
// outside, nine of ten of them clients of gateways.
func newWorld(keys int) *world {
	w := &world{rng: rand.New(rand.NewPCG(1, 2))}
	for n := range nodes {
		w.snap.Nodes = append(w.snap.Nodes, &policy.Node{Name: fmt.Sprintf("node-%d", n), Addrs: []netip.Addr{netip.AddrFrom4([4]byte{172, 16, 0, byte(n)})}})
	}
	for i := range namespaces * each {
		w.add(fmt.Sprintf("team-%02d", i/each), fmt.Sprintf("app-%02d", i%each))
	}
	w.add("kube-system", "coredns")
	dns := w.workloads[len(w.workloads)-1]
	for i, from := range w.workloads[:namespaces*each] {
		for k := range 12 {
			w.between(from, w.workloads[i/each*each+(i+k+1)%each], policy.TCP, 8080)
		}
		for k := range 6 {
			w.between(from, w.workloads[(i*7+k*131+29)%(namespaces*each)], policy.TCP, uint16(8080+k%2))
		}
		w.between(from, dns, policy.UDP, 53)
	}
	for i := 0; len(w.keys) < keys; i++ {
		l := link{outside: netip.AddrFrom4([4]byte{byte(20 + i>>16), byte(i >> 8), byte(i), byte(i%250 + 1)}), protocol: policy.TCP, port: 443}
		if i%10 == 0 {
			l.source, l.direction = w.workloads[w.rng.IntN(namespaces*each)], policy.Egress
		} else {
			l.destination, l.direction = w.workloads[i%gateways*each], policy.Ingress
		}
		w.keys = append(w.keys, l)
	}
	w.rng.Shuffle(len(w.keys), func(i, j int) { w.keys[i], w.keys[j] = w.keys[j], w.keys[i] })
	w.zipf = rand.NewZipf(w.rng, 1.05, 500, uint64(len(w.keys)-1))
	return w
}

func (w *world) add(namespace, name string) {
	wl := &workload{
		Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: namespace, Name: name},
		labels: map[string]string{
			"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": namespace, "app.kubernetes.io/version": "1.27.3", "pod-template-hash": "5d8f9c7b6d",
		},
	}
	if n := len(w.snap.Namespaces); n == 0 || w.snap.Namespaces[n-1].Name != namespace {
		w.snap.Namespaces = append(w.snap.Namespaces, &policy.Namespace{Name: namespace, Labels: selector.Labels{policy.LabelMetadataName: namespace}})
	}
	for p := range replicas {
		n := len(w.snap.Endpoints)
		ep := &policy.Endpoint{
			Namespace: namespace, Name: fmt.Sprintf("%s-5d8f9c7b6d-%05x", name, n*7919%1048576), Node: fmt.Sprintf("node-%d", (n+p)%nodes),
			Labels: wl.labels, Workload: wl.Workload, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)})},
			Ports: []policy.ContainerPort{{Name: "http", Protocol: policy.TCP, Port: 8080}, {Name: "metrics", Protocol: policy.TCP, Port: 8081}},
		}
		w.snap.Endpoints = append(w.snap.Endpoints, ep)
		wl.pods = append(wl.pods, ep)
	}
	w.snap.Services = append(w.snap.Services, &policy.Service{
		Namespace: namespace, Name: name, Selector: map[string]string{"app.kubernetes.io/name": name},
		Ports: []policy.ServicePort{{Name: "http", Protocol: policy.TCP, Port: 80, TargetName: "http"}},
	})
	w.workloads = append(w.workloads, wl)
}

// between adds a flow as both of its ends see it.
func (w *world) between(from, to *workload, p policy.Protocol, port uint16) {
	for _, d := range []policy.Direction{policy.Egress, policy.Ingress} {
		w.keys = append(w.keys, link{source: from, destination: to, protocol: p, port: port, direction: d})
	}
}

// seen is one record of n: what a flow gained in some seconds.
type seen struct {
	*link
	first, last time.Time
	connections int64
	from, to    *policy.Endpoint // which of the pods, nil outside
	port        uint16           // that it comes from
}

// each calls f for n records in the order of time. Every flow is among them, if
// there are so many, and some are far more often than others.
func (w *world) each(n int, f func(*seen) error) error {
	for i := range n {
		l := &w.keys[w.zipf.Uint64()]
		if i%8 == 0 {
			l = &w.keys[i/8%len(w.keys)]
		}
		s := seen{link: l, connections: 1 + w.rng.Int64N(20), port: uint16(32768 + w.rng.IntN(28000))}
		s.first = start.Add(time.Duration(float64(span)*float64(i)/float64(n)) + time.Duration(w.rng.Int64N(1e9))).UTC()
		s.last = s.first.Add(time.Duration(w.rng.Int64N(int64(15 * time.Second))))
		if l.source != nil {
			s.from = l.source.pods[w.rng.IntN(replicas)]
		}
		if l.destination != nil {
			s.to = l.destination.pods[w.rng.IntN(replicas)]
		}
		if err := f(&s); err != nil {
			return err
		}
	}
	return nil
}

// peer is an end of a flow as netpol tells it.
func peer(w *workload, outside netip.Addr) flow.Peer {
	if w == nil {
		return flow.Peer{Kind: flow.PeerNetwork, Addr: outside}
	}
	return flow.Peer{Kind: flow.PeerWorkload, Workload: w.Workload}
}

// manifests are the policies: each namespace is open to itself, to DNS and on
// 443, and what else is seen would be blocked.
const manifests = `apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: default-deny}
spec:
  namespaceSelector: projectcalico.org/name starts with 'team-'
  types: [Ingress, Egress]
`

func namespacePolicy(namespace string) string {
	return fmt.Sprintf(`---
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: inside, namespace: %s}
spec:
  types: [Ingress, Egress]
  ingress:
  - {action: Allow, protocol: TCP, source: {selector: all()}}
  - {action: Allow, protocol: TCP, destination: {ports: [443]}}
  egress:
  - {action: Allow, protocol: TCP, destination: {selector: all()}}
  - {action: Allow, protocol: TCP, destination: {ports: [443]}}
  - {action: Allow, protocol: UDP, destination: {namespaceSelector: projectcalico.org/name == 'kube-system', ports: [53]}}
`, namespace)
}
