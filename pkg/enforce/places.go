//go:build linux

package enforce

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/policy"
)

// places is what the node's routing says: behind which interface a pod's
// address is, and which addresses are the node's own. It is not changed once
// it is handed out.
type places struct {
	// interfaces has the host's interface for every address with a route of
	// its own (/32, /128) through a pod interface.
	interfaces map[netip.Addr]string
	own        map[netip.Addr]bool
	// bridged are pod interfaces that are ports of a bridge: their traffic
	// passes our hooks only with br_netfilter.
	bridged []string
}

func (p *places) equal(o *places) bool {
	return o != nil && maps.Equal(p.interfaces, o.interfaces) && maps.Equal(p.own, o.own) &&
		slices.Equal(p.bridged, o.bridged)
}

// interfaceOf is the interface behind which a pod is, or empty. Of two pods
// that claim an address, one is behind its interface (S35).
func (p *places) interfaceOf(ep *policy.Endpoint, owner func(netip.Addr) *policy.Endpoint) string {
	for _, addr := range ep.Addrs {
		if name, ok := p.interfaces[addr]; ok && owner(addr) == ep {
			return name
		}
	}
	return ""
}

// readTries is how often the kernel is asked again at once when what it was
// listing changed meanwhile.
const readTries = 10

// readPlaces asks the kernel. prefix is how pod interfaces' names begin.
func readPlaces(prefix string) (p *places, err error) {
	for range readTries {
		if p, err = listPlaces(prefix); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return p, err
}

func listPlaces(prefix string) (*places, error) {
	p := &places{interfaces: map[netip.Addr]string{}, own: map[netip.Addr]bool{}}
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	names := make(map[int]string, len(links))
	for _, l := range links {
		a := l.Attrs()
		names[a.Index] = a.Name
		if strings.HasPrefix(a.Name, prefix) && a.MasterIndex != 0 {
			p.bridged = append(p.bridged, a.Name)
		}
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			p.own[ip.Unmap()] = true
		}
	}
	filter := &netlink.Route{Table: unix.RT_TABLE_MAIN}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, filter, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range routes {
			p.addRoute(&r, names[r.LinkIndex], prefix)
		}
	}
	return p, nil
}

func (p *places) addRoute(r *netlink.Route, name, prefix string) {
	if r.Dst == nil || !strings.HasPrefix(name, prefix) {
		return
	}
	ones, bits := r.Dst.Mask.Size()
	ip, ok := netip.AddrFromSlice(r.Dst.IP)
	if !ok || ones != bits || ip.IsLinkLocalUnicast() || ip.IsMulticast() {
		return
	}
	p.interfaces[ip.Unmap()] = name
}

// watchPlaces sends the places at once and again whenever they changed, until
// ctx ends. Events only tell that something happened; the whole is read anew,
// so an event that got lost costs nothing: the subscription that lost it ends,
// and a new one begins with a reading.
func watchPlaces(ctx context.Context, prefix string, failed func(error)) (<-chan *places, error) {
	changes, err := subscribe(ctx, failed)
	if err != nil {
		return nil, err
	}
	last, err := readPlaces(prefix)
	if err != nil {
		return nil, err
	}
	out := make(chan *places, 1)
	out <- last
	go func() {
		again := false // the last reading failed
		for ctx.Err() == nil {
			if again {
				pause(ctx, retryAfter)
			} else if _, ok := <-changes; !ok {
				if changes, err = subscribe(ctx, failed); err != nil {
					failed(err)
					pause(ctx, time.Second)
					closed := make(chan struct{})
					close(closed)
					changes = closed
					continue
				}
			}
			p, err := readPlaces(prefix)
			if again = err != nil; again {
				failed(err)
				continue
			}
			if p.equal(last) {
				continue
			}
			last = p
			select { // the newest is all that counts
			case <-out:
			default:
			}
			out <- p
		}
	}()
	return out, nil
}

// subscribe signals changes of routes, addresses and interfaces; several
// changes make one signal. The channel is closed when a subscription ends.
func subscribe(ctx context.Context, failed func(error)) (<-chan struct{}, error) {
	ctx, cancel := context.WithCancel(ctx)
	report := failed
	failed = func(err error) {
		if ctx.Err() == nil { // closing the sockets makes errors, too
			report(err)
		}
	}
	routes := make(chan netlink.RouteUpdate, 256)
	addrs := make(chan netlink.AddrUpdate, 256)
	links := make(chan netlink.LinkUpdate, 256)
	err := netlink.RouteSubscribeWithOptions(routes, ctx.Done(), netlink.RouteSubscribeOptions{ErrorCallback: failed})
	if err == nil {
		err = netlink.AddrSubscribeWithOptions(addrs, ctx.Done(), netlink.AddrSubscribeOptions{ErrorCallback: failed})
	}
	if err == nil {
		err = netlink.LinkSubscribeWithOptions(links, ctx.Done(), netlink.LinkSubscribeOptions{ErrorCallback: failed})
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch interfaces and routes: %w", err)
	}
	signal := make(chan struct{}, 1)
	go func() {
		defer cancel()
		defer close(signal)
		for {
			var ok bool
			select {
			case <-ctx.Done():
				return
			case _, ok = <-routes:
			case _, ok = <-addrs:
			case _, ok = <-links:
			}
			if !ok {
				return
			}
			select {
			case signal <- struct{}{}:
			default:
			}
		}
	}()
	return signal, nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
