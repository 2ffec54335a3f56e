//go:build linux

package enforce

import (
	"net/netip"
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

func TestS33_FlowsToALocalCacheNameTheDNSService(t *testing.T) {
	local, own := netip.MustParseAddr("169.254.20.10"), netip.MustParseAddr("192.0.2.1")
	dns := &policy.Service{Namespace: "kube-system", Name: "kube-dns", Local: []netip.Addr{local},
		Ports: []policy.ServicePort{{Name: "dns", Protocol: policy.UDP, Port: 53}}}
	var a Agent
	a.services.Store(indexServices([]*policy.Service{dns}))
	// The cache's address is one of the node's own.
	a.places.Store(&places{own: map[netip.Addr]bool{local: true, own: true}})
	asks := &tuple{protocol: policy.UDP, dialled: netip.AddrPortFrom(local, 53)}
	if svc, ok := a.services.Load().find(asks, a.isHost(local)); !ok || svc.name != "kube-dns" || svc.port != "dns" {
		t.Errorf("a question to the cache is to %+v", svc)
	}
	if got := a.flowPeer(tier.Peer{Addr: local}); got.Kind != flow.PeerNetwork || got.Addr != local {
		t.Errorf("the cache is %+v", got)
	}
	if got := a.flowPeer(tier.Peer{Addr: own}); got.Kind != flow.PeerHost {
		t.Errorf("the node is %+v", got)
	}
}
