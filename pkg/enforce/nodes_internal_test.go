//go:build linux

package enforce

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

func TestS34_AnotherNodesAddressIsShownAsTheNode(t *testing.T) {
	own, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	nodes := []*policy.Node{{Name: "one", Addrs: []netip.Addr{own}}, {Name: "two", Addrs: []netip.Addr{other}}}
	var a Agent
	a.nodes.Store(nameNodes(nodes, "one"))
	if got := a.flowPeer(tier.Peer{Addr: other}); got.Kind != flow.PeerHost || got.Workload.Name != "two" || got.Addr != other {
		t.Errorf("the other node is %+v", got)
	}
	if got := a.flowPeer(tier.Peer{Addr: netip.MustParseAddr("192.0.2.3")}); got.Kind != flow.PeerNetwork {
		t.Errorf("somebody else is %+v", got)
	}
	// S31: tunnels to these are refused; the node's own the kernel knows.
	if got := a.nodes.Load().others; !slices.Equal(got, []netip.Addr{other}) {
		t.Errorf("other nodes %v", got)
	}
	if !a.nodes.Load().of(slices.Clone(nodes)) || a.nodes.Load().of(nodes[:1]) {
		t.Error("a change of nodes is not seen")
	}
}
