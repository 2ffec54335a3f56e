package recommend

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// netDrafts writes nets, no more and none wider than the bounds allow. What does
// not fit is left: of the nets those stay that most connections came from.
func (w *writer) netDrafts(base draft, b block) []*draft {
	nets := make([]netip.Prefix, len(b.members))
	for i, m := range b.members {
		nets[i] = m.net
	}
	nets = w.bounds.fit(nets)
	of := map[netip.Prefix][]*one{}
	for _, m := range b.members {
		i, found := slices.BinarySearchFunc(nets, m.net, netip.Prefix.Compare)
		if !found {
			i-- // the net before it holds it
		}
		of[nets[i]] = append(of[nets[i]], m)
	}
	nets = w.leave(nets, of, b.ports)
	var out []*draft
	for part := range slices.Chunk(nets, maxNets) {
		d := base
		d.Nets = part
		for _, n := range part {
			d.take(of[n], b.ports)
		}
		out = append(out, &d)
	}
	return out
}

// leave drops the nets that are more than the bound, those with the fewest
// connections.
func (w *writer) leave(nets []netip.Prefix, of map[netip.Prefix][]*one, ports []uint16) []netip.Prefix {
	if len(nets) <= w.bounds.Max {
		return nets
	}
	seen := map[netip.Prefix]int64{}
	for n, members := range of {
		var d draft
		d.take(members, ports)
		for _, o := range d.Evidence {
			seen[n] += o.Connections
		}
	}
	most := slices.SortedFunc(slices.Values(nets), func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(seen[b], seen[a]), a.Compare(b))
	})
	for _, n := range most[w.bounds.Max:] {
		var d draft
		d.take(of[n], ports)
		for _, o := range d.Evidence {
			w.left = append(w.left, Skipped{Flow: o, Kind: SkipNoRule, Reason: fmt.Sprintf(
				"%d nets would be needed, %d are allowed, and none may be wider than /%d (IPv4) or /%d (IPv6): allow more, wider ones, or make a network set",
				len(nets), w.bounds.Max, w.bounds.Widest4, w.bounds.Widest6)})
		}
	}
	most = most[:w.bounds.Max]
	slices.SortFunc(most, netip.Prefix.Compare)
	return most
}
