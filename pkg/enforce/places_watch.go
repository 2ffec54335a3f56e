//go:build linux

package enforce

import (
	"context"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
)

// lookEvery is how often the places are read although nothing was told: no
// event tells that bridges stopped to call the hooks.
const lookEvery = 30 * time.Second

// watch sends the places at once and again whenever they changed, until
// ctx ends. Events only tell that something happened; the whole is read anew,
// so an event that got lost costs nothing: the subscription that lost it ends,
// and a new one begins with a reading.
func (f finder) watch(ctx context.Context, failed func(error)) (<-chan *places, error) {
	changes, err := subscribe(ctx, failed)
	if err != nil {
		return nil, err
	}
	last, err := f.read()
	if err != nil {
		return nil, err
	}
	out := make(chan *places, 1)
	out <- last
	go func() {
		again := false // the last reading failed
		look := f.look()
		defer look.Stop()
		for ctx.Err() == nil {
			ok := true
			if again {
				pause(ctx, retryAfter)
			} else {
				select {
				case _, ok = <-changes:
				case <-look.C:
				}
			}
			if !ok {
				if changes, err = subscribe(ctx, failed); err != nil {
					failed(err)
					pause(ctx, time.Second)
					closed := make(chan struct{})
					close(closed)
					changes = closed
					continue
				}
			}
			p, err := f.read()
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

// look is when to read without being told.
func (f finder) look() *time.Ticker {
	t := time.NewTicker(lookEvery)
	if !f.byKind() {
		t.Stop()
	}
	return t
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
