package enforce

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// nodeNames are the addresses of the cluster's nodes. It is not changed once
// it is made; nil knows none.
type nodeNames struct {
	nodes  []*policy.Node
	self   *policy.Node // this one; nil if the cluster does not know it
	byAddr map[netip.Addr]string
	// others are the addresses of nodes but this one, whose own the kernel
	// knows.
	others []netip.Addr
}

func nameNodes(nodes []*policy.Node, own string) *nodeNames {
	n := &nodeNames{nodes: nodes, byAddr: map[netip.Addr]string{}}
	for _, node := range nodes {
		for _, a := range node.Addrs {
			n.byAddr[a] = node.Name
			if node.Name != own {
				n.others = append(n.others, a)
			}
		}
		if node.Name == own {
			n.self = node
		}
	}
	return n
}

// of says whether n was made of these nodes.
func (n *nodeNames) of(nodes []*policy.Node) bool { return n != nil && slices.Equal(n.nodes, nodes) }

// name is the node that has the address, empty if none has. What a node
// forwards for a NodePort or a load balancer carries its address (S34).
func (n *nodeNames) name(a netip.Addr) string {
	if n == nil {
		return ""
	}
	return n.byAddr[a.Unmap()]
}
