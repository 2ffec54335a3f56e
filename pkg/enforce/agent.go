//go:build linux

// Package enforce is the agent: it turns the snapshot into the kernel's rules
// and what the kernel saw into flows.
//
// It holds the loop that joins the pure packages (tier, ruleset) to the edges
// (nft, collect, the node's routing); it decides nothing about a connection
// itself.
package enforce

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/enforce/nft"
	"github.com/netpol-project/netpol/pkg/enforce/push"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/keep"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Agent enforces policies on one node.
type Agent struct {
	opts   Options
	kernel *nft.Kernel
	conns  *collect.Conntrack
	table  atomic.Pointer[collect.Conntrack] // conns, for those who only look
	// denied is held as long as the kernel is: it says that an agent lives.
	denied *collect.Log
	flows  *flow.Aggregator // the store's
	store  *keep.Store

	history history
	live    *live
	memo    memo
	// gathering is the collecting goroutine's.
	gathering gathering
	places    atomic.Pointer[places]
	services  atomic.Pointer[serviceIndex]
	setNames  atomic.Pointer[flow.SetNames]
	nodes     atomic.Pointer[nodeNames]
	cidrs     podCIDRs
	probes    *probes
	refusals  *refusals
	counters  counters
	// complaints bounds the lines about disagreements.
	complaints *rate.Limiter

	// states and syncs feed the programming loop.
	syncs chan syncRequest
	cuts  chan struct{}
	// wereCut are connections that are cut at present.
	wereCut []wasCut
	// recalled tells whether those of the agent before are among them.
	recalled bool
	// loose is on for a while after the first install on a node (S11);
	// looseUntil is when that ends, zero before the first rules.
	loose      atomic.Bool
	looseUntil time.Time

	// programmed is closed, and firstCommit set, when the first rules are in
	// the kernel.
	programmed  chan struct{}
	firstCommit time.Time

	current current
	// announced are addresses that a CNI plugin told; local are the pods in the
	// kernel's rules.
	announced *announcements
	trials    *trials
	plugin    pluginNews
	local     atomic.Pointer[[]ruleset.Local]

	// behind: the kernel has refused the newest rules.
	behind atomic.Bool
	// homeless are this node's pods without an interface, and since when.
	homeless atomic.Pointer[map[string]time.Time]

	// deafBridge: pods are behind a bridge that passes our hooks by.
	deafBridge atomic.Bool

	// busySince is when the programming loop began what it is at, lagSince when
	// the oldest news came that is not in the kernel; 0 is neither.
	busySince, lagSince atomic.Int64
	// fill is how full the table of connections is; nil before it is known.
	fill atomic.Pointer[collect.Fill]
	// counts are for Prometheus; nil where nobody can ask.
	counts *flowCounts

	// counted is how many endpoints are this node's.
	counted atomic.Pointer[localCount]

	ready    atomic.Bool
	problems atomic.Pointer[[]string]
}

// counters are what the agent counts of itself.
type counters struct {
	disagreements, repairs, cut atomic.Uint64
	late                        atomic.Uint64 // events that did not fit at first
	lastProgram                 atomic.Int64  // nanoseconds
}

// looseFor is how long connections older than the agent may be picked up
// after the first install.
const looseFor = 2 * time.Minute

// Run enforces until ctx ends. The rules stay in the kernel afterwards.
func Run(ctx context.Context, opts Options) error {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.cutFor == 0 {
		opts.cutFor, opts.looseFor = cutFor, looseFor
	}
	var kernel *nft.Kernel
	err := takeOver(ctx, opts.Log, func() (err error) {
		kernel, err = nft.Open(nft.Options{})
		return err
	})
	if err != nil {
		return err
	}
	denied, err := openLog(ctx, opts.Log, DenyGroup)
	if err != nil {
		return errors.Join(err, kernel.Close())
	}
	defer denied.Close() // after the kernel
	// The agent before has let go of the kernel, and of the store before that.
	store := keep.Open(keep.Options{Dir: opts.Data, Owner: opts.Node, Limits: flow.DefaultLimits(), Log: opts.Log, Now: opts.Now})
	store.Counts(opts.Node)
	a := &Agent{
		opts: opts, kernel: kernel, denied: denied, store: store, flows: store.Flows(),
		live: newLive(), complaints: rate.NewLimiter(1, 10), probes: newProbes(opts.Now), refusals: newRefusals(opts.Now),
		syncs: make(chan syncRequest), cuts: make(chan struct{}, 1),
		programmed: make(chan struct{}), announced: recallAnnouncements(&opts), trials: newTrials(&opts),
	}
	if opts.HTTP != "" {
		a.counts = newFlowCounts()
	}
	// An agent that ended soon after the first install was to go on so.
	a.loose.Store(!kernel.Adopted() || !kernel.Found(ruleset.StrictTCP))
	err = a.run(ctx)
	if serr := store.Close(); serr != nil {
		opts.Log.Error("the last flows are not kept", "error", serr)
	}
	if cerr := kernel.Close(); err == nil && cerr != nil {
		err = cerr
	}
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

func (a *Agent) run(ctx context.Context) error {
	states, err := a.opts.Source.Watch(ctx)
	if err != nil {
		return fmt.Errorf("watch resources: %w", err)
	}
	web, err := a.listenHTTP(ctx)
	if err != nil {
		return err
	}
	if web != nil {
		defer web.Close()
	}
	where, err := a.finder().watch(ctx, func(err error) {
		a.opts.Log.Warn("watching interfaces and routes", "error", err)
	})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.program(ctx, states, where) })
	g.Go(func() error { return a.serve(ctx) })
	g.Go(func() error { return a.serveHTTP(ctx, web) })
	g.Go(func() error { return a.observe(ctx) })
	g.Go(func() error { return a.cutForbidden(ctx) })
	g.Go(func() error { a.takeBack(ctx); return nil })
	if a.opts.Push != nil {
		g.Go(func() error { a.push(ctx); return nil })
	} else {
		push.Hold(a.store)
	}
	g.Go(func() error { a.store.Run(ctx); return nil })
	return errors.Join(g.Wait(), a.deafen())
}

// hear listens to connections, from just before the first rules: while nobody
// reads what it hears, the kernel can't let go of connections that ended.
func (a *Agent) hear() (err error) {
	if a.conns == nil {
		if a.conns, err = collect.OpenConntrack(collect.Options{}); err == nil {
			a.table.Store(a.conns)
		}
	}
	return err
}

// deafen ends it, also after the first rules were refused.
func (a *Agent) deafen() error {
	conns := a.conns
	a.table.Store(nil)
	if a.conns = nil; conns == nil {
		return nil
	}
	return conns.Close()
}

// setProblems publishes what is wrong now.
func (a *Agent) setProblems(faults policy.Faults, extra ...string) {
	list := make([]string, 0, len(faults)+len(extra))
	for _, f := range faults {
		if f.Warning {
			list = append(list, "warning: "+f.Error())
		} else {
			list = append(list, f.Error())
		}
	}
	list = append(list, extra...)
	a.problems.Store(&list)
}
