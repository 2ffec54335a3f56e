package node

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/lab/actor"
	"github.com/netpol-project/netpol/internal/lab/dns"
	"github.com/netpol-project/netpol/internal/lab/network"
	"github.com/netpol-project/netpol/internal/lab/plan"
)

// quickly is how the node connects to an agent that is just starting.
var quickly = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
	MinConnectTimeout: time.Second,
}

// actorProcess is a pod's actor and what it reported.
type actorProcess struct {
	process
	pod     plan.Pod
	outside bool
	config  actor.Config
	// listening is closed when the actor has opened its ports the first time;
	// begin when all have.
	listening chan struct{}
	once      sync.Once
	begin     <-chan struct{}

	counts sync.Mutex
	since  time.Time
	seen   []lab.TargetStatus // by target; only attempts since since
	first  []bool             // by target: it was reached once
}

// startActors runs an actor in every pod and one outside, and lets them begin
// when all listen.
func (n *node) startActors(ctx context.Context) error {
	begin := make(chan struct{})
	for i := range n.plan.Pods {
		p := n.plan.Pods[i]
		c := actor.Config{
			Name: p.Namespace + "/" + p.Workload.Name, Listen: p.Ports, Targets: p.Targets, Every: p.Every,
			DNS: n.plan.DNS, Search: plan.Search(p.Namespace),
		}
		if p.Role == plan.RoleDNS {
			c.Zone = dns.NewZone(n.plan.Services)
		}
		n.addActor(p, c, n.net.Pod(p.ID()), begin)
	}
	outside := plan.Pod{Name: "outside-client", Addrs: n.plan.Outside.Addrs}
	n.addActor(outside, actor.Config{Name: outside.Name, Targets: n.plan.Outside.Targets, Every: plan.DefaultEvery}, n.net.Outside(), begin)
	n.actors[len(n.actors)-1].outside = true
	for _, a := range n.actors {
		if err := a.keep(ctx); err != nil {
			return err
		}
	}
	patience := time.After(actorPatience)
	for _, a := range n.actors {
		select {
		case <-a.listening:
		case <-ctx.Done():
			return ctx.Err()
		case <-patience:
			return fmt.Errorf("the actor of pod %s does not listen:\n%s", a.pod.ID(), logTail(n.config.Dir, a.name))
		}
	}
	close(begin)
	return nil
}

func (n *node) addActor(p plan.Pod, c actor.Config, ns *network.Namespace, begin <-chan struct{}) {
	a := &actorProcess{
		pod: p, config: c, begin: begin, listening: make(chan struct{}), since: n.since,
		seen: make([]lab.TargetStatus, len(c.Targets)), first: make([]bool, len(c.Targets)),
	}
	a.process = process{
		name: "actor-" + p.Namespace + "-" + p.Name, exe: n.config.Executable, args: []string{"actor", "run"},
		ns: ns, logs: n.config.Dir.Logs(), talk: a.converse,
	}
	for i, t := range c.Targets {
		a.seen[i].Target = t.String()
	}
	n.actors = append(n.actors, a)
}

// converse tells one run of the actor what to do and counts what it reports.
func (a *actorProcess) converse(in io.WriteCloser, out io.Reader) {
	defer in.Close()
	if err := json.NewEncoder(in).Encode(a.config); err != nil {
		log.Printf("%s: %v", a.name, err)
		return
	}
	events := json.NewDecoder(bufio.NewReader(out))
	for {
		var e actor.Event
		err := events.Decode(&e)
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			log.Printf("%s: %v", a.name, err)
			return
		case e.Listening:
			a.once.Do(func() { close(a.listening) })
			<-a.begin
			if _, err := io.WriteString(in, "go\n"); err != nil {
				log.Printf("%s: %v", a.name, err)
				return
			}
		default:
			a.count(e)
		}
	}
}

// count adds one attempt, unless it began before the counters did.
func (a *actorProcess) count(e actor.Event) {
	a.counts.Lock()
	defer a.counts.Unlock()
	if e.Target < 0 || e.Target >= len(a.seen) {
		return
	}
	if e.Error == "" {
		a.first[e.Target] = true
	}
	if e.Start.Before(a.since) {
		return
	}
	t := &a.seen[e.Target]
	if e.Error == "" {
		t.OK++
		return
	}
	t.Failed++
	t.LastError, t.LastErrorAt = e.Error, &e.Start
}

func (a *actorProcess) reset(now time.Time) {
	a.counts.Lock()
	defer a.counts.Unlock()
	a.since = now
	for i := range a.seen {
		a.seen[i] = lab.TargetStatus{Target: a.seen[i].Target}
	}
}

func (a *actorProcess) reachedAll() bool {
	a.counts.Lock()
	defer a.counts.Unlock()
	return !slices.Contains(a.first, false)
}

func (a *actorProcess) status() lab.PodStatus {
	s := lab.PodStatus{
		Namespace: a.pod.Namespace, Name: a.pod.Name, Workload: a.pod.Workload,
		Addrs: a.pod.Addrs, Interface: a.pod.Interface, Ports: a.pod.Ports,
	}
	s.Running, s.Restarts = a.state()
	a.counts.Lock()
	defer a.counts.Unlock()
	s.Targets = slices.Clone(a.seen)
	return s
}

// awaitTraffic waits until every actor reached all its targets, but not for
// ever: policies may forbid it.
func (n *node) awaitTraffic(ctx context.Context, atMost time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, a := range n.actors {
		for !a.reachedAll() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
}
