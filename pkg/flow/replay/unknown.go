package replay

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Advice is what to do about flows that can't be judged since an address is not
// known.
const Advice = "judge these by flows that have addresses: those of the agents or the flows server (without --flows), a recording of them, Hubble's, or Calico's flow logs"

// Case is what an observed flow may have been.
type Case struct {
	// Where says in which addresses the end is whose own is not known; empty
	// where all are known.
	Where string
	Pairs []tier.Conn
}

// Doubt is why nothing can be said of a flow: two cases have two answers.
func Doubt(a Case, answer string, b Case, other string) string {
	return fmt.Sprintf("the address outside is not known, and decides: %s for %s, %s for %s", answer, a.Where, other, b.Where)
}

// Unaddressed says whether p is outside and has no address, so that it is not
// known which nets and network sets hold it. Of a network set that is known by
// its name it is one that the set holds.
func Unaddressed(p flow.Peer) bool {
	return (p.Kind == flow.PeerNetwork || p.Kind == flow.PeerNetworkSet) && !p.Addr.IsValid()
}

// Cases are what o may have been, at least one: where the address of an end is
// not known, there is a case for all addresses that no model can tell apart, in
// any scope. Pairs are those of each.
func (r *Replay) Cases(o *flow.Observed) []Case {
	outside, local, dir := o.Destination, o.Source, policy.Egress
	if Unaddressed(o.Source) {
		outside, local, dir = o.Source, o.Destination, policy.Ingress
	}
	if !Unaddressed(outside) || local.Kind != flow.PeerWorkload {
		return []Case{{Pairs: r.Pairs(o)}}
	}
	ends, set := r.peers(local, 1, false), r.set(outside)
	out := r.casesIn(set, ends, dir, o)
	if len(out) == 0 && set != nil { // what it held then is not known
		out = r.casesIn(nil, ends, dir, o)
	}
	if len(out) == 0 {
		return []Case{{Pairs: r.Pairs(o)}}
	}
	return out
}

// casesIn are those of o with addresses of a network set, or with all.
func (r *Replay) casesIn(set *policy.NetworkSet, ends []tier.Peer, dir policy.Direction, o *flow.Observed) []Case {
	var out []Case
	for _, at := range r.toldApart(r.outside(set), ends, dir) {
		c := Case{Where: r.atoms.Where(at)}
		if set != nil {
			c.Where = at.Text()
		}
		for _, end := range ends {
			if at.Addr.Is4() && o.Protocol == policy.ICMPv6 || at.Addr.Is6() && o.Protocol == policy.ICMP || !r.speaks(end.Endpoint, at.Addr.Is4()) {
				continue
			}
			src, dst := end, tier.Peer{Addr: at.Addr}
			if dir == policy.Ingress {
				src, dst = dst, src
			}
			c.Pairs = r.pair(c.Pairs, src, dst, o)
		}
		if len(c.Pairs) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// set is the network set that p is named by, nil if there is none such now: then
// it is not known what it held.
func (r *Replay) set(p flow.Peer) *policy.NetworkSet {
	if p.Kind != flow.PeerNetworkSet {
		return nil
	}
	sets := r.model.Snapshot().NetworkSets
	i := slices.IndexFunc(sets, func(s *policy.NetworkSet) bool {
		return s.Namespace == p.Workload.Namespace && s.Name == p.Workload.Name
	})
	if i < 0 {
		return nil
	}
	return sets[i]
}

// speaks says whether a pod may have an address of a family: it has one, or has
// none yet, and other pods have, if any has.
func (r *Replay) speaks(ep *policy.Endpoint, is4 bool) bool {
	if len(ep.Addrs) > 0 {
		return slices.ContainsFunc(ep.Addrs, func(a netip.Addr) bool { return a.Is4() == is4 })
	}
	return r.families == [2]bool{} || r.families[family(is4)]
}

func family(is4 bool) int {
	if is4 {
		return 0
	}
	return 1
}

// Ask asks a question of each case of o. If all have one answer it is that; if
// not, doubt says so, in words for either answer.
func (r *Replay) Ask(o *flow.Observed, question func([]tier.Conn) bool, yes, no string) (answer bool, doubt string) {
	words := map[bool]string{true: yes, false: no}
	cases := r.Cases(o)
	answer = question(cases[0].Pairs)
	for _, c := range cases[1:] {
		if other := question(c.Pairs); other != answer {
			return false, Doubt(c, words[other], cases[0], words[answer])
		}
	}
	return answer, ""
}

// Any are the pairs of all cases of o.
func (r *Replay) Any(o *flow.Observed) []tier.Conn {
	var out []tier.Conn
	for _, c := range r.Cases(o) {
		out = append(out, c.Pairs...)
	}
	return out
}
