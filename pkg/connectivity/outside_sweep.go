package connectivity

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// atomizer collects mentions.
type atomizer struct {
	mentions []mention
	owners   []owner
}

func (b *atomizer) owner(o owner) int32 {
	b.owners = append(b.owners, o)
	return int32(len(b.owners) - 1)
}

func (b *atomizer) mention(o int32, nets ...netip.Prefix) {
	for _, n := range nets {
		b.mentions = append(b.mentions, mention{n.Masked(), o})
	}
}

func (b *atomizer) snapshot(s *policy.Snapshot) {
	for _, p := range s.Policies {
		for d := range p.Rules {
			for i := range p.Rules[d] {
				r := &p.Rules[d][i]
				for _, nets := range [][]netip.Prefix{r.Source.Nets, r.Source.NotNets, r.Destination.Nets, r.Destination.NotNets} {
					if len(nets) > 0 {
						b.mention(b.owner(owner{}), nets...)
					}
				}
			}
		}
	}
	for _, set := range s.NetworkSets {
		b.mention(b.owner(owner{set: set}), set.Nets...)
	}
	single := func(o int32, a netip.Addr) { b.mention(o, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())) }
	for _, h := range s.HostEndpoints {
		o := b.owner(owner{host: h})
		for _, a := range h.Addrs {
			single(o, a)
		}
	}
	for _, svc := range s.Services {
		for _, be := range svc.Backends {
			single(b.owner(owner{}), be.Addr)
		}
	}
}

// sweep walks the mentions, which nest or are disjoint: the innermost one that
// holds an address tells all that hold it.
func (b *atomizer) sweep() *Atoms {
	w := &sweeper{b: b, byKey: map[string]int32{}, out: &Atoms{}}
	for i := 0; i < len(b.mentions); {
		p := b.mentions[i].prefix
		w.closeUntil(p.Addr())
		l := level{prefix: p}
		if n := len(w.stack); n > 0 {
			l.owners = slices.Clone(w.stack[n-1].owners)
			w.upTo(p.Addr())
		}
		for ; i < len(b.mentions) && b.mentions[i].prefix == p; i++ {
			l.owners = append(l.owners, b.mentions[i].owner)
		}
		w.stack = append(w.stack, l)
		w.at = p.Addr()
	}
	w.closeUntil(netip.Addr{})
	return w.out
}

// level is a prefix that holds the place where the sweep is.
type level struct {
	prefix netip.Prefix
	owners []int32
}

type sweeper struct {
	b     *atomizer
	stack []level
	at    netip.Addr // all before it is done
	byKey map[string]int32
	out   *Atoms
}

// closeUntil ends the prefixes that do not hold the address; none does if it is
// invalid.
func (w *sweeper) closeUntil(addr netip.Addr) {
	for len(w.stack) > 0 {
		top := w.stack[len(w.stack)-1].prefix
		if addr.IsValid() && top.Contains(addr) {
			return
		}
		end := policy.LastAddr(top)
		if w.at.IsValid() && w.at.BitLen() == end.BitLen() && w.at.Compare(end) <= 0 {
			w.emit(end)
			w.at = end.Next() // invalid at the end of the family
		}
		w.stack = w.stack[:len(w.stack)-1]
	}
}

// upTo emits what lies before a nested prefix.
func (w *sweeper) upTo(addr netip.Addr) {
	if w.at.IsValid() && w.at.Less(addr) {
		w.emit(addr.Prev())
	}
}

// emit gives the addresses from at to end to the atom of the innermost prefix.
func (w *sweeper) emit(end netip.Addr) {
	top := &w.stack[len(w.stack)-1]
	ids := slices.Clone(top.owners)
	slices.Sort(ids)
	var key strings.Builder
	if w.at.Is6() {
		key.WriteString("6:")
	}
	for _, id := range slices.Compact(ids) {
		key.WriteString(strconv.Itoa(int(id)))
		key.WriteByte(',')
	}
	n, ok := w.byKey[key.String()]
	if !ok {
		n = int32(len(w.out.all))
		w.byKey[key.String()] = n
		w.out.all = append(w.out.all, w.atom(top, end))
	}
	a := &w.out.all[n]
	a.size += count(w.at, end)
	if len(a.Nets) == 0 || a.Nets[len(a.Nets)-1] != top.prefix {
		a.Nets = append(a.Nets, top.prefix)
	}
	w.out.spans = append(w.out.spans, span{w.at, n})
}

func (w *sweeper) atom(top *level, end netip.Addr) Atom {
	a := Atom{Addr: w.at}
	// The first address of a net is nobody's, so it would look odd.
	if next := w.at.Next(); w.at == top.prefix.Addr() && next.IsValid() && next.Less(end) {
		a.Addr = next
	}
	for i := len(top.owners) - 1; i >= 0; i-- { // the innermost is last
		o := w.b.owners[top.owners[i]]
		if o.set != nil && !slices.Contains(a.Sets, o.set) {
			a.Sets = append(a.Sets, o.set)
		}
		if o.host != nil && !slices.Contains(a.Hosts, o.host) {
			a.Hosts = append(a.Hosts, o.host)
		}
	}
	return a
}

// count is how many addresses there are from one to another, about.
func count(from, to netip.Addr) float64 {
	value := func(a netip.Addr) float64 {
		var v float64
		for _, b := range a.AsSlice() {
			v = v*256 + float64(b)
		}
		return v
	}
	return math.Max(value(to)-value(from), 0) + 1
}
