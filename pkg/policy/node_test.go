package policy_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

const dnsService = `
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: kube-system}
spec: {clusterIP: 10.96.0.10, selector: {k8s-app: kube-dns}, ports: [{name: dns, port: 53, protocol: UDP, targetPort: 5353}, {name: metrics, port: 9153}]}
---
`

const nodeCache = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-local-dns, namespace: kube-system}
spec:
  template:
    metadata: {labels: {k8s-app: node-local-dns}}
    spec:
      hostNetwork: true
      containers: [{name: node-cache, args: [%s, -conf, /etc/Corefile]}]
`

func TestS33_NodeLocalDNSServesTheClusterDNSService(t *testing.T) {
	for name, c := range map[string]struct {
		service, args string
		want          []string
	}{
		"by its name":              {"kube-dns", `-localip, "169.254.20.10"`, []string{"169.254.20.10"}},
		"by its address":           {"coredns", `-localip, "169.254.20.10,10.96.0.10"`, []string{"10.96.0.10", "169.254.20.10"}},
		"with an equals sign":      {"kube-dns", `"--localip=fd00::a"`, []string{"fd00::a"}},
		"placeholders are nothing": {"kube-dns", `-localip, "__PILLAR__LOCAL__DNS__"`, nil},
		"another Service":          {"web", `-localip, "169.254.20.10"`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := dnsSnapshot(t, fmt.Sprintf(dnsService, c.service)+fmt.Sprintf(nodeCache, c.args), nil)
			svc := s.Service("kube-system", c.service)
			var local []string
			for _, a := range svc.Local {
				local = append(local, a.String())
			}
			if !slices.Equal(local, c.want) || len(svc.Backends) != len(c.want) {
				t.Fatalf("local addresses %v, backends %v; want %v", local, svc.Backends, c.want)
			}
			for _, b := range svc.Backends {
				if len(b.Ports) != 1 || b.Ports[0].Protocol != policy.UDP || b.Ports[0].Port != 53 {
					t.Errorf("ports %v, want UDP 53 alone", b.Ports)
				}
			}
		})
	}
}

func TestS33_AddressesOfACacheComeAndGo(t *testing.T) {
	service, cache := fmt.Sprintf(dnsService, "kube-dns"), fmt.Sprintf(nodeCache, `-localip, "169.254.20.10"`)
	with := dnsSnapshot(t, service+cache, nil)
	if svc, port := with.ServiceFor(netip.MustParseAddr("169.254.20.10"), policy.UDP, 53); svc == nil || svc.Name != "kube-dns" || port.Name != "dns" {
		t.Errorf("a connection to the cache is to %v", svc)
	}
	if svc := dnsSnapshot(t, service, with).Service("kube-system", "kube-dns"); len(svc.Local)+len(svc.Backends) > 0 {
		t.Errorf("without the cache: %v %v", svc.Local, svc.Backends)
	}
}

func TestS34_NodesHaveAddresses(t *testing.T) {
	s := dnsSnapshot(t, `
apiVersion: v1
kind: Node
metadata: {name: one, labels: {zone: a}, creationTimestamp: "2026-03-01T12:00:00Z"}
spec: {podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24, "fd00:10:1::/64"]}
status: {addresses: [{type: Hostname, address: one}, {type: InternalIP, address: 192.0.2.1}, {type: ExternalIP, address: "2001:db8::1"}]}
`, nil)
	if len(s.Nodes) != 1 || s.Nodes[0].Name != "one" || s.Nodes[0].Labels["zone"] != "a" ||
		!slices.Equal(s.Nodes[0].Addrs, []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}) {
		t.Errorf("nodes %+v", s.Nodes)
	}
	if want := []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:10:1::/64")}; !slices.Equal(s.Nodes[0].PodCIDRs, want) {
		t.Errorf("pods' networks %v, want %v", s.Nodes[0].PodCIDRs, want)
	}
	if want := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano(); s.Nodes[0].Created != want {
		t.Errorf("created %d, want %d", s.Nodes[0].Created, want)
	}
}

func dnsSnapshot(t *testing.T, text string, prev *policy.Snapshot) *policy.Snapshot {
	t.Helper()
	all, faults := policy.Decode("cluster.yaml", []byte(text))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	s, faults := policy.NewSnapshot(1, all, prev)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return s
}
